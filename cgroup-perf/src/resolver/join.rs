//! Samples and labels, brought together.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;

use super::{Labels, Lookup, Resolver};
use crate::sample::{CgroupId, Sample};
use crate::telemetry::{self, Held};

/// How samples wait for their labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct JoinConfig {
    /// For how long a sample waits. Default: 2 s.
    pub grace: Duration,
    /// How many samples wait at most; beyond, the oldest go out without labels. One takes some 280 bytes. Default: 16,384.
    pub most_held: usize,
    /// For how long an answer is good, and a sample of the same cgroup asks for nothing. Default: 10 s.
    pub fresh: Duration,
    /// How often it is asked again for a cgroup that is not known yet. Default: 100 ms.
    pub again: Duration,
    /// How many answers are remembered at most; beyond, each sample asks. Default: 65,536.
    pub most_known: usize,
}

impl Default for JoinConfig {
    fn default() -> Self {
        Self {
            grace: Duration::from_secs(2),
            most_held: 16_384,
            fresh: Duration::from_secs(10),
            again: Duration::from_millis(100),
            most_known: 65_536,
        }
    }
}

/// What became of samples, since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct JoinStats {
    /// Went out at once, with labels or because nobody has any.
    pub direct: u64,
    /// Had to wait.
    pub held: u64,
    /// Of those, went out with labels, or because nobody has any.
    pub late: u64,
    /// Of those, went out without labels at the end of the grace time.
    pub unresolved: u64,
    /// Of those, went out without labels because too many waited.
    pub overflowed: u64,
    /// Wait now.
    pub waiting: u64,
}

#[derive(Debug)]
enum State {
    /// Whose it is, or that it is nobody's, and from when on it is asked again.
    Answered(Option<Arc<Labels>>, u64),
    /// Not known yet: when it was asked first, and when it is asked again.
    Waiting { since: u64, again: u64 },
}

/// Brings samples and labels together: a queue for what is not known yet, and a memory of what is.
///
/// What waits goes out late, and so out of order, behind samples of later slots. Times are in nanoseconds of
/// `CLOCK_MONOTONIC`, as the samples' are.
///
/// ```
/// use cgroup_perf::resolver::{Join, JoinConfig, Nobody};
/// # use cgroup_perf::sample::{CgroupId, Sample};
/// # let sample = Sample { start: 0, end: 1, cpu: 0, cgroup: CgroupId(7), task: None, ran: 1, switches: 0,
/// #     counters: Default::default() };
/// let mut join = Join::new(JoinConfig::default());
/// let mut out = 0;
/// join.push(&sample, &Nobody, 0, |sample, labels| out += usize::from(labels.is_none()));
/// assert_eq!(out, 1);
/// ```
#[derive(Debug)]
pub struct Join {
    config: JoinConfig,
    known: HashMap<CgroupId, State>,
    held: VecDeque<(u64, Sample)>,
    stats: JoinStats,
    /// What was said of them last.
    said: JoinStats,
    waiting: Held,
    /// When what waits is looked at next.
    next: u64,
    /// When old answers are forgotten next.
    tidy: u64,
}

impl Join {
    /// With nothing known, and nothing that waits.
    pub fn new(config: JoinConfig) -> Self {
        let held = VecDeque::with_capacity(config.most_held.min(1_024));
        Self {
            config,
            known: HashMap::new(),
            held,
            stats: JoinStats::default(),
            said: JoinStats::default(),
            waiting: Held::new(telemetry::JOINING),
            next: 0,
            tidy: 0,
        }
    }

    /// What became of samples.
    pub fn stats(&self) -> JoinStats {
        JoinStats { waiting: self.held.len() as u64, ..self.stats }
    }

    /// Takes a sample, which goes out at once, or waits.
    pub fn push(
        &mut self,
        sample: &Sample,
        resolver: &(impl Resolver + ?Sized),
        now: u64,
        mut emit: impl FnMut(&Sample, Option<&Arc<Labels>>),
    ) {
        match ask(&mut self.known, &self.config, resolver, sample.cgroup, now) {
            Answer::Labels(labels) => {
                self.stats.direct += 1;
                emit(sample, labels);
            }
            Answer::TooLate => {
                // Its cgroup has waited for the whole grace time already.
                self.stats.held += 1;
                self.stats.unresolved += 1;
                emit(sample, None);
            }
            Answer::NotYet => {
                self.stats.held += 1;
                if self.held.len() >= self.config.most_held {
                    self.stats.overflowed += 1;
                    match self.held.pop_front() {
                        Some((_, oldest)) => emit(&oldest, None),
                        None => return emit(sample, None),
                    }
                }
                self.held.push_back((now, *sample));
            }
        }
    }

