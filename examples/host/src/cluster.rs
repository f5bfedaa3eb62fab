//! Which cluster is watched: by kubeconfig, from inside a pod, or a simulated one.

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use cluster_sim::churn::{Churn, drive};
use cluster_sim::population::{Population, PopulationSpec};
use cluster_sim::{ObjectRef, Sim, SimError};
use jiff::Timestamp;
use kube::config::KubeConfigOptions;
use kube::{Client, Config};
use parking_lot::Mutex;
use serde_json::json;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::switch::Switch;

const NO_CLIENT: &str = "no client can be made from the configuration";
const NODES: u32 = 50;
const PODS: u32 = 2_000;
const EVENTS_PER_SECOND: f64 = 20.0;

/// The flags that say which cluster.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Which cluster")]
pub struct ClusterFlags {
    /// The kubeconfig file; without it $KUBECONFIG, ~/.kube/config, or the pod's service account
    #[arg(long, value_name = "FILE", overrides_with = "kubeconfig")]
    kubeconfig: Option<PathBuf>,
    /// The kubeconfig's context, instead of its current one
    #[arg(long, value_name = "NAME", overrides_with = "context")]
    context: Option<String>,
    /// The API server's URL, instead of the configured one
    #[arg(long, value_name = "URL", overrides_with = "apiserver")]
    apiserver: Option<String>,
    /// Watch a simulated cluster inside this process
    #[arg(long, conflicts_with_all = ["kubeconfig", "context", "apiserver"])]
    sim: bool,
    /// Nodes of the simulated cluster [default: 50]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=50_000))]
    sim_nodes: Option<u32>,
    /// Pods of the simulated cluster [default: 2000]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(..=2_000_000))]
    sim_pods: Option<u32>,
    /// Events per second in the simulated cluster [default: 20]
    #[arg(long, value_name = "RATE", value_parser = rate)]
    sim_churn: Option<f64>,
    /// What decides every name and state in the simulated cluster [default: 1]
    #[arg(long, value_name = "NUMBER")]
    sim_seed: Option<u64>,
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if (0.0..=100_000.0).contains(&rate) => Ok(rate),
        _ => Err("a rate is a number from 0 to 100000".to_owned()),
    }
}

/// What to do where no cluster is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unconfigured {
    /// Say so, and end.
    Refuse,
    /// Simulate one.
    Simulate,
}

/// The cluster that is watched.
pub struct Cluster {
    /// A client of its API server. It retries nothing by itself: ksm-core does.
    pub client: Client,
    /// What a person calls it: where it was found, and its URL.
    pub description: String,
    clients: Mutex<Clients>,
    url: String,
    simulation: Option<Simulation>,
}

/// What the kubeconfig said last, and the clients that follow it.
struct Clients {
    config: Config,
    made: Vec<(MakeClient, Switch)>,
}

/// Makes a client of a configuration, which says that nothing is retried: that would hide failures from the status page.
pub type MakeClient = fn(&Config) -> kube::Result<Client>;

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("description", &self.description).finish_non_exhaustive()
    }
}

struct Simulation {
    sim: Sim,
    rate: f64,
    churn: JoinHandle<()>,
    cancel: CancellationToken,
}

impl ClusterFlags {
    /// The same with another kubeconfig and API server, where they are given: from an options file.
    pub fn overridden(&self, kubeconfig: Option<&str>, apiserver: Option<&str>) -> Self {
        let given = |value: Option<&str>| value.filter(|text| !text.is_empty()).map(str::to_owned);
        Self {
            kubeconfig: given(kubeconfig).map(PathBuf::from).or_else(|| self.kubeconfig.clone()),
            apiserver: given(apiserver).or_else(|| self.apiserver.clone()),
            ..self.clone()
        }
    }

    /// The kubeconfig that is named by these flags.
    pub fn kubeconfig(&self) -> Option<&Path> {
        self.kubeconfig.as_deref()
    }

    /// The API server's URL that is named by these flags.
    pub fn apiserver(&self) -> Option<&str> {
        self.apiserver.as_deref()
    }

    /// Whether these flags ask for a simulated cluster: who says what it is like wants one.
    pub fn wants_sim(&self) -> bool {
        self.sim
            || self.sim_nodes.is_some()
            || self.sim_pods.is_some()
            || self.sim_churn.is_some()
            || self.sim_seed.is_some()
    }

    /// Finds the cluster; a simulated one is started.
    pub async fn connect(&self, unconfigured: Unconfigured) -> anyhow::Result<Cluster> {
        if self.wants_sim() {
            return self.simulate().await;
        }
        match self.configured().await? {
            Some((config, found)) => Cluster::real(config, found),
            None if unconfigured == Unconfigured::Simulate => self.simulate().await,
            None => anyhow::bail!(
                "no cluster is configured: give --kubeconfig, set KUBECONFIG, run inside a pod, or try --sim"
            ),
        }
    }

