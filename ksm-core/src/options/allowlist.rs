//! `pods=[app,team],nodes=[*]`

use std::collections::BTreeMap;

use super::error::{Given, OptionError};
use super::list::unknown;
use crate::labels::{KeyAllowList, KeyPattern};

/// Reads a label or annotation allowlist: `pods=[app,team],nodes=[*],*=[app.kubernetes.io/*]`, by resource.
///
/// The resource `*` stands for all. A key is taken whole, or with one `*` for any text; `[*]` admits every key, and
/// `[]` none, which switches the family off. An entry replaces an earlier one of its resource. White space around
/// names, keys and punctuation says nothing. `known` are all resources that there are.
///
/// ```
/// use ksm_core::options::key_allowlists;
///
/// let lists = key_allowlists("metric-labels-allowlist", "pods=[app],*=[team-*]", &["pods"]).unwrap();
/// assert!(lists["*"].admits("team-a"));
/// let errors = key_allowlists("metric-labels-allowlist", "pods=app", &["pods"]).unwrap_err();
/// assert_eq!(
///     errors[0].to_string(),
///     "--metric-labels-allowlist: expected `[` at character 6, in \"pods=app\": write it like `pods=[app,team],nodes=[*]`",
/// );
/// ```
pub fn key_allowlists(
    given: impl Into<Given>,
    value: &str,
    known: &[&str],
) -> Result<BTreeMap<String, KeyAllowList>, Vec<OptionError>> {
    let given = given.into();
    let mut lists = BTreeMap::new();
    let mut errors = Vec::new();
    let mut cursor = Cursor { text: value, at: 0, entry: 0 };
    cursor.skip_space();
    let mut more = !cursor.is_at_end();
    while more {
        let (resource, keys) = match cursor.entry() {
            Ok(entry) => entry,
            Err(problem) => {
                // What follows can't be told apart.
                errors.push(cursor.error(&given, problem));
                break;
            }
        };
        more = match cursor.separator() {
            Ok(more) => more,
            Err(problem) => {
                errors.push(cursor.error(&given, problem));
                break;
            }
        };
        lists.insert(resource.to_owned(), checked(&given, resource, &keys, known, &mut errors));
    }
    if errors.is_empty() { Ok(lists) } else { Err(errors) }
}

/// One resource's keys; notes what is wrong with them.
pub(super) fn checked<S: AsRef<str>>(
    given: &Given,
    resource: &str,
    keys: &[S],
    known: &[&str],
    errors: &mut Vec<OptionError>,
) -> KeyAllowList {
    if resource != "*" && !known.contains(&resource) {
        errors.push(unknown(given, resource.to_owned(), known));
    }
    let keys: Vec<&str> = keys.iter().map(AsRef::as_ref).collect();
    for source in keys.iter().filter(|key| **key != "*").filter_map(|key| KeyPattern::parse(key).err()) {
        errors.push(OptionError::Pattern { given: given.clone(), resource: resource.to_owned(), source });
    }
    KeyAllowList::parse(&keys).0
}

/// A place in the flag's value.
struct Cursor<'a> {
    text: &'a str,
    /// In bytes.
    at: usize,
    /// Where the current entry begins.
    entry: usize,
}

