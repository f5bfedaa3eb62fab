//! What governs workloads and namespaces, as objects: autoscalers, budgets, quotas, ranges.

use serde_json::{Value, json};

use super::dice::Id;
use super::draft::{Draft, time};
use super::model::{Cluster, Namespace, Workload};
use super::template::selector;
use super::workload::{Counts, floor};

/// How busy an autoscaler finds its pods, in percent of their requests: what the dice say for a moment.
pub(crate) fn autoscaler(cluster: &Cluster, workload: &Workload, moment: i64) -> Value {
    let counts = Counts::of(workload.pods());
    let load = u64::try_from(moment).unwrap_or(0);
    let busy = cluster.dice(Id(workload.id.0 ^ load << 20), "busy", 0).between(20, 75);
    let condition = |kind: &str, status: bool, reason: &str, message: &str| {
        json!({
            "type": kind, "status": if status { "True" } else { "False" }, "reason": reason, "message": message,
            "lastTransitionTime": time(workload.progressed),
        })
    };
    let uid = cluster.uid(workload.id, "hpa", 0);
    Draft::new("autoscaling/v2", "HorizontalPodAutoscaler", &workload.name, uid, workload.created)
        .namespace(cluster.namespace_of(workload))
        .labels(selector(workload))
        .managed_by("helm", "kube-controller-manager", moment)
        .body(json!({
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": workload.name},
                "minReplicas": (workload.base / 2).max(1),
                "maxReplicas": (workload.base * 2).max(2),
                "metrics": [
                    {"type": "Resource", "resource": {
                        "name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}},
                    {"type": "Resource", "resource": {
                        "name": "memory", "target": {"type": "AverageValue", "averageValue": "800Mi"}}},
                ],
                "behavior": {"scaleDown": {"stabilizationWindowSeconds": 300, "selectPolicy": "Max", "policies": [
                    {"type": "Percent", "value": 100, "periodSeconds": 15}]}},
            },
            "status": {
                "observedGeneration": 1,
                "lastScaleTime": time(workload.progressed),
                "currentReplicas": counts.active,
                "desiredReplicas": workload.desired,
                "currentMetrics": [
                    {"type": "Resource", "resource": {"name": "cpu", "current": {
                        "averageUtilization": busy, "averageValue": format!("{}m", busy * 5)}}},
                    {"type": "Resource", "resource": {"name": "memory", "current": {
                        "averageValue": (u64::from(busy) * 8_388_608).to_string()}}},
                ],
                "conditions": [
                    condition("AbleToScale", true, "ReadyForNewScale", "recommended size matches current size"),
                    condition("ScalingActive", true, "ValidMetricFound",
                        "the HPA was able to successfully calculate a replica count"),
                    condition("ScalingLimited", false, "DesiredWithinRange",
                        "the desired count is within the acceptable range"),
                ],
            },
        }))
}

/// How many of a workload's pods may be missing.
pub(crate) fn disruption_budget(cluster: &Cluster, workload: &Workload) -> Value {
    let counts = Counts::of(workload.pods());
    let needed = floor(workload.desired);
    let allowed = counts.ready.saturating_sub(needed);
    let (reason, holds) = if allowed > 0 { ("SufficientPods", "True") } else { ("InsufficientPods", "False") };
    let uid = cluster.uid(workload.id, "pdb", 0);
    Draft::new("policy/v1", "PodDisruptionBudget", &workload.name, uid, workload.created)
        .namespace(cluster.namespace_of(workload))
        .labels(selector(workload))
        .generation(1)
        .managed_by("helm", "kube-controller-manager", workload.progressed)
        .body(json!({
            "spec": {"maxUnavailable": "25%", "selector": {"matchLabels": selector(workload)}},
            "status": {
                "observedGeneration": 1,
                "currentHealthy": counts.ready,
                "desiredHealthy": needed,
                "disruptionsAllowed": allowed,
                "expectedPods": workload.desired,
                "conditions": [{
                    "type": "DisruptionAllowed", "status": holds, "reason": reason, "message": "",
                    "observedGeneration": 1, "lastTransitionTime": time(workload.progressed),
                }],
            },
        }))
}

/// What a namespace may use at most, and what its containers get unless they ask.
pub(crate) fn quota_and_range(cluster: &Cluster, namespace: &Namespace) -> [Value; 2] {
    let draft = |api_version, kind, name, facet| {
        Draft::new(api_version, kind, name, cluster.uid(namespace.id, facet, 0), namespace.created)
            .namespace(&namespace.name)
    };
    let hard = json!({
        "pods": "2000", "requests.cpu": "400", "requests.memory": "800Gi", "limits.memory": "1600Gi",
        "persistentvolumeclaims": "100", "services.loadbalancers": "5",
    });
    let mut dice = cluster.dice(namespace.id, "used", 0);
    let used = json!({
        "pods": dice.below(2000).to_string(), "requests.cpu": format!("{}m", dice.below(400_000)),
        "requests.memory": format!("{}Mi", dice.below(800_000)), "limits.memory": format!("{}Mi", dice.below(1_600_000)),
        "persistentvolumeclaims": dice.below(100).to_string(), "services.loadbalancers": dice.below(5).to_string(),
    });
    let quota = draft("v1", "ResourceQuota", "team-quota", "quota")
        .body(json!({"spec": {"hard": hard}, "status": {"hard": hard, "used": used}}));
    let range = draft("v1", "LimitRange", "defaults", "range").body(json!({"spec": {"limits": [
        {"type": "Container", "default": {"cpu": "500m", "memory": "512Mi"},
            "defaultRequest": {"cpu": "100m", "memory": "128Mi"}, "max": {"cpu": "8", "memory": "32Gi"}},
        {"type": "PersistentVolumeClaim", "min": {"storage": "1Gi"}, "max": {"storage": "1Ti"}},
    ]}}));
    [quota, range]
}
