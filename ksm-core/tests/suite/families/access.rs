//! CertificateSigningRequests, roles, accounts, Secrets, ConfigMaps, and the kinds of admission.

use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
    ValidatingWebhookConfiguration,
};
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use ksm_core::Builtin;
use ksm_core::decode::{PathTree, from_json};
use ksm_core::families::{MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding};
use serde_json::json;

use super::lines;

#[test]
fn a_signing_request_counts_its_conditions_and_the_bytes_of_its_certificate() {
    let conditions = ["Approved", "Odd", "Approved"].map(|kind| json!({"type": kind, "status": "True"}));
    let request = json!({
        "metadata": {"name": "csr"}, "spec": {"signerName": "k8s.io/kubelet", "request": "eA=="},
        "status": {"certificate": "anVzdCBmb3IgdGVzdA==", "conditions": conditions},
    });
    let want = r#"
kube_certificatesigningrequest_condition{certificatesigningrequest="csr",signer_name="k8s.io/kubelet",condition="approved"} 2
kube_certificatesigningrequest_condition{certificatesigningrequest="csr",signer_name="k8s.io/kubelet",condition="denied"} 0
kube_certificatesigningrequest_condition{certificatesigningrequest="csr",signer_name="k8s.io/kubelet",condition="failed"} 0
kube_certificatesigningrequest_cert_length{certificatesigningrequest="csr",signer_name="k8s.io/kubelet"} 13
"#;
    assert_eq!(lines::<CertificateSigningRequest>(&request), want.trim().lines().collect::<Vec<_>>());
}

#[test]
fn roles_are_named_and_bindings_name_their_roles() {
    let metadata = json!({"namespace": "shop", "name": "a", "resourceVersion": "5"});
    let role = json!({"metadata": metadata, "rules": [{"verbs": ["get"]}]});
    let binding = json!({"metadata": metadata, "roleRef": {"kind": "ClusterRole", "name": "view"}});
    let want = [
        r#"kube_role_info{namespace="shop",role="a"} 1"#,
        r#"kube_role_metadata_resource_version{namespace="shop",role="a"} 5"#,
    ];
    assert_eq!(lines::<Role>(&role), want);
    let want = [
        r#"kube_clusterrole_info{clusterrole="a"} 1"#,
        r#"kube_clusterrole_metadata_resource_version{clusterrole="a"} 5"#,
    ];
    assert_eq!(lines::<ClusterRole>(&role), want);
    let want = [
        r#"kube_rolebinding_info{namespace="shop",rolebinding="a",roleref_kind="ClusterRole",roleref_name="view"} 1"#,
        r#"kube_rolebinding_metadata_resource_version{namespace="shop",rolebinding="a"} 5"#,
    ];
    assert_eq!(lines::<RoleBinding>(&binding), want);
    let want = [
        r#"kube_clusterrolebinding_info{clusterrolebinding="a",roleref_kind="ClusterRole",roleref_name="view"} 1"#,
        r#"kube_clusterrolebinding_metadata_resource_version{clusterrolebinding="a"} 5"#,
    ];
    assert_eq!(lines::<ClusterRoleBinding>(&binding), want);
}

#[test]
fn an_account_says_whether_it_mounts_a_token_only_where_that_is_said() {
    let account = json!({
        "metadata": {"namespace": "shop", "name": "web", "uid": "u"}, "automountServiceAccountToken": false,
        "secrets": [{"name": "token"}], "imagePullSecrets": [{"name": "registry"}],
    });
    let want = r#"
kube_serviceaccount_info{namespace="shop",serviceaccount="web",uid="u",automount_token="false"} 1
kube_serviceaccount_secret{namespace="shop",serviceaccount="web",uid="u",name="token"} 1
kube_serviceaccount_image_pull_secret{namespace="shop",serviceaccount="web",uid="u",name="registry"} 1
"#;
    assert_eq!(lines::<ServiceAccount>(&account), want.trim().lines().collect::<Vec<_>>());
    let want = r#"kube_serviceaccount_info{namespace="",serviceaccount="web",uid="",automount_token=""} 1"#;
    assert_eq!(lines::<ServiceAccount>(&json!({"metadata": {"name": "web"}})), [want]);
}

#[test]
fn what_secrets_and_config_maps_hold_is_never_decoded() {
    let json = br#"{"metadata": {"name": "a"}, "type": "Opaque", "data": {"key": "not base64!", "other": 5},
                    "stringData": {"key": "secret"}, "binaryData": "nonsense"}"#;
    let secret: Secret = from_json(json, &PathTree::new(Secret::RESOURCE.unread)).unwrap();
    assert!(secret.data.is_none() && secret.string_data.is_none() && secret.type_.as_deref() == Some("Opaque"));
    let map: ConfigMap = from_json(json, &PathTree::new(ConfigMap::RESOURCE.unread)).unwrap();
    assert!(map.data.is_none() && map.binary_data.is_none() && map.metadata.name.as_deref() == Some("a"));
}

