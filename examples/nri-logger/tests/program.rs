//! The program, as a runtime launches it and as a person calls it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as Stream;
use std::process::Stdio;
use std::time::Duration;

use cluster_sim::nri::api::{Container, Event, PodSandbox};
use cluster_sim::nri::{Peer, Trouble, Version};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_mins(1);
const PROGRAM: &str = env!("CARGO_BIN_EXE_nri-logger");

/// As a runtime does it: one end of a pair as descriptor 3, and an environment with nothing else.
fn launch() -> (Child, UnixStream) {
    let (near, far) = Stream::pair().unwrap();
    near.set_nonblocking(true).unwrap();
    let child = Command::new("/bin/sh")
        .args(["-c", "exec 3<&0 0</dev/null \"$0\"", PROGRAM])
        .env_clear()
        .env("NRI_PLUGIN_NAME", "logger")
        .env("NRI_PLUGIN_IDX", "42")
        .env("NRI_PLUGIN_SOCKET", "3")
        .stdin(Stdio::from(OwnedFd::from(far)))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    (child, UnixStream::from_std(near).unwrap())
}

#[tokio::test]
async fn a_runtime_launches_it_with_its_name_and_its_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("events.log");
    let (child, trunk) = launch();
    let config = format!("events: startcontainer\noutput: {}\n", output.display());
    let plugin = timeout(PATIENCE, Peer::configure(Version::V0_8, trunk, &config)).await.unwrap().unwrap();
    assert_eq!(plugin.registered().plugin_name, "logger");
    assert_eq!((plugin.registered().plugin_idx.as_str(), plugin.events()), ("42", 0x20));
    plugin.synchronize(vec![]).await.unwrap();
    let pod = PodSandbox { name: "web-0".into(), namespace: "shop".into(), ..PodSandbox::default() };
    let container = Container { name: "app".into(), pid: 7, ..Container::default() };
    plugin.event(Event::StartContainer, pod, container).await.unwrap();
    let text = std::fs::read_to_string(&output).unwrap();
    assert!(text.contains("StartContainer         shop/web-0/app") && text.contains("pid=7"), "{text}");

    plugin.close().await;
    let ended = timeout(PATIENCE, child.wait_with_output()).await.unwrap().unwrap();
    assert_eq!(ended.status.code(), Some(0), "{}", String::from_utf8_lossy(&ended.stderr));
}

#[tokio::test]
async fn a_configuration_that_is_wrong_ends_it_with_what_is() {
    for (config, named) in [("events: start", "start"), ("level: 3", "level"), ("output: /no/such/folder", "/no/such")]
    {
        let (child, trunk) = launch();
        let refused = timeout(PATIENCE, Peer::configure(Version::V0_8, trunk, config)).await.unwrap();
        assert!(matches!(refused, Err(Trouble::Status(_))), "{refused:?}");
        let ended = timeout(PATIENCE, child.wait_with_output()).await.unwrap().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.code() == Some(1) && said.contains(named), "{said}");
    }
}

#[tokio::test]
async fn a_simulated_runtime_has_pods_and_an_interrupt_ends_it() {
    let mut child = Command::new(PROGRAM)
        .args(["--sim", "--sim-rate", "20", "--json", "--events", "poststartcontainer"])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let started = async {
        loop {
            let line: Value = serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap();
            if line["event"] == "PostStartContainer" {
                return line;
            }
        }
    };
    let line = timeout(PATIENCE, started).await.unwrap();
    assert_eq!((&line["container"]["state"], &line["pod"]["namespace"]), (&"running".into(), &"default".into()));
    kill(Pid::from_raw(child.id().unwrap().try_into().unwrap()), Signal::SIGINT).unwrap();
    assert!(timeout(PATIENCE, child.wait()).await.unwrap().unwrap().success());
}

#[tokio::test]
async fn a_socket_without_a_runtime_is_an_error_with_a_hint() {
    let ended = Command::new(PROGRAM).args(["--socket", "/no/such/nri.sock"]).output();
    let ended = timeout(PATIENCE, ended).await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.code() == Some(1) && said.contains("--wait"), "{said}");
    let ended = Command::new(PROGRAM).args(["--sim", "--index", "1"]).output();
    let ended = timeout(PATIENCE, ended).await.unwrap().unwrap();
    assert_eq!(ended.status.code(), Some(2));
}
