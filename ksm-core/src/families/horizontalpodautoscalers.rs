//! `horizontalpodautoscalers`

use k8s_openapi::api::autoscaling::v2::{
    HPAScalingRules, HorizontalPodAutoscaler, HorizontalPodAutoscalerSpec, HorizontalPodAutoscalerStatus, MetricSpec,
    MetricStatus,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as QuantityText;

use super::{Items, Text, bad_value, count, instant, part};
use crate::family::{Family, FamilyIndex, family_table};
use crate::resource::Resource;
use crate::samples::Samples;
use crate::value::Quantity;

const NAME: &str = "horizontalpodautoscalers";

pub(super) const RESOURCE: Resource<HorizontalPodAutoscaler> = Resource {
    name: NAME,
    families: FAMILIES,
    collect,
    unread: &[
        "metadata.managedFields",
        "spec.behavior.scaleDown.policies",
        "spec.behavior.scaleUp.policies",
        "spec.metrics.external.metric.selector",
        "spec.metrics.object.describedObject",
        "spec.metrics.object.metric.selector",
        "spec.metrics.pods.metric.selector",
        "status.conditions.lastTransitionTime",
        "status.conditions.message",
        "status.currentMetrics.external.metric.selector",
        "status.currentMetrics.object.describedObject",
        "status.currentMetrics.object.metric.selector",
        "status.currentMetrics.pods.metric.selector",
        "status.lastScaleTime",
    ],
};

family_table! {
    FAMILIES {
        INFO = Family::gauge("kube_horizontalpodautoscaler_info", "What the HorizontalPodAutoscaler scales.");
        METADATA_GENERATION = Family::gauge(
            "kube_horizontalpodautoscaler_metadata_generation",
            "The generation of the desired state: it grows with each change.").stable();
        SPEC_MAX_REPLICAS = Family::gauge(
            "kube_horizontalpodautoscaler_spec_max_replicas", "The most pods that it scales to.").stable();
        SPEC_MIN_REPLICAS = Family::gauge(
            "kube_horizontalpodautoscaler_spec_min_replicas",
            "The fewest pods that it scales to; 1 where it is not said.").stable();
        SPEC_TARGET_METRIC = Family::gauge(
            "kube_horizontalpodautoscaler_spec_target_metric", "The value of each metric that it scales towards.");
        SCALE_DOWN_TOLERANCE = Family::gauge(
            "kube_horizontalpodautoscaler_spec_behavior_scale_down_tolerance",
            "By which share a metric may be below its target before pods are taken away.");
        SCALE_UP_TOLERANCE = Family::gauge(
            "kube_horizontalpodautoscaler_spec_behavior_scale_up_tolerance",
            "By which share a metric may be above its target before pods are added.");
        STATUS_TARGET_METRIC = Family::gauge(
            "kube_horizontalpodautoscaler_status_target_metric", "The value of each metric when it was read last.")
            .stable();
        STATUS_CURRENT_REPLICAS = Family::gauge(
            "kube_horizontalpodautoscaler_status_current_replicas", "Pods that there are.").stable();
        STATUS_DESIRED_REPLICAS = Family::gauge(
            "kube_horizontalpodautoscaler_status_desired_replicas", "Pods that there should be.").stable();
        ANNOTATIONS = Family::gauge(
            "kube_horizontalpodautoscaler_annotations", "Annotations of the HorizontalPodAutoscaler as labels.")
            .needs_annotation_allowlist();
        LABELS = Family::gauge(
            "kube_horizontalpodautoscaler_labels", "Labels of the HorizontalPodAutoscaler as labels.")
            .stable().needs_label_allowlist();
        STATUS_CONDITION = Family::gauge(
            "kube_horizontalpodautoscaler_status_condition",
            "Each condition of the HorizontalPodAutoscaler: 1 for its status.").stable();
        CREATED = Family::gauge(
            "kube_horizontalpodautoscaler_created", "When the HorizontalPodAutoscaler was created, in Unix seconds.");
        DELETION_TIMESTAMP = Family::gauge(
            "kube_horizontalpodautoscaler_deletion_timestamp",
            "When the HorizontalPodAutoscaler is to be deleted, in Unix seconds.");
    }
}

fn collect(autoscaler: &HorizontalPodAutoscaler, s: &mut Samples<'_>) {
    let meta = &autoscaler.metadata;
    let spec = part::<HorizontalPodAutoscalerSpec>(&autoscaler.spec);
    let status = part::<HorizontalPodAutoscalerStatus>(&autoscaler.status);
    s.identity(&[("namespace", meta.namespace.text()), ("horizontalpodautoscaler", meta.name.text())]);
    put_target(s, &spec);
    s.put(METADATA_GENERATION, &[], meta.generation.unwrap_or_default() as f64);
    s.put(SPEC_MAX_REPLICAS, &[], count(spec.max_replicas));
    s.put(SPEC_MIN_REPLICAS, &[], spec.min_replicas.unwrap_or(1).into());
    if s.wants(SPEC_TARGET_METRIC) {
        for metric in spec.metrics.items() {
            Reading::of_spec(metric).put(s, SPEC_TARGET_METRIC, "spec.metrics", &metric.type_);
        }
    }
    if let Some(behavior) = &spec.behavior {
        put_tolerance(s, SCALE_DOWN_TOLERANCE, behavior.scale_down.as_ref());
        put_tolerance(s, SCALE_UP_TOLERANCE, behavior.scale_up.as_ref());
    }
    if s.wants(STATUS_TARGET_METRIC) {
        for metric in status.current_metrics.items() {
            Reading::of_status(metric).put(s, STATUS_TARGET_METRIC, "status.currentMetrics", &metric.type_);
        }
    }
    s.put(STATUS_CURRENT_REPLICAS, &[], count(status.current_replicas));
    s.put(STATUS_DESIRED_REPLICAS, &[], count(status.desired_replicas));
    s.put_annotations(ANNOTATIONS, meta.annotations.as_ref());
    s.put_labels(LABELS, meta.labels.as_ref());
    for condition in status.conditions.items() {
        s.put_condition(STATUS_CONDITION, "status", &[("condition", &condition.type_)], &condition.status);
    }
    s.put_time(CREATED, &[], instant(meta.creation_timestamp.as_ref()));
    s.put_time(DELETION_TIMESTAMP, &[], instant(meta.deletion_timestamp.as_ref()));
}

/// What is scaled; the API version is a label only where there is one.
fn put_target(s: &mut Samples<'_>, spec: &HorizontalPodAutoscalerSpec) {
    let target = &spec.scale_target_ref;
    let labels = [
        ("scaletargetref_api_version", target.api_version.text()),
        ("scaletargetref_kind", target.kind.text()),
        ("scaletargetref_name", target.name.text()),
    ];
    let [_, without @ ..] = &labels;
    s.put_unique(INFO, if target.api_version.text().is_empty() { without } else { &labels }, 1.0);
}

fn put_tolerance(s: &mut Samples<'_>, family: FamilyIndex, rules: Option<&HPAScalingRules>) {
    if let Some(tolerance) = rules.and_then(|rules| rules.tolerance.as_ref()).filter(|_| s.wants(family)) {
        match Quantity::approximate(&tolerance.0) {
            Ok(share) => s.put(family, &[], share),
            Err(why) => bad_value(NAME, "spec.behavior.tolerance", &tolerance.0, &why),
        }
    }
}

/// A metric and its values: those to be reached, or those that were read.
enum Reading<'a> {
    Values {
        metric: &'a str,
        container: &'a str,
        value: Option<&'a QuantityText>,
        utilization: Option<i32>,
        average: Option<&'a QuantityText>,
    },
    /// The metric's type is known, but what it names is not there.
    Missing,
    /// The type is one that later versions of Kubernetes may bring.
    OtherType,
}

