//! Batches → Parquet files, on a thread that may wait for the disk.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use cgroup_perf::output::arrow::Columns;
use cgroup_perf::output::parquet::{ParquetConfig, ParquetStats, ParquetWriter, WriteError};
use cgroup_perf::resolver::{Join, JoinConfig, JoinStats, Labels};
use cgroup_perf::sample::{Batch, Sample};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::clock::{monotonic, offset};
use crate::names::Names;

/// Batches that wait for the thread. Beyond them, the stream's own wait, then the kernel's ring fills, and what is lost
/// there is counted.
const BATCHES: usize = 64;

/// What became of everything.
#[derive(Debug, Clone, Copy, Default)]
pub struct Recorded {
    /// Samples that came.
    pub samples: u64,
    /// Records for which the kernel's ring had no room.
    pub lost: u64,
    /// What became of rows and files.
    pub files: ParquetStats,
    /// What became of the samples' labels.
    pub join: JoinStats,
}

/// The thread, and what it says at its end.
#[derive(Debug)]
pub struct Recording {
    thread: JoinHandle<Result<Recorded, WriteError>>,
    now: Arc<Mutex<Now>>,
}

/// What became of everything so far.
#[derive(Debug, Clone, Default)]
pub struct Now {
    /// The counts.
    pub recorded: Recorded,
    /// What went wrong last, if it still does.
    pub error: Option<String>,
}

impl Recording {
    /// Starts the thread. It ends when nothing can be sent any more.
    pub fn start(
        config: ParquetConfig,
        columns: Columns,
        names: Arc<Names>,
    ) -> anyhow::Result<(mpsc::Sender<Batch>, Self)> {
        let mut writer = ParquetWriter::open(config, columns)?;
        writer.set_clock_offset(offset())?;
        let (sender, receiver) = mpsc::channel(BATCHES);
        let now = Arc::<Mutex<Now>>::default();
        let told = Arc::clone(&now);
        let thread = thread::Builder::new().name("writer".to_owned());
        let thread = thread.spawn(move || write(writer, receiver, &names, &told))?;
        Ok((sender, Self { thread, now }))
    }

    /// What became of everything so far.
    pub fn now(&self) -> Now {
        self.now.lock().clone()
    }

    /// Waits for the thread's end, which comes when the sender is dropped; what became of everything.
    pub fn finish(self) -> anyhow::Result<Result<Recorded, WriteError>> {
        self.thread.join().map_err(|_| anyhow::anyhow!("the writer's thread panicked"))
    }
}

fn write(
    mut writer: ParquetWriter,
    mut batches: mpsc::Receiver<Batch>,
    names: &Names,
    told: &Mutex<Now>,
) -> Result<Recorded, WriteError> {
    let mut join = Join::new(JoinConfig::default());
    let mut recorded = Recorded::default();
    let mut was_well = true;
    while let Some(batch) = batches.blocking_recv() {
        recorded.samples = recorded.samples.saturating_add(batch.samples.len() as u64);
        recorded.lost = recorded.lost.saturating_add(batch.lost);
        let now = monotonic();
        let mut outcome = writer.set_clock_offset(offset());
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
        let outcome = outcome.and(writer.tick(now)).map_err(|error| chain(&error));
        match &outcome {
            // What can wait is tried again, and what can't is counted: that is told at the end.
            Err(error) if was_well => tracing::error!("{error}"),
            _ => {}
        }
        was_well = outcome.is_ok();
        (recorded.join, recorded.files) = (join.stats(), writer.stats());
        *told.lock() = Now { recorded, error: outcome.err() };
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

/// The host's name, for the files.
pub fn host() -> io::Result<String> {
    Ok(std::fs::read_to_string("/proc/sys/kernel/hostname")?.trim().to_owned())
}
