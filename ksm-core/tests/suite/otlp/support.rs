//! Snapshots of a few objects, and messages as lines.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ksm_core::catalog::Catalog;
use ksm_core::otlp::proto::collector::metrics::v1::ExportMetricsServiceRequest;
use ksm_core::otlp::proto::common::v1::{KeyValue, any_value};
use ksm_core::otlp::proto::metrics::v1::{metric::Data, number_data_point};
use ksm_core::otlp::{ExporterStatus, MessageOptions};
use ksm_core::{FamilyFilter, Settings, Snapshot};
use prost::Message;
use serde_json::{Value, json};

/// Far longer than anything here takes: only a hang gets there.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// The time of all points: 2,000 seconds after 1970.
pub(crate) fn options() -> MessageOptions {
    MessageOptions::default().clock(|| SystemTime::UNIX_EPOCH + Duration::from_secs(2_000))
}

/// The objects' samples, of families whose names one of the patterns matches.
pub(crate) fn snapshots(objects: &[Value], families: &[&str]) -> Vec<Arc<Snapshot>> {
    let settings =
        Settings { families: FamilyFilter::new(families, &[] as &[&str], &[]).unwrap(), ..Settings::default() };
    let catalog = Catalog::new(["pods", "nodes", "deployments", "namespaces", "jobs", "leases"], &settings).unwrap();
    for object in objects {
        let text = |key: &str| object[key].as_str().unwrap().to_owned();
        catalog.put(&text("apiVersion"), &text("kind"), object.to_string().as_bytes()).unwrap();
    }
    catalog.snapshots()
}

/// Some namespaces, a sample each.
pub(crate) fn namespaces(count: usize) -> Vec<Arc<Snapshot>> {
    let object = |n| {
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata":
        {"name": format!("namespace-{n}"), "creationTimestamp": "2020-01-01T00:00:00Z"}})
    };
    snapshots(&(0..count).map(object).collect::<Vec<_>>(), &["kube_namespace_created"])
}

fn attributes(attributes: &[KeyValue]) -> String {
    let one = |attribute: &KeyValue| match &attribute.value.as_ref().unwrap().value {
        Some(any_value::Value::StringValue(value)) => format!("{}={value}", attribute.key),
        other => panic!("no text: {other:?}"),
    };
    attributes.iter().map(one).collect::<Vec<_>>().join(",")
}

/// `resource | metric unit kind | attributes | value`, and `since N` where a point has a start.
pub(crate) fn lines(request: &ExportMetricsServiceRequest) -> Vec<String> {
    let mut lines = Vec::new();
    for resource in &request.resource_metrics {
        let described = attributes(&resource.resource.as_ref().unwrap().attributes);
        for metric in resource.scope_metrics.iter().flat_map(|scope| &scope.metrics) {
            let (kind, points) = match metric.data.as_ref().unwrap() {
                Data::Gauge(gauge) => ("gauge", &gauge.data_points),
                Data::Sum(sum) => {
                    assert!(sum.is_monotonic && sum.aggregation_temporality == 2, "{sum:?}");
                    ("sum", &sum.data_points)
                }
                other => panic!("{other:?}"),
            };
            for point in points {
                assert_eq!(point.time_unix_nano, 2_000_000_000_000);
                let Some(number_data_point::Value::AsDouble(value)) = point.value else { panic!("{point:?}") };
                let since = match point.start_time_unix_nano {
                    0 => String::new(),
                    nanos => format!(" since {}", nanos / 1_000_000_000),
                };
                let (name, unit, own) = (&metric.name, &metric.unit, attributes(&point.attributes));
                lines.push(format!("{described} | {name} {kind} {unit}| {own} | {value}{since}"));
            }
        }
    }
    lines
}

/// How many data points there are in an encoded message.
pub(crate) fn points(message: &[u8]) -> usize {
    lines_unchecked(&ExportMetricsServiceRequest::decode(message).unwrap())
}

fn lines_unchecked(request: &ExportMetricsServiceRequest) -> usize {
    let scopes = request.resource_metrics.iter().flat_map(|resource| &resource.scope_metrics);
    let count = |data: &Data| match data {
        Data::Gauge(gauge) => gauge.data_points.len(),
        Data::Sum(sum) => sum.data_points.len(),
        _ => 0,
    };
    scopes.flat_map(|scope| &scope.metrics).filter_map(|metric| metric.data.as_ref()).map(count).sum()
}

pub(crate) fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(bytes), &mut plain).unwrap();
    plain
}

/// Waits until the exporter's state is as wanted; the patience is the wall's, whatever clock the runtime has.
pub(crate) async fn until(
    exporter: &ksm_core::otlp::Exporter,
    wanted: impl Fn(&ExporterStatus) -> bool,
) -> ExporterStatus {
    let begin = std::time::Instant::now();
    loop {
        let status = exporter.status();
        if wanted(&status) {
            return status;
        }
        assert!(begin.elapsed() < PATIENCE, "not seen in time: {status:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
