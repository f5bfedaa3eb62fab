//! Labels as attributes, by OpenTelemetry's semantic conventions for Kubernetes.

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};

use crate::store::ObjectRef;

/// The version of the semantic conventions whose attribute names are used.
pub const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.44.0";

pub(super) const CONTAINER_NAME: &str = "k8s.container.name";
const NAMESPACE_NAME: &str = "k8s.namespace.name";

/// Begins the labels that tell which custom resource a sample is from: whatever else stands beside them was named by
/// somebody's configuration, and a `pod` there need not be this object's name.
const CUSTOM_RESOURCE: &str = "customresource_";

/// A built-in kind: the label that names its objects, and the attributes for name and uid.
struct Kind {
    label: &'static str,
    name: &'static str,
    uid: &'static str,
}

macro_rules! kinds {
    ($($label:literal => $kind:literal,)+) => {
        /// Sorted by label.
        const KINDS: &[Kind] = &[$(Kind {
            label: $label,
            name: concat!("k8s.", $kind, ".name"),
            uid: concat!("k8s.", $kind, ".uid"),
        }),+];
    };
}

kinds! {
    "certificatesigningrequest" => "certificatesigningrequest",
    "clusterrole" => "clusterrole",
    "clusterrolebinding" => "clusterrolebinding",
    "configmap" => "configmap",
    "cronjob" => "cronjob",
    "daemonset" => "daemonset",
    "deployment" => "deployment",
    "endpoint" => "endpoints",
    "endpointslice" => "endpointslice",
    "horizontalpodautoscaler" => "hpa",
    "ingress" => "ingress",
    "ingressclass" => "ingressclass",
    "job_name" => "job",
    "lease" => "lease",
    "limitrange" => "limitrange",
    "mutatingadmissionpolicy" => "mutatingadmissionpolicy",
    "mutatingadmissionpolicybinding" => "mutatingadmissionpolicybinding",
    "mutatingwebhookconfiguration" => "mutatingwebhookconfiguration",
    "networkpolicy" => "networkpolicy",
    "node" => "node",
    "persistentvolume" => "persistentvolume",
    "persistentvolumeclaim" => "persistentvolumeclaim",
    "pod" => "pod",
    "poddisruptionbudget" => "poddisruptionbudget",
    "replicaset" => "replicaset",
    "replicationcontroller" => "replicationcontroller",
    "resourcequota" => "resourcequota",
    "role" => "role",
    "rolebinding" => "rolebinding",
    "secret" => "secret",
    "service" => "service",
    "serviceaccount" => "serviceaccount",
    "statefulset" => "statefulset",
    "storageclass" => "storageclass",
    "validatingadmissionpolicy" => "validatingadmissionpolicy",
    "validatingadmissionpolicybinding" => "validatingadmissionpolicybinding",
    "validatingwebhookconfiguration" => "validatingwebhookconfiguration",
    "volumeattachment" => "volumeattachment",
}

fn kind_of(label: &str) -> Option<&'static Kind> {
    KINDS.binary_search_by(|kind| kind.label.cmp(label)).ok().and_then(|at| KINDS.get(at))
}

/// What an object's resource is described by.
pub(super) struct ResourceAttributes {
    pub(super) attributes: Vec<KeyValue>,
    /// Whether it is a pod, whose containers are resources of their own.
    pub(super) is_pod: bool,
}

impl ResourceAttributes {
    /// Identity first, then the labels of hooks, then the host's attributes; a key that is there already is kept.
    pub(super) fn of(object: &ObjectRef<'_>, host: &[(String, String)]) -> Self {
        let is_custom = object.identity().any(|(name, _)| name.starts_with(CUSTOM_RESOURCE));
        let kind = if is_custom { None } else { object.identity().find_map(|(name, _)| kind_of(name)) };
        // A namespace's own samples name nothing else.
        let is_namespace = !is_custom && object.identity().all(|(name, _)| name == "namespace");
        let key = |name: &str| match kind {
            Some(kind) if name == kind.label => kind.name.to_owned(),
            Some(kind) if name == "uid" => kind.uid.to_owned(),
            _ if name == "namespace" && (kind.is_some() || is_namespace) => NAMESPACE_NAME.to_owned(),
            _ => name.to_owned(),
        };
        let mut attributes = Vec::with_capacity(4 + host.len());
        for (name, value) in object.identity() {
            add(&mut attributes, &key(name), &value);
        }
        for (name, value) in object.extra_labels() {
            add(&mut attributes, name, &value);
        }
        for (name, value) in host {
            add(&mut attributes, name, value);
        }
        Self { attributes, is_pod: kind.is_some_and(|kind| kind.label == "pod") }
    }
}

/// Adds an attribute, but for an empty value or a key that is there: keys are unique in OTLP.
fn add(attributes: &mut Vec<KeyValue>, key: &str, value: &str) {
    if !value.is_empty() && !attributes.iter().any(|known| known.key == key) {
        attributes.push(attribute(key.to_owned(), value.to_owned()));
    }
}

pub(super) fn attribute(key: String, value: String) -> KeyValue {
    let value = AnyValue { value: Some(any_value::Value::StringValue(value)) };
    KeyValue { key, value: Some(value), key_strindex: 0 }
}

/// The unit by UCUM that a family's name states; empty where it states none.
pub(super) fn unit(family: &str) -> &'static str {
    let name = family.strip_suffix("_total").unwrap_or(family);
    match name.rsplit_once('_').map_or("", |(_, last)| last) {
        "seconds" => "s",
        "milliseconds" => "ms",
        "bytes" => "By",
        "ratio" => "1",
        "celsius" => "Cel",
        "meters" => "m",
        "volts" => "V",
        "amperes" => "A",
        "joules" => "J",
        "watts" => "W",
        "grams" => "g",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_for_the_search() {
        assert!(KINDS.is_sorted_by_key(|kind| kind.label));
        assert_eq!(kind_of("job_name").unwrap().name, "k8s.job.name");
        assert!(kind_of("name").is_none());
    }

    #[test]
    fn every_built_in_kind_is_named_by_its_own_label() {
        let table = include_str!("../../tests/data/ksm_families.tsv");
        for line in table.lines().skip(1) {
            let columns: Vec<&str> = line.split('\t').collect();
            let labels: Vec<&str> = columns[4].split(',').collect();
            let known = labels.iter().any(|label| kind_of(label).is_some()) || labels[0] == "namespace";
            assert!(known, "{line}");
        }
    }

    #[test]
    fn units_are_those_that_the_name_states() {
        let cases = [
            ("kube_persistentvolume_capacity_bytes", "By"),
            ("kube_cronjob_spec_starting_deadline_seconds", "s"),
            ("some_cpu_seconds_total", "s"),
            ("kube_pod_created", ""),
            ("seconds", ""),
            ("kube_pod_container_status_restarts_total", ""),
        ];
        for (family, want) in cases {
            assert_eq!(unit(family), want, "{family}");
        }
    }
}
