//! A plugin, as the runtime has it: one call at a time, with what becomes of it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use prost::Message;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::api::{
    ConfigureRequest, ConfigureResponse, Container, Empty, Event, FailurePolicy, PodSandbox, RegisterPluginRequest,
    StartContainerRequest, StateChangeEvent, SynchronizeResponse,
};
use super::client::Client;
use super::connection::MAX_DATA;
use super::envelope::{KeyValue, Request, Response, Status};
use super::log::{Call, Log, Record};
use super::register::{Registered, register};
use super::server::Update;
use super::synchronize::Parts;
use super::trouble::{Code, Trouble};
use super::trunk::{Stream, Trunk};
use super::updates::Updates;
use super::version::{Profile, Version};

/// The service of a plugin.
const SERVICE: &str = "nri.pkg.api.v1alpha1.Plugin";

/// A plugin that has registered, driven call by call; a [`Runtime`](super::Runtime) drives all of its plugins so.
///
/// A plugin that takes too long, or breaks the protocol, is closed, as the adaptation does it; each call says so by its
/// [`Trouble`]. Dropping it closes the connection.
///
/// ```
/// use cluster_sim::nri::{Peer, Trouble, Version};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let (plugin, trunk) = tokio::io::duplex(1 << 16);
/// # let _plugin = plugin;
/// // … a plugin that begins its session on the one end, and says nothing …
/// let joined = Peer::accept(Version::V0_8, trunk, vec![]).await;
/// assert_eq!(joined.err(), Some(Trouble::NotRegistered));
/// # }
/// ```
pub struct Peer {
    pub(super) profile: Profile,
    pub(super) name: Arc<str>,
    pub(super) trunk: Trunk,
    pub(super) client: Client,
    pub(super) log: Log,
    registered: RegisterPluginRequest,
    events: i32,
    policy: FailurePolicy,
    fallen_back: AtomicBool,
    updates: Updates,
    fatal: Mutex<Option<Trouble>>,
}

/// What a plugin is given to live with.
pub(super) struct Opening {
    pub(super) log: Log,
    pub(super) updates: Updates,
    pub(super) update: Update,
    /// Ends it.
    pub(super) end: CancellationToken,
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Peer");
        debug.field("name", &self.name).field("events", &self.events).field("trunk", &self.trunk);
        debug.finish_non_exhaustive()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.trunk.hang_up();
    }
}

impl Peer {
    /// Waits for a plugin to register, and configures it with this text.
    pub async fn configure(profile: impl Into<Profile>, stream: impl Stream, config: &str) -> Result<Self, Trouble> {
        let updates = Updates::default();
        let update = updates.update();
        let with = Opening { log: Log::default(), updates, update, end: CancellationToken::new() };
        Box::pin(Self::open(profile.into(), stream, config, with)).await
    }

    /// Waits for a plugin to register, configures it and gives it the state of the node, in these parts.
    pub async fn accept(profile: impl Into<Profile>, stream: impl Stream, parts: Parts) -> Result<Self, Trouble> {
        let peer = Self::configure(profile, stream, "").await?;
        peer.synchronize(parts).await?;
        Ok(peer)
    }

    /// Waits for a plugin to register, and answers with this error. The connection stays open until the plugin closes it.
    pub async fn refuse(
        profile: impl Into<Profile>,
        stream: impl Stream,
        status: Status,
    ) -> Result<RegisterPluginRequest, Trouble> {
        let update = Updates::default().update();
        let registered = register(&profile.into(), stream, update, &CancellationToken::new()).await?;
        registered.registration.answer(&registered.trunk, Err(status)).await;
        Ok(registered.registration.request)
    }

