//! The cluster: an API server, kubelets behind its proxy, a Lease for each node, and something that happens all the time.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use benches::kubeconfig;
use benches::process::listening;
use cluster_sim::Sim;
use cluster_sim::churn::{Churn, drive};
use cluster_sim::population::{Population, PopulationSpec};
use node_lease::source::Fixed;
use node_lease::{Attribute, LeaseWriter, NodeMetadata};
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::Args;

/// Where agents look for Leases unless told otherwise.
const LEASES: &str = "amazon-cloudwatch";
/// How often Events are written.
const TICKS_PER_SECOND: u32 = 20;
/// Of each pod's stories, every second is told again: its Event is counted up.
const REASONS: [(&str, &str); 4] =
    [("Normal", "Pulled"), ("Normal", "Started"), ("Warning", "Unhealthy"), ("Warning", "BackOff")];

/// Serves the cluster until its end.
pub(crate) async fn be_the_cluster(args: &Args) -> Result<()> {
    let population = Population::new(&PopulationSpec::new(args.nodes, args.pods));
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": LEASES}});
    let sim = Sim::builder().objects(population.objects().chain([namespace])).start().await?;
    let churn = Churn::new(&population, 1);
    drop(population);
    write_leases(&sim).await?;
    println!("{}", sim.url());
    std::io::stdout().flush()?;
    let events = write_events(&sim, args.events);
    let churn = drive(&sim, churn, args.events, CancellationToken::new());
    // Each goes on for ever, unless it fails.
    tokio::select! {
        () = churn => Ok(()),
        failed = events => failed,
    }
}

/// What a writer on each node leaves there.
async fn write_leases(sim: &Sim) -> Result<()> {
    let client = sim.client_in_memory();
    let mut writers = Vec::new();
    for (number, node) in sim.list("v1", "nodes")?.iter().enumerate() {
        let name = node["metadata"]["name"].as_str().context("a node without a name")?;
        let metadata = NodeMetadata::new()
            .with(Attribute::HostId, &format!("i-{number:017x}"))
            .with(Attribute::HostType, "m6i.4xlarge")
            .with(Attribute::HostName, name)
            .with(Attribute::AvailabilityZone, ["eu-central-1a", "eu-central-1b", "eu-central-1c"][number % 3])
            .with(Attribute::Provider, "aws");
        let writer = LeaseWriter::builder(client.clone(), Fixed(metadata), name, LEASES, format!("writer-{name}"));
        writers.push(writer.start_jitter(Duration::ZERO).build()?.spawn()?);
    }
    for writer in &writers {
        writer.held().await;
    }
    // What they wrote stays, and nobody renews it within a measurement.
    Ok(())
}

async fn write_events(sim: &Sim, per_second: f64) -> Result<()> {
    let pods: Vec<(String, String, String)> = sim.list("v1", "pods")?.iter().filter_map(names).collect();
    let mut ticks = interval(Duration::from_secs(1) / TICKS_PER_SECOND);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut due = 0.0;
    let mut number = 0_usize;
    loop {
        ticks.tick().await;
        due += per_second / f64::from(TICKS_PER_SECOND);
        while due >= 1.0 {
            due -= 1.0;
            let Some((namespace, name, uid)) = pods.get(number / 2 * 7 % pods.len().max(1)) else { return Ok(()) };
            let (type_, reason) = REASONS[number / 2 % REASONS.len()];
            let now = sim.now().to_string();
            sim.upsert(json!({
                "apiVersion": "v1", "kind": "Event",
                "metadata": {"name": format!("{name}.{:x}", number / 2), "namespace": namespace},
                "involvedObject": {"apiVersion": "v1", "kind": "Pod", "name": name, "namespace": namespace, "uid": uid},
                "type": type_, "reason": reason, "message": format!("{reason} of a container of {name}"),
                "source": {"component": "kubelet"}, "firstTimestamp": now, "lastTimestamp": now, "count": number % 2 + 1,
            }))?;
            number += 1;
        }
    }
}

fn names(pod: &Value) -> Option<(String, String, String)> {
    let text = |key: &str| pod["metadata"][key].as_str().map(str::to_owned);
    Some((text("namespace")?, text("name")?, text("uid")?))
}

/// The cluster's process.
pub(crate) struct Cluster {
    child: Child,
    url: String,
}

impl Cluster {
    pub(crate) async fn start(args: &Args) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .arg("--cluster")
            .args(["--nodes", &args.nodes.to_string(), "--pods", &args.pods.to_string()])
            .args(["--events", &args.events.to_string()]);
        let (child, url) = listening(command).await.context("the cluster does not start")?;
        Ok(Self { child, url })
    }

    /// Writes a kubeconfig that leads to it.
    pub(crate) fn write_kubeconfig(&self, path: &Path) -> Result<()> {
        Ok(std::fs::write(path, kubeconfig::of(&self.url).to_string())?)
    }

    pub(crate) async fn stop(mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }
}
