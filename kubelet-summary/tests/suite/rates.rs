//! Document after document → rates.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that can't go on fails")]

use std::time::Duration;

use kubelet_summary::rates::{Counter, Fed, ObjectRates, Rates};
use kubelet_summary::{Parts, Summary};
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::time::Instant;

#[allow(dead_code, reason = "some of its shapes are for other tests")]
use crate::generate::{NODE, Shape};

fn at(second: u64) -> String {
    format!("2026-01-01T00:{:02}:{:02}Z", second / 60, second % 60)
}

fn summary(document: &Value) -> Summary {
    Summary::from_slice_keeping(document.to_string().as_bytes(), Parts::ALL).unwrap().summary
}

fn of_pods(pods: &Value) -> Summary {
    summary(&json!({"node": {"nodeName": "n1"}, "pods": pods}))
}

/// A pod with one container, whose processor counters are in nanoseconds.
fn pod(uid: &str, start: u64, time: Option<u64>, cpu: Option<u64>) -> Value {
    let cpu = json!({"time": time.map(at), "usageCoreNanoSeconds": cpu, "usageNanoCores": 777_777});
    json!({"podRef": {"name": uid, "namespace": "ns", "uid": uid}, "startTime": at(0), "cpu": cpu,
           "containers": [{"name": "app", "startTime": at(start), "cpu": cpu}]})
}

fn cpu(rates: Option<&ObjectRates>) -> Option<f64> {
    Some(rates?.get(Counter::CpuSeconds)?.per_second)
}

const SECOND: u64 = 1_000_000_000;

/// One document: start of the container, time of its sample, counter in seconds.
type Step = (u64, Option<u64>, Option<u64>);

#[test]
fn a_rate_is_what_a_counter_gained_between_two_samples() {
    let table: [(&str, &[Step], Option<f64>, u64); 14] = [
        ("one sample", &[(0, Some(10), Some(5))], None, 0),
        ("two samples", &[(0, Some(10), Some(5)), (0, Some(20), Some(10))], Some(0.5), 20),
        ("no gain", &[(0, Some(10), Some(5)), (0, Some(20), Some(5))], Some(0.0), 20),
        (
            "a repeated sample",
            &[(0, Some(10), Some(5)), (0, Some(20), Some(10)), (0, Some(20), Some(10))],
            Some(0.5),
            20,
        ),
        (
            "another value at one time",
            &[(0, Some(10), Some(5)), (0, Some(20), Some(10)), (0, Some(20), Some(99))],
            Some(0.5),
            20,
        ),
        (
            "the next of it",
            &[(0, Some(10), Some(5)), (0, Some(20), Some(10)), (0, Some(20), Some(10)), (0, Some(30), Some(30))],
            Some(2.0),
            30,
        ),
        ("a reset", &[(0, Some(10), Some(5)), (0, Some(20), Some(10)), (0, Some(30), Some(2))], None, 0),
        (
            "the sample after a reset",
            &[(0, Some(10), Some(5)), (0, Some(20), Some(2)), (0, Some(30), Some(3))],
            Some(0.1),
            30,
        ),
        ("a restart that is ahead again", &[(0, Some(10), Some(5)), (9, Some(20), Some(10))], None, 0),
        (
            "the sample after a restart",
            &[(0, Some(10), Some(5)), (9, Some(20), Some(10)), (9, Some(30), Some(40))],
            Some(3.0),
            30,
        ),
        ("the clock set back", &[(0, Some(50), Some(5)), (0, Some(60), Some(10)), (0, Some(40), Some(15))], None, 0),
        (
            "the sample after that",
            &[(0, Some(50), Some(5)), (0, Some(40), Some(15)), (0, Some(50), Some(20))],
            Some(0.5),
            50,
        ),
        ("absent and back", &[(0, Some(10), Some(5)), (0, Some(20), None), (0, Some(30), Some(9))], None, 0),
        (
            "without a time and back",
            &[(0, Some(10), Some(5)), (0, None, Some(6)), (0, Some(30), Some(9)), (0, Some(40), Some(10))],
            Some(0.1),
            40,
        ),
    ];
    for (name, steps, expected, to) in table {
        let mut rates = Rates::new();
        for (start, time, value) in steps {
            rates.feed(&of_pods(&json!([pod("u1", *start, *time, value.map(|value| value * SECOND))])));
        }
        let rate = rates.container("u1", "app").unwrap().get(Counter::CpuSeconds);
        assert_eq!(rate.map(|rate| rate.per_second.to_string()), expected.map(|rate| rate.to_string()), "{name}");
        assert_eq!(rate.map(|rate| rate.to.to_string()), expected.map(|_| at(to)), "{name}");
    }
}

