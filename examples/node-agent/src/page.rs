//! The page at `/`, and what it plots.

use std::sync::Arc;

use example_host::page::{
    Column, Health, History, Kind, Page, Row as Cells, Table, Track, bar, figures, of_bytes, outputs, parts,
};
use example_host::units::{age, count};
use maud::{Markup, html};

use crate::status::{Row, Status, Watched};

const OUTPUTS: &[(&str, &str)] = &[
    ("/metrics", "containers, counters and usage: Prometheus' text, or OpenMetrics by Accept"),
    ("/self/metrics", "the agent itself"),
    ("/status.json", "this page as data"),
    ("/-/ready", "whether all parts have begun, and one works"),
    ("/-/healthy", "how each part is"),
];

const CPI: &str = "Cycles per instruction";
const MEMORY: &str = "Memory of the node";
const SAMPLES: &str = "Samples to files";

const TRACKS: &[Track] = &[
    Track { title: "Processor of containers", kind: Kind::Gauge, show: cores },
    Track { title: "Switches", kind: Kind::Gauge, show: per_second },
    Track { title: CPI, kind: Kind::Gauge, show: two },
    Track { title: "Containers", kind: Kind::Gauge, show: number },
    Track { title: MEMORY, kind: Kind::Gauge, show: of_bytes },
    Track { title: SAMPLES, kind: Kind::Counter, show: per_second },
];

fn cores(value: f64) -> String {
    if value < 1.0 { format!("{:.0}m", value * 1_000.0) } else { format!("{value:.2}") }
}

fn per_second(value: f64) -> String {
    format!("{value:.0}/s")
}

fn two(value: f64) -> String {
    format!("{value:.2}")
}

fn number(value: f64) -> String {
    format!("{value:.0}")
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
    let counted = |value: f64| (!status.top_cpu.is_empty()).then_some(value);
    [
        counted(status.cores),
        counted(status.switches_per_second),
        status.cycles_per_instruction,
        Some(status.containers as f64),
        status.memory_bytes.map(|bytes| bytes as f64),
        status.samples.map(|samples| samples as f64),
    ]
}

/// The page.
pub(crate) fn page<'a>(status: &'a Status, history: &History) -> Page<'a> {
    Page {
        title: "node-agent",
        style: "",
        about: ("node", &status.node),
        simulated: status.simulated,
        live: live(status, history),
        // Each stands among the outputs, with what it is.
        links: &[],
    }
}

/// What changes.
pub(crate) fn live(status: &Status, history: &History) -> Markup {
    let unknown = || "–".to_owned();
    let mut numbers = vec![
        ("Containers", count(status.containers as u64)),
        ("With names", count(status.named as u64)),
        ("Processor", if status.top_cpu.is_empty() { unknown() } else { cores(status.cores) }),
        ("Pods by kubelet", status.pods.map_or_else(unknown, |pods| count(pods as u64))),
        ("Up for", age(status.uptime_seconds)),
    ];
    if status.has_cpi {
        numbers.insert(3, ("CPI", status.cycles_per_instruction.map_or_else(unknown, two)));
    }
    if let Some(samples) = status.samples {
        numbers.push(("Samples", count(samples)));
    }
    let told: Vec<_> = status.parts.iter().cloned().chain([status.configuration.part("configuration")]).collect();
    html! {
        (figures(&numbers))
        (parts(&told))
        (history.html_of(|title| has_values(status, title)))
        (talkers(status, "top-cpu", "Most processor", &status.top_cpu, |row| Some(row.cores)))
        @if status.has_cpi {
            (talkers(status, "top-cpi", "Most cycles per instruction", &status.top_cpi, |row| row.cycles_per_instruction))
        }
        @if status.has_misses {
            (talkers(status, "top-misses", "Most misses of the last cache", &status.top_misses,
                |row| row.misses_per_kilo_instruction))
        }
        (outputs(OUTPUTS))
    }
}

/// Whether a track can have values: what is not counted, or switched off, has no plot.
fn has_values(status: &Status, title: &str) -> bool {
    match title {
        CPI => status.has_cpi,
        MEMORY => status.parts.iter().any(|part| part.name == "kubelet" && part.health != Health::Absent),
        SAMPLES => status.samples.is_some(),
        _ => true,
    }
}

fn talkers(status: &Status, id: &str, title: &str, rows: &[Row], by: fn(&Row) -> Option<f64>) -> Markup {
    let mut columns = vec![Column::text("Container"), Column::text("Namespace"), Column::number("Processor")];
    if status.has_cpi {
        columns.push(Column::number("CPI"));
    }
    if status.has_misses {
        columns.push(Column::number("Misses per 1,000 instructions"));
    }
    columns.push(Column::number("Switches"));
    let most = rows.first().and_then(by).unwrap_or_default();
    let show = |figure: Option<f64>| figure.map_or_else(|| "–".to_owned(), two);
    let row = |row: &Row| {
        let mut cells = vec![html! { (row.name()) }, html! { (row.namespace) }, html! { (cores(row.cores)) }];
        if status.has_cpi {
            cells.push(html! { (show(row.cycles_per_instruction)) });
        }
        if status.has_misses {
            cells.push(html! { (show(row.misses_per_kilo_instruction)) });
        }
        cells.push(html! { (per_second(row.switches_per_second)) });
        // A bar beside what they are ranked by.
        let place = columns.iter().position(|column| *column == ranked(id));
        if let Some(cell) = place.and_then(|place| cells.get_mut(place)) {
            *cell = html! { (cell) (bar(by(row).unwrap_or_default(), most)) };
        }
        Cells::new(cells)
    };
    let rows = rows.iter().map(row).collect();
    Table { id, title, columns: &columns, rows, empty: "Nothing is counted yet." }.html()
}

fn ranked(id: &str) -> Column<'static> {
    Column::number(match id {
        "top-cpi" => "CPI",
        "top-misses" => "Misses per 1,000 instructions",
        _ => "Processor",
    })
}
