//! Totals as text that Prometheus scrapes: counters of each container, and what its last interval was like.
//!
//! | metric | type | what |
//! |---|---|---|
//! | `cgroup_perf_cpu_seconds` | counter | for how long tasks ran |
//! | `cgroup_perf_switches` | counter | how often a processor was taken from them |
//! | `cgroup_perf_X` | counter | what counter `X` counted, scaled where it is to be |
//! | `cgroup_perf_quality` | gauge | what the last interval of `counter` is worth: 0 exact, 1 scaled, 2 not counted, 3 stalled, 4 implausible |
//! | `cgroup_perf_cycles_per_instruction` | gauge | in the last interval, of counters `cycles` and `instructions` |
//! | `cgroup_perf_llc_misses_per_kilo_instruction` | gauge | the same of `llc_misses` |
//! | `cgroup_perf_counter` | info | which `event` each `counter` counts on this machine |
//! | `cgroup_perf_containers_left_out` | gauge | containers that there was no place for |

use std::fmt::{self, Write};
use std::sync::Arc;

use hashbrown::HashMap;

use super::Event;
use crate::quality::{Quality, Verdict};
use crate::resolver::Labels;
use crate::sample::{CgroupId, MAX_COUNTERS};
use crate::totals::Usage;

/// The names that no counter can have: they are others'.
const OWN: [&str; 7] = [
    "cpu_seconds",
    "switches",
    "quality",
    "cycles_per_instruction",
    "llc_misses_per_kilo_instruction",
    "counter",
    "containers_left_out",
];
/// How many containers are shown, unless [`Exporter::with_most`] says otherwise.
const DEFAULT_MOST: usize = 1_024;
/// Cgroups that are remembered for each container that is shown.
const CGROUPS_EACH: usize = 8;

/// Which text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// `application/openmetrics-text; version=1.0.0`.
    #[default]
    OpenMetrics,
    /// `text/plain; version=0.0.4`.
    Prometheus,
}

/// A container, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Series {
    /// Its labels, as they stand between braces.
    pub labels: String,
    /// For how long its tasks ran, in nanoseconds.
    pub ran: u64,
    /// How often a processor was taken from them.
    pub switches: u64,
    /// What was counted, with intervals scaled where they are to be. It never goes back.
    pub counts: [u64; MAX_COUNTERS],
    /// What the last interval's counts are.
    pub last: [Verdict; MAX_COUNTERS],
}

#[derive(Debug)]
struct State {
    series: Series,
    /// What came in this interval.
    interval: Usage,
    heard: bool,
}

/// Makes series of totals, an interval at a time.
///
/// A series is all cgroups of the same namespace, pod, container and container id. It goes with the first interval in which
/// nothing is told of it.
///
/// ```
/// use std::sync::Arc;
/// use cgroup_perf::output::{Event, openmetrics::{Exporter, Format}};
/// use cgroup_perf::{quality::Counter, resolver::Labels, sample::CgroupId, totals::Usage};
///
/// let mut exporter = Exporter::new(vec![Event::new("cycles", "PERF_COUNT_HW_CPU_CYCLES", Counter::CYCLES)]);
/// let labels = Arc::new(Labels { pod: "web".to_owned(), ..Labels::default() });
/// exporter.update(CgroupId(7), &labels, &Usage { ran: 1_500_000_000, ..Usage::default() });
/// exporter.end_interval();
/// let text = exporter.render(Format::OpenMetrics);
/// assert!(text.contains(r#"cgroup_perf_cpu_seconds_total{namespace="",pod="web",container="",container_id=""} 1.5"#));
/// ```
#[derive(Debug)]
pub struct Exporter {
    events: Vec<Event>,
    most: usize,
    cgroups: HashMap<CgroupId, (Usage, bool)>,
    series: HashMap<String, State>,
    /// Cgroups without a place in this interval, and in the last.
    refused: (u64, u64),
}

impl Exporter {
    /// With no series yet. Counters are left out whose names are none, or are those of other metrics.
    pub fn new(events: Vec<Event>) -> Self {
        Self { events, most: DEFAULT_MOST, cgroups: HashMap::new(), series: HashMap::new(), refused: (0, 0) }
    }

