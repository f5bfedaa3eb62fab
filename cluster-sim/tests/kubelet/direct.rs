//! To the kubelet's own port.

use std::error::Error;

use cluster_sim::ObjectRef;
use cluster_sim::kubelet::{Certificate, KubeletServer, Way};
use serde_json::json;

use crate::support::{SUMMARY, client, get, proxied, sim, try_get};

/// A client of a kubelet that trusts this authority, as nobody in particular.
fn trusting(server: &KubeletServer, authority: Option<&str>) -> kube::Client {
    let mut config = kube::Config::new(server.url().parse().unwrap());
    config.root_cert = authority.map(|pem| vec![pem_to_der(pem)]);
    config.default_retry = false;
    kube::Client::try_from(config).unwrap()
}

fn pem_to_der(pem: &str) -> Vec<u8> {
    use base64::Engine as _;
    let lines: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    base64::engine::general_purpose::STANDARD.decode(lines).unwrap()
}

/// All that an error says, its causes included.
fn told(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error: &&(dyn Error + 'static)| (*error).source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[tokio::test]
async fn it_serves_tls_where_the_node_says() {
    let sim = sim().await;
    let server = sim.kubelet("a").start().await.unwrap();
    let node = sim.get(&ObjectRef::new("v1", "Node", "a")).unwrap().unwrap();
    assert_eq!(node["status"]["addresses"], json!([{"type": "InternalIP", "address": "127.0.0.1"}]));
    assert_eq!(node["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"], server.addr().port());
    assert_eq!(server.url(), format!("https://{}", server.addr()));

    let direct = get(&trusting(&server, Some(&sim.kubelets().ca_pem().unwrap())), SUMMARY).await;
    assert_eq!(direct.json()["node"]["nodeName"], "a");
    assert_eq!(sim.kubelets().requests().summaries_by("a", Way::Direct), 1);
    // Behind the API server it is the same one.
    let port = server.addr().port();
    assert_eq!(get(&client(&sim), &proxied(&format!("https:a:{port}"))).await.code, 200);
    let elsewhere = get(&client(&sim), &proxied("a:10250")).await.failure();
    assert_eq!(elsewhere, (400, "address not allowed".to_owned()));
}

#[tokio::test]
async fn certificates_can_be_wrong_in_every_way() {
    let sim = sim().await;
    let server = sim.kubelet("a").start().await.unwrap();
    let ca = sim.kubelets().ca_pem().unwrap();
    for (certificate, why) in [
        (Certificate::Signed, None),
        (Certificate::SelfSigned, Some("UnknownIssuer")),
        (Certificate::UnknownAuthority, Some("UnknownIssuer")),
        (Certificate::WithoutSans, Some("not valid for name")),
        (Certificate::WrongSan, Some("not valid for name")),
        (Certificate::Expired, Some("expired")),
    ] {
        server.set_certificate(certificate).unwrap();
        let asked = try_get(&trusting(&server, Some(&ca)), SUMMARY).await;
        match (asked, why) {
            (Ok(answer), None) => assert_eq!(answer.code, 200),
            (Err(error), Some(why)) => assert!(told(&*error).contains(why), "{certificate:?}: {}", told(&*error)),
            (asked, _) => panic!("{certificate:?}: {asked:?}"),
        }
    }
}
