//! Deployments, ReplicaSets, DaemonSets, StatefulSets, Jobs, Services and Leases.

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Service;
use ksm_core::Builtin;
use serde_json::{Value, json};

use super::{lines, lines_of};

/// The lines without the identity labels and the stem of their names.
fn short<K: Builtin>(stem: &str, identity: &str, object: &Value) -> String {
    let lines = lines::<K>(object);
    let lines = lines.iter().map(|line| {
        let line = line.strip_prefix(stem).unwrap_or(line);
        line.replacen(&format!("{identity},"), "", 1).replacen(&format!("{{{identity}}}"), "", 1)
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_deployment() {
    let deployment = json!({
        "metadata": {"namespace": "shop", "name": "web", "generation": 7, "creationTimestamp": "2026-01-01T00:00:00Z",
                     "deletionTimestamp": "2026-01-01T00:00:09Z",
                     "ownerReferences": [{"apiVersion": "v1", "kind": "App", "name": "shop", "uid": "x"}]},
        "spec": {"replicas": 10, "paused": true,
                 "strategy": {"rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}}},
        "status": {"replicas": 9, "readyReplicas": 8, "availableReplicas": 7, "unavailableReplicas": 3,
                   "updatedReplicas": 6, "terminatingReplicas": 2, "observedGeneration": 5,
                   "conditions": [{"type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated"},
                                  {"type": "Odd", "status": "False", "reason": "Made up"}]},
    });
    let want = r#"owner{owner_kind="App",owner_name="shop"} 1
created 1.7672256e+09
status_replicas 9
status_replicas_ready 8
status_replicas_available 7
status_replicas_unavailable 3
status_replicas_updated 6
status_terminating_replicas 2
status_observed_generation 5
status_condition{reason="ReplicaSetUpdated",condition="Progressing",status="true"} 1
status_condition{reason="ReplicaSetUpdated",condition="Progressing",status="false"} 0
status_condition{reason="ReplicaSetUpdated",condition="Progressing",status="unknown"} 0
status_condition{reason="unknown",condition="Odd",status="true"} 0
status_condition{reason="unknown",condition="Odd",status="false"} 1
status_condition{reason="unknown",condition="Odd",status="unknown"} 0
spec_replicas 10
spec_paused 1
spec_strategy_rollingupdate_max_unavailable 2
spec_strategy_rollingupdate_max_surge 3
metadata_generation 7
deletion_timestamp 1.767225609e+09"#;
    assert_eq!(short::<Deployment>("kube_deployment_", r#"namespace="shop",deployment="web""#, &deployment), want);
}

#[test]
fn a_rollout_share_is_a_number_or_a_percentage_and_needs_replicas() {
    let surge = |replicas: Value, share: Value| {
        let strategy = json!({"rollingUpdate": {"maxSurge": share}});
        let deployment = json!({"metadata": {"name": "a"}, "spec": {"replicas": replicas, "strategy": strategy}});
        let lines = lines_of::<Deployment>("kube_deployment_spec_strategy_rollingupdate_max_surge", &deployment);
        lines.first().map(|line| line.rsplit(' ').next().unwrap().to_owned())
    };
    assert_eq!(surge(json!(3), json!(4)).as_deref(), Some("4"));
    assert_eq!(surge(json!(3), json!("34%")).as_deref(), Some("2"));
    assert_eq!(surge(json!(3), json!("0%")).as_deref(), Some("0"));
    for share in [json!(null), json!("4"), json!("%"), json!("many"), json!("1.5%")] {
        assert_eq!(surge(json!(3), share), None);
    }
    assert_eq!(surge(json!(null), json!(4)), None);
}

#[test]
fn a_deployment_without_status_has_zero_replicas() {
    let deployment = json!({"metadata": {"name": "a"}});
    let want = r#"owner{owner_kind="",owner_name=""} 1
status_replicas 0
status_replicas_ready 0
status_replicas_available 0
status_replicas_unavailable 0
status_replicas_updated 0
status_observed_generation 0
spec_paused 0
metadata_generation 0"#;
    assert_eq!(short::<Deployment>("kube_deployment_", r#"namespace="",deployment="a""#, &deployment), want);
}

#[test]
fn a_replicaset() {
    let set = json!({
        "metadata": {"namespace": "shop", "name": "web-1", "generation": 2, "creationTimestamp": "2026-01-01T00:00:00Z",
                     "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "x",
                                          "controller": true}]},
        "spec": {"replicas": 5},
        "status": {"replicas": 4, "fullyLabeledReplicas": 3, "readyReplicas": 2, "terminatingReplicas": 1,
                   "observedGeneration": 6},
    });
    let want = r#"created 1.7672256e+09
status_replicas 4
status_fully_labeled_replicas 3
status_ready_replicas 2
status_terminating_replicas 1
status_observed_generation 6
spec_replicas 5
metadata_generation 2
owner{owner_kind="Deployment",owner_name="web",owner_is_controller="true"} 1"#;
    assert_eq!(short::<ReplicaSet>("kube_replicaset_", r#"namespace="shop",replicaset="web-1""#, &set), want);
}

#[test]
fn a_daemonset() {
    let set = json!({
        "metadata": {"namespace": "kube-system", "name": "proxy", "generation": 9,
                     "creationTimestamp": "2026-01-01T00:00:00Z", "deletionTimestamp": "2026-01-01T00:00:09Z"},
        "status": {"currentNumberScheduled": 1, "desiredNumberScheduled": 2, "numberAvailable": 3,
                   "numberMisscheduled": 4, "numberReady": 5, "numberUnavailable": 6, "observedGeneration": 7,
                   "updatedNumberScheduled": 8},
    });
    let want = "created 1.7672256e+09
status_current_number_scheduled 1
status_desired_number_scheduled 2
status_number_available 3
status_number_misscheduled 4
status_number_ready 5
status_number_unavailable 6
status_observed_generation 7
status_updated_number_scheduled 8
metadata_generation 9
deletion_timestamp 1.767225609e+09";
    assert_eq!(short::<DaemonSet>("kube_daemonset_", r#"namespace="kube-system",daemonset="proxy""#, &set), want);
}

#[test]
fn a_statefulset() {
    let set = json!({
        "metadata": {"namespace": "shop", "name": "db", "generation": 9, "creationTimestamp": "2026-01-01T00:00:00Z",
                     "deletionTimestamp": "2026-01-01T00:00:09Z"},
        "spec": {"replicas": 1, "ordinals": {"start": 2},
                 "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Delete", "whenScaled": "Retain"}},
        "status": {"replicas": 3, "availableReplicas": 4, "currentReplicas": 5, "readyReplicas": 6, "updatedReplicas": 7,
                   "observedGeneration": 8, "currentRevision": "db-a", "updateRevision": "db-b"},
    });
    let want = r#"created 1.7672256e+09
status_replicas 3
status_replicas_available 4
status_replicas_current 5
status_replicas_ready 6
status_replicas_updated 7
status_observed_generation 8
replicas 1
ordinals_start 2
metadata_generation 9
persistentvolumeclaim_retention_policy{when_deleted="Delete",when_scaled="Retain"} 1
status_current_revision{revision="db-a"} 1
status_update_revision{revision="db-b"} 1
deletion_timestamp 1.767225609e+09"#;
    assert_eq!(short::<StatefulSet>("kube_statefulset_", r#"namespace="shop",statefulset="db""#, &set), want);
}

#[test]
fn a_retention_policy_that_says_nothing_is_none() {
    let family = "kube_statefulset_persistentvolumeclaim_retention_policy";
    for policy in [json!(null), json!({}), json!({"whenDeleted": "", "whenScaled": ""})] {
        let set = json!({"metadata": {"name": "db"}, "spec": {"persistentVolumeClaimRetentionPolicy": policy}});
        assert_eq!(lines_of::<StatefulSet>(family, &set), [""; 0]);
    }
}

#[test]
fn a_job() {
    let job = json!({
        "metadata": {"namespace": "shop", "name": "sum", "creationTimestamp": "2026-01-01T00:00:00Z",
                     "ownerReferences": [{"apiVersion": "batch/v1", "kind": "CronJob", "name": "sums", "uid": "x"}]},
        "spec": {"parallelism": 1, "completions": 2, "activeDeadlineSeconds": 3},
        "status": {"succeeded": 4, "active": 5, "ready": 6, "startTime": "2026-01-01T00:00:01Z",
                   "completionTime": "2026-01-01T00:00:02Z",
                   "conditions": [{"type": "Complete", "status": "True"}, {"type": "Suspended", "status": "True"},
                                  {"type": "Failed", "status": "False"}]},
    });
    let want = r#"info 1
created 1.7672256e+09
spec_parallelism 1
spec_completions 2
spec_active_deadline_seconds 3
status_succeeded 4
status_failed 0
status_active 5
status_ready 6
complete{condition="true"} 1
complete{condition="false"} 0
complete{condition="unknown"} 0
failed{condition="true"} 0
failed{condition="false"} 1
failed{condition="unknown"} 0
status_start_time 1.767225601e+09
status_completion_time 1.767225602e+09
status_suspended 1
owner{owner_kind="CronJob",owner_name="sums",owner_is_controller="false"} 1"#;
    assert_eq!(short::<Job>("kube_job_", r#"namespace="shop",job_name="sum""#, &job), want);
}

#[test]
fn a_failed_job_names_its_known_reason_or_counts_its_pods() {
    let failed = |reason: &str| {
        let conditions = json!([{"type": "Failed", "status": "True", "reason": reason}]);
        let job = json!({"metadata": {"name": "a"}, "status": {"failed": 3, "conditions": conditions}});
        let lines = lines_of::<Job>("kube_job_status_failed", &job);
        let head = r#"kube_job_status_failed{namespace="",job_name="a",reason="#;
        lines.iter().map(|line| line.strip_prefix(head).unwrap().to_owned()).collect::<Vec<_>>()
    };
    let known = [r#""BackoffLimitExceeded"} 0"#, r#""DeadlineExceeded"} 1"#, r#""Evicted"} 0"#];
    assert_eq!(failed("DeadlineExceeded"), known);
    let unknown = [r#""BackoffLimitExceeded"} 0"#, r#""DeadlineExceeded"} 0"#, r#""Evicted"} 0"#, r#"""} 3"#];
    assert_eq!(failed("Boredom"), unknown);
}

#[test]
fn a_service() {
    let service = json!({
        "metadata": {"namespace": "shop", "name": "web", "uid": "u1", "creationTimestamp": "2026-01-01T00:00:00Z",
                     "deletionTimestamp": "2026-01-01T00:00:09Z"},
        "spec": {"type": "LoadBalancer", "clusterIP": "10.0.0.1", "externalName": "web.example.com",
                 "loadBalancerIP": "192.0.2.1", "externalTrafficPolicy": "Local", "externalIPs": ["192.0.2.2", "192.0.2.3"]},
        "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.4"}, {"hostname": "lb.example.com"}]}},
    });
    let want = r#"info{cluster_ip="10.0.0.1",external_name="web.example.com",load_balancer_ip="192.0.2.1",external_traffic_policy="Local"} 1
created 1.7672256e+09
spec_type{type="LoadBalancer"} 1
spec_external_ip{external_ip="192.0.2.2"} 1
spec_external_ip{external_ip="192.0.2.3"} 1
status_load_balancer_ingress{ip="192.0.2.4",hostname=""} 1
status_load_balancer_ingress{ip="",hostname="lb.example.com"} 1
deletion_timestamp 1.767225609e+09"#;
    assert_eq!(short::<Service>("kube_service_", r#"namespace="shop",service="web",uid="u1""#, &service), want);
}

#[test]
fn a_lease_names_its_namespace_after_its_owner() {
    let lease = json!({
        "metadata": {"namespace": "kube-node-lease", "name": "n1",
                     "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "x"}]},
        "spec": {"holderIdentity": "kubelet-n1", "renewTime": "2026-01-01T00:00:00.999999Z"},
    });
    let want = r#"owner{owner_kind="Node",owner_name="n1",namespace="kube-node-lease",lease_holder="kubelet-n1"} 1
renew_time{namespace="kube-node-lease"} 1.7672256e+09"#;
    assert_eq!(short::<Lease>("kube_lease_", r#"lease="n1""#, &lease), want);
}
