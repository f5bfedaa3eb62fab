//! The files of a spill.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::{Kept, frame};
use crate::sink::{Record, SpillError, SpillOptions};

const SUFFIX: &str = ".events";
const HEAD: &str = "head";
/// The number of the first file: there is room for some before it.
const FIRST: u64 = 1 << 40;

/// A file of records.
#[derive(Debug)]
struct Segment {
    number: u64,
    /// Up to the end of the last whole record.
    bytes: u64,
    /// Those that were not sent yet.
    records: u64,
}

/// What is to be written.
#[derive(Debug, Default)]
struct Pending {
    bytes: Vec<u8>,
    records: usize,
}

/// The first records, and where they end.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::sink) struct First {
    pub(in crate::sink) records: Vec<Record>,
    pub(in crate::sink) end: Place,
}

/// Where a record ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::sink) struct Place {
    segment: u64,
    offset: u64,
}

#[derive(Debug)]
pub(super) struct Disk {
    directory: PathBuf,
    max_bytes: u64,
    segment_bytes: u64,
    /// Locked while the directory is in use.
    _lock: File,
    /// The last one is written to.
    segments: VecDeque<Segment>,
    writer: Option<File>,
    next: u64,
    /// What comes first.
    head: Place,
    /// The ends of the records that were read and not sent yet.
    read: VecDeque<Place>,
    waiting: u64,
}

impl Disk {
    pub(super) fn open(options: &SpillOptions) -> Result<Self, SpillError> {
        let directory = options.directory.clone();
        fs::create_dir_all(&directory).map_err(at(&directory))?;
        let lock_path = directory.join("lock");
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&lock_path);
        let lock = lock.map_err(at(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(SpillError::InUse { path: directory }),
            Err(TryLockError::Error(source)) => return Err(SpillError::Io { path: lock_path, source }),
        }
        let head = read_head(&directory).unwrap_or(Place { segment: FIRST, offset: 0 });
        let mut disk = Self {
            max_bytes: options.max_bytes,
            segment_bytes: options.segment_bytes.max(1),
            _lock: lock,
            segments: VecDeque::new(),
            writer: None,
            next: head.segment,
            head,
            read: VecDeque::new(),
            waiting: 0,
            directory,
        };
        disk.recover()?;
        Ok(disk)
    }

    /// Takes over what an earlier process has left.
    fn recover(&mut self) -> Result<(), SpillError> {
        let directory = self.directory.clone();
        let mut numbers: Vec<u64> = Vec::new();
        for entry in fs::read_dir(&directory).map_err(at(&directory))? {
            let name = entry.map_err(at(&directory))?.file_name();
            let number =
                name.to_str().and_then(|name| name.strip_suffix(SUFFIX)).and_then(|name| name.parse::<u64>().ok());
            numbers.extend(number);
        }
        numbers.sort_unstable();
        for number in numbers {
            self.next = self.next.max(number + 1);
            let path = self.path(number);
            let start = if number == self.head.segment { self.head.offset } else { 0 };
            let (bytes, records) = if number < self.head.segment { (0, 0) } else { whole(&path, start)? };
            if records == 0 {
                fs::remove_file(&path).map_err(at(&path))?;
                continue;
            }
            let length = fs::metadata(&path).map_err(at(&path))?.len();
            if bytes < length {
                tracing::warn!(file = %path.display(), bytes = length - bytes, "a record was half written, and is left out");
            }
            self.waiting += records;
            self.segments.push_back(Segment { number, bytes, records });
        }
        let first = self.segments.front().map_or(self.next, |first| first.number);
        if first != self.head.segment {
            self.head = Place { segment: first, offset: 0 };
        }
        Ok(())
    }

    pub(super) const fn len(&self) -> u64 {
        self.waiting
    }

