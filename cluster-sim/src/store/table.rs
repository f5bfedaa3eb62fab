//! The objects of one resource, the changes that led to them, and who is watching.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, OnceLock};

use tokio::sync::mpsc;

use super::entry::Entry;
use crate::object::selector::Scope;

/// One write to one object.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) version: u64,
    /// The object after the write; of a deleted one its last state, at the version of its deletion.
    pub(crate) now: Arc<Entry>,
    /// The object before the write.
    pub(crate) before: Option<Arc<Entry>>,
    pub(crate) deleted: bool,
    /// What a watch is told whose selector the object has just stopped matching; made when first needed.
    left: OnceLock<Entry>,
}

/// What a change looks like through a selector.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Seen<'a> {
    Added(&'a Entry),
    Modified(&'a Entry),
    Deleted(&'a Entry),
}

impl Change {
    pub(crate) fn new(now: Arc<Entry>, before: Option<Arc<Entry>>, deleted: bool) -> Self {
        Self { version: now.version, now, before, deleted, left: OnceLock::new() }
    }

    /// An object that starts to match appears, one that stops to match disappears, whatever really happened.
    pub(crate) fn seen_by(&self, scope: &Scope) -> Option<Seen<'_>> {
        let was_in = self.before.as_ref().is_some_and(|before| scope.matches(before));
        let is_in = !self.deleted && scope.matches(&self.now);
        match (was_in, is_in) {
            (false, true) => Some(Seen::Added(&self.now)),
            (true, true) => Some(Seen::Modified(&self.now)),
            (true, false) if self.deleted => Some(Seen::Deleted(&self.now)),
            (true, false) => {
                let before = self.before.as_ref()?;
                Some(Seen::Deleted(self.left.get_or_init(|| before.reissued(self.version))))
            }
            (false, false) => None,
        }
    }

    fn concerns(&self, scope: &Scope) -> bool {
        self.before.as_ref().is_some_and(|before| scope.matches(before)) || (!self.deleted && scope.matches(&self.now))
    }
}

/// An entry, ordered by its key.
#[derive(Debug)]
struct Keyed(Arc<Entry>);

impl Borrow<str> for Keyed {
    fn borrow(&self) -> &str {
        &self.0.key
    }
}

impl PartialEq for Keyed {
    fn eq(&self, other: &Self) -> bool {
        self.0.key == other.0.key
    }
}

impl Eq for Keyed {}

impl PartialOrd for Keyed {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Keyed {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.key.cmp(&other.0.key)
    }
}

/// A running watch, as its table knows it.
#[derive(Debug)]
struct Watcher {
    scope: Arc<Scope>,
    queue: mpsc::Sender<Arc<Change>>,
}

/// The objects of one resource.
#[derive(Debug)]
pub(crate) struct Table {
    objects: BTreeSet<Keyed>,
    /// The newest changes, oldest first; at most the store's history window.
    history: VecDeque<Arc<Change>>,
    /// The oldest version whose state can still be told.
    floor: u64,
    watchers: Vec<Watcher>,
}

impl Table {
    pub(crate) fn new(floor: u64) -> Self {
        Self { objects: BTreeSet::new(), history: VecDeque::new(), floor, watchers: Vec::new() }
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Arc<Entry>> {
        self.objects.get(key).map(|keyed| &keyed.0)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.objects.iter().map(|keyed| &keyed.0)
    }

    pub(crate) fn floor(&self) -> u64 {
        self.floor
    }

    pub(crate) fn put(&mut self, entry: Arc<Entry>, window: usize) {
        let before = self.objects.replace(Keyed(Arc::clone(&entry))).map(|keyed| keyed.0);
        self.publish(Change::new(entry, before, false), window);
    }

    /// Remove the object of `last`'s key, telling watchers `last`.
    pub(crate) fn remove(&mut self, last: Arc<Entry>, window: usize) {
        let before = self.objects.take(&*last.key).map(|keyed| keyed.0);
        self.publish(Change::new(last, before, true), window);
    }

    fn publish(&mut self, change: Change, window: usize) {
        let change = Arc::new(change);
        // A watcher whose queue is full is too slow to keep: without its sender its stream ends, and the client
        // starts over. So does one whose client has gone.
        self.watchers.retain(|watcher| {
            if change.concerns(&watcher.scope) {
                watcher.queue.try_send(Arc::clone(&change)).is_ok()
            } else {
                !watcher.queue.is_closed()
            }
        });
        self.history.push_back(change);
        while self.history.len() > window {
            if let Some(dropped) = self.history.pop_front() {
                self.floor = dropped.version;
            }
        }
    }

    /// Forget how the present state came about.
    pub(crate) fn compact(&mut self, version: u64) {
        self.history.clear();
        self.floor = version;
    }

    /// The changes after `version` that concern `scope`, or `None` if some are forgotten.
    pub(crate) fn since(&self, version: u64, scope: &Scope) -> Option<Vec<Arc<Change>>> {
        if version < self.floor {
            return None;
        }
        let start = self.history.partition_point(|change| change.version <= version);
        Some(self.history.range(start..).filter(|change| change.concerns(scope)).cloned().collect())
    }

    pub(crate) fn watch(&mut self, scope: Arc<Scope>, queue: usize) -> mpsc::Receiver<Arc<Change>> {
        let (sender, receiver) = mpsc::channel(queue);
        self.watchers.retain(|watcher| !watcher.queue.is_closed());
        self.watchers.push(Watcher { scope, queue: sender });
        receiver
    }

    /// The objects as they were at `version`, or `None` if that is forgotten.
    pub(crate) fn at(&self, version: u64) -> Option<View<'_>> {
        if version < self.floor {
            return None;
        }
        let later = self.history.iter().rev().take_while(|change| change.version > version);
        let undone = later.map(|change| (&*change.now.key, change.before.as_ref())).collect();
        Some(View { table: self, undone })
    }
}

/// The objects of a table as they were at one version: the present ones, with the later changes undone.
#[derive(Debug)]
pub(crate) struct View<'a> {
    table: &'a Table,
    undone: BTreeMap<&'a str, Option<&'a Arc<Entry>>>,
}

