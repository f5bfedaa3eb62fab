//! The whole comparison, at sizes that take no time: ours stand in for the peers.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

const COMPARE: &str = env!("CARGO_BIN_EXE_compare");

/// Sizes that take no time.
const TINY: [&str; 14] = [
    "--pods",
    "20,40",
    "--scrapes",
    "1",
    "--churn-seconds",
    "0",
    "--rates",
    "10",
    "--event-seconds",
    "3",
    "--event-wait",
    "60",
    "--event-pods",
    "10",
];

/// Where the programs of this workspace are. Cargo builds them with the tests of their own packages; where these were
/// not built, they are now.
fn ours() -> PathBuf {
    let directory = Path::new(COMPARE).parent().unwrap();
    let programs = ["ksm-exporter", "event-exporter"];
    if !programs.iter().all(|program| directory.join(program).is_file()) {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet"]).args(programs.iter().flat_map(|program| ["--bin", program]));
        assert!(cargo.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).status().unwrap().success());
    }
    directory.to_owned()
}

fn compare(out: &Path, arguments: &[&str]) -> Output {
    Command::new(COMPARE).args(arguments).arg("--out").arg(out).stdin(Stdio::null()).output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A program that says something and ends.
fn dying(directory: &Path) -> PathBuf {
    let path = directory.join("dying");
    std::fs::write(&path, "#!/bin/sh\necho the first line >&2\necho 'no cluster for me' >&2\nexit 3\n").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[test]
fn all_that_is_given_is_measured_and_a_peer_that_dies_holds_up_nobody() {
    let ours = ours();
    let directory = tempfile::tempdir().unwrap();
    let (peer, dying) = (ours.join("ksm-exporter"), dying(directory.path()));
    let mut arguments = TINY.to_vec();
    arguments.extend(["--ksm-bin", peer.to_str().unwrap(), "--event-exporter-bin", dying.to_str().unwrap()]);
    let output = compare(directory.path(), &arguments);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let report: Value = serde_json::from_slice(&std::fs::read(directory.path().join("compare.json")).unwrap()).unwrap();

    let state = report["state"].as_array().unwrap();
    let order: Vec<(&str, u64)> =
        state.iter().map(|row| (row["program"].as_str().unwrap(), row["pods"].as_u64().unwrap())).collect();
    let expected = [("ksm-exporter", 20), ("kube-state-metrics", 20), ("ksm-exporter", 40), ("kube-state-metrics", 40)];
    assert_eq!(order, expected, "{}", said(&output));
    assert!(state.iter().all(|row| row["resident_mb"].as_f64() > Some(1.0) && row["plain"]["mb"].as_f64() > Some(0.0)));

    let events = report["events"].as_array().unwrap();
    assert_eq!(events.len(), 2, "each setting, of ours: {}", said(&output));
    for row in events {
        let tally = &row["tally"];
        assert_eq!(
            (&tally["happened"], &tally["again_happened"], &tally["unknown"]),
            (&27.into(), &3.into(), &0.into())
        );
        assert_eq!(tally["twice"], 0, "{tally}");
        assert_eq!((&tally["delivered"], &tally["again_delivered"]), (&27.into(), &3.into()), "{tally}");
        assert!(row["requests"].as_u64() > Some(0));
    }

    let failures = report["failures"].as_array().unwrap();
    assert_eq!(failures.len(), 2, "{failures:?}");
    let error = failures[0]["error"].as_str().unwrap();
    assert!(error.contains("has ended by itself") && error.contains("no cluster for me"), "{error}");
    let text = std::fs::read_to_string(directory.path().join("compare.md")).unwrap();
    assert!(text.contains("| CPU until complete, s |") && text.contains("## Not measured"), "{text}");
    assert!(text.contains("per 1,000 pods"), "{text}");
    let svg = std::fs::read_to_string(directory.path().join("state.svg")).unwrap();
    assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
}

#[test]
fn what_is_not_there_is_said_before_anything_is_run() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("out");
    for flag in ["--ksm-bin", "--event-exporter-bin", "--rezolus-bin", "--kubeconfig"] {
        let output = compare(&out, &[flag, "/nowhere/peer"]);
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        assert!(said(&output).contains(&format!("{flag}: there is no program /nowhere/peer")), "{}", said(&output));
    }
    let output = compare(&out, &["--ours", directory.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("cargo build --release --bin ksm-exporter"), "{}", said(&output));
    assert!(!out.exists());
}

#[test]
fn nothing_is_left_of_a_run_that_is_interrupted_or_killed() {
    let ours = ours();
    for (signal, status) in [(Signal::SIGINT, Some(130)), (Signal::SIGTERM, Some(143)), (Signal::SIGKILL, None)] {
        let directory = tempfile::tempdir().unwrap();
        let mut child = Command::new(COMPARE)
            .args([
                "--parts",
                "state",
                "--pods",
                "500",
                "--churn-seconds",
                "600",
                "--ours",
                ours.to_str().unwrap(),
                "--out",
            ])
            .arg(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
        let wait = |what: &dyn Fn() -> bool| {
            let until = Instant::now() + Duration::from_mins(1);
            while !what() {
                assert!(Instant::now() < until, "{signal}: it takes too long");
                std::thread::sleep(Duration::from_millis(20));
            }
        };
        // The simulated cluster and the exporter.
        let children = || -> Vec<i32> {
            let all = procfs::process::all_processes().unwrap().filter_map(|process| process.ok()?.stat().ok());
            all.filter(|stat| stat.ppid == pid.as_raw()).map(|stat| stat.pid).collect()
        };
        wait(&|| children().len() == 2);
        let started = children();
        kill(pid, signal).unwrap();
        assert_eq!(child.wait().unwrap().code(), status);
        // What nobody has asked for its status is over, too.
        let over =
            |pid: &i32| std::fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |it| it.contains(") Z "));
        wait(&|| started.iter().all(over));
        assert_eq!(directory.path().join("compare.json").exists(), status.is_some());
    }
}
