//! Runs a host as a real process, and talks to it by HTTP. The binaries' tests take this file in by its path.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::io::Read;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::header::HeaderValue;
use hyper::{Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::time::timeout;

/// Far longer than anything here takes: only a hang gets there.
pub const PATIENCE: Duration = Duration::from_mins(2);

/// A small simulated cluster in which nothing happens.
pub const QUIET: &[&str] = &["--sim", "--sim-nodes", "2", "--sim-pods", "40", "--sim-churn", "0"];

/// A process that ends with the test.
pub struct Host {
    child: Child,
    stdout: Lines<BufReader<ChildStdout>>,
    stderr: ChildStderr,
    /// What it said on standard output until it was up.
    pub said: Vec<String>,
}

/// How a process ended.
pub struct Ended {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

/// A binary with no configuration of this machine's.
pub fn command(binary: &str, flags: &[&str]) -> Command {
    let mut command = Command::new(binary);
    command.args(flags).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    for name in ["KUBECONFIG", "KUBERNETES_SERVICE_HOST", "RUST_LOG", "K8S_NODE_NAME", "K8S_NAMESPACE", "K8S_POD_NAME"]
    {
        command.env_remove(name);
    }
    command.env("HOME", "/nonexistent");
    command
}

/// Runs a binary to its end.
pub async fn run(binary: &str, flags: &[&str]) -> Ended {
    let output = timeout(PATIENCE, command(binary, flags).output()).await.expect("it ends").expect("it starts");
    Ended {
        status: output.status,
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

impl Host {
    /// Starts a binary, and waits until it says what it watches.
    pub async fn start(command: Command) -> Self {
        Self::start_until(command, "watching ").await
    }

    /// Starts a binary, and waits for a line that begins like that.
    pub async fn start_until(mut command: Command, last: &str) -> Self {
        let mut child = command.spawn().expect("the binary starts");
        let mut stderr = child.stderr.take().expect("stderr is piped");
        let mut stdout = BufReader::new(child.stdout.take().expect("stdout is piped")).lines();
        let mut said = Vec::new();
        timeout(PATIENCE, async {
            while said.last().is_none_or(|line: &String| !line.starts_with(last)) {
                let Some(line) = stdout.next_line().await.expect("stdout is text") else {
                    let mut why = String::new();
                    let _ = stderr.read_to_string(&mut why).await;
                    panic!("it ended before it was up: {why}");
                };
                said.push(line);
            }
        })
        .await
        .expect("it comes up");
        Self { child, stdout, stderr, said }
    }

    /// The URL in the line that begins with `what`.
    pub fn url(&self, what: &str) -> String {
        let line = self.said.iter().find(|line| line.starts_with(what));
        let line = line.unwrap_or_else(|| panic!("a line {what:?} in {:?}", self.said));
        line.split(' ').find(|word| word.starts_with("http://")).expect("a URL").to_owned()
    }

    /// Asks the process to end, and waits until it has; what it said in the end.
    #[cfg(unix)]
    pub async fn terminate(mut self) -> Ended {
        let pid = self.child.id().expect("it is running").to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().await.expect("kill runs");
        assert!(sent.success());
        let status = timeout(PATIENCE, self.child.wait()).await.expect("it ends").expect("it can be waited for");
        let (mut stdout, mut stderr) = (String::new(), String::new());
        let _ = self.stdout.into_inner().read_to_string(&mut stdout).await;
        let _ = self.stderr.read_to_string(&mut stderr).await;
        Ended { status, stdout, stderr }
    }
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: hyper::HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("headers are text"))
    }

    pub fn text(&self) -> String {
        if self.header("content-encoding") != "gzip" {
            return String::from_utf8(self.body.clone()).expect("the body is text");
        }
        let mut text = String::new();
        flate2::read::GzDecoder::new(self.body.as_slice()).read_to_string(&mut text).expect("the body is gzip");
        text
    }
}

pub async fn get(url: &str) -> Answer {
    get_with(url, &[]).await
}

pub async fn get_with(url: &str, headers: &[(&'static str, &'static str)]) -> Answer {
    let client: Client<HttpConnector, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let mut request = Request::get(url).body(Empty::new()).expect("the URL is one");
    for (name, value) in headers {
        request.headers_mut().insert(*name, HeaderValue::from_static(value));
    }
    let answered = async {
        let response = client.request(request).await.unwrap_or_else(|error| panic!("{url} answers: {error}"));
        let (head, body) = response.into_parts();
        let body = body.collect().await.expect("the body is whole").to_bytes().to_vec();
        Answer { status: head.status, headers: head.headers, body }
    };
    timeout(PATIENCE, answered).await.expect("it answers")
}

/// Asks again until the answer is good: for states that come about by themselves.
pub async fn get_until(url: &str, good: impl Fn(&Answer) -> bool) -> Answer {
    let asked = async {
        loop {
            let answer = get(url).await;
            if good(&answer) {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, asked).await.unwrap_or_else(|_| panic!("{url} never answers as wanted"))
}
