//! Samples as Arrow record batches: a row for each sample, a column for each of its numbers.
//!
//! | column | type | what |
//! |---|---|---|
//! | `time` | timestamp(ns, UTC) | when the slot began |
//! | `slot_ns` | u64 | how long it was |
//! | `cpu` | u32 | the processor |
//! | `cgroup_id` | u64 | the cgroup |
//! | `ran_ns` | u64 | for how long its tasks ran there; more than `slot_ns` where the tick was late |
//! | `switches` | u32 | how often the processor was taken from it |
//! | `X` | u64 | what counter `X` counted, not scaled |
//! | `X_enabled_ns` | u64? | for how long it was to count; null: as `ran_ns`, to a microsecond or a thousandth |
//! | `X_running_ns` | u64? | for how long it did; null: as `X_enabled_ns` |
//! | `X_quality` | dictionary | what its figure is worth: [`Quality`](crate::quality::Quality) |
//! | `quality` | dictionary | the worst of those |
//! | `namespace`, `pod`, `pod_uid`, `container`, `container_id` | dictionary? | whose it is; null: not known |
//! | `label_X` | dictionary? | other labels, where they were asked for |
//! | `pid`, `comm` | u32?, dictionary? | the process, where samples are taken of processes |
//!
//! A counter that counted all of the time, as most do, has nulls for its times: in SQL `coalesce(cycles_enabled_ns, ran_ns)`
//! and `coalesce(cycles_running_ns, cycles_enabled_ns, ran_ns)`. Where their ratio is not 1, both are written as they are.
//!
//! `ran_ns` can exceed `slot_ns` where the tick that ended the slot was late, by as much as it was late, up to nearly a
//! slot's length: a slot ends at the last multiple of its length, and what ran is what ran until the tick. The slot after it
//! has so much less, so that sums over time are right; a share of a single slot is to be capped at 1.
//!
//! The rows of a batch are in the order of cgroups, then of
//! processes, times and processors: so columns hold runs of the same value, and files are half as large.

mod builder;
mod schema;
mod times;

pub use self::builder::BatchBuilder;
pub use self::schema::{Columns, ColumnsError};
pub use self::times::times;
/// Of the `arrow-array` crate.
pub use arrow_array::RecordBatch;
/// Of the `arrow-schema` crate.
pub use arrow_schema::{ArrowError, Schema};
