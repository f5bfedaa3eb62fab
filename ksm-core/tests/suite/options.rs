//! Flag text → what it means, against what kube-state-metrics v2.20 reads.

use std::collections::BTreeMap;

use ksm_core::KeyAllowList;
use ksm_core::options::{comma_list, key_allowlists, resources};
use serde::Deserialize;
use serde_json::Value;

const CASES: &str = include_str!("../data/parsers.jsonl");
/// The resources that the cases name, whether this crate has them already or not.
const KNOWN: &[&str] = &["configmaps", "cronjobs", "daemonsets", "deployments", "namespaces", "nodes", "pods"];

#[derive(Deserialize)]
struct Case {
    id: String,
    level: String,
    flag: String,
    input: Value,
    #[serde(default)]
    want: Value,
    #[serde(default)]
    want_error: bool,
}

impl Case {
    fn input(&self) -> &str {
        self.input.as_str().expect("a flag's value is text")
    }

    fn wanted_list(&self) -> Vec<String> {
        serde_json::from_value(self.want.clone()).expect("a list is wanted")
    }

    fn wanted_allowlists(&self) -> BTreeMap<String, KeyAllowList> {
        let wanted: BTreeMap<String, Vec<String>> =
            serde_json::from_value(self.want.clone()).expect("lists by resource are wanted");
        wanted.into_iter().map(|(resource, keys)| (resource, KeyAllowList::parse(&keys).0)).collect()
    }
}

#[test]
fn flags_read_as_upstream_reads_them() {
    let mut run = BTreeMap::new();
    for line in CASES.lines() {
        let case: Case = serde_json::from_str(line).expect("a case per line");
        if case.level != "flag" {
            continue;
        }
        match case.flag.as_str() {
            "--resources" => {
                assert_eq!(resources("resources", &[case.input()], KNOWN).unwrap(), case.wanted_list(), "{}", case.id);
            }
            "--namespaces" | "--metric-allowlist" => {
                assert_eq!(comma_list(&[case.input()]), case.wanted_list(), "{}", case.id);
            }
            "--metric-labels-allowlist" => match key_allowlists("f", case.input(), KNOWN) {
                Ok(lists) => {
                    assert!(!case.want_error, "{} must be refused", case.id);
                    assert_eq!(lists, case.wanted_allowlists(), "{}", case.id);
                }
                Err(errors) => assert!(case.want_error, "{}: {errors:?}", case.id),
            },
            _ => continue,
        }
        *run.entry(case.flag).or_insert(0) += 1;
    }
    assert_eq!(run.len(), 4, "each flag has cases: {run:?}");
}
