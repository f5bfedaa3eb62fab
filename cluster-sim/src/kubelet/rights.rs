//! Who may ask a kubelet what: it asks the API server, as with webhook authentication and authorization
//! ([reference](https://kubernetes.io/docs/reference/access-authn-authz/kubelet-authn-authz/)).

use http::header::AUTHORIZATION;
use http::{Method, StatusCode};

use super::core::read_node;
use super::requests::Way;
use super::service::Ask;
use super::summary;
use crate::access::{Act, Attempt};
use crate::api::authorize;
use crate::server::Server;
use crate::user::User;

/// The first minor version of Kubernetes 1 in which pods and health have rights of their own (KubeletFineGrainedAuthz).
const FINE_GRAINED_SINCE: u32 = 33;

/// Let a request pass, or say what the kubelet says. What comes through the API server comes from the API server, who
/// may do everything; at the read-only port everybody may read.
pub(super) fn check(server: &Server, ask: &Ask<'_>) -> Result<(), (StatusCode, String)> {
    if ask.way != Way::Direct {
        return Ok(());
    }
    let authorization = ask.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let user = server.access.read().user(authorization).map(User::named).filter(|user| !user.is_anonymous());
    let user = user.ok_or_else(|| (StatusCode::UNAUTHORIZED, "Unauthorized".to_owned()))?;
    let verb = match *ask.method {
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "get",
    };
    let fine_grained = read_node(server, ask.node, |node| summary::minor_version(node) >= FINE_GRAINED_SINCE);
    let subresources = subresources(ask.path, fine_grained.unwrap_or(true));
    let state = server.store.state.read();
    let may = |subresource: &&str| {
        let resource = format!("nodes/{subresource}");
        let act = Act { verb, group: "", resource: &resource, namespace: None, name: ask.node };
        authorize::authorize(server, &state, &user, &Attempt::Resource(act)).is_ok()
    };
    if subresources.iter().any(may) {
        return Ok(());
    }
    let why = format!(
        "Forbidden (user={}, verb={verb}, resource=nodes, subresource(s)=[{}])\n",
        user.name,
        subresources.join(" ")
    );
    Err((StatusCode::FORBIDDEN, why))
}

/// What a path is the subresource of, any one of which will do.
fn subresources(path: &str, fine_grained: bool) -> &'static [&'static str] {
    let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    match (first, fine_grained) {
        ("stats", _) => &["stats"],
        ("metrics", _) => &["metrics"],
        ("logs", _) => &["log"],
        ("pods" | "runningpods", true) => &["pods", "proxy"],
        ("healthz", true) => &["healthz", "proxy"],
        ("configz", true) => &["configz", "proxy"],
        _ => &["proxy"],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_have_a_right_of_their_own() {
        assert_eq!(subresources("/stats/summary", false), ["stats"]);
        assert_eq!(subresources("/pods", true), ["pods", "proxy"]);
        assert_eq!(subresources("/pods", false), ["proxy"]);
        assert_eq!(subresources("/exec/a/b/c", true), ["proxy"]);
    }
}
