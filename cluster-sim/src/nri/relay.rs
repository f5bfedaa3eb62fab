//! Events on their way to the plugins, one after another, and what their answers come to.

use std::sync::Arc;

use futures::future::join_all;

use super::api::{
    Container, ContainerAdjustment, ContainerState, ContainerUpdate, CreateContainerRequest, CreateContainerResponse,
    Event, LinuxResources, PluginInstance, PodSandbox, StopContainerRequest, StopContainerResponse,
    UpdateContainerRequest, UpdateContainerResponse, UpdatePodSandboxRequest, UpdatePodSandboxResponse,
    ValidateContainerAdjustmentRequest, ValidateContainerAdjustmentResponse,
};
use super::creation::Creation;
use super::failure::Failure;
use super::owners::Owners;
use super::peer::Peer;
use super::runtime::Inner;
use super::state::{Pod, seen};
use super::trouble::Trouble;
use super::updating::Updating;

/// The code with which a container ends that is told to.
pub(super) const TERMINATED: i32 = 143;

/// The environment as the runtime adjusts it: variables keep their places, new ones follow.
pub(super) fn environment(own: Vec<String>, adjustment: &ContainerAdjustment) -> Vec<String> {
    let key = |variable: &str| variable.split_once('=').map_or(variable, |(key, _)| key).to_owned();
    let wanted = |key: &str| adjustment.env.iter().rfind(|entry| entry.key == key);
    let known: Vec<String> = own.iter().map(|variable| key(variable)).collect();
    let kept = own.into_iter().zip(&known).map(|(variable, key)| match wanted(key) {
        Some(entry) => format!("{}={}", entry.key, entry.value),
        None => variable,
    });
    let new = adjustment.env.iter().filter(|entry| !known.contains(&entry.key));
    kept.chain(new.map(|entry| format!("{}={}", entry.key, entry.value))).collect()
}

#[expect(clippy::unnecessary_wraps, reason = "it stands where answers can fail")]
fn no_answer<A>(_: &Peer, _: A) -> Result<(), Failure> {
    Ok(())
}

impl Inner {
    pub(super) fn fill_pod(&self, mut pod: PodSandbox) -> PodSandbox {
        let mut state = self.state.lock();
        if pod.id.is_empty() {
            pod.id = state.id();
        }
        if pod.uid.is_empty() {
            pod.uid = state.uid();
        }
        if pod.pid == 0 {
            pod.pid = state.pid();
        }
        let linux = pod.linux.get_or_insert_default();
        if linux.cgroup_parent.is_empty() {
            linux.cgroup_parent = self.cgroups.parent(&pod.uid);
        }
        if linux.cgroups_path.is_empty() {
            linux.cgroups_path = self.cgroups.path(&linux.cgroup_parent, &pod.id);
        }
        pod
    }

    pub(super) fn fill_container(&self, pod: &Pod, mut container: Container) -> Container {
        if container.id.is_empty() {
            container.id = self.state.lock().id();
        }
        container.pod_sandbox_id.clone_from(&pod.sandbox.id);
        container.set_state(ContainerState::ContainerUnknown);
        let linux = container.linux.get_or_insert_default();
        if linux.cgroups_path.is_empty() {
            let parent = pod.sandbox.linux.as_ref().map(|linux| linux.cgroup_parent.as_str());
            linux.cgroups_path = self.cgroups.path(parent.unwrap_or_default(), &container.id);
        }
        container
    }

    pub(super) async fn create(&self, pod: &Pod, container: Container) -> Result<Creation, Failure> {
        let pid = container.pid;
        // The process that a caller gives is there from the start on.
        let shown = Container { pid: 0, ..seen(self.profile.version, container) };
        let mut creation = self.adjusted(pod.seen(self.profile.version, None), shown).await?;
        creation.container.pid = pid;
        Ok(creation)
    }

    /// What all plugins make of a container, if the validators let it be.
    pub(super) async fn adjusted(&self, pod: PodSandbox, container: Container) -> Result<Creation, Failure> {
        let mut creation = Creation::new(container);
        let outcome = Box::pin(self.adjust(pod, &mut creation)).await;
        self.sweep();
        outcome.map(|()| creation)
    }

