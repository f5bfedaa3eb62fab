//! The programs while they are in the kernel.

use std::{
    collections::BTreeMap,
    fmt, thread,
    time::{Duration, Instant},
};

use aya::{
    Ebpf,
    maps::{Array, HashMap, Map, MapData, PerCpuArray, PerCpuHashMap, RingBuf},
    programs::{BtfTracePoint, PerfEvent, ProgramError, RawTracePoint, perf_event::PerfEventLinkId},
};
use aya_log::EbpfLogger;
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::{
    abi::{self, Control, MAX_COUNTERS, Stats, Sums},
    mount::Survey,
};

use super::{
    Capabilities, ChosenHook, Hook, LoadError, Options, Timer, TimerChoice,
    counters::{Opened, Plan},
    messages::Messages,
};

/// The maps of the counters.
const EVENTS: [&str; MAX_COUNTERS] =
    ["EVENTS_0", "EVENTS_1", "EVENTS_2", "EVENTS_3", "EVENTS_4", "EVENTS_5", "EVENTS_6", "EVENTS_7"];

/// How long the first switch on each processor is waited for.
const FIRST_SWITCH: Duration = Duration::from_secs(2);

/// What is open for one processor.
#[derive(Debug)]
pub(super) struct Cpu {
    /// Keeps the counters open, and is what the map refers to.
    #[cfg_attr(not(test), expect(dead_code, reason = "it is kept, not read"))]
    pub(super) counters: Opened,
    pub(super) hook: Option<PerfEventLinkId>,
    pub(super) tick: Option<PerfEventLinkId>,
}

/// The programs, attached. Dropping it detaches them and closes the counters.
pub struct Attached {
    // Before the maps and the counters: the programs go first.
    pub(super) ebpf: Ebpf,
    pub(super) cpus: BTreeMap<u32, Cpu>,
    pub(super) generations: BTreeMap<u32, u32>,
    pub(super) possible: Vec<u32>,
    pub(super) emit: bool,
    pub(super) slot: Duration,
    pub(super) plan: Plan,
    pub(super) capabilities: Capabilities,
    pub(super) control: Array<MapData, Control>,
    pub(super) events: Vec<MapData>,
    pub(super) totals: PerCpuHashMap<MapData, u64, Sums>,
    pub(super) tombstones: HashMap<MapData, u64, u64>,
    pub(super) stats: PerCpuArray<MapData, Stats>,
    pub(super) ring: Option<RingBuf<MapData>>,
    pub(super) messages: bool,
    /// What the programs had noticed of standing counters, by processor, when it was looked at last.
    pub(super) frozen: BTreeMap<u32, u64>,
}

impl fmt::Debug for Attached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attached")
            .field("capabilities", &self.capabilities)
            .field("cpus", &self.cpus)
            .finish_non_exhaustive()
    }
}

impl Attached {
    pub(super) fn new(
        mut ebpf: Ebpf,
        options: &Options,
        plan: Plan,
        hook: ChosenHook,
        timers: bool,
        online: &[u32],
        possible: Vec<u32>,
    ) -> Result<Self, LoadError> {
        let mut map = |name| ebpf.take_map(name).ok_or(LoadError::Incomplete(name));
        let mut events = Vec::with_capacity(EVENTS.len());
        for name in EVENTS {
            let Map::PerfEventArray(map) = map(name)? else {
                return Err(LoadError::Incomplete(name));
            };
            events.push(map);
        }
        let control = map("CONTROL")?.try_into().map_err(|error| LoadError::map("CONTROL", error))?;
        let totals = map("TOTALS")?.try_into().map_err(|error| LoadError::map("TOTALS", error))?;
        let tombstones = map("TOMBSTONES")?.try_into().map_err(|error| LoadError::map("TOMBSTONES", error))?;
        let stats = map("STATS")?.try_into().map_err(|error| LoadError::map("STATS", error))?;
        let ring = map("RING")?.try_into().map_err(|error| LoadError::map("RING", error))?;
        let capabilities = Capabilities {
            hook: hook.chosen,
            hook_reason: hook.reason,
            timer: Timer::PerfClock,
            timer_reason: None,
            tickless_idle: timers,
            removals: hook.typed,
            hierarchy: Survey::of_this_host(),
            counters: plan.events.clone(),
            groups: plan.leaders.count_ones(),
            missing: plan.missing.clone(),
            core_types: plan.core_types.clone(),
        };
        let mut this = Self {
            ebpf,
            cpus: BTreeMap::new(),
            generations: BTreeMap::new(),
            possible,
            emit: options.samples,
            slot: options.slot,
            plan,
            capabilities,
            control,
            events,
            totals,
            tombstones,
            stats,
            ring: Some(ring),
            messages: options.kernel_log,
            frozen: BTreeMap::new(),
        };
        this.load_programs(timers)?;
        for &cpu in online {
            this.open(cpu)?;
        }
        this.attach_tracepoints()?;
        if timers {
            this.await_timers(options.timer, online)?;
        } else {
            if options.timer == TimerChoice::Auto {
                this.capabilities.timer_reason = this.capabilities.hook_reason.clone();
            } else if options.timer != TimerChoice::PerfClock {
                return Err(LoadError::Timer(0));
            }
            this.attach_clocks(online)?;
        }
        Ok(this)
    }

    /// Notes why there is no timer.
    pub(super) fn without_timers(mut self, refused: &LoadError) -> Self {
        tracing::debug!(error = ?refused, "the kernel refuses the program with a timer");
        self.capabilities.timer_reason =
            Some("the kernel refuses programs with timers, as real-time kernels and those before 5.15 do".to_owned());
        self
    }

