//! All rooms joined: events are read, counted, enriched, routed and delivered, each at least once.
//!
//! ```text
//! source ─▶ deltas ─▶ look-ups ─▶ routes ─┬▶ outlet ─▶ sink
//!   ▲      (told before?)  (in order)     └▶ outlet ─▶ sink
//!   │                                          │ acknowledged
//!   └───────────── checkpoint ◀────────────────┘
//! ```

mod builder;
mod enrich;
#[cfg(feature = "config")]
mod from_config;
mod options;
mod places;
mod run;
mod shared;
mod status;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

pub use builder::PipelineBuilder;
pub use options::{ElectionOptions, PipelineOptions};
pub use status::{Phase, PipelineStatus};

use crate::leader::TimingError;
use crate::route::RouteError;
use crate::sink::SpillError;
use run::Parts;
use shared::Shared;

/// What a shutdown takes beside draining and the last write: sinks that close or put the rest on disk, the source, and
/// the Lease.
const ENDING: Duration = Duration::from_secs(16);

/// A pipeline that can't begin.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PipelineError {
    /// Rules that can't be used.
    #[error("{0}")]
    Route(#[from] RouteError),
    /// Times with which two could lead.
    #[error("leader election: {0}")]
    Timing(#[from] TimingError),
    /// A sink's directory can't be used.
    #[error("{0}")]
    Spill(#[from] SpillError),
    /// Two receivers can't be told apart.
    #[error("there are two receivers `{0}`: give one of them another name")]
    SameName(String),
}

/// A pipeline that runs. Dropping it stops it: what is not acknowledged comes again at the next start, where there is a
/// checkpoint. [`shutdown`](Self::shutdown) delivers what it has first.
///
/// Each change of an event that is an occurrence is told once by a process, and at least once in all: a start repeats
/// what was not acknowledged before the last stored position (5 s of events, by default, after a crash).
///
/// ```
/// use kube_events::checkpoint::Memory;
/// use kube_events::pipeline::Pipeline;
/// use kube_events::sink::{OutletOptions, Sink};
///
/// async fn export(client: kube::Client, sink: impl Sink) -> Result<(), Box<dyn std::error::Error>> {
///     let pipeline = Pipeline::builder(client)
///         .cluster_name("prod")
///         .receiver("dump", sink, OutletOptions::default())
///         .checkpoint(Memory::default())
///         .spawn()
///         .await?;
///     pipeline.ready().await;
///     pipeline.shutdown().await;
///     Ok(())
/// }
/// ```
#[must_use = "dropping it stops it"]
pub struct Pipeline {
    shared: Arc<Shared>,
    stop: CancellationToken,
    ended: watch::Receiver<bool>,
    longest: Duration,
    task: AbortOnDropHandle<()>,
}

impl fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipeline").field("status", &self.status()).finish_non_exhaustive()
    }
}

impl Pipeline {
    /// A pipeline that reads through this client.
    pub fn builder(client: kube::Client) -> PipelineBuilder {
        PipelineBuilder::new(client)
    }

    async fn begin(parts: Parts) -> Result<Self, PipelineError> {
        // One that may never lead opens nothing: a spill's directory may be another's until then.
        let outlets = if parts.candidate.is_none() { Some(parts.open().await?) } else { None };
        let leadership = parts.candidate.as_ref().map(crate::leader::Candidate::state);
        let shared = Arc::new(Shared::new(&parts.options, leadership));
        let stop = CancellationToken::new();
        let longest = parts.options.drain + parts.options.save.last_write + ENDING;
        let (end, ended) = watch::channel(false);
        let run = parts.run(Arc::clone(&shared), stop.clone(), outlets);
        let done = Arc::clone(&shared);
        let task = AbortOnDropHandle::new(tokio::spawn(async move {
            run.await;
            done.set_phase(Phase::Stopped);
            end.send_replace(true);
        }));
        Ok(Self { shared, stop, ended, longest, task })
    }

    /// How it goes.
    pub fn status(&self) -> PipelineStatus {
        self.shared.status()
    }

    /// Occurrences of events by type, reason, kind and namespace, in Prometheus' text format, as a counter of this name.
    pub fn exposition(&self, name: &str) -> String {
        self.shared.exposition(name)
    }

    /// Waits until it [is ready](PipelineStatus::is_ready). For ever, if it has ended.
    pub async fn ready(&self) {
        let mut changes = self.shared.changes();
        while !self.status().is_ready() {
            // The sender is in `self`.
            let _ = changes.changed().await;
        }
    }

    /// Waits until it has ended: it was shut down, or the source that the host gave has ended.
    pub async fn ended(&self) {
        let mut ended = self.ended.clone();
        // An error means that it was stopped in the middle.
        let _ = ended.wait_for(|ended| *ended).await;
    }

    /// Stops reading, delivers what was read, keeps the position and lets others lead: within
    /// [`drain`](PipelineOptions::drain), the last write of a position, and 16 s for sinks that do not let go. Mostly at
    /// once. Calling it again does no harm.
    pub async fn shutdown(&self) {
        self.stop.cancel();
        if timeout(self.longest, self.ended()).await.is_err() {
            tracing::error!("the pipeline did not end in time: it is stopped");
            self.task.abort();
            self.shared.set_phase(Phase::Stopped);
        }
    }
}
