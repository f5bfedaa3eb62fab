//! The handle: starting, stopping, and its own way to the objects.

use std::io::Read as _;

use cluster_sim::{Mutation, ObjectRef, Sim, SimError, Verb};
use http::Method;
use serde_json::{Value, json};

use super::support::{CONFIG_MAPS, Client, PATIENCE, config_map, event};

#[tokio::test]
async fn a_port_is_taken_once() {
    let sim = Sim::builder().start().await.unwrap();
    assert!(sim.addr().ip().is_loopback());
    let taken = Sim::builder().port(sim.addr().port()).start().await.unwrap_err();
    assert!(matches!(taken, SimError::Listen { .. }), "{taken}");
    assert!(taken.to_string().contains("choose another port"), "{taken}");
}

#[tokio::test]
async fn a_shutdown_ends_everything_and_can_be_repeated() {
    let sim = Sim::builder().start().await.unwrap();
    let client = Client::new(&sim);
    let mut watch = client.watch(&format!("{CONFIG_MAPS}?watch=true")).await;
    let (address, again) = (sim.addr(), sim.clone());
    tokio::time::timeout(PATIENCE, sim.shutdown()).await.unwrap();
    tokio::time::timeout(PATIENCE, again.shutdown()).await.unwrap();
    assert!(watch.next().await.is_err());
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn the_last_handle_stops_the_server() {
    let sim = Sim::builder().start().await.unwrap();
    let client = Client::new(&sim);
    let mut watch = client.watch(&format!("{CONFIG_MAPS}?watch=true")).await;
    let clone = sim.clone();
    drop(sim);
    clone.upsert(config_map("a")).unwrap();
    assert_eq!(watch.next_named().await, event("ADDED", "a"));
    drop(clone);
    assert!(watch.next().await.is_err());
}

#[tokio::test]
async fn upserts_write_everything_and_keep_what_is_given() {
    let sim = Sim::builder().start().await.unwrap();
    let pod = |uid: Option<&str>, phase: &str| {
        let mut pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "nowhere"},
            "spec": {"nodeName": "n"}, "status": {"phase": phase},
        });
        if let Some(uid) = uid {
            pod["metadata"]["uid"] = uid.into();
        }
        pod
    };
    let first = sim.upsert(pod(Some("own"), "Running")).unwrap();
    assert_eq!((&first["metadata"]["uid"], &first["status"]["phase"]), (&json!("own"), &json!("Running")));
    let second = sim.upsert(pod(None, "Failed")).unwrap();
    assert_eq!((&second["metadata"]["uid"], &second["status"]["phase"]), (&json!("own"), &json!("Failed")));
    assert_eq!(second["metadata"]["creationTimestamp"], first["metadata"]["creationTimestamp"]);
    assert_ne!(second["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);

    let unknown = sim.upsert(json!({"apiVersion": "v1", "kind": "Nothing", "metadata": {"name": "a"}})).unwrap_err();
    assert!(matches!(unknown, SimError::UnknownKind { .. }), "{unknown}");
    let nameless = sim.upsert(json!({"apiVersion": "v1", "kind": "Node"})).unwrap_err();
    assert!(matches!(nameless, SimError::Object(_)), "{nameless}");
    let homeless = sim.upsert(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}})).unwrap_err();
    assert!(homeless.to_string().contains("metadata.namespace"), "{homeless}");
}

#[tokio::test]
async fn mutations_are_applied_in_order_and_watched() {
    let sim = Sim::builder().start().await.unwrap();
    let client = Client::new(&sim);
    let mut watch = client.watch(&format!("{CONFIG_MAPS}?watch=true")).await;
    let delete = |name: &str| Mutation::Delete {
        api_version: "v1".to_owned(),
        kind: "ConfigMap".to_owned(),
        namespace: Some("default".to_owned()),
        name: name.to_owned(),
    };
    let applied = sim.apply_mutations([
        Mutation::Upsert(config_map("a")),
        Mutation::Upsert(json!({"kind": "Nothing"})),
        delete("a"),
        delete("never-there"),
        Mutation::Upsert(config_map("b")),
    ]);
    assert_eq!(applied, 4);
    assert_eq!(watch.next_named().await, event("ADDED", "a"));
    assert_eq!(watch.next_named().await, event("DELETED", "a"));
    assert_eq!(watch.next_named().await, event("ADDED", "b"));
}

#[tokio::test]
async fn the_handle_can_act_as_a_client() {
    let sim = Sim::builder().start().await.unwrap();
    let created = sim.create(config_map("a")).unwrap();
    assert_eq!(created["metadata"]["managedFields"][0]["manager"], "cluster-sim");
    let SimError::Api(taken) = sim.create(config_map("a")).unwrap_err() else { panic!("not the API's own answer") };
    assert_eq!((taken.code(), taken.reason()), (409, "AlreadyExists"));
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}, "status": {"phase": "x"}});
    let mut node = sim.create(node).unwrap();
    node["status"] = json!({"phase": "y"});
    assert_eq!(sim.update_status(node).unwrap()["status"]["phase"], "y");
    let listed = sim.list("v1", "nodes").unwrap();
    assert_eq!((listed.len(), &listed[0]["kind"]), (1, &json!("Node")));
    assert_eq!(ObjectRef::of(&listed[0]), Some(ObjectRef::new("v1", "Node", "n")));
    assert!(sim.list("v1", "nothings").is_err());
}

