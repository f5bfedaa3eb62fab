//! The end of a writer → what becomes of its Lease.

use std::time::Duration;

use cluster_sim::{Deny, Fault, Sim, Verb};
use futures::future::BoxFuture;
use node_lease::source::Fixed;
use node_lease::{Fetched, MetadataSource, OnStop, SourceError, StopOutcome, WriterHandle, WriterState};
use tokio::time::{Instant, sleep, timeout};

use super::support::*;

fn start(sim: &Sim, pod: &str, on_stop: OnStop) -> WriterHandle {
    let writer = writer(sim, Fixed(machine("m")), "n", pod).start_jitter(Duration::ZERO).on_stop(on_stop);
    writer.build().unwrap().spawn().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_held_is_deleted_or_kept() {
    let sim = cluster(&["n"]).await;
    let handle = start(&sim, "pod-a", OnStop::Delete);
    held(&handle).await;
    assert_eq!(handle.shutdown().await, StopOutcome::Deleted);
    assert_eq!(lease(&sim, "n"), None);
    assert_eq!(handle.shutdown().await, StopOutcome::Deleted, "once more does no harm");
    assert_eq!(sim.requests().count(Verb::Delete, "leases"), 1);
    let handle = start(&sim, "pod-b", OnStop::Keep);
    held(&handle).await;
    assert_eq!(handle.shutdown().await, StopOutcome::Kept);
    assert_eq!(lease(&sim, "n").unwrap()["spec"]["holderIdentity"], "pod-b");
    // Nothing goes on.
    sim.requests().clear();
    sleep(10 * HOUR).await;
    assert_eq!(sim.requests().total(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_somebody_labelled_is_still_held() {
    let sim = cluster(&["n"]).await;
    let handle = start(&sim, "pod-a", OnStop::Delete);
    held(&handle).await;
    let mut changed = lease(&sim, "n").unwrap();
    changed["metadata"]["labels"]["team"] = "a".into();
    sim.update(changed).unwrap();
    assert_eq!(handle.shutdown().await, StopOutcome::Deleted);
    assert_eq!(lease(&sim, "n"), None);
}

#[tokio::test(start_paused = true)]
async fn in_a_rolling_update_the_successors_lease_stays() {
    for forbidden in [false, true] {
        let sim = cluster(&["n"]).await;
        if forbidden {
            sim.deny(Deny::everything().verb(Verb::Patch).resource("leases"));
        }
        let old = start(&sim, "pod-a", OnStop::Delete);
        held(&old).await;
        let new = start(&sim, "pod-b", OnStop::Delete);
        held(&new).await;
        assert_eq!(lease(&sim, "n").unwrap()["spec"]["holderIdentity"], "pod-b");
        assert_eq!(old.shutdown().await, StopOutcome::NotHeld);
        assert_eq!(lease(&sim, "n").unwrap()["spec"]["holderIdentity"], "pod-b");
        assert_eq!(new.shutdown().await, StopOutcome::Deleted);
    }
}

#[tokio::test(start_paused = true)]
async fn a_writer_whose_lease_was_taken_over_leaves_it_while_the_other_lives() {
    let sim = cluster(&["n"]).await;
    let old = start(&sim, "pod-a", OnStop::Delete);
    held(&old).await;
    let new = start(&sim, "pod-b", OnStop::Keep);
    held(&new).await;
    sleep(10 * HOUR).await;
    assert_eq!(old.status().state, WriterState::Superseded { by: "pod-b".to_owned() });
    assert_eq!(new.status().state, WriterState::Held);
    assert_eq!(lease(&sim, "n").unwrap()["spec"]["holderIdentity"], "pod-b");
    // The other one ends without a word; its Lease is taken back once it is not renewed.
    new.shutdown().await;
    sleep(4 * HOUR).await;
    assert_eq!(old.status().state, WriterState::Held);
    assert_eq!(lease(&sim, "n").unwrap()["spec"]["holderIdentity"], "pod-a");
    assert_eq!(old.shutdown().await, StopOutcome::Deleted);
}

#[tokio::test(start_paused = true)]
async fn a_failure_in_between_takes_no_lease_from_a_successor_and_forgets_none_that_is_held() {
    let sim = cluster(&["n"]).await;
    let old = start(&sim, "pod-a", OnStop::Delete);
    held(&old).await;
    let new = start(&sim, "pod-b", OnStop::Delete);
    held(&new).await;
    for status in [400, 422, 500] {
        sim.faults().add(Fault::on(Verb::Patch).resource("leases").status(status).count(2));
        sleep(2 * HOUR).await;
        assert_eq!(lease(&sim, "n").unwrap()["spec"]["holderIdentity"], "pod-b", "{status}");
    }
    assert_eq!(old.shutdown().await, StopOutcome::NotHeld);
    sim.faults().add(Fault::on(Verb::Patch).resource("leases").status(500));
    sleep(2 * HOUR).await;
    assert!(matches!(new.status().state, WriterState::Failing { .. }));
    assert_eq!(new.shutdown().await, StopOutcome::Deleted);
}

#[tokio::test(start_paused = true)]
async fn a_stop_is_bounded_whatever_hangs() {
    let hung = || Fault::on_any().resource("leases").latency(100 * HOUR);
    // A write hangs, and then the deletion too.
    let sim = cluster(&["n"]).await;
    let handle = start(&sim, "pod-a", OnStop::Delete);
    held(&handle).await;
    sim.faults().add(hung());
    sleep(HOUR + 7 * MINUTE).await;
    let began = Instant::now();
    assert_eq!(handle.shutdown().await, StopOutcome::NotDeleted);
    assert_eq!(began.elapsed(), 5 * SECOND);
    // The first write hangs: nobody knows whether there is a Lease.
    let sim = cluster(&["n"]).await;
    sim.faults().add(hung());
    let handle = start(&sim, "pod-a", OnStop::Delete);
    settle().await;
    let began = Instant::now();
    assert_eq!(handle.shutdown().await, StopOutcome::NotDeleted);
    assert_eq!(began.elapsed(), 5 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_first_write_whose_answer_is_lost_is_undone_too() {
    let sim = cluster(&["n"]).await;
    sim.faults().add(Fault::on(Verb::Patch).resource("leases").reset_mid_body());
    let handle = start(&sim, "pod-a", OnStop::Delete);
    until(&handle, |state| matches!(state, WriterState::Failing { .. })).await;
    assert_ne!(lease(&sim, "n"), None);
    assert_eq!(handle.shutdown().await, StopOutcome::Deleted);
    assert_eq!(lease(&sim, "n"), None);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_panics_ends_the_writer_and_hangs_nobody() {
    struct Panics;
    impl MetadataSource for Panics {
        fn name(&self) -> &'static str {
            "panics"
        }

        fn fetch(&self) -> BoxFuture<'_, Result<Fetched, SourceError>> {
            panic!("a source of the host's")
        }
    }
    let sim = cluster(&["n"]).await;
    let writer = writer(&sim, Panics, "n", "pod-a").build().unwrap();
    let handle = writer.spawn().unwrap();
    timeout(HOUR, handle.held()).await.unwrap();
    assert_eq!(handle.status().state, WriterState::Stopped(StopOutcome::NotDeleted));
    assert_eq!(timeout(HOUR, handle.shutdown()).await, Ok(StopOutcome::NotDeleted));
}

#[tokio::test(start_paused = true)]
async fn a_stop_before_the_first_request_asks_for_nothing() {
    let sim = cluster(&["n"]).await;
    let writer = writer(&sim, Fixed(machine("m")), "n", "pod-a").build().unwrap();
    let handle = writer.spawn().unwrap();
    assert_eq!(handle.shutdown().await, StopOutcome::NotHeld);
    assert_eq!(sim.requests().total(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_handle_that_is_dropped_ends_the_work_and_leaves_the_lease() {
    let sim = cluster(&["n"]).await;
    let handle = start(&sim, "pod-a", OnStop::Delete);
    held(&handle).await;
    let clone = handle.clone();
    drop(handle);
    sleep(2 * HOUR).await;
    assert_eq!(clone.status().state, WriterState::Held, "another handle keeps it");
    drop(clone);
    settle().await;
    sim.requests().clear();
    sleep(10 * HOUR).await;
    assert_eq!(sim.requests().total(), 0);
    assert_ne!(lease(&sim, "n"), None);
}
