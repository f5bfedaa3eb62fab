//! The parts of an adjustment, from plain values.

use std::time::Duration;

use super::kinds::DeviceKind;
use crate::api::{
    Hook, LinuxDevice, LinuxDeviceCgroup, LinuxScheduler, LinuxSchedulerFlag, LinuxSchedulerPolicy, Mount,
};

fn texts<T: Into<String>>(texts: impl IntoIterator<Item = T>) -> impl Iterator<Item = String> {
    texts.into_iter().map(Into::into)
}

/// ```
/// use nri_plugin::api::Mount;
///
/// let mount = Mount::bind("/var/lib/models", "/models").read_only();
/// assert_eq!(mount.options, ["rbind", "ro"]);
/// ```
impl Mount {
    /// A mount of this type. Options are those of `mount(8)`.
    pub fn new(r#type: impl Into<String>, source: impl Into<String>, destination: impl Into<String>) -> Self {
        let (destination, source) = (destination.into(), source.into());
        Self { destination, r#type: r#type.into(), source, options: Vec::new() }
    }

    /// A file or directory of the host, with what is mounted below it (`rbind`).
    pub fn bind(source: impl Into<String>, destination: impl Into<String>) -> Self {
        Self::new("bind", source, destination).with_options(["rbind"])
    }

    /// An empty file system in memory; give its limit as an option: `size=64m`.
    pub fn tmpfs(destination: impl Into<String>) -> Self {
        Self::new("tmpfs", "tmpfs", destination).with_options(["nosuid", "nodev"])
    }

    /// Further options. `rshared` and `rslave` ask the runtime to propagate mounts, which it refuses if the source does
    /// not.
    pub fn with_options<T: Into<String>>(mut self, options: impl IntoIterator<Item = T>) -> Self {
        self.options.extend(texts(options));
        self
    }

    /// That the container can't write to it: the option `ro`, in place of `rw`.
    pub fn read_only(mut self) -> Self {
        self.options.retain(|option| !matches!(option.as_str(), "ro" | "rw"));
        self.with_options(["ro"])
    }
}

/// ```
/// use std::time::Duration;
///
/// use nri_plugin::api::Hook;
///
/// let hook = Hook::new("/opt/bin/setup").with_args(["setup", "--fast"]).with_timeout(Duration::from_secs(5));
/// assert_eq!(hook.timeout.map(i64::from), Some(5));
/// ```
impl Hook {
    /// A program by its absolute path; [`HookPoint`](super::HookPoint) says whether of the host or of the container.
    pub fn new(path: impl Into<String>) -> Self {
        Self { path: path.into(), ..Self::default() }
    }

    /// All arguments, the first of which is the name that the program sees as its own (`argv[0]`).
    pub fn with_args<T: Into<String>>(mut self, args: impl IntoIterator<Item = T>) -> Self {
        self.args = texts(args).collect();
        self
    }

    /// A further variable of its environment, which is empty otherwise.
    pub fn with_env(mut self, name: impl AsRef<str>, value: impl AsRef<str>) -> Self {
        self.env.push(format!("{}={}", name.as_ref(), value.as_ref()));
        self
    }

    /// When the runtime ends it, in whole seconds, rounded up.
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        let seconds = timeout.as_secs().saturating_add(u64::from(timeout.subsec_nanos() > 0));
        self.timeout = Some(i64::try_from(seconds).unwrap_or(i64::MAX).into());
        self
    }
}

/// ```
/// use nri_plugin::api::LinuxDevice;
///
/// let device = LinuxDevice::char("/dev/fuse", 10, 229).with_mode(0o660).with_owner(0, 44);
/// assert_eq!(device.gid.map(u32::from), Some(44));
/// ```
impl LinuxDevice {
    fn new(r#type: &str, path: String, major: u32, minor: u32) -> Self {
        Self { path, r#type: r#type.to_owned(), major: major.into(), minor: minor.into(), ..Self::default() }
    }

    /// A character device.
    pub fn char(path: impl Into<String>, major: u32, minor: u32) -> Self {
        Self::new("c", path.into(), major, minor)
    }

    /// A block device.
    pub fn block(path: impl Into<String>, major: u32, minor: u32) -> Self {
        Self::new("b", path.into(), major, minor)
    }

    /// A FIFO.
    pub fn fifo(path: impl Into<String>) -> Self {
        Self::new("p", path.into(), 0, 0)
    }

    /// Its permission bits.
    pub fn with_mode(mut self, mode: u32) -> Self {
        self.file_mode = Some(mode.into());
        self
    }

    /// Its user and group within the container.
    pub fn with_owner(mut self, uid: u32, gid: u32) -> Self {
        (self.uid, self.gid) = (Some(uid.into()), Some(gid.into()));
        self
    }

    /// What the device cgroup lets the container do with a device that an adjustment adds: `rw`, and `m` (mknod) for a
    /// block device, as the runtime's side of NRI gives it.
    pub fn access(&self) -> &'static str {
        if self.r#type == "b" { "rwm" } else { "rw" }
    }
}

