//! The binary: objects in, exposition out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeSet;
use std::fs;

use ksm_core::engine::builtin_names;
use support::{Output, canonical, render, render_input, samples};

const CASES: &str = include_str!("../../../ksm-core/tests/data/ksm_cases.jsonl");

#[derive(serde::Deserialize)]
struct Case {
    id: String,
    object: serde_json::Value,
    allow_annotations: Option<Vec<String>>,
    allow_labels: Option<Vec<String>>,
    metric_names: Option<Vec<String>>,
    want_samples: Vec<String>,
}

impl Case {
    fn resource(&self) -> Option<&'static str> {
        let kind = self.object["kind"].as_str()?;
        ksm_core::catalog::kinds().into_iter().find(|known| known.kind == kind).map(|known| known.resource)
    }

    fn flags(&self, resource: &str) -> Vec<String> {
        let mut flags = vec!["--resources".to_owned(), resource.to_owned()];
        if let Some(names) = self.metric_names.as_ref().filter(|names| !names.is_empty()) {
            let names = names.join(",");
            flags.extend(["--metric-allowlist".into(), names.clone(), "--metric-opt-in-list".into(), names]);
        }
        // The data leaves out the lists that this one case is made with.
        let unsaid = (self.id == "endpoint/TestEndpointStoreWithLabels/0").then(|| vec!["app".to_owned()]);
        for (flag, keys) in [
            ("--metric-labels-allowlist", &self.allow_labels),
            ("--metric-annotations-allowlist", &self.allow_annotations),
        ] {
            if let Some(keys) = keys.as_ref().or(unsaid.as_ref()) {
                flags.extend([flag.to_owned(), format!("{resource}=[{}]", keys.join(","))]);
            }
        }
        flags
    }
}

#[test]
fn cases_render_as_upstream_renders_them() {
    let mut resources = BTreeSet::new();
    let mut failures = Vec::new();
    for line in CASES.lines() {
        let case: Case = serde_json::from_str(line).expect("a case per line");
        let resource = case.resource().expect("each kind of the cases has a resource");
        let flags = case.flags(resource);
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let output = render_input(&flags, case.object.to_string().as_bytes());
        let got: BTreeSet<String> = samples(&output.stdout).map(canonical).collect();
        let want: BTreeSet<String> = case.want_samples.iter().map(|line| canonical(line)).collect();
        if got != want {
            let missing: Vec<_> = want.difference(&got).collect();
            let extra: Vec<_> = got.difference(&want).collect();
            failures.push(format!("{}: missing {missing:#?}, extra {extra:#?}\n{}", case.id, output.stderr));
        }
        resources.insert(resource);
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    let all: BTreeSet<&str> = builtin_names().into_iter().collect();
    assert_eq!(resources, all, "each resource has cases");
}

const TWO: &str = r#"{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"a"},"status":{"phase":"Active"}}
{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"b"},"status":{"phase":"Terminating"}}
"#;

fn phases(output: &Output) -> Vec<&str> {
    let mut phases: Vec<&str> = samples(&output.stdout).filter(|line| line.ends_with(" 1")).collect();
    phases.sort_unstable();
    phases
}

#[test]
fn every_shape_of_input_says_the_same() {
    let objects: Vec<&str> = TWO.lines().collect();
    let shapes = [
        ("JSON lines", TWO.to_owned()),
        ("List", format!(r#"{{"items":[{}],"kind":"List","apiVersion":"v1"}}"#, objects.join(","))),
        ("array", format!("[{}]", objects.join(","))),
        ("documents", objects.join("\n---\n")),
        ("byte order mark", format!("\u{feff}{TWO}")),
        (
            "typed list",
            r#"{"apiVersion":"v1","items":[{"metadata":{"name":"a"},"status":{"phase":"Active"}},
                {"metadata":{"name":"b"},"status":{"phase":"Terminating"}}],"kind":"NamespaceList"}"#
                .to_owned(),
        ),
        (
            "YAML",
            "---\napiVersion: v1\nkind: Namespace\nmetadata:\n  name: a\nstatus: {phase: Active}\n---\n# b\n---\n\
             apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Namespace\n  metadata:\n    name: b\n  \
             status:\n    phase: Terminating\n"
                .to_owned(),
        ),
        (
            "flow YAML",
            "{apiVersion: v1, kind: Namespace, metadata: {name: a}, status: {phase: Active}}\n---\n\
             {apiVersion: v1, kind: Namespace, metadata: {name: b}, status: {phase: Terminating}}"
                .to_owned(),
        ),
    ];
    for (shape, input) in shapes {
        let output = render_input(&["--metric-allowlist", "status_phase"], input.as_bytes());
        assert_eq!(
            phases(&output),
            [
                r#"kube_namespace_status_phase{namespace="a",phase="Active"} 1"#,
                r#"kube_namespace_status_phase{namespace="b",phase="Terminating"} 1"#
            ],
            "{shape}: {}",
            output.stderr
        );
        assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{shape}");
    }
}

#[test]
fn files_and_standard_input_are_read_together() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.json");
    fs::write(&file, TWO.lines().next().unwrap()).unwrap();
    let output = render_input(
        &["--metric-allowlist", "status_phase", file.to_str().unwrap(), "-"],
        TWO.lines().nth(1).unwrap().as_bytes(),
    );
    assert_eq!(phases(&output).len(), 2, "{}", output.stderr);
}

#[test]
fn openmetrics_ends_with_its_mark() {
    let output = render_input(&["--format", "openmetrics"], TWO.as_bytes());
    assert!(output.stdout.ends_with("\n# EOF\n"), "{}", output.stdout);
    assert!(!render_input(&[], TWO.as_bytes()).stdout.contains("EOF"));
}

#[test]
fn flags_that_contradict_or_are_wrong_exit_2_all_named() {
    let output = render(&["--resources", "cats", "--metric-labels-allowlist", "pods", "--metric-allowlist", "("]);
    assert_eq!(output.code, 2);
    for part in ["no resource \"cats\"", "--metric-labels-allowlist: expected `=`", "\"(\" is no regular expression"] {
        assert!(output.stderr.contains(part), "{part} in {}", output.stderr);
    }
    assert_eq!(render(&["--no-such-flag"]).code, 2);
    let help = render(&["--help"]);
    assert!(help.code == 0 && help.stdout.contains("Examples:"));
}
