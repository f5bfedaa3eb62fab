//! Spec → objects: how many, of which kinds, and that they are what an API server would store.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use cluster_sim::population::{Population, PopulationSpec};
use serde_json::Value;

use crate::support::decode::decode;
use crate::support::store::Store;

fn objects(spec: &PopulationSpec) -> Vec<Value> {
    Population::new(spec).objects().collect()
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

#[test]
fn equal_specs_give_equal_bytes() {
    let spec = PopulationSpec::new(12, 400).seed(9);
    let bytes = |spec: &PopulationSpec| serde_json::to_vec(&objects(spec)).unwrap();
    assert_eq!(bytes(&spec), bytes(&spec));
    assert_ne!(bytes(&spec), bytes(&spec.clone().seed(10)));
    let later = "2026-06-01T00:00:00Z".parse().unwrap();
    assert_ne!(bytes(&spec), bytes(&spec.clone().now(later)));
}

#[test]
fn there_are_exactly_as_many_nodes_and_pods_as_asked_for() {
    for (nodes, pods) in [(0, 0), (0, 30), (1, 0), (1, 20), (3, 7), (10, 300), (60, 5000), (200, 250)] {
        for seed in 0..3 {
            let spec = PopulationSpec::new(nodes, pods).seed(seed);
            let objects = objects(&spec);
            let count = |kind: &str| objects.iter().filter(|object| text(object, "/kind") == kind).count();
            assert_eq!((count("Node"), count("Pod")), (nodes as usize, pods as usize), "{spec:?}");
            assert_eq!(Population::new(&spec).pod_count(), pods as usize);
        }
    }
}

#[test]
fn every_kind_that_kube_state_metrics_knows_is_there_in_small_clusters_too() {
    let want: BTreeSet<&str> = [
        "CertificateSigningRequest",
        "ClusterRole",
        "ClusterRoleBinding",
        "ConfigMap",
        "CronJob",
        "DaemonSet",
        "Deployment",
        "Endpoints",
        "EndpointSlice",
        "HorizontalPodAutoscaler",
        "Ingress",
        "IngressClass",
        "Job",
        "Lease",
        "LimitRange",
        "MutatingAdmissionPolicy",
        "MutatingAdmissionPolicyBinding",
        "MutatingWebhookConfiguration",
        "Namespace",
        "NetworkPolicy",
        "Node",
        "PersistentVolume",
        "PersistentVolumeClaim",
        "Pod",
        "PodDisruptionBudget",
        "ReplicaSet",
        "ReplicationController",
        "ResourceQuota",
        "Role",
        "RoleBinding",
        "Secret",
        "Service",
        "ServiceAccount",
        "StatefulSet",
        "StorageClass",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
        "ValidatingWebhookConfiguration",
        "VolumeAttachment",
    ]
    .into();
    assert_eq!(want.len(), 39);
    for spec in [PopulationSpec::new(1, 20), PopulationSpec::default()] {
        let objects = objects(&spec);
        let kinds: BTreeSet<&str> = objects.iter().map(|object| text(object, "/kind")).collect();
        let missing: Vec<_> = want.difference(&kinds).collect();
        assert!(missing.is_empty(), "{missing:?} of {spec:?}");
        assert!(kinds.contains("CustomResourceDefinition") && kinds.contains("Release"));
    }
}

#[test]
fn every_object_is_what_the_api_types_say() {
    for spec in [PopulationSpec::new(60, 800), PopulationSpec::new(2, 40).seed(5), PopulationSpec::uniform_pods(20)] {
        for object in objects(&spec) {
            if let Err(problem) = decode(&object) {
                panic!("{} {}: {problem}", text(&object, "/kind"), text(&object, "/metadata/name"));
            }
        }
    }
}

#[test]
fn names_and_uids_are_unique_and_references_resolve() {
    for spec in [PopulationSpec::new(60, 3000), PopulationSpec::new(1, 20), PopulationSpec::uniform_pods(450)] {
        let mut store = Store::default();
        let mut uids = HashSet::new();
        for object in objects(&spec) {
            assert!(uids.insert(text(&object, "/metadata/uid").to_owned()), "uid twice: {}", object["metadata"]);
            assert!(store.insert(object).is_none(), "name twice");
        }
        store.check();
    }
}

#[test]
fn running_pods_have_addresses_of_their_own() {
    let population = Population::new(&PopulationSpec::new(20, 2000));
    let mut seen = HashSet::new();
    for pod in population.pods().filter(|pod| pod["spec"]["hostNetwork"] != true) {
        let Some(ip) = pod["status"]["podIP"].as_str() else { continue };
        assert!(seen.insert(ip.to_owned()), "{ip} twice");
    }
    assert!(seen.len() > 1000);
}

#[test]
fn the_mix_of_states_is_that_of_a_cluster_with_some_trouble() {
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    let mut count = |what: &str| *seen.entry(what.to_owned()).or_default() += 1;
    for pod in Population::new(&PopulationSpec::new(50, 4000)).pods() {
        count(text(&pod, "/status/phase"));
        count(text(&pod, "/status/reason"));
        count(text(&pod, "/status/containerStatuses/0/state/waiting/reason"));
        count(text(&pod, "/status/containerStatuses/0/lastState/terminated/reason"));
        count(text(&pod, "/status/conditions/0/reason"));
        count(&format!("{} containers", pod["spec"]["containers"].as_array().unwrap().len()));
        count(if pod["spec"]["initContainers"].is_array() { "init" } else { "no init" });
    }
    assert!(seen["Running"] > 3600, "{seen:?}");
    assert!(seen["2 containers"] > 2000 && seen["1 containers"] > 100 && seen["3 containers"] > 100, "{seen:?}");
    for rare in [
        "Pending",
        "Succeeded",
        "Failed",
        "Evicted",
        "CrashLoopBackOff",
        "ImagePullBackOff",
        "ContainerCreating",
        "OOMKilled",
        "Error",
        "Unschedulable",
        "init",
    ] {
        assert!(seen.contains_key(rare), "no {rare} in {seen:?}");
    }
}

#[test]
fn a_pod_is_as_large_as_in_production() {
    let sizes: Vec<usize> = Population::new(&PopulationSpec::new(10, 500))
        .pods()
        .filter(|pod| pod["status"]["phase"] == "Running")
        .map(|pod| serde_json::to_vec(&pod).unwrap().len())
        .collect();
    let mean = sizes.iter().sum::<usize>() / sizes.len();
    assert!((8_000..12_500).contains(&mean), "{mean} bytes");
}

/// What decides the number of samples kube-state-metrics gives for a pod, counted from its parts.
#[test]
fn a_uniform_pod_gives_fifty_samples() {
    let population = Population::new(&PopulationSpec::uniform_pods(250));
    assert_eq!(population.pods().count(), 250);
    for pod in population.pods() {
        let containers = pod["spec"]["containers"].as_array().unwrap();
        let statuses = pod["status"]["containerStatuses"].as_array().unwrap();
        assert_eq!((containers.len(), statuses.len()), (2, 2));
        assert!(pod["spec"]["initContainers"].is_null() && pod["metadata"]["deletionTimestamp"].is_null());
        assert!(statuses.iter().all(|status| status["ready"] == true && status["lastState"] == serde_json::json!({})));
        let resources: usize = containers
            .iter()
            .flat_map(|container| {
                ["limits", "requests"].map(|kind| container["resources"][kind].as_object().unwrap().len())
            })
            .sum();
        // info, started, ready, restarts, running, terminated, waiting
        let per_container = 7 * containers.len();
        let tolerations = pod["spec"]["tolerations"].as_array().unwrap().len();
        let ips = pod["status"]["podIPs"].as_array().unwrap().len();
        // created, info, owner, restart policy, scheduler, service account, start time; ready, containers
        // ready, initialized and scheduled times; phases, QoS classes, ready and scheduled conditions
        let per_pod = 7 + 4 + 5 + 3 + 3 + 3;
        let ready: Vec<&str> = pod["status"]["conditions"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|condition| condition["status"] == "True")
            .map(|condition| text(condition, "/type"))
            .collect();
        assert_eq!(ready, ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"]);
        assert_eq!(resources + per_container + tolerations + ips + per_pod, 50);
    }
}
