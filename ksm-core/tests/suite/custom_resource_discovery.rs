//! Definitions and configurations that come, change and go → the watches that follow them, and nothing else.

use std::sync::Arc;
use std::time::Duration;

use cluster_sim::{Deny, Fault, ObjectRef, Sim, Verb};
use ksm_core::custom_resource::CustomResourceConfig;
use ksm_core::{BuildError, Format, Ksm, KsmBuilder, Query, ResourceStatus, WatchOptions};
use kube::client::Body;
use serde_json::{Value, json};

/// How long an outcome may take at the most: far beyond what it takes, far below a test's patience.
const PATIENCE: Duration = Duration::from_mins(1);

/// A definition of `foos` in a group, with these versions: name and whether it is served. The first is stored.
fn definition(group: &str, versions: &[(&str, bool)]) -> Value {
    let version = |(at, (name, served)): (usize, &(&str, bool))| {
        let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
        json!({"name": name, "served": served, "storage": at == 0, "schema": schema})
    };
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("foos.{group}")},
        "spec": {
            "group": group, "scope": "Namespaced", "names": {"plural": "foos", "singular": "foo", "kind": "Foo"},
            "versions": versions.iter().enumerate().map(version).collect::<Vec<_>>(),
        },
    })
}

fn definition_ref(group: &str) -> ObjectRef {
    ObjectRef::new("apiextensions.k8s.io/v1", "CustomResourceDefinition", format!("foos.{group}"))
}

fn foo(api_version: &str, name: &str, size: &Value) -> Value {
    json!({
        "apiVersion": api_version, "kind": "Foo",
        "metadata": {"name": name, "namespace": "default"}, "spec": {"size": size},
    })
}

/// An entry of a configuration, with one gauge over `spec`.
fn entry(group: &str, version: &str, kind: &str, metric: &str, field: &str) -> Value {
    json!({
        "groupVersionKind": {"group": group, "version": version, "kind": kind},
        "metricNamePrefix": "", "labelsFromPath": {"name": ["metadata", "name"]},
        "metrics": [{"name": metric, "help": "A field.", "each": {"type": "Gauge", "gauge": {"path": ["spec", field]}}}],
    })
}

fn config(entries: &[Value]) -> CustomResourceConfig {
    CustomResourceConfig::from_yaml(&json!({"spec": {"resources": entries}}).to_string(), "crs.yaml").unwrap()
}

struct Cluster {
    sim: Sim,
    ksm: Ksm,
}

impl Cluster {
    /// Watches the configuration beside two built-in resources.
    async fn start(objects: Vec<Value>, entries: &[Value]) -> Self {
        let sim = Sim::builder().objects(objects).start().await.unwrap();
        let ksm = builder(&sim).custom_resources(config(entries)).spawn().unwrap();
        Self { sim, ksm }
    }

    fn text(&self) -> String {
        self.ksm.exposition(&Query::default(), Format::Text).to_text()
    }

    /// The values of a family by the name and version of its objects: `a v1 = 3`.
    fn values(&self, family: &str) -> Vec<String> {
        let text = self.text();
        let lines = text.lines().filter(|line| line.starts_with(&format!("{family}{{")));
        let label = |line: &str, name: &str| {
            let rest = line.split_once(&format!("{name}=\"")).unwrap().1;
            rest.split_once('"').unwrap().0.to_owned()
        };
        let mut values: Vec<String> = lines
            .map(|line| {
                let (_, value) = line.rsplit_once(' ').unwrap();
                format!("{} {} = {value}", label(line, "name"), label(line, "customresource_version"))
            })
            .collect();
        values.sort();
        values
    }

    async fn shows(&self, family: &str, wanted: &[&str]) {
        self.eventually(&format!("{family} is {wanted:?}"), || self.values(family) == wanted).await;
    }

    async fn eventually(&self, what: &str, so: impl Fn() -> bool) {
        let waiting = async {
            while !so() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, waiting).await.is_ok();
        assert!(in_time, "{what}: {:#?}\n{:#?}\n{}", self.ksm.resources(), self.ksm.status(), self.text());
    }

    async fn synced(&self) {
        let in_time = tokio::time::timeout(PATIENCE, self.ksm.synced()).await.is_ok();
        assert!(in_time, "not synced: {:#?}", self.ksm.status());
    }

    fn status(&self, resource: &str) -> ResourceStatus {
        let found = self.ksm.status().into_iter().find(|status| status.resource == resource);
        found.unwrap_or_else(|| panic!("{resource} is not watched: {:?}", self.ksm.resources()))
    }

