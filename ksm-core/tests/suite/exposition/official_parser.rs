//! Both text formats, as Prometheus' own Python client reads them (package `prometheus_client`).

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;

use ksm_core::{Exposition, Family, Format, MetricType, Snapshot};

use super::support::{Sample, catalog, enriched_store, odd_store, sample, store, visited};

/// Prints each family and its samples as JSON.
const READ: &str = r"
import json, sys
if sys.argv[1] == 'openmetrics':
    from prometheus_client.openmetrics.parser import text_string_to_metric_families
else:
    from prometheus_client.parser import text_string_to_metric_families
text = sys.stdin.buffer.read().decode('utf-8')
for family in text_string_to_metric_families(text):
    samples = [[s.name, s.labels, repr(float(s.value))] for s in family.samples]
    print(json.dumps([family.name, family.type, family.documentation, samples]))
";

/// Name, type, help and samples.
type Read = (String, String, String, Vec<Sample>);

fn python(arguments: &[&str], input: &[u8]) -> Option<Result<String, String>> {
    let mut child = Command::new(std::env::var_os("KUBE_AGENT_KIT_PYTHON").unwrap_or_else(|| "python3".into()))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    let mut stdin = child.stdin.take()?;
    let input = input.to_vec();
    // Written while the output is read. A script that fails early does not read its input; its message says why.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().ok()?;
    writer.join().ok()?;
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    Some(if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) })
}

/// What the official parser makes of an exposition; none where there is no such parser.
fn read(snapshots: &[Arc<Snapshot>], format: Format) -> Option<Vec<Read>> {
    if !matches!(python(&["-c", "import prometheus_client"], b""), Some(Ok(_))) {
        println!("skipped: there is no python3 with prometheus_client; KUBE_AGENT_KIT_PYTHON names one");
        return None;
    }
    let bytes = Exposition::new(snapshots.iter().cloned(), format).to_bytes();
    let name = if format == Format::OpenMetrics { "openmetrics" } else { "text" };
    let output = python(&["-c", READ, name], &bytes).unwrap();
    let output = output.unwrap_or_else(|told| panic!("{name}: {told}"));
    let family = |line: &str| {
        let (name, kind, help, samples): (String, String, String, Vec<(String, _, String)>) =
            serde_json::from_str(line).unwrap();
        let samples = samples.into_iter().map(|(name, labels, value)| {
            let value: f64 = value.parse().unwrap();
            (name, labels, if value.is_nan() { u64::MAX } else { value.to_bits() })
        });
        (name, kind, help, samples.collect())
    };
    Some(output.lines().map(family).collect())
}

fn samples(families: &[Read]) -> Vec<Sample> {
    let mut samples: Vec<Sample> = families.iter().flat_map(|family| family.3.clone()).collect();
    samples.sort();
    samples
}

/// Name and type of each family.
fn types(families: &[Read]) -> Vec<(&str, &str)> {
    families.iter().map(|(name, kind, ..)| (name.as_str(), kind.as_str())).collect()
}

#[test]
fn every_built_in_family_is_read_as_it_was_stored() {
    let snapshots = catalog().snapshots();
    let stored = visited(&snapshots);
    assert!(stored.len() > 5_000, "{} samples", stored.len());
    for format in [Format::Text, Format::OpenMetrics] {
        let Some(families) = read(&snapshots, format) else { return };
        assert!(samples(&families) == stored, "{format:?}: other samples came back");
        let restarts = families.iter().find(|family| family.0 == "kube_pod_container_status_restarts").unwrap();
        assert_eq!(restarts.1, "counter", "{format:?}");
    }
}

#[test]
fn odd_labels_and_values_come_back_as_they_were() {
    let snapshots = [odd_store()];
    for format in [Format::Text, Format::OpenMetrics] {
        let Some(families) = read(&snapshots, format) else { return };
        assert_eq!(samples(&families), visited(&snapshots), "{format:?}");
        assert_eq!(families[0].2, "[ALPHA] Says \"odd\" things,\nof \\ and more.", "{format:?}");
    }
}

