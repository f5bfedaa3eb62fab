//! The handle of a running simulator.

mod clients;
pub(crate) mod endpoint;
mod rights;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api::write::Write;
use crate::builder::SimBuilder;
use crate::error::SimError;
use crate::fault::Faults;
use crate::http::{Connections, serve};
use crate::kubelet::fleet::Fleet as KubeletFleet;
use crate::kubelet::{KubeletServerBuilder, Kubelets};
use crate::metadata::MetadataServer;
use crate::metadata::fleet::Fleet;
use crate::mutation::Mutation;
use crate::object::TypeMeta;
use crate::patch::managed::Manager;
use crate::reference::ObjectRef;
use crate::requests::Requests;
use crate::server::Server;
use crate::store::State;
use crate::{chores, direct};
use endpoint::{Endpoint, MakeEndpoint};

/// How long a shutdown waits for connections to end.
const SHUTDOWN: Duration = Duration::from_secs(5);

/// The user agent of writes through the handle.
const MANAGER: &str = "cluster-sim";

/// A running simulator. Clones are handles of the same one; it stops with the last of them.
#[derive(Clone, Debug)]
pub struct Sim {
    inner: Arc<Inner>,
}

struct Inner {
    server: Arc<Server>,
    connections: Arc<Connections>,
    tracker: TaskTracker,
    stop: CancellationToken,
    endpoint: Endpoint,
    token: Option<String>,
    client: kube::Client,
    metadata: Fleet,
    kubelets: KubeletFleet,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sim").field("url", &self.endpoint.url()).finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Sim {
    /// Decide what the simulator is like; an empty cluster on a free port unless told otherwise.
    pub fn builder<'a>() -> SimBuilder<'a> {
        SimBuilder::new()
    }

    pub(crate) fn run(
        server: Arc<Server>,
        token: Option<String>,
        listener: TcpListener,
        endpoint: MakeEndpoint,
    ) -> Result<Self, SimError> {
        let address = listener.local_addr().map_err(|source| SimError::Listen { port: 0, source })?;
        let kubelets = KubeletFleet::default();
        let endpoint = endpoint(address, &kubelets)?;
        let client = kube::Client::try_from(endpoint.config(token.as_deref()))
            .map_err(|error| SimError::Client(Box::new(error)))?;
        let tracker = TaskTracker::new();
        let stop = CancellationToken::new();
        let connections = Arc::new(Connections::new(tracker.clone(), stop.clone()));
        tracker.spawn(serve(Arc::clone(&server), endpoint.speech.clone(), listener, Arc::clone(&connections)));
        tracker.spawn(chores::run(Arc::clone(&server), stop.clone()));
        Ok(Self {
            inner: Arc::new(Inner {
                server,
                connections,
                tracker,
                stop,
                endpoint,
                token,
                client,
                metadata: Fleet::default(),
                kubelets,
            }),
        })
    }

    /// Where the API server listens.
    pub fn addr(&self) -> SocketAddr {
        self.inner.endpoint.address
    }

    /// The API server's URL, for instance `http://127.0.0.1:34567`; `https` with [TLS](SimBuilder::tls).
    pub fn url(&self) -> String {
        self.inner.endpoint.url()
    }

    /// The certificate of the cluster's authority in PEM: it signs those of [kubelets](Self::kubelet), and the API
    /// server's if it serves TLS. [`SimError::Certificate`] where none can be made.
    #[cfg(feature = "tls")]
    pub fn ca_pem(&self) -> Result<String, SimError> {
        Ok(self.inner.kubelets.authority()?.pem())
    }

    /// Create an object as a client would: the server gives it a uid, validates it, and ignores its status if that is
    /// written by itself.
    pub fn create(&self, object: Value) -> Result<Value, SimError> {
        self.write(object, Deed::Create)
    }

    /// Replace an object as a client would: a `resourceVersion`, if given, must be the newest one; the status is kept
    /// if it is written by itself.
    pub fn update(&self, object: Value) -> Result<Value, SimError> {
        self.write(object, Deed::Update)
    }

    /// Replace an object's status as a controller would through the `status` subresource.
    pub fn update_status(&self, object: Value) -> Result<Value, SimError> {
        self.write(object, Deed::UpdateStatus)
    }