    /// Whoever is named was listed once, and is watched by its first watch still.
    async fn untouched(&self, resources: &[&str]) {
        for resource in resources {
            assert_eq!(self.status(resource).lists, 1, "{resource} was listed again");
        }
        for resource in ["namespaces", "nodes"] {
            let counts = || [Verb::List, Verb::Watch].map(|verb| self.sim.requests().count(verb, resource));
            // What was listed a moment ago is watched in a moment.
            self.eventually(&format!("{resource} is watched"), || counts()[1] > 0).await;
            assert_eq!(counts(), [1, 1], "{resource} was touched");
        }
    }
}

fn builder(sim: &Sim) -> KsmBuilder {
    let mut kube = sim.kube_config();
    kube.default_retry = false;
    let options = WatchOptions {
        min_backoff: Duration::from_millis(20),
        max_backoff: Duration::from_millis(100),
        ..WatchOptions::default()
    };
    let client = kube::Client::try_from(kube).unwrap();
    Ksm::builder().client(client).watch_options(options).resources(["namespaces", "nodes"]).unwrap()
}

#[tokio::test]
async fn a_definition_comes_changes_goes_and_comes_back() {
    let neighbour = definition("stays.io", &[("v1", true)]);
    let objects = vec![neighbour, foo("stays.io/v1", "n", &json!(7))];
    let entries = [entry("example.com", "*", "Foo", "foo_size", "size"), entry("stays.io", "v1", "*", "stays", "size")];
    let cluster = Cluster::start(objects, &entries).await;
    cluster.synced().await;
    cluster.shows("stays", &["n v1 = 7"]).await;
    let sim = &cluster.sim;

    sim.create(definition("example.com", &[("v1", true), ("v2", false)])).unwrap();
    sim.upsert(foo("example.com/v1", "a", &json!(1))).unwrap();
    cluster.shows("foo_size", &["a v1 = 1"]).await;

    // One more version: its own watch, beside the other.
    sim.upsert(definition("example.com", &[("v1", true), ("v2", true)])).unwrap();
    cluster.shows("foo_size", &["a v1 = 1", "a v2 = 1"]).await;
    cluster.untouched(&["foos.v1.example.com", "foos.v1.stays.io"]).await;

    // A version goes.
    sim.upsert(definition("example.com", &[("v1", false), ("v2", true)])).unwrap();
    cluster.shows("foo_size", &["a v2 = 1"]).await;
    cluster.untouched(&["foos.v2.example.com", "foos.v1.stays.io"]).await;

    // All of it goes, and comes back, with another scope.
    sim.delete(&definition_ref("example.com")).unwrap();
    cluster.shows("foo_size", &[]).await;
    cluster.eventually("it is watched no more", || cluster.ksm.resources().len() == 3).await;
    let mut other = definition("example.com", &[("v2", true)]);
    other["spec"]["scope"] = json!("Cluster");
    sim.create(other).unwrap();
    sim.upsert(foo("example.com/v2", "b", &json!(2))).unwrap();
    cluster.shows("foo_size", &["b v2 = 2"]).await;
    assert_eq!(cluster.ksm.resources(), ["namespaces", "nodes", "foos.v1.stays.io", "foos.v2.example.com"]);
    cluster.untouched(&["foos.v1.stays.io"]).await;
}

#[tokio::test]
async fn a_schema_that_changes_under_us_and_bad_objects_touch_nothing() {
    let objects = vec![definition("example.com", &[("v1", true)]), foo("example.com/v1", "a", &json!(1))];
    let cluster = Cluster::start(objects, &[entry("example.com", "v1", "Foo", "foo_size", "size")]).await;
    cluster.shows("foo_size", &["a v1 = 1"]).await;
    let events = cluster.status("customresourcedefinitions").events;
    let mut changed = definition("example.com", &[("v1", true)]);
    changed["metadata"]["labels"] = json!({"team": "x"});
    changed["spec"]["versions"][0]["schema"] = json!({"openAPIV3Schema": {"type": "object"}});
    changed["spec"]["versions"][0]["additionalPrinterColumns"] =
        json!([{"name": "x", "jsonPath": ".y", "type": "date"}]);
    cluster.sim.upsert(changed).unwrap();
    cluster.eventually("it is seen", || cluster.status("customresourcedefinitions").events > events).await;
    // Objects of the new schema: what was a number is now an object, a text, or missing.
    for (name, size) in [("b", json!({"width": "wide"})), ("c", json!("much")), ("d", Value::Null), ("e", json!("5"))] {
        cluster.sim.upsert(foo("example.com/v1", name, &size)).unwrap();
    }
    cluster.shows("foo_size", &["a v1 = 1", "e v1 = 5"]).await;
    cluster.untouched(&["foos.v1.example.com", "customresourcedefinitions"]).await;
}

