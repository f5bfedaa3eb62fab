//! The kernel side of cgroup-perf: programs that charge what a processor's counters move to the cgroup that runs.
#![no_std]
#![no_main]

#[path = "../../src/abi.rs"]
#[allow(dead_code, reason = "user space has more use for it")]
mod abi;
mod account;
mod config;
mod maps;
mod programs;
mod slot;
mod stats;
mod tick;

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
