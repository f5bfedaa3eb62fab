//! A runtime: the plugins that have joined it, and the socket at which they come.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use futures::FutureExt;
use parking_lot::Mutex as SyncMutex;
use tokio::net::UnixListener;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::api::{Container, ContainerUpdate, PodSandbox, UpdateContainersRequest};
use super::cgroups::{CgroupDriver, Cgroups};
use super::envelope::Status;
use super::failure::ListenError;
use super::log::{Log, Record};
use super::malformed::Malformed;
use super::peer::{Opening, Peer};
use super::server::Update;
use super::state::State;
use super::synchronize;
use super::trouble::{Code, Trouble};
use super::trunk::Stream;
use super::updates::Updates;
use super::version::{Profile, Version};

/// A runtime to be.
#[derive(Debug)]
pub struct RuntimeBuilder {
    profile: Profile,
    driver: CgroupDriver,
    root: Option<PathBuf>,
    nested: Option<String>,
    seed: u64,
    update_errors: bool,
}

impl RuntimeBuilder {
    /// The name and version that it says it has. `cri-o` names cgroups as CRI-O does.
    pub fn runtime(self, name: impl Into<String>, version: impl Into<String>) -> Self {
        Self { profile: self.profile.runtime(name.into(), version.into()), ..self }
    }

    /// How long a plugin that has connected may take to register; 5 s by default.
    pub fn registration_timeout(self, registration_timeout: Duration) -> Self {
        Self { profile: self.profile.registration_timeout(registration_timeout), ..self }
    }

    /// How long a plugin may take for an answer, and for the whole synchronization; 2 s by default.
    pub fn request_timeout(self, request_timeout: Duration) -> Self {
        Self { profile: self.profile.request_timeout(request_timeout), ..self }
    }

    /// Whether the synchronization never comes to its last part: see [`Profile::endless_parts`].
    pub fn endless_parts(self, endless_parts: bool) -> Self {
        Self { profile: self.profile.endless_parts(endless_parts), ..self }
    }

    /// How it names cgroups; by path as a default.
    pub fn cgroup_driver(self, driver: CgroupDriver) -> Self {
        Self { driver, ..self }
    }

    /// Makes a directory below this one for each cgroup, for as long as the cgroup is there. It may be a cgroup that the
    /// caller made, or any directory; what is made is removed when the runtime is dropped. Nothing is made by default.
    pub fn cgroup_root(self, root: impl Into<PathBuf>) -> Self {
        Self { root: Some(root.into()), ..self }
    }

    /// Makes a cgroup of this name in each container's, as crun does with `container`.
    pub fn nested_cgroup(self, name: impl Into<String>) -> Self {
        Self { nested: Some(name.into()), ..self }
    }

    /// Whether an update of a plugin's own accord that fails is answered by an error for all of them, as containerd does it,
    /// and not by the list of those that failed. The adaptation passes on either; by default it is the list.
    pub fn update_errors(self, update_errors: bool) -> Self {
        Self { update_errors, ..self }
    }

    /// What decides ids and uids; 1 by default.
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// The runtime, which plugins can join by [`Runtime::accept`] or after [`Runtime::listen`].
    pub fn start(self) -> Runtime {
        let crio = self.profile.name == "cri-o";
        let made = SyncMutex::default();
        let inner = Inner {
            cgroups: Cgroups { driver: self.driver, crio, root: self.root, nested: self.nested, made },
            profile: self.profile,
            log: Log::default(),
            door: Mutex::default(),
            turn: Mutex::default(),
            state: SyncMutex::new(State::new(self.seed)),
            peers: SyncMutex::default(),
            alive: SyncMutex::new(Some(CancellationToken::new())),
            listening: SyncMutex::default(),
            joined: watch::Sender::default(),
            update_errors: self.update_errors,
        };
        Runtime { inner: Arc::new(inner) }
    }
}

