//! From calls to the methods of a plugin.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use prost::Message;
use thiserror::Error;
use tokio::sync::watch;
use tokio::time::Instant;

use super::configuration::Configuration;
use super::guard::{self, Failure, Role};
use super::known::Known;
use super::subscription::{handled_events, resynchronizes};
use super::synchronize::{Parts, SyncLimits};
use super::{Answer, Plugin};
use crate::api::{
    ConfigureRequest, ConfigureResponse, Container, CreateContainerRequest, Empty, Event, EventMask, FailurePolicy,
    PLUGIN_SERVICE, PodSandbox, PostCreateContainerRequest, RuntimeInfo, StateChangeEvent, StopContainerRequest,
    StopContainerResponse, SynchronizeResponse, UpdateContainerRequest, UpdateContainerResponse,
    UpdatePodSandboxRequest, UpdatePodSandboxResponse,
};
use crate::ttrpc::{Call, Code, Service, Status};

/// How long a runtime waits that doesn't tell; the default of all runtimes.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);

/// The longest that a runtime is taken to wait.
const LONGEST_TIMEOUT: Duration = Duration::from_hours(1);

/// Why a plugin that was introduced to a runtime did not join it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Refusal {
    /// There is nothing to subscribe to. An empty subscription would mean all events.
    #[error("the plugin has no event: it handles {handled:?}, the runtime knows {known:?}; write a method for one")]
    NoEvents {
        /// What the plugin handles.
        handled: EventMask,
        /// What the runtime knows.
        known: EventMask,
    },
    /// `configure` asked for events that it was not offered.
    #[error("`configure` asked for {0:?}, which the plugin does not handle or the runtime does not know")]
    NotOffered(EventMask),
    /// `configure` took longer than the runtime waits.
    #[error("the plugin took longer to be configured than the runtime waits")]
    ConfigureOverrun,
    /// `configure` failed.
    #[error("the plugin could not be configured: {0}")]
    Configure(String),
}

/// How far a session has come.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress {
    /// The runtime, and what the plugin subscribed to.
    pub(crate) configured: Option<(RuntimeInfo, EventMask)>,
    pub(crate) joined: bool,
    /// The session is to end: the runtime asked for it, or the plugin could not join.
    pub(crate) over: Option<Result<(), Refusal>>,
}

/// The plugin's service.
#[derive(Debug)]
pub(crate) struct Dispatch<P> {
    plugin: Arc<P>,
    role: Role,
    failure_policy: FailurePolicy,
    /// What the host allows.
    allowed: EventMask,
    limits: SyncLimits,
    parts: Mutex<Parts>,
    request_timeout: Mutex<Duration>,
    progress: watch::Sender<Progress>,
    /// For a plugin that wants to know what vanished.
    known: Option<Arc<Known>>,
}

impl<P: Plugin> Dispatch<P> {
    pub(crate) fn new(
        plugin: Arc<P>,
        role: Role,
        failure_policy: Option<FailurePolicy>,
        allowed: EventMask,
        limits: SyncLimits,
        known: Option<Arc<Known>>,
    ) -> Self {
        Self {
            failure_policy: failure_policy.unwrap_or_else(|| role.failure_policy()),
            known: known.filter(|_| resynchronizes::<P>()),
            plugin,
            role,
            allowed,
            limits,
            parts: Mutex::default(),
            request_timeout: Mutex::new(REQUEST_TIMEOUT),
            progress: watch::Sender::default(),
        }
    }

    pub(crate) fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    async fn configure(&self, payload: Bytes, until: Instant) -> Result<Bytes, Status> {
        let request = ConfigureRequest::decode(payload).map_err(|error| Failure::from(error).status())?;
        let runtime = RuntimeInfo::from(&request);
        match self.choose(&request, &runtime, until).await {
            Ok(events) => {
                // What was told is forgotten with its removal.
                let removals = EventMask::of(Event::RemovePodSandbox).with(Event::RemoveContainer);
                let subscribed = if self.known.is_some() { events | removals } else { events };
                self.progress.send_modify(|progress| progress.configured = Some((runtime, events)));
                // Absent where it says nothing: as it was before there was one.
                let failure_policy = Some(self.failure_policy).filter(|policy| *policy != FailurePolicy::default());
                Ok(encoded(&ConfigureResponse { events: subscribed.bits(), failure_policy }))
            }
            Err(refusal) => {
                let status = Status::new(Code::FailedPrecondition, refusal.to_string());
                self.progress.send_modify(|progress| progress.over = Some(Err(refusal)));
                Err(status)
            }
        }
    }

