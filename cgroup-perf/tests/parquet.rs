//! Samples → files → samples.
#![cfg(feature = "parquet")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::cast_possible_wrap, reason = "times after 1970, and before 2262")]

mod common;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::{TimestampNanosecondType, UInt32Type, UInt64Type};
use arrow_array::{Array, RecordBatch};
use cgroup_perf::output::Event;
use cgroup_perf::output::arrow::{BatchBuilder, Columns, times};
use cgroup_perf::output::parquet::{ParquetConfig, ParquetWriter, WriteError, recover};
use cgroup_perf::quality::Counter;
use cgroup_perf::resolver::Labels;
use cgroup_perf::sample::{CgroupId, Delta, Sample, Task};
use common::{MS, Node, OFFSET, SECOND, columns, container, labels};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::RowGroupMetaData;

/// One row, as text: what `quality` says, whose it is, and the numbers.
type Line = (i64, u64, u32, u64, u64, u32, String, [Option<String>; 5]);

fn text(batch: &RecordBatch, column: &str, row: usize) -> Option<String> {
    let array = batch.column_by_name(column).unwrap();
    let keys = array.as_any_dictionary_opt().unwrap();
    if array.is_null(row) {
        return None;
    }
    Some(keys.values().as_string::<i32>().value(keys.normalized_keys()[row]).to_owned())
}

fn number(batch: &RecordBatch, column: &str, row: usize) -> u64 {
    batch.column_by_name(column).unwrap().as_primitive::<UInt64Type>().value(row)
}

fn small(batch: &RecordBatch, column: &str, row: usize) -> u32 {
    batch.column_by_name(column).unwrap().as_primitive::<UInt32Type>().value(row)
}

fn time(batch: &RecordBatch, row: usize) -> i64 {
    batch.column_by_name("time").unwrap().as_primitive::<TimestampNanosecondType>().value(row)
}

fn line(batch: &RecordBatch, row: usize) -> Line {
    (
        time(batch, row),
        number(batch, "slot_ns", row),
        small(batch, "cpu", row),
        number(batch, "cgroup_id", row),
        number(batch, "ran_ns", row),
        small(batch, "switches", row),
        text(batch, "quality", row).unwrap(),
        ["namespace", "pod", "pod_uid", "container", "container_id"].map(|column| text(batch, column, row)),
    )
}

fn read(path: &Path) -> Vec<RecordBatch> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    reader.build().unwrap().map(Result::unwrap).collect()
}

fn said(path: &Path) -> Vec<(String, String)> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    let pairs = reader.metadata().file_metadata().key_value_metadata().unwrap().iter();
    pairs.map(|pair| (pair.key.clone(), pair.value.clone().unwrap())).filter(|(key, _)| key != "ARROW:schema").collect()
}

/// The names in a directory that end like that, in order.
fn files(directory: &Path, ending: &str) -> Vec<PathBuf> {
    let mut paths: Vec<_> = directory.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.to_str().unwrap().ends_with(ending));
    paths.sort();
    paths
}

fn rows(paths: &[PathBuf]) -> usize {
    paths.iter().flat_map(|path| read(path)).map(|batch| batch.num_rows()).sum()
}

fn sample(cgroup: u64, slot: u64, deltas: &[Delta]) -> Sample {
    let start = slot * MS;
    let mut counters = <[Delta; 8]>::default();
    counters[..deltas.len()].copy_from_slice(deltas);
    Sample { start, end: start + MS, cpu: 1, cgroup: CgroupId(cgroup), task: None, ran: MS / 2, switches: 3, counters }
}

fn delta(value: u64, enabled: u64, running: u64) -> Delta {
    Delta { value, enabled, running }
}

