//! A runtime, as the tests drive it.

use std::path::Path;
use std::time::Duration;

use nri_plugin::api::{
    Container, ContainerAdjustment, ContainerUpdate, CreateContainerRequest, CreateContainerResponse, Empty, Event,
    EventMask, LinuxResources, PodSandbox, StopContainerRequest, StopContainerResponse, SynchronizeRequest,
    UpdateContainerRequest, UpdateContainerResponse, UpdatePodSandboxRequest,
};
use prost::Message;
use tokio::time::timeout;

/// How long a test waits for what has to come. No outcome depends on it.
const PATIENCE: Duration = Duration::from_mins(2);

/// How long the runtimes wait that are to be waited for: what all wait by default.
pub(crate) const SHORT: Duration = Duration::from_secs(2);

/// What a runtime is, and what it says of itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind {
    pub(crate) nri: (u32, u32),
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    /// How long it waits for a plugin to register.
    pub(crate) registration: Duration,
    /// How long it waits for an answer. Long, but for the tests in which it is waited for.
    pub(crate) request: Duration,
}

pub(crate) const NRI_0_8: Kind = Kind {
    nri: (0, 8),
    name: "containerd",
    version: "1.7.27~ds1",
    registration: Duration::from_mins(1),
    request: Duration::from_mins(1),
};
pub(crate) const NRI_NEWEST: Kind = Kind { nri: (0, 12), version: "v2.4.0", ..NRI_0_8 };

impl Kind {
    /// The events that it knows.
    pub(crate) fn known(&self) -> EventMask {
        if self.nri >= (0, 10) { EventMask::ALL } else { EventMask::BEFORE_0_10 }
    }
}

/// Why the runtime failed what it was to do, in its own words.
pub(crate) type Failed = String;

/// Drives a runtime. Plugins connect to its socket by themselves.
pub(crate) trait Driver: Sized {
    /// Starts a runtime on a socket of its own, with nothing in it. `None` where there is none: it has said why.
    async fn start(kind: Kind) -> Option<Self>;

    /// What it is.
    fn kind(&self) -> Kind;

    /// The socket, which is there as long as the runtime is.
    fn socket(&self) -> &Path;

    /// Brings an event to all plugins, by the name of its call and the call's request as NRI 0.12 has it, and what they
    /// answered together. `SetState` is not for plugins: it takes a `SynchronizeRequest`, for those that join from then
    /// on.
    ///
    /// A plugin that learned that it has joined is called.
    async fn request(&mut self, method: &str, request: Vec<u8>) -> Result<Vec<u8>, Failed>;

    /// The next updates that a plugin asked for when it joined, or of its own accord. The runtime makes them but for a
    /// container "gone".
    async fn updates(&mut self) -> Vec<ContainerUpdate>;

    /// Ends the runtime.
    async fn stop(&mut self);

    /// Ends it, if it has not ended, and starts another one that says something else of itself, with nothing in it, on
    /// the same socket.
    async fn restart(&mut self, kind: Kind);

    /// What exists.
    async fn set_state(&mut self, pods: Vec<PodSandbox>, containers: Vec<Container>) {
        let _: Empty = call(self, "SetState", &SynchronizeRequest { pods, containers, more: false }).await.unwrap();
    }

    /// An event that wants no answer; those of pods have no container.
    async fn event(&mut self, event: Event, pod: PodSandbox, container: Container) -> Result<(), Failed> {
        let container = (!EventMask::POD.contains(event)).then_some(container);
        // The requests of these events are one message by their fields.
        let request = CreateContainerRequest { pod: Some(pod), container };
        call::<Empty>(self, event.name(), &request).await.map(drop)
    }

    async fn create(
        &mut self,
        pod: PodSandbox,
        container: Container,
    ) -> Result<(ContainerAdjustment, Vec<ContainerUpdate>), Failed> {
        let request = CreateContainerRequest { pod: Some(pod), container: Some(container) };
        let answer: CreateContainerResponse = call(self, "CreateContainer", &request).await?;
        Ok((answer.adjust.unwrap_or_default(), real(answer.update)))
    }

    async fn update(
        &mut self,
        pod: PodSandbox,
        container: Container,
        resources: LinuxResources,
    ) -> Result<Vec<ContainerUpdate>, Failed> {
        let request =
            UpdateContainerRequest { pod: Some(pod), container: Some(container), linux_resources: Some(resources) };
        let answer: UpdateContainerResponse = call(self, "UpdateContainer", &request).await?;
        Ok(real(answer.update))
    }

    async fn stop_container(&mut self, pod: PodSandbox, container: Container) -> Result<Vec<ContainerUpdate>, Failed> {
        let request = StopContainerRequest { pod: Some(pod), container: Some(container) };
        let answer: StopContainerResponse = call(self, "StopContainer", &request).await?;
        Ok(real(answer.update))
    }

    async fn update_pod(
        &mut self,
        pod: PodSandbox,
        overhead: LinuxResources,
        resources: LinuxResources,
    ) -> Result<(), Failed> {
        let request = UpdatePodSandboxRequest {
            pod: Some(pod),
            overhead_linux_resources: Some(overhead),
            linux_resources: Some(resources),
        };
        call::<Empty>(self, "UpdatePodSandbox", &request).await.map(drop)
    }
}

async fn call<A: Message + Default>(
    driver: &mut impl Driver,
    method: &str,
    request: &impl Message,
) -> Result<A, Failed> {
    let answer = driver.request(method, request.encode_to_vec()).await?;
    Ok(A::decode(&answer[..]).unwrap())
}

/// Updates without those of no container: the container itself has such a one where no plugin updated it.
fn real(mut updates: Vec<ContainerUpdate>) -> Vec<ContainerUpdate> {
    updates.retain(|update| !update.container_id.is_empty());
    updates
}

/// Waits for what has to come.
pub(crate) async fn within<T>(outcome: impl Future<Output = T>) -> T {
    timeout(PATIENCE, outcome).await.unwrap_or_else(|_| panic!("nothing came within {PATIENCE:?}"))
}
