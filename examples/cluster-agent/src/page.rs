//! The page at `/`: how every part is doing, who talks most, and what is watched.

use example_host::page::{Column, History, Page, Row as Cells, Table, bar, figures, outputs, parts, state};
use example_host::units::{age, ago, bytes, count};
use maud::{Markup, html};

use crate::events::{EventStatus, Reason, SinkRow};
use crate::status::{PushStatus, Row, State, Status};
use crate::usage::{Talker, UsageStatus};

const LINKS: &[&str] =
    &["/metrics", "/status.json", "/self/metrics", "/-/healthy", "/-/ready", "/healthz", "/livez", "/readyz"];

const OUTPUTS: &[(&str, &str)] = &[
    ("/metrics", "everything: Prometheus' text, OpenMetrics or protobuf by Accept, compressed where accepted"),
    ("/metrics?resources=usage", "what kubelets say of nodes, pods, containers and volumes"),
    ("/metrics?resources=eventcounts", "how often events occurred"),
    ("/self/metrics", "the agent itself"),
    ("/status.json", "this page as data"),
    ("/-/ready", "whether all parts have begun"),
    ("/-/healthy", "how each part is"),
];

/// The page.
pub(crate) fn page<'a>(status: &'a Status, history: &History) -> Page<'a> {
    Page {
        title: "cluster-agent",
        style: "",
        about: ("cluster", &status.cluster),
        simulated: status.simulated,
        live: live(status, history),
        links: LINKS,
    }
}

/// What changes.
pub(crate) fn live(status: &Status, history: &History) -> Markup {
    let totals = &status.totals;
    let mut numbers = vec![
        ("Synced", format!("{} of {}", totals.synced, status.resources.len())),
        ("Objects", count(totals.objects as u64)),
        ("Series", count(status.series)),
        ("Memory", bytes(status.bytes as u64)),
        ("Changes", count(totals.events)),
        ("Errors", count(totals.errors)),
        ("Up for", age(status.uptime_seconds)),
    ];
    numbers.extend(status.shard.clone().map(|shard| ("Shard", shard)));
    html! {
        (figures(&numbers))
        (parts(&status.parts))
        (history.html())
        @if let Some(usage) = &status.usage { (talkers(usage)) }
        @if let Some(events) = &status.events { (of_events(events)) }
        (resources(&status.resources))
        (outputs(OUTPUTS))
        @if let Some(push) = &status.push { (pushed(push)) }
    }
}

fn talkers(usage: &UsageStatus) -> Markup {
    const COLUMNS: &[Column<'_>] = &[
        Column::text("Pod"),
        Column::text("Namespace"),
        Column::text("Node"),
        Column::number("Processor"),
        Column::number("Memory"),
    ];
    let rows = |talkers: &[Talker], by_cpu: bool| {
        let share = |talker: &Talker| if by_cpu { talker.cpu_cores } else { talker.memory_bytes as f64 };
        let most = talkers.first().map_or(0.0, share);
        let row = |talker: &Talker| {
            let bar = bar(share(talker), most);
            let (cpu, memory) = (cores(talker.cpu_cores), bytes(talker.memory_bytes));
            Cells::new([
                html! { (talker.pod) },
                html! { (talker.namespace) },
                html! { (talker.node) },
                html! { (cpu) @if by_cpu { (bar) } },
                html! { (memory) @if !by_cpu { (bar) } },
            ])
        };
        talkers.iter().map(row).collect()
    };
    let empty = "No kubelet has told anything yet.";
    let cpu =
        Table { id: "top-cpu", title: "Most processor", columns: COLUMNS, rows: rows(&usage.top_cpu, true), empty };
    let memory =
        Table { id: "top-memory", title: "Most memory", columns: COLUMNS, rows: rows(&usage.top_memory, false), empty };
    html! { (cpu.html()) (memory.html()) }
}

fn cores(cores: f64) -> String {
    if cores < 1.0 { format!("{:.0}m", cores * 1000.0) } else { format!("{cores:.2}") }
}

