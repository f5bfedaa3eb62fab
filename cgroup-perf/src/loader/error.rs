//! Why nothing is counted, and what to change.

use std::{fs, io};

use aya::{EbpfError, maps::MapError, programs::ProgramError};

use crate::btf::BtfError;

/// Why the programs are not in the kernel.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// An option has a value that cannot be.
    #[error("bad option: {0}")]
    Options(&'static str),
    /// The kernel's list of processors cannot be read.
    #[error("cannot read which processors there are")]
    Cpus(#[source] io::Error),
    /// None of the counters can be opened.
    #[error("no counter can be opened ({0}); allow the software fallback, or choose other events")]
    NoCounters(String),
    /// Counters are refused.
    #[error(
        "perf_event_open is refused: the process needs CAP_PERFMON (or CAP_SYS_ADMIN), or kernel.perf_event_paranoid \
         is above what the distribution lets it do"
    )]
    PerfRights(#[source] io::Error),
    /// Too many files are open.
    #[error("too many open files: raise the limit (RLIMIT_NOFILE) to at least one for each counter and processor")]
    FileLimit(#[source] io::Error),
    /// A counter that one processor opened cannot be put where the programs read it.
    #[error("cannot put the counter {event} of processor {cpu} into the map")]
    SetCounter {
        /// The counter.
        event: String,
        /// The processor.
        cpu: u32,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The process may not load programs.
    #[error("bpf() is refused: {0}")]
    Rights(String),
    /// The kernel has no programs.
    #[error("the kernel has no bpf(): build it with CONFIG_BPF_SYSCALL and CONFIG_BPF_EVENTS")]
    NoBpf,
    /// The chosen hook needs type information.
    #[error("the chosen hook needs the kernel's type information; choose another, or Auto")]
    NoBtf(#[source] BtfError),
    /// The perf event `cgroup-switches` follows another hierarchy.
    #[error(
        "the perf_event controller is mounted on a cgroup v1 hierarchy, so that the event cgroup-switches follows that \
         one; choose the hook SchedSwitch"
    )]
    PerfEventOnV1,
    /// The object is not what this crate loads.
    #[error("the object cannot be loaded")]
    Object(#[source] Box<EbpfError>),
    /// The object lacks a part.
    #[error("the object has no {0}: build it from the sources of this version")]
    Incomplete(&'static str),
    /// The kernel refuses a program.
    #[error("the kernel refuses the program {name}")]
    Program {
        /// The program.
        name: &'static str,
        /// Why, with the verifier's words.
        #[source]
        source: Box<ProgramError>,
    },
    /// A map cannot be used.
    #[error("the map {name} cannot be used")]
    Map {
        /// The map.
        name: &'static str,
        /// Why.
        #[source]
        source: Box<MapError>,
    },
    /// The chosen timer is not to be had.
    #[error(
        "the kernel does not take the chosen timer (error {0}): absolute and pinned ones need Linux 6.7, absolute ones \
         6.4, relative ones 5.15, and all of them the tracepoint with type information; choose Auto"
    )]
    Timer(u64),
    /// No switch was seen on some processor, so that no timer was started.
    #[error("no timer started on processor {0} within two seconds")]
    TimerNotStarted(u32),
}

impl LoadError {
    pub(super) fn object(error: EbpfError) -> Self {
        match io_error(&error).map(io::Error::raw_os_error) {
            Some(Some(libc::EPERM | libc::EACCES)) => Self::Rights(rights()),
            Some(Some(libc::ENOSYS)) => Self::NoBpf,
            Some(Some(limit @ (libc::EMFILE | libc::ENFILE))) => Self::FileLimit(io::Error::from_raw_os_error(limit)),
            _ => Self::Object(Box::new(error)),
        }
    }

    pub(super) fn program(name: &'static str, error: ProgramError) -> Self {
        Self::refused_program(name, error, has_rights(), &lockdown())
    }

    fn refused_program(name: &'static str, error: ProgramError, has_rights: bool, lockdown: &str) -> Self {
        let number = io_error(&error).and_then(io::Error::raw_os_error);
        // A kernel that is locked down has no function to read its memory with, and the verifier says only that.
        let locked_down = lockdown.contains(CONFIDENTIAL) && number == Some(libc::EINVAL);
        if (number == Some(libc::EPERM) && !has_rights) || locked_down {
            return Self::Rights(rights());
        }
        if io_error(&error).is_some_and(|error| error.raw_os_error() == Some(libc::EMFILE)) {
            return Self::FileLimit(io::Error::from_raw_os_error(libc::EMFILE));
        }
        Self::Program { name, source: Box::new(error) }
    }

    /// The refusal of a program, where it is for the timer in it.
    pub(super) fn of_timer(self) -> Self {
        match &self {
            Self::Program { source, .. } => match io_error(source.as_ref()).and_then(io::Error::raw_os_error) {
                Some(number @ (libc::EOPNOTSUPP | libc::EINVAL)) => Self::Timer(u64::from(number.unsigned_abs())),
                _ => self,
            },
            _ => self,
        }
    }

    pub(super) fn map(name: &'static str, error: MapError) -> Self {
        Self::Map { name, source: Box::new(error) }
    }
}

/// The system's error at the bottom of another.
fn io_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a io::Error> {
    let mut error = Some(error);
    while let Some(this) = error {
        if let Some(found) = this.downcast_ref() {
            return Some(found);
        }
        error = this.source();
    }
    None
}

/// How `lockdown` says that programs may not read the kernel.
const CONFIDENTIAL: &str = "[confidentiality]";

const CAP_SYS_ADMIN: u64 = 1 << 21;
const CAP_PERFMON: u64 = 1 << 38;
const CAP_BPF: u64 = 1 << 39;

fn effective(status: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(value.trim(), 16).ok()
}

/// Which capabilities a process with these lacks.
fn missing(effective: u64) -> Vec<&'static str> {
    if effective & CAP_SYS_ADMIN != 0 {
        return Vec::new();
    }
    [("CAP_BPF", CAP_BPF), ("CAP_PERFMON", CAP_PERFMON)]
        .into_iter()
        .filter(|(_, bit)| effective & bit == 0)
        .map(|(name, _)| name)
        .collect()
}

