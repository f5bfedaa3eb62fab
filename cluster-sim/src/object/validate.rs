//! What a server refuses whatever the kind: bad names, bad labels, times in the wrong precision.

use serde_json::Value;

use super::{Object, names};
use crate::api::status::{Cause, Status};
use crate::resource::Resource;

/// The most bytes that an object's annotations may have together.
const ANNOTATIONS_LIMIT: usize = 256 * 1024;

/// Times with microseconds, by group and kind: these decode only with exactly six fractional digits.
const MICRO_TIMES: &[(&str, &str, &[&str])] = &[
    ("coordination.k8s.io", "Lease", &["/spec/acquireTime", "/spec/renewTime"]),
    ("", "Event", &["/eventTime", "/series/lastObservedTime"]),
    ("events.k8s.io", "Event", &["/eventTime", "/series/lastObservedTime"]),
];

/// Is the object one that the server would decode and accept?
pub(crate) fn validate(resource: &Resource, version: &str, object: &Object) -> Result<(), Status> {
    check_times(resource, version, object)?;
    let mut causes = Vec::new();
    check_name(resource, object.name(), &mut causes);
    check_labels(object, &mut causes);
    if causes.is_empty() {
        return Ok(());
    }
    Err(Status::invalid(&resource.id.group, &resource.kind, object.name(), &causes))
}

fn check_times(resource: &Resource, version: &str, object: &Object) -> Result<(), Status> {
    let times = MICRO_TIMES
        .iter()
        .filter(|(group, kind, _)| resource.id.group == *group && resource.kind == *kind)
        .flat_map(|(_, _, pointers)| *pointers);
    for time in times.filter_map(|pointer| object.pointer(pointer)).filter(|time| !time.is_null()) {
        if !time.as_str().is_some_and(is_micro_time) {
            let kind = &resource.kind;
            return Err(Status::bad_request(format!(
                "{kind} in version \"{version}\" cannot be handled as a {kind}: parsing time {time} as \
                 \"2006-01-02T15:04:05.000000Z07:00\": cannot parse it"
            )));
        }
    }
    Ok(())
}

/// RFC 3339 with exactly six fractional digits.
fn is_micro_time(text: &str) -> bool {
    let fraction = text.get(19..).and_then(|tail| tail.strip_prefix('.'));
    let digits = fraction.map_or(0, |fraction| fraction.bytes().take_while(u8::is_ascii_digit).count());
    digits == 6 && text.parse::<jiff::Timestamp>().is_ok()
}

fn check_name(resource: &Resource, name: &str, causes: &mut Vec<Cause>) {
    if name.is_empty() {
        causes.push(Cause::required("metadata.name", "name or generateName is required"));
    } else if let Err(why) = names::object_name(resource.name_rule, name) {
        causes.push(Cause::invalid("metadata.name", &name.into(), &why));
    }
}

fn check_labels(object: &Object, causes: &mut Vec<Cause>) {
    for (key, value) in object.entries("labels") {
        if let Err(why) = names::label_key(key) {
            causes.push(Cause::invalid("metadata.labels", &key.into(), &why));
        }
        if let Err(why) = names::label_value(value) {
            causes.push(Cause::invalid("metadata.labels", &value.into(), &why));
        }
    }
    for (key, _) in object.entries("annotations") {
        if let Err(why) = names::label_key(&key.to_lowercase()) {
            causes.push(Cause::invalid("metadata.annotations", &key.into(), &why));
        }
    }
    let size: usize = object.entries("annotations").map(|(key, value)| key.len() + value.len()).sum();
    if size > ANNOTATIONS_LIMIT {
        causes.push(Cause::too_long("metadata.annotations", ANNOTATIONS_LIMIT));
    }
    for owner in object.metadata.get("ownerReferences").and_then(Value::as_array).into_iter().flatten() {
        for field in ["apiVersion", "kind", "name", "uid"] {
            if owner.get(field).and_then(Value::as_str).is_none_or(str::is_empty) {
                causes.push(Cause::invalid(
                    format!("metadata.ownerReferences.{field}"),
                    &"".into(),
                    "must not be empty",
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn micro_times_have_exactly_six_fractional_digits() {
        for (text, valid) in [
            ("2026-01-15T12:00:00.000000Z", true),
            ("2026-01-15T12:00:00.123456+02:00", true),
            ("2026-01-15T12:00:00Z", false),
            ("2026-01-15T12:00:00.123Z", false),
            ("2026-01-15T12:00:00.123456789Z", false),
            ("yesterday", false),
        ] {
            assert_eq!(is_micro_time(text), valid, "{text}");
        }
    }
}
