//! Snapshots as bytes: Prometheus text 0.0.4 and OpenMetrics 1.0, plain or gzip.
//!
//! An [`Exposition`] is lazy: [`Exposition::blocks`] yields some 64 KB at a time, so that a scrape of any size costs a
//! constant amount of memory beside its snapshots.

mod format;
mod gzip;

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

pub use format::Format;
pub use gzip::{GzipBlocks, GzipCache};

use crate::family::Family;
use crate::store::Snapshot;

/// A block is handed out once it has this many bytes.
const BLOCK: usize = 56 * 1024;

/// What a scrape shows: every family once, with its header and the samples of all snapshots that have it.
///
/// ```
/// use ksm_core::{Builtin, Exposition, Format, MemoryStore};
/// use k8s_openapi::api::core::v1::Namespace;
///
/// let store = MemoryStore::new(Namespace::RESOURCE.families);
/// let exposition = Exposition::new([store.snapshot()], Format::OpenMetrics);
/// assert_eq!(exposition.to_text(), "# EOF\n");
/// ```
#[derive(Debug)]
pub struct Exposition {
    entries: Vec<FamilyBlock>,
    format: Format,
}

/// One family and where its samples are.
#[derive(Debug)]
pub(crate) struct FamilyBlock {
    pub(crate) header: Bytes,
    /// The name and `{`.
    pub(crate) head: Vec<u8>,
    /// The snapshots, and the family's place in the table of each.
    pub(crate) sources: Vec<(Arc<Snapshot>, usize)>,
}

impl Exposition {
    /// The exposition of some snapshots, in their order. A snapshot without objects shows nothing, as in
    /// kube-state-metrics; one with objects shows the headers of all its families that are on.
    pub fn new(snapshots: impl IntoIterator<Item = Arc<Snapshot>>, format: Format) -> Self {
        let mut entries: Vec<FamilyBlock> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        for snapshot in snapshots {
            if snapshot.objects() == 0 {
                continue;
            }
            let families: Vec<(usize, Family)> =
                snapshot.families().iter().cloned().enumerate().filter(|(i, _)| snapshot.is_visible(*i)).collect();
            for (index, family) in families {
                let place = *places.entry(family.name.to_string()).or_insert_with(|| {
                    entries.push(FamilyBlock {
                        header: format.header(&family).into(),
                        head: [family.name.as_bytes(), b"{"].concat(),
                        sources: Vec::new(),
                    });
                    entries.len() - 1
                });
                if let Some(entry) = entries.get_mut(place) {
                    entry.sources.push((snapshot.clone(), index));
                }
            }
        }
        Self { entries, format }
    }

    /// The exposition in blocks of some 64 KB.
    pub fn blocks(self) -> Blocks {
        Blocks { exposition: self, entry: 0, source: 0, chunk: 0, at_header: true, ended: false }
    }

    /// The exposition as one gzip member, compressed as it is read.
    pub fn gzip_blocks(self) -> GzipBlocks {
        GzipBlocks::new(self.blocks())
    }

    /// The whole exposition at once: for tests and small clusters.
    pub fn to_text(self) -> String {
        let mut text = Vec::new();
        for block in self.blocks() {
            text.extend_from_slice(&block);
        }
        String::from_utf8_lossy(&text).into_owned()
    }
}

/// See [`Exposition::blocks`].
#[derive(Debug)]
pub struct Blocks {
    exposition: Exposition,
    entry: usize,
    source: usize,
    chunk: usize,
    at_header: bool,
    ended: bool,
}

impl Iterator for Blocks {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        if self.ended {
            return None;
        }
        let mut block = Vec::with_capacity(BLOCK + BLOCK / 4);
        while block.len() < BLOCK {
            let Some(entry) = self.exposition.entries.get(self.entry) else {
                self.ended = true;
                block.extend_from_slice(self.exposition.format.trailer());
                break;
            };
            if std::mem::take(&mut self.at_header) {
                block.extend_from_slice(&entry.header);
            }
            match entry.sources.get(self.source) {
                None => {
                    self.entry += 1;
                    self.source = 0;
                    self.at_header = true;
                }
                Some((snapshot, _)) if self.chunk >= snapshot.chunk_count() => {
                    self.source += 1;
                    self.chunk = 0;
                }
                Some((snapshot, family)) => {
                    snapshot.write_lines(*family, self.chunk, &entry.head, &mut block);
                    self.chunk += 1;
                }
            }
        }
        (!block.is_empty()).then(|| block.into())
    }
}
