//! Labels from a configuration: constants, paths, and whole maps by wildcards.

use std::borrow::Cow;

use serde_json::Value;

use super::path::Path;
use super::text::label_value;
use crate::labels;
use crate::samples::Label;

/// The labels that every sample of a custom resource has, whatever a configuration says.
pub(super) const RESERVED: [&str; 3] = ["customresource_group", "customresource_kind", "customresource_version"];

/// Labels being made: a later one of a name replaces an earlier one.
#[derive(Debug, Default)]
pub(super) struct Labels<'a> {
    list: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> Labels<'a> {
    pub(super) fn clear(&mut self) {
        self.list.clear();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.list.iter().any(|(known, _)| known == name)
    }

    pub(super) fn set(&mut self, name: impl Into<Cow<'a, str>>, value: impl Into<Cow<'a, str>>) {
        let (name, value) = (name.into(), value.into());
        if RESERVED.contains(&name.as_ref()) {
            return;
        }
        match self.list.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => self.list.push((name, value)),
        }
    }

    /// Sets a label for each entry of a map.
    pub(super) fn set_map(&mut self, prefix: &str, map: &'a serde_json::Map<String, Value>) {
        for (key, value) in map.iter().filter(|(_, value)| !value.is_null()) {
            self.set(prefixed(prefix, key), label_value(value));
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Label<'_>> {
        self.list.iter().map(|(name, value)| (name.as_ref(), value.as_ref()))
    }

    /// Takes the labels out that `is_taken` holds for.
    pub(super) fn take(&mut self, is_taken: impl Fn(&str) -> bool) -> Self {
        let (taken, kept) = std::mem::take(&mut self.list).into_iter().partition(|(name, _)| is_taken(name));
        self.list = kept;
        Self { list: taken }
    }
}

/// The name of a label that a wildcard makes: sanitised as a whole.
fn prefixed<'k>(prefix: &str, key: &'k str) -> Cow<'k, str> {
    if prefix.is_empty() {
        let name = labels::sanitized(key);
        if name.starts_with(|c: char| !c.is_ascii_digit()) { name } else { Cow::Owned(labels::label_name(key)) }
    } else {
        Cow::Owned(labels::label_name(&format!("{prefix}{key}")))
    }
}

/// Compiled `commonLabels` and `labelsFromPath`, in the order in which they apply: constants, wildcards, paths.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct LabelRules {
    constants: Vec<(Box<str>, Box<str>)>,
    /// The prefix, and the path to the map.
    wildcards: Vec<(Box<str>, Path)>,
    paths: Vec<(Box<str>, Path)>,
}

impl LabelRules {
    pub(super) fn add_constant(&mut self, name: &str, value: &str) {
        self.constants.push((name.into(), value.into()));
    }

    /// Adds a `labelsFromPath` entry. Entries come sorted by their keys.
    pub(super) fn add_path(&mut self, key: &str, path: Path) {
        match wildcard(key) {
            Some(prefix) => self.wildcards.push((prefix.into(), path)),
            None => self.paths.push((labels::label_name(key).into(), path)),
        }
    }

    pub(super) fn constants<'a>(&'a self, labels: &mut Labels<'a>) {
        for (name, value) in &self.constants {
            labels.set(&**name, &**value);
        }
    }

    /// Sets the labels whose paths lead somewhere in `value`.
    pub(super) fn apply<'a>(&'a self, value: &'a Value, labels: &mut Labels<'a>) {
        for (prefix, path) in &self.wildcards {
            if let Some(Value::Object(map)) = path.get(value) {
                labels.set_map(prefix, map);
            }
        }
        for (name, path) in &self.paths {
            if let Some(value) = path.get(value) {
                labels.set(&**name, label_value(value));
            }
        }
    }
}

/// The prefix that a wildcard key stands for; none where it is a plain name.
pub(super) fn wildcard(key: &str) -> Option<&str> {
    key.strip_suffix('*').or_else(|| key.starts_with('*').then_some(""))
}

/// The names that some rules may give labels.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    names: Vec<Box<str>>,
    prefixes: Vec<Box<str>>,
}

impl Names {
    pub(super) fn add(&mut self, name: &str) {
        self.names.push(name.into());
    }

    pub(super) fn add_prefix(&mut self, prefix: &str) {
        self.prefixes.push(if prefix.is_empty() { "".into() } else { labels::label_name(prefix).into() });
    }

    pub(super) fn add_rules(&mut self, rules: &LabelRules) {
        self.names.extend(rules.constants.iter().map(|(name, _)| name.clone()));
        self.names.extend(rules.paths.iter().map(|(name, _)| name.clone()));
        for (prefix, _) in &rules.wildcards {
            self.add_prefix(prefix);
        }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.names.iter().any(|known| **known == *name)
            || self.prefixes.iter().any(|prefix| name.starts_with(&**prefix))
    }
}
