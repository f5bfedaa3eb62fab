//! The exporter as a process: what it tells people is on standard error, events are on standard output.
#![allow(dead_code, reason = "each test file uses its part")]

use std::process::ExitStatus;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::support::{PATIENCE, command};

pub(crate) fn exporter(flags: &[&str]) -> Command {
    command(env!("CARGO_BIN_EXE_event-exporter"), flags)
}

/// A process that ends with the test.
pub(crate) struct Exporter {
    child: Child,
    stdout: Lines<BufReader<ChildStdout>>,
    /// The rest of standard error, read on so that the pipe is never full.
    rest: JoinHandle<String>,
    pub(crate) url: String,
    /// What it said until it was up.
    pub(crate) said: Vec<String>,
}

pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stderr: String,
}

impl Exporter {
    /// Waits until it says what it watches.
    pub(crate) async fn start(mut command: Command) -> Self {
        let mut child = command.spawn().expect("the binary starts");
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut said: Vec<String> = Vec::new();
        let up = async {
            while said.last().is_none_or(|line| !line.starts_with("watching ")) {
                let mut line = String::new();
                let read = stderr.read_line(&mut line).await.expect("stderr is text");
                assert!(read > 0, "it ended before it was up: {said:?}");
                said.push(line.trim_end().to_owned());
            }
        };
        timeout(PATIENCE, up).await.expect("it comes up");
        let url = said.iter().find(|line| line.starts_with("serving ")).and_then(|line| line.rsplit(' ').next());
        let url = url.expect("it says where it serves").to_owned();
        let rest = tokio::spawn(async move {
            let mut rest = String::new();
            let _ = stderr.read_to_string(&mut rest).await;
            rest
        });
        Self { child, stdout, rest, url, said }
    }

    /// The next event on standard output.
    pub(crate) async fn line(&mut self) -> Value {
        let line = timeout(PATIENCE, self.stdout.next_line()).await.expect("an event comes").unwrap();
        serde_json::from_str(&line.expect("it goes on")).expect("it is JSON")
    }

    pub(crate) async fn terminate(mut self) -> Ended {
        let pid = self.child.id().expect("it runs").to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().await.unwrap().success());
        // What is left on standard output is read, so that writing it holds up nothing.
        let rest = async {
            let mut rest = Vec::new();
            let _ = self.stdout.get_mut().read_to_end(&mut rest).await;
            self.child.wait().await.unwrap()
        };
        let status = timeout(PATIENCE, rest).await.expect("it ends");
        Ended { status, stderr: self.rest.await.unwrap() }
    }
}