    async fn choose(
        &self,
        request: &ConfigureRequest,
        runtime: &RuntimeInfo,
        until: Instant,
    ) -> Result<EventMask, Refusal> {
        let (handled, known) = (handled_events::<P>() & self.allowed, runtime.known_events());
        let offered = handled & known;
        let configuration = Configuration::new(request, offered);
        if let Some(told) = configuration.request_timeout {
            *self.request_timeout.lock() = told.min(LONGEST_TIMEOUT);
        }
        let chosen = guard::run(until, async { self.plugin.configure(configuration).await }).await;
        let chosen = chosen.map_err(|failure| match failure {
            Failure::Overrun => Refusal::ConfigureOverrun,
            failure => Refusal::Configure(failure.to_string()),
        })?;
        if chosen.is_empty() {
            return Err(Refusal::NoEvents { handled, known });
        }
        let beyond = chosen - offered;
        if beyond.is_empty() { Ok(chosen) } else { Err(Refusal::NotOffered(beyond)) }
    }

    async fn synchronize(&self, payload: Bytes, until: Instant) -> Result<Bytes, Status> {
        let state = match self.parts.lock().add(payload, &self.limits) {
            Ok(Some(state)) => state,
            Ok(None) => return Ok(encoded(&SynchronizeResponse { update: Vec::new(), more: true })),
            Err(refused) => return Err(refused.status()),
        };
        let pods = self.decoded(state.pods)?;
        let containers = self.decoded(state.containers)?;
        let vanished = self.known.as_ref().and_then(|known| known.synchronized(&pods, &containers));
        if let Some(vanished) = vanished {
            // The other half of the time is for what is there.
            let now = Instant::now();
            let half = now + until.saturating_duration_since(now) / 2;
            let result = guard::run(half, async { self.plugin.resynchronize(vanished).await }).await;
            if let (Ok(()), Some(known)) = (&result, &self.known) {
                known.told_vanished();
            }
            guard::settle(self.role, "Resynchronize", result)?;
        }
        let result = guard::run(until, async { self.plugin.synchronize(pods, containers).await }).await;
        let update = guard::settle(self.role, "Synchronize", result)?;
        self.progress.send_modify(|progress| progress.joined = true);
        Ok(encoded(&SynchronizeResponse { update, more: false }))
    }

    /// The pods or containers of a node. One that can't be read costs an observer no other.
    fn decoded<M: Message + Default>(&self, items: Vec<Bytes>) -> Result<Vec<M>, Status> {
        let mut decoded = Vec::with_capacity(items.len());
        for item in items {
            match M::decode(item) {
                Ok(item) => decoded.push(item),
                Err(error) => guard::settle(self.role, "Synchronize", Err::<(), _>(error.into()))?,
            }
        }
        Ok(decoded)
    }

    async fn shutdown(&self, until: Instant) -> Result<Bytes, Status> {
        let result = guard::run(until, async { self.plugin.shutdown().await }).await;
        self.progress.send_modify(|progress| progress.over = Some(Ok(())));
        guard::settle(self.role, "Shutdown", result).map(|()| encoded(&Empty {}))
    }

    /// Decodes the request, runs the handler, and encodes what it answers.
    async fn event<Q, T, A, F>(
        &self,
        event: &'static str,
        payload: Bytes,
        until: Instant,
        handler: impl FnOnce(Q) -> F,
        answer: impl FnOnce(T) -> A,
    ) -> Result<Bytes, Status>
    where
        Q: Message + Default,
        T: Default,
        A: Message,
        F: Future<Output = Answer<T>>,
    {
        let result = match Q::decode(payload) {
            Ok(request) => guard::run(until, async { handler(request).await }).await,
            Err(error) => Err(error.into()),
        };
        guard::settle(self.role, event, result).map(|value| encoded(&answer(value)))
    }

    /// An event that wants no answer: by its own call, or by `StateChange`. What is none of these is nobody's.
    async fn notify(&self, event: Event, pod: Option<PodSandbox>, container: Option<Container>) -> Answer<()> {
        let (plugin, pod) = (&self.plugin, pod.unwrap_or_default());
        let container = container.unwrap_or_default();
        let Some(known) = &self.known else { return notify(&**plugin, event, pod, container).await };
        let (pod_id, container_id) = (pod.id.clone(), container.id.clone());
        match event {
            Event::StopPodSandbox | Event::RemovePodSandbox | Event::RemoveContainer => {}
            _ => self.told(&pod, Some(&container)),
        }
        // Removals may be subscribed to for the sake of what is known alone.
        let answer = if self.wants(event) { notify(&**plugin, event, pod, container).await } else { Ok(()) };
        // Not before: what ends while the handler runs was not told.
        match event {
            Event::RemovePodSandbox => known.removed_pod(&pod_id),
            Event::RemoveContainer => known.removed_container(&container_id),
            _ => {}
        }
        answer
    }

    /// Whether the plugin chose this event.
    fn wants(&self, event: Event) -> bool {
        self.progress.borrow().configured.as_ref().is_none_or(|(_, events)| events.contains(event))
    }

