//! How large and how old files become.

use std::path::PathBuf;
use std::time::Duration;

use parquet::basic::ZstdLevel;
use parquet::file::metadata::KeyValue;

use super::WriteError;
use crate::output::arrow::Columns;

/// The version of the columns and of what files say of themselves. It changes when a reader has to.
pub const SCHEMA_VERSION: u32 = 1;

/// Where samples are written to, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParquetConfig {
    /// The directory, which is made where it is not there.
    pub directory: PathBuf,
    /// What names of files begin with. Default: `cgroup-perf`.
    pub prefix: String,
    /// The host's name, for the files' metadata.
    pub host: String,
    /// More of those, name and value.
    pub metadata: Vec<(String, String)>,
    /// The rows of a batch: they lie in memory until it is made, some 300 bytes each. Default: 8,192.
    pub batch_rows: usize,
    /// The rows of a row group, at most. Default: 262,144.
    pub row_group_rows: usize,
    /// The size of a row group, about. Default: 4 MiB.
    pub row_group_bytes: usize,
    /// The age at which a row group is written: so much is lost at most with a process that is killed. Default: 60 s.
    pub row_group_age: Duration,
    /// The size of a file, about. Default: 128 MiB.
    pub file_bytes: u64,
    /// The age at which a file is completed. Default: 15 min.
    pub file_age: Duration,
    /// How many row groups wait in memory for a disk that is full. Beyond, the oldest is dropped. Default: 4.
    pub most_waiting: usize,
    /// How long it is until a disk that was full is tried again. Default: 5 s.
    pub retry: Duration,
    /// How hard zstd tries, 1 to 22. Default: 3.
    pub zstd_level: i32,
}

impl ParquetConfig {
    /// The defaults, in a directory.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            prefix: "cgroup-perf".to_owned(),
            host: String::new(),
            metadata: Vec::new(),
            batch_rows: 8_192,
            row_group_rows: 262_144,
            row_group_bytes: 4 << 20,
            row_group_age: Duration::from_mins(1),
            file_bytes: 128 << 20,
            file_age: Duration::from_mins(15),
            most_waiting: 4,
            retry: Duration::from_secs(5),
            zstd_level: 3,
        }
    }

    pub(super) fn level(&self) -> Result<ZstdLevel, WriteError> {
        let told = format!("zstd level {} is none: choose 1 to 22", self.zstd_level);
        ZstdLevel::try_new(self.zstd_level).map_err(|_| WriteError::Config(told))
    }

    pub(super) fn check(&self) -> Result<(), WriteError> {
        let is_plain = |char: char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_' | '.');
        if !self.prefix.chars().all(is_plain) || self.prefix.starts_with('.') {
            let told =
                format!("{:?} is no beginning of file names: use letters, digits, '-', '_' and '.'", self.prefix);
            return Err(WriteError::Config(told));
        }
        Ok(())
    }

    /// What files say of themselves.
    pub(super) fn key_values(&self, columns: &Columns, clock_offset: i64) -> Vec<KeyValue> {
        let pair = |name: &str, value: String| KeyValue::new(format!("cgroup_perf.{name}"), value);
        let names: Vec<_> = columns.events().iter().map(|event| event.name.as_str()).collect();
        let mut all = vec![
            pair("schema_version", SCHEMA_VERSION.to_string()),
            pair("host", self.host.clone()),
            pair("clock_offset_ns", clock_offset.to_string()),
            pair("counters", names.join(",")),
        ];
        all.extend(columns.events().iter().map(|event| pair(&format!("counter.{}", event.name), event.event.clone())));
        all.extend(self.metadata.iter().map(|(name, value)| KeyValue::new(name.clone(), value.clone())));
        all
    }
}

/// What the names of a writer's files begin with, so that they are no other writer's.
pub(super) fn full_prefix(prefix: &str) -> String {
    format!("{prefix}-")
}
