//! What the services of all clouds read of a request and write of an answer.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::request::Parts;
use http::{Method, Response, StatusCode};

/// The header by which a proxy gives itself away; no cloud answers through one.
pub(super) const FORWARDED: &str = "x-forwarded-for";

/// A request, without its body: nothing here reads one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask<'a>(pub(super) &'a Parts);

impl<'a> Ask<'a> {
    pub(super) fn path(self) -> &'a str {
        self.0.uri.path()
    }

    pub(super) fn method(self) -> &'a Method {
        &self.0.method
    }

    /// HEAD is a GET whose body is not sent.
    pub(super) fn reads(self) -> bool {
        matches!(self.0.method, Method::GET | Method::HEAD)
    }

    pub(super) fn header(self, name: &str) -> Option<&'a str> {
        self.0.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub(super) fn is_forwarded(self) -> bool {
        self.0.headers.contains_key(FORWARDED)
    }

    /// The first value of a parameter in the query string.
    pub(super) fn parameter(self, name: &str) -> Option<String> {
        let query = self.0.uri.query().unwrap_or_default();
        form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }
}

/// An answer before it becomes HTTP.
pub(super) fn answer(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response<Bytes> {
    let mut answer = Response::new(body.into());
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

/// A page that says nothing but its status, as `404 - Not Found`.
pub(super) fn page(status: StatusCode) -> String {
    let title = format!("{} - {}", status.as_u16(), status.canonical_reason().unwrap_or("Unknown"));
    format!("<!DOCTYPE html>\n<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>\n")
}
