//! A few cgroups, counted by the kernel's own perf events of cgroups: without programs in the kernel.
//!
//! For each cgroup and processor the kernel holds one group of counters (`PERF_FLAG_PID_CGROUP`). That costs a file for each
//! of them, and a bit of each switch for each cgroup: good for some containers on some processors, read by the second. For
//! all of a node's cgroups, and by the millisecond, there is [`CgroupPerf`](crate::CgroupPerf).
//!
//! The kernel counts a cgroup with all that are below it. A [`Sample`](crate::sample::Sample) is of the cgroup's own
//! tasks.

mod counted;
mod error;

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    os::{fd::OwnedFd, unix::fs::MetadataExt},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Mode, OFlags},
    process::{Resource, getrlimit},
    time::{ClockId, clock_gettime},
};

use self::counted::Counted;
pub use self::error::WatchError;
use crate::{
    cpus,
    events::{Event, Resolved},
    loader::{LoadError, Missing, Options, Plan},
    quality::{Counter, Span, Sum, Verdict},
    sample::{CgroupId, MAX_COUNTERS},
    sys,
    telemetry::{self, Judged},
};

/// `CGROUP2_SUPER_MAGIC` and `CGROUP_SUPER_MAGIC`.
const CGROUP_FILESYSTEMS: [i128; 2] = [0x6367_7270, 0x0027_e0eb];
const PERF_TYPE_SOFTWARE: u32 = 1;
const CPU_CLOCK: u64 = 0;
const TASK_CLOCK: u64 = 1;
/// The least time between two looks after which a clock that stands still is held to.
const LOOK: u64 = 2_000_000;

/// What a cgroup did, with all below it, since it is watched: on all processors together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reading {
    /// The cgroup.
    pub cgroup: CgroupId,
    /// For how long its tasks ran, in nanoseconds. The root's has idle time in it.
    pub ran: u64,
    /// What was counted, in the order of [`Watched::counters`]; what is beyond them is zero.
    pub counters: [Sum; MAX_COUNTERS],
    /// Whether the cgroup was found removed by [`Watched::refresh`]: nothing more will come.
    pub removed: bool,
}

impl Reading {
    /// Judges one counter, as [`quality`](crate::quality) does for samples; none where there is no such counter.
    pub fn verdict(&self, counters: &[Resolved], number: usize) -> Option<Verdict> {
        let counter = Counter::by_name(&counters.get(number)?.name);
        Some(self.counters.get(number)?.verdict(&counter, self.ran))
    }
}

/// Counts the events of a few cgroups.
///
/// ```no_run
/// use cgroup_perf::events::Event;
/// use cgroup_perf::watched::Watched;
///
/// let mut watched = Watched::open(&["/sys/fs/cgroup/system.slice"], &Event::DEFAULT)?;
/// std::thread::sleep(std::time::Duration::from_secs(10));
/// watched.refresh()?;
/// for reading in watched.read()? {
///     let cycles = reading.verdict(watched.counters(), 0).and_then(|verdict| verdict.figure);
///     println!("{:?} ran {} ns, {cycles:?}", reading.cgroup, reading.ran);
/// }
/// # Ok::<(), cgroup_perf::watched::WatchError>(())
/// ```
#[derive(Debug)]
pub struct Watched {
    plan: Plan,
    expected: Vec<Counter>,
    cgroups: Vec<Cgroup>,
    /// The clock of each processor, which stands still once the processor was off, as the counters do.
    clocks: BTreeMap<u32, (Counted, u64)>,
}

#[derive(Debug)]
struct Cgroup {
    path: PathBuf,
    directory: OwnedFd,
    reading: Reading,
    cpus: BTreeMap<u32, Cpu>,
}

/// The clock is no member of the group: it counts also where the group has no place in the processor's counters.
#[derive(Debug)]
struct Cpu {
    clock: Counted,
    counters: Vec<Option<Counted>>,
}

impl Watched {
    /// Opens the counters of these cgroups, by their directories, on every processor that is running.
    ///
    /// Where none of the events can be had, [`Event::WITHOUT_PMU`] are counted; [`missing`](Self::missing) says why.
    pub fn open(cgroups: &[impl AsRef<Path>], events: &[Event]) -> Result<Self, WatchError> {
        let online = cpus::online().map_err(WatchError::Cpus)?;
        if cgroups.is_empty() {
            return Err(WatchError::Options("there is at least one cgroup"));
        }
        if events.is_empty() || events.len() > MAX_COUNTERS {
            return Err(WatchError::Options("there are 1 to 8 events"));
        }
        // Before any counter is opened: where so many can't be, that is known now.
        let files = |counters: usize| needed(cgroups.len(), online.len(), counters);
        check_files(files(events.len()))?;
        let cgroups = cgroups.iter().map(|path| Cgroup::find(path.as_ref())).collect::<Result<_, _>>()?;
        let mut options = Options::default();
        events.clone_into(&mut options.counters);
        let plan = Plan::make(&options, &online).map_err(|error| match error {
            LoadError::PerfRights(source) => WatchError::Rights(source),
            LoadError::FileLimit(source) => WatchError::Files(source),
            other => WatchError::Counters(other),
        })?;
        check_files(files(plan.events.len()))?;
        let expected = plan.events.iter().map(|event| Counter::by_name(&event.name)).collect();
        let mut this = Self { plan, expected, cgroups, clocks: BTreeMap::new() };
        for cpu in online {
            this.open_cpu(cpu)?;
        }
        Ok(this)
    }

