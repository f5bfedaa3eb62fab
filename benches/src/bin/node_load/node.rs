//! A simulated node whose containers are cgroups of this machine.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use cluster_sim::Sim;
use cluster_sim::kubelet::KubeletServer;
use cluster_sim::nri::api::{Container, PodSandbox};
use cluster_sim::nri::{Runtime, Version};
use cluster_sim::population::PopulationSpec;
use nri_plugin::cgroup::CgroupFs;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Child;

use crate::loads;

const NAMESPACE: &str = "amazon-cloudwatch";
/// Who the agent is to the kubelet.
const TOKEN: &str = "node-load";

/// All of it ends with this value.
pub(crate) struct Node {
    sim: Sim,
    name: String,
    kubelet: KubeletServer,
    runtime: Runtime,
    loads: Vec<Child>,
    cgroup: PathBuf,
    directory: TempDir,
}

impl Node {
    pub(crate) async fn start(containers: usize) -> Result<Self> {
        let pods = u32::try_from(containers)?;
        let sim = Sim::builder().population(&PopulationSpec::new(1, pods)).start().await?;
        sim.create(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}))?;
        let nodes = sim.list("v1", "nodes")?;
        let name = nodes.first().and_then(|node| node["metadata"]["name"].as_str()).context("no node")?.to_owned();
        let kubelet = sim.kubelet(&name).start().await?;
        let directory = tempfile::tempdir()?;
        fs::write(directory.path().join("ca.crt"), sim.ca_pem()?)?;
        fs::write(directory.path().join("token"), TOKEN)?;
        sim.add_token(TOKEN, "system:admin");

        let tree = CgroupFs::discover()?.mount_point().to_owned();
        let cgroup = tree.join(format!("node-load-{}", std::process::id()));
        fs::create_dir(&cgroup).with_context(|| format!("no cgroup can be made in {}", tree.display()))?;
        let runtime = Runtime::builder(Version::V0_12).cgroup_root(&cgroup).start();
        let mut node = Self { sim, name, kubelet, runtime, loads: Vec::new(), cgroup, directory };
        let populated = node.populate(containers).await;
        if populated.is_err() {
            node.stop().await;
        }
        populated.map(|()| node)
    }

    async fn populate(&mut self, containers: usize) -> Result<()> {
        self.runtime.listen(&self.directory.path().join("nri.sock")).await?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        for pod in self.sim.list("v1", "pods")? {
            let metadata = &pod["metadata"];
            let [name, namespace, uid] = ["name", "namespace", "uid"].map(|field| text(&metadata[field]));
            let sandbox = PodSandbox { name, namespace, uid, ..PodSandbox::default() };
            let sandbox = self.runtime.run_pod(sandbox).await?;
            for container in pod["spec"]["containers"].as_array().into_iter().flatten() {
                if self.loads.len() < containers {
                    self.run(&sandbox.id, text(&container["name"])).await?;
                }
            }
            if self.loads.len() == containers {
                return Ok(());
            }
        }
        ensure!(self.loads.len() == containers, "the simulated pods have {} containers only", self.loads.len());
        Ok(())
    }

    async fn run(&mut self, pod: &str, name: String) -> Result<()> {
        let load = loads::start(self.loads.len())?;
        let pid = load.id().context("a load has ended already")?;
        self.loads.push(load);
        let created = self.runtime.create(pod, Container { name, pid, ..Container::default() }).await?;
        let cgroup = self.runtime.cgroup_of(&created.container.id).context("a container without a cgroup")?;
        fs::create_dir_all(&cgroup)?;
        fs::write(cgroup.join("cgroup.procs"), pid.to_string())?;
        self.runtime.start(&created.container.id).await?;
        Ok(())
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// By which the agent finds all of it.
    pub(crate) fn arguments(&self) -> Vec<OsString> {
        let at = |name: &str| self.directory.path().join(name).display().to_string();
        let kubelet = self.kubelet.addr();
        let arguments = [
            ("port", "0".to_owned()),
            ("node-name", self.name.clone()),
            ("apiserver", self.sim.url()),
            ("source", "node".to_owned()),
            ("start-jitter", "0s".to_owned()),
            ("socket", at("nri.sock")),
            ("kubelet-address", kubelet.ip().to_string()),
            ("kubelet-port", kubelet.port().to_string()),
            ("kubelet-ca", at("ca.crt")),
            ("kubelet-token-file", at("token")),
        ];
        arguments.into_iter().map(|(flag, value)| OsString::from(format!("--{flag}={value}"))).collect()
    }

    pub(crate) async fn stop(&mut self) {
        for load in &mut self.loads {
            let _ = load.kill().await;
        }
        self.runtime.shutdown().await;
        remove(&self.cgroup);
        self.sim.shutdown().await;
    }
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
