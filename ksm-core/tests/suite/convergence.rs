//! Faults of an API server → the store shows exactly the server's objects again, and the server was not hammered.
//!
//! What the store should show is what all objects yield when each is listed and walked on its own.

use std::collections::BTreeSet;
use std::time::Duration;

use cluster_sim::churn::Churn;
use cluster_sim::population::{Population, PopulationSpec};
use cluster_sim::{Fault, Sim, Verb};
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use ksm_core::catalog::kinds;
use ksm_core::families::{BuiltinVisitor, for_each_builtin};
use ksm_core::render::sample_lines;
use ksm_core::resource::enabled_families;
use ksm_core::{Builtin, Format, KeyAllowList, Ksm, ListStrategy, Query, Settings, WatchOptions};
use kube::Client;
use kube::api::{Api, ListParams};

/// How long convergence may take at the most: far beyond what it takes, far below a test's patience.
const PATIENCE: Duration = Duration::from_mins(1);

struct Cluster {
    sim: Sim,
    churn: Churn,
    ksm: Ksm,
    client: Client,
}

fn options() -> WatchOptions {
    WatchOptions {
        page_size: 40,
        watch_seconds: 3,
        list_timeout: Duration::from_secs(3),
        min_backoff: Duration::from_millis(20),
        max_backoff: Duration::from_millis(500),
        ..WatchOptions::default()
    }
}

impl Cluster {
    async fn start(configure: impl FnOnce(WatchOptions) -> WatchOptions) -> Self {
        Self::start_with(configure, Settings::default()).await
    }

    async fn start_with(configure: impl FnOnce(WatchOptions) -> WatchOptions, settings: Settings) -> Self {
        let spec = PopulationSpec::new(6, 150);
        let population = Population::new(&spec);
        let sim = Sim::builder().objects(population.objects()).start().await.unwrap();
        let mut config = sim.kube_config();
        config.default_retry = false;
        let client = Client::try_from(config).unwrap();
        let ksm = Ksm::builder()
            .client(client.clone())
            .watch_options(configure(options()))
            .settings(settings)
            .resources(kinds().iter().map(|kind| kind.resource))
            .unwrap()
            .spawn()
            .unwrap();
        Self { churn: Churn::new(&population, 1), sim, ksm, client }
    }

    fn change(&mut self, events: u32) {
        for _ in 0..events {
            let mutations = self.churn.next(Timestamp::from_second(1_768_500_000).unwrap());
            self.sim.apply_mutations(mutations);
        }
    }

    fn shown(&self) -> BTreeSet<String> {
        samples(&self.ksm.exposition(&Query::default(), Format::Text).to_text())
    }

    /// Waits until the store shows what the server has.
    async fn converged(&self) {
        let wanted = wanted(&self.client, &Settings::default()).await;
        assert!(wanted.len() > 5_000, "there is something to compare: {}", wanted.len());
        let same = async {
            while self.shown() != wanted {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if tokio::time::timeout(PATIENCE, same).await.is_err() {
            let shown = self.shown();
            let missing: Vec<_> = wanted.difference(&shown).take(5).collect();
            let extra: Vec<_> = shown.difference(&wanted).take(5).collect();
            panic!("not converged\nmissing: {missing:#?}\nextra: {extra:#?}\nstatus: {:#?}", self.ksm.status());
        }
    }
}

/// Waits until it is so.
async fn eventually(what: &str, so: impl Fn() -> bool) {
    let waiting = async {
        while !so() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, waiting).await.is_ok(), "{what}");
}

fn samples(text: &str) -> BTreeSet<String> {
    text.split('\n').filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}

/// What every object on the server yields by itself.
async fn wanted(client: &Client, settings: &Settings) -> BTreeSet<String> {
    struct Collect<'a> {
        client: &'a Client,
        settings: &'a Settings,
        lists: Vec<BoxFuture<'a, Vec<String>>>,
    }

    impl BuiltinVisitor for Collect<'_> {
        fn visit<K: Builtin>(&mut self) {
            let (client, settings) = (self.client.clone(), self.settings.clone());
            self.lists.push(Box::pin(async move {
                let list = Api::<K>::all(client).list(&ListParams::default()).await.unwrap();
                let allow = settings.allow_lists(K::RESOURCE.name);
                let enabled = enabled_families(K::RESOURCE.families, &settings.families, &allow);
                list.items.iter().flat_map(|object| sample_lines(&K::RESOURCE, object, &enabled, &allow)).collect()
            }));
        }
    }

    let mut collect = Collect { client, settings, lists: Vec::new() };
    for_each_builtin(&mut collect);
    futures::future::join_all(collect.lists).await.into_iter().flatten().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_faults_all_churn_is_followed() {
    let mut cluster = Cluster::start(|options| options).await;
    cluster.ksm.synced().await;
    cluster.converged().await;
    cluster.change(500);
    cluster.converged().await;
    assert!(
        cluster.ksm.status().iter().all(|status| status.errors == 0 && status.lists == 1),
        "{:#?}",
        cluster.ksm.status()
    );
}