/// A simulated runtime: pods and containers, the plugins that have joined, and what they get to see of them.
///
/// Plugins are accepted one after another, and an event is sent to them one after another by index; no two events
/// overlap, nor does an event overlap a synchronization. Dropping it closes all connections, and removes the socket and
/// the directories that it made.
///
/// ```
/// use cluster_sim::nri::api::{Container, PodSandbox};
/// use cluster_sim::nri::{Runtime, Version};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = std::env::temp_dir().join(format!("cluster-sim-doc-{}", std::process::id()));
/// let runtime = Runtime::builder(Version::V0_12).start();
/// runtime.listen(directory.join("nri.sock")).await?;
/// // … a plugin connects, or is given one end of a pipe and `runtime.accept` the other …
///
/// // What is empty is filled in: ids, pids, cgroups.
/// let pod = runtime.run_pod(PodSandbox { name: "web".into(), namespace: "shop".into(), ..Default::default() }).await?;
/// let created = runtime.create(&pod.id, Container { name: "app".into(), ..Default::default() }).await?;
/// runtime.start(&created.container.id).await?;
/// assert_eq!(runtime.containers()[0].pid, 1002);
///
/// runtime.restart().await?;
/// runtime.remove_pod(&pod.id).await?;
/// assert!(runtime.log().events().is_empty(), "no plugin has joined");
/// runtime.shutdown().await;
/// # std::fs::remove_dir_all(directory)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Runtime {
    pub(super) inner: Arc<Inner>,
}

impl Drop for Runtime {
    fn drop(&mut self) {
        if let Some(alive) = self.inner.alive.lock().take() {
            alive.cancel();
        }
        if let Some(listening) = self.inner.listening.lock().take() {
            let _ = fs::remove_file(listening.path);
        }
    }
}

#[derive(Debug)]
struct Listening {
    path: PathBuf,
    task: JoinHandle<()>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) profile: Profile,
    pub(super) log: Log,
    pub(super) cgroups: Cgroups,
    /// Plugins come in one after another.
    door: Mutex<()>,
    /// Events, synchronizations and updates take turns, and a turn lasts as long as the plugins take for it: this is what
    /// is simulated.
    pub(super) turn: Mutex<()>,
    pub(super) state: SyncMutex<State>,
    peers: SyncMutex<Vec<Arc<Peer>>>,
    /// Ends connections and the socket; none once the runtime is shut down.
    alive: SyncMutex<Option<CancellationToken>>,
    listening: SyncMutex<Option<Listening>>,
    /// Says when a plugin has joined.
    joined: watch::Sender<()>,
    update_errors: bool,
}

impl Runtime {
    /// A runtime of this version of NRI.
    pub fn builder(profile: impl Into<Profile>) -> RuntimeBuilder {
        RuntimeBuilder {
            profile: profile.into(),
            driver: CgroupDriver::default(),
            root: None,
            nested: None,
            seed: 1,
            update_errors: false,
        }
    }

    /// Its version of NRI.
    pub fn version(&self) -> Version {
        self.inner.profile.version
    }

    /// Takes a plugin at the other end of a stream, once those before it are through: registers, configures and
    /// synchronizes it.
    pub async fn accept(&self, stream: impl Stream) -> Result<Arc<Peer>, Trouble> {
        Box::pin(self.inner.accept(stream)).await
    }

    /// Listens on a unix socket. What is at the path is removed, and its directory is made if there is none. Listening
    /// anew ends it at the path before.
    pub async fn listen(&self, path: impl AsRef<Path>) -> Result<(), ListenError> {
        self.silence().await;
        let Some(alive) = self.inner.alive.lock().clone() else { return Err(ListenError::ShutDown) };
        let path = path.as_ref().to_owned();
        let socket = bind(&path).map_err(|source| ListenError::Socket { path: path.clone(), source })?;
        let task = tokio::spawn(serve(socket, Arc::downgrade(&self.inner), alive));
        *self.inner.listening.lock() = Some(Listening { path, task });
        Ok(())
    }

    /// Stops listening, and removes the socket. Plugins that have joined stay.
    pub async fn silence(&self) {
        let Some(Listening { path, task }) = self.inner.listening.lock().take() else { return };
        task.abort();
        let _ = task.await;
        let _ = fs::remove_file(path);
    }

