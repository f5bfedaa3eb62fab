//! What depends on the kernel's answers, and on processors that go: without making them go.

use std::time::{Duration, Instant};

use super::*;

#[test]
fn the_number_of_files_is_known_before() {
    // Ten containers, four events, on sixteen processors.
    assert_eq!(needed(10, 16, 4), 10 * (1 + 16 * 5) + 16);
    assert_eq!(needed(usize::MAX, usize::MAX, 8), u64::MAX);
    assert!(fits(100, 24, 124).is_ok());
    let error = fits(100, 25, 124).unwrap_err().to_string();
    assert!(error.contains("100 files are needed") && error.contains("the limit is 124"), "{error}");
    assert!(error.contains("RLIMIT_NOFILE to at least 125"), "{error}");
}

#[test]
fn refusals_say_what_to_change() {
    let told = |number, event| refused(io::Error::from_raw_os_error(number), event, Path::new("/c"), 3).to_string();
    for (number, event, says) in [
        (libc::EMFILE, "cycles", "RLIMIT_NOFILE"),
        (libc::ENFILE, "cycles", "fs.file-max"),
        (libc::EACCES, "task-clock", "CAP_PERFMON"),
        (libc::EPERM, "cycles", "CAP_PERFMON"),
        (libc::ENOENT, "task-clock", "was removed"),
        (libc::EBADF, "task-clock", "/proc/cgroups"),
        (libc::EINVAL, "task-clock", "CONFIG_CGROUP_PERF"),
        (libc::EINVAL, "cycles", "cycles of /c cannot be opened on processor 3"),
    ] {
        let told = told(number, event);
        assert!(told.contains(says), "{told}");
    }
}

/// The root of cgroup2, and whether perf events follow it: counted by root.
fn root() -> Option<PathBuf> {
    let survey = crate::mount::Survey::of_this_host();
    let root = survey.mount.filter(|_| rustix::process::geteuid().is_root() && !survey.perf_event_is_legacy);
    if root.is_none() {
        eprintln!("skipped: not root, or perf events do not follow cgroup2");
    }
    root
}

fn spin() {
    let end = Instant::now() + Duration::from_millis(20);
    while Instant::now() < end {}
}

#[test]
fn a_processor_that_goes_and_comes_is_counted_once() {
    let Some(root) = root() else { return };
    let events = ["task-clock".parse().unwrap()];
    let began = monotonic();
    let mut watched = Watched::open(&[root], &events).unwrap();
    let online = cpus::online().unwrap();
    let mut last = watched.read().unwrap().remove(0);
    for _ in 0..5 {
        spin();
        assert_eq!(watched.follow(&[online[0]]).unwrap(), 0);
        spin();
        assert_eq!(watched.follow(&online).unwrap(), online.len() - 1);
        let now = watched.read().unwrap().remove(0);
        assert!(now.ran >= last.ran && now.counters[0].delta.value >= last.counters[0].delta.value);
        last = now;
    }
    let most = (monotonic() - began) * online.len() as u64 + 50_000_000;
    assert!(last.ran < most, "{} in {most}", last.ran);
    assert!(last.ran > 0);
}

#[test]
fn counters_that_stand_still_are_opened_anew() {
    let Some(root) = root() else { return };
    let mut watched = Watched::open(&[root], &["task-clock".parse().unwrap()]).unwrap();
    spin();
    assert_eq!(watched.refresh().unwrap(), 0);
    for (clock, _) in watched.clocks.values() {
        sys::perf_event_disable(&clock.file);
    }
    for cpu in watched.cgroups[0].cpus.values() {
        sys::perf_event_disable(&cpu.clock.file);
        sys::perf_event_disable(&cpu.counters[0].as_ref().unwrap().file);
    }
    let frozen = watched.read().unwrap()[0];
    spin();
    assert_eq!(watched.read().unwrap()[0].ran, frozen.ran);
    assert_eq!(watched.refresh().unwrap(), watched.clocks.len());
    spin();
    assert!(watched.read().unwrap()[0].ran > frozen.ran + 10_000_000);
}