impl<'a> Cursor<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn is_at_end(&self) -> bool {
        self.rest().is_empty()
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    /// The text up to any character of the grammar, trimmed.
    fn word(&mut self) -> &'a str {
        self.skip_space();
        let rest = self.rest();
        let end = rest.find(['=', '[', ']', ',']).unwrap_or(rest.len());
        self.at += end;
        rest.get(..end).unwrap_or_default().trim_end()
    }

    fn eat(&mut self, wanted: char) -> bool {
        self.skip_space();
        let found = self.rest().starts_with(wanted);
        if found {
            self.at += wanted.len_utf8();
        }
        found
    }

    /// `resource=[key,key]`
    fn entry(&mut self) -> Result<(&'a str, Vec<&'a str>), &'static str> {
        self.skip_space();
        self.entry = self.at;
        let resource = self.word();
        if resource.is_empty() || resource.contains(char::is_whitespace) {
            self.at = self.entry;
            return Err("expected a resource");
        }
        if !self.eat('=') {
            return Err("expected `=`");
        }
        if !self.eat('[') {
            return Err("expected `[`");
        }
        let mut keys = Vec::new();
        if self.eat(']') {
            return Ok((resource, keys));
        }
        loop {
            self.skip_space();
            let begin = self.at;
            let key = self.word();
            if key.is_empty() || key.contains(char::is_whitespace) {
                self.at = begin;
                return Err("expected a key");
            }
            keys.push(key);
            if self.eat(']') {
                return Ok((resource, keys));
            }
            if !self.eat(',') {
                return Err("expected `,` or `]`");
            }
        }
    }

    /// What follows an entry; whether another entry does.
    fn separator(&mut self) -> Result<bool, &'static str> {
        if self.eat(',') {
            return Ok(true);
        }
        if self.is_at_end() { Ok(false) } else { Err("expected `,` or the end") }
    }

    fn error(&self, given: &Given, problem: &'static str) -> OptionError {
        let before = self.text.get(..self.at).unwrap_or_default();
        let entry = self.text.get(self.entry..).unwrap_or_default();
        let end = entry.find(']').map_or(entry.len(), |end| end + 1);
        OptionError::Syntax {
            given: given.clone(),
            entry: entry.get(..end).unwrap_or_default().to_owned(),
            place: before.chars().count() + 1,
            problem,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[&str] = &["pods", "nodes"];

    fn read(value: &str) -> Result<BTreeMap<String, KeyAllowList>, Vec<String>> {
        key_allowlists("f", value, KNOWN).map_err(|errors| errors.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn keys_beyond_ascii_are_read_and_places_count_characters() {
        assert!(read("pods=[größe,名前]").unwrap()["pods"].admits("名前"));
        let errors = read("pods=[größe],nodes=名前").unwrap_err();
        assert_eq!(
            errors,
            ["--f: expected `[` at character 20, in \"nodes=名前\": write it like `pods=[app,team],nodes=[*]`"]
        );
    }

    #[test]
    fn a_later_entry_replaces_and_an_empty_one_gates_off() {
        let lists = read("pods=[a],pods=[b],nodes=[]").unwrap();
        assert!(!lists["pods"].admits("a") && lists["pods"].admits("b"));
        assert!(lists["nodes"].is_empty());
    }

    #[test]
    fn white_space_between_parts_says_nothing() {
        assert_eq!(read(" pods = [ a , b ] ,\n nodes=[*] "), read("pods=[a,b],nodes=[*]"));
    }

    #[test]
    fn broken_entries_are_named_with_their_place() {
        for (value, problem, place) in [
            ("pods", "expected `=`", 5),
            ("pods=[a", "expected `,` or `]`", 8),
            ("pods=[a,,b]", "expected a key", 9),
            ("pods=[a,]", "expected a key", 9),
            ("pods=[a b]", "expected a key", 7),
            ("pods=[a=b]", "expected `,` or `]`", 8),
            ("pods=[a],", "expected a resource", 10),
            ("=[a]", "expected a resource", 1),
            ("pods=[a]nodes=[b]", "expected `,` or the end", 9),
        ] {
            let errors = read(value).unwrap_err();
            let begin = format!("--f: {problem} at character {place}, ");
            assert!(errors.len() == 1 && errors[0].starts_with(&begin), "{value}: {errors:?}");
        }
    }

    #[test]
    fn all_unknown_resources_and_bad_patterns_are_told_at_once() {
        let errors = read("cats=[a],pods=[a*b*c],dogs=[*]").unwrap_err();
        assert_eq!(errors.len(), 3, "{errors:?}");
        assert!(errors[0].contains("\"cats\"") && errors[1].contains("\"a*b*c\"") && errors[2].contains("\"dogs\""));
    }
}
