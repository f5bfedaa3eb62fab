//! Label names made from map keys, and the allowlists that admit them.
//!
//! The rules are kube-state-metrics' (`internal/store/utils.go`): every character outside `[a-zA-Z0-9_]` becomes `_`,
//! camelCase becomes snake_case, and names that clash get `_conflictN` suffixes.

use std::borrow::Cow;
use std::collections::HashMap;

use thiserror::Error;

/// `name` with every character outside `[a-zA-Z0-9_]` as `_`.
///
/// ```
/// assert_eq!(ksm_core::labels::sanitize("nvidia.com/gpu"), "nvidia_com_gpu");
/// ```
pub fn sanitize(name: &str) -> String {
    sanitized(name).into_owned()
}

/// [`sanitize`] without a copy where nothing changes.
pub fn sanitized(name: &str) -> Cow<'_, str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.chars().all(is_plain) {
        return Cow::Borrowed(name);
    }
    Cow::Owned(name.chars().map(|c| if is_plain(c) { c } else { '_' }).collect())
}

/// A valid label name made of any text: sanitised, and with `_` before a digit that it would begin with.
///
/// ```
/// assert_eq!(ksm_core::labels::label_name("5g/zone"), "_5g_zone");
/// ```
pub fn label_name(text: &str) -> String {
    let mut name = sanitize(text);
    if name.chars().next().is_none_or(|first| first.is_ascii_digit()) {
        name.insert(0, '_');
    }
    name
}

/// `name` in snake_case: `_` between a lower-case letter or digit and an upper-case letter that follows it;
/// then all in lower case.
pub fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    let mut previous: Option<char> = None;
    for c in name.chars() {
        if c.is_ascii_uppercase() && previous.is_some_and(|p| p.is_ascii_lowercase() || p.is_ascii_digit()) {
            snake.push('_');
        }
        snake.extend(c.to_lowercase());
        previous = Some(c);
    }
    snake
}

/// Names the entries of a label or annotation map as metric labels: sorted by key, `{prefix}_{snake_case}`, clashes
/// told apart by `_conflict1`, `_conflict2`, … (a suffix in use is skipped).
///
/// ```
/// let named = ksm_core::labels::map_labels("label", [("app", "web"), ("a.b", "1"), ("a-b", "2")]);
/// let names: Vec<&str> = named.iter().map(|(name, _)| name.as_str()).collect();
/// assert_eq!(names, ["label_a_b_conflict1", "label_a_b_conflict2", "label_app"]);
/// ```
pub fn map_labels<'v>(prefix: &str, entries: impl IntoIterator<Item = (&'v str, &'v str)>) -> Vec<(String, &'v str)> {
    let mut entries: Vec<(&str, &str)> = entries.into_iter().collect();
    entries.sort_unstable_by_key(|(key, _)| *key);
    let names = entries.iter().map(|(key, _)| format!("{prefix}_{}", snake_case(&sanitized(key)))).collect();
    told_apart(names).into_iter().zip(entries.iter().map(|(_, value)| *value)).collect()
}

/// The names with suffixes where they clash; see [`map_labels`].
fn told_apart(wanted: Vec<String>) -> Vec<String> {
    if !clash(&wanted) {
        return wanted;
    }
    let mut names: Vec<String> = Vec::with_capacity(wanted.len());
    // Where each name in use stands, and the last suffix given to each name that clashed.
    let mut in_use: HashMap<String, usize> = HashMap::with_capacity(wanted.len());
    let mut suffixes: HashMap<String, u32> = HashMap::new();
    for base in wanted {
        let name = if let Some(suffix) = suffixes.get_mut(&base) {
            next_free(&base, suffix, &in_use)
        } else if let Some(first) = in_use.remove(&base) {
            let mut suffix = 0;
            let renamed = next_free(&base, &mut suffix, &in_use);
            in_use.insert(renamed.clone(), first);
            if let Some(earlier) = names.get_mut(first) {
                *earlier = renamed;
            }
            let name = next_free(&base, &mut suffix, &in_use);
            suffixes.insert(base, suffix);
            name
        } else {
            base
        };
        in_use.insert(name.clone(), names.len());
        names.push(name);
    }
    names
}

