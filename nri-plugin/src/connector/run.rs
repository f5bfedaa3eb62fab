//! The life of a connector: attempt, session, pause.

use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use futures::FutureExt;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::State;
use super::failure::{AttemptError, ConnectorError};
use crate::api::{EventMask, RuntimeInfo};
use crate::launch::Dial;
use crate::plugin::{Known, Plugin, tell_lost};
use crate::session::{End, Runtime, Session, SessionBuilder, SessionError};
use crate::telemetry;

/// How long a connection may take to come about: a socket of this machine takes microseconds, or is not read at all.
const DIAL_TIMEOUT: Duration = Duration::from_secs(10);

/// What a connector is made of.
pub(super) struct Run<P, D> {
    pub(super) session: SessionBuilder<P>,
    pub(super) dial: D,
    pub(super) pauses: (Duration, Duration),
    pub(super) give_up_after: Option<Duration>,
    pub(super) state: watch::Sender<State>,
    pub(super) runtime: watch::Sender<Option<Runtime>>,
    pub(super) stop: CancellationToken,
}

/// What comes after a session, or after an attempt to have one.
enum Next {
    Over(Result<End, ConnectorError>),
    Again {
        why: AttemptError,
        /// How long the plugin was joined.
        joined: Option<Duration>,
    },
}

impl<P: Plugin, D: Dial> Run<P, D> {
    pub(super) async fn run(mut self) {
        if self.dial.can_dial_again() {
            self.session = self.session.known(Arc::new(Known::default()));
        }
        let outcome = self.outcome().await;
        self.runtime.send_replace(None);
        tracing::info!(?outcome, "the plugin is not kept connected any more");
        self.state.send_replace(State::Ended(outcome));
    }

