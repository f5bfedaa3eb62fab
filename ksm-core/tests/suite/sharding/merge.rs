//! What is missing is listed beside the running watch → what the watch tells meanwhile wins.

use ksm_core::{Handover, Ksm};

use super::cluster::{lines, shard, sharding, soon, until};
use super::script::{event, object, script};

/// By the table of hashes: on shard 1 of 2.
const FOREIGN: [&str; 4] = ["abc-3", "abc-4", "abc-8", "abc-9"];
/// On shard 0 of 2.
const OURS: &str = "abc-1";

fn shows(ksm: &Ksm, name: &str, phase: &str) -> bool {
    let line = format!("kube_namespace_status_phase{{namespace=\"{name}\",phase=\"{phase}\"}} 1");
    lines([ksm]).contains(&line)
}

#[tokio::test]
async fn what_the_watch_has_told_wins_over_an_older_list() {
    let (client, mut script) = script();
    let builder = Ksm::builder().client(client).sharding(sharding(shard(0, 2)));
    let ksm = builder.resources(["namespaces"]).unwrap().spawn().unwrap();
    let [changed, deleted, unread, untouched] = FOREIGN;
    let items = |names: &[&str]| names.iter().map(|name| object(name, 5, "Active")).collect::<Vec<_>>();
    script.next().await.list(5, &items(&[OURS, changed, deleted, unread, untouched]), "");
    let watch = script.next().await;
    assert!(watch.uri.contains("watch=") && watch.uri.contains("resourceVersion=5"), "{}", watch.uri);
    let watch = watch.stream();
    ksm.synced().await;
    // A foreign event moves the version on, nothing else.
    watch.unbounded_send(event("MODIFIED", &object(untouched, 7, "Active"))).unwrap();
    until("it has passed", || ksm.status()[0].not_owned == 5).await;
    assert_eq!(lines([&ksm]).iter().filter(|line| line.contains("phase=\"Active\"")).count(), 1);

    let resharding = ksm.reshard(shard(1, 2)).unwrap();
    let missing = script.next().await;
    let wanted = ["resourceVersion=7", "resourceVersionMatch=NotOlderThan", "limit=150"];
    assert!(wanted.iter().all(|part| missing.uri.contains(part)), "{}", missing.uri);
    // While the list is under way, the watch goes on.
    watch.unbounded_send(event("MODIFIED", &object(changed, 8, "Terminating"))).unwrap();
    watch.unbounded_send(event("DELETED", &object(deleted, 9, "Active"))).unwrap();
    watch.unbounded_send(event("MODIFIED", &object(unread, 10, "Active").replace("\"Active\"", "7"))).unwrap();
    watch.unbounded_send(event("MODIFIED", &object(OURS, 11, "Terminating"))).unwrap();
    until("the watch has told", || shows(&ksm, OURS, "Terminating")).await;
    assert!(shows(&ksm, changed, "Terminating"));
    missing.list(7, &items(&[OURS, changed]), "more");
    let missing = script.next().await;
    assert!(missing.uri.contains("continue=more"), "{}", missing.uri);
    missing.list(7, &items(&[deleted, unread, untouched]), "");
    assert_eq!(soon("acquired", || {}, resharding.acquired()).await, Handover::Done);
    assert!(shows(&ksm, changed, "Terminating") && !shows(&ksm, changed, "Active"), "the newer state stays");
    assert!(!shows(&ksm, deleted, "Active"), "what is gone does not come back");
    assert!(!shows(&ksm, unread, "Active"), "nor what could not be read");
    assert!(shows(&ksm, untouched, "Active"), "what was missing is here");
    assert!(shows(&ksm, OURS, "Terminating"), "and what was here, until it is let go");
    resharding.release();
    soon("released", || {}, resharding.released()).await;
    assert!(!shows(&ksm, OURS, "Terminating") && shows(&ksm, changed, "Terminating"));
    // Afterwards a deletion is a deletion again, and an addition one.
    watch.unbounded_send(event("DELETED", &object(untouched, 13, "Active"))).unwrap();
    watch.unbounded_send(event("ADDED", &object(deleted, 14, "Active"))).unwrap();
    until("the watch goes on", || !shows(&ksm, untouched, "Active") && shows(&ksm, deleted, "Active")).await;
}
