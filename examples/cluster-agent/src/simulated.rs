//! What others do in a real cluster, within this process: a lease-writer on each node of the simulated one, and
//! controllers and kubelets that write Events.

use std::time::Duration;

use anyhow::Context;
use cluster_sim::{ObjectRef, Sim, SimError};
use example_host::cluster::{Cluster, ensure_namespace};
use futures::future::join_all;
use node_lease::source::aws::Imds;
use node_lease::{LeaseWriter, WriterHandle};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// So many nodes have a metadata service and a writer: a listening port each.
const MOST: usize = 200;

/// Far longer than it takes.
const FIRST_LEASES: Duration = Duration::from_secs(10);

/// Has each node's metadata written as a Lease, from the node's own simulated metadata service, for as long as the
/// handles live. Returns once all Leases are there.
pub(crate) async fn write_leases(sim: &Sim, namespace: &str) -> anyhow::Result<Vec<WriterHandle>> {
    ensure_namespace(sim, namespace)?;
    let mut writers = Vec::new();
    for node in sim.list("v1", "nodes")?.iter().take(MOST) {
        let name = node["metadata"]["name"].as_str().context("a node without a name")?;
        // The simulated population lives in AWS.
        let source = Imds::at(&sim.metadata_of(name).await?.url())?;
        let writer = LeaseWriter::builder(sim.client(), source, name, namespace, format!("lease-writer-of-{name}"));
        writers.push(writer.start_jitter(Duration::ZERO).build()?.spawn()?);
    }
    let held = join_all(writers.iter().map(WriterHandle::held));
    timeout(FIRST_LEASES, held).await.context("the Leases are not written")?;
    Ok(writers)
}

/// Events are written so often, while there is churn.
const EVERY: Duration = Duration::from_millis(400);

/// So many pods are told of, and for so many events they are the same.
const PODS: usize = 60;
const SAME: usize = 300;

/// Type, reason, component, and message of what is told of pods.
const STORIES: [[&str; 4]; 8] = [
    ["Normal", "Scheduled", "default-scheduler", "Successfully assigned the pod to a node"],
    ["Normal", "Pulled", "kubelet", "Container image already present on machine"],
    ["Normal", "Created", "kubelet", "Created container"],
    ["Normal", "Started", "kubelet", "Started container"],
    ["Warning", "Unhealthy", "kubelet", "Readiness probe failed: HTTP probe failed with statuscode: 503"],
    ["Warning", "BackOff", "kubelet", "Back-off restarting failed container"],
    ["Normal", "Killing", "kubelet", "Stopping container"],
    ["Warning", "FailedMount", "kubelet", "MountVolume.SetUp failed: timed out waiting for the condition"],
];

/// Events of the simulated cluster, for as long as it lives.
pub(crate) struct Simulated(JoinHandle<()>);

impl Drop for Simulated {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Simulated {
    /// Only where anything happens.
    pub(crate) fn start(cluster: &Cluster) -> Option<Self> {
        let sim = cluster.sim().filter(|_| cluster.churn() > 0.0)?;
        Some(Self(tokio::spawn(write_events(sim.clone()))))
    }
}

/// A pod that is told of.
struct Pod {
    namespace: String,
    name: String,
    uid: String,
}

/// One event after another, about some pods in turn. Each story of a pod is one Event that is counted up, so that there
/// are never more than a few for each of them.
async fn write_events(sim: Sim) {
    let mut ticks = tokio::time::interval(EVERY);
    let mut pods: Vec<Pod> = Vec::new();
    for turn in 0_usize.. {
        ticks.tick().await;
        // Pods come and go.
        if turn.is_multiple_of(SAME) {
            pods = some_pods(&sim);
        }
        let story = STORIES.get((turn * 5 + turn / 7) % STORIES.len());
        // A few pods have most of the trouble, as in real clusters.
        let pod = pods.get(turn * turn % pods.len().max(1));
        if let (Some(story), Some(pod)) = (story, pod)
            && let Err(error) = write_event(&sim, pod, *story)
        {
            tracing::debug!("no simulated event: {error}");
        }
    }
}

fn some_pods(sim: &Sim) -> Vec<Pod> {
    let pods = sim.list("v1", "pods").unwrap_or_default();
    let text = |pod: &Value, key: &str| pod["metadata"][key].as_str().unwrap_or_default().to_owned();
    let some = pods.iter().take(PODS);
    some.map(|pod| Pod { namespace: text(pod, "namespace"), name: text(pod, "name"), uid: text(pod, "uid") }).collect()
}

fn write_event(
    sim: &Sim,
    Pod { namespace, name, uid }: &Pod,
    [type_, reason, component, message]: [&str; 4],
) -> Result<(), SimError> {
    let event = format!("{name}.{}", reason.to_lowercase());
    let known = sim.get(&ObjectRef::new("v1", "Event", &event).within(namespace))?;
    let now = sim.now().to_string();
    let of = |event: &Option<Value>, key: &str| event.as_ref().and_then(|event| event.get(key).cloned());
    let count = of(&known, "count").and_then(|count| count.as_u64()).unwrap_or(0) + 1;
    let first = of(&known, "firstTimestamp").unwrap_or_else(|| now.clone().into());
    sim.upsert(json!({
        "apiVersion": "v1", "kind": "Event",
        "metadata": {"name": event, "namespace": namespace},
        "involvedObject": {"apiVersion": "v1", "kind": "Pod", "name": name, "namespace": namespace, "uid": uid},
        "type": type_, "reason": reason, "message": message, "source": {"component": component},
        "firstTimestamp": first, "lastTimestamp": now, "count": count,
    }))?;
    Ok(())
}
