//! One measurement after the other: what fails is told, and all others go on.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};

use crate::args::{Args, Part, ensure_there};
use crate::cgroups::{self, Kind};
use crate::cluster::Cluster;
use crate::events::{self, SETTINGS};
use crate::report::{Conditions, Failure, Report};
use crate::state;

/// All that is to be measured, checked before anything is run.
#[derive(Debug)]
pub(crate) struct Plan {
    state: Vec<state::Candidate>,
    sizes: Vec<Option<u32>>,
    kubeconfig: Option<PathBuf>,
    state_effort: state::Effort,
    events: Vec<events::Candidate>,
    rates: Vec<u32>,
    events_effort: events::Effort,
    cgroups: Vec<cgroups::Candidate>,
    numbers: Vec<u32>,
    cgroups_effort: cgroups::Effort,
}

impl Plan {
    pub(crate) fn new(args: &Args) -> Result<Self> {
        for (flag, path) in [
            ("--ksm-bin", &args.ksm_bin),
            ("--event-exporter-bin", &args.event_exporter_bin),
            ("--rezolus-bin", &args.rezolus_bin),
            ("--kubeconfig", &args.state.kubeconfig),
        ] {
            if let Some(path) = path {
                ensure_there(flag, path)?;
            }
        }
        let parts = args.chosen();
        let mut plan = Self {
            state: Vec::new(),
            sizes: match args.state.kubeconfig {
                Some(_) => vec![None],
                None => args.state.pods.iter().copied().map(Some).collect(),
            },
            kubeconfig: args.state.kubeconfig.clone(),
            state_effort: state::Effort {
                scrapes: args.state.scrapes,
                churn: args.state.churn_events,
                watched: Duration::from_secs(args.state.churn_seconds),
                give_up: args.give_up(),
            },
            events: Vec::new(),
            rates: args.events.rates.clone(),
            events_effort: events::Effort {
                pods: args.events.event_pods,
                seconds: args.events.event_seconds,
                wait: Duration::from_secs(args.events.event_wait),
                give_up: args.give_up(),
            },
            cgroups: Vec::new(),
            numbers: args.cgroups.cgroups.clone(),
            cgroups_effort: cgroups::Effort { seconds: args.cgroups.cgroup_seconds, give_up: args.give_up() },
        };
        if parts.contains(&Part::State) {
            let all =
                [("ksm-exporter", Some(args.ours("ksm-exporter")?)), ("kube-state-metrics", args.ksm_bin.clone())];
            plan.state = named(all, |name, program| state::Candidate { name, program });
        }
        if parts.contains(&Part::Events) {
            let all = [
                ("event-exporter", Some(args.ours("event-exporter")?)),
                ("kubernetes-event-exporter", args.event_exporter_bin.clone()),
            ];
            plan.events = named(all, |name, program| events::Candidate { name, program });
        }
        if parts.contains(&Part::Cgroups) {
            cgroups::ensure_possible()?;
            let all = [("node-agent", Some(args.ours("node-agent")?)), ("rezolus", args.rezolus_bin.clone())];
            plan.cgroups = named(all, |name, program| {
                let kind = if name == "rezolus" { Kind::Rezolus } else { Kind::NodeAgent };
                cgroups::Candidate { name, program, kind }
            });
        }
        Ok(plan)
    }

    pub(crate) fn conditions(&self) -> Conditions {
        Conditions::now(self.kubeconfig.is_some(), &self.state_effort, &self.events_effort, &self.cgroups_effort)
    }

    fn steps(&self) -> usize {
        self.state.len() * self.sizes.len()
            + self.events.len() * self.rates.len() * SETTINGS.len()
            + self.cgroups.len() * self.numbers.len()
    }

