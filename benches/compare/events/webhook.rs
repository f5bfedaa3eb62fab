//! The webhook that events are sent to. It answers at once, and remembers what came.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::routing::post;
use serde::Deserialize;
use tokio_util::task::AbortOnDropHandle;

use super::happen::micros;
use super::tally::Arrived;

/// The size of an event that is taken.
const LARGEST: usize = 1 << 20;

/// A webhook on loopback; it ends with this.
#[derive(Debug)]
pub(crate) struct Webhook {
    pub(crate) url: String,
    came: Came,
    _serving: AbortOnDropHandle<()>,
}

type Came = Arc<Mutex<Vec<Arrived>>>;

impl Webhook {
    pub(crate) async fn start() -> Result<Self> {
        let came = Came::default();
        let router = Router::new().route("/", post(take)).layer(DefaultBodyLimit::max(LARGEST));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/", listener.local_addr()?);
        let router = router.with_state(Arc::clone(&came));
        let serving = tokio::spawn(async move {
            // Axum's server does not end by itself.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { url, came, _serving: AbortOnDropHandle::new(serving) })
    }

    /// How many came, the same ones included.
    pub(crate) fn count(&self) -> usize {
        self.came.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// All that came.
    pub(crate) fn arrived(&self) -> Vec<Arrived> {
        self.came.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn take(State(came): State<Came>, body: Bytes) -> StatusCode {
    let now = micros();
    let Some(event) = read(&body, now) else { return StatusCode::BAD_REQUEST };
    came.lock().unwrap_or_else(PoisonError::into_inner).push(event);
    StatusCode::OK
}

/// What is looked at of the JSON that both programs send.
fn read(body: &[u8], at: i64) -> Option<Arrived> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Event {
        metadata: Metadata,
        involved_object: Object,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Metadata {
        uid: String,
        resource_version: String,
    }
    #[derive(Deserialize)]
    struct Object {
        labels: Option<BTreeMap<String, String>>,
    }
    let Event { metadata, involved_object } = serde_json::from_slice(body).ok()?;
    let labelled = involved_object.labels.is_some_and(|labels| !labels.is_empty());
    Some(Arrived { uid: metadata.uid, version: metadata.resource_version, at, labelled })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_read() {
        let body =
            br#"{"metadata": {"uid": "u", "resourceVersion": "7"}, "involvedObject": {"labels": {"app": "web"}}}"#;
        let arrived = read(body, 5).unwrap();
        assert_eq!(arrived, Arrived { uid: "u".to_owned(), version: "7".to_owned(), at: 5, labelled: true });
        for labels in ["{}", "null"] {
            let body = format!(
                r#"{{"metadata": {{"uid": "u", "resourceVersion": "7"}}, "involvedObject": {{"labels": {labels}}}}}"#
            );
            assert!(!read(body.as_bytes(), 5).unwrap().labelled, "{labels}");
        }
        assert_eq!(read(b"{}", 5), None);
        assert_eq!(read(b"[1,", 5), None);
    }

    #[tokio::test]
    async fn what_is_posted_is_remembered() {
        let webhook = Webhook::start().await.unwrap();
        let address = webhook.url.trim_start_matches("http://").trim_end_matches('/');
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let body = r#"{"metadata": {"uid": "u", "resourceVersion": "7"}, "involvedObject": {}}"#;
        let request =
            format!("POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        tokio::io::AsyncReadExt::read_to_string(&mut stream, &mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert_eq!((webhook.count(), webhook.arrived()[0].uid.as_str()), (1, "u"));
    }
}
