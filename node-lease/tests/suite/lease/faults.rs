//! What goes wrong → what the writer asks next, and when.

use std::time::Duration;

use cluster_sim::{Deny, Fault, Sim, Verb};
use jiff::SignedDuration;
use node_lease::source::Fixed;
use node_lease::writer::Mode;
use node_lease::{WriterHandle, WriterState};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::support::*;

/// A writer of node `n` that begins at once.
fn start(sim: &Sim) -> WriterHandle {
    let writer = writer(sim, Fixed(machine("m")), "n", "pod-a").start_jitter(Duration::ZERO);
    writer.build().unwrap().spawn().unwrap()
}

/// What was asked of Leases: verb and status.
fn asked(sim: &Sim) -> Vec<(Verb, u16)> {
    let about_leases = sim.requests().newest().into_iter().filter(|request| request.resource == "leases");
    about_leases.map(|request| (request.verb, request.status.unwrap_or_default())).collect()
}

/// When Leases were asked for.
fn times(sim: &Sim) -> Vec<Instant> {
    let about_leases = sim.requests().newest().into_iter().filter(|request| request.resource == "leases");
    about_leases.map(|request| request.at).collect()
}

#[tokio::test(start_paused = true)]
async fn where_patch_is_forbidden_it_creates_and_updates() {
    let sim = cluster(&["n"]).await;
    sim.deny(Deny::everything().verb(Verb::Patch).resource("leases"));
    let handle = start(&sim);
    held(&handle).await;
    assert_eq!(handle.status().mode, Mode::Update);
    assert_eq!(asked(&sim), [(Verb::Patch, 403), (Verb::Create, 201)]);
    sim.requests().clear();
    sleep(3 * HOUR + 20 * MINUTE).await;
    assert_eq!(asked(&sim), [(Verb::Update, 200); 3], "one request for each renewal");
}

