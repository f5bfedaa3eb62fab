//! From which moment, and how, a document is seen.

/// A moment, and what is shown of it.
#[derive(Clone, Debug)]
pub(super) struct View {
    /// In seconds since 1970.
    pub(super) now: i64,
    /// Cumulative counters count from this moment at the earliest.
    pub(super) counted_from: i64,
    pub(super) seed: u64,
    /// The time between two samples of everything but volumes, in seconds; `None`: of each thing its own.
    pub(super) housekeeping: Option<u64>,
    /// Pressure stall information; `None`: if the kubelet's version tells it.
    pub(super) psi: Option<bool>,
    /// Cpu and memory alone.
    pub(super) light: bool,
    pub(super) quirks: Quirks,
}

/// What is wrong with a document, or odd, on purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent oddities")]
pub(crate) struct Quirks {
    pub(crate) null_times: bool,
    pub(crate) null_arrays: bool,
    pub(crate) future: bool,
    pub(crate) no_pods: bool,
    /// Every pod twice, first as it was before.
    pub(crate) twice: bool,
    /// Also what has ended.
    pub(crate) ended: bool,
}

impl Quirks {
    pub(crate) fn add(&mut self, other: Self) {
        self.null_times |= other.null_times;
        self.null_arrays |= other.null_arrays;
        self.future |= other.future;
        self.no_pods |= other.no_pods;
        self.twice |= other.twice;
        self.ended |= other.ended;
    }
}

/// The newest sample of something.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    /// When it was taken, in seconds since 1970.
    pub(super) time: i64,
    /// How long the thing had been there, in seconds.
    pub(super) age: u64,
    /// For how long its counters had counted, in seconds.
    pub(super) counted: u64,
}

/// How often the kubelet measures volumes, in seconds; its flag `--volume-stats-agg-period` has this default.
const VOLUMES_EVERY: u64 = 60;

impl View {
    /// The newest sample of what began at `start`: the first is taken there and then, the others every so many seconds,
    /// 10 to 15 of them unless it was set.
    pub(super) fn sample(&self, start: i64, dice: Dice) -> Sample {
        self.sample_every(start, self.housekeeping.unwrap_or_else(|| dice.range(0, 10, 15)))
    }

    /// The newest sample of a volume.
    pub(super) fn volume_sample(&self, start: i64) -> Sample {
        self.sample_every(start, VOLUMES_EVERY)
    }

    fn sample_every(&self, start: i64, every: u64) -> Sample {
        let age = seconds_between(start, self.now);
        let age = age - age % every.max(1);
        let time = start.saturating_add_unsigned(age);
        Sample { time, age, counted: seconds_between(start.max(self.counted_from), time) }
    }
}

/// Nothing, if `end` is before `start`.
pub(super) fn seconds_between(start: i64, end: i64) -> u64 {
    u64::try_from(end.saturating_sub(start)).unwrap_or(0)
}

/// Numbers that follow from a seed: the same for the same thing at all times.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dice(u64);

impl Dice {
    /// Of the thing with this identity.
    pub(super) fn of(seed: u64, identity: &str) -> Self {
        Self(mix(seed ^ crate::object::shard::fnv1a(identity)))
    }

    /// Of a part of the thing.
    pub(super) fn part(self, name: &str) -> Self {
        Self::of(self.0, name)
    }

    /// Draw number `nth`.
    pub(super) fn draw(self, nth: u64) -> u64 {
        mix(self.0.wrapping_add(nth.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }

    /// Draw number `nth`, from `least` to `most`.
    pub(super) fn range(self, nth: u64, least: u64, most: u64) -> u64 {
        least + self.draw(nth) % (most.saturating_sub(least) + 1)
    }

    /// Draw number `nth`, from `least` to `least` doubled so many times; small ones are as likely as large ones.
    pub(super) fn scaled(self, nth: u64, least: u64, doublings: u32) -> u64 {
        let draw = self.draw(nth);
        let base = least << (draw % u64::from(doublings.max(1)));
        base + (draw >> 16) % base.max(1)
    }
}

/// The finaliser of SplitMix64.
fn mix(seed: u64) -> u64 {
    let seed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let seed = (seed ^ (seed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    seed ^ (seed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(now: i64) -> View {
        View {
            now,
            counted_from: i64::MIN,
            seed: 0,
            housekeeping: Some(10),
            psi: None,
            light: false,
            quirks: Quirks::default(),
        }
    }

    #[test]
    fn samples_are_taken_at_the_start_and_every_interval() {
        let sample = |now| view(now).sample(100, Dice::of(0, "a"));
        assert_eq!((sample(50).time, sample(50).age), (100, 0));
        assert_eq!((sample(109).time, sample(110).time, sample(119).time), (100, 110, 110));
        assert_eq!((sample(119).age, sample(119).counted), (10, 10));
        let reset = View { counted_from: 125, ..view(138) };
        assert_eq!((reset.sample(100, Dice::of(0, "a")).counted, reset.volume_sample(70).time), (5, 130));
    }

    #[test]
    fn intervals_are_of_ten_to_fifteen_seconds() {
        let by_itself = View { housekeeping: None, ..view(1_000_000) };
        let intervals: std::collections::BTreeSet<u64> = (0..200)
            .map(|nth| {
                let dice = Dice::of(7, &nth.to_string());
                let every = dice.range(0, 10, 15);
                assert_eq!(by_itself.sample(0, dice).age % every, 0);
                every
            })
            .collect();
        assert_eq!(intervals, (10..=15).collect());
    }

    #[test]
    fn draws_keep_to_their_range() {
        let dice = Dice::of(1, "a");
        assert!((0..1000).all(|nth| (5..=9).contains(&dice.range(nth, 5, 9))));
        assert!((0..1000).all(|nth| (8..128).contains(&dice.scaled(nth, 8, 4))));
        assert_ne!(dice.draw(0), Dice::of(2, "a").draw(0));
        assert_eq!(dice.draw(3), Dice::of(1, "a").draw(3));
    }
}
