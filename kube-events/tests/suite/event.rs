//! Event and object in, JSON out.

use std::sync::Arc;

use k8s_openapi::api::{core::v1 as core, events::v1 as events};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube_events::event::{
    Deletion, EnhancedEvent, Event, Limits, ObjectMetadata, Occurrence, OccurrenceKind, OwnerReference,
};
use proptest::prelude::*;
use serde_json::{Value, json};

struct Case {
    name: String,
    want: Value,
    /// The event as the API server sends it, with `managedFields`.
    event: Value,
    object: ObjectMetadata,
    cluster: String,
}

fn cases() -> Vec<Case> {
    let cases: Vec<Value> = serde_json::from_str(include_str!("../data/enhanced_events.json")).unwrap();
    let case = |mut case: Value| {
        let want = case["event"].take();
        let mut event = want.clone();
        let cluster = event.as_object_mut().unwrap().remove("clusterName").unwrap();
        let object = event["involvedObject"].as_object_mut().unwrap();
        let meta = json!({
            "labels": object.remove("labels"),
            "annotations": object.remove("annotations"),
            "ownerReferences": object.remove("ownerReferences"),
            "deletionTimestamp": object.remove("deleted").unwrap().as_bool().unwrap().then_some("2023-11-17T19:37:03Z"),
        });
        let meta: ObjectMeta = serde_json::from_value(meta).unwrap();
        event["metadata"]["managedFields"] = json!([{"manager": "kubelet", "fieldsV1": {"f:count": {}}}]);
        Case {
            name: case["case"].as_str().unwrap().to_owned(),
            want,
            event,
            object: meta.into(),
            cluster: cluster.as_str().unwrap().to_owned(),
        }
    };
    cases.into_iter().map(case).collect()
}

fn decode(event: &Value) -> Event {
    Event::from_json(event.to_string().as_bytes(), &Limits::default()).unwrap()
}

fn enhance(event: Event, object: ObjectMetadata) -> EnhancedEvent {
    EnhancedEvent::new(event, Arc::new(object))
}

fn to_value(event: &EnhancedEvent) -> Value {
    serde_json::from_slice(&event.to_json()).unwrap()
}

/// The same event as events.k8s.io/v1 serves it.
fn as_new_api(event: &Value) -> Value {
    let renames = [
        ("message", "note"),
        ("involvedObject", "regarding"),
        ("source", "deprecatedSource"),
        ("firstTimestamp", "deprecatedFirstTimestamp"),
        ("lastTimestamp", "deprecatedLastTimestamp"),
        ("count", "deprecatedCount"),
        ("reportingComponent", "reportingController"),
    ];
    let name =
        |key: &String| renames.iter().find(|(old, _)| old == key).map_or(key.clone(), |(_, new)| (*new).to_owned());
    Value::Object(event.as_object().unwrap().iter().map(|(key, value)| (name(key), value.clone())).collect())
}

#[test]
fn conformance_whatever_the_api_and_the_reader() {
    let cases = cases();
    assert_eq!(cases.len(), 3);
    for Case { name, want, event, object, cluster } in cases {
        let new = as_new_api(&event);
        let old_type: core::Event = serde_json::from_value(event.clone()).unwrap();
        let new_type: events::Event = serde_json::from_value(new.clone()).unwrap();
        for event in [decode(&event), decode(&new), old_type.into(), new_type.into()] {
            let event = enhance(event, object.clone()).with_cluster_name(cluster.as_str().into());
            assert_eq!(to_value(&event), want, "{name}");
        }
    }
}

#[test]
fn nothing_known_leaves_the_keys_that_are_always_there() {
    let event = enhance(Event::default(), ObjectMetadata::unknown());
    let want = json!({
        "metadata": {"creationTimestamp": null},
        "source": {},
        "firstTimestamp": null,
        "lastTimestamp": null,
        "eventTime": null,
        "reportingComponent": "",
        "reportingInstance": "",
        "clusterName": "",
        "involvedObject": {"deleted": false},
    });
    assert_eq!(to_value(&event), want);
}

