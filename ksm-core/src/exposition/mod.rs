//! Snapshots as bytes: Prometheus text 0.0.4, OpenMetrics 1.0 and Prometheus' protobuf, plain or compressed.
//!
//! An [`Exposition`] is lazy: [`Exposition::blocks`] yields some 64 KB at a time, so that a scrape of any size costs a
//! constant amount of memory beside its snapshots.
//!
//! **OpenMetrics** is written as strict parsers want it. Samples keep their names; where a family can't keep what
//! OpenMetrics demands of its type, it appears under a type that demands less:
//!
//! | a family | appears as |
//! |---|---|
//! | counter `a_total` | counter `a` |
//! | counter without `_total`, or with a sample that is negative or NaN | unknown, under its own name |
//! | info `a_info` | info `a` |
//! | info without `_info`, or with a sample other than 1 | gauge, under its own name |
//! | stateset `a` whose samples all have a label `a`, and are 0 or 1 | stateset `a` |
//! | any other stateset | gauge |
//! | counter or info, where another family has a name that it would claim (`a`, `a_created`) | unknown or gauge, under its own name |
//!
//! In text and protobuf, info and stateset are gauges, as in kube-state-metrics.
//!
//! **Families that several snapshots have** (of several namespaces, or of several versions of a kind) appear once,
//! under the help and type of the first. Types that differ are counted (`ksm_core_family_conflicts_total`) and logged;
//! so are families whose name no format takes, which are left out.

mod blocks;
mod compress;
mod form;
mod format;
mod gzip_cache;
mod protobuf;
mod source;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

pub use blocks::Blocks;
pub use compress::GzipBlocks;
#[cfg(feature = "zstd")]
pub use compress::ZstdBlocks;
pub use format::Format;
#[cfg(feature = "http")]
pub(crate) use format::weight;
pub use gzip_cache::{CachedBlocks, GzipCache};

use crate::family::Family;
use crate::selector::{Query, Selection, Verdicts};
use crate::store::Snapshot;
use form::{Form, Kind};
use source::{Filter, Source};

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
    families: Vec<FamilyBlock>,
    format: Format,
    /// Only some samples are shown.
    filtered: bool,
}

/// One family and where its samples are.
#[derive(Debug)]
struct FamilyBlock {
    family: Family,
    form: Form,
    /// The name and `{`.
    head: Vec<u8>,
    sources: Vec<Source>,
}

impl Exposition {
    /// The exposition of some snapshots, in their order. A snapshot without objects shows nothing, as in
    /// kube-state-metrics; one with objects shows the headers of all its families that are on (protobuf: of those that
    /// have samples).
    pub fn new(snapshots: impl IntoIterator<Item = Arc<Snapshot>>, format: Format) -> Self {
        Self::select(snapshots, format, &Query::default())
    }

    /// The same, with only those samples that the query's namespaces and series admit, and only the families that can
    /// have some. What the query says of resources is the caller's to heed.
    pub fn select(snapshots: impl IntoIterator<Item = Arc<Snapshot>>, format: Format, query: &Query) -> Self {
        let selection = query.selection().map(Arc::new);
        let mut gathered = Gathered::default();
        for snapshot in snapshots {
            if snapshot.objects() > 0 {
                gathered.add(&snapshot, selection.as_ref());
            }
        }
        gathered.report();
        let forms = form::forms(format, gathered.families.iter().map(|(family, _)| family));
        let families = gathered.families.into_iter().zip(forms).map(|((family, sources), form)| FamilyBlock {
            head: [family.name.as_bytes(), b"{"].concat(),
            family,
            form,
            sources,
        });
        Self { families: families.collect(), format, filtered: selection.is_some() }
    }

    /// The exposition in blocks of some 64 KB.
    pub fn blocks(self) -> Blocks {
        Blocks::new(self)
    }

    /// The exposition as one gzip member, compressed as it is read.
    pub fn gzip_blocks(self) -> GzipBlocks {
        GzipBlocks::new(self.blocks())
    }

