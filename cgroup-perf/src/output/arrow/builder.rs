//! Samples, gathered into batches.

use std::fmt;
use std::sync::Arc;

use arrow_array::builder::{
    Int8Builder, StringDictionaryBuilder, TimestampNanosecondBuilder, UInt32Builder, UInt64Builder,
};
use arrow_array::types::{Int8Type, Int32Type};
use arrow_array::{ArrayRef, DictionaryArray, RecordBatch, StringArray};
use arrow_schema::ArrowError;

use super::Columns;
use super::schema::LABELS;
use crate::quality::{Counter, Quality, Span, judge};
use crate::resolver::Labels;
use crate::sample::{Delta, MAX_COUNTERS, Sample};
use crate::telemetry::Judged;

/// How far the clock of counters and that of accounting may differ before both are written: so many nanoseconds, or one part
/// in as many.
const CLOCKS_DIFFER: u64 = 1_000;

/// A row that is to be.
#[derive(Debug)]
struct Row {
    sample: Sample,
    /// The wall clock's time at the beginning of the slot, in nanoseconds.
    time: i64,
    labels: Option<Arc<Labels>>,
}

/// The columns of a counter.
#[derive(Debug)]
struct CounterBuilders {
    counter: Counter,
    value: UInt64Builder,
    enabled: UInt64Builder,
    running: UInt64Builder,
    quality: Int8Builder,
}

/// Gathers samples, and makes batches of them.
///
/// A sample costs no allocation: rows lie in memory that is used again, and columns are made of a whole batch.
///
/// ```
/// use cgroup_perf::output::{Event, arrow::{BatchBuilder, Columns}};
/// use cgroup_perf::quality::Counter;
/// # use cgroup_perf::sample::{CgroupId, Delta, Sample};
/// # let mut sample = Sample { start: 0, end: 1, cpu: 0, cgroup: CgroupId(7), task: None, ran: 1, switches: 0,
/// #     counters: Default::default() };
/// # sample.counters[0] = Delta { value: 3, enabled: 1, running: 1 };
/// let cycles = Event::new("cycles", "PERF_COUNT_HW_CPU_CYCLES", Counter::CYCLES);
/// let mut builder = BatchBuilder::new(Columns::new(vec![cycles], false)?, 4_096);
/// // The wall clock was that much ahead of the monotonic one.
/// builder.set_clock_offset(1_700_000_000_000_000_000);
/// builder.push(&sample, None);
/// assert_eq!(builder.finish()?.num_rows(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct BatchBuilder {
    columns: Columns,
    rows: Vec<Row>,
    order: Vec<u32>,
    capacity: usize,
    offset: i64,
    qualities: Arc<StringArray>,
    labels: Vec<StringDictionaryBuilder<Int32Type>>,
    comm: StringDictionaryBuilder<Int32Type>,
}

// The builders of dictionaries have none.
impl fmt::Debug for BatchBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { columns, rows, capacity, offset, .. } = self;
        f.debug_struct("BatchBuilder")
            .field("columns", columns)
            .field("rows", &rows.len())
            .field("capacity", capacity)
            .field("offset", offset)
            .finish_non_exhaustive()
    }
}

impl BatchBuilder {
    /// For batches of so many rows, of at most some four billion; each takes some 300 bytes until the batch is made.
    pub fn new(columns: Columns, capacity: usize) -> Self {
        let capacity = capacity.clamp(1, u32::MAX as usize);
        let label_columns = LABELS.len() + columns.labels().len();
        Self {
            columns,
            rows: Vec::with_capacity(capacity),
            order: Vec::with_capacity(capacity),
            capacity,
            offset: 0,
            qualities: Arc::new(StringArray::from_iter_values(Quality::ALL.iter().map(|quality| quality.as_str()))),
            labels: (0..label_columns).map(|_| StringDictionaryBuilder::new()).collect(),
            comm: StringDictionaryBuilder::new(),
        }
    }

    /// The columns.
    pub fn columns(&self) -> &Columns {
        &self.columns
    }

