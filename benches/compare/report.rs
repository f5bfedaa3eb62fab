//! What was measured, as tables, plots and JSON.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use jiff::Zoned;
use serde::Serialize;

use crate::growth::Growth;
use crate::plot::{self, Line, Panel};
use crate::table::Table;
use crate::{cgroups, events, state};

/// All of a run.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    pub(crate) conditions: Conditions,
    pub(crate) state: Vec<state::Row>,
    pub(crate) events: Vec<events::Row>,
    pub(crate) cgroups: Vec<cgroups::Row>,
    pub(crate) failures: Vec<Failure>,
}

/// What could not be measured.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Failure {
    pub(crate) program: String,
    /// Under what condition: `10000 pods`.
    pub(crate) at: String,
    pub(crate) error: String,
}

/// What must be known to do it again.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Conditions {
    pub(crate) date: String,
    pub(crate) machine: String,
    pub(crate) command: String,
    pub(crate) state: String,
    pub(crate) events: String,
    pub(crate) cgroups: String,
}

impl Conditions {
    /// Now, and here.
    pub(crate) fn now(real: bool, state: &state::Effort, events: &events::Effort, cgroups: &cgroups::Effort) -> Self {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        Self {
            date: Zoned::now().strftime("%Y-%m-%d").to_string(),
            machine: String::new(),
            command: format!("compare {}", arguments.join(" ")),
            state: if real {
                "a real cluster, as it is".to_owned()
            } else {
                format!("{} things happen per second for {} s", state.churn, state.watched.as_secs())
            },
            events: format!(
                "{} s of events about {} pods; {} s are waited",
                events.seconds,
                events.pods,
                events.wait.as_secs()
            ),
            cgroups: format!("{} s, a scrape each second", cgroups.seconds),
        }
    }

    /// What the machine is, and how busy it was.
    pub(crate) fn look_at_the_machine(&mut self, took: Duration) {
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let memory = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
            let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
            line.trim().trim_end_matches(" kB").parse::<f64>().ok()
        });
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        self.machine = format!(
            "{cores} cores, {:.0} GiB, Linux {}, load {} after {} minutes",
            memory.unwrap_or(0.0) / 1024.0 / 1024.0,
            kernel.trim(),
            load.split(' ').next().unwrap_or("unknown"),
            took.as_secs() / 60
        );
    }
}

