//! The records of a slot: where a cgroup's is, and how it is handed over.

use core::ptr::addr_of_mut;

use aya_ebpf::{
    bindings::BPF_NOEXIST,
    helpers::{
        bpf_get_current_comm,
        generated::{bpf_map_update_elem, bpf_ringbuf_output, bpf_ringbuf_query},
    },
};

use crate::{
    abi::{CpuState, MAX_COUNTERS, PROBES, Reading, Record, SLOT_RECORDS, Sums, record_size},
    config::{COUNTERS, PER_TASK, SLOT_NS, WAKE_BYTES},
    maps::{CONTROL, RING, TOTALS},
    stats,
};

const BPF_RB_NO_WAKEUP: u64 = 1;
const BPF_RB_FORCE_WAKEUP: u64 = 2;
const BPF_RB_AVAIL_DATA: u64 = 0;
const EEXIST: i64 = 17;

/// When the slot began in which `now` is.
#[inline(always)]
pub fn began(now: u64) -> u64 {
    // The loader lets no slot be that short; the compiler does not know.
    now - now.checked_rem(SLOT_NS.load()).unwrap_or(0)
}

/// The place of the cgroup's record in this slot, which is made where there is none. Where all places that it may have
/// are taken, the first of them is handed over.
#[inline(always)]
pub unsafe fn place(cpu: u32, state: &mut CpuState, cgroup: u64, pid: u32) -> usize {
    let hash = (cgroup ^ (u64::from(pid) << 32)).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 58;
    let records = state.records.as_mut_ptr();
    let mut probe = 0;
    while probe < PROBES as u64 {
        let place = ((hash + probe) & (SLOT_RECORDS as u64 - 1)) as usize;
        let record = unsafe { &mut *records.add(place) };
        if record.cgroup == cgroup && record.pid == pid {
            return place;
        }
        if record.cgroup == 0 {
            let used = state.used as usize & (SLOT_RECORDS - 1);
            unsafe { *state.order.as_mut_ptr().add(used) = place as u8 };
            state.used += 1;
            unsafe { take(record, cpu, state.slot_start, cgroup, pid) };
            return place;
        }
        probe += 1;
    }
    let place = hash as usize & (SLOT_RECORDS - 1);
    let record = unsafe { &mut *records.add(place) };
    stats::add(|stats| stats.early += 1);
    unsafe {
        hand_over(record, cpu, 0, BPF_RB_NO_WAKEUP);
        take(record, cpu, state.slot_start, cgroup, pid);
    }
    place
}

#[inline(always)]
unsafe fn take(record: &mut Record, cpu: u32, start: u64, cgroup: u64, pid: u32) {
    record.start = start;
    record.cgroup = cgroup;
    record.cpu = cpu;
    record.pid = pid;
    if PER_TASK.load() != 0
        && let Ok(comm) = bpf_get_current_comm()
    {
        record.comm = comm;
    }
    record.sums.ran = 0;
    record.sums.switches = 0;
    let counters = COUNTERS.load() as usize;
    let mut index = 0;
    while index < MAX_COUNTERS {
        if index >= counters {
            break;
        }
        let sum = unsafe { &mut *record.sums.counters.as_mut_ptr().add(index) };
        sum.value = 0;
        sum.enabled = 0;
        sum.running = 0;
        index += 1;
    }
}

/// Ends the slot at the last multiple of its length, unless that has not come yet. Gives the number of records.
#[inline(always)]
pub unsafe fn close(cpu: u32, state: &mut CpuState, now: u64) -> u32 {
    let slot = SLOT_NS.load();
    let end = began(now);
    let used = state.used;
    if end > state.slot_start {
        if end - state.slot_start > slot {
            let slots = (end - state.slot_start).checked_div(slot).unwrap_or(1);
            stats::add(|stats| stats.late += slots - 1);
        }
        let ring = (&raw const RING).cast_mut().cast();
        let waiting = unsafe { bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA) };
        let flags = if waiting > WAKE_BYTES.load() { BPF_RB_FORCE_WAKEUP } else { BPF_RB_NO_WAKEUP };
        let mut index = 0;
        while index < SLOT_RECORDS {
            if index >= used as usize {
                break;
            }
            let place = unsafe { *state.order.as_ptr().add(index) } as usize & (SLOT_RECORDS - 1);
            unsafe {
                hand_over(state.records.as_mut_ptr().add(place), cpu, end, flags);
            }
            index += 1;
        }
        state.used = 0;
        state.slot_start = end;
    }
    state.ticked = now;
    state.accounted = 0;
    used
}

/// Adds a record to the totals, sends it, and frees its place.
#[inline(never)]
unsafe fn hand_over(record: *mut Record, cpu: u32, end: u64, flags: u64) {
    let record = unsafe { &mut *record };
    record.end = end;
    let emit = CONTROL.get_ptr(cpu).is_some_and(|control| unsafe { (*control).emit } != 0);
    if emit {
        let ring = (&raw const RING).cast_mut().cast();
        let size = record_size(COUNTERS.load() as usize) as u64;
        let from: *mut Record = record;
        if unsafe { bpf_ringbuf_output(ring, from.cast(), size, flags) } != 0 {
            stats::add(|stats| stats.lost += 1);
        }
    }
    if !unsafe { total(record) } {
        let ran = record.sums.ran;
        stats::add(|stats| {
            stats.insert_failures += 1;
            stats.unplaced += ran;
        });
    }
    record.cgroup = 0;
}

#[inline(always)]
unsafe fn total(record: &mut Record) -> bool {
    if unsafe { add_to_total(record) } {
        return true;
    }
    // What is beyond the configured counters is zero in every place, as nothing writes there.
    let done = unsafe {
        bpf_map_update_elem(
            (&raw const TOTALS).cast_mut().cast(),
            addr_of_mut!(record.cgroup).cast(),
            addr_of_mut!(record.sums).cast(),
            u64::from(BPF_NOEXIST),
        )
    };
    // Another processor was first: this one's part of it is there now.
    done == 0 || (done == -EEXIST && unsafe { add_to_total(record) })
}

#[inline(always)]
unsafe fn add_to_total(record: &Record) -> bool {
    let Some(total) = TOTALS.get_ptr_mut(record.cgroup) else {
        return false;
    };
    let total: &mut Sums = unsafe { &mut *total };
    total.ran += record.sums.ran;
    total.switches += record.sums.switches;
    let counters = COUNTERS.load() as usize;
    let mut index = 0;
    while index < MAX_COUNTERS {
        if index >= counters {
            break;
        }
        let sum: &mut Reading = unsafe { &mut *total.counters.as_mut_ptr().add(index) };
        let part: &Reading = unsafe { &*record.sums.counters.as_ptr().add(index) };
        sum.value += part.value;
        sum.enabled += part.enabled;
        sum.running += part.running;
        index += 1;
    }
    true
}