    /// How far the wall clock is ahead of `CLOCK_MONOTONIC`, in nanoseconds. It is of the samples that come after.
    pub fn set_clock_offset(&mut self, offset: i64) {
        self.offset = offset;
    }

    /// How far the wall clock is held to be ahead.
    pub fn clock_offset(&self) -> i64 {
        self.offset
    }

    /// Takes a sample. With the last that there is place for, the batch is to be made; one that comes after it all the
    /// same takes new memory.
    pub fn push(&mut self, sample: &Sample, labels: Option<&Arc<Labels>>) {
        let time = i64::try_from(sample.start).unwrap_or(i64::MAX).saturating_add(self.offset);
        self.rows.push(Row { sample: *sample, time, labels: labels.cloned() });
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Whether the batch is to be made.
    pub fn is_full(&self) -> bool {
        self.rows.len() >= self.capacity
    }

    /// Makes a batch of the rows that there are.
    pub fn finish(&mut self) -> Result<RecordBatch, ArrowError> {
        let Self { rows, order, .. } = self;
        let count = u32::try_from(rows.len()).map_err(|_| ArrowError::ComputeError("too many rows".to_owned()))?;
        order.clear();
        order.extend(0..count);
        order.sort_unstable_by_key(|row| {
            rows.get(*row as usize).map(|Row { sample, .. }| {
                (sample.cgroup, sample.task.map(|task| task.pid), sample.start, sample.cpu, *row)
            })
        });
        let columns = self.build();
        self.rows.clear();
        RecordBatch::try_new(self.columns.schema().clone(), columns?)
    }

    fn build(&mut self) -> Result<Vec<ArrayRef>, ArrowError> {
        let most = self.rows.len();
        let mut time = TimestampNanosecondBuilder::with_capacity(most).with_timezone("UTC");
        let [mut slot, mut cgroup, mut ran] = std::array::from_fn(|_| UInt64Builder::with_capacity(most));
        let [mut cpu, mut switches] = std::array::from_fn(|_| UInt32Builder::with_capacity(most));
        let mut quality = Int8Builder::with_capacity(most);
        let mut pid = UInt32Builder::with_capacity(if self.columns.tasks() { most } else { 0 });
        let mut counters: Vec<_> =
            self.columns.events().iter().map(|event| CounterBuilders::new(event.counter, most)).collect();
        let mut judged = Judged::default();
        let rows = || self.order.iter().filter_map(|row| self.rows.get(*row as usize));
        for Row { sample, time: at, .. } in rows() {
            let wall = sample.end.saturating_sub(sample.start);
            time.append_value(*at);
            slot.append_value(wall);
            cpu.append_value(sample.cpu);
            cgroup.append_value(sample.cgroup.0);
            ran.append_value(sample.ran);
            switches.append_value(sample.switches);
            let span = Span { ran: sample.ran, wall };
            quality.append_value(key(append_counters(&mut counters, &sample.counters, span, &mut judged)));
            if self.columns.tasks() {
                pid.append_option(sample.task.map(|task| task.pid));
                match &sample.task {
                    Some(task) => self.comm.append_value(comm(&task.comm)),
                    None => self.comm.append_null(),
                }
            }
        }
        judged.report("files");
        let mut runs = rows().map(|row| row.labels.as_ref()).peekable();
        while let Some(labels) = runs.next() {
            let mut count = 1;
            while runs.next_if(|next| is_same(*next, labels)).is_some() {
                count += 1;
            }
            append_labels(&mut self.labels, self.columns.labels(), labels.map(|labels| &**labels), count);
        }
        let mut arrays: Vec<ArrayRef> = vec![
            Arc::new(time.finish()),
            Arc::new(slot.finish()),
            Arc::new(cpu.finish()),
            Arc::new(cgroup.finish()),
            Arc::new(ran.finish()),
            Arc::new(switches.finish()),
        ];
        for mut counter in counters {
            arrays.push(Arc::new(counter.value.finish()));
            arrays.push(Arc::new(counter.enabled.finish()));
            arrays.push(Arc::new(counter.running.finish()));
            arrays.push(self.qualities(counter.quality)?);
        }
        arrays.push(self.qualities(quality)?);
        for labels in &mut self.labels {
            arrays.push(Arc::new(labels.finish()));
        }
        if self.columns.tasks() {
            arrays.push(Arc::new(pid.finish()));
            arrays.push(Arc::new(self.comm.finish()));
        }
        Ok(arrays)
    }

    fn qualities(&self, mut keys: Int8Builder) -> Result<ArrayRef, ArrowError> {
        Ok(Arc::new(DictionaryArray::<Int8Type>::try_new(keys.finish(), self.qualities.clone())?))
    }
}

impl CounterBuilders {
    fn new(counter: Counter, most: usize) -> Self {
        Self {
            counter,
            value: UInt64Builder::with_capacity(most),
            enabled: UInt64Builder::with_capacity(most),
            running: UInt64Builder::with_capacity(most),
            quality: Int8Builder::with_capacity(most),
        }
    }
}

/// Writes each counter's columns, and returns the worst quality.
fn append_counters(
    counters: &mut [CounterBuilders],
    deltas: &[Delta; MAX_COUNTERS],
    span: Span,
    judged: &mut Judged,
) -> Quality {
    let mut worst = Quality::Exact;
    for (builders, delta) in counters.iter_mut().zip(deltas) {
        // The scale of what was counted all of the time is 1, whatever two clocks say of how long that was.
        let is_whole = delta.running == delta.enabled;
        let is_known = is_whole && delta.enabled.abs_diff(span.ran) <= CLOCKS_DIFFER.max(span.ran / CLOCKS_DIFFER);
        builders.value.append_value(delta.value);
        builders.enabled.append_option((!is_known).then_some(delta.enabled));
        builders.running.append_option((!is_whole).then_some(delta.running));
        let quality = judge(&builders.counter, *delta, span).quality;
        builders.quality.append_value(key(quality));
        judged.add(quality);
        worst = worst.max(quality);
    }
    worst
}

/// The place in [`Quality::ALL`].
fn key(quality: Quality) -> i8 {
    match quality {
        Quality::Exact => 0,
        Quality::Scaled => 1,
        Quality::NotCounted => 2,
        Quality::Stalled => 3,
        Quality::Implausible => 4,
    }
}

fn is_same(one: Option<&Arc<Labels>>, other: Option<&Arc<Labels>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (None, None) => true,
        _ => false,
    }
}

