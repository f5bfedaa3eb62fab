//! The server under test: the simulator, or a real one.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use cluster_sim::Sim;
use futures::{FutureExt, StreamExt};
use http::{Method, Request};
use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::{Value, json};

/// Names the kubeconfig of a real server to run the suite against.
const REAL: &str = "KUBE_AGENT_KIT_REAL_KUBECONFIG";

/// How long anything may take.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// A server, and a namespace of it for one test.
pub(crate) struct Cluster {
    pub(crate) client: kube::Client,
    pub(crate) namespace: String,
    pub(crate) is_real: bool,
}

/// An answer: its status code, and its JSON.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) body: Value,
}

impl Answer {
    /// The answer's object, which must be a success.
    #[track_caller]
    pub(crate) fn ok(self) -> Value {
        assert!(self.code < 300, "{}: {}", self.code, self.body);
        self.body
    }

    /// Code and reason of a failure.
    pub(crate) fn failure(&self) -> (u16, &str) {
        (self.code, self.body["reason"].as_str().unwrap_or_default())
    }

    pub(crate) fn message(&self) -> &str {
        self.body["message"].as_str().unwrap_or_default()
    }
}

/// A running watch.
pub(crate) struct Watch {
    body: http_body_util::BodyDataStream<Body>,
    received: Vec<u8>,
}

impl Watch {
    /// The next event as (type, object); `None` at the stream's end.
    pub(crate) async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some(end) = self.received.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.received.drain(..=end).collect();
                let event: Value = serde_json::from_slice(&line).unwrap();
                return Some((event["type"].as_str().unwrap().to_owned(), event["object"].clone()));
            }
            let piece = tokio::time::timeout(PATIENCE, self.body.next()).await.expect("a watch event in time")?;
            self.received.extend_from_slice(&piece.unwrap());
        }
    }

    /// The next event as (type, name), bookmarks left out.
    pub(crate) async fn next_named(&mut self) -> (String, String) {
        loop {
            let (kind, object) = self.next().await.expect("another event");
            if kind != "BOOKMARK" {
                return (kind, name(&object).to_owned());
            }
        }
    }
}

impl Cluster {
    async fn of(client: kube::Client, is_real: bool) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis();
        let namespace = format!("semantics-{since}-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let cluster = Self { client, namespace, is_real };
        cluster.post("/api/v1/namespaces", json!({"metadata": {"name": cluster.namespace}})).await.ok();
        cluster
    }

    /// `/api/v1/namespaces/NAMESPACE/…`
    pub(crate) fn core(&self, rest: &str) -> String {
        format!("/api/v1/namespaces/{}/{rest}", self.namespace)
    }

    /// `/apis/GROUP/VERSION/namespaces/NAMESPACE/…`
    pub(crate) fn group(&self, group_version: &str, rest: &str) -> String {
        format!("/apis/{group_version}/namespaces/{}/{rest}", self.namespace)
    }

    pub(crate) async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.client.send(request.body(Body::from(body)).unwrap()).await.unwrap();
        let code = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let body = serde_json::from_slice(&body).unwrap_or_else(|_| String::from_utf8_lossy(&body).into());
        Answer { code, body }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], Vec::new()).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, &[("content-type", "application/json")], body.to_string().into()).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PUT, path, &[("content-type", "application/json")], body.to_string().into()).await
    }

    pub(crate) async fn patch(&self, path: &str, kind: &str, body: Value) -> Answer {
        let content_type = match kind {
            "apply" => "application/apply-patch+yaml".to_owned(),
            kind => format!("application/{kind}-patch+json"),
        };
        self.send(Method::PATCH, path, &[("content-type", &content_type)], body.to_string().into()).await
    }

    /// Delete with these options as the body; without a body if they are null.
    pub(crate) async fn delete(&self, path: &str, options: Value) -> Answer {
        let body = if options.is_null() { String::new() } else { options.to_string() };
        self.send(Method::DELETE, path, &[("content-type", "application/json")], body.into()).await
    }

    pub(crate) async fn watch(&self, path: &str) -> Watch {
        let separator = if path.contains('?') { '&' } else { '?' };
        let request = Request::get(format!("{path}{separator}watch=true")).body(Body::empty()).unwrap();
        let response = self.client.send(request).await.unwrap();
        assert_eq!(response.status().as_u16(), 200, "{path}");
        Watch { body: response.into_body().into_data_stream(), received: Vec::new() }
    }

    /// Create a ConfigMap; its resourceVersion.
    pub(crate) async fn config_map(&self, name: &str, labels: Value) -> String {
        let object = json!({"metadata": {"name": name, "labels": labels}, "data": {"a": "1"}});
        let created = self.post(&self.core("configmaps"), object).await.ok();
        version(&created).to_owned()
    }

    /// Ask until an answer is as wanted.
    pub(crate) async fn until(&self, path: &str, wanted: impl Fn(&Answer) -> bool) -> Answer {
        let waiting = async {
            loop {
                let answer = self.get(path).await;
                if wanted(&answer) {
                    return answer;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect("the wanted answer in time")
    }

    /// The server's minor version.
    pub(crate) async fn minor(&self) -> u32 {
        let version = self.get("/version").await.ok();
        version["minor"].as_str().unwrap().trim_end_matches('+').parse().unwrap()
    }
}

pub(crate) fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

pub(crate) fn version(object: &Value) -> &str {
    object["metadata"]["resourceVersion"].as_str().unwrap_or_default()
}

pub(crate) fn names(list: &Value) -> Vec<&str> {
    list["items"].as_array().into_iter().flatten().map(name).collect()
}

/// Run a case against the simulator.
pub(crate) async fn simulated(case: impl AsyncFn(&Cluster)) {
    let sim = Sim::builder().rbac(true).pod_termination(None).start().await.unwrap();
    let mut config = sim.kube_config();
    config.default_retry = false;
    let cluster = Cluster::of(kube::Client::try_from(config).unwrap(), false).await;
    case(&cluster).await;
    sim.shutdown().await;
}

/// Run a case against a real server, if there is one.
pub(crate) async fn real(case: impl AsyncFn(&Cluster)) {
    let Some(path) = std::env::var_os(REAL) else {
        eprintln!("skipped: set {REAL} to the path of a kubeconfig to run this against a real API server");
        return;
    };
    let kubeconfig = kube::config::Kubeconfig::read_from(path).unwrap();
    let options = kube::config::KubeConfigOptions::default();
    let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap();
    config.default_retry = false;
    let cluster = Cluster::of(kube::Client::try_from(config).unwrap(), true).await;
    let outcome = AssertUnwindSafe(case(&cluster)).catch_unwind().await;
    cluster.delete(&format!("/api/v1/namespaces/{}", cluster.namespace), json!({})).await;
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}
