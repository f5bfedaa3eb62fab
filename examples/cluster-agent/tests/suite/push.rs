//! What a collector gets: state, usage and counts of events alike.

use std::collections::BTreeSet;

use axum::body::Bytes;
use axum::routing::post;
use ksm_core::otlp::proto::collector::metrics::v1::ExportMetricsServiceRequest;
use prost::Message as _;

use crate::support::{self, Host, command, get, get_until};

const AGENT: &str = env!("CARGO_BIN_EXE_cluster-agent");

#[tokio::test]
async fn all_parts_are_pushed_and_the_page_says_so() {
    let (received, mut messages) = tokio::sync::mpsc::unbounded_channel();
    let take = async move |body: Bytes| drop(received.send(ExportMetricsServiceRequest::decode(body).unwrap()));
    let app = axum::Router::new().route("/v1/metrics", post(take));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });

    let sim = ["--sim", "--sim-nodes", "2", "--sim-pods", "20", "--sim-churn", "1"];
    let push = ["--port", "0", "--otlp", "on", "--otlp-interval", "1s", "--otlp-endpoint", &endpoint];
    let host = Host::start(command(AGENT, &[&sim[..], &push[..]].concat())).await;
    let wanted =
        ["kube_pod_info", "kube_node_info", "pod_memory_working_set_bytes", "node_cpu_usage_seconds", "kube_events"];
    let all = async {
        let mut names = BTreeSet::new();
        while !wanted.iter().all(|name| names.contains(*name)) {
            let message = messages.recv().await.expect("the collector runs");
            let scopes = message.resource_metrics.into_iter().flat_map(|resource| resource.scope_metrics);
            let metrics = scopes.flat_map(|scope| scope.metrics);
            names.extend(metrics.map(|metric| metric.name.trim_end_matches("_total").to_owned()));
        }
    };
    tokio::time::timeout(support::PATIENCE, all).await.expect("every part is pushed");
    let url = host.url("serving at");
    get_until(&format!("{url}/status.json"), |answer| {
        answer.text().contains("{\"name\":\"OTLP push\",\"health\":\"ok\"")
    })
    .await;
    assert!(get(&url).await.text().contains("OTLP push"));
    assert_eq!(host.terminate().await.status.code(), Some(0));
}
