//! Object → sample lines.

use std::collections::{BTreeMap, BTreeSet};

use cluster_sim::population::{Population, PopulationSpec};
use ksm_core::families::{BuiltinVisitor, for_each_builtin};
use ksm_core::render::sample_lines;
use ksm_core::resource::enabled_families;
use ksm_core::{AllowLists, Builtin, FamilyFilter, FamilySet, Gate, KeyAllowList, MetricType, Stability};
use serde::Deserialize;
use serde_json::{Value, json};

const CASES: &str = include_str!("../../data/ksm_cases.jsonl");
const FAMILIES: &str = include_str!("../../data/ksm_families.tsv");

#[derive(Deserialize)]
struct Case {
    id: String,
    object: Value,
    allow_annotations: Option<Vec<String>>,
    allow_labels: Option<Vec<String>>,
    metric_names: Option<Vec<String>>,
    want_samples: Vec<String>,
}

/// A sample line with its labels sorted, so that lines compare as sets.
fn canonical(line: &str) -> String {
    let Some((name, rest)) = line.split_once('{') else { return line.to_owned() };
    let (labels, value) = rest.rsplit_once("} ").expect("labels end before the value");
    let mut parts = Vec::new();
    let (mut start, mut quoted, mut escaped) = (0, false, false);
    for (at, c) in labels.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            ',' if !quoted => {
                parts.push(&labels[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&labels[start..]);
    parts.sort_unstable();
    format!("{name}{{{}}} {value}", parts.join(","))
}

struct CaseRunner<'a> {
    case: &'a Case,
    got: Option<Vec<String>>,
}

impl BuiltinVisitor for CaseRunner<'_> {
    fn visit<K: Builtin>(&mut self) {
        if self.case.object["kind"] != K::kind(&()).as_ref() {
            return;
        }
        let object: K = serde_json::from_value(self.case.object.clone()).expect("the case's object decodes");
        let names = self.case.metric_names.clone().unwrap_or_default();
        let none: Vec<String> = Vec::new();
        // Opt-in families are tested where a case names them.
        let filter = FamilyFilter::new(&names, &none, &names).expect("the case's names compile");
        // The data leaves out the lists that this one case is made with.
        let unsaid =
            if self.case.id == "endpoint/TestEndpointStoreWithLabels/0" { &["app".to_owned()][..] } else { &[] };
        let allow = AllowLists {
            labels: KeyAllowList::parse(self.case.allow_labels.as_deref().unwrap_or(unsaid)).0,
            annotations: KeyAllowList::parse(self.case.allow_annotations.as_deref().unwrap_or(unsaid)).0,
        };
        let enabled = enabled_families(K::RESOURCE.families, &filter, &allow);
        self.got = Some(sample_lines(&K::RESOURCE, &object, &enabled, &allow));
    }
}

#[test]
fn objects_yield_upstreams_samples() {
    let mut failures = Vec::new();
    let mut kinds = BTreeSet::new();
    for line in CASES.lines() {
        let case: Case = serde_json::from_str(line).expect("a case per line");
        let mut runner = CaseRunner { case: &case, got: None };
        for_each_builtin(&mut runner);
        let Some(got) = runner.got else { panic!("no resource of the kind: {}", case.id) };
        kinds.insert(case.object["kind"].as_str().expect("an object has a kind").to_owned());
        let got: BTreeSet<String> = got.iter().map(|line| canonical(line)).collect();
        let want: BTreeSet<String> = case.want_samples.iter().map(|line| canonical(line)).collect();
        let missing: Vec<_> = want.difference(&got).cloned().collect();
        let extra: Vec<_> = got.difference(&want).cloned().collect();
        if !(missing.is_empty() && extra.is_empty()) {
            failures.push(format!("{}\n  missing: {missing:#?}\n  extra: {extra:#?}", case.id));
        }
    }
    assert!(failures.is_empty(), "{} cases fail:\n{}", failures.len(), failures.join("\n"));
    let mut known = Kinds::default();
    for_each_builtin(&mut known);
    assert_eq!(kinds, known.0, "every kind has cases");
}

#[derive(Default)]
struct Kinds(BTreeSet<String>);

impl BuiltinVisitor for Kinds {
    fn visit<K: Builtin>(&mut self) {
        self.0.insert(K::kind(&()).into_owned());
    }
}

#[derive(Default)]
struct Tables {
    /// Resource → family → the columns that the family table states too.
    families: BTreeMap<String, BTreeMap<String, String>>,
}

impl BuiltinVisitor for Tables {
    fn visit<K: Builtin>(&mut self) {
        let rows = K::RESOURCE.families.iter().map(|family| {
            let kind = match family.kind {
                MetricType::Counter => "counter",
                _ => "gauge",
            };
            let stability = match family.stability {
                Stability::Stable => "STABLE",
                Stability::Alpha => "ALPHA",
            };
            let gate = match family.gate {
                Gate::Default => "default",
                Gate::OptIn => "opt-in",
                Gate::LabelAllowlist | Gate::AnnotationAllowlist => "allowlist",
            };
            let deprecated = family.deprecated_since.unwrap_or_default();
            let default = if K::DEFAULT { "yes" } else { "no" };
            (family.name.to_string(), format!("{kind} {stability} {gate} {deprecated} {default}"))
        });
        self.families.insert(K::RESOURCE.name.to_owned(), rows.collect());
    }
}