    /// The most containers that are shown. Each has a series for each metric.
    pub fn with_most(mut self, most: usize) -> Self {
        self.most = most;
        self
    }

    /// Takes what a cgroup has done since the start. To be called once for each in an interval.
    pub fn update(&mut self, cgroup: CgroupId, labels: &Arc<Labels>, total: &Usage) {
        let labels = braced(labels);
        let has_place = self.series.contains_key(&labels) || self.series.len() < self.most;
        let is_known = self.cgroups.contains_key(&cgroup);
        if !has_place || !is_known && self.cgroups.len() >= self.most.saturating_mul(CGROUPS_EACH) {
            self.refused.0 += 1;
            return;
        }
        let (before, heard) = self.cgroups.entry(cgroup).or_default();
        // An id that is used again has begun anew.
        let since = if total.ran < before.ran { *total } else { total.since(before) };
        (*before, *heard) = (*total, true);
        let state = self.series.entry(labels).or_insert_with_key(|labels| State::new(labels.clone()));
        state.heard = true;
        state.interval.merge(&since);
    }

    /// Ends the interval: what came in it is counted, and what nothing was told of is gone.
    pub fn end_interval(&mut self) {
        self.cgroups.retain(|_, (_, heard)| std::mem::take(heard));
        self.series.retain(|_, state| std::mem::take(&mut state.heard));
        for state in self.series.values_mut() {
            state.end_interval(&self.events);
        }
        self.refused = (0, self.refused.0);
    }

    /// All series, in the order of their labels.
    pub fn series(&self) -> Vec<&Series> {
        let mut series: Vec<_> = self.series.values().map(|state| &state.series).collect();
        series.sort_unstable_by(|one, other| one.labels.cmp(&other.labels));
        series
    }

    /// The text, as of the end of the last interval.
    pub fn render(&self, format: Format) -> String {
        let mut text = String::new();
        render(&mut text, format, &self.events, &self.series(), self.refused.1);
        text
    }
}

impl State {
    fn new(labels: String) -> Self {
        let nothing = Verdict { quality: Quality::Exact, figure: None };
        let series = Series { labels, ran: 0, switches: 0, counts: [0; MAX_COUNTERS], last: [nothing; MAX_COUNTERS] };
        Self { series, interval: Usage::default(), heard: false }
    }

    fn end_interval(&mut self, events: &[Event]) {
        let Self { series, interval, .. } = self;
        series.ran = series.ran.saturating_add(interval.ran);
        series.switches = series.switches.saturating_add(interval.switches);
        let sums = interval.counters.iter().zip(events);
        for ((count, last), (sum, event)) in series.counts.iter_mut().zip(&mut series.last).zip(sums) {
            *last = sum.verdict(&event.counter, interval.ran);
            *count = count.saturating_add(last.figure.unwrap_or(0));
        }
        *interval = Usage::default();
    }
}

/// Writes the text of some series; `left_out` are containers that there was no place for.
pub fn render(text: &mut String, format: Format, events: &[Event], series: &[&Series], left_out: u64) {
    // Writing into a string does not fail.
    let _ = try_render(text, format, events, series, left_out);
}

