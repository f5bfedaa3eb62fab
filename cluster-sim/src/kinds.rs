//! The built-in kinds, one row each: what discovery says about them and how their writes behave.

/// A built-in kind. Custom resources become the same [`Resource`](crate::resource::Resource) at run time.
#[derive(Clone, Copy, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    clippy::struct_field_names,
    reason = "independent facts, in the API's own words"
)]
pub(crate) struct Kind {
    pub(crate) group: &'static str,
    /// Preferred version first.
    pub(crate) versions: &'static [&'static str],
    pub(crate) plural: &'static str,
    pub(crate) singular: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) namespaced: bool,
    pub(crate) short_names: &'static [&'static str],
    pub(crate) categories: &'static [&'static str],
    /// Has a `status` subresource.
    pub(crate) status: bool,
    /// Has a `scale` subresource.
    pub(crate) scale: bool,
    /// Carries `metadata.generation`.
    pub(crate) generation: bool,
    /// An update must name the resourceVersion that it read (`AllowUnconditionalUpdate` is false upstream).
    pub(crate) conditional_update: bool,
    /// A PUT to a name that does not exist creates the object (`AllowCreateOnUpdate` is true upstream).
    pub(crate) create_on_update: bool,
    /// How names of this kind are checked.
    pub(crate) name_rule: NameRule,
    /// Fields that a field selector may name, besides `metadata.name` and `metadata.namespace`.
    pub(crate) fields: &'static [SelectableField],
}

/// The rule for a kind's object names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NameRule {
    /// Lowercase RFC 1123 subdomain, at most 253 characters.
    Subdomain,
    /// Lowercase RFC 1123 label, at most 63 characters.
    Label,
    /// RFC 1035 label, at most 63 characters.
    Dns1035,
    /// Anything that fits into one path segment (RBAC names such as `system:node`).
    PathSegment,
}

/// A field that a field selector may name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SelectableField<S = &'static str> {
    /// As written in the selector.
    pub(crate) label: S,
    /// JSON pointer into the object.
    pub(crate) pointer: S,
    /// The value an object without the field compares as.
    pub(crate) absent: S,
}

const fn field(label: &'static str, pointer: &'static str) -> SelectableField {
    SelectableField { label, pointer, absent: "" }
}

const fn field_or(label: &'static str, pointer: &'static str, absent: &'static str) -> SelectableField {
    SelectableField { label, pointer, absent }
}

const fn namespaced(
    group: &'static str,
    versions: &'static [&'static str],
    plural: &'static str,
    singular: &'static str,
    kind: &'static str,
) -> Kind {
    Kind {
        group,
        versions,
        plural,
        singular,
        kind,
        namespaced: true,
        short_names: &[],
        categories: &[],
        status: false,
        scale: false,
        generation: false,
        conditional_update: false,
        create_on_update: false,
        name_rule: NameRule::Subdomain,
        fields: &[],
    }
}

const fn cluster(
    group: &'static str,
    versions: &'static [&'static str],
    plural: &'static str,
    singular: &'static str,
    kind: &'static str,
) -> Kind {
    Kind { namespaced: false, ..namespaced(group, versions, plural, singular, kind) }
}

impl Kind {
    const fn short(self, short_names: &'static [&'static str]) -> Self {
        Self { short_names, ..self }
    }

    const fn all(self) -> Self {
        Self { categories: &["all"], ..self }
    }

    const fn api_extension(self) -> Self {
        Self { categories: &["api-extensions"], ..self }
    }

    const fn status(self) -> Self {
        Self { status: true, ..self }
    }

    const fn scale(self) -> Self {
        Self { scale: true, ..self }
    }

    const fn generation(self) -> Self {
        Self { generation: true, ..self }
    }

    const fn conditional_update(self) -> Self {
        Self { conditional_update: true, ..self }
    }

    const fn create_on_update(self) -> Self {
        Self { create_on_update: true, ..self }
    }

    const fn names(self, name_rule: NameRule) -> Self {
        Self { name_rule, ..self }
    }

    const fn fields(self, fields: &'static [SelectableField]) -> Self {
        Self { fields, ..self }
    }
}

const POD_FIELDS: &[SelectableField] = &[
    field("spec.nodeName", "/spec/nodeName"),
    field_or("spec.restartPolicy", "/spec/restartPolicy", "Always"),
    field_or("spec.schedulerName", "/spec/schedulerName", "default-scheduler"),
    field("spec.serviceAccountName", "/spec/serviceAccountName"),
    field_or("spec.hostNetwork", "/spec/hostNetwork", "false"),
    field("status.phase", "/status/phase"),
    field("status.podIP", "/status/podIP"),
    field("status.nominatedNodeName", "/status/nominatedNodeName"),
];