    pub(super) async fn open(
        profile: Profile,
        stream: impl Stream,
        config: &str,
        with: Opening,
    ) -> Result<Self, Trouble> {
        let Opening { log, updates, update, end } = with;
        let Registered { trunk, client, registration } = register(&profile, stream, update, &end).await?;
        let request = &registration.request;
        let name = format!("{}-{}", request.plugin_idx, request.plugin_name).into();
        let fallen_back = AtomicBool::new(false);
        let mut peer = Self {
            profile,
            name,
            trunk,
            client,
            log,
            registered: request.clone(),
            events: 0,
            policy: FailurePolicy::default(),
            fallen_back,
            updates,
            fatal: Mutex::default(),
        };
        if peer.profile.early_reply {
            registration.answer(&peer.trunk, Ok(())).await;
        }
        let profile = &peer.profile;
        let request = ConfigureRequest {
            config: config.to_owned(),
            runtime_name: profile.name.to_string(),
            runtime_version: profile.release.to_string(),
            registration_timeout: profile.told(profile.registration_timeout),
            request_timeout: profile.told(profile.request_timeout),
            nri_version: profile.nri_version(),
        };
        let configured = peer.ask::<ConfigureResponse>("Configure", &request).await;
        if !peer.profile.early_reply {
            registration.answer(&peer.trunk, Ok(())).await;
        }
        let ConfigureResponse { events, failure_policy } = match configured {
            Ok(answer) => answer,
            Err(trouble) => {
                peer.close().await;
                return Err(trouble);
            }
        };
        let known = peer.version().known();
        if events & !known != 0 {
            peer.close().await;
            return Err(Trouble::InvalidEvents(events & !known));
        }
        peer.events = if events == 0 { known } else { events };
        if peer.version().has_failure_policies() {
            peer.policy = failure_policy.unwrap_or_default();
        }
        Ok(peer)
    }

    /// The runtime's version of NRI.
    pub fn version(&self) -> Version {
        self.profile.version
    }

    /// Index and name, as Go joins them: `10-test`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the plugin registered with.
    pub fn registered(&self) -> &RegisterPluginRequest {
        &self.registered
    }

    /// The events that it gets; all that are known if it asked for 0.
    pub fn events(&self) -> i32 {
        self.events
    }

    /// What becomes of a request that it does not answer, and of itself; before NRI 0.12.5 always the default.
    pub fn failure_policy(&self) -> FailurePolicy {
        self.policy
    }

    /// Whether it gets this event.
    pub fn wants(&self, event: Event) -> bool {
        self.events & event.bit() != 0
    }

    /// What it was sent, and answered.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// What it asked for of its own accord; only of a plugin that is driven call by call.
    pub fn updates(&self) -> &Updates {
        &self.updates
    }

    /// The connection, to write to it what no runtime would.
    pub fn trunk(&self) -> &Trunk {
        &self.trunk
    }

    /// Whether its events come by `StateChange` for good, because it answered the call of one with 12.
    pub fn has_fallen_back(&self) -> bool {
        self.fallen_back.load(Ordering::Relaxed)
    }

    /// Has its events come by `StateChange` for good.
    pub fn fall_back(&self) {
        self.fallen_back.store(true, Ordering::Relaxed);
    }

    /// Closes the connection.
    pub async fn close(&self) {
        self.trunk.close().await;
    }

    /// Whether the connection is closed, by whichever side.
    pub fn is_closed(&self) -> bool {
        self.trunk.is_closed()
    }

    /// Answers that nobody waited for, with their streams; 64 of them at most. Go takes no notice of them.
    pub fn take_stray_answers(&self) -> Vec<(u32, Response)> {
        self.client.take_strays()
    }

    /// A call with the time that runtimes give a request.
    pub async fn ask<A: Message + Default>(&self, method: &str, request: &impl Message) -> Result<A, Trouble> {
        self.call(method, request, Instant::now() + self.profile.request_timeout).await
    }

