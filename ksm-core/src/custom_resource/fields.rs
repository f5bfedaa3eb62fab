//! The keys of a map, one by one, with what is wrong with them.

use super::error::{ConfigError, Place, Problem};
use super::path::Path;
use crate::yaml::{Content, Node, nearest};

/// What was found wrong so far, so that all of it can be told together.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) errors: Vec<ConfigError>,
    pub(super) warnings: Vec<ConfigError>,
}

impl Findings {
    pub(super) fn error(&mut self, place: &Place, problem: Problem) {
        self.errors.push(ConfigError { place: place.clone(), problem });
    }

    pub(super) fn warning(&mut self, place: &Place, field: String, hint: &'static str) {
        self.warnings.push(ConfigError { place: place.clone(), problem: Problem::Suspicious { field, hint } });
    }
}

/// A map of a configuration whose keys are known.
#[derive(Debug)]
pub(super) struct Fields<'n> {
    /// As `spec.resources[0]`.
    pub(super) path: String,
    pub(super) place: &'n Place,
    node: &'n Node,
}

impl<'n> Fields<'n> {
    /// Takes a node as a map of these keys; all others are errors, and so is a node that is no map. An empty node has
    /// no keys.
    pub(super) fn of(node: &'n Node, path: String, known: &[&str], findings: &mut Findings) -> Self {
        match &node.content {
            Content::Map(entries) => {
                for (key, _) in entries.iter().filter(|(key, _)| !known.contains(&key.text.as_str())) {
                    let (key, place, parent) = (key.text.clone(), &key.place, shown(&path).to_owned());
                    findings.error(place, Problem::UnknownKey { hint: hint(&key, known), key, parent });
                }
            }
            Content::Null => {}
            _ => findings.error(&node.place, wrong_type(shown(&path), node, "a map")),
        }
        Self { path, place: &node.place, node }
    }

    pub(super) fn field(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// The value of a key; none where it is missing or null.
    pub(super) fn get(&self, key: &str) -> Option<&'n Node> {
        let Content::Map(entries) = &self.node.content else { return None };
        let node = entries.iter().find(|(known, _)| known.text == key).map(|(_, node)| node);
        node.filter(|node| !matches!(node.content, Content::Null))
    }

    pub(super) fn text(&self, key: &str, findings: &mut Findings) -> Option<&'n str> {
        let node = self.get(key)?;
        text(node, || self.field(key), findings)
    }

    pub(super) fn flag(&self, key: &str, findings: &mut Findings) -> bool {
        let Some(text) = self.text(key, findings) else { return false };
        let is = |words: [&str; 4]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
        if is(["true", "yes", "on", "y"]) {
            return true;
        }
        if !is(["false", "no", "off", "n"]) {
            self.invalid(key, text, "write true or false", findings);
        }
        false
    }

    pub(super) fn number(&self, key: &str, findings: &mut Findings) -> Option<u32> {
        let text = self.text(key, findings)?;
        let number = text.parse().ok();
        if number.is_none() {
            self.invalid(key, text, "write a whole number from 0", findings);
        }
        number
    }

    pub(super) fn invalid(&self, key: &str, value: &str, hint: impl Into<String>, findings: &mut Findings) {
        let place = self.get(key).map_or(self.place, |node| &node.place);
        findings.error(place, Problem::Invalid { field: self.field(key), value: value.to_owned(), hint: hint.into() });
    }

    pub(super) fn missing(&self, key: &str, hint: &'static str, findings: &mut Findings) {
        findings.error(self.place, Problem::Missing { field: self.field(key), hint });
    }

    /// The elements of a list; none where the key is missing.
    pub(super) fn list(&self, key: &str, findings: &mut Findings) -> &'n [Node] {
        match self.get(key) {
            None => &[],
            Some(Node { content: Content::List(list), .. }) => list,
            Some(node) => {
                findings.error(&node.place, wrong_type(&self.field(key), node, "a list"));
                &[]
            }
        }
    }

    pub(super) fn texts(&self, key: &str, findings: &mut Findings) -> Vec<&'n str> {
        let list = self.list(key, findings);
        let texts = list.iter().enumerate();
        texts.filter_map(|(at, node)| text(node, || format!("{}[{at}]", self.field(key)), findings)).collect()
    }

    /// The entries of a map whose keys are the user's.
    pub(super) fn entries(&self, key: &str, findings: &mut Findings) -> Vec<(&'n str, &'n Node)> {
        match self.get(key) {
            None => Vec::new(),
            Some(Node { content: Content::Map(entries), .. }) => {
                entries.iter().map(|(key, node)| (key.text.as_str(), node)).collect()
            }
            Some(node) => {
                findings.error(&node.place, wrong_type(&self.field(key), node, "a map"));
                Vec::new()
            }
        }
    }

    pub(super) fn path(&self, key: &str, findings: &mut Findings) -> Option<Path> {
        let node = self.get(key)?;
        path(node, || self.field(key), findings)
    }
}

pub(super) fn text<'n>(node: &'n Node, field: impl FnOnce() -> String, findings: &mut Findings) -> Option<&'n str> {
    if let Some(text) = node.scalar() {
        return Some(text);
    }
    findings.error(&node.place, wrong_type(&field(), node, "a single value"));
    None
}

/// A path; the empty one where there is none.
pub(super) fn path(node: &Node, field: impl Fn() -> String, findings: &mut Findings) -> Option<Path> {
    let segments = match &node.content {
        Content::List(list) => list,
        Content::Null => return Some(Path::default()),
        _ => {
            findings.error(&node.place, wrong_type(&field(), node, "a list like [status, phase]"));
            return None;
        }
    };
    let count = findings.errors.len();
    let segments: Vec<&str> = segments.iter().filter_map(|segment| text(segment, &field, findings)).collect();
    match Path::parse(&segments) {
        Ok(path) if findings.errors.len() == count => Some(path),
        Ok(_) => None,
        Err(source) => {
            findings.error(&node.place, Problem::Path { field: field(), source });
            None
        }
    }
}

fn wrong_type(field: &str, node: &Node, expected: &'static str) -> Problem {
    Problem::WrongType { field: field.to_owned(), found: node.kind(), expected }
}

fn shown(path: &str) -> &str {
    if path.is_empty() { "the configuration" } else { path }
}

/// The nearest of the known keys, or all of them.
fn hint(key: &str, known: &[&str]) -> String {
    match nearest(key, known.iter().copied()) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => format!("known are {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_key_is_told_and_all_where_none_is_near() {
        let known = ["path", "labelsFromPath", "valueFrom", "nilIsZero"];
        assert_eq!(hint("labelFromPath", &known), "did you mean `labelsFromPath`?");
        assert_eq!(hint("nilIsZERO", &known), "did you mean `nilIsZero`?");
        assert_eq!(hint("aggregation", &known), "known are path, labelsFromPath, valueFrom, nilIsZero");
    }
}
