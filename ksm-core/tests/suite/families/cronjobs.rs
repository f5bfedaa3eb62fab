//! CronJobs, whose next time is a matter of calendars, clocks and zones.

use k8s_openapi::api::batch::v1::CronJob;
use serde_json::{Value, json};

use super::{lines, lines_of};

const NEXT: &str = "kube_cronjob_next_schedule_time";

fn scheduled(schedule: &str, zone: Option<&str>, after: &str) -> Value {
    json!({
        "metadata": {"namespace": "ns", "name": "job"},
        "spec": {"schedule": schedule, "timeZone": zone},
        "status": {"lastScheduleTime": after},
    })
}

/// The next time in UTC, where there is one.
fn next(schedule: &str, zone: Option<&str>, after: &str) -> Option<String> {
    let object = scheduled(schedule, zone, after);
    assert_eq!(lines_of::<CronJob>("kube_cronjob_schedule_invalid", &object), [""; 0], "{schedule} is valid");
    let lines = lines_of::<CronJob>(NEXT, &object);
    let seconds: f64 = lines.first()?.rsplit(' ').next().unwrap().parse().unwrap();
    #[expect(clippy::cast_possible_truncation, reason = "whole seconds")]
    let time = jiff::Timestamp::from_second(seconds as i64).unwrap();
    Some(time.to_string())
}

#[test]
fn a_cronjob_yields_its_samples() {
    let object = json!({
        "metadata": {"namespace": "ns", "name": "job", "resourceVersion": "11111",
                     "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"schedule": "0 */6 * * *", "concurrencyPolicy": "Forbid", "startingDeadlineSeconds": 300,
                 "successfulJobsHistoryLimit": 3, "failedJobsHistoryLimit": 1},
        "status": {"active": [{"name": "a"}, {"name": "b"}], "lastScheduleTime": "2026-01-01T06:00:00Z",
                   "lastSuccessfulTime": "2026-01-01T06:00:09Z"},
    });
    let want = r#"
kube_cronjob_info{namespace="ns",cronjob="job",schedule="0 */6 * * *",concurrency_policy="Forbid",timezone="local"} 1
kube_cronjob_created{namespace="ns",cronjob="job"} 1.7672256e+09
kube_cronjob_status_active{namespace="ns",cronjob="job"} 2
kube_cronjob_status_last_schedule_time{namespace="ns",cronjob="job"} 1.7672472e+09
kube_cronjob_status_last_successful_time{namespace="ns",cronjob="job"} 1.767247209e+09
kube_cronjob_spec_suspend{namespace="ns",cronjob="job"} 0
kube_cronjob_spec_starting_deadline_seconds{namespace="ns",cronjob="job"} 300
kube_cronjob_next_schedule_time{namespace="ns",cronjob="job"} 1.7672688e+09
kube_cronjob_metadata_resource_version{namespace="ns",cronjob="job"} 11111
kube_cronjob_spec_successful_job_history_limit{namespace="ns",cronjob="job"} 3
kube_cronjob_spec_failed_job_history_limit{namespace="ns",cronjob="job"} 1
"#;
    assert_eq!(lines::<CronJob>(&object), want.trim().lines().collect::<Vec<_>>());
}

#[test]
fn the_next_time_is_after_the_last_one_or_after_the_creation() {
    let object = json!({"metadata": {"name": "job", "creationTimestamp": "2018-03-11T11:04:56Z"},
                        "spec": {"schedule": "25 * * * *"}});
    let want = r#"kube_cronjob_next_schedule_time{namespace="",cronjob="job"} 1.5207675e+09"#;
    assert_eq!(lines_of::<CronJob>(NEXT, &object), [want]);
    let object = json!({"metadata": {"name": "job"}, "spec": {"schedule": "25 * * * *"}});
    assert_eq!(lines_of::<CronJob>(NEXT, &object), [""; 0], "neither is known");
}

#[test]
fn a_suspended_cronjob_has_no_next_time_but_may_be_invalid() {
    let mut object = scheduled("25 * * * *", None, "2026-01-01T00:00:00Z");
    object["spec"]["suspend"] = json!(true);
    assert_eq!(lines_of::<CronJob>(NEXT, &object), [""; 0]);
    object["spec"]["schedule"] = json!("25 * * *");
    assert_eq!(lines_of::<CronJob>("kube_cronjob_schedule_invalid", &object).len(), 1);
}

