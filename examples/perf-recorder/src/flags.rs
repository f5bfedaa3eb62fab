//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use cgroup_perf::events::Event;
use cgroup_perf::output::parquet::ParquetConfig;
use clap::Parser;

const EXAMPLES: &str = "\
Examples:
  perf-recorder samples                           as root, until it is interrupted
  perf-recorder samples --duration 60 --slot 10   a minute, a row for each ten milliseconds
  perf-recorder samples --file-size 16 --file-age 60
  duckdb -c \"select namespace, pod, container, sum(ran_ns) from 'samples/*.parquet' group by all\"

The log level is set by RUST_LOG.";

/// Records what each container and cgroup does to Parquet: a row for each slot, processor and cgroup that ran.
///
/// Needs CAP_BPF and CAP_PERFMON (or root), and Linux 5.15 or later. SIGINT and SIGTERM end it, with all files complete;
/// what a killed one has left is completed by the next in the same directory.
#[derive(Debug, Parser)]
#[command(name = "perf-recorder", version, after_help = EXAMPLES)]
pub(crate) struct Flags {
    /// The directory of the files, which is made where it is not there
    #[arg(value_name = "DIRECTORY")]
    directory: PathBuf,
    /// Seconds to record. Default: until it is interrupted
    #[arg(long, value_name = "SECONDS", value_parser = duration)]
    pub(crate) duration: Option<Duration>,
    /// The length of a slot in milliseconds, 0.1 to 1000
    #[arg(long, value_name = "MILLISECONDS", default_value = "1", value_parser = slot)]
    pub(crate) slot: Duration,
    /// What is counted, up to eight, by commas. Default: cycles, instructions, llc-misses, or what the kernel has
    /// itself where the processor's counters can't be had
    #[arg(long, value_name = "EVENTS", value_delimiter = ',')]
    pub(crate) counters: Vec<Event>,
    /// Rows of processes within their cgroup
    #[arg(long)]
    pub(crate) per_task: bool,
    /// The size of a file in MiB, about
    #[arg(long, value_name = "MIB", default_value_t = 128, value_parser = clap::value_parser!(u64).range(1..=65_536))]
    file_size: u64,
    /// The age of a file in seconds
    #[arg(long, value_name = "SECONDS", default_value = "900", value_parser = duration)]
    file_age: Duration,
    /// The runtime's socket
    #[arg(long, value_name = "PATH", default_value = nri_plugin::launch::DEFAULT_SOCKET)]
    pub(crate) socket: PathBuf,
    /// Do not ask a runtime
    #[arg(long)]
    pub(crate) no_nri: bool,
}

impl Flags {
    pub(crate) fn parquet(&self) -> ParquetConfig {
        let mut config = ParquetConfig::new(&self.directory);
        config.file_bytes = self.file_size << 20;
        config.file_age = self.file_age;
        // A file is of whole row groups.
        config.row_group_age = config.row_group_age.min(self.file_age);
        config.row_group_bytes = config.row_group_bytes.min(usize::try_from(config.file_bytes).unwrap_or(usize::MAX));
        config
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| (0.1..=3.2e7).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| "give seconds from 0.1 to 32000000".to_owned())
}

fn slot(text: &str) -> Result<Duration, String> {
    let milliseconds = text.parse::<f64>().ok().filter(|milliseconds| (0.1..=1000.0).contains(milliseconds));
    let slot = milliseconds.map(|milliseconds| Duration::from_secs_f64(milliseconds / 1e3));
    slot.ok_or_else(|| "give milliseconds from 0.1 to 1000".to_owned())
}

pub(crate) fn parse() -> Flags {
    Flags::parse()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Flags::command().debug_assert();
        assert_eq!(slot("0.1"), Ok(Duration::from_micros(100)));
        assert!(slot("0").is_err() && slot("NaN").is_err() && duration("-1").is_err());
    }

    #[test]
    fn files_are_as_large_and_as_old_as_they_are_to_be() {
        let flags = Flags::parse_from(["perf-recorder", "x", "--file-size", "2", "--file-age", "5"]);
        let config = flags.parquet();
        assert_eq!((config.file_bytes, config.file_age), (2 << 20, Duration::from_secs(5)));
        assert_eq!((config.row_group_bytes, config.row_group_age), (2 << 20, Duration::from_secs(5)));
    }
}