#[test]
fn every_field_of_core_v1_goes_through() {
    let event = json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": "a.1", "generateName": "a.", "namespace": "shop", "selfLink": "/a", "uid": "u", "resourceVersion": "7",
            "generation": 2, "creationTimestamp": "2024-05-01T10:00:00Z", "deletionTimestamp": "2024-05-01T11:00:00Z",
            "deletionGracePeriodSeconds": 0, "labels": {"l": "1"}, "annotations": {"a": ""}, "finalizers": ["f"],
            "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "o", "controller": false}],
        },
        "involvedObject": {"kind": "Pod", "namespace": "shop", "name": "p", "uid": "o", "apiVersion": "v1"},
        "reason": "R", "message": "<b>\u{2028}", "source": {"component": "c", "host": "h"},
        "firstTimestamp": "2024-05-01T10:00:00Z", "lastTimestamp": "2024-05-01T10:00:05Z", "count": 3, "type": "Warning",
        "eventTime": "2024-05-01T10:00:00.000120Z",
        "series": {"count": 4, "lastObservedTime": "2024-05-01T10:00:06.500000Z"},
        "action": "Binding", "related": {"kind": "Node", "name": "n"},
        "reportingComponent": "rc", "reportingInstance": "ri",
    });
    let mut want = event.clone();
    for kind in ["apiVersion", "kind"] {
        want.as_object_mut().unwrap().remove(kind);
    }
    want["clusterName"] = json!("");
    want["involvedObject"]["deleted"] = json!(false);
    let typed: core::Event = serde_json::from_value(event.clone()).unwrap();
    assert_eq!(Event::from(typed), decode(&event));
    assert_eq!(to_value(&enhance(decode(&event), ObjectMetadata::unknown())), want);
}

#[test]
fn the_states_of_deletion_and_their_booleans() {
    let states =
        [(Deletion::Unknown, false), (Deletion::No, false), (Deletion::Terminating, true), (Deletion::Yes, true)];
    for (deletion, boolean) in states {
        let event = enhance(Event::default(), ObjectMetadata { deletion, ..ObjectMetadata::default() });
        assert_eq!(to_value(&event)["involvedObject"], json!({"deleted": boolean}));
        let rich = serde_json::to_value(event.rich()).unwrap();
        assert_eq!(rich["involvedObject"], json!({"deleted": boolean, "deletionState": deletion.as_str()}));
    }
    assert_eq!(ObjectMetadata::gone().deletion, Deletion::Yes);
}

#[test]
fn the_rich_form_adds_keys_and_changes_none() {
    let owner = |kind: &str, name: &str| OwnerReference {
        api_version: "apps/v1".to_owned(),
        kind: kind.to_owned(),
        name: name.to_owned(),
        uid: name.to_owned(),
        controller: Some(true),
        block_owner_deletion: None,
    };
    let Case { event, object, want, cluster, .. } = cases().swap_remove(0);
    let mut event = enhance(decode(&event), object).with_cluster_name(cluster.into());
    assert_eq!(event.top_controller().unwrap().name, "coredns-5dd5756b68");
    event.owner_chain = Arc::new([owner("ReplicaSet", "coredns-5dd5756b68"), owner("Deployment", "coredns")]);
    event.namespace_labels = Some(Arc::new([("team".to_owned(), "dns".to_owned())].into()));
    event.occurrence = Some(Occurrence { delta: 1, count: 1, kind: OccurrenceKind::New });
    assert_eq!(to_value(&event), want);
    let mut rich = serde_json::to_value(event.rich()).unwrap();
    let (top, object) = rich.as_object_mut().map(|top| (top.clone(), top["involvedObject"].clone())).unwrap();
    assert_eq!(top["namespaceLabels"], json!({"team": "dns"}));
    assert_eq!(top["occurrence"], json!({"delta": 1, "count": 1, "kind": "new"}));
    assert_eq!(top["timestamp"], "2023-11-17T19:37:03Z");
    assert_eq!(top["fingerprint"], format!("{:016x}", event.fingerprint()));
    assert_eq!(top.get("marks"), None);
    assert_eq!(object["topController"]["kind"], "Deployment");
    assert_eq!(object["ownerChain"].as_array().unwrap().len(), 2);
    for key in ["namespaceLabels", "occurrence", "timestamp", "fingerprint"] {
        rich.as_object_mut().unwrap().remove(key);
    }
    for key in ["deletionState", "ownerChain", "topController"] {
        rich["involvedObject"].as_object_mut().unwrap().remove(key);
    }
    assert_eq!(rich, want);
}

#[test]
fn what_was_written_is_read_back() {
    for case in cases() {
        let mut event = enhance(decode(&case.event), case.object);
        event.namespace_labels = Some(Arc::new([("team".to_owned(), "shop".to_owned())].into()));
        event.owner_chain = vec![OwnerReference { kind: "Deployment".to_owned(), ..OwnerReference::default() }].into();
        event.occurrence = Some(Occurrence { delta: 1, count: 3, kind: OccurrenceKind::Reset });
        Arc::make_mut(&mut event.event).marks.message_cut = 7;
        let rich = serde_json::to_vec(&event.rich()).unwrap();
        assert_eq!(EnhancedEvent::from_json(&rich).unwrap(), event, "{}", case.name);
        let short = EnhancedEvent::from_json(&event.to_json()).unwrap();
        assert_eq!(short.to_json(), event.to_json(), "{}", case.name);
        assert_eq!(
            short.object.deletion,
            if event.object.deletion.to_bool() { Deletion::Yes } else { Deletion::Unknown }
        );
    }
    assert!(EnhancedEvent::from_json(b"[]").is_err());
}