fn of_events(events: &EventStatus) -> Markup {
    let most = events.top.first().map_or(0, |reason| reason.occurrences);
    let reason = |reason: &Reason| {
        let bar = bar(reason.occurrences as f64, most as f64);
        Cells::new([
            html! { (reason.reason) },
            html! { (reason.type_) },
            html! { (reason.kind) },
            html! { (count(reason.occurrences)) (bar) },
        ])
    };
    let columns = [Column::text("Reason"), Column::text("Type"), Column::text("Of"), Column::number("Occurrences")];
    let rows = events.top.iter().map(reason).collect();
    let empty = "No event occurred since the agent began to count.";
    let reasons = Table { id: "top-events", title: "Most frequent events", columns: &columns, rows, empty };
    let sink = |sink: &SinkRow| {
        let (class, word) = if sink.error.is_some() { ("bad", "failing") } else { ("good", "ok") };
        let note = sink.error.as_ref().map(|error| html! { span.error { (error) } });
        let numbers = [sink.delivered, sink.queued, sink.dropped + sink.refused, sink.failures].map(count);
        let cells = [html! { (sink.name) }, state(class, word)].into_iter();
        Cells::new(cells.chain(numbers.map(|number| html! { (number) }))).note(note)
    };
    let columns = [
        Column::text("Sink"),
        Column::state("State"),
        Column::number("Delivered"),
        Column::number("Waiting"),
        Column::number("Lost"),
        Column::number("Failures"),
    ];
    let rows = events.sinks.iter().map(sink).collect();
    let sinks = Table { id: "sinks", title: "Sinks of events", columns: &columns, rows, empty: "" };
    html! {
        (reasons.html())
        @if !events.sinks.is_empty() { (sinks.html()) }
    }
}

fn pushed(push: &PushStatus) -> Markup {
    html! {
        section aria-labelledby="push" {
            h2 id="push" { "Pushed by OTLP" }
            (figures(&[
                ("Accepted", count(push.sent)),
                ("Rejected", count(push.rejected)),
                ("Dropped", count(push.dropped)),
                ("Waiting", count(push.queued as u64)),
            ]))
        }
    }
}

fn resources(resources: &[Row]) -> Markup {
    let namespaces = resources.iter().any(|resource| resource.namespace.is_some());
    let numbers = ["Objects", "Series", "Memory", "Changes", "Last change"].map(Column::number);
    let columns: Vec<Column<'_>> = [Column::text("Resource")]
        .into_iter()
        .chain(namespaces.then_some(Column::text("Namespace")))
        .chain([Column::state("State")])
        .chain(numbers)
        .collect();
    let row = |resource: &Row| {
        let name = html! { a href=(format!("/metrics?resources={}", resource.resource)) { (resource.resource) } };
        let namespace = html! { (resource.namespace.as_deref().unwrap_or("all")) };
        let last = resource.last_event_seconds.map_or_else(|| "never".to_owned(), ago);
        let numbers = [
            count(resource.objects as u64),
            count(resource.series),
            bytes(resource.bytes as u64),
            count(resource.events),
            last,
        ];
        let cells = [name].into_iter().chain(namespaces.then_some(namespace)).chain([how(resource)]);
        let has_note = resource.last_error.is_some() || resource.skipped > 0;
        Cells::new(cells.chain(numbers.map(|number| html! { (number) }))).note(has_note.then(|| note(resource)))
    };
    let rows = resources.iter().map(row).collect();
    let empty = "Nothing is watched.";
    Table { id: "watched", title: "Watched resources", columns: &columns, rows, empty }.html()
}

fn how(resource: &Row) -> Markup {
    html! {
        (state(resource.state.class(), resource.state.word()))
        @match (resource.state, resource.synced_seconds) {
            (State::Synced, Some(seconds)) => { " " span.since { "for " (age(seconds)) } }
            (State::Listing, _) if resource.listing > 0 => { " " span.since { (count(resource.listing)) " so far" } }
            (State::Failing, None) => { " " span.since { "not listed yet" } }
            _ => {}
        }
    }
}

/// What went wrong, even when it is over.
fn note(resource: &Row) -> Markup {
    html! {
        @if let Some(error) = &resource.last_error {
            span.error { (error.message) }
            " "
            span.since { (ago(error.seconds)) ", " (count(resource.errors)) " in all" }
        }
        @if resource.skipped > 0 {
            " " span.error { (count(resource.skipped)) " objects could not be read" }
        }
    }
}

#[cfg(test)]
mod tests;