#[test]
fn what_a_document_did_is_told() {
    let mut rates = Rates::new();
    let mut feed = |pods: Value| {
        let Fed { samples, repeated, resets, backwards, forgotten, .. } = rates.feed(&of_pods(&pods));
        [samples, repeated, resets, backwards, forgotten]
    };
    // Of a pod there are two samples: its own and its container's.
    assert_eq!(feed(json!([pod("a", 0, Some(10), Some(5)), pod("b", 0, Some(10), Some(5))])), [4, 0, 0, 0, 0]);
    assert_eq!(feed(json!([pod("a", 0, Some(10), Some(5)), pod("b", 0, Some(20), Some(6))])), [2, 2, 0, 0, 0]);
    assert_eq!(feed(json!([pod("a", 0, Some(5), Some(6)), pod("b", 0, Some(30), Some(1))])), [2, 0, 2, 2, 0]);
    assert_eq!(feed(json!([pod("a", 3, Some(15), Some(7))])), [2, 0, 1, 0, 2]);
    assert_eq!(feed(json!([])), [0, 0, 0, 0, 2]);
}

/// A clock of ours, a node's clock of its samples, and whether rates begin anew there.
type Looks = [(u64, u64, bool)];

#[test]
fn a_clock_that_is_set_shows_beside_ours() {
    let table: [(&str, &Looks); 7] = [
        ("steady", &[(0, 0, false), (55, 55, false), (110, 110, false)]),
        ("samples are some seconds old", &[(0, 85, false), (55, 155, false), (110, 196, false)]),
        ("set back by less than an interval", &[(0, 100, false), (55, 105, true), (110, 160, false)]),
        ("set ahead", &[(0, 0, false), (55, 3500, true), (110, 3555, false)]),
        ("set back by more", &[(0, 1000, false), (55, 100, false), (110, 155, false)]),
        ("a kubelet that stands still", &[(0, 0, false), (55, 0, false), (110, 0, false), (165, 160, false)]),
        ("documents that are far apart", &[(0, 0, false), (3000, 2995, false)]),
    ];
    for (what, looks) in table {
        let (mut rates, began) = (Rates::new(), Instant::now());
        let mut anew = true;
        for (number, (ours, time, is_step)) in looks.iter().enumerate() {
            let document = of_pods(&json!([pod("u", 0, Some(*time), Some(ours * SECOND))]));
            let fed = rates.feed_at(&document, began + Duration::from_secs(*ours));
            assert_eq!(fed.steps, usize::from(*is_step), "{what}, document {number}");
            let (repeated, backwards) = (fed.repeated > 0, fed.backwards > 0);
            anew = (anew && repeated) || number == 0 || *is_step || backwards;
            // A processor was busy all the time.
            let rate = cpu(rates.pod("u"));
            assert_eq!(rate.is_none(), anew, "{what}, document {number}: {rate:?}");
            assert!(rate.is_none_or(|rate| (0.7..1.5).contains(&rate)), "{what}, document {number}: {rate:?}");
        }
    }
}

