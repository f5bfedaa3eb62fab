//! Failures as the API tells them: `Status` objects.

use std::fmt;

use http::StatusCode;
use serde_json::{Map, Value, json};

/// Why a request failed: the API server's `Status` object
/// ([reference](https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/)).
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    code: StatusCode,
    reason: &'static str,
    message: String,
    details: Map<String, Value>,
    /// The token with which a client may go on after its own has expired.
    fresh_continue: Option<String>,
}

/// Which object a failure is about; the `kind` in a Status's details is the resource's plural.
#[derive(Clone, Copy, Debug)]
pub(crate) struct About<'a> {
    pub(crate) group: &'a str,
    pub(crate) resource: &'a str,
    pub(crate) name: &'a str,
}

impl About<'_> {
    /// `pods` or `deployments.apps`: how messages name a resource.
    fn qualified(&self) -> String {
        qualified(self.group, self.resource)
    }

    fn details(&self) -> Map<String, Value> {
        let mut details = Map::new();
        details.insert("name".into(), self.name.into());
        if !self.group.is_empty() {
            details.insert("group".into(), self.group.into());
        }
        details.insert("kind".into(), self.resource.into());
        details
    }
}

/// `pods` or `deployments.apps`.
pub(crate) fn qualified(group: &str, resource: &str) -> String {
    if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") }
}

/// One reason why a field was refused, as it appears in `details.causes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cause {
    pub(crate) reason: &'static str,
    pub(crate) field: String,
    pub(crate) message: String,
}

impl Cause {
    pub(crate) fn required(field: impl Into<String>, what: &str) -> Self {
        let tail = if what.is_empty() { String::new() } else { format!(": {what}") };
        Self { reason: "FieldValueRequired", field: field.into(), message: format!("Required value{tail}") }
    }

    pub(crate) fn invalid(field: impl Into<String>, value: &Value, why: &str) -> Self {
        Self { reason: "FieldValueInvalid", field: field.into(), message: format!("Invalid value: {value}: {why}") }
    }

    pub(crate) fn too_long(field: impl Into<String>, limit: usize) -> Self {
        Self {
            reason: "FieldValueTooLong",
            field: field.into(),
            message: format!("Too long: may not be more than {limit} bytes"),
        }
    }

    pub(crate) fn forbidden(field: impl Into<String>, why: &str) -> Self {
        Self { reason: "FieldValueForbidden", field: field.into(), message: format!("Forbidden: {why}") }
    }

    fn to_json(&self) -> Value {
        json!({ "reason": self.reason, "message": self.message, "field": self.field })
    }
}

