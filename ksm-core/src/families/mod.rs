//! The built-in resources: one file each, with the family table and the walk.
//!
//! Names, types, labels and values are kube-state-metrics' (v2.20); the help texts are our own.

mod admission;
mod amounts;
mod certificatesigningrequests;
mod clusterrolebindings;
mod clusterroles;
mod configmaps;
mod cronjobs;
mod daemonsets;
mod deployments;
mod endpoints;
mod endpointslices;
mod horizontalpodautoscalers;
mod ingressclasses;
mod ingresses;
mod jobs;
mod leases;
mod limitranges;
mod mutatingadmissionpolicies;
mod mutatingadmissionpolicybindings;
mod mutatingwebhookconfigurations;
mod namespaces;
mod networkpolicies;
mod nodes;
mod owners;
mod parts;
mod persistentvolumeclaims;
mod persistentvolumes;
mod poddisruptionbudgets;
mod pods;
mod replicasets;
mod replicationcontrollers;
mod resourcequotas;
mod rolebindings;
mod roles;
mod secrets;
mod serviceaccounts;
mod services;
mod statefulsets;
mod storageclasses;
mod validatingadmissionpolicies;
mod validatingadmissionpolicybindings;
mod validatingwebhookconfigurations;
mod volumeattachments;

use k8s_openapi::api::admissionregistration::v1 as admissionregistration;
use k8s_openapi::api::apps::v1 as apps;
use k8s_openapi::api::autoscaling::v2 as autoscaling;
use k8s_openapi::api::batch::v1 as batch;
use k8s_openapi::api::certificates::v1 as certificates;
use k8s_openapi::api::coordination::v1 as coordination;
use k8s_openapi::api::core::v1;
use k8s_openapi::api::discovery::v1 as discovery;
use k8s_openapi::api::networking::v1 as networking;
use k8s_openapi::api::policy::v1 as policy;
use k8s_openapi::api::rbac::v1 as rbac;
use k8s_openapi::api::storage::v1 as storage;
use kube::Resource as KubeResource;
use serde::de::DeserializeOwned;

pub use self::admission::{
    MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding, MutatingAdmissionPolicyBindingSpec,
    MutatingAdmissionPolicySpec,
};
use self::parts::{Items, Text, bad_value, bool_text, count, instant, part, put_resource_version};
use crate::resource::Resource;

/// A Kubernetes kind that this crate has families for.
pub trait Builtin:
    KubeResource<DynamicType = ()> + DeserializeOwned + Clone + std::fmt::Debug + Send + Sync + 'static
{
    /// Its table and walk.
    const RESOURCE: Resource<Self>;
    /// Whether it is watched when no resources are named.
    const DEFAULT: bool = true;
    /// Whether a family other than the one behind the annotation allowlist reads annotations.
    const READS_ANNOTATIONS: bool = false;
    /// Whether its families read metadata alone, so that the server need not send more.
    const METADATA_ONLY: bool = false;
}

macro_rules! builtins {
    ($($kind:ty => $module:ident $(, $fact:ident = $value:literal)*;)+) => {
        $(impl Builtin for $kind {
            const RESOURCE: Resource<Self> = $module::RESOURCE;
            $(const $fact: bool = $value;)*
        })+

        /// Calls a visitor with every built-in kind, in alphabetical order of their resource names.
        pub fn for_each_builtin<V: BuiltinVisitor>(visitor: &mut V) {
            $(visitor.visit::<$kind>();)+
        }
    };
}

/// What [`for_each_builtin`] calls: a generic closure.
pub trait BuiltinVisitor {
    /// One built-in kind.
    fn visit<K: Builtin>(&mut self);
}

builtins! {
    certificates::CertificateSigningRequest => certificatesigningrequests;
    rbac::ClusterRoleBinding => clusterrolebindings, DEFAULT = false;
    rbac::ClusterRole => clusterroles, DEFAULT = false, METADATA_ONLY = true;
    v1::ConfigMap => configmaps, METADATA_ONLY = true;
    batch::CronJob => cronjobs;
    apps::DaemonSet => daemonsets;
    apps::Deployment => deployments;
    v1::Endpoints => endpoints, DEFAULT = false;
    discovery::EndpointSlice => endpointslices;
    autoscaling::HorizontalPodAutoscaler => horizontalpodautoscalers;
    networking::IngressClass => ingressclasses, DEFAULT = false;
    networking::Ingress => ingresses, READS_ANNOTATIONS = true;
    batch::Job => jobs;
    coordination::Lease => leases;
    v1::LimitRange => limitranges;
    MutatingAdmissionPolicy => mutatingadmissionpolicies;
    MutatingAdmissionPolicyBinding => mutatingadmissionpolicybindings;
    admissionregistration::MutatingWebhookConfiguration => mutatingwebhookconfigurations;
    v1::Namespace => namespaces;
    networking::NetworkPolicy => networkpolicies;
    v1::Node => nodes;
    v1::PersistentVolumeClaim => persistentvolumeclaims, READS_ANNOTATIONS = true;
    v1::PersistentVolume => persistentvolumes;
    policy::PodDisruptionBudget => poddisruptionbudgets;
    v1::Pod => pods;
    apps::ReplicaSet => replicasets;
    v1::ReplicationController => replicationcontrollers;
    v1::ResourceQuota => resourcequotas;
    rbac::RoleBinding => rolebindings, DEFAULT = false;
    rbac::Role => roles, DEFAULT = false, METADATA_ONLY = true;
    v1::Secret => secrets;
    v1::ServiceAccount => serviceaccounts, DEFAULT = false;
    v1::Service => services;
    apps::StatefulSet => statefulsets;
    storage::StorageClass => storageclasses;
    admissionregistration::ValidatingAdmissionPolicy => validatingadmissionpolicies;
    admissionregistration::ValidatingAdmissionPolicyBinding => validatingadmissionpolicybindings;
    admissionregistration::ValidatingWebhookConfiguration => validatingwebhookconfigurations;
    storage::VolumeAttachment => volumeattachments;
}