#[test]
fn each_number_and_label_comes_back() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = ParquetConfig::new(directory.path());
    config.host = "node-1".to_owned();
    config.metadata = vec![("cluster".to_owned(), "prod".to_owned())];
    let mut writer = ParquetWriter::open(config, columns()).unwrap();
    writer.set_clock_offset(OFFSET).unwrap();
    let exact = delta(1_000_000, 500_030, 500_030);
    let scaled = delta(900_000, 500_000, 250_000);
    let frozen = delta(0, 0, 0);
    let whose = Arc::new(Labels { pod: "web".to_owned(), container: "app".to_owned(), ..Labels::default() });
    writer.push(&sample(9, 1, &[exact, exact, exact]), None).unwrap();
    writer.push(&sample(7, 2, &[scaled, scaled, frozen]), Some(&whose)).unwrap();
    writer.push(&sample(7, 1, &[exact, exact, exact]), Some(&whose)).unwrap();
    let stats = writer.finish().unwrap();
    assert_eq!((stats.written, stats.files, stats.dropped, stats.failures), (3, 1, 0, 0));

    let paths = files(directory.path(), ".parquet");
    assert_eq!(paths[0].file_name().unwrap(), "cgroup-perf-20260301T120000Z-0.parquet");
    let [batch] = <[RecordBatch; 1]>::try_from(read(&paths[0])).unwrap();
    let nobody = [const { None }; 5];
    let web = [None, Some("web".to_owned()), None, Some("app".to_owned()), None];
    let at = |slot: i64| OFFSET + slot * 1_000_000;
    // In the order of cgroups, then of times.
    let expected: [Line; 3] = [
        (at(1), MS, 1, 7, MS / 2, 3, "exact".to_owned(), web.clone()),
        (at(2), MS, 1, 7, MS / 2, 3, "stalled".to_owned(), web),
        (at(1), MS, 1, 9, MS / 2, 3, "exact".to_owned(), nobody),
    ];
    assert_eq!([0, 1, 2].map(|row| line(&batch, row)), expected);
    assert_eq!([0, 1, 2].map(|row| number(&batch, "cycles", row)), [1_000_000, 900_000, 1_000_000]);
    let qualities = ["cycles_quality", "llc_misses_quality"].map(|column| text(&batch, column, 1).unwrap());
    assert_eq!(qualities, ["scaled", "stalled"]);
    // Counted all of the time, to 30 ns of its clock: nulls. A part of it, or none: as it is.
    assert!(batch.column_by_name("cycles_enabled_ns").unwrap().is_null(0));
    assert_eq!(times(&batch, "cycles", 0), Some((500_000, 500_000)));
    assert_eq!(times(&batch, "cycles", 1), Some((500_000, 250_000)));
    assert_eq!(times(&batch, "llc_misses", 1), Some((0, 0)));
    assert_eq!((times(&batch, "cycles", 3), times(&batch, "branches", 0)), (None, None));

    let said = said(&paths[0]);
    let expected = [
        ("cgroup_perf.schema_version", "1"),
        ("cgroup_perf.host", "node-1"),
        ("cgroup_perf.clock_offset_ns", "1772366400123456789"),
        ("cgroup_perf.counters", "cycles,instructions,llc_misses"),
        ("cgroup_perf.counter.cycles", "PERF_COUNT_HW_CPU_CYCLES"),
        ("cgroup_perf.counter.instructions", "PERF_COUNT_HW_INSTRUCTIONS"),
        ("cgroup_perf.counter.llc_misses", "PERF_COUNT_HW_CACHE_MISSES"),
        ("cluster", "prod"),
    ];
    let said: Vec<_> = said.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(said, expected);
}

#[test]
fn processes_have_columns_where_samples_are_of_processes() {
    let columns = Columns::new(vec![Event::new("cycles", "", Counter::CYCLES)], true).unwrap();
    let mut builder = BatchBuilder::new(columns, 10);
    let mut comm = [0; 16];
    comm[..5].copy_from_slice(b"nginx");
    let one = delta(1_000_000, 500_000, 500_000);
    builder.push(&Sample { task: Some(Task { pid: 42, comm }), ..sample(7, 1, &[one]) }, None);
    builder.push(&sample(7, 1, &[one]), None);
    let batch = builder.finish().unwrap();
    // What is of no process comes first.
    assert!(batch.column_by_name("pid").unwrap().is_null(0));
    assert_eq!((small(&batch, "pid", 1), text(&batch, "comm", 1).as_deref()), (42, Some("nginx")));
    assert!(builder.is_empty());
    assert_eq!(builder.finish().unwrap().num_rows(), 0);
}

#[test]
fn labels_of_the_hosts_choice_have_columns() {
    let columns = Columns::new(vec![Event::new("cycles", "", Counter::CYCLES)], false).unwrap();
    let mut builder = BatchBuilder::new(columns.with_labels(["team", "app"]).unwrap(), 10);
    let whose = |more: &[(&str, &str)]| {
        let more = more.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        Arc::new(Labels { pod: "web".to_owned(), more, ..Labels::default() })
    };
    builder.push(&sample(1, 1, &[]), Some(&whose(&[("app", "shop"), ("zone", "a")])));
    builder.push(&sample(2, 1, &[]), Some(&whose(&[("team", "")])));
    builder.push(&sample(3, 1, &[]), None);
    let batch = builder.finish().unwrap();
    let told = |column: &str| [0, 1, 2].map(|row| text(&batch, column, row));
    assert_eq!(told("label_app"), [Some("shop".to_owned()), None, None]);
    assert_eq!(told("label_team"), [None, None, None]);
    assert_eq!(told("pod"), [Some("web".to_owned()), Some("web".to_owned()), None]);
}

