//! `jobs`

use k8s_openapi::api::batch::v1::{Job, JobSpec, JobStatus};

use super::owners::put_owners;
use super::{Text, instant, part};
use crate::family::{Family, family_table};
use crate::resource::Resource;
use crate::samples::Samples;

pub(super) const RESOURCE: Resource<Job> = Resource {
    name: "jobs",
    families: FAMILIES,
    collect,
    unread: &[
        "metadata.managedFields",
        "spec.podFailurePolicy",
        "spec.scheduling",
        "spec.selector",
        "spec.successPolicy",
        "spec.template",
        "status.completedIndexes",
        "status.conditions.lastProbeTime",
        "status.conditions.lastTransitionTime",
        "status.conditions.message",
        "status.failedIndexes",
        "status.uncountedTerminatedPods",
    ],
};

family_table! {
    FAMILIES {
        ANNOTATIONS = Family::gauge("kube_job_annotations", "Annotations of the Job as labels.")
            .needs_annotation_allowlist();
        LABELS = Family::gauge("kube_job_labels", "Labels of the Job as labels.").stable().needs_label_allowlist();
        INFO = Family::gauge("kube_job_info", "1 for each Job.").stable();
        CREATED = Family::gauge("kube_job_created", "When the Job was created, in Unix seconds.").stable();
        SPEC_PARALLELISM = Family::gauge("kube_job_spec_parallelism", "How many pods of the Job may run at a time.")
            .stable();
        SPEC_COMPLETIONS = Family::gauge("kube_job_spec_completions", "How many pods of the Job have to succeed.")
            .stable();
        SPEC_ACTIVE_DEADLINE_SECONDS = Family::gauge(
            "kube_job_spec_active_deadline_seconds",
            "How long the Job may be active before it is ended, in seconds.").stable();
        STATUS_SUCCEEDED = Family::gauge("kube_job_status_succeeded", "Pods of the Job that succeeded.").stable();
        STATUS_FAILED = Family::gauge("kube_job_status_failed", "Pods of the Job that failed, or why the Job failed.")
            .stable();
        STATUS_ACTIVE = Family::gauge("kube_job_status_active", "Pods of the Job that are pending or running.")
            .stable();
        STATUS_READY = Family::gauge("kube_job_status_ready", "Pods of the Job that are ready.");
        COMPLETE = Family::gauge("kube_job_complete", "Whether the Job is complete: 1 for the condition's status.")
            .stable();
        FAILED = Family::gauge("kube_job_failed", "Whether the Job has failed: 1 for the condition's status.").stable();
        STATUS_START_TIME = Family::gauge("kube_job_status_start_time", "When the Job was started, in Unix seconds.")
            .stable();
        STATUS_COMPLETION_TIME = Family::gauge(
            "kube_job_status_completion_time", "When the Job was complete, in Unix seconds.").stable();
        STATUS_SUSPENDED = Family::gauge("kube_job_status_suspended", "1 while the Job is suspended.");
        OWNER = Family::gauge("kube_job_owner", "Each owner of the Job.").stable();
    }
}

fn collect(job: &Job, s: &mut Samples<'_>) {
    let meta = &job.metadata;
    let (spec, status) = (part::<JobSpec>(&job.spec), part::<JobStatus>(&job.status));
    s.identity(&[("namespace", meta.namespace.text()), ("job_name", meta.name.text())]);
    s.put_annotations(ANNOTATIONS, meta.annotations.as_ref());
    s.put_labels(LABELS, meta.labels.as_ref());
    s.put(INFO, &[], 1.0);
    s.put_time(CREATED, &[], instant(meta.creation_timestamp.as_ref()));
    s.put_some(SPEC_PARALLELISM, &[], spec.parallelism);
    s.put_some(SPEC_COMPLETIONS, &[], spec.completions);
    s.put_some(SPEC_ACTIVE_DEADLINE_SECONDS, &[], spec.active_deadline_seconds.map(|seconds| seconds as f64));
    s.put(STATUS_SUCCEEDED, &[], status.succeeded.unwrap_or_default().into());
    put_failed(s, &status);
    s.put(STATUS_ACTIVE, &[], status.active.unwrap_or_default().into());
    s.put(STATUS_READY, &[], status.ready.unwrap_or_default().into());
    for condition in status.conditions.iter().flatten() {
        match condition.type_.as_str() {
            "Complete" => s.put_condition(COMPLETE, "condition", &[], &condition.status),
            "Failed" => s.put_condition(FAILED, "condition", &[], &condition.status),
            "Suspended" => s.put_bool(STATUS_SUSPENDED, &[], condition.status == "True"),
            _ => {}
        }
    }
    s.put_time(STATUS_START_TIME, &[], instant(status.start_time.as_ref()));
    s.put_time(STATUS_COMPLETION_TIME, &[], instant(status.completion_time.as_ref()));
    put_owners(s, OWNER, meta.owner_references.as_ref());
}

/// The known reasons of the failed condition, 1 for the one that holds. Without a known one, the failed pods are
/// counted under no reason.
fn put_failed(s: &mut Samples<'_>, status: &JobStatus) {
    const REASONS: [&str; 3] = ["BackoffLimitExceeded", "DeadlineExceeded", "Evicted"];

    let failed = status.failed.unwrap_or_default();
    if failed == 0 {
        return s.put(STATUS_FAILED, &[], 0.0);
    }
    let mut known = false;
    for condition in status.conditions.iter().flatten().filter(|condition| condition.type_ == "Failed") {
        let reason = condition.reason.text();
        known |= REASONS.contains(&reason);
        s.put_states(STATUS_FAILED, "reason", &REASONS, reason);
    }
    if !known {
        s.put(STATUS_FAILED, &[("reason", "")], failed.into());
    }
}