    async fn outcome(&self) -> Result<End, ConnectorError> {
        let mut pauses = self.fresh_pauses();
        let mut since = Instant::now();
        let mut ever_joined = false;
        loop {
            let patience = self.give_up_after.map(|limit| limit.saturating_sub(since.elapsed()));
            let (why, joined) = match self.attempt(patience).await {
                Next::Over(outcome) => return outcome,
                Next::Again { why, joined } => (why, joined),
            };
            if let Some(joined) = joined {
                since = Instant::now();
                ever_joined = true;
                if joined > self.pauses.1 {
                    pauses = self.fresh_pauses();
                }
            }
            if !self.dial.can_dial_again() {
                let ended = matches!(why, AttemptError::Closed);
                return if ended { Ok(End::RuntimeClosed) } else { Err(ConnectorError::OnlyConnection(why)) };
            }
            // A socket that could be opened before may be made anew, and given its rights after that.
            if !(why.can_heal() || ever_joined && matches!(why, AttemptError::Dial(_))) {
                return Err(ConnectorError::Hopeless(why));
            }
            let mut pause = pauses.next().unwrap_or(self.pauses.1);
            if let Some(limit) = self.give_up_after {
                let after = since.elapsed();
                // The last attempt is at the limit.
                pause = pause.min(limit.saturating_sub(after));
                if pause.is_zero() {
                    return Err(ConnectorError::GaveUp { after, last: why });
                }
            }
            tracing::warn!(?pause, "the plugin has no runtime, and will try again: {why}");
            self.state.send_replace(State::Connecting { last: Some(why) });
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return Ok(End::Stopped),
                () = sleep(pause) => {}
            }
        }
    }

    fn fresh_pauses(&self) -> ExponentialBackoff {
        let (first, longest) = self.pauses;
        ExponentialBuilder::default().with_min_delay(first).with_max_delay(longest).without_max_times().build()
    }

    /// A session from its connection to its end. One that ends as if the runtime did not know an event gets a second
    /// chance with those that all know.
    async fn attempt(&self, patience: Option<Duration>) -> Next {
        let all = self.session.allowed_events();
        let next = self.session(all, patience).await;
        match next {
            Next::Again { why: AttemptError::Session(SessionError::ClosedBeforeJoin { runtime, events }), .. }
                if may_not_know(&runtime, events) && self.dial.can_dial_again() =>
            {
                tracing::info!(?events, "the runtime closed the connection: it may not know all of these events");
                self.session(all & EventMask::BEFORE_0_10, patience).await
            }
            next => next,
        }
    }

    /// A session, which the runtime has to let the plugin join before patience ends.
    async fn session(&self, events: EventMask, patience: Option<Duration>) -> Next {
        let next = match self.connect().await {
            Ok(Some(trunk)) => self.live(trunk, events, patience).await,
            Ok(None) => return Next::Over(Ok(End::Stopped)),
            Err(why) => Next::Again { why, joined: None },
        };
        if let Next::Again { why, joined: None } = &next {
            telemetry::attempt(why.word());
        }
        next
    }

    /// A connection, unless the host stops the connector.
    async fn connect(&self) -> Result<Option<D::Trunk>, AttemptError> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Ok(None),
            dialled = timeout(DIAL_TIMEOUT, AssertUnwindSafe(self.dial.dial()).catch_unwind()) => match dialled {
                Ok(Ok(Ok(trunk))) => Ok(Some(trunk)),
                Ok(Ok(Err(error))) => Err(AttemptError::Dial(Arc::new(error))),
                Ok(Err(_)) => Err(AttemptError::Dial(Arc::new(io::Error::other("what dials panicked")))),
                Err(_) => Err(AttemptError::DialTimeout(DIAL_TIMEOUT)),
            },
        }
    }

    async fn live(&self, trunk: D::Trunk, events: EventMask, patience: Option<Duration>) -> Next {
        let session = match self.session.clone().events(events).spawn(trunk) {
            Ok(session) => session,
            Err(error) => return Next::Again { why: error.into(), joined: None },
        };
        let joined = tokio::select! {
            biased;
            joined = session.joined() => joined,
            () = self.stop.cancelled() => return Next::Over(stopped(&session).await),
            () = async { sleep(patience.unwrap_or_default()).await }, if patience.is_some() => {
                let _ = session.shutdown().await;
                return Next::Again { why: AttemptError::NotJoined(patience.unwrap_or_default()), joined: None };
            }
        };
        let (runtime, events) = match joined {
            Ok(joined) => joined,
            Err(SessionError::EndedBeforeJoin(end)) => return Next::Over(Ok(end)),
            Err(error) => return Next::Again { why: error.into(), joined: None },
        };
        tracing::info!(?runtime, ?events, "the plugin has joined the runtime");
        telemetry::attempt("joined");
        let began = Instant::now();
        self.runtime.send_replace(Some(session.runtime()));
        self.state.send_replace(State::Joined { runtime, events });
        let outcome = tokio::select! {
            biased;
            outcome = session.ended() => outcome,
            () = self.stop.cancelled() => return Next::Over(stopped(&session).await),
        };
        self.runtime.send_replace(None);
        let why = match outcome {
            Ok(End::RuntimeClosed) => AttemptError::Closed,
            Ok(end) => return Next::Over(Ok(end)),
            Err(error) => error.into(),
        };
        self.state.send_replace(State::Connecting { last: Some(why.clone()) });
        tell_lost(&**self.session.plugin(), why.clone()).await;
        Next::Again { why, joined: Some(began.elapsed()) }
    }
}

/// Whether these events may be why a runtime closed the connection. One that tells its version of NRI knows them, and
/// without those that all runtimes know there is nothing to ask for.
fn may_not_know(runtime: &RuntimeInfo, events: EventMask) -> bool {
    let (known, beyond) = (events & EventMask::BEFORE_0_10, events - EventMask::BEFORE_0_10);
    runtime.nri_version.is_none() && !known.is_empty() && !beyond.is_empty()
}

/// The host wants the end, and what the session says of its own does not matter any more.
async fn stopped(session: &Session) -> Result<End, ConnectorError> {
    let _ = session.shutdown().await;
    Ok(End::Stopped)
}
