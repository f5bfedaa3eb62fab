//! Kubelets at ports of their own.

use std::io;
use std::sync::Arc;

use http::header::CACHE_CONTROL;
use http::{Request, Response};
use hyper::body::Incoming;
use tokio::net::{TcpListener, TcpStream};

use super::requests::Way;
use super::service::{Ask, answer};
use crate::http::connection::Abort;
use crate::http::reply::{BodyStream, HttpBody};
use crate::http::speech::Speech;
use crate::http::{Connections, Service, accept};
use crate::server::Server;

/// What answers at a port of a node.
#[derive(Debug)]
pub(crate) struct Kubelet {
    pub(crate) server: Arc<Server>,
    pub(crate) node: String,
    pub(crate) way: Way,
}

impl Service for Kubelet {
    async fn answer(self: Arc<Self>, request: Request<Incoming>, abort: Arc<Abort>) -> io::Result<Response<HttpBody>> {
        let (head, _) = request.into_parts();
        let ask = Ask {
            node: &self.node,
            way: self.way,
            method: &head.method,
            path: head.uri.path(),
            query: head.uri.query().unwrap_or_default(),
            headers: &head.headers,
        };
        let Ok(reply) = answer(&self.server, ask).await else {
            abort.reset();
            return Err(io::ErrorKind::ConnectionReset.into());
        };
        let mut response = reply.into_http(false, None::<fn(BodyStream) -> BodyStream>);
        // Those are the API server's.
        response.headers_mut().remove("audit-id");
        response.headers_mut().remove(CACHE_CONTROL);
        Ok(response)
    }
}

/// Accept a node's connections until stopped.
pub(super) async fn serve(kubelet: Arc<Kubelet>, speech: Speech, listener: TcpListener, connections: Arc<Connections>) {
    let begin = |stream: TcpStream| {
        if kubelet.server.kubelets.faults.refuses(&kubelet.node, kubelet.way) {
            // The close that follows is a reset then.
            let _ = stream.set_zero_linger();
            return;
        }
        speech.begin(&kubelet, stream, &connections);
    };
    accept(listener, &connections, begin).await;
}