#[test]
fn family_tables_are_upstreams_both_ways() {
    let mut ours = Tables::default();
    for_each_builtin(&mut ours);
    let mut upstream: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for row in FAMILIES.lines().skip(1) {
        let columns: Vec<&str> = row.split('\t').collect();
        let [resource, family, kind, stability, _labels, enabled, deprecated, default, ..] = columns[..] else {
            panic!("a row has ten columns: {row}");
        };
        let stated = format!("{kind} {stability} {enabled} {deprecated} {default}");
        upstream.entry(resource.to_owned()).or_default().insert(family.to_owned(), stated);
    }
    assert_eq!((upstream.len(), upstream.values().map(BTreeMap::len).sum::<usize>()), (39, 336));
    assert_eq!(ours.families, upstream);
}

/// The names of the labels that each family's samples have, over all cases and with everything on.
#[derive(Default)]
struct LabelNames {
    object: Value,
    families: BTreeMap<String, BTreeSet<String>>,
}

impl BuiltinVisitor for LabelNames {
    fn visit<K: Builtin>(&mut self) {
        if self.object["kind"] != K::kind(&()).as_ref() {
            return;
        }
        let object: K = serde_json::from_value(self.object.clone()).expect("the case's object decodes");
        let all = FamilySet::all(K::RESOURCE.families.len());
        let allow = AllowLists { labels: KeyAllowList::everything(), annotations: KeyAllowList::everything() };
        for line in sample_lines(&K::RESOURCE, &object, &all, &allow) {
            let (name, labels) = label_names(&line);
            self.families.entry(name.to_owned()).or_default().extend(labels);
        }
    }
}

/// Labels made of an object's own words, as the family table writes them.
fn pattern(name: &str) -> &str {
    for (prefix, pattern) in [
        ("label_", "label_*"),
        ("annotation_", "annotation_*"),
        ("nodeselector_", "nodeselector_*"),
        ("metadata_", "metadata_*"),
    ] {
        if name.starts_with(prefix) {
            return pattern;
        }
    }
    name
}

fn label_names(line: &str) -> (&str, Vec<String>) {
    let Some((name, rest)) = line.split_once('{') else {
        return (line.split(' ').next().unwrap_or_default(), Vec::new());
    };
    let mut names = Vec::new();
    let mut rest = rest;
    while let Some((label, value)) = rest.split_once("=\"") {
        names.push(pattern(label).to_owned());
        let mut escaped = false;
        let end = value.find(|c| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        rest = value.get(end.expect("a value ends") + 1..).unwrap_or_default().trim_start_matches(',');
    }
    (name, names)
}

/// What neither the cases nor a simulated cluster has.
fn rarities() -> [Value; 4] {
    let backend = json!({"resource": {"apiGroup": "example.com", "kind": "Bucket", "name": "b"}});
    let waiting = json!({"name": "i", "state": {"waiting": {"reason": "PodInitializing"}}});
    [
        json!({"kind": "CronJob", "metadata": {}, "spec": {"schedule": "never"}}),
        json!({"kind": "Ingress", "metadata": {}, "spec": {"rules": [{"http": {"paths": [{"backend": backend}]}}]}}),
        json!({"kind": "Node", "metadata": {}, "spec": {"taints": [{"key": "k", "effect": "NoSchedule"}]}}),
        json!({"kind": "Pod", "metadata": {}, "spec": {"overhead": {"cpu": "1", "memory": "1"}},
               "status": {"initContainerStatuses": [waiting]}}),
    ]
}

#[test]
fn samples_have_the_labels_that_the_family_table_names_both_ways() {
    let mut names = LabelNames::default();
    let cases = CASES.lines().map(|line| serde_json::from_str::<Case>(line).expect("a case per line").object);
    let population = Population::new(&PopulationSpec::default());
    for mut object in cases.chain(population.objects()).chain(rarities()) {
        object["metadata"]["labels"]["a"] = "b".into();
        object["metadata"]["annotations"]["a"] = "b".into();
        for time in ["creationTimestamp", "deletionTimestamp"] {
            object["metadata"][time] = "2026-01-01T00:00:00Z".into();
        }
        object["metadata"]["resourceVersion"] = "1".into();
        names.object = object;
        for_each_builtin(&mut names);
    }
    let mut wrong = Vec::new();
    for row in FAMILIES.lines().skip(1) {
        let columns: Vec<&str> = row.split('\t').collect();
        let (family, table) = (columns[1], columns[4].split(',').filter(|name| !name.is_empty()).map(str::to_owned));
        let table: BTreeSet<String> = table.collect();
        let Some(got) = names.families.get(family) else {
            wrong.push(format!("{family}: no sample"));
            continue;
        };
        if *got != table {
            wrong.push(format!("{family}: {got:?}, the table {table:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