/// Writes a node's samples and returns what there were.
fn write(writer: &mut ParquetWriter, node: &mut Node, slots: usize) -> Vec<Sample> {
    let labels: Vec<_> = (0..100).map(labels).collect();
    let mut all = Vec::new();
    for _ in 0..slots {
        for sample in node.slot() {
            writer.push(&sample, Some(&labels[container(&sample)])).unwrap();
            writer.tick(sample.end).unwrap();
            all.push(sample);
        }
    }
    all
}

#[test]
fn row_groups_and_files_are_of_bounded_size_and_age() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = ParquetConfig::new(directory.path());
    (config.batch_rows, config.row_group_rows) = (500, 1_000);
    config.file_bytes = 60_000;
    let mut writer = ParquetWriter::open(config, columns()).unwrap();
    let all = write(&mut writer, &mut Node::new(100), 5_000);
    let stats = writer.finish().unwrap();
    let paths = files(directory.path(), "");
    assert_eq!((stats.written, stats.files), (all.len() as u64, paths.len() as u64));
    assert!(paths.len() >= 3, "{paths:?}");
    for path in &paths {
        let length = path.metadata().unwrap().len();
        assert!(length < 60_000 + 40_000, "{length}");
        let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
        assert!(reader.metadata().row_groups().iter().all(|row_group| row_group.num_rows() <= 1_000));
    }
    // Everything that went in is there, number for number.
    let mut came: Vec<_> = paths
        .iter()
        .flat_map(|path| read(path))
        .flat_map(|batch| {
            (0..batch.num_rows())
                .map(|row| {
                    let numbers = ["cgroup_id", "ran_ns", "cycles", "instructions", "llc_misses"];
                    (time(&batch, row), small(&batch, "cpu", row), numbers.map(|column| number(&batch, column, row)))
                })
                .collect::<Vec<_>>()
        })
        .collect();
    let mut went: Vec<_> = all
        .iter()
        .map(|sample| {
            let [cycles, instructions, misses, ..] = sample.counters;
            let numbers = [sample.cgroup.0, sample.ran, cycles.value, instructions.value, misses.value];
            (sample.start as i64, sample.cpu, numbers)
        })
        .collect();
    came.sort_unstable();
    went.sort_unstable();
    assert!(came == went);
}

#[test]
fn a_row_group_ends_by_its_size_too() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = ParquetConfig::new(directory.path());
    (config.batch_rows, config.row_group_bytes) = (500, 40_000);
    let mut writer = ParquetWriter::open(config, columns()).unwrap();
    let all = write(&mut writer, &mut Node::new(100), 5_000);
    writer.finish().unwrap();
    let paths = files(directory.path(), ".parquet");
    assert_eq!(rows(&paths), all.len());
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&paths[0]).unwrap()).unwrap();
    let sizes: Vec<_> = reader.metadata().row_groups().iter().map(RowGroupMetaData::compressed_size).collect();
    assert!(sizes.len() >= 3 && sizes.iter().all(|size| *size < 60_000), "{sizes:?}");
}

#[test]
fn what_is_old_is_written_though_it_is_little() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = ParquetConfig::new(directory.path());
    (config.row_group_age, config.file_age) = (Duration::from_secs(10), Duration::from_secs(25));
    let mut writer = ParquetWriter::open(config, columns()).unwrap();
    let one = delta(1_000_000, 500_000, 500_000);
    for second in 0..=40_u64 {
        writer.push(&sample(7, second * 1_000, &[one; 3]), None).unwrap();
        writer.tick(second * SECOND).unwrap();
        let expected = match second {
            0..10 => (0, 0),
            // Row groups of eleven: at 10, 21, 32; the file is completed at 35, 25 seconds after it was begun.
            10..21 => (11, 0),
            21..32 => (22, 0),
            32..35 => (33, 0),
            _ => (33, 1),
        };
        let stats = writer.stats();
        assert_eq!((stats.written, stats.files), expected, "at {second}");
    }
    assert_eq!(rows(&files(directory.path(), ".parquet")), 33);
    // The end of it, without a word.
    drop(writer);
    assert_eq!(rows(&files(directory.path(), ".parquet")), 41);
    assert_eq!(files(directory.path(), "").len(), 2);
}

