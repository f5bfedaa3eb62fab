//! What becomes of series whose source fails.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::changes::ScopeName;
use crate::family::{Family, FamilyIndex};
use crate::samples::{Reuse, SampleSink};
use crate::store::{MemoryStore, ObjectKey, Snapshot, Store, StoredObject};

/// An answered watch of this age is one that works, even if nothing came through it.
const PROVEN: Duration = Duration::from_secs(10);

/// The family that [`Freshness::mark`] puts into the exposition.
static STALE: Family = Family::gauge(
    "ksm_core_stale_seconds",
    "For how long the source of a resource's series has failed; 0 while it answers.",
);

/// What becomes of a resource's series during an outage: by default, they are kept as they were last seen.
///
/// An outage begins with a failed request (a watch that went silent fails at its deadline,
/// [`WatchOptions::watch_seconds`](crate::WatchOptions::watch_seconds) and a quarter), and ends when a list is complete,
/// an event comes in or a watch is answered. A watch that breaks again within 10 s without an event did not end it. A
/// stream of the host's fails from an error, or its end, until its next event. [`ResourceStatus::stale_for`] says how
/// long it has lasted.
///
/// Series are judged when they are read: in [`Ksm::exposition`], [`Ksm::snapshots`] and [`Ksm::changes_since`].
///
/// [`ResourceStatus::stale_for`]: crate::ResourceStatus::stale_for
/// [`Ksm::exposition`]: crate::Ksm::exposition
/// [`Ksm::snapshots`]: crate::Ksm::snapshots
/// [`Ksm::changes_since`]: crate::Ksm::changes_since
///
/// ```
/// use std::time::Duration;
/// use ksm_core::{Freshness, Ksm};
///
/// // A word of warning at once, and no series from 10 minutes on.
/// let freshness = Freshness::default().mark().withdraw_after(Duration::from_mins(10));
/// let builder = Ksm::builder().freshness(freshness);
/// # drop(builder);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Freshness {
    mark: bool,
    withdraw_after: Option<Duration>,
}

impl Freshness {
    /// Shows the gauge `ksm_core_stale_seconds{resource, namespace}` beside the resource's series (`namespace` is empty
    /// where all are watched at once): how long the outage has lasted, 0 while there is none.
    pub const fn mark(mut self) -> Self {
        self.mark = true;
        self
    }

    /// Shows no series of the resource from this time of an outage on. When it is over, they are back at once.
    pub const fn withdraw_after(mut self, outage: Duration) -> Self {
        self.withdraw_after = Some(outage);
        self
    }

    /// Whether series are withdrawn, that far into an outage.
    pub(super) fn withdraws(self, outage: Option<Duration>) -> bool {
        outage.zip(self.withdraw_after).is_some_and(|(outage, limit)| outage >= limit)
    }

    /// The mark, that far into an outage.
    pub(super) fn marks(self, outage: Option<Duration>) -> Option<Duration> {
        self.mark.then(|| outage.unwrap_or_default())
    }
}

/// Since when a source fails.
#[derive(Debug, Default)]
pub(super) struct Outage {
    since: Option<Instant>,
    /// A watch was answered then, after an outage since then; nothing came through it yet.
    unproven: Option<(Instant, Instant)>,
}

impl Outage {
    pub(super) fn failed(&mut self, now: Instant) {
        let answered = self.unproven.take().filter(|(at, _)| now.saturating_duration_since(*at) < PROVEN);
        // What broke at once was no end of the outage before it.
        let before = answered.map_or(now, |(_, since)| since);
        self.since.get_or_insert(before);
    }

    /// A watch was answered.
    pub(super) fn watching(&mut self, now: Instant) {
        if let Some(since) = self.since.take() {
            self.unproven = Some((now, since));
        }
    }

    /// The source works.
    pub(super) fn over(&mut self) {
        *self = Self::default();
    }

    pub(super) fn lasts(&self, now: Instant) -> Option<Duration> {
        self.since.map(|since| now.saturating_duration_since(since))
    }
}

/// How long a resource's source has failed, for the exposition.
#[derive(Debug)]
pub(super) struct Mark {
    pub(super) scope: ScopeName,
    pub(super) stale: Duration,
}

/// The marks as a snapshot like any other, so that every format has them; none where there are none.
pub(super) fn marks_snapshot(marks: &[Mark]) -> Option<Arc<Snapshot>> {
    if marks.is_empty() {
        return None;
    }
    let store = MemoryStore::new(std::slice::from_ref(&STALE));
    for (key, mark) in (0..).map(ObjectKey::anonymous).zip(marks) {
        store.apply(&StoredObject { key, version: None }, &mut |sink: &mut dyn SampleSink| {
            let namespace = mark.scope.namespace.as_deref().unwrap_or_default();
            sink.identity(&[("resource", &mark.scope.resource), ("namespace", namespace)]);
            sink.sample(FamilyIndex(0), &[], mark.stale.as_secs_f64(), Reuse::Unique);
        });
    }
    store.publish();
    Some(store.snapshot())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(seconds: u64) -> Instant {
        use std::sync::LazyLock;
        static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
        *BEGIN + Duration::from_secs(seconds)
    }

    fn lasts(outage: &Outage, seconds: u64) -> Option<u64> {
        outage.lasts(after(seconds)).map(|lasts| lasts.as_secs())
    }

    #[test]
    fn an_outage_lasts_from_its_first_failure_to_a_sign_of_life() {
        let mut outage = Outage::default();
        assert_eq!(lasts(&outage, 1), None);
        outage.failed(after(1));
        outage.failed(after(5));
        assert_eq!(lasts(&outage, 10), Some(9));
        outage.over();
        assert_eq!(lasts(&outage, 11), None);
        outage.failed(after(20));
        assert_eq!(lasts(&outage, 21), Some(1));
    }

    #[test]
    fn a_watch_that_breaks_at_once_does_not_end_an_outage() {
        let mut outage = Outage::default();
        outage.failed(after(1));
        for second in [10, 20, 30] {
            outage.watching(after(second));
            assert_eq!(lasts(&outage, second), None, "it may be the end");
            outage.failed(after(second + 1));
        }
        assert_eq!(lasts(&outage, 41), Some(40));
        // One that went on for a while was good, if nothing came through it.
        outage.watching(after(50));
        outage.failed(after(60));
        assert_eq!(lasts(&outage, 61), Some(1));
    }

    #[test]
    fn marking_and_withdrawing_are_chosen_apart() {
        let outage = |seconds| Some(Duration::from_secs(seconds));
        let keep = Freshness::default();
        assert_eq!((keep.withdraws(outage(1 << 40)), keep.marks(outage(5))), (false, None));
        let withdraw = keep.withdraw_after(Duration::from_mins(1));
        assert_eq!([None, outage(59), outage(60)].map(|outage| withdraw.withdraws(outage)), [false, false, true]);
        assert_eq!([None, outage(59)].map(|outage| withdraw.mark().marks(outage)), [outage(0), outage(59)]);
    }
}
