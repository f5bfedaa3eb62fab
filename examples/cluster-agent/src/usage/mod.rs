//! What pods use by the word of their kubelets: from where it comes, how that goes, and who uses most.

mod feed;
pub(crate) mod object;
pub(crate) mod shared;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::{Args, ValueEnum};
use example_host::page::{Health, Part};
use example_host::units::count;
use futures::StreamExt;
use futures::channel::mpsc::channel;
use futures::stream::BoxStream;
use ksm_core::{Ksm, ResourceBuilder};
use kube::runtime::watcher::Event;
use kubelet_summary::fetch::{Direct, Fetcher, NodeProxy, Token, Trust, lean_client};
use kubelet_summary::schema::PodStats;
use kubelet_summary::{KubeletSummary, MissingReason, Mode, Parts, Summary};
use serde::Serialize;
use tokio::task::JoinHandle;

use self::object::Usage;
use self::shared::{Lists, Shared};
use crate::flags::{Switch, duration};
use crate::scope::Namespaces;

/// Objects between the documents and ksm-core; behind a full queue, documents wait.
const QUEUE: usize = 256;

/// What the part is called.
pub(crate) const NAME: &str = "Usage by kubelets";

/// How many are shown of those who use most.
const TOP: usize = 8;

/// The way to kubelets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Way {
    /// Through the API server: `get` on nodes/proxy, which is also the right to run commands in containers
    Proxy,
    /// Directly, at port 10250: `get` on nodes/stats, and serving certificates by the cluster's authority
    Direct,
}

/// The flags about kubelets.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Usage")]
pub(crate) struct UsageFlags {
    /// Whether kubelets are asked what their pods use
    #[arg(long = "usage", value_enum, default_value_t = Switch::On, id = "usage")]
    pub(crate) wanted: Switch,
    /// The way to kubelets
    #[arg(long = "usage-via", value_enum, default_value_t = Way::Proxy)]
    pub(crate) via: Way,
    /// The authorities of kubelets' certificates, as PEM, where they are asked directly [default: the service account's]
    #[arg(long = "usage-kubelet-ca", value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// The token that kubelets are shown where they are asked directly [default: the service account's]
    #[arg(long = "usage-kubelet-token", value_name = "FILE")]
    pub(crate) token: Option<PathBuf>,
    /// Take any certificate of a kubelet that is asked directly, whatever the authorities are: the token goes to whoever
    /// answers
    #[arg(long = "usage-kubelet-insecure", num_args = 0..=1, require_equals = true, default_value = "false",
        default_missing_value = "true", value_name = "BOOL", action = clap::ArgAction::Set)]
    pub(crate) insecure: bool,
    /// How often each kubelet is asked; at least 10s, as often as kubelets look
    #[arg(long = "usage-interval", value_name = "DURATION", default_value = "55s", value_parser = interval)]
    pub(crate) interval: Duration,
    /// How many kubelets are asked at once
    #[arg(long = "usage-concurrency", value_name = "NUMBER", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) concurrency: u16,
}

fn interval(text: &str) -> Result<Duration, String> {
    duration(text).and_then(|interval| match interval.as_secs() {
        10..=3_600 => Ok(interval),
        _ => Err("an interval is from 10s to 1h".to_owned()),
    })
}

/// Documents on their way to series.
pub(crate) struct UsageSource {
    summary: KubeletSummary,
    namespaces: Namespaces,
    shared: bool,
    begun: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<()>>,
    /// Tells of the shared watches, once ksm-core runs.
    lists: Option<Lists>,
}

/// From where pods and nodes are known.
pub(crate) enum Inventory {
    /// From ksm-core's watches.
    Shared(Shared),
    /// From watches of its own, on these namespaces.
    Own(Vec<String>),
}

impl UsageSource {
    /// Begins to ask, and gives the resource that shows the answers.
    pub(crate) async fn start(
        flags: &UsageFlags,
        cluster: &example_host::cluster::Cluster,
        inventory: Inventory,
        namespaces: Namespaces,
    ) -> anyhow::Result<(Self, ResourceBuilder<Usage>)> {
        let shared = matches!(inventory, Inventory::Shared(_));
        let (builder, lists) = match inventory {
            Inventory::Own(namespaces) => {
                let builder = KubeletSummary::builder(cluster.client.clone());
                (builder.inventory(|inventory| inventory.namespaces(namespaces)), None)
            }
            Inventory::Shared(shared) => {
                let (pods, nodes, tell) = shared.into_streams();
                (KubeletSummary::from_streams(pods, nodes), Some(tell))
            }
        };
        let summary = builder
            .fetcher(fetcher(flags, cluster).await?)
            .ttl(flags.interval)
            .concurrency(flags.concurrency.into())
            .mode(Mode::Background)
            .spawn()?;
        let (out, events) = channel::<Event<Usage>>(QUEUE);
        let feeding = tokio::spawn(feed::feed(summary.clone(), namespaces.clone(), out));
        let begun = Arc::new(AtomicBool::new(false));
        let beginning = tokio::spawn(ask_all(summary.clone(), begun.clone()));
        let stream: BoxStream<'static, _> = events.map(Ok::<_, std::convert::Infallible>).boxed();
        let source = Self { summary, namespaces, shared, begun, tasks: vec![feeding, beginning], lists };
        Ok((source, object::resource().stream(stream)))
    }

