//! A containerd of the test's own, driven as kubelet does it.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use tokio::time::sleep;

use super::config::config;
use super::cri::{
    Cri, LinuxPod, NamespaceOptions, NewContainer, PodConfig, PodMetadata, PodSecurity, Resources, texts,
};
use super::image;
use super::installed::{Installed, installed};
use super::remains;

/// Far longer than anything here takes: only a hang gets there.
const PATIENCE: Duration = Duration::from_secs(30);

/// One containerd at a time: two cores are few.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Runs a case with each version of containerd that there is, one after another.
pub(crate) async fn each(case: impl AsyncFn(&mut Node)) {
    let installed = match installed() {
        Ok(installed) => installed,
        Err(why) => return println!("skipped: {why}"),
    };
    let _turn = TURN.lock().await;
    remains::clear_dead();
    for containerd in &installed {
        println!("containerd {}", containerd.version);
        let mut node = Node::start(containerd).await;
        case(&mut node).await;
        let cgroup = node.cgroup.clone();
        drop(node);
        assert_eq!(remains::hierarchies(&cgroup), Vec::<PathBuf>::new(), "cgroups are left");
    }
}

/// Waits for something that comes by itself.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < PATIENCE, "not seen in {PATIENCE:?}: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

/// The same for what is asked of the runtime.
pub(crate) async fn until_told(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begin = Instant::now();
    while !holds().await {
        assert!(begin.elapsed() < PATIENCE, "not seen in {PATIENCE:?}: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

/// A number that a test found: shown even where the test passes.
pub(crate) fn say(text: &str) {
    // Nothing depends on it.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// A pod that runs.
#[derive(Debug, Clone)]
pub(crate) struct Pod {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) uid: String,
    config: PodConfig,
}

/// A node: containerd, and what it runs. All of it ends with this value.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) cri: Cri,
    installed: Installed,
    folder: TempDir,
    daemon: Option<Child>,
    /// Where pods' cgroups are made, in each hierarchy.
    cgroup: String,
    pods: AtomicU32,
}

impl Node {
    async fn start(installed: &Installed) -> Self {
        // Short, as the path of a socket has 107 bytes at most.
        let name = remains::name(std::process::id());
        let folder = tempfile::Builder::new().prefix(&format!("{name}-")).tempdir().unwrap();
        let mut node = Self {
            cri: Cri::new(&folder.path().join("containerd.sock")),
            installed: installed.clone(),
            folder,
            daemon: None,
            cgroup: format!("/{name}"),
            pods: AtomicU32::new(0),
        };
        fs::write(node.path("config.toml"), config(&installed.version, node.folder.path(), &installed.runc)).unwrap();
        for directory in ["nri/plugins", "nri/conf.d", "cni/bin", "cni/conf.d"] {
            fs::create_dir_all(node.path(directory)).unwrap();
        }
        image::write(&installed.busybox, &node.path("image.tar")).unwrap();
        node.start_daemon();
        node.ready().await;
        node.import();
        node.ready_with(image::BUSYBOX).await;
        node
    }

    fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }

    pub(crate) fn version(&self) -> &str {
        &self.installed.version
    }

    /// Where plugins connect.
    pub(crate) fn nri_socket(&self) -> PathBuf {
        self.path("nri.sock")
    }

    /// Where the runtime finds the plugins that it launches.
    pub(crate) fn plugins(&self) -> PathBuf {
        self.path("nri/plugins")
    }

    /// Where it finds their configurations.
    pub(crate) fn plugin_configurations(&self) -> PathBuf {
        self.path("nri/conf.d")
    }

    /// What runc was given to run a container by.
    pub(crate) fn oci_spec(&self, id: &str) -> serde_json::Value {
        let bundle = self.path("state/io.containerd.runtime.v2.task/k8s.io").join(id);
        serde_json::from_slice(&fs::read(bundle.join("config.json")).unwrap()).unwrap()
    }

    pub(crate) fn start_daemon(&mut self) {
        assert!(self.daemon.is_none());
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::iter::once(self.installed.binaries.clone()).chain(std::env::split_paths(&path));
        let log = File::options().create(true).append(true).open(self.path("log")).unwrap();
        let daemon = Command::new(self.installed.binaries.join("containerd"))
            .arg("--config")
            .arg(self.path("config.toml"))
            .env("PATH", std::env::join_paths(path).unwrap())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.daemon = Some(daemon);
    }

    /// Ends containerd; pods go on.
    pub(crate) fn stop_daemon(&mut self, signal: Signal) {
        let Some(mut daemon) = self.daemon.take() else { return };
        let _ = kill(pid(&daemon), signal);
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            if daemon.try_wait().is_ok_and(|ended| ended.is_some()) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = daemon.kill();
        let _ = daemon.wait();
    }

    /// Waits until CRI is served and plugins can connect.
    pub(crate) async fn ready(&mut self) {
        let begin = Instant::now();
        while !(self.nri_socket().exists() && self.cri.has_image(image::BUSYBOX).await.is_ok()) {
            let ended = self.daemon.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none() && begin.elapsed() < PATIENCE, "containerd does not serve: {ended:?}");
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// containerd takes notice of what was imported in its own time.
    async fn ready_with(&self, image: &str) {
        until_told("an image that was imported", async || matches!(self.cri.has_image(image).await, Ok(true))).await;
    }

    fn import(&self) {
        let mut ctr = Command::new(self.installed.binaries.join("ctr"));
        ctr.arg("--address").arg(self.path("containerd.sock"));
        ctr.args(["--namespace", "k8s.io", "images", "import", "--snapshotter", "native"]);
        // Else 2.x unpacks by a service that is not told of the snapshotter.
        if !self.version().starts_with("1.") {
            ctr.arg("--local");
        }
        let ran = ctr.arg(self.path("image.tar")).output().unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    }

    /// Runs a pod in the namespace `tests`, labelled and annotated with its name.
    pub(crate) async fn run_pod(&self, name: &str) -> Pod {
        let number = self.pods.fetch_add(1, Ordering::Relaxed);
        let uid = format!("{number:08x}-0000-4000-8000-000000000000");
        let config = PodConfig {
            metadata: Some(PodMetadata { name: name.to_owned(), uid: uid.clone(), namespace: "tests".to_owned() }),
            labels: texts(&[("app", name)]),
            annotations: texts(&[("tests/pod", name)]),
            linux: Some(LinuxPod {
                cgroup_parent: format!("{}/pod{uid}", self.cgroup),
                security_context: Some(PodSecurity { namespace_options: Some(NamespaceOptions::HOST_NETWORK) }),
            }),
        };
        let id = self.cri.run_pod(config.clone()).await.unwrap();
        Pod { id, name: name.to_owned(), uid, config }
    }

    /// Creates a container, labelled and annotated with its name.
    pub(crate) async fn create(
        &self,
        pod: &Pod,
        name: &str,
        command: &[&str],
        resources: Option<Resources>,
    ) -> Result<String, tonic::Status> {
        self.create_annotated(pod, name, command, resources, &[("tests/container", name)]).await
    }

    /// The same with other annotations.
    pub(crate) async fn create_annotated(
        &self,
        pod: &Pod,
        name: &str,
        command: &[&str],
        resources: Option<Resources>,
        annotations: &[(&str, &str)],
    ) -> Result<String, tonic::Status> {
        let labels = [("container", name)];
        let container = NewContainer { name, image: image::BUSYBOX, command, labels: &labels, annotations, resources };
        self.cri.create_container(&pod.id, &pod.config, container).await
    }

    /// Creates and starts a container that sleeps.
    pub(crate) async fn run(&self, pod: &Pod, name: &str) -> String {
        let id = self.create(pod, name, &["/bin/sleep", "1000000"], None).await.unwrap();
        self.cri.start_container(&id).await.unwrap();
        id
    }

    pub(crate) async fn remove_container(&self, id: &str) {
        self.cri.stop_container(id).await.unwrap();
        self.cri.remove_container(id).await.unwrap();
    }

    pub(crate) async fn remove_pod(&self, pod: &Pod) {
        self.cri.stop_pod(&pod.id).await.unwrap();
        self.cri.remove_pod(&pod.id).await.unwrap();
    }

    /// A container's first process, as the runtime tells it to kubelet.
    pub(crate) async fn pid(&self, id: &str) -> u32 {
        let info = self.cri.container_info(id).await.unwrap();
        info["pid"].as_u64().and_then(|pid| pid.try_into().ok()).unwrap_or_else(|| panic!("no pid in {info}"))
    }

    /// What the kernel has for a container in the first of the files that is there, whatever hierarchy it is in.
    pub(crate) fn limit(&self, pod: &Pod, id: &str, files: [&'static str; 2]) -> (&'static str, i64) {
        let own = self.cgroup_of(Path::new("/"), pod, id);
        let directories = remains::hierarchies(own.to_str().unwrap());
        let read = |file: &&str| {
            let text = directories.iter().find_map(|directory| fs::read_to_string(directory.join(file)).ok())?;
            text.trim().parse().ok()
        };
        files
            .iter()
            .find_map(|file| Some((*file, read(file)?)))
            .unwrap_or_else(|| panic!("no {files:?} in {}", own.display()))
    }

    /// The cgroup2 directory of a container, by the rule of the cgroupfs driver.
    pub(crate) fn cgroup_of(&self, cgroups: &Path, pod: &Pod, id: &str) -> PathBuf {
        cgroups.join(self.cgroup.trim_start_matches('/')).join(format!("pod{}", pod.uid)).join(id)
    }
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(child.id().try_into().unwrap())
}

impl Drop for Node {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = fs::read_to_string(self.path("log")).unwrap_or_default();
            let lines: Vec<_> = log.lines().collect();
            println!("the last of containerd's log:\n{}", lines[lines.len().saturating_sub(30)..].join("\n"));
        }
        self.stop_daemon(Signal::SIGTERM);
        remains::clear(self.folder.path(), &self.cgroup);
    }
}
