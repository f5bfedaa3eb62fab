//! The writer: from samples to files, one after the other.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::WriteError;
use super::config::{ParquetConfig, full_prefix};
use super::encode::{Encoder, RowGroup};
use super::file::{OPEN, OpenFile, SEALED, recover};
use super::storage::{Directory, Storage};
use crate::output::arrow::{BatchBuilder, Columns, RecordBatch};
use crate::resolver::Labels;
use crate::sample::Sample;
use crate::telemetry::{self, Held};

/// A step of the wall clock from which on a new file is begun, in nanoseconds.
const CLOCK_STEP: u64 = 1_000_000;

/// What became of samples, since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ParquetStats {
    /// Rows that are in files, complete or not.
    pub written: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that were completed.
    pub files: u64,
    /// Files that a killed process had left behind, and that were completed.
    pub recovered: u64,
    /// Attempts to write that failed.
    pub failures: u64,
    /// Rows that were dropped, because too much waited for a disk or because they could not be encoded.
    pub dropped: u64,
    /// Rows that wait in memory for a disk.
    pub waiting: u64,
    /// Row groups that are in files, complete or not.
    pub row_groups: u64,
    /// Row groups that were dropped, because too many waited for a disk.
    pub row_groups_dropped: u64,
}

/// Writes samples to Parquet files.
///
/// It writes and waits for the disk where it is called, about once a minute: so it belongs on a thread of its own. Times
/// are in nanoseconds of `CLOCK_MONOTONIC`, as the samples' are. An error says what failed this time: what can wait is
/// tried again by [`tick`](Self::tick).
///
/// ```
/// use cgroup_perf::output::{Event, arrow::Columns, parquet::{ParquetConfig, ParquetWriter}};
/// use cgroup_perf::quality::Counter;
/// # use cgroup_perf::sample::{CgroupId, Delta, Sample};
/// # let mut sample = Sample { start: 0, end: 1, cpu: 0, cgroup: CgroupId(7), task: None, ran: 1, switches: 0,
/// #     counters: Default::default() };
/// # sample.counters[0] = Delta { value: 3, enabled: 1, running: 1 };
/// # let directory = tempfile::tempdir()?;
/// let cycles = Event::new("cycles", "PERF_COUNT_HW_CPU_CYCLES", Counter::CYCLES);
/// let columns = Columns::new(vec![cycles], false)?;
/// let mut writer = ParquetWriter::open(ParquetConfig::new(directory.path()), columns)?;
/// writer.set_clock_offset(1_700_000_000_000_000_000)?;
/// writer.push(&sample, None)?;
/// writer.tick(1_000_000)?;
/// writer.finish()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ParquetWriter {
    config: ParquetConfig,
    storage: Box<dyn Storage>,
    builder: BatchBuilder,
    encoder: Encoder,
    has_offset: bool,
    /// When the first row of the open row group was taken, and its time on the wall.
    begun: Option<(u64, i64)>,
    /// Row groups that are complete, and in no file yet.
    waiting: VecDeque<RowGroup>,
    current: Option<(OpenFile, u64)>,
    /// Files that could not be completed yet.
    unsealed: Vec<OpenFile>,
    /// When a disk that failed is tried again.
    retry: u64,
    now: u64,
    sequence: u64,
    stats: ParquetStats,
    /// What was said of them last.
    said: ParquetStats,
    queue: Held,
}

impl ParquetWriter {
    /// Opens a directory, and completes what a killed process has left there. What can't be completed is tried again by
    /// [`tick`](Self::tick).
    pub fn open(config: ParquetConfig, columns: Columns) -> Result<Self, WriteError> {
        let name = config.directory.display().to_string();
        let directory = Directory::open(&config.directory).map_err(|source| WriteError::Io { name, source })?;
        Self::open_in(Box::new(directory), config, columns)
    }

    pub(super) fn open_in(
        storage: Box<dyn Storage>,
        config: ParquetConfig,
        columns: Columns,
    ) -> Result<Self, WriteError> {
        config.check()?;
        let level = config.level()?;
        let recovered = recover(&*storage, &full_prefix(&config.prefix))?;
        let encoder = Encoder::new(columns.clone(), level, config.key_values(&columns, 0));
        let builder = BatchBuilder::new(columns, config.batch_rows);
        // One that can't be completed yet is no reason not to begin.
        let stats = ParquetStats {
            recovered: recovered.sealed.len() as u64,
            failures: recovered.errors.len() as u64,
            ..ParquetStats::default()
        };
        Ok(Self {
            config,
            storage,
            builder,
            encoder,
            has_offset: false,
            begun: None,
            waiting: VecDeque::new(),
            current: None,
            unsealed: recovered.unsealed,
            retry: 0,
            now: 0,
            sequence: 0,
            stats,
            said: ParquetStats::default(),
            queue: Held::new(telemetry::WAITING),
        })
    }

