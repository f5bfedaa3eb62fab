//! Events that happen in a simulated cluster: as pods start, and again.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cluster_sim::Sim;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::{MissedTickBehavior, interval};

/// How often events are made.
const TICKS_PER_SECOND: u64 = 50;
/// Of so many occurrences, one is of an event that is there: its count rises.
const AGAIN: u64 = 5;
/// How long ago such an event happened, in seconds.
const AGO: u64 = 2;
/// What a pod tells as it starts.
const STORY: [(&str, &str, &str); 4] = [
    ("Scheduled", "default-scheduler", "Successfully assigned the pod to its node"),
    ("Pulled", "kubelet", "Container image is already present on the machine"),
    ("Created", "kubelet", "Created container"),
    ("Started", "kubelet", "Started container"),
];

/// One state of an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Happened {
    pub(crate) uid: String,
    pub(crate) version: String,
    /// When, in microseconds since 1970.
    pub(crate) at: i64,
    /// The event was there; its count rose.
    pub(crate) again: bool,
}

pub(crate) fn micros() -> i64 {
    Timestamp::now().as_microsecond()
}

/// Lets so many events happen per second, for so long, and tells which.
pub(crate) async fn happen(sim: &Sim, rate: u32, seconds: u32) -> Result<Vec<Happened>> {
    let pods = sim.list("v1", "pods")?;
    ensure!(!pods.is_empty(), "the cluster has no pods");
    let mut ticks = interval(Duration::from_secs(1) / u32::try_from(TICKS_PER_SECOND)?);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (all, last) = (u64::from(rate) * u64::from(seconds), u64::from(seconds) * TICKS_PER_SECOND);
    let (mut happened, mut there, mut number, mut fresh) = (Vec::new(), VecDeque::new(), 0, 0);
    for tick in 1..=last {
        ticks.tick().await;
        while number < all * tick / last {
            number += 1;
            let at = micros();
            // Of those that are old enough, the oldest.
            let old = number % AGAIN == 0 && there.len() as u64 > u64::from(rate) * AGO * (AGAIN - 1) / AGAIN;
            let (event, again) = match old.then(|| there.pop_front()).flatten() {
                Some(event) => (sim.update(once_more(event)?)?, true),
                None => {
                    // Four events in a row are about one pod.
                    let pod = pods.get((fresh / STORY.len()) % pods.len()).context("no such pod")?;
                    let event = sim.create(new(pod, fresh)?)?;
                    there.push_back(event.clone());
                    fresh += 1;
                    (event, false)
                }
            };
            let of = |key: &str| -> Result<String> {
                Ok(event["metadata"][key].as_str().with_context(|| format!("an event without {key}"))?.to_owned())
            };
            happened.push(Happened { uid: of("uid")?, version: of("resourceVersion")?, at, again });
        }
    }
    Ok(happened)
}

fn seconds_now() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn new(pod: &Value, number: usize) -> Result<Value> {
    let (metadata, now) = (&pod["metadata"], seconds_now());
    let name = metadata["name"].as_str().context("a pod without a name")?;
    let (reason, component, message) = STORY.get(number % STORY.len()).context("no such story")?;
    Ok(json!({
        "apiVersion": "v1", "kind": "Event",
        "metadata": {"name": format!("{name}.{number:016x}"), "namespace": metadata["namespace"]},
        "involvedObject": {
            "apiVersion": "v1", "kind": "Pod", "namespace": metadata["namespace"], "name": name,
            "uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"],
        },
        "reason": reason, "type": "Normal", "count": 1, "message": format!("{message}: number {number}"),
        "firstTimestamp": now, "lastTimestamp": now,
        "source": {"component": component, "host": pod["spec"]["nodeName"]},
        "reportingComponent": component, "reportingInstance": pod["spec"]["nodeName"],
    }))
}

/// It happens again, as clients of Kubernetes tell it.
fn once_more(mut event: Value) -> Result<Value> {
    let count = event["count"].as_u64().context("an event without a count")?;
    event["count"] = json!(count + 1);
    event["lastTimestamp"] = json!(seconds_now());
    Ok(event)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use cluster_sim::population::PopulationSpec;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_fifth_of_them_is_of_events_that_are_there() {
        let sim = Sim::builder().population(&PopulationSpec::new(2, 10)).start().await.unwrap();
        let happened = happen(&sim, 50, 10).await.unwrap();
        assert_eq!(happened.len(), 500);
        let again: Vec<&Happened> = happened.iter().filter(|it| it.again).collect();
        // None is old enough in the first two seconds.
        assert!((75..=85).contains(&again.len()), "{}", again.len());
        let keys: HashSet<_> = happened.iter().map(|it| (&it.uid, &it.version)).collect();
        assert_eq!(keys.len(), 500, "each is another state");
        let new: HashSet<_> = happened.iter().filter(|it| !it.again).map(|it| &it.uid).collect();
        assert!(again.iter().all(|it| new.contains(&it.uid)));
        let events = sim.list("v1", "events").unwrap();
        assert_eq!(events.len(), new.len());
        assert_eq!(events.iter().filter(|event| event["count"] == 2).count(), again.len());
        sim.shutdown().await;
    }
}
