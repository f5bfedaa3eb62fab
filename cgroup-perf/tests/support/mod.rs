//! Child cgroups and processes in them. Everything is taken back when it is dropped, also where a test fails.
#![allow(clippy::cast_sign_loss, reason = "times are not below zero")]
#![allow(dead_code, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test panics where it fails")]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::{fs::MetadataExt, net::UnixStream},
    },
    path::{Path, PathBuf},
    process::{Child as Process, ChildStdin, ChildStdout, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use cgroup_perf::sample::CgroupId;
use rustix::{
    thread::{CpuSet, sched_setaffinity},
    time::{ClockId, clock_gettime},
};

/// How long anything is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Whether these tests can run here; the reason is printed where they cannot.
pub(crate) fn possible() -> bool {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: not root");
        return false;
    }
    if !Path::new("/sys/kernel/btf/vmlinux").exists() {
        eprintln!("skipped: the kernel gives no type information");
        return false;
    }
    if mount().is_none() {
        eprintln!("skipped: no cgroup2 is mounted");
        return false;
    }
    true
}

/// Where cgroup2 is mounted.
pub(crate) fn mount() -> Option<PathBuf> {
    let text = fs::read_to_string("/proc/self/mountinfo").ok()?;
    text.lines().find_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        right.starts_with("cgroup2 ").then(|| PathBuf::from(left.split(' ').nth(4).unwrap()))
    })
}

/// A child cgroup.
pub(crate) struct Cgroup {
    pub(crate) path: PathBuf,
    pub(crate) id: CgroupId,
}

impl Cgroup {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("cgroup-perf-test-{}-{number}", std::process::id());
        Self::at(mount().unwrap().join(name))
    }

    /// At a path, as one below another.
    pub(crate) fn at(path: PathBuf) -> Self {
        fs::create_dir(&path).unwrap();
        let id = CgroupId(fs::metadata(&path).unwrap().ino());
        Self { path, id }
    }

    pub(crate) fn adopt(&self, pid: u32) {
        fs::write(self.path.join("cgroup.procs"), pid.to_string()).unwrap();
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // A process that was waited for may leave a moment later.
        let deadline = Instant::now() + PATIENCE / 10;
        while fs::remove_dir(&self.path).is_err() && self.path.exists() {
            if Instant::now() > deadline {
                eprintln!("cannot remove {}", self.path.display());
                return;
            }
            std::thread::yield_now();
        }
    }
}

/// A process that works on command: this test's executable, started again.
pub(crate) struct Child {
    process: Process,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

/// What a child did between the command and its word about it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Work {
    /// Nanoseconds of processor time.
    pub(crate) cpu: u64,
    /// Switches, voluntary or not.
    pub(crate) switches: u64,
}

