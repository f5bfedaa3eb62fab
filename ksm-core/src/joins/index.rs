//! Who gives which labels under which key, and who wants them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use foldhash::fast::FixedState;
use parking_lot::Mutex;

use super::capture::Resolved;
use super::{LabelJoins, OwnedLabels, Rule};
use crate::store::ObjectKey;

/// An object of one store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Member {
    /// The number of its store; see `Joins::member`.
    pub(crate) store: u32,
    pub(crate) key: ObjectKey,
}

type Key = (usize, Arc<str>);

/// What stands under one key of a rule.
#[derive(Debug, Default)]
struct Meeting {
    givers: Vec<(Member, OwnedLabels)>,
    takers: HashSet<Member, FixedState>,
}

/// What is known of an object.
#[derive(Debug, Default)]
struct Part {
    /// Its extra labels apart from the joins.
    base: OwnedLabels,
    wants: Vec<Key>,
    gives: Vec<Key>,
}

#[derive(Debug, Default)]
struct State {
    meetings: HashMap<Key, Meeting, FixedState>,
    parts: HashMap<Member, Part, FixedState>,
}

/// The joins of all resources.
#[derive(Debug)]
pub(crate) struct JoinIndex {
    rules: Vec<Rule>,
    state: Mutex<State>,
}

/// What an object gets, and whom its change concerns.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Joined {
    /// All its extra labels.
    pub(crate) labels: OwnedLabels,
    /// Other objects that get other labels now.
    pub(crate) affected: Vec<Member>,
}

impl JoinIndex {
    pub(crate) fn new(joins: &LabelJoins) -> Self {
        let rules = joins.iter().map(|(family, join)| Rule { family: family.clone(), join: join.clone() }).collect();
        Self { rules, state: Mutex::default() }
    }

    pub(crate) fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Takes what an object wants and gives in place of what it did.
    pub(crate) fn update(&self, member: Member, base: OwnedLabels, resolved: Resolved) -> Joined {
        let state = &mut *self.state.lock();
        let old = state.parts.remove(&member).unwrap_or_default();
        let mut touched = state.withdraw(member, &old, Some(&resolved));
        let mut part = Part { base, ..Part::default() };
        for (rule, key) in resolved.wants {
            part.wants.push(state.take(rule, key, member));
        }
        for (rule, key, labels) in resolved.gives {
            let (key, changed) = state.give(rule, key, member, labels);
            if changed {
                touched.push(key.clone());
            }
            part.gives.push(key);
        }
        let affected = state.affected(&touched, member);
        let labels = state.labels(&part);
        // An object without any part in the joins costs nothing.
        if !part.wants.is_empty() || !part.gives.is_empty() {
            state.parts.insert(member, part);
        }
        Joined { labels, affected }
    }

    /// Sets the extra labels of an object apart from the joins.
    pub(crate) fn set_base(&self, member: Member, base: OwnedLabels) {
        self.state.lock().parts.entry(member).or_default().base = base;
    }

    /// All extra labels of an object, as of now.
    pub(crate) fn labels(&self, member: Member) -> OwnedLabels {
        let state = self.state.lock();
        state.parts.get(&member).map(|part| state.labels(part)).unwrap_or_default()
    }

    /// Forgets an object; who gets other labels by that.
    pub(crate) fn remove(&self, member: Member) -> Vec<Member> {
        let state = &mut *self.state.lock();
        let Some(part) = state.parts.remove(&member) else { return Vec::new() };
        let touched = state.withdraw(member, &part, None);
        state.affected(&touched, member)
    }

    /// Forgets all objects of a store; who gets other labels by that.
    pub(crate) fn remove_store(&self, store: u32) -> Vec<Member> {
        let members: Vec<Member> =
            self.state.lock().parts.keys().filter(|member| member.store == store).copied().collect();
        let affected = members.into_iter().flat_map(|member| self.remove(member));
        let mut affected: Vec<Member> = affected.filter(|member| member.store != store).collect();
        affected.sort_unstable();
        affected.dedup();
        affected
    }
}

impl State {
    /// Takes a member out of its meetings; the keys under which labels are gone. What `next` gives under a key is
    /// replaced, not withdrawn.
    fn withdraw(&mut self, member: Member, part: &Part, next: Option<&Resolved>) -> Vec<Key> {
        let stays = |key: &Key| {
            next.is_some_and(|next| next.gives.iter().any(|(rule, text, _)| (*rule, text.as_str()) == (key.0, &*key.1)))
        };
        let mut touched = Vec::new();
        for key in &part.wants {
            if let Some(meeting) = self.meetings.get_mut(key) {
                meeting.takers.remove(&member);
            }
            self.prune(key);
        }
        for key in part.gives.iter().filter(|key| !stays(key)) {
            if let Some(meeting) = self.meetings.get_mut(key) {
                let before = meeting.givers.len();
                meeting.givers.retain(|(giver, _)| *giver != member);
                if meeting.givers.len() != before {
                    touched.push(key.clone());
                }
            }
            self.prune(key);
        }
        touched
    }

