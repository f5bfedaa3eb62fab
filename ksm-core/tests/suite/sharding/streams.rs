//! A host's stream is filtered, too; and when objects leave. Time is paused: it is exact.

use std::sync::Arc;
use std::time::Duration;

use futures::channel::mpsc::{UnboundedSender, unbounded};
use k8s_openapi::api::core::v1::Namespace;
use ksm_core::{Change, Handover, Ksm, ObjectKey, ResourceBuilder, Shard, Sharding};
use kube::runtime::watcher::Event;
use parking_lot::Mutex;
use serde_json::json;

use super::cluster::{lines, shard};

type Events = UnboundedSender<Result<Event<Namespace>, String>>;
type Moved = Arc<Mutex<Vec<ObjectKey>>>;

/// By the table of hashes, the first two are on shard 0 of 2, the others on shard 1.
const UIDS: [&str; 4] = ["abc-1", "abc-6", "abc-3", "abc-4"];

fn namespace(uid: &str) -> Namespace {
    serde_json::from_value(json!({"metadata": {"name": uid, "uid": uid}, "status": {"phase": "Active"}})).unwrap()
}

fn list(events: &Events) {
    events.unbounded_send(Ok(Event::Init)).unwrap();
    for uid in UIDS {
        events.unbounded_send(Ok(Event::InitApply(namespace(uid)))).unwrap();
    }
    events.unbounded_send(Ok(Event::InitDone)).unwrap();
}

fn fed(shard: Shard) -> (Events, Ksm, Moved) {
    let (events, stream) = unbounded();
    let moved = Moved::default();
    let notes = moved.clone();
    let resource = ResourceBuilder::<Namespace>::builtin().stream(stream).on_change(move |change| {
        if let Change::Moved(key) = change {
            notes.lock().push(*key);
        }
    });
    let ksm = Ksm::builder().sharding(Sharding::new(shard)).resource(resource).spawn().unwrap();
    list(&events);
    (events, ksm, moved)
}

fn shown(ksm: &Ksm) -> Vec<&'static str> {
    let lines = lines([ksm]);
    let is = |uid: &&str| lines.iter().any(|line| line.contains(&format!("namespace=\"{uid}\",phase=\"Active\"}} 1")));
    UIDS.into_iter().filter(is).collect()
}

/// Lets the other tasks run, at the same time.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_loses_lets_go_when_the_handover_time_is_over() {
    let (events, ksm, moved) = fed(Shard::ALL);
    ksm.synced().await;
    assert_eq!(shown(&ksm), UIDS);
    let resharding = ksm.reshard(shard(0, 2)).unwrap();
    assert_eq!(resharding.acquired().await, Handover::Done);
    tokio::time::sleep(Duration::from_millis(29_900)).await;
    settle().await;
    // Events of both parts count until then.
    events.unbounded_send(Ok(Event::Delete(namespace("abc-4")))).unwrap();
    settle().await;
    assert_eq!(shown(&ksm), UIDS[..3]);
    assert!(moved.lock().is_empty());
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(resharding.released().await, Handover::Done);
    assert_eq!(shown(&ksm), UIDS[..2]);
    assert_eq!(*moved.lock(), [ObjectKey::from_uid("abc-3")], "the host is told what went elsewhere");
    events.unbounded_send(Ok(Event::Apply(namespace("abc-3")))).unwrap();
    settle().await;
    assert_eq!((shown(&ksm), ksm.status()[0].not_owned), (UIDS[..2].to_vec(), 1));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_misses_objects_keeps_the_old_ones_until_its_next_list() {
    let (events, ksm, _) = fed(shard(0, 2));
    ksm.synced().await;
    assert_eq!(shown(&ksm), UIDS[..2]);
    let resharding = ksm.reshard(shard(1, 2)).unwrap();
    tokio::time::sleep(Duration::from_hours(10)).await;
    events.unbounded_send(Ok(Event::Apply(namespace("abc-3")))).unwrap();
    settle().await;
    assert_eq!(shown(&ksm), UIDS[..3], "a new one comes with its event");
    list(&events);
    assert_eq!(resharding.acquired().await, Handover::Done);
    assert_eq!(shown(&ksm), UIDS);
    assert_eq!(resharding.released().await, Handover::Done);
    assert_eq!(shown(&ksm), UIDS[2..]);
}

#[tokio::test(start_paused = true)]
async fn a_list_that_began_before_is_none_of_the_new_part() {
    let (events, ksm, _) = fed(shard(0, 2));
    ksm.synced().await;
    events.unbounded_send(Ok(Event::Init)).unwrap();
    for uid in &UIDS[..3] {
        events.unbounded_send(Ok(Event::InitApply(namespace(uid)))).unwrap();
    }
    settle().await;
    let resharding = ksm.reshard(shard(1, 2)).unwrap();
    settle().await;
    events.unbounded_send(Ok(Event::InitApply(namespace(UIDS[3])))).unwrap();
    events.unbounded_send(Ok(Event::InitDone)).unwrap();
    tokio::time::sleep(Duration::from_hours(1)).await;
    settle().await;
    assert_eq!(shown(&ksm), ["abc-1", "abc-6", "abc-4"], "abc-3 was passed by, so what was here stays");
    list(&events);
    assert_eq!(resharding.released().await, Handover::Done);
    assert_eq!(shown(&ksm), UIDS[2..]);
}