#[test]
fn counts_and_times_of_both_apis() {
    let at = |second: u32| format!("2024-05-01T10:00:{second:02}Z");
    let micro = |second: u32| format!("2024-05-01T10:00:{second:02}.000000Z");
    let table = [
        (json!({}), 1, None, None),
        (json!({"count": -3}), 1, None, None),
        (json!({"count": 3, "lastTimestamp": at(1), "firstTimestamp": at(2)}), 3, Some(at(1)), Some(at(2))),
        (
            json!({"count": 1, "series": {"count": 9, "lastObservedTime": micro(4)}, "eventTime": micro(3)}),
            9,
            Some(at(4)),
            Some(at(3)),
        ),
        (json!({"series": {"count": 2}, "eventTime": micro(3)}), 2, Some(at(3)), Some(at(3))),
        (json!({"firstTimestamp": at(5), "metadata": {"creationTimestamp": at(6)}}), 1, Some(at(5)), Some(at(5))),
        (json!({"metadata": {"creationTimestamp": at(6)}}), 1, Some(at(6)), Some(at(6))),
        (json!({"lastTimestamp": "0001-01-01T00:00:00Z", "eventTime": micro(7)}), 1, Some(at(7)), Some(at(7))),
    ];
    for (event, count, last, first) in table {
        let event = enhance(decode(&event), ObjectMetadata::unknown());
        assert_eq!(event.count(), count, "{event:?}");
        assert_eq!(event.timestamp_rfc3339(), last, "{event:?}");
        assert_eq!(event.event.first_seen().map(kube_events::event::seconds), first, "{event:?}");
    }
    let event = enhance(decode(&json!({"eventTime": "2024-05-01T10:00:00.123456Z"})), ObjectMetadata::unknown());
    assert_eq!(event.timestamp_ms(), Some(1_714_557_600_123));
    assert_eq!(event.timestamp_rfc3339().unwrap(), "2024-05-01T10:00:00.123456Z");
}

#[test]
fn ids_tell_the_same_thing_from_another() {
    let event = |change: fn(&mut Event)| {
        let mut event = decode(&cases().swap_remove(0).event);
        change(&mut event);
        enhance(event, ObjectMetadata::unknown())
    };
    let first = event(|_| {});
    assert_eq!(first.revision().unwrap(), "4c313ac2-5b4c-47a0-874c-eb55988573c7/2363871");
    assert_eq!(enhance(Event::default(), ObjectMetadata::gone()).revision(), None);
    let same: [fn(&mut Event); 3] =
        [|event| event.message.clear(), |event| event.count = 7, |event| event.metadata.uid = "anew".to_owned()];
    for change in same {
        assert_eq!(event(change).fingerprint(), first.fingerprint());
    }
    let other: [fn(&mut Event); 4] = [
        |event| event.reason.push('x'),
        |event| event.involved_object.uid.clear(),
        |event| event.involved_object.field_path.clear(),
        |event| event.source.component = "other".to_owned(),
    ];
    for change in other {
        assert_ne!(event(change).fingerprint(), first.fingerprint());
    }
    // Written down, because it must not change.
    assert_eq!(enhance(Event::default(), ObjectMetadata::unknown()).fingerprint(), 0x2804_ddde_49e1_61a6);
}

#[test]
fn wrong_types_are_as_if_not_there() {
    let event = decode(&json!({
        "metadata": {"name": 7, "uid": null, "labels": ["x"], "annotations": {"a": 1, "b": null, "c": {"d": 1}},
            "ownerReferences": [7, {"name": "o", "controller": "yes"}], "creationTimestamp": 5},
        "involvedObject": "pod", "regarding": {"name": "web"}, "message": ["x"], "note": "n", "source": [1],
        "count": "12", "series": false, "eventTime": {"a": []}, "type": true, "related": [], "unknown": {"a": [1, {}]},
    }));
    assert_eq!((event.metadata.name.as_str(), event.metadata.uid.as_str()), ("7", ""));
    assert!(event.metadata.labels.is_empty());
    let annotations: Vec<_> =
        event.metadata.annotations.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(annotations, [("a", "1"), ("b", ""), ("c", "")]);
    assert_eq!(event.metadata.owner_references.len(), 1);
    assert_eq!(event.involved_object.name, "web");
    assert_eq!((event.message.as_str(), event.count(), event.type_.as_str()), ("n", 12, "true"));
    assert_eq!(decode(&json!({"count": 1e300})).count(), i32::MAX as u32);
    assert_eq!(decode(&json!({"count": u64::MAX})).count(), i32::MAX as u32);
    for broken in ["", "[]", "7", "{", "{\"a\":}", "\"x\""] {
        let result = Event::from_json(broken.as_bytes(), &Limits::default());
        assert!(result.is_err(), "{broken}");
    }
    let deep = format!("{{\"x\": {}", "[".repeat(100_000));
    assert!(Event::from_json(deep.as_bytes(), &Limits::default()).is_err());
}

