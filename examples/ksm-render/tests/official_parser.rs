//! The exposition, as Prometheus' own Python client reads it (package `prometheus_client`).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::io::Write as _;
use std::process::{Command, Stdio};

use support::{render_input, samples};

const CASES: &str = include_str!("../../../ksm-core/tests/data/ksm_cases.jsonl");

/// Prints how many samples it read.
const READ_TEXT: &str = "
import sys
from prometheus_client.parser import text_string_to_metric_families
text = sys.stdin.buffer.read().decode('utf-8')
print(sum(len(family.samples) for family in text_string_to_metric_families(text)))
";

const READ_OPENMETRICS: &str = "
import sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
text = sys.stdin.buffer.read().decode('utf-8')
print(sum(len(family.samples) for family in text_string_to_metric_families(text)))
";

fn python(script: &str, input: &str) -> Option<(bool, String)> {
    let mut child = Command::new(std::env::var_os("KUBE_AGENT_KIT_PYTHON").unwrap_or_else(|| "python3".into()))
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    // A script that fails early does not read its input; its message says why.
    let _ = child.stdin.take()?.write_all(input.as_bytes());
    let output = child.wait_with_output().ok()?;
    let text = [output.stdout, output.stderr].concat();
    Some((output.status.success(), String::from_utf8_lossy(&text).into_owned()))
}

/// An object per line: one of each name, since an exposition holds a series once.
fn objects() -> String {
    let mut seen = std::collections::HashSet::new();
    let mut objects = String::new();
    for line in CASES.lines() {
        let case: serde_json::Value = serde_json::from_str(line).expect("a case per line");
        let object = &case["object"];
        let metadata = &object["metadata"];
        if seen.insert((object["kind"].to_string(), metadata["namespace"].to_string(), metadata["name"].to_string())) {
            objects.push_str(&object.to_string());
            objects.push('\n');
        }
    }
    // What needs escapes, and what must not be escaped.
    objects.push_str(
        &serde_json::json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": "odd", "labels": {"a.b": "1", "a-b": "2"},
                         "annotations": {"text": "a \"quoted\\\" line\nand\r\u{2028}more", "größe": "名前"}},
            "status": {"phase": "Active"}
        })
        .to_string(),
    );
    objects
}

#[test]
fn prometheus_client_reads_every_sample() {
    match python("import prometheus_client", "") {
        Some((true, _)) => {}
        _ => return println!("skipped: there is no python3 with prometheus_client; KUBE_AGENT_KIT_PYTHON names one"),
    }
    let allow = ["--metric-labels-allowlist", "*=[*]", "--metric-annotations-allowlist", "*=[*]"];
    for (format, script) in [("text", READ_TEXT), ("openmetrics", READ_OPENMETRICS)] {
        let flags = [&allow[..], &["--metric-opt-in-list", ".", "--format", format]].concat();
        let output = render_input(&flags, objects().as_bytes());
        let written = samples(&output.stdout).count();
        assert!(written > 300, "{written} samples: {}", output.stderr);
        let (read, told) = python(script, &output.stdout).expect("python3 runs");
        assert!(read, "{format}: {told}");
        assert_eq!(told.trim(), written.to_string(), "{format}");
    }
}
