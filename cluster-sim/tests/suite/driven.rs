//! Churn → a running simulator → what its clients see.

use std::time::Duration;

use cluster_sim::Sim;
use cluster_sim::churn::{Churn, drive};
use cluster_sim::population::{Population, PopulationSpec};
use futures::TryStreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{WatchEvent, WatchParams};
use serde_json::Value;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::support::store::Store;

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_mins(2);

/// What `Store::check` needs.
const RESOURCES: [(&str, &str); 16] = [
    ("v1", "nodes"),
    ("v1", "namespaces"),
    ("v1", "pods"),
    ("v1", "services"),
    ("v1", "serviceaccounts"),
    ("v1", "endpoints"),
    ("v1", "persistentvolumeclaims"),
    ("v1", "replicationcontrollers"),
    ("apps/v1", "deployments"),
    ("apps/v1", "replicasets"),
    ("apps/v1", "statefulsets"),
    ("apps/v1", "daemonsets"),
    ("batch/v1", "jobs"),
    ("batch/v1", "cronjobs"),
    ("discovery.k8s.io/v1", "endpointslices"),
    ("apps/v1", "controllerrevisions"),
];

fn stored(sim: &Sim) -> Store {
    let mut store = Store::default();
    for (api_version, plural) in RESOURCES {
        for object in sim.list(api_version, plural).unwrap() {
            store.insert(object);
        }
    }
    store
}

#[tokio::test]
async fn a_server_holds_exactly_the_population() {
    let spec = PopulationSpec::new(5, 120);
    let sim = Sim::builder().population(&spec).start().await.unwrap();
    let mut held = stored(&sim);
    for object in held.objects.values_mut() {
        let version = object["metadata"].as_object_mut().and_then(|metadata| metadata.remove("resourceVersion"));
        assert!(version.is_some_and(|version| version.is_string()), "{}", object["metadata"]);
    }
    let mut said = Store::default();
    for object in Population::new(&spec).objects() {
        said.insert(object);
    }
    said.objects.retain(|key, _| held.objects.contains_key(key));
    assert_eq!(said.of("v1/Pod").count(), 120);
    assert_eq!(said.objects.len(), held.objects.len(), "the server holds more than it was given");
    for (key, mut object) in held.objects {
        let said = &said.objects[&key];
        if said["metadata"]["generation"].is_null() {
            // Where it stays 1, it is the server's to give.
            object["metadata"].as_object_mut().and_then(|metadata| metadata.remove("generation"));
        }
        assert_eq!(object, *said);
    }
    sim.shutdown().await;
}

#[tokio::test]
async fn clients_see_a_driven_cluster_change_and_stay_consistent() {
    let spec = PopulationSpec::new(5, 120);
    let sim = Sim::builder().population(&spec).start().await.unwrap();
    let pods: Api<Pod> = Api::all(sim.client());
    let from = sim.resource_version().to_string();
    let events = pods.watch(&WatchParams::default(), &from).await.unwrap();

    let cancellation = CancellationToken::new();
    let churn = Churn::new(&Population::new(&spec), 1);
    let driving = tokio::spawn({
        let (sim, cancellation) = (sim.clone(), cancellation.clone());
        async move { drive(&sim, churn, 1_000.0, cancellation).await }
    });
    let (mut added, mut modified, mut deleted) = (0, 0, 0);
    let watching = events.try_for_each(|event| {
        match event {
            WatchEvent::Added(_) => added += 1,
            WatchEvent::Modified(_) => modified += 1,
            WatchEvent::Deleted(_) => deleted += 1,
            WatchEvent::Bookmark(_) => {}
            WatchEvent::Error(status) => panic!("{status:?}"),
        }
        let enough = added >= 20 && modified >= 50 && deleted >= 20;
        // An error is how a stream is left.
        let left = Err(kube::Error::Service("seen enough".into()));
        std::future::ready(if enough { left } else { Ok(()) })
    });
    let outcome = timeout(PATIENCE, watching).await.unwrap();
    assert!(outcome.is_err_and(|error| error.to_string().contains("seen enough")));

    cancellation.cancel();
    timeout(PATIENCE, driving).await.unwrap().unwrap();
    let store = stored(&sim);
    store.check();
    let listed: Vec<Value> = sim.list("v1", "pods").unwrap();
    assert!(listed.len().abs_diff(120) < 40, "{} pods", listed.len());
    sim.shutdown().await;
}
