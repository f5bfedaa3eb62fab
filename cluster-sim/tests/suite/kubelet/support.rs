//! A cluster of hand-written nodes and pods, and clients that see answers as they are.

use bytes::Bytes;
use cluster_sim::{Sim, SimBuilder};
use http::Request;
use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::{Value, json};

pub(crate) const SUMMARY: &str = "/stats/summary";

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// Code and message of an API server's failure.
    pub(crate) fn failure(&self) -> (u16, String) {
        (self.code, self.json()["message"].as_str().unwrap_or_default().to_owned())
    }
}

/// A client that does not ask again by itself.
pub(crate) fn client(sim: &Sim) -> kube::Client {
    let mut config = sim.kube_config();
    config.default_retry = false;
    kube::Client::try_from(config).unwrap()
}

/// Ask, whatever the answer.
pub(crate) async fn get(client: &kube::Client, path: &str) -> Answer {
    try_get(client, path).await.unwrap()
}

pub(crate) async fn try_get(client: &kube::Client, path: &str) -> Result<Answer, Box<dyn std::error::Error>> {
    let response = client.send(Request::get(path).body(Body::empty())?).await?;
    let (head, body) = response.into_parts();
    let body = body.collect().await?.to_bytes();
    Ok(Answer { code: head.status.as_u16(), body })
}

/// The path of a node's summary through the API server.
pub(crate) fn proxied(node: &str) -> String {
    format!("/api/v1/nodes/{node}/proxy{SUMMARY}")
}

/// The document through the API server.
pub(crate) async fn summary(client: &kube::Client, node: &str) -> Value {
    let answer = get(client, &proxied(node)).await;
    assert_eq!(answer.code, 200, "{answer:?}");
    answer.json()
}

pub(crate) fn node(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "uid": format!("uid-of-{name}"), "creationTimestamp": "2026-01-01T00:00:00Z"},
        "status": {
            "capacity": {"cpu": "4", "memory": "16Gi", "ephemeral-storage": "50Gi"},
            "nodeInfo": {"kubeletVersion": "v1.36.0", "swap": {"capacity": 1_073_741_824}},
        },
    })
}

/// A running pod with these containers, each running since a minute after the pod's start.
pub(crate) fn pod(name: &str, node: &str, start: &str, containers: &[(&str, &str)]) -> Value {
    let statuses: Value = containers
        .iter()
        .map(|(name, started)| {
            json!({"name": name, "ready": true, "restartCount": 0, "state": {"running": {"startedAt": started}}})
        })
        .collect();
    let specs: Value =
        containers.iter().map(|(name, _)| json!({"name": name, "image": "registry.k8s.io/pause"})).collect();
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "uid": format!("uid-of-{name}"), "creationTimestamp": start},
        "spec": {"nodeName": node, "containers": specs},
        "status": {"phase": "Running", "podIP": "10.1.2.3", "startTime": start, "containerStatuses": statuses},
    })
}

pub(crate) const NOW: &str = "2026-01-03T00:00:00Z";
pub(crate) const START: &str = "2026-01-02T00:00:00Z";

/// A cluster of the nodes `a` and `b`: two pods on `a`, none on `b`; a day after their start.
pub(crate) async fn sim() -> Sim {
    builder().start().await.unwrap()
}

pub(crate) fn builder() -> SimBuilder<'static> {
    let pods = [
        pod("web", "a", START, &[("app", START), ("proxy", "2026-01-02T00:00:07Z")]),
        pod("db", "a", START, &[("db", START)]),
    ];
    Sim::builder().now(NOW.parse().unwrap()).objects([node("a"), node("b")]).objects(pods)
}

pub(crate) fn names(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect()
}

/// The pod of this name within a document.
pub(crate) fn of<'a>(document: &'a Value, pod: &str) -> &'a Value {
    let pods = document["pods"].as_array().unwrap();
    pods.iter().find(|known| known["podRef"]["name"] == pod).unwrap_or_else(|| panic!("{pod} is missing"))
}

/// A member that is a whole number.
pub(crate) fn number(value: &Value, pointer: &str) -> u64 {
    value.pointer(pointer).and_then(Value::as_u64).unwrap_or_else(|| panic!("{pointer} of {value}"))
}

/// A member that is a moment, in seconds since 1970.
pub(crate) fn seconds(value: &Value, pointer: &str) -> u64 {
    let text = value.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("{pointer} of {value}"));
    text.parse::<jiff::Timestamp>().unwrap().as_second().try_into().unwrap()
}

/// The document as it would be told now.
pub(crate) fn told(sim: &Sim, node: &str) -> Value {
    serde_json::from_slice(&sim.kubelets().summary(node).unwrap()).unwrap()
}
