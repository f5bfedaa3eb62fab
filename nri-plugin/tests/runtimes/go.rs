//! Go's adaptation, in a process of its own (`tests/go-host`, which `.ci/run` builds).

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nri_plugin::api::{ContainerUpdate, UpdateContainersRequest};
use prost::Message;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc;

use crate::driver::{Driver, Failed, Kind, within};

const OLD: &str = "KUBE_AGENT_KIT_NRI_HOST_0_8";
const NEWEST: &str = "KUBE_AGENT_KIT_NRI_HOST_NEWEST";

pub(crate) struct GoHost {
    kind: Kind,
    program: PathBuf,
    directory: TempDir,
    socket: PathBuf,
    process: Option<Process>,
}

struct Process {
    child: Child,
    input: ChildStdin,
    answers: mpsc::UnboundedReceiver<Result<Vec<u8>, Failed>>,
    updates: mpsc::UnboundedReceiver<Vec<ContainerUpdate>>,
}

impl Driver for GoHost {
    async fn start(kind: Kind) -> Option<Self> {
        let variable = if kind.nri < (0, 10) { OLD } else { NEWEST };
        let Some(program) = std::env::var_os(variable) else {
            println!("skipped: {variable} names no runtime; tests/go-host is its source");
            return None;
        };
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("nri.sock");
        let mut host = Self { kind, program: program.into(), directory, socket, process: None };
        host.restart(kind).await;
        Some(host)
    }

    fn kind(&self) -> Kind {
        self.kind
    }

    fn socket(&self) -> &Path {
        &self.socket
    }

    async fn request(&mut self, method: &str, request: Vec<u8>) -> Result<Vec<u8>, Failed> {
        let process = self.process.as_mut().unwrap();
        let line = format!("{method} {}\n", STANDARD.encode(request));
        process.input.write_all(line.as_bytes()).await.unwrap();
        within(process.answers.recv()).await.unwrap_or_else(|| panic!("the runtime ended by {method}"))
    }

    async fn updates(&mut self) -> Vec<ContainerUpdate> {
        within(self.process.as_mut().unwrap().updates.recv()).await.unwrap()
    }

    async fn stop(&mut self) {
        let Some(Process { mut child, input, .. }) = self.process.take() else { return };
        drop(input);
        assert!(within(child.wait()).await.unwrap().success());
    }

    async fn restart(&mut self, kind: Kind) {
        self.stop().await;
        self.kind = kind;
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log()).unwrap();
        let nanoseconds = |limit: Duration| format!("{}ns", limit.as_nanos());
        let mut child = Command::new(&self.program)
            .arg("-socket")
            .arg(&self.socket)
            .args(["-name", kind.name, "-version", kind.version])
            .args(["-registration-timeout", &nanoseconds(kind.registration)])
            .args(["-request-timeout", &nanoseconds(kind.request)])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (answered, mut answers) = mpsc::unbounded_channel();
        let (updated, updates) = mpsc::unbounded_channel();
        tokio::spawn(read(child.stdout.take().unwrap(), answered, updated));
        // The first answer is to none: the socket is there.
        within(answers.recv()).await.unwrap_or_else(|| panic!("{} did not start", self.program.display())).unwrap();
        let input = child.stdin.take().unwrap();
        self.process = Some(Process { child, input, answers, updates });
    }
}

impl GoHost {
    fn log(&self) -> PathBuf {
        self.directory.path().join("log")
    }
}

impl Drop for GoHost {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.log()).unwrap_or_default();
            let lines: Vec<_> = log.lines().collect();
            println!("the end of the runtime's log:\n{}", lines[lines.len().saturating_sub(30)..].join("\n"));
        }
    }
}

/// Reads lines until the process ends.
async fn read(
    output: ChildStdout,
    answers: mpsc::UnboundedSender<Result<Vec<u8>, Failed>>,
    updates: mpsc::UnboundedSender<Vec<ContainerUpdate>>,
) {
    let mut lines = BufReader::new(output).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        let (word, rest) = line.split_once(' ').unwrap();
        // Nobody may wait any more.
        let _ = match word {
            "ok" => answers.send(Ok(STANDARD.decode(rest).unwrap())).is_ok(),
            "error" => answers.send(Err(rest.to_owned())).is_ok(),
            "updates" => {
                let request = UpdateContainersRequest::decode(&STANDARD.decode(rest).unwrap()[..]).unwrap();
                updates.send(request.update).is_ok()
            }
            other => panic!("{other:?} is no answer of the runtime"),
        };
    }
}