impl<'a> View<'a> {
    pub(crate) fn get(&self, key: &str) -> Option<&'a Arc<Entry>> {
        match self.undone.get(key) {
            Some(before) => *before,
            None => self.table.get(key),
        }
    }

    /// The objects of a namespace (`None`: of all), in key order, after the key `after`.
    pub(crate) fn range(&self, namespace: Option<&str>, after: Option<&str>) -> impl Iterator<Item = &'a Arc<Entry>> {
        let first = namespace.map(|namespace| format!("{namespace}/"));
        // '0' is the character after '/'.
        let end = namespace.map(|namespace| format!("{namespace}0"));
        let from = match (after, &first) {
            (Some(after), Some(first)) if after < first.as_str() => Bound::Included(first.as_str()),
            (Some(after), _) => Bound::Excluded(after),
            (None, Some(first)) => Bound::Included(first.as_str()),
            (None, None) => Bound::Unbounded,
        };
        let to = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        // A token from another namespace can place the start behind the end, which a range refuses.
        let empty =
            matches!((from, to), (Bound::Excluded(from) | Bound::Included(from), Bound::Excluded(to)) if from >= to);
        let (from, to) = if empty { (Bound::Included(""), Bound::Excluded("")) } else { (from, to) };

        let past: Vec<_> = self.undone.range::<str, _>((from, to)).map(|(key, before)| (*key, *before)).collect();
        let mut past = past.into_iter().peekable();
        let mut present = self.table.objects.range::<str, _>((from, to)).map(|keyed| &keyed.0).peekable();
        std::iter::from_fn(move || {
            loop {
                let key = match (present.peek(), past.peek()) {
                    (None, None) => return None,
                    (Some(_), None) => return present.next(),
                    (Some(entry), Some((key, _))) if *entry.key < **key => return present.next(),
                    (_, Some((key, _))) => *key,
                };
                present.next_if(|entry| *entry.key == *key);
                if let Some((_, Some(before))) = past.next() {
                    return Some(before);
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::object::Object;
    use crate::resource::Registry;

    fn entry(key: &str, version: u64) -> Arc<Entry> {
        let registry = Registry::with_built_ins();
        let (_, object) = Object::from_value(json!({"metadata": {"name": key}})).unwrap();
        Arc::new(Entry::new(registry.get("", "pods").unwrap(), key, object, version))
    }

    fn keys(table: &Table, version: u64, namespace: Option<&str>, after: Option<&str>) -> Vec<String> {
        table.at(version).unwrap().range(namespace, after).map(|e| format!("{}@{}", e.key, e.version)).collect()
    }

    fn table() -> Table {
        let mut table = Table::new(0);
        table.put(entry("a/1", 1), 10);
        table.put(entry("a-b/1", 2), 10);
        table.put(entry("a/2", 3), 10);
        table.put(entry("a/1", 4), 10);
        table.remove(entry("a/2", 5), 10);
        table.put(entry("b/1", 6), 10);
        table
    }

    #[test]
    fn a_view_is_the_state_at_its_version() {
        let table = table();
        assert_eq!(keys(&table, 6, None, None), ["a-b/1@2", "a/1@4", "b/1@6"]);
        assert_eq!(keys(&table, 4, None, None), ["a-b/1@2", "a/1@4", "a/2@3"]);
        assert_eq!(keys(&table, 3, None, None), ["a-b/1@2", "a/1@1", "a/2@3"]);
        assert_eq!(keys(&table, 0, None, None), [""; 0]);
        assert_eq!(table.at(3).unwrap().get("a/1").unwrap().version, 1);
        assert!(table.at(2).unwrap().get("a/2").is_none());
    }

    #[test]
    fn ranges_keep_to_their_namespace_and_start() {
        let table = table();
        assert_eq!(keys(&table, 4, Some("a"), None), ["a/1@4", "a/2@3"]);
        assert_eq!(keys(&table, 4, Some("a"), Some("a/1")), ["a/2@3"]);
        assert_eq!(keys(&table, 4, None, Some("a/1")), ["a/2@3"]);
        assert_eq!(keys(&table, 4, Some("a"), Some("z/9")), [""; 0]);
        assert_eq!(keys(&table, 4, Some("b"), Some("a/1")), [""; 0]);
    }

    #[test]
    fn what_is_older_than_the_window_is_forgotten() {
        let mut table = table();
        table.put(entry("c/1", 7), 2);
        assert!(table.at(4).is_none());
        assert!(table.since(4, &Scope::default()).is_none());
        assert_eq!(table.since(5, &Scope::default()).unwrap().len(), 2);
        table.compact(9);
        assert!(table.at(8).is_none());
        assert_eq!(keys(&table, 9, Some("c"), None), ["c/1@7"]);
    }

    #[test]
    fn a_slow_watcher_is_let_go() {
        let mut table = Table::new(0);
        let mut changes = table.watch(Arc::new(Scope::default()), 1);
        table.put(entry("a/1", 1), 10);
        table.put(entry("a/2", 2), 10);
        assert_eq!(changes.try_recv().unwrap().version, 1);
        assert!(matches!(changes.try_recv(), Err(mpsc::error::TryRecvError::Disconnected)));
    }
}
