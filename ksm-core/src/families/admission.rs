//! What the kinds of `admissionregistration.k8s.io` share, and those that not every Kubernetes version has.

use std::borrow::Cow;

use k8s_openapi::ClusterResourceScope;
use k8s_openapi::api::admissionregistration::v1::{ParamKind, ParamRef, WebhookClientConfig};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};

use super::Text;
use crate::family::FamilyIndex;
use crate::samples::{Label, Samples};

/// The group of the kinds.
const GROUP: &str = "admissionregistration.k8s.io";
/// The paths of a webhook configuration that no family reads.
pub(super) const WEBHOOKS_UNREAD: &[&str] = &[
    "metadata.managedFields",
    "webhooks.admissionReviewVersions",
    "webhooks.clientConfig.caBundle",
    "webhooks.matchConditions",
    "webhooks.namespaceSelector",
    "webhooks.objectSelector",
    "webhooks.rules",
];

/// A MutatingAdmissionPolicy: changes that the API server makes to objects by CEL expressions.
///
/// A type of our own, since the `v1` of the API came with Kubernetes 1.36, and applications may be built for an earlier
/// one. What it holds is the same in `v1`, `v1beta1` and `v1alpha1`.
///
/// ```
/// use ksm_core::families::MutatingAdmissionPolicy;
///
/// let policy: MutatingAdmissionPolicy = serde_json::from_str(
///     r#"{"metadata":{"name":"sidecars"},"spec":{"failurePolicy":"Fail","reinvocationPolicy":"Never"}}"#,
/// )?;
/// assert_eq!(policy.spec.unwrap_or_default().reinvocation_policy.as_deref(), Some("Never"));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MutatingAdmissionPolicy {
    /// The object's metadata.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// What the policy does, as far as it is exposed.
    pub spec: Option<MutatingAdmissionPolicySpec>,
}

/// The part of a [`MutatingAdmissionPolicy`] that is exposed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MutatingAdmissionPolicySpec {
    /// `Fail` or `Ignore`: what happens where the policy can't be evaluated.
    pub failure_policy: Option<String>,
    /// The kind that the policy takes its parameters from.
    pub param_kind: Option<ParamKind>,
    /// `Never` or `IfNeeded`: whether it is evaluated anew after others changed the object.
    pub reinvocation_policy: Option<String>,
}

/// A MutatingAdmissionPolicyBinding: where a [`MutatingAdmissionPolicy`] applies, and with which parameters.
///
/// A type of our own for the same reason.
///
/// ```
/// use ksm_core::families::MutatingAdmissionPolicyBinding;
///
/// let binding: MutatingAdmissionPolicyBinding =
///     serde_json::from_str(r#"{"metadata":{"name":"sidecars"},"spec":{"policyName":"sidecars"}}"#)?;
/// assert_eq!(binding.spec.unwrap_or_default().policy_name.as_deref(), Some("sidecars"));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MutatingAdmissionPolicyBinding {
    /// The object's metadata.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// What is bound, as far as it is exposed.
    pub spec: Option<MutatingAdmissionPolicyBindingSpec>,
}

/// The part of a [`MutatingAdmissionPolicyBinding`] that is exposed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MutatingAdmissionPolicyBindingSpec {
    /// The object that the policy takes its parameters from.
    pub param_ref: Option<ParamRef>,
    /// The policy that is bound.
    pub policy_name: Option<String>,
}

macro_rules! cluster_kind {
    ($type:ty, $kind:literal, $plural:literal) => {
        impl kube::Resource for $type {
            type DynamicType = ();
            type Scope = ClusterResourceScope;

            fn kind((): &()) -> Cow<'_, str> {
                $kind.into()
            }

            fn group((): &()) -> Cow<'_, str> {
                GROUP.into()
            }

            fn version((): &()) -> Cow<'_, str> {
                "v1".into()
            }

            fn plural((): &()) -> Cow<'_, str> {
                $plural.into()
            }

            fn meta(&self) -> &ObjectMeta {
                &self.metadata
            }

            fn meta_mut(&mut self) -> &mut ObjectMeta {
                &mut self.metadata
            }
        }
    };
}

cluster_kind!(MutatingAdmissionPolicy, "MutatingAdmissionPolicy", "mutatingadmissionpolicies");
cluster_kind!(MutatingAdmissionPolicyBinding, "MutatingAdmissionPolicyBinding", "mutatingadmissionpolicybindings");

/// API version and kind of a policy's parameters.
pub(super) fn param_kind_labels(param: Option<&ParamKind>) -> [Label<'_>; 2] {
    [
        ("param_api_version", param.map_or("", |param| param.api_version.text())),
        ("param_kind", param.map_or("", |param| param.kind.text())),
    ]
}

/// Puts which policy is bound to which parameters.
pub(super) fn put_binding(s: &mut Samples<'_>, family: FamilyIndex, policy: &str, param: Option<&ParamRef>) {
    let labels = [
        ("policy_name", policy),
        ("param_name", param.map_or("", |param| param.name.text())),
        ("param_namespace", param.map_or("", |param| param.namespace.text())),
        ("param_not_found_action", param.map_or("", |param| param.parameter_not_found_action.text())),
    ];
    s.put_unique(family, &labels, 1.0);
}

/// Puts the service that a webhook is called at; empty texts for one that is called at a URL.
pub(super) fn put_webhook_service(
    s: &mut Samples<'_>,
    family: FamilyIndex,
    webhook: &str,
    client: &WebhookClientConfig,
) {
    let service = client.service.as_ref();
    let labels = [
        ("webhook_name", webhook),
        ("service_name", service.map_or("", |service| service.name.text())),
        ("service_namespace", service.map_or("", |service| service.namespace.text())),
    ];
    s.put_unique(family, &labels, 1.0);
}
