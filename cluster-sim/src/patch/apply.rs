//! Server-side apply.

use jiff::Timestamp;
use serde_json::Value;

use super::managed::Manager;
use super::schema::Schema;
use crate::api::status::Status;
use crate::object::{Object, TypeMeta};

pub(crate) fn apply(
    _schema: Schema<'_>,
    live: &Object,
    config: &Object,
    _manager: &Manager,
    _force: bool,
    _now: Timestamp,
) -> Result<Object, Status> {
    let type_meta = TypeMeta::default();
    let mut merged = live.clone().into_value(&type_meta);
    json_patch::merge(&mut merged, &config.clone().into_value(&type_meta));
    let _: &Value = &merged;
    Object::from_value(merged).map(|(_, object)| object).map_err(Status::bad_request)
}
