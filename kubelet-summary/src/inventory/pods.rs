//! The pods that are known, by uid and by what they have alike.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::HashTable;

use super::known::{KnownPod, Template};
use super::record::{Owner, PodRecord};
use super::uid::PodUid;
use super::words::Shared;
use crate::resources::{ContainerSpec, PodSpecResources};
use crate::selector::Scope;

type Hasher = foldhash::fast::RandomState;

/// A pod, and where it stands.
#[derive(Debug)]
struct Row {
    pod: Arc<KnownPod>,
    template: u32,
    /// Its place among the pods of its template.
    place: u32,
    /// Which feed told it, and in which of its lists that was last.
    feed: u16,
    list: u32,
}

/// A template and the rows of its pods.
#[derive(Debug)]
struct Group {
    template: Arc<Template>,
    rows: Vec<u32>,
}

/// Things by number, whose numbers are used again.
#[derive(Debug)]
struct Slab<T> {
    all: Vec<Option<T>>,
    free: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { all: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slab<T> {
    fn get(&self, number: u32) -> Option<&T> {
        self.all.get(number as usize)?.as_ref()
    }

    fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        self.all.get_mut(number as usize)?.as_mut()
    }

    fn insert(&mut self, thing: T) -> u32 {
        if let Some(number) = self.free.pop()
            && let Some(slot) = self.all.get_mut(number as usize)
        {
            *slot = Some(thing);
            return number;
        }
        // Four thousand million pods fit into no memory.
        let number = u32::try_from(self.all.len()).unwrap_or(u32::MAX);
        self.all.push(Some(thing));
        number
    }

    fn remove(&mut self, number: u32) -> Option<T> {
        let thing = self.all.get_mut(number as usize)?.take()?;
        self.free.push(number);
        Some(thing)
    }

    fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        (0..).zip(&self.all).filter_map(|(number, thing)| Some((number, thing.as_ref()?)))
    }
}

/// What became of a pod that was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Put {
    New,
    Changed,
    Same,
    /// It has no uid or no name.
    Unusable,
}

/// All pods that are known.
#[derive(Debug, Default)]
pub(super) struct PodTable {
    hasher: Hasher,
    rows: Slab<Row>,
    by_uid: HashTable<u32>,
    /// Static pods by the uid of their kubelet.
    statics: HashMap<PodUid, u32, Hasher>,
    groups: Slab<Group>,
    by_template: HashTable<u32>,
    words: Shared<str>,
    resources: Shared<PodSpecResources<Arc<str>>>,
}

impl PodTable {
    pub(super) fn len(&self) -> usize {
        self.by_uid.len()
    }

    /// A pod that is new or changed.
    pub(super) fn put(&mut self, record: &PodRecord, feed: u16, list: u32) -> Put {
        let (Some(uid), Some(name)) = (&record.metadata.uid, &record.metadata.name) else { return Put::Unusable };
        if uid.is_empty() || name.is_empty() {
            return Put::Unusable;
        }
        let uid = PodUid::new(uid);
        let kubelet_uid = record.kubelet_uid().map(PodUid::new).filter(|other| *other != uid).map(Box::new);
        let node = record.node.as_deref().map(|node| self.words.share(node));
        let template = self.template(record);
        let new = KnownPod {
            uid,
            kubelet_uid,
            name: name.as_str().into(),
            node,
            phase: record.phase,
            started: record.started.and_then(|started| started.try_into().ok()),
            template,
        };
        let Some(number) = self.number(&new.uid) else {
            self.insert(new, feed, list);
            return Put::New;
        };
        let Some(row) = self.rows.get_mut(number) else { return Put::Unusable };
        (row.feed, row.list) = (feed, list);
        let known = &row.pod;
        let same_template = Arc::ptr_eq(&known.template, &new.template);
        let same_uid = known.kubelet_uid == new.kubelet_uid;
        if same_template
            && same_uid
            && known.name == new.name
            && known.node == new.node
            && known.phase == new.phase
            && known.started == new.started
        {
            return Put::Same;
        }
        if same_template && same_uid {
            row.pod = Arc::new(new);
        } else {
            self.remove_row(number);
            self.insert(new, feed, list);
        }
        Put::Changed
    }

    /// A pod that is gone; whether it was known.
    pub(super) fn delete(&mut self, uid: &PodUid) -> bool {
        self.number(uid).is_some_and(|number| self.remove_row(number))
    }

