//! One object as OTLP resources with their metrics.

use std::borrow::Cow;
use std::collections::VecDeque;

use opentelemetry_proto::tonic::common::v1::{InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, metric,
    number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;

use super::attributes::{CONTAINER_NAME, ResourceAttributes, SCHEMA_URL, attribute, unit};
use super::options::{MessageOptions, unix_nanos};
use crate::family::{Family, MetricType};
use crate::store::{ObjectRef, SampleRef, Snapshot};

const SCOPE_NAME: &str = env!("CARGO_PKG_NAME");
const SCOPE_VERSION: &str = env!("CARGO_PKG_VERSION");

/// Tag and length of a nested message whose size is not known yet, at most.
const NESTED: usize = 6;
/// What a resource costs beside its attributes and metrics, at most.
const RESOURCE_OVERHEAD: usize = 6 * NESTED + SCOPE_NAME.len() + SCOPE_VERSION.len() + SCHEMA_URL.len();
/// What a metric costs beside its texts and points, at most: itself, its data, the unit, temporality and monotony.
const METRIC_OVERHEAD: usize = 2 * NESTED + 8;

/// The size of a field of `len` bytes.
fn field(len: usize) -> usize {
    1 + prost::length_delimiter_len(len) + len
}

/// What is the same for all objects of a snapshot.
pub(super) struct Conversion<'a> {
    pub(super) options: &'a MessageOptions,
    /// The time of all points, in nanoseconds since 1970.
    pub(super) time: u64,
    /// The family that says when an object was created.
    created: Option<usize>,
    families: &'a [Family],
}

impl<'a> Conversion<'a> {
    pub(super) fn new(options: &'a MessageOptions, time: u64, snapshot: &'a Snapshot) -> Self {
        let families = snapshot.families();
        let created = families.iter().position(|family| family.name.ends_with("_created"));
        Self { options, time, created, families }
    }

    /// Since when an object's counters count, in nanoseconds since 1970; 0 where nobody knows.
    fn counting_since(&self, object: &ObjectRef<'_>) -> u64 {
        let mut created = None;
        if let Some(family) = self.created {
            object.visit_family(family, |sample| created = Some(sample.value()));
        }
        let nanos = created.filter(|seconds| *seconds > 0.0).map(seconds_to_nanos);
        let first_seen = || self.options.counters_since.map_or(0, unix_nanos);
        nanos.filter(|nanos| *nanos <= self.time).unwrap_or_else(first_seen).min(self.time)
    }
}

/// Whole seconds exactly: an f64 has no room for nanoseconds since 1970.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, and negative ones are none")]
fn seconds_to_nanos(seconds: f64) -> u64 {
    let whole = (seconds.trunc() as u64).saturating_mul(1_000_000_000);
    whole.saturating_add((seconds.fract() * 1e9) as u64)
}

