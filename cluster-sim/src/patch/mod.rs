//! Patches: JSON patch, merge patch, strategic merge patch, server-side apply.

pub(crate) mod apply;
pub(crate) mod fields;
pub(crate) mod managed;
pub(crate) mod schema;
mod strategic;

use http::StatusCode;
use serde_json::Value;

use crate::api::body::document;
use crate::api::status::Status;
use schema::Schema;

const SUPPORTED: &str = "application/json-patch+json, application/merge-patch+json, \
    application/strategic-merge-patch+json, application/apply-patch+yaml";

/// A patch, by its media type.
#[derive(Clone, Debug)]
pub(crate) enum Patch {
    /// RFC 6902.
    Json(json_patch::Patch),
    /// RFC 7386.
    Merge(Value),
    /// A merge patch that knows which lists are maps
    /// ([description](https://github.com/kubernetes/community/blob/master/contributors/devel/sig-api-machinery/strategic-merge-patch.md)).
    Strategic(Value),
    /// The fields that a manager wants to have and to own.
    Apply(Value),
}

impl Patch {
    pub(crate) fn parse(media_type: &str, body: &[u8]) -> Result<Self, Status> {
        let patch = document(body)?;
        let object = |patch: Value| {
            if patch.is_object() { Ok(patch) } else { Err(Status::bad_request("the patch is not a JSON object")) }
        };
        Ok(match media_type {
            "application/json-patch+json" => Self::Json(
                serde_json::from_value(patch)
                    .map_err(|error| Status::bad_request(format!("the patch is not a JSON patch: {error}")))?,
            ),
            "application/merge-patch+json" => Self::Merge(object(patch)?),
            "application/strategic-merge-patch+json" => Self::Strategic(object(patch)?),
            "application/apply-patch+yaml" | "application/apply-patch+json" => Self::Apply(object(patch)?),
            _ => return Err(Status::unsupported_media_type(SUPPORTED)),
        })
    }

    /// The patched object. An apply merges into what its manager owned before, which takes more than the object: see
    /// [`apply::apply`].
    pub(crate) fn apply_to(&self, mut object: Value, schema: Schema<'_>) -> Result<Value, Status> {
        match self {
            Self::Json(patch) => json_patch::patch(&mut object, patch).map_err(|error| {
                Status::new(
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "Invalid",
                    format!("the server rejected our request due to an error in our request: {error}"),
                )
            })?,
            Self::Merge(patch) | Self::Apply(patch) => json_patch::merge(&mut object, patch),
            Self::Strategic(_) if schema.is_custom() => {
                return Err(Status::unsupported_media_type(
                    "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml",
                ));
            }
            Self::Strategic(patch) => strategic::merge(&mut object, patch, schema)?,
        }
        Ok(object)
    }
}
