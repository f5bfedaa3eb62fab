//! All formats, as the parser of a Prometheus server reads them (`prometheus/main.go`, which `.ci/run` builds).
//!
//! Protobuf goes through the messages of Prometheus' official schema there, and Google's runtime.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;

use ksm_core::{Exposition, Format, Snapshot};
use serde_json::Value;

use super::support::{Sample, catalog, odd_store, visited};

const PARSER: &str = "KUBE_AGENT_KIT_PROMETHEUS_PARSER";

/// What the server makes of an exposition: types by name, and samples; none where there is no such parser.
fn read(snapshots: &[Arc<Snapshot>], format: Format) -> Option<(BTreeMap<String, String>, Vec<Sample>)> {
    let Some(parser) = std::env::var_os(PARSER) else {
        println!("skipped: {PARSER} names no parser; tests/prometheus-parser is its source");
        return None;
    };
    let bytes = Exposition::new(snapshots.iter().cloned(), format).to_bytes();
    let mut child = Command::new(parser)
        .arg(format.content_type())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // It reads everything before it writes anything. If it ends before that, its message says why.
    let _ = stdin.write_all(&bytes);
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{format:?}: {}", String::from_utf8_lossy(&output.stderr));
    let (mut types, mut samples) = (BTreeMap::new(), Vec::new());
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let (entry, about, text): (String, Value, String) = serde_json::from_str(line).unwrap();
        match entry.as_str() {
            "type" => {
                let name = about.as_str().unwrap().to_owned();
                assert_eq!(types.insert(name, text), None, "{format:?}: a second TYPE");
            }
            "series" => {
                let value: f64 = text.parse().unwrap();
                let mut labels: BTreeMap<String, String> = serde_json::from_value(about).unwrap();
                let name = labels.remove("__name__").unwrap();
                samples.push((name, labels, if value.is_nan() { u64::MAX } else { value.to_bits() }));
            }
            _ => {}
        }
    }
    samples.sort();
    Some((types, samples))
}

/// Samples as a server keeps them: a label without text is none.
fn kept(mut samples: Vec<Sample>) -> Vec<Sample> {
    for (_, labels, _) in &mut samples {
        labels.retain(|_, value| !value.is_empty());
    }
    samples.sort();
    samples
}

#[test]
fn a_server_reads_every_built_in_family_as_it_was_stored() {
    let snapshots = catalog().snapshots();
    let stored = kept(visited(&snapshots));
    for format in [Format::Text, Format::OpenMetrics, Format::Protobuf] {
        let Some((types, samples)) = read(&snapshots, format) else { return };
        assert!(kept(samples) == stored, "{format:?}: other samples came back");
        // OpenMetrics names the family of a counter without its `_total`.
        let restarts = types.iter().find(|(name, _)| name.starts_with("kube_pod_container_status_restarts")).unwrap();
        assert_eq!(restarts.1, "counter", "{format:?}");
        assert!(types.values().all(|kind| kind == "gauge" || kind == "counter"), "{format:?}: {types:?}");
    }
}

#[test]
fn a_server_reads_odd_labels_and_values_as_they_were() {
    let snapshots = [odd_store()];
    for format in [Format::Text, Format::OpenMetrics, Format::Protobuf] {
        let Some((_, samples)) = read(&snapshots, format) else { return };
        assert_eq!(kept(samples), kept(visited(&snapshots)), "{format:?}");
    }
}
