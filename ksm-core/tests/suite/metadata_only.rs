//! Kinds whose families read metadata alone: the server is asked for no more, unless somebody reads more.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use cluster_sim::{ObjectRef, Sim, Verb};
use k8s_openapi::api::core::v1::ConfigMap;
use ksm_core::{Change, Format, Ksm, ListStrategy, Query, ResourceBuilder, WatchOptions};
use parking_lot::Mutex;
use serde_json::{Value, json};

/// How long an outcome may take at the most: far beyond what it takes, far below a test's patience.
const PATIENCE: Duration = Duration::from_mins(1);

fn map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"key": "value"}, "immutable": true,
           "metadata": {"namespace": "default", "name": name}})
}

fn start(sim: &Sim, strategy: ListStrategy, resource: ResourceBuilder<ConfigMap>) -> Ksm {
    let options = WatchOptions { strategy, ..WatchOptions::default() };
    Ksm::builder().client(sim.client()).watch_options(options).resource(resource).spawn().unwrap()
}

fn shown(ksm: &Ksm) -> BTreeSet<String> {
    let text = ksm.exposition(&Query::default(), Format::Text).to_text();
    let names =
        text.lines().filter_map(|line| line.strip_prefix("kube_configmap_info{namespace=\"default\",configmap=\""));
    names.filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect()
}

async fn until_shown(ksm: &Ksm, wanted: &[&str]) {
    let wanted: BTreeSet<String> = wanted.iter().map(|name| (*name).to_owned()).collect();
    let waiting = async {
        while shown(ksm) != wanted {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, waiting).await.is_ok(), "{wanted:?}: {:?} {:#?}", shown(ksm), ksm.status());
}

/// Whether each request about ConfigMaps asked for metadata alone, by verb.
fn asked(sim: &Sim) -> BTreeSet<(Verb, bool)> {
    let requests = sim.requests().newest().into_iter().filter(|request| request.resource == "configmaps");
    requests.map(|request| (request.verb, request.accept.contains("as=PartialObjectMetadata"))).collect()
}

#[tokio::test]
async fn metadata_is_listed_and_watched_by_pages_and_by_streams() {
    for (strategy, verbs) in
        [(ListStrategy::Pages, &[Verb::List, Verb::Watch][..]), (ListStrategy::Streaming, &[Verb::Watch])]
    {
        let sim = Sim::builder().objects([map("a"), map("b")]).start().await.unwrap();
        let ksm = start(&sim, strategy, ResourceBuilder::builtin());
        until_shown(&ksm, &["a", "b"]).await;
        sim.create(map("c")).unwrap();
        sim.delete(&ObjectRef::new("v1", "ConfigMap", "a").within("default")).unwrap();
        until_shown(&ksm, &["b", "c"]).await;
        assert_eq!(asked(&sim), verbs.iter().map(|verb| (*verb, true)).collect(), "{strategy:?}");
        let status = &ksm.status()[0];
        assert_eq!((status.skipped, status.errors), (0, 0));
        ksm.shutdown().await;
    }
}

#[tokio::test]
async fn a_hook_gets_all_that_it_can_ask_for() {
    for full in [false, true] {
        let sim = Sim::builder().objects([map("a")]).start().await.unwrap();
        let seen = Arc::new(Mutex::new(None));
        let hook = {
            let seen = seen.clone();
            move |change: &Change<'_, ConfigMap>| {
                if let Change::Added(map) = change {
                    *seen.lock() = Some((map.immutable, map.data.clone()));
                }
            }
        };
        let resource = ResourceBuilder::builtin().on_change(hook);
        let resource = if full { resource.full_objects() } else { resource };
        let ksm = start(&sim, ListStrategy::Pages, resource);
        until_shown(&ksm, &["a"]).await;
        let data = full.then(|| [("key".to_owned(), "value".to_owned())].into());
        assert_eq!(*seen.lock(), Some((Some(true), data)));
        assert!(asked(&sim).iter().all(|(_, metadata)| !metadata));
        ksm.shutdown().await;
    }
}
