//! Reading a map key by key: problems are collected, and what wasn't asked for is one.

use std::collections::BTreeMap;
use std::time::Duration;

use secrecy::SecretString;

use super::Problem;
use super::yaml::{Content, Node};
use crate::layout::{Layout, Template};
use crate::suggest::did_you_mean;

#[derive(Debug, Default)]
pub(super) struct Problems {
    pub(super) errors: Vec<Problem>,
    pub(super) warnings: Vec<Problem>,
    /// Unknown keys are warnings.
    pub(super) lenient: bool,
}

impl Problems {
    pub(super) fn add(&mut self, path: impl Into<String>, problem: impl Into<String>) {
        self.errors.push(Problem { path: path.into(), line: None, problem: problem.into() });
    }

    pub(super) fn warn(&mut self, path: impl Into<String>, problem: impl Into<String>) {
        self.warnings.push(Problem { path: path.into(), line: None, problem: problem.into() });
    }
}

pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// A map that is being read.
pub(super) struct Section<'n> {
    pub(super) path: String,
    entries: &'n [(String, Node)],
    known: Vec<&'static str>,
}

impl<'n> Section<'n> {
    pub(super) fn of(node: &'n Node, path: String, problems: &mut Problems) -> Self {
        let entries = match &node.content {
            Content::Map(entries) => entries.as_slice(),
            Content::Null => &[],
            _ => {
                problems.add(path.clone(), format!("a map is wanted, here is {}", node.kind()));
                &[]
            }
        };
        Self { path, entries, known: Vec::new() }
    }