#[tokio::test]
async fn requests_are_counted_by_what_they_ask_for() {
    let sim = Sim::builder().objects([config_map("a")]).start().await.unwrap();
    let client = Client::new(&sim);
    client.get(CONFIG_MAPS).await;
    client.get(&format!("{CONFIG_MAPS}/a")).await;
    client.get(&format!("{CONFIG_MAPS}/none")).await;
    client.get("/api/v1/nothings").await;
    let requests = sim.requests();
    assert_eq!(requests.count(Verb::List, "configmaps"), 1);
    assert_eq!(requests.count(Verb::Get, "configmaps"), 2);
    assert_eq!(requests.count_status(Verb::Get, "configmaps", 404), 1);
    assert_eq!(requests.total(), 4);
    let last = requests.newest().pop().unwrap();
    assert_eq!((last.verb, last.resource.as_str()), (Verb::NonResource, "/api/v1/nothings"));
    client.get("/api/v1/namespaces/default/pods/p/made-up").await;
    assert_eq!(requests.count(Verb::Get, "pods/made-up"), 0);
    client.get("/api/v1/namespaces/default/pods/p/log").await;
    assert_eq!(requests.count_status(Verb::Get, "pods/log", 404), 1);
    let get = &requests.newest()[1];
    assert_eq!((get.namespace.as_deref(), get.name.as_deref()), (Some("default"), Some("a")));
    requests.clear();
    assert_eq!(requests.total(), 0);
}

#[tokio::test]
async fn large_answers_are_compressed_for_those_who_ask() {
    let big = |n: u32| {
        let mut object = config_map(&format!("c{n:03}"));
        object["data"] = json!({"text": "x".repeat(2000)});
        object
    };
    let sim = Sim::builder().objects((0..100).map(big)).start().await.unwrap();
    let client = Client::new(&sim);
    let plain = client.get(CONFIG_MAPS).await;
    assert_eq!(plain.headers.get("content-encoding"), None);
    let gzip = [("accept-encoding", "gzip")];
    let compressed = client.send(Method::GET, CONFIG_MAPS, &gzip, Value::Null).await;
    assert_eq!(compressed.headers["content-encoding"], "gzip");
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(&*compressed.body).read_to_end(&mut unpacked).unwrap();
    assert_eq!(unpacked, plain.body);
    let small = client.send(Method::GET, &format!("{CONFIG_MAPS}/c000"), &gzip, Value::Null).await;
    assert_eq!(small.headers.get("content-encoding"), None);
}

#[tokio::test]
async fn bodies_are_limited() {
    let sim = Sim::builder().start().await.unwrap();
    let mut huge = config_map("a");
    huge["data"]["a"] = "x".repeat(4 * 1024 * 1024).into();
    let answer = Client::new(&sim).post(CONFIG_MAPS, huge.clone()).await;
    assert_eq!(answer.failure(), (413, "RequestEntityTooLarge".to_owned()));
    // The handle is not a client.
    sim.upsert(huge).unwrap();
}

#[tokio::test]
async fn the_kubeconfig_leads_back() {
    let sim = Sim::builder().token("secret").objects([config_map("a")]).start().await.unwrap();
    let options = kube::config::KubeConfigOptions::default();
    let config = kube::Config::from_custom_kubeconfig(sim.kubeconfig(), &options).await.unwrap();
    assert_eq!(Client::of(config).get(CONFIG_MAPS).await.names(), ["a"]);
}

#[tokio::test]
async fn aggregated_discovery_says_what_plain_discovery_says() {
    let sim = Sim::builder().start().await.unwrap();
    let client = kube::discovery::Discovery::new(sim.client());
    let plain = client.run().await.unwrap();
    let aggregated = kube::discovery::Discovery::new(sim.client()).run_aggregated().await.unwrap();
    let kinds = |discovery: &kube::discovery::Discovery| {
        let mut kinds: Vec<String> = discovery
            .groups()
            .flat_map(kube::discovery::ApiGroup::recommended_resources)
            .map(|(resource, capabilities)| {
                let mut subresources: Vec<_> =
                    capabilities.subresources.iter().map(|(resource, _)| resource.plural.clone()).collect();
                subresources.sort();
                format!("{} {} {subresources:?}", resource.api_version, resource.kind)
            })
            .collect();
        kinds.sort();
        kinds
    };
    assert_eq!(kinds(&plain), kinds(&aggregated));
    assert!(kinds(&plain).len() > 45, "{:?}", kinds(&plain));
    assert!(
        kinds(&plain).iter().any(|kind| kind == "apps/v1 Deployment [\"scale\", \"status\"]"),
        "{:?}",
        kinds(&plain)
    );
}
