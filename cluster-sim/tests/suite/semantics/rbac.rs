//! What roles allow: requests of a service account that the suite's own user pretends to be.

use http::Method;
use serde_json::{Value, json};

use super::cluster::{Answer, Cluster, PATIENCE, names};

const RBAC: &str = "rbac.authorization.k8s.io/v1";

/// The service account `agent` of the case's namespace.
struct Agent<'a> {
    cluster: &'a Cluster,
    user: String,
}

impl Agent<'_> {
    async fn send(&self, method: Method, path: &str, content_type: &str, body: Value) -> Answer {
        let headers = [("impersonate-user", self.user.as_str()), ("content-type", content_type)];
        let body = if body.is_null() { Vec::new() } else { body.to_string().into() };
        self.cluster.send(method, path, &headers, body).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, "", Value::Null).await
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, "application/json", body).await
    }

    async fn apply(&self, path: &str) -> Answer {
        let name = path.rsplit('/').next().unwrap();
        let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
        self.send(Method::PATCH, &format!("{path}?fieldManager=agent"), "application/apply-patch+yaml", body).await
    }

    /// Ask until this is the answer: a real server learns of roles a moment after they are stored.
    async fn until(&self, path: &str, code: u16) {
        let waiting = async {
            loop {
                let answer = self.get(path).await;
                if answer.code == code {
                    return;
                }
                assert!(self.cluster.is_real, "{path}: {} {}", answer.code, answer.message());
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect("the role to count in time");
    }
}

async fn role(cluster: &Cluster, name: &str, rules: Value) {
    let role = json!({"metadata": {"name": name}, "rules": rules});
    cluster.post(&cluster.group(RBAC, "roles"), role).await.ok();
}

async fn bind(cluster: &Cluster, role: &str, subject: Value) {
    let binding = json!({
        "metadata": {"name": role},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role},
        "subjects": [subject],
    });
    cluster.post(&cluster.group(RBAC, "rolebindings"), binding).await.ok();
}

/// The agent, with a role of these rules.
async fn agent(cluster: &Cluster, rules: Value) -> Agent<'_> {
    role(cluster, "agent", rules).await;
    bind(cluster, "agent", json!({"kind": "ServiceAccount", "name": "agent", "namespace": cluster.namespace})).await;
    Agent { cluster, user: format!("system:serviceaccount:{}:agent", cluster.namespace) }
}

fn rule(verbs: Value, resources: Value) -> Value {
    json!({"apiGroups": [""], "resources": resources, "verbs": verbs})
}

pub(crate) async fn a_role_grants_what_it_names(cluster: &Cluster) {
    let agent = agent(cluster, json!([rule(json!(["list"]), json!(["configmaps"]))])).await;
    agent.until(&cluster.core("configmaps"), 200).await;
    let refused = agent.post(&cluster.core("configmaps"), json!({"metadata": {"name": "a"}})).await;
    assert_eq!(refused.failure(), (403, "Forbidden"));
    assert_eq!(
        refused.message(),
        format!(
            "configmaps is forbidden: User \"system:serviceaccount:{0}:agent\" cannot create resource \"configmaps\" in \
             API group \"\" in the namespace \"{0}\"",
            cluster.namespace
        )
    );
    let leases = cluster.group("coordination.k8s.io/v1", "leases/x");
    assert_eq!(
        agent.get(&leases).await.message(),
        format!(
            "leases.coordination.k8s.io \"x\" is forbidden: User \"system:serviceaccount:{0}:agent\" cannot get \
             resource \"leases\" in API group \"coordination.k8s.io\" in the namespace \"{0}\"",
            cluster.namespace
        )
    );
    assert!(agent.get("/api/v1/configmaps").await.message().ends_with("at the cluster scope"));
    assert_eq!(agent.get("/api/v1/namespaces/default/configmaps").await.code, 403);
    assert_eq!(agent.get(&cluster.core("configmaps/a")).await.code, 403);
    // The roles of a namespace are about the namespace itself, too.
    let namespace = agent.get(&format!("/api/v1/namespaces/{}", cluster.namespace)).await;
    let place = format!("in the namespace {:?}", cluster.namespace);
    assert!(namespace.message().ends_with(&place), "{}", namespace.message());
}

pub(crate) async fn subresources_are_named_by_themselves(cluster: &Cluster) {
    let rules = json!([
        rule(json!(["get"]), json!(["pods/status"])),
        {"apiGroups": ["apps"], "resources": ["*/scale"], "verbs": ["*"]},
    ]);
    let agent = agent(cluster, rules).await;
    agent.until(&cluster.core("pods/p/status"), 404).await;
    assert_eq!(agent.get(&cluster.core("pods/p")).await.code, 403);
    assert_eq!(agent.get(&cluster.group("apps/v1", "deployments/d/scale")).await.code, 404);
    assert_eq!(agent.get(&cluster.group("apps/v1", "deployments/d")).await.code, 403);
    let refused = agent.get(&cluster.group("apps/v1", "deployments/d/status")).await;
    assert!(refused.message().contains("cannot get resource \"deployments/status\""), "{}", refused.message());
    assert!(refused.message().starts_with("deployments.apps \"d\" is forbidden"), "{}", refused.message());
}

