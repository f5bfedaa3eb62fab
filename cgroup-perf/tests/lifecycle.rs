//! What is in the kernel while there is a handle, and what is left when it is gone. One test, as all of a process's files
//! are looked at.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test panics where it fails")]

mod support;

use std::{collections::BTreeSet, fs};

use aya::{maps::loaded_maps, programs::loaded_programs};
use cgroup_perf::{
    CgroupPerf,
    events::Event,
    loader::{Attached, HookChoice, Loader, Options, TimerChoice},
    watched::Watched,
};
use support::eventually;

/// Programs, maps and perf events that this process holds, by the numbers that the kernel gives them.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Held {
    programs: BTreeSet<u32>,
    maps: BTreeSet<u32>,
    events: usize,
}

impl Held {
    fn now() -> Self {
        let mut held = Self::default();
        for entry in fs::read_dir("/proc/self/fd").unwrap().map(Result::unwrap) {
            let Ok(to) = fs::read_link(entry.path()) else { continue };
            held.events += usize::from(to.to_string_lossy().contains("perf_event"));
            let info = fs::read_to_string(entry.path().to_string_lossy().replace("/fd/", "/fdinfo/"));
            let Ok(info) = info else { continue };
            let number = |word: &str| info.lines().find_map(|line| line.strip_prefix(word)?.trim().parse::<u32>().ok());
            // A link names its program too.
            held.programs.extend(number("prog_id:"));
            held.maps.extend(number("map_id:"));
        }
        held
    }

    /// What the kernel still has of it, whoever holds it.
    fn left(&self) -> (BTreeSet<u32>, BTreeSet<u32>) {
        let programs = loaded_programs().filter_map(Result::ok).map(|program| program.id());
        let maps = loaded_maps().filter_map(Result::ok).map(|map| map.id());
        (programs.filter(|id| self.programs.contains(id)).collect(), maps.filter(|id| self.maps.contains(id)).collect())
    }

    fn without(&self, other: &Self) -> Self {
        Self {
            programs: &self.programs - &other.programs,
            maps: &self.maps - &other.maps,
            events: self.events - other.events,
        }
    }
}

fn gone(what: &str, held: &Held, before: &Held) {
    assert!(held.programs.len() > 1 && held.maps.len() > 5 && held.events > 0, "{what}: {held:?}");
    eventually(&format!("{what}: nothing is left in the kernel of {held:?}"), || {
        let (programs, maps) = held.left();
        (programs.is_empty() && maps.is_empty() && Held::now() == *before).then_some(())
    });
}

fn load(hook: HookChoice, timer: TimerChoice) -> Attached {
    let mut options = Options::default();
    (options.hook, options.timer) = (hook, timer);
    Loader::new().load(&options).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_in_the_kernel() {
    if !support::possible() {
        return;
    }
    let before = Held::now();
    // By shutdown, though the handle is there; and by dropping it.
    let perf = CgroupPerf::builder().start().await.unwrap();
    let held = Held::now().without(&before);
    assert_eq!(held.left(), (held.programs.clone(), held.maps.clone()), "the kernel has them");
    perf.shutdown().await;
    gone("shutdown", &held, &before);
    let perf = CgroupPerf::builder().start().await.unwrap();
    let held = Held::now().without(&before);
    drop(perf);
    gone("drop", &held, &before);
    let perf = CgroupPerf::builder().start().await.unwrap();
    let held = Held::now().without(&before);
    let samples = perf.samples().unwrap();
    drop(perf);
    gone("drop, with a stream", &held, &before);
    drop(samples);
    // The loader alone, by every hook and by perf events as timers.
    for (hook, timer) in [
        (HookChoice::SchedSwitch, TimerChoice::Auto),
        (HookChoice::SchedSwitch, TimerChoice::PerfClock),
        (HookChoice::CgroupSwitches, TimerChoice::Auto),
        (HookChoice::SchedSwitchRaw, TimerChoice::Auto),
    ] {
        let attached = load(hook, timer);
        let held = Held::now().without(&before);
        drop(attached);
        gone(&format!("{hook:?} {timer:?}"), &held, &before);
    }
    // Of two, the one that stays keeps its own.
    let one = CgroupPerf::builder().start().await.unwrap();
    let with_one = Held::now();
    let first = with_one.without(&before);
    let two = CgroupPerf::builder().counters(["task-clock".parse::<Event>().unwrap()]).start().await.unwrap();
    let second = Held::now().without(&with_one);
    drop(one);
    eventually("the first is gone", || (first.left() == Default::default()).then_some(()));
    assert_eq!(second.left(), (second.programs.clone(), second.maps.clone()));
    let ran = || two.counters().unwrap().iter().map(|total| total.ran).sum::<u64>();
    let so_far = ran();
    eventually("the second goes on", || (ran() > so_far).then_some(()));
    two.shutdown().await;
    gone("the second", &second, &before);
    // Perf events of cgroups are no programs, and close with their owner.
    let watched = Watched::open(&[support::mount().unwrap()], &["task-clock".parse().unwrap()]);
    if let Ok(watched) = watched {
        assert!(Held::now().events > 0);
        drop(watched);
        assert_eq!(Held::now(), before);
    }
}
