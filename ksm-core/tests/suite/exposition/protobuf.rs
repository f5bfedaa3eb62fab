//! Protobuf, as a decoder of the official schema reads it.

use std::collections::HashSet;
use std::sync::Arc;

use ksm_core::{Exposition, Family, Format, MetricType, Query, Snapshot};
use prost::Message;

use super::support::{Sample, catalog, odd_store, sample, store, visited};

/// The messages of `io.prometheus.client`, as client_model's `metrics.proto` numbers their fields.
mod schema {
    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct LabelPair {
        #[prost(string, optional, tag = "1")]
        pub(crate) name: Option<String>,
        #[prost(string, optional, tag = "2")]
        pub(crate) value: Option<String>,
    }

    /// `Gauge`, `Counter` and `Untyped` alike.
    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct Number {
        #[prost(double, optional, tag = "1")]
        pub(crate) value: Option<f64>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct Metric {
        #[prost(message, repeated, tag = "1")]
        pub(crate) label: Vec<LabelPair>,
        #[prost(message, optional, tag = "2")]
        pub(crate) gauge: Option<Number>,
        #[prost(message, optional, tag = "3")]
        pub(crate) counter: Option<Number>,
        #[prost(message, optional, tag = "5")]
        pub(crate) untyped: Option<Number>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct MetricFamily {
        #[prost(string, optional, tag = "1")]
        pub(crate) name: Option<String>,
        #[prost(string, optional, tag = "2")]
        pub(crate) help: Option<String>,
        #[prost(int32, optional, tag = "3")]
        pub(crate) r#type: Option<i32>,
        #[prost(message, repeated, tag = "4")]
        pub(crate) metric: Vec<Metric>,
    }
}

use schema::MetricFamily;

fn decode(mut bytes: &[u8]) -> Vec<MetricFamily> {
    let mut families = Vec::new();
    while !bytes.is_empty() {
        families.push(MetricFamily::decode_length_delimited(&mut bytes).expect("whole messages"));
    }
    families
}

fn read(snapshots: &[Arc<Snapshot>], query: &Query) -> Vec<MetricFamily> {
    decode(&Exposition::select(snapshots.iter().cloned(), Format::Protobuf, query).to_bytes())
}

fn samples(families: &[MetricFamily]) -> Vec<Sample> {
    let mut samples = Vec::new();
    for family in families {
        for metric in &family.metric {
            // 0 is COUNTER, 1 GAUGE: the value stands in the field of the type, and in no other.
            let value = match (family.r#type, &metric.counter, &metric.gauge, &metric.untyped) {
                (Some(0), Some(number), None, None) | (Some(1), None, Some(number), None) => number.value.unwrap(),
                other => panic!("{other:?} in {:?}", family.name),
            };
            let labels =
                metric.label.iter().map(|pair| (pair.name.as_deref().unwrap(), pair.value.as_deref().unwrap()));
            samples.push(sample(family.name.as_deref().unwrap(), labels, value));
        }
    }
    samples.sort();
    samples
}

#[test]
fn every_built_in_family_says_what_its_text_says() {
    let snapshots = catalog().snapshots();
    let families = read(&snapshots, &Query::default());
    let names: HashSet<_> = families.iter().map(|family| family.name.clone()).collect();
    assert_eq!(names.len(), families.len(), "each family once");
    assert!(families.iter().all(|family| !family.metric.is_empty()), "none without a metric");
    assert!(samples(&families) == visited(&snapshots));

    let text = Exposition::new(snapshots, Format::Text).to_text();
    for family in &families {
        let (name, help) = (family.name.as_deref().unwrap(), family.help.as_deref().unwrap());
        let kind = if family.r#type == Some(0) { "counter" } else { "gauge" };
        let header = format!("# HELP {name} {help}\n# TYPE {name} {kind}\n");
        assert!(text.contains(&header), "{header}");
    }
}

#[test]
fn odd_labels_and_values_need_no_escapes() {
    let snapshots = [odd_store()];
    let families = read(&snapshots, &Query::default());
    assert_eq!(samples(&families), visited(&snapshots));
    assert_eq!(families[0].help.as_deref(), Some("[ALPHA] Says \"odd\" things,\nof \\ and more."));
}

#[test]
fn lengths_are_right_where_they_take_more_bytes() {
    let long = ["x".repeat(127), "x".repeat(128), "x".repeat(20_000), "\"".repeat(300)];
    let labels: Vec<[(&str, &str); 1]> = long.iter().map(|value| [("own", value.as_str())]).collect();
    let given: Vec<_> = labels.iter().map(|label| (0, label.as_slice(), 1.0)).collect();
    let identities: Vec<[(&str, &str); 1]> = long.iter().map(|value| [("object", value.as_str())]).collect();
    let objects: Vec<(&[(&str, &str)], &[_])> =
        identities.iter().map(|identity| (identity.as_slice(), given.as_slice())).collect();
    let snapshots = [store(&[Family::gauge("long", "Long.")], &objects)];
    assert_eq!(samples(&read(&snapshots, &Query::default())), visited(&snapshots));
}

#[test]
fn tails_beyond_what_is_kept_of_them_are_written_too() {
    let value = |n: usize| format!("{n:0>2000}");
    let values: Vec<String> = (0..1_500).map(value).collect();
    let labels: Vec<[(&str, &str); 1]> = values.iter().map(|value| [("own", value.as_str())]).collect();
    let given: Vec<[_; 1]> = labels.iter().map(|label| [(0, label.as_slice(), 1.0)]).collect();
    let objects: Vec<(&[(&str, &str)], &[_])> = given.iter().map(|given| ([].as_slice(), given.as_slice())).collect();
    let snapshots = [store(&[Family::gauge("a", "A.")], &objects)];
    assert_eq!(samples(&read(&snapshots, &Query::default())), visited(&snapshots));
}

#[test]
fn info_and_stateset_are_gauges_and_counters_counters() {
    let families = [MetricType::Info, MetricType::StateSet, MetricType::Counter, MetricType::Gauge]
        .map(|kind| Family::dynamic(format!("{kind:?}"), "Help.", kind));
    let given: Vec<_> = (0..4).map(|family| (family, [].as_slice(), 1.0)).collect();
    let read = read(&[store(&families, &[(&[("n", "1")], &given)])], &Query::default());
    let types: Vec<_> = read.iter().map(|family| family.r#type).collect();
    assert_eq!(types, [Some(1), Some(1), Some(0), Some(1)]);
}

#[test]
fn a_selection_shortens_messages_and_leaves_empty_families_out() {
    let snapshots = catalog().snapshots();
    let selector = r#"{__name__=~"kube_pod_status_phase|kube_pod_info",phase=~"Running|"}"#;
    let query = Query { series: vec![selector.parse().unwrap()], ..Query::default() };
    let families = read(&snapshots, &query);
    let want: Vec<Sample> = visited(&snapshots)
        .into_iter()
        .filter(|(name, labels, _)| {
            name == "kube_pod_info"
                || (name == "kube_pod_status_phase" && labels.get("phase").is_some_and(|phase| phase == "Running"))
        })
        .collect();
    assert!(want.len() > 100);
    assert_eq!(samples(&families), want);
    let none = Query { series: vec!["{namespace=\"no such\"}".parse().unwrap()], ..Query::default() };
    assert_eq!(read(&snapshots, &none), []);
}
