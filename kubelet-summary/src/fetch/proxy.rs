//! Through the API server.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::Response;
use http_body_util::Full;
use kube::Client;
use kube::client::Body;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::time::timeout;

use super::answer;
use super::bodies::Bodies;
use super::error::{Access, FetchError, Phase};
use super::{DEFAULT_DEADLINE, DEFAULT_MAX_BYTES, Fetcher, NodeTarget, path};
use crate::schema::{Parts, Summary};

/// What stays as it is in a path: the letters of a Node's name.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_');

/// Asks kubelets through the API server's node proxy, by the client's own identity.
///
/// It needs [`rbac::NODE_PROXY`](super::rbac::NODE_PROXY), which is more than a reader of statistics should have; it is
/// for where the nodes can't be reached directly. Each kubelet is asked once, also by a client that retries by itself, as
/// kube's do by default: each retry for a dead kubelet would cost the API server another attempt to reach it.
///
/// ```no_run
/// use kubelet_summary::fetch::{Fetcher, NodeProxy, NodeTarget};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let fetcher = NodeProxy::new(kube::Client::try_default().await?);
/// let summary = fetcher.fetch(&NodeTarget::new("node-1")).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct NodeProxy {
    client: Client,
    deadline: Duration,
    max_bytes: usize,
    only_cpu_and_memory: bool,
    parts: Parts,
    bodies: Arc<Bodies>,
}

impl fmt::Debug for NodeProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeProxy")
            .field("deadline", &self.deadline)
            .field("max_bytes", &self.max_bytes)
            .field("only_cpu_and_memory", &self.only_cpu_and_memory)
            .finish_non_exhaustive()
    }
}

impl NodeProxy {
    /// With the client's own identity.
    pub fn new(client: Client) -> Self {
        Self {
            client,
            deadline: DEFAULT_DEADLINE,
            max_bytes: DEFAULT_MAX_BYTES,
            only_cpu_and_memory: false,
            parts: Parts::default(),
            bodies: Arc::default(),
        }
    }

    /// How long a request may take, the document included; 10 s by default.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// The longest document, decompressed; 8 MiB by default.
    pub fn max_bytes(mut self, max_bytes: usize) -> Self {
        self.max_bytes = max_bytes;
        self
    }

    /// Whether kubelets are asked for the light form, which lacks storage and network.
    pub fn only_cpu_and_memory(mut self, only: bool) -> Self {
        self.only_cpu_and_memory = only;
        self
    }

    /// Which parts of documents are kept; [`Parts::USAGE`] by default.
    pub fn parts(mut self, parts: Parts) -> Self {
        self.parts = parts;
        self
    }

    async fn ask(&self, node: &NodeTarget, phase: &mut Phase) -> Result<Summary, FetchError> {
        let name = utf8_percent_encode(&node.name, SEGMENT);
        let request = http::Request::get(format!("/api/v1/nodes/{name}/proxy{}", path(self.only_cpu_and_memory)))
            .header(http::header::ACCEPT, "application/json")
            .body(sent_once().await.map_err(|error| FetchError::Other(error.into()))?)
            .map_err(|error| FetchError::Other(error.into()))?;
        let sent = self.client.send(request).await;
        let response = sent.map_err(|error| FetchError::ApiServer { source: error.into() })?;
        *phase = Phase::Body;
        answer::summary(response, Access::NodeProxy, self.max_bytes, self.parts, &self.bodies).await
    }
}

/// An empty body that can't be copied.
///
/// kube's clients retry what is answered 503 or 504, which is how a dead kubelet is told, for as long as the deadline
/// lasts. They send a copy of the request then, and leave alone what has a body that they can't copy: one that is no
/// buffer. The only such body to be had from outside of kube is that of a response.
async fn sent_once() -> kube::Result<Body> {
    let empty =
        tower::service_fn(async |_: http::Request<Body>| Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())));
    Ok(Client::new(empty, "").send(http::Request::new(Body::empty())).await?.into_body())
}

impl Fetcher for NodeProxy {
    fn fetch<'a>(&'a self, node: &'a NodeTarget) -> BoxFuture<'a, Result<Summary, FetchError>> {
        async move {
            let mut phase = Phase::Answer;
            let asked = timeout(self.deadline, self.ask(node, &mut phase)).await;
            asked.unwrap_or(Err(FetchError::Timeout { after: self.deadline, phase }))
        }
        .boxed()
    }
}
