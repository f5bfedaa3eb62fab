//! Events have two doors: core and events.k8s.io show the same object under different field names.

use serde_json::Value;

use super::Object;

/// Core name, events.k8s.io name.
const RENAMED: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

/// A stored (core) Event as events.k8s.io shows it.
pub(crate) fn to_events_group(mut event: Object) -> Object {
    for (core, new) in RENAMED {
        rename(&mut event, core, new);
    }
    event
}

/// An Event written through events.k8s.io as it is stored.
pub(crate) fn from_events_group(mut event: Object) -> Object {
    for (core, new) in RENAMED {
        rename(&mut event, new, core);
    }
    event
}

fn rename(event: &mut Object, from: &str, to: &str) {
    if let Some(value) = event.rest.remove(from).filter(|value| *value != Value::Null) {
        event.rest.insert(to.to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_doors_show_the_same_event() {
        let core = json!({"involvedObject": {"kind": "Pod"}, "message": "Started", "count": 2, "reason": "Started"});
        let core = Object::from_value(core).unwrap().1;
        let new = to_events_group(core.clone());
        assert_eq!(
            Value::Object(new.rest.clone()),
            json!({"regarding": {"kind": "Pod"}, "note": "Started", "deprecatedCount": 2, "reason": "Started"})
        );
        assert_eq!(from_events_group(new), core);
    }
}