#[test]
fn a_secret_tells_its_type_and_owner_and_nothing_that_it_holds() {
    let owner = json!({"apiVersion": "v1", "kind": "Certificate", "name": "web", "uid": "x", "controller": true});
    let secret = json!({"metadata": {"namespace": "shop", "name": "a", "ownerReferences": [owner]},
                        "type": "kubernetes.io/tls", "data": {"tls.key": "aGlkZGVu"}});
    let want = r#"
kube_secret_info{namespace="shop",secret="a"} 1
kube_secret_type{namespace="shop",secret="a",type="kubernetes.io/tls"} 1
kube_secret_owner{namespace="shop",secret="a",owner_kind="Certificate",owner_name="web",owner_is_controller="true"} 1
"#;
    assert_eq!(lines::<Secret>(&secret), want.trim().lines().collect::<Vec<_>>());
}

#[test]
fn webhooks_name_the_service_that_they_are_called_at() {
    let configuration = json!({
        "metadata": {"name": "w", "resourceVersion": "5"},
        "webhooks": [{"name": "a", "clientConfig": {"service": {"name": "svc", "namespace": "ns"}, "caBundle": "eA=="}},
                     {"name": "b", "clientConfig": {"url": "https://example.com"}}],
    });
    let want = |kind: &str| {
        let name = format!("kube_{kind}webhookconfiguration");
        let labels = format!(r#"namespace="",{kind}webhookconfiguration="w""#);
        vec![
            format!("{name}_info{{{labels}}} 1"),
            format!("{name}_metadata_resource_version{{{labels}}} 5"),
            format!(
                r#"{name}_webhook_clientconfig_service{{{labels},webhook_name="a",service_name="svc",service_namespace="ns"}} 1"#
            ),
            format!(
                r#"{name}_webhook_clientconfig_service{{{labels},webhook_name="b",service_name="",service_namespace=""}} 1"#
            ),
        ]
    };
    assert_eq!(lines::<MutatingWebhookConfiguration>(&configuration), want("mutating"));
    assert_eq!(lines::<ValidatingWebhookConfiguration>(&configuration), want("validating"));
}

#[test]
fn admission_policies_and_their_bindings() {
    let policy = json!({
        "metadata": {"name": "p", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"paramKind": {"apiVersion": "v1", "kind": "ConfigMap"}, "failurePolicy": "Ignore",
                 "reinvocationPolicy": "IfNeeded"},
    });
    let want = [
        r#"kube_mutatingadmissionpolicy_info{namespace="",mutatingadmissionpolicy="p",param_api_version="v1",param_kind="ConfigMap",failure_policy="Ignore",reinvocation_policy="IfNeeded"} 1"#,
        r#"kube_mutatingadmissionpolicy_created{namespace="",mutatingadmissionpolicy="p"} 1.7672256e+09"#,
    ];
    assert_eq!(lines::<MutatingAdmissionPolicy>(&policy), want);
    let want = [
        r#"kube_validatingadmissionpolicy_info{namespace="",validatingadmissionpolicy="p",param_api_version="v1",param_kind="ConfigMap",failure_policy="Ignore"} 1"#,
        r#"kube_validatingadmissionpolicy_created{namespace="",validatingadmissionpolicy="p"} 1.7672256e+09"#,
    ];
    assert_eq!(lines::<ValidatingAdmissionPolicy>(&policy), want);

    let binding = json!({
        "metadata": {"name": "b"},
        "spec": {"policyName": "p", "validationActions": ["Deny", "Audit"],
                 "paramRef": {"name": "n", "namespace": "ns", "parameterNotFoundAction": "Deny"}},
    });
    let want = [
        r#"kube_mutatingadmissionpolicybinding_info{namespace="",mutatingadmissionpolicybinding="b",policy_name="p",param_name="n",param_namespace="ns",param_not_found_action="Deny"} 1"#,
    ];
    assert_eq!(lines::<MutatingAdmissionPolicyBinding>(&binding), want);
    let want = [
        r#"kube_validatingadmissionpolicybinding_info{namespace="",validatingadmissionpolicybinding="b",policy_name="p",param_name="n",param_namespace="ns",param_not_found_action="Deny"} 1"#,
        r#"kube_validatingadmissionpolicybinding_validation_action{namespace="",validatingadmissionpolicybinding="b",action="Deny"} 1"#,
        r#"kube_validatingadmissionpolicybinding_validation_action{namespace="",validatingadmissionpolicybinding="b",action="Audit"} 1"#,
    ];
    assert_eq!(lines::<ValidatingAdmissionPolicyBinding>(&binding), want);
}