/// The reading that belongs to a metric's type; the same for specs and for states, whose fields differ by name only.
macro_rules! reading {
    ($metric:expr, $values:ident) => {{
        let metric = $metric;
        match metric.type_.as_str() {
            "Object" => metric.object.as_ref().map(|source| (source.metric.name.text(), "", &source.$values)),
            "Pods" => metric.pods.as_ref().map(|source| (source.metric.name.text(), "", &source.$values)),
            "Resource" => metric.resource.as_ref().map(|source| (source.name.text(), "", &source.$values)),
            "ContainerResource" => metric
                .container_resource
                .as_ref()
                .map(|source| (source.name.text(), source.container.text(), &source.$values)),
            "External" => metric.external.as_ref().map(|source| (source.metric.name.text(), "", &source.$values)),
            _ => return Self::OtherType,
        }
        .map_or(Self::Missing, |(metric, container, values)| Self::Values {
            metric,
            container,
            value: values.value.as_ref(),
            utilization: values.average_utilization,
            average: values.average_value.as_ref(),
        })
    }};
}

impl<'a> Reading<'a> {
    fn of_spec(metric: &'a MetricSpec) -> Self {
        reading!(metric, target)
    }

    fn of_status(metric: &'a MetricStatus) -> Self {
        reading!(metric, current)
    }

    /// Puts a sample per kind of value.
    fn put(&self, s: &mut Samples<'_>, family: FamilyIndex, field: &'static str, metric_type: &str) {
        let Self::Values { metric, container, value, utilization, average } = self else {
            if matches!(self, Self::Missing) {
                bad_value(NAME, field, metric_type, &"there is no metric of this type");
            }
            return;
        };
        let labels = |kind| [("metric_name", *metric), ("metric_target_type", kind), ("container", *container)];
        let mut put_quantity = |kind, text: &QuantityText| match Quantity::parse(&text.0) {
            Ok(quantity) => s.put(family, &labels(kind), quantity.amount()),
            Err(why) => bad_value(NAME, field, &text.0, &why),
        };
        if let Some(value) = value {
            put_quantity("value", value);
        }
        if let Some(average) = average {
            put_quantity("average", average);
        }
        s.put_some(family, &labels("utilization"), *utilization);
    }
}
