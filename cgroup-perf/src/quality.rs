//! What a reading is worth: pure functions over plain values.
//!
//! A counter that shares the processor's few hardware counters is seen for a part of the time; after a processor went
//! away and came back it is frozen; a virtual machine whose host has run out of counters is told that it counts, and
//! sees next to nothing. All of that is in three numbers, if one looks.

use crate::sample::Delta;

/// Where less than one part in this many of the time was counted, nothing is made of it: what was seen is chance, and the
/// factor would be of noise.
pub const MAX_SCALE: u64 = 100;
/// Time that may be missing before a counter is held to have stood still, in nanoseconds: clocks are read one after the
/// other, and a slot's ends are not those of the counter.
pub const MISSING_FLOOR: u64 = 100_000;
/// The part of the time that may be missing: one in this many.
pub const MISSING_SHARE: u64 = 4;
/// By how much a slot may be longer than it says, in nanoseconds: a tick is late where a virtual machine's host lets it wait.
pub const LATE: u64 = 1_000_000_000;
/// The part of a sum's time that may have stood still or be left out: one in this many.
pub const SUM_SHARE: u64 = 100;
/// From how much counted time on a rate is judged, in nanoseconds. Before that only zero is.
pub const RATE_FROM: u64 = 10_000;

/// What is expected of a counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Counter {
    /// Whether it has a place in hardware, which it may have to share.
    pub hardware: bool,
    /// The least that it counts in a millisecond in which code runs. Zero for what need not happen.
    pub least_per_ms: u64,
    /// The most that it counts in a nanosecond; none where nothing is known.
    pub most_per_ns: Option<u64>,
}

impl Counter {
    /// Cycles: processors run between 10 MHz, which is below every one of them, and 10 GHz.
    pub const CYCLES: Self = Self { hardware: true, least_per_ms: 10_000, most_per_ns: Some(10) };
    /// Instructions: one at least, and at most twelve in each of those cycles.
    pub const INSTRUCTIONS: Self = Self { hardware: true, least_per_ms: 1, most_per_ns: Some(120) };
    /// What hardware counts and need not happen, such as misses: at most one in each of the instructions.
    pub const EVENTS: Self = Self { hardware: true, least_per_ms: 0, most_per_ns: Some(120) };
    /// A clock of the kernel's, in nanoseconds.
    pub const CLOCK: Self = Self { hardware: false, least_per_ms: 1, most_per_ns: Some(2) };
    /// What the kernel counts and need not happen, such as page faults.
    pub const SOFTWARE: Self = Self { hardware: false, least_per_ms: 0, most_per_ns: None };

    /// What is expected of a counter by its name, with hyphens or underscores: of one that has none of the usual names, no
    /// more than of hardware's [`EVENTS`](Self::EVENTS).
    pub fn by_name(name: &str) -> Self {
        match name.replace('_', "-").as_str() {
            "cycles" => Self::CYCLES,
            "instructions" => Self::INSTRUCTIONS,
            "task-clock" | "cpu-clock" => Self::CLOCK,
            "context-switches" | "page-faults" | "minor-faults" | "major-faults" | "migrations" => Self::SOFTWARE,
            _ => Self::EVENTS,
        }
    }
}

/// What a figure is worth, from best to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Quality {
    /// Counted all of the time.
    #[default]
    Exact,
    /// Counted a part of the time, and scaled to the whole.
    Scaled,
    /// Never, or too seldom to scale, in the processor's counters: others had them.
    NotCounted,
    /// The counter stood still while time went on: its processor was away and the counter is to be opened again.
    Stalled,
    /// A figure that can't be: nothing counted by code that ran, as a virtual machine without a share of its host's
    /// counters reads, or more than any processor can.
    Implausible,
}

impl Quality {
    /// All of them, from best to worst.
    pub const ALL: [Self; 5] = [Self::Exact, Self::Scaled, Self::NotCounted, Self::Stalled, Self::Implausible];

    /// Its name in files and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Scaled => "scaled",
            Self::NotCounted => "not_counted",
            Self::Stalled => "stalled",
            Self::Implausible => "implausible",
        }
    }
}

