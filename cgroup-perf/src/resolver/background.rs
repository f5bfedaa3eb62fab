//! A resolver that may take its time, asked where nobody waits for it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use parking_lot::Mutex;

use super::{Lookup, Resolver};
use crate::sample::CgroupId;

/// How a slow resolver is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackgroundConfig {
    /// How many questions wait at most; what does not fit is asked again later. Default: 1,024.
    pub most_questions: usize,
    /// How many answers are remembered at most. Default: 65,536.
    pub most_answers: usize,
    /// For how long an answer is good. Default: 10 s.
    pub fresh: Duration,
    /// After how long without an answer a resolver is held to hang. Default: 5 s.
    pub deadline: Duration,
}

impl Default for BackgroundConfig {
    fn default() -> Self {
        Self {
            most_questions: 1_024,
            most_answers: 65_536,
            fresh: Duration::from_secs(10),
            deadline: Duration::from_secs(5),
        }
    }
}

/// How a slow resolver does, since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct BackgroundStats {
    /// Questions that were put.
    pub asked: u64,
    /// Questions that were answered.
    pub answered: u64,
    /// Questions that there was no place for.
    pub refused: u64,
    /// For how long the resolver has been at the present question.
    pub busy: Duration,
    /// Whether that is longer than the deadline: it hangs, and nothing is resolved.
    pub hangs: bool,
}

#[derive(Debug)]
enum Answer {
    /// It was asked, at some time.
    Asked(Instant),
    /// It was answered, at some time, and is asked again after that.
    Answered(Lookup, Instant),
}

#[derive(Debug)]
struct Shared {
    answers: Mutex<HashMap<CgroupId, Answer>>,
    config: BackgroundConfig,
    begun: Mutex<Option<Instant>>,
    asked: AtomicU64,
    answered: AtomicU64,
    refused: AtomicU64,
}

/// A resolver that is asked on a thread of its own. Where it has not answered yet, the answer is [`Lookup::Later`].
///
/// A resolver that hangs takes its thread with it, and nothing else: samples go out without labels at the end of the
/// grace time. The thread ends when this is dropped and the resolver is done with the present question.
///
/// ```
/// use cgroup_perf::resolver::{Background, BackgroundConfig, Lookup, Nobody, Resolver};
/// use cgroup_perf::sample::CgroupId;
///
/// let resolver = Background::spawn(Nobody, BackgroundConfig::default())?;
/// while resolver.lookup(CgroupId(7)) == Lookup::Later {
///     std::thread::yield_now();
/// }
/// assert_eq!(resolver.lookup(CgroupId(7)), Lookup::Unknown);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Background {
    shared: Arc<Shared>,
    questions: SyncSender<CgroupId>,
}

impl Background {
    /// Starts the thread.
    pub fn spawn(resolver: impl Resolver + 'static, config: BackgroundConfig) -> std::io::Result<Self> {
        let (questions, asked) = sync_channel(config.most_questions);
        let shared = Arc::new(Shared {
            answers: Mutex::default(),
            config,
            begun: Mutex::default(),
            asked: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        });
        let its = shared.clone();
        thread::Builder::new().name("cgroup-resolver".to_owned()).spawn(move || answer(&resolver, &asked, &its))?;
        Ok(Self { shared, questions })
    }

    /// How the resolver does.
    pub fn stats(&self) -> BackgroundStats {
        let busy = self.shared.begun.lock().map(|begun| begun.elapsed()).unwrap_or_default();
        BackgroundStats {
            asked: self.shared.asked.load(Ordering::Relaxed),
            answered: self.shared.answered.load(Ordering::Relaxed),
            refused: self.shared.refused.load(Ordering::Relaxed),
            busy,
            hangs: busy > self.shared.config.deadline,
        }
    }
}

impl Resolver for Background {
    fn lookup(&self, cgroup: CgroupId) -> Lookup {
        let config = &self.shared.config;
        let mut answers = self.shared.answers.lock();
        let now = Instant::now();
        let known = match answers.get(&cgroup) {
            Some(Answer::Answered(lookup, at)) => {
                // What is not known yet is asked each time: how often that is, is for the asker to choose.
                if *lookup != Lookup::Later && now.duration_since(*at) < config.fresh {
                    return lookup.clone();
                }
                // An old answer stands until there is a new one.
                Some(lookup.clone())
            }
            Some(Answer::Asked(at)) if now.duration_since(*at) < config.deadline => return Lookup::Later,
            _ => None,
        };
        if known.is_none() && !answers.contains_key(&cgroup) && answers.len() >= config.most_answers {
            let fresh = |at: &Instant| now.duration_since(*at) < config.fresh;
            answers.retain(|_, answer| matches!(answer, Answer::Answered(_, at) | Answer::Asked(at) if fresh(at)));
            if answers.len() >= config.most_answers {
                self.shared.refused.fetch_add(1, Ordering::Relaxed);
                return Lookup::Later;
            }
        }
        match self.questions.try_send(cgroup) {
            Ok(()) => {
                self.shared.asked.fetch_add(1, Ordering::Relaxed);
                match &known {
                    // Not asked twice while the question waits.
                    Some(lookup) => answers.insert(cgroup, Answer::Answered(lookup.clone(), now)),
                    None => answers.insert(cgroup, Answer::Asked(now)),
                };
            }
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.shared.refused.fetch_add(1, Ordering::Relaxed);
            }
        }
        known.unwrap_or(Lookup::Later)
    }
}

fn answer(resolver: &impl Resolver, questions: &Receiver<CgroupId>, shared: &Shared) {
    for cgroup in questions {
        *shared.begun.lock() = Some(Instant::now());
        // A resolver that panics over one cgroup may know another.
        let lookup = catch_unwind(AssertUnwindSafe(|| resolver.lookup(cgroup))).unwrap_or(Lookup::Later);
        shared.answers.lock().insert(cgroup, Answer::Answered(lookup, Instant::now()));
        shared.answered.fetch_add(1, Ordering::Relaxed);
        *shared.begun.lock() = None;
    }
}
