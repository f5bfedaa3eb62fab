//! What is known: one writer at a time keeps it, and publishes what readers look up without a lock.
//!
//! Readers see a container whole, as it was or as it is. Maps whose readers take no lock cost a look-up some 26 ns, also
//! while a writer is at work (`benches/container_index`).

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hash;
use std::path::Path;
use std::sync::Arc;

use foldhash::fast::RandomState;
use metrics::{counter, gauge};
use tokio::sync::broadcast;
use tokio::time::Instant;

use super::bounds::Bounds;
use super::locate::Located;
use super::telemetry;
use super::types::{Change, Container, Kind, Phase, PodInfo, Reason};
use crate::cgroup::CgroupDir;

type Map<K, V> = papaya::HashMap<K, V, RandomState>;

/// What readers look up.
#[derive(Debug, Default)]
pub(super) struct Published {
    cgroups: Map<u64, Arc<Container>>,
    containers: Map<Arc<str>, Arc<Container>>,
    directories: Map<Arc<Path>, Arc<str>>,
}

fn get<K: Borrow<Q> + Hash + Eq, Q: Hash + Eq + ?Sized, V: Clone>(map: &Map<K, V>, key: &Q) -> Option<V> {
    map.pin().get(key).cloned()
}

impl Published {
    pub(super) fn by_cgroup(&self, id: u64) -> Option<Arc<Container>> {
        get(&self.cgroups, &id)
    }

    pub(super) fn by_id(&self, id: &str) -> Option<Arc<Container>> {
        get(&self.containers, id)
    }

    pub(super) fn by_directory(&self, directory: &Path) -> Option<Arc<Container>> {
        self.by_id(&get(&self.directories, directory)?)
    }

    pub(super) fn all(&self) -> Vec<Arc<Container>> {
        self.containers.pin().values().cloned().collect()
    }

    pub(super) fn len(&self) -> usize {
        self.containers.len()
    }

    /// Whether a cgroup is a living container's own, and not `container`'s.
    pub(super) fn is_anothers(&self, cgroup: u64, container: &str) -> bool {
        let owner = self.by_cgroup(cgroup);
        owner.is_some_and(|owner| *owner.id != *container && !owner.is_ended() && is_own(&owner, cgroup))
    }

    /// A cgroup becomes a container's, unless it is another's by a better right: what lives goes before what has ended,
    /// a container's own cgroup before one inside another container. The one that lost it.
    fn claim(&self, cgroup: u64, container: &Arc<Container>) -> Option<Arc<Container>> {
        let loser = self.by_cgroup(cgroup).filter(|owner| owner.id != container.id);
        if let Some(owner) = &loser {
            let own = is_own(container, cgroup);
            if container.is_ended() || (!own && self.is_anothers(cgroup, &container.id)) {
                return None;
            }
            if is_own(owner, cgroup) {
                counter!(telemetry::REUSED).increment(1);
            }
        }
        self.cgroups.pin().insert(cgroup, container.clone());
        loser
    }

    /// The same of a directory.
    fn claim_directory(&self, directory: &Arc<Path>, container: &Container) {
        if !container.is_ended() || get(&self.directories, &**directory).is_none() {
            self.directories.pin().insert(directory.clone(), container.id.clone());
        }
    }

    fn release(&self, cgroup: u64, container: &str) {
        if self.by_cgroup(cgroup).is_some_and(|owner| *owner.id == *container) {
            self.cgroups.pin().remove(&cgroup);
        }
    }

    fn release_directory(&self, directory: &Path, container: &str) {
        if get(&self.directories, directory).is_some_and(|owner| *owner == *container) {
            self.directories.pin().remove(directory);
        }
    }
}

fn is_own(container: &Container, cgroup: u64) -> bool {
    container.cgroup.as_ref().is_some_and(|own| own.id == cgroup)
}

/// A container in the table.
#[derive(Debug)]
struct Slot {
    known: Arc<Container>,
    /// Its pod's sandbox.
    pod: Option<Arc<str>>,
    /// Ids of the cgroups inside it.
    nested: Vec<u64>,
    /// When it is forgotten: it was removed.
    leaves: Option<Instant>,
}

/// A pod that a container in the table is of.
#[derive(Debug, Default)]
struct Pod {
    info: Option<Arc<PodInfo>>,
    /// Its sandbox and its containers: never empty.
    containers: BTreeSet<Arc<str>>,
}

/// The one that writes.
#[derive(Debug)]
pub(super) struct Table {
    published: Arc<Published>,
    changes: broadcast::Sender<Change>,
    bounds: Bounds,
    slots: HashMap<Arc<str>, Slot>,
    pods: BTreeMap<Arc<str>, Pod>,
    leaving: BTreeSet<(Instant, Arc<str>)>,
    nested: usize,
}

impl Table {
    pub(super) fn new(published: Arc<Published>, changes: broadcast::Sender<Change>, bounds: Bounds) -> Self {
        let (slots, pods, leaving) = (HashMap::new(), BTreeMap::new(), BTreeSet::new());
        Self { published, changes, bounds, slots, pods, leaving, nested: 0 }
    }

