//! One connection to a runtime: registered, configured, synchronized, joined, ended.
//!
//! ```text
//! plugin                                   runtime
//!   RegisterPlugin ────────────────────────▶            on connection 2
//!                  ◀──────────────────────── Configure  on connection 1, perhaps before the answer to the other
//!   events         ────────────────────────▶
//!                  ◀──────────────────────── Synchronize, in one part or many
//!   updates        ────────────────────────▶            joined
//!                  ◀──────────────────────── events, one after another
//! ```
//!
//! A session is over when the runtime ends: NRI knows no reconnection. A [`Connector`](crate::Connector) makes another. The
//! runtime takes the old connection for another plugin until it notices its end.

mod run;
mod runtime;

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

pub use self::runtime::{Runtime, UpdateError};
use crate::api::{EventMask, FailurePolicy, RUNTIME_SERVICE, RuntimeInfo};
use crate::mux::{self, Mux, MuxError};
use crate::plugin::{Dispatch, Identity, Known, Plugin, Progress, Refusal, Role, SyncLimits};
use crate::ttrpc::{self, CallError, Client};

/// How long a plugin waits by default to be registered and configured. Runtimes accept plugins one after another, and
/// each of those before may take 9 s.
const REGISTRATION_TIMEOUT: Duration = Duration::from_mins(1);

/// The version of NRI that is told to the runtime: the one whose schema this is.
const NRI_VERSION: &str = "v0.12.5";

/// How a session ended that was joined, or was to be ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// The runtime closed the connection: it ended, or dropped the plugin.
    RuntimeClosed,
    /// The runtime asked the plugin to end.
    Shutdown,
    /// The host stopped it.
    Stopped,
}

/// A session that failed.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The runtime refused to register the plugin.
    #[error("the runtime did not register the plugin: {0}")]
    Register(#[source] CallError),
    /// The plugin was not configured in time.
    #[error("the runtime did not register and configure the plugin within {0:?}")]
    RegistrationTimeout(Duration),
    /// The plugin refused the runtime.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The runtime closed the connection before the plugin was configured.
    #[error("the runtime closed the connection before it configured the plugin: registration may have taken too long")]
    ClosedBeforeConfigure,
    /// The runtime closed the connection after the plugin was configured, and before it joined.
    #[error(
        "the runtime closed the connection before the plugin joined: it may not know all of {events:?}, or synchronization \
         took too long; try once with `EventMask::BEFORE_0_10` if it has told no version of NRI"
    )]
    ClosedBeforeJoin {
        /// What it had told of itself.
        runtime: RuntimeInfo,
        /// The events that the plugin wanted.
        events: EventMask,
    },
    /// The plugin was configured, and did not get the state of the node.
    #[error("the runtime configured the plugin and did not let it join within {0:?}")]
    JoinTimeout(Duration),
    /// The session was ended before the plugin joined.
    #[error("the session ended before the plugin joined: {0:?}")]
    EndedBeforeJoin(End),
    /// The connection failed.
    #[error("the connection to the runtime failed: {0}")]
    Connection(#[source] MuxError),
}

/// A session to be.
#[derive(Debug)]
pub struct SessionBuilder<P> {
    identity: Identity,
    plugin: Arc<P>,
    role: Role,
    failure_policy: Option<FailurePolicy>,
    events: EventMask,
    registration_timeout: Duration,
    sync: SyncLimits,
    mux: mux::Config,
    ttrpc: ttrpc::Config,
    known: Option<Arc<Known>>,
}

impl<P> Clone for SessionBuilder<P> {
    /// Another session of the same plugin.
    fn clone(&self) -> Self {
        Self {
            identity: self.identity.clone(),
            plugin: self.plugin.clone(),
            role: self.role,
            failure_policy: self.failure_policy,
            events: self.events,
            registration_timeout: self.registration_timeout,
            sync: self.sync.clone(),
            mux: self.mux.clone(),
            ttrpc: self.ttrpc.clone(),
            known: self.known.clone(),
        }
    }
}

impl<P: Plugin> SessionBuilder<P> {
    /// What the runtime learns when a handler fails: nothing, by default.
    pub fn role(self, role: Role) -> Self {
        Self { role, ..self }
    }

    /// What a runtime does with a request that gets no answer, and with the plugin; heeded since NRI 0.12.5. By default a
    /// request fails without an [enforcer](Role::Enforcer) and goes on without an observer, and the plugin is dropped.
    pub fn failure_policy(self, failure_policy: FailurePolicy) -> Self {
        Self { failure_policy: Some(failure_policy), ..self }
    }

