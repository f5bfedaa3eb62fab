//! Reading the parts of objects: what is missing, what is optional in some versions of the Kubernetes API only, what
//! can't be read.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use k8s_openapi::jiff::Timestamp;

use crate::family::FamilyIndex;
use crate::samples::Samples;

/// The spec or status of an object; where there is none, an empty one, which upstream (whose structs are never absent)
/// reads then. Whether a spec is optional differs between versions of the Kubernetes API.
pub(super) fn part<'a, T: Clone + Default>(part: impl Into<Option<&'a T>>) -> Cow<'a, T> {
    part.into().map_or_else(|| Cow::Owned(T::default()), Cow::Borrowed)
}

/// A text that may be missing. Whether a field is optional differs between versions of the Kubernetes API.
pub(super) trait Text {
    /// The text; empty where there is none.
    fn text(&self) -> &str;
}

impl Text for String {
    fn text(&self) -> &str {
        self
    }
}

impl Text for Option<String> {
    fn text(&self) -> &str {
        self.as_deref().unwrap_or_default()
    }
}

/// A list that may be missing. Whether a field is optional differs between versions of the Kubernetes API.
pub(super) trait Items {
    /// What the list holds.
    type Item;

    /// The items; none where there is no list.
    fn items(&self) -> &[Self::Item];
}

impl<T> Items for Vec<T> {
    type Item = T;

    fn items(&self) -> &[T] {
        self
    }
}

impl<T> Items for Option<Vec<T>> {
    type Item = T;

    fn items(&self) -> &[T] {
        self.as_deref().unwrap_or_default()
    }
}

/// A number that may be missing, which counts as 0. Whether a field is optional differs between versions of the
/// Kubernetes API.
pub(super) fn count(number: impl Into<Option<i32>>) -> f64 {
    number.into().unwrap_or_default().into()
}

pub(super) fn instant(time: Option<&Time>) -> Option<&Timestamp> {
    time.map(|time| &time.0)
}

pub(super) fn bool_text(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

/// Puts the resource version as a number, where it is one.
pub(super) fn put_resource_version(
    s: &mut Samples<'_>,
    family: FamilyIndex,
    meta: &ObjectMeta,
    resource: &'static str,
) {
    if s.wants(family) {
        let version = meta.resource_version.text();
        match version.parse() {
            Ok(version) if f64::is_finite(version) => s.put_unique(family, &[], version),
            _ if version.is_empty() => {}
            _ => bad_value(resource, "metadata.resourceVersion", version, &"not a number"),
        }
    }
}

/// Says that a value can't be read: its sample is left out, all others of the object are kept.
pub(super) fn bad_value(resource: &'static str, field: &str, value: &str, why: &dyn std::fmt::Display) {
    metrics::counter!("ksm_core_bad_values_total", "resource" => resource).increment(1);
    tracing::debug!(resource, field, value, %why, "value left out: it can't be read");
}
