//! Partitions, crashes and restarts → who leads, and that it is one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use cluster_sim::{Fault, ObjectRef, Sim, Verb};
use kube_events::leader::{Candidate, Leadership, Timing};
use rand::{RngExt, SeedableRng};
use serde_json::json;
use tokio::time::{Instant, advance, sleep, timeout};

use super::support::*;

const LEASE: &str = "kube-events";

/// A client whose connection can be cut: 0 works, 1 hangs, 2 refuses, 3 loses answers to requests that arrive.
pub(crate) fn cut(sim: &Sim, how: &Arc<AtomicU8>) -> kube::Client {
    let (client, how) = (sim.client_in_memory(), how.clone());
    let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
        let (client, how) = (client.clone(), how.clone());
        async move {
            match how.load(Ordering::Relaxed) {
                0 => client.send(request).await,
                1 => std::future::pending().await,
                2 => Err(kube::Error::Service("refused".into())),
                _ => {
                    client.send(request).await?;
                    std::future::pending().await
                }
            }
        }
    });
    kube::Client::new(service, "default")
}

fn candidate(sim: &Sim, client: kube::Client, identity: &str) -> Candidate {
    Candidate::spawn_with(client, NAMESPACE, LEASE, identity, Timing::default(), clock(sim)).unwrap()
}

fn lease(sim: &Sim) -> serde_json::Value {
    let reference = ObjectRef::new("coordination.k8s.io/v1", "Lease", LEASE).within(NAMESPACE);
    sim.get(&reference).unwrap().unwrap()["spec"].clone()
}

#[tokio::test(start_paused = true)]
async fn one_leads_and_hands_over_when_it_goes() {
    let recorded = Recorded::default();
    let _recording = metrics::set_default_local_recorder(&recorded);
    let sim = cluster().await;
    let a = candidate(&sim, sim.client_in_memory(), "a");
    timeout(MINUTE, a.leading()).await.unwrap();
    let b = candidate(&sim, sim.client_in_memory(), "b");
    sleep(HOUR).await;
    assert!(a.is_leader() && !b.is_leader());
    assert_eq!(*b.state().borrow(), Leadership::Following { leader: Some("a".to_owned()) });
    let requests = sim.requests().total();
    assert!((4500..=5500).contains(&requests), "three in 2 to 2.4 s: {requests}");
    let spec = lease(&sim);
    assert_eq!((&spec["holderIdentity"], &spec["leaseDurationSeconds"]), (&json!("a"), &json!(15)));
    assert_ne!(spec["acquireTime"], spec["renewTime"]);
    let lost = a.lost();
    let ((), ()) = tokio::join!(lost, a.shutdown());
    a.shutdown().await;
    assert!(!a.is_leader());
    let began = Instant::now();
    timeout(MINUTE, b.leading()).await.unwrap();
    assert!(began.elapsed() <= 3 * SECOND, "{:?}", began.elapsed());
    assert_eq!(lease(&sim)["leaseTransitions"], 1);
    for (name, value) in [
        ("kube_events_leading", 1),
        ("kube_events_leader_changes_total to=leader", 2),
        ("kube_events_leader_changes_total to=follower", 1),
    ] {
        assert_eq!(recorded.get(name), value, "{name}");
    }
    // One that is dropped releases nothing: others wait.
    drop(b);
    let c = candidate(&sim, sim.client_in_memory(), "c");
    let began = Instant::now();
    timeout(MINUTE, c.leading()).await.unwrap();
    assert!(began.elapsed() >= 12 * SECOND && began.elapsed() <= 20 * SECOND, "{:?}", began.elapsed());
    assert_eq!(recorded.get("kube_events_leading"), 1);
}

#[tokio::test(start_paused = true)]
async fn who_is_cut_off_ceases_to_lead_before_another_begins() {
    for how in 1..=3 {
        let sim = cluster().await;
        let switch = Arc::new(AtomicU8::new(0));
        let a = candidate(&sim, cut(&sim, &switch), "a");
        timeout(MINUTE, a.leading()).await.unwrap();
        let b = candidate(&sim, sim.client_in_memory(), "b");
        sleep(MINUTE).await;
        switch.store(how, Ordering::Relaxed);
        let began = Instant::now();
        let ((), ()) = tokio::join!(
            async {
                a.lost().await;
                assert!(began.elapsed() <= 11 * SECOND, "{how}: {:?}", began.elapsed());
                assert!(!b.is_leader(), "{how}");
            },
            async {
                if how == 3 {
                    // Its renewals arrive: the Lease stays its own, and nobody leads until they cease.
                    sleep(30 * SECOND).await;
                    switch.store(1, Ordering::Relaxed);
                }
                timeout(MINUTE, b.leading()).await.unwrap();
                assert!(!a.is_leader(), "{how}");
                assert!(began.elapsed() <= 50 * SECOND, "{how}: {:?}", began.elapsed());
            }
        );
        switch.store(0, Ordering::Relaxed);
        sleep(MINUTE).await;
        assert!(!a.is_leader() && b.is_leader(), "{how}: it does not take it back");
    }
}

