//! A simulated cluster that changes, and the instances that watch it.

use std::collections::BTreeSet;
use std::time::Duration;

use cluster_sim::churn::Churn;
use cluster_sim::population::{Population, PopulationSpec};
use cluster_sim::{Sim, Verb};
use k8s_openapi::jiff::Timestamp;
use ksm_core::{Format, Ksm, Query, Shard, Sharding, WatchOptions};
use kube::Client;
use serde_json::json;

/// How long something may take at the most: far beyond what it takes.
const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) const RESOURCES: [&str; 6] = ["pods", "replicasets", "deployments", "jobs", "nodes", "namespaces"];

pub(crate) struct Cluster {
    pub(crate) sim: Sim,
    churn: Churn,
}

pub(crate) fn shard(ordinal: u32, total: u32) -> Shard {
    Shard::new(ordinal, total).unwrap()
}

pub(crate) fn options() -> WatchOptions {
    WatchOptions {
        page_size: 20,
        min_backoff: Duration::from_millis(20),
        max_backoff: Duration::from_millis(200),
        ..WatchOptions::default()
    }
}

/// Objects stay until the test lets them go.
pub(crate) fn sharding(shard: Shard) -> Sharding {
    Sharding::new(shard).handover(Duration::from_hours(1))
}

impl Cluster {
    pub(crate) async fn start() -> Self {
        let population = Population::new(&PopulationSpec::new(5, 120));
        let sim = Sim::builder().objects(population.objects()).start().await.unwrap();
        for number in 0..60 {
            sim.upsert(steady(number)).unwrap();
        }
        Self { churn: Churn::new(&population, 1), sim }
    }

    pub(crate) fn client(&self) -> Client {
        let mut config = self.sim.kube_config();
        config.default_retry = false;
        Client::try_from(config).unwrap()
    }

    /// An instance that watches the cluster, without the others' connections.
    pub(crate) fn instance(&self, sharding: Option<Sharding>) -> Ksm {
        let mut builder = Ksm::builder().client(self.client()).watch_options(options());
        if let Some(sharding) = sharding {
            builder = builder.sharding(sharding);
        }
        builder.resources(RESOURCES).unwrap().spawn().unwrap()
    }

    pub(crate) fn change(&mut self, events: u32) {
        for _ in 0..events {
            let mutations = self.churn.next(Timestamp::from_second(1_768_500_000).unwrap());
            self.sim.apply_mutations(mutations);
        }
    }

    pub(crate) fn asked(&self, verb: Verb) -> u64 {
        RESOURCES.iter().map(|resource| self.sim.requests().count(verb, resource)).sum()
    }
}

/// A pod that nothing touches.
fn steady(number: u32) -> serde_json::Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": format!("steady-{number}"), "namespace": format!("steady-{}", number % 7)},
        "spec": {"containers": [{"name": "c"}], "nodeName": "nowhere"},
        "status": {"phase": "Running"},
    })
}

/// The sample lines of some instances, one after the other, sorted: what is on two shards is here twice.
pub(crate) fn lines<'a>(instances: impl IntoIterator<Item = &'a Ksm>) -> Vec<String> {
    let text = |ksm: &Ksm| ksm.exposition(&Query::default(), Format::Text).to_text();
    let mut lines: Vec<String> = Vec::new();
    for text in instances.into_iter().map(text) {
        lines.extend(text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned));
    }
    lines.sort_unstable();
    lines
}

pub(crate) fn union<'a>(instances: impl IntoIterator<Item = &'a Ksm>) -> BTreeSet<String> {
    lines(instances).into_iter().collect()
}

/// The lines of pods that nothing touches.
pub(crate) fn steady_lines<'a>(instances: impl IntoIterator<Item = &'a Ksm>) -> BTreeSet<String> {
    union(instances).into_iter().filter(|line| line.contains("pod=\"steady-")).collect()
}

/// Waits until it is so; meanwhile `look` is called again and again, between any two steps of the instances.
pub(crate) async fn until_looking(what: &str, mut look: impl FnMut(), so: impl Fn() -> bool) {
    let waiting = async {
        while !so() {
            look();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        look();
    };
    assert!(tokio::time::timeout(PATIENCE, waiting).await.is_ok(), "{what}");
}

pub(crate) async fn until(what: &str, so: impl Fn() -> bool) {
    until_looking(what, || {}, so).await;
}

/// Waits for something that must come, looking meanwhile.
pub(crate) async fn soon<T>(what: &str, mut look: impl FnMut(), outcome: impl Future<Output = T>) -> T {
    let mut outcome = std::pin::pin!(outcome);
    let waiting = async {
        loop {
            look();
            tokio::select! {
                outcome = &mut outcome => return outcome,
                () = tokio::time::sleep(Duration::from_millis(1)) => {}
            }
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("not in time: {what}"))
}
