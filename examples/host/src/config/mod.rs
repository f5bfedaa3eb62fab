//! Configuration files: YAML in which each key stands for a flag. What is wrong is told with its place, all at once.

mod given;
mod reload;
mod tree;

use std::fmt;
use std::path::Path;

pub use self::given::Given;
pub use self::reload::{Configuration, ConfigurationStatus, restarting};
pub use self::tree::{Content, Node, Place};
use crate::files::read_text;

/// What is read at most.
const MAX_BYTES: usize = 1 << 20;

/// What a key's value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A single value.
    One,
    /// A list of them, which a flag separates by commas.
    List,
    /// Lists by name: `pods: [app, team]`, which a flag writes as `pods=[app,team]`.
    Lists,
}

/// Whether a change holds while the program runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// At once.
    Effect,
    /// After a restart.
    Restart,
}

/// A key, and the flag that says the same.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Its path, with a point between two names.
    pub path: &'static str,
    /// The flag's name, without dashes.
    pub flag: &'static str,
    /// What its value is.
    pub shape: Shape,
    /// When a change of it holds.
    pub takes: Takes,
}

impl Key {
    /// A key.
    pub const fn new(path: &'static str, flag: &'static str, shape: Shape, takes: Takes) -> Self {
        Self { path, flag, shape, takes }
    }
}

/// A value of a file as the flag that says the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The flag's name.
    pub flag: &'static str,
    /// The flag's value.
    pub value: String,
    /// The key's path.
    pub key: &'static str,
    /// File, line and column.
    pub place: String,
    /// When a change of it holds.
    pub takes: Takes,
}

/// The keys that a file may have.
///
/// ```
/// use example_host::config::{Key, Keys, Shape, Takes};
///
/// const KEYS: Keys = Keys {
///     flags: &[Key::new("serve.port", "port", Shape::One, Takes::Restart)],
///     others: &[],
/// };
/// let entries = KEYS.parse("serve: {port: 80}", "agent.yaml").unwrap();
/// assert_eq!((entries[0].flag, entries[0].value.as_str()), ("port", "80"));
/// let told = KEYS.parse("serve:\n  prot: 80", "agent.yaml").unwrap_err();
/// assert_eq!(told, ["agent.yaml:2:3: serve.prot: this key is not known: did you mean \"port\"?"]);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Keys {
    /// Those that are flags.
    pub flags: &'static [Key],
    /// The paths of those that are too large for one.
    pub others: &'static [&'static str],
}

/// What is wrong with a file: a line for each fault, with its place.
#[derive(Debug)]
pub struct Faults<'a> {
    origin: &'a str,
    lines: Vec<String>,
}

impl Faults<'_> {
    /// One more, at a place.
    pub fn add(&mut self, place: Place, path: &str, problem: impl fmt::Display) {
        let colon = if path.is_empty() { "" } else { ": " };
        self.lines.push(format!("{}:{place}: {path}{colon}{problem}", self.origin));
    }

    /// Lines that have their places already.
    pub fn extend(&mut self, lines: impl IntoIterator<Item = String>) {
        self.lines.extend(lines);
    }
}

/// Reads a file's text; a line where that fails.
pub fn text_of(path: &Path) -> Result<String, Vec<String>> {
    read_text(path).map_err(|error| vec![format!("{}: the file can't be read: {error}", path.display())])
}

/// Reads a document of bounded size; a line where that fails.
pub fn document(text: &str, origin: &str) -> Result<Node, Vec<String>> {
    if text.len() > MAX_BYTES {
        return Err(vec![format!("{origin}: it is longer than {MAX_BYTES} bytes")]);
    }
    Node::parse(text).map_err(|(place, problem)| match place {
        Some(place) => vec![format!("{origin}:{place}: this is no YAML: {problem}")],
        None => vec![format!("{origin}: this is no YAML: {problem}")],
    })
}

impl Keys {
    /// Reads a file in which all keys are flags: what is right in it, and a line for each fault.
    pub fn read(&self, path: &Path) -> (Vec<Entry>, Vec<String>) {
        let origin = path.display().to_string();
        match text_of(path).and_then(|text| document(&text, &origin)) {
            Ok(document) => self.sorted(&document, &origin, |_, _, _, _| {}),
            Err(problems) => (Vec::new(), problems),
        }
    }

    /// The same of a text, and what it is called; nothing where it has a fault.
    pub fn parse(&self, text: &str, origin: &str) -> Result<Vec<Entry>, Vec<String>> {
        self.entries(&document(text, origin)?, origin, |_, _, _, _| {})
    }

    /// The same of a document, whose other keys are handed out with their paths, places and values.
    pub fn entries<F>(&self, document: &Node, origin: &str, other: F) -> Result<Vec<Entry>, Vec<String>>
    where
        F: FnMut(&'static str, Place, &Node, &mut Faults<'_>),
    {
        let (entries, faults) = self.sorted(document, origin, other);
        if faults.is_empty() { Ok(entries) } else { Err(faults) }
    }

    fn sorted<F>(&self, document: &Node, origin: &str, other: F) -> (Vec<Entry>, Vec<String>)
    where
        F: FnMut(&'static str, Place, &Node, &mut Faults<'_>),
    {
        let faults = Faults { origin, lines: Vec::new() };
        let mut reader = Reader { keys: self, entries: Vec::new(), faults, other };
        reader.map("", document);
        (reader.entries, reader.faults.lines)
    }