    /// What this kernel gave.
    pub const fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    pub(super) fn program<'a, P>(&'a mut self, name: &'static str) -> Result<&'a mut P, LoadError>
    where
        &'a mut P: TryFrom<&'a mut aya::programs::Program, Error = ProgramError>,
    {
        let program = self.ebpf.program_mut(name).ok_or(LoadError::Incomplete(name))?;
        program.try_into().map_err(|error| LoadError::program(name, error))
    }

    fn load_programs(&mut self, timers: bool) -> Result<(), LoadError> {
        if self.capabilities.removals {
            let btf = aya::Btf::from_sys_fs().map_err(|error| LoadError::Object(Box::new(error.into())))?;
            self.program::<BtfTracePoint>("cgroup_rmdir")?
                .load("cgroup_rmdir", &btf)
                .map_err(|error| LoadError::program("cgroup_rmdir", error))?;
            if self.capabilities.hook != Hook::SchedSwitchRaw {
                self.program::<BtfTracePoint>("sched_switch")?
                    .load("sched_switch", &btf)
                    .map_err(|error| LoadError::program("sched_switch", error))?;
            }
        }
        match self.capabilities.hook {
            Hook::SchedSwitch => {}
            Hook::CgroupSwitches => self
                .program::<PerfEvent>("cgroup_switch")?
                .load()
                .map_err(|error| LoadError::program("cgroup_switch", error))?,
            Hook::SchedSwitchRaw => self
                .program::<RawTracePoint>("sched_switch_raw")?
                .load()
                .map_err(|error| LoadError::program("sched_switch_raw", error))?,
        }
        if !timers {
            self.load_clock()?;
        }
        Ok(())
    }

    fn load_clock(&mut self) -> Result<(), LoadError> {
        self.program::<PerfEvent>("tick_clock")?.load().map_err(|error| LoadError::program("tick_clock", error))
    }

    fn attach_tracepoints(&mut self) -> Result<(), LoadError> {
        if self.capabilities.removals {
            self.program::<BtfTracePoint>("cgroup_rmdir")?
                .attach()
                .map_err(|error| LoadError::program("cgroup_rmdir", error))?;
        }
        match self.capabilities.hook {
            Hook::SchedSwitch | Hook::CgroupSwitches => {
                self.program::<BtfTracePoint>("sched_switch")?
                    .attach()
                    .map_err(|error| LoadError::program("sched_switch", error))?;
            }
            Hook::SchedSwitchRaw => {
                self.program::<RawTracePoint>("sched_switch_raw")?
                    .attach("sched_switch")
                    .map_err(|error| LoadError::program("sched_switch_raw", error))?;
            }
        }
        Ok(())
    }

    /// Waits until each processor's timer runs, or was refused.
    fn await_timers(&mut self, choice: TimerChoice, online: &[u32]) -> Result<(), LoadError> {
        let deadline = Instant::now() + FIRST_SWITCH;
        let mut weakest = 1;
        for &cpu in online {
            let stats = loop {
                let stats = self.stats_of(cpu)?;
                if stats.timer_mode != 0 {
                    break stats;
                }
                if Instant::now() > deadline {
                    return Err(LoadError::TimerNotStarted(cpu));
                }
                visit(cpu);
            };
            if stats.timer_mode == abi::TIMER_FAILED {
                if choice != TimerChoice::Auto {
                    return Err(LoadError::Timer(stats.timer_error));
                }
                self.capabilities.timer_reason =
                    Some(format!("the kernel takes no timer of programs: error {}", stats.timer_error));
                self.load_clock()?;
                return self.attach_clocks(online);
            }
            if stats.timer_mode > weakest {
                weakest = stats.timer_mode;
                let error = stats.timer_error;
                self.capabilities.timer_reason =
                    (error != 0).then(|| format!("the kernel refuses better ones: error {error}"));
            }
        }
        self.capabilities.timer = match weakest {
            1 => Timer::AbsolutePinned,
            2 => Timer::Absolute,
            _ => Timer::Relative,
        };
        Ok(())
    }

    /// The reader of the ring; once.
    pub(crate) fn take_ring(&mut self) -> Option<RingBuf<MapData>> {
        self.ring.take()
    }

    /// The reader of the programs' messages; once, and where they were asked for.
    pub(crate) fn take_messages(&mut self) -> Option<EbpfLogger<Messages>> {
        if !self.messages {
            return None;
        }
        self.messages = false;
        EbpfLogger::init_with_logger(&mut self.ebpf, Messages)
            .inspect_err(|error| tracing::warn!(%error, "the programs' messages cannot be read"))
            .ok()
    }

    fn stats_of(&self, cpu: u32) -> Result<Stats, LoadError> {
        let values = self.stats.get(&0, 0).map_err(|error| LoadError::map("STATS", error))?;
        let position = self.possible.iter().position(|possible| *possible == cpu);
        Ok(position.and_then(|position| values.get(position)).copied().unwrap_or_default())
    }
}

/// Has a thread run on that processor, so that it switches. Where this process may not run there, its other tasks will.
fn visit(cpu: u32) {
    let visitor = thread::spawn(move || {
        let mut set = CpuSet::new();
        set.set(cpu as usize);
        if sched_setaffinity(None, &set).is_ok() {
            thread::sleep(Duration::from_micros(100));
        }
    });
    // Its only result is that it was there.
    drop(visitor.join());
    thread::sleep(Duration::from_micros(100));
}
