//! A disk of one megabyte that is full, and has room again.
#![cfg(feature = "parquet")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use cgroup_perf::output::parquet::{ParquetConfig, ParquetWriter};
use common::{Node, columns};
use parquet::file::reader::{FileReader, SerializedFileReader};

/// A tmpfs, for as long as it is held.
struct Disk(tempfile::TempDir);

impl Disk {
    /// None without the right to mount.
    fn mount() -> Option<Self> {
        let disk = Self(tempfile::tempdir().unwrap());
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(disk.0.path()).output();
        mount.is_ok_and(|output| output.status.success()).then_some(disk)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

fn rows(directory: &Path) -> u64 {
    let files = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let parquet = files.filter(|path| path.extension().is_some_and(|ending| ending == "parquet"));
    let rows =
        |path| SerializedFileReader::new(File::open(path).unwrap()).unwrap().metadata().file_metadata().num_rows();
    parquet.map(|path| u64::try_from(rows(path)).unwrap()).sum()
}

#[test]
fn a_full_disk_ends_a_file_and_room_begins_another() {
    let Some(disk) = Disk::mount() else {
        println!("skipped: no right to mount a tmpfs");
        return;
    };
    let directory = disk.0.path();
    let mut config = ParquetConfig::new(directory);
    (config.batch_rows, config.row_group_rows, config.most_waiting) = (2_000, 10_000, 2);
    let mut writer = ParquetWriter::open(config, columns()).unwrap();
    let mut node = Node::new(100);
    let (mut pushed, mut error, mut since_full) = (0, None, 0);
    while since_full < 120_000 {
        for sample in node.slot() {
            let failed = writer.push(&sample, None).err().or(writer.tick(sample.end).err());
            error = error.or(failed);
            pushed += 1;
            since_full += u64::from(error.is_some());
        }
    }
    let error = error.unwrap();
    println!("{error}: {}", std::error::Error::source(&error).unwrap());
    let full = writer.stats();
    assert!(full.written >= 50_000 && full.dropped >= 50_000 && full.waiting == 20_000, "{full:?}");
    assert!(fs::metadata(directory).is_ok() && rows(directory) <= full.written);

    // Somebody takes the files away.
    let taken = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        if entry.path().extension().is_some_and(|ending| ending == "parquet") {
            fs::copy(entry.path(), taken.path().join(entry.file_name())).unwrap();
            fs::remove_file(entry.path()).unwrap();
        }
    }
    for _ in 0..10_000 {
        for sample in node.slot() {
            let _ = writer.push(&sample, None).and(writer.tick(sample.end));
            pushed += 1;
        }
    }
    let stats = writer.finish().unwrap();
    assert!(stats.written > full.written);
    assert_eq!((stats.written + stats.dropped, stats.waiting), (pushed, 0));
    assert_eq!(rows(directory) + rows(taken.path()), stats.written);
    assert_eq!(stats.dropped, full.dropped, "nothing more was dropped once there was room");
}
