//! What broken documents cost: a field, a pod, or the whole.

use kubelet_summary::schema::SkippedWhy;
use kubelet_summary::{Decoded, Parts, SchemaError, Summary};

fn decode(document: &str) -> Decoded {
    Summary::from_slice_keeping(document.as_bytes(), Parts::ALL).unwrap()
}

/// A document with this pod between two sound ones.
fn between(pod: &str) -> String {
    let sound = |name| {
        format!(r#"{{"podRef": {{"name": "{name}", "namespace": "ns", "uid": "uid-{name}"}}, "startTime": null}}"#)
    };
    format!(r#"{{"node": {{"nodeName": "n1"}}, "pods": [{}, {pod}, {}]}}"#, sound("first"), sound("last"))
}

fn names(decoded: &Decoded) -> Vec<&str> {
    decoded.summary.pods.iter().map(|pod| pod.pod_ref.name()).collect()
}

#[test]
fn a_pod_that_is_none_costs_no_other() {
    let table = [
        ("null", SkippedWhy::NotAnObject),
        ("7", SkippedWhy::NotAnObject),
        ("-1.5e3", SkippedWhy::NotAnObject),
        (r#""pod""#, SkippedWhy::NotAnObject),
        (r#"[[{"a": 1}]]"#, SkippedWhy::NotAnObject),
        ("{}", SkippedWhy::Unnamed),
        (r#"{"podRef": null}"#, SkippedWhy::Unnamed),
        (r#"{"podRef": {"name": "x", "namespace": "ns"}}"#, SkippedWhy::Unnamed),
        (r#"{"podRef": {"name": "x", "uid": "u"}}"#, SkippedWhy::Unnamed),
        ("1e999", SkippedWhy::Unreadable),
        (r#"{"podRef": {"name": "x", "namespace": "ns", "uid": "u"}, "cpu": 1e999}"#, SkippedWhy::Unreadable),
    ];
    for (pod, why) in table {
        let decoded = decode(&between(pod));
        assert_eq!(names(&decoded), ["first", "last"], "{pod}");
        assert_eq!(decoded.skipped.pods, 1, "{pod}");
        let [example] = &*decoded.skipped.examples else { panic!("{pod}: {:?}", decoded.skipped) };
        assert_eq!((&*example.at, example.why), ("pods[1]", why), "{pod}");
        assert_eq!(&*decoded.summary.node.node_name, "n1");
    }
}

#[test]
fn a_document_that_is_no_summary_is_an_error_that_says_where() {
    let text = between("{}");
    let cut = &text[..text.rfind("startTime").unwrap() + 4];
    let table = [
        ("", "ends early, after 0 bytes in the document"),
        (cut, "in pods[2]"),
        ("[]", "neither `node` nor `pods`"),
        ("null", "neither `node` nor `pods`"),
        (r#"{"kind": "Status", "code": 403}"#, r#"starts with "{\"kind\": \"Status\""#),
        ("<html>", "no valid JSON"),
        (r#"{"pods": [}"#, "no valid JSON"),
        (r#"{"node": {}} x"#, "no valid JSON"),
    ];
    for (document, message) in table {
        let error = Summary::from_slice(document.as_bytes()).unwrap_err();
        assert!(error.to_string().contains(message), "{document}: {error}");
    }
    assert!(matches!(Summary::from_slice(cut.as_bytes()), Err(SchemaError::Truncated { .. })));
}