#[tokio::test]
async fn two_definitions_with_one_plural_stay_apart() {
    let mut objects = Vec::new();
    for (group, name, size) in [("a.io", "x", 1), ("b.io", "y", 2)] {
        objects.extend([definition(group, &[("v1", true)]), foo(&format!("{group}/v1"), name, &json!(size))]);
    }
    let entries = [entry("a.io", "*", "*", "a_size", "size"), entry("b.io", "v1", "Foo", "b_size", "size")];
    let cluster = Cluster::start(objects, &entries).await;
    cluster.synced().await;
    assert_eq!(cluster.ksm.resources(), ["namespaces", "nodes", "foos.v1.a.io", "foos.v1.b.io"]);
    let families = |word: &str| {
        let query = Query { resources: vec![word.to_owned()], ..Query::default() };
        let text = cluster.ksm.exposition(&query, Format::Text).to_text();
        ["a_size{", "b_size{", "kube_namespace_created{"].map(|family| text.contains(family))
    };
    assert_eq!(families("foos"), [true, true, false]);
    assert_eq!(families("foos.v1.b.io"), [false, true, false]);
    cluster.sim.delete(&definition_ref("a.io")).unwrap();
    cluster.shows("a_size", &[]).await;
    cluster.shows("b_size", &["y v1 = 2"]).await;
    cluster.untouched(&["foos.v1.b.io"]).await;
}

#[tokio::test]
async fn native_kinds_are_found_by_discovery_now_or_later() {
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "namespace": "default"},
        "spec": {"replicas": 3},
    });
    let job = json!({
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "c", "namespace": "default"},
        "spec": {"schedule": "0 0 * * *", "successfulJobsHistoryLimit": 4},
    });
    let sim = Sim::builder().serve_versions("batch", "cronjobs", &[]).objects([deployment]).start().await.unwrap();
    let entries = [
        entry("apps", "v1", "Deployment", "wanted", "replicas"),
        entry("batch", "v1", "CronJob", "kept", "successfulJobsHistoryLimit"),
    ];
    let ksm = builder(&sim).custom_resources(config(&entries)).spawn().unwrap();
    let cluster = Cluster { sim, ksm };
    cluster.synced().await;
    cluster.shows("wanted", &["d v1 = 3"]).await;
    assert_eq!(cluster.ksm.resources(), ["namespaces", "nodes", "deployments.v1.apps"]);
    cluster.sim.serve_versions("batch", "cronjobs", &["v1"]).unwrap();
    cluster.sim.upsert(job).unwrap();
    cluster.shows("kept", &["c v1 = 4"]).await;
    cluster.untouched(&["deployments.v1.apps"]).await;
}

#[tokio::test]
async fn a_new_configuration_restarts_what_it_changes() {
    let mut objects = Vec::new();
    for group in ["a.io", "b.io", "c.io"] {
        objects.extend([definition(group, &[("v1", true)]), foo(&format!("{group}/v1"), "x", &json!(1))]);
    }
    let kept = entry("a.io", "v1", "Foo", "a_size", "size");
    let entries = [kept.clone(), entry("b.io", "v1", "Foo", "b_size", "size")];
    let cluster = Cluster::start(objects, &entries).await;
    cluster.synced().await;
    let changed = entry("b.io", "v1", "Foo", "b_other", "size");
    let new = entry("c.io", "*", "Foo", "c_size", "size");
    cluster.ksm.set_custom_resources(config(&[new, changed, kept])).unwrap();
    cluster.synced().await;
    assert_eq!(cluster.values("b_other"), ["x v1 = 1"], "synced with the new configuration");
    assert!(cluster.values("b_size").is_empty());
    assert_eq!([cluster.values("a_size"), cluster.values("c_size")], [["x v1 = 1"], ["x v1 = 1"]]);
    cluster.untouched(&["foos.v1.a.io", "customresourcedefinitions"]).await;
    assert_eq!(cluster.sim.requests().count(Verb::List, "foos"), 4, "of a, twice of b, of c");

    cluster.ksm.set_custom_resources(CustomResourceConfig::default()).unwrap();
    assert_eq!(cluster.ksm.resources(), ["namespaces", "nodes"]);
    assert!(!cluster.text().contains("_size"));
    cluster.ksm.set_custom_resources(config(&entries)).unwrap();
    assert!(!cluster.ksm.is_synced());
    cluster.shows("b_size", &["x v1 = 1"]).await;
}

