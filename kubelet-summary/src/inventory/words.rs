//! Texts and other things that many pods have alike, kept once.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::hash::Hash;
use std::sync::Arc;

/// So many may be kept that nobody holds any more before it is looked at them.
const SPARE: usize = 1024;

/// Things, each kept once; those that nobody else holds go when there are as many of them as of the others.
#[derive(Debug)]
pub(super) struct Shared<T: ?Sized + Eq + Hash> {
    all: HashSet<Arc<T>, foldhash::fast::RandomState>,
    /// How many of them were held, when that was last looked at.
    held: usize,
}

impl<T: ?Sized + Eq + Hash> Default for Shared<T> {
    fn default() -> Self {
        Self { all: HashSet::default(), held: 0 }
    }
}

impl<T: ?Sized + Eq + Hash> Shared<T> {
    /// The one that is equal, or this.
    pub(super) fn share<Q>(&mut self, thing: Q) -> Arc<T>
    where
        Q: Borrow<T> + Into<Arc<T>>,
    {
        if let Some(known) = self.all.get(thing.borrow()) {
            return known.clone();
        }
        let new = thing.into();
        self.all.insert(new.clone());
        new
    }

    /// The one that is equal.
    pub(super) fn get(&self, thing: &T) -> Option<&Arc<T>> {
        self.all.get(thing)
    }

    /// Lets go of what nobody else holds, if that is much.
    pub(super) fn tidy(&mut self) {
        if self.all.len() > 2 * self.held.max(SPARE) {
            self.all.retain(|thing| Arc::strong_count(thing) > 1);
            self.held = self.all.len();
            if self.all.capacity() > 4 * self.held.max(SPARE) {
                self.all.shrink_to_fit();
            }
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_holds_goes() {
        let mut words = Shared::<str>::default();
        let kept = words.share("kept");
        assert!(Arc::ptr_eq(&kept, &words.share("kept")));
        for number in 0..10 * SPARE {
            let text = number.to_string();
            assert_eq!(&*words.share(&*text), text);
            words.tidy();
        }
        assert!(words.len() <= 2 * SPARE + 1, "{}", words.len());
        assert!(Arc::ptr_eq(words.get("kept").unwrap(), &kept));
    }
}
