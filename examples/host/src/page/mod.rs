//! The frame of a page for a person: a head, what changes, and links.
//!
//! A page is whole without a script. With one, `page.js` fetches the part that changes (`/live`) every two seconds and
//! puts it in place of the old one where something changed. Everything is in the page itself: nothing else may be loaded
//! or run, whatever an error message brings along.

use axum::http::HeaderName;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY};
use axum::response::{Html, IntoResponse, Response};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use uuid::Uuid;

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
             img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        );
        ([(CONTENT_SECURITY_POLICY, policy)], FRESH, Html(self.html(&nonce).into_string())).into_response()
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
                    noscript { meta http-equiv="refresh" content="10"; }
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
                    }
                    main id="live" aria-busy="false" { (self.live) }
                    footer {
                        nav aria-label="Endpoints" {
                            @for link in self.links { a href=(link) { (link) } }
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
    fn what_is_simulated_is_named_so() {
        assert!(!page("c", false).contains("simulated"));
        assert!(page("c", true).contains("simulated cluster"));
    }
}
