//! The tick: it ends slots.

use core::ffi::c_void;

use aya_ebpf::{
    bindings::bpf_timer,
    helpers::{
        bpf_get_smp_processor_id, bpf_ktime_get_ns,
        generated::{bpf_timer_init, bpf_timer_set_callback, bpf_timer_start},
    },
};
use aya_log_ebpf::{info, warn};

use crate::{
    abi::{ARMED, CpuState, NO_TIMER, TIMER_FAILED, TIMER_MODES},
    account::{Why, account},
    config::{END_MODE, FIRST_MODE, MEASURE, SLOT_NS},
    maps::{STATE, TIMERS, Timer},
    slot, stats,
};

const CLOCK_MONOTONIC: u64 = 1;
const BPF_F_TIMER_ABS: u64 = 1;
const BPF_F_TIMER_CPU_PIN: u64 = 2;
const EINVAL: i64 = 22;
const EBUSY: i64 = 16;

/// What both kinds of tick do. Says whether the processor is idle, and was for the whole slot.
#[inline(always)]
pub unsafe fn tick(cpu: u32, state: *mut CpuState, now: u64) -> bool {
    let idle = unsafe { account(cpu, state, Why::Tick) };
    let records = unsafe { slot::close(cpu, &mut *state, now) };
    let time = if MEASURE.load() != 0 { (unsafe { bpf_ktime_get_ns() }) - now } else { 0 };
    stats::add(|stats| {
        stats.ticks += 1;
        stats.tick_time += time;
        if time > stats.tick_longest {
            stats.tick_longest = time;
        }
    });
    idle && records == 0
}

/// Starts this processor's timer, in the first mode that the kernel takes.
#[inline(never)]
pub unsafe fn arm(cpu: u32, state: *mut CpuState) {
    let Some(timer) = TIMERS.get_ptr_mut(cpu) else {
        return;
    };
    let state = unsafe { &mut *state };
    let timer: *mut bpf_timer = timer.cast();
    let first = state.timer_ready == 0;
    if first {
        let map = (&raw const TIMERS).cast_mut().cast();
        let done = unsafe { bpf_timer_init(timer, map, CLOCK_MONOTONIC) };
        if done != 0 && done != -EBUSY {
            return failed(state, done);
        }
        let done = unsafe { bpf_timer_set_callback(timer, on_timer as *mut c_void) };
        if done != 0 {
            return failed(state, done);
        }
        state.timer_ready = 1;
        state.mode = FIRST_MODE.load();
    }
    let now = unsafe { bpf_ktime_get_ns() };
    let mut mode = state.mode;
    let mut tries = 0;
    while tries < TIMER_MODES {
        if mode >= END_MODE.load() {
            break;
        }
        let done = unsafe { start(timer, mode, now) };
        if done == 0 {
            // The idle time before is nobody's: a slot starts here.
            if state.used == 0 {
                state.slot_start = slot::began(now);
            }
            state.ticked = now;
            state.accounted = 0;
            state.armed = ARMED;
            if first {
                info!(&(), "processor {}: the timer runs in mode {}", cpu, mode);
            }
            state.mode = mode;
            stats::add(|stats| {
                stats.arms += 1;
                stats.timer_mode = u64::from(mode) + 1;
            });
            return;
        }
        stats::add(|stats| stats.timer_error = done.unsigned_abs());
        if done != -EINVAL {
            return failed(state, done);
        }
        mode += 1;
        tries += 1;
    }
    failed(state, -EINVAL);
}

#[inline(always)]
fn failed(state: &mut CpuState, error: i64) {
    state.armed = NO_TIMER;
    stats::add(|stats| {
        stats.timer_error = error.unsigned_abs();
        stats.timer_mode = TIMER_FAILED;
    });
    warn!(&(), "no timer: error {}", error);
}

#[inline(always)]
unsafe fn start(timer: *mut bpf_timer, mode: u32, now: u64) -> i64 {
    let next = slot::began(now) + SLOT_NS.load();
    let (when, flags) = match mode {
        0 => (next, BPF_F_TIMER_ABS | BPF_F_TIMER_CPU_PIN),
        1 => (next, BPF_F_TIMER_ABS),
        // From now to the next multiple: the lateness of this tick does not add to the next one's.
        _ => (next - now, 0),
    };
    unsafe { bpf_timer_start(timer, when, flags) }
}

/// A timer's tick.
extern "C" fn on_timer(_map: *mut c_void, key: *mut u32, value: *mut Timer) -> i64 {
    let now = unsafe { bpf_ktime_get_ns() };
    let cpu = unsafe { bpf_get_smp_processor_id() };
    let owner = unsafe { *key };
    let Some(state) = STATE.get_ptr_mut(owner) else {
        return 0;
    };
    if owner != cpu {
        // It was moved, as timers are that are not pinned, or whose processor went away. The processor that it belongs
        // to starts it again at its next switch.
        unsafe { (*state).armed = 0 };
        stats::add(|stats| stats.strayed += 1);
        return 0;
    }
    unsafe {
        let mode = (*state).mode;
        if (*state).busy != 0 {
            stats::add(|stats| stats.contended += 1);
            start(value.cast(), mode, now);
            return 0;
        }
        (*state).busy = 1;
        if tick(cpu, state, now) {
            // Whoever ends the idle time starts the timer.
            (*state).armed = 0;
        } else {
            let started = start(value.cast(), mode, now);
            if started != 0 {
                (*state).armed = 0;
                stats::add(|stats| stats.timer_error = started.unsigned_abs());
            }
        }
        (*state).busy = 0;
    }
    0
}