    fn told(&self, pod: &PodSandbox, container: Option<&Container>) {
        if let Some(known) = &self.known {
            known.told(pod, container, self.limits.items);
        }
    }

    async fn state_change(&self, payload: Bytes, until: Instant) -> Result<Bytes, Status> {
        let (name, result) = match StateChangeEvent::decode(payload) {
            Ok(change) => {
                let event = change.event();
                let name = if event.name().is_empty() { "StateChange" } else { event.name() };
                (name, guard::run(until, self.notify(event, change.pod, change.container)).await)
            }
            Err(error) => ("StateChange", Err(error.into())),
        };
        guard::settle(self.role, name, result).map(|()| encoded(&Empty {}))
    }
}

impl<P: Plugin> Service for Dispatch<P> {
    async fn call(&self, call: Call) -> Result<Bytes, Status> {
        let Call { service, method, payload, deadline, .. } = call;
        let unimplemented = || Status::new(Code::Unimplemented, format!("{service} has no method {method}"));
        if service != PLUGIN_SERVICE {
            return Err(unimplemented());
        }
        let until = guard::done_by(deadline.unwrap_or_else(|| Instant::now() + *self.request_timeout.lock()));
        let plugin = &self.plugin;
        match method.as_str() {
            "Configure" => self.configure(payload, until).await,
            "Synchronize" => self.synchronize(payload, until).await,
            "Shutdown" => self.shutdown(until).await,
            "StateChange" => self.state_change(payload, until).await,
            "CreateContainer" => {
                let handler = |request: CreateContainerRequest| {
                    let (pod, container) = (request.pod.unwrap_or_default(), request.container.unwrap_or_default());
                    self.told(&pod, Some(&container));
                    plugin.create_container(pod, container)
                };
                self.event("CreateContainer", payload, until, handler, |answer| answer).await
            }
            "UpdateContainer" => {
                let handler = |request: UpdateContainerRequest| {
                    let UpdateContainerRequest { pod, container, linux_resources } = request;
                    let (pod, container) = (pod.unwrap_or_default(), container.unwrap_or_default());
                    self.told(&pod, Some(&container));
                    plugin.update_container(pod, container, linux_resources.unwrap_or_default())
                };
                let answer = |update| UpdateContainerResponse { update, evict: Vec::new() };
                self.event("UpdateContainer", payload, until, handler, answer).await
            }
            "StopContainer" => {
                let handler = |request: StopContainerRequest| {
                    plugin.stop_container(request.pod.unwrap_or_default(), request.container.unwrap_or_default())
                };
                let answer = |update| StopContainerResponse { update };
                self.event("StopContainer", payload, until, handler, answer).await
            }
            "UpdatePodSandbox" => {
                let handler = |request: UpdatePodSandboxRequest| {
                    let UpdatePodSandboxRequest { pod, overhead_linux_resources: overhead, linux_resources } = request;
                    plugin.update_pod_sandbox(
                        pod.unwrap_or_default(),
                        overhead.unwrap_or_default(),
                        linux_resources.unwrap_or_default(),
                    )
                };
                self.event("UpdatePodSandbox", payload, until, handler, |()| UpdatePodSandboxResponse {}).await
            }
            "ValidateContainerAdjustment" => {
                let handler = |request| plugin.validate_container_adjustment(request);
                self.event("ValidateContainerAdjustment", payload, until, handler, |answer| answer).await
            }
            other => {
                let event = Event::from_name(other).ok_or_else(unimplemented)?;
                // The requests of the events that want no answer are one message by their tags, and their answers empty.
                let handler = |request: PostCreateContainerRequest| self.notify(event, request.pod, request.container);
                self.event(event.name(), payload, until, handler, |()| Empty {}).await
            }
        }
    }
}

fn encoded(message: &impl Message) -> Bytes {
    message.encode_to_vec().into()
}

/// An event that wants no answer → its method.
async fn notify<P: Plugin>(plugin: &P, event: Event, pod: PodSandbox, container: Container) -> Answer<()> {
    match event {
        Event::RunPodSandbox => plugin.run_pod_sandbox(pod).await,
        Event::PostUpdatePodSandbox => plugin.post_update_pod_sandbox(pod).await,
        Event::StopPodSandbox => plugin.stop_pod_sandbox(pod).await,
        Event::RemovePodSandbox => plugin.remove_pod_sandbox(pod).await,
        Event::PostCreateContainer => plugin.post_create_container(pod, container).await,
        Event::StartContainer => plugin.start_container(pod, container).await,
        Event::PostStartContainer => plugin.post_start_container(pod, container).await,
        Event::PostUpdateContainer => plugin.post_update_container(pod, container).await,
        Event::RemoveContainer => plugin.remove_container(pod, container).await,
        _ => Ok(()),
    }
}
