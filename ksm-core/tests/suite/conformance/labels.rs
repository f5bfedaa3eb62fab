//! Label names from map keys, and the allowlists that admit the keys.

use std::collections::{BTreeMap, HashSet};

use fancy_regex::Regex;
use ksm_core::KeyAllowList;
use ksm_core::labels::{KeyPattern, map_labels, pattern_regex};
use serde::Deserialize;

const CASES: &str = include_str!("../../data/labels.jsonl");

#[derive(Deserialize)]
#[serde(tag = "level", rename_all = "snake_case")]
enum Case {
    Labels {
        id: String,
        labels: BTreeMap<String, String>,
        allow: Vec<String>,
        prefix: String,
        want: BTreeMap<String, String>,
        want_order: Vec<String>,
    },
    ExpandWildcard {
        id: String,
        pattern: String,
        max_wildcards: usize,
        want_regex: String,
    },
    Pattern {
        id: String,
        pattern: String,
        want_valid: bool,
        #[serde(default)]
        want_matches: BTreeMap<String, bool>,
    },
}

#[test]
fn maps_become_labels_and_patterns_admit_keys_as_upstream() {
    let mut levels = HashSet::new();
    for line in CASES.lines() {
        let case = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        levels.insert(std::mem::discriminant(&case));
        match case {
            Case::Labels { id, labels, allow, prefix, want, want_order } => {
                let (list, _) = KeyAllowList::parse(&allow);
                let admitted = labels.iter().filter(|(key, _)| list.admits(key)).map(|(k, v)| (k.as_str(), v.as_str()));
                let named = map_labels(&prefix, admitted);
                let order: Vec<&str> = named.iter().map(|(name, _)| name.as_str()).collect();
                assert_eq!(order, want_order, "{id}");
                let named: BTreeMap<String, String> = named.iter().map(|(n, v)| (n.clone(), (*v).to_owned())).collect();
                assert_eq!(named, want, "{id}");
            }
            Case::ExpandWildcard { id, pattern, max_wildcards, want_regex } => {
                assert_eq!(pattern_regex(&pattern, max_wildcards), want_regex, "{id}");
            }
            Case::Pattern { id, pattern, want_valid, want_matches } => {
                let parsed = KeyPattern::parse(&pattern);
                assert_eq!(parsed.is_ok(), want_valid, "{id}");
                for (key, want) in want_matches {
                    assert_eq!(parsed.as_ref().is_ok_and(|pattern| pattern.matches(&key)), want, "{id}: {key}");
                }
            }
        }
    }
    assert_eq!(levels.len(), 3, "cases of every level were run");
}

#[test]
fn a_key_pattern_matches_what_its_regular_expression_does() {
    let keys = ["app", "app.kubernetes.io/name", "name", "a", "", "my-app", "appname", "app.name"];
    for pattern in ["app", "app*", "*name", "*", "app*name", "app.*", "a*a", ""] {
        let (pattern_itself, regex) =
            (KeyPattern::parse(pattern).unwrap(), Regex::new(&pattern_regex(pattern, 1)).unwrap());
        for key in keys {
            assert_eq!(pattern_itself.matches(key), regex.is_match(key).unwrap(), "{pattern} on {key}");
        }
    }
}

#[test]
fn no_name_is_given_twice_even_where_keys_look_like_suffixed_names() {
    // The third key's name is the one that the first two's clash made: it clashes in turn.
    let named = map_labels("label", [("a-b", "1"), ("a.b", "2"), ("a_b_conflict1", "3"), ("b", "4")]);
    let names: Vec<(&str, &str)> = named.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    assert_eq!(
        names,
        [
            ("label_a_b_conflict1_conflict1", "1"),
            ("label_a_b_conflict2", "2"),
            ("label_a_b_conflict1_conflict2", "3"),
            ("label_b", "4"),
        ]
    );
}

#[test]
fn many_names_clash_as_few_do() {
    let keys: Vec<String> = (0..40).map(|n| format!("key{n:02}")).chain(["z.".into(), "z-".into()]).collect();
    let named = map_labels("label", keys.iter().map(|key| (key.as_str(), "")));
    let last: Vec<&str> = named.iter().skip(40).map(|(name, _)| name.as_str()).collect();
    assert_eq!(last, ["label_z__conflict1", "label_z__conflict2"]);
}
