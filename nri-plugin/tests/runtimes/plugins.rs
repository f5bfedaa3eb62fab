//! Plugins for the tests, and how they meet a runtime.

use std::sync::Arc;
use std::time::Duration;

use nri_plugin::api::{
    Container, ContainerAdjustment, ContainerUpdate, CreateContainerResponse, EventMask, KeyValue, LinuxContainer,
    LinuxContainerUpdate, LinuxCpu, LinuxMemory, LinuxResources, OptionalInt64, OptionalUInt64, PodSandbox,
    ValidateContainerAdjustmentRequest, ValidateContainerAdjustmentResponse,
};
use nri_plugin::{Answer, Configuration, Identity, Plugin, Session, SessionBuilder};
use parking_lot::Mutex;
use tokio::net::UnixStream;
use tokio::time::sleep;

use crate::driver::{Driver, within};

/// Handles everything, and writes down what.
#[derive(Debug, Default)]
pub(crate) struct All {
    configuration: Mutex<Option<Configuration>>,
    seen: Mutex<Vec<(String, PodSandbox, Container)>>,
}

impl All {
    fn saw(&self, what: &str, pod: PodSandbox, container: Container) {
        self.seen.lock().push((what.to_owned(), pod, container));
    }

    pub(crate) fn configuration(&self) -> Configuration {
        self.configuration.lock().clone().unwrap()
    }

    /// What came since the last time, with what it came with.
    pub(crate) fn take(&self) -> Vec<(String, PodSandbox, Container)> {
        std::mem::take(&mut *self.seen.lock())
    }

    /// What came since the last time.
    pub(crate) fn names(&self) -> Vec<String> {
        self.take().into_iter().map(|(name, _, _)| name).collect()
    }
}

impl Plugin for All {
    async fn configure(&self, configuration: Configuration) -> Answer<EventMask> {
        let events = configuration.events;
        *self.configuration.lock() = Some(configuration);
        Ok(events)
    }

    async fn synchronize(&self, pods: Vec<PodSandbox>, containers: Vec<Container>) -> Answer<Vec<ContainerUpdate>> {
        self.saw("Synchronize", PodSandbox::default(), Container::default());
        for pod in pods {
            self.saw("pod", pod, Container::default());
        }
        for container in containers {
            self.saw("container", PodSandbox::default(), container);
        }
        Ok(Vec::new())
    }

    async fn run_pod_sandbox(&self, pod: PodSandbox) -> Answer<()> {
        self.saw("RunPodSandbox", pod, Container::default());
        Ok(())
    }

    async fn update_pod_sandbox(
        &self,
        pod: PodSandbox,
        overhead: LinuxResources,
        resources: LinuxResources,
    ) -> Answer<()> {
        assert_eq!((overhead, resources), (shares(1), shares(2)));
        self.saw("UpdatePodSandbox", pod, Container::default());
        Ok(())
    }

    async fn post_update_pod_sandbox(&self, pod: PodSandbox) -> Answer<()> {
        self.saw("PostUpdatePodSandbox", pod, Container::default());
        Ok(())
    }

    async fn stop_pod_sandbox(&self, pod: PodSandbox) -> Answer<()> {
        self.saw("StopPodSandbox", pod, Container::default());
        Ok(())
    }

    async fn remove_pod_sandbox(&self, pod: PodSandbox) -> Answer<()> {
        self.saw("RemovePodSandbox", pod, Container::default());
        Ok(())
    }

    async fn create_container(&self, pod: PodSandbox, container: Container) -> Answer<CreateContainerResponse> {
        self.saw("CreateContainer", pod, container);
        Ok(CreateContainerResponse::default())
    }

    async fn post_create_container(&self, pod: PodSandbox, container: Container) -> Answer<()> {
        self.saw("PostCreateContainer", pod, container);
        Ok(())
    }

    async fn start_container(&self, pod: PodSandbox, container: Container) -> Answer<()> {
        self.saw("StartContainer", pod, container);
        Ok(())
    }

