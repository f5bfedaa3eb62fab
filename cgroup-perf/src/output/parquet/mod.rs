//! Samples in Parquet files.
//!
//! Rows are encoded as they come, into row groups of bounded size and age, and row groups are put into files of bounded
//! size and age. A file has its name, `PREFIX-TIME-N.parquet`, when it is complete. Of a process that is killed, the row
//! group that was open is lost and no more: the next [`ParquetWriter`] in the directory, or [`recover`], completes the file
//! from what stands beside it. Where a disk is full, the file is completed with what it has, row groups wait in memory, and
//! the writer goes on in a new file when there is space again; what could not wait is counted.
//!
//! What a file says of itself (key-value metadata): `cgroup_perf.schema_version`, `cgroup_perf.host`,
//! `cgroup_perf.clock_offset_ns` (the wall clock less `CLOCK_MONOTONIC`), `cgroup_perf.counters` (their names, in order,
//! joined by commas), `cgroup_perf.counter.NAME` (what was counted), and what the host adds. Its columns are those of
//! [`arrow`](super::arrow).

mod config;
mod encode;
#[cfg(test)]
mod faults;
mod file;
mod footer;
mod storage;
#[cfg(feature = "object-store")]
mod upload;
mod writer;

use std::io;
use std::path::Path;

pub use self::config::{ParquetConfig, SCHEMA_VERSION};
use self::footer::{MAGIC, moved, place};
#[cfg(feature = "object-store")]
pub use self::upload::{UploadError, Uploaded, Uploader};
pub use self::writer::{ParquetStats, ParquetWriter};
use crate::output::arrow::ArrowError;

/// Why something could not be written. The writer can go on: what it holds is tried again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// A file or directory can't be written.
    #[error("{name} can't be written: make room, or choose another directory")]
    Io {
        /// Which one, in the directory.
        name: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file would be longer than any can be.
    #[error("{name} is too long: choose a smaller file size")]
    TooLong {
        /// Which one.
        name: String,
    },
    /// What was configured can't be.
    #[error("{0}")]
    Config(String),
    /// A batch can't be made.
    #[error("samples can't be made a batch")]
    Arrow(#[from] ArrowError),
    /// A row group can't be encoded.
    #[error("a batch can't be encoded")]
    Parquet(#[from] ::parquet::errors::ParquetError),
}

impl WriteError {
    /// Whether it may be well the next time: a disk that is full, and not a file that somebody has taken away.
    fn can_pass(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() != io::ErrorKind::NotFound)
    }
}

/// Completes the files of a directory whose writer was killed, and says which. Those that another process is writing are
/// left alone. An error is of the first that can't be completed; all others are.
pub fn recover(directory: &Path, prefix: &str) -> Result<Vec<String>, WriteError> {
    let failed = |source| WriteError::Io { name: directory.display().to_string(), source };
    let storage = storage::Directory::open(directory).map_err(failed)?;
    let recovered = file::recover(&storage, &config::full_prefix(prefix))?;
    match recovered.errors.into_iter().next() {
        Some(error) => Err(error),
        None => Ok(recovered.sealed),
    }
}
