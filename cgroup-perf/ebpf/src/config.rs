//! What the loader decides before the programs are loaded.
//!
//! The values lie in a frozen read-only map, so that the verifier takes them as constants: branches that they rule out
//! cost nothing, loops over the counters have a known end, and a field's offset in a structure of the running kernel is
//! as good as one that the compiler knew.

use aya_ebpf::Global;

macro_rules! settings {
    ($($(#[$about:meta])* $name:ident: $type:ty = $value:expr;)*) => {
        $($(#[$about])* #[unsafe(no_mangle)] pub static $name: Global<$type> = Global::new($value);)*
    };
}

settings! {
    /// How many counters there are.
    COUNTERS: u32 = 3;
    /// Which of them lead a group, a bit for each: they are read with their times, which hold for the whole group.
    LEADERS: u32 = 1;
    /// The length of a slot in nanoseconds.
    SLOT_NS: u64 = 1_000_000;
    /// Who accounts for changes of cgroup.
    HOOK: u32 = 0;
    /// Records are of processes.
    PER_TASK: u32 = 0;
    /// The tick is a timer's.
    TIMER: u32 = 1;
    /// The first of the timer's modes to try.
    FIRST_MODE: u32 = 0;
    /// The one after the last.
    END_MODE: u32 = 3;
    /// The ticks' time is measured.
    MEASURE: u32 = 0;
    /// The reader is woken where so many bytes wait in the ring.
    WAKE_BYTES: u64 = 65_536;
    /// Offset of `task_struct::pid`.
    TASK_PID: u32 = 0;
    /// Offset of `task_struct::tgid`.
    TASK_TGID: u32 = 0;
    /// Offset of `task_struct::cgroups`.
    TASK_CGROUPS: u32 = 0;
    /// Offset of `css_set::dfl_cgrp`.
    CSS_SET_DFL_CGRP: u32 = 0;
    /// Offset of `cgroup::kn`.
    CGROUP_KN: u32 = 0;
    /// Offset of `cgroup::root`.
    CGROUP_ROOT: u32 = 0;
    /// Offset of `cgroup_root::hierarchy_id`.
    ROOT_HIERARCHY: u32 = 0;
    /// Offset of `kernfs_node::id`.
    KERNFS_ID: u32 = 0;
}
