//! The page at `/`: how every watched resource is doing.
//!
//! It is whole without a script. With one, `page.js` fetches the page's live part (`/live`) every two seconds and puts
//! it in place of the old one where something changed.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::status::{Row, State, Status};
use crate::units::{age, bytes, count};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The whole page. `nonce` is that of its content security policy.
pub(crate) fn page(status: &Status, nonce: &str) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "cluster-agent" }
                // An empty icon, so that browsers ask for none.
                link rel="icon" href="data:,";
                style nonce=(nonce) { (PreEscaped(STYLE)) }
                noscript { meta http-equiv="refresh" content="10"; }
            }
            body {
                header {
                    h1 { "cluster-agent" }
                    p.cluster {
                        @if status.simulated {
                            strong.badge.sim { "simulated cluster" } " "
                        } @else {
                            strong.badge { "cluster" } " "
                        }
                        span { (status.cluster) }
                    }
                }
                main id="live" aria-busy="false" { (live(status)) }
                footer {
                    nav aria-label="Endpoints" {
                        a href="/metrics" { "/metrics" }
                        a href="/status.json" { "/status.json" }
                        a href="/self/metrics" { "/self/metrics" }
                        a href="/healthz" { "/healthz" }
                        a href="/livez" { "/livez" }
                        a href="/readyz" { "/readyz" }
                    }
                    p id="stale" role="status" hidden { "The agent does not answer: this is what it said last." }
                }
                script nonce=(nonce) { (PreEscaped(SCRIPT)) }
            }
        }
    }
}

/// What changes.
pub(crate) fn live(status: &Status) -> Markup {
    let totals = &status.totals;
    let namespaces = status.resources.iter().any(|resource| resource.namespace.is_some());
    html! {
        dl.totals {
            (total("Synced", &format!("{} of {}", totals.synced, status.resources.len())))
            (total("Objects", &count(totals.objects as u64)))
            (total("Series", &count(totals.series)))
            (total("Memory", &bytes(totals.bytes as u64)))
            (total("Events", &count(totals.events)))
            (total("Errors", &count(totals.errors)))
            (total("Up for", &age(status.uptime_seconds)))
        }
        div.table tabindex="0" role="region" aria-labelledby="watched" {
            // Roles are said, since browsers forget a table's own where the narrow layout makes it a block.
            table role="table" {
                caption id="watched" { "Watched resources" }
                thead role="rowgroup" {
                    tr role="row" {
                        th role="columnheader" scope="col" { "Resource" }
                        @if namespaces { th role="columnheader" scope="col" { "Namespace" } }
                        th role="columnheader" scope="col" { "State" }
                        th.number role="columnheader" scope="col" { "Objects" }
                        th.number role="columnheader" scope="col" { "Series" }
                        th.number role="columnheader" scope="col" { "Memory" }
                        th.number role="columnheader" scope="col" { "Events" }
                        th.number role="columnheader" scope="col" { "Last event" }
                    }
                }
                tbody role="rowgroup" {
                    @for resource in &status.resources { (row(resource, namespaces)) }
                }
            }
        }
    }
}

fn total(name: &str, value: &str) -> Markup {
    html! { div { dt { (name) } dd { (value) } } }
}

fn row(resource: &Row, namespaces: bool) -> Markup {
    let columns = if namespaces { "8" } else { "7" };
    html! {
        tr role="row" {
            th role="rowheader" scope="row" { a href=(format!("/metrics?resources={}", resource.resource)) { (resource.resource) } }
            @if namespaces { td.namespace role="cell" { (resource.namespace.as_deref().unwrap_or("all")) } }
            td.status role="cell" { (state(resource)) }
            td.number role="cell" data-name="Objects" { (count(resource.objects as u64)) }
            td.number role="cell" data-name="Series" { (count(resource.series)) }
            td.number role="cell" data-name="Memory" { (bytes(resource.bytes as u64)) }
            td.number role="cell" data-name="Events" { (count(resource.events)) }
            td.number role="cell" data-name="Last event" {
                @match resource.last_event_seconds { Some(seconds) => (ago(seconds)), None => "never" }
            }
        }
        @if resource.last_error.is_some() || resource.skipped > 0 {
            tr.note role="row" { td role="cell" colspan=(columns) { (note(resource)) } }
        }
    }
}

fn state(resource: &Row) -> Markup {
    let class = resource.state.word();
    html! {
        span class=(format!("state {class}")) { (class) }
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

fn ago(seconds: u64) -> String {
    if seconds == 0 { "now".to_owned() } else { format!("{} ago", age(seconds)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{LastError, Totals};

    fn resource(state: State) -> Row {
        Row {
            resource: "pods".to_owned(),
            namespace: None,
            state,
            synced_seconds: (state == State::Synced).then_some(61),
            objects: 1_234,
            listing: 500,
            series: 60_000,
            bytes: 3 << 20,
            events: 5_000,
            last_event_seconds: Some(0),
            errors: 0,
            skipped: 0,
            last_error: None,
        }
    }

    fn status(resources: Vec<Row>) -> Status {
        let totals = Totals::default();
        Status { simulated: false, cluster: "c".to_owned(), synced: true, uptime_seconds: 5, resources, totals }
    }

    #[test]
    fn a_resource_shows_its_state_and_links_to_its_metrics() {
        let text = live(&status(vec![resource(State::Synced)])).into_string();
        for part in ["href=\"/metrics?resources=pods\"", ">synced</span>", "1 min", "1,234", "60,000", "3.0 MiB", "now"]
        {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(live(&status(vec![resource(State::Listing)])).into_string().contains("500 so far"));
        assert!(!text.contains("Namespace"), "no column without namespaces");
    }

    #[test]
    fn what_others_wrote_is_escaped() {
        let mut failing = resource(State::Failing);
        failing.last_error = Some(LastError { message: "<script>alert(1)</script>".to_owned(), seconds: 3 });
        failing.namespace = Some("a<b".to_owned());
        let mut status = status(vec![failing]);
        status.cluster = "https://x/\"<i>".to_owned();
        let text = page(&status, "n").into_string();
        assert!(text.contains("&lt;script&gt;alert(1)&lt;/script&gt;") && text.contains("a&lt;b"), "{text}");
        assert!(!text.contains("<i>") && text.contains("not listed yet") && text.contains("3 s ago"));
    }

    #[test]
    fn a_simulated_cluster_is_named_so() {
        let mut status = status(Vec::new());
        assert!(!page(&status, "n").into_string().contains("simulated cluster"));
        status.simulated = true;
        assert!(page(&status, "n").into_string().contains("simulated cluster"));
    }
}
