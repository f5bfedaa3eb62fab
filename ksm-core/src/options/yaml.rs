//! YAML with its places: values that know their line and column.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use super::error::{OptionError, OptionErrors};

/// Far deeper than any option is.
const MAX_DEPTH: usize = 32;

/// A value, with the places of all that is in it.
#[derive(Debug)]
pub(super) enum Node {
    Null,
    Bool(bool),
    /// As it is written: `007` may be a name.
    Number(String),
    Text(String),
    List(Vec<Spanned<Node>>),
    Map(Entries),
}

pub(super) type Entries = Vec<(Spanned<String>, Spanned<Node>)>;

impl Node {
    /// What it is, for a person.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Null => "nothing".to_owned(),
            Self::Bool(value) => value.to_string(),
            Self::Number(written) => written.clone(),
            Self::Text(text) => format!("{text:?}"),
            Self::List(_) => "a list".to_owned(),
            Self::Map(_) => "a map".to_owned(),
        }
    }
}

/// The entries of a file's one map; none where the file is empty.
pub(super) fn entries(text: &str, file: &str) -> Result<Entries, OptionErrors> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_depth: MAX_DEPTH, flow_nesting_limit: MAX_DEPTH },
        // `n` and `on` may be names. Where a truth is wanted, they are understood there.
        strict_booleans: true,
        emit_comments: false,
        with_snippet: false,
    };
    let at =
        |line, column, problem| OptionErrors(vec![OptionError::Yaml { file: file.to_owned(), line, column, problem }]);
    let root = serde_saphyr::from_str_with_options::<Option<Spanned<Node>>>(text, options).map_err(|error| {
        let (line, column) = error.location().map_or((1, 1), |place| (place.line(), place.column()));
        let message = error.to_string();
        let problem = message.lines().next().unwrap_or_default();
        at(line, column, problem.split(" at line ").next().unwrap_or(problem).to_owned())
    })?;
    let root = root.map(|mut root| {
        restore(&mut root, text);
        (root.referenced, root.value)
    });
    match root {
        None | Some((_, Node::Null)) => Ok(Entries::new()),
        Some((_, Node::Map(entries))) => Ok(entries),
        Some((place, other)) => {
            Err(at(place.line(), place.column(), format!("expected a map of options, found {}", other.describe())))
        }
    }
}

/// Puts numbers back as they are written in `text`.
fn restore(node: &mut Spanned<Node>, text: &str) {
    let span = node.defined.span();
    match &mut node.value {
        Node::Number(written) => {
            let range = span.byte_offset().zip(span.byte_len()).and_then(|(begin, length)| {
                let begin = usize::try_from(begin).ok()?;
                text.get(begin..begin.checked_add(usize::try_from(length).ok()?)?)
            });
            if let Some(source) = range.map(str::trim_end).filter(|source| !source.is_empty()) {
                source.clone_into(written);
            }
        }
        Node::List(items) => items.iter_mut().for_each(|item| restore(item, text)),
        Node::Map(entries) => entries.iter_mut().for_each(|(_, value)| restore(value, text)),
        Node::Null | Node::Bool(_) | Node::Text(_) => {}
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Number(value.to_string()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Number(value.to_string()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Number(value.to_string()))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(value.to_owned()))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Node, E> {
        Ok(Node::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut map = Entries::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Node::Map(map))
    }
}
