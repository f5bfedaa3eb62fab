//! Tokens and rights.

use cluster_sim::{Deny, Sim, Verb};
use http::Method;
use serde_json::{Value, json};

use super::support::{CONFIG_MAPS, Client, config_map};

fn as_user(token: &str) -> (&'static str, String) {
    ("authorization", format!("Bearer {token}"))
}

#[tokio::test]
async fn only_known_tokens_get_in() {
    let sim = Sim::builder().token("secret").start().await.unwrap();
    let anonymous = Client::of(kube::Config::new(sim.url().parse().unwrap()));
    let refused = anonymous.get(CONFIG_MAPS).await;
    assert_eq!(refused.failure(), (401, "Unauthorized".to_owned()));
    let (name, wrong) = as_user("wrong");
    let refused = anonymous.send(Method::GET, "/version", &[(name, &wrong)], Value::Null).await;
    assert_eq!(refused.code, 401);
    assert_eq!(anonymous.get("/version").await.code, 200);
    assert_eq!(anonymous.get("/apis").await.code, 401);
    assert_eq!(Client::new(&sim).get(CONFIG_MAPS).await.code, 200);
    assert!(sim.revoke_token("secret"));
    assert_eq!(Client::new(&sim).get(CONFIG_MAPS).await.code, 401);
    assert_eq!(anonymous.get(CONFIG_MAPS).await.code, 401);
}

#[tokio::test]
async fn rights_are_taken_by_user_verb_and_resource() {
    let builder = Sim::builder().token("admin").token_of("v", "viewer").objects([config_map("a")]);
    let sim = builder.deny(Deny::everything().to("viewer").verb(Verb::List).resource("secrets")).start().await.unwrap();
    let client = Client::of(kube::Config::new(sim.url().parse().unwrap()));
    let (name, viewer) = as_user("v");
    let (_, admin) = as_user("admin");
    let secrets = "/api/v1/namespaces/default/secrets";
    let refused = client.send(Method::GET, secrets, &[(name, &viewer)], Value::Null).await;
    assert_eq!(refused.failure(), (403, "Forbidden".to_owned()));
    assert_eq!(
        refused.json()["message"],
        "secrets is forbidden: User \"viewer\" cannot list resource \"secrets\" in API group \"\" in the namespace \
         \"default\""
    );
    assert_eq!(client.send(Method::GET, secrets, &[(name, &admin)], Value::Null).await.code, 200);
    assert_eq!(client.send(Method::GET, CONFIG_MAPS, &[(name, &viewer)], Value::Null).await.code, 200);
    let impersonating = [(name, admin.as_str()), ("impersonate-user", "viewer")];
    assert_eq!(client.send(Method::GET, secrets, &impersonating, Value::Null).await.code, 403);

    sim.deny(Deny::everything().resource("nodes/proxy"));
    let proxy = "/api/v1/nodes/n/proxy/stats/summary";
    assert_eq!(client.send(Method::GET, proxy, &[(name, &admin)], Value::Null).await.code, 403);
    sim.allow_all();
    assert_eq!(client.send(Method::GET, proxy, &[(name, &admin)], Value::Null).await.code, 404);
    assert_eq!(client.send(Method::GET, secrets, &[(name, &viewer)], Value::Null).await.code, 200);
}

#[tokio::test]
async fn reviews_answer_by_the_same_rules() {
    let sim = Sim::builder().token("admin").token_of("v", "viewer").start().await.unwrap();
    sim.deny(Deny::everything().to("viewer").verb(Verb::List).resource("secrets"));
    let client = Client::new(&sim);
    let token = |token: &str| json!({"spec": {"token": token}});
    let reviews = "/apis/authentication.k8s.io/v1/tokenreviews";
    let known = client.post(reviews, token("v")).await.json();
    assert_eq!(
        known["status"],
        json!({"authenticated": true, "user": {"username": "viewer", "groups": ["system:authenticated"]}})
    );
    assert_eq!(client.post(reviews, token("x")).await.json()["status"]["authenticated"], false);

    let access = |user: &str, resource: &str| json!({"spec": {"user": user, "resourceAttributes": {"verb": "list", "resource": resource}}});
    let reviews = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
    assert_eq!(client.post(reviews, access("viewer", "secrets")).await.json()["status"]["allowed"], false);
    assert_eq!(client.post(reviews, access("viewer", "pods")).await.json()["status"]["allowed"], true);
    let own = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    assert_eq!(client.post(own, access("", "secrets")).await.json()["status"]["allowed"], true);
}
