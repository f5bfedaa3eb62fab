//! What the benchmarks share: pods to work on, and a store to put them into.

pub mod agent;
pub mod events;
pub mod kubeconfig;
pub mod process;
pub mod scrape;

use k8s_openapi::api::core::v1::Pod;
use ksm_core::decode::{PathTree, from_json};
use ksm_core::resource::enabled_families;
use ksm_core::{AllowLists, Builtin, FamilyFilter, FamilySet, MemoryStore, ObjectKey, Samples, Store, StoredObject};

use cluster_sim::population::{Population, PopulationSpec};

/// The examples of the project's README compile: this package has all crates at hand.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct ReadMe;

/// As many as are measured; a tenth of them where a benchmark is only tried, by `cargo test`.
pub fn sized(measured: u32) -> u32 {
    // What `cargo bench` tells its programs, and `cargo test` does not.
    if std::env::args().any(|argument| argument == "--bench") { measured } else { measured / 10 }
}

/// The families of pods that are on by default.
pub fn default_families() -> FamilySet {
    enabled_families(Pod::RESOURCE.families, &FamilyFilter::default(), &AllowLists::default())
}

/// What no family of pods reads, with annotations, as the engine leaves it out.
pub fn unread() -> PathTree {
    PathTree::new(Pod::RESOURCE.unread.iter().copied().chain(["metadata.annotations"]))
}

/// The JSON of `count` uniform two-container pods.
pub fn pods_json(count: u32) -> Vec<Vec<u8>> {
    Population::new(&PopulationSpec::uniform_pods(count)).pods().map(|pod| pod.to_string().into_bytes()).collect()
}

/// `count` uniform two-container pods, decoded as the engine does it.
pub fn pods(count: u32) -> Vec<Pod> {
    let unread = unread();
    pods_json(count).iter().filter_map(|json| from_json(json, &unread).ok()).collect()
}

/// A running pod of three containers.
pub fn three_container_pod() -> Pod {
    let mut pod = pods(1).remove(0);
    if let Some(spec) = &mut pod.spec {
        let mut third = spec.containers.first().cloned().unwrap_or_default();
        "third".clone_into(&mut third.name);
        spec.containers.push(third);
    }
    if let Some(statuses) = pod.status.as_mut().and_then(|status| status.container_statuses.as_mut()) {
        let mut third = statuses.first().cloned().unwrap_or_default();
        "third".clone_into(&mut third.name);
        statuses.push(third);
    }
    pod
}

/// Puts a pod into a store.
pub fn put(store: &MemoryStore, pod: &Pod, families: &FamilySet) {
    let allow = AllowLists::default();
    let Some(key) = ObjectKey::of(&pod.metadata) else { return };
    let object = StoredObject { key, version: None };
    store.apply(&object, &mut |sink| (Pod::RESOURCE.collect)(pod, &mut Samples::new(families, &allow, sink)));
}

/// A published store of pods.
pub fn filled_store(pods: &[Pod]) -> MemoryStore {
    let store = MemoryStore::new(Pod::RESOURCE.families);
    let families = default_families();
    store.set_visible(families.clone());
    for pod in pods {
        put(&store, pod, &families);
    }
    store.publish();
    store
}
