//! Events: how many of those that happen arrive at a webhook, when, and what that takes.

pub(crate) mod happen;
mod tally;
mod webhook;

use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use tempfile::NamedTempFile;
use tokio::time::{sleep, timeout};

use self::tally::Tally;
use self::webhook::Webhook;
use crate::cluster::Cluster;
use crate::program::Program;
use crate::state::free_port;

/// How often it is looked at while events happen.
const LOOK: Duration = Duration::from_millis(200);
/// What making events may take longer than it should.
const SLACK: u64 = 60;

/// A program that takes the configuration of kubernetes-event-exporter.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    pub(crate) name: String,
    pub(crate) program: PathBuf,
}

/// What both are told by their configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) name: &'static str,
    /// As it is said in a table's head.
    pub(crate) told: &'static str,
    lines: &'static str,
}

/// First what holds where nobody says anything, then limits that no rate here reaches.
pub(crate) const SETTINGS: [Setting; 2] = [
    Setting {
        name: "defaults",
        told: "no limits in the configuration, so that kubeQPS is 5, kubeBurst 10 and maxEventAgeSeconds 5",
        lines: "",
    },
    Setting {
        name: "generous",
        told: "kubeQPS 20000, kubeBurst 20000, maxEventAgeSeconds 600",
        lines: "kubeQPS: 20000\nkubeBurst: 20000\nmaxEventAgeSeconds: 600\n",
    },
];

/// How much is measured.
#[derive(Debug, Clone)]
pub(crate) struct Effort {
    pub(crate) pods: u32,
    pub(crate) seconds: u32,
    /// How long is waited for what has happened.
    pub(crate) wait: Duration,
    pub(crate) give_up: Duration,
}

/// What is measured of one program at one rate.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Row {
    pub(crate) program: String,
    pub(crate) setting: String,
    pub(crate) events_per_second: u32,
    pub(crate) tally: Tally,
    /// From the first event to the end of waiting.
    pub(crate) cpu_s: f64,
    pub(crate) cpu_s_per_1000_delivered: Option<f64>,
    pub(crate) resident_mb: f64,
    pub(crate) peak_mb: f64,
    /// Since the first event.
    pub(crate) requests: u64,
    /// Of them, pods that were read one by one.
    pub(crate) objects_read: u64,
}

/// What both programs are given.
fn configuration(url: &str, setting: Setting) -> String {
    format!(
        "logLevel: warn\nlogFormat: json\nclusterName: compare\n{}route:\n  routes:\n    - match:\n        - receiver: \
         webhook\nreceivers:\n  - name: webhook\n    webhook:\n      endpoint: \"{url}\"\n",
        setting.lines
    )
}

/// Starts the program on a cluster of its own, and measures it.
pub(crate) async fn measure(candidate: &Candidate, setting: Setting, rate: u32, effort: &Effort) -> Result<Row> {
    let webhook = Webhook::start().await?;
    let mut file = NamedTempFile::with_suffix(".yaml")?;
    file.write_all(configuration(&webhook.url, setting).as_bytes())?;
    let mut cluster = Cluster::simulate(effort.pods).await?;
    let arguments = [
        "-conf".into(),
        file.path().into(),
        "-kubeconfig".into(),
        cluster.kubeconfig().into(),
        "-metrics-address".into(),
        format!("127.0.0.1:{}", free_port()?).into(),
    ];
    let mut program = Program::start(&candidate.name, &candidate.program, &arguments)?;
    let measured = follow(&mut program, &mut cluster, &webhook, rate, effort).await;
    let row = program.stop(measured).await?;
    cluster.stop().await?;
    Ok(Row { program: candidate.name.clone(), setting: setting.name.to_owned(), events_per_second: rate, ..row })
}

async fn follow(
    program: &mut Program,
    cluster: &mut Cluster,
    webhook: &Webhook,
    rate: u32,
    effort: &Effort,
) -> Result<Row> {
    loop {
        program.settled(effort.give_up).await?;
        if cluster.asked().await?.event_watches > 0 {
            break;
        }
        ensure!(program.began.elapsed() < effort.give_up, "it has nothing to do and watches no events");
    }
    let (before, asked) = (program.usage()?, cluster.asked().await?);
    cluster.begin_events(rate, effort.seconds).await?;
    let patience = Duration::from_secs(u64::from(effort.seconds) + SLACK);
    let happened = {
        let happened = timeout(patience, cluster.happened());
        tokio::pin!(happened);
        loop {
            tokio::select! {
                happened = &mut happened => break happened.context("the simulated cluster is too slow")??,
                () = sleep(LOOK) => program.ensure_running()?,
            }
        }
    };
    let over = Instant::now();
    let all = happened.len();
    let arrived = || webhook.count() >= all && Tally::of(&happened, &webhook.arrived()).all_delivered() == all as u64;
    while !arrived() && over.elapsed() < effort.wait {
        sleep(LOOK).await;
        program.ensure_running()?;
    }
    let (usage, asked_then) = (program.usage()?, cluster.asked().await?);
    let tally = Tally::of(&happened, &webhook.arrived());
    let cpu_s = usage.cpu - before.cpu;
    let delivered = tally.all_delivered();
    Ok(Row {
        cpu_s,
        cpu_s_per_1000_delivered: (delivered > 0).then(|| cpu_s / delivered as f64 * 1e3),
        resident_mb: usage.resident_mb,
        peak_mb: usage.peak_mb,
        requests: asked_then.requests - asked.requests,
        objects_read: asked_then.pods - asked.pods,
        tally,
        ..Row::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_settings_are_configurations_that_differ_in_their_limits() {
        for (setting, qps, age) in [(SETTINGS[0], 5.0, 5), (SETTINGS[1], 20_000.0, 600)] {
            let text = configuration("http://127.0.0.1:1/", setting);
            let config =
                kube_events::config::Config::parse(&text, kube_events::config::Strictness::Strict, &|_| None).unwrap();
            assert!((config.kube_qps - qps).abs() < f32::EPSILON);
            assert_eq!(config.max_event_age_seconds, age);
            assert_eq!(config.receivers.len(), 1);
            assert!(config.warnings.is_empty(), "{:?}", config.warnings);
        }
    }
}
