//! What happened beside what arrived.

use std::collections::HashMap;

use serde::Serialize;

use super::happen::Happened;

/// One event, as a webhook got it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Arrived {
    pub(crate) uid: String,
    pub(crate) version: String,
    /// When, in microseconds since 1970.
    pub(crate) at: i64,
    /// It came with its object's labels.
    pub(crate) labelled: bool,
}

/// How much of what happened arrived.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Tally {
    /// Events that were new.
    pub(crate) happened: u64,
    pub(crate) delivered: u64,
    /// Of all that was delivered, came with its object's labels.
    pub(crate) labelled: u64,
    /// Further deliveries of the same state of an event.
    pub(crate) twice: u64,
    /// New ones, within the time that was waited.
    pub(crate) never: u64,
    /// Events whose count rose.
    pub(crate) again_happened: u64,
    pub(crate) again_delivered: u64,
    /// What nobody let happen.
    pub(crate) unknown: u64,
    /// From the event to the webhook, of all that was delivered: half, and 99 % of them.
    pub(crate) median_ms: Option<f64>,
    pub(crate) most_ms: Option<f64>,
}

impl Tally {
    pub(crate) fn of(happened: &[Happened], arrived: &[Arrived]) -> Self {
        let mut there: HashMap<(&str, &str), (&Happened, bool)> =
            happened.iter().map(|it| ((it.uid.as_str(), it.version.as_str()), (it, false))).collect();
        let mut tally =
            Self { again_happened: happened.iter().filter(|it| it.again).count() as u64, ..Self::default() };
        tally.happened = happened.len() as u64 - tally.again_happened;
        let mut lags = Vec::new();
        for event in arrived {
            let Some((it, told)) = there.get_mut(&(event.uid.as_str(), event.version.as_str())) else {
                tally.unknown += 1;
                continue;
            };
            if std::mem::replace(told, true) {
                tally.twice += 1;
                continue;
            }
            if it.again {
                tally.again_delivered += 1;
            } else {
                tally.delivered += 1;
            }
            tally.labelled += u64::from(event.labelled);
            lags.push(event.at - it.at);
        }
        tally.never = tally.happened - tally.delivered;
        lags.sort_unstable();
        tally.median_ms = share(&lags, 50);
        tally.most_ms = share(&lags, 99);
        tally
    }

    /// All that was delivered, without what came twice.
    pub(crate) fn all_delivered(&self) -> u64 {
        self.delivered + self.again_delivered
    }
}

/// The smallest of sorted microseconds that so many per cent do not exceed, in milliseconds.
fn share(sorted: &[i64], percent: usize) -> Option<f64> {
    let place = (sorted.len() * percent).div_ceil(100).checked_sub(1)?;
    sorted.get(place).map(|micros| *micros as f64 / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn happened(uid: &str, version: &str, again: bool) -> Happened {
        Happened { uid: uid.to_owned(), version: version.to_owned(), at: 1_000, again }
    }

    fn arrived(uid: &str, version: &str, at: i64) -> Arrived {
        Arrived { uid: uid.to_owned(), version: version.to_owned(), at, labelled: uid == "a" }
    }

    #[test]
    fn each_state_counts_once() {
        let happened = [happened("a", "1", false), happened("b", "2", false), happened("a", "3", true)];
        let arrived = [
            arrived("a", "1", 2_000),
            arrived("a", "1", 9_000),
            arrived("a", "3", 5_000),
            arrived("c", "1", 2_000),
            arrived("b", "9", 2_000),
        ];
        let tally = Tally::of(&happened, &arrived);
        let expected = Tally {
            happened: 2,
            delivered: 1,
            labelled: 2,
            twice: 1,
            never: 1,
            again_happened: 1,
            again_delivered: 1,
            unknown: 2,
            median_ms: Some(1.0),
            most_ms: Some(4.0),
        };
        assert_eq!(tally, expected);
        assert_eq!(tally.all_delivered(), 2);
    }

    #[test]
    fn nothing_that_arrived_has_no_latency() {
        let tally = Tally::of(&[happened("a", "1", false)], &[]);
        assert_eq!((tally.never, tally.median_ms, tally.most_ms), (1, None, None));
    }

    #[test]
    fn shares_of_many() {
        let sorted: Vec<i64> = (1..=200).map(|n| n * 1_000).collect();
        assert_eq!(share(&sorted, 50), Some(100.0));
        assert_eq!(share(&sorted, 99), Some(198.0));
        assert_eq!(share(&[7_000], 99), Some(7.0));
    }
}
