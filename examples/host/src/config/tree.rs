//! YAML as a tree whose nodes know their places.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_saphyr::{Location, Spanned};

/// Deeper than any configuration is.
const MAX_DEPTH: usize = 64;

/// Where something stands: line and column, from 1; none where it is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place(u64, u64);

impl Place {
    fn of(location: Location) -> Self {
        Self(location.line(), location.column())
    }

    /// The line.
    pub fn line(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.0, self.1)
    }
}

/// A value, and where it stands.
#[derive(Debug)]
pub struct Node {
    /// Where it begins.
    pub place: Place,
    /// What it is.
    pub content: Content,
}

/// What a value is.
#[derive(Debug)]
pub enum Content {
    /// Nothing.
    Null,
    /// Booleans and numbers, as they are printed, and whether quotes would change what they mean.
    Plain(Value),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A map, its keys with their places, in the order of the text.
    Map(Vec<(String, Place, Node)>),
}

impl Node {
    /// Reads a document; nothing at all is null. What is no YAML is told with its place, where that is known.
    pub fn parse(text: &str) -> Result<Self, (Option<Place>, String)> {
        let options = serde_saphyr::options! {
            budget: serde_saphyr::budget! { max_depth: MAX_DEPTH, flow_nesting_limit: MAX_DEPTH },
            strict_booleans: true,
            emit_comments: false,
            with_snippet: false,
        };
        let raw = serde_saphyr::from_str_with_options::<Option<Spanned<Raw>>>(text, options);
        let raw = raw.map_err(|error| {
            let message = error.to_string();
            let problem = message.lines().next().unwrap_or_default();
            // The place is told apart.
            let problem = problem.split(" at line ").next().unwrap_or(problem).to_owned();
            (error.location().filter(|at| at.line() > 0).map(Place::of), problem)
        })?;
        Ok(raw.map_or(Self { place: Place(1, 1), content: Content::Null }, Self::of))
    }

    fn of(raw: Spanned<Raw>) -> Self {
        let content = match raw.value {
            Raw::Plain(Value::Null) => Content::Null,
            Raw::Plain(value) => Content::Plain(value),
            Raw::Text(text) => Content::Text(text),
            Raw::List(list) => Content::List(list.into_iter().map(Self::of).collect()),
            Raw::Map(entries) => {
                let entry = |(key, node): (Spanned<String>, _)| (key.value, Place::of(key.referenced), Self::of(node));
                Content::Map(entries.into_iter().map(entry).collect())
            }
        };
        Self { place: Place::of(raw.referenced), content }
    }

    /// What it is, in words.
    pub fn kind(&self) -> &'static str {
        match self.content {
            Content::Null => "nothing",
            Content::Plain(_) | Content::Text(_) => "a single value",
            Content::List(_) => "a list",
            Content::Map(_) => "a map",
        }
    }

    /// The text of a single value.
    pub fn scalar(&self) -> Option<String> {
        match &self.content {
            Content::Plain(value) => Some(value.to_string()),
            Content::Text(text) => Some(text.clone()),
            Content::Null | Content::List(_) | Content::Map(_) => None,
        }
    }

    /// The same without places.
    pub fn to_json(&self) -> Value {
        match &self.content {
            Content::Null => Value::Null,
            Content::Plain(value) => value.clone(),
            Content::Text(text) => Value::String(text.clone()),
            Content::List(list) => list.iter().map(Self::to_json).collect(),
            Content::Map(entries) => entries
                .iter()
                .map(|(key, _, node)| (key.clone(), node.to_json()))
                .collect::<serde_json::Map<_, _>>()
                .into(),
        }
    }
}

enum Raw {
    Plain(Value),
    Text(String),
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
        Ok(Raw::Plain(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Plain(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
        Raw::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Plain(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Plain(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Plain(value.into()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Raw, E> {
        Ok(Raw::Text(value.to_string()))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Raw, E> {
        Ok(Raw::Text(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(serde_json::Number::from_f64(value)
            .map_or_else(|| Raw::Text(value.to_string()), |number| Raw::Plain(number.into())))
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