impl std::fmt::Display for Quality {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is known of the time that a [`Delta`] is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// For how long the cgroup's tasks ran, in nanoseconds: so long the counter was to be enabled. Where a processor's
    /// counter is read for all cgroups, the time between the readings.
    pub ran: u64,
    /// The time on the wall, in nanoseconds, times the processors if it is of several; zero where it is not known.
    pub wall: u64,
}

/// A quality, and the figure to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// What the figure is worth.
    pub quality: Quality,
    /// The count, scaled where it is to be. None where there is nothing to go by; with [`Quality::Stalled`] it is what
    /// was counted before the counter stood still, and so too little.
    pub figure: Option<u64>,
}

/// Judges what a counter did in some time.
///
/// ```
/// use cgroup_perf::quality::{Counter, Quality, Span, judge};
/// use cgroup_perf::sample::Delta;
///
/// let span = Span { ran: 1_000_000, wall: 1_000_000 };
/// let half = Delta { value: 1_500_000, enabled: 1_000_000, running: 500_000 };
/// let verdict = judge(&Counter::CYCLES, half, span);
/// assert_eq!((verdict.quality, verdict.figure), (Quality::Scaled, Some(3_000_000)));
///
/// let never = Delta { value: 0, enabled: 1_000_000, running: 0 };
/// assert_eq!(judge(&Counter::CYCLES, never, span).figure, None);
/// ```
pub fn judge(counter: &Counter, delta: Delta, span: Span) -> Verdict {
    let Delta { value, enabled, running } = delta;
    let nothing = |quality| Verdict { quality, figure: None };
    let is_endless = span.wall > 0 && enabled > span.wall.saturating_add(LATE);
    // It did not run, and was to be counted for longer than clocks can differ.
    let is_nobodys = span.ran == 0 && enabled > MISSING_FLOOR;
    if is_endless
        || is_nobodys
        || is_beyond(enabled, span.ran)
        || is_beyond(running, enabled)
        || is_too_much(counter, delta)
    {
        return nothing(Quality::Implausible);
    }
    if enabled == 0 {
        return match (span.ran, value) {
            // It did not run, and nothing was to be counted.
            (0, 0) => Verdict { quality: Quality::Exact, figure: Some(0) },
            // Counted in no time: two readings that do not belong together.
            (_, 1..) => nothing(Quality::Implausible),
            _ => nothing(Quality::Stalled),
        };
    }
    if running == 0 || running.saturating_mul(MAX_SCALE) < enabled {
        return nothing(Quality::NotCounted);
    }
    if is_too_little(counter, value, running, span.ran) {
        return nothing(Quality::Implausible);
    }
    let figure = Some(scale(delta));
    let quality = if is_beyond(span.ran, enabled) {
        Quality::Stalled
    } else if running < enabled {
        Quality::Scaled
    } else {
        Quality::Exact
    };
    Verdict { quality, figure }
}

/// The count as if it had been counted all of the time. Where it never was, it is what it is.
fn scale(delta: Delta) -> u64 {
    let Delta { value, enabled, running } = delta;
    if running == 0 || running >= enabled {
        return value;
    }
    let scaled = u128::from(value) * u128::from(enabled) / u128::from(running);
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

/// Whether a time is longer than one that holds it, by more than clocks can differ. One that is not known holds all.
const fn is_beyond(part: u64, whole: u64) -> bool {
    if whole == 0 {
        return false;
    }
    let over = part.saturating_sub(whole);
    over > MISSING_FLOOR && over > part / MISSING_SHARE
}

fn is_too_much(counter: &Counter, delta: Delta) -> bool {
    let most = |most: u64| most.saturating_mul(delta.running.saturating_add(RATE_FROM));
    delta.running > 0 && counter.most_per_ns.is_some_and(|per_ns| delta.value > most(per_ns))
}

fn is_too_little(counter: &Counter, value: u64, running: u64, ran: u64) -> bool {
    if counter.least_per_ms == 0 || ran == 0 {
        return false;
    }
    // What the counter saw can't be more than the time that code ran.
    let counted = running.min(ran);
    let least = u128::from(counter.least_per_ms) * u128::from(counted) / 1_000_000;
    value == 0 || (counted >= RATE_FROM && u128::from(value) < least)
}

/// A sum of what a counter did: of a cgroup since the start, of a pod, of an interval.
///
/// What can't be is left out of it, so that one wrong reading does not spoil the whole, and the time that it was of is
/// remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sum {
    /// What was counted, without what can't be.
    pub delta: Delta,
    /// The time of the parts that stood still, in nanoseconds.
    pub stalled: u64,
    /// The time of the parts that can't be, in nanoseconds.
    pub implausible: u64,
}

