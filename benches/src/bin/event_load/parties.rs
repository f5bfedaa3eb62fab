//! The API server and the webhook.

use std::io::Write;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::routing::{get, post};
use cluster_sim::Sim;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::Args;

/// How often events are made.
const TICKS_PER_SECOND: u32 = 100;

/// A process that says its address first, and what it did when its input is closed.
pub(crate) struct Party {
    _child: Child,
    input: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
    pub(crate) url: String,
}

impl Party {
    pub(crate) async fn start(flag: &str, args: &Args) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(flag)
            .args(["--events-per-second", &args.events_per_second.to_string()])
            .args(["--seconds", &args.seconds.to_string(), "--pods", &args.pods.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut lines = BufReader::new(child.stdout.take().context("no output")?).lines();
        let url = lines.next_line().await?.context("it ended before it listened")?;
        Ok(Self { input: child.stdin.take(), _child: child, lines, url })
    }

    /// Lets it begin.
    pub(crate) async fn go(&mut self) -> Result<()> {
        Ok(self.input.as_mut().context("no input")?.write_all(b"go\n").await?)
    }

    pub(crate) async fn next_line(&mut self) -> Result<String> {
        self.lines.next_line().await?.context("it ended without a word")
    }
}

fn say(what: impl std::fmt::Display) -> Result<()> {
    println!("{what}");
    Ok(std::io::stdout().flush()?)
}

fn micros() -> i64 {
    jiff::Timestamp::now().as_microsecond()
}

fn pod(number: u32) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": format!("web-{number}"), "namespace": "shop", "uid": format!("uid-{number}"),
            "labels": {"app": "web", "team": "blue", "version": "1.2.3"}, "annotations": {"example.com/owner": "shop"}},
        "spec": {"containers": [{"name": "web", "image": "web"}]},
    })
}

fn event(number: u64, pod: u64) -> Value {
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    json!({
        "apiVersion": "v1", "kind": "Event",
        "metadata": {"name": format!("web-{pod}.{number:016x}"), "namespace": "shop"},
        "involvedObject": {"kind": "Pod", "apiVersion": "v1", "namespace": "shop", "name": format!("web-{pod}"),
            "uid": format!("uid-{pod}"), "fieldPath": "spec.containers{web}"},
        "reason": "BackOff", "type": "Warning", "count": 1,
        "message": format!("{} Back-off restarting failed container web in pod web-{pod}_shop", micros()),
        "firstTimestamp": now, "lastTimestamp": now, "source": {"component": "kubelet", "host": "node-17"},
        "reportingComponent": "kubelet", "reportingInstance": "node-17",
    })
}

pub(crate) async fn be_the_cluster(args: &Args) -> Result<()> {
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}});
    let pods = (0..args.pods.max(1)).map(pod);
    let sim = Sim::builder().history(1_000_000).watch_queue(1_000_000).objects([namespace].into_iter().chain(pods));
    let sim = sim.start().await?;
    say(sim.url())?;
    BufReader::new(tokio::io::stdin()).lines().next_line().await?.context("nobody lets it begin")?;
    let mut ticks = interval(Duration::from_secs(1) / TICKS_PER_SECOND);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (began, due) = (Instant::now(), u64::from(args.events_per_second) * u64::from(args.seconds));
    let mut number = 0;
    for tick in 1..=u64::from(args.seconds) * u64::from(TICKS_PER_SECOND) {
        ticks.tick().await;
        while number < due * tick / (u64::from(args.seconds) * u64::from(TICKS_PER_SECOND)) {
            sim.create(event(number, number % u64::from(args.pods.max(1))))?;
            number += 1;
        }
    }
    let gets = sim.requests().count(cluster_sim::Verb::Get, "pods");
    say(json!({"events": number, "seconds": began.elapsed().as_secs_f64(), "gets": gets}))?;
    std::future::pending().await
}

/// What a webhook has seen.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub(crate) struct Seen {
    pub(crate) requests: u64,
    pub(crate) events: u64,
    pub(crate) bytes: u64,
    /// How long after it happened each arrived, in microseconds, sorted.
    pub(crate) lags: Vec<i64>,
}

type Shared = Arc<std::sync::Mutex<Seen>>;

fn lag(line: &[u8], now: i64) -> Option<i64> {
    #[derive(Deserialize)]
    struct Message {
        message: String,
    }
    let message = serde_json::from_slice::<Message>(line).ok()?.message;
    Some(now - message.split(' ').next()?.parse::<i64>().ok()?)
}

pub(crate) async fn be_the_webhook() -> Result<()> {
    let take = async |State(seen): State<Shared>, body: Bytes| {
        let now = micros();
        let lags: Vec<i64> = body
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .filter_map(|line| lag(line, now))
            .collect();
        if let Ok(mut seen) = seen.lock() {
            seen.requests += 1;
            seen.events += lags.len() as u64;
            seen.bytes += body.len() as u64;
            seen.lags.extend(lags);
        }
    };
    let tell = async |State(seen): State<Shared>| {
        let mut seen = seen.lock().map(|seen| seen.clone()).unwrap_or_default();
        seen.lags.sort_unstable();
        axum::response::IntoResponse::into_response(serde_json::to_string(&seen).unwrap_or_default())
    };
    let count = async |State(seen): State<Shared>| seen.lock().map_or(0, |seen| seen.events).to_string();
    let router = axum::Router::new()
        .route("/", post(take))
        .route("/seen", get(tell))
        .route("/count", get(count))
        .layer(DefaultBodyLimit::max(64 << 20))
        .with_state(Shared::default());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    say(format_args!("http://{}", listener.local_addr()?))?;
    Ok(axum::serve(listener, router).await?)
}
