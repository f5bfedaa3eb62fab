//! A few cgroups by the kernel's own perf events: against its account of their processes, and what is said where it cannot
//! be.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test panics where it fails")]
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small numbers, and none below zero")]

mod support;

use std::{
    fs,
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, Stdio},
};

use cgroup_perf::{
    events::Event,
    mount::Survey,
    quality::Quality,
    watched::{WatchError, Watched},
};
use rustix::process::{Resource, Rlimit, setrlimit};
use support::{Cgroup, Child, Work, eventually, measured};

#[test]
fn child() {
    support::child_main();
}

fn possible() -> bool {
    let possible = support::possible() && !Survey::of_this_host().perf_event_is_legacy;
    if !possible {
        eprintln!("skipped: not root, or perf events do not follow cgroup2");
    }
    possible
}

fn events(text: &str) -> Vec<Event> {
    text.split(' ').map(|event| event.parse().unwrap()).collect()
}

/// A child's start and end are outside of its own measure.
fn near(ran: u64, work: Work) -> bool {
    ran.abs_diff(work.cpu) < work.cpu / 20 + 3_000_000
}

#[test]
fn a_cgroups_clock_is_that_of_its_processes() {
    if !possible() {
        return;
    }
    measured("two cgroups", || {
        let (busy, other) = (Cgroup::new(), Cgroup::new());
        let mut one = Child::in_cgroup("spin 0 100", &busy, None);
        let mut two = Child::in_cgroup("spin 1 200", &busy, None);
        let mut stranger = Child::in_cgroup("spin any 50", &other, None);
        let mut watched = Watched::open(&[&busy.path, &other.path], &events("task-clock context-switches")).unwrap();
        for child in [&mut one, &mut two, &mut stranger] {
            child.go();
        }
        let works = [one.done(), two.done(), stranger.done()];
        let both = Work { cpu: works[0].cpu + works[1].cpu, switches: works[0].switches + works[1].switches };
        assert_eq!(watched.refresh().unwrap(), 0, "no processor came or went");
        let readings = watched.read().unwrap();
        println!("{works:?} {readings:?}");
        let mut all = true;
        for (reading, (cgroup, work)) in readings.iter().zip([(&busy, both), (&other, works[2])]) {
            assert_eq!((reading.cgroup, reading.removed), (cgroup.id, false));
            let clock = reading.verdict(watched.counters(), 0).unwrap();
            assert_eq!(clock.quality, Quality::Exact);
            let switches = reading.verdict(watched.counters(), 1).unwrap();
            assert!(switches.figure.unwrap() >= work.switches, "{switches:?} and {work:?}");
            assert!(reading.verdict(watched.counters(), 2).is_none());
            all &= near(reading.ran, work) && near(clock.figure.unwrap(), work);
        }
        all.then_some(())
    });
}

#[test]
fn a_cgroup_is_counted_with_those_below_it() {
    if !possible() {
        return;
    }
    measured("a cgroup below", || {
        let above = Cgroup::new();
        let below = Cgroup::at(above.path.join("below"));
        let mut child = Child::in_cgroup("spin 1 50", &below, None);
        let mut watched = Watched::open(&[&above.path], &events("task-clock")).unwrap();
        child.go();
        let work = child.done();
        let ran = watched.read().unwrap()[0].ran;
        // It stays as it is where nobody runs.
        let later = watched.read().unwrap()[0].ran;
        println!("{ran} ns, later {later}, and {work:?}");
        (near(ran, work) && later < ran + 5_000_000).then_some(())
    });
}

#[test]
fn without_a_pmu_the_kernels_own_events_are_counted() {
    if !possible() {
        return;
    }
    measured("the default events", || {
        let cgroup = Cgroup::new();
        let mut child = Child::in_cgroup("spin 1 20", &cgroup, None);
        let mut watched = Watched::open(&[&cgroup.path], &Event::DEFAULT).unwrap();
        child.go();
        let work = child.done();
        let names: Vec<_> = watched.counters().iter().map(|event| event.name.clone()).collect();
        let ran = watched.read().unwrap()[0].ran;
        println!("{names:?}; missing {:?}; {ran} ns and {work:?}", watched.missing());
        assert!(!names.is_empty() && names.len() + watched.missing().len() >= 3);
        near(ran, work).then_some(())
    });
}

