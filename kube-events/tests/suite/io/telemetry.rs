//! The table of metrics → what is recorded, and what the README says.

use cluster_sim::Fault;
use futures::StreamExt;
use kube_events::checkpoint::{ConfigMap, Progress, SaveOptions};
use kube_events::leader::{Candidate, Timing};
use kube_events::object::{ObjectSource, Objects, Omitted};
use kube_events::source::{EventSource, SourceItem};
use kube_events::telemetry;
use tokio::time::{sleep, timeout};

use super::support::*;

#[test]
fn the_readme_has_the_table() {
    let readme = include_str!("../../../README.md");
    for (name, kind, labels, help) in telemetry::METRICS {
        let row = format!("| `{name}` | {kind} | {labels} | {help} |");
        assert!(readme.contains(&row), "the README lacks this row:\n{row}");
    }
    let rows = readme.lines().filter(|line| line.contains("| counter |") || line.contains("| gauge |")).count();
    assert_eq!(rows, telemetry::METRICS.len(), "the README has rows of metrics that are gone");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_recorded_under_a_name_that_the_table_lacks() {
    let recorded = Recorded::default();
    let _recording = metrics::set_default_local_recorder(&recorded);
    telemetry::describe();
    let mut described: Vec<String> = recorded.0.lock().keys().cloned().collect();
    described.retain(|name| !name.starts_with("build_info version="));
    let mut table: Vec<&str> = telemetry::METRICS.iter().map(|(name, ..)| *name).collect();
    table.sort_unstable();
    assert_eq!(described, table, "each is described");
    assert_eq!(recorded.get(&format!("build_info version={}", env!("CARGO_PKG_VERSION"))), 1);

    // A bit of everything, with failures.
    let sim = cluster().await;
    sim.faults().add(Fault::on_any().share(0.5).status(503));
    let client = || sim.client_in_memory();
    let candidate = Candidate::spawn_with(client(), NAMESPACE, "l", "a", Timing::default(), clock(&sim)).unwrap();
    timeout(HOUR, candidate.leading()).await.unwrap();
    let mut source = EventSource::builder(client()).clock(clock(&sim)).spawn();
    let (objects, progress) = (Objects::builder(client()).build(), Progress::new(source.api(), 10));
    for n in 0..20 {
        happen(&sim, &format!("e{n}"));
        sleep(SECOND).await;
        objects.look_up(&involved(&format!("p{n}"), "1")).await;
    }
    Omitted.look_up(&involved("a", "1")).await;
    let _ = timeout(MINUTE, async {
        while let Some(item) = source.next().await {
            if let SourceItem::Event { position, .. } = item {
                let ticket = progress.begin(&position, 1).await;
                progress.acknowledge(&ticket);
                telemetry::event_sent();
            }
        }
    })
    .await;
    let checkpoint = ConfigMap::new(client(), NAMESPACE, "events");
    // Half of the requests fail: the last write may be one of them.
    let _ = progress.save(&checkpoint, &SaveOptions::default(), sleep(MINUTE)).await;
    let stored = |result| recorded.get(&format!("kube_events_checkpoint_stores_total result={result}"));
    assert!(stored("success") > 0, "within a minute");
    candidate.shutdown().await;
    let names = recorded.0.lock().keys().cloned().collect::<Vec<_>>();
    for name in &names {
        assert!(table.contains(&name.split(' ').next().unwrap()), "{name}");
    }
    for name in ["events_sent", "watch_errors", "kube_api_read_cache_misses"] {
        assert!(recorded.get(name) > 0, "{name}");
    }
}