    pub(super) fn at(&self, key: &str) -> String {
        join(&self.path, key)
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|(name, _)| name == key)
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &'n str> {
        self.entries.iter().map(|(key, _)| key.as_str())
    }

    /// The value of a key; null counts as not there.
    pub(super) fn take(&mut self, key: &'static str) -> Option<&'n Node> {
        self.known.push(key);
        let entry = self.entries.iter().find(|(name, _)| name == key);
        entry.map(|(_, node)| node).filter(|node| !matches!(node.content, Content::Null))
    }

    pub(super) fn section(&mut self, key: &'static str, problems: &mut Problems) -> Section<'n> {
        let node = self.take(key).unwrap_or(Node::nothing());
        Section::of(node, self.at(key), problems)
    }

    pub(super) fn list(&mut self, key: &'static str, problems: &mut Problems) -> &'n [Node] {
        match self.take(key) {
            None => &[],
            Some(Node { content: Content::List(list), .. }) => list,
            Some(node) => {
                problems.add(self.at(key), format!("a list is wanted, here is {}", node.kind()));
                &[]
            }
        }
    }

    pub(super) fn text(&mut self, key: &'static str, problems: &mut Problems) -> String {
        let node = self.take(key);
        node.and_then(|node| text(node, &self.at(key), problems)).unwrap_or_default()
    }

    /// A text that must be there.
    pub(super) fn required(&mut self, key: &'static str, problems: &mut Problems) -> String {
        let before = problems.errors.len();
        let text = self.text(key, problems);
        if text.is_empty() && problems.errors.len() == before {
            problems.add(self.at(key), "it must be given");
        }
        text
    }

    /// A text that is one of a few; the first where none is given.
    pub(super) fn choice<T: Copy>(
        &mut self,
        key: &'static str,
        words: &[(&str, T)],
        problems: &mut Problems,
    ) -> Option<T> {
        let text = self.text(key, problems);
        let found = words.iter().find(|(word, _)| *word == text || (text.is_empty() && !self.has(key)));
        if found.is_none() {
            let known: Vec<_> = words.iter().map(|(word, _)| *word).filter(|word| !word.is_empty()).collect();
            let hint = did_you_mean(&text, known.iter().copied());
            problems.add(self.at(key), format!("it is one of {}{hint}", known.join(", ")));
        }
        found.or(words.first()).map(|(_, value)| *value)
    }

    pub(super) fn boolean(&mut self, key: &'static str, problems: &mut Problems) -> bool {
        match self.take(key).map(|node| (node, &node.content)) {
            None => false,
            Some((_, Content::Bool(value))) => *value,
            Some((_, Content::Text(text))) if text == "True" || text == "TRUE" => true,
            Some((_, Content::Text(text))) if text == "False" || text == "FALSE" => false,
            Some((node, _)) => {
                problems.add(self.at(key), format!("true or false is wanted, here is {}", node.kind()));
                false
            }
        }
    }

    /// A whole number, at least 0.
    pub(super) fn integer<T: TryFrom<u64>>(&mut self, key: &'static str, problems: &mut Problems) -> Option<T> {
        let node = self.take(key)?;
        let number = match &node.content {
            Content::Number(number) => number.parse::<u64>().ok().and_then(|number| T::try_from(number).ok()),
            _ => None,
        };
        if number.is_none() {
            problems.add(self.at(key), "a whole number, not negative, and not too big, is wanted");
        }
        number
    }

    pub(super) fn float(&mut self, key: &'static str, problems: &mut Problems) -> Option<f32> {
        let node = self.take(key)?;
        let number = match &node.content {
            Content::Number(number) => number.parse::<f32>().ok().filter(|number| number.is_finite() && *number >= 0.0),
            _ => None,
        };
        if number.is_none() {
            problems.add(self.at(key), "a number that is not negative is wanted");
        }
        number
    }

    pub(super) fn secret(&mut self, key: &'static str, problems: &mut Problems) -> Option<SecretString> {
        let text = self.text(key, problems);
        (!text.is_empty()).then(|| text.into())
    }

    pub(super) fn texts(&mut self, key: &'static str, problems: &mut Problems) -> Vec<String> {
        let path = self.at(key);
        let list = self.list(key, problems).iter().enumerate();
        list.filter_map(|(at, node)| text(node, &format!("{path}[{at}]"), problems)).collect()
    }

    pub(super) fn map(&mut self, key: &'static str, problems: &mut Problems) -> BTreeMap<String, String> {
        let section = self.section(key, problems);
        let entries = section.entries.iter();
        entries.map(|(key, node)| (key.clone(), text(node, &section.at(key), problems).unwrap_or_default())).collect()
    }

    /// Texts that are templates.
    pub(super) fn templates(&mut self, key: &'static str, problems: &mut Problems) -> BTreeMap<String, Template> {
        let path = self.at(key);
        let texts = self.map(key, problems);
        let mut compile = |(key, text): (String, String)| match Template::compile(&text) {
            Ok(template) => Some((key, template)),
            Err(error) => {
                problems.add(join(&path, &key), error.to_string());
                None
            }
        };
        texts.into_iter().filter_map(&mut compile).collect()
    }

    pub(super) fn layout(&mut self, key: &'static str, problems: &mut Problems) -> Option<Layout> {
        let node = self.take(key)?;
        let path = self.at(key);
        if !matches!(node.content, Content::Map(_)) {
            problems.add(path, format!("a map is wanted, here is {}", node.kind()));
            return None;
        }
        match Layout::compile(&node.to_json()) {
            Ok(layout) => Some(layout),
            Err(found) => {
                for problem in found {
                    problems.add(join(&path, &problem.path), problem.problem);
                }
                None
            }
        }
    }

    /// `1m30s`, `200ms`, or a number of seconds.
    pub(super) fn duration(&mut self, key: &'static str, problems: &mut Problems) -> Option<Duration> {
        let node = self.take(key)?;
        let duration = match &node.content {
            Content::Number(number) => {
                number.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            }
            Content::Text(text) => duration(text),
            _ => None,
        };
        if duration.is_none() {
            problems.add(self.at(key), "a duration is wanted, as `500ms`, `30s`, `1m30s`");
        }
        duration
    }

    /// Tells the keys that nobody asked for.
    pub(super) fn finish(self, problems: &mut Problems) {
        for (key, _) in self.entries.iter().filter(|(key, _)| !self.known.contains(&key.as_str())) {
            let hint = did_you_mean(key, self.known.iter().copied());
            let problem = format!("this key is not known{hint}");
            if problems.lenient {
                problems.warn(self.at(key), problem);
            } else {
                problems.add(self.at(key), problem);
            }
        }
    }
}

fn text(node: &Node, path: &str, problems: &mut Problems) -> Option<String> {
    match &node.content {
        Content::Text(text) | Content::Number(text) => Some(text.clone()),
        Content::Bool(value) => Some(value.to_string()),
        Content::Null => Some(String::new()),
        Content::List(_) | Content::Map(_) => {
            problems.add(path, format!("a text is wanted, here is {}", node.kind()));
            None
        }
    }
}

fn duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
        let (number, after) = rest.split_at(digits);
        let unit = after.find(|letter: char| !letter.is_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit);
        let seconds = match unit {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        let part = Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()?;
        total = total.checked_add(part)?;
        rest = after;
    }
    Some(total)
}
