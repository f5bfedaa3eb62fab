//! A real Prometheus that scrapes hosts. The binaries' tests take this file in by its path, beside `support`.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::process::{Child, Command};

use super::support::{PATIENCE, get, get_until};

pub struct Prometheus {
    _process: Child,
    _folder: tempfile::TempDir,
    url: String,
}

impl Prometheus {
    /// Scrapes targets each second, each as a job of that name, and evaluates the alerts. None where there is no Prometheus.
    pub async fn scraping(jobs: &[(&str, &str)]) -> Option<Self> {
        let Some(program) = std::env::var_os("KUBE_AGENT_KIT_PROMETHEUS") else {
            eprintln!("skipped: KUBE_AGENT_KIT_PROMETHEUS names no prometheus");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let scrapes = jobs.iter().map(|(job, target)| {
            let target = target.trim_start_matches("http://").trim_end_matches('/');
            format!(
                "- job_name: {job}\n  scrape_interval: 1s\n  scrape_timeout: 1s\n  honor_labels: true\n  \
                 static_configs: [{{targets: [\"{target}\"]}}]\n"
            )
        });
        let rules = folder_of_files().join("rules.yaml");
        let config = format!("rule_files: [{}]\nscrape_configs:\n{}", rules.display(), scrapes.collect::<String>());
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

    /// What a query finds now.
    pub async fn query(&self, query: &str) -> Vec<Value> {
        let arguments: String = form_urlencoded::Serializer::new(String::new()).append_pair("query", query).finish();
        let answer = get(&format!("{}/api/v1/query?{arguments}", self.url)).await;
        let answer: Value = serde_json::from_str(&answer.text()).unwrap();
        assert_eq!(answer["status"], "success", "{query}: {answer}");
        answer["data"]["result"].as_array().cloned().unwrap_or_default()
    }

    /// Asks until what is found is as wanted.
    pub async fn found_when(&self, query: &str, wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let finds = async {
            loop {
                let found = self.query(query).await;
                if wanted(&found) {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        if let Ok(found) = tokio::time::timeout(PATIENCE, finds).await {
            return found;
        }
        panic!("not as wanted: {query} finds {:?}", self.query(query).await)
    }

    /// Asks until there is an answer with series in it.
    pub async fn found(&self, query: &str) -> Vec<Value> {
        self.found_when(query, |found| !found.is_empty()).await
    }

    /// The alerts, each of which can be evaluated.
    pub async fn rules(&self) -> Vec<Value> {
        let answer =
            get_until(&format!("{}/api/v1/rules", self.url), |answer| answer.text().contains("\"query\"")).await;
        let rules: Value = serde_json::from_str(&answer.text()).unwrap();
        let rules = rules["data"]["groups"][0]["rules"].as_array().unwrap().clone();
        for rule in &rules {
            assert!(rule["lastError"].is_null(), "{rule}");
            self.query(rule["query"].as_str().unwrap()).await;
        }
        rules
    }
}

/// The value of what was found.
pub fn value(found: &Value) -> f64 {
    found["value"][1].as_str().unwrap().parse().unwrap()
}

fn folder_of_files() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/prometheus")
}

/// The queries of a dashboard, those by which a reader chooses among them, with all that can be chosen.
pub fn queries(dashboard: &str) -> Vec<String> {
    let text = std::fs::read_to_string(folder_of_files().join(dashboard)).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let variables = dashboard["templating"]["list"].as_array().unwrap().iter();
    let chosen = variables.filter_map(|variable| {
        let of = variable["query"].as_str()?.strip_prefix("label_values(")?.strip_suffix(')')?;
        let (metric, label) = of.rsplit_once(',').unwrap();
        Some(format!("count by ({}) ({metric})", label.trim()))
    });
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    let shown = targets.map(|target| target["expr"].as_str().unwrap().replace("$namespace", ".*"));
    shown.chain(chosen).collect()
}