#[tokio::test]
async fn without_the_right_to_definitions_full_names_are_watched_still() {
    let objects = [definition("example.com", &[("v1", true)]), foo("example.com/v1", "a", &json!(1))];
    let denied = Deny::everything().resource("customresourcedefinitions");
    let sim = Sim::builder().objects(objects).deny(denied).start().await.unwrap();
    let exact = entry("example.com", "v1", "Foo", "foo_size", "size");
    let ksm = builder(&sim).custom_resources(config(std::slice::from_ref(&exact))).spawn().unwrap();
    let cluster = Cluster { sim, ksm };
    cluster.synced().await;
    cluster.shows("foo_size", &["a v1 = 1"]).await;
    let status = cluster.status("customresourcedefinitions");
    assert!(status.failing && status.last_error.unwrap().0.contains("403"));

    // What a wildcard stands for is not known, and nobody says that it is.
    cluster.ksm.set_custom_resources(config(&[exact, entry("example.com", "*", "*", "any", "size")])).unwrap();
    cluster.shows("any", &["a v1 = 1"]).await;
    assert!(!cluster.ksm.is_synced());
    let lists = cluster.status("foos.v1.example.com").lists;
    cluster.sim.allow_all();
    cluster.synced().await;
    assert_eq!(cluster.status("foos.v1.example.com").lists, lists, "the same kind, found in another way");
}

#[tokio::test]
async fn an_api_server_that_is_down_is_waited_for() {
    let objects = [definition("example.com", &[("v1", true)]), foo("example.com/v1", "a", &json!(1))];
    let sim = Sim::builder().objects(objects).start().await.unwrap();
    let outage = sim.faults().add(Fault::on_any().status(503));
    let entries = [entry("example.com", "v1", "Foo", "foo_size", "size"), entry("no.io", "v1", "No", "no", "size")];
    let ksm = builder(&sim).custom_resources(config(&entries)).spawn().unwrap();
    assert!(ksm.remove("namespaces") && ksm.remove("nodes"), "nothing but custom resources is waited for");
    let cluster = Cluster { sim, ksm };
    cluster.eventually("it is tried", || cluster.status("customresourcedefinitions").errors > 3).await;
    assert!(!cluster.ksm.is_synced());
    cluster.sim.faults().remove(outage);
    cluster.synced().await;
    assert_eq!(cluster.values("foo_size"), ["a v1 = 1"]);
    let served: Vec<bool> = cluster.ksm.status().iter().map(|status| status.not_served).collect();
    assert_eq!(served, [false, false], "the kind that is not there is no resource");
}

#[tokio::test]
async fn everything_ends_with_the_handle() {
    let sim = Sim::builder().objects([definition("example.com", &[("v1", true)])]).start().await.unwrap();
    let alive = Arc::new(());
    let watched = Arc::downgrade(&alive);
    let inner = sim.client();
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let (inner, _alive) = (inner.clone(), alive.clone());
        async move { inner.send(request).await }
    });
    let entries = [entry("example.com", "*", "*", "foo_size", "size")];
    let client = kube::Client::new(service, "default");
    let ksm = Ksm::builder().client(client).custom_resources(config(&entries)).spawn().unwrap();
    tokio::time::timeout(PATIENCE, ksm.synced()).await.unwrap();
    assert_eq!(ksm.resources(), ["foos.v1.example.com"]);
    drop(ksm);
    tokio::time::timeout(PATIENCE, async {
        while watched.upgrade().is_some() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn custom_resources_need_a_client_and_a_running_handle() {
    let entries = [entry("example.com", "*", "*", "foo_size", "size")];
    let error = Ksm::builder().custom_resources(config(&entries)).spawn().unwrap_err().to_string();
    assert!(error.contains("customresourcedefinitions"), "{error}");
    let ksm = Ksm::builder().spawn().unwrap();
    ksm.shutdown().await;
    assert_eq!(ksm.set_custom_resources(config(&entries)), Err(BuildError::Stopped));
}