    /// The exposition as one zstd frame, compressed as it is read.
    #[cfg(feature = "zstd")]
    pub fn zstd_blocks(self) -> std::io::Result<ZstdBlocks> {
        ZstdBlocks::new(self.blocks())
    }

    /// The whole exposition at once: for tests and small clusters.
    pub fn to_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for block in self.blocks() {
            bytes.extend_from_slice(&block);
        }
        bytes
    }

    /// The whole exposition at once, in a text format: for tests and small clusters. Of protobuf, see
    /// [`to_bytes`](Self::to_bytes).
    pub fn to_text(self) -> String {
        String::from_utf8_lossy(&self.to_bytes()).into_owned()
    }

    /// Whether the time between two blocks is always short: nothing is measured or searched before one is written.
    #[cfg(feature = "http")]
    pub(crate) fn is_steady(&self) -> bool {
        !self.filtered && self.format != Format::Protobuf
    }
}

impl FamilyBlock {
    /// Appends what stands before the samples in that format, which take `len` bytes together (asked for by protobuf
    /// only).
    fn write_header(&self, format: Format, len: u64, out: &mut Vec<u8>) {
        let help = self.family.help_text();
        match format {
            Format::Text => form::write_header(out, format, &self.form, &help),
            Format::OpenMetrics => {
                let form = form::kept(&self.form, &self.family, &self.sources);
                form::write_header(out, format, &form, &help);
            }
            Format::Protobuf => protobuf::put_header(out, &self.form.name, &help, self.form.kind, len),
        }
    }

    /// The type that its samples have in protobuf; in text they have none.
    fn sample_kind(&self, format: Format) -> Option<Kind> {
        (format == Format::Protobuf).then_some(self.form.kind)
    }
}

/// Families as they are found in snapshots.
#[derive(Default)]
struct Gathered {
    families: Vec<(Family, Vec<Source>)>,
    places: HashMap<String, usize>,
    misnamed: Vec<String>,
    mistyped: Vec<String>,
}

impl Gathered {
    fn add(&mut self, snapshot: &Arc<Snapshot>, selection: Option<&Arc<Selection>>) {
        let verdicts = selection.map(|_| Arc::new(Verdicts::new(snapshot)));
        for (index, family) in snapshot.families().iter().enumerate().filter(|(i, _)| snapshot.is_visible(*i)) {
            let live = selection.map(|selection| selection.for_family(&family.name));
            if live.as_ref().is_some_and(Vec::is_empty) {
                continue;
            }
            if !form::is_metric_name(&family.name) {
                self.misnamed.push(family.name.to_string());
                continue;
            }
            let place = match self.places.entry(family.name.to_string()) {
                Entry::Occupied(place) => *place.get(),
                Entry::Vacant(place) => {
                    self.families.push((family.clone(), Vec::new()));
                    *place.insert(self.families.len() - 1)
                }
            };
            let Some((first, sources)) = self.families.get_mut(place) else { continue };
            if first.kind != family.kind {
                self.mistyped.push(family.name.to_string());
            }
            let filter = match (selection, live, &verdicts) {
                (Some(selection), Some(live), Some(verdicts)) => {
                    Some(Filter { selection: selection.clone(), live, verdicts: verdicts.clone() })
                }
                _ => None,
            };
            sources.push(Source { snapshot: snapshot.clone(), family: index, filter });
        }
    }

    fn report(&self) {
        let conflicts = [
            ("name", &self.misnamed, "left out: no format takes these names"),
            ("type", &self.mistyped, "shown under the type that was found first: these families have several"),
        ];
        for (reason, families, message) in conflicts {
            if !families.is_empty() {
                metrics::counter!("ksm_core_family_conflicts_total", "reason" => reason)
                    .increment(families.len() as u64);
                tracing::warn!(?families, "{message}");
            }
        }
    }
}
