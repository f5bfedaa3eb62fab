//! Resources that come and go while others are being watched.

use std::time::Duration;

use cluster_sim::{Sim, Verb};
use futures::channel::mpsc::unbounded;
use k8s_openapi::api::core::v1::{Namespace, Node};
use ksm_core::{
    BuildError, Family, FamilyFilter, FamilyIndex, Format, Ksm, Query, ResourceBuilder, ResourceChanges, Settings,
    WatchOptions,
};
use kube::runtime::watcher::Event;
use serde_json::json;

/// How long an outcome may take at the most: far beyond what it takes, far below a test's patience.
const PATIENCE: Duration = Duration::from_mins(1);

async fn sim() -> Sim {
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}});
    Sim::builder().objects([node]).start().await.unwrap()
}

fn watching(sim: &Sim, names: &[&str]) -> Ksm {
    let options = WatchOptions { min_backoff: Duration::from_millis(20), ..WatchOptions::default() };
    Ksm::builder().client(sim.client()).watch_options(options).resources(names).unwrap().spawn().unwrap()
}

async fn synced(ksm: &Ksm) {
    tokio::time::timeout(PATIENCE, ksm.synced()).await.unwrap_or_else(|_| panic!("not synced: {:#?}", ksm.status()));
}

fn text(ksm: &Ksm) -> String {
    ksm.exposition(&Query::default(), Format::Text).to_text()
}

#[tokio::test]
async fn a_resource_comes_and_goes_and_its_neighbour_is_not_touched() {
    let sim = sim().await;
    let ksm = watching(&sim, &["namespaces"]);
    synced(&ksm).await;
    ksm.add_named("nodes").unwrap();
    assert!(!ksm.is_synced(), "what was added must be listed first");
    synced(&ksm).await;
    assert!(text(&ksm).contains("kube_node_created{node=\"n1\"}"));
    assert_eq!(ksm.resources(), ["namespaces", "nodes"]);
    assert!(ksm.remove("nodes"));
    assert!(!ksm.remove("nodes"));
    let text = text(&ksm);
    assert!(!text.contains("kube_node_") && text.contains("kube_namespace_created"), "{text}");
    assert!(ksm.families("nodes").is_none() && ksm.is_synced());
    assert_eq!(sim.requests().count(Verb::List, "namespaces"), 1, "it was listed once");
    ksm.shutdown().await;
    assert_eq!(ksm.add_named("nodes"), Err(BuildError::Stopped));
}

#[tokio::test]
async fn what_is_removed_ends_its_tasks() {
    let (_kept, stream) = unbounded::<Result<Event<Namespace>, String>>();
    let (events, other) = unbounded::<Result<Event<Node>, String>>();
    let ksm = Ksm::builder().resource(ResourceBuilder::<Namespace>::builtin().stream(stream)).spawn().unwrap();
    ksm.add(ResourceBuilder::<Node>::builtin().stream(other)).unwrap();
    assert!(ksm.remove("nodes"));
    tokio::time::timeout(PATIENCE, async {
        while !events.is_closed() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn what_is_added_is_checked_as_at_the_start_and_keeps_to_the_settings() {
    let sim = sim().await;
    let ksm = watching(&sim, &["namespaces"]);
    let duplicate = || Err(BuildError::DuplicateResource { name: "namespaces".into() });
    assert_eq!(ksm.add_named("namespaces"), duplicate());
    assert_eq!(ksm.add(ResourceBuilder::<Namespace>::builtin()), duplicate());
    assert!(matches!(ksm.add_named("cats"), Err(BuildError::UnknownResource { .. })));
    let none: [&str; 0] = [];
    let families = FamilyFilter::new(&none, &["^kube_node_info$"], &none).unwrap();
    ksm.reconfigure(&Settings { families, ..Settings::default() });
    let own = Family::gauge("my_nodes", "One for each.");
    let nodes = ResourceBuilder::<Node>::builtin().families([own], |_, samples| samples.put(FamilyIndex(0), &[], 1.0));
    ksm.add(nodes).unwrap();
    synced(&ksm).await;
    let text = text(&ksm);
    assert!(text.contains("my_nodes{node=\"n1\"} 1") && !text.contains("kube_node_info"), "{text}");
}

#[tokio::test]
async fn a_new_list_of_names_changes_what_differs() {
    let sim = sim().await;
    let ksm = watching(&sim, &["namespaces", "nodes"]);
    ksm.add(ResourceBuilder::<k8s_openapi::api::core::v1::Service>::builtin()).unwrap();
    synced(&ksm).await;
    let changes = ksm.set_resources(["pods", "nodes", "pods"]).unwrap();
    assert_eq!(changes, ResourceChanges { added: vec!["pods".into()], removed: vec!["namespaces".into()] });
    assert_eq!(ksm.resources(), ["nodes", "services", "pods"], "what the host added itself stays");
    assert!(ksm.set_resources(["secrets", "cats"]).is_err());
    assert_eq!(ksm.resources(), ["nodes", "services", "pods"], "with an unknown name nothing changes");
    synced(&ksm).await;
    for (resource, lists) in [("nodes", 1), ("services", 1), ("pods", 1), ("namespaces", 1)] {
        assert_eq!(sim.requests().count(Verb::List, resource), lists, "{resource}");
    }
}

#[tokio::test]
async fn waiting_ends_with_what_is_waited_for_and_with_everything() {
    let (_events, stream) = unbounded::<Result<Event<Node>, String>>();
    let ksm = Ksm::builder().resource(ResourceBuilder::<Node>::builtin().stream(stream)).spawn().unwrap();
    let waiting = async {
        tokio::join!(ksm.synced(), async { ksm.remove("nodes") });
        let (_events, stream) = unbounded::<Result<Event<Node>, String>>();
        ksm.add(ResourceBuilder::<Node>::builtin().stream(stream)).unwrap();
        tokio::join!(ksm.synced(), ksm.shutdown());
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap();
}
