//! A real Prometheus scrapes the agent, and what it is asked by dashboards, rules and kubernetes-mixin finds something.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../../host/tests/support/mod.rs"]
mod support;

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use support::{Host, PATIENCE, command, get, get_until};
use tokio::process::{Child, Command};

const AGENT: &str = env!("CARGO_BIN_EXE_cluster-agent");

struct Prometheus {
    _process: Child,
    _folder: tempfile::TempDir,
    url: String,
}

impl Prometheus {
    /// Scrapes `target` each second, as kube-state-metrics is usually named. None where there is no Prometheus.
    async fn scraping(target: &str) -> Option<Self> {
        let Some(program) = std::env::var_os("KUBE_AGENT_KIT_PROMETHEUS") else {
            eprintln!("skipped: KUBE_AGENT_KIT_PROMETHEUS names no prometheus");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let target = target.trim_start_matches("http://").trim_end_matches('/');
        let rules = deploy().join("prometheus/rules.yaml");
        let config = format!(
            "rule_files: [{}]\nscrape_configs:\n- job_name: kube-state-metrics\n  scrape_interval: 1s\n  scrape_timeout: 1s\n  \
             honor_labels: true\n  static_configs: [{{targets: [\"{target}\"]}}]\n",
            rules.display()
        );
        std::fs::write(path("prometheus.yaml"), config).unwrap();
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let process = Command::new(program)
            .arg(format!("--config.file={}", path("prometheus.yaml")))
            .arg(format!("--storage.tsdb.path={}", path("data")))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let this = Self { _process: process, _folder: folder, url: format!("http://127.0.0.1:{port}") };
        let listens = async {
            while tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_err() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(PATIENCE, listens).await.expect("Prometheus starts");
        get_until(&format!("{}/-/ready", this.url), |answer| answer.status == 200).await;
        Some(this)
    }

    fn query_url(&self, query: &str) -> String {
        let query: String = form_urlencoded::Serializer::new(String::new()).append_pair("query", query).finish();
        format!("{}/api/v1/query?{query}", self.url)
    }

    /// Asks until there is an answer with series in it.
    async fn found(&self, query: &str) -> Vec<Value> {
        let url = self.query_url(query);
        let series = |text: &str| -> Vec<Value> {
            let answer: Value = serde_json::from_str(text).unwrap();
            assert_eq!(answer["status"], "success", "{query}: {answer}");
            answer["data"]["result"].as_array().cloned().unwrap_or_default()
        };
        let finds = async {
            loop {
                let found = series(&get(&url).await.text());
                if !found.is_empty() {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        tokio::time::timeout(PATIENCE, finds).await.unwrap_or_else(|_| panic!("nothing is found by {query}"))
    }
}

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy")
}

/// The queries of a dashboard, with all that a reader can choose from.
fn queries(dashboard: &str) -> Vec<String> {
    let text = std::fs::read_to_string(deploy().join("prometheus").join(dashboard)).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    targets.map(|target| target["expr"].as_str().unwrap().replace("$namespace", ".*")).collect()
}

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
    let Some(prometheus) = Prometheus::scraping(&agent).await else { return };
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
    let rules: Value = serde_json::from_str(&get(&format!("{}/api/v1/rules", prometheus.url)).await.text()).unwrap();
    let rules = rules["data"]["groups"][0]["rules"].as_array().unwrap();
    assert_eq!(rules.len(), 6);
    for rule in rules {
        assert!(rule["lastError"].is_null(), "{rule}");
        let answer = get(&prometheus.query_url(rule["query"].as_str().unwrap())).await;
        assert_eq!(answer.status, 200, "{rule}");
    }
    assert_eq!(host.terminate().await.status.code(), Some(0));
}
