//! The crate's only unsafe code: two system calls that no library offers safely, and the marks that let plain values
//! pass to and from the kernel's maps.
#![allow(unsafe_code, reason = "each block has its argument beside it")]

use std::{
    io,
    os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd},
};

use aya::{
    Pod,
    maps::{MapData, RingBuf},
};
use aya_obj::generated::{bpf_attr, bpf_cmd, perf_event_attr};

use tokio::io::{Interest, unix::AsyncFd};

use crate::abi::{Control, Stats, Sums};

// SAFETY: the three are `repr(C)` and made of `u64` and `u32` alone, without padding (their sizes are asserted in
// `abi`), so that every pattern of bytes is a value, and every value a pattern of initialised bytes.
unsafe impl Pod for Control {}
// SAFETY: as above.
unsafe impl Pod for Stats {}
// SAFETY: as above.
unsafe impl Pod for Sums {}

/// `PERF_FLAG_PID_CGROUP`.
const PERF_FLAG_PID_CGROUP: libc::c_ulong = 4;
/// `PERF_FLAG_FD_CLOEXEC`.
const PERF_FLAG_FD_CLOEXEC: libc::c_ulong = 8;
/// `PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING`.
const READ_FORMAT: u64 = 3;
/// `PERF_EVENT_IOC_ENABLE`.
const PERF_EVENT_IOC_ENABLE: libc::c_ulong = 0x2400;

/// Opens a counter of what runs on one processor, all of it or a cgroup's: alone and stopped, or in the group of `leader`,
/// with which it counts.
///
/// # Errors
///
/// The kernel's.
pub(crate) fn perf_event_open(
    kind: u32,
    config: u64,
    config1: u64,
    cpu: u32,
    leader: Option<&OwnedFd>,
    cgroup: Option<&OwnedFd>,
) -> io::Result<OwnedFd> {
    // SAFETY: the structure is made of integers, and of unions of integers: all zeros is a value of it.
    let mut attributes: perf_event_attr = unsafe { std::mem::zeroed() };
    attributes.type_ = kind;
    attributes.size = u32::try_from(size_of::<perf_event_attr>()).map_err(io::Error::other)?;
    attributes.config = config;
    attributes.__bindgen_anon_3.config1 = config1;
    attributes.read_format = READ_FORMAT;
    attributes.set_disabled(u64::from(leader.is_none()));
    let cpu = libc::c_int::try_from(cpu).map_err(io::Error::other)?;
    let group = leader.map_or(-1, AsRawFd::as_raw_fd);
    let (pid, flags) = match cgroup {
        Some(directory) => (directory.as_raw_fd(), PERF_FLAG_FD_CLOEXEC | PERF_FLAG_PID_CGROUP),
        None => (-1, PERF_FLAG_FD_CLOEXEC),
    };
    // SAFETY: the kernel reads `size` bytes at the first argument, which is that long and outlives the call, and it
    // writes nothing but `size` itself where it does not know the structure.
    let fd =
        unsafe { libc::syscall(libc::SYS_perf_event_open, &raw mut attributes, pid as libc::pid_t, cpu, group, flags) };
    owned(fd)
}

/// Starts a counter, and those of its group.
///
/// # Errors
///
/// The kernel's.
pub(crate) fn perf_event_enable(event: &OwnedFd) -> io::Result<()> {
    // SAFETY: the command takes its argument by value.
    let done = unsafe { libc::ioctl(event.as_raw_fd(), PERF_EVENT_IOC_ENABLE, 0) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Stops a counter, and those of its group, as if its processor had been off.
#[cfg(test)]
pub(crate) fn perf_event_disable(event: &impl AsRawFd) {
    /// `PERF_EVENT_IOC_DISABLE`.
    const PERF_EVENT_IOC_DISABLE: libc::c_ulong = 0x2401;
    // SAFETY: the command takes its argument by value.
    let done = unsafe { libc::ioctl(event.as_raw_fd(), PERF_EVENT_IOC_DISABLE, 0) };
    assert_eq!(done, 0, "{}", io::Error::last_os_error());
}

/// Puts a counter into a map of perf events.
///
/// # Errors
///
/// The kernel's.
pub(crate) fn set_event(map: impl AsFd, index: u32, event: &OwnedFd) -> io::Result<()> {
    // SAFETY: the union's members are made of integers: all zeros is a value of each.
    let mut attributes: bpf_attr = unsafe { std::mem::zeroed() };
    let map = u32::try_from(map.as_fd().as_raw_fd()).map_err(io::Error::other)?;
    let value = u32::try_from(event.as_raw_fd()).map_err(io::Error::other)?;
    // SAFETY: this member is the command's, and it is plain integers; writing them reads nothing of another member.
    let element = unsafe { &mut attributes.__bindgen_anon_2 };
    element.map_fd = map;
    element.key = (&raw const index) as u64;
    element.__bindgen_anon_1.value = (&raw const value) as u64;
    // SAFETY: the kernel reads the map's key size and value size at the two addresses: a `u32` each, in maps of perf
    // events, and both variables outlive the call.
    let done = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            bpf_cmd::BPF_MAP_UPDATE_ELEM as libc::c_long,
            &raw mut attributes,
            size_of::<bpf_attr>(),
        )
    };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Has the runtime wait for a ring. Panics outside of a runtime with IO.
///
/// # Errors
///
/// The system's.
pub(crate) fn watch(ring: RingBuf<MapData>) -> io::Result<AsyncFd<RingBuf<MapData>>> {
    // SAFETY: the ring owns the map's descriptor, which it names every time and closes when it is dropped; nothing
    // replaces the ring inside, which leaves its module by shared and unique references of the driver alone.
    unsafe { AsyncFd::register_with_interest(ring, Interest::READABLE) }.map_err(|error| error.into_parts().1)
}

/// Gives freed memory back to the system: reading the kernel's type information takes some thirty megabytes for a
/// moment, in pieces so small that the C library would keep them. With another allocator, nothing happens.
pub(crate) fn trim_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: the function takes a number, may be called at any time from any thread, and moves no memory in use.
    unsafe {
        libc::malloc_trim(0);
    }
}

fn owned(fd: libc::c_long) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    let fd = libc::c_int::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: the kernel has just given this descriptor to us, and to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
