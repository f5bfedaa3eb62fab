//! What a scrape shows of a cluster is what the same objects yield when each is rendered on its own.

use std::collections::BTreeSet;

use cluster_sim::Sim;
use cluster_sim::population::{Population, PopulationSpec};
use ksm_core::catalog::{Catalog, kinds};
use ksm_core::{FamilyFilter, Format, KeyAllowList, Settings};
use serde_json::{Value, json};

use crate::support::{Host, command, get, get_until};

const EXPORTER: &str = env!("CARGO_BIN_EXE_ksm-exporter");

/// Everything that there is: all labels and annotations, and the families that have to be asked for.
const EVERYTHING: &[&str] = &[
    "--metric-labels-allowlist=*=[*]",
    "--metric-annotations-allowlist=*=[*]",
    "--metric-opt-in-list=kube_pod_nodeselectors,kube_persistentvolume_csi_attributes",
];

fn everything() -> Settings {
    let all = [("*".to_owned(), KeyAllowList::everything())];
    let opt_in = ["kube_pod_nodeselectors", "kube_persistentvolume_csi_attributes"];
    let none: [&str; 0] = [];
    Settings {
        families: FamilyFilter::new(&none, &none, &opt_in).unwrap(),
        labels: all.clone().into(),
        annotations: all.into(),
        ..Settings::default()
    }
}

fn samples(text: &str) -> BTreeSet<&str> {
    let samples: Vec<&str> = text.split_terminator('\n').filter(|line| !line.starts_with('#')).collect();
    let set: BTreeSet<&str> = samples.iter().copied().collect();
    assert_eq!(set.len(), samples.len(), "no sample comes twice");
    set
}

/// Header lines and samples of each resource, rendered object by object.
fn rendered(sim: &Sim, resource: &str, settings: &Settings) -> String {
    let catalog = Catalog::new([resource], settings).unwrap();
    let kind = catalog.kinds().next().unwrap().clone();
    for object in sim.list(&kind.api_version, &kind.plural).unwrap() {
        catalog.put(&kind.api_version, &kind.kind, object.to_string().as_bytes()).unwrap();
    }
    catalog.exposition(Format::Text).to_text()
}

/// Objects of the kind that populations don't have: whose class is an annotation's.
fn old_fashioned() -> [Value; 2] {
    let object = |version: &str, kind: &str, annotation: &str| {
        json!({"apiVersion": version, "kind": kind, "spec": {},
               "metadata": {"namespace": "default", "name": "old", "annotations": {annotation: "old-fashioned"}}})
    };
    [
        object("networking.k8s.io/v1", "Ingress", "kubernetes.io/ingress.class"),
        object("v1", "PersistentVolumeClaim", "volume.beta.kubernetes.io/storage-class"),
    ]
}

async fn agree(flags: &[&str], settings: &Settings) {
    let population = Population::new(&PopulationSpec::new(4, 120));
    let sim = Sim::builder().objects(population.objects()).objects(old_fashioned()).start().await.unwrap();
    let resources: Vec<String> = kinds().iter().map(|kind| kind.resource.to_string()).collect();
    assert_eq!(resources.len(), 39);
    let (server, resources_flag) = (sim.url(), format!("--resources={}", resources.join(",")));
    let exporter = ["--port", "0", "--telemetry-port", "0", "--apiserver", &server, &resources_flag];
    let host = Host::start(command(EXPORTER, &[&exporter, flags].concat())).await;
    let url = host.url("metrics at");
    get_until(&url.replace("/metrics", "/readyz"), |answer| answer.status == 200).await;

    let mut families = 0;
    for resource in &resources {
        let scraped = get(&format!("{url}?resources={resource}")).await.text();
        let rendered = rendered(&sim, resource, settings);
        let (left, right) = (samples(&scraped), samples(&rendered));
        assert!(!left.is_empty(), "{resource} shows samples");
        let missing: Vec<_> = right.difference(&left).take(3).collect();
        let extra: Vec<_> = left.difference(&right).take(3).collect();
        assert!(missing.is_empty() && extra.is_empty(), "{resource}: missing {missing:#?}, extra {extra:#?}");
        let headers = |text: &str| -> Vec<String> {
            text.split_terminator('\n').filter(|line| line.starts_with('#')).map(str::to_owned).collect()
        };
        assert_eq!(headers(&scraped), headers(&rendered), "{resource}");
        families += headers(&scraped).len() / 2;
    }
    let whole = get(&url).await.text();
    assert!(whole.contains("ingressclass=\"old-fashioned\"") && whole.contains("storageclass=\"old-fashioned\""));
    assert_eq!(whole.matches("# TYPE ").count(), families, "each family once in a scrape of all");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scrape_shows_what_rendering_each_object_shows_for_every_resource() {
    agree(&[], &Settings::default()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scrape_with_everything_on_shows_what_rendering_shows_too() {
    agree(EVERYTHING, &everything()).await;
}
