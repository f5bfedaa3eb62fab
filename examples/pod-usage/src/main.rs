//! Shows what pods use of what they ask for and may take.

mod flags;
mod rows;
mod show;

use std::cell::Cell;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use cluster_sim::Sim;
use crossterm::{cursor, queue, terminal};
use example_host::cluster::{Cluster, Unconfigured};
use example_host::{exit, log_to_stderr_by_default, stop};
use kubelet_summary::fetch::{Direct, NodeProxy, Token, Trust, lean_client};
use kubelet_summary::rates::Counter;
use kubelet_summary::{Fetcher, KubeletSummary, Parts, PodUsage, Usage};
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::flags::{Flags, Via, WayFlags};
use crate::rows::Cpu;
use crate::show::Place;

/// What is missing is said by the program itself.
const LOG: &str = "error,kube_client::client::builder=off,kubelet_summary=error";

/// Some pods or nodes are missing.
const PARTIAL: u8 = 3;
/// As shells say it of what SIGINT has ended.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    let flags = flags::parse();
    log_to_stderr_by_default(LOG);
    let runtime = tokio::runtime::Runtime::new().context("no runtime");
    match runtime.and_then(|runtime| runtime.block_on(run(&flags))) {
        Ok(Some(Answer::Partial)) => ExitCode::from(PARTIAL),
        Ok(Some(Answer::None)) => ExitCode::FAILURE,
        Ok(None) => ExitCode::from(INTERRUPTED),
        outcome => exit::code("pod-usage", outcome.map(drop)),
    }
}

/// What was shown last.
#[derive(Debug, Clone, Copy)]
enum Answer {
    Whole,
    Partial,
    /// An error; said already.
    None,
}

impl Answer {
    fn of(usage: &Usage) -> Self {
        if usage.is_whole() { Self::Whole } else { Self::Partial }
    }
}

/// What was shown last, if anything was before the end was asked for.
async fn run(flags: &Flags) -> anyhow::Result<Option<Answer>> {
    let stop = stop::on_signal()?;
    let cluster = flags.cluster.connect(Unconfigured::Simulate).await?;
    let last = Cell::new(None);
    let shown = async {
        let parts = if flags.prometheus { Parts::ALL } else { PARTS };
        let fetcher = fetcher(&flags.way, parts, &cluster).await?;
        let summary = KubeletSummary::builder(cluster.client.clone())
            .inventory(|inventory| inventory.namespaces(flags.namespaces()))
            .fetcher(fetcher)
            .ttl(ttl(flags.watch))
            .deadline(flags.timeout)
            .rates(flags.watch.is_some())
            .spawn()?;
        let shown = show(flags, &cluster, &summary, &last).await;
        summary.shutdown().await;
        shown
    };
    let shown = stop.run_until_cancelled(shown).await.unwrap_or(Ok(()));
    cluster.shutdown().await;
    shown.map(|()| last.get())
}

async fn show(
    flags: &Flags,
    cluster: &Cluster,
    summary: &KubeletSummary,
    last: &Cell<Option<Answer>>,
) -> anyhow::Result<()> {
    if timeout(flags.timeout, summary.ready()).await.is_err() {
        // Why, if anybody knows.
        summary.inventory().check()?;
    }
    let note = if cluster.is_simulated() { "SIMULATED cluster: " } else { "" };
    let head = format!("{note}{}", cluster.description);
    let scope = flags.scope();
    let Some(every) = flags.watch else {
        let usage = summary.usage(&scope).await?;
        last.set(Some(Answer::of(&usage)));
        return Ok(print(flags, &usage, None, &head)?);
    };
    let mut turns = interval(every);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        turns.tick().await;
        match summary.usage(&scope).await {
            Ok(usage) => {
                last.set(Some(Answer::of(&usage)));
                print(flags, &usage, Some(&|pod, container| cpu(summary, pod, container)), &head)?;
            }
            // The next turn may be better.
            Err(error) => {
                last.set(Some(Answer::None));
                eprintln!("pod-usage: {error}");
            }
        }
    }
}

/// A little less than the interval, so that each turn finds its documents too old; kubelets themselves look at their
/// containers every 10 to 15 seconds, and asking them more often only costs.
fn ttl(watch: Option<Duration>) -> Duration {
    let (least, most) = (Duration::from_secs(10), Duration::from_secs(55));
    watch.map_or(most, |every| (every * 9 / 10).clamp(least, most))
}

/// Nano-cores, by what the counter gained between the last two documents.
fn cpu(summary: &KubeletSummary, pod: &PodUsage, container: Option<&str>) -> Option<u64> {
    let uid = pod.stats().pod_ref.uid();
    let rate = summary.rates(pod.node(), |rates| match container {
        Some(name) => rates.container(uid, name)?.get(Counter::CpuSeconds),
        None => rates.pod(uid)?.get(Counter::CpuSeconds),
    })??;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate is never negative, and far below"
    )]
    Some((rate.per_second * 1e9) as u64)
}

fn print(flags: &Flags, usage: &Usage, cpu: Option<Cpu<'_>>, head: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if flags.prometheus {
        write!(out, "{}", show::prometheus(usage))?;
    } else if flags.json {
        writeln!(out, "{}", show::json(usage, flags.by, cpu))?;
    } else {
        if flags.watch.is_some() && out.is_terminal() {
            queue!(out, terminal::Clear(terminal::ClearType::All), cursor::MoveTo(0, 0))?;
        }
        let width = out.is_terminal().then(|| terminal::size().ok()).flatten().map(|(width, _)| width);
        let place = Place { width, is_screen: flags.watch.is_some() };
        writeln!(out, "{}", show::table(usage, flags.by, cpu, head, place))?;
    }
    out.flush()?;
    for gap in show::gaps(usage) {
        eprintln!("missing: {gap}");
    }
    Ok(())
}

/// What of the documents a table shows.
const PARTS: Parts = Parts::USAGE;

async fn fetcher(way: &WayFlags, parts: Parts, cluster: &Cluster) -> anyhow::Result<Box<dyn Fetcher>> {
    if way.via == Via::Proxy {
        return Ok(Box::new(NodeProxy::new(cluster.client_by(lean_client)?).parts(parts)));
    }
    let mut direct = Direct::builder().parts(parts);
    if let Some(sim) = cluster.sim() {
        open_kubelets(sim).await?;
        direct = direct.trust(Trust::Pem(sim.ca_pem()?)).token(Token::None);
    }
    if let Some(file) = &way.ca {
        direct = direct.trust(Trust::PemFile(file.clone()));
    }
    if way.insecure {
        direct = direct.trust(Trust::Insecure);
    }
    if let Some(file) = &way.token_file {
        direct = direct.token(Token::File(file.clone()));
    }
    Ok(Box::new(direct.build().context("kubelets can't be asked directly: give --ca, --insecure or --token-file")?))
}

/// The kubelets of a simulated cluster listen only where they are asked to.
async fn open_kubelets(sim: &Sim) -> anyhow::Result<()> {
    for node in sim.list("v1", "nodes")? {
        if let Some(name) = node["metadata"]["name"].as_str() {
            sim.kubelet(name).start().await?;
        }
    }
    Ok(())
}
