//! A simulated Kubernetes cluster on loopback, as a program.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Parser;
use cluster_sim::Sim;
use cluster_sim::churn::{Churn, drive};
#[cfg(unix)]
use cluster_sim::nri::{Runtime, Version};
use cluster_sim::population::{Population, PopulationSpec};
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const EXAMPLES: &str = "\
Examples:
  # Ten nodes, 300 pods, any free port
  cluster-sim

  # A busy cluster, with a kubeconfig for kubectl and agents
  cluster-sim --nodes 50 --pods 5000 --churn 100 --kubeconfig-out sim.yaml
  kubectl --kubeconfig sim.yaml get pods -A --watch

  # 10,000 equal pods, for benchmarks
  cluster-sim --uniform-pods --pods 10000 --port 6443

  # What answers at 169.254.169.254 on each of three nodes, asked for a token and an identity
  cluster-sim --nodes 3 --pods 60 --metadata all
  token=$(curl -sX PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' $URL/latest/api/token)
  curl -H \"X-aws-ec2-metadata-token: $token\" $URL/latest/dynamic/instance-identity/document

  # The kubelets of three nodes at ports of their own, and the usage of one of them
  cluster-sim --nodes 3 --pods 60 --kubelets all --ca-out ca.pem
  curl --cacert ca.pem -H \"Authorization: Bearer anything\" $URL/stats/summary

  # A container runtime as an NRI plugin sees it, in which ten pods a second come and go
  cluster-sim --nri /tmp/nri/nri.sock --nri-version 0.8 --nri-rate 10

  # A server that asks for a token and is too old for streaming lists
  cluster-sim --token secret --no-streaming-lists

  # TLS and a token, as in a real cluster; both are in the kubeconfig
  cluster-sim --tls --token secret --kubeconfig-out sim.yaml";

/// Run a simulated Kubernetes cluster on 127.0.0.1 until Ctrl-C or SIGTERM.
#[derive(Debug, Parser)]
#[command(name = "cluster-sim", version, about, after_help = EXAMPLES)]
struct Cli {
    /// How many nodes there are [default: 10, or one for every 100 uniform pods]
    #[arg(long, value_parser = clap::value_parser!(u32).range(..=50_000), conflicts_with = "uniform_pods")]
    nodes: Option<u32>,

    /// How many pods there are, those of DaemonSets and Jobs included
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(..=2_000_000))]
    pods: u32,

    /// What decides every name, uid, size and state
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// The moment the population is seen at, in RFC 3339 [default: now]
    #[arg(long, value_name = "TIME")]
    now: Option<Timestamp>,

    /// How many events (rollouts, restarts, lost nodes …) happen per second
    #[arg(long, value_name = "EVENTS_PER_S", default_value_t = 0.0, value_parser = rate, allow_negative_numbers = true)]
    churn: f64,

    /// The port to listen on; 0 is any that is free
    #[arg(long, default_value_t = 0)]
    port: u16,

    /// Write a kubeconfig for the cluster to this file; an existing file is replaced
    #[arg(long, value_name = "FILE")]
    kubeconfig_out: Option<PathBuf>,

    /// Serve TLS, as real API servers do [default: plain HTTP]
    #[arg(long)]
    tls: bool,

    /// Ask every client for this bearer token [default: ask for none]
    #[arg(long)]
    token: Option<String>,

    /// Answer `sendInitialEvents` with 422, like a server without streaming lists
    #[arg(long)]
    no_streaming_lists: bool,

    /// Start the cloud metadata service of this node, and say its URL; `all` for every node's. Can be repeated
    #[arg(long, value_name = "NODE")]
    metadata: Vec<String>,

    /// Open a port with TLS for the kubelet of this node, and say its URL; `all` for every node's. Can be repeated.
    /// Through the API server's proxy all of them answer anyway
    #[arg(long, value_name = "NODE")]
    kubelets: Vec<String>,

    /// Write the certificate of the authority behind all serving certificates, the API server's and the kubelets', to
    /// this file, in PEM; an existing file is replaced
    #[arg(long, value_name = "FILE")]
    ca_out: Option<PathBuf>,

    /// Listen on this unix socket like a container runtime with NRI, for plugins; what is at the path is replaced
    #[cfg(unix)]
    #[arg(long, value_name = "SOCKET")]
    nri: Option<PathBuf>,

    /// The version of NRI: 0.2, 0.6, 0.8, 0.10, 0.12 or 0.12.5
    #[cfg(unix)]
    #[arg(long, value_name = "VERSION", default_value_t = Version::V0_12, requires = "nri")]
    nri_version: Version,

    /// How many pods come and go per second at the runtime, apart from those of the cluster
    #[cfg(unix)]
    #[arg(long, value_name = "PODS_PER_S", default_value_t = 1.0, value_parser = rate, requires = "nri")]
    nri_rate: f64,

    /// Make all pods alike (two containers, running), and leave out what they don't need
    #[arg(long)]
    uniform_pods: bool,
}