    /// Write an object as it is: metadata, spec and status in one go, whether it exists or not. What it lacks (uid,
    /// creationTimestamp, generation) is kept from the object it replaces, or made; the resourceVersion is the
    /// server's. Nothing is validated.
    pub fn upsert(&self, object: Value) -> Result<Value, SimError> {
        let (resource, type_meta, entry) = direct::upsert(&mut self.state_mut(), object)?;
        self.inner.server.chores.wake();
        Ok(direct::show(&resource, &type_meta, &entry))
    }

    /// Remove an object at once, whatever its grace period and finalizers say; its last state, `None` if there was
    /// none.
    pub fn delete(&self, object: &ObjectRef) -> Result<Option<Value>, SimError> {
        direct::remove(&mut self.state_mut(), object)
    }

    /// An object, if there is one.
    pub fn get(&self, object: &ObjectRef) -> Result<Option<Value>, SimError> {
        direct::get(&self.inner.server.store.state.read(), object)
    }

    /// All objects of a resource, for instance `list("apps/v1", "deployments")`, by namespace and name.
    pub fn list(&self, api_version: &str, plural: &str) -> Result<Vec<Value>, SimError> {
        let wanted = TypeMeta { api_version: api_version.to_owned(), kind: plural.to_owned() };
        let state = self.inner.server.store.state.read();
        let unknown = || SimError::UnknownKind { api_version: api_version.to_owned(), kind: plural.to_owned() };
        let resource = state.registry.get(wanted.group(), plural).ok_or_else(unknown)?;
        resource.version(wanted.version()).ok_or_else(unknown)?;
        let type_meta = resource.type_meta(wanted.version());
        let table = state.table(resource).ok_or_else(unknown)?;
        Ok(table.iter().map(|entry| direct::show(resource, &type_meta, entry)).collect())
    }

    /// Apply changes, in their order. One that cannot be applied (an unknown kind, an object without a name) is
    /// logged and left out; how many were applied.
    pub fn apply_mutations(&self, mutations: impl IntoIterator<Item = Mutation>) -> usize {
        let mut applied = 0;
        for mutation in mutations {
            match direct::mutate(&mut self.state_mut(), mutation) {
                Ok(()) => applied += 1,
                Err(error) => tracing::warn!(%error, "a mutation was left out"),
            }
        }
        applied
    }

