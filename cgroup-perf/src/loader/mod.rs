//! Puts the programs into the kernel, and takes them out again.

mod attached;
mod capabilities;
mod counters;
mod error;
mod health;
mod messages;
mod options;
mod processors;
mod read;

use aya::{Btf, Ebpf, EbpfLoader};

pub(crate) use self::counters::Plan;
pub(crate) use self::messages::Messages;
pub use self::{
    attached::Attached,
    capabilities::{Capabilities, Hook, Missing, Timer},
    error::LoadError,
    health::{Health, RunTime},
    options::{HookChoice, Options, TimerChoice},
};
use crate::{
    abi,
    btf::{BtfError, Offsets},
    cpus, mount, sys,
};

/// The object that this crate was built with.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("CARGO_MANIFEST_DIR"), "/object/cgroup-perf.bpf.o"));

/// The fields that the programs read.
const FIELDS: [(&str, &str, &str); 8] = [
    ("TASK_PID", "task_struct", "pid"),
    ("TASK_TGID", "task_struct", "tgid"),
    ("TASK_CGROUPS", "task_struct", "cgroups"),
    ("CSS_SET_DFL_CGRP", "css_set", "dfl_cgrp"),
    ("CGROUP_KN", "cgroup", "kn"),
    ("CGROUP_ROOT", "cgroup", "root"),
    ("ROOT_HIERARCHY", "cgroup_root", "hierarchy_id"),
    ("KERNFS_ID", "kernfs_node", "id"),
];

/// Loads the programs.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use cgroup_perf::loader::{Loader, Options};
///
/// let attached = Loader::new().load(&Options::default())?;
/// for total in attached.totals()? {
///     println!("{:?} ran for {} ns", total.cgroup, total.ran);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Loader<'a> {
    object: &'a [u8],
}

impl Default for Loader<'static> {
    fn default() -> Self {
        Self::new()
    }
}

impl Loader<'static> {
    /// With the object of this crate.
    pub const fn new() -> Self {
        Self { object: OBJECT }
    }
}

impl<'a> Loader<'a> {
    /// With another object, built from the same sources or from changed ones with the same layouts.
    pub const fn with_object(object: &'a [u8]) -> Self {
        Self { object }
    }

    /// The object.
    pub const fn object(&self) -> &'a [u8] {
        self.object
    }

    /// Opens the counters, loads the programs and attaches them.
    pub fn load(&self, options: &Options) -> Result<Attached, LoadError> {
        options.check()?;
        let online = cpus::online().map_err(LoadError::Cpus)?;
        let possible = cpus::possible().map_err(LoadError::Cpus)?;
        let plan = Plan::make(options, &online)?;
        let offsets = Offsets::of_kernel(&FIELDS.map(|(_, of, field)| (of, field)));
        let hook = choose_hook(options, offsets.as_ref())?;
        let timers = hook.chosen != Hook::SchedSwitchRaw && options.timer != TimerChoice::PerfClock;
        let offsets = offsets.ok();
        let attempt = |timers| {
            let ebpf = self.load_object(options, &plan, offsets.as_ref(), &hook, timers, &possible)?;
            Attached::new(ebpf, options, plan.clone(), hook.clone(), timers, &online, possible.clone())
        };
        let attached = match attempt(timers) {
            // Real-time kernels refuse any program with a timer in it, and so do those before 5.15.
            Err(error @ LoadError::Program { name: "sched_switch", .. }) if timers => match options.timer {
                TimerChoice::Auto => attempt(false).map(|attached| attached.without_timers(&error)),
                _ => Err(error.of_timer()),
            },
            result => result,
        };
        sys::trim_memory();
        attached
    }

    fn load_object(
        &self,
        options: &Options,
        plan: &Plan,
        offsets: Option<&Offsets>,
        hook: &ChosenHook,
        timers: bool,
        possible: &[u32],
    ) -> Result<Ebpf, LoadError> {
        let width = possible.iter().max().map_or(1, |last| last + 1);
        let counters = u32::try_from(plan.events.len()).unwrap_or(u32::MAX);
        let slot = u64::try_from(options.slot.as_nanos()).unwrap_or(u64::MAX);
        let perf_hook = hook.chosen == Hook::CgroupSwitches;
        let account = if perf_hook { abi::HOOK_PERF_EVENT } else { abi::HOOK_TRACEPOINT };
        let (first_mode, end_mode) = modes(options.timer);
        let wake = u64::from(options.ring_bytes / 4);
        let offset_values = FIELDS.map(|(name, of, field)| (name, offsets.map_or(0, |offsets| offsets.get(of, field))));
        let flag = |on: bool| u32::from(on);
        let words = [
            ("COUNTERS", counters),
            ("LEADERS", plan.leaders),
            ("HOOK", account),
            ("PER_TASK", flag(options.per_task)),
            ("TIMER", flag(timers)),
            ("FIRST_MODE", first_mode),
            ("END_MODE", end_mode),
            ("MEASURE", flag(options.measure_ticks)),
        ];
        let level = if options.kernel_log { u8::MAX } else { 0 };

        let btf = Btf::from_sys_fs().ok();
        let mut loader = EbpfLoader::new();
        loader.btf(btf.as_ref());
        for (name, value) in words.iter().chain(&offset_values) {
            loader.override_global(name, value, true);
        }
        loader
            .override_global("SLOT_NS", &slot, true)
            .override_global("WAKE_BYTES", &wake, true)
            .override_global("AYA_LOG_LEVEL", &level, true)
            .map_max_entries("STATE", width)
            .map_max_entries("CONTROL", width)
            .map_max_entries("TIMERS", width)
            .map_max_entries("TOTALS", options.max_cgroups)
            .map_max_entries("TOMBSTONES", options.max_cgroups.saturating_mul(4))
            .map_max_entries("RING", options.ring_bytes);
        if !options.kernel_log {
            loader.map_max_entries("AYA_LOGS", 4096);
        }
        loader.load(self.object).map_err(LoadError::object)
    }
}

/// The modes of the timer to try: the first, and the one after the last.
fn modes(timer: TimerChoice) -> (u32, u32) {
    match timer {
        TimerChoice::Auto | TimerChoice::PerfClock => (0, abi::TIMER_MODES),
        TimerChoice::AbsolutePinned => (0, 1),
        TimerChoice::Absolute => (1, 2),
        TimerChoice::Relative => (2, 3),
    }
}

#[derive(Debug, Clone)]
pub(crate) struct ChosenHook {
    chosen: Hook,
    reason: Option<String>,
    /// The kernel's structures are known.
    typed: bool,
}

fn choose_hook(options: &Options, offsets: Result<&Offsets, &BtfError>) -> Result<ChosenHook, LoadError> {
    let typed = offsets.is_ok();
    let need = |hook| match offsets {
        Ok(_) => Ok(hook),
        Err(error) => Err(LoadError::NoBtf(error.clone())),
    };
    let mut reason = None;
    let chosen = match options.hook {
        HookChoice::SchedSwitch => need(Hook::SchedSwitch)?,
        HookChoice::CgroupSwitches => {
            if mount::Survey::of_this_host().perf_event_is_legacy {
                return Err(LoadError::PerfEventOnV1);
            }
            need(Hook::CgroupSwitches)?
        }
        HookChoice::SchedSwitchRaw => Hook::SchedSwitchRaw,
        HookChoice::Auto => match offsets {
            Ok(_) => Hook::SchedSwitch,
            Err(error) => {
                reason = Some(error.to_string());
                Hook::SchedSwitchRaw
            }
        },
    };
    Ok(ChosenHook { chosen, reason, typed })
}
