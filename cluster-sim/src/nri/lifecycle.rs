//! What the kubelet asks of a runtime, and what plugins get to see of it: events in their order, each with the state,
//! process and cgroup that there is at its moment.

use super::api::{
    Container, ContainerAdjustment, ContainerState, ContainerUpdate, Event, LinuxResources, PodSandbox,
    UpdatePodSandboxRequest,
};
use super::failure::Failure;
use super::relay::{TERMINATED, environment};
use super::runtime::Runtime;
use super::state::{Pod, overlay, seen};

/// A container that was created, and what plugins had to do with it.
#[derive(Debug, Clone, PartialEq)]
pub struct Created {
    /// The container as plugins made it.
    pub container: Container,
    /// What the plugins together changed.
    pub adjustment: ContainerAdjustment,
    /// What they changed in other containers.
    pub updates: Vec<ContainerUpdate>,
}

/// A container that was updated, and what plugins had to do with it.
#[derive(Debug, Clone, PartialEq)]
pub struct Updated {
    /// What the container was updated to, which plugins may have changed.
    pub resources: LinuxResources,
    /// What they changed in other containers.
    pub updates: Vec<ContainerUpdate>,
}

// What these hold while they wait is boxed, as callers hold it in turn.
impl Runtime {
    /// Runs a pod: `RUN_POD_SANDBOX`. What is empty is filled in: id, uid, pid, cgroup parent and path.
    ///
    /// A plugin that answers with an error fails the pod, which the plugins then see stopped and removed.
    pub async fn run_pod(&self, pod: PodSandbox) -> Result<PodSandbox, Failure> {
        let inner = &*self.inner;
        Box::pin(async move {
            let _turn = inner.turn.lock().await;
            let pod = inner.fill_pod(pod);
            let linux = pod.linux.clone().unwrap_or_default();
            inner.cgroups.make(&linux.cgroup_parent, false)?;
            inner.cgroups.make(&linux.cgroups_path, false)?;
            inner.state.lock().pods.insert(pod.id.clone(), Pod { sandbox: pod.clone(), stopped: false });
            let ran = inner.tell_pod(Event::RunPodSandbox, &pod.id).await;
            if ran.is_err() {
                let _ = inner.tell_pod(Event::StopPodSandbox, &pod.id).await;
                let _ = inner.tell_pod(Event::RemovePodSandbox, &pod.id).await;
                inner.state.lock().pods.remove(&pod.id);
                inner.cgroups.remove(&linux.cgroups_path);
                inner.cgroups.remove(&linux.cgroup_parent);
            }
            ran.map(|()| pod)
        })
        .await
    }

    /// Updates the resources of a pod: `UPDATE_POD_SANDBOX`, which can fail it, then `POST_UPDATE_POD_SANDBOX`. Runtimes
    /// before NRI 0.10 tell nobody.
    pub async fn update_pod(
        &self,
        id: &str,
        overhead: LinuxResources,
        resources: LinuxResources,
    ) -> Result<(), Failure> {
        let inner = &*self.inner;
        Box::pin(async move {
            let _turn = inner.turn.lock().await;
            let request = UpdatePodSandboxRequest {
                pod: Some(inner.state.lock().pod(id)?.seen(inner.profile.version, None)),
                overhead_linux_resources: Some(overhead),
                linux_resources: Some(resources.clone()),
            };
            inner.updated_pod(request).await?;
            if let Some(pod) = inner.state.lock().pods.get_mut(id) {
                pod.sandbox.linux.get_or_insert_default().pod_resources = Some(resources.into());
            }
            let _ = inner.tell_pod(Event::PostUpdatePodSandbox, id).await;
            Ok(())
        })
        .await
    }

    /// Creates a container in a pod: `CREATE_CONTAINER`, the validators, `POST_CREATE_CONTAINER`. What is empty is filled
    /// in: id and cgroup path.
    ///
    /// An error, a conflict between plugins or the veto of a validator fails it; the plugins then see it stopped and
    /// removed.
    pub async fn create(&self, pod: &str, container: Container) -> Result<Created, Failure> {
        let inner = &*self.inner;
        Box::pin(async move {
            let _turn = inner.turn.lock().await;
            let pod = inner.state.lock().pod(pod)?.clone();
            let container = inner.fill_container(&pod, container);
            let mut creation = match inner.create(&pod, container.clone()).await {
                Ok(creation) => creation,
                Err(failure) => {
                    let undone = seen(inner.profile.version, container);
                    let _ = inner.tell_stop(&pod, &undone).await;
                    let _ = inner.tell(Event::RemoveContainer, &pod, Some(undone)).await;
                    return Err(failure);
                }
            };
            let updates = creation.updates();
            let mut made = creation.container;
            made.env = environment(container.env, &creation.adjustment);
            made.set_state(ContainerState::ContainerCreated);
            {
                let mut state = inner.state.lock();
                state.update(updates.clone());
                made.created_at = state.now();
                state.containers.insert(made.id.clone(), made.clone());
            }
            let _ = inner.tell_container(Event::PostCreateContainer, &made.id).await;
            Ok(Created { container: made, adjustment: creation.adjustment, updates })
        })
        .await
    }

