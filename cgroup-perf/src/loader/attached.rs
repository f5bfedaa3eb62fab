//! The programs while they are in the kernel.

use std::{
    collections::BTreeMap,
    fmt, thread,
    time::{Duration, Instant},
};

use aya::{
    Ebpf,
    maps::{Array, HashMap, Map, MapData, MapError, PerCpuArray, PerCpuHashMap, RingBuf},
    programs::{
        BtfTracePoint, PerfEvent, ProgramError, RawTracePoint,
        perf_event::{PerfEventConfig, PerfEventLinkId, PerfEventScope, SamplePolicy, SoftwareEvent},
    },
};
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::{
    abi::{self, Control, MAX_COUNTERS, Stats, Sums},
    sample::{CgroupId, Delta, Total},
    sys,
};

use super::{
    Capabilities, ChosenHook, Hook, LoadError, Options, Timer, TimerChoice,
    counters::{Opened, Plan},
};

/// The maps of the counters.
const EVENTS: [&str; MAX_COUNTERS] =
    ["EVENTS_0", "EVENTS_1", "EVENTS_2", "EVENTS_3", "EVENTS_4", "EVENTS_5", "EVENTS_6", "EVENTS_7"];

/// How long the first switch on each processor is waited for.
const FIRST_SWITCH: Duration = Duration::from_secs(2);

/// What the programs noticed since they were attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Health {
    /// Records for which the ring had no room. What they counted is in the totals.
    pub lost: u64,
    /// Times that a cgroup had no room in the totals: raise [`Options::max_cgroups`].
    pub insert_failures: u64,
    /// What ran in that case, in nanoseconds.
    pub unplaced: u64,
    /// Counters that went backwards; each became a new baseline.
    pub backwards: u64,
    /// First readings, each a baseline: one for every opening of a processor's counters.
    pub baselines: u64,
    /// Readings that the kernel refused.
    pub read_failures: u64,
    /// Records that were handed over before the end of their slot, as too many cgroups ran in it.
    pub early: u64,
    /// Ticks.
    pub ticks: u64,
    /// Slots that late ticks passed over.
    pub late_slots: u64,
    /// Ticks that came on another processor.
    pub strayed: u64,
    /// Timers that were started, at first and after idle time.
    pub arms: u64,
    /// Times that one program found another at work on the same state, and left.
    pub contended: u64,
    /// Changes of cgroup that the perf event missed.
    pub hook_missed: u64,
    /// What ran then, in nanoseconds; no cgroup was charged.
    pub unattributed: u64,
    /// Removed cgroups that were not told, as too many were at once. They are found by looking.
    pub removals_lost: u64,
    /// Nanoseconds spent in ticks, where they are measured.
    pub tick_time: u64,
    /// The longest tick in nanoseconds.
    pub tick_longest: u64,
}

impl Health {
    fn add(&mut self, stats: &Stats) {
        self.lost += stats.lost;
        self.insert_failures += stats.insert_failures;
        self.unplaced += stats.unplaced;
        self.backwards += stats.backwards;
        self.baselines += stats.baselines;
        self.read_failures += stats.read_failures;
        self.early += stats.early;
        self.ticks += stats.ticks;
        self.late_slots += stats.late;
        self.strayed += stats.strayed;
        self.arms += stats.arms;
        self.contended += stats.contended;
        self.hook_missed += stats.hook_missed;
        self.unattributed += stats.unattributed;
        self.removals_lost += stats.tombstones_lost;
        self.tick_time += stats.tick_time;
        self.tick_longest = self.tick_longest.max(stats.tick_longest);
    }
}

/// What is open for one processor.
#[derive(Debug)]
struct Cpu {
    /// Keeps the counters open, and is what the map refers to.
    _counters: Opened,
    hook: Option<PerfEventLinkId>,
    tick: Option<PerfEventLinkId>,
}

/// The programs, attached. Dropping it detaches them and closes the counters.
pub struct Attached {
    // Before the maps and the counters: the programs go first.
    ebpf: Ebpf,
    cpus: BTreeMap<u32, Cpu>,
    generations: BTreeMap<u32, u32>,
    possible: Vec<u32>,
    emit: bool,
    slot: Duration,
    plan: Plan,
    capabilities: Capabilities,
    control: Array<MapData, Control>,
    events: Vec<MapData>,
    totals: PerCpuHashMap<MapData, u64, Sums>,
    tombstones: HashMap<MapData, u64, u64>,
    stats: PerCpuArray<MapData, Stats>,
    ring: Option<RingBuf<MapData>>,
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
            counters: plan.events.clone(),
            groups: plan.leaders.count_ones(),
            missing: plan.missing.clone(),
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