    async fn adjust(&self, pod: PodSandbox, creation: &mut Creation) -> Result<(), Failure> {
        let original = creation.container.clone();
        let peers = self.live();
        for peer in &peers {
            let request =
                CreateContainerRequest { pod: Some(pod.clone()), container: Some(creation.container.clone()) };
            let answer = self.ask::<CreateContainerResponse>(peer, Event::CreateContainer, &request).await?;
            creation.add(peer.name(), answer.unwrap_or_default())?;
        }
        let event = Event::ValidateContainerAdjustment;
        let validators: Vec<_> = peers.iter().filter(|peer| peer.wants(event) && !peer.is_closed()).collect();
        if validators.is_empty() {
            return Ok(());
        }
        let instance = |peer: &Peer| {
            let registered = peer.registered();
            PluginInstance { name: registered.plugin_name.clone(), index: registered.plugin_idx.clone() }
        };
        let request = ValidateContainerAdjustmentRequest {
            pod: Some(pod),
            container: Some(original),
            adjust: Some(creation.adjustment.clone()),
            update: creation.peek(),
            owners: Some(creation.owners.0.clone()),
            plugins: peers.iter().map(|peer| instance(peer)).collect(),
        };
        // All are asked at once, and the first refusal is told.
        let mut judgements = Vec::new();
        for peer in validators {
            judgements.push(judge(peer, &request));
        }
        join_all(judgements).await.into_iter().collect()
    }

    pub(super) async fn stop(&self, id: &str, code: i32) -> Result<Vec<ContainerUpdate>, Failure> {
        let (pod, container) = self.state.lock().change(id, |_| {})?;
        if container.state() == ContainerState::ContainerStopped {
            return Ok(Vec::new());
        }
        let updates = self.tell_stop(&pod, &seen(self.profile.version, container)).await.unwrap_or_default();
        let path = self.cgroups_path(id)?;
        self.cgroups.remove(&path);
        let mut state = self.state.lock();
        state.update(updates.clone());
        let now = state.now();
        state.change(id, |container| {
            container.set_state(ContainerState::ContainerStopped);
            (container.pid, container.exit_code, container.finished_at) = (0, code, now);
        })?;
        Ok(updates)
    }

    pub(super) async fn remove(&self, id: &str) -> Result<(), Failure> {
        self.stop(id, TERMINATED).await?;
        let _ = self.tell_container(Event::RemoveContainer, id).await;
        self.state.lock().containers.remove(id);
        Ok(())
    }

    pub(super) async fn stop_pod(&self, id: &str) -> Result<(), Failure> {
        if self.state.lock().pod(id)?.stopped {
            return Ok(());
        }
        for container in self.containers_of(id, |container| container.state() == ContainerState::ContainerRunning) {
            self.stop(&container, TERMINATED).await?;
        }
        let path = self.state.lock().pods.get_mut(id).map(|pod| {
            pod.stopped = true;
            pod.sandbox.linux.clone().unwrap_or_default().cgroups_path
        });
        self.cgroups.remove(&path.unwrap_or_default());
        let _ = self.tell_pod(Event::StopPodSandbox, id).await;
        Ok(())
    }

    pub(super) fn containers_of(&self, pod: &str, which: impl Fn(&Container) -> bool) -> Vec<String> {
        let state = self.state.lock();
        let those = state.containers.values().filter(|container| container.pod_sandbox_id == pod && which(container));
        those.map(|container| container.id.clone()).collect()
    }

    pub(super) fn in_state(&self, id: &str, wanted: ContainerState) -> Result<(), Failure> {
        match self.state.lock().container(id)?.state() {
            state if state == wanted => Ok(()),
            state => Err(Failure::State { id: id.to_owned(), state }),
        }
    }

    pub(super) fn cgroups_path(&self, id: &str) -> Result<String, Failure> {
        Ok(self.state.lock().container(id)?.linux.clone().unwrap_or_default().cgroups_path)
    }

    /// Sends an event that wants no answer about a pod.
    pub(super) async fn tell_pod(&self, event: Event, id: &str) -> Result<(), Failure> {
        let pod = self.state.lock().pod(id)?.clone();
        self.tell(event, &pod, None).await
    }

    /// Sends an event that wants no answer about a container as it is. One that waits to be started has no process yet.
    pub(super) async fn tell_container(&self, event: Event, id: &str) -> Result<(), Failure> {
        let (pod, mut container) = self.state.lock().change(id, |_| {})?;
        if event == Event::PostCreateContainer {
            container.pid = 0;
        }
        self.tell(event, &pod, Some(seen(self.profile.version, container))).await
    }

    pub(super) async fn tell(&self, event: Event, pod: &Pod, container: Option<Container>) -> Result<(), Failure> {
        self.told(event, pod.seen(self.profile.version, Some(event)), container).await
    }

    /// Sends an event that wants no answer, with these messages.
    pub(super) async fn told(
        &self,
        event: Event,
        pod: PodSandbox,
        container: Option<Container>,
    ) -> Result<(), Failure> {
        let ask = |peer: Arc<Peer>| {
            let (pod, container) = (pod.clone(), container.clone());
            async move { peer.event(event, pod, container).await }
        };
        self.each(event, ask, no_answer).await
    }

    pub(super) async fn tell_stop(&self, pod: &Pod, container: &Container) -> Result<Vec<ContainerUpdate>, Failure> {
        let pod = Some(pod.seen(self.profile.version, None));
        self.stopped(StopContainerRequest { pod, container: Some(container.clone()) }).await
    }

