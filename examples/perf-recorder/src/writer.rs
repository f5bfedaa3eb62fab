//! Batches → files, on a thread that may wait for the disk.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use cgroup_perf::output::arrow::Columns;
use cgroup_perf::output::parquet::{ParquetConfig, ParquetStats, ParquetWriter, WriteError};
use cgroup_perf::resolver::{Join, JoinConfig, JoinStats, Labels};
use cgroup_perf::sample::{Batch, Sample};
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::mpsc;

use crate::names::Names;

/// Batches that wait for the thread. Beyond them, the stream's own wait, then the kernel's ring fills, and what is lost
/// there is counted.
const BATCHES: usize = 64;

/// What became of everything.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Recorded {
    pub(crate) samples: u64,
    pub(crate) lost: u64,
    pub(crate) files: ParquetStats,
    pub(crate) join: JoinStats,
}

/// The thread, and what it says at its end.
pub(crate) type Writing = JoinHandle<Result<Recorded, WriteError>>;

/// Starts the thread. It ends when nothing can be sent any more, and says what became of everything.
pub(crate) fn start(
    config: ParquetConfig,
    columns: Columns,
    names: Arc<Names>,
) -> anyhow::Result<(mpsc::Sender<Batch>, Writing)> {
    let mut writer = ParquetWriter::open(config, columns)?;
    writer.set_clock_offset(clock_offset())?;
    let (sender, receiver) = mpsc::channel(BATCHES);
    let thread = thread::Builder::new().name("writer".to_owned()).spawn(move || write(writer, receiver, &names))?;
    Ok((sender, thread))
}

fn write(mut writer: ParquetWriter, mut batches: mpsc::Receiver<Batch>, names: &Names) -> Result<Recorded, WriteError> {
    let mut join = Join::new(JoinConfig::default());
    let mut recorded = Recorded::default();
    let mut was_well = true;
    while let Some(batch) = batches.blocking_recv() {
        recorded.samples = recorded.samples.saturating_add(batch.samples.len() as u64);
        recorded.lost = recorded.lost.saturating_add(batch.lost);
        let now = monotonic();
        let mut outcome = writer.set_clock_offset(clock_offset());
        let mut push = |sample: &Sample, labels: Option<&Arc<Labels>>| {
            let pushed = writer.push(sample, labels);
            if outcome.is_ok() {
                outcome = pushed;
            }
        };
        for sample in &batch.samples {
            join.push(sample, names, now, &mut push);
        }
        join.release(names, now, &mut push);
        let outcome = outcome.and(writer.tick(now));
        match &outcome {
            // What can wait is tried again, and what can't is counted: that is told at the end.
            Err(error) if was_well => tracing::error!("{}", chain(error)),
            _ => {}
        }
        was_well = outcome.is_ok();
    }
    join.finish(|sample, labels| {
        let _ = writer.push(sample, labels);
    });
    recorded.join = join.stats();
    recorded.files = writer.finish()?;
    Ok(recorded)
}

/// An error with those below it.
fn chain(error: &dyn std::error::Error) -> String {
    let all = std::iter::successors(Some(error), |error| error.source());
    all.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

pub(crate) fn monotonic() -> u64 {
    u64::try_from(nanoseconds(ClockId::Monotonic)).unwrap_or(0)
}

/// How far the wall clock is ahead.
fn clock_offset() -> i64 {
    let before = nanoseconds(ClockId::Monotonic);
    let wall = nanoseconds(ClockId::Realtime);
    // In the middle of the two, where the other was read.
    wall.saturating_sub(i64::midpoint(before, nanoseconds(ClockId::Monotonic)))
}

fn nanoseconds(clock: ClockId) -> i64 {
    let time = clock_gettime(clock);
    time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec)
}

/// The host's name, for the files.
pub(crate) fn host() -> io::Result<String> {
    Ok(std::fs::read_to_string("/proc/sys/kernel/hostname")?.trim().to_owned())
}
