//! Small plots of the last minutes: samples in a ring, drawn by the server as SVG.

use std::collections::VecDeque;
use std::fmt::Write;
use std::time::{Duration, Instant};

use maud::{Markup, html};
use parking_lot::Mutex;
use tokio::time::{MissedTickBehavior, interval};

use crate::units::{age, bytes};

/// The drawing's units; CSS stretches it.
const WIDTH: f64 = 300.0;
const HEIGHT: f64 = 60.0;

/// What a value is made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The sample itself.
    Gauge,
    /// What it gained per second since the sample before. One that fell began anew: there is no value then.
    Counter,
}

/// What is plotted.
#[derive(Debug, Clone, Copy)]
pub struct Track {
    /// The plot's heading.
    pub title: &'static str,
    /// What its values are made from.
    pub kind: Kind,
    /// A value as text, with its unit.
    pub show: fn(f64) -> String,
}

/// The last values of some tracks: `keep` of each, and no more.
#[derive(Debug)]
pub struct History {
    tracks: Vec<Track>,
    every: Duration,
    keep: usize,
    rings: Mutex<Rings>,
}

#[derive(Debug, Default)]
struct Rings {
    /// For each track, its values, oldest first; `None` where there was none.
    values: Vec<VecDeque<Option<f64>>>,
    before: Option<(Instant, Vec<Option<f64>>)>,
}

impl History {
    /// An empty one, into which samples come `every` so often.
    pub fn new(tracks: &[Track], every: Duration, keep: usize) -> Self {
        let values = tracks.iter().map(|_| VecDeque::with_capacity(keep)).collect();
        let rings = Mutex::new(Rings { values, before: None });
        Self { tracks: tracks.to_vec(), every, keep, rings }
    }

    /// An empty one of the last five minutes.
    pub fn of_five_minutes(tracks: &[Track]) -> Self {
        Self::new(tracks, Duration::from_secs(5), 61)
    }

    /// Takes samples when it is time, for ever.
    pub async fn keep<S: AsRef<[Option<f64>]>>(&self, samples: impl Fn() -> S) {
        let mut ticks = interval(self.every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            ticks.tick().await;
            self.sample(Instant::now(), samples().as_ref());
        }
    }

    /// Takes a sample of each track, in their order; `None` and what is no finite number leave a gap.
    pub fn sample(&self, now: Instant, samples: &[Option<f64>]) {
        let rings = &mut *self.rings.lock();
        let samples: Vec<_> = samples.iter().map(|sample| sample.filter(|value| value.is_finite())).collect();
        for (index, (track, values)) in self.tracks.iter().zip(&mut rings.values).enumerate() {
            let sample = samples.get(index).copied().flatten();
            let value = match (track.kind, &rings.before) {
                (Kind::Gauge, _) => sample,
                (Kind::Counter, Some((then, before))) => {
                    let before = before.get(index).copied().flatten();
                    per_second(before, sample, now.saturating_duration_since(*then))
                }
                (Kind::Counter, None) => None,
            };
            while values.len() >= self.keep.max(1) {
                values.pop_front();
            }
            values.push_back(value);
        }
        rings.before = Some((now, samples));
    }

    /// The plots side by side.
    pub fn html(&self) -> Markup {
        self.html_of(|_| true)
    }

    /// The same of some tracks, by their titles: not all hosts have values for all of them.
    pub fn html_of(&self, is_shown: impl Fn(&str) -> bool) -> Markup {
        let rings = self.rings.lock();
        let span = self.every.saturating_mul(u32::try_from(self.keep.saturating_sub(1)).unwrap_or(u32::MAX));
        html! {
            section aria-labelledby="plots" {
                h2 id="plots" { "The last " (age(span.as_secs())) }
                div.plots {
                    @for (track, values) in self.tracks.iter().zip(&rings.values).filter(|(it, _)| is_shown(it.title)) {
                        (plot(track, values, self.keep, span))
                    }
                }
            }
        }
    }
}

/// Bytes of a sample as text, for [`Track::show`].
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "what is plotted is not negative")]
pub fn of_bytes(value: f64) -> String {
    bytes(value as u64)
}

fn per_second(before: Option<f64>, after: Option<f64>, passed: Duration) -> Option<f64> {
    let gained = after? - before?;
    (gained >= 0.0 && !passed.is_zero()).then(|| gained / passed.as_secs_f64())
}

fn plot(track: &Track, values: &VecDeque<Option<f64>>, keep: usize, span: Duration) -> Markup {
    let known = || values.iter().flatten().copied();
    let now = values.back().copied().flatten();
    let most = known().fold(0.0_f64, f64::max);
    let show = |value: Option<f64>| value.map_or_else(|| "no value".to_owned(), track.show);
    let told = match known().next() {
        None => format!("{}: no values yet", track.title),
        Some(_) => {
            let least = known().fold(f64::INFINITY, f64::min);
            format!("{}: now {}, from {} to {}", track.title, show(now), (track.show)(least), (track.show)(most))
        }
    };
    let lines = lines(values, keep, most);
    html! {
        figure.plot {
            figcaption { (track.title) " " strong { (if known().next().is_some() { show(now) } else { "…".to_owned() }) } }
            svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) preserveAspectRatio="none" role="img" aria-label=(told) {
                line.base x1="0" x2=(WIDTH) y1=(HEIGHT - 1.0) y2=(HEIGHT - 1.0) {}
                @for line in &lines { polyline points=(line) {} }
            }
            div.scale aria-hidden="true" {
                span { (age(span.as_secs())) " ago" }
                span { "0 to " (if most > 0.0 { (track.show)(most) } else { "…".to_owned() }) }
                span { "now" }
            }
        }
    }
}