    /// Lets out what has its labels now, or has waited long enough. To be called after each batch; it looks at what waits
    /// no more often than cgroups are asked for again.
    pub fn release(
        &mut self,
        resolver: &(impl Resolver + ?Sized),
        now: u64,
        mut emit: impl FnMut(&Sample, Option<&Arc<Labels>>),
    ) {
        if now < self.next {
            self.say();
            return;
        }
        self.next = now.saturating_add(nanos(self.config.again));
        let Self { config, known, held, stats, .. } = self;
        held.retain(|(since, sample)| match ask(known, config, resolver, sample.cgroup, now) {
            Answer::Labels(labels) => {
                stats.late += 1;
                emit(sample, labels);
                false
            }
            Answer::NotYet if now.saturating_sub(*since) < nanos(config.grace) => true,
            Answer::NotYet | Answer::TooLate => {
                stats.unresolved += 1;
                emit(sample, None);
                false
            }
        });
        if now >= self.tidy {
            self.tidy = now.saturating_add(nanos(self.config.fresh));
            // One that nobody knows is remembered while there is something of it: so its samples do not wait anew.
            let silent = nanos(self.config.fresh);
            self.known.retain(|_, state| match state {
                State::Answered(_, until) => *until > now,
                State::Waiting { again, .. } => again.saturating_add(silent) > now,
            });
        }
        self.say();
    }

    /// Lets everything out that waits: the end.
    pub fn finish(&mut self, mut emit: impl FnMut(&Sample, Option<&Arc<Labels>>)) {
        for (_, sample) in self.held.drain(..) {
            self.stats.unresolved += 1;
            emit(&sample, None);
        }
        self.say();
    }

    fn say(&mut self) {
        self.waiting.set(self.held.len());
        let before = std::mem::replace(&mut self.said, self.stats);
        for (result, now, before) in [
            ("hit", self.stats.direct, before.direct),
            ("late", self.stats.late, before.late),
            ("unresolved", self.stats.unresolved, before.unresolved),
            ("overflowed", self.stats.overflowed, before.overflowed),
        ] {
            telemetry::add_to(telemetry::JOINED, "result", result, now.saturating_sub(before));
        }
    }
}

enum Answer<'a> {
    Labels(Option<&'a Arc<Labels>>),
    NotYet,
    TooLate,
}

fn ask<'a>(
    known: &'a mut HashMap<CgroupId, State>,
    config: &JoinConfig,
    resolver: &(impl Resolver + ?Sized),
    cgroup: CgroupId,
    now: u64,
) -> Answer<'a> {
    let is_due = match known.get(&cgroup) {
        None => true,
        Some(State::Answered(_, until)) => *until <= now,
        Some(State::Waiting { again, .. }) => *again <= now,
    };
    if is_due {
        let full = known.len() >= config.most_known;
        let answer = resolver.lookup(cgroup);
        let new = match answer {
            Lookup::Known(labels) => Some(State::Answered(Some(labels), now.saturating_add(nanos(config.fresh)))),
            Lookup::Unknown => Some(State::Answered(None, now.saturating_add(nanos(config.fresh)))),
            Lookup::Later => None,
        };
        match (known.get_mut(&cgroup), new) {
            (Some(state), Some(new)) => *state = new,
            // What was known before is better than nothing, until its resolver is there again.
            (Some(State::Answered(_, until)), None) => *until = now.saturating_add(nanos(config.again)),
            (Some(State::Waiting { again, .. }), None) => *again = now.saturating_add(nanos(config.again)),
            (None, new) => {
                if full {
                    // No place to remember it: it goes out with what is known, which is nothing.
                    return Answer::TooLate;
                }
                let waiting = State::Waiting { since: now, again: now.saturating_add(nanos(config.again)) };
                known.insert(cgroup, new.unwrap_or(waiting));
            }
        }
    }
    match known.get(&cgroup) {
        Some(State::Answered(labels, _)) => Answer::Labels(labels.as_ref()),
        Some(State::Waiting { since, .. }) if now.saturating_sub(*since) >= nanos(config.grace) => Answer::TooLate,
        _ => Answer::NotYet,
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
