//! Which shard this instance is, and how it becomes another one.
//!
//! Each resource has a member here per namespace that it is watched in. A resharding is an order to all members; each
//! acquires what is new by itself, and lets go what is old a while after, when it is told to.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use futures::StreamExt;
use futures::stream::BoxStream;
use parking_lot::Mutex;
use thiserror::Error;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::shard::{Assignment, Shard, ShardKey, Sharding};

/// A resharding that can't be.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReshardError {
    /// The instance is not sharded.
    #[error("this instance is not sharded: build it with `KsmBuilder::sharding` (`Shard::ALL` to begin with)")]
    NotSharded,
}

/// How a [`Resharding`] came along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handover {
    /// What was waited for has come.
    Done,
    /// A later resharding has taken over.
    Superseded,
    /// Everything was stopped.
    Stopped,
}

/// What of the shards a member has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct View {
    /// Grows with each resharding.
    pub(super) number: u64,
    pub(super) wanted: Shard,
    /// Former shards, whose objects stay yet.
    pub(super) kept: Vec<Shard>,
}

impl View {
    /// All shards whose objects are shown.
    pub(super) fn shards(&self) -> impl Iterator<Item = Shard> {
        std::iter::once(self.wanted).chain(self.kept.iter().copied())
    }
}

pub(super) struct Shards {
    sharding: Sharding,
    state: Mutex<State>,
    /// Signals members.
    orders: watch::Sender<u64>,
    /// Signals who waits for members.
    progress: watch::Sender<u64>,
    cancel: CancellationToken,
    tasks: TaskTracker,
    runtime: Handle,
}

struct State {
    view: View,
    /// The host does not want to wait for the end of the handover time.
    release: bool,
    members: BTreeMap<u64, MemberState>,
    next_member: u64,
}

/// How far a member is with the present number.
struct MemberState {
    kept: Vec<Shard>,
    acquired: Option<Instant>,
    /// Nothing of former shards is left.
    settled: bool,
}

impl fmt::Debug for Shards {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shards").field("sharding", &self.sharding).field("shard", &self.shard()).finish_non_exhaustive()
    }
}

fn bump(signal: &watch::Sender<u64>) {
    signal.send_modify(|count| *count = count.wrapping_add(1));
}

fn tell_gauges(shard: Shard) {
    metrics::gauge!("ksm_core_shard_ordinal").set(f64::from(shard.ordinal()));
    metrics::gauge!("ksm_core_total_shards").set(f64::from(shard.total()));
}

impl Shards {
    pub(super) fn new(sharding: Sharding, cancel: CancellationToken, tasks: TaskTracker, runtime: Handle) -> Self {
        tell_gauges(sharding.shard);
        let view = View { number: 1, wanted: sharding.shard, kept: Vec::new() };
        Self {
            sharding,
            state: Mutex::new(State { view, release: false, members: BTreeMap::new(), next_member: 0 }),
            orders: watch::Sender::new(0),
            progress: watch::Sender::new(0),
            cancel,
            tasks,
            runtime,
        }
    }

    pub(super) fn key(&self) -> &ShardKey {
        &self.sharding.key
    }

    pub(super) fn assignment(&self) -> Assignment {
        self.sharding.assignment
    }

    pub(super) fn shard(&self) -> Shard {
        self.state.lock().view.wanted
    }

    pub(super) fn orders(&self) -> watch::Receiver<u64> {
        self.orders.subscribe()
    }

    pub(super) fn reshard(self: &Arc<Self>, shard: Shard) -> Resharding {
        let mut state = self.state.lock();
        let old = state.view.wanted;
        if old == shard {
            return Resharding { number: state.view.number, shard, shards: self.clone() };
        }
        tracing::info!(from = %old, to = %shard, "resharding");
        let keep = |kept: &mut Vec<Shard>| {
            kept.push(old);
            let mut seen = Vec::new();
            kept.retain(|one| {
                *one != shard && !seen.contains(one) && {
                    seen.push(*one);
                    true
                }
            });
        };
        state.view.number += 1;
        state.view.wanted = shard;
        state.release = false;
        keep(&mut state.view.kept);
        for member in state.members.values_mut() {
            keep(&mut member.kept);
            (member.acquired, member.settled) = (None, false);
        }
        let number = state.view.number;
        drop(state);
        tell_gauges(shard);
        bump(&self.orders);
        bump(&self.progress);
        let shards = self.clone();
        self.spawn(async move { shards.hand_over(number).await });
        Resharding { number, shard, shards: self.clone() }
    }

