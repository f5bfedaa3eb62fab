//! Something that names its node → the same with its node's metadata.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

use node_lease::{Attribute, Attributes, Enriched, Enricher, NodeLookup, NodeMetadata};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::ResourceLogs;
use opentelemetry_proto::tonic::metrics::v1::ResourceMetrics;
use opentelemetry_proto::tonic::resource::v1::Resource;

struct Known(BTreeMap<&'static str, NodeMetadata>);

impl NodeLookup for Known {
    fn metadata(&self, node: &str) -> Option<Arc<NodeMetadata>> {
        self.0.get(node).cloned().map(Arc::new)
    }
}

fn known() -> Known {
    let a = NodeMetadata::new().with(Attribute::HostId, "i-a").with(Attribute::HostType, "m6i.large");
    let b = NodeMetadata::new().with(Attribute::HostId, "i-b").with(Attribute::Region, "us-east-1");
    Known(BTreeMap::from([("a", a), ("b", b)]))
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[expect(clippy::unnecessary_wraps, reason = "messages have it so")]
fn resource(pairs: &[(&str, &str)]) -> Option<Resource> {
    let attribute = |(key, value): &(&str, &str)| KeyValue {
        key: (*key).to_owned(),
        value: Some(AnyValue { value: Some(Value::StringValue((*value).to_owned())) }),
        ..KeyValue::default()
    };
    Some(Resource { attributes: pairs.iter().map(attribute).collect(), ..Resource::default() })
}

#[test]
fn the_node_decides_and_what_was_there_is_replaced() {
    let mut attributes = map(&[
        ("k8s.node.name", "a"),
        ("host.id", "the collector's"),
        ("host.name", "the collector's"),
        ("cloud.region", "kept"),
    ]);
    assert_eq!(Enricher::new(known()).enrich(&mut attributes), Enriched::Hit);
    let want = [("cloud.region", "kept"), ("host.id", "i-a"), ("host.type", "m6i.large"), ("k8s.node.name", "a")];
    assert_eq!(attributes, map(&want), "the name of another host does not stay beside the node's id");
}

#[test]
fn what_was_there_can_be_kept() {
    let mut attributes = map(&[("k8s.node.name", "a"), ("host.id", "own")]);
    assert_eq!(Enricher::new(known()).overwrite(false).enrich(&mut attributes), Enriched::Hit);
    assert_eq!(attributes, map(&[("host.id", "own"), ("host.type", "m6i.large"), ("k8s.node.name", "a")]));
}

#[test]
fn what_names_no_node_or_an_unknown_one_passes_through() {
    let enricher = Enricher::new(known());
    for (pairs, want) in [
        (&[("k8s.node.name", "c"), ("x", "y")][..], Enriched::Miss),
        (&[("k8s.node.name", ""), ("x", "y")], Enriched::NoNode),
        (&[("x", "y")], Enriched::NoNode),
    ] {
        let mut attributes: HashMap<String, String> = map(pairs).into_iter().collect();
        let before = attributes.clone();
        assert_eq!(enricher.enrich(&mut attributes), want);
        assert_eq!(attributes, before);
    }
}

#[test]
fn another_key_and_fewer_attributes() {
    let enricher = Enricher::new(known()).node_key("host.name").only([Attribute::HostType, Attribute::Region]);
    let mut attributes = map(&[("host.name", "a"), ("k8s.node.name", "b")]);
    enricher.enrich(&mut attributes);
    assert_eq!(attributes, map(&[("host.name", "a"), ("host.type", "m6i.large"), ("k8s.node.name", "b")]));
    let mut labels = Vec::new();
    assert!(enricher.labels("b", |name, value| labels.push((name, value.to_owned()))));
    assert_eq!(labels, [("cloud_region", "us-east-1".to_owned())]);
    assert!(!enricher.labels("c", |_, _| panic!("nothing is known of it")));
}

#[test]
fn a_source_that_comes_later_is_taken_up() {
    let later = Arc::new(OnceLock::new());
    let enricher = Enricher::new(later.clone());
    let mut attributes = map(&[("k8s.node.name", "a")]);
    assert_eq!(enricher.enrich(&mut attributes), Enriched::Miss);
    assert!(later.set(known()).is_ok());
    assert_eq!(enricher.enrich(&mut attributes), Enriched::Hit);
}

#[test]
fn resources_of_metrics_and_logs() {
    let enricher = Enricher::new(known());
    let resources =
        || [resource(&[("k8s.node.name", "a"), ("host.id", "x")]), None, resource(&[("k8s.node.name", "c")])];
    let mut metrics = resources().map(|resource| ResourceMetrics { resource, ..ResourceMetrics::default() });
    assert_eq!(enricher.enrich_metrics(&mut metrics), 1);
    let want = resource(&[("k8s.node.name", "a"), ("host.id", "i-a"), ("host.type", "m6i.large")]);
    assert_eq!(metrics[0].resource, want);
    assert_eq!(metrics[1].resource, None);
    assert_eq!(metrics[2].resource, resource(&[("k8s.node.name", "c")]));
    let mut logs = resources().map(|resource| ResourceLogs { resource, ..ResourceLogs::default() });
    assert_eq!(enricher.enrich_logs(&mut logs), 1);
    assert_eq!(logs[0].resource, want);
}

#[test]
fn attributes_of_another_type_are_no_node_names_and_are_replaced() {
    let number = AnyValue { value: Some(Value::IntValue(5)) };
    let mut resource = resource(&[("k8s.node.name", "a")]).unwrap();
    resource.attributes.push(KeyValue {
        key: "host.id".to_owned(),
        value: Some(number.clone()),
        ..KeyValue::default()
    });
    Enricher::new(known()).enrich(&mut resource);
    assert_eq!(resource.get("host.id").as_deref(), Some("i-a"));
    resource.attributes[0].value = Some(number);
    assert_eq!(Enricher::new(known()).enrich(&mut resource), Enriched::NoNode);
}