    /// Keeps the records from the first on that there is room for.
    pub(super) fn append(&mut self, records: &[Record], drop_oldest: bool) -> Result<Kept, SpillError> {
        let mut outcome = Kept::default();
        let mut pending = Pending::default();
        for record in records {
            let length = frame::encoded_len(record);
            while self.bytes() + pending.bytes.len() as u64 + length > self.max_bytes {
                let Some(dropped) = drop_oldest.then(|| self.drop_oldest()).transpose()?.flatten() else {
                    outcome.kept += self.write(&mut pending)?;
                    return Ok(outcome);
                };
                outcome.dropped += dropped;
            }
            let is_long = |last: &Segment| last.bytes + pending.bytes.len() as u64 >= self.segment_bytes;
            if self.writer.is_none() || self.segments.back().is_none_or(is_long) {
                outcome.kept += self.write(&mut pending)?;
                self.begin_segment()?;
            }
            frame::encode(record, &mut pending.bytes).map_err(at(&self.directory))?;
            pending.records += 1;
        }
        outcome.kept += self.write(&mut pending)?;
        Ok(outcome)
    }

    /// Keeps records before all others, of which none is being sent.
    pub(super) fn prepend(&mut self, records: &[Record]) -> Result<(), SpillError> {
        let mut bytes = Vec::new();
        for record in records {
            frame::encode(record, &mut bytes).map_err(at(&self.directory))?;
        }
        let number = self.segments.front().map_or(self.next, |first| first.number).saturating_sub(1);
        let path = self.path(number);
        let mut file = OpenOptions::new().create_new(true).append(true).open(&path).map_err(at(&path))?;
        if let Err(source) = file.write_all(&bytes).and_then(|()| file.sync_data()) {
            let _ = fs::remove_file(&path);
            return Err(SpillError::Io { path, source });
        }
        self.segments.push_front(Segment { number, bytes: bytes.len() as u64, records: records.len() as u64 });
        self.waiting += records.len() as u64;
        self.read.clear();
        self.head = Place { segment: number, offset: 0 };
        self.write_head()
    }

    fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// Removes the oldest file that nothing is being sent of; none if there is but the one that is written to.
    fn drop_oldest(&mut self) -> Result<Option<u64>, SpillError> {
        let last_read = self.read.back().map(|place| place.segment);
        let is_idle = |segment: &Segment| last_read.is_none_or(|read| segment.number > read);
        let Some(oldest) = self.segments.iter().position(is_idle).filter(|place| place + 1 < self.segments.len())
        else {
            return Ok(None);
        };
        let Some(oldest) = self.segments.remove(oldest) else { return Ok(None) };
        let path = self.path(oldest.number);
        fs::remove_file(&path).map_err(at(&path))?;
        self.waiting = self.waiting.saturating_sub(oldest.records);
        if oldest.number == self.head.segment {
            self.head = Place { segment: self.segments.front().map_or(self.next, |first| first.number), offset: 0 };
            self.write_head()?;
        }
        Ok(Some(oldest.records))
    }

    fn begin_segment(&mut self) -> Result<(), SpillError> {
        let number = self.next;
        let path = self.path(number);
        let file = OpenOptions::new().create_new(true).append(true).open(&path).map_err(at(&path))?;
        self.next += 1;
        if self.segments.is_empty() {
            self.head = Place { segment: number, offset: 0 };
        }
        self.segments.push_back(Segment { number, bytes: 0, records: 0 });
        self.writer = Some(file);
        Ok(())
    }

    /// Writes what waits to be written to the last file, and returns how many records that were once they are on disk.
    fn write(&mut self, pending: &mut Pending) -> Result<usize, SpillError> {
        let Pending { bytes, records } = std::mem::take(pending);
        let (Some(last), Some(writer)) = (self.segments.back_mut(), self.writer.as_mut()) else { return Ok(0) };
        if records == 0 {
            return Ok(0);
        }
        if let Err(source) = writer.write_all(&bytes).and_then(|()| writer.sync_data()) {
            // A part may be there. It is no whole record, and what follows goes into another file.
            self.writer = None;
            return Err(SpillError::Io { path: self.directory.join(file_name(last.number)), source });
        }
        last.bytes += bytes.len() as u64;
        last.records += records as u64;
        self.waiting += records as u64;
        Ok(records)
    }

