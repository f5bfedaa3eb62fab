//! Events of a caller's own making, for all plugins of a runtime.

use super::api::{
    Container, CreateContainerRequest, CreateContainerResponse, Event, PodSandbox, StopContainerRequest,
    StopContainerResponse, UpdateContainerRequest, UpdateContainerResponse, UpdatePodSandboxRequest,
};
use super::failure::Failure;
use super::runtime::{Inner, Runtime};

/// Brings single events to the plugins of a [`Runtime`], with the messages that the caller gives, and tells what the
/// plugins' answers come to: what the adaptation is to containerd and CRI-O.
///
/// Messages go out as they are, whatever the version. Events take turns with those of the runtime itself, whose pods and
/// containers neither show in them nor change by them.
///
/// ```
/// use cluster_sim::nri::api::{Container, CreateContainerRequest, Event, PodSandbox};
/// use cluster_sim::nri::{Runtime, Version};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let runtime = Runtime::builder(Version::V0_12).start();
/// let pod = PodSandbox { id: "web".into(), ..Default::default() };
/// runtime.relay().exist(vec![pod.clone()], vec![]).await;
/// // … a plugin joins, and is told of the pod …
///
/// let container = Container { id: "app".into(), pod_sandbox_id: "web".into(), ..Default::default() };
/// let request = CreateContainerRequest { pod: Some(pod.clone()), container: Some(container.clone()) };
/// let answer = runtime.relay().create(request).await?;
/// assert!(answer.adjust.is_some_and(|adjust| adjust.env.is_empty()), "no plugin has joined");
/// runtime.relay().event(Event::StartContainer, pod, container).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Relay<'a> {
    inner: &'a Inner,
}

impl Runtime {
    /// Events of the caller's own making, for the plugins that have joined.
    pub fn relay(&self) -> Relay<'_> {
        Relay { inner: &self.inner }
    }
}

impl Relay<'_> {
    /// Has plugins that join from now on told that this exists, in this order, in place of the runtime's own pods and
    /// containers.
    pub async fn exist(self, pods: Vec<PodSandbox>, containers: Vec<Container>) {
        let _turn = self.inner.turn.lock().await;
        self.inner.state.lock().told = Some((pods, containers));
    }

    /// Brings an event that wants no answer; one of a pod takes no container. The first plugin that answers with an error
    /// fails it, and those after that plugin do not get it.
    pub async fn event(
        self,
        event: Event,
        pod: PodSandbox,
        container: impl Into<Option<Container>>,
    ) -> Result<(), Failure> {
        let container = container.into();
        let _turn = self.inner.turn.lock().await;
        Box::pin(self.inner.told(event, pod, container)).await
    }

    /// Brings `CREATE_CONTAINER`, and what came of it to the validators. The answer is what all plugins together adjust, and
    /// update of other containers.
    ///
    /// Fails by an error, two plugins that set the same, an update of the container itself, or a validator.
    pub async fn create(self, request: CreateContainerRequest) -> Result<CreateContainerResponse, Failure> {
        let CreateContainerRequest { pod, container } = request;
        let _turn = self.inner.turn.lock().await;
        let created = self.inner.adjusted(pod.unwrap_or_default(), container.unwrap_or_default());
        let mut creation = Box::pin(created).await?;
        let update = creation.updates();
        Ok(CreateContainerResponse { adjust: Some(creation.adjustment), update, ..CreateContainerResponse::default() })
    }

    /// Brings `UPDATE_CONTAINER`. The answer is what plugins update of other containers, in the order in which these came
    /// up, and last the container's own resources, if a plugin had to do with them.
    ///
    /// Fails by an error, or two plugins that set the same.
    pub async fn update(self, request: UpdateContainerRequest) -> Result<UpdateContainerResponse, Failure> {
        let UpdateContainerRequest { pod, container, linux_resources } = request;
        let _turn = self.inner.turn.lock().await;
        let updated = self.inner.updated(pod, container.unwrap_or_default(), linux_resources.unwrap_or_default());
        let update = Box::pin(updated).await?.all();
        Ok(UpdateContainerResponse { update, ..UpdateContainerResponse::default() })
    }

    /// Brings `STOP_CONTAINER`. The answer is what plugins update of other containers.
    ///
    /// Fails by an error, or two plugins that set the same.
    pub async fn stop(self, request: StopContainerRequest) -> Result<StopContainerResponse, Failure> {
        let _turn = self.inner.turn.lock().await;
        Ok(StopContainerResponse { update: Box::pin(self.inner.stopped(request)).await? })
    }

    /// Brings `UPDATE_POD_SANDBOX`, which an error fails. No plugin knows it before NRI 0.10.
    pub async fn update_pod(self, request: UpdatePodSandboxRequest) -> Result<(), Failure> {
        let _turn = self.inner.turn.lock().await;
        Box::pin(self.inner.updated_pod(request)).await
    }
}
