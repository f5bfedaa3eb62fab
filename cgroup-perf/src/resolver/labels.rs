//! The labels of a container, each kept once.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Weak};

use hashbrown::HashTable;

/// What is known of the owner of a cgroup. Text that is not known is empty.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Labels {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub pod: String,
    /// The pod's uid.
    pub pod_uid: String,
    /// The container's name.
    pub container: String,
    /// The container's id at its runtime.
    pub container_id: String,
    /// Whatever else there is, name and value, in the order of names.
    pub more: Vec<(String, String)>,
}

/// Makes equal labels one.
///
/// ```
/// use cgroup_perf::resolver::{Interner, Labels};
/// use std::sync::Arc;
///
/// let mut interner = Interner::default();
/// let one = interner.intern(Labels { pod: "web-1".to_owned(), ..Labels::default() });
/// let two = interner.intern(Labels { pod: "web-1".to_owned(), ..Labels::default() });
/// assert!(Arc::ptr_eq(&one, &two));
/// ```
#[derive(Debug, Default)]
pub struct Interner {
    table: HashTable<Weak<Labels>>,
}

impl Interner {
    /// The labels that are equal to these, if they are in use, or these.
    pub fn intern(&mut self, labels: Labels) -> Arc<Labels> {
        let hash = hash(&labels);
        let equal = |weak: &Weak<Labels>| weak.upgrade().is_some_and(|known| *known == labels);
        if let Some(known) = self.table.find(hash, equal).and_then(Weak::upgrade) {
            return known;
        }
        if self.table.len() == self.table.capacity() {
            // Before it grows: what nobody uses any more makes room.
            self.table.retain(|weak| weak.strong_count() > 0);
        }
        let labels = Arc::new(labels);
        // One that is dropped while the table grows has no hash any more, and no use: any place will do.
        let rehash = |weak: &Weak<Labels>| weak.upgrade().map_or(0, |labels| self::hash(&labels));
        self.table.insert_unique(hash, Arc::downgrade(&labels), rehash);
        labels
    }

    /// How many are held, with those that nobody uses any more and that are yet to go.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }
}

fn hash(labels: &Labels) -> u64 {
    let mut hasher = DefaultHasher::new();
    labels.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pod: usize) -> Labels {
        Labels { pod: format!("web-{pod}"), ..Labels::default() }
    }

    #[test]
    fn what_nobody_uses_makes_room() {
        let mut interner = Interner::default();
        let kept: Vec<_> = (0..10).map(|pod| interner.intern(labels(pod))).collect();
        for pod in 10..10_000 {
            interner.intern(labels(pod));
        }
        assert!(interner.len() < 100, "{}", interner.len());
        for (pod, labels_before) in kept.iter().enumerate() {
            assert!(Arc::ptr_eq(labels_before, &interner.intern(labels(pod))));
        }
    }
}
