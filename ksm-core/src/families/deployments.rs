//! `deployments`

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStatus};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::owners::for_each_owner;
use super::{Text, bad_value, instant, part};
use crate::family::{Family, family_table};
use crate::resource::Resource;
use crate::samples::Samples;

const NAME: &str = "deployments";

pub(super) const RESOURCE: Resource<Deployment> = Resource {
    name: NAME,
    families: FAMILIES,
    collect,
    unread: &[
        "metadata.managedFields",
        "spec.selector",
        "spec.template",
        "status.conditions.lastTransitionTime",
        "status.conditions.lastUpdateTime",
        "status.conditions.message",
    ],
};

family_table! {
    FAMILIES {
        OWNER = Family::gauge("kube_deployment_owner", "Each owner of the Deployment.");
        CREATED = Family::gauge("kube_deployment_created", "When the Deployment was created, in Unix seconds.")
            .stable();
        STATUS_REPLICAS = Family::gauge("kube_deployment_status_replicas", "Pods that the Deployment has.").stable();
        STATUS_REPLICAS_READY = Family::gauge(
            "kube_deployment_status_replicas_ready", "Pods of the Deployment that are ready.").stable();
        STATUS_REPLICAS_AVAILABLE = Family::gauge(
            "kube_deployment_status_replicas_available",
            "Pods of the Deployment that have been ready for long enough.").stable();
        STATUS_REPLICAS_UNAVAILABLE = Family::gauge(
            "kube_deployment_status_replicas_unavailable",
            "Pods that the Deployment lacks to be fully available.").stable();
        STATUS_REPLICAS_UPDATED = Family::gauge(
            "kube_deployment_status_replicas_updated",
            "Pods of the Deployment that have its current template.").stable();
        STATUS_TERMINATING_REPLICAS = Family::gauge(
            "kube_deployment_status_terminating_replicas", "Pods of the Deployment that are being deleted.");
        STATUS_OBSERVED_GENERATION = Family::gauge(
            "kube_deployment_status_observed_generation", "The generation that the controller acted on last.").stable();
        STATUS_CONDITION = Family::gauge(
            "kube_deployment_status_condition", "Each condition of the Deployment: 1 for its status.").stable();
        SPEC_REPLICAS = Family::gauge("kube_deployment_spec_replicas", "Pods that the Deployment should have.")
            .stable();
        SPEC_PAUSED = Family::gauge("kube_deployment_spec_paused", "1 where the Deployment is paused: changes wait.")
            .stable();
        MAX_UNAVAILABLE = Family::gauge(
            "kube_deployment_spec_strategy_rollingupdate_max_unavailable",
            "How many pods may be unavailable while an update rolls out.").stable();
        MAX_SURGE = Family::gauge(
            "kube_deployment_spec_strategy_rollingupdate_max_surge",
            "How many pods may be there beyond the desired ones while an update rolls out.").stable();
        METADATA_GENERATION = Family::gauge(
            "kube_deployment_metadata_generation",
            "The generation of the desired state: it grows with each change.").stable();
        DELETION_TIMESTAMP = Family::gauge(
            "kube_deployment_deletion_timestamp", "When the Deployment is to be deleted, in Unix seconds.");
        ANNOTATIONS = Family::gauge("kube_deployment_annotations", "Annotations of the Deployment as labels.")
            .needs_annotation_allowlist();
        LABELS = Family::gauge("kube_deployment_labels", "Labels of the Deployment as labels.")
            .stable().needs_label_allowlist();
    }
}

/// The reasons that the deployment controller gives; others are exposed as `unknown`, to bound the label's values.
const REASONS: [&str; 11] = [
    "ReplicaSetUpdated",
    "ReplicaSetCreateError",
    "NewReplicaSetCreated",
    "FoundNewReplicaSet",
    "NewReplicaSetAvailable",
    "ProgressDeadlineExceeded",
    "DeploymentPaused",
    "DeploymentResumed",
    "MinimumReplicasAvailable",
    "MinimumReplicasUnavailable",
    "",
];

fn collect(deployment: &Deployment, s: &mut Samples<'_>) {
    let meta = &deployment.metadata;
    let (spec, status) = (part::<DeploymentSpec>(&deployment.spec), part::<DeploymentStatus>(&deployment.status));
    s.identity(&[("namespace", meta.namespace.text()), ("deployment", meta.name.text())]);
    for_each_owner(meta.owner_references.as_ref(), |kind, name, _| {
        s.put(OWNER, &[("owner_kind", kind), ("owner_name", name)], 1.0);
    });
    s.put_time(CREATED, &[], instant(meta.creation_timestamp.as_ref()));
    s.put(STATUS_REPLICAS, &[], status.replicas.unwrap_or_default().into());
    s.put(STATUS_REPLICAS_READY, &[], status.ready_replicas.unwrap_or_default().into());
    s.put(STATUS_REPLICAS_AVAILABLE, &[], status.available_replicas.unwrap_or_default().into());
    s.put(STATUS_REPLICAS_UNAVAILABLE, &[], status.unavailable_replicas.unwrap_or_default().into());
    s.put(STATUS_REPLICAS_UPDATED, &[], status.updated_replicas.unwrap_or_default().into());
    s.put_some(STATUS_TERMINATING_REPLICAS, &[], status.terminating_replicas);
    s.put(STATUS_OBSERVED_GENERATION, &[], status.observed_generation.unwrap_or_default() as f64);
    for condition in status.conditions.iter().flatten() {
        let reason = condition.reason.text();
        let reason = if REASONS.contains(&reason) { reason } else { "unknown" };
        let labels = [("reason", reason), ("condition", condition.type_.text())];
        s.put_condition(STATUS_CONDITION, "status", &labels, condition.status.text());
    }
    s.put_some(SPEC_REPLICAS, &[], spec.replicas);
    s.put_bool(SPEC_PAUSED, &[], spec.paused == Some(true));
    let rolling = spec.strategy.as_ref().and_then(|strategy| strategy.rolling_update.as_ref());
    if let (Some(rolling), Some(replicas)) = (rolling, spec.replicas) {
        let scaled = |share: Option<&IntOrString>, round| share.and_then(|share| scaled(share, replicas, round));
        s.put_some(MAX_UNAVAILABLE, &[], scaled(rolling.max_unavailable.as_ref(), f64::floor));
        s.put_some(MAX_SURGE, &[], scaled(rolling.max_surge.as_ref(), f64::ceil));
    }
    s.put(METADATA_GENERATION, &[], meta.generation.unwrap_or_default() as f64);
    s.put_time(DELETION_TIMESTAMP, &[], instant(meta.deletion_timestamp.as_ref()));
    s.put_annotations(ANNOTATIONS, meta.annotations.as_ref());
    s.put_labels(LABELS, meta.labels.as_ref());
}

/// A number, or a percentage of the replicas.
fn scaled(share: &IntOrString, replicas: i32, round: fn(f64) -> f64) -> Option<f64> {
    match share {
        IntOrString::Int(number) => Some(f64::from(*number)),
        IntOrString::String(text) => match text.strip_suffix('%').map(str::parse::<i64>) {
            Some(Ok(percent)) => Some(round(percent as f64 * f64::from(replicas) / 100.0)),
            _ => {
                bad_value(NAME, "spec.strategy.rollingUpdate", text, &"neither a number nor a percentage like 25%");
                None
            }
        },
    }
}
