//! A page for a person: how it goes, and the last events, by filters.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use example_host::page::{Column, Health, Page, Part, Row, Table, figures, parts, state};
use example_host::units::{ago, count};
use jiff::Timestamp;
use kube_events::event::Deletion;
use kube_events::pipeline::{Phase, PipelineStatus};
use kube_events::sink::OutletStatus;
use maud::{Markup, html};

use crate::health::State;
use crate::recent::{Filter, Recent, Seen};

const STYLE: &str = include_str!("page.css");
/// Rows at most: more are not read.
const ROWS: usize = 100;
/// Characters of an error that are shown.
const MAX_ERROR: usize = 300;
const LINKS: &[&str] = &["/metrics", "/-/ready", "/-/healthy"];

/// Which cluster.
#[derive(Debug, Clone)]
pub(crate) struct About {
    pub(crate) cluster: String,
    pub(crate) simulated: bool,
}

pub(crate) fn page(about: &About, live: Markup) -> Page<'_> {
    let (simulated, about) = (about.simulated, ("cluster", about.cluster.as_str()));
    Page { title: "event-exporter", style: STYLE, about, simulated, live, links: LINKS }
}

/// What changes.
pub(crate) fn live(how: &State, recent: &Recent, filter: &Filter, now: Timestamp) -> Markup {
    let status = &how.status;
    let lost: u64 = status.outlets.iter().map(|(_, outlet)| outlet.dropped + outlet.refused).sum();
    let waiting: u64 = status.outlets.iter().map(|(_, outlet)| outlet.queued as u64 + outlet.spilled).sum();
    html! {
        (figures(&[
            ("Events", count(status.events)),
            ("Sent nowhere", count(status.unrouted)),
            ("Wait for sinks", count(waiting)),
            ("Dropped or refused", count(lost)),
            ("Gaps", count(status.gaps)),
        ]))
        (parts(&all_parts(how)))
        (events(recent, filter, now))
    }
}

fn all_parts(how: &State) -> Vec<Part> {
    let receivers = how.status.outlets.iter().map(|(name, outlet)| receiver(name, outlet));
    std::iter::once(source(how)).chain(receivers).collect()
}

fn source(how: &State) -> Part {
    let PipelineStatus { phase, synced, failures, error, last_gap, .. } = &how.status;
    let health = match phase {
        _ if how.ended => Health::Failed,
        Phase::Standby => Health::Absent,
        Phase::Stopped => Health::Failed,
        _ if error.is_some() => Health::Failed,
        Phase::Running if !failures.is_empty() => Health::Degraded,
        Phase::Running if *synced => Health::Ok,
        Phase::Running | Phase::Starting => Health::Starting,
    };
    let words = short(&how.at().replace('\n', "; "));
    let part = Part::new("Events of the cluster", health);
    let part = if health.is_bad() { part.reason(words) } else { part.detail(words) };
    match last_gap {
        Some(gap) => part.detail(short(&gap.to_string())),
        None => part,
    }
}

fn receiver(name: &str, outlet: &OutletStatus) -> Part {
    let health = match &outlet.last_error {
        None => Health::Ok,
        Some(_) if outlet.delivered > 0 => Health::Degraded,
        Some(_) => Health::Failed,
    };
    let mut told = format!("{} delivered", count(outlet.delivered));
    let others = [
        (outlet.queued as u64, "wait"),
        (outlet.spilled, "wait on disk"),
        (outlet.dropped, "dropped"),
        (outlet.refused, "refused"),
    ];
    for (number, what) in others.into_iter().filter(|(number, _)| *number > 0) {
        // A String takes any text.
        let _ = write!(told, ", {} {what}", count(number));
    }
    let part = Part::new(name, health).detail(told);
    match &outlet.last_error {
        Some(error) => part.reason(short(error)),
        None => part,
    }
}