fn try_render(text: &mut String, format: Format, events: &[Event], series: &[&Series], left_out: u64) -> fmt::Result {
    let is_free = |name: &str, number: usize| {
        !OWN.contains(&name) && events.iter().take(number).all(|before| before.name != name)
    };
    let is_shown = |(number, event): &(usize, &Event)| event.has_valid_name() && is_free(&event.name, *number);
    let events = || events.iter().take(MAX_COUNTERS).enumerate().filter(is_shown);
    let open = format == Format::OpenMetrics;
    head(text, format, "cpu_seconds", "counter", "For how long tasks ran on a processor.")?;
    for Series { labels, ran, .. } in series {
        writeln!(text, "cgroup_perf_cpu_seconds_total{{{labels}}} {}", Seconds(*ran))?;
    }
    head(text, format, "switches", "counter", "How often a processor was taken from tasks.")?;
    for Series { labels, switches, .. } in series {
        writeln!(text, "cgroup_perf_switches_total{{{labels}}} {switches}")?;
    }
    for (number, event) in events() {
        let name = &event.name;
        head(text, format, name, "counter", &format!("What {name} counted, scaled where it shared its counter."))?;
        for series in series {
            let count = series.counts.get(number).copied().unwrap_or(0);
            writeln!(text, "cgroup_perf_{name}_total{{{}}} {count}", series.labels)?;
        }
    }
    let told = "What the last interval of a counter is worth: \
                0 exact, 1 scaled, 2 not counted, 3 stalled, 4 implausible.";
    head(text, format, "quality", "gauge", told)?;
    for series in series {
        for (number, event) in events() {
            let Some(last) = series.last.get(number) else { continue };
            let quality = Quality::ALL.iter().position(|quality| *quality == last.quality).unwrap_or(0);
            writeln!(text, "cgroup_perf_quality{{{},counter=\"{}\"}} {quality}", series.labels, event.name)?;
        }
    }
    let place = |name| events().find(|(_, event)| event.name == name).map(|(number, _)| number);
    let ratios = [
        ("cycles_per_instruction", "cycles", 1.0, "Cycles for each instruction in the last interval."),
        (
            "llc_misses_per_kilo_instruction",
            "llc_misses",
            1_000.0,
            "Misses of the last cache for each thousand instructions in the last interval.",
        ),
    ];
    for (name, above, times, help) in ratios {
        let (Some(above), Some(below)) = (place(above), place("instructions")) else { continue };
        head(text, format, name, "gauge", help)?;
        for series in series {
            if let Some((above, below)) =
                figure(series, above).zip(figure(series, below)).filter(|(_, below)| *below > 0)
            {
                let ratio = above as f64 * times / below as f64;
                writeln!(text, "cgroup_perf_{name}{{{}}} {ratio}", series.labels)?;
            }
        }
    }
    let (kind, suffix) = if open { ("info", "_info") } else { ("gauge", "") };
    let name = if open { "counter" } else { "counter_info" };
    head(text, format, name, kind, "Which event a counter counts on this machine.")?;
    for (_, event) in events() {
        let name = format!("cgroup_perf_{name}{suffix}");
        writeln!(text, "{name}{{counter=\"{}\",event=\"{}\"}} 1", event.name, Escaped(&event.event))?;
    }
    head(text, format, "containers_left_out", "gauge", "Containers that there was no place for.")?;
    writeln!(text, "cgroup_perf_containers_left_out {left_out}")?;
    if open { text.write_str("# EOF\n") } else { Ok(()) }
}

fn head(text: &mut String, format: Format, name: &str, kind: &str, help: &str) -> fmt::Result {
    // In the older text a counter's family has the name of its samples.
    let total = if format == Format::Prometheus && kind == "counter" { "_total" } else { "" };
    writeln!(text, "# HELP cgroup_perf_{name}{total} {help}")?;
    writeln!(text, "# TYPE cgroup_perf_{name}{total} {kind}")?;
    if format == Format::OpenMetrics && name.ends_with("_seconds") {
        writeln!(text, "# UNIT cgroup_perf_{name} seconds")?;
    }
    Ok(())
}

/// A figure of the last interval that is worth a ratio.
fn figure(series: &Series, number: usize) -> Option<u64> {
    let last = series.last.get(number)?;
    matches!(last.quality, Quality::Exact | Quality::Scaled).then_some(last.figure).flatten()
}

fn braced(labels: &Labels) -> String {
    let Labels { namespace, pod, container, container_id, .. } = labels;
    let [namespace, pod, container, id] = [namespace, pod, container, container_id].map(|text| Escaped(text));
    format!("namespace=\"{namespace}\",pod=\"{pod}\",container=\"{container}\",container_id=\"{id}\"")
}

/// A label's value.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for char in self.0.chars() {
            match char {
                '\\' => f.write_str("\\\\")?,
                '"' => f.write_str("\\\"")?,
                '\n' => f.write_str("\\n")?,
                char => f.write_char(char)?,
            }
        }
        Ok(())
    }
}

/// Nanoseconds as seconds, to the last digit.
struct Seconds(u64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{:09}", self.0 % 1_000_000_000);
        let digits = digits.trim_end_matches('0');
        let point = if digits.is_empty() { "" } else { "." };
        write!(f, "{}{point}{digits}", self.0 / 1_000_000_000)
    }
}
