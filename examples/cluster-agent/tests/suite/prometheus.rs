//! A real Prometheus scrapes the agent, and what it is asked by dashboards, rules and kubernetes-mixin finds something.
#![cfg(unix)]

use std::path::Path;

use crate::prometheus_server::{Prometheus, queries};
use crate::support::{Host, command, get_until};

const AGENT: &str = env!("CARGO_BIN_EXE_cluster-agent");

#[tokio::test]
async fn what_people_ask_a_prometheus_is_there() {
    let flags = [
        "--sim",
        "--sim-nodes",
        "4",
        "--sim-pods",
        "150",
        "--sim-churn",
        "20",
        "--port",
        "0",
        "--usage-interval",
        "10s",
        "--node-metadata-pods",
    ];
    let host = Host::start(command(AGENT, &flags)).await;
    let agent = host.url("serving at");
    let Some(prometheus) = Prometheus::scraping(&[("kube-state-metrics", &agent)]).await else { return };
    get_until(&format!("{agent}/-/ready"), |answer| answer.status == 200).await;

    // The joined result: a pod with the machine under it.
    let pods = prometheus.found("kube_pod_info{host_type!=\"\"}").await;
    assert!(
        pods.iter().all(|pod| pod["metric"]["node"].is_string() && pod["metric"]["host_id"].is_string()),
        "{pods:?}"
    );
    let text =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/mixin_queries.txt")).unwrap();
    let mixin: Vec<&str> = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
    assert!(mixin.len() > 30);
    for query in mixin {
        prometheus.found(query).await;
    }
    let dashboard = queries("dashboard-cluster.json");
    assert!(dashboard.len() >= 8);
    for query in dashboard {
        prometheus.found(&query).await;
    }
    // Rules are loaded and can be evaluated: those of the agent's own series find nothing wrong with them.
    assert_eq!(prometheus.rules().await.len(), 6);
    assert_eq!(host.terminate().await.status.code(), Some(0));
}
