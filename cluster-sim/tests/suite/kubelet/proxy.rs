//! Through the API server.

use cluster_sim::Sim;
use cluster_sim::kubelet::Way;
use http::Request;
use kube::client::Body;
use serde_json::json;

use super::support::{SUMMARY, client, get, node, proxied, sim, summary};

#[tokio::test]
async fn every_node_has_a_kubelet() {
    let sim = sim().await;
    let document = summary(&client(&sim), "a").await;
    assert_eq!(document["node"]["nodeName"], "a");
    assert_eq!(document["pods"].as_array().unwrap().len(), 2);
    assert_eq!(summary(&client(&sim), "b").await["pods"], json!([]));
    assert_eq!(get(&client(&sim), "/api/v1/nodes/a/proxy/healthz").await.text(), "ok");
    let pods = get(&client(&sim), "/api/v1/nodes/a/proxy/pods").await.json();
    assert_eq!((pods["kind"].as_str(), pods["items"].as_array().unwrap().len()), (Some("PodList"), 2));
    assert_eq!(get(&client(&sim), "/api/v1/nodes/a/proxy/nothing").await.code, 404);
}

#[tokio::test]
async fn nodes_are_named_in_every_form() {
    let mut named = node("a");
    named["status"]["addresses"] = json!([{"type": "InternalIP", "address": "127.0.0.1"}]);
    named["status"]["daemonEndpoints"] = json!({"kubeletEndpoint": {"Port": 12_345}});
    let mut far = node("far");
    far["status"]["addresses"] = json!([{"type": "InternalIP", "address": "10.0.0.9"}]);
    let sim = Sim::builder().objects([named, far]).start().await.unwrap();
    let asking = client(&sim);
    for form in ["a", "a:12345", "https:a:12345", "https:a:"] {
        assert_eq!(get(&asking, &proxied(form)).await.json()["node"]["nodeName"], "a", "{form}");
    }
    let failure = async |form: &str| get(&asking, &proxied(form)).await.failure();
    assert_eq!(failure("a:10250").await, (400, "address not allowed".to_owned()));
    assert_eq!(failure("nobody").await, (404, "nodes \"nobody\" not found".to_owned()));
    assert_eq!(failure("ftp:a:1").await, (400, "invalid node request \"ftp:a:1\"".to_owned()));
    let refused = "error trying to reach service: dial tcp 10.0.0.9:10255: connect: connection refused";
    assert_eq!(failure("far:10255").await, (503, refused.to_owned()));
    assert_eq!(get(&asking, &proxied("far:10250")).await.code, 200);
    assert_eq!(sim.kubelets().requests().total(), 5);
}

#[tokio::test]
async fn the_kubelet_sees_who_was_forwarded_and_no_token() {
    let sim = sim().await;
    let ask = Request::get(proxied("a")).header("x-forwarded-for", "192.0.2.7").body(Body::empty()).unwrap();
    sim.client_as("alice").send(ask).await.unwrap();
    let seen = sim.kubelets().requests().newest().remove(0);
    assert_eq!((seen.node.as_str(), seen.way, seen.path.as_str()), ("a", Way::Proxy, SUMMARY));
    assert_eq!((seen.forwarded_for.as_str(), seen.has_authorization), ("192.0.2.7, 127.0.0.1", false));
    assert_eq!(seen.status, Some(200));
}
