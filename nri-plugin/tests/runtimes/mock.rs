//! The simulated runtime of cluster-sim, so that what the other tests rely on is what Go does.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use cluster_sim::nri::api::{
    CreateContainerRequest, Event, StopContainerRequest, SynchronizeRequest, UpdateContainerRequest,
    UpdatePodSandboxRequest,
};
use cluster_sim::nri::{Profile, Record, Runtime, Version};
use nri_plugin::api::{ContainerUpdate, UpdateContainersRequest};
use prost::Message;
use tempfile::TempDir;

use crate::driver::{Driver, Failed, Kind, within};

pub(crate) struct Mock {
    kind: Kind,
    _directory: TempDir,
    socket: PathBuf,
    /// Plugins may hold their threads up, and not the runtime's.
    threads: Option<tokio::runtime::Runtime>,
    runtime: Option<Arc<Runtime>>,
}

impl Driver for Mock {
    async fn start(kind: Kind) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("nri.sock");
        let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let mut mock = Self { kind, _directory: directory, socket, threads: Some(threads), runtime: None };
        mock.restart(kind).await;
        Some(mock)
    }

    fn kind(&self) -> Kind {
        self.kind
    }

    fn socket(&self) -> &Path {
        &self.socket
    }

    async fn request(&mut self, method: &str, request: Vec<u8>) -> Result<Vec<u8>, Failed> {
        let (runtime, method) = (self.runtime.clone().unwrap(), method.to_owned());
        self.beside(async move { relay(&runtime, &method, &request).await }).await
    }

    async fn updates(&mut self) -> Vec<ContainerUpdate> {
        let log = self.runtime.as_ref().unwrap().log();
        loop {
            if let Record::Update { request, .. } = within(log.next()).await {
                return UpdateContainersRequest::decode(&request.encode_to_vec()[..]).unwrap().update;
            }
        }
    }

    async fn stop(&mut self) {
        let Some(runtime) = self.runtime.take() else { return };
        self.beside(async move { runtime.shutdown().await }).await;
    }

    async fn restart(&mut self, kind: Kind) {
        self.stop().await;
        self.kind = kind;
        let version = if kind.nri < (0, 10) { Version::V0_8 } else { Version::V0_12_5 };
        let profile = Profile::new(version)
            .runtime(kind.name, kind.version)
            .registration_timeout(kind.registration)
            .request_timeout(kind.request)
            // Some peers here wait for the answer to their registration, and never let themselves be configured.
            .early_reply(true);
        let runtime = Arc::new(Runtime::builder(profile).start());
        runtime.fail_updates_of("gone");
        let (listening, socket) = (runtime.clone(), self.socket.clone());
        self.beside(async move { listening.listen(socket).await.unwrap() }).await;
        self.runtime = Some(runtime);
    }
}

impl Mock {
    /// Does something on the runtime's own threads.
    async fn beside<T: Send + 'static>(&self, what: impl Future<Output = T> + Send + 'static) -> T {
        within(self.threads.as_ref().unwrap().spawn(what)).await.unwrap()
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        if let Some(threads) = self.threads.take() {
            // It is dropped where nothing may wait.
            threads.shutdown_background();
        }
    }
}

/// Brings a request to the plugins, whichever it is.
async fn relay(runtime: &Runtime, method: &str, request: &[u8]) -> Result<Vec<u8>, Failed> {
    let relay = runtime.relay();
    let answer = match method {
        "SetState" => {
            let SynchronizeRequest { pods, containers, .. } = read(request);
            relay.exist(pods, containers).await;
            Ok(Vec::new())
        }
        "CreateContainer" => relay.create(read(request)).await.map(|answer| answer.encode_to_vec()),
        "UpdateContainer" => {
            relay.update(read::<UpdateContainerRequest>(request)).await.map(|answer| answer.encode_to_vec())
        }
        "StopContainer" => relay.stop(read::<StopContainerRequest>(request)).await.map(|answer| answer.encode_to_vec()),
        "UpdatePodSandbox" => relay.update_pod(read::<UpdatePodSandboxRequest>(request)).await.map(|()| Vec::new()),
        method => {
            let event = Event::ALL.into_iter().find(|event| event.name() == method);
            let event = event.unwrap_or_else(|| panic!("there is no event {method:?}"));
            // The requests of these events are one message by their fields.
            let CreateContainerRequest { pod, container } = read(request);
            relay.event(event, pod.unwrap(), container).await.map(|()| Vec::new())
        }
    };
    answer.map_err(|failure| failure.to_string())
}

fn read<M: Message + Default>(message: &[u8]) -> M {
    M::decode(message).unwrap()
}