const EVENT_FIELDS: &[SelectableField] = &[
    field("involvedObject.kind", "/involvedObject/kind"),
    field("involvedObject.namespace", "/involvedObject/namespace"),
    field("involvedObject.name", "/involvedObject/name"),
    field("involvedObject.uid", "/involvedObject/uid"),
    field("involvedObject.apiVersion", "/involvedObject/apiVersion"),
    field("involvedObject.resourceVersion", "/involvedObject/resourceVersion"),
    field("involvedObject.fieldPath", "/involvedObject/fieldPath"),
    field("regarding.kind", "/involvedObject/kind"),
    field("regarding.namespace", "/involvedObject/namespace"),
    field("regarding.name", "/involvedObject/name"),
    field("regarding.uid", "/involvedObject/uid"),
    field("regarding.apiVersion", "/involvedObject/apiVersion"),
    field("regarding.resourceVersion", "/involvedObject/resourceVersion"),
    field("regarding.fieldPath", "/involvedObject/fieldPath"),
    field("reason", "/reason"),
    field("reportingComponent", "/reportingComponent"),
    field("reportingController", "/reportingComponent"),
    field("source", "/source/component"),
    field("type", "/type"),
];

const V1: &[&str] = &["v1"];
const CORE: &str = "";
const APPS: &str = "apps";
const ADMISSION: &str = "admissionregistration.k8s.io";
const RBAC: &str = "rbac.authorization.k8s.io";
const NETWORKING: &str = "networking.k8s.io";
const STORAGE: &str = "storage.k8s.io";

/// The group and plural under which custom resource definitions are stored.
pub(crate) const CRDS: (&str, &str) = ("apiextensions.k8s.io", "customresourcedefinitions");

