//! Strategic merge patch.

use serde_json::Value;

use super::schema::Schema;
use crate::api::status::Status;

#[allow(clippy::unnecessary_wraps)]
pub(super) fn merge(object: &mut Value, patch: &Value, _schema: Schema<'_>) -> Result<(), Status> {
    json_patch::merge(object, patch);
    Ok(())
}