    /// Starts a container: its process and cgroup are there, then `START_CONTAINER`, which can fail it, then
    /// `POST_START_CONTAINER`. One that fails is stopped.
    pub async fn start(&self, id: &str) -> Result<(), Failure> {
        let inner = &*self.inner;
        Box::pin(async move {
            let _turn = inner.turn.lock().await;
            inner.in_state(id, ContainerState::ContainerCreated)?;
            let path = inner.cgroups_path(id)?;
            inner.cgroups.make(&path, true)?;
            let pid = inner.state.lock().pid();
            // A process that the caller gave stays what it is.
            inner.state.lock().change(id, |container| {
                if container.pid == 0 {
                    container.pid = pid;
                }
            })?;
            if let Err(failure) = inner.tell_container(Event::StartContainer, id).await {
                let _ = inner.stop(id, TERMINATED).await;
                return Err(failure);
            }
            let now = inner.state.lock().now();
            inner.state.lock().change(id, |container| {
                container.set_state(ContainerState::ContainerRunning);
                container.started_at = now;
            })?;
            let _ = inner.tell_container(Event::PostStartContainer, id).await;
            Ok(())
        })
        .await
    }

    /// Updates the resources of a container: `UPDATE_CONTAINER`, by which plugins change or fail the update, then
    /// `POST_UPDATE_CONTAINER`.
    pub async fn update(&self, id: &str, resources: LinuxResources) -> Result<Updated, Failure> {
        let inner = &*self.inner;
        Box::pin(async move {
            let _turn = inner.turn.lock().await;
            let (pod, container) = inner.state.lock().change(id, |_| {})?;
            let version = inner.profile.version;
            let (pod, container) = (pod.seen(version, None), seen(version, container));
            let updating = inner.updated(Some(pod), container, resources).await?;
            let resources = updating.requested();
            let updates = updating.of_others();
            {
                let mut state = inner.state.lock();
                state.update(updates.clone());
                state.change(id, |container| overlay(container, &resources))?;
            }
            let _ = inner.tell_container(Event::PostUpdateContainer, id).await;
            Ok(Updated { resources, updates })
        })
        .await
    }

    /// Stops a container that is created or runs: `STOP_CONTAINER`, whose errors nobody hears of. Afterwards its process and
    /// cgroup are gone. Gives what plugins changed in other containers.
    pub async fn stop(&self, id: &str) -> Result<Vec<ContainerUpdate>, Failure> {
        let _turn = self.inner.turn.lock().await;
        Box::pin(self.inner.stop(id, TERMINATED)).await
    }

    /// Lets a container end of its own accord with this code. Plugins see the same as when it is stopped.
    pub async fn exit(&self, id: &str, code: i32) -> Result<Vec<ContainerUpdate>, Failure> {
        let _turn = self.inner.turn.lock().await;
        self.inner.in_state(id, ContainerState::ContainerRunning)?;
        Box::pin(self.inner.stop(id, code)).await
    }

    /// Removes a container: `REMOVE_CONTAINER`. It is stopped first if it was not.
    pub async fn remove(&self, id: &str) -> Result<(), Failure> {
        let _turn = self.inner.turn.lock().await;
        Box::pin(self.inner.remove(id)).await
    }

    /// Stops a pod with its running containers: `STOP_CONTAINER` for each, `STOP_POD_SANDBOX`. Nothing happens if it is
    /// stopped.
    pub async fn stop_pod(&self, id: &str) -> Result<(), Failure> {
        let _turn = self.inner.turn.lock().await;
        Box::pin(self.inner.stop_pod(id)).await
    }

    /// Removes a pod with its containers: `REMOVE_CONTAINER` for each, `REMOVE_POD_SANDBOX`. It is stopped first if it was
    /// not.
    pub async fn remove_pod(&self, id: &str) -> Result<(), Failure> {
        let inner = &*self.inner;
        Box::pin(async move {
            let _turn = inner.turn.lock().await;
            inner.stop_pod(id).await?;
            for container in inner.containers_of(id, |_| true) {
                inner.remove(&container).await?;
            }
            let _ = inner.tell_pod(Event::RemovePodSandbox, id).await;
            let pod = inner.state.lock().pods.remove(id);
            inner.cgroups.remove(&pod.and_then(|pod| pod.sandbox.linux).unwrap_or_default().cgroup_parent);
            Ok(())
        })
        .await
    }
}
