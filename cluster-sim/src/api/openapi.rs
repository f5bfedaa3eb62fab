//! OpenAPI without schemas: enough that clients which want a document before they write find one, and skip the checks
//! they have no schema for.

use http::StatusCode;
use serde_json::json;

use super::status::Status;
use crate::http::reply::{JSON, Reply};

const PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

/// A `Document` of gnostic's openapi.v2: `swagger` (field 1), and `info` (field 2) with title and version.
const EMPTY_V2: &[u8] = b"\x0a\x032.0\x12\x1a\x0a\x0bcluster-sim\x12\x0bunversioned";

pub(crate) fn v2(accept: &str) -> Reply {
    if accept.contains("proto-openapi.spec.v2") {
        return Reply::new(StatusCode::OK, PROTOBUF, EMPTY_V2);
    }
    let document = json!({"swagger": "2.0", "info": {"title": "cluster-sim", "version": "unversioned"}, "paths": {}});
    Reply::new(StatusCode::OK, JSON, document.to_string())
}

pub(crate) fn v3(path: &str) -> Result<Reply, Status> {
    if path.trim_end_matches('/') != "/openapi/v3" {
        return Err(Status::no_such_path());
    }
    Ok(Reply::json(StatusCode::OK, &json!({"paths": {}})))
}