fn has_rights() -> bool {
    fs::read_to_string("/proc/thread-self/status")
        .ok()
        .as_deref()
        .and_then(effective)
        .is_none_or(|caps| missing(caps).is_empty())
}

fn rights() -> String {
    let status = fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    explain(effective(&status), &lockdown())
}

/// How the kernel is locked down, the present state in brackets. Nothing where that is not said.
fn lockdown() -> String {
    fs::read_to_string("/sys/kernel/security/lockdown").unwrap_or_default()
}

fn explain(effective: Option<u64>, lockdown: &str) -> String {
    let lacking = effective.map(missing).unwrap_or_default();
    if !lacking.is_empty() {
        return format!("the process lacks {} (or CAP_SYS_ADMIN)", lacking.join(" and "));
    }
    if lockdown.contains(CONFIDENTIAL) {
        return "the kernel is locked down for confidentiality, so that no program may read it; boot it with \
                lockdown=integrity or less"
            .to_owned();
    }
    "the process has the capabilities: a security module or a seccomp filter stands in the way".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_missing_capability_is_named() {
        assert_eq!(effective("Name:\ta\nCapEff:\t000001ffffffffff\n"), Some(0x1ff_ffff_ffff));
        assert!(explain(Some(0), "").contains("CAP_BPF and CAP_PERFMON"));
        assert!(explain(Some(CAP_BPF), "").contains("lacks CAP_PERFMON "));
        assert!(explain(Some(CAP_SYS_ADMIN), "none integrity [confidentiality]").contains("locked down"));
        assert!(explain(Some(CAP_BPF | CAP_PERFMON), "[none] integrity confidentiality").contains("seccomp"));
    }

    fn refusal(number: i32) -> aya::sys::SyscallError {
        aya::sys::SyscallError { call: "bpf", io_error: io::Error::from_raw_os_error(number) }
    }

    #[test]
    fn a_kernel_without_programs_or_their_parts_is_named() {
        let object = |number| LoadError::object(EbpfError::MapError(refusal(number).into()));
        assert!(object(libc::ENOSYS).to_string().contains("CONFIG_BPF_SYSCALL"));
        assert!(matches!(object(libc::EMFILE), LoadError::FileLimit(_)));
        assert!(matches!(object(libc::EINVAL), LoadError::Object(_)));
        // Kernels before 5.15 refuse a program with a timer in it, and real-time ones do.
        for number in [libc::EINVAL, libc::EOPNOTSUPP] {
            let refused = LoadError::refused_program("sched_switch", refusal(number).into(), true, "").of_timer();
            assert!(matches!(&refused, LoadError::Timer(_)), "{refused:?}");
            assert!(refused.to_string().contains("relative ones 5.15"), "{refused}");
        }
    }

    #[test]
    fn a_refused_program_says_whose_the_fault_is() {
        let program = |number, has_rights, lockdown: &str| {
            LoadError::refused_program("sched_switch", ProgramError::from(refusal(number)), has_rights, lockdown)
        };
        assert!(matches!(program(libc::EPERM, false, ""), LoadError::Rights(_)));
        assert!(matches!(program(libc::EPERM, true, ""), LoadError::Program { .. }));
        assert!(matches!(program(libc::EMFILE, true, ""), LoadError::FileLimit(_)));
        assert!(matches!(program(libc::EINVAL, true, "none [integrity] confidentiality"), LoadError::Program { .. }));
        assert!(matches!(program(libc::EINVAL, true, "none integrity [confidentiality]"), LoadError::Rights(_)));
    }

    #[test]
    fn the_system_error_is_found_below_others() {
        let error = MapError::from(aya::sys::SyscallError {
            call: "bpf_map_create",
            io_error: io::Error::from_raw_os_error(libc::EPERM),
        });
        let error = EbpfError::MapError(error);
        assert_eq!(io_error(&error).unwrap().raw_os_error(), Some(libc::EPERM));
        assert!(matches!(LoadError::object(error), LoadError::Rights(_)));
    }
}
