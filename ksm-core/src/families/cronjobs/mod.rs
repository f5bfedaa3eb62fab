//! `cronjobs`

mod schedule;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{CronJob, CronJobSpec, CronJobStatus};

use self::schedule::Schedule;
use super::{Text, instant, part, put_resource_version};
use crate::family::{Family, family_table};
use crate::resource::Resource;
use crate::samples::Samples;
use crate::value::is_zero_time;

const NAME: &str = "cronjobs";

pub(super) const RESOURCE: Resource<CronJob> =
    Resource { name: NAME, families: FAMILIES, collect, unread: &["metadata.managedFields", "spec.jobTemplate"] };

family_table! {
    FAMILIES {
        ANNOTATIONS = Family::gauge("kube_cronjob_annotations", "Annotations of the CronJob as labels.")
            .needs_annotation_allowlist();
        LABELS = Family::gauge("kube_cronjob_labels", "Labels of the CronJob as labels.")
            .stable().needs_label_allowlist();
        INFO = Family::gauge("kube_cronjob_info", "Schedule, time zone and concurrency policy of the CronJob.")
            .stable();
        CREATED = Family::gauge("kube_cronjob_created", "When the CronJob was created, in Unix seconds.").stable();
        STATUS_ACTIVE = Family::gauge("kube_cronjob_status_active", "Jobs of the CronJob that run now.").stable();
        STATUS_LAST_SCHEDULE_TIME = Family::gauge(
            "kube_cronjob_status_last_schedule_time", "When the CronJob last started a Job, in Unix seconds.").stable();
        STATUS_LAST_SUCCESSFUL_TIME = Family::gauge(
            "kube_cronjob_status_last_successful_time",
            "When a Job of the CronJob last succeeded, in Unix seconds.").stable();
        SPEC_SUSPEND = Family::gauge("kube_cronjob_spec_suspend", "1 while the CronJob starts no Jobs.").stable();
        SPEC_STARTING_DEADLINE_SECONDS = Family::gauge(
            "kube_cronjob_spec_starting_deadline_seconds", "How late a Job may be started, in seconds.").stable();
        NEXT_SCHEDULE_TIME = Family::gauge(
            "kube_cronjob_next_schedule_time",
            "When the CronJob should start a Job after the last one (after its creation where there was none), \
             in Unix seconds: a time in the past tells of a delay.").stable();
        SCHEDULE_INVALID = Family::gauge(
            "kube_cronjob_schedule_invalid", "1 for a CronJob whose schedule or time zone can't be read.");
        METADATA_RESOURCE_VERSION = Family::gauge(
            "kube_cronjob_metadata_resource_version", "The resource version of the CronJob.").stable();
        SPEC_SUCCESSFUL_JOB_HISTORY_LIMIT = Family::gauge(
            "kube_cronjob_spec_successful_job_history_limit", "How many Jobs that succeeded are kept.");
        SPEC_FAILED_JOB_HISTORY_LIMIT = Family::gauge(
            "kube_cronjob_spec_failed_job_history_limit", "How many Jobs that failed are kept.");
    }
}

fn collect(job: &CronJob, s: &mut Samples<'_>) {
    let meta = &job.metadata;
    let (spec, status) = (part::<CronJobSpec>(&job.spec), part::<CronJobStatus>(&job.status));
    let created = instant(meta.creation_timestamp.as_ref());
    s.identity(&[("namespace", meta.namespace.text()), ("cronjob", meta.name.text())]);
    s.put_annotations(ANNOTATIONS, meta.annotations.as_ref());
    s.put_labels(LABELS, meta.labels.as_ref());
    let labels = [
        ("schedule", spec.schedule.as_str()),
        ("concurrency_policy", spec.concurrency_policy.text()),
        ("timezone", spec.time_zone.as_deref().unwrap_or("local")),
    ];
    s.put(INFO, &labels, 1.0);
    s.put_time(CREATED, &[], created);
    s.put(STATUS_ACTIVE, &[], status.active.as_ref().map_or(0, Vec::len) as f64);
    s.put_time(STATUS_LAST_SCHEDULE_TIME, &[], instant(status.last_schedule_time.as_ref()));
    s.put_time(STATUS_LAST_SUCCESSFUL_TIME, &[], instant(status.last_successful_time.as_ref()));
    s.put_bool(SPEC_SUSPEND, &[], spec.suspend == Some(true));
    s.put_some(SPEC_STARTING_DEADLINE_SECONDS, &[], spec.starting_deadline_seconds.map(|seconds| seconds as f64));
    if s.wants(NEXT_SCHEDULE_TIME) || s.wants(SCHEDULE_INVALID) {
        put_schedule(s, &spec, &status, created);
    }
    put_resource_version(s, METADATA_RESOURCE_VERSION, meta, NAME);
    s.put_some(SPEC_SUCCESSFUL_JOB_HISTORY_LIMIT, &[], spec.successful_jobs_history_limit);
    s.put_some(SPEC_FAILED_JOB_HISTORY_LIMIT, &[], spec.failed_jobs_history_limit);
}

/// A suspended CronJob has no next time, but may have an invalid schedule.
fn put_schedule(s: &mut Samples<'_>, spec: &CronJobSpec, status: &CronJobStatus, created: Option<&Timestamp>) {
    match Schedule::parse(&spec.schedule, spec.time_zone.as_deref()) {
        Ok(schedule) => {
            let last = instant(status.last_schedule_time.as_ref()).filter(|time| !is_zero_time(time));
            let since = last.or(created).filter(|time| !is_zero_time(time) && spec.suspend != Some(true));
            s.put_time(NEXT_SCHEDULE_TIME, &[], since.and_then(|since| schedule.next_after(*since)).as_ref());
        }
        Err(why) => {
            tracing::debug!(resource = NAME, schedule = spec.schedule, %why, "schedule can't be read");
            s.put(SCHEDULE_INVALID, &[], 1.0);
        }
    }
}