    /// The most events that are subscribed to, whatever the plugin handles and the runtime knows; all by default.
    pub fn events(self, events: EventMask) -> Self {
        Self { events, ..self }
    }

    /// How long the plugin waits to be registered and configured, and then as long again to join; 60 s by default, as
    /// runtimes accept one plugin after another.
    pub fn registration_timeout(self, registration_timeout: Duration) -> Self {
        Self { registration_timeout, ..self }
    }

    /// Bounds for the state that the runtime sends when the plugin joins.
    pub fn sync_limits(self, sync: SyncLimits) -> Self {
        Self { sync, ..self }
    }

    /// Bounds of the multiplexer.
    pub fn mux(self, mux: mux::Config) -> Self {
        Self { mux, ..self }
    }

    /// Bounds for calls.
    pub fn ttrpc(self, ttrpc: ttrpc::Config) -> Self {
        Self { ttrpc, ..self }
    }

    /// What the plugin was told in sessions before.
    pub(crate) fn known(self, known: Arc<Known>) -> Self {
        Self { known: Some(known), ..self }
    }

    pub(crate) fn allowed_events(&self) -> EventMask {
        self.events
    }

    pub(crate) fn plugin(&self) -> &Arc<P> {
        &self.plugin
    }

    /// Begins the session on a connection to the runtime. Needs a tokio runtime.
    pub fn spawn<T: AsyncRead + AsyncWrite + Send + 'static>(self, trunk: T) -> Result<Session, SessionError> {
        let Self { identity, plugin, role, failure_policy, events, registration_timeout, sync, mux, ttrpc, known } =
            self;
        let connections = [run::PLUGIN_CONNECTION, run::RUNTIME_CONNECTION];
        let (mux, [serving, calling]) = Mux::start(trunk, mux, connections).map_err(SessionError::Connection)?;
        let client = Client::new(calling, ttrpc.clone());
        let dispatch = Arc::new(Dispatch::new(plugin, role, failure_policy, events, sync, known));
        let stop = CancellationToken::new();
        let (end, ended) = watch::channel(None);
        let session = Session {
            runtime: Runtime::new(client.clone(), dispatch.progress()),
            progress: dispatch.progress(),
            ended,
            _dropped: stop.clone().drop_guard(),
            stop: stop.clone(),
        };
        let run = run::Run { identity, registration_timeout, mux, client, dispatch, ttrpc, stop };
        tokio::spawn(async move {
            let outcome = run.run(serving).await;
            run::report(&outcome);
            end.send_replace(Some(outcome));
        });
        Ok(session)
    }
}

/// A session. Dropping it stops it.
#[derive(Debug)]
pub struct Session {
    runtime: Runtime,
    progress: watch::Receiver<Progress>,
    ended: watch::Receiver<Option<Result<End, SessionError>>>,
    stop: CancellationToken,
    _dropped: DropGuard,
}

impl Session {
    /// A session of a plugin, which the host may go on using.
    pub fn builder<P: Plugin>(identity: Identity, plugin: Arc<P>) -> SessionBuilder<P> {
        SessionBuilder {
            identity,
            plugin,
            role: Role::default(),
            failure_policy: None,
            events: EventMask::ALL,
            registration_timeout: REGISTRATION_TIMEOUT,
            sync: SyncLimits::default(),
            mux: mux::Config::default(),
            ttrpc: ttrpc::Config::default(),
            known: None,
        }
    }

    /// Waits until the plugin has joined: the runtime, and the events that it sends. An error if the session ended first.
    pub async fn joined(&self) -> Result<(RuntimeInfo, EventMask), SessionError> {
        let mut progress = self.progress.clone();
        let joined = async { progress.wait_for(|progress| progress.joined).await.ok()?.configured.clone() };
        tokio::select! {
            biased;
            Some(configured) = joined => Ok(configured),
            outcome = self.ended() => Err(outcome.map_or_else(|error| error, SessionError::EndedBeforeJoin)),
        }
    }

    /// The runtime, to ask it for changes.
    pub fn runtime(&self) -> Runtime {
        self.runtime.clone()
    }

    /// Waits until the session has ended, and says how.
    pub async fn ended(&self) -> Result<End, SessionError> {
        let mut ended = self.ended.clone();
        let ended = ended.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone());
        // Without its task, which only a runtime that shuts down takes away.
        ended.unwrap_or(Ok(End::Stopped))
    }

    /// Stops the session: handlers that run are answered, for two seconds at most, and the connection is closed once the
    /// runtime has read that, within half a second more. May be called again.
    pub async fn shutdown(&self) -> Result<End, SessionError> {
        self.stop.cancel();
        self.ended().await
    }
}
