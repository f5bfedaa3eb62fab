//! What an inventory of many pods holds in memory, and that churn leaves nothing.
//!
//! A program of its own with a single-threaded runtime: allocations are counted per thread.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use allocation_counter::measure;
use futures::stream;
use kube::runtime::watcher::{Error, Event};
use kubelet_summary::Scope;
use kubelet_summary::inventory::{Inventory, NodeRecord, PodRecord};
use serde_json::{from_value, json};
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

/// A pod as a cluster has them: most of ReplicaSets of ten, some of StatefulSets and Jobs, whose pods have labels of
/// their own each.
fn pod(number: usize) -> PodRecord {
    let (kind, owner) = match number % 10 {
        0 => ("StatefulSet", format!("database-{}", number / 100)),
        1 => ("Job", format!("report-{number}-29480160")),
        _ => ("ReplicaSet", format!("checkout-service-{}-7d4b9c6f5d", number / 100)),
    };
    let name = match kind {
        "StatefulSet" => format!("{owner}-{}", number % 100 / 10),
        _ => format!("{owner}-{:05x}", number % 0xf_ffff),
    };
    let mut labels = json!({
        "app.kubernetes.io/name": owner, "app.kubernetes.io/instance": owner, "app.kubernetes.io/part-of": "shop",
        "app.kubernetes.io/version": format!("v1.{}.0", number / 1000), "team": format!("team-{}", number / 5000),
    });
    match kind {
        "StatefulSet" => {
            labels["statefulset.kubernetes.io/pod-name"] = json!(name);
            labels["apps.kubernetes.io/pod-index"] = json!((number % 100 / 10).to_string());
        }
        "Job" => {
            labels["batch.kubernetes.io/job-name"] = json!(owner);
            labels["batch.kubernetes.io/controller-uid"] = json!(format!("{number:08x}-97a5-4f1c-8d5c-6f5a3e1d2b4c"));
        }
        _ => labels["pod-template-hash"] = json!("7d4b9c6f5d"),
    }
    from_value(json!({
        "metadata": {
            "name": name, "namespace": format!("namespace-{}", number / 1000), "labels": labels,
            "uid": format!("{number:08x}-1234-4abc-8def-0123456789ab"),
            "ownerReferences": [{"controller": true, "kind": kind, "name": owner}],
        },
        "spec": {
            "nodeName": format!("ip-10-0-{}-{}.eu-west-1.compute.internal", number % 1500 / 256, number % 1500 % 256),
            "containers": [
                {"name": "app", "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}}},
                {"name": "istio-proxy", "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}}},
            ],
        },
        "status": {"phase": "Running", "startTime": "2026-01-01T00:00:00Z"},
    }))
    .unwrap()
}

struct Fed {
    runtime: Runtime,
    inventory: Inventory,
    send: UnboundedSender<Result<Event<PodRecord>, Error>>,
}

impl Fed {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (send, receive) = unbounded_channel();
        let pods = stream::unfold(receive, async |mut receive| Some((receive.recv().await?, receive)));
        let nodes = stream::iter([Event::<NodeRecord>::Init, Event::InitDone].map(Ok));
        let inventory = runtime.block_on(async { Inventory::from_streams(pods, nodes).spawn() });
        Self { runtime, inventory, send }
    }

    /// Returns once everything was taken in; one event at a time, so that none waits in memory.
    fn tell(&self, events: impl IntoIterator<Item = Event<PodRecord>>) {
        for event in events {
            self.send.send(Ok(event)).unwrap();
            self.runtime.block_on(async {
                for _ in 0..4 {
                    tokio::task::yield_now().await;
                }
            });
        }
    }

    fn list(&self, numbers: std::ops::Range<usize>) {
        self.tell([Event::Init]);
        self.tell(numbers.map(|number| Event::InitApply(pod(number))));
        self.tell([Event::InitDone]);
    }

    fn known(&self) -> usize {
        self.inventory.select(&Scope::all()).unwrap().len()
    }
}

const PODS: usize = 10_000;

#[test]
fn a_pod_takes_so_much_and_churn_leaves_nothing() {
    let mut fed = None;
    let held = measure(|| {
        let new = Fed::new();
        new.list(0..PODS);
        fed = Some(new);
    });
    let fed = fed.unwrap();
    assert_eq!(fed.known(), PODS);
    let bytes = usize::try_from(held.bytes_current).unwrap();
    println!("{} bytes a pod", bytes / PODS);
    // 150,000 pods are within 60 MB.
    assert!(bytes / PODS < 400, "{} bytes a pod", bytes / PODS);

    // All pods leave and others come, again and again, by events and by lists.
    let churn = measure(|| {
        for round in 1..4 {
            let (before, after) = ((round - 1) * 2 * PODS, round * 2 * PODS);
            for number in 0..PODS {
                fed.tell([Event::Delete(pod(before + number)), Event::Apply(pod(after - PODS + number))]);
            }
            fed.list(after..after + PODS);
        }
    });
    assert_eq!(fed.known(), PODS);
    let more = churn.bytes_current;
    println!("{more} bytes more after 30,000 others");
    // What nobody holds is swept when there is as much of it as of what is held.
    assert!(more < i64::try_from(bytes / 2).unwrap(), "{more} bytes");

    fed.list(0..0);
    assert_eq!(fed.known(), 0);
}
