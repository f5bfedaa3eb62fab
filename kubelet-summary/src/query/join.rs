//! Pods and documents → what pods use. Nothing here waits for anything.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::pod::Part;
use super::{AbsentPod, MissingNode, NodeGap, PodGap, PodUsage, UnknownPod, Usage, UsageError};
use crate::cache::{NodeAnswer, NodeOutcome};
use crate::fetch::NodeTarget;
use crate::inventory::{Inventory, KnownPod, PodUid, Reach};
use crate::selector::Scope;

/// Which nodes are to be asked, and what of the answer is known already.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The pods in scope. Memory that a hundred thousand pods are in is walked through in this
    /// order, which is about that in which they came, and never node by node.
    pods: Vec<Arc<KnownPod>>,
    /// The nodes, with the pods in scope on each.
    asked: Vec<(NodeTarget, Vec<Wanted>)>,
    usage: Usage,
}

/// A pod whose figures are looked for in its node's document.
#[derive(Debug)]
struct Wanted {
    /// As its kubelet knows it.
    uid: PodUid,
    /// Its place in [`Plan::pods`].
    place: u32,
}

/// A node, and the pods in scope on it.
type OnNode = (Arc<str>, Vec<Wanted>);

/// What a question needs.
pub(crate) fn plan(inventory: &Inventory, scope: &Scope) -> Result<Plan, UsageError> {
    let mut plan = Plan { pods: Vec::new(), asked: Vec::new(), usage: Usage::default() };
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
    plan.pods = selected;
    for (place, pod) in (0_u32..).zip(&plan.pods) {
        match pod.shared_node() {
            Some(node) => {
                let (_, wanted) = by_node.entry(node.as_ptr().addr()).or_insert_with(|| (node.clone(), Vec::new()));
                wanted.push(Wanted { uid: pod.kubelet_uid().clone(), place });
            }
            None if pod.phase().is_over() => {}
            None => plan.usage.absent.push(AbsentPod { pod: pod.clone(), reason: PodGap::Unscheduled }),
        }
    }
    let mut by_node: Vec<_> = by_node.into_values().collect();
    by_node.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    for (node, wanted) in by_node {
        match inventory.node(&node)? {
            Some(known) => plan.asked.push((known.target.clone(), wanted)),
            None => {
                let pods = plan.pods_of(&wanted);
                plan.usage.missing.push(MissingNode { node, reason: NodeGap::Unknown, pods });
            }
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

    fn pods_of(&self, wanted: &[Wanted]) -> Vec<Arc<KnownPod>> {
        wanted.iter().filter_map(|wanted| self.pods.get(wanted.place as usize).cloned()).collect()
    }

    /// The answer, from what the nodes said, in the order of [`nodes`](Self::nodes).
    pub(crate) fn join(mut self, answers: Vec<NodeAnswer>, inventory: &Inventory, scope: &Scope) -> Usage {
        let mut unknown = Vec::new();
        let names_unknown = scope.is_by_place();
        let mut parts: Vec<Arc<Part>> = Vec::with_capacity(answers.len());
        // Of each pod in scope, where its figures are: in which part, and where in it.
        let mut found: Vec<Option<(u32, u32)>> = vec![None; self.pods.len()];
        let mut index = Index::default();
        for ((target, wanted), answer) in std::mem::take(&mut self.asked).into_iter().zip(answers) {
            let (document, stale) = match answer.outcome {
                NodeOutcome::Fresh(document) => (document, None),
                NodeOutcome::Stale { document, reason } => (document, Some(reason)),
                NodeOutcome::Missing { reason, last } => {
                    let (pods, reason) = (self.pods_of(&wanted), NodeGap::NoDocument { reason, last });
                    self.usage.missing.push(MissingNode { node: target.name, reason, pods });
                    continue;
                }
            };
            self.usage.age = self.usage.age.max(Some(document.age));
            let part = Arc::new(Part { node: target.name, document, stale });
            index.fill(&wanted, |one, other| {
                let started = |wanted: &Wanted| self.pods.get(wanted.place as usize).map(|pod| pod.started());
                started(one) < started(other)
            });
            for (place, uid) in (0_u32..).zip(&*part.document.uids) {
                if let Some(wanted) = index.find(&wanted, uid) {
                    // A document has each uid once.
                    if let Some(found) = found.get_mut(wanted.place as usize) {
                        *found = Some((u32::try_from(parts.len()).unwrap_or(u32::MAX), place));
                    }
                } else if names_unknown {
                    let pod = UnknownPod { part: part.clone(), place };
                    let namespace = pod.stats().pod_ref.namespace();
                    if scope.admits_namespace(namespace) && inventory.covers(namespace) {
                        unknown.push((uid.clone(), pod));
                    }
                }
            }
            let left = wanted.iter().filter(|wanted| found.get(wanted.place as usize).is_some_and(Option::is_none));
            let left = left.filter_map(|wanted| self.pods.get(wanted.place as usize));
            let left = left.filter(|pod| !pod.phase().is_over());
            self.usage.absent.extend(left.map(|pod| AbsentPod { pod: pod.clone(), reason: PodGap::Unreported }));
            parts.push(part);
        }
        let Self { pods, mut usage, .. } = self;
        usage.values.reserve_exact(found.iter().flatten().count());
        usage.values.extend(pods.into_iter().zip(found).filter_map(|(pod, found)| {
            let (part, place) = found?;
            Some(PodUsage { pod, part: parts.get(part as usize)?.clone(), place })
        }));
        // Looked up again: the watch may have told of them since.
        usage.unknown = inventory.unknown(unknown.iter().map(|(uid, pod)| (uid, pod.clone())));
        usage
    }
}

/// The pods that are wanted of one node, by uid; its room is used for one node after another.
#[derive(Debug, Default)]
struct Index {
    hasher: RandomState,
    places: HashTable<u32>,
}

impl Index {
    /// Takes in the pods of another node. While the mirror of a static pod is replaced, there are two of one kubelet's
    /// uid: the newer one has the figures.
    fn fill(&mut self, wanted: &[Wanted], is_older: impl Fn(&Wanted, &Wanted) -> bool) {
        let Self { hasher, places } = self;
        let hash =
            |place: &u32| wanted.get(*place as usize).map(|wanted| hasher.hash_one(&wanted.uid)).unwrap_or_default();
        places.clear();
        places.reserve(wanted.len(), hash);
        for (place, pod) in (0_u32..).zip(wanted) {
            let same = |other: &u32| wanted.get(*other as usize).is_some_and(|other| other.uid == pod.uid);
            match places.entry(hasher.hash_one(&pod.uid), same, hash) {
                Entry::Occupied(mut other) => {
                    if !wanted.get(*other.get() as usize).is_some_and(|other| is_older(pod, other)) {
                        *other.get_mut() = place;
                    }
                }
                Entry::Vacant(free) => {
                    free.insert(place);
                }
            }
        }
    }

    fn find<'a>(&self, wanted: &'a [Wanted], uid: &PodUid) -> Option<&'a Wanted> {
        let same = |place: &u32| wanted.get(*place as usize).is_some_and(|wanted| wanted.uid == *uid);
        let place = self.places.find(self.hasher.hash_one(uid), same)?;
        wanted.get(*place as usize)
    }
}
