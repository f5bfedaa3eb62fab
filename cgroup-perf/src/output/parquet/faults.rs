//! Disks that fail: the writer on a storage that does as it is told.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use bytes::Bytes;

use super::file::{FOOTER, OPEN, SEALED};
use super::storage::{Storage, Stored};
use super::{ParquetConfig, ParquetWriter};
use crate::output::Event;
use crate::output::arrow::Columns;
use crate::quality::Counter;
use crate::sample::{CgroupId, Delta, Sample};

const SECOND: u64 = 1_000_000_000;

#[derive(Debug, Default)]
struct Contents {
    files: BTreeMap<String, Vec<u8>>,
    /// Bytes that there is room for.
    room: usize,
    /// Steps that may be taken before all fail, where that is limited.
    steps: Option<usize>,
}

impl Contents {
    fn step(&mut self) -> io::Result<()> {
        match &mut self.steps {
            Some(0) => Err(io::Error::other("no more")),
            Some(steps) => {
                *steps -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn used(&self) -> usize {
        self.files.values().map(Vec::len).sum()
    }

    fn put(&mut self, name: &str, bytes: &[u8], at: usize) -> io::Result<()> {
        self.step()?;
        let left = self.room.saturating_sub(self.used());
        let file = self.files.get_mut(name).ok_or(io::ErrorKind::NotFound)?;
        let grows = (at + bytes.len()).saturating_sub(file.len());
        // What fits is written, as a disk does it.
        let fits = bytes.len() - grows.saturating_sub(left);
        file.resize(file.len().max(at + fits), 0);
        file[at..at + fits].copy_from_slice(&bytes[..fits]);
        if fits < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

#[derive(Debug, Clone, Default)]
struct Disk(Arc<Mutex<Contents>>);

impl Disk {
    fn with_room(room: usize) -> Self {
        let disk = Self::default();
        disk.set(|contents| contents.room = room);
        disk
    }

    fn set<T>(&self, change: impl FnOnce(&mut Contents) -> T) -> T {
        change(&mut self.0.lock().unwrap())
    }

    fn named(&self, ending: &str) -> Vec<Bytes> {
        let contents = self.0.lock().unwrap();
        let files = contents.files.iter().filter(|(name, _)| name.ends_with(ending));
        files.map(|(_, bytes)| Bytes::copy_from_slice(bytes)).collect()
    }

    /// The starts of all rows in complete files, in seconds and in order.
    fn rows(&self) -> Vec<u64> {
        let mut rows: Vec<_> = self.named(SEALED).into_iter().flat_map(starts).collect();
        rows.sort_unstable();
        rows
    }
}

fn starts(file: Bytes) -> Vec<u64> {
    use arrow_array::cast::AsArray;
    use arrow_array::types::TimestampNanosecondType;
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    let times = |batch: arrow_array::RecordBatch| {
        let times = batch.column(0).as_primitive::<TimestampNanosecondType>().values().to_vec();
        times.into_iter().map(|time| u64::try_from(time).unwrap() / SECOND)
    };
    reader.flat_map(|batch| times(batch.unwrap())).collect()
}

#[derive(Debug)]
struct Open(Disk, String);

impl Stored for Open {
    fn write_at(&mut self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.0.set(|contents| contents.put(&self.1, bytes, usize::try_from(at).unwrap()))
    }

    fn truncate(&mut self, at: u64) -> io::Result<()> {
        self.0.set(|contents| {
            contents.step()?;
            let file = contents.files.get_mut(&self.1).ok_or(io::ErrorKind::NotFound)?;
            file.truncate(usize::try_from(at).unwrap());
            Ok(())
        })
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.set(Contents::step)
    }

    fn length(&self) -> io::Result<u64> {
        self.0.set(|contents| Ok(contents.files.get(&self.1).ok_or(io::ErrorKind::NotFound)?.len() as u64))
    }
}

impl Storage for Disk {
    fn create(&self, name: &str) -> io::Result<Box<dyn Stored>> {
        self.set(|contents| {
            contents.step()?;
            contents.files.insert(name.to_owned(), Vec::new());
            Ok(Box::new(Open(self.clone(), name.to_owned())) as _)
        })
    }

    fn take(&self, name: &str) -> io::Result<Option<Box<dyn Stored>>> {
        Ok(Some(Box::new(Open(self.clone(), name.to_owned()))))
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        self.set(|contents| contents.files.get(name).cloned().ok_or(io::ErrorKind::NotFound.into()))
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let new = format!("{name}.new");
        self.set(|contents| {
            contents.files.insert(new.clone(), Vec::new());
            let written = contents.put(&new, bytes, 0).and_then(|()| contents.step());
            let file = contents.files.remove(&new).unwrap_or_default();
            written.map(|()| drop(contents.files.insert(name.to_owned(), file)))
        })
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.set(|contents| {
            contents.step()?;
            let file = contents.files.remove(from).ok_or(io::ErrorKind::NotFound)?;
            contents.files.insert(to.to_owned(), file);
            Ok(())
        })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.set(|contents| {
            contents.step()?;
            contents.files.remove(name).map(drop).ok_or(io::ErrorKind::NotFound.into())
        })
    }

    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.set(|contents| contents.files.keys().cloned().collect()))
    }

    fn has(&self, name: &str) -> bool {
        self.set(|contents| contents.files.contains_key(name))
    }
}

/// Row groups of ten rows, a row a second.
fn writer(disk: &Disk, change: impl FnOnce(&mut ParquetConfig)) -> ParquetWriter {
    let mut config = ParquetConfig::new("");
    (config.batch_rows, config.row_group_rows, config.most_waiting) = (10, 10, 3);
    (config.retry, config.row_group_age) = (Duration::from_secs(5), Duration::from_hours(1));
    change(&mut config);
    let columns = Columns::new(vec![Event::new("cycles", "", Counter::CYCLES)], false).unwrap();
    ParquetWriter::open_in(Box::new(disk.clone()), config, columns).unwrap()
}

fn push(writer: &mut ParquetWriter, seconds: std::ops::Range<u64>) -> Vec<String> {
    let mut errors = Vec::new();
    for second in seconds {
        let start = second * SECOND;
        let mut counters = <[Delta; 8]>::default();
        counters[0] = Delta { value: 300, enabled: 100, running: 100 };
        let cgroup = CgroupId(7);
        let sample = Sample { start, end: start + 1, cpu: 0, cgroup, task: None, ran: 100, switches: 0, counters };
        let pushed = writer.push(&sample, None);
        let ticked = writer.tick(start + 1);
        errors.extend(pushed.err().into_iter().chain(ticked.err()).map(|error| error.to_string()));
    }
    errors
}

#[test]
fn a_disk_that_is_full_keeps_what_is_written_and_is_used_again_when_there_is_room() {
    let disk = Disk::with_room(1 << 20);
    let mut writer = writer(&disk, |_| {});
    assert_eq!(push(&mut writer, 0..25), [""; 0]);
    assert_eq!((disk.rows().len(), disk.named(OPEN).len()), (0, 1));
    // Not a byte more, not even for the end of the file.
    disk.set(|contents| contents.room = contents.used());
    let errors = push(&mut writer, 25..40);
    assert!(errors[0].starts_with("cgroup-perf-19700101T000000Z-0.parquet.open can't be written"), "{errors:?}");
    let stats = writer.stats();
    assert_eq!((stats.written, stats.waiting, stats.dropped), (20, 20, 0));
    // Tried every five seconds, and not for each sample: at 29 and 34, and when a row group ended at 39.
    assert_eq!((stats.failures, errors.len()), (3, 3));
    // Room for the end: what was written is complete, though what waits is not.
    let end = disk.named(FOOTER).remove(0).len();
    disk.set(|contents| contents.room += end);
    push(&mut writer, 40..46);
    assert_eq!(disk.rows(), (0..20).collect::<Vec<_>>());
    // Room for all: what waited is there, in another file.
    disk.set(|contents| contents.room = 1 << 20);
    assert_eq!(push(&mut writer, 50..60), [""; 0]);
    let stats = writer.finish().unwrap();
    assert_eq!((stats.written, stats.waiting, stats.dropped), (56, 0, 0));
    assert!(stats.files >= 2);
    assert_eq!(disk.rows(), (0..46).chain(50..60).collect::<Vec<_>>());
    let left = disk.set(|contents| contents.files.len() as u64);
    assert_eq!(left, stats.files, "nothing is left beside");
}

#[test]
fn what_can_not_wait_any_more_is_dropped_and_counted() {
    let disk = Disk::with_room(0);
    let mut writer = writer(&disk, |_| {});
    assert!(!push(&mut writer, 0..95).is_empty());
    let stats = writer.stats();
    assert_eq!((stats.written, stats.waiting, stats.dropped, stats.files), (0, 30, 60, 0));
    assert_eq!(disk.set(|contents| contents.files.len()), 0, "no empty files");
    disk.set(|contents| contents.room = 1 << 20);
    let stats = writer.finish().unwrap();
    // The newest are those that are kept.
    assert_eq!((disk.rows(), stats.written), ((60..95).collect::<Vec<_>>(), 35));
}

#[test]
fn a_disk_that_is_full_at_the_start_is_no_reason_not_to_begin() {
    let disk = Disk::with_room(1 << 20);
    let mut killed = writer(&disk, |_| {});
    push(&mut killed, 0..25);
    let left = disk.set(|contents| contents.files.clone());
    drop(killed);
    disk.set(|contents| contents.files = left);
    disk.set(|contents| contents.room = contents.used());
    let mut writer = writer(&disk, |_| {});
    assert_eq!((writer.stats().recovered, writer.stats().failures), (0, 1));
    push(&mut writer, 100..105);
    disk.set(|contents| contents.room = 1 << 20);
    writer.finish().unwrap();
    assert_eq!(disk.rows(), (0..20).chain(100..105).collect::<Vec<_>>());
}

#[test]
fn a_file_that_somebody_takes_away_does_not_stop_the_writer() {
    let disk = Disk::with_room(1 << 20);
    let mut writer = writer(&disk, |_| {});
    push(&mut writer, 0..15);
    disk.set(|contents| contents.files.clear());
    let errors = push(&mut writer, 15..60);
    assert!(!errors.is_empty());
    let stats = writer.finish().unwrap();
    assert_eq!(disk.rows(), (10..60).collect::<Vec<_>>());
    assert_eq!((stats.dropped, stats.waiting), (0, 0));
}

#[test]
fn whatever_step_fails_nothing_that_was_written_is_lost_or_doubled() {
    for steps in 0..60 {
        let disk = Disk::with_room(1 << 20);
        let mut writer = writer(&disk, |config| {
            (config.most_waiting, config.file_bytes) = (100, 2_000);
        });
        disk.set(|contents| contents.steps = Some(steps));
        push(&mut writer, 0..45);
        // As if it were killed: what another makes of it is what was said to be written.
        let copy = Disk::with_room(1 << 20);
        copy.set(|contents| contents.files = disk.set(|contents| contents.files.clone()));
        self::writer(&copy, |_| {});
        let written = writer.stats().written;
        let rows = copy.rows();
        assert!(rows.len() as u64 >= written, "{steps}: {rows:?} {written}");
        assert!(rows.iter().copied().eq(0..rows.len() as u64), "{steps}: {rows:?}");
        assert!(copy.named(OPEN).is_empty() && copy.named(FOOTER).is_empty(), "{steps}");
        // And when the disk is well again, everything is there once.
        disk.set(|contents| contents.steps = None);
        let stats = writer.finish().unwrap();
        assert_eq!((stats.written, stats.dropped, stats.waiting), (45, 0, 0), "{steps}");
        assert_eq!(disk.rows(), (0..45).collect::<Vec<_>>(), "{steps}");
    }
}