    /// The server's faults: add some, and take them away.
    pub fn faults(&self) -> Faults<'_> {
        Faults(&self.inner.server)
    }

    /// What clients have asked for.
    pub fn requests(&self) -> &Requests {
        &self.inner.server.requests
    }

    /// The cloud metadata service of a node, as an agent on that node sees it: each node has one of its own, whose
    /// [`Machine`](crate::metadata::Machine) follows from the Node object. It starts at the first ask, stops with the
    /// simulator, and is another one once another node has taken the name.
    #[expect(clippy::unused_async, reason = "listening needs a runtime, which an async function runs in")]
    pub async fn metadata_of(&self, node: &str) -> Result<MetadataServer, SimError> {
        self.inner.metadata.of(&self.inner.server.store.state.read(), node, &self.inner.stop)
    }

    /// The kubelets of all nodes: their faults, and what they were asked. They are reached through the API server, at
    /// `/api/v1/nodes/NODE/proxy/…`, and at [ports of their own](Self::kubelet) where there are any.
    pub fn kubelets(&self) -> Kubelets<'_> {
        Kubelets { server: &self.inner.server, fleet: &self.inner.kubelets }
    }

    /// Decide what the ports of a node's kubelet are like; one with TLS, on a free port, unless told otherwise.
    pub fn kubelet(&self, node: &str) -> KubeletServerBuilder<'_> {
        KubeletServerBuilder::new(&self.inner.server, &self.inner.kubelets, &self.inner.stop, node)
    }

    /// The server's time, as it writes it into objects: the system's when it was started, unless the
    /// [builder](SimBuilder::now) was told another, and tokio's clock from there on, so that paused time moves it.
    pub fn now(&self) -> Timestamp {
        self.inner.server.clock.now()
    }

    /// The version of the newest write: what a list now would tell as its `resourceVersion`.
    pub fn resource_version(&self) -> u64 {
        self.inner.server.store.state.read().version()
    }

    /// Forget all history, as etcd does every few minutes: older continue tokens, lists and watches get 410. Running
    /// watches go on.
    pub fn compact_now(&self) {
        self.state_mut().compact();
    }

    /// All connections are reset, as when the server crashes and comes back; its state stays, its address too.
    pub fn restart(&self) {
        self.inner.connections.drop_all();
    }

    /// Serve a built-in resource in these versions, preferred first, as older and newer servers do; for instance
    /// `serve_versions("batch", "cronjobs", &["v1beta1"])`. Its objects are the same in all of them, but for their
    /// `apiVersion`. Without any version it is not served: its objects go. Running watches of a version that goes are
    /// ended by [`restart`](Self::restart).
    pub fn serve_versions(&self, group: &str, plural: &str, versions: &[&str]) -> Result<(), SimError> {
        let owned: Vec<String> = versions.iter().map(|version| (*version).to_owned()).collect();
        let unknown = || SimError::UnknownKind { api_version: group.to_owned(), kind: plural.to_owned() };
        self.state_mut().serve_versions(group, plural, &owned).then_some(()).ok_or_else(unknown)
    }

    /// Support streaming lists, or not; see [`SimBuilder::streaming_lists`].
    pub fn set_streaming_lists(&self, on: bool) {
        self.inner.server.settings.streaming_lists.store(on, Ordering::Relaxed);
    }

    /// Support shard selectors, or not; see [`SimBuilder::sharded_lists`]. Running watches go on as they began.
    pub fn set_sharded_lists(&self, on: bool) {
        self.inner.server.settings.sharded_lists.store(on, Ordering::Relaxed);
    }

    /// How watches learn that their version is too old; see [`SimBuilder::expired_watch_as_status`].
    pub fn set_expired_watch_as_status(&self, on: bool) {
        self.inner.server.settings.expired_watch_as_status.store(on, Ordering::Relaxed);
    }

    /// Stop: no connection is accepted any more, and the open ones are reset. So it goes with the nodes' metadata
    /// services and kubelets. Returns when all tasks have ended, or after five seconds. Calling it again does no harm.
    pub async fn shutdown(&self) {
        self.inner.stop.cancel();
        self.inner.tracker.close();
        if tokio::time::timeout(SHUTDOWN, self.inner.tracker.wait()).await.is_err() {
            tracing::warn!("connections are still ending after {} s", SHUTDOWN.as_secs());
        }
        self.inner.metadata.shutdown().await;
        self.inner.kubelets.shutdown().await;
    }

    fn state_mut(&self) -> parking_lot::RwLockWriteGuard<'_, State> {
        self.inner.server.store.state.write()
    }

    fn write(&self, object: Value, deed: Deed) -> Result<Value, SimError> {
        let mut state = self.state_mut();
        let (resource, type_meta, object) = direct::read(&state, object)?;
        let version = resource.version(type_meta.version()).ok_or_else(|| SimError::UnknownKind {
            api_version: type_meta.api_version.clone(),
            kind: type_meta.kind.clone(),
        })?;
        let (namespace, name) = (object.namespace().to_owned(), object.name().to_owned());
        let write = Write {
            resource: &resource,
            version,
            namespace: if resource.namespaced { &namespace } else { "" },
            name: &name,
            status_only: deed == Deed::UpdateStatus,
            dry_run: false,
            manager: Manager::new(
                "",
                MANAGER,
                &type_meta.api_version,
                if deed == Deed::UpdateStatus { "status" } else { "" },
            ),
            now: self.now(),
            call: None,
        };
        let written = match deed {
            Deed::Create => write.create(&mut state, object)?,
            Deed::Update | Deed::UpdateStatus => write.update(&mut state, object)?,
        };
        drop(state);
        self.inner.server.chores.wake();
        Ok(direct::show(&resource, &type_meta, &written.entry))
    }
}

/// A client's write through the handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    Create,
    Update,
    UpdateStatus,
}