type Figure<R> = (&'static str, fn(&R) -> Option<f64>);

/// A line of the table and a plot for each.
const STATE: [Figure<state::Row>; 12] = [
    ("CPU until complete, s", |row| Some(row.cpu_until_complete_s)),
    ("time until complete, s", |row| Some(row.wall_until_complete_s)),
    ("resident memory, MB", |row| Some(row.resident_mb)),
    ("most memory until complete, MB", |row| Some(row.peak_until_complete_mb)),
    ("a plain scrape, MB", |row| Some(row.plain.mb)),
    ("CPU for a plain scrape, s", |row| Some(row.plain.cpu_s)),
    ("time for a plain scrape, s", |row| Some(row.plain.wall_s)),
    ("a gzip scrape, MB", |row| Some(row.gzip.mb)),
    ("CPU for a gzip scrape, s", |row| Some(row.gzip.cpu_s)),
    ("time for a gzip scrape, s", |row| Some(row.gzip.wall_s)),
    ("cores while things happen", |row| row.living.map(|living| living.cores)),
    ("most memory in all, MB", |row| row.living.map(|living| living.peak_mb)),
];

const EVENTS: [Figure<events::Row>; 15] = [
    ("new events", |row| Some(row.tally.happened as f64)),
    ("of them delivered", |row| Some(row.tally.delivered as f64)),
    ("never delivered within the wait", |row| Some(row.tally.never as f64)),
    ("events whose count rose", |row| Some(row.tally.again_happened as f64)),
    ("of them delivered again", |row| Some(row.tally.again_delivered as f64)),
    ("delivered twice", |row| Some(row.tally.twice as f64)),
    ("delivered with the object's labels", |row| Some(row.tally.labelled as f64)),
    ("from the event to the webhook, median, ms", |row| row.tally.median_ms),
    ("the same, 99 %, ms", |row| row.tally.most_ms),
    ("CPU, s", |row| Some(row.cpu_s)),
    ("CPU per 1,000 events delivered, s", |row| row.cpu_s_per_1000_delivered),
    ("resident memory, MB", |row| Some(row.resident_mb)),
    ("most memory, MB", |row| Some(row.peak_mb)),
    ("requests to the API server", |row| Some(row.requests as f64)),
    ("of them objects read", |row| Some(row.objects_read as f64)),
];

/// Of the figures of events, those that are plotted.
const PLOTTED: [&str; 6] = [
    "never delivered within the wait",
    "from the event to the webhook, median, ms",
    "the same, 99 %, ms",
    "CPU per 1,000 events delivered, s",
    "most memory, MB",
    "requests to the API server",
];

const CGROUPS: [Figure<cgroups::Row>; 12] = [
    ("cores that the cgroups take", |row| Some(row.load_cores)),
    ("cores of the agent", |row| Some(row.cores)),
    ("cores of its programs in the kernel", |row| row.kernel_cores),
    ("runs of these programs per second", |row| row.kernel_runs_per_s),
    ("programs in the kernel", |row| Some(row.kernel_programs as f64)),
    ("resident memory, MB", |row| Some(row.resident_mb)),
    ("most memory, MB", |row| Some(row.peak_mb)),
    ("a scrape, kB", |row| Some(row.scrape_kb)),
    ("series in it", |row| Some(row.series as f64)),
    ("of them of these cgroups", |row| Some(row.series_of_cgroups as f64)),
    ("cgroups that are named in it", |row| Some(row.cgroups_told as f64)),
    ("cgroups that there are", |row| Some(f64::from(row.cgroups))),
];

impl Report {
    /// Sorts what was measured: ours is always first.
    pub(crate) fn sort(&mut self) {
        self.state.sort_by_key(|row| (row.pods, row.program != "ksm-exporter"));
        self.events.sort_by_key(|row| {
            (row.setting != events::SETTINGS[0].name, row.events_per_second, row.program != "event-exporter")
        });
        self.cgroups.sort_by_key(|row| (row.cgroups, row.program != "node-agent"));
    }

    pub(crate) fn markdown(&self) -> String {
        let conditions = &self.conditions;
        let mut text = format!("{}; {}\n\n`{}`\n", conditions.date, conditions.machine, conditions.command);
        if !self.state.is_empty() {
            let _ = writeln!(text, "\n## State\n\n{}.\n", conditions.state);
            let heads = self.state.iter().map(|row| format!("{}, {} pods", row.program, row.pods));
            text.push_str(&table(heads, &self.state, &STATE).markdown());
            if let Some(growth) = self.growth() {
                text.push_str("\nBy the straight line that is nearest to these sizes:\n\n");
                text.push_str(&growth.markdown());
            }
        }
        for setting in events::SETTINGS {
            let rows: Vec<&events::Row> = self.events.iter().filter(|row| row.setting == setting.name).collect();
            if !rows.is_empty() {
                let _ = writeln!(text, "\n## Events, {}\n\n{}; {}.\n", setting.name, conditions.events, setting.told);
                let heads = rows.iter().map(|row| format!("{}, {}/s", row.program, row.events_per_second));
                text.push_str(&table(heads, rows.iter().copied(), &EVENTS).markdown());
            }
        }
        if !self.cgroups.is_empty() {
            let _ = writeln!(text, "\n## Cgroups\n\n{}.\n", conditions.cgroups);
            let heads = self.cgroups.iter().map(|row| format!("{}, {} cgroups", row.program, row.cgroups));
            text.push_str(&table(heads, &self.cgroups, &CGROUPS).markdown());
            if let Some(row) = self.cgroups.iter().find(|row| !row.samplers.is_empty()) {
                let _ = writeln!(text, "\nSamplers of {}: {}.", row.program, row.samplers.join("; "));
            }
        }
        if !self.failures.is_empty() {
            text.push_str("\n## Not measured\n\n");
            for failure in &self.failures {
                let _ =
                    writeln!(text, "- {}, {}: {}", failure.program, failure.at, failure.error.replace('\n', "\n  "));
            }
        }
        text
    }

    /// What 1,000 pods cost; none of a single size.
    fn growth(&self) -> Option<Table> {
        let programs = programs(&self.state, |row| &row.program);
        let heads =
            programs.iter().flat_map(|program| [format!("{program}, per 1,000 pods"), format!("{program}, with none")]);
        let mut table = Table::new(heads);
        for (name, figure) in STATE {
            let grown: Vec<Option<Growth>> = programs
                .iter()
                .map(|program| {
                    let rows = self.state.iter().filter(|row| row.program == *program);
                    let points = rows.filter_map(|row| Some((row.pods as f64 / 1e3, figure(row)?)));
                    Growth::of(&points.collect::<Vec<_>>())
                })
                .collect();
            if grown.iter().any(Option::is_some) {
                table.numbers(
                    name,
                    grown
                        .iter()
                        .flat_map(|growth| [growth.map(|growth| growth.per_unit), growth.map(|growth| growth.fixed)]),
                );
            }
        }
        (!table.is_empty()).then_some(table)
    }

    /// Writes all of it.
    pub(crate) fn write(&self, directory: &Path) -> Result<()> {
        let write = |name: &str, text: &str| {
            let path = directory.join(name);
            std::fs::write(&path, text).with_context(|| format!("{} can't be written", path.display()))
        };
        write("compare.md", &self.markdown())?;
        write("compare.json", &serde_json::to_string_pretty(self)?)?;
        let state = panels(&self.state, "pods", &STATE, |row| (row.program.clone(), row.pods as f64));
        let figures: Vec<Figure<events::Row>> = EVENTS.into_iter().filter(|(name, _)| PLOTTED.contains(name)).collect();
        let cgroups =
            panels(&self.cgroups, "cgroups", &CGROUPS[1..10], |row| (row.program.clone(), f64::from(row.cgroups)));
        for (name, panels) in [("state.svg", state), ("cgroups.svg", cgroups)] {
            if !panels.is_empty() {
                plot::write(&panels, &directory.join(name))?;
            }
        }
        let events = panels(&self.events, "events per second", &figures, |row| {
            (format!("{}, {}", row.program, row.setting), f64::from(row.events_per_second))
        });
        if !events.is_empty() {
            plot::write(&events, &directory.join("events.svg"))?;
        }
        Ok(())
    }
}

fn table<'a, R: 'a>(
    heads: impl Iterator<Item = String>,
    rows: impl IntoIterator<Item = &'a R>,
    figures: &[Figure<R>],
) -> Table {
    let rows: Vec<&R> = rows.into_iter().collect();
    let mut table = Table::new(heads);
    for (name, figure) in figures {
        table.numbers(name, rows.iter().map(|row| figure(row)));
    }
    table
}

/// All names, each once, in their order.
fn programs<R>(rows: &[R], name: impl Fn(&R) -> &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for row in rows {
        if !names.iter().any(|known| known == name(row)) {
            names.push(name(row).to_owned());
        }
    }
    names
}

/// A plot for each figure, where there is more than one size.
fn panels<R>(
    rows: &[R],
    x_title: &'static str,
    figures: &[Figure<R>],
    place: impl Fn(&R) -> (String, f64),
) -> Vec<Panel> {
    let placed: Vec<(String, f64, &R)> = rows.iter().map(|row| (place(row).0, place(row).1, row)).collect();
    let names = programs(&placed, |(name, _, _)| name);
    if placed.iter().all(|(_, x, _)| placed.first().is_some_and(|first| first.1.total_cmp(x).is_eq())) {
        return Vec::new();
    }
    let panel = |(title, figure): &Figure<R>| {
        let line = |name: &String| {
            let of = placed.iter().filter(|(program, _, _)| program == name);
            Line { name: name.clone(), points: of.filter_map(|(_, x, row)| Some((*x, figure(row)?))).collect() }
        };
        Panel { title: (*title).to_owned(), x_title, lines: names.iter().map(line).collect() }
    };
    figures.iter().map(panel).collect()
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