    pub(super) fn pod(&self, id: &str) -> Option<&Arc<PodInfo>> {
        self.pods.get(id)?.info.as_ref()
    }

    /// The id of a container's pod; empty where it is not known.
    pub(super) fn pod_of(&self, id: &str) -> Arc<str> {
        self.slots.get(id).and_then(|slot| slot.pod.clone()).unwrap_or_default()
    }

    pub(super) fn get(&self, id: &str) -> Option<&Arc<Container>> {
        self.slots.get(id).map(|slot| &slot.known)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Container>> {
        self.slots.values().map(|slot| &slot.known)
    }

    /// Takes a pod's metadata, for its containers too, and the phase of its sandbox.
    pub(super) fn put_pod(&mut self, info: &Arc<PodInfo>, located: Option<Located>, phase: Phase) {
        let id: Arc<str> = info.id.as_str().into();
        let mut sandbox = self.known_or_new(&id);
        sandbox.phase = phase.after(sandbox.phase, located.is_some());
        (sandbox.kind, sandbox.info, sandbox.pod) = (Kind::Sandbox, None, Some(info.clone()));
        if !self.put(sandbox, &id, located) {
            counter!(telemetry::DROPPED, "what" => "pod").increment(1);
            return;
        }
        let containers = self.pods.get(&id).map(|pod| pod.containers.clone()).unwrap_or_default();
        for container in containers {
            self.update(&container, |container| container.pod = Some(info.clone()));
        }
    }

    /// What is known of a container, or nothing but its id.
    pub(super) fn known_or_new(&self, id: &str) -> Container {
        self.get(id).map_or_else(
            || Container {
                id: id.into(),
                kind: Kind::Found,
                phase: Phase::Live,
                info: None,
                pod: None,
                cgroup: None,
                found_pod_uid: None,
            },
            |known| Container::clone(known),
        )
    }

    /// Takes a container of a pod, and the cgroups that were found for it; false if there was no room. What lives again is
    /// not forgotten.
    pub(super) fn put(&mut self, mut container: Container, pod_id: &str, located: Option<Located>) -> bool {
        let id = container.id.clone();
        if !self.slots.contains_key(&id) && !self.make_room() {
            counter!(telemetry::DROPPED, "what" => "container").increment(1);
            return false;
        }
        let before = self.slots.get(&id).and_then(|slot| slot.pod.clone());
        if let Some(before) = before.as_ref().filter(|before| ***before != *pod_id) {
            self.leave_pod(before, &id);
        }
        let pod_id =
            (!pod_id.is_empty()).then(|| before.filter(|before| **before == *pod_id).unwrap_or_else(|| pod_id.into()));
        if let Some(pod_id) = &pod_id {
            let pod = self.pods.entry(pod_id.clone()).or_default();
            pod.containers.insert(id.clone());
            match container.kind {
                Kind::Sandbox => pod.info.clone_from(&container.pod),
                _ => container.pod = pod.info.clone().or(container.pod),
            }
        }
        let (own, inside) =
            located.map_or((None, None), |found| (Some(found.own), Some((found.nested, found.complete))));
        container.cgroup = own.or(container.cgroup);
        self.store(container);
        if let Some(slot) = self.slots.get_mut(&id) {
            slot.pod = pod_id;
        }
        if let Some((nested, complete)) = inside {
            self.put_nested(&id, &nested, complete);
        }
        true
    }

    /// The runtime has it, be it that it has ended: it is not forgotten.
    pub(super) fn stays(&mut self, id: &str) {
        if let Some(slot) = self.slots.get_mut(id)
            && let Some(at) = slot.leaves.take()
        {
            self.leaving.remove(&(at, slot.known.id.clone()));
        }
    }

    /// Changes what is known of a container.
    pub(super) fn update(&mut self, id: &str, change: impl FnOnce(&mut Container)) {
        if let Some(known) = self.get(id) {
            let mut container = Container::clone(known);
            change(&mut container);
            self.store(container);
        }
    }

    fn store(&mut self, container: Container) {
        let container = Arc::new(container);
        let id = &container.id.clone();
        let slot = self.slots.entry(id.clone()).or_insert_with(|| Slot {
            known: container.clone(),
            pod: None,
            nested: Vec::new(),
            leaves: None,
        });
        let before = slot.known.clone();
        let is_news = Arc::ptr_eq(&before, &container) || before != container;
        // What is as it was is published again, since another may have held its cgroups for a time.
        let container = if is_news { container } else { before.clone() };
        slot.known = container.clone();
        if !container.is_ended()
            && let Some(at) = slot.leaves.take()
        {
            self.leaving.remove(&(at, id.clone()));
        }
        let nested = slot.nested.clone();
        let published = &*self.published;
        if let Some(old) = before.cgroup.as_ref().filter(|old| container.cgroup.as_ref() != Some(*old)) {
            published.release(old.id, id);
            published.release_directory(&old.path, id);
        }
        published.containers.pin().insert(id.clone(), container.clone());
        if let Some(own) = &container.cgroup {
            published.claim_directory(&own.path, &container);
        }
        for cgroup in container.cgroup.iter().map(|own| own.id).chain(nested) {
            self.claim(cgroup, &container);
        }
        if is_news {
            self.tell(Change::Changed(container));
        }
    }

    /// The cgroups inside a container, in place of those that were known.
    pub(super) fn put_nested(&mut self, id: &str, found: &[CgroupDir], complete: bool) {
        let Some(slot) = self.slots.get_mut(id) else { return };
        let now: BTreeSet<u64> = found.iter().map(|cgroup| cgroup.id).collect();
        if !complete {
            counter!(telemetry::DROPPED, "what" => "nested").increment(1);
        }
        let others = self.nested - slot.nested.len();
        let room = self.bounds.nested.saturating_sub(others);
        if now.len() > room {
            counter!(telemetry::DROPPED, "what" => "nested").increment((now.len() - room) as u64);
        }
        let now: Vec<u64> = now.into_iter().take(room).collect();
        for gone in slot.nested.iter().filter(|cgroup| now.binary_search(cgroup).is_err()) {
            if !is_own(&slot.known, *gone) {
                self.published.release(*gone, id);
            }
        }
        let known = slot.known.clone();
        self.nested = others + now.len();
        slot.nested.clone_from(&now);
        for cgroup in now {
            self.claim(cgroup, &known);
        }
        gauge!(telemetry::NESTED).set(self.nested as f64);
    }

    /// A cgroup becomes a container's. Whoever had it inside has it no more, also when it is published anew.
    fn claim(&mut self, cgroup: u64, container: &Arc<Container>) {
        if let Some(loser) = self.published.claim(cgroup, container)
            && let Some(slot) = self.slots.get_mut(&loser.id)
            && let Ok(at) = slot.nested.binary_search(&cgroup)
        {
            slot.nested.remove(at);
            self.nested -= 1;
        }
    }

    /// A container has ended; it is still known to its runtime.
    pub(super) fn stop(&mut self, id: &str, at: Instant) {
        if self.get(id).is_some_and(|known| !known.is_ended()) {
            self.update(id, |container| container.phase = Phase::Ended { at });
        }
    }

    /// A container is gone; it is told, if that is news.
    pub(super) fn remove(&mut self, id: &str, at: Instant) -> Option<Arc<Container>> {
        self.stop(id, at);
        let slot = self.slots.get_mut(id).filter(|slot| slot.leaves.is_none())?;
        let leaves = at + self.bounds.grace;
        slot.leaves = Some(leaves);
        self.leaving.insert((leaves, slot.known.id.clone()));
        Some(slot.known.clone())
    }

    /// A pod is gone, and all that is in it.
    pub(super) fn remove_pod(&mut self, id: &str, at: Instant) -> Vec<Arc<Container>> {
        let containers = self.pods.get(id).map(|pod| pod.containers.clone()).unwrap_or_default();
        containers.iter().filter_map(|container| self.remove(container, at)).collect()
    }

    /// Whether one more fits, perhaps in place of one that has ended: of one that was removed, if there is any.
    fn make_room(&mut self) -> bool {
        if self.slots.len() < self.bounds.containers {
            return true;
        }
        let removed = self.leaving.first().map(|(_, id)| id.clone());
        let ended = || self.all().find(|container| container.is_ended()).map(|container| container.id.clone());
        removed.or_else(ended).is_some_and(|id| {
            self.forget(&id, Reason::Full);
            true
        })
    }

    /// When the next one is to be forgotten.
    pub(super) fn next_leaving(&self) -> Option<Instant> {
        self.leaving.first().map(|(at, _)| *at)
    }

    /// Forgets those whose time is over.
    pub(super) fn sweep(&mut self, now: Instant) {
        while let Some((_, id)) = self.leaving.first().filter(|(at, _)| *at <= now) {
            let id = id.clone();
            self.forget(&id, Reason::Expired);
        }
        gauge!(telemetry::CONTAINERS).set(self.slots.len() as f64);
    }

    fn forget(&mut self, id: &Arc<str>, reason: Reason) {
        let Some(slot) = self.slots.remove(id) else { return };
        let container = slot.known;
        if let Some(at) = slot.leaves {
            self.leaving.remove(&(at, id.clone()));
        }
        if let Some(pod) = &slot.pod {
            self.leave_pod(pod, id);
        }
        self.published.containers.pin().remove(id);
        if let Some(own) = &container.cgroup {
            self.published.release(own.id, id);
            self.published.release_directory(&own.path, id);
        }
        self.nested -= slot.nested.len();
        for cgroup in slot.nested {
            self.published.release(cgroup, id);
        }
        counter!(telemetry::FORGOTTEN, "reason" => reason.as_str()).increment(1);
        self.tell(Change::Forgotten { container, reason });
    }

    fn leave_pod(&mut self, pod_id: &str, id: &str) {
        if let Some(pod) = self.pods.get_mut(pod_id) {
            pod.containers.remove(id);
            if pod.containers.is_empty() {
                self.pods.remove(pod_id);
            }
        }
    }

    fn tell(&self, change: Change) {
        // Without a subscriber there is nobody to tell.
        let _ = self.changes.send(change);
    }
}
