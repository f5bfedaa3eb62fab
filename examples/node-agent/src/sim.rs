//! A node of a simulated cluster: its API server, metadata service and kubelet, and a container runtime. As root the
//! containers are cgroups of this machine with a little load in each; else they are directories, and nothing is counted.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::Context;
use cluster_sim::nri::api::{Container, PodSandbox};
use cluster_sim::nri::{Runtime, Version};
use example_host::cluster::{Cluster, Unconfigured, ensure_namespace};
use kubelet_summary::fetch::{AddressType, NodeTarget, Token, Trust};
use nri_plugin::cgroup::CgroupFs;
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::containers::Place;
use crate::flags::Flags;
use crate::kubelet::Way;

/// Containers with a load: more of the node's stay without.
const LOADS: usize = 60;
/// What a load does its work in, over and over.
const TURN: Duration = Duration::from_millis(50);
/// The variable by which a process knows that it is a load, with its share of a processor in thousandths.
const LOAD: &str = "NODE_AGENT_SIMULATED_LOAD";
/// And the variable with the id of the process that it is to end with.
const PARENT: &str = "NODE_AGENT_SIMULATED_LOAD_OF";
/// What the names of cgroups begin with; the process's id follows.
const CGROUP: &str = "node-agent-sim-";

/// The simulation.
pub(crate) struct Simulated {
    pub(crate) cluster: Cluster,
    pub(crate) node: String,
    pub(crate) place: Place,
    pub(crate) socket: PathBuf,
    pub(crate) way: Way,
    /// Why nothing can be counted, where that is so.
    pub(crate) uncounted: Option<String>,
    runtime: Runtime,
    loads: Vec<Child>,
    cgroup: Option<PathBuf>,
    _root: TempDir,
}

impl Simulated {
    /// Starts it, and has the flags speak of it.
    pub(crate) async fn start(flags: &mut Flags) -> anyhow::Result<Self> {
        let cluster = flags.cluster.connect(Unconfigured::Simulate).await?;
        let sim = cluster.sim().context("the cluster is not simulated")?;
        ensure_namespace(sim, &flags.namespace)?;
        let node = match flags.node_name.clone() {
            Some(node) => node,
            None => {
                let nodes = sim.list("v1", "nodes")?;
                let name = nodes.first().and_then(|node| node["metadata"]["name"].as_str());
                name.context("the simulated cluster has no nodes")?.to_owned()
            }
        };
        if flags.imds_endpoint.is_none() {
            flags.imds_endpoint = Some(sim.metadata_of(&node).await.context("choose another --node-name")?.url());
        }
        let kubelet = sim.kubelet(&node).start().await?.addr();
        let target = NodeTarget::new(&*node).address(AddressType::InternalIp, kubelet.ip().to_string());
        let way =
            Way { node: target.port(kubelet.port()), trust: Some(Trust::Pem(sim.ca_pem()?)), token: Some(Token::None) };
        flags.node_name = Some(node.clone());

        let root = tempfile::tempdir().context("no directory for the simulated machine")?;
        let (place, cgroup, uncounted) = match real() {
            Ok((place, cgroup)) => (place, Some(cgroup), None),
            Err(error) => {
                let why = format!("left out of the simulation, whose containers are no cgroups here: {error:#}");
                (directories(root.path())?, None, Some(why))
            }
        };
        let below = cgroup.clone().unwrap_or_else(|| place.tree.clone());
        let runtime = Runtime::builder(Version::V0_12).cgroup_root(&below).start();
        let socket = root.path().join("nri.sock");
        runtime.listen(&socket).await?;
        let mut simulated =
            Self { node, place, socket, way, uncounted, runtime, loads: Vec::new(), cgroup, _root: root, cluster };
        if let Err(error) = simulated.populate().await {
            simulated.shutdown().await;
            return Err(error);
        }
        Ok(simulated)
    }

