//! The kubelet's Summary (`stats/v1alpha1`) as Rust types, read leniently.
//!
//! [`Summary::from_slice`] takes whatever kubelets of any version answer with. Only a document that is no JSON object,
//! is cut short or has neither a node nor pods is an error. Else:
//!
//! - `null` is the same as nothing at all, for figures, times, objects and lists.
//! - Fields that aren't known are passed over, so are the parts that [`Parts`] leaves out.
//! - A figure of the wrong type (a string, a fraction, a negative number, more than 64 bits) is absent, and counted in
//!   [`Skipped::fields`].
//! - A pod without a whole `podRef`, and a container or volume without a name, is left out and counted.
//! - Of two pods with one uid, and of two containers of one name in a pod, the one that started last stays; kubelets
//!   repeat terminated ones (kubernetes#47853). So does of two volumes of one name the one that was sampled last, and of
//!   two interfaces of one name the first.
//! - Lists have [`limits`] that no real node comes near to. What is beyond is left out and counted.

mod amount;
mod columns;
mod context;
mod decode;
mod dedup;
mod extras;
mod fields;
pub mod limits;
mod parts;
mod pod_ref;
mod read;
mod replace;
mod run;
mod types;
mod usage;
mod walk;

pub use amount::{Amount, Hundredths, Name, Time};
pub use decode::{Decoded, SchemaError, Skipped, SkippedAt, SkippedWhy};
pub use extras::{AcceleratorStats, Extra, Pressure, Psi, PsiData, SwapStats, UserMetric};
pub use parts::Parts;
pub use pod_ref::PodRef;
pub use run::Run;
pub use types::{
    ContainerStats, CpuStats, FsSize, FsStats, FsUse, InterfaceStats, MemoryStats, NetworkStats, NodeStats, PodStats,
    PvcRef, Summary, VolumeStats,
};
