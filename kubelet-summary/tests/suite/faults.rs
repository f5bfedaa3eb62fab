//! Faults of a whole cluster, behind its API server's node proxy → what the front door answers, and what it leaves behind.

use std::time::Duration;

use cluster_sim::kubelet::KubeletFault;
use cluster_sim::{Fault, Sim, Verb};
use kubelet_summary::query::NodeGap;
use kubelet_summary::{FetchError, KubeletSummary, MissingReason, Scope, Usage, UsageError};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

const TTL: Duration = Duration::from_secs(55);
const DEADLINE: Duration = Duration::from_secs(12);

fn objects(number: usize) -> Vec<Value> {
    let each = |node: usize| {
        let name = format!("n{node}");
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": format!("on-{name}"), "namespace": "default"},
            "spec": {"nodeName": name, "containers": [{"name": "app", "image": "app"}]},
            "status": {
                "phase": "Running", "startTime": "2026-01-02T00:00:00Z",
                "containerStatuses": [{
                    "name": "app", "ready": true, "restartCount": 0,
                    "state": {"running": {"startedAt": "2026-01-02T00:00:00Z"}},
                }],
            },
        });
        [json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}), pod]
    };
    (0..number).flat_map(each).collect()
}

/// So many nodes with a pod each, and who asks them.
async fn cluster(number: usize) -> (Sim, KubeletSummary) {
    let sim = Sim::builder().objects(objects(number)).start().await.unwrap();
    let summary = KubeletSummary::builder(sim.client_in_memory()).ttl(TTL).deadline(DEADLINE).spawn().unwrap();
    timeout(Duration::from_secs(30), summary.ready()).await.unwrap().unwrap();
    (sim, summary)
}

/// Waits for what must come within a minute.
pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let waiting = async {
        while !is_so() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_mins(1), waiting).await.unwrap_or_else(|_| panic!("{what} in time"));
}

fn reason(gap: &NodeGap) -> &MissingReason {
    if let NodeGap::NoDocument { reason, .. } = gap { reason } else { panic!("{gap:?}") }
}

fn reasons(usage: &Usage) -> Vec<&MissingReason> {
    usage.missing.iter().map(|missing| reason(&missing.reason)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_while_64_requests_hang_leaves_none() {
    let (sim, summary) = cluster(100).await;
    let kubelets = sim.kubelets();
    kubelets.faults().add(KubeletFault::on_any().hang());
    let asking = tokio::spawn({
        let summary = summary.clone();
        async move { summary.usage(&Scope::all()).await }
    });
    until("64 requests under way", || kubelets.requests().in_flight() == 64).await;
    let began = Instant::now();
    summary.shutdown().await;
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    let answer = timeout(Duration::from_secs(1), asking).await.unwrap().unwrap();
    assert!(matches!(answer, Err(UsageError::NoData { .. } | UsageError::NotReady(_))), "{answer:?}");
    until("the end of all requests", || kubelets.requests().in_flight() == 0).await;
    sleep(Duration::from_hours(1)).await;
    assert_eq!(kubelets.requests().all_summaries(), 64, "those that waited for their turn were not sent");
    sim.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn all_nodes_hang_and_heal() {
    let (sim, summary) = cluster(100).await;
    sim.kubelets().faults().add(KubeletFault::on_any().hang());
    let began = Instant::now();
    let Err(UsageError::NoData { usage, .. }) = summary.usage(&Scope::all()).await else { panic!("nobody answers") };
    assert!(began.elapsed() <= DEADLINE, "{:?}", began.elapsed());
    assert_eq!((usage.values.len(), usage.missing.len()), (0, 100));
    assert!(reasons(&usage).iter().any(|reason| matches!(reason, MissingReason::Failed { .. })));
    sim.kubelets().faults().clear();
    // What was on its way ends by its own deadline, and each node may be asked again a TTL after it was.
    sleep(2 * TTL).await;
    let usage = summary.usage(&Scope::all()).await.unwrap();
    assert_eq!((usage.values.len(), usage.missing.len()), (100, 0));
    assert!(usage.values.iter().all(kubelet_summary::PodUsage::is_fresh));
    summary.shutdown().await;
    sim.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_fails_is_named_and_what_it_said_before_is_served() {
    let (sim, summary) = cluster(3).await;
    let usage = summary.usage(&Scope::all()).await.unwrap();
    assert_eq!((usage.values.len(), usage.is_whole()), (3, true));
    for fault in [Fault::on_any().status(500), Fault::on_any().reset_before(), Fault::on(Verb::Get).status(429)] {
        let told = format!("{fault:?}");
        let at_the_server = |reason: &MissingReason| {
            let error = reason.error().unwrap_or_else(|| panic!("{told}: {reason:?}"));
            !matches!(**error, FetchError::KubeletUnreachable { .. } | FetchError::Forbidden { .. })
                && error.to_string().contains("API server")
        };
        sim.faults().add(fault);
        sleep(TTL).await;
        let usage = summary.usage(&Scope::all()).await.unwrap();
        assert_eq!((usage.values.len(), usage.missing.len()), (3, 0), "{told}");
        for pod in &usage.values {
            assert!(pod.stale_reason().is_some_and(at_the_server), "{told}: {:?}", pod.stale_reason());
        }
        sleep(TTL).await;
        let Err(UsageError::NoData { usage, .. }) = summary.usage(&Scope::all()).await else { panic!("{told}") };
        assert!(usage.missing.len() == 3 && reasons(&usage).into_iter().all(at_the_server), "{told}: {usage:?}");
        sim.faults().clear();
        sleep(TTL).await;
        let usage = summary.usage(&Scope::all()).await.unwrap();
        assert!(usage.values.len() == 3 && usage.missing.is_empty(), "{told}");
        assert!(usage.values.iter().all(kubelet_summary::PodUsage::is_fresh), "{told}");
        // The watches came back too: what is new is known.
        until("the end of what was missed", || summary.inventory().status().behind().is_none()).await;
    }
    summary.shutdown().await;
    sim.shutdown().await;
}
