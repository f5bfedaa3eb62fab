//! Every way to load and attach, on the kernel at hand.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test panics where it fails")]
#![allow(clippy::field_reassign_with_default, reason = "as users set options")]
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small numbers, and none below zero")]

mod support;

use cgroup_perf::loader::{Hook, HookChoice, Loader, Options, Timer, TimerChoice};

fn options(hook: HookChoice, timer: TimerChoice) -> Options {
    let mut options = Options::default();
    options.hook = hook;
    options.timer = timer;
    options
}

#[test]
fn every_hook_with_every_timer() {
    if !support::possible() {
        return;
    }
    let typed = [HookChoice::Auto, HookChoice::SchedSwitch, HookChoice::CgroupSwitches];
    for hook in typed {
        for (timer, got) in [
            (TimerChoice::AbsolutePinned, Timer::AbsolutePinned),
            (TimerChoice::Absolute, Timer::Absolute),
            (TimerChoice::Relative, Timer::Relative),
            (TimerChoice::PerfClock, Timer::PerfClock),
        ] {
            let attached = Loader::new()
                .load(&options(hook, timer))
                .unwrap_or_else(|error| panic!("{hook:?} {timer:?}: {error:#?}"));
            assert_eq!(attached.capabilities().timer, got);
            println!("{}", attached.capabilities());
            println!("{:?}", attached.health().unwrap());
        }
    }
    let attached = Loader::new().load(&options(HookChoice::SchedSwitchRaw, TimerChoice::Auto)).unwrap();
    assert_eq!(attached.capabilities().hook, Hook::SchedSwitchRaw);
    println!("{}", attached.capabilities());
}
