//! Rates from counters: what a node's processor, network, page faults and stalls were per second between two samples.
//!
//! [`Rates`] is fed with the documents of one node, one after the other. What it goes by:
//!
//! - Only a later `time` is a new sample. A document that repeats one changes nothing: the rate stays as it is, and
//!   [`Rate::to`] says how old it is.
//! - Rates come from counters only; `usageNanoCores`, which is zero where two callers poll, is not looked at.
//! - A counter below its predecessor has begun anew with those that are sampled with it, and so have all counters of an
//!   object whose `startTime` is another. There is no rate for this interval, never a negative one.
//! - A `time` before the last one is a clock that was set back. There is no rate until the sample after it.
//! - A clock that was set by less than an interval, or ahead, shows beside our own: where [`Rates::feed_at`] is told when
//!   the document was asked for, and the newest of its samples gained 20 s more or less than that, everything begins
//!   anew. A smaller step can't be told from samples that are a while old when they are read.
//! - A counter that is absent, or without a time, has no rate and is forgotten: when it is back it begins anew.
//! - A pod or container that isn't in a later document is forgotten, so the state is no larger than one document is.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

mod track;

pub use track::{Counter, ObjectRates, Rate};

use crate::schema::{ContainerStats, Name, PodStats, Summary, Time};

/// How much more or less a node's clock may gain than ours, between two documents: samples are up to 15 s old when they
/// are read, and a kubelet may take a while to say them.
const STEP: Duration = Duration::from_secs(20);

/// The rates of one node, its pods and their containers.
///
/// ```
/// use kubelet_summary::Summary;
/// use kubelet_summary::rates::{Counter, Rates};
///
/// let document = |second: u32, nanoseconds: u64| {
///     format!(
///         r#"{{"pods": [{{"podRef": {{"name": "web", "namespace": "shop", "uid": "u1"}}, "cpu":
///             {{"time": "2026-01-01T00:00:{second}Z", "usageCoreNanoSeconds": {nanoseconds}}}}}]}}"#
///     )
/// };
/// let mut rates = Rates::new();
/// for (second, nanoseconds) in [(10, 1_000_000_000), (20, 6_000_000_000)] {
///     rates.feed(&Summary::from_slice(document(second, nanoseconds).as_bytes())?.summary);
/// }
/// let rate = rates.pod("u1").and_then(|pod| pod.get(Counter::CpuSeconds)).ok_or("no rate")?;
/// // Half a processor.
/// assert_eq!((rate.per_second, rate.to.to_string()), (0.5, "2026-01-01T00:00:20Z".to_owned()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Rates {
    node_name: Name,
    node: ObjectRates,
    system: Vec<(Name, ObjectRates)>,
    pods: HashMap<Box<str>, PodRates>,
    /// Counts the documents, so that what the last one didn't have is told apart.
    document: u64,
    /// The newest time of a document's samples, and when that was asked for.
    clocks: Option<(Time, Instant)>,
}

#[derive(Debug, Clone, Default)]
struct PodRates {
    pod: ObjectRates,
    containers: Vec<(Name, ObjectRates)>,
    seen: u64,
}

/// What a document did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fed {
    /// Samples with a later time than the one before: groups of counters with one time, as `cpu` of a container.
    pub samples: usize,
    /// Samples of a time that had been seen.
    pub repeated: usize,
    /// Restarts: samples with a counter below its predecessor, and objects with another start.
    pub resets: usize,
    /// Samples with an earlier time than the one before.
    pub backwards: usize,
    /// Steps of the node's clock that only ours shows: 1 or none.
    pub steps: usize,
    /// Pods and containers that were forgotten.
    pub forgotten: usize,
}

impl Rates {
    /// No rates yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in a document. All of a run must be of one node; with another node's name it begins anew.
    ///
    /// Rates exist for the [`Parts`](crate::Parts) that the document was read with.
    pub fn feed(&mut self, summary: &Summary) -> Fed {
        self.keep_to(&summary.node.node_name);
        self.document += 1;
        let mut fed = Fed::default();
        self.node.feed_node(&summary.node, &mut fed);
        feed_containers(&mut self.system, &summary.node.system_containers, &mut fed);
        for pod in &summary.pods {
            self.feed_pod(pod, &mut fed);
        }
        let document = self.document;
        self.pods.retain(|_, pod| {
            let stays = pod.seen == document;
            if !stays {
                fed.forgotten += 1 + pod.containers.len();
            }
            stays
        });
        if self.pods.capacity() > 64 && self.pods.capacity() / 4 > self.pods.len() {
            self.pods.shrink_to_fit();
        }
        fed
    }

