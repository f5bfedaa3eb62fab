//! The frame of a page for a person: a head, what changes, and links; and the blocks that what changes is built of.
//!
//! A page is whole without a script, and has a link to load it again. With one, `page.js` fetches the part that changes
//! (`/live`, with the page's query) every two seconds and puts it in place of the old one where something changed. A form
//! in it asks for the page with another query, and needs no script. Everything is in the page itself: nothing else may be
//! loaded or run, whatever an error message brings along.
//!
//! ```
//! use example_host::page::{Column, Health, Page, Part, Row, Table, figures, outputs, parts};
//! use maud::html;
//!
//! let reasons = Table {
//!     id: "reasons",
//!     title: "Top reasons",
//!     columns: &[Column::text("Reason"), Column::number("Events")],
//!     rows: vec![Row::new([html! { "BackOff" }, html! { "17" }])],
//!     empty: "No events yet.",
//! };
//! let live = html! {
//!     (figures(&[("Events", "17")]))
//!     (parts(&[Part::new("webhook", Health::Degraded).reason("HTTP status 503").fresh(Some(12))]))
//!     (reasons.html())
//!     (outputs(&[("/metrics", "for Prometheus")]))
//! };
//! let about = ("cluster", "https://10.0.0.1");
//! let page = Page { title: "my-host", style: "", about, simulated: false, live, links: &["/metrics"] };
//! let response = page.respond();
//! assert!(response.headers().contains_key("content-security-policy"));
//! ```

mod health;
mod plot;
mod table;

use axum::http::HeaderName;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::response::{Html, IntoResponse, Response};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use uuid::Uuid;

pub use health::{Health, Part, parts, state};
pub use plot::{History, Kind, Track, of_bytes};
pub use table::{Column, Row, Table, bar, figures, outputs};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// For what is not worth keeping for a moment.
pub const FRESH: [(HeaderName, &str); 1] = [(CACHE_CONTROL, "no-store")];

/// A page.
#[derive(Debug)]
pub struct Page<'a> {
    /// The program's name.
    pub title: &'a str,
    /// Styles beside those of the frame.
    pub style: &'a str,
    /// What it is about, after a word that says of what kind that is.
    pub about: (&'a str, &'a str),
    /// Whether that is simulated.
    pub simulated: bool,
    /// What changes: what `/live` answers.
    pub live: Markup,
    /// Paths to link to.
    pub links: &'a [&'a str],
}

impl Page<'_> {
    /// The whole page as a response, under a policy that lets only its own styles and script be used.
    pub fn respond(&self) -> Response {
        let nonce = Uuid::new_v4().simple().to_string();
        let policy = format!(
            "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'; \
             img-src data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
        );
        let guards = [(X_CONTENT_TYPE_OPTIONS, "nosniff"), (REFERRER_POLICY, "no-referrer")];
        ([(CONTENT_SECURITY_POLICY, policy)], guards, FRESH, Html(self.html(&nonce).into_string())).into_response()
    }

    /// The whole page. `nonce` is that of its content security policy.
    pub fn html(&self, nonce: &str) -> Markup {
        let (kind, name) = self.about;
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (self.title) }
                    // An empty icon, so that browsers ask for none.
                    link rel="icon" href="data:,";
                    style nonce=(nonce) { (PreEscaped(STYLE)) (PreEscaped(self.style)) }
                }
                body {
                    header {
                        h1 { (self.title) }
                        p.about {
                            @if self.simulated {
                                strong.badge.sim { "simulated " (kind) } " "
                            } @else {
                                strong.badge { (kind) } " "
                            }
                            span { (name) }
                        }
                        noscript { p { "This page does not change by itself without JavaScript: " a href="/" { "load it again" } "." } }
                    }
                    main id="live" aria-busy="false" { (self.live) }
                    footer {
                        @if !self.links.is_empty() {
                            nav aria-label="Endpoints" {
                                @for link in self.links { a href=(link) { (link) } }
                            }
                        }
                        p id="stale" role="status" hidden { "It does not answer any more: this is what it said last." }
                    }
                    script nonce=(nonce) { (PreEscaped(SCRIPT)) }
                }
            }
        }
    }
}

/// The part that changes as a response.
pub fn live(part: Markup) -> Response {
    (FRESH, Html(part.into_string())).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(about: &str, simulated: bool) -> String {
        let live = html! { p { "fine" } };
        let page = Page { title: "agent", style: "b {}", about: ("cluster", about), simulated, live, links: &["/x"] };
        page.html("n").into_string()
    }

    #[test]
    fn what_others_wrote_is_escaped() {
        let text = page("https://x/\"<i>", false);
        assert!(text.contains("&lt;i&gt;") && !text.contains("<i>"), "{text}");
        assert!(text.contains("<p>fine</p>") && text.contains("<a href=\"/x\">/x</a>"), "{text}");
    }

    #[test]
    fn nothing_but_its_own_styles_and_script_may_run() {
        let page =
            Page { title: "a", style: "", about: ("cluster", "c"), simulated: false, live: html! {}, links: &[] };
        let [one, other] = [page.respond(), page.respond()];
        let policy = one.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; style-src 'nonce-") && !policy.contains("unsafe"), "{policy}");
        assert_ne!(one.headers()[CONTENT_SECURITY_POLICY], other.headers()[CONTENT_SECURITY_POLICY], "used once");
        assert_eq!(one.headers()[X_CONTENT_TYPE_OPTIONS], "nosniff");
        let text = page.html("n").into_string();
        // Neither attributes with styles or handlers, which the policy refuses, nor anything from elsewhere.
        for part in [" style=", " onload=", " onclick=", " src=", "http-equiv", "https://"] {
            assert!(!text.contains(part), "{part} in {text}");
        }
        assert_eq!((text.matches("<style nonce=\"n\">").count(), text.matches("<script nonce=\"n\">").count()), (1, 1));
    }

    #[test]
    fn it_has_landmarks_and_one_first_heading_and_can_be_loaded_again() {
        let text = page("c", false);
        for part in ["<html lang=\"en\">", "<header>", "<main id=\"live\"", "<footer>", "<nav aria-label="] {
            assert_eq!(text.matches(part).count(), 1, "{part} in {text}");
        }
        assert_eq!(text.matches("<h1>").count(), 1);
        assert!(text.contains("<noscript><p>") && text.contains("<a href=\"/\">load it again</a>"), "{text}");
    }

    #[test]
    fn what_is_simulated_is_named_so() {
        assert!(!page("c", false).contains("simulated"));
        assert!(page("c", true).contains("simulated cluster"));
    }
}
