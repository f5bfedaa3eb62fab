//! What whole subtrees have done.

use hashbrown::{HashMap, HashSet};

use super::Tree;
use crate::sample::CgroupId;
use crate::totals::{Totals, Usage};

/// What each cgroup and all below it have done.
#[derive(Debug, Default)]
pub struct Subtrees {
    totals: HashMap<CgroupId, Usage>,
    /// Used again from one time to the next.
    order: Vec<(usize, CgroupId, CgroupId)>,
}

impl Subtrees {
    /// That of one; none where neither it nor any below it did anything.
    pub fn get(&self, cgroup: CgroupId) -> Option<&Usage> {
        self.totals.get(&cgroup)
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (CgroupId, &Usage)> {
        self.totals.iter().map(|(id, total)| (*id, total))
    }

    /// Adds them up anew, in the memory of the time before.
    pub fn fill(&mut self, tree: &Tree, totals: &Totals) {
        self.totals.clear();
        self.order.clear();
        self.order.extend(tree.iter().map(|(id, node)| (node.depth, id, node.parent)));
        // The deepest first: each is complete when it is added to the one above it.
        self.order.sort_unstable_by(|one, other| other.cmp(one));
        let mut root = *totals.beyond();
        for (id, _) in totals.iter().filter(|(id, _)| tree.get(*id).is_none()) {
            // Not in the tree yet, or never seen by a walk: it is somewhere below the root.
            if let Some(total) = totals.with_gone(id) {
                root.merge(&total);
            }
        }
        for (depth, id, parent) in self.order.iter().copied() {
            if let Some(own) = totals.with_gone(id) {
                self.totals.entry(id).or_default().merge(&own);
            }
            if depth > 0
                && let Some(sum) = self.totals.get(&id).copied()
            {
                self.totals.entry(parent).or_default().merge(&sum);
            }
        }
        if root != Usage::default() {
            self.totals.entry(tree.root()).or_default().merge(&root);
        }
    }
}

impl Tree {
    /// What each cgroup and all below it have done, with those that are no more.
    pub fn subtrees(&self, totals: &Totals) -> Subtrees {
        let mut subtrees = Subtrees::default();
        subtrees.fill(self, totals);
        subtrees
    }

    /// Ends what was removed before the grace time: its totals go, and are kept in those above it. To be called after
    /// walks; `now` is in nanoseconds of `CLOCK_MONOTONIC`.
    ///
    /// What a cgroup did that no walk has ever seen goes to the root.
    pub fn settle(&mut self, totals: &mut Totals, now: u64) {
        for (cgroup, into) in self.ended.drain(..) {
            totals.fold(cgroup, into);
        }
        let Some(before) = now.checked_sub(self.grace) else { return };
        let is_over = |removed: Option<u64>| removed.is_some_and(|removed| removed <= before);
        let over = self.nodes.iter().filter(|(_, node)| is_over(node.removed));
        let mut over: Vec<_> = over.map(|(id, node)| (node.depth, *id, node.parent)).collect();
        over.sort_unstable_by(|one, other| other.cmp(one));
        let mut held: HashSet<_> =
            self.nodes.values().filter(|node| !is_over(node.removed)).map(|node| node.parent).collect();
        for (_, id, parent) in over {
            // Where one below it stays for longer, it does too: what that one did is to have a place to go.
            if held.contains(&id) {
                held.insert(parent);
                continue;
            }
            self.nodes.remove(&id);
            totals.fold(id, parent);
        }
        let strangers: Vec<_> = totals.silent_since(before).filter(|id| !self.nodes.contains_key(id)).collect();
        for id in strangers {
            totals.fold(id, self.root);
        }
        totals.forget_readings(before);
    }
}