/// Whether a label of a pod's sample says which container it is about.
fn names_container((name, value): &(&str, Cow<'_, str>)) -> bool {
    *name == "container" && !value.is_empty()
}

/// A resource with its metrics, and how much of a message it takes.
#[derive(Debug)]
pub(super) struct ResourceGroup {
    attributes: Vec<KeyValue>,
    container: Option<String>,
    metrics: Vec<FamilyPoints>,
    pub(super) points: usize,
    /// An upper bound of the encoded size.
    pub(super) bytes: usize,
}

#[derive(Debug)]
struct FamilyPoints {
    family: usize,
    points: Vec<NumberDataPoint>,
}

impl ResourceGroup {
    fn new(attributes: Vec<KeyValue>, container: Option<String>) -> Self {
        let attribute_bytes: usize = attributes.iter().map(|attribute| field(attribute.encoded_len())).sum();
        Self { attributes, container, metrics: Vec::new(), points: 0, bytes: RESOURCE_OVERHEAD + attribute_bytes }
    }

    /// Bytes that a point of the family would add.
    fn cost(&self, family: usize, point: &NumberDataPoint, conversion: &Conversion<'_>) -> usize {
        let metric = match self.metrics.last() {
            Some(metric) if metric.family == family => 0,
            _ => {
                let (name, description) = conversion.texts(family).unwrap_or_default();
                METRIC_OVERHEAD + field(name.len()) + field(description.len())
            }
        };
        metric + field(point.encoded_len())
    }

    /// Points of one family come one after the other.
    fn push(&mut self, family: usize, point: NumberDataPoint, bytes: usize) {
        self.points += 1;
        self.bytes += bytes;
        match self.metrics.last_mut() {
            Some(metric) if metric.family == family => metric.points.push(point),
            _ => self.metrics.push(FamilyPoints { family, points: vec![point] }),
        }
    }

    /// The same in groups of which each fits into a message, but for points that don't by themselves.
    fn split(self, conversion: &Conversion<'_>, groups: &mut VecDeque<Self>) {
        let (max_points, max_bytes) = (conversion.options.max_points, conversion.options.max_bytes);
        if self.points <= max_points && self.bytes <= max_bytes {
            return groups.push_back(self);
        }
        let empty = || Self::new(self.attributes.clone(), None);
        let mut group = empty();
        for metric in self.metrics {
            for point in metric.points {
                let mut bytes = group.cost(metric.family, &point, conversion);
                let is_full = group.points >= max_points || group.bytes + bytes > max_bytes;
                if is_full && group.points > 0 {
                    groups.push_back(std::mem::replace(&mut group, empty()));
                    bytes = group.cost(metric.family, &point, conversion);
                }
                group.push(metric.family, point, bytes);
            }
        }
        groups.push_back(group);
    }

    pub(super) fn into_message(self, conversion: &Conversion<'_>) -> ResourceMetrics {
        let metrics = self.metrics.into_iter().filter_map(|metric| conversion.metric(metric)).collect();
        let scope = InstrumentationScope {
            name: SCOPE_NAME.to_owned(),
            version: SCOPE_VERSION.to_owned(),
            ..InstrumentationScope::default()
        };
        let scope_metrics = ScopeMetrics { scope: Some(scope), metrics, schema_url: String::new() };
        ResourceMetrics {
            resource: Some(Resource { attributes: self.attributes, ..Resource::default() }),
            scope_metrics: vec![scope_metrics],
            schema_url: SCHEMA_URL.to_owned(),
        }
    }
}

impl Conversion<'_> {
    fn texts(&self, family: usize) -> Option<(&str, &str)> {
        let family = self.families.get(family)?;
        Some((&family.name, if self.options.descriptions { &family.help } else { "" }))
    }

    fn metric(&self, metric: FamilyPoints) -> Option<Metric> {
        let (name, description) = self.texts(metric.family)?;
        let data_points = metric.points;
        let data = match self.families.get(metric.family)?.kind {
            MetricType::Counter => metric::Data::Sum(Sum {
                data_points,
                aggregation_temporality: AggregationTemporality::Cumulative.into(),
                is_monotonic: true,
            }),
            MetricType::Gauge | MetricType::Info | MetricType::StateSet => metric::Data::Gauge(Gauge { data_points }),
        };
        Some(Metric {
            name: name.to_owned(),
            description: description.to_owned(),
            unit: unit(name).to_owned(),
            metadata: Vec::new(),
            data: Some(data),
        })
    }

    fn point(&self, sample: &SampleRef<'_>, in_container: bool, start: u64) -> NumberDataPoint {
        let labels = sample.own_labels().filter(|label| !(in_container && names_container(label)));
        let labels = labels.filter(|(_, value)| !value.is_empty());
        NumberDataPoint {
            attributes: labels.map(|(name, value)| attribute(name.to_owned(), value.into_owned())).collect(),
            start_time_unix_nano: start,
            time_unix_nano: self.time,
            exemplars: Vec::new(),
            flags: 0,
            value: Some(number_data_point::Value::AsDouble(sample.value())),
        }
    }

    /// Appends the resources of one object: its own, and one per container of a pod. An empty place yields none.
    pub(super) fn groups_of(&self, object: &ObjectRef<'_>, groups: &mut VecDeque<ResourceGroup>) {
        let mut described: Option<ResourceAttributes> = None;
        let mut since = None;
        // Few: an object and its containers.
        let mut resources: Vec<ResourceGroup> = Vec::new();
        object.visit_indexed(|family, sample| {
            let ResourceAttributes { attributes, is_pod } =
                described.get_or_insert_with(|| ResourceAttributes::of(object, &self.options.attributes));
            let container = if *is_pod { sample.own_labels().find(names_container) } else { None };
            let container = container.map(|(_, name)| name);
            let is_counter = self.families.get(family).is_some_and(|family| family.kind == MetricType::Counter);
            let start = if is_counter { *since.get_or_insert_with(|| self.counting_since(object)) } else { 0 };
            let point = self.point(&sample, container.is_some(), start);
            let known = resources.iter().rposition(|group| group.container.as_deref() == container.as_deref());
            let at = known.unwrap_or_else(|| {
                let mut attributes = attributes.clone();
                if let Some(name) = &container {
                    attributes.retain(|known| known.key != CONTAINER_NAME);
                    attributes.push(attribute(CONTAINER_NAME.to_owned(), name.clone().into_owned()));
                }
                resources.push(ResourceGroup::new(attributes, container.map(Cow::into_owned)));
                resources.len() - 1
            });
            if let Some(group) = resources.get_mut(at) {
                let bytes = group.cost(family, &point, self);
                group.push(family, point, bytes);
            }
        });
        for group in resources {
            group.split(self, groups);
        }
    }
}
