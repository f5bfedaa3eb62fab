//! Population and churn → a cluster that never contradicts itself.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use cluster_sim::Mutation;
use cluster_sim::churn::Churn;
use cluster_sim::population::{Population, PopulationSpec};
use jiff::Timestamp;
use serde_json::Value;

use crate::support::decode::decode;
use crate::support::store::Store;

/// A second after the moment populations are made at.
const START: Timestamp = Timestamp::constant(1_768_478_401, 0);

fn start(spec: &PopulationSpec) -> (Store, Churn, Timestamp) {
    let population = Population::new(spec);
    let mut store = Store::default();
    for object in population.objects() {
        store.insert(object);
    }
    (store, Churn::new(&population, 3), START)
}

#[test]
fn ten_thousand_events_leave_a_consistent_cluster_of_the_same_size() {
    let (mut store, mut churn, mut now) = start(&PopulationSpec::new(12, 250));
    let pods_before = store.of("v1/Pod").count();
    for event in 0..10_000 {
        now += Duration::from_millis(200);
        let mutations = churn.next(now);
        assert!(!mutations.is_empty(), "event {event} changed nothing");
        for mutation in mutations {
            store.apply(mutation);
        }
        // Consistent at every moment, not only in the end.
        if event % 499 == 0 || event > 9_990 {
            store.check();
            let pods = store.of("v1/Pod").count();
            assert!(pods.abs_diff(pods_before) < pods_before / 4, "{pods_before} pods became {pods}");
        }
    }
}

#[test]
fn what_churn_writes_is_what_the_api_types_say() {
    let (_, mut churn, mut now) = start(&PopulationSpec::new(12, 300).seed(8));
    for _ in 0..600 {
        now += Duration::from_secs(1);
        for mutation in churn.next(now) {
            if let Mutation::Upsert(object) = mutation
                && let Err(problem) = decode(&object)
            {
                panic!("{} {}: {problem}", object["kind"], object["metadata"]["name"]);
            }
        }
    }
}

#[test]
fn equal_seeds_give_equal_churn() {
    let history = |seed| {
        let population = Population::new(&PopulationSpec::new(5, 100));
        let mut churn = Churn::new(&population, seed);
        (0..300).flat_map(|second| churn.next(Timestamp::from_second(1_768_478_400 + second).unwrap())).collect()
    };
    let first: Vec<Mutation> = history(1);
    assert_eq!(first, history(1));
    assert_ne!(first, history(2));
}

#[test]
fn every_kind_of_event_happens() {
    let (_, mut churn, mut now) = start(&PopulationSpec::new(12, 250).seed(2));
    let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
    for _ in 0..5_000 {
        now += Duration::from_millis(500);
        for mutation in churn.next(now) {
            let found = match &mutation {
                Mutation::Delete { kind, .. } => deleted(kind),
                Mutation::Upsert(object) => story(object),
            };
            if let Some(found) = found {
                *seen.entry(found).or_default() += 1;
            }
        }
    }
    for event in [
        "lease renewed",
        "leader renewed",
        "container restarted",
        "memory exhausted",
        "crash loop",
        "probe fails",
        "pod terminating",
        "pod evicted",
        "pod unschedulable",
        "image missing",
        "node lost",
        "node ready",
        "pod on lost node evicted",
        "job complete",
        "job failed",
        "rollout under way",
        "autoscaler measured",
        "pod gone",
        "replica set forgotten",
        "job forgotten",
    ] {
        assert!(seen.contains_key(event), "no {event}: {seen:?}");
    }
}

fn deleted(kind: &str) -> Option<&'static str> {
    match kind {
        "Pod" => Some("pod gone"),
        "ReplicaSet" => Some("replica set forgotten"),
        "Job" => Some("job forgotten"),
        _ => None,
    }
}

fn story(object: &Value) -> Option<&'static str> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let condition = |kind: &str| {
        let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
        conditions.filter(|condition| condition["type"] == kind).find_map(|condition| condition["status"].as_str())
    };
    let story = match text("/kind") {
        "Lease" if text("/metadata/namespace") == "kube-node-lease" => "lease renewed",
        "Lease" => "leader renewed",
        "Node" if condition("Ready") == Some("Unknown") => "node lost",
        "Node" => "node ready",
        "Job" if condition("Complete").is_some() => "job complete",
        "Job" if condition("Failed").is_some() => "job failed",
        "HorizontalPodAutoscaler" => "autoscaler measured",
        "Deployment" if object["status"]["replicas"] != object["status"]["updatedReplicas"] => "rollout under way",
        "Pod" if text("/status/reason") == "NodeLost" => "pod on lost node evicted",
        "Pod" if text("/status/reason") == "Evicted" => "pod evicted",
        "Pod" if !object["metadata"]["deletionTimestamp"].is_null() => "pod terminating",
        "Pod" if condition("PodScheduled") == Some("False") => "pod unschedulable",
        "Pod" => match text("/status/containerStatuses/0/state/waiting/reason") {
            "CrashLoopBackOff" => "crash loop",
            "ImagePullBackOff" => "image missing",
            _ => match text("/status/containerStatuses/0/lastState/terminated/reason") {
                "OOMKilled" => "memory exhausted",
                "Error" => "container restarted",
                _ if condition("Ready") == Some("False") => "probe fails",
                _ => return None,
            },
        },
        _ => return None,
    };
    Some(story)
}

#[test]
fn odd_clusters_do_not_stop_it() {
    for (nodes, pods) in [(0, 0), (0, 40), (1, 0), (1, 30), (2, 500)] {
        let (mut store, mut churn, mut now) = start(&PopulationSpec::new(nodes, pods));
        for _ in 0..300 {
            now += Duration::from_secs(1);
            for mutation in churn.next(now) {
                store.apply(mutation);
            }
        }
        store.check();
    }
}

/// Every pod that goes gives its address back: else the few there are on a node would soon be used up.
#[test]
fn a_small_cluster_does_not_wear_out() {
    let (mut store, mut churn, mut now) = start(&PopulationSpec::new(1, 40));
    let mut made = HashSet::new();
    for _ in 0..5_000 {
        now += Duration::from_secs(1);
        for mutation in churn.next(now) {
            if let Mutation::Upsert(object) = &mutation
                && object["kind"] == "Pod"
            {
                made.insert(object["metadata"]["uid"].to_string());
            }
            store.apply(mutation);
        }
    }
    // The node has 256 addresses.
    assert!(made.len() > 600, "only {} pods were made", made.len());
    let placed = store.of("v1/Pod").filter(|pod| !pod["spec"]["nodeName"].is_null()).count();
    let pods = store.of("v1/Pod").count();
    assert!(placed * 10 > pods * 8, "{placed} of {pods} pods have a node");
}

#[test]
fn uniform_pods_churn_too() {
    let (mut store, mut churn, mut now) = start(&PopulationSpec::uniform_pods(300));
    for _ in 0..500 {
        now += Duration::from_secs(1);
        for mutation in churn.next(now) {
            store.apply(mutation);
        }
    }
    store.check();
}
