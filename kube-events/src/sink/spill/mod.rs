//! Records that wait on disk, in order, for a sink that is away; they outlive the process.
//!
//! Files of records, the number of each in its name, and one that tells how far they were sent. Each record has a
//! checksum: of a process that was killed, a record that was half written is left out.

mod disk;
mod frame;

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::task::spawn_blocking;

use self::disk::Disk;
pub(super) use self::disk::{First, Place};
use super::{Record, SpillError, SpillOptions};

/// The files, used from async code: they are touched on threads that may wait.
#[derive(Debug, Clone)]
pub(super) struct Spill {
    disk: Arc<Mutex<Disk>>,
}

/// What became of records that were to be kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Kept {
    /// How many of them are on disk, from the first on. The others found no room.
    pub(super) kept: usize,
    /// How many older ones went to make room.
    pub(super) dropped: u64,
}

impl Spill {
    pub(super) async fn open(options: &SpillOptions) -> Result<Self, SpillError> {
        let options = options.clone();
        let disk = blocking(move || Disk::open(&options)).await?;
        Ok(Self { disk: Arc::new(Mutex::new(disk)) })
    }

    /// How many records wait.
    pub(super) fn len(&self) -> u64 {
        self.disk.lock().len()
    }

    /// Keeps records behind those that wait, and returns once they are on disk. Where there is no room, the oldest go
    /// if that is asked for.
    pub(super) async fn append(&self, records: Vec<Record>, drop_oldest: bool) -> Result<Kept, SpillError> {
        let disk = Arc::clone(&self.disk);
        blocking(move || disk.lock().append(&records, drop_oldest)).await
    }

    /// Keeps records before those that wait, of which none may be on its way, and returns once they are on disk.
    pub(super) async fn prepend(&self, records: Vec<Record>) -> Result<(), SpillError> {
        let disk = Arc::clone(&self.disk);
        blocking(move || disk.lock().prepend(&records)).await
    }

    /// The first records, up to so many and so many bytes, but one at least. They stay until they are [`sent`](Self::sent).
    pub(super) async fn first(&self, events: usize, bytes: usize) -> Result<First, SpillError> {
        let disk = Arc::clone(&self.disk);
        blocking(move || disk.lock().first(events, bytes)).await
    }

    /// The first records up to there were sent.
    pub(super) async fn sent(&self, end: Place) -> Result<(), SpillError> {
        let disk = Arc::clone(&self.disk);
        blocking(move || disk.lock().sent(end)).await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SpillError> + Send + 'static,
) -> Result<T, SpillError> {
    spawn_blocking(work).await.unwrap_or_else(|error| {
        let source = std::io::Error::other(error);
        Err(SpillError::Io { path: std::path::PathBuf::new(), source })
    })
}
