//! The task that reads the ring, follows processors and gives places back.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use aya::maps::{MapData, RingBuf};
use aya_log::EbpfLogger;
use rustix::time::{ClockId, clock_gettime};
use tokio::{
    io::unix::AsyncFd,
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use crate::{
    loader::{Attached, Health, Messages},
    mount,
    sample::Batch,
    telemetry::{self, Held},
};

use super::{
    merge::{Merger, decode},
    reclaim::{self, Graves},
};

/// How often removed cgroups and the programs' messages are looked for.
const UPKEEP: Duration = Duration::from_millis(250);
/// How often processors are.
const PROCESSORS: Duration = Duration::from_secs(1);
/// How often the tree is walked through for removed cgroups that were not told.
const WALK: Duration = Duration::from_secs(30);
/// The most records that are read before anything else gets its turn.
const AT_ONCE: usize = 1 << 16;

/// What the task and the handle share.
#[derive(Debug)]
pub(super) struct Shared {
    attached: Mutex<Option<Attached>>,
    pub(super) late: AtomicU64,
    pub(super) reclaimed: AtomicU64,
    pub(super) reopened: AtomicU64,
    pub(super) samples: AtomicU64,
}

impl Shared {
    pub(super) fn new(attached: Attached) -> Self {
        Self {
            attached: Mutex::new(Some(attached)),
            late: AtomicU64::new(0),
            reclaimed: AtomicU64::new(0),
            reopened: AtomicU64::new(0),
            samples: AtomicU64::new(0),
        }
    }

    /// The programs; nothing once they were detached. Never held while waiting.
    pub(super) fn attached(&self) -> MutexGuard<'_, Option<Attached>> {
        self.attached.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) struct Settings {
    pub(super) counters: usize,
    pub(super) tasks: bool,
    pub(super) slot: Duration,
    pub(super) lateness: Duration,
    pub(super) batch_every: Duration,
    pub(super) grace: Duration,
}

pub(super) struct Driver {
    shared: Arc<Shared>,
    settings: Settings,
    ring: Option<AsyncFd<RingBuf<MapData>>>,
    messages: Option<EbpfLogger<Messages>>,
    batches: mpsc::Sender<Batch>,
    merger: Merger,
    graves: Graves,
    tree: Option<PathBuf>,
    lost: u64,
    removals_lost: u64,
    /// What was said of the programs last.
    said: Health,
    merging: Held,
    walked: Instant,
    followed: Instant,
}

impl Driver {
    pub(super) fn new(
        shared: Arc<Shared>,
        settings: Settings,
        ring: Option<AsyncFd<RingBuf<MapData>>>,
        messages: Option<EbpfLogger<Messages>>,
        batches: mpsc::Sender<Batch>,
    ) -> Self {
        let now = Instant::now();
        Self {
            merger: Merger::new(nanoseconds(settings.slot)),
            shared,
            settings,
            ring,
            messages,
            batches,
            graves: Graves::default(),
            tree: mount::whole_tree(),
            lost: 0,
            removals_lost: 0,
            said: Health::default(),
            merging: Held::new(telemetry::MERGING),
            walked: now,
            followed: now,
        }
    }

    /// Works until it is cancelled, and detaches the programs.
    pub(super) async fn run(mut self, cancelled: CancellationToken) {
        let mut batches = interval(self.settings.batch_every);
        let mut upkeep = interval(UPKEEP);
        batches.set_missed_tick_behavior(MissedTickBehavior::Delay);
        upkeep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // While nobody takes batches, the ring is left to run full: what is lost is counted, and nothing grows.
            let room = self.ring.is_some() && self.batches.capacity() > 0;
            tokio::select! {
                biased;
                () = cancelled.cancelled() => break,
                _ = upkeep.tick() => self.upkeep(),
                _ = batches.tick() => if room { self.hand_on(self.settings.lateness) },
                () = readable(self.ring.as_ref()), if room => self.hand_on(self.settings.lateness),
            }
            if self.ring.is_some() && self.batches.is_closed() {
                self.nobody_listens();
            }
        }
        if self.ring.is_some() && self.batches.capacity() > 0 {
            self.hand_on(Duration::ZERO);
        }
        let attached = self.shared.attached().take();
        // The kernel waits until no processor runs a program any more.
        let detached = tokio::task::spawn_blocking(move || drop(attached)).await;
        if let Err(error) = detached {
            tracing::warn!(%error, "the programs were not detached in order");
        }
    }

    /// Reads the ring, and sends what is complete.
    fn hand_on(&mut self, lateness: Duration) {
        let Some(ring) = &mut self.ring else { return };
        // Before reading: what a tick before this moment wrote is read now.
        let now = monotonic();
        let ring = ring.get_mut();
        let (mut read, mut malformed) = (0_u64, 0_u64);
        for _ in 0..AT_ONCE {
            let Some(record) = ring.next() else { break };
            match decode(&record, self.settings.counters, self.settings.tasks) {
                Some(sample) => {
                    read += 1;
                    self.merger.push(sample);
                }
                None => malformed += 1,
            }
        }
        if malformed > 0 {
            tracing::warn!(malformed, "records of another length: the object is of other sources");
        }
        let samples = self.merger.release(now.saturating_sub(nanoseconds(lateness)));
        let late = self.merger.late();
        let late = late.saturating_sub(self.shared.late.swap(late, Ordering::Relaxed));
        self.merging.set(self.merger.waiting());
        telemetry::add_to(telemetry::RECORDS, "result", "read", read);
        telemetry::add_to(telemetry::RECORDS, "result", "malformed", malformed);
        telemetry::add_to(telemetry::SAMPLES, "result", "late", late);
        telemetry::add_to(telemetry::SAMPLES, "result", "in_order", (samples.len() as u64).saturating_sub(late));
        let lost = self.count_lost();
        if samples.is_empty() && lost == 0 {
            return;
        }
        self.shared.samples.fetch_add(samples.len() as u64, Ordering::Relaxed);
        // There was room before, and nobody else sends; where the receiver is gone, nobody misses it.
        drop(self.batches.try_send(Batch { samples, lost }));
    }

    fn count_lost(&mut self) -> u64 {
        let health = self.shared.attached().as_ref().map(Attached::health);
        let Some(Ok(health)) = health else { return 0 };
        self.say(health);
        let lost = health.lost.saturating_sub(self.lost);
        self.lost = health.lost;
        lost
    }

    fn say(&mut self, health: Health) {
        telemetry::health(&health, &self.said);
        self.said = health;
    }

    fn nobody_listens(&mut self) {
        self.ring = None;
        if let Some(attached) = self.shared.attached().as_mut()
            && let Err(error) = attached.set_samples(false)
        {
            tracing::warn!(%error, "samples cannot be turned off");
        }
    }

    fn upkeep(&mut self) {
        if let Some(messages) = &mut self.messages {
            messages.flush();
        }
        let shared = Arc::clone(&self.shared);
        let mut guard = shared.attached();
        let Some(attached) = guard.as_mut() else { return };
        if self.followed.elapsed() >= PROCESSORS {
            self.followed = Instant::now();
            match attached.follow_processors() {
                Ok(opened) => {
                    shared.reopened.fetch_add(opened as u64, Ordering::Relaxed);
                    telemetry::add(telemetry::REOPENED, opened as u64);
                }
                Err(error) => tracing::warn!(%error, "processors cannot be followed"),
            }
        }
        if let Err(error) = self.reclaim(attached) {
            tracing::warn!(%error, "places of removed cgroups cannot be given back");
        }
    }

    fn reclaim(&mut self, attached: &mut Attached) -> Result<(), aya::maps::MapError> {
        let now = monotonic();
        self.graves.told(attached.removed()?);
        let health = attached.health()?;
        self.say(health);
        let untold = health.removals_lost > self.removals_lost;
        if (untold || self.walked.elapsed() >= WALK)
            && let Some(tree) = &self.tree
        {
            self.walked = Instant::now();
            self.removals_lost = health.removals_lost;
            // Before the tree is walked through: what is made meanwhile is not missed.
            let placed = attached.cgroups()?;
            match reclaim::alive(tree) {
                Ok(alive) => self.graves.found(&placed, &alive, now),
                Err(error) => tracing::debug!(%error, "the cgroup tree cannot be read"),
            }
        }
        for cgroup in self.graves.due(now, nanoseconds(self.settings.grace)) {
            attached.forget(cgroup)?;
            self.shared.reclaimed.fetch_add(1, Ordering::Relaxed);
            telemetry::add(telemetry::RECLAIMED, 1);
        }
        Ok(())
    }
}

/// Waits until the kernel says that the ring fills.
async fn readable(ring: Option<&AsyncFd<RingBuf<MapData>>>) {
    match ring {
        Some(ring) => match ring.readable().await {
            Ok(mut guard) => guard.clear_ready(),
            Err(error) => {
                tracing::warn!(%error, "the ring cannot be waited for");
                std::future::pending::<()>().await;
            }
        },
        None => std::future::pending::<()>().await,
    }
}

pub(super) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The clock of the programs.
fn monotonic() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(time.tv_nsec).unwrap_or(0))
}
