//! The cluster that both are measured on: a simulated one in a process of its own, or a real one as it is.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use cluster_sim::churn::{Churn, drive};
use cluster_sim::population::{Population, PopulationSpec};
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use tempfile::NamedTempFile;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio_util::sync::CancellationToken;

/// The simulated cluster's size.
#[derive(Debug, clap::Args)]
pub(crate) struct SimArgs {
    #[arg(long)]
    pods: u32,
}

/// Serves a simulated cluster. A line of the input asks it for something: `churn RATE`, or `pods`, which is answered by
/// a number.
pub(crate) async fn serve(args: &SimArgs) -> Result<()> {
    let population = Population::new(&PopulationSpec::new((args.pods / 10).max(1), args.pods));
    let sim = cluster_sim::Sim::builder().objects(population.objects()).start().await?;
    println!("{}", sim.url());
    let sim = std::sync::Arc::new(sim);
    let client = Client::try_from(Config::new(sim.url().parse()?))?;
    let mut churn = Some(Churn::new(&population, 1));
    drop(population);
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        match line.split_once(' ').unwrap_or((&line, "")) {
            ("churn", rate) => {
                let (rate, sim) = (rate.parse()?, sim.clone());
                let churn = churn.take().context("it churns already")?;
                tokio::spawn(async move { drive(&sim, churn, rate, CancellationToken::new()).await });
            }
            ("pods", _) => println!("{}", count(&client).await?),
            (other, _) => bail!("{other:?} is not understood"),
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
struct Sim {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

/// Where programs are pointed to.
pub(crate) struct Cluster {
    kubeconfig: PathBuf,
    sim: Option<Sim>,
    client: Option<Client>,
    /// Keeps a simulated cluster's file.
    _file: Option<NamedTempFile>,
}

impl Cluster {
    /// One of so many pods, on ten times fewer nodes, with the workloads that own them and all that is around them.
    pub(crate) async fn simulate(pods: u32) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["sim", "--pods", &pods.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let input = child.stdin.take().context("the simulated cluster has no input")?;
        let mut output = BufReader::new(child.stdout.take().context("the simulated cluster has no output")?).lines();
        let url = output.next_line().await?.context("the simulated cluster did not start")?;
        let mut file = NamedTempFile::with_suffix(".yaml")?;
        write!(
            file,
            "apiVersion: v1\nkind: Config\ncurrent-context: sim\ncontexts: [{{name: sim, context: {{cluster: sim, user: sim}}}}]\n\
             clusters: [{{name: sim, cluster: {{server: \"{url}\"}}}}]\nusers: [{{name: sim, user: {{}}}}]\n"
        )?;
        let sim = Sim { child, input, output };
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
        let sim = self.sim.as_mut().context("there is no cluster")?;
        sim.input.write_all(b"pods\n").await?;
        Ok(sim.output.next_line().await?.context("the simulated cluster has ended")?.parse()?)
    }

    /// Lets things happen in a simulated cluster, so many per second, until its end. A real one is left as it is.
    pub(crate) async fn churn(&mut self, rate: f64) -> Result<()> {
        if let Some(sim) = &mut self.sim {
            sim.input.write_all(format!("churn {rate}\n").as_bytes()).await?;
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
