//! HorizontalPodAutoscalers, PodDisruptionBudgets, ReplicationControllers, ResourceQuotas and LimitRanges.

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{LimitRange, ReplicationController, ResourceQuota};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use serde_json::{Value, json};

use super::{lines, lines_of};

#[test]
fn an_autoscaler_yields_its_samples_with_labels_in_upstreams_order() {
    let autoscaler = json!({
        "metadata": {"namespace": "shop", "name": "web", "generation": 3},
        "spec": {"maxReplicas": 9, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
                 "behavior": {"scaleUp": {"tolerance": "700m"}, "scaleDown": {"tolerance": "none"}},
                 "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {
                     "value": "1500m", "averageValue": "0.25", "averageUtilization": 80}}}]},
        "status": {"currentReplicas": 2, "desiredReplicas": 4,
                   "conditions": [{"type": "AbleToScale", "status": "False"}],
                   "currentMetrics": [{"type": "ContainerResource", "containerResource": {
                       "name": "memory", "container": "app", "current": {"averageValue": "1Ki"}}}]},
    });
    let want = r#"
kube_horizontalpodautoscaler_info{namespace="shop",horizontalpodautoscaler="web",scaletargetref_api_version="apps/v1",scaletargetref_kind="Deployment",scaletargetref_name="web"} 1
kube_horizontalpodautoscaler_metadata_generation{namespace="shop",horizontalpodautoscaler="web"} 3
kube_horizontalpodautoscaler_spec_max_replicas{namespace="shop",horizontalpodautoscaler="web"} 9
kube_horizontalpodautoscaler_spec_min_replicas{namespace="shop",horizontalpodautoscaler="web"} 1
kube_horizontalpodautoscaler_spec_target_metric{namespace="shop",horizontalpodautoscaler="web",metric_name="cpu",metric_target_type="value",container=""} 1.5
kube_horizontalpodautoscaler_spec_target_metric{namespace="shop",horizontalpodautoscaler="web",metric_name="cpu",metric_target_type="average",container=""} 0.25
kube_horizontalpodautoscaler_spec_target_metric{namespace="shop",horizontalpodautoscaler="web",metric_name="cpu",metric_target_type="utilization",container=""} 80
kube_horizontalpodautoscaler_spec_behavior_scale_up_tolerance{namespace="shop",horizontalpodautoscaler="web"} 0.7000000000000001
kube_horizontalpodautoscaler_status_target_metric{namespace="shop",horizontalpodautoscaler="web",metric_name="memory",metric_target_type="average",container="app"} 1024
kube_horizontalpodautoscaler_status_current_replicas{namespace="shop",horizontalpodautoscaler="web"} 2
kube_horizontalpodautoscaler_status_desired_replicas{namespace="shop",horizontalpodautoscaler="web"} 4
kube_horizontalpodautoscaler_status_condition{namespace="shop",horizontalpodautoscaler="web",condition="AbleToScale",status="true"} 0
kube_horizontalpodautoscaler_status_condition{namespace="shop",horizontalpodautoscaler="web",condition="AbleToScale",status="false"} 1
kube_horizontalpodautoscaler_status_condition{namespace="shop",horizontalpodautoscaler="web",condition="AbleToScale",status="unknown"} 0
"#;
    assert_eq!(lines::<HorizontalPodAutoscaler>(&autoscaler), want.trim().lines().collect::<Vec<_>>());
}

/// Name, kind of value, container and value of each target.
fn targets(metrics: &Value) -> Vec<String> {
    let autoscaler = json!({"metadata": {"name": "web"}, "spec": {"metrics": metrics}});
    let lines = lines_of::<HorizontalPodAutoscaler>("kube_horizontalpodautoscaler_spec_target_metric", &autoscaler);
    lines.iter().map(|line| line.split_once("metric_name=").unwrap().1.to_owned()).collect()
}

