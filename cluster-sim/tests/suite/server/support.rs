//! A client that sees answers as they are.

use std::time::Duration;

use bytes::Bytes;
use cluster_sim::Sim;
use futures::StreamExt;
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyDataStream, BodyExt};
use kube::client::Body;
use serde_json::{Value, json};

/// How long anything may take.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);
/// How long anything may take in paused time, where only what the test waits for takes any.
const PAUSED_PATIENCE: Duration = Duration::from_hours(24);

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Code and reason of a failure.
    pub(crate) fn failure(&self) -> (u16, String) {
        (self.code, self.json()["reason"].as_str().unwrap_or_default().to_owned())
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let list = self.json();
        let items = list["items"].as_array().into_iter().flatten();
        items.map(|item| item["metadata"]["name"].as_str().unwrap().to_owned()).collect()
    }
}

/// A client without retries.
pub(crate) struct Client {
    client: kube::Client,
    patience: Duration,
}

impl Client {
    pub(crate) fn new(sim: &Sim) -> Self {
        Self::of(sim.kube_config())
    }

    pub(crate) fn of(mut config: kube::Config) -> Self {
        config.default_retry = false;
        Self { client: kube::Client::try_from(config).unwrap(), patience: PATIENCE }
    }

    /// A client without sockets. It retries what the server asks it to; nothing here does so.
    pub(crate) fn in_memory(sim: &Sim) -> Self {
        Self { client: sim.client_in_memory(), patience: PAUSED_PATIENCE }
    }

    pub(crate) async fn open(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Result<http::Response<Body>, kube::Error> {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.client.send(request.body(Body::from(body)).unwrap()).await
    }

    pub(crate) async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Value) -> Answer {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let response = self.open(method, path, headers, body).await.unwrap();
        let (head, body) = response.into_parts();
        Answer { code: head.status.as_u16(), headers: head.headers, body: body.collect().await.unwrap().to_bytes() }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], Value::Null).await
    }

    pub(crate) async fn delete(&self, path: &str, options: Value) -> Answer {
        self.send(Method::DELETE, path, &[("content-type", "application/json")], options).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, &[("content-type", "application/json")], body).await
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
        tokio::time::timeout(self.patience, waiting).await.expect("the wanted answer in time")
    }

    pub(crate) async fn watch(&self, path: &str) -> Watch {
        let response = self.open(Method::GET, path, &[], Vec::new()).await.unwrap();
        assert_eq!(response.status().as_u16(), 200, "{path}");
        Watch { body: response.into_body().into_data_stream(), received: Vec::new(), patience: self.patience }
    }
}

/// A running watch.
pub(crate) struct Watch {
    pub(crate) body: BodyDataStream<Body>,
    received: Vec<u8>,
    patience: Duration,
}

impl Watch {
    /// The next event as (type, object); `None` at a proper end, an error at a cut.
    pub(crate) async fn next(&mut self) -> Result<Option<(String, Value)>, <Body as http_body::Body>::Error> {
        loop {
            if let Some(end) = self.received.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.received.drain(..=end).collect();
                let event: Value = serde_json::from_slice(&line).unwrap();
                return Ok(Some((event["type"].as_str().unwrap().to_owned(), event["object"].clone())));
            }
            match tokio::time::timeout(self.patience, self.body.next()).await.expect("a watch event in time") {
                Some(piece) => self.received.extend_from_slice(&piece?),
                None => return Ok(None),
            }
        }
    }

    /// The next event as (type, name).
    pub(crate) async fn next_named(&mut self) -> (String, String) {
        let (kind, object) = self.next().await.unwrap().expect("another event");
        (kind, object["metadata"]["name"].as_str().unwrap_or_default().to_owned())
    }
}

pub(crate) const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

pub(crate) fn config_map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}, "data": {"a": "1"}})
}

pub(crate) fn event(kind: &str, name: &str) -> (String, String) {
    (kind.to_owned(), name.to_owned())
}