    /// What this kernel gave.
    pub const fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn program<'a, P>(&'a mut self, name: &'static str) -> Result<&'a mut P, LoadError>
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

    /// Opens a processor's counters, and what is attached to it alone.
    fn open(&mut self, cpu: u32) -> Result<(), LoadError> {
        let counters = self.plan.open(cpu)?;
        let generation = self.generations.get(&cpu).copied().unwrap_or(0);
        // Odd while it lasts: the programs read nothing.
        self.tell(cpu, generation.wrapping_add(1))?;
        for ((map, event), what) in self.events.iter().zip(&counters).zip(&self.plan.events) {
            let Some(event) = event else { continue };
            sys::set_event(map.fd(), cpu, event).map_err(|source| LoadError::SetCounter {
                event: what.name.clone(),
                cpu,
                source,
            })?;
        }
        self.plan.start(&counters);
        self.tell(cpu, generation.wrapping_add(2))?;
        self.generations.insert(cpu, generation.wrapping_add(2));
        let hook = if self.capabilities.hook == Hook::CgroupSwitches {
            let switches = PerfEventConfig::Software(SoftwareEvent::CgroupSwitches);
            Some(self.attach_perf("cgroup_switch", switches, cpu, 1)?)
        } else {
            None
        };
        self.cpus.insert(cpu, Cpu { _counters: counters, hook, tick: None });
        Ok(())
    }

    fn attach_perf(
        &mut self,
        name: &'static str,
        event: PerfEventConfig,
        cpu: u32,
        period: u64,
    ) -> Result<PerfEventLinkId, LoadError> {
        let scope = PerfEventScope::AllProcessesOneCpu { cpu };
        self.program::<PerfEvent>(name)?
            .attach(event, scope, SamplePolicy::Period(period), false)
            .map_err(|error| LoadError::program(name, error))
    }

    fn attach_clocks(&mut self, online: &[u32]) -> Result<(), LoadError> {
        self.capabilities.timer = Timer::PerfClock;
        self.capabilities.tickless_idle = false;
        for &cpu in online {
            let clock = PerfEventConfig::Software(SoftwareEvent::CpuClock);
            let period = u64::try_from(self.slot.as_nanos()).unwrap_or(u64::MAX);
            let link = self.attach_perf("tick_clock", clock, cpu, period)?;
            if let Some(cpu) = self.cpus.get_mut(&cpu) {
                cpu.tick = Some(link);
            }
        }
        Ok(())
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

    fn tell(&mut self, cpu: u32, generation: u32) -> Result<(), LoadError> {
        let control = Control { generation, emit: u32::from(self.emit) };
        self.control.set(cpu, control, 0).map_err(|error| LoadError::map("CONTROL", error))
    }

    /// The totals of each cgroup, as of the last end of a slot on each processor. In no order.
    pub fn totals(&self) -> Result<Vec<(CgroupId, Total)>, MapError> {
        let mut totals = Vec::new();
        for entry in self.totals.iter() {
            let (cgroup, values) = entry?;
            let mut total =
                Total { cgroup: CgroupId(cgroup), ran: 0, switches: 0, counters: [Delta::default(); MAX_COUNTERS] };
            for sums in values.iter() {
                total.ran += sums.ran;
                total.switches += sums.switches;
                for (to, from) in total.counters.iter_mut().zip(&sums.counters) {
                    to.value += from.value;
                    to.enabled += from.enabled;
                    to.running += from.running;
                }
            }
            totals.push((total.cgroup, total));
        }
        Ok(totals)
    }

    fn stats_of(&self, cpu: u32) -> Result<Stats, LoadError> {
        let values = self.stats.get(&0, 0).map_err(|error| LoadError::map("STATS", error))?;
        let position = self.possible.iter().position(|possible| *possible == cpu);
        Ok(position.and_then(|position| values.get(position)).copied().unwrap_or_default())
    }

    /// What the programs noticed, on all processors.
    pub fn health(&self) -> Result<Health, MapError> {
        let mut health = Health::default();
        for stats in self.stats.get(&0, 0)?.iter() {
            health.add(stats);
        }
        Ok(health)
    }

    /// What the programs noticed, by processor.
    pub fn health_by_cpu(&self) -> Result<Vec<(u32, Health)>, MapError> {
        let values = self.stats.get(&0, 0)?;
        let one = |stats: &Stats| {
            let mut health = Health::default();
            health.add(stats);
            health
        };
        Ok(self.possible.iter().copied().zip(values.iter().map(one)).collect())
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