#[test]
fn a_wall_clock_that_is_set_begins_a_new_file() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = ParquetWriter::open(ParquetConfig::new(directory.path()), columns()).unwrap();
    let one = delta(1_000_000, 500_000, 500_000);
    for (slot, offset) in [(0, OFFSET), (1, OFFSET + 999_999), (2, OFFSET - 3_600_000_000_000)] {
        writer.set_clock_offset(offset).unwrap();
        writer.push(&sample(7, slot, &[one; 3]), None).unwrap();
    }
    writer.finish().unwrap();
    let paths = files(directory.path(), "");
    let names: Vec<_> = paths.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["cgroup-perf-20260301T110000Z-1.parquet", "cgroup-perf-20260301T120000Z-0.parquet"]);
    assert_eq!((rows(&paths[..1]), rows(&paths[1..])), (1, 2));
    let offset = |path| said(path).into_iter().find(|(key, _)| key == "cgroup_perf.clock_offset_ns").unwrap().1;
    assert_eq!([offset(&paths[0]), offset(&paths[1])], ["1772362800123456789", "1772366400123456789"]);
}

/// Samples keep the programs' clock, which no step moves; the wall clock is added where a row is written, and the file
/// says how much.
#[test]
fn a_step_of_the_wall_clock_neither_reorders_nor_breaks_times() {
    const HOUR: i64 = 3_600_000_000_000;
    let directory = tempfile::tempdir().unwrap();
    let mut writer = ParquetWriter::open(ParquetConfig::new(directory.path()), columns()).unwrap();
    let one = delta(1_000_000, 500_000, 500_000);
    for slot in 0..100 {
        let offset = match slot {
            30..60 => OFFSET + HOUR,
            // Back, so that the same times on the wall are written twice.
            60..90 => OFFSET - 10_000_000,
            _ => OFFSET,
        };
        writer.set_clock_offset(offset).unwrap();
        writer.push(&sample(7, slot, &[one; 3]), None).unwrap();
    }
    writer.finish().unwrap();
    let mut starts = Vec::new();
    let paths = files(directory.path(), "");
    assert_eq!(paths.len(), 4);
    for path in &paths {
        let said = said(path).into_iter().find(|(key, _)| key == "cgroup_perf.clock_offset_ns").unwrap().1;
        let offset: i64 = said.parse().unwrap();
        let times: Vec<i64> = read(path)
            .iter()
            .flat_map(|batch| (0..batch.num_rows()).map(|row| time(batch, row)).collect::<Vec<_>>())
            .collect();
        assert!(times.is_sorted(), "{times:?}");
        starts.extend(times.iter().map(|time| time - offset));
    }
    starts.sort_unstable();
    let expected: Vec<i64> = (0..100).map(|slot| i64::try_from(sample(7, slot, &[one; 3]).start).unwrap()).collect();
    assert_eq!(starts, expected, "each slot once, at its own time");
}

#[test]
fn what_is_no_configuration_says_what_to_change() {
    let directory = tempfile::tempdir().unwrap();
    let told = |change: fn(&mut ParquetConfig)| {
        let mut config = ParquetConfig::new(directory.path().join("below"));
        change(&mut config);
        ParquetWriter::open(config, columns()).unwrap_err().to_string()
    };
    assert_eq!(told(|config| config.zstd_level = 0x7fff), "zstd level 32767 is none: choose 1 to 22");
    assert!(told(|config| config.prefix = "../x".to_owned()).contains("is no beginning of file names"));
    assert!(told(|config| config.directory = "/proc/none".into()).starts_with("/proc/none can't be written"));
}

const CHILD: &str = "CGROUP_PERF_TEST_WRITE_TO";

/// Not a test of its own: the process that is killed.
#[test]
fn writes_until_it_is_killed() {
    let Ok(directory) = std::env::var(CHILD) else { return };
    let mut config = ParquetConfig::new(directory);
    (config.batch_rows, config.row_group_rows, config.file_bytes) = (256, 512, 200_000);
    let mut writer = ParquetWriter::open(config, columns()).unwrap();
    let one = delta(1_000_000, 500_000, 500_000);
    for slot in 0.. {
        writer.push(&sample(7, slot, &[one; 3]), None).unwrap();
    }
}

