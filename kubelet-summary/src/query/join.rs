//! Pods and documents → what pods use. Nothing here waits for anything.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::pod::Part;
use super::{AbsentPod, MissingNode, NodeGap, PodGap, PodUsage, UnknownPod, Usage, UsageError};
use crate::cache::{NodeAnswer, NodeOutcome};
use crate::fetch::NodeTarget;
use crate::inventory::{Inventory, KnownPod, PodUid, Reach};
use crate::selector::Scope;

/// Which nodes are to be asked, and what of the answer is known already.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The nodes, with the pods in scope on each.
    asked: Vec<(NodeTarget, Vec<Arc<KnownPod>>)>,
    usage: Usage,
}

/// A node, and the pods in scope on it.
type OnNode = (Arc<str>, Vec<Arc<KnownPod>>);

/// What a question needs.
pub(crate) fn plan(inventory: &Inventory, scope: &Scope) -> Result<Plan, UsageError> {
    let mut plan = Plan { asked: Vec::new(), usage: Usage::default() };
    // By node, so that each is looked up once. A node's name is kept once for all its pods: its address will do.
    let mut by_node: HashMap<usize, OnNode, RandomState> = HashMap::default();
    let selected = inventory.select(scope)?;
    match inventory.reach(scope) {
        Reach::Whole => {}
        Reach::Part(unwatched) => plan.usage.unwatched = unwatched,
        Reach::Nothing => {
            return Err(UsageError::NotWatched { scope: scope.to_string(), watched: inventory.watched() });
        }
    }
    for pod in selected {
        match pod.shared_node() {
            Some(node) => {
                let (_, pods) = by_node.entry(node.as_ptr().addr()).or_insert_with(|| (node.clone(), Vec::new()));
                pods.push(pod);
            }
            None if pod.phase().is_over() => {}
            None => plan.usage.absent.push(AbsentPod { pod, reason: PodGap::Unscheduled }),
        }
    }
    let mut by_node: Vec<_> = by_node.into_values().collect();
    by_node.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    for (node, pods) in by_node {
        match inventory.node(&node)? {
            Some(known) => plan.asked.push((known.target.clone(), pods)),
            None => plan.usage.missing.push(MissingNode { node, reason: NodeGap::Unknown, pods }),
        }
    }
    // A node that is asked for by name may run pods that only its kubelet knows.
    if scope.is_by_place() {
        for name in scope.nodes() {
            let is_there = |node: &str| node == name;
            if plan.asked.iter().any(|(target, _)| is_there(&target.name))
                || plan.usage.missing.iter().any(|missing| is_there(&missing.node))
                || !inventory.watches_node(name)
            {
                continue;
            }
            match inventory.node(name)? {
                Some(known) => plan.asked.push((known.target.clone(), Vec::new())),
                None => {
                    let (node, pods) = (name.as_str().into(), Vec::new());
                    plan.usage.missing.push(MissingNode { node, reason: NodeGap::Unknown, pods });
                }
            }
        }
    }
    // Without pods nobody has looked whether the nodes are there.
    inventory.check()?;
    plan.usage.behind = inventory.status().behind();
    Ok(plan)
}

impl Plan {
    /// The nodes to ask.
    pub(crate) fn nodes(&self) -> Vec<NodeTarget> {
        self.asked.iter().map(|(target, _)| target.clone()).collect()
    }

    /// The answer, from what the nodes said, in the order of [`nodes`](Self::nodes).
    pub(crate) fn join(self, answers: Vec<NodeAnswer>, inventory: &Inventory, scope: &Scope) -> Usage {
        let Self { asked, mut usage } = self;
        let mut unknown = Vec::new();
        let names_unknown = scope.is_by_place();
        for ((target, pods), answer) in asked.into_iter().zip(answers) {
            let (document, stale) = match answer.outcome {
                NodeOutcome::Fresh(document) => (document, None),
                NodeOutcome::Stale { document, reason } => (document, Some(reason)),
                NodeOutcome::Missing { reason, last } => {
                    let reason = NodeGap::NoDocument { reason, last };
                    usage.missing.push(MissingNode { node: target.name, reason, pods });
                    continue;
                }
            };
            usage.age = usage.age.max(Some(document.age));
            let part = Arc::new(Part { node: target.name, document, stale });
            let mut wanted: HashMap<&PodUid, &Arc<KnownPod>, RandomState> =
                HashMap::with_capacity_and_hasher(pods.len(), RandomState::default());
            // While the mirror of a static pod is replaced, there are two of one kubelet's uid: the newer has the figures.
            let mut doubled: Vec<&Arc<KnownPod>> = Vec::new();
            for pod in &pods {
                if let Some(other) = wanted.insert(pod.kubelet_uid(), pod) {
                    let is_older = pod.started() < other.started();
                    doubled.push(if is_older { pod } else { other });
                    if is_older {
                        wanted.insert(pod.kubelet_uid(), other);
                    }
                }
            }
            for (place, stats) in (0_u32..).zip(&part.document.summary.pods) {
                let uid = PodUid::new(stats.pod_ref.uid());
                // Taken out: what a document might have twice is counted once.
                if let Some(pod) = wanted.remove(&uid) {
                    usage.values.push(PodUsage { pod: pod.clone(), part: part.clone(), place });
                } else if names_unknown {
                    let namespace = stats.pod_ref.namespace();
                    if scope.admits_namespace(namespace) && inventory.covers(namespace) {
                        unknown.push((uid, UnknownPod { part: part.clone(), place }));
                    }
                }
            }
            let is_one = |pod: &Arc<KnownPod>, other: &&Arc<KnownPod>| Arc::ptr_eq(pod, other);
            let absent = pods.iter().filter(|pod| {
                let is_left = wanted.get(pod.kubelet_uid()).is_some_and(|left| is_one(pod, left));
                (is_left || doubled.iter().any(|other| is_one(pod, other))) && !pod.phase().is_over()
            });
            usage.absent.extend(absent.map(|pod| AbsentPod { pod: pod.clone(), reason: PodGap::Unreported }));
        }
        // Looked up again: the watch may have told of them since.
        usage.unknown = inventory.unknown(unknown.iter().map(|(uid, pod)| (uid, pod.clone())));
        usage
    }
}