    /// The containers of the node's pods.
    async fn populate(&mut self) -> anyhow::Result<()> {
        let sim = self.cluster.sim().context("the cluster is not simulated")?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        for pod in sim.list("v1", "pods")? {
            if pod["spec"]["nodeName"] != self.node.as_str() || pod["status"]["phase"] != "Running" {
                continue;
            }
            let metadata = &pod["metadata"];
            let (name, namespace, uid) =
                (text(&metadata["name"]), text(&metadata["namespace"]), text(&metadata["uid"]));
            let sandbox = PodSandbox { name, namespace, uid, ..PodSandbox::default() };
            let sandbox = self.runtime.run_pod(sandbox).await?;
            for container in pod["spec"]["containers"].as_array().into_iter().flatten() {
                self.run(&sandbox.id, text(&container["name"])).await?;
            }
        }
        Ok(())
    }

    async fn run(&mut self, pod: &str, name: String) -> anyhow::Result<()> {
        let load = if self.cgroup.is_some() && self.loads.len() < LOADS {
            // Some are busy, most are not.
            let share = [2, 4, 1, 9, 3, 25, 1, 6].get(self.loads.len() % 8).copied().unwrap_or(1);
            let program = std::env::current_exe().context("where is this program?")?;
            let mut command = Command::new(program);
            command
                .env(LOAD, share.to_string())
                .env(PARENT, std::process::id().to_string())
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            Some(command.kill_on_drop(true).spawn().context("no simulated load")?)
        } else {
            None
        };
        let pid = load.as_ref().and_then(Child::id);
        let container = Container { name, pid: pid.unwrap_or(0), ..Container::default() };
        let created = self.runtime.create(pod, container).await?;
        let id = &created.container.id;
        if let Some((pid, cgroup)) = pid.zip(self.runtime.cgroup_of(id)) {
            // It is in its cgroup before anybody is told of it.
            fs::create_dir_all(&cgroup).context("no cgroup for the load")?;
            fs::write(cgroup.join("cgroup.procs"), pid.to_string()).context("the load can't be put into its cgroup")?;
        }
        self.loads.extend(load);
        self.runtime.start(id).await?;
        Ok(())
    }

    /// Ends everything, and removes the cgroups.
    pub(crate) async fn shutdown(mut self) {
        for load in &mut self.loads {
            let _ = load.kill().await;
        }
        self.runtime.shutdown().await;
        drop(self.runtime);
        if let Some(cgroup) = &self.cgroup {
            remove(cgroup);
        }
        self.cluster.shutdown().await;
    }
}

/// A cgroup of this machine.
fn real() -> anyhow::Result<(Place, PathBuf)> {
    anyhow::ensure!(rustix::process::geteuid().is_root(), "run it as root");
    let place = Place::discover()?;
    for entry in fs::read_dir(&place.tree)?.flatten() {
        // What a killed simulation has left.
        let name = entry.file_name().to_string_lossy().into_owned();
        let pid = name.strip_prefix(CGROUP);
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            remove(&entry.path());
        }
    }
    let cgroup = place.tree.join(format!("{CGROUP}{}", std::process::id()));
    fs::create_dir(&cgroup).with_context(|| format!("no cgroup can be made in {}", place.tree.display()))?;
    Ok((place, cgroup))
}

/// The deepest first: a cgroup is removed as a directory without its files.
fn remove(cgroup: &Path) {
    for entry in fs::read_dir(cgroup).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&entry.path());
        }
    }
    let _ = fs::remove_dir(cgroup);
}

/// Directories that stand for cgroups.
fn directories(root: &Path) -> anyhow::Result<Place> {
    let tree = root.join("sys/fs/cgroup");
    fs::create_dir_all(&tree)?;
    fs::create_dir_all(root.join("proc/self"))?;
    fs::write(root.join("proc/self/mountinfo"), "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n")?;
    Ok(Place { cgroups: CgroupFs::discover_in(root)?, tree })
}

/// Whether this process is a simulated container's; then it works until its parent is gone.
pub(crate) fn is_load() -> bool {
    let Some(share) = std::env::var(LOAD).ok().and_then(|share| share.parse::<u32>().ok()) else { return false };
    // By its id as it said it itself: who is gone before this line must not be taken for who came after it.
    let parent = std::env::var(PARENT).ok().and_then(|parent| parent.parse::<i32>().ok());
    while rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get()) == parent {
        let begun = Instant::now();
        let mut number = 1_u64;
        while begun.elapsed() < TURN * share.min(1_000) / 1_000 {
            number = std::hint::black_box(number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
        }
        std::thread::sleep(TURN.saturating_sub(begun.elapsed()));
    }
    true
}
