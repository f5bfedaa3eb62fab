//! The program on this machine, with a busy cgroup that is called as a container's is.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};

fn recorder(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_perf-recorder"));
    command.arg(directory).args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The last line; none, with a word about it, where nothing can be counted here.
fn summary(output: Output) -> Option<String> {
    let said = String::from_utf8(output.stderr).unwrap();
    if !output.status.success() {
        assert!(said.starts_with("perf-recorder: "), "{said}");
        assert!(said.contains("nothing can be counted") || said.contains("cgroup"), "{said}");
        println!("skipped: {said}");
        return None;
    }
    assert_eq!(said, "");
    Some(String::from_utf8(output.stdout).unwrap().lines().last().unwrap().to_owned())
}

/// The number before a word of the summary.
fn number(summary: &str, before: &str) -> u64 {
    let part = summary.split(", ").find(|part| part.ends_with(before)).unwrap();
    part.split_whitespace().rev().nth(before.split_whitespace().count()).unwrap().parse().unwrap()
}

fn files(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect()
}

fn rows(directory: &Path) -> Vec<Row> {
    let reader = |path| SerializedFileReader::new(File::open(path).unwrap()).unwrap();
    let rows = |path| reader(path).get_row_iter(None).unwrap().map(Result::unwrap).collect::<Vec<_>>();
    files(directory).into_iter().flat_map(rows).collect()
}

fn field<'a>(row: &'a Row, name: &str) -> &'a Field {
    row.get_column_iter().find(|(column, _)| *column == name).unwrap().1
}

fn nanoseconds(row: &Row, name: &str) -> u64 {
    match field(row, name) {
        Field::ULong(value) => *value,
        other => panic!("{other:?}"),
    }
}

/// A cgroup named as a container's, with a process that never sleeps. Taken back when it is dropped.
struct Busy {
    directories: Vec<PathBuf>,
    id: String,
    process: Child,
}

impl Busy {
    /// None where no cgroup can be made.
    fn start() -> Option<Self> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
        let mount = mounts.lines().find_map(|line| {
            let (left, right) = line.split_once(" - ")?;
            right.starts_with("cgroup2 ").then(|| left.split(' ').nth(4).unwrap())
        })?;
        let process = std::process::id();
        let id = format!("{process:064x}");
        let above = Path::new(mount).join(format!("perf-recorder-test-{process}"));
        let own = above.join(format!("cri-containerd-{id}.scope"));
        fs::create_dir(&above).and_then(|()| fs::create_dir(&own)).ok()?;
        let process = Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap();
        let busy = Self { directories: vec![own.clone(), above], id, process };
        fs::write(own.join("cgroup.procs"), busy.process.id().to_string()).unwrap();
        Some(busy)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        for directory in &self.directories {
            let deadline = Instant::now() + Duration::from_secs(3);
            while fs::remove_dir(directory).is_err() && directory.exists() && Instant::now() < deadline {
                sleep(Duration::from_millis(1));
            }
        }
    }
}

#[test]
fn samples_are_in_files_with_the_container_that_they_are_of() {
    let directory = tempfile::tempdir().unwrap();
    let Some(busy) = Busy::start() else {
        println!("skipped: no cgroup can be made");
        return;
    };
    let output = recorder(directory.path(), &["--duration", "2", "--no-nri"]).output().unwrap();
    let Some(summary) = summary(output) else { return };
    let rows = rows(directory.path());
    assert_eq!(rows.len() as u64, number(&summary, "samples"), "{summary}");
    assert_eq!(files(directory.path()).len() as u64, number(&summary, "files"));
    let of_busy = |row: &&Row| matches!(field(row, "container_id"), Field::Str(id) if *id == busy.id);
    let its: Vec<_> = rows.iter().filter(of_busy).collect();
    let ran: u64 = its.iter().map(|row| nanoseconds(row, "ran_ns")).sum();
    assert!(its.len() < rows.len() && ran > 100_000_000, "{} of {} rows, {ran} ns", its.len(), rows.len());
    // One processor at a time, for as long as it was recorded.
    assert!(ran < 3_500_000_000, "{ran} ns");
}

#[test]
fn files_are_complete_after_a_signal_and_rotate_by_age() {
    let directory = tempfile::tempdir().unwrap();
    let recorder = recorder(directory.path(), &["--file-age", "0.5", "--slot", "10"]).spawn().unwrap();
    let begun = Instant::now();
    // Until there are two complete ones, or it has ended as nothing can be counted.
    let complete = || files(directory.path()).iter().filter(|path| path.extension().unwrap() == "parquet").count();
    let pid = recorder.id().to_string();
    let has_ended = || fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "));
    while complete() < 2 && !has_ended() {
        assert!(begun.elapsed() < Duration::from_mins(1));
        sleep(Duration::from_millis(10));
    }
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let Some(summary) = summary(recorder.wait_with_output().unwrap()) else { return };
    let files = files(directory.path());
    assert!(files.len() >= 2 && files.iter().all(|path| path.extension().unwrap() == "parquet"), "{files:?}");
    assert_eq!(rows(directory.path()).len() as u64, number(&summary, "samples"), "{summary}");
}
