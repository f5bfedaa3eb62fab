//! Token and access reviews: created, answered, never stored.

use http::StatusCode;
use serde_json::{Value, json};

use super::route::{Target, Verb};
use crate::access::Attempt;
use crate::http::reply::Reply;
use crate::server::Server;

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

/// Answer a review by the server's own tokens and rules.
pub(crate) fn review(server: &Server, target: &Target, user: &str, mut review: Value) -> Reply {
    let spec = review.get("spec").cloned().unwrap_or_default();
    let status = match target.plural.as_str() {
        "tokenreviews" => token_status(server, &spec),
        "selfsubjectreviews" => json!({"userInfo": {"username": user}}),
        "selfsubjectaccessreviews" => access_status(server, user, &spec),
        _ => access_status(server, spec["user"].as_str().unwrap_or_default(), &spec),
    };
    if let Value::Object(review) = &mut review {
        review.insert("status".into(), status);
    }
    Reply::json(StatusCode::CREATED, &review)
}

fn token_status(server: &Server, spec: &Value) -> Value {
    let token = spec["token"].as_str().unwrap_or_default();
    match server.access.read().tokens.get(token) {
        Some(user) => json!({"authenticated": true, "user": {"username": user}}),
        None => json!({"authenticated": false, "error": "[invalid bearer token]"}),
    }
}

fn access_status(server: &Server, user: &str, spec: &Value) -> Value {
    if let Some(path) = spec["nonResourceAttributes"]["path"].as_str() {
        return json!({"allowed": server.access.read().allows_path(user, path)});
    }
    let attributes = &spec["resourceAttributes"];
    let text = |field: &str| attributes[field].as_str().unwrap_or_default();
    let resource = match text("subresource") {
        "" => text("resource").to_owned(),
        subresource => format!("{}/{subresource}", text("resource")),
    };
    let allowed = Verb::parse(text("verb")).is_none_or(|verb| {
        let namespace = Some(text("namespace")).filter(|namespace| !namespace.is_empty());
        server.access.read().allows(&Attempt { user, verb, resource: &resource, namespace })
    });
    json!({"allowed": allowed})
}
