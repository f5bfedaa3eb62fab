//! The page at `/`: what is written about this node, and how that goes.

use example_host::page::Page;
use example_host::units::{age, ago};
use maud::{Markup, html};

use crate::status::Status;

const STYLE: &str = include_str!("page.css");

const LINKS: &[&str] = &["/status.json", "/metrics", "/healthz", "/readyz"];

/// The page.
pub(crate) fn page(status: &Status) -> Page<'_> {
    Page {
        title: "lease-writer",
        style: STYLE,
        about: ("cluster", &status.cluster),
        simulated: status.simulated,
        live: live(status),
        links: LINKS,
    }
}

/// What changes.
pub(crate) fn live(status: &Status) -> Markup {
    html! {
        p.lease {
            span class=(format!("state {}", status.state.class())) { (status.state.word()) }
            " Lease " code { (status.namespace) "/" (status.lease) }
            @if let Some(reason) = &status.reason { ": " span.error { (reason) } }
        }
        dl.totals {
            (fact("Renewed", &status.renewed_seconds.map_or_else(|| "never".to_owned(), ago)))
            (fact("Every", &age(status.renew_interval_seconds)))
            (fact("Good for", &age(status.lease_duration_seconds)))
            (fact("Written by", status.written_by))
        }
        section.metadata aria-labelledby="metadata" {
            h2 id="metadata" { "Metadata of " (status.node) }
            dl {
                @for known in &status.metadata { (fact(known.attribute, &known.value)) }
            }
            @if status.metadata.is_empty() { p.since { "Nothing is known yet." } }
        }
        @if !status.problems.is_empty() {
            section.problems aria-labelledby="problems" {
                h2 id="problems" { "What is missing, and asked for again" }
                ul { @for problem in &status.problems { li.error { (problem) } } }
            }
        }
        p.since { "Holder: " (status.holder) }
    }
}

fn fact(name: &str, value: &str) -> Markup {
    html! { div { dt { (name) } dd { (value) } } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{Known, State};

    fn status(state: State) -> Status {
        Status {
            simulated: false,
            cluster: "c".to_owned(),
            node: "n1".to_owned(),
            namespace: "ns".to_owned(),
            lease: "cwagent-node-metadata-n1".to_owned(),
            holder: "pod-1".to_owned(),
            state,
            reason: None,
            renewed: None,
            renewed_seconds: Some(90),
            renew_interval_seconds: 3_600,
            lease_duration_seconds: 7_200,
            written_by: "server-side apply",
            metadata: vec![Known { attribute: "host.id", value: "i-1".to_owned() }],
            problems: Vec::new(),
        }
    }

    #[test]
    fn a_lease_that_is_held_shows_what_is_in_it() {
        let text = live(&status(State::Held)).into_string();
        for part in ["state good\">held", "ns/cwagent-node-metadata-n1", "1 min ago", "host.id", "i-1", "pod-1"] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(!text.contains("missing"), "{text}");
    }

    #[test]
    fn what_is_wrong_is_shown_and_escaped() {
        let mut status = status(State::Failing);
        (status.reason, status.renewed_seconds) = (Some("403 <b>".to_owned()), None);
        (status.metadata, status.problems) = (Vec::new(), vec!["<script>".to_owned()]);
        let text = live(&status).into_string();
        for part in ["state bad\">failing", "403 &lt;b&gt;", "&lt;script&gt;", "never", "Nothing is known yet"] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}
