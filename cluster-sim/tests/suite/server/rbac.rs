//! Roles that count: tokens of service accounts, and roles that are exactly what a client needs.

use std::collections::BTreeSet;

use cluster_sim::{Deny, ObjectRef, Right, Sim, Verb};
use http::Method;
use k8s_openapi::api::authorization::v1::SelfSubjectAccessReview;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Node};
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::support::{CONFIG_MAPS, Client, config_map};

const AGENT: &str = "system:serviceaccount:monitoring:agent";

fn role(rules: &Value) -> [Value; 2] {
    [
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "agent"}, "rules": rules}),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "agent"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "agent"},
            "subjects": [{"kind": "ServiceAccount", "name": "agent", "namespace": "monitoring"}],
        }),
    ]
}

fn list_nodes() -> Value {
    json!([{"apiGroups": [""], "resources": ["nodes"], "verbs": ["list"]}])
}

fn rights(rights: impl IntoIterator<Item = (&'static str, &'static str, &'static str)>) -> BTreeSet<Right> {
    rights.into_iter().map(|(verb, group, resource)| Right::new(verb, group, resource)).collect()
}

/// The code of a refusal; `None` of anything else.
fn code<T>(answer: Result<T, kube::Error>) -> Option<u16> {
    match answer {
        Err(kube::Error::Api(status)) => Some(status.code),
        _ => None,
    }
}

#[tokio::test]
async fn a_role_can_be_exactly_what_a_client_needs() {
    let rules = json!([
        {"apiGroups": [""], "resources": ["nodes"], "verbs": ["list"]},
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create", "patch"]},
    ]);
    let sim = Sim::builder().rbac(true).objects(role(&rules)).start().await.unwrap();
    let client = sim.client_as(AGENT);
    // What every cluster lets everybody do needs no role of one's own.
    client.apiserver_version().await.unwrap();
    let reviews: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    reviews.create(&PostParams::default(), &SelfSubjectAccessReview::default()).await.unwrap();
    Api::<Node>::all(client.clone()).list(&ListParams::default()).await.unwrap();
    let leases: Api<Lease> = Api::namespaced(client, "kube-node-lease");
    let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "a"}});
    leases.patch("a", &PatchParams::apply("agent"), &Patch::Apply(lease)).await.unwrap();

    let needed = [
        ("list", "", "nodes"),
        ("create", "coordination.k8s.io", "leases"),
        ("patch", "coordination.k8s.io", "leases"),
    ];
    assert_eq!(sim.requests().rights_used(AGENT), rights(needed));
    assert_eq!(sim.requests().rights_used(AGENT), sim.rights_granted(AGENT));
    assert!(sim.requests().rights_refused(AGENT).is_empty());

    let last = sim.requests().newest().pop().unwrap();
    assert_eq!((last.verb, last.group.as_str(), last.user.as_str()), (Verb::Patch, "coordination.k8s.io", AGENT));
    leases.delete("a", &DeleteParams::default()).await.unwrap_err();
    assert_eq!(sim.requests().rights_refused(AGENT), rights([("delete", "coordination.k8s.io", "leases")]));
    assert_eq!(sim.requests().count_status(Verb::Delete, "leases", 403), 1);
    sim.requests().clear();
    assert!(sim.requests().rights_used(AGENT).is_empty() && sim.requests().rights_refused(AGENT).is_empty());
}

#[tokio::test]
async fn rights_that_are_not_used_are_seen() {
    let sim = Sim::builder().rbac(true).objects(role(&list_nodes())).start().await.unwrap();
    assert_eq!(sim.rights_granted(AGENT), rights([("list", "", "nodes")]));
    assert!(sim.requests().rights_used(AGENT).is_empty());
    assert!(sim.rights_granted("system:serviceaccount:elsewhere:agent").is_empty());
}

