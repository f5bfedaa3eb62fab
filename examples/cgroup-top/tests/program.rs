//! The program on this machine.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::os::unix::process::CommandExt;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cgroup-top")).args(arguments).stdin(Stdio::null()).output().unwrap()
}

/// What it printed; none, with a word about it, where nothing can be counted here.
fn listing(arguments: &[&str]) -> Option<String> {
    let output = run(arguments);
    let said = String::from_utf8(output.stderr).unwrap();
    if !output.status.success() {
        assert!(said.starts_with("cgroup-top: nothing can be counted"), "{said}");
        println!("skipped: {said}");
        return None;
    }
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn programs_get_json_of_one_interval() {
    let Some(listing) = listing(&["--once", "--json", "--interval", "0.3"]) else { return };
    let listing: Value = serde_json::from_str(&listing).unwrap();
    assert!(listing["interval_seconds"].as_f64().unwrap() >= 0.3);
    assert!(listing["capabilities"].as_str().unwrap().starts_with("accounted by"));
    let rows = listing["rows"].as_array().unwrap();
    let cpu: f64 = rows.iter().map(|row| row["cpu"].as_f64().unwrap()).sum();
    // This test and the program itself ran.
    assert!(!rows.is_empty() && cpu > 0.0, "{listing}");
    let counters = listing["counters"].as_array().unwrap();
    for row in rows {
        assert_eq!(row["counters"].as_object().unwrap().len(), counters.len());
    }
}

#[test]
fn people_get_a_table_of_the_tree() {
    let Some(listing) = listing(&["--once", "--tree", "--interval", "0.3"]) else { return };
    let (head, table) = listing.split_once("\n\n").unwrap();
    assert!(head.contains("by the ") && head.contains("sched_switch"), "{head}");
    let mut lines = table.lines();
    assert!(lines.next().unwrap().contains("CPU%"));
    assert!(lines.next().unwrap().ends_with(" /"), "the root is first: {table}");
}

#[test]
fn without_rights_the_error_says_what_is_missing() {
    let root = std::fs::read_to_string("/proc/self/status").unwrap();
    let is_root = root.lines().any(|line| line.starts_with("Uid:\t0\t0\t"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_cgroup-top"));
    command.args(["--once"]).stdin(Stdio::null());
    if is_root {
        command.uid(65_534).gid(65_534);
    }
    let Ok(output) = command.output() else {
        println!("skipped: another user can't run the program");
        return;
    };
    let said = String::from_utf8(output.stderr).unwrap();
    if is_root {
        assert!(!output.status.success());
    } else if output.status.success() {
        println!("skipped: whoever runs the tests may count");
        return;
    }
    assert!(said.contains("nothing can be counted") && said.contains("CAP_"), "{said}");
}

#[test]
fn what_is_no_terminal_is_told_what_to_use() {
    let output = run(&[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("--once"));
}