    /// Ends and begins anew: all connections are closed, and the socket is another one at the same path. Pods and
    /// containers stay.
    pub async fn restart(&self) -> Result<(), ListenError> {
        let path = self.inner.listening.lock().as_ref().map(|listening| listening.path.clone());
        if !self.hang_up(Some(CancellationToken::new())).await {
            return Err(ListenError::ShutDown);
        }
        match path {
            Some(path) => self.listen(path).await,
            None => Ok(()),
        }
    }

    /// Closes all connections and the socket; nobody can join any more. May be called again.
    pub async fn shutdown(&self) {
        self.hang_up(None).await;
    }

    /// Whether there was something to hang up.
    async fn hang_up(&self, next: Option<CancellationToken>) -> bool {
        let Some(alive) = self.inner.alive.lock().take() else { return false };
        alive.cancel();
        self.silence().await;
        let _turn = self.inner.turn.lock().await;
        let peers = std::mem::take(&mut *self.inner.peers.lock());
        for peer in peers {
            peer.close().await;
            self.inner.log.push(Record::Left { plugin: peer.name.clone(), trouble: Trouble::Closed });
        }
        *self.inner.alive.lock() = next;
        true
    }

    /// The plugins that have joined and are there, in the order in which they are called.
    pub fn plugins(&self) -> Vec<Arc<Peer>> {
        self.inner.live()
    }

    /// Waits until so many plugins have joined and are there.
    pub async fn joined(&self, count: usize) {
        // The sender is this runtime's own: it is there.
        let _ = self.inner.joined.subscribe().wait_for(|()| self.inner.live().len() >= count).await;
    }

    /// The pods, by id.
    pub fn pods(&self) -> Vec<PodSandbox> {
        self.inner.state.lock().pods.values().map(|pod| pod.sandbox.clone()).collect()
    }

    /// The containers, by id.
    pub fn containers(&self) -> Vec<Container> {
        self.inner.state.lock().containers.values().cloned().collect()
    }

    /// The directory of the cgroup of a pod's pause container, or of a container, below the root.
    pub fn cgroup_of(&self, id: &str) -> Option<PathBuf> {
        let state = self.inner.state.lock();
        let pod = state.pods.get(id).and_then(|pod| Some(&pod.sandbox.linux.as_ref()?.cgroups_path));
        let path = pod.or_else(|| Some(&state.containers.get(id)?.linux.as_ref()?.cgroups_path))?;
        Some(self.inner.cgroups.root.as_ref()?.join(Cgroups::directory(path).trim_start_matches('/')))
    }

    /// Has updates of this container fail that plugins ask for of their own accord, be it there or not. No other fails for a
    /// container that is not there: runtimes pass it over.
    pub fn fail_updates_of(&self, container: impl Into<String>) {
        self.inner.state.lock().failing.insert(container.into());
    }

    /// What each plugin was sent, and answered.
    pub fn log(&self) -> &Log {
        &self.inner.log
    }

    /// Sends what no runtime would to all plugins that have joined.
    pub async fn send(&self, malformed: Malformed) {
        let _turn = self.inner.turn.lock().await;
        for peer in self.plugins() {
            peer.send(malformed).await;
        }
    }
}

impl Inner {
    async fn accept(self: &Arc<Self>, stream: impl Stream) -> Result<Arc<Peer>, Trouble> {
        let Some(alive) = self.alive.lock().clone() else { return Err(Trouble::Closed) };
        tokio::select! {
            biased;
            () = alive.cancelled() => Err(Trouble::Closed),
            joined = self.join(stream, alive.clone()) => joined,
        }
    }

