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
    /// The pods in scope. Memory that a hundred thousand pods are in is walked through in this order, which is about that
    /// in which they came, and never node by node.
    pods: Vec<Arc<KnownPod>>,
    /// Of each of them, which of `asked` it is on; [`NOWHERE`] if none.
    on: Vec<u32>,
    asked: Vec<Asked>,
    usage: Usage,
}

/// A node that is asked, and on how many of its pods in scope.
#[derive(Debug)]
struct Asked {
    target: NodeTarget,
    pods: usize,
}

/// Where a node that pods are on comes to stand.
#[derive(Debug, Clone, Copy)]
enum Stands {
    Asked(u32),
    Missing(usize),
    Nowhere,
}

/// The place of no node.
const NOWHERE: u32 = u32::MAX;

/// A pod whose figures are looked for in its node's document.
#[derive(Debug)]
struct Wanted {
    /// As its kubelet knows it.
    uid: PodUid,
    /// Its place in [`Plan::pods`].
    place: u32,
}

/// What a question needs. It is small, since it stays for as long as the nodes are being asked.
pub(crate) fn plan(inventory: &Inventory, scope: &Scope) -> Result<Plan, UsageError> {
    let pods = inventory.select(scope)?;
    let mut usage = Usage::default();
    match inventory.reach(scope) {
        Reach::Whole => {}
        Reach::Part(unwatched) => usage.unwatched = unwatched,
        Reach::Nothing => {
            return Err(UsageError::NotWatched { scope: scope.to_string(), watched: inventory.watched() });
        }
    }
    let (nodes, on) = nodes_of(&pods);
    let homeless = pods.iter().zip(&on).filter(|(pod, on)| **on == NOWHERE && !pod.phase().is_over());
    usage.absent = homeless.map(|(pod, _)| AbsentPod { pod: pod.clone(), reason: PodGap::Unscheduled }).collect();
    let mut plan = Plan { pods, on, asked: Vec::new(), usage };
    plan.look_up(&nodes, inventory)?;
    plan.name_nodes(inventory, scope)?;
    // Without pods nobody has looked whether the nodes are there.
    inventory.check()?;
    plan.usage.behind = inventory.status().behind();
    Ok(plan)
}

/// The nodes that pods are on, with their numbers of pods; and of each pod, which of the nodes it is on.
fn nodes_of(pods: &[Arc<KnownPod>]) -> (Vec<(Arc<str>, usize)>, Vec<u32>) {
    let mut nodes: Vec<(Arc<str>, usize)> = Vec::new();
    // A node's name is kept once for all its pods: its address will do.
    let mut places: HashMap<usize, u32, RandomState> = HashMap::default();
    let on = pods.iter().map(|pod| {
        let Some(node) = pod.shared_node() else { return NOWHERE };
        let place = *places.entry(node.as_ptr().addr()).or_insert_with(|| {
            nodes.push((node.clone(), 0));
            narrow(nodes.len() - 1)
        });
        if let Some((_, pods)) = nodes.get_mut(place as usize) {
            *pods += 1;
        }
        place
    });
    let on = on.collect();
    (nodes, on)
}

impl Plan {
    /// Says which of the nodes are asked and which are missing, in the order of their names; `on`, which of the nodes a
    /// pod is on, says from then on which of `asked`.
    fn look_up(&mut self, nodes: &[(Arc<str>, usize)], inventory: &Inventory) -> Result<(), UsageError> {
        let Self { pods, on, asked, usage } = self;
        let mut order: Vec<usize> = (0..nodes.len()).collect();
        order.sort_unstable_by_key(|place| nodes.get(*place).map(|(name, _)| name));
        let mut stands = vec![Stands::Nowhere; nodes.len()];
        for place in order {
            let (Some((node, pods)), Some(stands)) = (nodes.get(place), stands.get_mut(place)) else { continue };
            if let Some(known) = inventory.node(node)? {
                *stands = Stands::Asked(narrow(asked.len()));
                asked.push(Asked { target: known.target.clone(), pods: *pods });
            } else {
                *stands = Stands::Missing(usage.missing.len());
                let (node, pods) = (node.clone(), Vec::with_capacity(*pods));
                usage.missing.push(MissingNode { node, reason: NodeGap::Unknown, pods });
            }
        }
        for (pod, on) in pods.iter().zip(on) {
            let stands = stands.get(*on as usize).copied().unwrap_or(Stands::Nowhere);
            if let Stands::Missing(place) = stands
                && let Some(missing) = usage.missing.get_mut(place)
            {
                missing.pods.push(pod.clone());
            }
            *on = if let Stands::Asked(place) = stands { place } else { NOWHERE };
        }
        Ok(())
    }

