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
fn names_that_are_repeated_are_there_once() {
    let document = r#"{"node": {"systemContainers": [
            {"name": "kubelet", "startTime": "2026-01-01T00:00:01Z", "memory": {"usageBytes": 1}},
            {"name": "pods"},
            {"name": "kubelet", "startTime": "2026-01-01T00:00:02Z", "memory": {"usageBytes": 2}}]},
        "pods": [{"podRef": {"name": "p", "namespace": "n", "uid": "u"},
            "network": {"interfaces": [{"name": "eth0", "rxBytes": 1}, {"name": "eth1"}, {"name": "eth0", "rxBytes": 2},
                {"rxBytes": 3}, {"rxBytes": 4}]},
            "volume": [{"name": "a", "time": "2026-01-01T00:00:01Z", "usedBytes": 1}, {"name": "b", "usedBytes": 5},
                {"name": "a", "time": "2026-01-01T00:00:02Z", "usedBytes": 2}, {"name": "b", "usedBytes": 6}]}]}"#;
    let decoded = Summary::from_slice_keeping(document.as_bytes(), Parts::ALL).unwrap();
    let (node, pod) = (&decoded.summary.node, &decoded.summary.pods[0]);
    let system: Vec<_> = node.system_containers.iter().map(|it| (&*it.name, it.memory.usage_bytes.get())).collect();
    assert_eq!(system, [("kubelet", Some(2)), ("pods", None)]);
    let volumes: Vec<_> = pod.volumes.iter().map(|it| (&*it.name, it.fs.used_bytes.get())).collect();
    assert_eq!(volumes, [("a", Some(2)), ("b", Some(5))]);
    let interfaces = &pod.network[0].interfaces;
    let interfaces: Vec<_> = interfaces.iter().map(|it| (&*it.name, it.rx_bytes.get())).collect();
    assert_eq!(interfaces, [("eth0", Some(1)), ("eth1", None), ("", Some(3))]);
    assert_eq!((decoded.skipped.duplicates, decoded.skipped.is_clean()), (5, true));
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

/// A value in the place of `usedBytes` → what is read, and whether it counts as bad.
#[test]
fn a_figure_is_a_whole_number_or_absent() {
    let table = [
        ("0", Some(0), 0),
        ("18446744073709551614", Some(u64::MAX - 1), 0),
        ("1e6", Some(1_000_000), 0),
        ("1.0", Some(1), 0),
        ("null", None, 0),
        ("18446744073709551615", None, 1),
        ("18446744073709551616", None, 1),
        ("1e400", None, 1),
        ("-1", None, 1),
        ("1.5", None, 1),
        ("true", None, 1),
        (r#""12""#, None, 1),
        ("[1]", None, 1),
        (r#"{"a": 1}"#, None, 1),
    ];
    for (value, expected, bad) in table {
        let decoded = decode(&between(&format!(
            r#"{{"podRef": {{"name": "x", "namespace": "ns", "uid": "u"}},
                 "ephemeral-storage": {{"usedBytes": {value}, "inodesUsed": 5}}}}"#
        )));
        assert_eq!(names(&decoded), ["first", "x", "last"], "{value}");
        let storage = &decoded.summary.pods[1].ephemeral_storage;
        assert_eq!((storage.used_bytes.get(), storage.inodes_used.get()), (expected, Some(5)), "{value}");
        assert_eq!((decoded.skipped.fields, decoded.skipped.pods), (bad, 0), "{value}");
        let examples: Vec<String> = decoded.skipped.examples.iter().map(ToString::to_string).collect();
        let said = "pods[1].ephemeral-storage.usedBytes: no whole number from 0 to 2^64 - 2";
        assert_eq!(examples, vec![said.to_owned(); bad], "{value}");
    }
}

