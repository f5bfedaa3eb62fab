//! Token and access reviews: created, answered, never stored.

use http::StatusCode;
use serde_json::{Value, json};

use super::authorize::{Decision, decide};
use super::route::Target;
use crate::access::{Act, Attempt};
use crate::http::reply::Reply;
use crate::server::Server;
use crate::user::User;

/// The kinds of review: group, plural, kind, namespaced.
pub(crate) const REVIEWS: [(&str, &str, &str, bool); 5] = [
    ("authentication.k8s.io", "tokenreviews", "TokenReview", false),
    ("authentication.k8s.io", "selfsubjectreviews", "SelfSubjectReview", false),
    ("authorization.k8s.io", "subjectaccessreviews", "SubjectAccessReview", false),
    ("authorization.k8s.io", "selfsubjectaccessreviews", "SelfSubjectAccessReview", false),
    ("authorization.k8s.io", "localsubjectaccessreviews", "LocalSubjectAccessReview", true),
];

pub(crate) fn is_review(target: &Target) -> bool {
    target.version == "v1"
        && REVIEWS.iter().any(|(group, plural, ..)| target.group == *group && target.plural == *plural)
}

/// Answer a review by the server's own tokens, rules and roles.
pub(crate) fn review(server: &Server, target: &Target, user: &User, mut review: Value) -> Reply {
    let spec = review.get("spec").cloned().unwrap_or_default();
    let status = match target.plural.as_str() {
        "tokenreviews" => token_status(server, &spec),
        "selfsubjectreviews" => json!({"userInfo": user_info(user)}),
        "selfsubjectaccessreviews" => access_status(server, user, &spec),
        // Here a user is in the groups that the review says, and in no other.
        _ => access_status(server, &subject(&spec), &spec),
    };
    if let Value::Object(review) = &mut review {
        review.insert("status".into(), status);
    }
    Reply::json(StatusCode::CREATED, &review)
}

fn user_info(user: &User) -> Value {
    json!({"username": user.name, "groups": user.groups})
}

fn subject(spec: &Value) -> User {
    let groups = spec["groups"].as_array().into_iter().flatten().filter_map(Value::as_str);
    User { name: spec["user"].as_str().unwrap_or_default().to_owned(), groups: groups.map(str::to_owned).collect() }
}

fn token_status(server: &Server, spec: &Value) -> Value {
    let token = spec["token"].as_str().unwrap_or_default();
    match server.access.read().tokens.get(token).filter(|user| !user.is_empty()) {
        Some(user) => json!({"authenticated": true, "user": user_info(&User::named(user))}),
        None => json!({"authenticated": false, "error": "[invalid bearer token]"}),
    }
}

fn access_status(server: &Server, user: &User, spec: &Value) -> Value {
    let state = server.store.state.read();
    let decision = |attempt| {
        let Decision { allowed, reason, .. } = decide(server, &state, user, &attempt);
        if reason.is_empty() { json!({"allowed": allowed}) } else { json!({"allowed": allowed, "reason": reason}) }
    };
    let paths = &spec["nonResourceAttributes"];
    if let Some(path) = paths["path"].as_str() {
        return decision(Attempt::Path { verb: paths["verb"].as_str().unwrap_or_default(), path });
    }
    let attributes = &spec["resourceAttributes"];
    let text = |field: &str| attributes[field].as_str().unwrap_or_default();
    let resource = match text("subresource") {
        "" => text("resource").to_owned(),
        subresource => format!("{}/{subresource}", text("resource")),
    };
    decision(Attempt::Resource(Act {
        verb: text("verb"),
        group: text("group"),
        resource: &resource,
        namespace: Some(text("namespace")).filter(|namespace| !namespace.is_empty()),
        name: text("name"),
    }))
}