    /// A node that is asked for by name may run pods that only its kubelet knows.
    fn name_nodes(&mut self, inventory: &Inventory, scope: &Scope) -> Result<(), UsageError> {
        let named = if scope.is_by_place() { scope.nodes() } else { &[] };
        for name in named {
            let is_there = |node: &str| node == name;
            if self.asked.iter().any(|asked| is_there(&asked.target.name))
                || self.usage.missing.iter().any(|missing| is_there(&missing.node))
                || !inventory.watches_node(name)
            {
                continue;
            }
            match inventory.node(name)? {
                Some(known) => self.asked.push(Asked { target: known.target.clone(), pods: 0 }),
                None => {
                    let (node, pods) = (name.as_str().into(), Vec::new());
                    self.usage.missing.push(MissingNode { node, reason: NodeGap::Unknown, pods });
                }
            }
        }
        Ok(())
    }

    /// The nodes to ask.
    pub(crate) fn nodes(&self) -> Vec<NodeTarget> {
        self.asked.iter().map(|asked| asked.target.clone()).collect()
    }

    /// The pods in scope on each node that was asked.
    fn wanted(&self) -> Vec<Vec<Wanted>> {
        let mut wanted: Vec<_> = self.asked.iter().map(|asked| Vec::with_capacity(asked.pods)).collect();
        for ((place, pod), on) in (0_u32..).zip(&self.pods).zip(&self.on) {
            if let Some(wanted) = wanted.get_mut(*on as usize) {
                wanted.push(Wanted { uid: pod.kubelet_uid().clone(), place });
            }
        }
        wanted
    }

    fn pods_of(&self, wanted: &[Wanted]) -> Vec<Arc<KnownPod>> {
        wanted.iter().filter_map(|wanted| self.pods.get(wanted.place as usize).cloned()).collect()
    }

    /// The answer, from what the nodes said, in the order of [`nodes`](Self::nodes).
    pub(crate) fn join(mut self, answers: Vec<NodeAnswer>, inventory: &Inventory, scope: &Scope) -> Usage {
        let mut unknown = Vec::new();
        let names_unknown = scope.is_by_place();
        // Of each node that was asked, its document; of each pod in scope, where it is in that.
        let mut parts: Vec<Option<Arc<Part>>> = Vec::with_capacity(answers.len());
        let mut found: Vec<u32> = vec![NOWHERE; self.pods.len()];
        let mut index = Index::default();
        let wanted = self.wanted();
        let asked = std::mem::take(&mut self.asked);
        for ((Asked { target, .. }, wanted), answer) in asked.into_iter().zip(wanted).zip(answers) {
            let (document, stale) = match answer.outcome {
                NodeOutcome::Fresh(document) => (document, None),
                NodeOutcome::Stale { document, reason } => (document, Some(reason)),
                NodeOutcome::Missing { reason, last } => {
                    let (pods, reason) = (self.pods_of(&wanted), NodeGap::NoDocument { reason, last });
                    self.usage.missing.push(MissingNode { node: target.name, reason, pods });
                    parts.push(None);
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
                        *found = place;
                    }
                } else if names_unknown {
                    let pod = UnknownPod { part: part.clone(), place };
                    let namespace = pod.stats().pod_ref.namespace();
                    if scope.admits_namespace(namespace) && inventory.covers(namespace) {
                        unknown.push((uid.clone(), pod));
                    }
                }
            }
            let left = wanted.iter().filter(|wanted| found.get(wanted.place as usize) == Some(&NOWHERE));
            let left = left.filter_map(|wanted| self.pods.get(wanted.place as usize));
            let left = left.filter(|pod| !pod.phase().is_over());
            self.usage.absent.extend(left.map(|pod| AbsentPod { pod: pod.clone(), reason: PodGap::Unreported }));
            parts.push(Some(part));
        }
        let Self { pods, on, mut usage, .. } = self;
        usage.values.reserve_exact(found.iter().filter(|place| **place != NOWHERE).count());
        usage.values.extend(pods.into_iter().zip(on).zip(found).filter_map(|((pod, on), place)| {
            let part = parts.get(on as usize).filter(|_| place != NOWHERE)?.clone()?;
            Some(PodUsage { pod, part, place })
        }));
        // Looked up again: the watch may have told of them since.
        usage.unknown = inventory.unknown(unknown.iter().map(|(uid, pod)| (uid, pod.clone())));
        usage
    }
}

/// Four thousand million nodes fit into no memory.
fn narrow(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
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
