//! An interval ends: what the counters moved is charged to the cgroup that ran.

use core::ptr::{addr_of_mut, read_volatile};

use aya_ebpf::{
    bindings::bpf_perf_event_value,
    helpers::{
        bpf_get_current_cgroup_id, bpf_get_current_pid_tgid, bpf_ktime_get_ns,
        generated::{bpf_perf_event_read, bpf_perf_event_read_value},
    },
};

use crate::{
    abi::{CpuState, Reading, SLOT_RECORDS},
    config::{COUNTERS, LEADERS, PER_TASK},
    maps::{CONTROL, events},
    slot, stats,
};

/// Counts from here on are error numbers: no counter gets so far.
const ERRORS: u64 = u64::MAX - 4095;

/// The place of this processor in a map of perf events.
const BPF_F_CURRENT_CPU: u64 = 0xffff_ffff;

/// Why an interval ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The processor is taken from the cgroup.
    Left,
    /// It may be: the next task is not known.
    Perhaps,
    /// A tick.
    Tick,
    /// The end of one interval and the start of this one are lost: nobody is charged.
    Missed,
}

/// Charges the current task's cgroup, and says whether the processor was idle.
///
/// # Safety
///
/// `state` is that of this processor, `cpu`, and no other program is at work on it.
#[inline(always)]
pub unsafe fn account(cpu: u32, state: *mut CpuState, why: Why) -> bool {
    let Some(control) = CONTROL.get_ptr(cpu) else {
        return false;
    };
    let state = unsafe { &mut *state };
    let generation = unsafe { read_volatile(&raw const (*control).generation) };
    let current = bpf_get_current_pid_tgid();
    let idle = current == 0;
    let fresh = generation != state.generation;

    let mut cgroup = 0;
    let mut pid = 0;
    if !idle {
        cgroup = unsafe { bpf_get_current_cgroup_id() };
        if PER_TASK.load() != 0 {
            pid = (current >> 32) as u32;
        }
    }
    let place = if idle || fresh || why == Why::Missed {
        SLOT_RECORDS
    } else {
        unsafe { slot::place(cpu, state, cgroup, pid) }
    };
    // Within the array: a place is masked, or the last one.
    let record = unsafe { &mut *state.records.as_mut_ptr().add(place) };

    let mut ran = 0;
    if fresh {
        unsafe { baseline(state, generation) };
    } else {
        if generation & 1 == 0 {
            ran = unsafe { read(state, record.sums.counters.as_mut_ptr()) };
        }
        if ran == 0 {
            // No counter tells the time: it does not run, or is frozen.
            let since = unsafe { bpf_ktime_get_ns() }.saturating_sub(state.ticked);
            ran = since.saturating_sub(state.accounted);
        }
        state.accounted += ran;
    }
    record.sums.ran += ran;
    match why {
        Why::Left => record.sums.switches += 1,
        Why::Perhaps => {
            // Without a word about the next task, arrivals are counted: they are as many, give or take one.
            if state.previous != cgroup || state.previous_pid != u64::from(pid) {
                record.sums.switches += 1;
            }
            state.previous = cgroup;
            state.previous_pid = u64::from(pid);
        }
        Why::Missed => stats::add(|stats| stats.unattributed += ran),
        Why::Tick => {}
    }
    idle
}

/// What the reading of one counter hands to the next.
struct Group {
    /// The leader was read, so that the times are of now.
    read: bool,
    enabled: u64,
    running: u64,
    /// How long the first counter was enabled.
    ran: u64,
}