fn short(text: &str) -> String {
    let mut short: String = text.chars().take(MAX_ERROR).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

fn events(recent: &Recent, filter: &Filter, now: Timestamp) -> Markup {
    let (events, found, there) = recent.wanted(filter, ROWS);
    let empty = match there {
        0 => "No events yet.",
        _ => "None of the events that are remembered are like that.",
    };
    let table = Table {
        id: "events",
        title: "Last events",
        columns: &[
            Column::text("Object"),
            Column::state("Type"),
            Column::text("Reason"),
            Column::number("Times"),
            Column::number("Last seen"),
        ],
        rows: events.iter().map(|seen| row(seen, now)).collect(),
        empty,
    };
    html! {
        (form(recent, filter))
        p.found {
            span { (showing(events.len(), found, there)) }
            @if !filter.is_empty() { a href="/" { "Show all" } }
        }
        (table.html())
    }
}

fn showing(shown: usize, found: usize, there: usize) -> String {
    match (shown, found) {
        _ if found == there && shown == found => format!("The last {there} events, the newest first."),
        _ if found == there => format!("The newest {shown} of the last {there} events."),
        _ if shown == found => format!("{found} of the last {there} events."),
        _ => format!("The newest {shown} of {found} among the last {there} events."),
    }
}

fn form(recent: &Recent, filter: &Filter) -> Markup {
    let choices = recent.choices();
    let chosen = |type_: &str| filter.type_.eq_ignore_ascii_case(type_);
    let field = |name: &str, label: &str, value: &str, choices: &BTreeSet<String>| {
        let list = format!("{name}-choices");
        html! {
            label {
                (label)
                input name=(name) value=(value) list=(list) autocomplete="off" maxlength="256";
            }
            datalist id=(list) { @for choice in choices { option value=(choice) {} } }
        }
    };
    html! {
        form.filter method="get" action="/" role="search" aria-label="Filter events" {
            label {
                "Type"
                select name="type" {
                    option value="" { "All" }
                    option value="Normal" selected[chosen("Normal")] { "Normal" }
                    option value="Warning" selected[chosen("Warning")] { "Warning" }
                }
            }
            (field("reason", "Reason", &filter.reason, &choices.reasons))
            (field("kind", "Kind", &filter.kind, &choices.kinds))
            (field("namespace", "Namespace", &filter.namespace, &choices.namespaces))
            label {
                "Text"
                input type="search" name="q" value=(filter.text) autocomplete="off" maxlength="256";
            }
            button { "Filter" }
        }
    }
}

fn row(seen: &Seen, now: Timestamp) -> Row {
    let class = match seen.type_.as_str() {
        "Normal" => "good",
        "Warning" => "half",
        _ => "absent",
    };
    let gone = match seen.deletion {
        Deletion::Yes => Some("deleted"),
        Deletion::Terminating => Some("terminating"),
        Deletion::No | Deletion::Unknown => None,
    };
    let cells = [
        html! {
            (seen.kind) " " @if !seen.namespace.is_empty() { (seen.namespace) "/" } (seen.name)
            @if let Some(gone) = gone { " " span.gone { "(" (gone) ")" } }
        },
        state(class, &seen.type_),
        html! { (seen.reason) },
        html! { (count(seen.count.into())) },
        when(seen.time, now),
    ];
    let note = html! {
        (seen.message)
        @if !seen.component.is_empty() { " " span.gone { "from " (seen.component) } }
    };
    Row::new(cells).note(Some(note))
}

/// How long ago; what a clock that is ahead wrote is now.
fn when(time: Option<Timestamp>, now: Timestamp) -> Markup {
    let Some(time) = time else { return html! { "unknown" } };
    let seconds = u64::try_from(now.duration_since(time).as_secs()).unwrap_or_default();
    html! { time datetime=(time.to_string()) { (ago(seconds)) } }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::recent::tests::event;

    fn state_of(set: impl FnOnce(&mut PipelineStatus)) -> State {
        let mut status = PipelineStatus::default();
        set(&mut status);
        State { status, ended: false, stopping: false, elects: false, beginning_for: Duration::ZERO }
    }

    fn text(recent: &Recent, filter: &Filter) -> String {
        live(&state_of(|_| ()), recent, filter, Timestamp::UNIX_EPOCH).into_string()
    }

    #[test]
    fn what_events_and_visitors_write_is_escaped() {
        let hostile = "</td><script>alert(1)</script><img src=x onerror='alert(2)'>\"";
        let recent = Recent::new(10);
        recent.add(&event(hostile, hostile));
        let filter = Filter { reason: "<script>\"".to_owned(), text: "\"><script>".to_owned(), ..Filter::default() };
        for filter in [Filter::default(), filter] {
            let text = text(&recent, &filter);
            assert!(!text.contains("<script") && !text.contains("<img"), "{text}");
        }
        let text = text(&recent, &Filter::default());
        assert!(text.contains("&lt;script&gt;alert(1)") && text.contains("option value=\"&lt;/td&gt;"), "{text}");
    }

    #[test]
    fn filters_are_kept_in_the_form_and_told() {
        let recent = Recent::new(10);
        recent.add(&event("BackOff", "a"));
        recent.add(&event("Killing", "b"));
        let filter = Filter { reason: "back".to_owned(), type_: "Warning".to_owned(), ..Filter::default() };
        let filtered = text(&recent, &filter);
        for part in
            ["name=\"reason\" value=\"back\"", "value=\"Warning\" selected", "1 of the last 2 events", "Show all"]
        {
            assert!(filtered.contains(part), "{part} in {filtered}");
        }
        assert!(filtered.contains("(deleted)"), "{filtered}");
        let all = text(&recent, &Filter::default());
        assert!(all.contains("The last 2 events") && !all.contains("Show all"), "{all}");
        let none = text(&recent, &Filter { kind: "Node".to_owned(), ..Filter::default() });
        assert!(none.contains("None of the events"), "{none}");
    }

    #[test]
    fn receivers_and_source_tell_how_they_are() {
        let part = |set: fn(&mut OutletStatus)| {
            let mut outlet = OutletStatus::default();
            set(&mut outlet);
            let part = receiver("hook", &outlet);
            (part.health, part.detail.unwrap_or_default())
        };
        assert_eq!(part(|outlet| outlet.delivered = 1234), (Health::Ok, "1,234 delivered".to_owned()));
        let failing = part(|outlet| (outlet.last_error, outlet.queued) = (Some("503".into()), 7));
        assert_eq!(failing, (Health::Failed, "0 delivered, 7 wait".to_owned()));
        assert_eq!(part(|outlet| (outlet.last_error, outlet.delivered) = (Some("503".into()), 7)).0, Health::Degraded);

        let health = |set: fn(&mut PipelineStatus)| source(&state_of(set)).health;
        assert_eq!(health(|status| status.phase = Phase::Standby), Health::Absent);
        assert_eq!(health(|status| status.phase = Phase::Running), Health::Starting);
        assert_eq!(health(|status| (status.phase, status.synced) = (Phase::Running, true)), Health::Ok);
        assert_eq!(health(|status| status.error = Some("x".to_owned())), Health::Failed);
        let degraded = health(|status| {
            (status.phase, status.synced) = (Phase::Running, true);
            status.failures = [("".into(), "HTTP status 500".to_owned())].into();
        });
        assert_eq!(degraded, Health::Degraded);
    }
}
