//! A plugin that outlives its runtime: connected, and connected anew.
//!
//! NRI knows no reconnection. After the runtime has ended, or has dropped the plugin, a connector dials again, registers
//! and synchronizes, with pauses that grow from [100 ms to 30 s](ConnectorBuilder::pauses). The plugin learns of it by
//! [`Plugin::lost`], then [`Plugin::resynchronize`], which says what of all that it was told of is not there any more, and
//! then [`Plugin::synchronize`], with all that is.
//!
//! # What heals, and what doesn't
//!
//! | | the connector |
//! |---|---|
//! | there is no socket, or nobody listens; the connection ends before the plugin has joined; registration takes too long | tries again |
//! | the connection ends right after the plugin has said which events it wants | tries again at once with the events that every runtime knows, once |
//! | the runtime refuses the name or the index; the plugin has no event, or its `configure` fails; the socket may not be opened | ends, with an error that says what to change |
//! | the connection was inherited, and is over | ends: the runtime that launched the plugin has ended it |
//! | the runtime asks the plugin to end | ends |

mod failure;
mod run;

use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

pub use self::failure::{AttemptError, ConnectorError};
use self::run::Run;
use crate::api::{EventMask, RuntimeInfo};
use crate::launch::Dial;
use crate::plugin::Plugin;
use crate::session::{End, Runtime, SessionBuilder};

/// The first pause and the longest. A local socket that a handful of plugins want is no herd: the pauses need no jitter.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));

/// How a connector is doing.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum State {
    /// It connects, or waits to do so; with what went wrong last, if anything did since the plugin was joined.
    Connecting {
        /// Why the last attempt failed, or the last session ended.
        last: Option<AttemptError>,
    },
    /// The plugin has joined the runtime.
    Joined {
        /// Which one.
        runtime: RuntimeInfo,
        /// The events that it sends to the plugin.
        events: EventMask,
    },
    /// It is over.
    Ended(Result<End, ConnectorError>),
}

/// A connector to be.
#[derive(Debug)]
#[must_use = "a builder does nothing until it is spawned"]
pub struct ConnectorBuilder<P> {
    session: SessionBuilder<P>,
    pauses: (Duration, Duration),
    give_up_after: Option<Duration>,
}

impl<P: Plugin> ConnectorBuilder<P> {
    /// The pause after the first failure, and the longest: each is twice the one before. It starts anew after a session
    /// that was joined for longer than the longest.
    pub fn pauses(mut self, first: Duration, longest: Duration) -> Self {
        self.pauses = (first, longest.max(first));
        self
    }

    /// For how long it may go on without a runtime before it ends with [`ConnectorError::GaveUp`]; for ever by default.
    pub fn give_up_after(mut self, limit: Duration) -> Self {
        self.give_up_after = Some(limit);
        self
    }

    /// Begins to connect. Needs a tokio runtime.
    pub fn spawn(self, dial: impl Dial) -> Connector {
        let stop = CancellationToken::new();
        let (state, states) = watch::channel(State::Connecting { last: None });
        let (runtime, runtimes) = watch::channel(None);
        let Self { session, pauses, give_up_after } = self;
        let run = Run { session, dial, pauses, give_up_after, state, runtime, stop: stop.clone() };
        tokio::spawn(run.run());
        Connector { states, runtimes, _dropped: stop.clone().drop_guard(), stop }
    }
}

/// A plugin that is kept connected. Dropping it ends it.
///
/// ```no_run
/// use std::sync::Arc;
///
/// use nri_plugin::api::{Container, PodSandbox};
/// use nri_plugin::launch::{Launch, Options};
/// use nri_plugin::{Answer, Connector, Plugin, Session};
///
/// struct Starts;
///
/// impl Plugin for Starts {
///     async fn start_container(&self, pod: PodSandbox, container: Container) -> Answer<()> {
///         println!("{}/{}/{}", pod.namespace, pod.name, container.name);
///         Ok(())
///     }
/// }
///
/// # async fn plugin() -> Result<(), Box<dyn std::error::Error>> {
/// let launch = Launch::detect(&Options { index: Some("10".to_owned()), ..Options::default() })?;
/// let session = Session::builder(launch.identity, Arc::new(Starts));
/// let connector = Connector::builder(session).spawn(launch.endpoint);
/// connector.ended().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Connector {
    states: watch::Receiver<State>,
    runtimes: watch::Receiver<Option<Runtime>>,
    stop: CancellationToken,
    _dropped: DropGuard,
}

impl Connector {
    /// A connector whose sessions are all like this one.
    pub fn builder<P: Plugin>(session: SessionBuilder<P>) -> ConnectorBuilder<P> {
        ConnectorBuilder { session, pauses: PAUSES, give_up_after: None }
    }

    /// How it is doing, now and from now on.
    pub fn states(&self) -> watch::Receiver<State> {
        self.states.clone()
    }

    /// The runtime that the plugin has joined, to ask it for changes; none in between.
    pub fn runtime(&self) -> Option<Runtime> {
        self.runtimes.borrow().clone()
    }

    /// Waits until the plugin has joined a runtime; an error if the connector ended first.
    pub async fn joined(&self) -> Result<(RuntimeInfo, EventMask), ConnectorError> {
        let state = self.wait(|state| !matches!(state, State::Connecting { .. })).await;
        match state {
            Some(State::Joined { runtime, events }) => Ok((runtime, events)),
            Some(State::Ended(Err(error))) => Err(error),
            Some(State::Ended(Ok(end))) => Err(ConnectorError::EndedBeforeJoin(end)),
            Some(State::Connecting { .. }) | None => Err(ConnectorError::EndedBeforeJoin(End::Stopped)),
        }
    }

    /// Waits until it has ended, and says how.
    pub async fn ended(&self) -> Result<End, ConnectorError> {
        match self.wait(|state| matches!(state, State::Ended(_))).await {
            Some(State::Ended(outcome)) => outcome,
            // Without its task, which only a runtime that shuts down takes away.
            _ => Ok(End::Stopped),
        }
    }

    async fn wait(&self, state: impl FnMut(&State) -> bool) -> Option<State> {
        let mut states = self.states.clone();
        states.wait_for(state).await.ok().map(|state| state.clone())
    }

    /// Ends it: handlers that run are answered, for two seconds at most, and the connection is closed. May be called
    /// again.
    pub async fn shutdown(&self) -> Result<End, ConnectorError> {
        self.stop.cancel();
        self.ended().await
    }
}