    /// What plugins change as a container stops.
    pub(super) async fn stopped(&self, request: StopContainerRequest) -> Result<Vec<ContainerUpdate>, Failure> {
        let event = Event::StopContainer;
        let (mut owners, mut updating) = (Owners::default(), Updating::default());
        let request = &request;
        let ask = |peer: Arc<Peer>| async move { peer.ask::<StopContainerResponse>(event.name(), request).await };
        self.each(event, ask, |peer, answer| updating.add(&mut owners, peer.name(), answer.update)).await?;
        Ok(updating.of_others())
    }

    /// What plugins make of an update of a container.
    pub(super) async fn updated(
        &self,
        pod: Option<PodSandbox>,
        container: Container,
        resources: LinuxResources,
    ) -> Result<Updating, Failure> {
        let mut updating = Updating::of(&container.id, resources);
        let outcome = Box::pin(self.collect_updates(pod, &container, &mut updating)).await;
        self.sweep();
        outcome.map(|()| updating)
    }

    async fn collect_updates(
        &self,
        pod: Option<PodSandbox>,
        container: &Container,
        updating: &mut Updating,
    ) -> Result<(), Failure> {
        let mut owners = Owners::default();
        for peer in self.live() {
            let request = UpdateContainerRequest {
                pod: pod.clone(),
                container: Some(container.clone()),
                linux_resources: Some(updating.requested()),
            };
            let answer = self.ask::<UpdateContainerResponse>(&peer, Event::UpdateContainer, &request).await?;
            updating.add(&mut owners, peer.name(), answer.unwrap_or_default().update)?;
        }
        Ok(())
    }

    /// Whether plugins let a pod be updated.
    pub(super) async fn updated_pod(&self, request: UpdatePodSandboxRequest) -> Result<(), Failure> {
        let (event, request) = (Event::UpdatePodSandbox, &request);
        let ask = |peer: Arc<Peer>| async move { peer.ask::<UpdatePodSandboxResponse>(event.name(), request).await };
        self.each(event, ask, no_answer).await
    }

    /// Asks the plugins that want an event one after another. One that is closed meanwhile is passed over, an error ends it.
    async fn each<A, F>(
        &self,
        event: Event,
        ask: impl Fn(Arc<Peer>) -> F,
        mut take: impl FnMut(&Peer, A) -> Result<(), Failure>,
    ) -> Result<(), Failure>
    where
        F: Future<Output = Result<A, Trouble>>,
    {
        let mut outcome = Ok(());
        for peer in self.live().iter().filter(|peer| peer.wants(event)) {
            if peer.is_closed() {
                continue;
            }
            outcome = match Box::pin(ask(peer.clone())).await {
                Ok(answer) => take(peer, answer),
                Err(trouble) if passes(peer, &trouble) => Ok(()),
                Err(trouble) => Err(failed(peer, event, trouble)),
            };
            if outcome.is_err() {
                break;
            }
        }
        self.sweep();
        outcome
    }

    /// The answer of one plugin, if it wants the event and lives to give one.
    async fn ask<A: prost::Message + Default>(
        &self,
        peer: &Peer,
        event: Event,
        request: &impl prost::Message,
    ) -> Result<Option<A>, Failure> {
        if !peer.wants(event) || peer.is_closed() {
            return Ok(None);
        }
        match Box::pin(peer.ask(event.name(), request)).await {
            Ok(answer) => Ok(Some(answer)),
            Err(trouble) if passes(peer, &trouble) => Ok(None),
            Err(trouble) => Err(failed(peer, event, trouble)),
        }
    }
}

/// Whether a validator lets a container be.
async fn judge(peer: &Peer, request: &ValidateContainerAdjustmentRequest) -> Result<(), Failure> {
    let event = Event::ValidateContainerAdjustment;
    match peer.ask(event.name(), request).await {
        Ok(ValidateContainerAdjustmentResponse { reject: false, .. }) => Ok(()),
        Ok(ValidateContainerAdjustmentResponse { reason, .. }) => Err(Failure::Rejected {
            plugin: peer.name().to_owned(),
            reason: if reason.is_empty() { "unknown rejection reason".to_owned() } else { reason },
        }),
        // A validator that is gone is one that did not agree.
        Err(trouble) => Err(failed(peer, event, trouble)),
    }
}

/// Whether a request goes on as if the plugin had not subscribed to it.
fn passes(peer: &Peer, trouble: &Trouble) -> bool {
    trouble.is_fatal() && !peer.failure_policy().fail_request
}

fn failed(peer: &Peer, event: Event, trouble: Trouble) -> Failure {
    Failure::Plugin { plugin: peer.name().to_owned(), event, trouble }
}