/// Reads the counters, adds what they moved to `sums`, and gives how long the first of them was enabled: the time, for
/// less than a clock costs.
#[inline(never)]
unsafe fn read(state: *mut CpuState, sums: *mut Reading) -> u64 {
    let mut group = Group { read: false, enabled: 0, running: 0, ran: 0 };
    unsafe {
        read_one::<0>(state, sums, &mut group);
        read_one::<1>(state, sums, &mut group);
        read_one::<2>(state, sums, &mut group);
        read_one::<3>(state, sums, &mut group);
        read_one::<4>(state, sums, &mut group);
        read_one::<5>(state, sums, &mut group);
        read_one::<6>(state, sums, &mut group);
        read_one::<7>(state, sums, &mut group);
    }
    group.ran
}

#[inline(always)]
unsafe fn read_one<const INDEX: usize>(state: *mut CpuState, sums: *mut Reading, group: &mut Group) {
    if INDEX >= COUNTERS.load() as usize {
        return;
    }
    let state = unsafe { &mut *state };
    let last = unsafe { &mut *state.last.as_mut_ptr().add(INDEX) };
    let sum = unsafe { &mut *sums.add(INDEX) };
    if LEADERS.load() & (1 << INDEX) != 0 {
        group.read = false;
        if unsafe { read_value::<INDEX>(addr_of_mut!(state.fresh)) } {
            let fresh = &state.fresh;
            if fresh.value < last.value || fresh.enabled < last.enabled || fresh.running < last.running {
                stats::add(|stats| stats.backwards += 1);
            } else {
                group.read = true;
                group.enabled = fresh.enabled - last.enabled;
                group.running = fresh.running - last.running;
                sum.value += fresh.value - last.value;
                sum.enabled += group.enabled;
                sum.running += group.running;
                if INDEX == 0 {
                    group.ran = group.enabled;
                    if group.enabled == 0 {
                        stats::add(|stats| stats.frozen += 1);
                    }
                }
            }
            last.value = fresh.value;
            last.enabled = fresh.enabled;
            last.running = fresh.running;
        }
    } else {
        // One of its leader's group: on the counters when that is, so that its times are the leader's.
        let value = unsafe { bpf_perf_event_read(events::<INDEX>(), BPF_F_CURRENT_CPU) };
        if value >= ERRORS {
            stats::add(|stats| stats.read_failures += 1);
        } else {
            if value < last.value {
                stats::add(|stats| stats.backwards += 1);
            } else if group.read {
                sum.value += value - last.value;
                sum.enabled += group.enabled;
                sum.running += group.running;
            }
            last.value = value;
        }
    }
}

/// The counters were opened, or opened anew: what they show is where counting starts.
#[inline(never)]
unsafe fn baseline(state: *mut CpuState, generation: u32) {
    let state = unsafe { &mut *state };
    state.generation = generation;
    if generation & 1 == 0 {
        unsafe {
            first::<0>(state);
            first::<1>(state);
            first::<2>(state);
            first::<3>(state);
            first::<4>(state);
            first::<5>(state);
            first::<6>(state);
            first::<7>(state);
        }
    }
    let now = unsafe { bpf_ktime_get_ns() };
    if state.used == 0 {
        state.slot_start = slot::began(now);
    }
    state.ticked = now;
    state.accounted = 0;
    stats::add(|stats| stats.baselines += 1);
}

#[inline(always)]
unsafe fn first<const INDEX: usize>(state: &mut CpuState) {
    if INDEX < COUNTERS.load() as usize && unsafe { read_value::<INDEX>(addr_of_mut!(state.fresh)) } {
        let last = unsafe { &mut *state.last.as_mut_ptr().add(INDEX) };
        last.value = state.fresh.value;
        last.enabled = state.fresh.enabled;
        last.running = state.fresh.running;
    }
}

#[inline(always)]
unsafe fn read_value<const INDEX: usize>(into: *mut Reading) -> bool {
    let size = size_of::<Reading>() as u32;
    let into: *mut bpf_perf_event_value = into.cast();
    let done = unsafe { bpf_perf_event_read_value(events::<INDEX>(), BPF_F_CURRENT_CPU, into, size) };
    if done != 0 {
        stats::add(|stats| stats.read_failures += 1);
    }
    done == 0
}
