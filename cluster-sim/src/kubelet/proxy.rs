//! The API server's way to kubelets: `/api/v1/nodes/NODE/proxy/…`.
//!
//! There is no hop: the request goes straight into the kubelet, so that thousands of nodes cost nothing. What a hop
//! would change of the request is changed all the same.

use std::net::IpAddr;
use std::sync::Arc;

use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode, Uri};

use super::core::read_node;
use super::requests::Way;
use super::service::{Ask, Unanswered, answer};
use super::summary;
use crate::api::route::Target;
use crate::api::status::{About, Status};
use crate::http::reply::Reply;
use crate::server::Server;

pub(super) const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// Where the simulator's clients are.
const CLIENT: &str = "127.0.0.1";
/// The port of kubelets whose nodes name none.
const USUAL_PORT: u16 = 10_250;

/// A request that a kubelet is to answer.
#[derive(Debug)]
pub(crate) struct Forward {
    pub(crate) target: Target,
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
}

/// Is this about what a kubelet answers?
pub(crate) fn concerns(target: &Target) -> bool {
    let is_node = target.group.is_empty() && target.version == "v1" && target.plural == "nodes";
    is_node && target.name.is_some() && target.subresource.as_deref() == Some("proxy")
}

/// Pass a request on that is allowed, and its answer back.
pub(crate) async fn forward(server: &Arc<Server>, forward: Forward) -> Result<Reply, Status> {
    let Forward { target, method, uri, mut headers } = forward;
    let requested = target.name.as_deref().unwrap_or_default();
    let (name, port) =
        node_and_port(requested).ok_or_else(|| Status::bad_request(format!("invalid node request {requested:?}")))?;
    let (address, own_port) = read_node(server, name, |node| {
        let endpoint = node.status.daemon_endpoints.as_ref().and_then(|ports| ports.kubelet_endpoint.as_ref());
        let port = endpoint.and_then(|endpoint| endpoint.port).filter(|port| *port != 0).unwrap_or(USUAL_PORT);
        (summary::address(node, "InternalIP").unwrap_or(name).to_owned(), port)
    })
    .ok_or_else(|| Status::not_found(About { group: "", resource: "nodes", name }))?;
    let unreachable = |why: String| {
        let message = format!("error trying to reach service: {why}");
        Status::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", message)
    };
    let refused = |port: &str| unreachable(format!("dial tcp {address}:{port}: connect: connection refused"));
    if !port.is_empty() && port != own_port.to_string() {
        // What is no kubelet's is dialled like anything else, but never on the server's own machine.
        let is_local = address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        return Err(if is_local { Status::bad_request("address not allowed") } else { refused(port) });
    }
    headers.remove(AUTHORIZATION);
    let before = headers.get(FORWARDED_FOR).and_then(|value| value.to_str().ok());
    let clients = before.map_or_else(|| CLIENT.to_owned(), |before| format!("{before}, {CLIENT}"));
    if let Ok(clients) = HeaderValue::try_from(clients) {
        headers.insert(FORWARDED_FOR, clients);
    }
    let path = format!("/{}", target.tail);
    let query = uri.query().unwrap_or_default();
    let ask = Ask { node: name, way: Way::Proxy, method: &method, path: &path, query, headers: &headers };
    answer(server, ask).await.map_err(|unanswered| match unanswered {
        Unanswered::Refused => refused(&own_port.to_string()),
        Unanswered::Reset => unreachable("EOF".to_owned()),
    })
}

/// The name and the port of `NODE`, `NODE:PORT` and `SCHEME:NODE:PORT`; the port may be missing.
fn node_and_port(requested: &str) -> Option<(&str, &str)> {
    let parts: Vec<&str> = requested.split(':').collect();
    let (scheme, name, port) = match *parts.as_slice() {
        [name] => ("", name, ""),
        [name, port] => ("", name, port),
        [scheme, name, port] => (scheme, name, port),
        _ => return None,
    };
    (matches!(scheme, "" | "http" | "https") && !name.is_empty()).then_some((name, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_named_with_or_without_scheme_and_port() {
        assert_eq!(node_and_port("n"), Some(("n", "")));
        assert_eq!(node_and_port("n:10250"), Some(("n", "10250")));
        assert_eq!(node_and_port("https:n:10250"), Some(("n", "10250")));
        assert_eq!(node_and_port("https:n:"), Some(("n", "")));
        for wrong in ["ftp:n:1", ":1", "https::1", "a:b:c:d"] {
            assert_eq!(node_and_port(wrong), None, "{wrong}");
        }
    }
}
