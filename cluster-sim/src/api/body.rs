//! Request bodies.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Call;
use super::status::Status;
use crate::object::{Object, TypeMeta};

/// The media type, without its parameters.
pub(crate) fn media_type(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

/// A JSON or YAML document: YAML covers JSON, but JSON is what nearly everybody sends and faster.
pub(crate) fn document(body: &[u8]) -> Result<Value, Status> {
    let json_error = match serde_json::from_slice(body) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    if body.trim_ascii_start().first().is_none_or(|first| matches!(first, b'{' | b'[')) {
        return Err(Status::bad_request(format!("the body of the request is not valid JSON: {json_error}")));
    }
    let text = std::str::from_utf8(body)
        .map_err(|error| Status::bad_request(format!("the body of the request is not UTF-8: {error}")))?;
    serde_saphyr::from_str(text).map_err(|error| {
        Status::bad_request(format!("the body of the request is neither valid JSON nor YAML: {error}"))
    })
}

/// A document of a media type that bodies may have.
pub(crate) fn typed_document(content_type: &str, body: &[u8]) -> Result<Value, Status> {
    match media_type(content_type) {
        "" | "application/json" | "application/yaml" => document(body),
        _ => Err(Status::unsupported_media_type("application/json, application/yaml")),
    }
}

/// The object in a call's body, checked to be of the call's resource.
pub(crate) fn object(call: &Call) -> Result<Object, Status> {
    let (type_meta, object) =
        Object::from_value(typed_document(&call.content_type, &call.body)?).map_err(Status::bad_request)?;
    check_type(call, &type_meta)?;
    Ok(object)
}

/// An object may leave out what it is; if it says so, it must be right.
pub(crate) fn check_type(call: &Call, type_meta: &TypeMeta) -> Result<(), Status> {
    let expected = call.resource.type_meta(&call.version.name);
    if !type_meta.api_version.is_empty() && type_meta.api_version != expected.api_version {
        return Err(Status::bad_request(format!(
            "the API version in the data ({}) does not match the expected API version ({})",
            type_meta.api_version, expected.api_version
        )));
    }
    if !type_meta.kind.is_empty() && type_meta.kind != expected.kind {
        return Err(Status::bad_request(format!(
            "{} in version {:?} cannot be handled as a {}: the kind of the object does not match",
            type_meta.kind, call.version.name, expected.kind
        )));
    }
    Ok(())
}

/// An optional body of options; an empty one is all defaults.
pub(crate) fn options<T: DeserializeOwned + Default>(body: &[u8]) -> Result<T, Status> {
    if body.trim_ascii().is_empty() {
        return Ok(T::default());
    }
    serde_json::from_value(document(body)?)
        .map_err(|error| Status::bad_request(format!("the options in the body of the request are not valid: {error}")))
}
