//! What is listed: this machine, or a simulated one.

use std::fs;
use std::path::Path;

use anyhow::Context;
use cluster_sim::nri::api::{Container, PodSandbox};
use cluster_sim::nri::{Runtime, Version};
use nri_plugin::cgroup::CgroupFs;
use nri_plugin::index::ContainerIndex;
use nri_plugin::launch::{DEFAULT_SOCKET, Endpoint};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::flags::Flags;

/// Pods of the simulated runtime that stay, and how many come and go per second.
const PODS: [(&str, &str, &[&str]); 4] = [
    ("shop", "web-7d9c6b5f4-x2x7k", &["app", "proxy"]),
    ("shop", "cart-0", &["app"]),
    ("kube-system", "coredns-6799fbcd5-4kq2v", &["coredns"]),
    ("monitoring", "agent-j5t9z", &["agent", "config-reloader"]),
];
const RATE: f64 = 0.5;

/// Where the cgroups are, and the runtime.
pub(crate) struct Host {
    pub(crate) cgroups: CgroupFs,
    /// None where no runtime is to be asked.
    pub(crate) endpoint: Option<Endpoint>,
    /// What a reader of the listing has to know.
    pub(crate) note: Option<String>,
    simulated: Option<(TempDir, JoinHandle<()>)>,
}

impl Host {
    pub(crate) async fn of(flags: &Flags) -> anyhow::Result<Self> {
        if flags.sim {
            return Self::simulated().await;
        }
        let cgroups = CgroupFs::discover()?;
        if !flags.no_nri && flags.socket == Path::new(DEFAULT_SOCKET) && !flags.socket.exists() {
            let found = ContainerIndex::builder(cgroups.clone()).build().scan().found;
            if found == 0 {
                return Self::simulated().await;
            }
        }
        let endpoint = (!flags.no_nri).then(|| Endpoint::Socket(flags.socket.clone()));
        Ok(Self { cgroups, endpoint, note: None, simulated: None })
    }

    /// A runtime whose cgroups are directories below a temporary one.
    async fn simulated() -> anyhow::Result<Self> {
        let root = tempfile::tempdir().context("no directory for the simulated machine")?;
        let cgroup2 = root.path().join("sys/fs/cgroup");
        fs::create_dir_all(&cgroup2)?;
        mountinfo(root.path())?;
        let runtime = Runtime::builder(Version::V0_12).cgroup_root(&cgroup2).start();
        let socket = root.path().join("nri.sock");
        runtime.listen(&socket).await?;
        for (namespace, name, containers) in PODS {
            let pod = PodSandbox { name: name.into(), namespace: namespace.into(), ..PodSandbox::default() };
            let pod = runtime.run_pod(pod).await?;
            for name in containers {
                let container = Container { name: (*name).into(), ..Container::default() };
                let created = runtime.create(&pod.id, container).await?;
                runtime.start(&created.container.id).await?;
            }
        }
        let cgroups = CgroupFs::discover_in(root.path())?;
        let driver = tokio::spawn(async move {
            runtime.drive(RATE, std::future::pending::<()>()).await;
        });
        Ok(Self {
            cgroups,
            endpoint: Some(Endpoint::Socket(socket)),
            note: Some("This is a SIMULATED machine: --no-nri or --socket PATH for this one.".to_owned()),
            simulated: Some((root, driver)),
        })
    }

    pub(crate) async fn shutdown(self) {
        if let Some((_root, driver)) = self.simulated {
            driver.abort();
            let _ = driver.await;
        }
    }
}

/// A `/proc` that tells where cgroup2 is mounted, and nothing else.
fn mountinfo(root: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(root.join("proc/self"))?;
    fs::write(root.join("proc/self/mountinfo"), "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n")?;
    Ok(())
}