    /// Becomes each shard of a stream in turn, until everything is stopped.
    pub(super) fn follow(self: &Arc<Self>, mut stream: BoxStream<'static, Shard>) {
        let shards = self.clone();
        self.spawn(async move {
            while let Some(shard) = stream.next().await {
                shards.reshard(shard);
            }
        });
    }

    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let cancel = self.cancel.clone();
        self.tasks.spawn_on(async move { cancel.run_until_cancelled(work).await }, &self.runtime);
    }

    /// Tells each member to let go of what it had before, the handover time after it has acquired what is new.
    async fn hand_over(&self, number: u64) {
        let mut progress = self.progress.subscribe();
        loop {
            let due = match self.release_due(number) {
                Due::Never => return,
                Due::At(due) => due,
            };
            let wait = async {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = progress.changed() => {}
                () = wait => {}
            }
        }
    }

    fn release_due(&self, number: u64) -> Due {
        let mut state = self.state.lock();
        let State { view, release, members, .. } = &mut *state;
        if view.number != number {
            return Due::Never;
        }
        let now = Instant::now();
        let mut next: Option<Instant> = None;
        let mut released = false;
        for member in members.values_mut().filter(|member| !member.kept.is_empty()) {
            let Some(acquired) = member.acquired else { continue };
            let due = if *release { acquired } else { acquired + self.sharding.handover };
            if due <= now {
                member.kept.clear();
                released = true;
            } else {
                next = Some(next.map_or(due, |next| next.min(due)));
            }
        }
        let all = members.values().all(|member| member.kept.is_empty());
        if all {
            view.kept.clear();
        }
        drop(state);
        if released {
            bump(&self.orders);
        }
        if all { Due::Never } else { Due::At(next) }
    }

    /// Adds a member, which has acquired nothing yet.
    pub(super) fn join(self: &Arc<Self>) -> Member {
        let mut state = self.state.lock();
        let id = state.next_member;
        state.next_member += 1;
        let kept = state.view.kept.clone();
        state.members.insert(id, MemberState { kept, acquired: None, settled: false });
        drop(state);
        Member { id, shards: self.clone() }
    }

    /// Waits until all members are so far in the resharding `number`.
    async fn wait(&self, number: u64, so_far: impl Fn(&MemberState) -> bool) -> Handover {
        let mut progress = self.progress.subscribe();
        let done = async {
            loop {
                {
                    let state = self.state.lock();
                    if state.view.number != number {
                        return Handover::Superseded;
                    }
                    if state.members.values().all(&so_far) {
                        return Handover::Done;
                    }
                }
                // The sender lives as long as this.
                let _ = progress.changed().await;
            }
        };
        self.cancel.run_until_cancelled(done).await.unwrap_or(Handover::Stopped)
    }
}

/// When the next member is to let go of its former objects.
enum Due {
    /// At that time; none: when somebody has acquired more.
    At(Option<Instant>),
    Never,
}

/// A resource in one scope, for as long as it lives.
#[derive(Debug)]
pub(super) struct Member {
    id: u64,
    shards: Arc<Shards>,
}

impl Member {
    pub(super) fn shards(&self) -> &Shards {
        &self.shards
    }

    pub(super) fn view(&self) -> View {
        let state = self.shards.state.lock();
        let kept = state.members.get(&self.id).map(|member| member.kept.clone()).unwrap_or_default();
        View { number: state.view.number, wanted: state.view.wanted, kept }
    }

    /// Reports how far it is under this view.
    pub(super) fn report(&self, view: &View, acquired: bool) {
        let mut state = self.shards.state.lock();
        let number = state.view.number;
        let Some(member) = state.members.get_mut(&self.id).filter(|_| number == view.number) else { return };
        let settled = view.kept.is_empty();
        if member.acquired.is_some() == acquired && member.settled == settled {
            return;
        }
        member.settled = settled;
        member.acquired = acquired.then(|| member.acquired.unwrap_or_else(Instant::now));
        drop(state);
        bump(&self.shards.progress);
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.shards.state.lock().members.remove(&self.id);
        bump(&self.shards.progress);
    }
}

/// A change of the shard while everything runs; see [`Ksm::reshard`](crate::Ksm::reshard). Dropping it changes nothing.
#[derive(Debug, Clone)]
pub struct Resharding {
    number: u64,
    shard: Shard,
    shards: Arc<Shards>,
}

impl Resharding {
    /// The new shard.
    pub fn shard(&self) -> Shard {
        self.shard
    }

    /// Waits until all objects of the new shard are here, of every resource. A resource that can't be listed is waited
    /// for until it can.
    pub async fn acquired(&self) -> Handover {
        self.shards.wait(self.number, |member| member.acquired.is_some()).await
    }

    /// Lets the objects go that are on other shards now, without waiting for the end of the handover time: for a host
    /// that knows that the other shards have acquired them. Of a resource whose new objects are not all here yet, they
    /// go once these are.
    pub fn release(&self) {
        let mut state = self.shards.state.lock();
        if state.view.number == self.number {
            state.release = true;
            drop(state);
            bump(&self.shards.progress);
        }
    }

    /// Waits until no object of the former shards is shown any more.
    pub async fn released(&self) -> Handover {
        self.shards.wait(self.number, |member| member.acquired.is_some() && member.settled).await
    }
}
