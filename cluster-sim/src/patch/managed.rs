//! Who manages which field.

use jiff::Timestamp;

use super::schema::Schema;
use crate::object::Object;

/// Somebody who writes.
#[derive(Clone, Debug)]
pub(crate) struct Manager {
    pub(crate) name: String,
}

impl Manager {
    pub(crate) fn new(field_manager: &str, _user_agent: &str, _api_version: &str, _subresource: &str) -> Self {
        Self { name: field_manager.to_owned() }
    }

    pub(crate) fn track(&self, _schema: Schema<'_>, _old: &Object, _new: &mut Object, _now: Timestamp) {}

    pub(crate) fn record_apply(&self, _schema: Schema<'_>, _config: &Object, _object: &mut Object, _now: Timestamp) {}
}
