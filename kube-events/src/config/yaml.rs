//! YAML as a tree whose nodes know their lines.

use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;
use serde_saphyr::options::NonFiniteFloatPolicy;

use super::Problem;

/// Deeper than any configuration is.
const MAX_DEPTH: usize = 64;

#[derive(Debug)]
pub(super) struct Node {
    line: u64,
    pub(super) content: Content,
}

#[derive(Debug)]
pub(super) enum Content {
    Null,
    Bool(bool),
    /// As it is printed.
    Number(String),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

static NOTHING: Node = Node { line: 0, content: Content::Null };

impl Node {
    /// Reads a document; nothing at all is null. Anchors are resolved; how far is bounded by the reader's budget.
    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
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
            let line = error.location().map(|at| at.line()).filter(|line| *line > 0);
            // The place is told apart. A template that isn't quoted looks like a map within a map.
            let problem = problem.split(" at line ").next().unwrap_or(problem);
            let near = line.and_then(|line| text.lines().nth(usize::try_from(line).ok()?.checked_sub(1)?));
            let hint = if near.is_some_and(|line| line.contains("{{")) { "; quote texts with `{{`" } else { "" };
            Problem { path: String::new(), line, problem: format!("this is no YAML: {problem}{hint}") }
        })?;
        Ok(raw.map_or(Self { line: 0, content: Content::Null }, Self::of))
    }

    fn of(raw: Spanned<Raw>) -> Self {
        let line = raw.referenced.line();
        let content = match raw.value {
            Raw::Null => Content::Null,
            Raw::Text(text) => Content::Text(text),
            Raw::Bool(value) => Content::Bool(value),
            Raw::Number(printed) => Content::Number(printed),
            Raw::List(list) => Content::List(list.into_iter().map(Self::of).collect()),
            Raw::Map(entries) => Content::Map(entries.into_iter().map(|(key, node)| (key, Self::of(node))).collect()),
        };
        Self { line, content }
    }

    pub(super) fn nothing() -> &'static Self {
        &NOTHING
    }

    /// What it is, in words that tell no value.
    pub(super) fn kind(&self) -> &'static str {
        match self.content {
            Content::Null => "nothing",
            Content::Bool(_) => "a boolean",
            Content::Number(_) => "a number",
            Content::Text(_) => "a text",
            Content::List(_) => "a list",
            Content::Map(_) => "a map",
        }
    }

    /// The lines of all that is within, by their paths.
    pub(super) fn lines(&self, path: &str, lines: &mut HashMap<String, u64>) {
        match &self.content {
            Content::List(list) => {
                for (at, node) in list.iter().enumerate() {
                    node.lines(&format!("{path}[{at}]"), lines);
                }
            }
            Content::Map(entries) => {
                for (key, node) in entries {
                    node.lines(&super::read::join(path, key), lines);
                }
            }
            _ => {}
        }
        lines.insert(path.to_owned(), self.line);
    }

    pub(super) fn to_json(&self) -> serde_json::Value {
        match &self.content {
            Content::Null => serde_json::Value::Null,
            Content::Bool(value) => (*value).into(),
            Content::Number(number) => serde_json::from_str(number).unwrap_or_else(|_| number.as_str().into()),
            Content::Text(text) => text.as_str().into(),
            Content::List(list) => list.iter().map(Self::to_json).collect::<Vec<_>>().into(),
            Content::Map(entries) => entries.iter().map(|(key, node)| (key.clone(), node.to_json())).collect(),
        }
    }
}

enum Raw {
    Null,
    Text(String),
    Bool(bool),
    Number(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(String, Spanned<Raw>)>),
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
        Ok(Raw::Bool(value))
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