    /// A feed's list is complete: its pods that were not in it are gone. How many those were.
    pub(super) fn end_list(&mut self, feed: u16, list: u32) -> usize {
        let gone = self.rows.iter().filter(|(_, row)| row.feed == feed && row.list != list);
        let gone: Vec<u32> = gone.map(|(number, _)| number).collect();
        for number in &gone {
            self.remove_row(*number);
        }
        gone.len()
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Lets go of what no pod has any more.
    pub(super) fn tidy(&mut self) {
        self.resources.tidy();
        self.words.tidy();
    }

    /// The pod of that uid, its own or its kubelet's.
    pub(super) fn get(&self, uid: &PodUid) -> Option<&Arc<KnownPod>> {
        let number = self.number(uid).or_else(|| self.statics.get(uid).copied())?;
        self.rows.get(number).map(|row| &row.pod)
    }

    /// Shows the pods in scope, in no order, those of a template one after another. Where owners are a matter of the
    /// host's, they are not looked at: that is for [`with_owner`](super::known::with_owner) when the table is let go of.
    pub(super) fn select(&self, scope: &Scope, mut show: impl FnMut(&Arc<KnownPod>)) {
        for (_, group) in self.groups.iter() {
            let template = &group.template;
            let labels = |key: &str| template.label(key);
            if !scope.admits_labels(&template.namespace, labels)
                || !(scope.asks_for_owners() || template.has_owner(scope))
            {
                continue;
            }
            let rows = group.rows.iter().filter_map(|number| self.rows.get(*number));
            for row in rows {
                if scope.admits_node(row.pod.node.as_deref()) && (scope.admits_finished() || !row.pod.phase.is_over()) {
                    show(&row.pod);
                }
            }
        }
    }

    /// Whether nothing has the label, or the value, that the scope needs.
    pub(super) fn has_word(&self, word: &str) -> bool {
        self.words.get(word).is_some()
    }

    fn number(&self, uid: &PodUid) -> Option<u32> {
        let same = |number: &u32| self.rows.get(*number).is_some_and(|row| row.pod.uid == *uid);
        self.by_uid.find(self.hasher.hash_one(uid), same).copied()
    }

    fn template(&mut self, record: &PodRecord) -> Arc<Template> {
        let words = &mut self.words;
        let labels = record.metadata.labels.iter().flatten();
        let containers = record.resources.containers.iter().map(|container| ContainerSpec {
            name: words.share(&*container.name),
            kind: container.kind,
            requests: container.requests,
            limits: container.limits,
        });
        let resources = PodSpecResources {
            containers: containers.collect(),
            requests: record.resources.requests,
            limits: record.resources.limits,
            overhead: record.resources.overhead,
        };
        let template = Template {
            namespace: words.share(record.metadata.namespace.as_deref().unwrap_or_default()),
            labels: labels.map(|(key, value)| (words.share(&**key), words.share(&**value))).collect(),
            owner: record.owner().map(|Owner { kind, name }| (words.share(&*kind), words.share(&*name))),
            resources: self.resources.share(resources),
        };
        let same = |number: &u32| self.groups.get(*number).is_some_and(|group| *group.template == template);
        let hash = self.hasher.hash_one(&template);
        let known = self.by_template.find(hash, same).and_then(|number| self.groups.get(*number));
        known.map_or_else(|| Arc::new(template), |group| group.template.clone())
    }

    fn insert(&mut self, pod: KnownPod, feed: u16, list: u32) {
        let Self { hasher, rows, by_uid, statics, groups, by_template, .. } = self;
        let of_group = |groups: &Slab<Group>, number: u32| {
            groups.get(number).map(|group| hasher.hash_one(&group.template)).unwrap_or_default()
        };
        let hash = hasher.hash_one(&pod.template);
        let same = |number: &u32| groups.get(*number).is_some_and(|group| Arc::ptr_eq(&group.template, &pod.template));
        let template = by_template.find(hash, same).copied().unwrap_or_else(|| {
            let number = groups.insert(Group { template: pod.template.clone(), rows: Vec::new() });
            by_template.insert_unique(hash, number, |number| of_group(groups, *number));
            number
        });
        let Some(group) = groups.get_mut(template) else { return };
        let place = u32::try_from(group.rows.len()).unwrap_or(u32::MAX);
        let kubelet_uid = pod.kubelet_uid.clone();
        let hash = hasher.hash_one(&pod.uid);
        let number = rows.insert(Row { pod: Arc::new(pod), template, place, feed, list });
        group.rows.push(number);
        by_uid.insert_unique(hash, number, |number| {
            rows.get(*number).map(|row| hasher.hash_one(&row.pod.uid)).unwrap_or_default()
        });
        if let Some(uid) = kubelet_uid {
            statics.insert(*uid, number);
        }
    }

    fn remove_row(&mut self, number: u32) -> bool {
        let Some(row) = self.rows.remove(number) else { return false };
        if let Ok(entry) = self.by_uid.find_entry(self.hasher.hash_one(&row.pod.uid), |known| *known == number) {
            entry.remove();
        }
        // A recreated static pod keeps its kubelet's uid: the entry may be its successor's by now.
        if let Some(uid) = &row.pod.kubelet_uid
            && self.statics.get(&**uid) == Some(&number)
        {
            self.statics.remove(&**uid);
        }
        let Some(group) = self.groups.get_mut(row.template) else { return true };
        let place = row.place as usize;
        if place < group.rows.len() {
            group.rows.swap_remove(place);
        }
        if let Some(moved) = group.rows.get(place).copied()
            && let Some(moved) = self.rows.get_mut(moved)
        {
            moved.place = row.place;
        }
        if group.rows.is_empty() {
            let hash = self.hasher.hash_one(&row.pod.template);
            if let Ok(entry) = self.by_template.find_entry(hash, |known| *known == row.template) {
                entry.remove();
            }
            self.groups.remove(row.template);
        }
        true
    }
}