impl Sum {
    /// Takes in what was counted in some time, and says what it was worth.
    pub fn add(&mut self, counter: &Counter, delta: Delta, span: Span) -> Quality {
        let quality = judge(counter, delta, span).quality;
        match quality {
            Quality::Implausible => self.implausible = self.implausible.saturating_add(span.ran),
            Quality::Stalled => {
                self.stalled = self.stalled.saturating_add(span.ran.saturating_sub(delta.enabled));
                self.add_delta(delta);
            }
            Quality::Exact | Quality::Scaled | Quality::NotCounted => self.add_delta(delta),
        }
        quality
    }

    /// Takes in another sum.
    pub fn merge(&mut self, other: &Self) {
        self.add_delta(other.delta);
        self.stalled = self.stalled.saturating_add(other.stalled);
        self.implausible = self.implausible.saturating_add(other.implausible);
    }

    /// What came to it since an earlier state of it. Nothing where that state is not of it.
    pub fn since(&self, earlier: &Self) -> Self {
        let delta = Delta {
            value: self.delta.value.saturating_sub(earlier.delta.value),
            enabled: self.delta.enabled.saturating_sub(earlier.delta.enabled),
            running: self.delta.running.saturating_sub(earlier.delta.running),
        };
        Self {
            delta,
            stalled: self.stalled.saturating_sub(earlier.stalled),
            implausible: self.implausible.saturating_sub(earlier.implausible),
        }
    }

    /// Judges the sum, of a time in which `ran` nanoseconds were run.
    ///
    /// Parts that were not counted are made up for by the scale of the others. Where more than one part in [`SUM_SHARE`]
    /// stood still or can't be, the whole is worth no more than that, and the figure is too little.
    pub fn verdict(&self, counter: &Counter, ran: u64) -> Verdict {
        // The parts that can't be were left out: they are no time that is missing.
        let seen = ran.saturating_sub(self.implausible);
        let verdict = judge(counter, self.delta, Span { ran: seen, wall: 0 });
        let much = |time: u64| time > 0 && u128::from(time) * u128::from(SUM_SHARE) > u128::from(ran);
        let quality = if much(self.implausible) {
            Quality::Implausible
        } else if much(self.stalled) {
            verdict.quality.max(Quality::Stalled)
        } else {
            verdict.quality
        };
        Verdict { quality, figure: verdict.figure }
    }