    /// What tells of it.
    pub(crate) fn told(&self) -> Told {
        Told {
            summary: self.summary.clone(),
            namespaces: self.namespaces.clone(),
            shared: self.shared,
            begun: self.begun.clone(),
        }
    }

    /// Goes on, now that ksm-core runs.
    pub(crate) fn follow(&mut self, ksm: Arc<Ksm>) {
        if let Some(lists) = self.lists.take() {
            self.tasks.push(tokio::spawn(lists(ksm)));
        }
    }

    pub(crate) async fn shutdown(self) {
        for task in self.tasks {
            task.abort();
        }
        self.summary.shutdown().await;
    }
}

async fn fetcher(flags: &UsageFlags, cluster: &example_host::cluster::Cluster) -> anyhow::Result<Box<dyn Fetcher>> {
    if flags.via == Way::Proxy {
        return Ok(Box::new(NodeProxy::new(cluster.client_by(lean_client)?).parts(Parts::USAGE)));
    }
    let mut direct = Direct::builder().parts(Parts::USAGE);
    if flags.insecure {
        direct = direct.trust(Trust::Insecure);
    } else if let Some(file) = &flags.ca {
        direct = direct.trust(Trust::PemFile(file.clone()));
    }
    if let Some(file) = &flags.token {
        direct = direct.token(Token::File(file.clone()));
    }
    if let Some(sim) = cluster.sim() {
        // Kubelets of a simulated cluster listen only where they are asked to.
        for node in sim.list("v1", "nodes")? {
            if let Some(name) = node["metadata"]["name"].as_str() {
                sim.kubelet(name).start().await?;
            }
        }
        direct = direct.trust(Trust::Pem(sim.ca_pem()?)).token(Token::None);
    }
    Ok(Box::new(direct.build()?))
}

/// Asks all nodes that there are once, so that nobody waits for an interval for the first figures. From then on each is
/// asked at a place of its own.
async fn ask_all(summary: KubeletSummary, begun: Arc<AtomicBool>) {
    if summary.ready().await.is_ok() && summary.nodes().await.is_ok() {
        begun.store(true, Ordering::Relaxed);
    }
}

/// What is told of usage.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    summary: KubeletSummary,
    namespaces: Namespaces,
    shared: bool,
    /// Whether all nodes that there were at first have been asked.
    begun: Arc<AtomicBool>,
}

/// How it goes, as data.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct UsageStatus {
    /// Nodes that are known.
    pub(crate) nodes: usize,
    /// Those whose kubelets gave a document lately.
    pub(crate) fresh: usize,
    /// Those of which an older one is shown.
    pub(crate) stale: usize,
    /// Those of which nothing is shown.
    pub(crate) missing: usize,
    /// Those among them that were not asked yet.
    pub(crate) unasked: usize,
    /// Pods in the documents.
    pub(crate) pods: usize,
    /// Whether pods and nodes come from the watches of the cluster's state.
    pub(crate) shares_watches: bool,
    pub(crate) cpu_cores: f64,
    pub(crate) memory_bytes: u64,
    pub(crate) newest_seconds: Option<u64>,
    pub(crate) oldest_seconds: Option<u64>,
    /// Why nodes give nothing, and how many of them.
    pub(crate) reasons: BTreeMap<String, usize>,
    pub(crate) top_cpu: Vec<Talker>,
    pub(crate) top_memory: Vec<Talker>,
}

/// A pod that uses much.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Talker {
    pub(crate) namespace: String,
    pub(crate) pod: String,
    pub(crate) node: String,
    pub(crate) cpu_cores: f64,
    pub(crate) memory_bytes: u64,
}

