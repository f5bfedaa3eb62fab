//! How a source goes.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;

use super::{Queued, SourceItem};
use crate::telemetry::{self, Counted};

/// How a source goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceStatus {
    /// All that was there at the start has been told. It stays so: this is what readiness means.
    pub synced: bool,
    /// What fails at present, by the namespace that is watched (the empty string for all).
    pub failures: BTreeMap<Arc<str>, String>,
}

/// What the tasks of a source share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) out: tokio::sync::mpsc::Sender<Queued>,
    pub(super) status: watch::Sender<SourceStatus>,
    /// How many partitions are not synced, and the gauge of those sources that are.
    unsynced: parking_lot::Mutex<(usize, Option<Counted>)>,
}

/// The end of whoever listens.
#[derive(Debug)]
pub(super) struct Closed;

impl Shared {
    pub(super) fn new(
        out: tokio::sync::mpsc::Sender<Queued>,
        status: watch::Sender<SourceStatus>,
        partitions: usize,
    ) -> Self {
        Self { out, status, unsynced: parking_lot::Mutex::new((partitions, None)) }
    }

    pub(super) async fn tell(&self, item: SourceItem) -> Result<(), Closed> {
        self.out.send(Queued(item, Counted::new(telemetry::QUEUE_LENGTH))).await.map_err(|_| Closed)
    }

    /// One partition is synced, for the first time.
    pub(super) async fn synced(&self) -> Result<(), Closed> {
        let all = {
            let mut unsynced = self.unsynced.lock();
            unsynced.0 = unsynced.0.saturating_sub(1);
            if unsynced.0 == 0 {
                unsynced.1 = Some(Counted::new(telemetry::SOURCE_SYNCED));
            }
            unsynced.0 == 0
        };
        if all {
            self.status.send_modify(|status| status.synced = true);
            self.tell(SourceItem::Synced).await?;
        }
        Ok(())
    }

    pub(super) fn fails(&self, partition: &Arc<str>, message: &str) {
        self.status.send_if_modified(|status| {
            let before = status.failures.insert(partition.clone(), message.to_owned());
            before.as_deref() != Some(message)
        });
    }

    pub(super) fn works(&self, partition: &Arc<str>) {
        self.status.send_if_modified(|status| status.failures.remove(partition).is_some());
    }
}