    /// What became of samples.
    pub fn stats(&self) -> ParquetStats {
        let waiting = self.waiting.iter().map(RowGroup::rows).sum();
        ParquetStats { waiting, ..self.stats }
    }

    /// How far the wall clock is ahead of `CLOCK_MONOTONIC`, in nanoseconds. To be called at the start, and when the wall
    /// clock may have been set: less than a millisecond is no step but chance, and is let be; more begins a new file, whose
    /// metadata has the new offset.
    pub fn set_clock_offset(&mut self, offset: i64) -> Result<(), WriteError> {
        if self.has_offset && offset.abs_diff(self.builder.clock_offset()) < CLOCK_STEP {
            return Ok(());
        }
        self.has_offset = true;
        let done = self.complete();
        self.builder.set_clock_offset(offset);
        let metadata = self.config.key_values(self.builder.columns(), offset);
        self.encoder.set_metadata(self.config.level()?, metadata);
        done
    }

    /// Takes a sample.
    pub fn push(&mut self, sample: &Sample, labels: Option<&Arc<Labels>>) -> Result<(), WriteError> {
        self.now = self.now.max(sample.end);
        if self.begun.is_none() {
            let time = i64::try_from(sample.start).unwrap_or(i64::MAX).saturating_add(self.builder.clock_offset());
            self.begun = Some((self.now, time));
        }
        self.builder.push(sample, labels);
        if !self.builder.is_full() {
            return Ok(());
        }
        let done = self.encode();
        self.say();
        done
    }

    /// Writes what is old enough, and tries again what could not be written. To be called now and then, also when there
    /// are no samples.
    pub fn tick(&mut self, now: u64) -> Result<(), WriteError> {
        self.now = self.now.max(now);
        let is_old = |since: u64, age: Duration| self.now.saturating_sub(since) >= nanos(age);
        let mut done = Ok(());
        if self.begun.is_some_and(|(since, _)| is_old(since, self.config.row_group_age)) {
            done = self.end_row_group();
        } else if self.is_due() {
            done = self.write_waiting();
        }
        let is_old = |since: u64| self.now.saturating_sub(since) >= nanos(self.config.file_age);
        if self.current.as_ref().is_some_and(|(_, since)| is_old(*since)) {
            done = done.and(self.seal_current());
        }
        self.say();
        done
    }

    /// Writes everything, and completes the file. What can't be written is dropped; a file that can't be completed stays
    /// for the next writer of the directory.
    pub fn finish(mut self) -> Result<ParquetStats, WriteError> {
        self.retry = 0;
        self.complete()?;
        Ok(self.stats())
    }

    /// Ends the row group and the file.
    fn complete(&mut self) -> Result<(), WriteError> {
        let ended = self.end_row_group();
        let done = ended.and(self.seal_current());
        self.say();
        done
    }

    fn say(&mut self) {
        self.queue.set(self.waiting.len());
        if self.said == self.stats {
            return;
        }
        let (now, before) = (self.stats, std::mem::replace(&mut self.said, self.stats));
        let since = |of: fn(&ParquetStats) -> u64| of(&now).saturating_sub(of(&before));
        telemetry::add_to(telemetry::ROWS, "result", "written", since(|stats| stats.written));
        telemetry::add_to(telemetry::ROWS, "result", "dropped", since(|stats| stats.dropped));
        telemetry::add_to(telemetry::ROW_GROUPS, "result", "written", since(|stats| stats.row_groups));
        telemetry::add_to(telemetry::ROW_GROUPS, "result", "dropped", since(|stats| stats.row_groups_dropped));
        telemetry::add_to(telemetry::FILES, "result", "written", since(|stats| stats.files));
        telemetry::add_to(telemetry::FILES, "result", "recovered", since(|stats| stats.recovered));
        telemetry::add(telemetry::BYTES, since(|stats| stats.bytes));
        telemetry::add(telemetry::WRITE_ERRORS, since(|stats| stats.failures));
    }

    /// Makes a batch of the rows that there are, and ends the row group if it is large enough.
    fn encode(&mut self) -> Result<(), WriteError> {
        if self.builder.is_empty() {
            return Ok(());
        }
        let rows = self.builder.len() as u64;
        let encoded = match self.builder.finish() {
            Ok(batch) => self.write_batch(&batch),
            Err(error) => Err(error.into()),
        };
        if encoded.is_err() {
            self.stats.dropped += rows;
            return encoded;
        }
        if self.encoder.rows() >= self.config.row_group_rows || self.encoder.bytes() >= self.config.row_group_bytes {
            return self.end_row_group();
        }
        Ok(())
    }