    /// What is counted.
    pub fn counters(&self) -> &[Resolved] {
        &self.plan.events
    }

    /// What was asked for and is not counted.
    pub fn missing(&self) -> &[Missing] {
        &self.plan.missing
    }

    /// What each cgroup did since it is watched, in the order in which they were given. Reading a counter interrupts its
    /// processor, if it is at work.
    pub fn read(&mut self) -> Result<Vec<Reading>, WatchError> {
        let Self { plan, expected, cgroups, .. } = self;
        for cgroup in &mut *cgroups {
            cgroup.take_in(plan, expected, None)?;
        }
        Ok(cgroups.iter().map(|cgroup| cgroup.reading).collect())
    }

    /// Follows processors that came and went, opens counters anew that stand still, as they do for ever once their processor
    /// was off, and finds removed cgroups. Gives how many processors' counters were opened. To be called by the second.
    pub fn refresh(&mut self) -> Result<usize, WatchError> {
        let online = cpus::online().map_err(WatchError::Cpus)?;
        self.follow(&online)
    }

    fn follow(&mut self, online: &[u32]) -> Result<usize, WatchError> {
        let now = monotonic();
        let mut stale: Vec<u32> = self.clocks.keys().copied().filter(|cpu| !online.contains(cpu)).collect();
        for (cpu, (clock, looked)) in &mut self.clocks {
            let passed = now.saturating_sub(*looked);
            if passed < LOOK || stale.contains(cpu) {
                continue;
            }
            *looked = now;
            if clock.step().is_ok_and(|step| step.enabled < passed / 2) {
                tracing::info!(cpu, "the processor's counters stand still");
                stale.push(*cpu);
            }
        }
        for cpu in stale {
            self.close_cpu(cpu)?;
        }
        for cgroup in &mut self.cgroups {
            cgroup.reading.removed |= is_removed(&cgroup.directory);
        }
        let new: Vec<u32> = online.iter().copied().filter(|cpu| !self.clocks.contains_key(cpu)).collect();
        check_files(needed(self.cgroups.len(), new.len(), self.plan.events.len()))?;
        for cpu in &new {
            self.open_cpu(*cpu)?;
        }
        telemetry::add(telemetry::REOPENED, new.len() as u64);
        Ok(new.len())
    }

    fn open_cpu(&mut self, cpu: u32) -> Result<(), WatchError> {
        for cgroup in self.cgroups.iter_mut().filter(|cgroup| !cgroup.reading.removed) {
            match cgroup.open(&self.plan, cpu) {
                // It went away since it was listed. The next refresh finds it, if it comes back.
                Err(WatchError::Event { source, .. }) if source.raw_os_error() == Some(libc::ENODEV) => return Ok(()),
                done => done?,
            }
        }
        let clock = sys::perf_event_open(PERF_TYPE_SOFTWARE, CPU_CLOCK, 0, cpu, None, None);
        match clock.and_then(|clock| sys::perf_event_enable(&clock).map(|()| clock)) {
            Ok(clock) => drop(self.clocks.insert(cpu, (Counted::new(clock), monotonic()))),
            Err(source) if source.raw_os_error() == Some(libc::ENODEV) => {}
            Err(source) => return Err(refused(source, "cpu-clock", Path::new("/"), cpu)),
        }
        Ok(())
    }

    /// Takes in what was counted last, and closes.
    fn close_cpu(&mut self, cpu: u32) -> Result<(), WatchError> {
        self.clocks.remove(&cpu);
        for cgroup in &mut self.cgroups {
            cgroup.take_in(&self.plan, &self.expected, Some(cpu))?;
            cgroup.cpus.remove(&cpu);
        }
        Ok(())
    }
}