/// A rate of events.
fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if (0.0..=100_000.0).contains(&rate) => Ok(rate),
        Ok(_) => Err("must be from 0 to 100000".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

impl Cli {
    fn spec(&self) -> PopulationSpec {
        let spec = if self.uniform_pods {
            PopulationSpec::uniform_pods(self.pods)
        } else {
            PopulationSpec::new(self.nodes.unwrap_or(10), self.pods)
        };
        spec.seed(self.seed).now(self.now.unwrap_or_else(Timestamp::now))
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let population = Population::new(&cli.spec());
    let sim = start(&cli, &population).await?;
    // Until here a signal ends the program at once, as there is nothing to wind up.
    let stop = stop_signal()?;
    if let Some(file) = &cli.kubeconfig_out {
        write_kubeconfig(file, &sim).with_context(|| format!("cannot write the kubeconfig to {}", file.display()))?;
    }
    if let Some(file) = &cli.ca_out {
        let pem = sim.ca_pem()?;
        std::fs::write(file, pem).with_context(|| format!("cannot write the certificate to {}", file.display()))?;
    }
    announce(&cli, &sim)?;
    announce_metadata(&cli, &sim).await?;
    announce_kubelets(&cli, &sim).await?;
    #[cfg(unix)]
    let runtime = start_runtime(&cli).await?;

    let cancellation = CancellationToken::new();
    let churn = (cli.churn > 0.0).then(|| Churn::new(&population, cli.seed));
    drop(population);
    let churning = async {
        if let Some(churn) = churn {
            drive(&sim, churn, cli.churn, cancellation.clone()).await;
        }
    };
    let stopping = async {
        stop.await;
        cancellation.cancel();
    };
    #[cfg(unix)]
    let running = run_pods(&cli, runtime, cancellation.cancelled());
    #[cfg(not(unix))]
    let running = std::future::ready(Ok(()));
    let ((), (), ran) = tokio::join!(churning, stopping, running);
    sim.shutdown().await;
    ran
}

/// Starts the container runtime that was asked for.
#[cfg(unix)]
async fn start_runtime(cli: &Cli) -> anyhow::Result<Option<Runtime>> {
    let Some(socket) = &cli.nri else { return Ok(None) };
    let runtime = Runtime::builder(cli.nri_version).seed(cli.seed).start();
    // Nobody reads it.
    runtime.log().set_limit(0);
    runtime.listen(socket).await?;
    writeln!(std::io::stdout(), "NRI {} on {}", cli.nri_version, socket.display())?;
    Ok(Some(runtime))
}

/// Lets pods come and go at the container runtime, if there is one, and says in the end how many there were.
#[cfg(unix)]
async fn run_pods(cli: &Cli, runtime: Option<Runtime>, until: impl Future) -> anyhow::Result<()> {
    let Some(runtime) = runtime else { return Ok(()) };
    let driven = runtime.drive(cli.nri_rate, until).await;
    runtime.shutdown().await;
    // Whoever started the program may not listen any more.
    let _ = writeln!(std::io::stdout(), "{} pods were run, of which plugins failed {}", driven.pods, driven.failed);
    Ok(())
}

/// Generates the population and starts the server, with a progress bar where there is a terminal.
async fn start(cli: &Cli, population: &Population) -> anyhow::Result<Sim> {
    let bar = ProgressBar::new(population.pod_count().try_into()?);
    bar.set_style(ProgressStyle::with_template("generating {bar:40} {human_pos}/{human_len} pods, {elapsed}")?);
    let mut builder = Sim::builder().port(cli.port).tls(cli.tls).streaming_lists(!cli.no_streaming_lists);
    if let Some(token) = &cli.token {
        builder = builder.token(token);
    }
    let objects = population.objects().inspect(|object| {
        if object["kind"] == "Pod" {
            bar.inc(1);
        }
    });
    let sim = builder.objects(objects).start().await.context("the simulated API server cannot start")?;
    bar.finish_and_clear();
    Ok(sim)
}

fn announce(cli: &Cli, sim: &Sim) -> std::io::Result<()> {
    let url = sim.url();
    // How the example's program is told whom to trust, by the file or not at all.
    let trust = |by_file: &str, blindly: &str| match &cli.ca_out {
        _ if !cli.tls => String::new(),
        Some(file) => format!("{by_file} {} ", file.display()),
        None => format!("{blindly} "),
    };
    let example = match (&cli.kubeconfig_out, &cli.token) {
        // kubectl sends no token over plain HTTP, whether by flag or by kubeconfig.
        (Some(file), token) if token.is_none() || cli.tls => {
            format!("kubectl --kubeconfig {} get pods -A", file.display())
        }
        // The token stays unprinted.
        (_, Some(_)) => {
            let trust = trust("--cacert", "--insecure");
            format!("curl {trust}-H \"Authorization: Bearer $TOKEN\" {url}/api/v1/pods")
        }
        (_, None) => {
            let trust = trust("--certificate-authority", "--insecure-skip-tls-verify");
            format!("kubectl --server {url} {trust}get pods -A")
        }
    };
    let mut out = std::io::stdout().lock();
    writeln!(out, "listening on {url}")?;
    writeln!(out, "{example}")?;
    out.flush()
}

/// Starts the metadata services that were asked for. They stop with the simulator.
async fn announce_metadata(cli: &Cli, sim: &Sim) -> anyhow::Result<()> {
    for node in named(&cli.metadata, sim)? {
        let service = sim.metadata_of(&node).await?;
        writeln!(std::io::stdout(), "metadata of {node} on {}", service.url())?;
    }
    Ok(())
}

/// Opens the kubelets' ports that were asked for. They close with the simulator.
async fn announce_kubelets(cli: &Cli, sim: &Sim) -> anyhow::Result<()> {
    for node in named(&cli.kubelets, sim)? {
        let kubelet = sim.kubelet(&node).start().await?;
        writeln!(std::io::stdout(), "kubelet of {node} on {}", kubelet.url())?;
    }
    Ok(())
}

/// The nodes of these names; every one if one of them is `all`.
fn named(names: &[String], sim: &Sim) -> anyhow::Result<Vec<String>> {
    if !names.iter().any(|name| name == "all") {
        return Ok(names.to_vec());
    }
    let every = sim.list("v1", "nodes")?;
    Ok(every.iter().filter_map(|node| Some(node["metadata"]["name"].as_str()?.to_owned())).collect())
}

/// The file is for its owner alone: it may hold a token.
fn write_kubeconfig(file: &Path, sim: &Sim) -> anyhow::Result<()> {
    let text = serde_saphyr::to_string(&sim.kubeconfig())?;
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(file)?.write_all(text.as_bytes())?;
    Ok(())
}

/// Ready when the program is asked to end.
#[cfg(unix)]
fn stop_signal() -> anyhow::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Ready when the program is asked to end.
#[cfg(not(unix))]
fn stop_signal() -> anyhow::Result<impl Future<Output = ()>> {
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
    })
}
