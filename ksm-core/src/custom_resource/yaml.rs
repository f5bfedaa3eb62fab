//! YAML, or JSON, as a tree whose nodes know their places.

use std::fmt;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::NonFiniteFloatPolicy;
use serde_saphyr::{Location, Spanned};

use super::error::{ConfigError, Place, Problem};

/// A value and its place.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) content: Content,
}

#[derive(Debug, Clone)]
pub(super) enum Content {
    Null,
    /// As it is written, so that `1.10` stays what it is where a text is wanted.
    Scalar(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

#[derive(Debug, Clone)]
pub(super) struct Key {
    pub(super) text: String,
    pub(super) place: Place,
}

impl Node {
    /// Reads a document. Anchors, aliases and merges are resolved; how far, is bounded by the reader's budget.
    pub(super) fn parse(text: &str, origin: &Arc<str>) -> Result<Self, ConfigError> {
        let options = serde_saphyr::options! {
            with_snippet: false,
            non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        };
        let raw: Spanned<Raw> = serde_saphyr::from_str_with_options(text, options).map_err(|error| ConfigError {
            place: error.location().map_or_else(|| place(origin, Location::UNKNOWN), |at| place(origin, at)),
            problem: Problem::Syntax(error.to_string()),
        })?;
        Ok(Self::of(raw, text, origin))
    }

    fn of(raw: Spanned<Raw>, text: &str, origin: &Arc<str>) -> Self {
        let content = match raw.value {
            Raw::Null => Content::Null,
            Raw::Text(text) => Content::Scalar(text),
            Raw::Typed(printed) => Content::Scalar(written(raw.defined, text).unwrap_or(printed)),
            Raw::List(list) => Content::List(list.into_iter().map(|node| Self::of(node, text, origin)).collect()),
            Raw::Map(entries) => {
                let key = |key: Spanned<String>| Key { place: place(origin, key.referenced), text: key.value };
                Content::Map(entries.into_iter().map(|(k, node)| (key(k), Self::of(node, text, origin))).collect())
            }
        };
        Self { place: place(origin, raw.referenced), content }
    }

    /// The same text for the same content, wherever it stands.
    pub(super) fn canonical(&self) -> String {
        let join = |parts: Vec<String>| parts.join(",");
        match &self.content {
            Content::Null => "null".to_owned(),
            Content::Scalar(text) => format!("{text:?}"),
            Content::List(list) => format!("[{}]", join(list.iter().map(Self::canonical).collect())),
            Content::Map(entries) => {
                let entry = |(key, node): &(Key, Self)| format!("{:?}:{}", key.text, node.canonical());
                format!("{{{}}}", join(entries.iter().map(entry).collect()))
            }
        }
    }

    /// What it is, in words.
    pub(super) fn kind(&self) -> &'static str {
        match self.content {
            Content::Null => "empty",
            Content::Scalar(_) => "a single value",
            Content::List(_) => "a list",
            Content::Map(_) => "a map",
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

enum Raw {
    Null,
    Text(String),
    /// A number or a boolean, in the reader's words.
    Typed(String),
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
        Ok(Raw::Typed(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Typed(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Typed(value.to_string()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Raw, E> {
        Ok(Raw::Typed(value.to_string()))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Raw, E> {
        Ok(Raw::Typed(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Typed(value.to_string()))
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
        Node::parse(text, &Arc::from("crs.yaml")).map_err(|error| error.to_string())
    }

    fn print(node: &Node) -> String {
        match &node.content {
            Content::Null => "null".to_owned(),
            Content::Scalar(text) => format!("{text:?}"),
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
}
