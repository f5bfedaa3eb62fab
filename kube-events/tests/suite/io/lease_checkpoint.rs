//! Positions in a Lease that an election renews → neither is in the other's way.

use std::time::Duration;

use cluster_sim::{Fault, ObjectRef, Sim, Verb};
use kube_events::checkpoint::{Checkpoint, CheckpointError, EventsApi, LeaseAnnotation, Mark, Marks};
use kube_events::leader::{Candidate, Timing};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::support::*;

const LEASE: &str = "kube-events";
const KEY: &str = "kube-events/position";
const CONFLICTS: &str = "kube_events_checkpoint_stores_total result=conflict";

fn marks(version: u64) -> Marks {
    let mark = Mark { resource_version: version.to_string(), last_event: None };
    Marks { api: EventsApi::Core, marks: [(String::new(), mark)].into() }
}

fn reference() -> ObjectRef {
    ObjectRef::new("coordination.k8s.io/v1", "Lease", LEASE).within(NAMESPACE)
}

fn object(sim: &Sim) -> Value {
    sim.get(&reference()).unwrap().unwrap()
}

fn annotation(sim: &Sim) -> LeaseAnnotation {
    LeaseAnnotation::new(sim.client_in_memory(), NAMESPACE, LEASE)
}

/// The server takes a second for every third renewal, so that positions are written between the candidate's read and its
/// write.
#[tokio::test(start_paused = true)]
async fn the_leader_s_own_lease_keeps_positions_and_its_leader() {
    let recorded = Recorded::default();
    let _recording = metrics::set_default_local_recorder(&recorded);
    let sim = cluster().await;
    let candidate =
        Candidate::spawn_with(sim.client_in_memory(), NAMESPACE, LEASE, "a", Timing::default(), clock(&sim)).unwrap();
    timeout(MINUTE, candidate.leading()).await.unwrap();
    sim.faults().add(Fault::on(Verb::Update).resource("leases").share(0.3).latency(SECOND));
    let mine = annotation(&sim);
    assert_eq!(mine.load().await.unwrap(), None);
    for n in 1..=720 {
        mine.store(&marks(n)).await.unwrap();
        sleep(Duration::from_millis(4_700)).await;
        assert!(candidate.is_leader(), "at write {n}");
    }
    assert_eq!(annotation(&sim).load().await.unwrap(), Some(marks(720)));
    let lease = object(&sim);
    assert_eq!((&lease["spec"]["holderIdentity"], &lease["spec"]["leaseTransitions"]), (&json!("a"), &json!(0)));
    assert_eq!(recorded.get("kube_events_leader_changes_total to=follower"), 0);
    assert_eq!(recorded.get(CONFLICTS), 0, "a renewal is no conflict");
    assert!(recorded.get("kube_events_leader_failures_total reason=409") > 20, "renewals did meet writes");
    // One write is one request.
    assert_eq!(sim.requests().count(Verb::Patch, "leases"), 720);
    candidate.shutdown().await;
    assert_eq!(object(&sim)["spec"]["holderIdentity"], "");
    assert_eq!(mine.load().await.unwrap(), Some(marks(720)), "who releases it leaves the position");
}

#[tokio::test(start_paused = true)]
async fn others_who_write_are_noticed_and_written_over() {
    let recorded = Recorded::default();
    let _recording = metrics::set_default_local_recorder(&recorded);
    let sim = cluster().await;
    let (a, b) = (annotation(&sim), annotation(&sim));
    // There is no Lease: one is made, that nobody holds.
    a.store(&marks(1)).await.unwrap();
    assert_eq!(object(&sim)["spec"]["holderIdentity"], Value::Null);
    b.store(&marks(2)).await.unwrap();
    assert_eq!(recorded.get(CONFLICTS), 1, "b thought that there is none");
    a.store(&marks(3)).await.unwrap();
    assert_eq!(recorded.get(CONFLICTS), 2);
    assert_eq!(b.load().await.unwrap(), Some(marks(3)));
    // All else stays, and is no conflict.
    let mut other = object(&sim);
    other["metadata"]["annotations"]["other"] = json!("x");
    other["spec"] = json!({"holderIdentity": "somebody"});
    sim.upsert(other).unwrap();
    a.store(&marks(4)).await.unwrap();
    assert_eq!(object(&sim)["metadata"]["annotations"]["other"], "x");
    assert_eq!(object(&sim)["spec"]["holderIdentity"], "somebody");
    assert_eq!(recorded.get(CONFLICTS), 2);
    // Its annotation, then all of it is deleted, and comes back.
    let mut bare = object(&sim);
    bare["metadata"].as_object_mut().unwrap().remove("annotations");
    sim.upsert(bare).unwrap();
    a.store(&marks(5)).await.unwrap();
    assert_eq!(b.load().await.unwrap(), Some(marks(5)));
    sim.delete(&reference()).unwrap();
    a.store(&marks(6)).await.unwrap();
    assert_eq!(b.load().await.unwrap(), Some(marks(6)));
    let key = annotation(&sim).key("mine.org/x");
    assert_eq!(key.load().await.unwrap(), None);
    for n in 7..9 {
        key.store(&marks(n)).await.unwrap();
    }
    assert_eq!((key.load().await.unwrap(), b.load().await.unwrap()), (Some(marks(8)), Some(marks(6))));
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_is_told() {
    let sim = cluster().await;
    let mine = annotation(&sim);
    mine.store(&marks(1)).await.unwrap();
    for (status, requests) in [(409, 4), (422, 1), (500, 1)] {
        let fault = sim.faults().add(Fault::on(Verb::Patch).resource("leases").status(status));
        let before = sim.requests().count(Verb::Patch, "leases");
        let error = mine.store(&marks(2)).await.unwrap_err();
        assert_eq!(matches!(error, CheckpointError::Contended { .. }), status == 409, "{error}");
        assert!(!error.is_lost(), "{error}");
        assert_eq!(sim.requests().count(Verb::Patch, "leases") - before, requests, "{status}");
        sim.faults().remove(fault);
    }
    assert_eq!(mine.load().await.unwrap(), Some(marks(1)));
    let mut broken = object(&sim);
    broken["metadata"]["annotations"][KEY] = json!("{");
    sim.upsert(broken).unwrap();
    let error = mine.load().await.unwrap_err();
    assert!(error.is_lost() && error.to_string().contains("Lease web/kube-events"), "{error}");
    mine.store(&marks(3)).await.unwrap();
    assert_eq!(mine.load().await.unwrap(), Some(marks(3)));
}

#[tokio::test(start_paused = true)]
async fn get_patch_and_create_are_enough() {
    const AGENT: &str = "system:serviceaccount:web:events";
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
    "metadata": {"name": "events", "namespace": NAMESPACE},
    "rules": [
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create"]},
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "resourceNames": [LEASE],
            "verbs": ["get", "patch"]},
    ]});
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": "events", "namespace": NAMESPACE},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "events"},
        "subjects": [{"kind": "ServiceAccount", "name": "events", "namespace": "web"}]});
    let sim = Sim::builder().rbac(true).objects([namespace(NAMESPACE), role, binding]).start().await.unwrap();
    let mine = LeaseAnnotation::new(sim.client_in_memory_as(AGENT), NAMESPACE, LEASE);
    assert_eq!(mine.load().await.unwrap(), None);
    mine.store(&marks(1)).await.unwrap();
    mine.store(&marks(2)).await.unwrap();
    assert!(sim.requests().rights_refused(AGENT).is_empty());
    assert_eq!(sim.requests().rights_used(AGENT), sim.rights_granted(AGENT));
}