    fn write_batch(&mut self, batch: &RecordBatch) -> Result<(), WriteError> {
        Ok(self.encoder.write(batch)?)
    }

    fn end_row_group(&mut self) -> Result<(), WriteError> {
        if !self.builder.is_empty() {
            let rows = self.builder.len() as u64;
            let encoded = self.builder.finish().map_err(WriteError::from).and_then(|batch| self.write_batch(&batch));
            if encoded.is_err() {
                self.stats.dropped += rows;
                return encoded;
            }
        }
        let Some((_, time)) = self.begun.take() else { return self.write_waiting_if_due() };
        let rows = self.encoder.rows() as u64;
        match self.encoder.finish(time) {
            Ok(Some(row_group)) => self.waiting.push_back(row_group),
            Ok(None) => {}
            Err(error) => {
                self.stats.dropped += rows;
                return Err(error.into());
            }
        }
        // Before something is dropped the disk is tried, due or not.
        let is_full = self.waiting.len() > self.config.most_waiting;
        let written = if is_full { self.write_waiting() } else { self.write_waiting_if_due() };
        while self.waiting.len() > self.config.most_waiting {
            self.stats.dropped += self.waiting.pop_front().map_or(0, |row_group| row_group.rows());
            self.stats.row_groups_dropped += 1;
        }
        written
    }

    fn is_due(&self) -> bool {
        (!self.waiting.is_empty() || !self.unsealed.is_empty()) && self.now >= self.retry
    }

    fn write_waiting_if_due(&mut self) -> Result<(), WriteError> {
        if self.is_due() { self.write_waiting() } else { Ok(()) }
    }

    /// Completes files that could not be yet, and puts what waits into files. Where that fails, the file is completed with
    /// what it has.
    fn write_waiting(&mut self) -> Result<(), WriteError> {
        let sealed = self.seal_unsealed();
        let written = self.write_all();
        let failed = sealed.is_err() || written.is_err();
        if written.is_err() {
            // What is written is safe where its file is complete; its error would say what this one says.
            let _ = self.seal_current();
        }
        if failed {
            self.stats.failures += 1;
            self.retry = self.now.saturating_add(nanos(self.config.retry));
        }
        written.and(sealed)
    }

    /// One that fails does not keep the others from being completed, nor what waits from being written.
    fn seal_unsealed(&mut self) -> Result<(), WriteError> {
        let mut first = Ok(());
        for mut file in std::mem::take(&mut self.unsealed) {
            match file.seal(&*self.storage) {
                Ok(_) => self.stats.files += 1,
                Err(error) => {
                    if error.can_pass() {
                        self.unsealed.push(file);
                    }
                    first = first.and(Err(error));
                }
            }
        }
        first
    }

    fn write_all(&mut self) -> Result<(), WriteError> {
        while let Some(row_group) = self.waiting.front() {
            match &mut self.current {
                Some((file, _)) => file.append(&*self.storage, row_group)?,
                None => {
                    let name = name(&*self.storage, &self.config.prefix, row_group.time, &mut self.sequence);
                    self.current = Some((OpenFile::create(&*self.storage, &name, row_group)?, self.now));
                }
            }
            self.stats.written += row_group.rows();
            self.stats.row_groups += 1;
            self.stats.bytes += row_group.bytes.len() as u64;
            self.waiting.pop_front();
            if self.current.as_ref().is_some_and(|(file, _)| file.length() >= self.config.file_bytes) {
                self.seal_current()?;
            }
        }
        Ok(())
    }

    fn seal_current(&mut self) -> Result<(), WriteError> {
        let Some((mut file, _)) = self.current.take() else { return Ok(()) };
        match file.seal(&*self.storage) {
            Ok(_) => {
                self.stats.files += 1;
                Ok(())
            }
            Err(error) => {
                if error.can_pass() {
                    self.unsealed.push(file);
                }
                self.retry = self.now.saturating_add(nanos(self.config.retry));
                Err(error)
            }
        }
    }
}

impl Drop for ParquetWriter {
    fn drop(&mut self) {
        // As `finish`, where nobody hears of it.
        self.retry = 0;
        let _ = self.complete();
    }
}

/// The name of a new file, without its ending: the time of its first row, and a number where there is one already.
fn name(storage: &dyn Storage, prefix: &str, time: i64, sequence: &mut u64) -> String {
    let time = Timestamp::from_nanosecond(i128::from(time)).unwrap_or_default();
    let time = time.strftime("%Y%m%dT%H%M%SZ");
    loop {
        let name = format!("{}{time}-{sequence}", full_prefix(prefix));
        *sequence += 1;
        if !storage.has(&format!("{name}{SEALED}")) && !storage.has(&format!("{name}{OPEN}")) {
            return name;
        }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
