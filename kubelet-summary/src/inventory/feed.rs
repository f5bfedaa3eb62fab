//! A watch's events → a table.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::stream::{BoxStream, StreamExt};
use kube::runtime::watcher;
use metrics::counter;
use tokio::time::{Instant, timeout_at};

use super::Inner;
use super::record::{NodeRecord, PodRecord};
use super::status::{Failing, Kind};
use super::uid::PodUid;
use crate::causes::with_causes;
use crate::telemetry;

/// A watch goes on after a failure without a word, until something changes. One that fails on says so again: after kube's
/// back-off of 30 s at most, and a request that hangs is given up by kube's clients after 295 s. After so long without
/// another failure it is well.
const QUIET: Duration = Duration::from_mins(6);

pub(super) type Events<K> = BoxStream<'static, Result<watcher::Event<K>, watcher::Error>>;

/// What a feed tells of: pods or nodes.
pub(super) trait Record: Sized + Send + 'static {
    const KIND: Kind;

    /// Takes one in; none where it can't be.
    fn put(self, inner: &Inner, feed: u16, list: u32) -> Option<()>;
    fn delete(&self, inner: &Inner);
    /// How many have vanished.
    fn end_list(inner: &Inner, feed: u16, list: u32) -> usize;
}

impl Record for PodRecord {
    const KIND: Kind = Kind::Pods;

    fn put(self, inner: &Inner, feed: u16, list: u32) -> Option<()> {
        inner.put_pod(&self, feed, list)
    }

    fn delete(&self, inner: &Inner) {
        inner.delete_pod(&PodUid::new(self.metadata.uid.as_deref().unwrap_or_default()));
    }

    fn end_list(inner: &Inner, feed: u16, list: u32) -> usize {
        inner.end_pods(feed, list)
    }
}

impl Record for NodeRecord {
    const KIND: Kind = Kind::Nodes;

    fn put(self, inner: &Inner, feed: u16, list: u32) -> Option<()> {
        inner.put_node(self, feed, list)
    }

    fn delete(&self, inner: &Inner) {
        inner.delete_node(self.name());
    }

    fn end_list(inner: &Inner, feed: u16, list: u32) -> usize {
        inner.end_nodes(feed, list)
    }
}

/// Takes in what a stream tells, until it ends or panics.
pub(super) async fn run<K: Record>(events: Events<K>, inner: Arc<Inner>, feed: u16) {
    let kind = K::KIND.as_str();
    // Nobody else would notice: what is known stays, and would never change again.
    let panicked = AssertUnwindSafe(take_in(events, &inner, feed)).catch_unwind().await.is_err();
    counter!(telemetry::INVENTORY_FAILURES, "resource" => kind).increment(1);
    failed(&inner, K::KIND, feed, format!("the stream of {kind} {}", if panicked { "panicked" } else { "ended" }));
}

/// A list takes the place of what was known when it is complete: until then, what it has not told yet stays.
async fn take_in<K: Record>(mut events: Events<K>, inner: &Inner, feed: u16) {
    let kind = K::KIND.as_str();
    let counted =
        |event: &'static str| counter!(telemetry::INVENTORY_EVENTS, "resource" => kind, "kind" => event).increment(1);
    let rejected = || counter!(telemetry::INVENTORY_REJECTED, "resource" => kind).increment(1);
    let mut list = 0_u32;
    let mut listing = true;
    // When a watch that failed is taken for well, if nothing comes.
    let mut quiet: Option<Instant> = None;
    loop {
        let next = match quiet {
            Some(quiet) => timeout_at(quiet, events.next()).await,
            None => Ok(events.next().await),
        };
        let event = match next {
            Ok(Some(event)) => event,
            Ok(None) => return,
            Err(_) => {
                quiet = None;
                well(inner, K::KIND, feed, false);
                continue;
            }
        };
        quiet = None;
        match event {
            Ok(watcher::Event::Init) => {
                list = list.wrapping_add(1);
                listing = true;
            }
            Ok(watcher::Event::InitApply(record)) => {
                counted("listed");
                record.put(inner, feed, list).unwrap_or_else(rejected);
            }
            Ok(watcher::Event::InitDone) => {
                let vanished = K::end_list(inner, feed, list);
                counter!(telemetry::INVENTORY_VANISHED, "resource" => kind).increment(vanished as u64);
                listing = false;
                well(inner, K::KIND, feed, true);
            }
            Ok(watcher::Event::Apply(record)) => {
                counted("changed");
                record.put(inner, feed, list).unwrap_or_else(rejected);
                well(inner, K::KIND, feed, false);
            }
            Ok(watcher::Event::Delete(record)) => {
                counted("deleted");
                record.delete(inner);
                well(inner, K::KIND, feed, false);
            }
            Err(error) => {
                counter!(telemetry::INVENTORY_FAILURES, "resource" => kind).increment(1);
                failed(inner, K::KIND, feed, with_causes(&error));
                // A list says when it is complete.
                quiet = (!listing).then(|| Instant::now() + QUIET);
            }
        }
    }
}

fn well(inner: &Inner, kind: Kind, feed: u16, listed: bool) {
    inner.sources.send_if_modified(|sources| {
        let Some(source) = sources.get_mut(kind, feed) else { return false };
        let failing = source.failing.take();
        let news = failing.is_some() || (listed && !source.listed);
        source.listed |= listed;
        if failing.is_some() {
            tracing::info!(resource = kind.as_str(), "changes are seen again");
        }
        news
    });
}

fn failed(inner: &Inner, kind: Kind, feed: u16, error: String) {
    inner.sources.send_if_modified(|sources| {
        let Some(source) = sources.get_mut(kind, feed) else { return false };
        let before = source.failing.take();
        if before.as_ref().is_none_or(|before| before.error != error) {
            let resource = kind.as_str();
            tracing::warn!(resource, error, "changes can't be seen; what is known is kept, and it is tried again");
        }
        let since = before.map_or_else(Instant::now, |before| before.since);
        source.failing = Some(Failing { since, error });
        true
    });
}
