//! The defaults that a reader of the cluster notices: replicas, phases, policies. Not all of upstream's: a client
//! that needs a field set should set it.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::strategy::rfc3339;
use super::{Fields, Object};
use crate::resource::Resource;

/// Defaults of the desired state, filled in on every write.
pub(crate) fn on_write(resource: &Resource, object: &mut Object) {
    if resource.custom {
        return;
    }
    match (resource.id.group.as_str(), resource.id.plural.as_str()) {
        ("", "secrets") => secret(&mut object.rest),
        ("storage.k8s.io", "storageclasses") => {
            fill(&mut object.rest, &json!({"reclaimPolicy": "Delete", "volumeBindingMode": "Immediate"}));
        }
        ("", "namespaces") => {
            let name = Value::from(object.name());
            let labels = object.metadata.entry("labels").or_insert_with(|| json!({}));
            if let Value::Object(labels) = labels {
                labels.insert("kubernetes.io/metadata.name".into(), name);
            }
            fill_spec(object, &json!({"finalizers": ["kubernetes"]}));
        }
        (group, plural) => {
            if let Some(spec) = spec_defaults(group, plural) {
                fill_spec(object, &spec);
            }
        }
    }
    if resource.is("", "services") {
        service_ports(object);
    }
}

fn spec_defaults(group: &str, plural: &str) -> Option<Value> {
    Some(match (group, plural) {
        ("", "pods") => json!({
            "restartPolicy": "Always", "dnsPolicy": "ClusterFirst", "schedulerName": "default-scheduler",
            "terminationGracePeriodSeconds": 30, "enableServiceLinks": true, "securityContext": {},
        }),
        ("", "replicationcontrollers") | ("apps", "replicasets") => json!({"replicas": 1}),
        ("apps", "deployments") => json!({
            "replicas": 1, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
        }),
        ("apps", "statefulsets") => json!({
            "replicas": 1, "revisionHistoryLimit": 10, "podManagementPolicy": "OrderedReady",
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
        }),
        ("apps", "daemonsets") => json!({
            "revisionHistoryLimit": 10,
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}},
        }),
        ("batch", "jobs") => {
            json!({"parallelism": 1, "completions": 1, "backoffLimit": 6, "completionMode": "NonIndexed", "suspend": false})
        }
        ("batch", "cronjobs") => json!({
            "concurrencyPolicy": "Allow", "suspend": false,
            "successfulJobsHistoryLimit": 3, "failedJobsHistoryLimit": 1,
        }),
        ("", "services") => json!({"type": "ClusterIP", "sessionAffinity": "None"}),
        ("", "persistentvolumes") => json!({"persistentVolumeReclaimPolicy": "Retain", "volumeMode": "Filesystem"}),
        ("", "persistentvolumeclaims") => json!({"volumeMode": "Filesystem"}),
        ("autoscaling", "horizontalpodautoscalers") => json!({"minReplicas": 1}),
        _ => return None,
    })
}

/// The state a controller-less object starts in.
pub(crate) fn on_create(resource: &Resource, object: &mut Object, now: Timestamp) {
    if resource.custom {
        return;
    }
    let status = match (resource.id.group.as_str(), resource.id.plural.as_str()) {
        ("", "namespaces") => json!({"phase": "Active"}),
        ("", "persistentvolumes") => json!({"phase": "Available"}),
        ("", "persistentvolumeclaims") => json!({"phase": "Pending"}),
        ("", "pods") => json!({"phase": "Pending", "qosClass": qos_class(object)}),
        ("", "services") => json!({"loadBalancer": {}}),
        ("", "replicationcontrollers") | ("apps", "replicasets" | "statefulsets") => json!({"replicas": 0}),
        ("apps", "daemonsets") => json!({
            "currentNumberScheduled": 0, "desiredNumberScheduled": 0, "numberMisscheduled": 0, "numberReady": 0,
        }),
        ("apps", "deployments") | ("batch", "jobs" | "cronjobs") | ("networking.k8s.io", "ingresses") => json!({}),
        ("apiextensions.k8s.io", "customresourcedefinitions") => crate::crd::accepted_status(object, &rfc3339(now)),
        _ => return,
    };
    object.rest.insert("status".into(), status);
}

fn fill_spec(object: &mut Object, defaults: &Value) {
    if let Value::Object(spec) = object.rest.entry("spec").or_insert_with(|| json!({})) {
        fill(spec, defaults);
    }
}

fn fill(fields: &mut Fields, defaults: &Value) {
    for (field, value) in defaults.as_object().into_iter().flatten() {
        let slot = fields.entry(field.as_str()).or_insert(Value::Null);
        if slot.is_null() {
            slot.clone_from(value);
        }
    }
}

/// `stringData` is written as text and read as base64.
fn secret(fields: &mut Fields) {
    use base64::Engine as _;
    fill(fields, &json!({"type": "Opaque"}));
    let Some(Value::Object(plain)) = fields.remove("stringData") else { return };
    if let Value::Object(data) = fields.entry("data").or_insert_with(|| json!({})) {
        for (key, text) in plain {
            let encoded = base64::engine::general_purpose::STANDARD.encode(text.as_str().unwrap_or_default());
            data.insert(key, encoded.into());
        }
    }
}

fn service_ports(object: &mut Object) {
    let ports = object.rest.get_mut("spec").and_then(|spec| spec.get_mut("ports")).and_then(Value::as_array_mut);
    for port in ports.into_iter().flatten().filter_map(Value::as_object_mut) {
        fill(port, &json!({"protocol": "TCP"}));
        if let Some(number) = port.get("port").cloned() {
            port.entry("targetPort").or_insert(number);
        }
    }
}

/// [The rule](https://kubernetes.io/docs/concepts/workloads/pods/pod-qos/): Guaranteed if every container's limits
/// equal its requests, BestEffort if there are none at all.
fn qos_class(pod: &Object) -> &'static str {
    let containers = ["/spec/initContainers", "/spec/containers"].into_iter().filter_map(|list| pod.pointer(list));
    let mut any = false;
    let mut all_equal = true;
    for container in containers.filter_map(Value::as_array).flatten() {
        for resource in ["cpu", "memory"] {
            let limit = container.pointer(&format!("/resources/limits/{resource}"));
            let request = container.pointer(&format!("/resources/requests/{resource}"));
            any |= limit.is_some() || request.is_some();
            all_equal &= limit.is_some() && request.is_none_or(|request| Some(request) == limit);
        }
    }
    match (any, all_equal) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn qos_classes() {
        for (resources, class) in [
            (json!({}), "BestEffort"),
            (json!({"requests": {"cpu": "1"}}), "Burstable"),
            (json!({"limits": {"cpu": "1", "memory": "1Gi"}}), "Guaranteed"),
            (json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "2", "memory": "1Gi"}}), "Burstable"),
        ] {
            let pod = json!({"spec": {"containers": [{"resources": resources}]}});
            assert_eq!(qos_class(&Object::from_value(pod).unwrap().1), class, "{resources}");
        }
    }
}