#[test]
fn fields_match() {
    let after = "2026-01-01T00:00:00Z"; // a Thursday
    for (schedule, want) in [
        ("* * * * *", "2026-01-01T00:01:00Z"),
        ("0 */6 * * *", "2026-01-01T06:00:00Z"),
        ("5/20 * * * *", "2026-01-01T00:05:00Z"),
        ("30,10 3-4 * * *", "2026-01-01T03:10:00Z"),
        ("0 0 31 * *", "2026-01-31T00:00:00Z"),
        ("0 0 29 2 *", "2028-02-29T00:00:00Z"),
        ("0 0 1 MAR-apr *", "2026-03-01T00:00:00Z"),
        ("0 0 * * sun", "2026-01-04T00:00:00Z"),
        ("0 0 ? * Mon-Fri", "2026-01-02T00:00:00Z"),
        // Both days are restricted: either will do.
        ("0 0 13 * 5", "2026-01-02T00:00:00Z"),
        ("0 0 2 * 6", "2026-01-02T00:00:00Z"),
        // A star with a step restricts, so either will do; with step 1 it does not.
        ("0 0 */10 * 6", "2026-01-03T00:00:00Z"),
        ("0 0 */1 * 6", "2026-01-03T00:00:00Z"),
        ("0 0 13 * *", "2026-01-13T00:00:00Z"),
        ("59 23 31 12 *", "2026-12-31T23:59:00Z"),
    ] {
        assert_eq!(next(schedule, None, after).as_deref(), Some(want), "{schedule}");
    }
}

#[test]
fn a_star_with_a_step_is_a_restriction_of_its_own() {
    // 2026-01-03 is the first Saturday, 2026-01-11 the second day that */10 names.
    assert_eq!(next("0 0 */10 * 6", None, "2026-01-10T00:00:00Z").as_deref(), Some("2026-01-11T00:00:00Z"));
    assert_eq!(next("0 0 */1 * 6", None, "2026-01-10T00:00:00Z").as_deref(), Some("2026-01-17T00:00:00Z"));
}

#[test]
fn the_next_time_is_later_even_from_within_the_minute() {
    assert_eq!(next("30 12 * * *", None, "2026-01-01T12:29:59Z").as_deref(), Some("2026-01-01T12:30:00Z"));
    assert_eq!(next("30 12 * * *", None, "2026-01-01T12:30:00Z").as_deref(), Some("2026-01-02T12:30:00Z"));
    assert_eq!(next("59 23 * * *", None, "2026-01-01T23:59:01Z").as_deref(), Some("2026-01-02T23:59:00Z"));
}

#[test]
fn descriptors_stand_for_fields() {
    let after = "2026-02-03T04:05:06Z";
    for (schedule, want) in [
        ("@hourly", "2026-02-03T05:00:00Z"),
        ("@daily", "2026-02-04T00:00:00Z"),
        ("@midnight", "2026-02-04T00:00:00Z"),
        ("@weekly", "2026-02-08T00:00:00Z"),
        ("@monthly", "2026-03-01T00:00:00Z"),
        ("@yearly", "2027-01-01T00:00:00Z"),
        ("@annually", "2027-01-01T00:00:00Z"),
        ("@every 1h30m", "2026-02-03T05:35:06Z"),
        ("@every 90s", "2026-02-03T04:06:36Z"),
        ("@every 1.5h30m", "2026-02-03T06:05:06Z"),
        ("@every 2500ms", "2026-02-03T04:05:08Z"),
        ("@every 1ns", "2026-02-03T04:05:07Z"),
    ] {
        assert_eq!(next(schedule, None, after).as_deref(), Some(want), "{schedule}");
    }
}

#[test]
fn a_zone_comes_from_the_field_or_from_the_schedule() {
    // Shanghai is 8 hours ahead all year round.
    let after = "2018-03-11T04:34:56Z"; // 12:34:56 there
    let want = Some("2018-03-11T10:00:00Z"); // 18:00 there
    assert_eq!(next("0 */6 * * *", Some("Asia/Shanghai"), after).as_deref(), want);
    assert_eq!(next("CRON_TZ=Asia/Shanghai 0 */6 * * *", None, after).as_deref(), want);
    assert_eq!(next("TZ=Asia/Shanghai 0 */6 * * *", None, after).as_deref(), want);
    assert_eq!(next("0 */6 * * *", Some("Etc/UTC"), after).as_deref(), Some("2018-03-11T06:00:00Z"));
    assert_eq!(next("0 */6 * * *", None, after).as_deref(), Some("2018-03-11T06:00:00Z"), "UTC without a zone");
    assert_eq!(next("@daily", Some("Asia/Kolkata"), after).as_deref(), Some("2018-03-11T18:30:00Z"), "half an hour");
    assert_eq!(next("@every 1h", Some("Asia/Kolkata"), after).as_deref(), Some("2018-03-11T05:34:56Z"));
}