#[tokio::test(start_paused = true)]
async fn never_two_whatever_is_cut_when() {
    for seed in 0..3 {
        let sim = cluster().await;
        let mut dice = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
        let switches: Vec<_> = (0..3).map(|_| Arc::new(AtomicU8::new(0))).collect();
        let candidates: Vec<_> = switches
            .iter()
            .enumerate()
            .map(|(n, switch)| candidate(&sim, cut(&sim, switch), &format!("c{n}")))
            .collect();
        sim.faults().add(Fault::on_any().resource("leases").share(0.1).latency(3 * SECOND));
        sim.faults().add(Fault::on_any().resource("leases").share(0.05).status(500));
        let (mut led, mut rounds, mut leaders) = (0, 0, std::collections::BTreeSet::<usize>::new());
        for _ in 0..200 {
            let n = dice.random_range(0..switches.len());
            let how = if dice.random_bool(0.5) { 0 } else { dice.random_range(1..=3) };
            switches[n].store(how, Ordering::Relaxed);
            let end = Instant::now() + Duration::from_millis(dice.random_range(100..40_000));
            while Instant::now() < end {
                sleep(Duration::from_millis(100)).await;
                let leading: Vec<_> = (0..3).filter(|n| candidates[*n].is_leader()).collect();
                assert!(leading.len() <= 1, "seed {seed}: {leading:?}");
                leaders.extend(&leading);
                led += leading.len();
                rounds += 1;
            }
        }
        assert!(led * 2 > rounds, "seed {seed}: led in {led} of {rounds}");
        assert_eq!(leaders.len(), 3, "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_that_was_suspended_does_not_believe_it_leads() {
    let sim = cluster().await;
    let a = candidate(&sim, sim.client_in_memory(), "a");
    timeout(MINUTE, a.leading()).await.unwrap();
    assert!(a.is_leader());
    // No task has run since, and a minute has passed.
    let lost = a.lost();
    let mut lost = std::pin::pin!(lost);
    assert!(futures::poll!(&mut lost).is_pending());
    let jump = advance(MINUTE);
    let mut jump = std::pin::pin!(jump);
    let _ = futures::poll!(&mut jump);
    assert!(!a.is_leader());
}

#[tokio::test(start_paused = true)]
async fn of_many_that_want_a_lease_that_is_over_one_gets_it() {
    let sim = cluster().await;
    sim.upsert(json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": LEASE, "namespace": NAMESPACE, "labels": {"of": "somebody"}},
        "spec": {"holderIdentity": "gone", "leaseDurationSeconds": 15, "leaseTransitions": 6,
            "renewTime": "2020-01-01T00:00:00.000000Z"}}))
        .unwrap();
    // All read before any of them writes.
    sim.faults().add(Fault::on(Verb::Update).resource("leases").latency(Duration::from_millis(500)));
    let began = Instant::now();
    let all: Vec<_> = (0..10).map(|n| candidate(&sim, sim.client_in_memory(), &format!("c{n}"))).collect();
    let mut most = 0;
    while began.elapsed() < MINUTE {
        sleep(Duration::from_millis(100)).await;
        let leading = all.iter().filter(|candidate| candidate.is_leader()).count();
        // Clocks of other machines mean nothing: it is held for 15 s, as far as anybody has seen.
        assert!(began.elapsed() > 15 * SECOND || leading == 0);
        most = most.max(leading);
    }
    assert_eq!(most, 1);
    assert_eq!(lease(&sim)["leaseTransitions"], 7);
}

#[tokio::test(start_paused = true)]
async fn get_update_and_create_are_enough() {
    const AGENT: &str = "system:serviceaccount:web:events";
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
    "metadata": {"name": "events", "namespace": NAMESPACE},
    "rules": [
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create"]},
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "resourceNames": [LEASE],
            "verbs": ["get", "update"]},
    ]});
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": "events", "namespace": NAMESPACE},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "events"},
        "subjects": [{"kind": "ServiceAccount", "name": "events", "namespace": "web"}]});
    let sim = Sim::builder().rbac(true).objects([namespace(NAMESPACE), role, binding]).start().await.unwrap();
    let a = candidate(&sim, sim.client_in_memory_as(AGENT), "a");
    timeout(MINUTE, a.leading()).await.unwrap();
    sleep(MINUTE).await;
    a.shutdown().await;
    assert_eq!(lease(&sim)["holderIdentity"], "");
    assert!(sim.requests().rights_refused(AGENT).is_empty());
    assert_eq!(sim.requests().rights_used(AGENT), sim.rights_granted(AGENT));
}