impl Told {
    pub(crate) fn status(&self) -> UsageStatus {
        let known = self.summary.cache().known();
        let mut status = UsageStatus { nodes: known.len(), shares_watches: self.shared, ..UsageStatus::default() };
        let mut documents: Vec<Arc<Summary>> = Vec::with_capacity(known.len());
        for answer in known {
            let outcome = &answer.outcome;
            match () {
                () if outcome.is_fresh() => status.fresh += 1,
                () if outcome.is_stale() => status.stale += 1,
                () => status.missing += 1,
            }
            match outcome.reason() {
                None => {}
                Some(MissingReason::NotAsked) => status.unasked += 1,
                Some(reason) => {
                    let why = match reason {
                        MissingReason::Failed { error, .. } | MissingReason::GateClosed { error, .. } => {
                            error.to_string()
                        }
                        other => other.to_string(),
                    };
                    // Without the node, so that what all have in common is one reason.
                    *status.reasons.entry(why.replace(&*answer.node, "NODE")).or_default() += 1;
                }
            }
            if let Some(age) = outcome.age().map(|age| age.as_secs()) {
                status.newest_seconds = Some(status.newest_seconds.map_or(age, |known| known.min(age)));
                status.oldest_seconds = Some(status.oldest_seconds.map_or(age, |known| known.max(age)));
            }
            documents.extend(outcome.summary().cloned());
        }
        for document in &documents {
            status.pods += document.pods.iter().filter(|pod| self.namespaces.admit(pod.pod_ref.namespace())).count();
            status.cpu_cores += cores(document.node.cpu.usage_nano_cores.get());
            status.memory_bytes += document.node.memory.working_set_bytes.get().unwrap_or(0);
        }
        (status.top_cpu, status.top_memory) = top(&documents, &self.namespaces);
        status
    }

    /// How it is, in words.
    pub(crate) fn part(&self, status: &UsageStatus) -> Part {
        let UsageStatus { nodes, fresh, stale, pods, .. } = status;
        let part = |health| Part::new(NAME, health).fresh(status.newest_seconds);
        if let Err(error) = self.summary.inventory().check() {
            let fails = self.summary.inventory().status().behind().is_some();
            return part(if fails { Health::Failed } else { Health::Starting }).reason(error.to_string());
        }
        let [pods, shown, all] = [*pods, fresh + stale, *nodes].map(|number| count(number as u64));
        let detail = format!("{pods} pods on {shown} of {all} nodes");
        let most = status.reasons.iter().max_by_key(|(_, nodes)| **nodes);
        match most {
            // Nodes that come later are asked at their own place within the interval, and that is no fault.
            _ if !self.begun.load(Ordering::Relaxed) => part(Health::Starting).detail(detail),
            None => part(Health::Ok).detail(detail),
            Some((why, nodes)) => {
                let health = if fresh + stale == 0 { Health::Failed } else { Health::Degraded };
                part(health).detail(detail).reason(format!("{} nodes: {why}", count(*nodes as u64)))
            }
        }
    }
}

fn cores(nanos: Option<u64>) -> f64 {
    nanos.unwrap_or(0) as f64 / 1e9
}

/// The pods that use most processor, and most memory.
fn top(documents: &[Arc<Summary>], namespaces: &Namespaces) -> (Vec<Talker>, Vec<Talker>) {
    let admitted = |(_, pod): &(&Arc<Summary>, &PodStats)| namespaces.admit(pod.pod_ref.namespace());
    let all = || documents.iter().flat_map(|document| document.pods.iter().map(move |pod| (document, pod)));
    let pods = || all().filter(admitted);
    let most = |by: &dyn Fn(&PodStats) -> Option<u64>| {
        let mut most: Vec<(u64, &Arc<Summary>, &PodStats)> = Vec::with_capacity(2 * TOP);
        for (document, pod) in pods() {
            let Some(value) = by(pod).filter(|value| *value > 0) else { continue };
            if most.len() < TOP || most.last().is_some_and(|(least, ..)| value > *least) {
                most.push((value, document, pod));
                most.sort_by_key(|(value, _, pod)| (Reverse(*value), pod.pod_ref.namespace(), pod.pod_ref.name()));
                most.truncate(TOP);
            }
        }
        let talker = |(_, document, pod): (u64, &Arc<Summary>, &PodStats)| Talker {
            namespace: pod.pod_ref.namespace().to_owned(),
            pod: pod.pod_ref.name().to_owned(),
            node: document.node.node_name.to_string(),
            cpu_cores: cores(pod.cpu.usage_nano_cores.get()),
            memory_bytes: pod.memory.working_set_bytes.get().unwrap_or(0),
        };
        most.into_iter().map(talker).collect()
    };
    (most(&|pod| pod.cpu.usage_nano_cores.get()), most(&|pod| pod.memory.working_set_bytes.get()))
}
