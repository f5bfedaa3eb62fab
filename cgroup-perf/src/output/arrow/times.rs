//! The times that are written once.

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{Array, RecordBatch};

/// For how long a counter was to count in a row, and for how long it did, in nanoseconds. None where the batch has no such
/// columns or row.
pub fn times(batch: &RecordBatch, counter: &str, row: usize) -> Option<(u64, u64)> {
    let value = |name: &str| {
        let column = batch.column_by_name(name)?.as_primitive_opt::<UInt64Type>()?;
        (row < column.len()).then(|| (!column.is_null(row)).then(|| column.value(row)))
    };
    let ran = value("ran_ns")??;
    let enabled = value(&format!("{counter}_enabled_ns"))?.unwrap_or(ran);
    let running = value(&format!("{counter}_running_ns"))?.unwrap_or(enabled);
    Some((enabled, running))
}