#[tokio::test(start_paused = true)]
async fn rights_come_and_go_with_the_roles() {
    let sim = Sim::builder().rbac(true).start().await.unwrap();
    let nodes: Api<Node> = Api::all(sim.client_in_memory_as(AGENT));
    let list = async || nodes.list(&ListParams::default()).await.map(|list| list.items.len());
    assert_eq!(code(list().await), Some(403));
    for object in role(&list_nodes()) {
        sim.upsert(object).unwrap();
    }
    list().await.unwrap();
    sim.deny(Deny::everything().to(AGENT).resource("nodes"));
    assert_eq!(code(list().await), Some(403));
    sim.allow_all();
    list().await.unwrap();
    sim.delete(&ObjectRef::new("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "agent")).unwrap();
    assert_eq!(code(list().await), Some(403));
    sim.set_rbac(false).unwrap();
    list().await.unwrap();
}

#[tokio::test]
async fn only_users_need_roles() {
    let sim = Sim::builder().rbac(true).objects([config_map("a")]).start().await.unwrap();
    // Without a token: the server was built without any.
    let maps: Api<ConfigMap> = Api::default_namespaced(sim.client());
    let agent: Api<ConfigMap> = Api::default_namespaced(sim.client_as(AGENT));
    maps.get("a").await.unwrap();
    assert_eq!(code(agent.get("a").await), Some(403));
    maps.get("a").await.unwrap();
    sim.add_token("secret", "system:admin");
    let admin = Client::of(kube::Config::new(sim.url().parse().unwrap()));
    let bearer = [("authorization", "Bearer secret")];
    assert_eq!(admin.send(Method::GET, CONFIG_MAPS, &bearer, Value::Null).await.code, 200);
    let unknown = [("authorization", "Bearer unknown")];
    assert_eq!(admin.send(Method::GET, CONFIG_MAPS, &unknown, Value::Null).await.code, 401);
}

#[tokio::test]
async fn a_kubeconfig_is_somebodys() {
    let sim = Sim::builder().rbac(true).token("admin").objects(role(&list_nodes())).start().await.unwrap();
    let options = kube::config::KubeConfigOptions::default();
    let config = kube::Config::from_custom_kubeconfig(sim.kubeconfig_as(AGENT), &options).await.unwrap();
    for client in [Client::of(config), Client::of(sim.kube_config_as(AGENT))] {
        assert_eq!(client.get("/api/v1/nodes").await.code, 200);
        assert_eq!(client.get(CONFIG_MAPS).await.code, 403);
    }
}

#[tokio::test]
async fn pretending_needs_a_right() {
    let rules =
        json!([{"apiGroups": [""], "resources": ["users"], "verbs": ["impersonate"], "resourceNames": ["bob"]}]);
    let sim = Sim::builder().rbac(true).token("admin").objects(role(&rules)).start().await.unwrap();
    let agent = Client::of(sim.kube_config_as(AGENT));
    let pretend = async |user: &str| {
        let reviews = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
        let headers = [("impersonate-user", user), ("content-type", "application/json")];
        agent.send(Method::POST, reviews, &headers, json!({"spec": {}})).await
    };
    assert_eq!(pretend("bob").await.json()["status"]["userInfo"]["username"], "bob");
    let refused = pretend("alice").await;
    assert_eq!(refused.failure(), (403, "Forbidden".to_owned()));
    assert!(refused.json()["message"].as_str().unwrap().contains("cannot impersonate resource \"users\""));
    assert_eq!(pretend("system:serviceaccount:a:b").await.code, 403);
    let nobody = Client::of(kube::Config::new(sim.url().parse().unwrap()));
    let headers = [("impersonate-user", "system:admin")];
    assert_eq!(nobody.send(Method::GET, CONFIG_MAPS, &headers, Value::Null).await.code, 401);
}

#[tokio::test]
async fn the_default_roles_are_objects() {
    let sim = Sim::builder().rbac(true).token("admin").start().await.unwrap();
    let client = Client::of(sim.kube_config_as("alice"));
    assert_eq!(client.get("/apis").await.code, 200);
    let anonymous = Client::of(kube::Config::new(sim.url().parse().unwrap()));
    assert_eq!(anonymous.get("/version").await.code, 200);
    let binding = |name: &str| ObjectRef::new("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", name);
    sim.delete(&binding("system:discovery")).unwrap().unwrap();
    sim.delete(&binding("system:public-info-viewer")).unwrap().unwrap();
    assert_eq!(client.get("/apis").await.code, 403);
    assert_eq!(anonymous.get("/version").await.code, 403);
    sim.set_rbac(true).unwrap();
    assert_eq!(client.get("/apis").await.code, 200);
}