/// A line for each run of values without a gap. The newest value is at the right edge; the highest near the top.
fn lines(values: &VecDeque<Option<f64>>, keep: usize, most: f64) -> Vec<String> {
    let step = WIDTH / (keep.max(2) - 1) as f64;
    let height = |value: f64| {
        let share = if most > 0.0 { (value / most).clamp(0.0, 1.0) } else { 0.0 };
        (HEIGHT - 2.0) - share * (HEIGHT - 6.0)
    };
    let mut lines = Vec::new();
    let mut line = String::new();
    for (index, value) in values.iter().enumerate() {
        let x = WIDTH - (values.len() - 1 - index) as f64 * step;
        if let Some(value) = value {
            let separator = if line.is_empty() { "" } else { " " };
            // Writing to a string does not fail.
            let _ = write!(line, "{separator}{x:.1},{:.1}", height(*value));
        } else if !line.is_empty() {
            lines.push(std::mem::take(&mut line));
        }
    }
    if !line.is_empty() {
        lines.push(line);
    }
    // A point alone is drawn by its round ends.
    for line in &mut lines {
        if !line.contains(' ') {
            *line = format!("{line} {line}");
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn history(kind: Kind, keep: usize, samples: &[Option<f64>]) -> History {
        let show = |value: f64| format!("{value:.1}/s");
        let history = History::new(&[Track { title: "a<b", kind, show }], SECOND, keep);
        let mut now = Instant::now();
        for sample in samples {
            history.sample(now, &[*sample]);
            now += SECOND * 2;
        }
        history
    }

    fn values(history: &History) -> Vec<Option<f64>> {
        history.rings.lock().values[0].iter().copied().collect()
    }

    #[test]
    fn no_more_is_kept_than_was_said() {
        let samples: Vec<_> = (0..100_u8).map(|number| Some(f64::from(number))).collect();
        assert_eq!(values(&history(Kind::Gauge, 3, &samples)), [Some(97.0), Some(98.0), Some(99.0)]);
        assert_eq!(values(&history(Kind::Gauge, 0, &samples)), [Some(99.0)]);
    }

    #[test]
    fn counters_become_rates_by_the_time_that_passed() {
        let counted = history(Kind::Counter, 9, &[Some(10.0), Some(14.0), Some(1.0), None, Some(5.0), Some(5.0)]);
        // One that fell began anew, and after a gap there is nothing to compare with.
        assert_eq!(values(&counted), [None, Some(2.0), None, None, None, Some(0.0)]);
    }

    #[test]
    fn a_gap_parts_the_line_and_the_newest_value_is_at_the_right() {
        let text = history(Kind::Gauge, 4, &[Some(1.0), Some(2.0), None, Some(4.0)]).html().into_string();
        assert_eq!(text.matches("<polyline").count(), 2, "{text}");
        assert!(text.contains("points=\"0.0,44.5 100.0,31.0\""), "{text}");
        assert!(text.contains("points=\"300.0,4.0 300.0,4.0\""), "a point alone is drawn: {text}");
    }

    #[test]
    fn a_plot_says_in_words_what_it_shows() {
        let text = history(Kind::Gauge, 4, &[Some(1.0), Some(3.0), Some(2.0)]).html().into_string();
        assert!(text.contains("aria-label=\"a&lt;b: now 2.0/s, from 1.0/s to 3.0/s\""), "{text}");
        assert!(text.contains("<strong>2.0/s</strong>") && text.contains("The last 3 s"), "{text}");
        assert!(!text.contains("a<b"));
    }

    #[test]
    fn without_values_there_is_a_plot_without_a_line() {
        for samples in [&[][..], &[None], &[Some(f64::NAN)], &[Some(f64::INFINITY)]] {
            let text = history(Kind::Gauge, 4, samples).html().into_string();
            assert!(text.contains("no values yet") && !text.contains("<polyline"), "{text}");
        }
        let text = history(Kind::Gauge, 4, &[Some(0.0), Some(0.0)]).html().into_string();
        assert!(text.contains("<polyline") && !text.contains("NaN"), "{text}");
    }

    #[test]
    fn a_sample_for_no_track_and_a_track_without_a_sample_do_no_harm() {
        let history = history(Kind::Gauge, 4, &[Some(1.0)]);
        history.sample(Instant::now(), &[]);
        history.sample(Instant::now(), &[Some(2.0), Some(3.0)]);
        assert_eq!(values(&history), [Some(1.0), None, Some(2.0)]);
    }
}