    async fn post_start_container(&self, pod: PodSandbox, container: Container) -> Answer<()> {
        self.saw("PostStartContainer", pod, container);
        Ok(())
    }

    /// The container itself gets fewer shares, and another one some.
    async fn update_container(
        &self,
        pod: PodSandbox,
        container: Container,
        resources: LinuxResources,
    ) -> Answer<Vec<ContainerUpdate>> {
        assert_eq!(resources, shares(100));
        let updates = vec![update(&container.id, shares(50)), update("other", shares(150))];
        self.saw("UpdateContainer", pod, container);
        Ok(updates)
    }

    async fn post_update_container(&self, pod: PodSandbox, container: Container) -> Answer<()> {
        self.saw("PostUpdateContainer", pod, container);
        Ok(())
    }

    async fn stop_container(&self, pod: PodSandbox, container: Container) -> Answer<Vec<ContainerUpdate>> {
        self.saw("StopContainer", pod, container);
        Ok(vec![update("other", shares(200))])
    }

    async fn remove_container(&self, pod: PodSandbox, container: Container) -> Answer<()> {
        self.saw("RemoveContainer", pod, container);
        Ok(())
    }

    async fn validate_container_adjustment(
        &self,
        request: ValidateContainerAdjustmentRequest,
    ) -> Answer<ValidateContainerAdjustmentResponse> {
        self.saw("ValidateContainerAdjustment", request.pod.unwrap(), request.container.unwrap());
        let forbidden = request.adjust.unwrap_or_default().env.into_iter().find(|env| env.key == "FORBIDDEN");
        let reason = forbidden.as_ref().map_or_else(String::new, |env| format!("as {} wanted", env.value));
        Ok(ValidateContainerAdjustmentResponse { reject: forbidden.is_some(), reason })
    }
}

/// Gives containers a variable, and says what they had before.
#[derive(Debug, Default)]
pub(crate) struct Creates {
    pub(crate) key: &'static str,
    pub(crate) value: Mutex<String>,
    /// What it changes besides, when it joins too.
    pub(crate) updates: Vec<ContainerUpdate>,
    /// Whether it replaces what others gave.
    pub(crate) replaces: bool,
    pub(crate) env_before: Mutex<Vec<String>>,
}

impl Creates {
    pub(crate) fn new(key: &'static str, value: &str) -> Self {
        Self { key, value: Mutex::new(value.to_owned()), ..Self::default() }
    }
}

impl Plugin for Creates {
    async fn synchronize(&self, _: Vec<PodSandbox>, _: Vec<Container>) -> Answer<Vec<ContainerUpdate>> {
        Ok(self.updates.clone())
    }

    async fn create_container(&self, _: PodSandbox, container: Container) -> Answer<CreateContainerResponse> {
        *self.env_before.lock() = container.env;
        let mut env = vec![KeyValue { key: self.key.to_owned(), value: self.value.lock().clone() }];
        if self.replaces {
            env.insert(0, KeyValue { key: format!("-{}", self.key), value: String::new() });
        }
        Ok(CreateContainerResponse {
            adjust: Some(ContainerAdjustment { env, ..ContainerAdjustment::default() }),
            update: self.updates.clone(),
            ..CreateContainerResponse::default()
        })
    }
}

/// Fails as the id of the container or the pod says. What does not fail counts, or gets a variable.
#[derive(Debug, Default)]
pub(crate) struct Failing {
    pub(crate) started: Mutex<usize>,
}