/// Whether two of the names may be the same. Many names are not compared here: that would take their square.
fn clash(names: &[String]) -> bool {
    names.len() > 32 || names.iter().enumerate().any(|(at, name)| names.iter().take(at).any(|other| other == name))
}

fn next_free(base: &str, suffix: &mut u32, in_use: &HashMap<String, usize>) -> String {
    loop {
        *suffix += 1;
        let candidate = format!("{base}_conflict{suffix}");
        if !in_use.contains_key(&candidate) {
            return candidate;
        }
    }
}

/// An allowlist entry that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PatternError {
    /// More than one `*` in a key pattern.
    #[error("key pattern {pattern:?} has more than one `*`: use at most one, like `app.kubernetes.io/*`")]
    TooManyWildcards {
        /// The pattern as it was given.
        pattern: String,
    },
}

/// The regular expression that a key pattern stands for: anchored, each `*` as `.*`, all else literal. After `wildcards`
/// stars the rest of the pattern counts no more, which is how kube-state-metrics reads it.
///
/// ```
/// assert_eq!(ksm_core::labels::pattern_regex("app.*", 1), "^app\\..*$");
/// ```
pub fn pattern_regex(pattern: &str, wildcards: usize) -> String {
    let literals: Vec<Cow<'_, str>> = pattern.split('*').take(wildcards + 1).map(fancy_regex::escape).collect();
    format!("^{}$", literals.join(".*"))
}

/// A key pattern of an allowlist: a key, or a key with one `*` that stands for any text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPattern {
    before: String,
    after: Option<String>,
}

impl KeyPattern {
    /// Reads a pattern.
    pub fn parse(pattern: &str) -> Result<Self, PatternError> {
        match pattern.split_once('*') {
            None => Ok(Self { before: pattern.to_owned(), after: None }),
            Some((_, after)) if after.contains('*') => {
                Err(PatternError::TooManyWildcards { pattern: pattern.to_owned() })
            }
            Some((before, after)) => Ok(Self { before: before.to_owned(), after: Some(after.to_owned()) }),
        }
    }

    /// Whether the pattern admits `key`, whole.
    pub fn matches(&self, key: &str) -> bool {
        match &self.after {
            None => key == self.before,
            Some(after) => {
                key.len() >= self.before.len() + after.len()
                    && key.starts_with(self.before.as_str())
                    && key.ends_with(after.as_str())
            }
        }
    }
}

/// The keys of a map that a resource's allowlist admits. Empty admits none, and gates the family off.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyAllowList {
    all: bool,
    patterns: Vec<KeyPattern>,
}

impl KeyAllowList {
    /// Admits every key.
    pub fn everything() -> Self {
        Self { all: true, patterns: Vec::new() }
    }

    /// Reads the entries of `res=[a,b]`. A lone `*` counts as first entry only; later it is ignored, as upstream does.
    /// Patterns with more than one `*` are returned as errors beside what could be read.
    pub fn parse<S: AsRef<str>>(entries: &[S]) -> (Self, Vec<PatternError>) {
        if entries.first().is_some_and(|first| first.as_ref() == "*") {
            return (Self::everything(), Vec::new());
        }
        let mut list = Self::default();
        let mut errors = Vec::new();
        for entry in entries.iter().map(AsRef::as_ref).filter(|entry| *entry != "*") {
            match KeyPattern::parse(entry) {
                Ok(pattern) => list.patterns.push(pattern),
                Err(error) => errors.push(error),
            }
        }
        (list, errors)
    }

    /// Whether nothing is admitted, so that the family is off.
    pub fn is_empty(&self) -> bool {
        !self.all && self.patterns.is_empty()
    }

    /// Whether `key` is admitted.
    pub fn admits(&self, key: &str) -> bool {
        self.all || self.patterns.iter().any(|pattern| pattern.matches(key))
    }
}

/// The label and annotation allowlists of one resource.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowLists {
    /// For the `_labels` family.
    pub labels: KeyAllowList,
    /// For the `_annotations` family.
    pub annotations: KeyAllowList,
}