    fn prune(&mut self, key: &Key) {
        if self.meetings.get(key).is_some_and(|meeting| meeting.givers.is_empty() && meeting.takers.is_empty()) {
            self.meetings.remove(key);
        }
    }

    fn meet(&mut self, rule: usize, key: String) -> (Key, &mut Meeting) {
        let key: Key = (rule, key.into());
        let entry = self.meetings.entry(key.clone());
        // The map's own copy of the text is shared by all who meet under it.
        let key = (entry.key().0, entry.key().1.clone());
        (key, entry.or_default())
    }

    fn take(&mut self, rule: usize, key: String, member: Member) -> Key {
        let (key, meeting) = self.meet(rule, key);
        meeting.takers.insert(member);
        key
    }

    /// Whether that changed anything.
    fn give(&mut self, rule: usize, key: String, member: Member, labels: OwnedLabels) -> (Key, bool) {
        let (key, meeting) = self.meet(rule, key);
        match meeting.givers.iter_mut().find(|(giver, _)| *giver == member) {
            Some((_, old)) if *old == labels => (key, false),
            Some((_, old)) => {
                *old = labels;
                (key, true)
            }
            None => {
                meeting.givers.push((member, labels));
                (key, true)
            }
        }
    }

    fn affected(&self, touched: &[Key], but: Member) -> Vec<Member> {
        let takers = touched.iter().filter_map(|key| self.meetings.get(key)).flat_map(|meeting| &meeting.takers);
        let mut affected: Vec<Member> = takers.filter(|member| **member != but).copied().collect();
        affected.sort_unstable();
        affected.dedup();
        affected
    }

    fn labels(&self, part: &Part) -> OwnedLabels {
        let mut labels = part.base.clone();
        let meetings = part.wants.iter().filter_map(|key| self.meetings.get(key));
        for (name, value) in meetings.flat_map(|meeting| &meeting.givers).flat_map(|(_, given)| given) {
            if !labels.iter().any(|(known, _)| known == name) {
                labels.push((name.clone(), value.clone()));
            }
        }
        labels
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::joins::LabelJoin;

    fn index() -> JoinIndex {
        let join = LabelJoin { labels_to_match: vec!["node".into()], get_all_labels: true, ..LabelJoin::default() };
        JoinIndex::new(&[("kube_node_labels".to_owned(), join)].into())
    }

    fn member(store: u32, uid: &str) -> Member {
        Member { store, key: ObjectKey::from_uid(uid) }
    }

    fn pod(node: &str) -> Resolved {
        Resolved { wants: vec![(0, node.to_owned())], ..Resolved::default() }
    }

    fn node(name: &str, zone: &str) -> Resolved {
        Resolved { gives: vec![(0, name.to_owned(), labels(&[("zone", zone)]))], ..Resolved::default() }
    }

    fn labels(pairs: &[(&str, &str)]) -> OwnedLabels {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    const PODS: u32 = 1;
    const NODES: u32 = 2;

    #[test]
    fn whoever_comes_first_both_meet() {
        let index = index();
        let early = index.update(member(PODS, "a"), labels(&[("base", "b")]), pod("n1"));
        assert_eq!(early.labels, labels(&[("base", "b")]));
        let met = index.update(member(NODES, "n1"), Vec::new(), node("n1", "z"));
        assert_eq!((met.labels, met.affected), (Vec::new(), vec![member(PODS, "a")]));
        assert_eq!(index.labels(member(PODS, "a")), labels(&[("base", "b"), ("zone", "z")]));
        let late = index.update(member(PODS, "b"), Vec::new(), pod("n1"));
        assert_eq!((late.labels, late.affected), (labels(&[("zone", "z")]), vec![]));
    }

    #[test]
    fn only_a_change_concerns_others() {
        let index = index();
        index.update(member(NODES, "n1"), Vec::new(), node("n1", "z"));
        index.update(member(PODS, "a"), Vec::new(), pod("n1"));
        assert_eq!(index.update(member(NODES, "n1"), Vec::new(), node("n1", "z")).affected, []);
        assert_eq!(index.update(member(NODES, "n1"), Vec::new(), node("n1", "y")).affected, [member(PODS, "a")]);
        assert_eq!(index.update(member(NODES, "n1"), Vec::new(), node("renamed", "y")).affected, [member(PODS, "a")]);
        assert_eq!(index.labels(member(PODS, "a")), []);
    }

    #[test]
    fn what_is_gone_leaves_nothing_behind() {
        let index = index();
        index.update(member(NODES, "n1"), Vec::new(), node("n1", "z"));
        index.update(member(PODS, "a"), Vec::new(), pod("n1"));
        index.update(member(PODS, "a"), Vec::new(), pod("n2"));
        index.update(member(PODS, "b"), Vec::new(), pod("n1"));
        assert_eq!(index.remove(member(NODES, "n1")), [member(PODS, "b")]);
        assert_eq!(index.remove_store(PODS), []);
        let state = index.state.lock();
        assert!(state.meetings.is_empty() && state.parts.is_empty());
    }
}
