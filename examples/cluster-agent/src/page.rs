//! The page at `/`: how every watched resource is doing.

use example_host::page::Page;
use example_host::units::{age, bytes, count};
use maud::{Markup, html};

use crate::status::{NodeMetadata, Row, State, Status};

const STYLE: &str = include_str!("page.css");

const LINKS: &[&str] = &["/metrics", "/status.json", "/self/metrics", "/healthz", "/livez", "/readyz"];

/// The page.
pub(crate) fn page(status: &Status) -> Page<'_> {
    Page {
        title: "cluster-agent",
        style: STYLE,
        about: ("cluster", &status.cluster),
        simulated: status.simulated,
        live: live(status),
        links: LINKS,
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
        @if let Some(nodes) = &status.node_metadata { (node_metadata(nodes)) }
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

/// What the Leases of the nodes' metadata give.
fn node_metadata(nodes: &NodeMetadata) -> Markup {
    html! {
        section.nodes aria-labelledby="nodes" {
            h2 id="nodes" { "Node metadata" }
            p {
                (word(nodes.state)) " " span.since { "for " (age(nodes.state_seconds)) }
                ": " strong { (count(nodes.nodes)) @if nodes.nodes == 1 { " node" } @else { " nodes" } }
                " by their Leases in " code { (nodes.namespace) } ", as labels of the series of "
                (nodes.series.join(" and "))
            }
            @if let Some(error) = &nodes.error { p.error { (error) } }
        }
    }
}

fn word(state: State) -> Markup {
    html! { span class=(format!("state {}", state.class())) { (state.word()) } }
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
    html! {
        (word(resource.state))
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
        let cluster = "c".to_owned();
        Status { simulated: false, cluster, synced: true, uptime_seconds: 5, node_metadata: None, resources, totals }
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
        let text = live(&status(vec![failing])).into_string();
        assert!(text.contains("&lt;script&gt;alert(1)&lt;/script&gt;") && text.contains("a&lt;b"), "{text}");
        assert!(text.contains("not listed yet") && text.contains("3 s ago"));
    }

    #[test]
    fn node_metadata_that_can_not_be_read_say_why() {
        let mut status = status(Vec::new());
        assert!(!live(&status).into_string().contains("Node metadata"), "nothing where it is off");
        let mut nodes = NodeMetadata {
            namespace: "amazon-cloudwatch".to_owned(),
            state: State::Synced,
            state_seconds: 90,
            nodes: 50,
            series: vec!["nodes", "pods"],
            labels: Vec::new(),
            error: None,
        };
        status.node_metadata = Some(nodes.clone());
        let text = live(&status).into_string();
        for part in ["state good\">synced", "for 1 min", "50 nodes", "amazon-cloudwatch", "nodes and pods"] {
            assert!(text.contains(part), "{part} in {text}");
        }
        (nodes.state, nodes.error) = (State::Failing, Some("403 <b>".to_owned()));
        status.node_metadata = Some(nodes);
        let text = live(&status).into_string();
        assert!(text.contains("state bad\">failing") && text.contains("403 &lt;b&gt;"), "{text}");
    }
}