impl Cgroup {
    fn find(path: &Path) -> Result<Self, WatchError> {
        let failed = |source| WatchError::Open { path: path.to_owned(), source };
        let directory = File::open(path).map_err(failed)?;
        let metadata = directory.metadata().map_err(failed)?;
        let kind = rustix::fs::fstatfs(&directory).map_err(|error| failed(error.into()))?.f_type;
        if !metadata.is_dir() || !CGROUP_FILESYSTEMS.contains(&i128::from(kind)) {
            return Err(WatchError::NotACgroup { path: path.to_owned() });
        }
        let cgroup = CgroupId(metadata.ino());
        let reading = Reading { cgroup, ran: 0, counters: [Sum::default(); MAX_COUNTERS], removed: false };
        Ok(Self { path: path.to_owned(), directory: directory.into(), reading, cpus: BTreeMap::new() })
    }

    fn open(&mut self, plan: &Plan, cpu: u32) -> Result<(), WatchError> {
        let clock = sys::perf_event_open(PERF_TYPE_SOFTWARE, TASK_CLOCK, 0, cpu, None, Some(&self.directory)).map_err(
            |source| match refused(source, "task-clock", &self.path, cpu) {
                // The kernel's answer is the same for one that is there, in a hierarchy without the controller.
                WatchError::Removed { path } if !is_removed(&self.directory) => WatchError::OtherHierarchy { path },
                other => other,
            },
        )?;
        let counters = plan
            .open_in(cpu, Some(&self.directory))
            .map_err(|(event, source)| refused(source, event, &self.path, cpu))?;
        sys::perf_event_enable(&clock).map_err(|source| refused(source, "task-clock", &self.path, cpu))?;
        plan.start(&counters);
        let counters = counters.into_iter().map(|fd| fd.map(Counted::new)).collect();
        self.cpus.insert(cpu, Cpu { clock: Counted::new(clock), counters });
        Ok(())
    }

    /// Adds what came since it was read last, on all processors or on one.
    fn take_in(&mut self, plan: &Plan, expected: &[Counter], only: Option<u32>) -> Result<(), WatchError> {
        let Self { path, reading, cpus, .. } = self;
        let mut judged = Judged::default();
        for (cpu, open) in cpus.iter_mut().filter(|(cpu, _)| only.is_none_or(|only| only == **cpu)) {
            let step = |counted: &mut Counted, event: &str| {
                let failed =
                    |source| WatchError::Event { event: event.to_owned(), path: path.clone(), cpu: *cpu, source };
                counted.step().map_err(failed)
            };
            let ran = step(&mut open.clock, "task-clock")?.value;
            reading.ran = reading.ran.saturating_add(ran);
            let counters = open.counters.iter_mut().zip(&plan.events).zip(expected);
            for (((counted, event), counter), sum) in counters.zip(&mut reading.counters) {
                let Some(counted) = counted else { continue };
                // The two are read one after the other, and the time between them is not known better.
                judged.add(sum.add(counter, step(counted, &event.name)?, Span { ran, wall: 0 }));
            }
        }
        judged.report("watched");
        Ok(())
    }
}

/// Sorts the kernel's refusals.
fn refused(source: io::Error, event: &str, path: &Path, cpu: u32) -> WatchError {
    match source.raw_os_error() {
        Some(libc::EMFILE | libc::ENFILE) => WatchError::Files(source),
        Some(libc::EPERM | libc::EACCES) => WatchError::Rights(source),
        Some(libc::ENOENT) if event == "task-clock" => WatchError::Removed { path: path.to_owned() },
        Some(libc::EBADF) => WatchError::OtherHierarchy { path: path.to_owned() },
        // Every kernel has the clock: what it does not take is the cgroup.
        Some(libc::EINVAL) if event == "task-clock" => WatchError::NoCgroupPerf(source),
        _ => WatchError::Event { event: event.to_owned(), path: path.to_owned(), cpu, source },
    }
}

/// How many files are open for so much: a directory for each cgroup, its counters and clock on each processor, and the
/// processors' own clocks.
fn needed(cgroups: usize, cpus: usize, counters: usize) -> u64 {
    let each = cpus.saturating_mul(counters.saturating_add(1)).saturating_add(1);
    cgroups.saturating_mul(each).saturating_add(cpus).try_into().unwrap_or(u64::MAX)
}

fn check_files(needed: u64) -> Result<(), WatchError> {
    let open = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count).try_into().unwrap_or(u64::MAX);
    fits(needed, open, getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX))
}

fn fits(needed: u64, open: u64, limit: u64) -> Result<(), WatchError> {
    if needed.saturating_add(open) > limit { Err(WatchError::FileLimit { needed, open, limit }) } else { Ok(()) }
}

fn is_removed(directory: &OwnedFd) -> bool {
    let file = rustix::fs::openat(directory, "cgroup.procs", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    file.is_err_and(|error| matches!(error, rustix::io::Errno::NOENT | rustix::io::Errno::NODEV))
}

fn monotonic() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    let part = |part: i64| u64::try_from(part).unwrap_or(0);
    part(time.tv_sec).saturating_mul(1_000_000_000).saturating_add(part(time.tv_nsec))
}

#[cfg(test)]
mod tests;