/// Adds a fault, lets the cluster change, takes the fault away, and waits for convergence.
async fn survives(name: &str, faults: impl IntoIterator<Item = Fault>) {
    let mut cluster = Cluster::start(|options| options).await;
    cluster.ksm.synced().await;
    let before = cluster.sim.requests().total();
    let ids: Vec<_> = faults.into_iter().map(|fault| cluster.sim.faults().add(fault)).collect();
    for _ in 0..10 {
        cluster.change(30);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let struck: u64 = ids.iter().map(|id| cluster.sim.faults().spoiled(*id)).sum();
    assert!(struck > 0, "{name}: the fault was met");
    cluster.sim.faults().clear();
    cluster.converged().await;
    let asked = cluster.sim.requests().total() - before;
    // 39 resources for some seconds, with back-offs from 20 ms to 500 ms: some hundred requests, never thousands.
    assert!(asked < 3_000, "{name}: {asked} requests");
}

macro_rules! survives {
    ($($name:ident: $($fault:expr),+;)+) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            survives(stringify!($name), [$($fault),+]).await;
        })+
    };
}

survives! {
    server_errors: Fault::on(Verb::Watch).share(0.5).status(500), Fault::on(Verb::List).share(0.3).status(503);
    too_many_requests: Fault::on_any().share(0.3).status(429).retry_after(1);
    resets_before_the_answer: Fault::on_any().share(0.4).reset_before();
    resets_in_the_middle_of_a_body: Fault::on_any().share(0.6).reset_mid_body();
    truncated_bodies: Fault::on_any().share(0.6).truncate();
    silent_watches: Fault::on(Verb::Watch).share(0.5).silent_watch();
    trickling_bodies: Fault::on_any().share(0.5).trickle(2_000, Duration::from_millis(50));
    stale_lists: Fault::on(Verb::Watch).share(0.3).status(410), Fault::on(Verb::List).stale_reads();
    latency: Fault::on_any().latency(Duration::from_millis(300));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compaction_and_restart() {
    for streaming in [false, true] {
        let strategy = if streaming { ListStrategy::Streaming } else { ListStrategy::Pages };
        let mut cluster = Cluster::start(|options| WatchOptions { strategy, ..options }).await;
        cluster.ksm.synced().await;
        for _ in 0..3 {
            // Watches break, events pass unseen, and the versions to resume from are gone.
            cluster.sim.faults().add(Fault::on(Verb::Watch).count(20).status(500));
            cluster.sim.restart();
            cluster.change(100);
            cluster.sim.compact_now();
        }
        cluster.sim.faults().clear();
        cluster.converged().await;
        let lists: u64 = cluster.ksm.status().iter().map(|status| status.lists).sum();
        assert!(lists > kinds().len() as u64, "somebody had to list anew: {lists}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_that_expire_while_pages_are_fetched() {
    let mut cluster = Cluster::start(|options| WatchOptions { page_size: 5, ..options }).await;
    for _ in 0..20 {
        cluster.change(5);
        cluster.sim.compact_now();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    cluster.ksm.synced().await;
    cluster.converged().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_streaming_lists() {
    let mut cluster = Cluster::start(|options| WatchOptions { strategy: ListStrategy::Streaming, ..options }).await;
    cluster.sim.set_streaming_lists(false);
    cluster.sim.restart();
    cluster.ksm.synced().await;
    cluster.change(50);
    cluster.sim.restart();
    cluster.sim.compact_now();
    cluster.change(50);
    cluster.converged().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_that_break_out_of_the_schema_cost_themselves() {
    let mut cluster = Cluster::start(|options| options).await;
    cluster.ksm.synced().await;
    let broken = |name: &str, part: serde_json::Value| {
        let mut pod = serde_json::json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"},
            "spec": {"containers": [{"name": "c"}]},
        });
        pod.as_object_mut().unwrap().extend(part.as_object().unwrap().clone());
        pod
    };
    let long = "v".repeat(300);
    let odd = [
        broken("numbers-for-text", serde_json::json!({"spec": {"nodeName": 7, "containers": []}})),
        broken("text-for-numbers", serde_json::json!({"spec": {"priority": "high", "containers": []}})),
        broken("null-for-a-list", serde_json::json!({"spec": {"containers": null}, "status": {"conditions": null}})),
        broken(
            "no-quantity",
            serde_json::json!({"spec": {"containers": [{"name": "c", "resources": {"limits": {"cpu": "lots", "memory": "1Gi"}}}]}}),
        ),
        broken("unknown-words", serde_json::json!({"status": {"phase": "Dreaming", "qosClass": "Gold"}})),
        broken("long-label", serde_json::json!({"spec": {"nodeName": long, "containers": []}})),
        broken(
            "big-annotation",
            serde_json::json!({"metadata": {
                "name": "big-annotation", "namespace": "default", "annotations": {"a": "x".repeat(20_000_000)},
            }}),
        ),
    ];
    for pod in odd {
        cluster.sim.upsert(pod).unwrap();
    }
    cluster.change(50);
    let shows = |what: &str| {
        let shown = cluster.shown();
        shown.iter().any(|line| line.contains(what))
    };
    eventually("the last odd pod is seen", || shows("pod=\"big-annotation\"")).await;
    let skipped = |cluster: &Cluster| {
        cluster.ksm.status().iter().find(|status| status.resource == "pods").map_or(0, |status| status.skipped)
    };
    assert_eq!(skipped(&cluster), 2, "numbers for text, and text for numbers");
    assert!(shows("pod=\"null-for-a-list\"") && shows("pod=\"unknown-words\"") && shows(&long));
    let shown = cluster.shown();
    let limits: Vec<_> = shown
        .iter()
        .filter(|line| line.starts_with("kube_pod_container_resource_limits{namespace=\"default\",pod=\"no-quantity\""))
        .collect();
    assert_eq!(limits.len(), 1, "the other limit is kept: {limits:?}");

    // The same when they come by a list.
    // A change passes unseen, so that the watch can't go on: a bookmark may have told it of all before.
    let unseen = cluster.sim.faults().add(Fault::on(Verb::Watch).status(500));
    cluster.sim.restart();
    cluster.sim.upsert(broken("unseen", serde_json::json!({}))).unwrap();
    cluster.sim.compact_now();
    cluster.sim.faults().remove(unseen);
    eventually("the pods are listed anew", || skipped(&cluster) >= 4).await;
    assert!(shows("pod=\"null-for-a-list\"") && shows("pod=\"big-annotation\""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scopes_and_allowlists_change_without_a_touch_on_the_rest() {
    let cluster = Cluster::start(|options| options).await;
    cluster.ksm.synced().await;
    let lists = |cluster: &Cluster, resource: &str| cluster.sim.requests().count(Verb::List, resource);
    let (pods, services) = (lists(&cluster, "pods"), lists(&cluster, "services"));
    let labels = KeyAllowList::everything();
    let settings = Settings { labels: [("pods".to_owned(), labels)].into(), ..Settings::default() };
    assert_eq!(cluster.ksm.reconfigure(&settings).relisted, ["pods"]);
    let wanted = wanted(&cluster.client, &settings).await;
    eventually("pods have their labels", || cluster.shown() == wanted).await;
    assert!(lists(&cluster, "pods") > pods);
    assert_eq!(lists(&cluster, "services"), services + 1, "only this test asked for services");

    let namespaces: BTreeSet<String> = Api::<Pod>::all(cluster.client.clone())
        .list(&ListParams::default())
        .await
        .unwrap()
        .items
        .into_iter()
        .filter_map(|pod| pod.metadata.namespace)
        .collect();
    let two: Vec<String> = namespaces.into_iter().take(2).collect();
    let scoped = Settings { namespaces: two.clone(), ..settings };
    assert!(!cluster.ksm.reconfigure(&scoped).relisted.contains(&"nodes".to_owned()));
    eventually("only pods of two namespaces are shown", || {
        let shown = cluster.shown();
        let mut pods = shown.iter().filter(|line| line.starts_with("kube_pod_info{")).peekable();
        let inside = |line: &String| two.iter().any(|name| line.contains(&format!("namespace=\"{name}\"")));
        pods.peek().is_some() && cluster.ksm.is_synced() && pods.all(inside)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_never_see_part_of_the_cluster() {
    let mut cluster = Cluster::start(|options| WatchOptions { page_size: 10, ..options }).await;
    cluster.ksm.synced().await;
    let count = |cluster: &Cluster| {
        let text = cluster.ksm.exposition(&Query { resources: vec!["pods".into()], ..Query::default() }, Format::Text);
        text.to_text().matches("\nkube_pod_info{").count()
    };
    let full = count(&cluster);
    for _ in 0..5 {
        cluster.sim.restart();
        cluster.change(1);
        cluster.sim.compact_now();
        for _ in 0..50 {
            let seen = count(&cluster);
            assert!(seen.abs_diff(full) < 20, "{seen} of {full} pods are seen");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}
