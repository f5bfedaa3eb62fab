//! Objects with parts missing, empty or senseless: what can be yielded is, nothing panics.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use k8s_openapi::api::core::v1::{Node, Pod};
use ksm_core::families::{BuiltinVisitor, for_each_builtin};
use ksm_core::{Builtin, FamilySet};
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, SharedString, Unit};
use serde_json::{Value, json};

use super::{lines, lines_of, objects, render};

/// Every object that differs from this one in one place: the place is gone, or holds something else.
fn spoilt(object: &Value) -> Vec<Value> {
    let mut places = Vec::new();
    find_places(object, String::new(), &mut places);
    let replacements = [
        Value::Null,
        json!(""),
        json!("\u{0}\n\"\\%*/"),
        json!(-1),
        json!(i64::MAX),
        json!([]),
        json!({}),
        json!(true),
    ];
    places
        .iter()
        .flat_map(|place| {
            replacements.iter().map(|replacement| {
                let mut spoilt = object.clone();
                *spoilt.pointer_mut(place).expect("the place was found there") = replacement.clone();
                spoilt
            })
        })
        .collect()
}

fn find_places(value: &Value, place: String, places: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, inner) in fields {
                let name = name.replace('~', "~0").replace('/', "~1");
                find_places(inner, format!("{place}/{name}"), places);
            }
        }
        Value::Array(items) => {
            for (at, inner) in items.iter().enumerate() {
                find_places(inner, format!("{place}/{at}"), places);
            }
        }
        _ => {}
    }
    places.push(place);
}

struct Spoiler {
    object: Value,
    walked: usize,
}

impl BuiltinVisitor for Spoiler {
    fn visit<K: Builtin>(&mut self) {
        if self.object["kind"] != K::kind(&()).as_ref() {
            return;
        }
        let families = FamilySet::all(K::RESOURCE.families.len());
        for object in spoilt(&self.object) {
            // What does not decode is the decoder's to report.
            let Ok(lines) = render::<K>(&object, &families) else { continue };
            self.walked += 1;
            for line in lines {
                let value = line.rsplit_once("} ").map(|(_, value)| value.parse::<f64>());
                assert!(matches!(value, Some(Ok(value)) if value.is_finite()), "{line}");
            }
        }
    }
}

#[test]
fn objects_spoilt_in_any_one_place_are_walked_to_the_end() {
    let mut walked = 0;
    for object in objects() {
        let mut spoiler = Spoiler { object, walked: 0 };
        for_each_builtin(&mut spoiler);
        walked += spoiler.walked;
    }
    assert!(walked > 1000, "spoilt objects that still decode were walked: {walked}");
}

struct Empty;

impl BuiltinVisitor for Empty {
    fn visit<K: Builtin>(&mut self) {
        for object in
            [json!({}), json!({"metadata": {}, "spec": null, "status": null}), json!({"spec": {}, "status": {}})]
        {
            render::<K>(&object, &FamilySet::all(K::RESOURCE.families.len())).expect("an empty object decodes");
        }
    }
}

#[test]
fn empty_objects_of_every_kind_are_walked() {
    for_each_builtin(&mut Empty);
}

#[test]
fn a_condition_in_no_known_status_is_in_none_of_the_three() {
    let conditions = json!([{"type": "Ready", "status": "Maybe"}, {"type": "", "status": ""}]);
    let node = json!({"metadata": {"name": "n"}, "status": {"conditions": conditions}});
    let lines = lines_of::<Node>("kube_node_status_condition", &node);
    assert_eq!(lines.len(), 6);
    assert!(lines.iter().all(|line| line.ends_with("} 0")), "{lines:?}");
}

/// Counts what the code under test reports.
#[derive(Default)]
struct Bad(Arc<AtomicU64>);

impl metrics::Recorder for Bad {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let labels: Vec<_> = key.labels().map(|label| (label.key(), label.value())).collect();
        assert_eq!((key.name(), labels), ("ksm_core_bad_values_total", vec![("resource", "pods")]));
        Counter::from_arc(self.0.clone())
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

#[test]
fn a_quantity_that_cannot_be_read_costs_its_own_sample_and_is_counted() {
    let limits = json!({"cpu": "lots", "memory": "1Gi", "unknown-without-domain": "?"});
    let pod = json!({
        "metadata": {"name": "a"},
        "spec": {"overhead": {"cpu": ""}, "containers": [{"name": "c", "resources": {"limits": limits}}]},
    });
    let bad = Bad::default();
    let lines = metrics::with_local_recorder(&bad, || lines::<Pod>(&pod));
    let amounts: Vec<_> =
        lines.iter().filter(|line| line.contains("_resource_") || line.contains("_overhead_")).collect();
    let want = r#"kube_pod_container_resource_limits{namespace="",pod="a",uid="",container="c",node="",resource="memory",unit="byte"} 1.073741824e+09"#;
    assert_eq!(amounts, [want]);
    assert_eq!(bad.0.load(Ordering::Relaxed), 2, "the limit and the overhead; what is not exposed is not read");
}
