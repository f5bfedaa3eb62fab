//! Names that the protocol has as texts, as types that can't be misspelt.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// No value of a kind has this name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{value:?} is no {kind}: give one of {}", known.join(", "))]
pub struct UnknownName {
    kind: &'static str,
    value: String,
    known: &'static [&'static str],
}

macro_rules! named {
    ($(#[$doc:meta])* $name:ident, $kind:literal: $($(#[$variant_doc:meta])* $variant:ident = $text:literal),+ $(,)?) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name {
            $($(#[$variant_doc])* $variant),+
        }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The name in the protocol, which is that of the OCI runtime specification.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text),+
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.as_str().to_owned()
            }
        }

        /// By the exact name.
        impl FromStr for $name {
            type Err = UnknownName;

            fn from_str(text: &str) -> Result<Self, UnknownName> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err(UnknownName { kind: $kind, value: text.to_owned(), known: &[$($text),+] }),
                }
            }
        }
    };
}

named! {
    /// A kind of Linux namespace.
    Namespace, "kind of namespace":
    /// What cgroups the container sees.
    Cgroup = "cgroup",
    /// System V IPC and POSIX message queues.
    Ipc = "ipc",
    /// Mounts.
    Mount = "mount",
    /// Network devices, addresses, routes, ports.
    Network = "network",
    /// Process ids.
    Pid = "pid",
    /// Clock offsets.
    Time = "time",
    /// Users and groups.
    User = "user",
    /// Host and domain name.
    Uts = "uts",
}

named! {
    /// When in a container's life an OCI hook runs.
    HookPoint, "point for a hook":
    /// After the namespaces are there, before the process starts; in the runtime's namespaces. Deprecated by OCI in
    /// favour of the three that follow.
    Prestart = "prestart",
    /// As the container is created; in the runtime's namespaces.
    CreateRuntime = "createRuntime",
    /// As the container is created, before `pivot_root`; in the container's namespaces, by a path of the host.
    CreateContainer = "createContainer",
    /// Right before the process starts; in the container's namespaces, by a path of the container.
    StartContainer = "startContainer",
    /// After the process started; in the runtime's namespaces.
    Poststart = "poststart",
    /// After the container was deleted; in the runtime's namespaces.
    Poststop = "poststop",
}

named! {
    /// A resource limit of `setrlimit(2)`.
    Rlimit, "resource limit":
    /// Bytes of address space.
    As = "RLIMIT_AS",
    /// Bytes of a core dump.
    Core = "RLIMIT_CORE",
    /// Seconds of CPU time.
    Cpu = "RLIMIT_CPU",
    /// Bytes of the data segment.
    Data = "RLIMIT_DATA",
    /// Bytes of a file that is written.
    Fsize = "RLIMIT_FSIZE",
    /// File locks; without effect since Linux 2.4.25.
    Locks = "RLIMIT_LOCKS",
    /// Bytes of locked memory.
    Memlock = "RLIMIT_MEMLOCK",
    /// Bytes in POSIX message queues.
    Msgqueue = "RLIMIT_MSGQUEUE",
    /// 20 less the lowest nice value.
    Nice = "RLIMIT_NICE",
    /// Open files.
    Nofile = "RLIMIT_NOFILE",
    /// Processes and threads of the user.
    Nproc = "RLIMIT_NPROC",
    /// Resident pages; without effect since Linux 2.4.30.
    Rss = "RLIMIT_RSS",
    /// The highest real-time priority.
    Rtprio = "RLIMIT_RTPRIO",
    /// Microseconds of real-time CPU without a blocking call.
    Rttime = "RLIMIT_RTTIME",
    /// Pending signals.
    Sigpending = "RLIMIT_SIGPENDING",
    /// Bytes of the main thread's stack.
    Stack = "RLIMIT_STACK",
}

named! {
    /// What a rule of the device cgroup is about.
    DeviceKind, "kind of device":
    /// All devices.
    All = "a",
    /// Block devices.
    Block = "b",
    /// Character devices.
    Char = "c",
}

named! {
    /// What seccomp does with a system call.
    SeccompAction, "seccomp action":
    /// The thread is killed; the older name of `KillThread`.
    Kill = "SCMP_ACT_KILL",
    /// The process is killed.
    KillProcess = "SCMP_ACT_KILL_PROCESS",
    /// The thread is killed.
    KillThread = "SCMP_ACT_KILL_THREAD",
    /// The thread gets SIGSYS.
    Trap = "SCMP_ACT_TRAP",
    /// The call fails with an errno.
    Errno = "SCMP_ACT_ERRNO",
    /// A tracer is told, with a number.
    Trace = "SCMP_ACT_TRACE",
    /// The call is allowed.
    Allow = "SCMP_ACT_ALLOW",
    /// The call is allowed and logged.
    Log = "SCMP_ACT_LOG",
    /// A process at the listener decides.
    Notify = "SCMP_ACT_NOTIFY",
}

named! {
    /// How seccomp compares an argument.
    SeccompOperator, "seccomp operator":
    /// Other than the value.
    Ne = "SCMP_CMP_NE",
    /// Less than the value.
    Lt = "SCMP_CMP_LT",
    /// The value or less.
    Le = "SCMP_CMP_LE",
    /// The value.
    Eq = "SCMP_CMP_EQ",
    /// The value or more.
    Ge = "SCMP_CMP_GE",
    /// More than the value.
    Gt = "SCMP_CMP_GT",
    /// The argument, masked by the value, is the second value.
    MaskedEq = "SCMP_CMP_MASKED_EQ",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written_and_nothing_else_is() {
        for kind in Rlimit::ALL {
            assert_eq!(kind.to_string().parse(), Ok(*kind));
        }
        let error = "net".parse::<Namespace>().unwrap_err().to_string();
        assert_eq!(
            error,
            "\"net\" is no kind of namespace: give one of cgroup, ipc, mount, network, pid, time, user, uts"
        );
        assert!("rlimit_cpu".parse::<Rlimit>().is_err());
    }
}
