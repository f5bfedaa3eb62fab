//! Crashes, conflicts and outages → what is kept of positions, and what is told again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cluster_sim::{Fault, ObjectRef, Sim, Verb};
use futures::StreamExt;
use kube_events::checkpoint::{
    Checkpoint, CheckpointError, ConfigMap, EventsApi, File, LeaseAnnotation, Mark, Marks, Memory, Position, Progress,
    SaveOptions,
};
use kube_events::source::{EventSource, Resume, SourceItem};
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

use super::support::*;

fn marks(version: u64) -> Marks {
    let mark = Mark { resource_version: version.to_string(), last_event: None };
    Marks { api: EventsApi::Core, marks: [(String::new(), mark)].into() }
}

fn position(version: u64) -> Position {
    Position { partition: "".into(), resource_version: Some(version.to_string().into()), time: None }
}

fn object(sim: &Sim) -> Option<Value> {
    sim.get(&ObjectRef::new("v1", "ConfigMap", "events").within(NAMESPACE)).unwrap()
}

fn config_map(sim: &Sim) -> ConfigMap {
    ConfigMap::new(sim.client_in_memory(), NAMESPACE, "events")
}

#[tokio::test(start_paused = true)]
async fn a_config_map_keeps_marks_beside_what_else_it_has() {
    let sim = cluster().await;
    assert_eq!(config_map(&sim).load().await.unwrap(), None);
    let mine = config_map(&sim);
    mine.store(&marks(1)).await.unwrap();
    mine.store(&marks(2)).await.unwrap();
    assert_eq!(config_map(&sim).load().await.unwrap(), Some(marks(2)));
    assert_eq!(sim.requests().count(Verb::Create, "configmaps"), 1);
    // Somebody else's key, and labels, stay.
    let mut other = object(&sim).unwrap();
    other["data"]["other"] = json!("x");
    other["metadata"]["labels"] = json!({"a": "b"});
    sim.upsert(other).unwrap();
    mine.store(&marks(3)).await.unwrap();
    let stored = object(&sim).unwrap();
    assert_eq!((&stored["data"]["other"], &stored["metadata"]["labels"]["a"]), (&json!("x"), &json!("b")));
    assert_eq!(mine.load().await.unwrap(), Some(marks(3)));
    let key = ConfigMap::new(sim.client_in_memory(), NAMESPACE, "events").key("mine");
    assert_eq!(key.load().await.unwrap(), None);
    key.store(&marks(9)).await.unwrap();
    assert_eq!(mine.load().await.unwrap(), Some(marks(3)));
}

#[tokio::test(start_paused = true)]
async fn others_who_write_are_noticed_and_written_over() {
    let recorded = Recorded::default();
    let _recording = metrics::set_default_local_recorder(&recorded);
    let sim = cluster().await;
    let (a, b) = (config_map(&sim), config_map(&sim));
    a.store(&marks(1)).await.unwrap();
    b.store(&marks(2)).await.unwrap();
    assert_eq!(recorded.get("kube_events_checkpoint_stores_total result=conflict"), 1, "b thought that there is none");
    a.store(&marks(3)).await.unwrap();
    assert_eq!(recorded.get("kube_events_checkpoint_stores_total result=conflict"), 2);
    assert_eq!(a.load().await.unwrap(), Some(marks(3)));
    // It is deleted, and comes back.
    sim.delete(&ObjectRef::new("v1", "ConfigMap", "events").within(NAMESPACE)).unwrap();
    a.store(&marks(4)).await.unwrap();
    assert_eq!(b.load().await.unwrap(), Some(marks(4)));
    sim.faults().add(Fault::on(Verb::Patch).resource("configmaps").status(409));
    assert!(matches!(a.store(&marks(5)).await, Err(CheckpointError::Contended { .. })));
    sim.faults().clear();
    let mut broken = object(&sim).unwrap();
    broken["data"]["position.json"] = json!("{");
    sim.upsert(broken).unwrap();
    let error = a.load().await.unwrap_err();
    assert!(error.is_lost() && error.to_string().contains("ConfigMap web/events"), "{error}");
    a.store(&marks(6)).await.unwrap();
    assert_eq!(a.load().await.unwrap(), Some(marks(6)));
}