fn append_labels(
    builders: &mut [StringDictionaryBuilder<Int32Type>],
    more: &[String],
    labels: Option<&Labels>,
    count: usize,
) {
    let known = labels.map(|labels| {
        [&labels.namespace, &labels.pod, &labels.pod_uid, &labels.container, &labels.container_id].map(String::as_str)
    });
    let known = known.unwrap_or_default().into_iter();
    let label = |name: &String| Some(labels?.more.iter().find(|(known, _)| known == name)?.1.as_str());
    let more = more.iter().map(|name| label(name).unwrap_or_default());
    for (builder, text) in builders.iter_mut().zip(known.chain(more)) {
        builder.append_options((!text.is_empty()).then_some(text), count);
    }
}

/// A name as the kernel has it: up to the first zero. What is no UTF-8 is left out.
fn comm(comm: &[u8; 16]) -> &str {
    let text = comm.split(|byte| *byte == 0).next().unwrap_or_default();
    let valid = text.utf8_chunks().next().map(|chunk| chunk.valid());
    valid.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_quality_has_its_own_key() {
        let keys = Quality::ALL.map(key);
        assert_eq!(keys, [0, 1, 2, 3, 4]);
    }

    #[test]
    fn a_name_of_the_kernels_ends_at_a_zero() {
        assert_eq!(comm(b"nginx\0\0\0\0\0\0\0\0\0\0\0"), "nginx");
        assert_eq!(comm(b"sixteen bytes...").len(), 16);
        assert_eq!(comm(b"caf\xc3\xa9 \xff bar\0\0\0\0\0"), "café ");
        assert_eq!(comm(&[0; 16]), "");
    }
}
