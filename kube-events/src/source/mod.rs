//! Events from an API server, each of them once, through whatever fails; or from a watch that the host shares.
//!
//! An [`EventSource`] is a stream of [`SourceItem`]s. Its own watch goes on from a stored position, which
//! `kube::runtime::watcher` can't. Where the server has forgotten that position, it lists what is there, tells what is
//! newer than what it saw, and says in a [`Gap`] what may have been missed.

mod admit;
mod ask;
mod builder;
mod feed;
mod gap;
mod options;
mod relay;
mod status;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::Stream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

pub use builder::SourceBuilder;
pub use gap::{Gap, GapReason, Resume};
pub use options::SourceOptions;
pub use status::SourceStatus;

use crate::checkpoint::Position;
use crate::event::Event;
use crate::telemetry::Counted;

/// What stopping may take.
const SHUTDOWN: Duration = Duration::from_secs(5);

/// What a source tells, in its order. (Sources of several namespaces have an order for each of them.)
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum SourceItem {
    /// An event that is new, or has changed.
    Event {
        /// The event.
        event: Arc<Event>,
        /// Where the source was: [begin](crate::checkpoint::Progress::begin) it, and acknowledge it when it is dealt
        /// with.
        position: Position,
    },
    /// Everything before is told, though no event may have been there: begin it with no acknowledgements, so that the
    /// mark moves on in quiet times.
    Bookmark(Position),
    /// Events may have been missed. Those that are still there follow.
    Gap(Gap),
    /// All that was there at the start has been told. Once.
    Synced,
}

/// A stream of events. Dropping it stops its tasks.
///
/// Whoever reads it slowly is waited for: nothing is dropped here. The server's history then bridges the time, some
/// minutes of it; what it has forgotten by then is a [`Gap`].
///
/// Rights: `list` and `watch` on `events`, of the API group that is chosen (`""` or `events.k8s.io`).
///
/// ```no_run
/// use futures::StreamExt;
/// use kube_events::checkpoint::{Checkpoint, File, Progress, SaveOptions};
/// use kube_events::source::{EventSource, Resume, SourceItem};
///
/// # async fn example(client: kube::Client) {
/// let checkpoint = File::new("/var/lib/events/position.json");
/// let resume = Resume::load(&checkpoint).await;
/// let mut source = EventSource::builder(client).resume(resume.clone()).spawn();
/// let progress = Progress::new(source.api(), 10_000);
/// progress.resume(resume.marks());
/// let saving = progress.clone();
/// tokio::spawn(async move { saving.save(&checkpoint, &SaveOptions::default(), std::future::pending()).await });
///
/// while let Some(item) = source.next().await {
///     match item {
///         SourceItem::Event { event, position } => {
///             let ticket = progress.begin(&position, 1).await;
///             println!("{}", event.message); // Whoever has dealt with it, later, and in any order:
///             progress.acknowledge(&ticket);
///         }
///         SourceItem::Bookmark(position) => drop(progress.begin(&position, 0).await),
///         SourceItem::Gap(gap) => eprintln!("{gap}"),
///         _ => {}
///     }
/// }
/// # }
/// ```
#[derive(Debug)]
#[must_use = "dropping it stops its tasks"]
pub struct EventSource {
    api: crate::checkpoint::EventsApi,
    items: mpsc::Receiver<Queued>,
    status: watch::Receiver<SourceStatus>,
    cancel: CancellationToken,
    tasks: JoinSet<()>,
}

/// An item in the queue, which a gauge counts.
#[derive(Debug)]
struct Queued(SourceItem, #[expect(dead_code, reason = "counts by being dropped")] Counted);

impl EventSource {
    /// A source with a watch of its own.
    pub fn builder(client: kube::Client) -> SourceBuilder {
        SourceBuilder::new(client)
    }

    /// Which API the events come from.
    pub fn api(&self) -> crate::checkpoint::EventsApi {
        self.api
    }

    /// How it goes; the receiver outlives the source, for a readiness probe for instance.
    pub fn status(&self) -> watch::Receiver<SourceStatus> {
        self.status.clone()
    }

    /// Stops the watches, and returns when no task is left, after 5 s at the latest. What came in before can still be
    /// read; then the stream ends. Calling it again does no harm.
    pub async fn shutdown(&mut self) {
        self.cancel.cancel();
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        if timeout(SHUTDOWN, ended).await.is_err() {
            self.tasks.abort_all();
        }
    }
}

impl Stream for EventSource {
    type Item = SourceItem;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<SourceItem>> {
        self.items.poll_recv(context).map(|queued| queued.map(|Queued(item, _)| item))
    }
}
