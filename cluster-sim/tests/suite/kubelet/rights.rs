//! Who may ask, on either way.

use std::collections::BTreeSet;

use cluster_sim::{Deny, Right, Sim};
use serde_json::{Value, json};

use super::support::{SUMMARY, builder, get, proxied};

const READER: &str = "system:serviceaccount:monitoring:reader";

/// A cluster in which the reader may get these subresources of nodes.
async fn granting(subresources: &[&str]) -> Sim {
    let resources: Value = subresources.iter().map(|subresource| format!("nodes/{subresource}")).collect();
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "reader"},
        "rules": [{"verbs": ["get"], "apiGroups": [""], "resources": resources}],
    });
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "reader"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "reader"},
        "subjects": [{"kind": "ServiceAccount", "name": "reader", "namespace": "monitoring"}],
    });
    builder().rbac(true).objects([role, binding]).start().await.unwrap()
}

#[tokio::test]
async fn the_proxy_asks_for_the_right_to_it() {
    let sim = granting(&["stats"]).await;
    let (code, message) = get(&sim.client_as(READER), &proxied("a")).await.failure();
    assert_eq!(code, 403);
    let said =
        format!("nodes \"a\" is forbidden: User {READER:?} cannot get resource \"nodes/proxy\" in API group \"\"");
    assert!(message.starts_with(&said), "{message}");
    assert_eq!(sim.kubelets().requests().total(), 0, "the kubelet never heard of it");

    let sim = granting(&["proxy"]).await;
    assert_eq!(get(&sim.client_as(READER), &proxied("a")).await.code, 200);
    assert_eq!(sim.requests().rights_used(READER), BTreeSet::from([Right::new("get", "", "nodes/proxy")]));
}

#[tokio::test]
async fn the_kubelet_asks_for_the_right_to_what_it_tells() {
    let sim = granting(&["stats"]).await;
    let reader = sim.kubelet_client_in_memory_as("a", READER);
    assert_eq!(get(&reader, SUMMARY).await.code, 200);
    let pods = get(&reader, "/pods").await;
    let why = format!("Forbidden (user={READER}, verb=get, resource=nodes, subresource(s)=[pods proxy])\n");
    assert_eq!((pods.code, pods.text()), (403, why.as_str()));
    assert_eq!(get(&reader, "/healthz").await.code, 403);
    assert_eq!(sim.requests().rights_used(READER), BTreeSet::from([Right::new("get", "", "nodes/stats")]));
    assert_eq!(sim.rights_granted(READER), sim.requests().rights_used(READER));

    let sim = granting(&["proxy"]).await;
    let reader = sim.kubelet_client_in_memory_as("a", READER);
    let summary = get(&reader, SUMMARY).await;
    assert_eq!(summary.code, 403);
    assert!(summary.text().contains("subresource(s)=[stats]"), "{}", summary.text());
    assert_eq!((get(&reader, "/pods").await.code, get(&reader, "/healthz").await.code), (200, 200));

    let sim = granting(&["pods", "healthz"]).await;
    let reader = sim.kubelet_client_in_memory_as("a", READER);
    assert_eq!((get(&reader, "/pods").await.code, get(&reader, "/healthz").await.code), (200, 200));
}

#[tokio::test]
async fn nobody_in_particular_is_told_401() {
    let sim = builder().token("secret").start().await.unwrap();
    let server = sim.kubelet("a").plain_http().read_only_port(0).start().await.unwrap();
    let ask = async |url: String, token: Option<&str>| {
        let mut config = kube::Config::new(url.parse().unwrap());
        config.auth_info.token = token.map(|token| token.to_owned().into());
        config.default_retry = false;
        get(&kube::Client::try_from(config).unwrap(), SUMMARY).await
    };
    for token in [None, Some("guessed")] {
        let refused = ask(server.url(), token).await;
        assert_eq!((refused.code, refused.text()), (401, "Unauthorized"));
    }
    assert_eq!(ask(server.url(), Some("secret")).await.code, 200);
    assert_eq!(ask(server.read_only_url().unwrap(), None).await.code, 200, "everybody may read there");
    sim.revoke_token("secret");
    assert_eq!(ask(server.url(), Some("secret")).await.code, 401);
}

#[tokio::test]
async fn rules_that_deny_are_minded_without_roles() {
    let sim = builder().start().await.unwrap();
    sim.deny(Deny::everything().to("bob").resource("nodes/stats"));
    let ask = async |user: &str| get(&sim.kubelet_client_in_memory_as("a", user), SUMMARY).await.code;
    assert_eq!((ask("bob").await, ask("alice").await), (403, 200));
    assert_eq!(get(&sim.client_as("bob"), &proxied("a")).await.code, 200);
}
