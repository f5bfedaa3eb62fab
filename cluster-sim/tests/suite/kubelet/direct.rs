//! To the kubelet's own port.

use std::error::Error;

use cluster_sim::kubelet::{Certificate, KubeletFault, KubeletServer, Way};
use cluster_sim::{ObjectRef, SimError};
use serde_json::json;
use tokio::net::TcpStream;

use super::support::{self, SUMMARY, client, get, proxied, sim, try_get};

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

    let direct = get(&trusting(&server, Some(&sim.ca_pem().unwrap())), SUMMARY).await;
    assert_eq!(direct.json()["node"]["nodeName"], "a");
    assert_eq!(sim.kubelets().requests().summaries_by("a", Way::Direct), 1);
    // Whoever writes the object, the kubelet says so again.
    sim.upsert(support::node("a")).unwrap();
    assert_eq!(sim.get(&ObjectRef::new("v1", "Node", "a")).unwrap().unwrap()["status"], node["status"]);
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
    let ca = sim.ca_pem().unwrap();
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

#[tokio::test]
async fn ports_can_be_closed_and_opened_again() {
    let sim = sim().await;
    let server = sim.kubelet("a").read_only_port(0).start().await.unwrap();
    let ca = sim.ca_pem().unwrap();
    let read_only = server.read_only_url().unwrap().strip_prefix("http://").unwrap().to_owned();
    server.stop_listening().await;
    let error = try_get(&trusting(&server, Some(&ca)), SUMMARY).await.unwrap_err();
    assert!(told(&*error).contains("refused"), "{}", told(&*error));
    assert!(TcpStream::connect(&read_only).await.is_err());
    let port = server.addr().port();
    let why = format!("error trying to reach service: dial tcp 127.0.0.1:{port}: connect: connection refused");
    assert_eq!(get(&client(&sim), &proxied("a")).await.failure(), (503, why));

    server.start_again().await.unwrap();
    assert_eq!(get(&trusting(&server, Some(&ca)), SUMMARY).await.code, 200);
    assert_eq!(get(&client(&sim), &proxied("a")).await.code, 200);
    assert!(TcpStream::connect(&read_only).await.is_ok());
}

#[tokio::test]
async fn a_connection_can_be_reset_before_it_is_encrypted() {
    let sim = sim().await;
    let server = sim.kubelet("a").start().await.unwrap();
    let ca = sim.ca_pem().unwrap();
    sim.kubelets().faults().add(KubeletFault::on("a").way(Way::Direct).count(1).refuse());
    assert!(try_get(&trusting(&server, Some(&ca)), SUMMARY).await.is_err());
    assert_eq!(sim.kubelets().requests().total(), 0);
    assert_eq!(get(&trusting(&server, Some(&ca)), SUMMARY).await.code, 200);

    sim.kubelets().faults().add(KubeletFault::on("a").count(2).reset());
    sim.kubelets().faults().add(KubeletFault::on("a").skip(2).count(1).cut_short());
    for _ in 0..3 {
        assert!(try_get(&trusting(&server, Some(&ca)), SUMMARY).await.is_err());
    }
    assert_eq!(get(&trusting(&server, Some(&ca)), SUMMARY).await.code, 200);
}

#[tokio::test]
async fn a_node_has_the_ports_that_were_opened_last() {
    let sim = sim().await;
    let first = sim.kubelet("a").start().await.unwrap();
    let second = sim.kubelet("a").plain_http().start().await.unwrap();
    assert!(second.url().starts_with("http://127.0.0.1:") && second.certificate_pem().is_none());
    assert_eq!(sim.kubelets().server("a").unwrap().addr(), second.addr());
    first.shutdown().await;
    assert!(TcpStream::connect(first.addr()).await.is_err());
    assert_eq!(get(&trusting(&second, None), "/healthz").await.text(), "ok");
    let port = second.addr().port();
    assert!(
        matches!(sim.kubelet("b").port(port).start().await, Err(SimError::KubeletListen { address, .. }) if address.port() == port)
    );
    assert!(matches!(sim.kubelet("nobody").start().await, Err(SimError::UnknownNode(name)) if name == "nobody"));
    assert!(sim.kubelets().server("b").is_none());

    sim.shutdown().await;
    assert!(TcpStream::connect(second.addr()).await.is_err());
}

#[tokio::test]
async fn the_ports_of_a_node_that_is_gone_know_no_summary() {
    let sim = sim().await;
    let server = sim.kubelet("a").plain_http().start().await.unwrap();
    sim.delete(&ObjectRef::new("v1", "Node", "a")).unwrap();
    assert_eq!(get(&trusting(&server, None), SUMMARY).await.code, 404);
    assert!(matches!(sim.kubelets().summary("a"), Err(SimError::UnknownNode(_))));
    let other = sim.kubelet("b").start().await.unwrap();
    server.shutdown().await;
    assert!(sim.kubelets().server("a").is_none() && sim.kubelets().server("b").unwrap().addr() == other.addr());
}