#[test]
fn every_counter_has_its_rate() {
    // Each counter gains its own step in two seconds.
    let document = |round: u64| {
        let value = |step: u64| 1000 + round * step;
        let nanos = |step: u64| (1000 + round * step) * SECOND;
        let psi = |full: u64, some: u64| json!({"full": {"total": nanos(full)}, "some": {"total": nanos(some)}});
        let time = at(10 + 2 * round);
        let object = json!({
            "cpu": {"time": time, "usageCoreNanoSeconds": nanos(2), "psi": psi(16, 18)},
            "memory": {"time": time, "pageFaults": value(4), "majorPageFaults": value(6), "psi": psi(20, 22)},
            "io": {"time": time, "psi": psi(24, 26)},
            "network": {"time": time, "name": "eth0", "rxBytes": value(8), "rxErrors": value(10), "txBytes": value(12),
                        "txErrors": value(14)},
        });
        let with = |more: Value| {
            let mut object = object.clone();
            object.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            object
        };
        let node = with(json!({"nodeName": "n1", "systemContainers": [with(json!({"name": "kubelet"}))]}));
        let pod = with(json!({"podRef": {"name": "p", "namespace": "ns", "uid": "u"},
                              "containers": [with(json!({"name": "app"}))]}));
        summary(&json!({"node": node, "pods": [pod]}))
    };
    let mut rates = Rates::new();
    rates.feed(&document(0));
    rates.feed(&document(1));
    let each = |rates: &ObjectRates| Counter::ALL.map(|counter| rates.get(counter).map(|rate| rate.per_second));
    let all = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0, 13.0].map(Some);
    let mut of_container = all;
    of_container[3..7].fill(None);
    assert_eq!(each(rates.node()), all);
    assert_eq!(each(rates.pod("u").unwrap()), all);
    assert_eq!(each(rates.container("u", "app").unwrap()), of_container);
    assert_eq!(each(rates.system_container("kubelet").unwrap()), of_container);
}

#[test]
fn what_is_sampled_together_begins_anew_together() {
    let document = |time: u64, interface: &str, rx: u64, tx: u64| {
        let network = json!({"time": at(time), "name": interface, "rxBytes": rx, "txBytes": tx});
        of_pods(&json!([{"podRef": {"name": "p", "namespace": "ns", "uid": "u"}, "network": network}]))
    };
    let mut rates = Rates::new();
    let mut feed = |summary: &Summary| {
        rates.feed(summary);
        let pod = rates.pod("u").unwrap();
        [Counter::RxBytes, Counter::TxBytes].map(|counter| pod.get(counter).map(|rate| rate.per_second))
    };
    assert_eq!(feed(&document(10, "eth0", 100, 100)), [None, None]);
    assert_eq!(feed(&document(20, "eth0", 200, 300)), [Some(10.0), Some(20.0)]);
    assert_eq!(feed(&document(30, "eth0", 50, 400)), [None, None], "the received bytes began anew");
    assert_eq!(feed(&document(40, "eth0", 60, 410)), [Some(1.0), Some(1.0)]);
    assert_eq!(feed(&document(50, "net1", 900, 900)), [None, None], "another interface");
    assert_eq!(feed(&document(60, "net1", 910, 910)), [Some(1.0), Some(1.0)]);
}

#[test]
fn a_pod_that_was_away_begins_anew() {
    let mut rates = Rates::new();
    let with = |time: u64| pod("a", 0, Some(time), Some(time * SECOND));
    rates.feed(&of_pods(&json!([with(10)])));
    rates.feed(&of_pods(&json!([with(20)])));
    assert_eq!((cpu(rates.pod("a")), rates.pods()), (Some(1.0), 1));
    rates.feed(&of_pods(&json!([])));
    assert!(rates.pod("a").is_none() && rates.container("a", "app").is_none());
    rates.feed(&of_pods(&json!([with(30)])));
    assert_eq!(cpu(rates.pod("a")), None);
    rates.feed(&of_pods(&json!([with(40)])));
    assert_eq!(cpu(rates.container("a", "app")), Some(1.0));
    // Another node's document says nothing about this one's pods.
    let mut other = of_pods(&json!([with(50)]));
    other.node.node_name = "n2".into();
    rates.feed(&other);
    assert_eq!(cpu(rates.pod("a")), None);
}

