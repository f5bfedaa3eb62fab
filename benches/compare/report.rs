//! The table.

use std::fmt::Write;

use jiff::Zoned;

use crate::state_metrics::{Effort, Row};

/// What must be known to do it again.
#[derive(Debug)]
pub(crate) struct Conditions {
    pub(crate) date: String,
    pub(crate) machine: String,
    pub(crate) cluster: String,
}

impl Conditions {
    pub(crate) fn of(real: bool, effort: &Effort) -> Self {
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let memory = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
            let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
            line.trim().trim_end_matches(" kB").parse::<f64>().ok()
        });
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        Self {
            date: Zoned::now().strftime("%Y-%m-%d").to_string(),
            machine: format!(
                "{cores} cores, {:.0} GiB, load {} at the end",
                memory.unwrap_or(0.0) / 1024.0 / 1024.0,
                load.split(' ').next().unwrap_or("unknown")
            ),
            cluster: if real {
                "a real one".to_owned()
            } else {
                format!("simulated, JSON only, {} events per second for {} s", effort.churn, effort.watched.as_secs())
            },
        }
    }
}

type Figure = (&'static str, fn(&Row) -> Option<f64>);

/// What the table has, one line each.
const FIGURES: [Figure; 12] = [
    ("CPU until complete, s", |row| Some(row.cpu_until_complete_s)),
    ("time until complete, s", |row| Some(row.wall_until_complete_s)),
    ("resident memory, MB", |row| Some(row.resident_mb)),
    ("most memory until complete, MB", |row| Some(row.peak_until_complete_mb)),
    ("a plain scrape, MB", |row| Some(row.plain.mb)),
    ("CPU for it, s", |row| Some(row.plain.cpu_s)),
    ("time for it, s", |row| Some(row.plain.wall_s)),
    ("a gzip scrape, MB", |row| Some(row.gzip.mb)),
    ("CPU for it, s", |row| Some(row.gzip.cpu_s)),
    ("time for it, s", |row| Some(row.gzip.wall_s)),
    ("cores while things happen", |row| row.living.map(|living| living.cores)),
    ("most memory in all, MB", |row| row.living.map(|living| living.peak_mb)),
];

/// A table of all programs and sizes: one column each.
pub(crate) fn markdown(rows: &[Row], conditions: &Conditions) -> String {
    let mut text = format!("{}; {}; the cluster: {}.\n\n|", conditions.date, conditions.machine, conditions.cluster);
    for row in rows {
        let _ = write!(text, " | {}, {} pods", row.program, row.pods);
    }
    text.push_str(" |\n|---");
    text.push_str(&"|---:".repeat(rows.len()));
    text.push_str("|\n");
    for (name, figure) in FIGURES {
        let _ = write!(text, "| {name}");
        for row in rows {
            let _ = write!(text, " | {}", figure(row).map_or_else(|| "–".to_owned(), short));
        }
        text.push_str(" |\n");
    }
    text
}

/// Three digits that count.
fn short(value: f64) -> String {
    match value {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value if value >= 1.0 => format!("{value:.2}"),
        value => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state_metrics::Living;

    #[test]
    fn a_table_has_a_column_for_each_program_and_says_what_was_not_measured() {
        let ours = Row { program: "ours".into(), pods: 1000, cpu_until_complete_s: 0.123_4, ..Row::default() };
        let living = Some(Living { cores: 0.5, peak_mb: 416.4 });
        let peer = Row { program: "peer".into(), pods: 1000, cpu_until_complete_s: 12.34, living, ..Row::default() };
        let conditions = Conditions { date: "2026-01-02".into(), machine: "2 cores".into(), cluster: "none".into() };
        let text = markdown(&[ours, peer], &conditions);
        assert!(
            text.starts_with("2026-01-02; 2 cores; the cluster: none.\n\n| | ours, 1000 pods | peer, 1000 pods |\n")
        );
        assert!(text.contains("\n|---|---:|---:|\n"));
        assert!(text.contains("\n| CPU until complete, s | 0.123 | 12.3 |\n"));
        assert!(text.ends_with("\n| most memory in all, MB | – | 416 |\n"));
    }
}