pub(crate) async fn names_restrict_what_has_a_name(cluster: &Cluster) {
    let mut only = rule(json!(["get", "list", "create"]), json!(["configmaps"]));
    only["resourceNames"] = json!(["a"]);
    let agent = agent(cluster, json!([only])).await;
    cluster.config_map("a", json!({})).await;
    cluster.config_map("b", json!({})).await;
    agent.until(&cluster.core("configmaps/a"), 200).await;
    assert_eq!(agent.get(&cluster.core("configmaps/b")).await.code, 403);
    assert_eq!(agent.get(&cluster.core("configmaps")).await.code, 403);
    assert_eq!(agent.post(&cluster.core("configmaps"), json!({"metadata": {"name": "a"}})).await.code, 403);
    let one = agent.get(&cluster.core("configmaps?fieldSelector=metadata.name%3Da")).await.ok();
    assert_eq!(names(&one), ["a"]);
    assert_eq!(agent.get(&cluster.core("configmaps?fieldSelector=metadata.name%21%3Db")).await.code, 403);
}

pub(crate) async fn an_apply_that_creates_needs_both_rights(cluster: &Cluster) {
    let agent = agent(cluster, json!([rule(json!(["get", "patch"]), json!(["configmaps"]))])).await;
    let path = cluster.core("configmaps/a");
    agent.until(&path, 404).await;
    let refused = agent.apply(&path).await;
    assert_eq!(refused.failure(), (403, "Forbidden"));
    assert!(refused.message().starts_with("configmaps \"a\" is forbidden"), "{}", refused.message());
    assert_eq!(cluster.get(&path).await.code, 404);
    cluster.config_map("a", json!({})).await;
    assert_eq!(agent.apply(&path).await.code, 200);
}

pub(crate) async fn groups_have_rights(cluster: &Cluster) {
    role(cluster, "all", json!([rule(json!(["list"]), json!(["secrets"]))])).await;
    let group = format!("system:serviceaccounts:{}", cluster.namespace);
    bind(cluster, "all", json!({"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": group})).await;
    let agent = agent(cluster, json!([])).await;
    agent.until(&cluster.core("secrets"), 200).await;
    let stranger = Agent { cluster, user: "system:serviceaccount:elsewhere:agent".to_owned() };
    assert_eq!(stranger.get(&cluster.core("secrets")).await.code, 403);
    let named = Agent { cluster, user: "agent".to_owned() };
    assert_eq!(named.get(&cluster.core("secrets")).await.code, 403);
}

pub(crate) async fn a_binding_to_no_role_is_told(cluster: &Cluster) {
    bind(cluster, "none", json!({"kind": "ServiceAccount", "name": "agent", "namespace": cluster.namespace})).await;
    let agent = agent(cluster, json!([rule(json!(["list"]), json!(["configmaps"]))])).await;
    agent.until(&cluster.core("configmaps"), 200).await;
    let refused = agent.get(&cluster.core("secrets")).await;
    let why = ": RBAC: role.rbac.authorization.k8s.io \"none\" not found";
    assert!(refused.message().ends_with(why), "{}", refused.message());
}

pub(crate) async fn everybody_may_discover(cluster: &Cluster) {
    let stranger = Agent { cluster, user: "stranger".to_owned() };
    for path in ["/api", "/apis", "/api/v1", "/apis/apps/v1", "/version", "/healthz"] {
        assert_eq!(stranger.get(path).await.code, 200, "{path}");
    }
    let refused = stranger.get("/metrics").await;
    assert_eq!(refused.failure(), (403, "Forbidden"));
    assert_eq!(refused.message(), "forbidden: User \"stranger\" cannot get path \"/metrics\"");
}

pub(crate) async fn reviews_answer_by_roles(cluster: &Cluster) {
    let agent = agent(cluster, json!([rule(json!(["list"]), json!(["configmaps"]))])).await;
    agent.until(&cluster.core("configmaps"), 200).await;
    let attributes = |verb: &str| json!({"namespace": cluster.namespace, "verb": verb, "resource": "configmaps"});
    let review = async |spec: Value| {
        let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec});
        let answer = cluster.post("/apis/authorization.k8s.io/v1/subjectaccessreviews", review).await;
        answer.ok()["status"].clone()
    };
    let allowed = review(json!({"user": agent.user, "resourceAttributes": attributes("list")})).await;
    assert_eq!(allowed["allowed"], true);
    let namespace = &cluster.namespace;
    assert_eq!(
        allowed["reason"],
        format!(
            "RBAC: allowed by RoleBinding \"agent/{namespace}\" of Role \"agent\" to ServiceAccount \"agent/{namespace}\""
        )
    );
    assert_eq!(review(json!({"user": agent.user, "resourceAttributes": attributes("get")})).await["allowed"], false);
    assert_eq!(review(json!({"user": "agent", "resourceAttributes": attributes("list")})).await["allowed"], false);

    let own = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes("list")},
    });
    let own = agent.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", own).await.ok();
    assert_eq!(own["status"]["allowed"], true);
}
