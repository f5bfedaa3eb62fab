//! The programs.

use core::ptr::read_volatile;

use aya_ebpf::{
    Global,
    helpers::{bpf_get_smp_processor_id, bpf_ktime_get_ns},
    macros::{btf_tracepoint, perf_event, raw_tracepoint},
    programs::{BtfTracePointContext, PerfEventContext, RawTracePointContext},
};

use crate::{
    abi::{CpuState, HOOK_PERF_EVENT},
    account::{Why, account},
    config::{
        CGROUP_KN, CGROUP_ROOT, CSS_SET_DFL_CGRP, HOOK, KERNFS_ID, PER_TASK, ROOT_HIERARCHY, TASK_CGROUPS, TASK_PID,
        TASK_TGID, TIMER,
    },
    maps::{STATE, TOMBSTONES},
    stats, tick,
};

/// Every switch of tasks: accounts where the cgroup changes, or where idle time begins or ends, and starts the timers.
#[btf_tracepoint(function = "sched_switch")]
pub fn sched_switch(ctx: BtfTracePointContext) -> i32 {
    let prev: *const u8 = ctx.arg(1);
    let next: *const u8 = ctx.arg(2);
    with_state(|cpu, state| unsafe { switched(cpu, state, prev, next) });
    0
}

#[inline(always)]
unsafe fn switched(cpu: u32, state: *mut CpuState, prev: *const u8, next: *const u8) {
    unsafe {
        let changed = cgroup_of(prev) != cgroup_of(next);
        let idle = field::<i32>(prev, &TASK_PID) == 0;
        let boundary = idle != (field::<i32>(next, &TASK_PID) == 0);
        let arms = TIMER.load() != 0 && (*state).armed == 0;
        let mut why = None;
        if changed {
            why = Some(Why::Left);
            if HOOK.load() == HOOK_PERF_EVENT && (*state).hook_dead == 0 {
                if (*state).expect == 0 {
                    // The perf event's program follows at once.
                    (*state).expect = 1;
                    why = None;
                } else {
                    // It did not run at the change before.
                    (*state).expect = 0;
                    (*state).hook_dead = 1;
                    stats::add(|stats| stats.hook_missed += 1);
                    why = Some(Why::Missed);
                }
            }
        } else if boundary || (PER_TASK.load() != 0 && field::<i32>(prev, &TASK_TGID) != field::<i32>(next, &TASK_TGID))
        {
            why = Some(Why::Left);
        }
        if arms && why.is_none() {
            why = Some(Why::Tick);
        }
        if let Some(why) = why {
            account(cpu, state, why);
        }
        if arms {
            tick::arm(cpu, state);
        }
    }
}

/// The same without knowledge of the kernel's structures: accounts at every switch.
#[raw_tracepoint(tracepoint = "sched_switch")]
pub fn sched_switch_raw(_ctx: RawTracePointContext) -> i32 {
    with_state(|cpu, state| unsafe {
        account(cpu, state, Why::Perhaps);
    });
    0
}

/// A change of cgroup, by the perf event `cgroup-switches`. The current task is the one that leaves.
#[perf_event]
pub fn cgroup_switch(_ctx: PerfEventContext) -> i32 {
    with_state(|cpu, state| unsafe {
        (*state).expect = 0;
        if (*state).hook_dead == 0 {
            account(cpu, state, Why::Left);
        } else {
            // It works again; the tracepoint accounted for this change.
            (*state).hook_dead = 0;
        }
    });
    0
}

/// The tick of kernels without timers for programs: a perf event on the processor's clock.
#[perf_event]
pub fn tick_clock(_ctx: PerfEventContext) -> i32 {
    with_state(|cpu, state| unsafe {
        tick::tick(cpu, state, bpf_ktime_get_ns());
    });
    0
}

/// A cgroup is removed: user space gives its place back later, as tasks may still end in it.
#[btf_tracepoint(function = "cgroup_rmdir")]
pub fn cgroup_rmdir(ctx: BtfTracePointContext) -> i32 {
    let cgroup: *const u8 = ctx.arg(0);
    unsafe {
        // Cgroups of v1 hierarchies are removed here too, and their numbers are their own.
        let root: *const u8 = field(cgroup, &CGROUP_ROOT);
        if field::<i32>(root, &ROOT_HIERARCHY) != 0 {
            return 0;
        }
        let node: *const u8 = field(cgroup, &CGROUP_KN);
        let id: u64 = field(node, &KERNFS_ID);
        if TOMBSTONES.insert(id, bpf_ktime_get_ns(), 0).is_err() {
            stats::add(|stats| stats.tombstones_lost += 1);
        }
    }
    0
}

/// Does nothing: what the others cost is measured against it.
#[btf_tracepoint(function = "sched_switch")]
pub fn nothing(_ctx: BtfTracePointContext) -> i32 {
    0
}

/// The cgroup of a task, as something that can be compared.
#[inline(always)]
unsafe fn cgroup_of(task: *const u8) -> u64 {
    unsafe {
        let set: *const u8 = field(task, &TASK_CGROUPS);
        field(set, &CSS_SET_DFL_CGRP)
    }
}

/// A field of a structure of the running kernel.
#[inline(always)]
unsafe fn field<T: Copy>(of: *const u8, offset: &Global<u32>) -> T {
    unsafe { read_volatile(of.add(offset.load() as usize).cast()) }
}

/// Runs `work` on the state of this processor, unless another program is at it (which only kernels that preempt timers
/// allow).
#[inline(always)]
fn with_state(work: impl FnOnce(u32, *mut CpuState)) {
    let cpu = unsafe { bpf_get_smp_processor_id() };
    let Some(state) = STATE.get_ptr_mut(cpu) else {
        return;
    };
    unsafe {
        if (*state).busy != 0 {
            stats::add(|stats| stats.contended += 1);
            return;
        }
        (*state).busy = 1;
        work(cpu, state);
        (*state).busy = 0;
    }
}