/// ```
/// use nri_plugin::adjust::DeviceKind;
/// use nri_plugin::api::LinuxDeviceCgroup;
///
/// // All of /dev/nvidia*.
/// let rule = LinuxDeviceCgroup::allowing(DeviceKind::Char, "rw").with_major(195);
/// assert!(rule.allow && rule.minor.is_none());
/// ```
impl LinuxDeviceCgroup {
    /// Allows `access`, some of `r`, `w` and `m` (mknod), for all numbers of the kind.
    pub fn allowing(kind: DeviceKind, access: impl Into<String>) -> Self {
        Self { allow: true, r#type: kind.into(), access: access.into(), ..Self::default() }
    }

    /// Denies `access` for all numbers of the kind.
    pub fn denying(kind: DeviceKind, access: impl Into<String>) -> Self {
        Self { allow: false, ..Self::allowing(kind, access) }
    }

    /// Only for this major number.
    pub fn with_major(mut self, major: u32) -> Self {
        self.major = Some(i64::from(major).into());
        self
    }

    /// Only for this minor number.
    pub fn with_minor(mut self, minor: u32) -> Self {
        self.minor = Some(i64::from(minor).into());
        self
    }
}

/// Policies of `sched(7)`.
///
/// ```
/// use nri_plugin::api::{LinuxScheduler, LinuxSchedulerFlag};
///
/// let scheduler = LinuxScheduler::fifo(10).with_flags([LinuxSchedulerFlag::SchedFlagResetOnFork]);
/// assert_eq!((scheduler.priority, scheduler.flags.len()), (10, 1));
/// ```
impl LinuxScheduler {
    fn of(policy: LinuxSchedulerPolicy) -> Self {
        Self { policy: policy as i32, ..Self::default() }
    }

    /// The usual one, with a nice value from −20 (first) to 19 (last).
    pub fn other(nice: i32) -> Self {
        Self { nice, ..Self::of(LinuxSchedulerPolicy::SchedOther) }
    }

    /// For work that nobody waits for, with a nice value.
    pub fn batch(nice: i32) -> Self {
        Self { nice, ..Self::of(LinuxSchedulerPolicy::SchedBatch) }
    }

    /// Only what nobody else wants.
    pub fn idle() -> Self {
        Self::of(LinuxSchedulerPolicy::SchedIdle)
    }

    /// Real time, first in, first out, with a priority from 1 to 99 (first).
    pub fn fifo(priority: i32) -> Self {
        Self { priority, ..Self::of(LinuxSchedulerPolicy::SchedFifo) }
    }

    /// Real time, in turns, with a priority from 1 to 99 (first).
    pub fn round_robin(priority: i32) -> Self {
        Self { priority, ..Self::of(LinuxSchedulerPolicy::SchedRr) }
    }

    /// By deadline: `runtime` until `deadline` in each `period`.
    pub fn deadline(runtime: Duration, deadline: Duration, period: Duration) -> Self {
        let nanoseconds = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let (runtime, deadline, period) = (nanoseconds(runtime), nanoseconds(deadline), nanoseconds(period));
        Self { runtime, deadline, period, ..Self::of(LinuxSchedulerPolicy::SchedDeadline) }
    }

    /// Further flags.
    pub fn with_flags(mut self, flags: impl IntoIterator<Item = LinuxSchedulerFlag>) -> Self {
        self.flags.extend(flags.into_iter().map(|flag| flag as i32));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_writable_or_not_but_not_both() {
        let mount = Mount::tmpfs("/t").with_options(["rw", "size=1m"]).read_only().read_only();
        assert_eq!(mount.options, ["nosuid", "nodev", "size=1m", "ro"]);
        assert_eq!((&*mount.r#type, &*mount.source, &*mount.destination), ("tmpfs", "tmpfs", "/t"));
    }

    #[test]
    fn a_timeout_is_never_shorter_than_it_was_asked_for() {
        let seconds = |timeout| Hook::new("/a").with_timeout(timeout).timeout.map(i64::from);
        assert_eq!(seconds(Duration::from_millis(1)), Some(1));
        assert_eq!(seconds(Duration::from_secs(2)), Some(2));
        assert_eq!(seconds(Duration::MAX), Some(i64::MAX));
    }

    #[test]
    fn hooks_devices_and_rules_are_the_messages_that_runtimes_read() {
        let hook = Hook::new("/a").with_args(["a", "b"]).with_env("K", "v=w").with_env("L", "");
        assert_eq!(
            (hook.args, hook.env),
            (vec!["a".to_owned(), "b".to_owned()], vec!["K=v=w".to_owned(), "L=".to_owned()])
        );
        let fifo = LinuxDevice::fifo("/dev/p");
        assert_eq!((&*fifo.r#type, fifo.major, fifo.access()), ("p", 0, "rw"));
        let block = LinuxDevice::block("/dev/b", 8, 1).with_mode(0o600);
        assert_eq!((&*block.r#type, block.major, block.minor, block.access()), ("b", 8, 1, "rwm"));
        assert_eq!(block.file_mode.map(u32::from), Some(0o600));
        let rule = LinuxDeviceCgroup::denying(DeviceKind::All, "rwm").with_major(1).with_minor(2);
        assert_eq!((rule.allow, &*rule.r#type, &*rule.access), (false, "a", "rwm"));
        assert_eq!((rule.major.map(i64::from), rule.minor.map(i64::from)), (Some(1), Some(2)));
    }

    #[test]
    fn each_scheduling_policy_has_its_number_and_its_values() {
        use LinuxSchedulerPolicy as Policy;
        let known = [
            (LinuxScheduler::other(3), Policy::SchedOther, (3, 0)),
            (LinuxScheduler::batch(4), Policy::SchedBatch, (4, 0)),
            (LinuxScheduler::idle(), Policy::SchedIdle, (0, 0)),
            (LinuxScheduler::fifo(5), Policy::SchedFifo, (0, 5)),
            (LinuxScheduler::round_robin(6), Policy::SchedRr, (0, 6)),
        ];
        for (scheduler, policy, values) in known {
            assert_eq!((scheduler.policy(), (scheduler.nice, scheduler.priority)), (policy, values));
        }
        let [runtime, deadline, period] = [1, 2, 3].map(Duration::from_micros);
        let scheduler = LinuxScheduler::deadline(runtime, deadline, period);
        assert_eq!((scheduler.runtime, scheduler.deadline, scheduler.period), (1000, 2000, 3000));
    }
}
