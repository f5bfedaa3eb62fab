//! The life of a session.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{End, NRI_VERSION, RUNTIME_SERVICE, SessionError};
use crate::api::{Empty, RegisterPluginRequest};
use crate::mux::{Connection, Mux, MuxError};
use crate::plugin::{Dispatch, Identity, Plugin, Progress};
use crate::telemetry;
use crate::ttrpc::{self, CallError, CallOptions, Client, serve};

/// The connection on which the plugin serves and the runtime calls.
pub(super) const PLUGIN_CONNECTION: u32 = 1;
/// The connection on which the runtime serves and the plugin calls.
pub(super) const RUNTIME_CONNECTION: u32 = 2;

/// How long a stop waits for the handlers that run.
const STOP_DEADLINE: Duration = Duration::from_secs(2);

/// How long it then waits until the runtime has read their answers.
const READ_DEADLINE: Duration = Duration::from_millis(500);

/// What a session is made of.
pub(super) struct Run<P> {
    pub(super) identity: Identity,
    pub(super) registration_timeout: Duration,
    pub(super) mux: Mux,
    pub(super) client: Client,
    pub(super) dispatch: Arc<Dispatch<P>>,
    pub(super) ttrpc: ttrpc::Config,
    pub(super) stop: CancellationToken,
}

impl<P: Plugin> Run<P> {
    pub(super) async fn run(&self, serving: Connection) -> Result<End, SessionError> {
        let draining = CancellationToken::new();
        let mut serving = pin!(serve(serving, self.dispatch.clone(), self.ttrpc.clone(), draining.clone()));
        let outcome = tokio::select! {
            // What the runtime sent before it closed the connection is looked at first.
            biased;
            outcome = self.live() => outcome,
            () = self.stop.cancelled() => Ok(End::Stopped),
            end = &mut serving => return self.closed(end),
        };
        draining.cancel();
        // Handlers have deadlines; those that don't heed them are dropped with the connection.
        let _ = timeout(STOP_DEADLINE, serving).await;
        if matches!(outcome, Ok(_) | Err(SessionError::Refused(_))) {
            self.answers_read().await;
        }
        self.mux.close().await;
        outcome
    }

    /// Waits until the runtime has read what was sent.
    ///
    /// Go's mux tells a connection that the trunk has ended as soon as it is so, and then it is a matter of chance whether
    /// the connection still reads what came before: an answer with the end behind it was lost one time in twenty, and the
    /// pod went on without it. So the end is sent only when something else has been answered, which was sent later: a call
    /// that no runtime has.
    async fn answers_read(&self) {
        let call = self.client.call::<Empty>(RUNTIME_SERVICE, "Flush", &Empty {}, CallOptions::default());
        // That there is no such call is answer enough.
        let _ = timeout(READ_DEADLINE, call).await;
    }

    /// Registers, waits to be configured, and then for the end that the runtime or the plugin wants.
    async fn live(&self) -> Result<End, SessionError> {
        let registered = async {
            let request = RegisterPluginRequest {
                plugin_name: self.identity.name().to_owned(),
                plugin_idx: self.identity.index().to_owned(),
                nri_version: NRI_VERSION.to_owned(),
            };
            let answer: Result<Empty, CallError> =
                self.client.call(RUNTIME_SERVICE, "RegisterPlugin", &request, CallOptions::default()).await;
            match answer {
                Ok(_) => Ok(()),
                // The server learns of the end as well, and knows how far the session had come.
                Err(CallError::Connection(_)) => std::future::pending().await,
                Err(error) => Err(SessionError::Register(error)),
            }
        };
        // The runtime may configure the plugin before the answer to the registration is seen.
        let configured = async {
            let mut progress = self.dispatch.progress();
            // Kept by the dispatch: it can't be gone.
            let _ = progress.wait_for(|progress| progress.configured.is_some()).await;
            Ok(())
        };
        let joining = timeout(self.registration_timeout, async { tokio::try_join!(registered, configured) });
        let failed = async {
            let limit = self.registration_timeout;
            match joining.await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return error,
                Err(_) => return SessionError::RegistrationTimeout(limit),
            }
            let mut progress = self.dispatch.progress();
            let joined = async { progress.wait_for(|progress| progress.joined).await.is_ok() };
            match timeout(limit, joined).await {
                Ok(_) => std::future::pending().await,
                Err(_) => SessionError::JoinTimeout(limit),
            }
        };
        let mut progress = self.dispatch.progress();
        tokio::select! {
            error = failed => Err(error),
            over = progress.wait_for(|progress| progress.over.is_some()) => {
                over.ok().and_then(|progress| wanted(&progress)).unwrap_or(Ok(End::Stopped))
            }
        }
    }

    /// What it means that the connection ended, by how far the session had come.
    fn closed(&self, end: MuxError) -> Result<End, SessionError> {
        let progress = self.dispatch.progress();
        let progress = progress.borrow();
        if let Some(outcome) = wanted(&progress) {
            return outcome;
        }
        // Go writes the header of a frame and the rest of it one after the other, and may end or drop the plugin between.
        if !matches!(end, MuxError::PeerClosed | MuxError::Truncated { .. }) {
            return Err(SessionError::Connection(end));
        }
        match &progress.configured {
            _ if progress.joined => Ok(End::RuntimeClosed),
            Some((runtime, events)) => {
                Err(SessionError::ClosedBeforeJoin { runtime: runtime.clone(), events: *events })
            }
            None => Err(SessionError::ClosedBeforeConfigure),
        }
    }
}

/// The end that the runtime or the plugin wants, if one of them does.
fn wanted(progress: &Progress) -> Option<Result<End, SessionError>> {
    progress.over.clone().map(|over| over.map(|()| End::Shutdown).map_err(SessionError::from))
}

pub(super) fn report(outcome: &Result<End, SessionError>) {
    tracing::info!(?outcome, "an NRI session ended");
    telemetry::session_ended(match outcome {
        Ok(End::RuntimeClosed) => "runtime_closed",
        Ok(End::Shutdown) => "shutdown",
        Ok(End::Stopped) => "stopped",
        Err(_) => "error",
    });
}