#[test]
fn each_type_of_metric_is_read_from_its_own_field() {
    let target = json!({"value": "1"});
    for (kind, field, source, told) in [
        ("Object", "object", json!({"metric": {"name": "hits"}, "target": target}), "hits"),
        ("Pods", "pods", json!({"metric": {"name": "done"}, "target": target}), "done"),
        ("External", "external", json!({"metric": {"name": "queue"}, "target": target}), "queue"),
        ("Resource", "resource", json!({"name": "cpu", "target": target}), "cpu"),
        ("ContainerResource", "containerResource", json!({"name": "cpu", "target": target}), "cpu"),
    ] {
        let line = format!(r#""{told}",metric_target_type="value",container=""}} 1"#);
        assert_eq!(targets(&json!([{"type": kind, field: source}])), [line]);
        // A type that names no source, and one that later versions may bring.
        assert_eq!(targets(&json!([{"type": kind}, {"type": "Weather", field: source}])), Vec::<String>::new());
    }
}

#[test]
fn a_target_that_cannot_be_read_costs_itself() {
    let target = json!({"value": "much", "averageValue": "2", "averageUtilization": 80});
    let told = targets(&json!([{"type": "Resource", "resource": {"name": "cpu", "target": target}}]));
    let want = [
        r#""cpu",metric_target_type="average",container=""} 2"#,
        r#""cpu",metric_target_type="utilization",container=""} 80"#,
    ];
    assert_eq!(told, want);
}

#[test]
fn an_autoscaler_names_the_api_version_of_its_target_only_where_there_is_one() {
    let autoscaler = json!({"metadata": {"name": "web"}, "spec": {"scaleTargetRef": {"kind": "App", "name": "web"}}});
    let want = r#"kube_horizontalpodautoscaler_info{namespace="",horizontalpodautoscaler="web",scaletargetref_kind="App",scaletargetref_name="web"} 1"#;
    assert_eq!(lines_of::<HorizontalPodAutoscaler>("kube_horizontalpodautoscaler_info", &autoscaler), [want]);
}

#[test]
fn a_disruption_budget_counts_what_is_not_said_as_0() {
    let budget = json!({
        "metadata": {"namespace": "shop", "name": "web", "deletionTimestamp": "2026-01-01T00:00:09Z"},
        "status": {"currentHealthy": 3, "desiredHealthy": 2, "disruptionsAllowed": 1},
    });
    let want = r#"
kube_poddisruptionbudget_status_current_healthy{namespace="shop",poddisruptionbudget="web"} 3
kube_poddisruptionbudget_status_desired_healthy{namespace="shop",poddisruptionbudget="web"} 2
kube_poddisruptionbudget_status_pod_disruptions_allowed{namespace="shop",poddisruptionbudget="web"} 1
kube_poddisruptionbudget_status_expected_pods{namespace="shop",poddisruptionbudget="web"} 0
kube_poddisruptionbudget_status_observed_generation{namespace="shop",poddisruptionbudget="web"} 0
kube_poddisruptionbudget_deletion_timestamp{namespace="shop",poddisruptionbudget="web"} 1.767225609e+09
"#;
    assert_eq!(lines::<PodDisruptionBudget>(&budget), want.trim().lines().collect::<Vec<_>>());
}

#[test]
fn a_replication_controller_without_a_spec_has_no_desired_replicas() {
    let controller = json!({"metadata": {"name": "old"}, "status": {"replicas": 1}});
    assert!(lines_of::<ReplicationController>("kube_replicationcontroller_spec_replicas", &controller).is_empty());
    let owner = r#"kube_replicationcontroller_owner{namespace="",replicationcontroller="old",owner_kind="",owner_name="",owner_is_controller=""} 1"#;
    assert_eq!(lines_of::<ReplicationController>("kube_replicationcontroller_owner", &controller), [owner]);
}

#[test]
fn a_quota_keeps_its_names_as_they_are() {
    let quota = json!({
        "metadata": {"namespace": "shop", "name": "all"},
        "spec": {"hard": {"pods": "1"}},
        "status": {
            "hard": {"requests.nvidia.com/gpu": "4", "count/deployments.apps": "many", "limits.cpu": "1500m"},
            "used": {"gold.storageclass.storage.k8s.io/requests.storage": "9E"},
        },
    });
    let want = r#"
kube_resourcequota{namespace="shop",resourcequota="all",resource="limits.cpu",type="hard"} 1.5
kube_resourcequota{namespace="shop",resourcequota="all",resource="requests.nvidia.com/gpu",type="hard"} 4
kube_resourcequota{namespace="shop",resourcequota="all",resource="gold.storageclass.storage.k8s.io/requests.storage",type="used"} 9e+18
"#;
    assert_eq!(lines::<ResourceQuota>(&quota), want.trim().lines().collect::<Vec<_>>());
}

#[test]
fn a_limit_range_yields_each_constraint_by_its_own_name() {
    let limits = json!([
        {"type": "Container", "min": {"cpu": "10m"}, "max": {"cpu": "2", "memory": "?"}, "default": {"cpu": "1"},
         "defaultRequest": {"cpu": "500m"}, "maxLimitRequestRatio": {"cpu": "4"}},
        {"type": "PersistentVolumeClaim", "max": {"storage": "1Gi"}},
    ]);
    let range = json!({"metadata": {"namespace": "shop", "name": "all"}, "spec": {"limits": limits}});
    let want = r#"
kube_limitrange{namespace="shop",limitrange="all",resource="cpu",type="Container",constraint="min"} 0.01
kube_limitrange{namespace="shop",limitrange="all",resource="cpu",type="Container",constraint="max"} 2
kube_limitrange{namespace="shop",limitrange="all",resource="cpu",type="Container",constraint="default"} 1
kube_limitrange{namespace="shop",limitrange="all",resource="cpu",type="Container",constraint="defaultRequest"} 0.5
kube_limitrange{namespace="shop",limitrange="all",resource="cpu",type="Container",constraint="maxLimitRequestRatio"} 4
kube_limitrange{namespace="shop",limitrange="all",resource="storage",type="PersistentVolumeClaim",constraint="max"} 1.073741824e+09
"#;
    assert_eq!(lines::<LimitRange>(&range), want.trim().lines().collect::<Vec<_>>());
}