#[test]
fn containers_keep_their_rates_in_any_order() {
    let document = |time: u64, names: &[(&str, u64)]| {
        let containers: Vec<Value> = names
            .iter()
            .map(|(name, cpu)| json!({"name": name, "cpu": {"time": at(time), "usageCoreNanoSeconds": cpu * SECOND}}))
            .collect();
        of_pods(&json!([{"podRef": {"name": "p", "namespace": "ns", "uid": "u"}, "containers": containers}]))
    };
    let mut rates = Rates::new();
    rates.feed(&document(10, &[("a", 1), ("b", 1), ("c", 1)]));
    let fed = rates.feed(&document(20, &[("c", 31), ("new", 5), ("a", 11)]));
    assert_eq!(fed.forgotten, 1);
    let of = |name| cpu(rates.container("u", name));
    assert_eq!([of("a"), of("b"), of("c"), of("new")], [Some(1.0), None, Some(3.0), None]);
    assert!(rates.container("u", "b").is_none() && rates.container("u", "new").is_some());
}

#[test]
fn the_state_is_no_larger_than_the_last_document_needs() {
    let shape = Shape { pods: 500, pressure: false, ..NODE };
    let documents: Vec<Summary> =
        (0..2).map(|round| Summary::from_slice(&shape.document(round)).unwrap().summary).collect();
    let mut rates = Rates::new();
    let counted = allocation_counter::measure(|| {
        rates.feed(&documents[0]);
        rates.feed(&documents[1]);
    });
    let per_pod = counted.bytes_current / 500;
    assert!((300..900).contains(&per_pod), "{per_pod}");
    let counted = allocation_counter::measure(|| {
        rates.feed(&documents[1]);
    });
    assert_eq!(counted.count_total, 0, "a document of known pods costs no allocation");
    let counted = allocation_counter::measure(|| {
        rates.feed(&of_pods(&json!([])));
    });
    assert!(counted.bytes_current < -480 * per_pod, "{counted:?}");
}

proptest! {
    /// Whatever the node says, there is no rate below zero, none that isn't finite, and none that is older than its
    /// sample.
    #[test]
    fn no_rate_is_negative(steps in prop::collection::vec(
        (0_u64..3, prop::option::of(0_u64..60), prop::option::of(prop_oneof![0_u64..1000, 0_u64..u64::MAX])), 0..30)) {
        let mut rates = Rates::new();
        let mut last: Option<(u64, u64, u64)> = None;
        for (start, time, value) in steps {
            rates.feed(&of_pods(&json!([pod("u1", start, time, value)])));
            let rate = rates.container("u1", "app").unwrap().get(Counter::CpuSeconds);
            if let Some(rate) = rate {
                prop_assert!(rate.per_second >= 0.0 && rate.per_second.is_finite());
                prop_assert!(rate.from < rate.to);
            }
            // By the rules, over again, for two samples in a row.
            if let (Some((start_was, time_was, was)), Some(time), Some(value)) = (last, time, value) && time != time_was {
                let expected = (start == start_was && time > time_was && value >= was)
                    .then(|| (value - was) as f64 / 1e9 / (time - time_was) as f64);
                let close = match (rate.map(|rate| rate.per_second), expected) {
                    (Some(rate), Some(expected)) => (rate - expected).abs() <= expected * 1e-12,
                    (rate, expected) => rate.is_none() && expected.is_none(),
                };
                prop_assert!(close, "{rate:?} {expected:?}");
            }
            last = match (time, value, last) {
                (Some(time), Some(_), Some((start_was, time_was, was))) if time == time_was && start == start_was =>
                    Some((start, time, was)),
                (Some(time), Some(value), _) => Some((start, time, value)),
                _ => None,
            };
        }
    }
}
