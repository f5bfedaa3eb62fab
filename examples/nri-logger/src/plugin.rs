//! The plugin: every event is a line.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use nri_plugin::api::{
    Container, ContainerUpdate, CreateContainerResponse, EventMask, LinuxResources, PodSandbox,
    ValidateContainerAdjustmentRequest, ValidateContainerAdjustmentResponse,
};
use nri_plugin::{Answer, AttemptError, Configuration, Plugin, Vanished};
use serde::Deserialize;
use tokio::sync::Notify;

use crate::line::Event;

/// What a runtime that launches the plugin gives it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// Which events, as for `--events`.
    events: Option<String>,
    /// A file to append to, instead of standard output.
    output: Option<PathBuf>,
}

pub(crate) struct Logger {
    json: bool,
    /// Standard output, unless the configuration names a file.
    file: Mutex<Option<File>>,
    /// Nobody reads any more.
    unread: Arc<Notify>,
}

impl Logger {
    pub(crate) fn new(json: bool) -> Self {
        Self { json, file: Mutex::new(None), unread: Arc::default() }
    }

    /// Told once standard output is closed.
    pub(crate) fn unread(&self) -> Arc<Notify> {
        self.unread.clone()
    }

    fn log(&self, name: &str, pod: Option<&PodSandbox>, container: Option<&Container>) -> io::Result<()> {
        let (event, now) = (Event { name, pod, container }, Timestamp::now());
        let line = if self.json { event.json(now) } else { event.text(now) };
        match &mut *self.file.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(file) => writeln!(file, "{line}"),
            None => match writeln!(io::stdout(), "{line}") {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                    self.unread.notify_one();
                    Ok(())
                }
                written => written,
            },
        }
    }

    fn pod(&self, name: &str, pod: &PodSandbox) -> Answer<()> {
        Ok(self.log(name, Some(pod), None)?)
    }

    fn container(&self, name: &str, pod: &PodSandbox, container: &Container) -> Answer<()> {
        Ok(self.log(name, Some(pod), Some(container))?)
    }
}

impl Plugin for Logger {
    async fn configure(&self, configuration: Configuration) -> Answer<EventMask> {
        let settings = configuration.yaml::<Settings>()?.unwrap_or_default();
        if let Some(path) = settings.output {
            let file = OpenOptions::new().create(true).append(true).open(&path);
            let file = file.map_err(|error| format!("`output` {} can't be opened: {error}", path.display()))?;
            *self.file.lock().unwrap_or_else(PoisonError::into_inner) = Some(file);
        }
        let wanted = settings.events.map_or(Ok(EventMask::ALL), |events| events.parse())?;
        Ok(configuration.events & wanted)
    }

    async fn lost(&self, why: AttemptError) -> Answer<()> {
        eprintln!("the runtime is gone: {why}");
        Ok(self.log("Lost", None, None)?)
    }

    async fn resynchronize(&self, vanished: Vanished) -> Answer<()> {
        eprintln!("meanwhile {} pods and {} containers vanished", vanished.pods.len(), vanished.containers.len());
        Ok(())
    }

    async fn synchronize(&self, pods: Vec<PodSandbox>, containers: Vec<Container>) -> Answer<Vec<ContainerUpdate>> {
        for pod in &pods {
            self.pod("Synchronize", pod)?;
        }
        for container in &containers {
            let pod = pods.iter().find(|pod| pod.id == container.pod_sandbox_id);
            self.log("Synchronize", pod, Some(container))?;
        }
        Ok(Vec::new())
    }

    async fn run_pod_sandbox(&self, pod: PodSandbox) -> Answer<()> {
        self.pod("RunPodSandbox", &pod)
    }

    async fn update_pod_sandbox(&self, pod: PodSandbox, _: LinuxResources, _: LinuxResources) -> Answer<()> {
        self.pod("UpdatePodSandbox", &pod)
    }

    async fn post_update_pod_sandbox(&self, pod: PodSandbox) -> Answer<()> {
        self.pod("PostUpdatePodSandbox", &pod)
    }

    async fn stop_pod_sandbox(&self, pod: PodSandbox) -> Answer<()> {
        self.pod("StopPodSandbox", &pod)
    }

    async fn remove_pod_sandbox(&self, pod: PodSandbox) -> Answer<()> {
        self.pod("RemovePodSandbox", &pod)
    }

    async fn create_container(&self, pod: PodSandbox, container: Container) -> Answer<CreateContainerResponse> {
        self.container("CreateContainer", &pod, &container)?;
        Ok(CreateContainerResponse::default())
    }

    async fn post_create_container(&self, pod: PodSandbox, container: Container) -> Answer<()> {
        self.container("PostCreateContainer", &pod, &container)
    }

    async fn start_container(&self, pod: PodSandbox, container: Container) -> Answer<()> {
        self.container("StartContainer", &pod, &container)
    }

    async fn post_start_container(&self, pod: PodSandbox, container: Container) -> Answer<()> {
        self.container("PostStartContainer", &pod, &container)
    }

    async fn update_container(
        &self,
        pod: PodSandbox,
        container: Container,
        _: LinuxResources,
    ) -> Answer<Vec<ContainerUpdate>> {
        self.container("UpdateContainer", &pod, &container)?;
        Ok(Vec::new())
    }

    async fn post_update_container(&self, pod: PodSandbox, container: Container) -> Answer<()> {
        self.container("PostUpdateContainer", &pod, &container)
    }

    async fn stop_container(&self, pod: PodSandbox, container: Container) -> Answer<Vec<ContainerUpdate>> {
        self.container("StopContainer", &pod, &container)?;
        Ok(Vec::new())
    }

    async fn remove_container(&self, pod: PodSandbox, container: Container) -> Answer<()> {
        self.container("RemoveContainer", &pod, &container)
    }

    async fn validate_container_adjustment(
        &self,
        request: ValidateContainerAdjustmentRequest,
    ) -> Answer<ValidateContainerAdjustmentResponse> {
        self.log("ValidateContainerAdjustment", request.pod.as_ref(), request.container.as_ref())?;
        Ok(ValidateContainerAdjustmentResponse::default())
    }
}