#[test]
fn what_is_too_long_is_cut_and_marked() {
    let limits = Limits { message_bytes: 10, value_bytes: 4 };
    let json = json!({"message": "aaaaaaaaaéb", "metadata": {"labels": {"a": "12345", "b": "1234"}, "annotations": {"c": "ééé"}}});
    let event = Event::from_json(json.to_string().as_bytes(), &limits).unwrap();
    assert_eq!(event.message, "aaaaaaaaa… [3 bytes cut]");
    assert_eq!(event.metadata.labels["a"], "1234");
    assert_eq!(event.metadata.annotations["c"], "éé");
    assert_eq!((event.marks.message_cut, event.marks.values_cut, event.marks.invalid_utf8), (3, 2, false));
    let rich = serde_json::to_value(enhance(event, ObjectMetadata::gone()).rich()).unwrap();
    assert_eq!(rich["marks"], json!({"messageCut": 3, "valuesCut": 2, "invalidUtf8": false}));
    let event = Event::from_json(b"{\"message\": \"a\xffb\"}", &Limits::NONE).unwrap();
    assert_eq!(event.message, "a\u{fffd}b");
    assert!(event.marks.invalid_utf8);
}

#[test]
fn dots_become_underscores_in_all_four_maps() {
    let event = decode(&json!({"metadata": {"labels": {"a.b/c": "1"}, "annotations": {"d.e": "2", "f": "3"}}}));
    let map = |key: &str| [(key.to_owned(), "v.w".to_owned())].into();
    let object = ObjectMetadata { labels: map("g.h.i"), annotations: map("j.k"), ..ObjectMetadata::gone() };
    let event = enhance(event, object);
    let value = to_value(&event.de_dot());
    assert_eq!(value["metadata"]["labels"], json!({"a_b/c": "1"}));
    assert_eq!(value["metadata"]["annotations"], json!({"d_e": "2", "f": "3"}));
    assert_eq!(
        value["involvedObject"],
        json!({"labels": {"g_h_i": "v.w"}, "annotations": {"j_k": "v.w"}, "deleted": true})
    );
    assert_eq!(to_value(&event)["metadata"]["labels"], json!({"a.b/c": "1"}), "the event itself is left alone");
    let plain = enhance(Event::default(), ObjectMetadata::gone());
    assert!(Arc::ptr_eq(&plain.de_dot().event, &plain.event) && Arc::ptr_eq(&plain.de_dot().object, &plain.object));
}

proptest! {
    #[test]
    fn any_bytes_are_an_event_or_an_error(bytes: Vec<u8>) {
        let _ = Event::from_json(&bytes, &Limits { message_bytes: 3, value_bytes: 2 });
    }

    #[test]
    fn any_text_in_any_field_comes_out_as_it_went_in(message: String, key: String, value: String, at in 0..64_usize) {
        let json = json!({"message": message, "metadata": {"labels": {&key: &value}}});
        let event = Event::from_json(json.to_string().as_bytes(), &Limits::NONE).unwrap();
        let out = to_value(&enhance(event.clone(), ObjectMetadata::unknown()));
        prop_assert_eq!(out.get("message").map_or("", |message| message.as_str().unwrap()), message.as_str());
        prop_assert_eq!(out["metadata"]["labels"][&key].as_str().unwrap(), value.as_str());
        let mut cut = event;
        cut.bound(&Limits { message_bytes: at, value_bytes: at });
        prop_assert!(cut.metadata.labels[&key].len() <= at && value.starts_with(&cut.metadata.labels[&key]));
        prop_assert_eq!(cut.marks.message_cut > 0, message.len() > at);
    }

    #[test]
    fn no_dot_is_left_and_no_value_lost(keys in proptest::collection::btree_set("[ab._]{0,4}", 0..12)) {
        let labels = keys.iter().map(|key| (key.clone(), key.clone())).collect();
        let before = enhance(Event::default(), ObjectMetadata { labels, ..ObjectMetadata::gone() });
        let after = before.de_dot();
        prop_assert!(after.object.labels.keys().all(|key| !key.contains('.')));
        let values: std::collections::BTreeSet<_> = after.object.labels.values().cloned().collect();
        prop_assert_eq!(values, keys);
    }
}
