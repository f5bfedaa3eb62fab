//! What is plotted: the last five minutes, a sample every few seconds.

use std::sync::Arc;

use example_host::page::{History, Kind, Track, of_bytes};
use example_host::units::count;

use crate::status::{Status, Watched};

const TRACKS: &[Track] = &[
    Track { title: "Changes of objects", kind: Kind::Counter, show: per_second },
    Track { title: "Kubernetes events", kind: Kind::Counter, show: per_second },
    Track { title: "Processor of all nodes", kind: Kind::Gauge, show: cores },
    Track { title: "Memory of all nodes", kind: Kind::Gauge, show: of_bytes },
    Track { title: "Series", kind: Kind::Gauge, show: number },
    Track { title: "Memory of the series", kind: Kind::Gauge, show: of_bytes },
];

fn per_second(value: f64) -> String {
    format!("{value:.1}/s")
}

fn cores(value: f64) -> String {
    format!("{value:.1} cores")
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "what is plotted is not negative")]
fn number(value: f64) -> String {
    count(value as u64)
}

/// An empty one.
pub(crate) fn history() -> Arc<History> {
    Arc::new(History::of_five_minutes(TRACKS))
}

/// Takes samples, for ever.
pub(crate) async fn keep(history: Arc<History>, watched: Watched) {
    history.keep(|| samples(&watched.status())).await;
}

/// In the order of the tracks.
fn samples(status: &Status) -> [Option<f64>; 6] {
    let usage = status.usage.as_ref().filter(|usage| usage.fresh + usage.stale > 0);
    [
        // The first lists would dwarf all that follows.
        status.synced.then_some(status.totals.events as f64),
        status.events.as_ref().filter(|events| events.synced).map(|events| events.occurrences as f64),
        usage.map(|usage| usage.cpu_cores),
        usage.map(|usage| usage.memory_bytes as f64),
        Some(status.series as f64),
        Some(status.bytes as f64),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_track_has_a_sample() {
        assert_eq!(TRACKS.len(), 6);
        assert_eq!(
            TRACKS.iter().map(|track| (track.show)(2048.0)).collect::<Vec<_>>().join(" "),
            "2048.0/s 2048.0/s 2048.0 cores 2.0 KiB 2,048 2.0 KiB"
        );
    }
}
