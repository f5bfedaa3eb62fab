//! An API server that answers when the test says so.

use std::convert::Infallible;

use bytes::Bytes;
use futures::StreamExt;
use futures::channel::mpsc::{UnboundedSender, unbounded};
use futures::stream::BoxStream;
use http::{Request, Response};
use http_body_util::StreamBody;
use hyper::body::Frame;
use kube::Client;
use kube::client::Body;
use tokio::sync::{mpsc, oneshot};

type Pieces = BoxStream<'static, Result<Frame<Bytes>, Infallible>>;

/// Requests that wait for an answer.
pub(crate) struct Script(mpsc::UnboundedReceiver<Asked>);

/// A request that waits for its answer.
pub(crate) struct Asked {
    pub(crate) uri: String,
    answer: oneshot::Sender<Pieces>,
}

pub(crate) fn script() -> (Client, Script) {
    let (requests, asked) = mpsc::unbounded_channel();
    let service = tower::service_fn(move |request: Request<Body>| {
        let (answer, answered) = oneshot::channel();
        let _ = requests.send(Asked { uri: request.uri().to_string(), answer });
        async move {
            let Ok(pieces) = answered.await else { return std::future::pending().await };
            Ok::<_, Infallible>(Response::new(StreamBody::new(pieces)))
        }
    });
    (Client::new(service, "default"), Script(asked))
}

impl Script {
    pub(crate) async fn next(&mut self) -> Asked {
        self.0.recv().await.expect("the instance asks on")
    }
}

impl Asked {
    /// Answers with a list.
    pub(crate) fn list(self, version: u32, items: &[String], token: &str) {
        let items = items.join(",");
        let metadata = format!(r#"{{"resourceVersion":"{version}","continue":"{token}"}}"#);
        self.stream().unbounded_send(format!(r#"{{"metadata":{metadata},"items":[{items}]}}"#)).unwrap();
    }

    /// Answers with a body that goes on until the sender is dropped.
    pub(crate) fn stream(self) -> UnboundedSender<String> {
        let (sender, pieces) = unbounded();
        let frames = pieces.map(|piece: String| Ok(Frame::data(Bytes::from(piece)))).boxed();
        assert!(self.answer.send(frames).is_ok(), "the request is still waited on");
        sender
    }
}

/// A namespace whose uid is its name; the phase is something to see.
pub(crate) fn object(name: &str, version: u32, phase: &str) -> String {
    format!(
        r#"{{"metadata":{{"name":"{name}","uid":"{name}","resourceVersion":"{version}"}},"status":{{"phase":"{phase}"}}}}"#
    )
}

pub(crate) fn event(kind: &str, object: &str) -> String {
    format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n")
}
