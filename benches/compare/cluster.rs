//! The cluster that both are measured on: a simulated one in a process of its own, or a real one as it is.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use benches::kubeconfig;
use cluster_sim::churn::{Churn, drive};
use cluster_sim::population::{Population, PopulationSpec};
use cluster_sim::{Sim, Verb};
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio_util::sync::CancellationToken;

use crate::events::happen::{Happened, happen};
use crate::program;

/// Changes that a slow watch may be behind.
const HISTORY: usize = 1_000_000;

/// The simulated cluster's size.
#[derive(Debug, clap::Args)]
pub(crate) struct SimArgs {
    #[arg(long)]
    pods: u32,
}

/// What was asked of an API server.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Asked {
    pub(crate) requests: u64,
    /// Of them, pods that were read one by one.
    pub(crate) pods: u64,
    /// Of them, watches of events.
    pub(crate) event_watches: u64,
}

/// Serves a simulated cluster. A line of the input asks it for something: `churn RATE`; `events RATE SECONDS`, which is
/// answered by what happened when that is over; `pods`, answered by a number; `asked`, by counts of requests.
pub(crate) async fn serve(args: &SimArgs) -> Result<()> {
    let population = Population::new(&PopulationSpec::new((args.pods / 10).max(1), args.pods));
    // No reader of events is to lose any for being slow.
    let sim = Sim::builder().history(HISTORY).watch_queue(HISTORY).objects(population.objects()).start().await?;
    println!("{}", sim.url());
    let sim = Arc::new(sim);
    let client = Client::try_from(Config::new(sim.url().parse()?))?;
    let mut churn = Some(Churn::new(&population, 1));
    drop(population);
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let words: Vec<&str> = line.split(' ').collect();
        match *words {
            ["churn", rate] => {
                let (rate, sim) = (rate.parse()?, sim.clone());
                let churn = churn.take().context("it churns already")?;
                tokio::spawn(async move { drive(&sim, churn, rate, CancellationToken::new()).await });
            }
            ["events", rate, seconds] => {
                let happened = happen(&sim, rate.parse()?, seconds.parse()?).await?;
                println!("{}", serde_json::to_string(&happened)?);
            }
            ["pods"] => println!("{}", count(&client).await?),
            ["asked"] => {
                let log = sim.requests();
                let asked = Asked {
                    requests: log.total(),
                    pods: log.count(Verb::Get, "pods"),
                    event_watches: log.count(Verb::Watch, "events"),
                };
                println!("{}", serde_json::to_string(&asked)?);
            }
            _ => bail!("{line:?} is not understood"),
        }
    }
    Ok(())
}

/// All pods that there are, without the pods themselves.
async fn count(client: &Client) -> Result<u64> {
    let api: Api<Pod> = Api::all(client.clone());
    let (mut pods, mut params) = (0, ListParams::default().limit(500));
    loop {
        let page = api.list_metadata(&params).await?;
        pods += page.items.len() as u64;
        match page.metadata.continue_ {
            Some(token) if !token.is_empty() => params = params.continue_token(&token),
            _ => return Ok(pods),
        }
    }
}

/// A simulated cluster's process.
#[derive(Debug)]
struct Process {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

/// Where programs are pointed to.
pub(crate) struct Cluster {
    kubeconfig: PathBuf,
    sim: Option<Process>,
    client: Option<Client>,
    /// Keeps a simulated cluster's file.
    _file: Option<NamedTempFile>,
}

impl Cluster {
    /// One of so many pods, on ten times fewer nodes, with the workloads that own them and all that is around them.
    pub(crate) async fn simulate(pods: u32) -> Result<Self> {
        let mut child = program::command(&std::env::current_exe()?)?
            .args(["sim", "--pods", &pods.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = child.stdin.take().context("the simulated cluster has no input")?;
        let mut output = BufReader::new(child.stdout.take().context("the simulated cluster has no output")?).lines();
        let url = output.next_line().await?.context("the simulated cluster did not start")?;
        let mut file = NamedTempFile::with_suffix(".yaml")?;
        write!(file, "{}", kubeconfig::of(&url))?;
        let sim = Process { child, input, output };
        Ok(Self { kubeconfig: file.path().to_owned(), sim: Some(sim), client: None, _file: Some(file) })
    }

    /// The one that a kubeconfig names.
    pub(crate) async fn real(path: &Path) -> Result<Self> {
        let file = Kubeconfig::read_from(path)?;
        let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
        let client = Client::try_from(config)?;
        Ok(Self { kubeconfig: path.to_owned(), sim: None, client: Some(client), _file: None })
    }

    pub(crate) fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The pods there are at the moment.
    pub(crate) async fn pods(&mut self) -> Result<u64> {
        if let Some(client) = &self.client {
            return count(client).await;
        }
        self.tell("pods").await?;
        Ok(self.answer().await?.parse()?)
    }

    /// What was asked of a simulated one so far.
    pub(crate) async fn asked(&mut self) -> Result<Asked> {
        self.tell("asked").await?;
        Ok(serde_json::from_str(&self.answer().await?)?)
    }

    /// Lets so many events happen per second in a simulated one; [`happened`](Self::happened) waits for their end.
    pub(crate) async fn begin_events(&mut self, rate: u32, seconds: u32) -> Result<()> {
        self.tell(&format!("events {rate} {seconds}")).await
    }

    /// The events of [`begin_events`](Self::begin_events), when all have happened. Can be called again where it was
    /// dropped.
    pub(crate) async fn happened(&mut self) -> Result<Vec<Happened>> {
        Ok(serde_json::from_str(&self.answer().await?)?)
    }

    async fn tell(&mut self, line: &str) -> Result<()> {
        let sim = self.sim.as_mut().context("the cluster is not simulated")?;
        sim.input.write_all(format!("{line}\n").as_bytes()).await.context("the simulated cluster has ended")
    }

    async fn answer(&mut self) -> Result<String> {
        let sim = self.sim.as_mut().context("the cluster is not simulated")?;
        sim.output.next_line().await?.context("the simulated cluster has ended")
    }

    /// Lets things happen in a simulated cluster, so many per second, until its end. A real one is left as it is.
    pub(crate) async fn churn(&mut self, rate: f64) -> Result<()> {
        if self.sim.is_some() {
            self.tell(&format!("churn {rate}")).await?;
        }
        Ok(())
    }

    pub(crate) async fn stop(self) -> Result<()> {
        if let Some(mut sim) = self.sim {
            drop(sim.input);
            sim.child.wait().await?;
        }
        Ok(())
    }
}
