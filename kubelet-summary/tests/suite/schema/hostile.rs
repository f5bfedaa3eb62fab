//! Documents made to break the reader.

use std::fmt::Write as _;

use kubelet_summary::schema::{Skipped, Time, limits};
use kubelet_summary::{Parts, SchemaError, Summary};
use proptest::prelude::*;

use super::values::full;
use crate::generate::Shape;

/// Text of a document with so many entries.
type Document<'a> = &'a dyn Fn(usize) -> String;

const SMALL: Shape = Shape { pods: 3, containers: 2, volumes: 2, pressure: true };

#[test]
fn nesting_without_end_is_passed_over_or_refused() {
    let deep = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    for depth in [10, 127, 1000, 200_000] {
        let nested = deep(depth);
        let places = [
            format!(r#"{{"unknown": {nested}, "node": {{"nodeName": "n1"}}, "pods": []}}"#),
            format!(r#"{{"node": {{"nodeName": "n1", "fs": {nested}}}, "pods": []}}"#),
            format!(r#"{{"node": {{"nodeName": "n1", "cpu": {{"usageNanoCores": {nested}}}}}, "pods": []}}"#),
            format!(r#"{{"node": {{"nodeName": "n1"}}, "pods": [{nested}]}}"#),
        ];
        for document in places {
            let decoded = Summary::from_slice(document.as_bytes()).unwrap();
            assert_eq!(decoded.summary.node.node_name, "n1");
        }
    }
    let objects = format!("{}1{}", r#"{"node":"#.repeat(100_000), "}".repeat(100_000));
    assert!(Summary::from_slice(objects.as_bytes()).unwrap().skipped.is_clean(), "members that a node has not");
    let open = "[".repeat(1_000_000);
    assert!(matches!(Summary::from_slice(open.as_bytes()), Err(SchemaError::Truncated { .. })));
}

#[test]
fn a_hundred_thousand_bad_fields_are_counted_and_few_are_named() {
    let mut document = r#"{"node": {"nodeName": "n1"}, "pods": ["#.to_owned();
    for number in 0..100_000 {
        let _ = write!(document, r#"{{"podRef": {{"name": "p{number}", "namespace": "n", "uid": -1}}}},"#);
    }
    document.push_str("null]}");
    let decoded = Summary::from_slice(document.as_bytes()).unwrap();
    assert_eq!((decoded.skipped.pods, decoded.skipped.fields), (100_001, 100_000));
    assert_eq!(decoded.skipped.examples.len(), Skipped::EXAMPLES);
    assert_eq!(decoded.skipped.examples[0].to_string(), "pods[0].podRef.uid: no text");
    assert_eq!(decoded.skipped.examples[1].to_string(), "pods[0]: without a name");
}

#[test]
fn a_thousand_containers_of_two_names_are_two() {
    let mut document =
        r#"{"pods": [{"podRef": {"name": "p", "namespace": "n", "uid": "u"}, "containers": ["#.to_owned();
    for number in 0..500 {
        let _ = write!(document, r#"{{"name": "a", "cpu": {{"usageCoreNanoSeconds": {number}}}}}, {{"name": "b"}},"#);
    }
    document.push_str(r#"{"name": "a", "startTime": "2026-01-01T00:00:00Z"}]}]}"#);
    let decoded = Summary::from_slice(document.as_bytes()).unwrap();
    let [a, b] = &*decoded.summary.pods[0].containers else { panic!("two") };
    assert_eq!((&*a.name, &*b.name), ("a", "b"));
    assert!(a.start_time.is_some() && a.cpu.usage_core_nano_seconds.is_absent());
    assert_eq!((decoded.skipped.duplicates, decoded.skipped.beyond_limits), (999, 0));
}

/// So many of one entry, with a number in it for each `@`.
fn many(number: usize, entry: &str) -> String {
    (0..number).map(|number| entry.replace('@', &number.to_string())).collect::<Vec<_>>().join(",")
}

#[test]
fn lists_are_kept_up_to_their_limits_and_the_rest_is_counted() {
    let pod = |members: &str| {
        format!(r#"{{"pods": [{{"podRef": {{"name": "p", "namespace": "n", "uid": "u"}}, {members}}}]}}"#)
    };
    let container = |members: &str| pod(&format!(r#""containers": [{{"name": "c", {members}}}]"#));
    let metric = |labels: String| container(&format!(r#""userDefinedMetrics": [{{"labels": {{{labels}}}}}]"#));
    let pods = |number| {
        let pod = r#"{"podRef": {"name": "p", "namespace": "n", "uid": "@"}}"#;
        format!(r#"{{"pods": [{}]}}"#, many(number, pod))
    };
    let named = |number| many(number, r#"{"name": "@"}"#);
    let system = |number| format!(r#"{{"node": {{"systemContainers": [{}]}}}}"#, named(number));
    let lists: [(&str, usize, Document<'_>); 8] = [
        ("pods", limits::PODS, &pods),
        ("node.systemContainers", limits::CONTAINERS, &system),
        ("pods[0].containers", limits::CONTAINERS, &|n| pod(&format!(r#""containers": [{}]"#, named(n)))),
        ("pods[0].volume", limits::VOLUMES, &|n| pod(&format!(r#""volume": [{}]"#, named(n)))),
        ("pods[0].network.interfaces", limits::INTERFACES, &|n| {
            pod(&format!(r#""network": {{"interfaces": [{}]}}"#, named(n)))
        }),
        ("pods[0].containers[0].accelerators", limits::ACCELERATORS, &|n| {
            container(&format!(r#""accelerators": [{}]"#, many(n, "{}")))
        }),
        ("pods[0].containers[0].userDefinedMetrics", limits::USER_METRICS, &|n| {
            container(&format!(r#""userDefinedMetrics": [{}]"#, many(n, "{}")))
        }),
        ("pods[0].containers[0].userDefinedMetrics[0].labels", limits::LABELS, &|n| metric(many(n, r#""l@": "x""#))),
    ];
    for (at, limit, document) in lists {
        let full = Summary::from_slice_keeping(document(limit).as_bytes(), Parts::ALL).unwrap();
        assert!(full.skipped.is_clean(), "{at}: {:?}", full.skipped);
        let more = Summary::from_slice_keeping(document(limit + 1).as_bytes(), Parts::ALL).unwrap();
        assert_eq!((more.skipped.beyond_limits, more.skipped.is_clean()), (1, false), "{at}");
        assert_eq!(more.skipped.examples[0].to_string(), format!("{at}: beyond the {limit} entries that are kept"));
        assert_eq!(full.summary, more.summary, "{at}");
    }
    // A document that is read piece by piece has the same limits.
    let broken = pods(limits::PODS + 7).replace(r#""uid": "3""#, r#""uid": "3", "x": 1e999, "y": "\ud800""#);
    let broken = Summary::from_slice(broken.as_bytes()).unwrap();
    assert_eq!((broken.summary.pods.len(), broken.skipped.pods + broken.skipped.beyond_limits), (4096, 7));
}

#[test]
fn the_longest_document_of_the_shortest_entries_is_bounded_in_memory() {
    let longest = 8 << 20;
    let container = r#"{"name":"@","rootfs":{"inodes":@},"logs":{"inodes":1@},"io":{"psi":{"some":{"total":1}}}}"#;
    let pod = |number: usize, members: &str| {
        format!(r#"{{"podRef":{{"name":"p","namespace":"n","uid":"{number}"}},{members}}}"#)
    };
    let containers = format!(r#""containers":[{}]"#, many(limits::CONTAINERS, container));
    let interfaces = format!(r#""network":{{"interfaces":[{}]}}"#, many(limits::INTERFACES, r#"{"name":"@"}"#));
    let metrics = format!(
        r#""containers":[{{"name":"c","userDefinedMetrics":[{}]}}]"#,
        many(limits::USER_METRICS, r#"{"labels":{"":"","a":""}}"#)
    );
    for (what, members) in [("containers", containers), ("interfaces", interfaces), ("metrics", metrics)] {
        let pods: Vec<_> = (0..longest / members.len()).map(|number| pod(number, &members)).collect();
        let document = format!(r#"{{"pods":[{}]}}"#, pods.join(","));
        let counted = allocation_counter::measure(|| {
            let decoded = Summary::from_slice_keeping(document.as_bytes(), Parts::ALL).unwrap();
            assert!(decoded.skipped.beyond_limits > 0 || what == "metrics", "{what}: {:?}", decoded.skipped);
        });
        println!("{what}: {} of {} bytes", counted.bytes_max, document.len());
        assert!((2 << 20..48 << 20).contains(&counted.bytes_max), "{what}: {counted:?}");
    }
}

proptest! {
    #[test]
    fn a_document_cut_short_is_an_error_wherever_it_is_cut(cut in any::<prop::sample::Index>(), is_indented in any::<bool>()) {
        let document = if is_indented { format!("{:#}", full()) } else { full().to_string() };
        let end = cut.index(document.len());
        let error = Summary::from_slice(&document.as_bytes()[..end]);
        let is_truncated = matches!(error, Err(SchemaError::Truncated { .. }));
        prop_assert!(is_truncated, "{end}: {error:?}");
    }

    /// Whatever becomes of it, there is an answer.
    #[test]
    fn bytes_changed_anywhere_are_no_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0_u8..4), 1..20),
        parts in any::<bool>(),
    ) {
        let mut document = SMALL.document(1);
        for (at, byte, how) in changes {
            let at = at.index(document.len());
            match how {
                0 => document[at] = byte,
                1 => document.insert(at, byte),
                2 => drop(document.remove(at)),
                // What JSON is made of is what hurts most.
                _ => document[at] = b"{}[]\",:-0e9n\\u"[usize::from(byte) % 14],
            }
        }
        let parts = if parts { Parts::ALL } else { Parts::STORAGE };
        if let Ok(decoded) = Summary::from_slice_keeping(&document, parts) {
            prop_assert!(decoded.summary.pods.len() <= SMALL.pods + 20);
            prop_assert!(decoded.skipped.examples.len() <= Skipped::EXAMPLES);
        }
    }

    /// A value replaced by any other JSON costs its field, or its pod at the most.
    #[test]
    fn a_value_of_another_type_costs_no_other_pod(
        victim in any::<prop::sample::Index>(),
        value in prop::sample::select(vec![
            "null", "true", "-1", "1.5", "1e400", "-1e999", "18446744073709551615", "99999999999999999999", "NaN_",
            r#""""#, r#""NaN""#, r#""\ud800""#, "[]", "{}", "[[1]]", r#"{"a": {"b": []}}"#, r#""12""#,
        ]),
    ) {
        let pods: Vec<String> = (0..3).map(|number| SMALL.pod(number, 0).to_string()).collect();
        // Each place behind a colon, within the second pod.
        let places: Vec<usize> = pods[1].match_indices("\":").map(|(at, _)| at + 2).collect();
        let at = places[victim.index(places.len())];
        let mut values = serde_json::Deserializer::from_str(&pods[1][at..]).into_iter::<serde_json::Value>();
        values.next().unwrap().unwrap();
        let end = at + values.byte_offset();
        let value = if value == "NaN_" { r#""inf""# } else { value };
        let changed = format!("{}{value}{}", &pods[1][..at], &pods[1][end..]);
        let document = format!(r#"{{"node": {{}}, "pods": [{}, {changed}, {}]}}"#, pods[0], pods[2]);
        let decoded = Summary::from_slice_keeping(document.as_bytes(), Parts::ALL).unwrap();
        let sound = Summary::from_slice_keeping(
            format!(r#"{{"node": {{}}, "pods": [{}, {}]}}"#, pods[0], pods[2]).as_bytes(), Parts::ALL).unwrap();
        prop_assert_eq!(&decoded.summary.pods[0], &sound.summary.pods[0]);
        prop_assert_eq!(decoded.summary.pods.last(), sound.summary.pods.last());
        prop_assert_eq!(decoded.summary.pods.len() + decoded.skipped.pods, 3);
    }

    #[test]
    fn every_plain_time_is_read_as_jiff_reads_it(second in -9_214_560_000_i64..9_214_646_400) {
        let stamp = jiff::Timestamp::from_second(second).unwrap();
        let time = Time::parse(&stamp.to_string()).unwrap();
        prop_assert_eq!(time.as_timestamp(), stamp);
        prop_assert_eq!(Time::from_nanos(time.as_nanos()), time);
    }

    #[test]
    fn any_text_as_a_time_is_what_jiff_says(text in "[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{1,9})?(Z|[+-]0[0-9]:00)") {
        let there: Option<Time> = text.parse::<jiff::Timestamp>().ok().and_then(|stamp| stamp.try_into().ok());
        prop_assert_eq!(Time::parse(&text), there);
    }

    #[test]
    fn times_are_in_order(one in any::<i64>(), other in any::<i64>()) {
        // The lowest two are one.
        let [one, other] = [one, other].map(|nanos| nanos.max(i64::MIN + 1));
        prop_assert_eq!(Time::from_nanos(one).cmp(&Time::from_nanos(other)), one.cmp(&other));
        prop_assert_eq!(Time::from_nanos(one).as_nanos(), one);
    }
}