#[tokio::test(start_paused = true)]
async fn get_patch_and_create_are_enough() {
    const AGENT: &str = "system:serviceaccount:web:events";
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
    "metadata": {"name": "events", "namespace": NAMESPACE},
    "rules": [
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["create"]},
        {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["events"], "verbs": ["get", "patch"]},
    ]});
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": "events", "namespace": NAMESPACE},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "events"},
        "subjects": [{"kind": "ServiceAccount", "name": "events", "namespace": "web"}]});
    let sim = Sim::builder().rbac(true).objects([namespace(NAMESPACE), role, binding]).start().await.unwrap();
    let mine = ConfigMap::new(sim.client_in_memory_as(AGENT), NAMESPACE, "events");
    assert_eq!(mine.load().await.unwrap(), None);
    mine.store(&marks(1)).await.unwrap();
    mine.store(&marks(2)).await.unwrap();
    assert!(sim.requests().rights_refused(AGENT).is_empty());
    assert_eq!(sim.requests().rights_used(AGENT), sim.rights_granted(AGENT));
}

#[tokio::test(start_paused = true)]
async fn writes_keep_to_a_pace_and_the_last_one_is_made() {
    let sim = cluster().await;
    let checkpoint = Arc::new(config_map(&sim));
    let progress = Progress::new(EventsApi::Core, 100);
    let (stop, stopped) = oneshot::channel::<()>();
    let saving = tokio::spawn({
        let (progress, checkpoint) = (progress.clone(), checkpoint.clone());
        async move {
            let stop = async { drop(stopped.await) };
            progress.save(&checkpoint, &SaveOptions::default(), stop).await
        }
    });
    sleep(MINUTE).await;
    assert_eq!(sim.requests().total(), 0, "nothing to keep");
    for n in 1..=600 {
        let ticket = progress.begin(&position(n), 1).await;
        sleep(Duration::from_millis(100)).await;
        progress.acknowledge(&ticket);
    }
    let writes = sim.requests().count(Verb::Patch, "configmaps") + sim.requests().count(Verb::Create, "configmaps");
    assert!((12..=14).contains(&writes), "one in 5 s: {writes}");
    stop.send(()).unwrap();
    saving.await.unwrap().unwrap();
    assert_eq!(checkpoint.load().await.unwrap(), Some(marks(600)));
}

