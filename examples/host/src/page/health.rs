//! How the parts of a host are: in a word and a shape, never by colour alone.

use maud::{Markup, html};
use serde::Serialize;

use crate::units::{age, ago};

/// How a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// It does what it should.
    Ok,
    /// It is not there, and nothing is wrong with that: switched off, or not to be had here.
    Absent,
    /// It has begun, and has not got everything yet.
    Starting,
    /// It does some of what it should, or with what it knew before.
    Degraded,
    /// It does nothing that it should.
    Failed,
}

impl Health {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Absent => "absent",
            Self::Starting => "starting",
            Self::Degraded => "degraded",
            Self::Failed => "failed",
        }
    }

    /// The class of its looks, as `page.css` has them.
    pub fn class(self) -> &'static str {
        match self {
            Self::Ok => "good",
            Self::Absent => "absent",
            Self::Starting => "busy",
            Self::Degraded => "half",
            Self::Failed => "bad",
        }
    }

    /// Whether somebody should look at it.
    pub fn is_bad(self) -> bool {
        matches!(self, Self::Degraded | Self::Failed)
    }

    /// The word with its shape.
    pub fn badge(self) -> Markup {
        state(self.class(), self.word())
    }
}

/// A word with a shape of its own: `good` a disc, `busy` a ring, `half` a triangle, `bad` a square, `absent` a line.
pub fn state(class: &str, word: &str) -> Markup {
    html! { span class=(format!("state {class}")) { (word) } }
}

/// A part of a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Part {
    /// What it is called.
    pub name: String,
    /// How it is.
    pub health: Health,
    /// Why it is not well, or not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What it does, in a few words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Seconds since it last heard something.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fresh_seconds: Option<u64>,
    /// Seconds since it got into its state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_seconds: Option<u64>,
}

impl Part {
    /// A part of which no more is known than how it is.
    pub fn new(name: impl Into<String>, health: Health) -> Self {
        let name = name.into();
        Self { name, health, reason: None, detail: None, fresh_seconds: None, state_seconds: None }
    }

    /// Says why it is not well, or not there.
    pub fn reason(self, reason: impl Into<String>) -> Self {
        Self { reason: Some(reason.into()), ..self }
    }

    /// Says what it does.
    pub fn detail(self, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..self }
    }

    /// Says how many seconds ago it last heard something.
    pub fn fresh(self, seconds: Option<u64>) -> Self {
        Self { fresh_seconds: seconds, ..self }
    }

    /// Says for how many seconds it has been in its state.
    pub fn since(self, seconds: Option<u64>) -> Self {
        Self { state_seconds: seconds, ..self }
    }

    /// The worst of them; of none, that it is fine.
    pub fn worst(parts: &[Self]) -> Health {
        parts.iter().map(|part| part.health).max().unwrap_or(Health::Ok)
    }
}

/// A section of parts.
pub fn parts(parts: &[Part]) -> Markup {
    html! {
        section aria-labelledby="parts" {
            h2 id="parts" { "Parts" }
            ul.parts {
                @for part in parts {
                    li {
                        h3 { (part.name) }
                        p.how {
                            (part.health.badge())
                            @if let Some(seconds) = part.state_seconds { " " span.since { "for " (age(seconds)) } }
                            @if let Some(seconds) = part.fresh_seconds {
                                @if part.state_seconds.is_some() { "," }
                                " " span.since { "heard " (ago(seconds)) }
                            }
                        }
                        @if let Some(detail) = &part.detail { p.detail { (detail) } }
                        @if let Some(reason) = &part.reason {
                            p class=(if part.health.is_bad() { "error" } else { "detail" }) { (reason) }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_a_word_and_a_shape_of_its_own() {
        let all = [Health::Ok, Health::Absent, Health::Starting, Health::Degraded, Health::Failed];
        let looks: std::collections::HashSet<_> = all.iter().map(|health| (health.word(), health.class())).collect();
        assert_eq!(looks.len(), all.len());
        for health in all {
            let text = parts(&[Part::new("kubelets", health).reason("why")]).into_string();
            assert!(text.contains(&format!("<span class=\"state {}\">{}</span>", health.class(), health.word())));
            assert_eq!(text.contains("<p class=\"error\">why</p>"), health.is_bad(), "{text}");
            // Its shape is in the style sheet.
            let shaped = format!(".state.{}", health.class());
            assert!(super::super::STYLE.contains(&shaped), "{shaped}");
        }
    }

    #[test]
    fn a_part_says_what_is_known_and_escapes_it() {
        let part = Part::new("a<b", Health::Degraded).reason("<img src=x onerror=alert(1)>").detail("3 & 4");
        let text = parts(&[part.fresh(Some(0)).since(Some(61))]).into_string();
        for part in ["a&lt;b", "&lt;img src=x", "3 &amp; 4", "heard now", "for 1 min"] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(!text.contains("<img"));
        let bare = parts(&[Part::new("x", Health::Ok)]).into_string();
        assert!(!bare.contains("since") && !bare.contains("detail") && !bare.contains("error"), "{bare}");
    }

    #[test]
    fn the_worst_part_is_what_counts() {
        let part = |health| Part::new("x", health);
        assert_eq!(Part::worst(&[]), Health::Ok);
        assert_eq!(Part::worst(&[part(Health::Ok), part(Health::Absent)]), Health::Absent);
        assert_eq!(Part::worst(&[part(Health::Failed), part(Health::Ok), part(Health::Degraded)]), Health::Failed);
        assert!(!Health::Absent.is_bad() && Health::Failed.is_bad());
    }

    #[test]
    fn data_leave_out_what_is_not_known() {
        let data = serde_json::to_value(Part::new("events", Health::Ok).fresh(Some(3))).unwrap();
        assert_eq!(data, serde_json::json!({"name": "events", "health": "ok", "fresh_seconds": 3}));
    }
}