    /// A call, as the adaptation makes it: what is fatal closes the connection, unless the plugin is late with an event and
    /// asked to be kept.
    pub async fn call<A: Message + Default>(
        &self,
        method: &str,
        request: &impl Message,
        deadline: Instant,
    ) -> Result<A, Trouble> {
        let at = Instant::now();
        let payload = Bytes::from(request.encode_to_vec());
        let data = self.envelope(method, payload.clone(), deadline);
        let outcome = self.exchange(&data, deadline).await;
        // Go reads the message before it looks at the status.
        let outcome = outcome.and_then(|Response { status, payload }| {
            let answer = A::decode(payload.clone()).map_err(|error| Trouble::Unreadable(error.to_string()))?;
            match status {
                Some(status) if status.code != 0 => Err(Trouble::Status(status)),
                _ => Ok((answer, payload)),
            }
        });
        let (answer, logged) = match outcome {
            Ok((answer, payload)) => (Ok(answer), Ok(payload)),
            Err(trouble) => (Err(trouble.clone()), Err(trouble)),
        };
        self.log.push(Record::Call(Call {
            plugin: self.name.clone(),
            method: method.to_owned(),
            request: payload,
            answer: logged,
            at,
            took: at.elapsed(),
        }));
        if let Err(trouble) = &answer
            && trouble.is_fatal()
            && !(self.policy.keep_connected && *trouble == Trouble::Timeout && method != "Synchronize")
        {
            self.fatal.lock().get_or_insert_with(|| trouble.clone());
            self.close().await;
        }
        answer
    }

    /// Why the connection is closed, if it is.
    pub fn end(&self) -> Option<Trouble> {
        let end = || self.trunk.breach().map_or(Trouble::Closed, Trouble::Breach);
        self.is_closed().then(|| self.fatal.lock().clone().unwrap_or_else(end))
    }

    /// The data of a request.
    pub(super) fn envelope(&self, method: &str, payload: Bytes, deadline: Instant) -> Vec<u8> {
        let named =
            !matches!(method, "Configure" | "Synchronize" | "StopContainer") && self.profile.name == "containerd";
        let namespace = KeyValue { key: "containerd-namespace-ttrpc".to_owned(), value: "k8s.io".to_owned() };
        let waits = deadline.saturating_duration_since(Instant::now()).as_nanos();
        Request {
            service: SERVICE.to_owned(),
            method: method.to_owned(),
            payload,
            timeout_nano: if self.profile.silent { 0 } else { i64::try_from(waits).unwrap_or(i64::MAX) },
            metadata: if named { vec![namespace] } else { Vec::new() },
        }
        .encode_to_vec()
    }

    async fn exchange(&self, data: &[u8], deadline: Instant) -> Result<Response, Trouble> {
        if self.version().sends_parts() && data.len() > MAX_DATA {
            let message = format!("message length {} exceed maximum message size of {MAX_DATA}", data.len());
            return Err(Trouble::Status(Status::new(Code::ResourceExhausted, message)));
        }
        if !self.version().sends_parts() && data.len() > self.version().longest_frame() {
            return Err(Trouble::MessageTooLong(data.len()));
        }
        timeout_at(deadline, self.client.exchange(data)).await.unwrap_or(Err(Trouble::Timeout))
    }

    /// An event that wants no answer: by its own call from NRI 0.12 on, until the plugin says that it has none. Nothing
    /// happens if the plugin did not subscribe to it.
    pub async fn event(
        &self,
        event: Event,
        pod: PodSandbox,
        container: impl Into<Option<Container>>,
    ) -> Result<(), Trouble> {
        if !self.wants(event) {
            return Ok(());
        }
        let pod = Some(pod);
        let container = container.into().filter(|_| !event.is_of_pod());
        if event.has_answer() || (self.version().has_own_calls() && !self.has_fallen_back()) {
            let request = StartContainerRequest { pod: pod.clone(), container: container.clone() };
            match self.ask::<Empty>(event.name(), &request).await {
                Err(Trouble::Status(status)) if status.is(Code::Unimplemented) && !event.has_answer() => {
                    self.fall_back();
                }
                outcome => return outcome.map(|_| ()),
            }
        }
        let request = StateChangeEvent { event: event as i32, pod, container };
        self.ask::<Empty>("StateChange", &request).await.map(|_| ())
    }

    /// Gives the plugin the state of the node, part by part, all within the time of one request. Any trouble closes it.
    pub async fn synchronize(&self, parts: Parts) -> Result<SynchronizeResponse, Trouble> {
        let synchronized = Box::pin(super::synchronize::parts(self, parts)).await;
        if synchronized.is_err() {
            self.close().await;
        }
        synchronized
    }
}