#[tokio::test(start_paused = true)]
async fn failures_are_tried_again_with_what_is_newest() {
    let recorded = Recorded::default();
    let _recording = metrics::set_default_local_recorder(&recorded);
    let sim = cluster().await;
    let off = sim.faults().add(Fault::on_any().resource("configmaps").status(503));
    let checkpoint = Arc::new(config_map(&sim));
    // It can't be loaded either, and that is waited for.
    let loading = tokio::spawn({
        let checkpoint = checkpoint.clone();
        async move { Resume::load(&checkpoint).await }
    });
    let progress = Progress::new(EventsApi::Core, 100);
    let saving = tokio::spawn({
        let (progress, checkpoint) = (progress.clone(), checkpoint.clone());
        async move { progress.save(&checkpoint, &SaveOptions::default(), std::future::pending()).await }
    });
    progress.begin(&position(1), 0).await;
    sleep(HOUR).await;
    assert!(!loading.is_finished());
    let attempts = recorded.get("kube_events_checkpoint_stores_total result=failure");
    assert!((50..=90).contains(&attempts), "{attempts}");
    progress.begin(&position(2), 0).await;
    sim.faults().remove(off);
    sleep(2 * MINUTE).await;
    assert_eq!(config_map(&sim).load().await.unwrap(), Some(marks(2)));
    assert!(matches!(loading.await.unwrap(), Resume::Fresh | Resume::From(_)));
    saving.abort();
    // The last write is bounded in time.
    sim.faults().add(Fault::on_any().resource("configmaps").latency(HOUR));
    progress.begin(&position(3), 0).await;
    let began = Instant::now();
    assert!(progress.save(&checkpoint, &SaveOptions::default(), async {}).await.is_err());
    assert_eq!(began.elapsed(), 5 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_is_too_far_ahead_waits_for_its_sinks() {
    let progress = Progress::new(EventsApi::Core, 2);
    let first = progress.begin(&position(1), 1).await;
    progress.begin(&position(2), 1).await;
    assert!(progress.try_begin(&position(3), 1).is_err());
    let waiting = tokio::spawn({
        let progress = progress.clone();
        async move { progress.begin(&position(3), 1).await }
    });
    sleep(HOUR).await;
    assert!(!waiting.is_finished());
    progress.acknowledge(&first);
    timeout(SECOND, waiting).await.unwrap().unwrap();
    assert_eq!(progress.waiting(), 2);
}

/// Events come in all the time. The process crashes at any moment, or stops, or is cut off; its sinks acknowledge in any
/// order. No event is lost, and what is told again is what was not kept.
#[tokio::test(start_paused = true)]
async fn at_least_once_through_any_restarts() {
    for seed in 0..4 {
        let mut dice = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
        let sim = cluster().await;
        let directory = tempfile::tempdir().unwrap();
        let checkpoint: Arc<dyn Checkpoint> = match seed {
            0 => Arc::new(Memory::default()),
            1 => Arc::new(File::new(directory.path().join("position.json"))),
            2 => Arc::new(config_map(&sim)),
            _ => Arc::new(LeaseAnnotation::new(sim.client_in_memory(), NAMESPACE, "events")),
        };
        sim.faults().add(Fault::on(Verb::Watch).resource("events").share(0.3).reset_mid_body());
        let mut dealt_with: BTreeMap<String, u32> = BTreeMap::new();
        let (mut happened, mut repeated, mut restarts) = (0, 0, 0);
        happen(&sim, "e0");
        // A disk takes its time, of which none passes here.
        while restarts < if seed == 1 { 8 } else { 25 } {
            restarts += 1;
            let resume = Resume::load(&checkpoint).await;
            let mut source =
                EventSource::builder(sim.client_in_memory()).clock(clock(&sim)).resume(resume.clone()).spawn();
            let progress = Progress::new(source.api(), 50);
            progress.resume(resume.marks());
            let (stop, stopped) = oneshot::channel::<()>();
            let saving = tokio::spawn({
                let (progress, checkpoint) = (progress.clone(), checkpoint.clone());
                let stop = async { drop(stopped.await) };
                async move { progress.save(&checkpoint, &SaveOptions::default(), stop).await }
            });
            let mut open = Vec::new();
            let end = Instant::now() + Duration::from_millis(dice.random_range(2000..20_000));
            while Instant::now() < end {
                happened += 1;
                happen(&sim, &format!("e{happened}"));
                let rest = Duration::from_millis(dice.random_range(10..300));
                while let Ok(Some(item)) = timeout(rest, source.next()).await {
                    match item {
                        SourceItem::Event { event, position } => {
                            open.push((progress.try_begin(&position, 1).unwrap(), event.message.clone()));
                        }
                        SourceItem::Bookmark(position) => drop(progress.begin(&position, 0).await),
                        SourceItem::Gap(gap) => panic!("seed {seed}: {gap}"),
                        _ => {}
                    }
                    // Sinks deal with some of them, in any order, and are never more than 20 behind.
                    while !open.is_empty() && (open.len() > 20 || dice.random_bool(0.6)) {
                        let (ticket, message) = open.swap_remove(dice.random_range(0..open.len()));
                        let times = dealt_with.entry(message).or_default();
                        *times += 1;
                        repeated += u32::from(*times > 1);
                        progress.acknowledge(&ticket);
                    }
                }
            }
            if dice.random_bool(0.5) {
                // A crash.
                saving.abort();
            } else {
                source.shutdown().await;
                stop.send(()).unwrap();
                saving.await.unwrap().unwrap();
            }
        }
        let mut source = EventSource::builder(sim.client_in_memory())
            .clock(clock(&sim))
            .resume(Resume::load(&checkpoint).await)
            .spawn();
        let _ = timeout(MINUTE, async {
            while let Some(item) = source.next().await {
                if let SourceItem::Event { event, .. } = item {
                    *dealt_with.entry(event.message.clone()).or_default() += 1;
                }
            }
        })
        .await;
        let lost: Vec<_> = (1..=happened).map(|n| format!("e{n}")).filter(|e| !dealt_with.contains_key(e)).collect();
        assert!(lost.is_empty(), "seed {seed}: {lost:?} of {happened}");
        // 5 s of events between two writes, and those that waited: some 50 per crash.
        assert!(repeated > 0 && repeated <= restarts * 60, "seed {seed}: {repeated}");
    }
}
