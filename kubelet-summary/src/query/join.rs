//! Pods and documents → what pods use. Nothing here waits for anything.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::ops::Range;
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
    /// The pods in scope that are bound to a node, node by node.
    wanted: Vec<Wanted>,
    /// The nodes, with their part of those.
    asked: Vec<(NodeTarget, Range<usize>)>,
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

/// Pods by node, in one list: as many small ones, which live while documents come and go, would leave as many holes.
#[derive(Debug, Default)]
struct ByNode {
    /// A node's name is kept once for all its pods: its address will do.
    numbers: HashMap<usize, u32, RandomState>,
    /// The nodes by number, and how many pods each has.
    nodes: Vec<(Arc<str>, usize)>,
    wanted: Vec<Wanted>,
    /// Each one's node.
    node_of: Vec<u32>,
}

impl ByNode {
    fn push(&mut self, node: &Arc<str>, wanted: Wanted) {
        let number = *self.numbers.entry(node.as_ptr().addr()).or_insert_with(|| {
            self.nodes.push((node.clone(), 0));
            u32::try_from(self.nodes.len() - 1).unwrap_or(u32::MAX)
        });
        if let Some((_, count)) = self.nodes.get_mut(number as usize) {
            *count += 1;
            self.wanted.push(wanted);
            self.node_of.push(number);
        }
    }

    /// The pods node by node, and each node with its part of them, by name.
    fn arranged(self) -> (Vec<Wanted>, Vec<(Arc<str>, Range<usize>)>) {
        let Self { nodes, mut wanted, node_of: mut places, .. } = self;
        let mut by_name: Vec<_> = (0..).zip(nodes).map(|(number, (node, count))| (node, number, count)).collect();
        by_name.sort_unstable_by(|(a, ..), (b, ..)| a.cmp(b));
        let mut next = vec![0_usize; by_name.len()];
        let mut end = 0;
        let ranges = by_name.into_iter().map(|(node, number, count): (_, usize, _)| {
            let start = end;
            end += count;
            if let Some(next) = next.get_mut(number) {
                *next = start;
            }
            (node, start..end)
        });
        let ranges = ranges.collect();
        for place in &mut places {
            if let Some(next) = next.get_mut(*place as usize) {
                *place = u32::try_from(*next).unwrap_or(u32::MAX);
                *next += 1;
            }
        }
        for at in 0..wanted.len() {
            while let Some(to) = places.get(at).map(|to| *to as usize).filter(|to| *to != at && *to < wanted.len()) {
                wanted.swap(at, to);
                places.swap(at, to);
            }
        }
        (wanted, ranges)
    }
}

/// What a question needs.
pub(crate) fn plan(inventory: &Inventory, scope: &Scope) -> Result<Plan, UsageError> {
    let mut plan = Plan { pods: Vec::new(), wanted: Vec::new(), asked: Vec::new(), usage: Usage::default() };
    // So that each node is looked up once.
    let mut by_node = ByNode::default();
    let selected = inventory.select(scope)?;
    match inventory.reach(scope) {
        Reach::Whole => {}
        Reach::Part(unwatched) => plan.usage.unwatched = unwatched,
        Reach::Nothing => {
            return Err(UsageError::NotWatched { scope: scope.to_string(), watched: inventory.watched() });
        }
    }
    plan.pods = selected;
    by_node.wanted.reserve_exact(plan.pods.len());
    by_node.node_of.reserve_exact(plan.pods.len());
    for (place, pod) in (0_u32..).zip(&plan.pods) {
        match pod.shared_node() {
            Some(node) => by_node.push(node, Wanted { uid: pod.kubelet_uid().clone(), place }),
            None if pod.phase().is_over() => {}
            None => plan.usage.absent.push(AbsentPod { pod: pod.clone(), reason: PodGap::Unscheduled }),
        }
    }
    let (wanted, nodes) = by_node.arranged();
    plan.wanted = wanted;
    for (node, wanted) in nodes {
        match inventory.node(&node)? {
            Some(known) => plan.asked.push((known.target.clone(), wanted)),
            None => {
                let pods = plan.pods_of(wanted);
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
                Some(known) => plan.asked.push((known.target.clone(), 0..0)),
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

    fn wanted(&self, range: Range<usize>) -> &[Wanted] {
        self.wanted.get(range).unwrap_or_default()
    }

    fn pods_of(&self, range: Range<usize>) -> Vec<Arc<KnownPod>> {
        self.wanted(range).iter().filter_map(|wanted| self.pods.get(wanted.place as usize).cloned()).collect()
    }

    /// The answer, from what the nodes said, in the order of [`nodes`](Self::nodes).
    pub(crate) fn join(mut self, answers: Vec<NodeAnswer>, inventory: &Inventory, scope: &Scope) -> Usage {
        let mut unknown = Vec::new();
        let names_unknown = scope.is_by_place();
        let mut parts: Vec<Arc<Part>> = Vec::with_capacity(answers.len());
        // Of each pod in scope, where its figures are: in which part, and where in it.
        let mut found: Vec<Option<(u32, u32)>> = vec![None; self.pods.len()];
        let mut index = Index::default();
        for ((target, range), answer) in std::mem::take(&mut self.asked).into_iter().zip(answers) {
            let (document, stale) = match answer.outcome {
                NodeOutcome::Fresh(document) => (document, None),
                NodeOutcome::Stale { document, reason } => (document, Some(reason)),
                NodeOutcome::Missing { reason, last } => {
                    let (pods, reason) = (self.pods_of(range), NodeGap::NoDocument { reason, last });
                    self.usage.missing.push(MissingNode { node: target.name, reason, pods });
                    continue;
                }
            };
            let wanted = self.wanted.get(range).unwrap_or_default();
            self.usage.age = self.usage.age.max(Some(document.age));
            let part = Arc::new(Part { node: target.name, document, stale });
            index.fill(wanted, |one, other| {
                let started = |wanted: &Wanted| self.pods.get(wanted.place as usize).map(|pod| pod.started());
                started(one) < started(other)
            });
            for (place, uid) in (0_u32..).zip(&*part.document.uids) {
                if let Some(wanted) = index.find(wanted, uid) {
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
