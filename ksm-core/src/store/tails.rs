//! The interned tails: what follows an object's identity in the sample lines of one family.
//!
//! A tail is the text `,phase="Running"} 1\n`, or several such lines. Most of them repeat across thousands of objects,
//! so an object holds a 4-byte id. Entries are reference-counted by the writer; readers resolve ids against the pages
//! that belong to their snapshot, which the writer copies before it changes them.

use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

const PAGE: usize = 128;

/// The id of "no tail".
pub(super) const ABSENT: u32 = 0;

type Page = Vec<Option<Arc<[u8]>>>;

/// Ids to texts, as a reader sees it.
#[derive(Clone, Debug, Default)]
pub(super) struct TailPages {
    pages: Vec<Arc<Page>>,
}

impl TailPages {
    #[inline]
    pub(super) fn get(&self, id: u32) -> &[u8] {
        let id = id as usize;
        let page = self.pages.get(id / PAGE);
        page.and_then(|page| page.get(id % PAGE)).and_then(Option::as_deref).unwrap_or_default()
    }

    fn set(&mut self, id: u32, text: Option<Arc<[u8]>>) {
        let id = id as usize;
        while self.pages.len() <= id / PAGE {
            self.pages.push(Arc::new(vec![None; PAGE]));
        }
        if let Some(page) = self.pages.get_mut(id / PAGE)
            && let Some(slot) = Arc::make_mut(page).get_mut(id % PAGE)
        {
            *slot = text;
        }
    }
}

/// The writer's side: texts to ids, and how often each is in use.
#[derive(Debug, Default)]
pub(super) struct TailTable {
    pub(super) pages: TailPages,
    ids: HashTable<u32>,
    references: Vec<u32>,
    free: Vec<u32>,
    hasher: RandomState,
    bytes: usize,
}

impl TailTable {
    /// The id of `text`, with one reference more.
    pub(super) fn intern(&mut self, text: &[u8]) -> u32 {
        let hash = self.hasher.hash_one(text);
        let (pages, hasher) = (&self.pages, &self.hasher);
        let entry = self.ids.entry(hash, |id| pages.get(*id) == text, |id| hasher.hash_one(pages.get(*id)));
        match entry {
            Entry::Occupied(entry) => {
                let id = *entry.get();
                self.add_reference(id);
                id
            }
            Entry::Vacant(entry) => {
                if self.references.is_empty() {
                    // Id 0 says that there is no tail.
                    self.references.push(0);
                }
                let id = self.free.pop().unwrap_or_else(|| {
                    self.references.push(0);
                    u32::try_from(self.references.len() - 1).unwrap_or(u32::MAX >> 1)
                });
                entry.insert(id);
                self.bytes += text.len();
                self.pages.set(id, Some(Arc::from(text)));
                self.add_reference(id);
                id
            }
        }
    }

    fn add_reference(&mut self, id: u32) {
        if let Some(count) = self.references.get_mut(id as usize) {
            *count += 1;
        }
    }

    /// Takes one reference back; a text that nothing refers to is forgotten.
    pub(super) fn release(&mut self, id: u32) {
        let Some(count) = self.references.get_mut(id as usize) else { return };
        *count = count.saturating_sub(1);
        if *count > 0 {
            return;
        }
        let hash = self.hasher.hash_one(self.pages.get(id));
        if let Ok(entry) = self.ids.find_entry(hash, |other| *other == id) {
            entry.remove();
            self.bytes -= self.pages.get(id).len();
            self.pages.set(id, None);
            self.free.push(id);
        }
    }

    /// How many texts are held.
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    /// The memory that texts and tables take, in bytes.
    pub(super) fn memory(&self) -> usize {
        // An Arc has two counts; the fat pointer stands in its page.
        self.bytes
            + self.len() * 16
            + self.pages.pages.len() * PAGE * 16
            + self.ids.capacity() * 5
            + self.references.capacity() * 4
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_text_is_one_id_until_its_last_release() {
        let mut table = TailTable::default();
        let a = table.intern(b"} 1\n");
        assert_eq!(table.intern(b"} 1\n"), a);
        let b = table.intern(b"} 0\n");
        assert_ne!(a, b);
        table.release(a);
        assert_eq!(table.pages.get(a), b"} 1\n");
        table.release(a);
        assert_eq!(table.len(), 1);
        assert_eq!(table.intern(b"} 2\n"), a, "a freed id is used again");
    }

    #[test]
    fn a_reader_keeps_what_it_saw() {
        let mut table = TailTable::default();
        let id = table.intern(b"} 1\n");
        let seen = table.pages.clone();
        table.release(id);
        table.intern(b"} 9\n");
        assert_eq!(seen.get(id), b"} 1\n");
    }

    #[test]
    fn churn_leaves_nothing_behind() {
        let mut table = TailTable::default();
        for round in 0..10_000u32 {
            let ids: Vec<u32> = (0..8).map(|n| table.intern(format!("{round}-{n}").as_bytes())).collect();
            for id in ids {
                table.release(id);
            }
        }
        assert_eq!((table.len(), table.bytes), (0, 0));
        assert!(table.references.len() <= 9, "ids are used again: {}", table.references.len());
    }
}
