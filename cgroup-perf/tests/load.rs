//! Every way to load and attach, on the kernel at hand.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test panics where it fails")]
#![allow(clippy::field_reassign_with_default, reason = "as users set options")]
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small numbers, and none below zero")]

mod support;

use std::time::Duration;

use cgroup_perf::loader::{Hook, HookChoice, LoadError, Loader, Options, Timer, TimerChoice};

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
            let attached = match Loader::new().load(&options(hook, timer)) {
                Ok(attached) => attached,
                Err(LoadError::Timer(error)) => {
                    eprintln!("{timer:?} is not for this kernel: error {error}");
                    continue;
                }
                Err(error) => panic!("{hook:?} {timer:?}: {error:#?}"),
            };
            assert_eq!(attached.capabilities().timer, got);
            println!("{}", attached.capabilities());
            println!("{:?}", attached.health().unwrap());
        }
    }
    let attached = Loader::new().load(&options(HookChoice::SchedSwitchRaw, TimerChoice::Auto)).unwrap();
    assert_eq!(attached.capabilities().hook, Hook::SchedSwitchRaw);
    println!("{}", attached.capabilities());
}

/// The most that the verifier has to walk through.
#[test]
fn eight_counters_of_processes_with_messages() {
    if !support::possible() {
        return;
    }
    let names = ["task-clock", "context-switches", "page-faults", "migrations"];
    for (hook, timer) in [
        (HookChoice::SchedSwitch, TimerChoice::Auto),
        (HookChoice::SchedSwitch, TimerChoice::PerfClock),
        (HookChoice::CgroupSwitches, TimerChoice::Auto),
        (HookChoice::SchedSwitchRaw, TimerChoice::Auto),
    ] {
        let mut options = options(hook, timer);
        options.counters = names.iter().chain(&names).map(|name| name.parse().unwrap()).collect();
        options.per_task = true;
        options.kernel_log = true;
        options.measure_ticks = true;
        let attached = Loader::new().load(&options).unwrap_or_else(|error| panic!("{hook:?} {timer:?}: {error:#?}"));
        assert_eq!((attached.capabilities().counters.len(), attached.capabilities().groups), (8, 1));
        support::eventually("a total", || {
            let totals = attached.totals().unwrap();
            totals.into_iter().find(|total| total.counters.iter().all(|counter| counter.enabled > 0))
        });
        assert_eq!(attached.health().unwrap().read_failures, 0);
    }
}

#[test]
fn the_shortest_and_the_longest_slot() {
    if !support::possible() {
        return;
    }
    for slot in [Duration::from_micros(100), Duration::from_secs(1)] {
        let mut options = Options::default();
        options.slot = slot;
        let attached = Loader::new().load(&options).unwrap();
        support::eventually("ticks", || (attached.health().unwrap().ticks > 1).then_some(()));
        support::eventually("totals", || (!attached.totals().unwrap().is_empty()).then_some(()));
    }
}
