//! Events of a simulated cluster, which has changes and no events of its own: they keep coming, about pods that are there
//! and pods that are gone.

use std::collections::VecDeque;
use std::time::Duration;

use cluster_sim::{ObjectRef, Sim};
use serde_json::{Value, json};
use tokio::time::{MissedTickBehavior, interval};

/// Changes of the cluster for each event.
const CHANGES: f64 = 10.0;
/// Events that are there at a time: a real API server drops them after an hour.
const KEPT: usize = 1_000;
/// Of the pods, so many have events.
const PODS: usize = 200;

/// Type, reason, component, message.
const STORIES: [(&str, &str, &str, &str); 8] = [
    ("Normal", "Pulled", "kubelet", "Container image is already present on the machine"),
    ("Normal", "Started", "kubelet", "Container started"),
    ("Warning", "BackOff", "kubelet", "Back-off restarting failed container in the pod"),
    ("Warning", "Unhealthy", "kubelet", "Readiness probe failed: HTTP probe failed with statuscode: 503"),
    ("Normal", "Scheduled", "default-scheduler", "The pod was assigned to a node"),
    ("Warning", "FailedMount", "kubelet", "MountVolume.SetUp failed for volume \"config\": configmap not found"),
    ("Normal", "Killing", "kubelet", "Stopping container"),
    ("Warning", "FailedScheduling", "default-scheduler", "0/50 nodes are available: insufficient memory"),
];

/// Writes an event for so many changes of the cluster, until it is dropped.
pub(crate) async fn keep_coming(sim: &Sim, changes_per_second: f64) {
    let rate = changes_per_second / CHANGES;
    let Ok(pods) = sim.list("v1", "pods") else { return };
    let step = (pods.len() / PODS).max(1);
    let pods: Vec<Value> = pods.iter().step_by(step).map(reference).collect();
    if rate <= 0.0 || pods.is_empty() {
        return;
    }
    let mut ticks = interval(Duration::from_secs_f64((1.0 / rate).clamp(0.001, 3600.0)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut there: VecDeque<ObjectRef> = VecDeque::new();
    for number in 0_usize.. {
        ticks.tick().await;
        // Steps that share no divisor with the lengths: all stories meet all pods.
        let (Some(pod), Some(story)) = (pods.get(number * 7 % pods.len()), STORIES.get(number * 5 % STORIES.len()))
        else {
            continue;
        };
        if let Err(error) = tell(sim, pod, *story, &mut there) {
            tracing::debug!(%error, "a simulated event could not be written");
        }
        while there.len() > KEPT {
            if let Some(oldest) = there.pop_front() {
                // It may be gone already.
                let _ = sim.delete(&oldest);
            }
        }
    }
}

fn reference(pod: &Value) -> Value {
    let metadata = &pod["metadata"];
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "namespace": metadata["namespace"], "name": metadata["name"],
        "uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"],
    })
}

/// A new event; or the one that is there again, with its count, as clients of Kubernetes do.
fn tell(
    sim: &Sim,
    pod: &Value,
    (type_, reason, component, message): (&str, &str, &str, &str),
    there: &mut VecDeque<ObjectRef>,
) -> Result<(), cluster_sim::SimError> {
    let (namespace, pod_name) =
        (pod["namespace"].as_str().unwrap_or_default(), pod["name"].as_str().unwrap_or_default());
    let name = format!("{pod_name}.{}", reason.to_lowercase());
    let place = ObjectRef::new("v1", "Event", name.as_str()).within(namespace);
    let now = sim.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    if let Some(mut event) = sim.get(&place)? {
        event["count"] = json!(event["count"].as_u64().unwrap_or_default() + 1);
        event["lastTimestamp"] = json!(now);
        return sim.update(event).map(drop);
    }
    sim.create(json!({
        "apiVersion": "v1", "kind": "Event",
        "metadata": {"namespace": namespace, "name": name},
        "involvedObject": pod,
        "type": type_, "reason": reason, "message": message,
        "source": {"component": component},
        "count": 1, "firstTimestamp": now, "lastTimestamp": now,
    }))?;
    there.push_back(place);
    Ok(())
}
