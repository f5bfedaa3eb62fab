//! Which label sets a family of an object has samples of.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::RandomState;
use hashbrown::HashSet;

use crate::samples::Label;

/// How many label sets are remembered without allocation: most metrics yield one sample, or one per condition.
const FEW: usize = 8;

/// The label sets so far, by 64-bit hashes of a secret seed.
#[derive(Debug, Default)]
pub(super) struct Seen {
    hasher: RandomState,
    few: [u64; FEW],
    count: usize,
    more: HashSet<u64>,
}

impl Seen {
    pub(super) fn clear(&mut self) {
        self.count = 0;
        self.more.clear();
    }

    /// Whether the sorted labels are new.
    pub(super) fn insert(&mut self, labels: &[Label<'_>]) -> bool {
        let mut hasher = self.hasher.build_hasher();
        for (name, value) in labels {
            for text in [name, value] {
                hasher.write(text.as_bytes());
                hasher.write_usize(text.len());
            }
        }
        let hash = hasher.finish();
        if self.few.iter().take(self.count).any(|known| *known == hash) {
            return false;
        }
        match self.few.get_mut(self.count) {
            Some(slot) => {
                *slot = hash;
                self.count += 1;
                true
            }
            None => self.more.insert(hash),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_and_many_label_sets_are_told_apart() {
        let values: Vec<String> = (0..40).map(|n| n.to_string()).collect();
        let mut seen = Seen::default();
        let insert = |seen: &mut Seen| values.iter().filter(|value| seen.insert(&[("a", value)])).count();
        assert_eq!((insert(&mut seen), insert(&mut seen)), (40, 0));
        seen.clear();
        assert_eq!(insert(&mut seen), 40);
        assert!(seen.insert(&[("a", "1"), ("b", "")]) && seen.insert(&[("a1", "b")]));
    }
}