    pub(super) fn first(&mut self, events: usize, bytes: usize) -> Result<First, SpillError> {
        self.read.clear();
        let mut first = First { records: Vec::new(), end: self.head };
        let mut length = 0;
        for segment in &mut self.segments {
            let offset = if segment.number == first.end.segment { first.end.offset } else { 0 };
            first.end = Place { segment: segment.number, offset };
            let path = self.directory.join(file_name(segment.number));
            let mut file = File::open(&path).map_err(at(&path))?;
            file.seek(SeekFrom::Start(offset)).map_err(at(&path))?;
            let mut file = BufReader::new(file);
            let mut read = 0;
            while first.end.offset < segment.bytes {
                if first.records.len() >= events.max(1) {
                    return Ok(first);
                }
                let Some((record, took)) = frame::decode(&mut file).map_err(at(&path))? else {
                    let lost = segment.records - read;
                    tracing::error!(file = %path.display(), lost, "a file of the spill was damaged: events are lost");
                    (segment.bytes, segment.records) = (first.end.offset, read);
                    self.waiting = self.waiting.saturating_sub(lost);
                    break;
                };
                if !first.records.is_empty() && length + record.len() > bytes {
                    return Ok(first);
                }
                read += 1;
                length += record.len();
                first.end.offset += took;
                self.read.push_back(first.end);
                first.records.push(record);
            }
        }
        Ok(first)
    }

    /// Everything up to there was sent.
    pub(super) fn sent(&mut self, end: Place) -> Result<(), SpillError> {
        let sent = self.read.iter().take_while(|place| **place <= end).count();
        if end <= self.head || sent == 0 {
            return Ok(());
        }
        for place in self.read.drain(..sent) {
            if let Some(segment) = self.segments.iter_mut().find(|segment| segment.number == place.segment) {
                segment.records = segment.records.saturating_sub(1);
                self.waiting = self.waiting.saturating_sub(1);
            }
        }
        self.head = end;
        // Told first and removed then: a kill in between leaves a file that is not read again.
        self.write_head()?;
        while let Some(first) = self.segments.front() {
            if first.number > end.segment || (first.number == end.segment && end.offset < first.bytes) {
                break;
            }
            let path = self.path(first.number);
            self.segments.pop_front();
            if self.segments.is_empty() {
                self.writer = None;
            }
            fs::remove_file(&path).map_err(at(&path))?;
        }
        Ok(())
    }

    fn write_head(&self) -> Result<(), SpillError> {
        let path = self.directory.join(HEAD);
        let new = self.directory.join("head.new");
        fs::write(&new, format!("{} {}\n", self.head.segment, self.head.offset)).map_err(at(&new))?;
        fs::rename(&new, &path).map_err(at(&path))
    }

    fn path(&self, number: u64) -> PathBuf {
        self.directory.join(file_name(number))
    }
}

fn file_name(number: u64) -> String {
    format!("{number:016}{SUFFIX}")
}

fn read_head(directory: &Path) -> Option<Place> {
    let text = fs::read_to_string(directory.join(HEAD)).ok()?;
    let (segment, offset) = text.trim().split_once(' ')?;
    Some(Place { segment: segment.parse().ok()?, offset: offset.parse().ok()? })
}

/// Where the last whole record ends, and how many there are from the offset on.
fn whole(path: &Path, offset: u64) -> Result<(u64, u64), SpillError> {
    let mut file = File::open(path).map_err(at(path))?;
    file.seek(SeekFrom::Start(offset)).map_err(at(path))?;
    let mut file = BufReader::new(file);
    let (mut end, mut records) = (offset, 0);
    while let Some((_, took)) = frame::decode(&mut file).map_err(at(path))? {
        end += took;
        records += 1;
    }
    Ok((end, records))
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> SpillError {
    let path = path.to_owned();
    |source| SpillError::Io { path, source }
}

#[cfg(test)]
#[path = "disk_tests.rs"]
mod tests;