    /// The same of a document that was [asked for](crate::Document::requested) then: a clock of the node that is set shows.
    pub fn feed_at(&mut self, summary: &Summary, requested: Instant) -> Fed {
        self.keep_to(&summary.node.node_name);
        let is_step = self.is_step(summary, requested);
        if is_step {
            *self = Self { node_name: self.node_name.clone(), clocks: self.clocks, ..Self::default() };
        }
        Fed { steps: usize::from(is_step), ..self.feed(summary) }
    }

    /// Forgets everything of another node.
    fn keep_to(&mut self, node_name: &Name) {
        if *node_name != self.node_name {
            *self = Self { node_name: node_name.clone(), ..Self::default() };
        }
    }

    /// Whether the newest sample gained another time than passed here since the last document that had a newer one.
    fn is_step(&mut self, summary: &Summary, requested: Instant) -> bool {
        let of_pods = summary.pods.iter().flat_map(|pod| [pod.cpu.time, pod.memory.time]);
        let newest = [summary.node.cpu.time, summary.node.memory.time].into_iter().chain(of_pods).flatten().max();
        let Some(newest) = newest else { return false };
        let before = self.clocks;
        if before.is_some_and(|(time, _)| time == newest) {
            return false;
        }
        self.clocks = Some((newest, requested));
        let Some((time, asked)) = before else { return false };
        let passed = requested.saturating_duration_since(asked).as_nanos();
        // One that goes backwards is each sample's own matter.
        let Ok(gained) = u128::try_from(newest.nanos_since(time)) else { return false };
        passed.abs_diff(gained) > STEP.as_nanos()
    }

    fn feed_pod(&mut self, stats: &PodStats, fed: &mut Fed) {
        let uid = stats.pod_ref.uid();
        if !self.pods.contains_key(uid) {
            self.pods.insert(uid.into(), PodRates::default());
        }
        let Some(pod) = self.pods.get_mut(uid) else { return };
        pod.seen = self.document;
        pod.pod.feed_pod(stats, fed);
        feed_containers(&mut pod.containers, &stats.containers, fed);
    }

    /// The rates of the node.
    pub fn node(&self) -> &ObjectRates {
        &self.node
    }

    /// The rates of a system container of the node, as `kubelet`.
    pub fn system_container(&self, name: &str) -> Option<&ObjectRates> {
        find(&self.system, name)
    }

    /// The rates of the pod of that uid.
    pub fn pod(&self, uid: &str) -> Option<&ObjectRates> {
        Some(&self.pods.get(uid)?.pod)
    }

    /// The rates of a container of the pod of that uid.
    pub fn container(&self, uid: &str, name: &str) -> Option<&ObjectRates> {
        find(&self.pods.get(uid)?.containers, name)
    }

    /// How many pods there is something known of.
    pub fn pods(&self) -> usize {
        self.pods.len()
    }
}

fn find<'a>(containers: &'a [(Name, ObjectRates)], name: &str) -> Option<&'a ObjectRates> {
    containers.iter().find(|(of, _)| of == name).map(|(_, rates)| rates)
}

/// A container's state moves over to the document's order, and what is left is forgotten.
fn feed_containers(known: &mut Vec<(Name, ObjectRates)>, stats: &[ContainerStats], fed: &mut Fed) {
    let is_same = known.len() == stats.len() && known.iter().zip(stats).all(|((name, _), new)| *name == new.name);
    if !is_same {
        let mut before: HashMap<Name, ObjectRates> = known.drain(..).collect();
        known.reserve_exact(stats.len());
        known.extend(stats.iter().map(|new| (new.name.clone(), before.remove(&new.name).unwrap_or_default())));
        fed.forgotten += before.len();
    }
    for ((_, rates), container) in known.iter_mut().zip(stats) {
        rates.feed_container(container, fed);
    }
}
