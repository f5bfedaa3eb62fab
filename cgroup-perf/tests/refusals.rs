//! Where nothing can be counted, the error says what to change.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test panics where it fails")]
#![allow(clippy::field_reassign_with_default, reason = "as users set options")]

mod support;

use std::{
    os::unix::process::CommandExt,
    process::{Command, Stdio},
};

use cgroup_perf::loader::{Hook, HookChoice, LoadError, Loader, Options, Timer};
use rustix::{
    process::{Resource, Rlimit, setrlimit},
    thread::{CapabilitySet, CapabilitySets, set_capabilities},
};

/// The error and its causes, as a line of text.
fn told(error: &LoadError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text.replace('\n', " ")
}

/// In a child: what loading says under the conditions of `CGROUP_PERF_CHILD`.
#[test]
fn child() {
    let Ok(conditions) = std::env::var("CGROUP_PERF_CHILD") else {
        return;
    };
    let mut options = Options::default();
    let only = |capabilities| {
        let sets =
            CapabilitySets { effective: capabilities, permitted: capabilities, inheritable: CapabilitySet::empty() };
        set_capabilities(None, sets).unwrap();
    };
    match conditions.as_str() {
        "few files" => setrlimit(Resource::Nofile, Rlimit { current: Some(8), maximum: Some(8) }).unwrap(),
        "CAP_BPF" => only(CapabilitySet::BPF),
        "CAP_PERFMON" => only(CapabilitySet::PERFMON),
        "CAP_BPF and CAP_PERFMON" => only(CapabilitySet::BPF | CapabilitySet::PERFMON),
        "typed" => options.hook = HookChoice::SchedSwitch,
        _ => {}
    }
    match Loader::new().load(&options) {
        Ok(attached) => {
            let capabilities = attached.capabilities();
            support::eventually("totals", || (!attached.totals().unwrap().is_empty()).then_some(()));
            println!("\nchild says {:?} {:?} {capabilities}", capabilities.hook, capabilities.timer);
        }
        Err(error) => println!("\nchild says {}", told(&error)),
    }
}

fn says(conditions: &str, change: impl FnOnce(&mut Command)) -> String {
    said_by(Command::new(std::env::current_exe().unwrap()), conditions, change)
}

fn said_by(mut command: Command, conditions: &str, change: impl FnOnce(&mut Command)) -> String {
    command.args(["--exact", "child", "--nocapture"]).env("CGROUP_PERF_CHILD", conditions).stderr(Stdio::inherit());
    change(&mut command);
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("child says "));
    line.unwrap_or_else(|| panic!("{text}")).to_owned()
}

#[test]
fn without_rights_the_capability_is_named() {
    if !support::possible() {
        return;
    }
    // Where the executable cannot be reached by others, nothing can be said.
    let reachable = Command::new(std::env::current_exe().unwrap()).arg("--list").uid(65534).output();
    if reachable.is_err() {
        eprintln!("skipped: the test cannot be run by others than root from where it lies");
        return;
    }
    let said = says("nobody", |command| {
        command.uid(65534).gid(65534);
    });
    println!("{said}");
    assert!(said.contains("CAP_PERFMON"), "{said}");
}

/// What the README says is needed: the one without the other is not enough, and both are.
#[test]
fn two_capabilities_are_enough_and_one_is_not() {
    if !support::possible() {
        return;
    }
    for (has, lacks) in [("CAP_BPF", "CAP_PERFMON"), ("CAP_PERFMON", "CAP_BPF")] {
        let said = says(has, |_| {});
        println!("{said}");
        assert!(said.contains(lacks), "{said}");
    }
    let said = says("CAP_BPF and CAP_PERFMON", |_| {});
    println!("{said}");
    assert!(said.starts_with(&format!("{:?} ", Hook::SchedSwitch)), "{said}");
}

/// The file is hidden in a mount namespace of the child's own.
#[test]
fn without_type_information_the_raw_tracepoint_accounts_and_the_reason_is_given() {
    if !support::possible() {
        return;
    }
    let hidden = || {
        let mut command = Command::new("unshare");
        let script = "mount -t tmpfs none /sys/kernel/btf && exec \"$0\" \"$@\"";
        command.args(["--mount", "sh", "-c", script]).arg(std::env::current_exe().unwrap());
        command
    };
    if !Command::new("unshare").args(["--mount", "true"]).status().is_ok_and(|status| status.success()) {
        eprintln!("skipped: no mount namespace of its own can be had");
        return;
    }
    let said = said_by(hidden(), "auto", |_| {});
    println!("{said}");
    assert!(said.starts_with(&format!("{:?} {:?} ", Hook::SchedSwitchRaw, Timer::PerfClock)), "{said}");
    assert!(said.contains("CONFIG_DEBUG_INFO_BTF"), "{said}");
    let said = said_by(hidden(), "typed", |_| {});
    println!("{said}");
    assert!(said.contains("needs the kernel's type information") && said.contains("CONFIG_DEBUG_INFO_BTF"), "{said}");
}

#[test]
fn where_too_many_files_are_open_the_limit_is_named() {
    if !support::possible() {
        return;
    }
    let said = says("few files", |_| {});
    println!("{said}");
    assert!(said.contains("RLIMIT_NOFILE"), "{said}");
}

#[test]
fn without_a_counter_the_reasons_are_given() {
    if !support::possible() {
        return;
    }
    let mut options = Options::default();
    options.software_fallback = false;
    options.counters = vec!["nopmu/cycles/".parse().unwrap()];
    let error = Loader::new().load(&options).unwrap_err();
    let said = told(&error);
    assert!(matches!(error, LoadError::NoCounters(_)), "{said}");
    assert!(said.contains("nopmu/cycles/") && said.contains("software fallback"), "{said}");
}

#[test]
fn an_object_that_is_none_is_refused() {
    if !support::possible() {
        return;
    }
    for object in [&b""[..], b"not an object", &Loader::new().object()[..1000]] {
        let error = Loader::with_object(object).load(&Options::default()).unwrap_err();
        assert!(matches!(error, LoadError::Object(_)), "{}", told(&error));
    }
}

#[test]
fn options_are_checked_before_anything_is_touched() {
    let mut options = Options::default();
    options.counters.clear();
    assert!(matches!(Loader::new().load(&options), Err(LoadError::Options(_))));
}
