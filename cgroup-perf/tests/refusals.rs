//! Where nothing can be counted, the error says what to change.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test panics where it fails")]
#![allow(clippy::field_reassign_with_default, reason = "as users set options")]

mod support;

use std::{
    os::unix::process::CommandExt,
    process::{Command, Stdio},
};

use cgroup_perf::loader::{LoadError, Loader, Options};
use rustix::process::{Resource, Rlimit, setrlimit};

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
    if conditions == "few files" {
        setrlimit(Resource::Nofile, Rlimit { current: Some(8), maximum: Some(8) }).unwrap();
    }
    let error = Loader::new().load(&Options::default()).unwrap_err();
    println!("\nchild says {}", told(&error));
}

fn says(conditions: &str, change: impl FnOnce(&mut Command)) -> String {
    let mut command = Command::new(std::env::current_exe().unwrap());
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
