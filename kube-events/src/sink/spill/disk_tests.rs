use tempfile::TempDir;

use super::*;

fn record(number: usize) -> Record {
    Record { body: format!("event {number}").into(), time_ms: 7, target: "t".into(), key: "k".into() }
}

fn records(numbers: std::ops::Range<usize>) -> Vec<Record> {
    numbers.map(record).collect()
}

struct Host(TempDir);

impl Host {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn options(&self, max_bytes: u64) -> SpillOptions {
        SpillOptions { max_bytes, segment_bytes: 100, ..SpillOptions::new(self.0.path()) }
    }

    fn open(&self) -> Disk {
        Disk::open(&self.options(1 << 20)).unwrap()
    }

    fn files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.0.path()).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|it| it == "events")).collect();
        files.sort();
        files
    }
}

/// Takes all that is there, so many at once.
fn drain(disk: &mut Disk, events: usize) -> Vec<Record> {
    let mut all = Vec::new();
    loop {
        let first = disk.first(events, usize::MAX).unwrap();
        if first.records.is_empty() {
            return all;
        }
        all.extend(first.records);
        disk.sent(first.end).unwrap();
    }
}

#[test]
fn records_come_back_in_order_whatever_was_written_and_read_at_once() {
    for events in [1, 2, 3, 7, 100] {
        let host = Host::new();
        let mut disk = host.open();
        disk.append(&records(0..5), false).unwrap();
        disk.append(&records(5..20), false).unwrap();
        assert_eq!(disk.len(), 20);
        let first = disk.first(events, usize::MAX).unwrap();
        assert_eq!(first.records, records(0..events.min(20)));
        assert_eq!(disk.first(events, usize::MAX).unwrap(), first, "what is not sent comes again");
        assert_eq!(drain(&mut disk, events), records(0..20));
        assert_eq!((disk.len(), host.files().len()), (0, 0), "space is given back");
        disk.append(&records(20..22), false).unwrap();
        assert_eq!(drain(&mut disk, events), records(20..22));
    }
}

#[test]
fn the_next_process_goes_on_where_this_one_was() {
    let host = Host::new();
    let mut disk = host.open();
    disk.append(&records(0..20), false).unwrap();
    let first = disk.first(7, usize::MAX).unwrap();
    disk.sent(first.end).unwrap();
    drop(disk);
    let mut disk = host.open();
    assert_eq!(disk.len(), 13);
    disk.append(&records(20..21), false).unwrap();
    assert_eq!(drain(&mut disk, 4), records(7..21));
    drop(disk);
    assert_eq!(host.open().len(), 0);
}

#[test]
fn a_record_that_was_half_written_is_left_out_and_nothing_else() {
    let host = Host::new();
    let mut disk = host.open();
    disk.append(&records(0..9), false).unwrap();
    drop(disk);
    let last = host.files().pop().unwrap();
    let length = fs::metadata(&last).unwrap().len();
    OpenOptions::new().write(true).open(&last).unwrap().set_len(length - 3).unwrap();
    let mut disk = host.open();
    assert_eq!(disk.len(), 8);
    disk.append(&records(9..10), false).unwrap();
    let mut expected = records(0..8);
    expected.push(record(9));
    assert_eq!(drain(&mut disk, 100), expected);
}

#[test]
fn a_damaged_file_costs_its_rest_and_not_its_neighbours() {
    let host = Host::new();
    let mut disk = host.open();
    disk.append(&records(0..9), false).unwrap();
    let files = host.files();
    assert_eq!(files.len(), 3, "four in each");
    let mut bytes = fs::read(&files[1]).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&files[1], bytes).unwrap();
    let mut expected = records(0..6);
    expected.extend(records(8..9));
    assert_eq!(drain(&mut disk, 100), expected);
    assert_eq!(disk.len(), 0);
}

#[test]
fn a_full_disk_keeps_the_first_or_the_last() {
    let host = Host::new();
    let mut disk = Disk::open(&host.options(300)).unwrap();
    let kept = disk.append(&records(0..20), false).unwrap();
    assert!(kept.kept > 5 && kept.kept < 20 && kept.dropped == 0, "{kept:?}");
    assert_eq!(drain(&mut disk, 3), records(0..kept.kept));
    let kept = disk.append(&records(0..20), true).unwrap();
    assert_eq!(kept.kept, 20);
    let left = drain(&mut disk, 3);
    assert_eq!(left, records(20 - left.len()..20));
    assert_eq!(left.len() as u64 + kept.dropped, 20);
}

#[test]
fn what_is_dropped_while_it_is_sent_moves_nothing_else() {
    let host = Host::new();
    let mut disk = Disk::open(&host.options(300)).unwrap();
    disk.append(&records(0..6), true).unwrap();
    let first = disk.first(2, usize::MAX).unwrap();
    let kept = disk.append(&records(6..16), true).unwrap();
    assert!(kept.dropped >= 3, "{kept:?}");
    disk.sent(first.end).unwrap();
    let left = drain(&mut disk, 3);
    assert_eq!(left[..2], records(2..4), "the file that is read from stays");
    assert_eq!(left[2..], records(18 - left.len()..16));
    assert_eq!(left.len() as u64 + kept.dropped, 14);
}

#[test]
fn a_directory_has_one_user() {
    let host = Host::new();
    let disk = host.open();
    assert!(matches!(Disk::open(&host.options(1)), Err(SpillError::InUse { .. })));
    drop(disk);
    host.open();
}
