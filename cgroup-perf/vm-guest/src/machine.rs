//! The machine: mounts, processors, and its end.

use std::fs;

use anyhow::{Context, Result};
use rustix::{
    mount::{MountFlags, mount},
    system::{RebootCommand, reboot},
    time::{ClockId, clock_gettime},
};

/// Mounts what the crate needs, and no more: no tracefs, no bpffs.
pub(crate) fn mount_all() -> Result<()> {
    for (kind, at) in [("proc", "/proc"), ("sysfs", "/sys"), ("cgroup2", "/sys/fs/cgroup")] {
        mount(kind, at, kind, MountFlags::empty(), None).with_context(|| format!("{at} cannot be mounted"))?;
    }
    Ok(())
}

/// The kernel's version.
pub(crate) fn kernel() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

/// Milliseconds since the start.
pub(crate) fn uptime() -> i64 {
    let time = clock_gettime(ClockId::Boottime);
    time.tv_sec * 1_000 + time.tv_nsec / 1_000_000
}

/// Turns a processor on or off.
pub(crate) fn set_online(cpu: usize, on: bool) -> Result<()> {
    let file = format!("/sys/devices/system/cpu/cpu{cpu}/online");
    fs::write(&file, if on { "1" } else { "0" }).with_context(|| format!("{file} cannot be written"))
}

/// Ends the machine.
pub(crate) fn power_off() {
    if let Err(error) = reboot(RebootCommand::PowerOff) {
        eprintln!("the machine does not end: {error}");
    }
}
