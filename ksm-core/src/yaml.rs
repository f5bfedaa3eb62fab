//! YAML, or JSON, as a tree whose nodes know their places.

use std::fmt;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::NonFiniteFloatPolicy;
use serde_saphyr::{Location, Spanned};

/// Deeper than any configuration is.
const MAX_DEPTH: usize = 64;

/// A place in a configuration: `crs.yaml:3:7`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(
    not(feature = "custom-resource-state"),
    expect(unreachable_pub, reason = "public as a part of that feature's errors")
)]
pub struct Place {
    /// The name of the file, as the caller gave it.
    pub origin: Arc<str>,
    /// The line, from 1; 0 where it is unknown.
    pub line: u64,
    /// The column in characters, from 1; 0 where it is unknown.
    pub column: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.origin),
            line => write!(f, "{}:{line}:{}", self.origin, self.column),
        }
    }
}

/// A text that is neither YAML nor JSON, or more of it than is read.
#[derive(Debug)]
pub(crate) struct YamlError {
    pub(crate) place: Place,
    pub(crate) problem: String,
}

/// A value and its place.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) content: Content,
}

/// A value. Scalars are as they are written, so that `1.10` and `007` stay what they are where a text is wanted.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    Null,
    /// `true` or `false`. YAML 1.1's other words (`yes`, `n`) may be names: they are text.
    Bool(String),
    Number(String),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) text: String,
    pub(crate) place: Place,
}

impl Node {
    /// Reads a document; nothing at all is null. Anchors, aliases and merges are resolved; how far, is bounded by the
    /// reader's budget.
    pub(crate) fn parse(text: &str, origin: &Arc<str>) -> Result<Self, YamlError> {
        let options = serde_saphyr::options! {
            budget: serde_saphyr::budget! { max_depth: MAX_DEPTH, flow_nesting_limit: MAX_DEPTH },
            strict_booleans: true,
            emit_comments: false,
            with_snippet: false,
            non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        };
        let raw = serde_saphyr::from_str_with_options::<Option<Spanned<Raw>>>(text, options);
        let raw = raw.map_err(|error| {
            let message = error.to_string();
            let problem = message.lines().next().unwrap_or_default();
            YamlError {
                place: place(origin, error.location().unwrap_or(Location::UNKNOWN)),
                // The place is told apart.
                problem: problem.split(" at line ").next().unwrap_or(problem).to_owned(),
            }
        })?;
        let nothing = || Self { place: place(origin, Location::UNKNOWN), content: Content::Null };
        Ok(raw.map_or_else(nothing, |raw| Self::of(raw, text, origin)))
    }

    fn of(raw: Spanned<Raw>, text: &str, origin: &Arc<str>) -> Self {
        let content = match raw.value {
            Raw::Null => Content::Null,
            Raw::Text(text) => Content::Text(text),
            Raw::Bool(printed) => Content::Bool(written(raw.defined, text).unwrap_or(printed)),
            Raw::Number(printed) => Content::Number(written(raw.defined, text).unwrap_or(printed)),
            Raw::List(list) => Content::List(list.into_iter().map(|node| Self::of(node, text, origin)).collect()),
            Raw::Map(entries) => {
                let key = |key: Spanned<String>| Key { place: place(origin, key.referenced), text: key.value };
                Content::Map(entries.into_iter().map(|(k, node)| (key(k), Self::of(node, text, origin))).collect())
            }
        };
        Self { place: place(origin, raw.referenced), content }
    }

    /// The text of a single value.
    #[cfg(feature = "custom-resource-state")]
    pub(crate) fn scalar(&self) -> Option<&str> {
        match &self.content {
            Content::Bool(text) | Content::Number(text) | Content::Text(text) => Some(text),
            Content::Null | Content::List(_) | Content::Map(_) => None,
        }
    }

    /// The same text for the same content, wherever it stands.
    #[cfg(feature = "custom-resource-state")]
    pub(crate) fn canonical(&self) -> String {
        let join = |parts: Vec<String>| parts.join(",");
        match &self.content {
            Content::Null => "null".to_owned(),
            Content::Bool(text) | Content::Number(text) | Content::Text(text) => format!("{text:?}"),
            Content::List(list) => format!("[{}]", join(list.iter().map(Self::canonical).collect())),
            Content::Map(entries) => {
                let entry = |(key, node): &(Key, Self)| format!("{:?}:{}", key.text, node.canonical());
                format!("{{{}}}", join(entries.iter().map(entry).collect()))
            }
        }
    }

    /// What it is, in words.
    #[cfg(feature = "custom-resource-state")]
    pub(crate) fn kind(&self) -> &'static str {
        match self.content {
            Content::Null => "empty",
            Content::Bool(_) | Content::Number(_) | Content::Text(_) => "a single value",
            Content::List(_) => "a list",
            Content::Map(_) => "a map",
        }
    }

    /// The value itself where it is short, else what it is.
    #[cfg(feature = "options-file")]
    pub(crate) fn describe(&self) -> String {
        match &self.content {
            Content::Null => "nothing".to_owned(),
            Content::Bool(written) | Content::Number(written) => written.clone(),
            Content::Text(text) => format!("{text:?}"),
            Content::List(_) => "a list".to_owned(),
            Content::Map(_) => "a map".to_owned(),
        }
    }
}

