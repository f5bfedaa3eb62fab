//! The cache's task: what a feed tells, and what time does, comes into the table.

use std::sync::Arc;

use futures::stream::{BoxStream, StreamExt};
use k8s_openapi::api::coordination::v1::Lease;
use kube::runtime::watcher;
use metrics::counter;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::builder::Source;
use super::feed::{Failure, Feed, FeedEvent, Scope};
use super::table::Keeper;
use super::{CacheState, Inner};
use crate::telemetry;

/// Leases between the feed and the table.
const QUEUE: usize = 64;

pub(super) async fn run(
    source: Source,
    scope: Scope,
    keeper: Keeper,
    status: Arc<watch::Sender<Inner>>,
    stop: CancellationToken,
) {
    let (out, events) = mpsc::channel(QUEUE);
    let mut keeping = Keeping { keeper, status: &status };
    let feeding = async {
        match source {
            Source::Server(connection) => Feed::new(scope, out).run(connection).await,
            Source::Stream(stream) => forward(stream, &scope, out).await,
        }
    };
    let both = async { tokio::join!(feeding, keeping.keep(events)) };
    stop.run_until_cancelled(both).await;
    // Empty first, then said to be stopped.
    drop(keeping);
    status.send_modify(|status| status.turn(CacheState::Stopped));
}

/// The host's stream as a feed.
async fn forward(
    mut stream: BoxStream<'static, Result<watcher::Event<Lease>, watcher::Error>>,
    scope: &Scope,
    out: mpsc::Sender<FeedEvent>,
) {
    while let Some(event) = stream.next().await {
        let told = match event {
            // Anybody may write Leases somewhere: only those of one namespace are believed.
            Ok(watcher::Event::InitApply(lease) | watcher::Event::Apply(lease) | watcher::Event::Delete(lease))
                if !scope.has(&lease) =>
            {
                continue;
            }
            Ok(watcher::Event::Init) => FeedEvent::ListBegins,
            Ok(watcher::Event::InitApply(lease)) => FeedEvent::Listed(Box::new(lease)),
            Ok(watcher::Event::InitDone) => FeedEvent::ListEnds,
            Ok(watcher::Event::Apply(lease)) => FeedEvent::Changed(Box::new(lease)),
            Ok(watcher::Event::Delete(lease)) => FeedEvent::Deleted(lease.metadata.name.unwrap_or_default()),
            Err(error) => {
                let message = crate::api::with_causes(&error);
                FeedEvent::Failed(Failure { message, word: "stream".to_owned() })
            }
        };
        if out.send(told).await.is_err() {
            return;
        }
    }
    let ended = Failure { message: "the host's stream of Leases ended".to_owned(), word: "stream".to_owned() };
    // If nobody listens, nobody needs to know.
    let _ = out.send(FeedEvent::Failed(ended)).await;
    // The sender stays, so that expiry goes on.
    std::future::pending::<()>().await;
}

struct Keeping<'a> {
    keeper: Keeper,
    status: &'a watch::Sender<Inner>,
}

impl Keeping<'_> {
    async fn keep(&mut self, mut events: mpsc::Receiver<FeedEvent>) {
        loop {
            let next = self.keeper.next_sweep();
            tokio::select! {
                event = events.recv() => match event {
                    Some(event) => self.take(event),
                    None => return,
                },
                () = async { sleep_until(next.unwrap_or_else(Instant::now)).await }, if next.is_some() => self.keeper.sweep(),
            }
            if events.is_empty() {
                self.keeper.tidy();
            }
        }
    }

    fn take(&mut self, event: FeedEvent) {
        let counted = |kind: &'static str| counter!(telemetry::EVENTS, "kind" => kind).increment(1);
        match event {
            FeedEvent::ListBegins => self.keeper.begin_list(),
            FeedEvent::Listed(lease) => {
                counted("listed");
                self.keeper.put(&lease, true);
            }
            FeedEvent::ListEnds => {
                self.keeper.end_list();
                self.connected(true);
            }
            FeedEvent::Changed(lease) => {
                counted("changed");
                self.keeper.put(&lease, false);
                self.connected(false);
            }
            FeedEvent::Deleted(name) => {
                counted("deleted");
                self.keeper.delete(&name);
                self.connected(false);
            }
            FeedEvent::Undecodable(error) => {
                tracing::warn!(error, "a Lease can't be read, and is left out");
                counter!(telemetry::REJECTED, "reason" => "undecodable").increment(1);
            }
            FeedEvent::Connected => self.connected(false),
            FeedEvent::Failed(failure) => self.failed(failure),
        }
    }

    fn connected(&mut self, listed: bool) {
        self.keeper.connected();
        self.status.send_if_modified(|status| {
            let synced = status.synced || listed;
            let state = if synced { CacheState::Synced } else { CacheState::Starting };
            let news = status.state != state || status.synced != synced;
            if news && matches!(status.state, CacheState::Degraded { .. }) {
                tracing::info!("Leases are seen again");
            }
            if status.state != state {
                status.turn(state);
            }
            status.synced = synced;
            news
        });
    }

    fn failed(&mut self, Failure { message: error, word }: Failure) {
        counter!(telemetry::FAILURES, "reason" => word).increment(1);
        self.keeper.failed();
        self.status.send_modify(|status| match &status.state {
            CacheState::Degraded { since, error: before } => {
                if *before != error {
                    tracing::warn!(error, "Leases still can't be seen");
                }
                status.state = CacheState::Degraded { since: *since, error };
            }
            _ => {
                tracing::warn!(error, "Leases can't be seen; what is known is kept, and it is tried again");
                status.turn(CacheState::Degraded { since: Instant::now(), error });
            }
        });
    }
}