#[test]
fn types_that_openmetrics_knows_are_kept_where_the_samples_allow_it() {
    let family = |name: &str, kind| Family::dynamic(name, "Says so.", kind);
    let families = [
        family("app_info", MetricType::Info),
        family("app_version", MetricType::Info),
        family("wrong_info", MetricType::Info),
        family("phase", MetricType::StateSet),
        family("state_by_other_label", MetricType::StateSet),
        family("level", MetricType::StateSet),
        family("failures_total", MetricType::Counter),
        family("failures", MetricType::Counter),
        family("debt_total", MetricType::Counter),
        family("lost_total", MetricType::Counter),
        family("works_total", MetricType::Counter),
        family("works_created", MetricType::Gauge),
        family("node_info", MetricType::Info),
        family("node", MetricType::Gauge),
        family("empty_info", MetricType::Info),
    ];
    let snapshot = store(
        &families,
        &[
            (
                &[("name", "a")],
                &[
                    (0, &[("version", "1")], 1.0),
                    (1, &[("version", "1")], 1.0),
                    (2, &[("version", "1")], 2.0),
                    (3, &[("phase", "on")], 1.0),
                    (3, &[("phase", "off")], 0.0),
                    (4, &[("state", "on")], 1.0),
                    (5, &[("level", "high")], 0.5),
                    (6, &[], 3.0),
                    (7, &[], 4.0),
                    (8, &[], -1.0),
                    (9, &[], f64::NAN),
                    (10, &[], 5.0),
                    (11, &[], 6.0),
                    (12, &[], 1.0),
                    (13, &[], 7.0),
                ],
            ),
            (&[("name", "b")], &[(0, &[], 1.0), (3, &[("phase", "on")], 0.0), (3, &[("phase", "off")], 1.0)]),
        ],
    );
    let snapshots = [snapshot];
    let Some(families) = read(&snapshots, Format::OpenMetrics) else { return };
    assert_eq!(
        types(&families),
        [
            ("app", "info"),
            ("app_version", "gauge"),
            ("wrong_info", "gauge"),
            ("phase", "stateset"),
            ("state_by_other_label", "gauge"),
            ("level", "gauge"),
            // `failures` is another family's name.
            ("failures_total", "unknown"),
            ("failures", "unknown"),
            ("debt_total", "unknown"),
            ("lost_total", "unknown"),
            ("works_total", "unknown"),
            ("works_created", "gauge"),
            ("node_info", "gauge"),
            ("node", "gauge"),
            ("empty", "info"),
        ]
    );
    assert_eq!(samples(&families), visited(&snapshots));
    let Some(families) = read(&snapshots, Format::Text) else { return };
    assert!(families.iter().all(|(_, kind, ..)| kind == "gauge" || kind == "counter"), "{:?}", types(&families));
    assert_eq!(samples(&families).len(), visited(&snapshots).len());
}

#[test]
fn a_family_of_several_snapshots_appears_once_under_the_first_ones_type() {
    let shared = |kind, help: &str| [Family::dynamic("shared_total", help, kind)];
    let first = store(&shared(MetricType::Counter, "First."), &[(&[("name", "a")], &[(0, &[], 1.0)])]);
    let second = store(&shared(MetricType::Gauge, "Second."), &[(&[("name", "b")], &[(0, &[], 2.0)])]);
    let third = store(&shared(MetricType::Gauge, "Third."), &[(&[("name", "c")], &[(0, &[], -1.0)])]);
    let Some(families) = read(&[first.clone(), second.clone()], Format::OpenMetrics) else { return };
    assert_eq!(types(&families), [("shared", "counter")]);
    assert_eq!(families[0].2, "[ALPHA] First.");
    assert_eq!(families[0].3.len(), 2);
    // What the others bring may be more than the first one's type allows.
    let Some(families) = read(&[first, second, third], Format::OpenMetrics) else { return };
    assert_eq!(types(&families), [("shared_total", "unknown")]);
    assert_eq!(families[0].3.len(), 3);
}

#[test]
fn a_sample_keeps_its_own_label_beside_an_extra_one_of_that_name() {
    let families = [Family::gauge("a", "A.")];
    let extra = [("node", "extra"), ("zone", "z")];
    let snapshots =
        [enriched_store(&families, &extra, &[(&[("name", "x")], &[(0, &[("node", "own")], 1.0), (0, &[], 2.0)])])];
    let want = [
        sample("a", [("name", "x"), ("node", "extra"), ("zone", "z")], 2.0),
        sample("a", [("name", "x"), ("node", "own"), ("zone", "z")], 1.0),
    ];
    assert_eq!(visited(&snapshots), want);
    for format in [Format::Text, Format::OpenMetrics] {
        let Some(families) = read(&snapshots, format) else { return };
        assert_eq!(samples(&families), want, "{format:?}");
    }
}