    fn add_delta(&mut self, delta: Delta) {
        self.delta.value = self.delta.value.saturating_add(delta.value);
        self.delta.enabled = self.delta.enabled.saturating_add(delta.enabled);
        self.delta.running = self.delta.running.saturating_add(delta.running);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;
    const SLOT: Span = Span { ran: MS, wall: MS };

    fn delta(value: u64, enabled: u64, running: u64) -> Delta {
        Delta { value, enabled, running }
    }

    #[track_caller]
    fn is(counter: &Counter, of: (u64, u64, u64), span: Span, quality: Quality, figure: Option<u64>) {
        let verdict = judge(counter, delta(of.0, of.1, of.2), span);
        assert_eq!(verdict, Verdict { quality, figure }, "{of:?} in {span:?}");
    }

    fn ran(ran: u64) -> Span {
        Span { ran, wall: MS }
    }

    #[test]
    fn what_was_counted_all_of_the_time_is_exact() {
        for counter in [Counter::CYCLES, Counter::INSTRUCTIONS, Counter::EVENTS, Counter::CLOCK, Counter::SOFTWARE] {
            is(&counter, (MS, MS, MS), SLOT, Quality::Exact, Some(MS));
        }
        // A nanosecond between two clocks makes nothing more than it is.
        is(&Counter::CYCLES, (3 * MS, MS, MS + 1), SLOT, Quality::Exact, Some(3 * MS));
    }

    #[test]
    fn what_did_not_run_counted_nothing() {
        is(&Counter::CYCLES, (0, 0, 0), ran(0), Quality::Exact, Some(0));
        is(&Counter::CYCLES, (0, 0, 0), Span::default(), Quality::Exact, Some(0));
        // Enabled between two readings of a processor on which this cgroup did not run.
        is(&Counter::CYCLES, (0, 100_000, 100_000), ran(0), Quality::Exact, Some(0));
        is(&Counter::CYCLES, (0, 100_001, 100_001), ran(0), Quality::Implausible, None);
    }

    #[test]
    fn a_part_of_the_time_is_scaled_to_the_whole() {
        is(&Counter::CYCLES, (MS, MS, MS - 1), SLOT, Quality::Scaled, Some(1_000_001));
        is(&Counter::CYCLES, (MS, MS, MS / 3), SLOT, Quality::Scaled, Some(3_000_003));
        is(&Counter::EVENTS, (0, MS, MS / 2), SLOT, Quality::Scaled, Some(0));
        // The least that is scaled: one part in a hundred.
        is(&Counter::CYCLES, (30_000, MS, 10_000), SLOT, Quality::Scaled, Some(3 * MS));
        is(&Counter::CYCLES, (29_997, MS, 9_999), SLOT, Quality::NotCounted, None);
    }

    #[test]
    fn nothing_is_divided_by_no_time() {
        is(&Counter::CYCLES, (0, MS, 0), SLOT, Quality::NotCounted, None);
        is(&Counter::CYCLES, (5, MS, 0), SLOT, Quality::NotCounted, None);
        is(&Counter::CYCLES, (5, MS, 1), SLOT, Quality::NotCounted, None);
        is(&Counter::SOFTWARE, (0, 1, 0), ran(1), Quality::NotCounted, None);
    }

    #[test]
    fn a_counter_that_stands_still_while_code_runs_is_stalled() {
        is(&Counter::CYCLES, (0, 0, 0), ran(1), Quality::Stalled, None);
        is(&Counter::SOFTWARE, (0, 0, 0), SLOT, Quality::Stalled, None);
        // It froze half-way: what it has is too little, and said to be.
        is(&Counter::CYCLES, (MS, MS / 2, MS / 2), SLOT, Quality::Stalled, Some(MS));
        // The boundary: a quarter, and a tenth of a millisecond.
        is(&Counter::CYCLES, (MS, MS * 3 / 4, MS * 3 / 4), SLOT, Quality::Exact, Some(MS));
        is(&Counter::CYCLES, (MS, MS * 3 / 4 - 1, MS * 3 / 4 - 1), SLOT, Quality::Stalled, Some(MS));
        is(&Counter::CYCLES, (20_000, 20_000, 20_000), ran(120_000), Quality::Exact, Some(20_000));
        is(&Counter::CYCLES, (20_000, 20_000, 20_000), ran(120_001), Quality::Stalled, Some(20_000));
    }

    #[test]
    fn code_that_runs_takes_cycles_and_instructions() {
        is(&Counter::CYCLES, (0, 200, 200), ran(200), Quality::Implausible, None);
        is(&Counter::INSTRUCTIONS, (0, MS, MS), SLOT, Quality::Implausible, None);
        is(&Counter::CLOCK, (0, MS, MS), SLOT, Quality::Implausible, None);
        // As read in a virtual machine whose host had no counter left.
        is(&Counter::CYCLES, (395, MS, MS), SLOT, Quality::Implausible, None);
        // The boundary: 10 MHz, judged from ten microseconds on.
        is(&Counter::CYCLES, (10_000, MS, MS), SLOT, Quality::Exact, Some(10_000));
        is(&Counter::CYCLES, (9_999, MS, MS), SLOT, Quality::Implausible, None);
        is(&Counter::CYCLES, (99, 10_000, 10_000), ran(10_000), Quality::Implausible, None);
        is(&Counter::CYCLES, (1, 9_999, 9_999), ran(9_999), Quality::Exact, Some(1));
        // Instructions may be few where each waits for memory.
        is(&Counter::INSTRUCTIONS, (1, MS, MS), SLOT, Quality::Exact, Some(1));
        // A rate is of the time that was counted, not of the slot.
        is(&Counter::CYCLES, (1_000, MS, 100_000), SLOT, Quality::Scaled, Some(10_000));
        is(&Counter::CYCLES, (999, MS, 100_000), SLOT, Quality::Implausible, None);
    }

    #[test]
    fn what_need_not_happen_may_be_nothing() {
        is(&Counter::EVENTS, (0, MS, MS), SLOT, Quality::Exact, Some(0));
        is(&Counter::SOFTWARE, (0, MS, MS), SLOT, Quality::Exact, Some(0));
    }

    #[test]
    fn no_processor_counts_that_much() {
        let most = 10 * (MS + RATE_FROM);
        is(&Counter::CYCLES, (most, MS, MS), SLOT, Quality::Exact, Some(most));
        is(&Counter::CYCLES, (most + 1, MS, MS), SLOT, Quality::Implausible, None);
        // A subtraction that wrapped.
        is(&Counter::EVENTS, (u64::MAX - 5, MS, MS), SLOT, Quality::Implausible, None);
        is(&Counter::CYCLES, (MS, u64::MAX - 5, u64::MAX - 5), SLOT, Quality::Implausible, None);
        is(&Counter::SOFTWARE, (u64::MAX, MS, MS / 2), SLOT, Quality::Scaled, Some(u64::MAX));
        // Counted, and in no time.
        is(&Counter::CYCLES, (5, 0, 0), SLOT, Quality::Implausible, None);
        is(&Counter::CYCLES, (5, 0, 0), ran(0), Quality::Implausible, None);
    }

    #[test]
    fn times_hold_one_another() {
        // Enabled for longer than code ran; the boundary is a quarter.
        is(&Counter::CYCLES, (MS, MS, MS), ran(MS * 3 / 4), Quality::Exact, Some(MS));
        is(&Counter::CYCLES, (MS, MS, MS), ran(MS * 3 / 4 - 1), Quality::Implausible, None);
        is(&Counter::CYCLES, (MS, MS * 3 / 4, MS), SLOT, Quality::Exact, Some(MS));
        is(&Counter::CYCLES, (MS, MS * 3 / 4 - 1, MS), SLOT, Quality::Implausible, None);
        // A tick that was late by almost a slot, as seen on a busy virtual machine.
        let late = Span { ran: 1_909_680, wall: MS };
        is(&Counter::CYCLES, (4_391_900, 1_909_680, 1_909_680), late, Quality::Exact, Some(4_391_900));
        // No wall time is known, or the machine stood still: only what is endless is held against it.
        let long = |wall| Span { ran: LATE + MS, wall };
        let counted = (LATE, LATE + MS, LATE + MS);
        is(&Counter::CYCLES, counted, long(0), Quality::Exact, Some(LATE));
        is(&Counter::CYCLES, counted, long(MS), Quality::Exact, Some(LATE));
        is(&Counter::CYCLES, counted, long(MS - 1), Quality::Implausible, None);
    }

    #[test]
    fn no_reading_panics_or_grows_without_bound() {
        let edges = [0, 1, RATE_FROM, MISSING_FLOOR, MS, u64::MAX / 2, u64::MAX - 1, u64::MAX];
        let pairs = || edges.iter().flat_map(|a| edges.map(|b| (*a, b)));
        for counter in [Counter::CYCLES, Counter::INSTRUCTIONS, Counter::EVENTS, Counter::CLOCK, Counter::SOFTWARE] {
            for ((value, enabled), running) in pairs().flat_map(|pair| edges.map(|c| (pair, c))) {
                for (ran, wall) in pairs() {
                    let verdict = judge(&counter, delta(value, enabled, running), Span { ran, wall });
                    let within = |figure| u128::from(figure) <= u128::from(value) * u128::from(MAX_SCALE);
                    assert!(verdict.figure.is_none_or(within));
                    let counted = matches!(verdict.quality, Quality::Exact | Quality::Scaled);
                    assert!(verdict.figure.is_some() || !counted);
                    let mut sum = Sum::default();
                    sum.add(&counter, delta(value, enabled, running), Span { ran, wall });
                    sum.add(&counter, delta(value, enabled, running), Span { ran, wall });
                    sum.verdict(&counter, ran);
                }
            }
        }
    }

    fn sum(parts: &[(u64, u64, u64)]) -> Verdict {
        let mut sum = Sum::default();
        for &(value, enabled, running) in parts {
            sum.add(&Counter::CYCLES, delta(value, enabled, running), SLOT);
        }
        sum.verdict(&Counter::CYCLES, parts.len() as u64 * MS)
    }

    #[test]
    fn a_sum_makes_up_for_what_was_not_counted() {
        let verdict = sum(&[(3 * MS, MS, MS), (0, MS, 0)]);
        assert_eq!(verdict, Verdict { quality: Quality::Scaled, figure: Some(6 * MS) });
        assert_eq!(sum(&[(0, MS, 0), (0, MS, 0)]).quality, Quality::NotCounted);
        assert_eq!(sum(&[(3 * MS, MS, MS); 5]), Verdict { quality: Quality::Exact, figure: Some(15 * MS) });
    }

    /// So many readings of 3 million cycles, and one other.
    fn all_but_one(good: usize, other: (u64, u64, u64)) -> Verdict {
        let mut parts = vec![(3 * MS, MS, MS); good];
        parts.push(other);
        sum(&parts)
    }

    #[test]
    fn one_wrong_reading_in_a_hundred_does_not_spoil_a_sum() {
        let wrong = (u64::MAX - 5, MS, MS);
        assert_eq!(all_but_one(99, wrong), Verdict { quality: Quality::Exact, figure: Some(297 * MS) });
        assert_eq!(all_but_one(98, wrong), Verdict { quality: Quality::Implausible, figure: Some(294 * MS) });
        assert_eq!(sum(&[wrong]).quality, Quality::Implausible);
    }

    #[test]
    fn a_sum_is_stalled_where_more_than_a_hundredth_is() {
        let frozen = (0, 0, 0);
        assert_eq!(all_but_one(99, frozen), Verdict { quality: Quality::Exact, figure: Some(297 * MS) });
        assert_eq!(all_but_one(98, frozen), Verdict { quality: Quality::Stalled, figure: Some(294 * MS) });
        assert_eq!(sum(&[frozen]), Verdict { quality: Quality::Stalled, figure: None });
    }

    #[test]
    fn a_sum_since_an_earlier_state_is_what_came_since() {
        let mut earlier = Sum::default();
        earlier.add(&Counter::CYCLES, delta(3 * MS, MS, MS), SLOT);
        let mut later = earlier;
        later.add(&Counter::CYCLES, delta(2 * MS, MS, MS), SLOT);
        assert_eq!(later.since(&earlier).delta, delta(2 * MS, MS, MS));
        // Not of it: nothing, and no wrap.
        assert_eq!(earlier.since(&later), Sum::default());
        let mut merged = earlier;
        merged.merge(&later.since(&earlier));
        assert_eq!(merged, later);
    }

    #[test]
    fn a_counters_name_says_what_to_expect() {
        for (name, counter) in [
            ("cycles", Counter::CYCLES),
            ("instructions", Counter::INSTRUCTIONS),
            ("llc-misses", Counter::EVENTS),
            ("task-clock", Counter::CLOCK),
            ("page_faults", Counter::SOFTWARE),
            ("msr/tsc/", Counter::EVENTS),
        ] {
            assert_eq!(Counter::by_name(name), counter, "{name}");
        }
    }

    #[test]
    fn qualities_are_ordered_from_best_to_worst() {
        assert!(Quality::ALL.is_sorted());
        assert_eq!(Quality::ALL.map(Quality::as_str), ["exact", "scaled", "not_counted", "stalled", "implausible"]);
    }
}