/// Every built-in kind that objects are stored of. `events.k8s.io` shares the storage of core events and is added to
/// the registry as a second door to it.
pub(crate) const KINDS: &[Kind] = &[
    namespaced(CORE, V1, "configmaps", "configmap", "ConfigMap").short(&["cm"]),
    namespaced(CORE, V1, "endpoints", "endpoints", "Endpoints").short(&["ep"]).create_on_update(),
    namespaced(CORE, V1, "events", "event", "Event").short(&["ev"]).create_on_update().fields(EVENT_FIELDS),
    namespaced(CORE, V1, "limitranges", "limitrange", "LimitRange").short(&["limits"]).create_on_update(),
    cluster(CORE, V1, "namespaces", "namespace", "Namespace")
        .short(&["ns"])
        .status()
        .names(NameRule::Label)
        .fields(&[field("status.phase", "/status/phase"), field("name", "/metadata/name")]),
    cluster(CORE, V1, "nodes", "node", "Node").short(&["no"]).status().fields(&[field_or(
        "spec.unschedulable",
        "/spec/unschedulable",
        "false",
    )]),
    namespaced(CORE, V1, "persistentvolumeclaims", "persistentvolumeclaim", "PersistentVolumeClaim")
        .short(&["pvc"])
        .status(),
    cluster(CORE, V1, "persistentvolumes", "persistentvolume", "PersistentVolume").short(&["pv"]).status(),
    namespaced(CORE, V1, "pods", "pod", "Pod").short(&["po"]).all().status().generation().fields(POD_FIELDS),
    namespaced(CORE, V1, "podtemplates", "podtemplate", "PodTemplate").generation(),
    namespaced(CORE, V1, "replicationcontrollers", "replicationcontroller", "ReplicationController")
        .short(&["rc"])
        .all()
        .status()
        .scale()
        .generation()
        .fields(&[field_or("status.replicas", "/status/replicas", "0")]),
    namespaced(CORE, V1, "resourcequotas", "resourcequota", "ResourceQuota").short(&["quota"]).status(),
    namespaced(CORE, V1, "secrets", "secret", "Secret").fields(&[field_or("type", "/type", "Opaque")]),
    namespaced(CORE, V1, "serviceaccounts", "serviceaccount", "ServiceAccount").short(&["sa"]),
    namespaced(CORE, V1, "services", "service", "Service")
        .short(&["svc"])
        .all()
        .status()
        .create_on_update()
        .names(NameRule::Dns1035)
        .fields(&[field("spec.clusterIP", "/spec/clusterIP"), field_or("spec.type", "/spec/type", "ClusterIP")]),
    cluster(
        ADMISSION,
        &["v1", "v1beta1"],
        "mutatingadmissionpolicies",
        "mutatingadmissionpolicy",
        "MutatingAdmissionPolicy",
    )
    .api_extension()
    .generation()
    .conditional_update(),
    cluster(
        ADMISSION,
        &["v1", "v1beta1"],
        "mutatingadmissionpolicybindings",
        "mutatingadmissionpolicybinding",
        "MutatingAdmissionPolicyBinding",
    )
    .api_extension()
    .generation()
    .conditional_update(),
    cluster(
        ADMISSION,
        V1,
        "mutatingwebhookconfigurations",
        "mutatingwebhookconfiguration",
        "MutatingWebhookConfiguration",
    )
    .api_extension()
    .generation()
    .conditional_update(),
    cluster(ADMISSION, V1, "validatingadmissionpolicies", "validatingadmissionpolicy", "ValidatingAdmissionPolicy")
        .api_extension()
        .status()
        .generation()
        .conditional_update(),
    cluster(
        ADMISSION,
        V1,
        "validatingadmissionpolicybindings",
        "validatingadmissionpolicybinding",
        "ValidatingAdmissionPolicyBinding",
    )
    .api_extension()
    .generation()
    .conditional_update(),
    cluster(
        ADMISSION,
        V1,
        "validatingwebhookconfigurations",
        "validatingwebhookconfiguration",
        "ValidatingWebhookConfiguration",
    )
    .api_extension()
    .generation()
    .conditional_update(),
    cluster(CRDS.0, V1, CRDS.1, "customresourcedefinition", "CustomResourceDefinition")
        .short(&["crd", "crds"])
        .api_extension()
        .status()
        .generation()
        .conditional_update(),
    namespaced(APPS, V1, "controllerrevisions", "controllerrevision", "ControllerRevision"),
    namespaced(APPS, V1, "daemonsets", "daemonset", "DaemonSet").short(&["ds"]).all().status().generation(),
    namespaced(APPS, V1, "deployments", "deployment", "Deployment")
        .short(&["deploy"])
        .all()
        .status()
        .scale()
        .generation(),
    namespaced(APPS, V1, "replicasets", "replicaset", "ReplicaSet")
        .short(&["rs"])
        .all()
        .status()
        .scale()
        .generation()
        .fields(&[field_or("status.replicas", "/status/replicas", "0")]),
    namespaced(APPS, V1, "statefulsets", "statefulset", "StatefulSet")
        .short(&["sts"])
        .all()
        .status()
        .scale()
        .generation(),
    namespaced(
        "autoscaling",
        &["v2"],
        "horizontalpodautoscalers",
        "horizontalpodautoscaler",
        "HorizontalPodAutoscaler",
    )
    .short(&["hpa"])
    .all()
    .status(),
    namespaced("batch", V1, "cronjobs", "cronjob", "CronJob").short(&["cj"]).all().status().generation(),
    namespaced("batch", V1, "jobs", "job", "Job").all().status().generation().fields(&[field_or(
        "status.successful",
        "/status/succeeded",
        "0",
    )]),
    cluster(
        "certificates.k8s.io",
        V1,
        "certificatesigningrequests",
        "certificatesigningrequest",
        "CertificateSigningRequest",
    )
    .short(&["csr"])
    .status()
    .names(NameRule::PathSegment)
    .fields(&[field("spec.signerName", "/spec/signerName")]),
    namespaced("coordination.k8s.io", V1, "leases", "lease", "Lease").conditional_update().create_on_update(),
    namespaced("discovery.k8s.io", V1, "endpointslices", "endpointslice", "EndpointSlice").generation(),
    cluster(NETWORKING, V1, "ingressclasses", "ingressclass", "IngressClass").generation(),
    namespaced(NETWORKING, V1, "ingresses", "ingress", "Ingress").short(&["ing"]).status().generation(),
    namespaced(NETWORKING, V1, "networkpolicies", "networkpolicy", "NetworkPolicy").short(&["netpol"]).generation(),
    cluster("node.k8s.io", V1, "runtimeclasses", "runtimeclass", "RuntimeClass"),
    namespaced("policy", V1, "poddisruptionbudgets", "poddisruptionbudget", "PodDisruptionBudget")
        .short(&["pdb"])
        .status()
        .generation()
        .conditional_update(),
    cluster(RBAC, V1, "clusterrolebindings", "clusterrolebinding", "ClusterRoleBinding")
        .create_on_update()
        .names(NameRule::PathSegment),
    cluster(RBAC, V1, "clusterroles", "clusterrole", "ClusterRole").create_on_update().names(NameRule::PathSegment),
    namespaced(RBAC, V1, "rolebindings", "rolebinding", "RoleBinding").create_on_update().names(NameRule::PathSegment),
    namespaced(RBAC, V1, "roles", "role", "Role").create_on_update().names(NameRule::PathSegment),
    cluster("scheduling.k8s.io", V1, "priorityclasses", "priorityclass", "PriorityClass").short(&["pc"]).generation(),
    cluster(STORAGE, V1, "csidrivers", "csidriver", "CSIDriver"),
    cluster(STORAGE, V1, "csinodes", "csinode", "CSINode"),
    cluster(STORAGE, V1, "storageclasses", "storageclass", "StorageClass").short(&["sc"]),
    cluster(STORAGE, V1, "volumeattachments", "volumeattachment", "VolumeAttachment").status().conditional_update(),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_group_and_plural_is_listed_once() {
        let unique: BTreeSet<_> = KINDS.iter().map(|kind| (kind.group, kind.plural)).collect();
        assert_eq!(unique.len(), KINDS.len());
    }

    #[test]
    fn a_scale_subresource_comes_with_a_status_and_a_generation() {
        for kind in KINDS.iter().filter(|kind| kind.scale) {
            assert!(kind.status && kind.generation, "{}", kind.plural);
        }
    }
}