impl Status {
    pub(crate) fn new(code: StatusCode, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: Map::new(), fresh_continue: None }
    }

    /// The HTTP status code, for instance 404.
    pub fn code(&self) -> u16 {
        self.code.as_u16()
    }

    /// The machine-readable reason, for instance `NotFound`.
    pub fn reason(&self) -> &str {
        self.reason
    }

    /// What a person reads.
    pub fn message(&self) -> &str {
        &self.message
    }

    pub(crate) fn http(&self) -> StatusCode {
        self.code
    }

    /// Seconds a client is asked to wait, if it is.
    pub(crate) fn retry_after(&self) -> Option<u64> {
        self.details.get("retryAfterSeconds").and_then(Value::as_u64)
    }

    pub(crate) fn about(mut self, about: About<'_>) -> Self {
        let mut details = about.details();
        details.append(&mut self.details);
        self.details = details;
        self
    }

    fn causes(mut self, causes: &[Cause]) -> Self {
        self.details.insert("causes".into(), causes.iter().map(Cause::to_json).collect());
        self
    }

    pub(crate) fn with_retry_after(mut self, seconds: u64) -> Self {
        self.details.insert("retryAfterSeconds".into(), seconds.into());
        self
    }

    pub(crate) fn not_found(about: About<'_>) -> Self {
        let message = format!("{} {} not found", about.qualified(), quoted(about.name));
        Self::new(StatusCode::NOT_FOUND, "NotFound", message).about(about)
    }

    /// No such path: what a server says about resources it does not serve.
    pub(crate) fn no_such_path() -> Self {
        Self::new(StatusCode::NOT_FOUND, "NotFound", "the server could not find the requested resource")
    }

    pub(crate) fn already_exists(about: About<'_>) -> Self {
        let message = format!("{} {} already exists", about.qualified(), quoted(about.name));
        Self::new(StatusCode::CONFLICT, "AlreadyExists", message).about(about)
    }

    pub(crate) fn conflict(about: About<'_>, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {} {}: {why}", about.qualified(), quoted(about.name));
        Self::new(StatusCode::CONFLICT, "Conflict", message).about(about)
    }

    /// The answer to a write that was based on an old version.
    pub(crate) fn modified(about: About<'_>) -> Self {
        Self::conflict(
            about,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    /// The answer to an apply that would take fields from other managers.
    pub(crate) fn apply_conflict(conflicts: &[Cause]) -> Self {
        let plural = if conflicts.len() == 1 { "conflict" } else { "conflicts" };
        let listed = match conflicts {
            [one] => format!(" {}: {}", one.message, one.field),
            many => many
                .iter()
                .fold(String::new(), |listed, cause| format!("{listed}\n- {}: {}", cause.message, cause.field)),
        };
        let message = format!("Apply failed with {} {plural}:{listed}", conflicts.len());
        Self::new(StatusCode::CONFLICT, "Conflict", message).causes(conflicts)
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", message)
    }

    /// `kind` is the kind, not the plural: that is how upstream words it.
    pub(crate) fn invalid(group: &str, kind: &str, name: &str, causes: &[Cause]) -> Self {
        let subject = qualified(group, kind);
        let listed: Vec<String> = causes.iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect();
        let reasons = match listed.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let message = format!("{subject} {} is invalid: {reasons}", quoted(name));
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message)
            .about(About { group, resource: kind, name })
            .causes(causes)
    }

    pub(crate) fn invalid_options(causes: &[Cause]) -> Self {
        Self::invalid("meta.k8s.io", "ListOptions", "", causes)
    }

    pub(crate) fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Unauthorized", "Unauthorized")
    }

    pub(crate) fn forbidden(about: About<'_>, why: &str) -> Self {
        let message = if about.name.is_empty() {
            format!("{} is forbidden: {why}", about.qualified())
        } else {
            format!("{} {} is forbidden: {why}", about.qualified(), quoted(about.name))
        };
        Self::new(StatusCode::FORBIDDEN, "Forbidden", message).about(about)
    }

    /// The answer to a request about no resource.
    pub(crate) fn forbidden_path(why: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "Forbidden", format!("forbidden: {why}"))
    }

    pub(crate) fn method_not_allowed() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        )
    }

    pub(crate) fn not_acceptable() -> Self {
        Self::new(
            StatusCode::NOT_ACCEPTABLE,
            "NotAcceptable",
            "only the following media types are accepted: application/json",
        )
    }

    pub(crate) fn unsupported_media_type(supported: &str) -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "UnsupportedMediaType",
            format!("the body of the request was in an unknown format - accepted media types include: {supported}"),
        )
    }

    pub(crate) fn too_large(limit: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "RequestEntityTooLarge",
            format!("Request entity too large: limit is {limit}"),
        )
    }

    /// The version asked for is gone.
    pub(crate) fn expired(message: impl Into<String>) -> Self {
        Self::new(StatusCode::GONE, "Expired", message)
    }

    /// The version asked for is gone, as a watch says it.
    pub(crate) fn too_old(asked: u64, oldest: u64) -> Self {
        Self::expired(format!("too old resource version: {asked} ({oldest})"))
    }

    /// A continue token has expired; `fresh` goes on at the newest version.
    pub(crate) fn continue_expired(fresh: String) -> Self {
        let mut status = Self::expired(
            "The provided continue parameter is too old to display a consistent list result. \
             You can start a new list without the continue parameter, or use the continue token in this response to \
             retrieve the remainder of the results. Continuing with the provided token results in an inconsistent \
             list: objects that changed between the first chunk and now may be missing or appear twice.",
        );
        status.fresh_continue = Some(fresh);
        status
    }

    /// The version asked for has not happened yet.
    pub(crate) fn too_new(asked: u64, current: u64) -> Self {
        let cause = Cause {
            reason: "ResourceVersionTooLarge",
            field: String::new(),
            message: "Too large resource version".to_owned(),
        };
        Self::new(
            StatusCode::GATEWAY_TIMEOUT,
            "Timeout",
            format!("Timeout: Too large resource version: {asked}, current: {current}"),
        )
        .with_retry_after(1)
        .causes(&[cause])
    }

    /// The Status for a bare HTTP code, as faults send it.
    pub(crate) fn of_code(code: StatusCode) -> Self {
        let (reason, message) = match code.as_u16() {
            400 => ("BadRequest", "the server rejected our request for an unknown reason"),
            401 => ("Unauthorized", "Unauthorized"),
            403 => ("Forbidden", "forbidden"),
            404 => ("NotFound", "the server could not find the requested resource"),
            409 => ("Conflict", "the server reported a conflict"),
            410 => ("Expired", "the requested resource version is too old"),
            422 => ("Invalid", "the server rejected our request due to an error in our request"),
            429 => ("TooManyRequests", "too many requests, please try again later"),
            500 => ("InternalError", "an error on the server has prevented the request from succeeding"),
            503 => ("ServiceUnavailable", "the server is currently unable to handle the request"),
            504 => ("Timeout", "the server was unable to return a response in the time allotted"),
            _ => ("", "the server responded with an injected status code"),
        };
        Self::new(code, reason, message)
    }

    /// The object as JSON.
    pub fn to_json(&self) -> Value {
        let mut metadata = Map::new();
        if let Some(token) = &self.fresh_continue {
            metadata.insert("continue".into(), token.as_str().into());
        }
        let mut status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": metadata,
            "status": "Failure",
            "message": self.message,
            "code": self.code.as_u16(),
        });
        if let Some(status) = status.as_object_mut() {
            if !self.reason.is_empty() {
                status.insert("reason".into(), self.reason.into());
            }
            if !self.details.is_empty() {
                status.insert("details".into(), Value::Object(self.details.clone()));
            }
        }
        status
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.code.as_u16(), self.reason, self.message)
    }
}

impl std::error::Error for Status {}

fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_the_resource_with_its_group() {
        let about = About { group: "apps", resource: "deployments", name: "web" };
        assert_eq!(Status::not_found(about).message(), "deployments.apps \"web\" not found");
        assert_eq!(
            Status::not_found(about).to_json()["details"],
            json!({ "name": "web", "group": "apps", "kind": "deployments" })
        );
    }

    #[test]
    fn several_causes_are_listed_in_brackets() {
        let causes = [Cause::required("metadata.name", ""), Cause::too_long("metadata.annotations", 3)];
        assert_eq!(
            Status::invalid("", "Pod", "a", &causes).message(),
            "Pod \"a\" is invalid: [metadata.name: Required value, \
             metadata.annotations: Too long: may not be more than 3 bytes]"
        );
    }
}
