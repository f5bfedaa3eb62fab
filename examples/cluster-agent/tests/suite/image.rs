//! The files of an image → the agent at work, where nothing else is.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::support::{Host, QUIET, command, get_until};

const AGENT: &str = env!("CARGO_BIN_EXE_cluster-agent");
const ROOTFS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/rootfs");

fn is_root() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    status.lines().any(|line| line.starts_with("Uid:\t0\t0\t"))
}

#[tokio::test]
async fn an_image_has_all_that_the_agent_needs_and_nobody_may_run_it() {
    if !is_root() {
        eprintln!("skipped: only root gives a process another root");
        return;
    }
    if !fs::exists("/etc/ssl/certs/ca-certificates.crt").unwrap() {
        eprintln!("skipped: this machine trusts no authorities (Debian's ca-certificates)");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let made = Command::new(ROOTFS).arg(AGENT).arg(folder.path()).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    // A process that is not of root any more, and sees these files alone.
    let nobody = ["--userspec=65532:65532", folder.path().to_str().unwrap(), "/usr/local/bin/agent"];
    let flags = [&nobody, QUIET, &["--port", "0", "--resources", "pods,nodes"]].concat();
    let mut agent = command("chroot", &flags);
    // Cargo says where it found this machine's authorities; nobody says so in a container.
    agent.env_remove("SSL_CERT_FILE").env_remove("SSL_CERT_DIR");
    let host = Host::start(agent).await;
    let metrics = format!("{}/metrics", host.url("serving at"));
    get_until(&metrics, |answer| answer.text().lines().filter(|line| line.starts_with("kube_pod_info{")).count() == 40)
        .await;
    let ended = host.terminate().await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
}

#[test]
fn a_program_that_is_not_there_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let made = Command::new(ROOTFS).arg("/nonexistent").arg(folder.path()).output().unwrap();
    assert!(!made.status.success());
    let made = Command::new(ROOTFS).output().unwrap();
    assert_eq!((made.status.code(), String::from_utf8_lossy(&made.stderr).contains("usage:")), (Some(2), true));
}
