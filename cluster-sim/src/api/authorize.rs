//! Who asks, and whether they may.

use http::header::{AUTHORIZATION, HeaderMap};

use super::header;
use super::query::Query;
use super::route::{Target, Verb};
use super::status::{About, Status};
use crate::access::{Act, Attempt};
use crate::object::selector;
use crate::rbac::{self, Right, Verdict};
use crate::server::Server;
use crate::store::State;
use crate::user::{User, service_account};

/// The user behind a request, or the one that they pretend to be and may.
pub(crate) fn authenticate(server: &Server, headers: &HeaderMap) -> Result<User, Status> {
    let authorization = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let user = User::named(server.access.read().user(authorization).ok_or_else(Status::unauthorized)?);
    let wanted = header(headers, "impersonate-user");
    if wanted.is_empty() {
        return Ok(user);
    }
    if user.is_anonymous() {
        return Err(Status::unauthorized());
    }
    let state = server.store.state.read();
    let may_be = |resource, namespace, name| {
        let act = Act { verb: "impersonate", group: "", resource, namespace, name };
        authorize(server, &state, &user, &Attempt::Resource(act))
    };
    match service_account(wanted) {
        Some((namespace, name)) => may_be("serviceaccounts", Some(namespace), name)?,
        None => may_be("users", None, wanted)?,
    }
    let mut pretended = User::named(wanted);
    for group in headers.get_all("impersonate-group").iter().filter_map(|value| value.to_str().ok()) {
        may_be("groups", None, group)?;
        pretended.groups.push(group.to_owned());
    }
    Ok(pretended)
}

/// Whether somebody may do something, and why.
#[derive(Debug)]
pub(crate) struct Decision {
    pub(crate) allowed: bool,
    /// What RBAC has to say about it; mostly nothing.
    pub(crate) reason: String,
    /// By a role that every cluster has.
    by_default: bool,
}

/// Rules that deny come first, then the roles, if they count.
pub(crate) fn decide(server: &Server, state: &State, user: &User, attempt: &Attempt<'_>) -> Decision {
    let plainly = |allowed| Decision { allowed, reason: String::new(), by_default: false };
    if server.access.read().denies(&user.name, attempt) {
        return plainly(false);
    }
    if !server.settings.rbac() || user.is_master() {
        return plainly(true);
    }
    match rbac::judge(state, user, attempt) {
        Verdict::Granted { by, by_default } => Decision { allowed: true, reason: by, by_default },
        Verdict::Refused { why } => Decision { allowed: false, reason: why, by_default: false },
    }
}

/// Let an attempt pass, or say in the server's words that it is forbidden.
pub(crate) fn authorize(server: &Server, state: &State, user: &User, attempt: &Attempt<'_>) -> Result<(), Status> {
    let decision = decide(server, state, user, attempt);
    if let Attempt::Resource(act) = attempt
        && !decision.by_default
    {
        server.requests.exercise(&user.name, Right::to(act), decision.allowed);
    }
    if decision.allowed {
        return Ok(());
    }
    let because = if decision.reason.is_empty() { String::new() } else { format!(": {}", decision.reason) };
    Err(forbidden(user, attempt, &because))
}

fn forbidden(user: &User, attempt: &Attempt<'_>, because: &str) -> Status {
    let user = &user.name;
    match attempt {
        Attempt::Path { verb, path } => {
            Status::forbidden_path(&format!("User {user:?} cannot {verb} path {path:?}{because}"))
        }
        Attempt::Resource(Act { verb, group, resource, namespace, name }) => {
            let place = match namespace {
                Some(namespace) => format!("in the namespace {namespace:?}"),
                None => "at the cluster scope".to_owned(),
            };
            let why =
                format!("User {user:?} cannot {verb} resource {resource:?} in API group {group:?} {place}{because}");
            let resource = resource.split_once('/').map_or(*resource, |(resource, _)| resource);
            Status::forbidden(About { group, resource, name }, &why)
        }
    }
}

/// Let a request about a resource pass, or not.
pub(crate) fn authorize_target(
    server: &Server,
    state: &State,
    user: &User,
    verb: Verb,
    target: &Target,
    query: &Query,
) -> Result<(), Status> {
    // A list of the one object of a name is as good as a get.
    let selected = match verb {
        Verb::List | Verb::Watch => selector::required_name(query.get("fieldSelector")),
        _ => None,
    };
    let act = Act {
        verb: verb.as_str(),
        group: &target.group,
        resource: &target.resource_path(),
        namespace: target.right_namespace(),
        name: target.name.as_deref().or(selected.as_deref()).unwrap_or_default(),
    };
    authorize(server, state, user, &Attempt::Resource(act))
}