    /// Measures all of it. What is measured is in the report at once, so that it is there when this is dropped.
    pub(crate) async fn run(&self, report: &mut Report, progress: &Progress) -> Result<()> {
        progress.bar.set_length(self.steps() as u64);
        for (round, size) in self.sizes.iter().enumerate() {
            for candidate in turned(&self.state, round) {
                let at = size.map_or_else(|| "the cluster".to_owned(), |pods| format!("{pods} pods"));
                progress.begin(&candidate.name, &at);
                let measured = self.state(candidate, *size).await;
                progress.end(&mut report.failures, &candidate.name, at, measured.map(|row| report.state.push(row)));
            }
        }
        for (round, setting) in SETTINGS.into_iter().enumerate() {
            for (turn, rate) in self.rates.iter().enumerate() {
                for candidate in turned(&self.events, round + turn) {
                    let at = format!("{rate} events/s, {}", setting.name);
                    progress.begin(&candidate.name, &at);
                    let measured = events::measure(candidate, setting, *rate, &self.events_effort).await;
                    progress.end(
                        &mut report.failures,
                        &candidate.name,
                        at,
                        measured.map(|row| report.events.push(row)),
                    );
                }
            }
        }
        for (round, number) in self.numbers.iter().enumerate() {
            for candidate in turned(&self.cgroups, round) {
                let at = format!("{number} cgroups");
                progress.begin(&candidate.name, &at);
                let measured = cgroups::measure(candidate, *number, &self.cgroups_effort).await;
                progress.end(&mut report.failures, &candidate.name, at, measured.map(|row| report.cgroups.push(row)));
            }
        }
        Ok(())
    }

    async fn state(&self, candidate: &state::Candidate, size: Option<u32>) -> Result<state::Row> {
        // One for each of them, so that both see the same.
        let mut cluster = match (size, &self.kubeconfig) {
            (Some(pods), _) => Cluster::simulate(pods).await?,
            (None, path) => Cluster::real(path.as_deref().context("no cluster is named")?).await?,
        };
        let row = state::measure(candidate, size, &mut cluster, &self.state_effort).await?;
        cluster.stop().await?;
        Ok(row)
    }
}

/// Those that there are.
fn named<T>(all: [(&str, Option<PathBuf>); 2], make: impl Fn(String, PathBuf) -> T) -> Vec<T> {
    all.into_iter().filter_map(|(name, program)| Some(make(name.to_owned(), program?))).collect()
}

/// All of them; none always goes first.
fn turned<T>(all: &[T], round: usize) -> impl Iterator<Item = &T> {
    let first = round.checked_rem(all.len()).unwrap_or(0);
    all.iter().cycle().skip(first).take(all.len())
}

/// How far it is: a bar on a terminal, lines elsewhere.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    began: Instant,
}

impl Progress {
    pub(crate) fn new() -> Result<Self> {
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed} {msg}")?;
        let bar = ProgressBar::new(0).with_style(style);
        bar.enable_steady_tick(Duration::from_millis(500));
        Ok(Self { bar, began: Instant::now() })
    }

    pub(crate) fn took(&self) -> Duration {
        self.began.elapsed()
    }

    fn begin(&self, program: &str, at: &str) {
        self.bar.set_message(format!("{program}, {at}"));
        if self.bar.is_hidden() {
            eprintln!("{:>5} s: {program}, {at}", self.began.elapsed().as_secs());
        }
    }

    fn end(&self, failures: &mut Vec<Failure>, program: &str, at: String, measured: Result<()>) {
        if let Err(error) = measured {
            let error = format!("{error:#}");
            self.bar.suspend(|| eprintln!("{program}, {at}: {error}"));
            failures.push(Failure { program: program.to_owned(), at, error });
        }
        self.bar.inc(1);
    }

    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn none_always_goes_first() {
        let order = |round| turned(&["a", "b"], round).copied().collect::<String>();
        assert_eq!([order(0), order(1), order(2)], ["ab", "ba", "ab"]);
        assert_eq!(turned::<u8>(&[], 3).count(), 0);
    }
}