#[test]
fn of_a_process_that_is_killed_the_open_row_group_is_lost_and_no_more() {
    for round in 0..8_u64 {
        let directory = tempfile::tempdir().unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "writes_until_it_is_killed"])
            .env(CHILD, directory.path())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        // Killed at any moment, once there is something to lose.
        let patience = std::time::Instant::now();
        while files(directory.path(), ".parquet.footer").is_empty() && patience.elapsed() < Duration::from_mins(1) {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_micros(7_919 * round));
        let alive = child.try_wait().unwrap().is_none();
        // What is being written is left alone.
        let taken = if alive { recover(directory.path(), "cgroup-perf") } else { Ok(Vec::new()) };
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(alive && taken.is_ok_and(|names| names.is_empty()));
        recover(directory.path(), "cgroup-perf").unwrap();
        let paths = files(directory.path(), "");
        assert_eq!(paths, files(directory.path(), ".parquet"), "nothing is left beside");
        let mut slots: Vec<_> = paths
            .iter()
            .flat_map(|path| read(path))
            .flat_map(|batch| (0..batch.num_rows()).map(|row| time(&batch, row) / 1_000_000).collect::<Vec<_>>())
            .collect();
        slots.sort_unstable();
        // Row groups of 512, without a gap: all that were complete.
        assert!(!slots.is_empty() && slots.len() % 512 == 0, "{}", slots.len());
        assert!(slots.iter().copied().eq(0..slots.len() as i64));
    }
}

/// A directory that a killed process has left: an open file of three row groups, and what stands beside it.
fn left_behind() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let mut config = ParquetConfig::new(directory.path());
    (config.batch_rows, config.row_group_rows) = (100, 100);
    let mut writer = ParquetWriter::open(config, columns()).unwrap();
    let one = delta(1_000_000, 500_000, 500_000);
    for slot in 0..350 {
        writer.push(&sample(7, slot, &[one; 3]), None).unwrap();
    }
    let open = files(directory.path(), ".open").remove(0);
    let footer = files(directory.path(), ".footer").remove(0);
    let copy = tempfile::tempdir().unwrap();
    let copied = [&open, &footer].map(|path| copy.path().join(path.file_name().unwrap()));
    std::fs::copy(&open, &copied[0]).unwrap();
    std::fs::copy(&footer, &copied[1]).unwrap();
    let [open, footer] = copied;
    (copy, open, footer)
}

#[test]
fn of_a_file_that_is_cut_off_the_row_groups_before_are_kept() {
    let (_kept, open, _) = left_behind();
    let whole = open.metadata().unwrap().len();
    for (length, kept) in [(whole + 10, 300), (whole, 300), (whole - 1, 200), (whole / 2, 100), (10, 0), (0, 0)] {
        let (directory, open, footer) = left_behind();
        File::options().write(true).open(&open).unwrap().set_len(length).unwrap();
        // It was killed while it wrote the next end.
        std::fs::copy(&footer, format!("{}.new", footer.display())).unwrap();
        let names = recover(directory.path(), "cgroup-perf").unwrap();
        assert_eq!(names.len(), usize::from(kept > 0));
        assert_eq!(rows(&files(directory.path(), ".parquet")), kept, "of {length} bytes");
        assert_eq!(files(directory.path(), "").len(), names.len(), "nothing is left beside");
    }
}

#[test]
fn what_is_broken_beside_a_file_breaks_nothing() {
    for bytes in [&b""[..], b"PAR1", &[0xff; 100]] {
        let (directory, _, footer) = left_behind();
        std::fs::write(footer, bytes).unwrap();
        assert_eq!(recover(directory.path(), "cgroup-perf").unwrap(), [""; 0]);
    }
    // Each byte of it may be wrong: a file that is completed from it may be unreadable, and no more.
    let (_kept, open, footer) = left_behind();
    let (good, data) = (std::fs::read(&footer).unwrap(), std::fs::read(&open).unwrap());
    let directory = tempfile::tempdir().unwrap();
    for at in (0..good.len()).step_by(7) {
        let mut bad = good.clone();
        bad[at] ^= 0xff;
        std::fs::write(directory.path().join("cgroup-perf-x-0.parquet.open"), &data).unwrap();
        std::fs::write(directory.path().join("cgroup-perf-x-0.parquet.footer"), bad).unwrap();
        match recover(directory.path(), "cgroup-perf") {
            Ok(_) | Err(WriteError::Parquet(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn another_writers_files_are_its_own() {
    let (directory, open, _) = left_behind();
    assert_eq!(recover(directory.path(), "other").unwrap(), [""; 0]);
    assert!(open.exists());
    let mut config = ParquetConfig::new(directory.path());
    config.prefix = "other".to_owned();
    assert_eq!(ParquetWriter::open(config, columns()).unwrap().stats().recovered, 0);
    let writer = ParquetWriter::open(ParquetConfig::new(directory.path()), columns()).unwrap();
    assert_eq!(writer.stats().recovered, 1);
}