#[tokio::test(start_paused = true)]
async fn where_patch_is_forbidden_and_the_lease_is_there_it_is_adopted() {
    let sim = cluster(&["n"]).await;
    sim.deny(Deny::everything().verb(Verb::Patch).resource("leases"));
    sim.create(cloudwatch_lease("n", "old", wall())).unwrap();
    let handle = start(&sim);
    held(&handle).await;
    assert_eq!(asked(&sim), [(Verb::Patch, 403), (Verb::Create, 409), (Verb::Get, 200), (Verb::Update, 200)][..]);
    let lease = lease(&sim, "n").unwrap();
    assert_eq!(lease["metadata"]["annotations"]["cwagent.amazonaws.com/host.type"], "m");
    assert_eq!(lease["spec"]["leaseTransitions"], 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_allowed_is_asked_for_with_growing_pauses_until_it_is() {
    let sim = cluster(&["n"]).await;
    sim.deny(Deny::everything().resource("leases"));
    let handle = start(&sim);
    sleep(10 * MINUTE).await;
    assert!(matches!(handle.status().state, WriterState::Failing { .. }), "{:?}", handle.status());
    let requests = sim.requests().count(Verb::Patch, "leases") + sim.requests().count(Verb::Create, "leases");
    assert!((40..=90).contains(&requests), "two per attempt, one attempt per 15 to 30 s: {requests}");
    sim.allow_all();
    held(&handle).await;
    assert_eq!(handle.status().mode, Mode::Apply, "the better way is tried again");
}

#[tokio::test(start_paused = true)]
async fn pauses_after_failures_grow_from_one_second_to_thirty() {
    let sim = cluster(&["n"]).await;
    sim.faults().add(Fault::on(Verb::Patch).resource("leases").status(503));
    let handle = start(&sim);
    sleep(10 * MINUTE).await;
    let times = times(&sim);
    let pauses: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    for (pause, longest) in pauses.iter().zip([1, 2, 4, 8, 16, 30, 30, 30]) {
        assert!(*pause >= longest * SECOND / 2 && *pause <= longest * SECOND, "{pauses:?}");
    }
    sim.faults().clear();
    held(&handle).await;
    let failures = sim.requests().count_status(Verb::Patch, "leases", 503);
    assert!((24..=60).contains(&failures), "{failures}");
}

#[tokio::test(start_paused = true)]
async fn adoption_that_fails_at_every_step_is_no_tight_loop() {
    let sim = cluster(&["n"]).await;
    sim.deny(Deny::everything().verb(Verb::Patch).resource("leases"));
    sim.create(cloudwatch_lease("n", "old", wall())).unwrap();
    // AlreadyExists, then Get fails; later Get works, and Update conflicts for ever.
    let get = sim.faults().add(Fault::on(Verb::Get).resource("leases").status(500));
    let handle = start(&sim);
    sleep(5 * MINUTE).await;
    let gets = sim.requests().count(Verb::Get, "leases");
    assert!((12..=24).contains(&gets), "{gets}");
    assert_eq!(sim.requests().count(Verb::Create, "leases"), gets);
    sim.requests().clear();
    sim.faults().remove(get);
    let update = sim.faults().add(Fault::on(Verb::Update).resource("leases").status(409));
    sleep(5 * MINUTE).await;
    let updates = sim.requests().count(Verb::Update, "leases");
    let attempts = sim.requests().count(Verb::Create, "leases").max(updates / 3);
    assert!((8..=26).contains(&attempts), "{attempts}");
    assert!(sim.requests().total() <= 26 * 6, "{}", sim.requests().total());
    sim.faults().remove(update);
    held(&handle).await;
}

#[tokio::test(start_paused = true)]
async fn a_conflict_is_looked_at_and_tried_again() {
    let sim = cluster(&["n"]).await;
    sim.deny(Deny::everything().verb(Verb::Patch).resource("leases"));
    let handle = start(&sim);
    held(&handle).await;
    sim.requests().clear();
    sim.faults().add(Fault::on(Verb::Update).resource("leases").status(409).count(1));
    sleep(HOUR + 10 * MINUTE).await;
    assert_eq!(asked(&sim), [(Verb::Update, 409), (Verb::Get, 200), (Verb::Update, 200)]);
    assert_eq!(handle.status().state, WriterState::Held);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_was_deleted_is_made_anew_by_the_next_renewal() {
    for forbidden in [false, true] {
        let sim = cluster(&["n"]).await;
        if forbidden {
            sim.deny(Deny::everything().verb(Verb::Patch).resource("leases"));
        }
        let handle = start(&sim);
        held(&handle).await;
        sim.delete(&reference("n")).unwrap();
        sim.requests().clear();
        sleep(HOUR + 10 * MINUTE).await;
        assert_eq!(lease(&sim, "n").unwrap()["spec"]["holderIdentity"], "pod-a");
        assert!(asked(&sim).len() <= 3, "{:?}", asked(&sim));
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_asks_for_patience_gets_it() {
    let sim = cluster(&["n"]).await;
    sim.faults().add(Fault::on(Verb::Patch).resource("leases").status(429).retry_after(100).count(1));
    let handle = start(&sim);
    held(&handle).await;
    let times = times(&sim);
    let pause = times[1] - times[0];
    assert!(pause >= 100 * SECOND && pause <= 125 * SECOND, "{pause:?}");
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_refused_is_not_sent_again_and_again() {
    let sim = cluster(&["n"]).await;
    sim.faults().add(Fault::on(Verb::Patch).resource("leases").status(422));
    let handle = start(&sim);
    sleep(2 * HOUR).await;
    let requests = sim.requests().count(Verb::Patch, "leases");
    assert!((10..=15).contains(&requests), "one in about ten minutes: {requests}");
    assert!(matches!(handle.status().state, WriterState::Failing { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_hangs_ends_by_its_deadline() {
    let sim = cluster(&["n"]).await;
    sim.faults().add(Fault::on(Verb::Patch).resource("leases").latency(100 * HOUR).count(2));
    let began = Instant::now();
    let handle = start(&sim);
    until(&handle, |state| matches!(state, WriterState::Failing { .. })).await;
    assert_eq!(began.elapsed(), 10 * SECOND);
    let WriterState::Failing { error } = handle.status().state else { unreachable!() };
    assert!(error.contains("not answered within 10s"), "{error}");
    held(&handle).await;
    assert!(began.elapsed() <= 23 * SECOND, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn resets_and_broken_answers_are_survived() {
    let fault = || Fault::on(Verb::Patch).resource("leases").count(3);
    for fault in [fault().reset_before(), fault().reset_mid_body(), fault().truncate(), fault().status(500)] {
        let sim = cluster(&["n"]).await;
        sim.faults().add(fault);
        let handle = start(&sim);
        held(&handle).await;
        let requests = sim.requests().count(Verb::Patch, "leases");
        assert!((4..=5).contains(&requests), "{requests}");
        assert_eq!(lease(&sim, "n").unwrap()["spec"]["holderIdentity"], "pod-a");
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_hours_is_waited_for_and_healed_within_half_a_minute() {
    let sim = cluster(&["n"]).await;
    let handle = start(&sim);
    held(&handle).await;
    sim.requests().clear();
    sim.faults().add(Fault::on_any().reset_before());
    sleep(5 * HOUR).await;
    assert!(matches!(handle.status().state, WriterState::Failing { .. }));
    let attempts = sim.requests().total();
    // From the first renewal on: one in 15 to 30 s.
    assert!((450..=1000).contains(&attempts), "{attempts}");
    sim.faults().clear();
    let healed = Instant::now();
    held(&handle).await;
    assert!(healed.elapsed() <= 30 * SECOND, "{:?}", healed.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_off_changes_what_is_written_and_nothing_else() {
    for hours in [-3, 3] {
        let sim = cluster(&["n"]).await;
        let off = SignedDuration::from_hours(hours);
        let writer = writer(&sim, Fixed(machine("m")), "n", "pod-a").clock(clock(off)).start_jitter(Duration::ZERO);
        let handle = writer.build().unwrap().spawn().unwrap();
        held(&handle).await;
        sim.requests().clear();
        sleep(10 * HOUR).await;
        let renewals = sim.requests().count(Verb::Patch, "leases");
        assert!((9..=11).contains(&renewals), "{renewals}");
        let renewed: jiff::Timestamp =
            lease(&sim, "n").unwrap()["spec"]["renewTime"].as_str().unwrap().parse().unwrap();
        let hour = renewed.duration_since(wall()).as_hours();
        assert!((hours + 8..=hours + 10).contains(&hour), "{hour}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_namespace_that_comes_later_is_waited_for() {
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}});
    let sim = Sim::builder().objects([node]).start().await.unwrap();
    let handle = start(&sim);
    until(&handle, |state| matches!(state, WriterState::Failing { .. })).await;
    assert_eq!(asked(&sim).len(), 1, "a Lease that can't be created is not looked for");
    sim.create(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})).unwrap();
    held(&handle).await;
}

#[tokio::test(start_paused = true)]
async fn news_do_not_jump_over_the_patience_that_a_server_asks_for() {
    let sim = cluster(&["n"]).await;
    sim.faults().add(Fault::on(Verb::Patch).resource("leases").status(429).retry_after(200).count(1));
    let partial = node_lease::NodeMetadata::new().with(node_lease::Attribute::HostId, "i-1");
    let script = Script::new([Answer::Partial(partial), Answer::Metadata(machine("m"))]);
    let writer = writer(&sim, script, "n", "pod-a").start_jitter(Duration::ZERO).build().unwrap();
    let handle = writer.spawn().unwrap();
    held(&handle).await;
    let patches: Vec<Instant> = times(&sim);
    let pause = patches[patches.len() - 1] - patches[patches.len() - 2];
    assert!(pause >= 200 * SECOND, "{pause:?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_lets_it_set_no_owner_gets_a_lease_without_one() {
    let sim = cluster(&["n"]).await;
    let refusal = "leases is forbidden: cannot set an ownerRef on a resource you can't delete: , <nil>";
    let client = refusing(&sim, "ownerReferences", refusal);
    let writer = node_lease::LeaseWriter::builder(client, Fixed(machine("m")), "n", NAMESPACE, "pod-a")
        .clock(clock(SignedDuration::ZERO))
        .start_jitter(Duration::ZERO)
        .build()
        .unwrap();
    let handle = writer.spawn().unwrap();
    held(&handle).await;
    assert_eq!(handle.status().mode, Mode::Apply);
    assert_eq!(lease(&sim, "n").unwrap()["metadata"]["ownerReferences"], serde_json::Value::Null);
}
