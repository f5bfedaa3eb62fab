//! Is an object what the API types say? Every field must survive decoding and encoding again, and every
//! enumerated text must be one of its values.

use k8s_openapi::serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// Decodes by kind, strictly.
pub(crate) fn decode(object: &Value) -> Result<(), String> {
    use k8s_openapi::api::{
        admissionregistration::v1 as admission, apps::v1 as apps, autoscaling::v2 as autoscaling, batch::v1 as batch,
        certificates::v1 as certificates, coordination::v1 as coordination, core::v1 as core,
        discovery::v1 as discovery, networking::v1 as networking, policy::v1 as policy, rbac::v1 as rbac,
        storage::v1 as storage,
    };
    use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1 as extensions;
    let kind = format!(
        "{}/{}",
        object["apiVersion"].as_str().unwrap_or_default(),
        object["kind"].as_str().unwrap_or_default()
    );
    enumerated("", &kind, object)?;
    match kind.as_str() {
        "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy" => same::<admission::MutatingAdmissionPolicy>(object),
        "admissionregistration.k8s.io/v1/MutatingAdmissionPolicyBinding" => {
            same::<admission::MutatingAdmissionPolicyBinding>(object)
        }
        "admissionregistration.k8s.io/v1/MutatingWebhookConfiguration" => {
            same::<admission::MutatingWebhookConfiguration>(object)
        }
        "admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy" => {
            same::<admission::ValidatingAdmissionPolicy>(object)
        }
        "admissionregistration.k8s.io/v1/ValidatingAdmissionPolicyBinding" => {
            same::<admission::ValidatingAdmissionPolicyBinding>(object)
        }
        "admissionregistration.k8s.io/v1/ValidatingWebhookConfiguration" => {
            same::<admission::ValidatingWebhookConfiguration>(object)
        }
        "apiextensions.k8s.io/v1/CustomResourceDefinition" => same::<extensions::CustomResourceDefinition>(object),
        "apps/v1/ControllerRevision" => same::<apps::ControllerRevision>(object),
        "apps/v1/DaemonSet" => same::<apps::DaemonSet>(object),
        "apps/v1/Deployment" => same::<apps::Deployment>(object),
        "apps/v1/ReplicaSet" => same::<apps::ReplicaSet>(object),
        "apps/v1/StatefulSet" => same::<apps::StatefulSet>(object),
        "autoscaling/v2/HorizontalPodAutoscaler" => same::<autoscaling::HorizontalPodAutoscaler>(object),
        "batch/v1/CronJob" => same::<batch::CronJob>(object),
        "batch/v1/Job" => same::<batch::Job>(object),
        "certificates.k8s.io/v1/CertificateSigningRequest" => same::<certificates::CertificateSigningRequest>(object),
        "coordination.k8s.io/v1/Lease" => same::<coordination::Lease>(object),
        "delivery.example.com/v1/Release" => Ok(()),
        "discovery.k8s.io/v1/EndpointSlice" => same::<discovery::EndpointSlice>(object),
        "networking.k8s.io/v1/Ingress" => same::<networking::Ingress>(object),
        "networking.k8s.io/v1/IngressClass" => same::<networking::IngressClass>(object),
        "networking.k8s.io/v1/NetworkPolicy" => same::<networking::NetworkPolicy>(object),
        "policy/v1/PodDisruptionBudget" => same::<policy::PodDisruptionBudget>(object),
        "rbac.authorization.k8s.io/v1/ClusterRole" => same::<rbac::ClusterRole>(object),
        "rbac.authorization.k8s.io/v1/ClusterRoleBinding" => same::<rbac::ClusterRoleBinding>(object),
        "rbac.authorization.k8s.io/v1/Role" => same::<rbac::Role>(object),
        "rbac.authorization.k8s.io/v1/RoleBinding" => same::<rbac::RoleBinding>(object),
        "storage.k8s.io/v1/StorageClass" => same::<storage::StorageClass>(object),
        "storage.k8s.io/v1/VolumeAttachment" => same::<storage::VolumeAttachment>(object),
        "v1/ConfigMap" => same::<core::ConfigMap>(object),
        "v1/Endpoints" => same::<core::Endpoints>(object),
        "v1/LimitRange" => same::<core::LimitRange>(object),
        "v1/Namespace" => same::<core::Namespace>(object),
        "v1/Node" => same::<core::Node>(object),
        "v1/PersistentVolume" => same::<core::PersistentVolume>(object),
        "v1/PersistentVolumeClaim" => same::<core::PersistentVolumeClaim>(object),
        "v1/Pod" => same::<core::Pod>(object),
        "v1/ReplicationController" => same::<core::ReplicationController>(object),
        "v1/ResourceQuota" => same::<core::ResourceQuota>(object),
        "v1/Secret" => same::<core::Secret>(object),
        "v1/Service" => same::<core::Service>(object),
        "v1/ServiceAccount" => same::<core::ServiceAccount>(object),
        unknown => Err(format!("no type for {unknown}")),
    }
}

