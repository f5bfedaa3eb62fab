//! A client whose connection can be changed under those who use it.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use kube::Client;
use kube::client::Body;
use parking_lot::RwLock;
use tower::Service;

/// Hands requests to the client of the moment. What has begun goes on with the one that it began with.
#[derive(Clone)]
pub(crate) struct Switch(Arc<RwLock<Client>>);

impl fmt::Debug for Switch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Switch").finish_non_exhaustive()
    }
}

impl Switch {
    pub(crate) fn new(client: Client) -> Self {
        Self(Arc::new(RwLock::new(client)))
    }

    /// A client for everybody, which follows the switch.
    pub(crate) fn client(&self) -> Client {
        let namespace = self.0.read().default_namespace().to_owned();
        Client::new(self.clone(), namespace)
    }

    pub(crate) fn turn(&self, client: Client) {
        *self.0.write() = client;
    }
}

impl Service<Request<Body>> for Switch {
    type Response = Response<Body>;
    type Error = kube::Error;
    type Future = futures::future::BoxFuture<'static, kube::Result<Response<Body>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        // The client of the moment is waited for in the call.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let client = self.0.read().clone();
        Box::pin(async move { client.send(request).await })
    }
}