/// A value in the place of `time` → what is read, and whether it counts as bad.
#[test]
fn a_time_is_one_or_absent() {
    let table = [
        (r#""2026-01-01T00:00:00Z""#, Some("2026-01-01T00:00:00Z"), 0),
        (r#""2026-01-01T00:00:00.25Z""#, Some("2026-01-01T00:00:00.25Z"), 0),
        (r#""2026-01-01T02:00:00+02:00""#, Some("2026-01-01T00:00:00Z"), 0),
        (r#""2026\u002d01-01T00:00:00Z""#, Some("2026-01-01T00:00:00Z"), 0),
        (r#""2024-02-29T23:59:59Z""#, Some("2024-02-29T23:59:59Z"), 0),
        ("null", None, 0),
        (r#""0001-01-01T00:00:00Z""#, None, 0),
        (r#""2023-02-29T00:00:00Z""#, None, 1),
        (r#""9999-12-31T23:59:59Z""#, None, 1),
        (r#""yesterday""#, None, 1),
        (r#""\ud800""#, None, 1),
        ("1767225600", None, 1),
    ];
    for (value, expected, bad) in table {
        let decoded = decode(&between(&format!(
            r#"{{"podRef": {{"name": "x", "namespace": "ns", "uid": "u"}}, "cpu": {{"time": {value}}}}}"#
        )));
        let time = decoded.summary.pods[1].cpu.time.map(|time| time.to_string());
        assert_eq!((time.as_deref(), decoded.skipped.fields), (expected, bad), "{value}");
        assert_eq!(decoded.skipped.pods, 0, "{value}");
    }
}

#[test]
fn nulls_and_missing_parts_are_nothing() {
    let pod = r#"{"podRef": {"name": "x", "namespace": "ns", "uid": "u"}, "startTime": null, "containers": null,
                  "cpu": null, "memory": {"time": null, "psi": null}, "network": {"time": null, "interfaces": null},
                  "volume": null, "ephemeral-storage": null, "process_stats": null, "swap": null, "io": null}"#;
    let decoded = decode(&between(pod));
    assert!(decoded.skipped.is_clean(), "{:?}", decoded.skipped);
    let pod = &decoded.summary.pods[1];
    assert!(pod.containers.is_empty() && pod.volumes.is_empty() && pod.extra.is_empty());
    assert_eq!((pod.cpu, pod.memory, pod.process_count.get()), Default::default());
    for document in [r#"{"node": null, "pods": null}"#, r#"{"pods": []}"#, r#"{"node": {}}"#] {
        assert!(decode(document).summary.pods.is_empty());
    }
}

#[test]
fn what_is_not_known_is_passed_over() {
    let decoded = decode(
        r#"{"apiVersion": "stats/v2", "node": {"nodeName": "n1", "quantum": {"qubits": [1, {"a": null}]}},
            "pods": [{"podRef": {"name": "x", "namespace": "ns", "uid": "u", "zone": "z"}, "gpu": [[[]]],
                      "cpu": {"usageCoreNanoSeconds": 7, "steal": -1e999}}]}"#,
    );
    assert!(decoded.skipped.is_clean(), "{:?}", decoded.skipped);
    assert_eq!(decoded.summary.pods[0].cpu.usage_core_nano_seconds.get(), Some(7));
}

#[test]
fn a_terminated_container_has_neither_processor_nor_memory() {
    let decoded = decode(&between(
        r#"{"podRef": {"name": "x", "namespace": "ns", "uid": "u"}, "containers": [
             {"name": "init", "startTime": "2026-01-01T00:00:00Z", "rootfs": {"usedBytes": 4096}},
             {"startTime": "2026-01-01T00:00:00Z"}, null, {"name": "app", "cpu": {"usageCoreNanoSeconds": 1}}]}"#,
    ));
    let [init, app] = &*decoded.summary.pods[1].containers else { panic!("two containers") };
    assert_eq!((&*init.name, init.rootfs.used_bytes.get(), &*app.name), ("init", Some(4096), "app"));
    assert!(init.cpu.usage_core_nano_seconds.is_absent() && init.memory.time.is_none());
    assert_eq!((decoded.skipped.unnamed, decoded.skipped.pods, decoded.skipped.fields), (2, 0, 0));
    let places: Vec<&str> = decoded.skipped.examples.iter().map(|example| &*example.at).collect();
    assert_eq!(places, ["pods[1].containers[1]", "pods[1].containers[2]"]);
}

#[test]
fn the_last_of_a_repeated_member_counts() {
    let decoded = decode(
        r#"{"pods": [null], "node": {"nodeName": "a"}, "node": {"nodeName": "b", "nodeName": "c"}, "pods": [
             {"podRef": {"name": "x", "namespace": "ns", "uid": "u"}, "cpu": {"usageNanoCores": 1},
              "cpu": {"usageCoreNanoSeconds": 2}}]}"#,
    );
    let pod = &decoded.summary.pods[0];
    assert_eq!((&*decoded.summary.node.node_name, decoded.summary.pods.len()), ("c", 1));
    assert_eq!((pod.cpu.usage_nano_cores.get(), pod.cpu.usage_core_nano_seconds.get()), (None, Some(2)));
}

/// Two pods of one uid: (start, whether it has figures) of each → which one stays.
#[test]
fn of_two_pods_with_one_uid_the_newest_stays() {
    let table = [
        (("null", false), ("\"2026-01-01T00:00:00Z\"", false), "b"),
        (("\"2026-01-01T00:00:01Z\"", false), ("\"2026-01-01T00:00:00Z\"", true), "a"),
        (("\"2026-01-01T00:00:00Z\"", false), ("\"2026-01-01T00:00:00Z\"", true), "b"),
        (("\"2026-01-01T00:00:00Z\"", true), ("\"2026-01-01T00:00:00Z\"", false), "a"),
        (("\"2026-01-01T00:00:00Z\"", true), ("\"2026-01-01T00:00:00Z\"", true), "a"),
    ];
    let fields = |name: &str, (start, figures): (&str, bool)| {
        let cpu = if figures { r#"{"usageCoreNanoSeconds": 1}"# } else { "null" };
        format!(r#""startTime": {start}, "cpu": {cpu}, "logs": {{"usedBytes": {}}}"#, u8::from(name == "b"))
    };
    for (a, b, stays) in table {
        let pod = |name, rest| {
            format!(r#"{{"podRef": {{"name": "{name}", "namespace": "ns", "uid": "u"}}, {}}}"#, fields(name, rest))
        };
        let decoded = decode(&between(&format!("{}, {}", pod("a", a), pod("b", b))));
        assert_eq!(names(&decoded), ["first", stays, "last"], "{a:?} {b:?}");
        assert_eq!(decoded.skipped.duplicates, 1);

        let container = |name, rest| format!(r#"{{"name": "app", {}}}"#, fields(name, rest));
        let decoded = decode(&between(&format!(
            r#"{{"podRef": {{"name": "x", "namespace": "ns", "uid": "u"}}, "containers": [{}, {}, {{"name": "z"}}]}}"#,
            container("a", a),
            container("b", b)
        )));
        let [app, z] = &*decoded.summary.pods[1].containers else { panic!("two containers") };
        assert_eq!((&*app.name, &*z.name), ("app", "z"));
        assert_eq!(app.logs.used_bytes.get(), Some(u64::from(stays == "b")), "{a:?} {b:?}");
        assert_eq!(decoded.skipped.duplicates, 1);
    }
}

#[test]
fn one_name_with_two_uids_is_two_pods() {
    let pod = |uid| format!(r#"{{"podRef": {{"name": "x", "namespace": "ns", "uid": "{uid}"}}}}"#);
    let decoded = decode(&format!(r#"{{"pods": [{}, {}]}}"#, pod("u1"), pod("u2")));
    assert_eq!((names(&decoded), decoded.skipped.duplicates), (vec!["x", "x"], 0));
}

#[test]
fn bytes_that_are_no_utf8_are_replaced() {
    let document = b"{\"node\": {\"nodeName\": \"n\xff1\"}, \"pods\": []}";
    assert_eq!(Summary::from_slice(document).unwrap().summary.node.node_name, "n\u{fffd}1");
}