#[test]
fn a_time_that_the_clock_skips_does_not_occur() {
    let berlin = Some("Europe/Berlin"); // 2026-03-29: 02:00 becomes 03:00
    assert_eq!(next("30 2 * * *", berlin, "2026-03-28T12:00:00Z").as_deref(), Some("2026-03-30T00:30:00Z"));
    assert_eq!(next("0 * * * *", berlin, "2026-03-29T00:00:00Z").as_deref(), Some("2026-03-29T01:00:00Z"));
    // Where midnight is skipped, the day has its other hours.
    let sao_paulo = Some("America/Sao_Paulo"); // 2018-11-04: 00:00 becomes 01:00
    assert_eq!(next("0 0 * * *", sao_paulo, "2018-11-03T12:00:00Z").as_deref(), Some("2018-11-05T02:00:00Z"));
    assert_eq!(next("0 9 4 11 ?", sao_paulo, "2018-11-03T12:00:00Z").as_deref(), Some("2018-11-04T11:00:00Z"));
}

#[test]
fn a_time_that_the_clock_repeats_occurs_twice() {
    let berlin = Some("Europe/Berlin"); // 2026-10-25: 03:00 becomes 02:00
    assert_eq!(next("30 2 * * *", berlin, "2026-10-24T12:00:00Z").as_deref(), Some("2026-10-25T00:30:00Z"));
    assert_eq!(next("30 2 * * *", berlin, "2026-10-25T00:30:00Z").as_deref(), Some("2026-10-25T01:30:00Z"));
    assert_eq!(next("30 2 * * *", berlin, "2026-10-25T01:30:00Z").as_deref(), Some("2026-10-26T01:30:00Z"));
}

#[test]
fn half_hour_clock_changes_count_too() {
    let lord_howe = Some("Australia/Lord_Howe"); // 2026-04-05: 02:00 becomes 01:30
    assert_eq!(next("45 1 * * *", lord_howe, "2026-04-04T14:45:00Z").as_deref(), Some("2026-04-04T15:15:00Z"));
}

#[test]
fn what_never_comes_yields_no_sample_and_is_valid() {
    assert_eq!(next("0 0 30 2 *", None, "2026-01-01T00:00:00Z"), None);
    assert_eq!(next("0 0 31 4,6,9,11 ?", Some("Europe/Berlin"), "2026-01-01T00:00:00Z"), None);
    assert_eq!(next(", * * * *", None, "2026-01-01T00:00:00Z"), None, "a field without a value");
    // The search ends after five years: 2100 has no 29 February.
    assert_eq!(next("0 0 29 2 *", None, "2097-01-01T00:00:00Z"), None);
    assert_eq!(next("* * * * *", None, "9999-12-30T22:00:00Z").as_deref(), None, "the end of time");
}

#[test]
fn what_cannot_be_read_is_invalid_and_has_no_next_time() {
    for (schedule, zone) in [
        ("", None),
        ("* * * *", None),
        ("* * * * * *", None),
        ("60 * * * *", None),
        ("* 24 * * *", None),
        ("* * 0 * *", None),
        ("* * * 13 *", None),
        ("* * * * 7", None),
        ("* * * * L", None),
        ("* * * * fri-sun", None),
        ("*/0 * * * *", None),
        ("5-1 * * * *", None),
        ("1-2-3 * * * *", None),
        ("1/2/3 * * * *", None),
        ("a * * * *", None),
        ("-1 * * * *", None),
        ("99999999999 * * * *", None),
        ("@fortnightly", None),
        ("@Daily", None),
        ("@every", None),
        ("@every ", None),
        ("@every 5", None),
        ("@every 1d", None),
        ("@every .s", None),
        ("@every 1.2.3s", None),
        ("@every 9999999999h", None),
        ("CRON_TZ=Mars/Olympus * * * * *", None),
        ("CRON_TZ=UTC", None),
        ("TZ= * * * * *", None),
        ("* * * * *", Some("")),
        ("* * * * *", Some("Mars/Olympus")),
        ("* * * * *", Some("europe/berlin")),
        ("* * * * *", Some("Local")),
        // Both at once: the field wins, and the rest is one word too many.
        ("TZ=UTC * * * * *", Some("UTC")),
    ] {
        let object = scheduled(schedule, zone, "2026-01-01T00:00:00Z");
        let want = r#"kube_cronjob_schedule_invalid{namespace="ns",cronjob="job"} 1"#;
        assert_eq!(lines_of::<CronJob>("kube_cronjob_schedule_invalid", &object), [want], "{schedule} in {zone:?}");
        assert_eq!(lines_of::<CronJob>(NEXT, &object), [""; 0], "{schedule} in {zone:?}");
    }
}

#[test]
fn a_resource_version_that_is_no_number_yields_no_sample() {
    let object = json!({"metadata": {"name": "job", "resourceVersion": "abc"}, "spec": {"schedule": "@daily"}});
    assert_eq!(lines_of::<CronJob>("kube_cronjob_metadata_resource_version", &object), [""; 0]);
}