fn place(origin: &Arc<str>, at: Location) -> Place {
    Place { origin: origin.clone(), line: at.line(), column: at.column() }
}

/// The text of an unquoted number or boolean.
fn written(at: Location, text: &str) -> Option<String> {
    let span = at.span();
    let begin = usize::try_from(span.byte_offset()?).ok()?;
    let end = begin.checked_add(usize::try_from(span.byte_len()?).ok()?)?;
    text.get(begin..end).map(str::trim).filter(|written| !written.is_empty()).map(str::to_owned)
}

/// The known word that a mistyped one resembles: two letters or a third of it may differ, whatever their case.
pub(crate) fn nearest<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let word = word.to_lowercase();
    let slack = |candidate: &str| 2.max(candidate.len() / 3);
    // A file may hold anything: what is far longer than every word resembles none, and costs nothing.
    let plausible = known.filter(|candidate| candidate.len().abs_diff(word.len()) <= slack(candidate));
    let near = plausible.map(|candidate| (strsim::levenshtein(&word, &candidate.to_lowercase()), candidate));
    near.filter(|(edits, candidate)| *edits <= slack(candidate)).min().map(|(_, candidate)| candidate)
}

enum Raw {
    Null,
    Text(String),
    /// In the reader's words.
    Bool(String),
    Number(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Bool(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Number(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Number(value.to_string()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Raw, E> {
        Ok(Raw::Number(value.to_string()))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Raw, E> {
        Ok(Raw::Number(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Number(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Raw, E> {
        Ok(Raw::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Raw, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = list.next_element()? {
            nodes.push(node);
        }
        Ok(Raw::List(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Raw::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Node, String> {
        Node::parse(text, &Arc::from("crs.yaml")).map_err(|error| format!("{}: {}", error.place, error.problem))
    }

    fn print(node: &Node) -> String {
        match &node.content {
            Content::Null => "null".to_owned(),
            Content::Bool(text) | Content::Number(text) | Content::Text(text) => format!("{text:?}"),
            Content::List(list) => format!("[{}]", list.iter().map(print).collect::<Vec<_>>().join(" ")),
            Content::Map(map) => {
                let entries: Vec<_> = map.iter().map(|(key, node)| format!("{}:{}", key.text, print(node))).collect();
                format!("{{{}}}", entries.join(" "))
            }
        }
    }

    #[test]
    fn scalars_stay_as_they_are_written() {
        let yaml =
            "a: [1.10, yes, 'no', -1, 0x10, .inf, ~, null, \"1\", 007, 99999999999999999999]\nb: &x 1.50 # c\nc: *x\n";
        assert_eq!(
            print(&parse(yaml).unwrap()),
            r#"{a:["1.10" "yes" "no" "-1" "0x10" ".inf" null null "1" "007" "99999999999999999999"] b:"1.50" c:"1.50"}"#
        );
    }

    #[test]
    fn merges_are_resolved_and_places_are_those_of_the_text() {
        let node = parse("base: &b {x: 1}\nuse:\n  <<: *b\n  größe: 2\n").unwrap();
        assert_eq!(print(&node), r#"{base:{x:"1"} use:{größe:"2" x:"1"}}"#);
        let Content::Map(entries) = &node.content else { panic!("a map") };
        let Content::Map(inner) = &entries[1].1.content else { panic!("a map") };
        assert_eq!(inner[0].0.place.to_string(), "crs.yaml:4:3");
        assert_eq!(inner[0].1.place.to_string(), "crs.yaml:4:10");
    }

    #[test]
    fn broken_text_is_an_error_with_its_place() {
        for (text, line) in [("a: [1, 2\nb: 3", ":2"), ("a: 1\na: 2\n", ":2"), ("{\"a\": }}", ":1"), ("a: *none", ":1")]
        {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(&format!("crs.yaml{line}:")), "{text}: {error}");
        }
    }

    #[test]
    fn bombs_are_refused() {
        let levels = (1..12).map(|level| {
            let alias = vec![format!("*a{}", level - 1); 10].join(", ");
            format!("a{level}: &a{level} [{alias}]\n")
        });
        let yaml: String =
            std::iter::once("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned()).chain(levels).collect();
        assert!(parse(&yaml).is_err());
        assert!(parse(&"[".repeat(100_000)).is_err());
    }

    #[test]
    fn a_mistyped_word_finds_its_like_and_an_unlike_one_none() {
        let known = || ["resources", "namespaces", "namespaces_denylist", "node"].into_iter();
        for (word, like) in [
            ("resource", Some("resources")),
            ("NAMESPACE_denylist", Some("namespaces_denylist")),
            ("nodes", Some("node")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, known()), like, "{word}");
        }
    }
}