    async fn join(self: &Arc<Self>, stream: impl Stream, end: CancellationToken) -> Result<Arc<Peer>, Trouble> {
        let _door = self.door.lock().await;
        let name = Arc::new(OnceLock::new());
        let with = Opening { log: self.log.clone(), updates: Updates::default(), update: self.update(&name), end };
        let left = |plugin: Arc<str>, trouble: Trouble| {
            self.log.push(Record::Left { plugin, trouble: trouble.clone() });
            trouble
        };
        let opened = Peer::open(self.profile.clone(), stream, "", with).await;
        let peer = opened.map_err(|trouble| left(Arc::default(), trouble))?;
        let _ = name.set(peer.name.clone());
        let _turn = self.turn.lock().await;
        let (pods, containers) = self.state.lock().listed(self.profile.version);
        match synchronize::node(&peer, &pods, &containers).await {
            Ok(updates) if updates.is_empty() => {}
            Ok(update) => {
                let failed = self.state.lock().update(update.clone());
                let request = UpdateContainersRequest { update, ..UpdateContainersRequest::default() };
                self.log.push(Record::Update { plugin: peer.name.clone(), request, failed });
            }
            Err(trouble) => {
                peer.close().await;
                return Err(left(peer.name.clone(), trouble));
            }
        }
        let peer = Arc::new(peer);
        self.log.push(Record::Joined { plugin: peer.name.clone(), events: peer.events() });
        {
            let mut peers = self.peers.lock();
            peers.push(peer.clone());
            peers.sort_by(|one, other| one.registered().plugin_idx.cmp(&other.registered().plugin_idx));
        }
        self.joined.send_replace(());
        Ok(peer)
    }

    /// What a plugin asks for of its own accord waits for its turn before NRI 0.12.1: within an event, until that is over.
    fn update(self: &Arc<Self>, name: &Arc<OnceLock<Arc<str>>>) -> Update {
        let (runtime, name): (Weak<Self>, _) = (Arc::downgrade(self), name.clone());
        Arc::new(move |request| {
            let (runtime, name) = (runtime.clone(), name.clone());
            async move {
                let Some(runtime) = runtime.upgrade() else { return Ok(Vec::new()) };
                let at_once = runtime.profile.version.updates_during_events();
                let _turn = if at_once { None } else { Some(runtime.turn.lock().await) };
                let failed: Vec<ContainerUpdate> = runtime.state.lock().update(request.update.clone());
                let plugin = name.get().cloned().unwrap_or_default();
                runtime.log.push(Record::Update { plugin, request, failed: failed.clone() });
                if runtime.update_errors && !failed.is_empty() {
                    return Err(Status::new(Code::Unknown, "NRI update of some containers failed"));
                }
                Ok(failed)
            }
            .boxed()
        })
    }

    /// The plugins that an event goes to, in their order.
    pub(super) fn live(&self) -> Vec<Arc<Peer>> {
        self.peers.lock().iter().filter(|peer| !peer.is_closed()).cloned().collect()
    }

    /// Forgets the plugins that are closed, as the adaptation does after each event.
    pub(super) fn sweep(&self) {
        self.peers.lock().retain(|peer| match peer.end() {
            Some(trouble) => {
                self.log.push(Record::Left { plugin: peer.name.clone(), trouble });
                false
            }
            None => true,
        });
    }
}

fn bind(path: &Path) -> io::Result<UnixListener> {
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty() && !directory.exists())
    {
        let mut builder = fs::DirBuilder::new();
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.recursive(true).create(directory)?;
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    UnixListener::bind(path)
}

/// Accepts connections one after another: the next waits until the one before has joined or failed.
async fn serve(socket: UnixListener, runtime: Weak<Inner>, alive: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            biased;
            () = alive.cancelled() => return,
            accepted = socket.accept() => accepted,
        };
        let Some(runtime) = runtime.upgrade() else { return };
        match accepted {
            Ok((stream, _)) => match runtime.accept(stream).await {
                Ok(plugin) => tracing::info!(plugin = plugin.name(), "a plugin joined"),
                Err(trouble) => tracing::info!(%trouble, "a plugin did not join"),
            },
            Err(error) => {
                tracing::warn!(%error, "no plugin can be accepted");
                // Too many files are open, say: at once it would be the same.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}
