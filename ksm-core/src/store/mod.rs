//! Where samples are kept: the [`Store`] trait, and [`MemoryStore`], which keeps 10,000 pods in some 15 MB.
//!
//! # Layout
//!
//! All samples of an object begin with the same labels, and most of what follows them repeats across thousands of
//! objects. So an object is its prefix (`namespace="a",pod="b",uid="c"`), once, and per family a 4-byte id of an
//! interned tail (`,phase="Running"} 1`); only what no other object has (a container id, a timestamp) costs bytes of
//! its own. Objects stand in chunks of 128, laid out by family, so that a scrape reads memory in one direction and
//! writes each sample by three copies: family name, prefix, tail.
//!
//! # Readers and writers
//!
//! A writer works on its own state and publishes it as a whole; a reader takes the last published [`Snapshot`], which
//! never changes. Chunks and tail pages are shared between the two until the writer changes one and copies it first.
//! So a scrape never sees half a relist, waits for a pointer swap at most, and a slow scrape costs memory, not
//! ingestion.
//!
//! # Changes
//!
//! Each object carries the generation (the publication) that shows its last change first, 8 bytes, and each chunk the
//! newest of them. So [`MemoryStore::changes_since`] finds what changed between two published states by a look at each
//! chunk and at what changed; what left stands in a log of limited length, which is kept from the first call on.

mod changes;
mod chunk;
mod encode;
mod index;
mod key;
mod labels;
mod memory;
mod object;
mod retained;
mod run;
mod snapshot;
mod tails;
mod writer;

use std::fmt;

pub use changes::{Changes, Delta, StoreCursor};
pub(crate) use chunk::CAPACITY;
pub use key::ObjectKey;
pub use labels::Labels;
pub(crate) use labels::{has_label, is_marked, split_label, unmarked};
pub use memory::{MemoryStore, StoreStats};
pub use object::{ObjectRef, SampleRef};
pub use retained::Retention;
pub(crate) use run::Run;
pub use snapshot::Snapshot;

use crate::samples::SampleSink;

/// An object that goes into a store, apart from its samples.
#[derive(Debug, Clone, Copy)]
pub struct StoredObject<'a> {
    /// Its identity.
    pub key: ObjectKey,
    /// Its `metadata.resourceVersion`: equal to that of the stored object means that nothing changed. `None`: unknown,
    /// so the samples are always taken.
    pub version: Option<&'a str>,
}

/// What became of an object that was put into a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Applied {
    /// It is new.
    Added,
    /// It replaced its former samples.
    Updated,
    /// It was there in this version; the walk was not called.
    Unchanged,
}

/// An object that left a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// Its identity.
    pub key: ObjectKey,
    /// The labels that its samples began with, as `namespace`, `pod`, `uid`.
    pub identity: Vec<(String, String)>,
}

/// Keeps the samples of one resource's objects. [`MemoryStore`] is the one that is used unless a host brings its own.
///
/// The calls follow a watch: [`begin_relist`](Self::begin_relist), [`apply`](Self::apply) for each listed object,
/// [`finish_relist`](Self::finish_relist), then `apply` and [`delete`](Self::delete) as events come.
/// [`publish`](Self::publish) follows each batch of changes. They come from one task at a time.
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// A list of all objects begins: what is not applied until it finishes is gone. Readers see the state before it
    /// until then. A second call forgets the first list.
    fn begin_relist(&self);

    /// Puts an object in. `walk` hands its labels and samples over; it is not called where the version is the stored
    /// one.
    fn apply(&self, object: &StoredObject<'_>, walk: &mut dyn FnMut(&mut dyn SampleSink)) -> Applied;

    /// Takes an object out; whether it was there.
    fn delete(&self, key: ObjectKey) -> bool;

    /// The list is complete: objects that it did not name are taken out and returned.
    fn finish_relist(&self) -> Vec<Removed>;

    /// Makes all changes since the last call visible to readers at once; during a relist, nothing becomes visible.
    fn publish(&self);
}
