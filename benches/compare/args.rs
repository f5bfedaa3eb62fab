//! The command line.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::{Parser, Subcommand, ValueEnum};

use crate::cgroups::groups::LoadArgs;
use crate::cluster::SimArgs;
use crate::program::ExecArgs;

/// Runs this project's programs and their peers side by side, and writes tables and plots.
///
/// What is measured follows from which peers are given; ours is measured beside each, alone where it has none.
#[derive(Debug, Parser)]
#[command(after_help = "\
Examples:
  cargo build --release --bin compare --bin ksm-exporter --bin event-exporter --bin node-agent
  compare --ksm-bin ./kube-state-metrics
  compare --ksm-bin ./kube-state-metrics --event-exporter-bin ./kubernetes-event-exporter --rezolus-bin ./rezolus
  compare --ksm-bin ./kube-state-metrics --pods 1000,10000 --churn-seconds 60 --out target/compare
  compare --ksm-bin ./kube-state-metrics --kubeconfig ~/.kube/config    # on a real cluster, as it is
  compare --event-exporter-bin ./kubernetes-event-exporter --rates 20,5000 --event-seconds 60
  compare --parts events                                                # ours alone

Writes compare.md, compare.json and an SVG file for each part to --out, and the tables to standard output.

Exit status:
  0    all was measured
  1    a program failed, died, or did not serve what is there: it is named, with the last that it said; all others are
       measured and written
  2    the command line is wrong, or a program is not there: nothing was run
  130  interrupted (143: by SIGTERM); what was measured until then is written")]
pub(crate) struct Args {
    /// A kube-state-metrics
    #[arg(long, value_name = "PATH")]
    pub(crate) ksm_bin: Option<PathBuf>,
    /// A kubernetes-event-exporter
    #[arg(long, value_name = "PATH")]
    pub(crate) event_exporter_bin: Option<PathBuf>,
    /// A Rezolus; needs root, as ours does
    #[arg(long, value_name = "PATH")]
    pub(crate) rezolus_bin: Option<PathBuf>,
    /// What is measured, by commas, instead of what peers are given for [default: all whose peer is given; state and
    /// events where none is]
    #[arg(long, value_enum, value_name = "PARTS", value_delimiter = ',')]
    pub(crate) parts: Vec<Part>,
    /// Where ours are: ksm-exporter, event-exporter and node-agent [default: beside this program]
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) ours: Option<PathBuf>,
    /// Where the results are written
    #[arg(long, value_name = "DIRECTORY", default_value = "target/compare")]
    pub(crate) out: PathBuf,
    /// Gives up when a program is not complete after that many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) give_up: u64,
    #[command(flatten)]
    pub(crate) state: StateArgs,
    #[command(flatten)]
    pub(crate) events: EventArgs,
    #[command(flatten)]
    pub(crate) cgroups: CgroupArgs,
    #[command(subcommand)]
    pub(crate) role: Option<Role>,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "State")]
pub(crate) struct StateArgs {
    /// Sizes of the simulated cluster
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',', default_value = "1000,10000,50000",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) pods: Vec<u32>,
    /// A real cluster instead of simulated ones
    #[arg(long, value_name = "FILE", conflicts_with = "pods")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Scrapes of each kind
    #[arg(long, value_name = "NUMBER", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) scrapes: u32,
    /// Things that happen per second while it is watched and scraped
    #[arg(long, value_name = "RATE", default_value_t = 200.0)]
    pub(crate) churn_events: f64,
    /// How long to watch that; 0 leaves it out
    #[arg(long, value_name = "SECONDS", default_value_t = 45, value_parser = clap::value_parser!(u64).range(..=3600))]
    pub(crate) churn_seconds: u64,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Events")]
pub(crate) struct EventArgs {
    /// Events per second
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',', default_value = "20,200,1000",
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) rates: Vec<u32>,
    /// How long they happen
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub(crate) event_seconds: u32,
    /// How long is waited for what has happened
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) event_wait: u64,
    /// Pods that they are about
    #[arg(long, value_name = "NUMBER", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) event_pods: u32,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Cgroups")]
pub(crate) struct CgroupArgs {
    /// Cgroups that work; all together half of the processors
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',', default_value = "10,50,200",
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) cgroups: Vec<u32>,
    /// How long it is measured
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) cgroup_seconds: u64,
}

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// ksm-exporter beside kube-state-metrics
    State,
    /// event-exporter beside kubernetes-event-exporter
    Events,
    /// node-agent beside Rezolus
    Cgroups,
}

/// What this program is when it starts itself.
#[derive(Debug, Subcommand)]
pub(crate) enum Role {
    /// Serves the simulated cluster until its standard input ends.
    #[command(hide = true)]
    Sim(SimArgs),
    /// Becomes a program that ends with who started it.
    #[command(hide = true)]
    Exec(ExecArgs),
    /// Works in a cgroup until its standard input ends.
    #[command(hide = true)]
    Load(LoadArgs),
}

impl Args {
    /// What is to be measured.
    pub(crate) fn chosen(&self) -> Vec<Part> {
        if !self.parts.is_empty() {
            return self.parts.clone();
        }
        let given = [
            (Part::State, self.ksm_bin.is_some()),
            (Part::Events, self.event_exporter_bin.is_some()),
            (Part::Cgroups, self.rezolus_bin.is_some()),
        ];
        let chosen: Vec<Part> = given.into_iter().filter(|(_, is)| *is).map(|(part, _)| part).collect();
        if chosen.is_empty() { vec![Part::State, Part::Events] } else { chosen }
    }

    /// One of ours.
    pub(crate) fn ours(&self, name: &str) -> Result<PathBuf> {
        let this = std::env::current_exe()?;
        let directory = self.ours.as_deref().or(this.parent()).unwrap_or(Path::new("."));
        let path = directory.join(name);
        ensure!(
            path.is_file(),
            "there is no {}: build it (cargo build --release --bin {name}), or say --ours DIRECTORY",
            path.display()
        );
        Ok(path)
    }

    pub(crate) fn give_up(&self) -> Duration {
        Duration::from_secs(self.give_up)
    }
}

/// A peer that is given is a file.
pub(crate) fn ensure_there(flag: &str, path: &Path) -> Result<()> {
    ensure!(path.is_file(), "{flag}: there is no program {}", path.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn chosen(args: &[&str]) -> Vec<Part> {
        Args::try_parse_from(["compare"].iter().chain(args)).unwrap().chosen()
    }

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn parts_follow_from_the_peers_that_are_given() {
        assert_eq!(chosen(&[]), [Part::State, Part::Events]);
        assert_eq!(chosen(&["--event-exporter-bin", "x"]), [Part::Events]);
        assert_eq!(chosen(&["--ksm-bin", "x", "--rezolus-bin", "y"]), [Part::State, Part::Cgroups]);
        assert_eq!(chosen(&["--ksm-bin", "x", "--parts", "cgroups,events"]), [Part::Cgroups, Part::Events]);
    }

    #[test]
    fn what_can_t_be_is_refused() {
        for wrong in [
            &["--pods", "0"][..],
            &["--rates", "a"],
            &["--parts", "all"],
            &["--pods", "10", "--kubeconfig", "x"],
            &["--cgroups", "5000"],
        ] {
            let arguments = ["compare"].iter().chain(wrong);
            assert_eq!(Args::try_parse_from(arguments).unwrap_err().exit_code(), 2, "{wrong:?}");
        }
    }
}
