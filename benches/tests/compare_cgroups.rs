//! The comparison of counters by cgroup, with stand-ins for both programs: cgroups are made as root, work, and are gone.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

/// The id of the first cgroup's container.
const FIRST: &str = "00000000c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00";
/// The variable that has the arguments of a stand-in.
const ARGUMENTS: &str = "STAND_IN_ARGUMENTS";

/// A program that is this one's test [`stand_in`].
fn script(directory: &Path, name: &str) -> PathBuf {
    let path = directory.join(name);
    let this = std::env::current_exe().unwrap();
    let text =
        format!("#!/bin/sh\n{ARGUMENTS}=\"$*\" exec {} --exact stand_in --ignored --nocapture\n", this.display());
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// What serves as an agent does, and counts nothing.
#[test]
#[ignore = "a program for other tests"]
fn stand_in() {
    let Ok(arguments) = std::env::var(ARGUMENTS) else { return };
    // Ours has a flag, Rezolus a file.
    let is_ours = arguments.contains("--port=");
    let text = if is_ours { arguments.clone() } else { std::fs::read_to_string(&arguments).unwrap() };
    let port = text.split_once(if is_ours { "--port=" } else { "listen = \"127.0.0.1:" }).unwrap().1;
    let port: String = port.chars().take_while(char::is_ascii_digit).collect();
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).unwrap();
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        let mut head = BufReader::new(&mut stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
        let request = head.next().unwrap_or_default();
        head.for_each(drop);
        let body = match (request.split(' ').nth(1).unwrap_or_default(), is_ours) {
            ("/metrics", true) => format!("# TYPE x counter\nx{{container_id=\"{FIRST}\"}} 1\ny 2\n"),
            ("/metrics/binary", false) => "bytes".to_owned(),
            ("/metrics/json", false) => json!({"groups": [{"schema": {"counters": [
                {"name": "cgroup_cpu_usage", "metadata": {"name": format!("/pod/{FIRST}")}}, {"name": "cpu_usage"},
                {"name": "softirq"}]}}]})
            .to_string(),
            ("/samplers", false) => {
                json!([{"name": "cpu_usage", "state": "active"}, {"name": "cpu_perf", "state": "failed", "error": "no"}])
                    .to_string()
            }
            _ => {
                stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
                continue;
            }
        };
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
        stream.write_all((head + &body).as_bytes()).unwrap();
    }
}

/// Cgroups that a comparison has made, of whichever hierarchy.
fn cgroups() -> Vec<PathBuf> {
    let mounts = procfs::process::Process::myself().unwrap().mountinfo().unwrap();
    let of = |mount: procfs::process::MountInfo| std::fs::read_dir(mount.mount_point).into_iter().flatten().flatten();
    mounts
        .into_iter()
        .filter(|mount| mount.fs_type.starts_with("cgroup"))
        .flat_map(of)
        .map(|entry| entry.path())
        .filter(|path| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("kube-agent-kit-compare-"))
        })
        .collect()
}

#[test]
fn cgroups_of_our_own_work_while_it_is_measured_and_are_removed() {
    let directory = tempfile::tempdir().unwrap();
    let rezolus = script(directory.path(), "rezolus");
    script(directory.path(), "node-agent");
    let mut command = Command::new(env!("CARGO_BIN_EXE_compare"));
    command.args(["--cgroups", "2,3", "--cgroup-seconds", "2", "--ours"]).arg(directory.path());
    command.arg("--rezolus-bin").arg(rezolus).arg("--out").arg(directory.path());
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if !nix::unistd::geteuid().is_root() {
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("need root"), "{said}");
        println!("without root no cgroups can be made: the rest is not tested");
        return;
    }
    assert_eq!(output.status.code(), Some(0), "{said}");
    let report: Value = serde_json::from_slice(&std::fs::read(directory.path().join("compare.json")).unwrap()).unwrap();
    let rows = report["cgroups"].as_array().unwrap();
    let order: Vec<(&str, u64)> =
        rows.iter().map(|row| (row["program"].as_str().unwrap(), row["cgroups"].as_u64().unwrap())).collect();
    assert_eq!(order, [("node-agent", 2), ("rezolus", 2), ("node-agent", 3), ("rezolus", 3)], "{said}");
    for (row, series) in rows.iter().zip([2, 3, 2, 3]) {
        assert_eq!((&row["series"], &row["series_of_cgroups"]), (&series.into(), &1.into()), "{row}");
        assert_eq!((&row["cgroups_told"], &row["kernel_programs"]), (&1.into(), &0.into()), "{row}");
        assert!(row["resident_mb"].as_f64() > Some(0.1), "{row}");
        // How much depends on who else works.
        assert!(row["load_cores"].as_f64() > Some(0.01), "{row}");
    }
    assert!(said.contains("Samplers of rezolus: cpu_usage active; cpu_perf failed: no."), "{said}");
    assert!(directory.path().join("cgroups.svg").exists());
    assert_eq!(cgroups(), Vec::<PathBuf>::new(), "left behind");
}