    /// The configuration of a real cluster, and where it was found. One that is there and broken is an error, and not
    /// a reason to look elsewhere.
    async fn configured(&self) -> anyhow::Result<Option<(Config, &'static str)>> {
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        let is_set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
        let home_has_one = || env::home_dir().is_some_and(|home| home.join(".kube").join("config").is_file());
        let found = if let Some(file) = &self.kubeconfig {
            let kubeconfig = kube::config::Kubeconfig::read_from(file)
                .with_context(|| format!("the kubeconfig {} can't be read", file.display()))?;
            let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
            Some((config.context("the kubeconfig can't be used")?, "kubeconfig"))
        } else if is_set("KUBECONFIG") || home_has_one() {
            let config = Config::from_kubeconfig(&options).await;
            Some((config.context("the kubeconfig can't be used: mend it, or try --sim")?, "kubeconfig"))
        } else if is_set("KUBERNETES_SERVICE_HOST") {
            Some((Config::incluster().context("the pod's service account can't be used")?, "service account"))
        } else {
            None
        };
        let Some(url) = &self.apiserver else { return Ok(found) };
        let url: http::Uri = url.parse().with_context(|| format!("--apiserver {url:?} is no URL"))?;
        Ok(Some(match found {
            Some((mut config, found)) => {
                config.cluster_url = url;
                (config, found)
            }
            None => (Config::new(url), "--apiserver"),
        }))
    }

    async fn simulate(&self) -> anyhow::Result<Cluster> {
        let (nodes, pods) = (self.sim_nodes.unwrap_or(NODES), self.sim_pods.unwrap_or(PODS));
        let seed = self.sim_seed.unwrap_or(1);
        let population = Population::new(&PopulationSpec::new(nodes, pods).seed(seed).now(Timestamp::now()));
        let sim = Sim::builder().objects(population.objects()).start().await;
        let sim = sim.context("the simulated cluster can't start")?;
        let (churning, cancel) = (sim.clone(), CancellationToken::new());
        let (rate, stop) = (self.sim_churn.unwrap_or(EVENTS_PER_SECOND), cancel.clone());
        let churn = Churn::new(&population, seed);
        let churn = tokio::spawn(async move { drive(&churning, churn, rate, stop).await });
        let description = format!("{nodes} nodes, {pods} pods, {rate} events per second, at {}", sim.url());
        let cluster = Cluster::new(sim.kube_config(), description)?;
        Ok(Cluster { simulation: Some(Simulation { sim, rate, churn, cancel }), ..cluster })
    }
}

impl Cluster {
    fn real(config: Config, found: &str) -> anyhow::Result<Self> {
        let description = format!("{} (by {found})", config.cluster_url);
        Self::new(config, description)
    }

    fn new(config: Config, description: String) -> anyhow::Result<Self> {
        let url = config.cluster_url.to_string();
        let mut clients = Clients { config: once(config), made: Vec::new() };
        let client = clients.by(|config| Client::try_from(config.clone()))?;
        Ok(Self { client, description, clients: Mutex::new(clients), url, simulation: None })
    }

    /// A client of another make; it follows the kubeconfig as well, for as long as there is the cluster.
    pub fn client_by(&self, make: MakeClient) -> anyhow::Result<Client> {
        self.clients.lock().by(make)
    }

    /// Takes up what the kubeconfig says by now, for requests to come; watches that are running go on. Another server
    /// is refused: it is another cluster, and what is known of the old one would be mixed with it.
    pub async fn reload(&self, flags: &ClusterFlags) -> anyhow::Result<()> {
        let Some((config, _)) = flags.configured().await? else { return Ok(()) };
        let url = config.cluster_url.to_string();
        anyhow::ensure!(
            url == self.url,
            "the kubeconfig names another server ({url}, not {}): restart to watch it",
            self.url
        );
        self.clients.lock().follow(once(config))
    }

    /// Whether it is simulated.
    pub fn is_simulated(&self) -> bool {
        self.sim().is_some()
    }

    /// The simulation, if it is one: for what only a simulated cluster has, as a metadata service on loopback for each
    /// of its nodes.
    pub fn sim(&self) -> Option<&Sim> {
        self.simulation.as_ref().map(|simulation| &simulation.sim)
    }

    /// How much changes in a simulated cluster, per second; nothing is known of a real one.
    pub fn churn(&self) -> f64 {
        self.simulation.as_ref().map_or(0.0, |simulation| simulation.rate)
    }

    /// Ends a simulation.
    pub async fn shutdown(self) {
        if let Some(Simulation { sim, churn, cancel, .. }) = self.simulation {
            cancel.cancel();
            // It ends by its token; if it panicked, there is nothing to wait for.
            let _ = churn.await;
            sim.shutdown().await;
        }
    }
}

/// Makes a namespace in a simulated cluster, unless it is there.
pub fn ensure_namespace(sim: &Sim, name: &str) -> Result<(), SimError> {
    if sim.get(&ObjectRef::new("v1", "Namespace", name))?.is_none() {
        sim.create(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}))?;
    }
    Ok(())
}

impl Clients {
    fn by(&mut self, make: MakeClient) -> anyhow::Result<Client> {
        let switch = Switch::new(make(&self.config).context(NO_CLIENT)?);
        let client = switch.client();
        self.made.push((make, switch));
        Ok(client)
    }

    /// All of them, or none.
    fn follow(&mut self, config: Config) -> anyhow::Result<()> {
        let new =
            self.made.iter().map(|(make, _)| make(&config)).collect::<kube::Result<Vec<_>>>().context(NO_CLIENT)?;
        for ((_, switch), client) in self.made.iter().zip(new) {
            switch.turn(client);
        }
        self.config = config;
        Ok(())
    }
}

fn once(mut config: Config) -> Config {
    config.default_retry = false;
    config
}