    /// Every path.
    pub fn paths(&self) -> impl Iterator<Item = &'static str> {
        self.flags.iter().map(|key| key.path).chain(self.others.iter().copied())
    }

    /// The key that a mistyped one resembles, among those at its place.
    fn nearest(&self, name: &str, path: &str) -> Option<&'static str> {
        let below = |known: &'static str| {
            let rest = if path.is_empty() { known } else { known.strip_prefix(path)?.strip_prefix('.')? };
            rest.split('.').next()
        };
        let near = self
            .paths()
            .filter_map(below)
            .map(|known| (strsim::levenshtein(&name.to_lowercase(), &known.to_lowercase()), known));
        near.filter(|(edits, known)| *edits <= 2.max(known.len() / 3)).min().map(|(_, known)| known)
    }
}

struct Reader<'a, F> {
    keys: &'a Keys,
    entries: Vec<Entry>,
    faults: Faults<'a>,
    other: F,
}

impl<F: FnMut(&'static str, Place, &Node, &mut Faults<'_>)> Reader<'_, F> {
    /// Reads a map of keys whose paths begin with `path`.
    fn map(&mut self, path: &str, node: &Node) {
        let entries = match &node.content {
            Content::Map(entries) => entries,
            // A section whose keys are all comments.
            Content::Null => return,
            _ => return self.faults.add(node.place, path, format!("a map is wanted, here is {}", node.kind())),
        };
        for (name, place, node) in entries {
            let below = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            if let Some(key) = self.keys.flags.iter().find(|key| key.path == below) {
                self.value(key, node);
            } else if let Some(known) = self.keys.others.iter().find(|known| **known == below) {
                (self.other)(known, *place, node, &mut self.faults);
            } else if self.keys.paths().any(|known| known.starts_with(&format!("{below}."))) {
                self.map(&below, node);
            } else {
                let near = self.keys.nearest(name, path);
                let hint = near.map(|known| format!(": did you mean {known:?}?")).unwrap_or_default();
                self.faults.add(*place, &below, format!("this key is not known{hint}"));
            }
        }
    }

    fn value(&mut self, key: &Key, node: &Node) {
        let value = match (key.shape, &node.content) {
            // As if it were not there.
            (_, Content::Null) => return,
            (Shape::One, _) => node.scalar().ok_or("a single value is wanted"),
            (Shape::List, _) => list(node).map(|list| list.join(",")).ok_or("a list of single values is wanted"),
            (Shape::Lists, Content::Map(entries)) => {
                let lists = entries.iter().map(|(name, _, node)| Some(format!("{name}=[{}]", list(node)?.join(","))));
                lists.collect::<Option<Vec<_>>>().map(|lists| lists.join(",")).ok_or("lists by resource are wanted")
            }
            (Shape::Lists, _) => Err("lists by resource are wanted"),
        };
        match value {
            Ok(value) => self.entries.push(Entry {
                flag: key.flag,
                value,
                key: key.path,
                place: format!("{}:{}", self.faults.origin, node.place),
                takes: key.takes,
            }),
            Err(wanted) => self.faults.add(node.place, key.path, format!("{wanted}, here is {}", node.kind())),
        }
    }
}

fn list(node: &Node) -> Option<Vec<String>> {
    match &node.content {
        Content::List(list) => list.iter().map(Node::scalar).collect(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: Keys = Keys {
        flags: &[
            Key::new("parts", "parts", Shape::List, Takes::Effect),
            Key::new("serve.port", "port", Shape::One, Takes::Restart),
            Key::new("labels.of", "labels", Shape::Lists, Takes::Effect),
        ],
        others: &["large"],
    };

    #[test]
    fn values_become_flags_and_what_is_too_large_for_one_is_handed_out() {
        let text = "parts: [a, 'b', 3]\nserve:\n  port: 80\nlabels: {of: {x: [y, z]}}\nlarge: {a: 1}\n";
        let mut large = Vec::new();
        let document = document(text, "a.yaml").unwrap();
        let entries = KEYS
            .entries(&document, "a.yaml", |path, place, node, _| large.push((path, place.line(), node.to_json())))
            .unwrap();
        let flags: Vec<_> = entries.iter().map(|entry| (entry.flag, entry.value.as_str())).collect();
        assert_eq!(flags, [("parts", "a,b,3"), ("port", "80"), ("labels", "x=[y,z]")]);
        assert_eq!((entries[1].key, entries[1].place.as_str()), ("serve.port", "a.yaml:3:9"));
        assert_eq!(large, [("large", 5, serde_json::json!({"a": 1}))]);
        for nothing in ["", "# all is as it is\n", "serve:\n", "parts:\n"] {
            assert_eq!(KEYS.parse(nothing, "a.yaml").unwrap(), [], "{nothing:?}");
        }
    }

    #[test]
    fn all_faults_are_told_at_once_with_their_places() {
        let told = KEYS.parse("prats: [a]\nserve:\n  port: [1]\nlabels: 3\nparts: a\n", "a.yaml").unwrap_err();
        let want = [
            "a.yaml:1:1: prats: this key is not known: did you mean \"parts\"?",
            "a.yaml:3:9: serve.port: a single value is wanted, here is a list",
            "a.yaml:4:9: labels: a map is wanted, here is a single value",
            "a.yaml:5:8: parts: a list of single values is wanted, here is a single value",
        ];
        assert_eq!(told, want);
        assert!(KEYS.parse("a: [", "a.yaml").unwrap_err()[0].starts_with("a.yaml:1"));
        let long = format!("# {}", "x".repeat(MAX_BYTES));
        assert!(KEYS.parse(&long, "a.yaml").unwrap_err()[0].contains("longer than"));
    }
}
