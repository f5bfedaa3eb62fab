//! How a part is: what it last said of itself, and a line in the log whenever that changes.

use std::time::{Duration, Instant};

use example_host::page::{Health, Part};
use parking_lot::Mutex;

/// The first pause after an attempt that failed, and the longest.
const FIRST: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_mins(5);

/// What a part last said of itself.
#[derive(Debug)]
pub(crate) struct State {
    name: &'static str,
    told: Mutex<Told>,
}

#[derive(Debug)]
struct Told {
    health: Health,
    reason: Option<String>,
    detail: Option<String>,
    since: Instant,
    heard: Option<Instant>,
}

impl State {
    pub(crate) fn new(name: &'static str) -> Self {
        let (reason, detail, heard) = (None, None, None);
        Self { name, told: Mutex::new(Told { health: Health::Starting, reason, detail, since: Instant::now(), heard }) }
    }

    /// Says how it is; one line in the log if that is new.
    pub(crate) fn set(&self, health: Health, reason: Option<String>) {
        let told = &mut *self.told.lock();
        if told.health == health && told.reason == reason {
            return;
        }
        if told.health != health {
            told.since = Instant::now();
        }
        (told.health, told.reason) = (health, reason);
        let (name, word, why) = (self.name, health.word(), told.reason.as_deref().unwrap_or("as it should be"));
        if health.is_bad() {
            tracing::warn!("{name} is {word}: {why}");
        } else {
            tracing::info!("{name} is {word}: {why}");
        }
    }

    /// It does what it should.
    pub(crate) fn ok(&self) {
        self.ok_but(None);
    }

    /// The same, and what is to be known of it.
    pub(crate) fn ok_but(&self, note: Option<String>) {
        self.set(Health::Ok, note);
        self.told.lock().heard = Some(Instant::now());
    }

    /// It does nothing that it should.
    pub(crate) fn failed(&self, reason: impl Into<String>) {
        self.set(Health::Failed, Some(reason.into()));
    }

    /// Says what it does, in a few words.
    pub(crate) fn detail(&self, detail: impl Into<String>) {
        self.told.lock().detail = Some(detail.into());
    }

    /// It as a part of the page.
    pub(crate) fn part(&self) -> Part {
        let told = self.told.lock();
        let seconds = |then: Instant| then.elapsed().as_secs();
        let mut part = Part::new(self.name, told.health).fresh(told.heard.map(seconds));
        (part.reason, part.detail) = (told.reason.clone(), told.detail.clone());
        part.since((told.health != Health::Absent).then(|| seconds(told.since)))
    }
}

/// Pauses that grow.
#[derive(Debug)]
pub(crate) struct Backoff(Duration);

impl Backoff {
    pub(crate) fn new() -> Self {
        Self(FIRST)
    }

    /// How long to wait after one more failure.
    pub(crate) fn next(&mut self) -> Duration {
        let pause = self.0;
        self.0 = (pause * 2).min(LONGEST);
        pause
    }
}

/// An error with those below it, in a line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let all = std::iter::successors(Some(error), |error| error.source());
    let mut line = String::new();
    for text in all.map(ToString::to_string) {
        // Some say already what is below them.
        if !line.contains(&text) {
            line = if line.is_empty() { text } else { format!("{line}: {text}") };
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound() {
        let mut backoff = Backoff::new();
        let pauses: Vec<_> = (0..10).map(|_| backoff.next().as_secs()).collect();
        assert_eq!(pauses, [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
    }

    #[test]
    fn a_part_says_why_it_is_not_well_until_it_is() {
        let state = State::new("perf");
        assert_eq!(state.part().health, Health::Starting);
        state.failed("no rights");
        assert_eq!((state.part().health, state.part().reason.as_deref()), (Health::Failed, Some("no rights")));
        assert_eq!(state.part().fresh_seconds, None);
        state.ok();
        assert_eq!((state.part().health, state.part().reason, state.part().fresh_seconds), (Health::Ok, None, Some(0)));
    }
}
