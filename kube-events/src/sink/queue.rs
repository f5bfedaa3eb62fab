//! Events that wait in memory, within a limit.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::OverflowPolicy;
use super::outlet::Ack;
use crate::event::EnhancedEvent;

/// An event that waits.
pub(super) struct Job {
    pub(super) event: EnhancedEvent,
    pub(super) ack: Ack,
}

/// A queue with one reader.
pub(super) struct Queue {
    limit: usize,
    policy: OverflowPolicy,
    /// The reader makes room by other means than the sink: whoever offers waits for that.
    makes_room: AtomicBool,
    state: Mutex<State>,
    /// Something came, or nothing more will.
    came: Notify,
    /// There is room again.
    room: Notify,
    /// It is full: the reader may put a part elsewhere.
    full: Notify,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    is_closed: bool,
}

/// What became of an event that was offered.
pub(super) enum Offered {
    /// It waits.
    Taken,
    /// It waits, and this one was dropped for it.
    Dropped(Job),
    /// The queue is closed: nobody will take it.
    Closed,
}

impl Queue {
    pub(super) fn new(limit: usize, policy: OverflowPolicy, makes_room: bool) -> Self {
        Self {
            limit: limit.max(1),
            policy,
            makes_room: AtomicBool::new(makes_room),
            state: Mutex::default(),
            came: Notify::new(),
            room: Notify::new(),
            full: Notify::new(),
        }
    }

    /// Puts an event at the end, by the policy.
    pub(super) async fn offer(&self, job: Job) -> Offered {
        let mut job = job;
        loop {
            let room = self.room.notified();
            tokio::pin!(room);
            // From here on, room that comes is not missed.
            room.as_mut().enable();
            match self.try_offer(job) {
                Ok(offered) => return offered,
                Err(waiting) => job = waiting,
            }
            room.await;
        }
    }

    /// The job comes back where it has to wait for room.
    fn try_offer(&self, job: Job) -> Result<Offered, Job> {
        let mut state = self.state.lock();
        if state.is_closed {
            return Ok(Offered::Closed);
        }
        let mut dropped = None;
        if state.jobs.len() >= self.limit {
            self.full.notify_one();
            match self.policy {
                _ if self.makes_room.load(Ordering::Relaxed) => return Err(job),
                OverflowPolicy::Block => return Err(job),
                OverflowPolicy::DropNewest => return Ok(Offered::Dropped(job)),
                OverflowPolicy::DropOldest => dropped = state.jobs.pop_front(),
            }
        }
        state.jobs.push_back(job);
        let is_full = state.jobs.len() >= self.limit;
        drop(state);
        self.came.notify_one();
        if is_full {
            self.full.notify_one();
        }
        Ok(dropped.map_or(Offered::Taken, Offered::Dropped))
    }

    /// Waits until there is an event, and is true then; false if none will come any more.
    pub(super) async fn ready(&self) -> bool {
        loop {
            {
                let state = self.state.lock();
                if !state.jobs.is_empty() {
                    return true;
                }
                if state.is_closed {
                    return false;
                }
            }
            // One reader: a permit that is stored meanwhile is its own.
            self.came.notified().await;
        }
    }

    /// Waits until there are so many events, or none will come any more.
    pub(super) async fn at_least(&self, events: usize) {
        loop {
            {
                let state = self.state.lock();
                if state.jobs.len() >= events.min(self.limit) || state.is_closed {
                    return;
                }
            }
            self.came.notified().await;
        }
    }

    /// Whether the reader can make room by itself.
    pub(super) fn set_makes_room(&self, makes_room: bool) {
        self.makes_room.store(makes_room, Ordering::Relaxed);
        if !makes_room {
            // Those who wait for it go by the policy.
            self.room.notify_waiters();
        }
    }

    /// Waits until the queue is full. May be told once too often.
    pub(super) async fn filled(&self) {
        self.full.notified().await;
    }

    /// The first events, so many at most.
    pub(super) fn take(&self, events: usize) -> Vec<Job> {
        let mut state = self.state.lock();
        let count = events.min(state.jobs.len());
        let jobs = state.jobs.drain(..count).collect();
        drop(state);
        self.room.notify_waiters();
        jobs
    }

    /// Puts back what was taken and not used, in its order.
    pub(super) fn put_back(&self, jobs: impl DoubleEndedIterator<Item = Job>) {
        let mut state = self.state.lock();
        for job in jobs.rev() {
            state.jobs.push_front(job);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.state.lock().jobs.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.len() >= self.limit
    }

    /// Nothing more is taken; what waits stays.
    pub(super) fn close(&self) {
        self.state.lock().is_closed = true;
        self.came.notify_one();
        self.room.notify_waiters();
    }
}