#[test]
fn a_removed_cgroup_keeps_what_it_did_and_is_said_to_be_gone() {
    if !possible() {
        return;
    }
    let (cgroup, stays) = (Cgroup::new(), Cgroup::new());
    let mut child = Child::in_cgroup("spin 1 20", &cgroup, None);
    let mut watched = Watched::open(&[&cgroup.path, &stays.path], &events("task-clock")).unwrap();
    child.go();
    let work = child.done();
    drop(child);
    let path = cgroup.path.clone();
    drop(cgroup);
    let readings = eventually("it is found removed", || {
        watched.refresh().unwrap();
        let readings = watched.read().unwrap();
        readings[0].removed.then_some(readings)
    });
    assert!(readings[0].ran + 1_000_000 > work.cpu && !readings[1].removed, "{readings:?} {work:?}");
    let error = Watched::open(&[&path], &events("task-clock")).unwrap_err();
    assert!(matches!(error, WatchError::Open { .. }), "{error}");
    assert!(error.to_string().contains(path.to_str().unwrap()));
}

#[test]
fn what_is_no_cgroup_is_named() {
    if !possible() {
        return;
    }
    let plain = tempfile::tempdir().unwrap();
    let cgroup = Cgroup::new();
    for path in [plain.path(), &cgroup.path.join("cgroup.procs")] {
        let error = Watched::open(&[path], &events("task-clock")).unwrap_err();
        assert!(matches!(error, WatchError::NotACgroup { .. }), "{error}");
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    }
    let none: &[&Path] = &[];
    assert!(matches!(Watched::open(none, &events("task-clock")), Err(WatchError::Options(_))));
    assert!(matches!(Watched::open(&[&cgroup.path], &[]), Err(WatchError::Options(_))));
    // Of a hierarchy of version 1 without the controller.
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let v1 = mounts.lines().find_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        (kind.starts_with("cgroup ") && !kind.contains("perf_event"))
            .then(|| mount.split(' ').nth(4).unwrap().to_owned())
    });
    if let Some(v1) = v1 {
        let error = Watched::open(&[Path::new(&v1)], &events("task-clock")).unwrap_err();
        assert!(matches!(error, WatchError::OtherHierarchy { .. }), "{error:?}");
    }
}

/// In a child: what is said under the conditions of `CGROUP_PERF_CONDITIONS`.
#[test]
fn conditioned() {
    let Ok(conditions) = std::env::var("CGROUP_PERF_CONDITIONS") else {
        return;
    };
    let (few, path) = conditions.split_once(' ').unwrap();
    if few == "few" {
        setrlimit(Resource::Nofile, Rlimit { current: Some(16), maximum: Some(16) }).unwrap();
    }
    let paths = vec![Path::new(path); 8];
    let open = || fs::read_dir("/proc/self/fd").unwrap().count();
    let before = open();
    let error = Watched::open(&paths, &events("task-clock context-switches")).unwrap_err();
    assert_eq!(open(), before, "nothing stays open");
    println!("\nconditioned says {error}");
}

fn says(conditions: &str, cgroup: &Cgroup, change: impl FnOnce(&mut Command)) -> String {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "conditioned", "--nocapture"])
        .env("CGROUP_PERF_CONDITIONS", format!("{conditions} {}", cgroup.path.display()))
        .stderr(Stdio::inherit());
    change(&mut command);
    let text = String::from_utf8(command.output().unwrap().stdout).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("conditioned says "));
    line.unwrap_or_else(|| panic!("{text}")).to_owned()
}

#[test]
fn the_limit_of_files_is_known_before_any_is_opened() {
    if !possible() {
        return;
    }
    let said = says("few", &Cgroup::new(), |_| {});
    println!("{said}");
    let online = std::thread::available_parallelism().unwrap().get().max(1);
    let at_least = 8 * (1 + online * 3) + online;
    assert!(said.contains("the limit is 16") && said.contains("RLIMIT_NOFILE"), "{said}");
    let needed: usize = said.split(' ').next().unwrap().parse().unwrap();
    assert!(needed >= at_least, "{said}");
}

#[test]
fn without_rights_the_capability_is_named() {
    if !possible() {
        return;
    }
    let reachable = Command::new(std::env::current_exe().unwrap()).arg("--list").uid(65534).output();
    if reachable.is_err() {
        eprintln!("skipped: the test cannot be run by others than root from where it lies");
        return;
    }
    let said = says("nobody", &Cgroup::new(), |command| {
        command.uid(65534).gid(65534);
    });
    println!("{said}");
    assert!(said.contains("CAP_PERFMON"), "{said}");
}
