//! Metric allow, deny and opt-in lists.

use std::collections::BTreeMap;

use ksm_core::resource::enabled_families;
use ksm_core::{AllowLists, Family, FamilyFilter, FilterError, MetricType};
use serde::Deserialize;

const CASES: &str = include_str!("../../data/filters.jsonl");

#[derive(Deserialize)]
struct Case {
    id: String,
    allow: Option<Vec<String>>,
    deny: Option<Vec<String>>,
    #[serde(default)]
    optin: Vec<String>,
    #[serde(default)]
    then: Vec<Step>,
    #[serde(default)]
    families: Vec<StatedFamily>,
    #[serde(default)]
    want_error: bool,
    want_mode: Option<String>,
    #[serde(default)]
    want_list_contains: Vec<String>,
    #[serde(default)]
    want_included: BTreeMap<String, bool>,
    want_status: Option<Status>,
    want_count: Option<usize>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Step {
    Include(Vec<String>),
    Exclude(Vec<String>),
}

#[derive(Deserialize)]
struct StatedFamily {
    name: String,
    opt_in: bool,
}

#[derive(Deserialize)]
struct Status {
    mode: String,
    items: Vec<String>,
}

fn build(case: &Case) -> Result<FamilyFilter, FilterError> {
    let (allow, deny) = (case.allow.clone().unwrap_or_default(), case.deny.clone().unwrap_or_default());
    let mut filter = FamilyFilter::new(&allow, &deny, &case.optin)?;
    for step in &case.then {
        match step {
            Step::Include(patterns) => filter.include(patterns)?,
            Step::Exclude(patterns) => filter.exclude(patterns)?,
        }
    }
    Ok(filter)
}

/// Whether the filter admits the name: as one of the stated families where it is one.
fn includes(filter: &FamilyFilter, families: &[StatedFamily], name: &str) -> bool {
    let Some(stated) = families.iter().find(|family| family.name == name) else { return filter.admits(name) };
    let family = Family::dynamic(name, "Help.", MetricType::Gauge);
    let family = if stated.opt_in { family.opt_in() } else { family };
    enabled_families(&[family], filter, &AllowLists::default()).contains(0)
}

fn mode(filter: &FamilyFilter) -> &'static str {
    if filter.is_allowlist() { "allow" } else { "deny" }
}

#[test]
fn lists_include_what_upstreams_do() {
    for line in CASES.lines() {
        let case: Case = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let id = &case.id;
        let filter = match build(&case) {
            Ok(filter) => filter,
            Err(error) => {
                assert!(case.want_error, "{id}: {error}");
                continue;
            }
        };
        assert!(!case.want_error, "{id}: an error was wanted");
        for (name, want) in &case.want_included {
            assert_eq!(includes(&filter, &case.families, name), *want, "{id}: {name}");
        }
        if let Some(want) = &case.want_mode {
            assert_eq!(mode(&filter), want, "{id}");
        }
        for want in &case.want_list_contains {
            assert!(filter.patterns().any(|pattern| pattern == want), "{id}: {want}");
        }
        if let Some(want) = &case.want_status {
            assert_eq!(mode(&filter), want.mode, "{id}");
            let mut patterns: Vec<&str> = filter.patterns().collect();
            patterns.sort_unstable();
            assert_eq!(patterns, want.items, "{id}");
        }
        if let Some(want) = case.want_count {
            assert_eq!(filter.opt_in_count(), want, "{id}");
        }
    }
}

#[test]
fn an_allowlist_that_loses_its_last_pattern_admits_nothing() {
    let none: [&str; 0] = [];
    let mut filter = FamilyFilter::new(&["kube_pod_info"], &none, &none).unwrap();
    filter.exclude(&["kube_pod_info"]).unwrap();
    assert!(filter.is_allowlist());
    assert!(!filter.admits("kube_pod_info") && !filter.admits("kube_node_info"));
}

#[test]
fn a_pattern_that_does_not_compile_leaves_the_filter_as_it_was() {
    let none: [&str; 0] = [];
    let mut filter = FamilyFilter::new(&["kube_pod_info"], &none, &none).unwrap();
    assert!(matches!(filter.include(&["fine", "*"]), Err(FilterError::Pattern { pattern, .. }) if pattern == "*"));
    assert_eq!(filter.patterns().collect::<Vec<_>>(), ["kube_pod_info"]);
}
