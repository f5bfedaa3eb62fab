//! Plugins for the tests, and how they meet a runtime.

use std::sync::Arc;
use std::time::Duration;

use nri_plugin::api::{
    Container, ContainerAdjustment, ContainerUpdate, CreateContainerResponse, EventMask, KeyValue, LinuxResources,
    PodSandbox, ValidateContainerAdjustmentRequest, ValidateContainerAdjustmentResponse,
};
use nri_plugin::{Answer, Configuration, Identity, Plugin, Session, SessionBuilder};
use parking_lot::Mutex;
use tokio::io::{DuplexStream, duplex};
use tokio::time::sleep;

/// Handles everything, and writes down what.
#[derive(Debug, Default)]
pub(crate) struct All {
    pub(crate) seen: Mutex<Vec<String>>,
}

impl All {
    fn saw(&self, what: &str, pod: &PodSandbox, container: &Container) {
        let words = [what, &pod.id, &container.id].map(str::to_owned);
        self.seen.lock().push(words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" "));
    }

    fn saw_pod(&self, what: &str, pod: &PodSandbox) {
        self.saw(what, pod, &Container::default());
    }

    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.seen.lock())
    }
}

impl Plugin for All {
    async fn configure(&self, configuration: Configuration) -> Answer<EventMask> {
        self.seen.lock().push(format!("configure {:?}", configuration.text));
        Ok(configuration.events)
    }

    async fn synchronize(&self, pods: Vec<PodSandbox>, containers: Vec<Container>) -> Answer<Vec<ContainerUpdate>> {
        self.seen.lock().push(format!("synchronize {} {}", pods.len(), containers.len()));
        Ok(vec![update("synchronized")])
    }

    async fn shutdown(&self) -> Answer<()> {
        self.seen.lock().push("shutdown".to_owned());
        Ok(())
    }

    async fn run_pod_sandbox(&self, pod: PodSandbox) -> Answer<()> {
        self.saw_pod("RunPodSandbox", &pod);
        Ok(())
    }

    async fn update_pod_sandbox(
        &self,
        pod: PodSandbox,
        overhead: LinuxResources,
        resources: LinuxResources,
    ) -> Answer<()> {
        assert_ne!(overhead, resources);
        self.saw_pod("UpdatePodSandbox", &pod);
        Ok(())
    }

    async fn post_update_pod_sandbox(&self, pod: PodSandbox) -> Answer<()> {
        self.saw_pod("PostUpdatePodSandbox", &pod);
        Ok(())
    }

    async fn stop_pod_sandbox(&self, pod: PodSandbox) -> Answer<()> {
        self.saw_pod("StopPodSandbox", &pod);
        Ok(())
    }

    async fn remove_pod_sandbox(&self, pod: PodSandbox) -> Answer<()> {
        self.saw_pod("RemovePodSandbox", &pod);
        Ok(())
    }

    /// The answer is as long as the container's first argument says.
    async fn create_container(&self, pod: PodSandbox, container: Container) -> Answer<CreateContainerResponse> {
        self.saw("CreateContainer", &pod, &container);
        let length = container.args.first().map_or(Ok(1), |length| length.parse())?;
        let env = vec![KeyValue { key: "KEY".to_owned(), value: "x".repeat(length) }];
        let adjust = Some(ContainerAdjustment { env, ..ContainerAdjustment::default() });
        Ok(CreateContainerResponse { adjust, ..CreateContainerResponse::default() })
    }

    async fn post_create_container(&self, pod: PodSandbox, container: Container) -> Answer<()> {
        self.saw("PostCreateContainer", &pod, &container);
        Ok(())
    }

    async fn start_container(&self, pod: PodSandbox, container: Container) -> Answer<()> {
        self.saw("StartContainer", &pod, &container);
        Ok(())
    }

    async fn post_start_container(&self, pod: PodSandbox, container: Container) -> Answer<()> {
        self.saw("PostStartContainer", &pod, &container);
        Ok(())
    }

    async fn update_container(
        &self,
        pod: PodSandbox,
        container: Container,
        resources: LinuxResources,
    ) -> Answer<Vec<ContainerUpdate>> {
        assert_ne!(resources, LinuxResources::default());
        self.saw("UpdateContainer", &pod, &container);
        Ok(vec![update("updated")])
    }

    async fn post_update_container(&self, pod: PodSandbox, container: Container) -> Answer<()> {
        self.saw("PostUpdateContainer", &pod, &container);
        Ok(())
    }

    async fn stop_container(&self, pod: PodSandbox, container: Container) -> Answer<Vec<ContainerUpdate>> {
        self.saw("StopContainer", &pod, &container);
        Ok(vec![update("stopped")])
    }

    async fn remove_container(&self, pod: PodSandbox, container: Container) -> Answer<()> {
        self.saw("RemoveContainer", &pod, &container);
        Ok(())
    }

    async fn validate_container_adjustment(
        &self,
        request: ValidateContainerAdjustmentRequest,
    ) -> Answer<ValidateContainerAdjustmentResponse> {
        self.saw("ValidateContainerAdjustment", &request.pod.unwrap(), &request.container.unwrap());
        Ok(ValidateContainerAdjustmentResponse { reject: true, reason: "as was wanted".to_owned() })
    }
}

/// Fails as the id of the container says.
#[derive(Debug)]
pub(crate) struct Failing;

impl Failing {
    async fn fail(&self, how: &str) -> Answer<()> {
        match how {
            "error" => Err("as was wanted".into()),
            "panic" => panic!("as was wanted"),
            "overrun" => {
                sleep(Duration::from_mins(1)).await;
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl Plugin for Failing {
    async fn synchronize(&self, pods: Vec<PodSandbox>, _: Vec<Container>) -> Answer<Vec<ContainerUpdate>> {
        let how = pods.first().map_or("", |pod| pod.id.as_str());
        self.fail(how).await.map(|()| Vec::new())
    }

    async fn start_container(&self, _: PodSandbox, container: Container) -> Answer<()> {
        self.fail(&container.id).await
    }

    async fn create_container(&self, _: PodSandbox, container: Container) -> Answer<CreateContainerResponse> {
        self.fail(&container.id).await?;
        Ok(CreateContainerResponse {
            adjust: Some(ContainerAdjustment::default()),
            ..CreateContainerResponse::default()
        })
    }
}

pub(crate) fn update(id: &str) -> ContainerUpdate {
    ContainerUpdate { container_id: id.to_owned(), ..ContainerUpdate::default() }
}

pub(crate) fn builder<P: Plugin>(plugin: Arc<P>) -> SessionBuilder<P> {
    Session::builder(Identity::new("10", "test").unwrap(), plugin)
}

/// A session, and the runtime's end of its trunk.
pub(crate) fn spawn<P: Plugin>(builder: SessionBuilder<P>) -> (Session, DuplexStream) {
    let (near, far) = duplex(1 << 16);
    (builder.spawn(near).unwrap(), far)
}
