//! The maps. Those by processor are indexed by its number, and sized by the loader.

use core::ffi::c_void;

use aya_ebpf::{
    bindings::bpf_timer,
    btf_maps,
    macros::{btf_map, map},
    maps::{Array, HashMap, PerCpuArray, PerCpuHashMap, PerfEventArray, RingBuf},
};

use crate::abi::{Control, CpuState, Stats, Sums};

/// The flag that keeps a counter in its map when the file descriptor that put them there is closed.
const BPF_F_PRESERVE_ELEMS: u32 = 1 << 11;

/// The state of each processor. Apart from [`TIMERS`], as programs on perf events may not use a map with a timer.
#[map]
pub static STATE: Array<CpuState> = Array::with_max_entries(1, 0);

/// What user space tells each processor.
#[map]
pub static CONTROL: Array<Control> = Array::with_max_entries(1, 0);

/// The counters, a map for each, as aya gives such a map no more places than there are processors.
macro_rules! events {
    ($($name:ident)*) => {
        $(#[map] static $name: PerfEventArray<u32> = PerfEventArray::new(BPF_F_PRESERVE_ELEMS);)*

        /// The map of a counter.
        #[inline(always)]
        pub fn events<const INDEX: usize>() -> *mut c_void {
            let maps = [$((&raw const $name).cast_mut().cast()),*];
            maps[INDEX]
        }
    };
}

events!(EVENTS_0 EVENTS_1 EVENTS_2 EVENTS_3 EVENTS_4 EVENTS_5 EVENTS_6 EVENTS_7);

/// What was counted since the start, by cgroup.
#[map]
pub static TOTALS: PerCpuHashMap<u64, Sums> = PerCpuHashMap::with_max_entries(2048, 0);

/// The ids of removed cgroups, and when they were.
#[map]
pub static TOMBSTONES: HashMap<u64, u64> = HashMap::with_max_entries(8192, 0);

/// What each processor's programs noticed.
#[map]
pub static STATS: PerCpuArray<Stats> = PerCpuArray::with_max_entries(1, 0);

/// Records of slots.
#[map]
pub static RING: RingBuf = RingBuf::with_byte_size(1 << 20, 0);

/// A processor's timer.
#[repr(C)]
pub struct Timer {
    pub timer: bpf_timer,
}

/// The timers of each processor.
#[btf_map]
pub static TIMERS: btf_maps::Array<Timer, 1, 0> = btf_maps::Array::new();