impl Failing {
    async fn fail(&self, how: &str) -> Answer<()> {
        match how {
            "error" => Err("as was wanted".into()),
            "panic" => panic!("as was wanted"),
            "overrun" => {
                sleep(Duration::from_mins(10)).await;
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
        self.fail(&container.id).await?;
        *self.started.lock() += 1;
        Ok(())
    }

    async fn create_container(&self, _: PodSandbox, container: Container) -> Answer<CreateContainerResponse> {
        self.fail(&container.id).await?;
        let env = vec![KeyValue { key: "KEY".to_owned(), value: "x".to_owned() }];
        Ok(CreateContainerResponse {
            adjust: Some(ContainerAdjustment { env, ..ContainerAdjustment::default() }),
            ..CreateContainerResponse::default()
        })
    }
}

pub(crate) fn shares(shares: u64) -> LinuxResources {
    LinuxResources {
        cpu: Some(LinuxCpu { shares: Some(OptionalUInt64 { value: shares }), ..LinuxCpu::default() }),
        // Go adds it where it is not there.
        memory: Some(LinuxMemory::default()),
        ..LinuxResources::default()
    }
}

pub(crate) fn memory(limit: i64) -> LinuxResources {
    LinuxResources {
        memory: Some(LinuxMemory { limit: Some(OptionalInt64 { value: limit }), ..LinuxMemory::default() }),
        ..LinuxResources::default()
    }
}

pub(crate) fn update(id: &str, resources: LinuxResources) -> ContainerUpdate {
    ContainerUpdate {
        container_id: id.to_owned(),
        linux: Some(LinuxContainerUpdate { resources: Some(resources) }),
        ..ContainerUpdate::default()
    }
}

/// What updates change: containers, their shares, their limits of memory, by container.
pub(crate) fn changes(updates: Vec<ContainerUpdate>) -> Vec<(String, Option<u64>, Option<i64>)> {
    let mut changes: Vec<_> = updates
        .into_iter()
        .map(|update| {
            let resources = update.linux.unwrap_or_default().resources.unwrap_or_default();
            let shares = resources.cpu.unwrap_or_default().shares.map(|shares| shares.value);
            (update.container_id, shares, resources.memory.unwrap_or_default().limit.map(|limit| limit.value))
        })
        .collect();
    changes.sort();
    changes
}

pub(crate) fn pod(id: &str) -> PodSandbox {
    PodSandbox {
        id: id.to_owned(),
        name: format!("name-of-{id}"),
        namespace: "shop".to_owned(),
        labels: [("app".to_owned(), "web".to_owned())].into(),
        pid: 17,
        ips: vec!["10.0.0.1".to_owned(), "fd00::1".to_owned()],
        ..PodSandbox::default()
    }
}

/// With all that Go adds where it is not there.
pub(crate) fn container(id: &str, of: &str) -> Container {
    Container {
        id: id.to_owned(),
        pod_sandbox_id: of.to_owned(),
        name: format!("name-of-{id}"),
        annotations: [("note".to_owned(), "ü".to_owned())].into(),
        env: vec!["HOME=/".to_owned()],
        pid: 18,
        hooks: Some(Box::default()),
        linux: Some(LinuxContainer {
            cgroups_path: format!("/kubepods/{of}/{id}"),
            resources: Some(shares(1024)),
            ..LinuxContainer::default()
        }),
        ..Container::default()
    }
}

/// A variable that a container gets.
pub(crate) fn env(adjustment: &ContainerAdjustment) -> Vec<(&str, &str)> {
    let mut env: Vec<_> = adjustment.env.iter().map(|env| (env.key.as_str(), env.value.as_str())).collect();
    env.sort_unstable();
    env
}

pub(crate) fn builder<P: Plugin>(index: &str, plugin: &Arc<P>) -> SessionBuilder<P> {
    Session::builder(Identity::new(index, format!("test-{index}")).unwrap(), plugin.clone())
}

/// Begins a session.
pub(crate) async fn connect<P: Plugin>(runtime: &impl Driver, builder: SessionBuilder<P>) -> Session {
    let trunk = within(UnixStream::connect(runtime.socket())).await.unwrap();
    builder.spawn(trunk).unwrap()
}

/// A session that has joined.
pub(crate) async fn join<P: Plugin>(runtime: &impl Driver, builder: SessionBuilder<P>) -> Session {
    let session = connect(runtime, builder).await;
    within(session.joined()).await.unwrap();
    session
}
