//! Why a cgroup's events are not counted, and what to change.

use std::{io, path::PathBuf};

use crate::loader::LoadError;

/// Why the events of some cgroups are not counted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WatchError {
    /// An option has a value that cannot be.
    #[error("bad option: {0}")]
    Options(&'static str),
    /// The directory cannot be opened.
    #[error("the cgroup's directory {path} cannot be opened: give one below the mount of the cgroup hierarchy")]
    Open {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The path is no cgroup's.
    #[error("{path} is no directory of a cgroup hierarchy: give one below its mount, most often /sys/fs/cgroup")]
    NotACgroup {
        /// The path.
        path: PathBuf,
    },
    /// The cgroup is of a hierarchy that the kernel's perf events do not follow.
    #[error(
        "{path} is not of the hierarchy that has the perf_event controller (see /proc/cgroups: 0 is cgroup2): give the \
         cgroup's directory there"
    )]
    OtherHierarchy {
        /// The path.
        path: PathBuf,
    },
    /// The cgroup was removed.
    #[error("the cgroup {path} was removed: leave it out")]
    Removed {
        /// The path.
        path: PathBuf,
    },
    /// More files would be open than this process may have.
    #[error(
        "{needed} files are needed (one for each cgroup, processor and counter, and some more), {open} are open, and the \
         limit is {limit}: raise RLIMIT_NOFILE to at least {}, watch fewer cgroups, or count fewer events",
        needed.saturating_add(*open)
    )]
    FileLimit {
        /// How many are needed.
        needed: u64,
        /// How many are open already.
        open: u64,
        /// The limit.
        limit: u64,
    },
    /// Files ran out all the same: another thread opened some, or the whole system has too many.
    #[error("too many open files: raise RLIMIT_NOFILE, or fs.file-max of the whole system")]
    Files(#[source] io::Error),
    /// Counters are refused.
    #[error(
        "perf_event_open is refused: the process needs CAP_PERFMON (or CAP_SYS_ADMIN), or kernel.perf_event_paranoid \
         is above what the distribution lets it do"
    )]
    Rights(#[source] io::Error),
    /// The kernel counts by processor, and not by cgroup.
    #[error("the kernel counts no events of cgroups: build it with CONFIG_CGROUP_PERF, or count by `CgroupPerf`")]
    NoCgroupPerf(#[source] io::Error),
    /// None of the counters can be had.
    #[error(transparent)]
    Counters(LoadError),
    /// The kernel's list of processors cannot be read.
    #[error("cannot read which processors there are")]
    Cpus(#[source] io::Error),
    /// The kernel refuses an event for another reason.
    #[error("the event {event} of {path} cannot be opened on processor {cpu}")]
    Event {
        /// The event.
        event: String,
        /// The cgroup.
        path: PathBuf,
        /// The processor.
        cpu: u32,
        /// Why.
        #[source]
        source: io::Error,
    },
}
