//! What a sample takes in a file: 100 containers on 2 processors, in slots of 1 ms.
#![cfg(feature = "parquet")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeMap;
use std::fs::File;

use cgroup_perf::output::parquet::{ParquetConfig, ParquetWriter};
use common::{Node, OFFSET, columns, container, labels};
use parquet::file::reader::{FileReader, SerializedFileReader};

/// Bytes a sample, at most.
const BOUND: f64 = 12.0;

#[test]
fn a_sample_takes_at_most_twelve_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = ParquetWriter::open(ParquetConfig::new(directory.path()), columns()).unwrap();
    writer.set_clock_offset(OFFSET).unwrap();
    let labels: Vec<_> = (0..100).map(labels).collect();
    let mut node = Node::new(100);
    let mut samples = 0;
    for _ in 0..60_000 {
        for sample in node.slot() {
            writer.push(&sample, Some(&labels[container(&sample)])).unwrap();
            writer.tick(sample.end).unwrap();
            samples += 1;
        }
    }
    let stats = writer.finish().unwrap();
    assert_eq!((stats.written, stats.dropped, stats.files), (samples, 0, 1));
    let path = directory.path().read_dir().unwrap().next().unwrap().unwrap().path();
    let whole = path.metadata().unwrap().len();
    let file = SerializedFileReader::new(File::open(path).unwrap()).unwrap();
    let mut columns: BTreeMap<String, i64> = BTreeMap::new();
    for row_group in file.metadata().row_groups() {
        for column in row_group.columns() {
            *columns.entry(column.column_path().string()).or_default() += column.compressed_size();
        }
    }
    let each = |bytes: f64| bytes / samples as f64;
    for (name, bytes) in columns {
        println!("{:8.3} {name}", each(bytes as f64));
    }
    let figure = each(whole as f64);
    println!(
        "{figure:8.3} bytes a sample; {} samples a second; {:.2} GB a day",
        samples / 60,
        figure * samples as f64 / 60.0 * 86_400.0 / 1e9
    );
    assert!(figure <= BOUND, "{figure} bytes a sample");
}