fn same<K: DeserializeOwned + Serialize>(object: &Value) -> Result<(), String> {
    let typed: K = serde_json::from_value(object.clone()).map_err(|error| error.to_string())?;
    let back = serde_json::to_value(&typed).map_err(|error| error.to_string())?;
    kept("", object, &back)
}

/// Everything in `was` must be in `is`; null and empty collections say nothing.
fn kept(path: &str, was: &Value, is: &Value) -> Result<(), String> {
    let empty = |value: &Value| match value {
        Value::Null => true,
        Value::Object(members) => members.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    };
    match (was, is) {
        (Value::Object(was), Value::Object(is)) => was.iter().try_for_each(|(member, was)| {
            kept(&format!("{path}.{member}"), was, is.get(member).unwrap_or(&Value::Null))
        }),
        (Value::Array(was), Value::Array(is)) if was.len() == is.len() => {
            was.iter().zip(is).try_for_each(|(was, is)| kept(&format!("{path}[]"), was, is))
        }
        _ if empty(was) && empty(is) => Ok(()),
        _ if was == is => Ok(()),
        _ => Err(format!("{path} is {was}, but comes back as {is}")),
    }
}

/// Fields whose text is one of a few, by the end of their path and the kind (`*` for all).
const ENUMERATED: [(&str, &str, &[&str]); 24] = [
    ("*", "conditions[].status", &["True", "False", "Unknown"]),
    ("v1/Pod", ".status.phase", &["Pending", "Running", "Succeeded", "Failed", "Unknown"]),
    ("v1/Pod", ".status.qosClass", &["Guaranteed", "Burstable", "BestEffort"]),
    ("v1/PersistentVolume", ".status.phase", &["Available", "Bound", "Released", "Failed", "Pending"]),
    ("v1/PersistentVolumeClaim", ".status.phase", &["Pending", "Bound", "Lost"]),
    ("v1/Namespace", ".status.phase", &["Active", "Terminating"]),
    ("*", "spec.restartPolicy", &["Always", "OnFailure", "Never"]),
    ("*", "initContainers[].restartPolicy", &["Always"]),
    ("*", "dnsPolicy", &["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"]),
    ("*", "imagePullPolicy", &["Always", "IfNotPresent", "Never"]),
    ("*", "terminationMessagePolicy", &["File", "FallbackToLogsOnError"]),
    ("*", "tolerations[].operator", &["Exists", "Equal"]),
    ("*", "tolerations[].effect", &["NoSchedule", "PreferNoSchedule", "NoExecute"]),
    ("*", "taints[].effect", &["NoSchedule", "PreferNoSchedule", "NoExecute"]),
    ("*", "ports[].protocol", &["TCP", "UDP", "SCTP"]),
    ("*", "whenUnsatisfiable", &["DoNotSchedule", "ScheduleAnyway"]),
    ("*", "accessModes[]", &["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"]),
    ("*", "concurrencyPolicy", &["Allow", "Forbid", "Replace"]),
    ("*", "completionMode", &["NonIndexed", "Indexed"]),
    ("*", "pathType", &["Exact", "Prefix", "ImplementationSpecific"]),
    ("*", "addressType", &["IPv4", "IPv6", "FQDN"]),
    ("*", "failurePolicy", &["Ignore", "Fail"]),
    ("v1/Service", ".spec.type", &["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"]),
    ("*", "volumeBindingMode", &["Immediate", "WaitForFirstConsumer"]),
];

fn enumerated(path: &str, kind: &str, value: &Value) -> Result<(), String> {
    match value {
        Value::Object(members) => {
            members.iter().try_for_each(|(member, value)| enumerated(&format!("{path}.{member}"), kind, value))
        }
        Value::Array(items) => items.iter().try_for_each(|item| enumerated(&format!("{path}[]"), kind, item)),
        Value::String(text) => {
            let rule = ENUMERATED.iter().find(|(of, end, _)| (*of == "*" || *of == kind) && path.ends_with(end));
            match rule {
                Some((_, _, values)) if !values.contains(&text.as_str()) => {
                    Err(format!("{path} is {text:?}, not one of {values:?}"))
                }
                _ => Ok(()),
            }
        }
        _ => Ok(()),
    }
}