impl Child {
    /// Starts one that is in no cgroup yet, and waits until it is ready. `job` is for [`child_main`].
    pub(crate) fn start(job: &str, socket: Option<UnixStream>) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "child", "--nocapture", "--test-threads", "1"])
            .env("CGROUP_PERF_CHILD", job)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        if let Some(socket) = socket {
            command.stderr(OwnedFd::from(socket));
        }
        let mut process = command.spawn().unwrap();
        let stdin = process.stdin.take();
        let stdout = BufReader::new(process.stdout.take().unwrap());
        let mut child = Self { process, stdin, stdout };
        child.line("ready");
        child
    }

    pub(crate) fn in_cgroup(job: &str, cgroup: &Cgroup, socket: Option<UnixStream>) -> Self {
        let child = Self::start(job, socket);
        cgroup.adopt(child.process.id());
        child
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Commands it to begin.
    pub(crate) fn go(&mut self) {
        self.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
    }

    /// Waits until it is done, and tells what it did. It stays, asleep.
    pub(crate) fn done(&mut self) -> Work {
        let line = self.line("done");
        let mut numbers = line.split(' ').map(|number| number.parse().unwrap());
        Work { cpu: numbers.next().unwrap(), switches: numbers.next().unwrap() }
    }

    fn line(&mut self, word: &str) -> String {
        loop {
            let mut line = String::new();
            let length = self.stdout.read_line(&mut line).unwrap();
            assert!(length > 0, "the child ended before it said {word}");
            // The test harness talks too.
            if let Some((_, rest)) = line.split_once(&format!("child {word} ")) {
                return rest.trim().to_owned();
            }
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Processor time of this process.
pub(crate) fn cpu_time() -> u64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

pub(crate) fn monotonic() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Nanoseconds that the hypervisor took from the processors, in steps of ten milliseconds.
pub(crate) fn stolen() -> u64 {
    let stat = fs::read_to_string("/proc/stat").unwrap();
    let ticks: u64 = stat.lines().next().unwrap().split_whitespace().nth(8).unwrap().parse().unwrap();
    ticks * 10_000_000
}

pub(crate) fn pin(cpu: usize) {
    let mut set = CpuSet::new();
    set.set(cpu);
    sched_setaffinity(None, &set).unwrap();
}

/// Of this thread, which does the work.
fn switches() -> u64 {
    let status = fs::read_to_string("/proc/thread-self/status").unwrap();
    let fields = status.lines().filter(|line| line.contains("voluntary_ctxt_switches"));
    fields.map(|line| line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()).sum()
}

/// What a child does; nothing where this process is none. Each test file has a test `child` that calls it.
///
/// Jobs: `spin CPU MILLISECONDS` of processor time; `first CPU ROUNDS` and `second CPU ROUNDS`, which pass a byte to
/// and fro over the socket.
pub(crate) fn child_main() {
    let Ok(job) = std::env::var("CGROUP_PERF_CHILD") else {
        return;
    };
    let words: Vec<&str> = job.split(' ').collect();
    let number = |index: usize| words[index].parse::<u64>().unwrap();
    if words[1] != "any" {
        pin(usize::try_from(number(1)).unwrap());
    }
    let mut stdin = std::io::stdin().lock();
    println!("\nchild ready ");
    let mut line = String::new();
    stdin.read_line(&mut line).unwrap();
    let (cpu, switched) = (cpu_time(), switches());
    match words[0] {
        "spin" => {
            let end = cpu + number(2) * 1_000_000;
            while cpu_time() < end {}
        }
        "first" | "second" => {
            let socket = std::io::stderr().as_fd().try_clone_to_owned().unwrap();
            let mut socket = UnixStream::from(socket);
            let mut byte = [0];
            for _ in 0..number(2) {
                if words[0] == "first" {
                    socket.write_all(&byte).unwrap();
                    socket.read_exact(&mut byte).unwrap();
                } else {
                    socket.read_exact(&mut byte).unwrap();
                    socket.write_all(&byte).unwrap();
                }
            }
        }
        other => panic!("no job {other}"),
    }
    println!("child done {} {}", cpu_time() - cpu, switches() - switched);
    let mut rest = Vec::new();
    stdin.read_to_end(&mut rest).unwrap();
}

/// Looks again and again until there is an answer.
pub(crate) fn eventually<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, look).unwrap_or_else(|| panic!("waited in vain: {what}"))
}

/// The same for so long; none where there was no answer.
pub(crate) fn within<T>(patience: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + patience;
    loop {
        let found = look();
        if found.is_some() || Instant::now() > deadline {
            return found;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Measures until one measure is as it should be, a few times at the most.
///
/// The scheduler looks at its clock at the start of a switch and the programs some way into it. Where a host takes the
/// processor away in between, that time is one task's in the one account and another's in the other; and what it takes
/// while a task runs, the kernel leaves out of its account. A time that is lost by the programs is lost in each measure.
pub(crate) fn measured<T>(what: &str, mut measure: impl FnMut() -> Option<T>) -> T {
    const TIMES: usize = 16;
    for time in 1..=TIMES {
        if let Some(found) = measure() {
            return found;
        }
        println!("{what}: not as it should be, time {time}");
    }
    panic!("{what}: {TIMES} times not as it should be");
}
