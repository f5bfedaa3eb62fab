//! The API server by TLS, as every real one is reached.

use std::time::Duration;

use cluster_sim::Sim;
use http::Method;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::ListParams;
use kube::config::KubeConfigOptions;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::support::{CONFIG_MAPS, Client, PATIENCE, config_map, event};

async fn sees_one(client: kube::Client) {
    let found = Api::<ConfigMap>::all(client).list(&ListParams::default()).await.unwrap();
    assert_eq!(found.items.len(), 1);
}

#[tokio::test]
async fn each_client_of_the_handle_knows_the_authority() {
    let sim = Sim::builder().tls(true).token("secret").start().await.unwrap();
    sim.create(config_map("a")).unwrap();
    assert_eq!(sim.url(), format!("https://{}", sim.addr()));

    sees_one(sim.client()).await;
    sees_one(sim.client_as("somebody")).await;
    sees_one(kube::Client::try_from(sim.kube_config()).unwrap()).await;
    sees_one(kube::Client::try_from(sim.kube_config_as("somebody")).unwrap()).await;
    // Within the process there is no wire.
    sees_one(sim.client_in_memory()).await;
    sees_one(sim.client_in_memory_as("somebody")).await;
    // As a file, which is text.
    for kubeconfig in [sim.kubeconfig(), sim.kubeconfig_as("somebody")] {
        let text = serde_json::to_string(&kubeconfig).unwrap();
        let read = kube::config::Kubeconfig::from_yaml(&text).unwrap();
        let config = kube::Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await.unwrap();
        sees_one(kube::Client::try_from(config).unwrap()).await;
    }
    sim.shutdown().await;
}

#[tokio::test]
async fn who_does_not_know_the_authority_or_speaks_plainly_gets_nothing() {
    let sim = Sim::builder().tls(true).start().await.unwrap();
    let mut stranger = sim.kube_config();
    stranger.root_cert = None;
    let refused = Client::of(stranger).open(Method::GET, CONFIG_MAPS, &[], Vec::new()).await.unwrap_err();
    assert!(format!("{refused:?}").contains("UnknownIssuer"), "{refused:?}");

    let plain = kube::Config::new(format!("http://{}", sim.addr()).parse().unwrap());
    Client::of(plain).open(Method::GET, CONFIG_MAPS, &[], Vec::new()).await.unwrap_err();
    assert_eq!(sim.requests().total(), 0, "neither was a request");
    // The port serves on.
    assert_eq!(Client::new(&sim).get(CONFIG_MAPS).await.code, 200);
    sim.shutdown().await;
}

#[tokio::test]
async fn a_watch_hears_of_changes_until_a_restart_resets_it() {
    let sim = Sim::builder().tls(true).start().await.unwrap();
    let client = Client::new(&sim);
    let mut watch = client.watch(&format!("{CONFIG_MAPS}?watch=true&resourceVersion=0")).await;
    sim.create(config_map("a")).unwrap();
    assert_eq!(watch.next_named().await, event("ADDED", "a"));
    sim.restart();
    watch.next().await.unwrap_err();
    assert_eq!(client.get(CONFIG_MAPS).await.names(), ["a"]);
    sim.shutdown().await;
}

#[tokio::test]
async fn who_never_agrees_on_tls_holds_up_nobody() {
    let sim = Sim::builder().tls(true).start().await.unwrap();
    let silent = || async { TcpStream::connect(sim.addr()).await.unwrap() };
    let (mut first, mut second) = (silent().await, silent().await);
    assert_eq!(Client::new(&sim).get(CONFIG_MAPS).await.code, 200);
    sim.restart();
    let ended = async |stream: &mut TcpStream| matches!(stream.read(&mut [0]).await, Ok(0) | Err(_));
    assert!(
        timeout(PATIENCE, ended(&mut first)).await.unwrap() && timeout(PATIENCE, ended(&mut second)).await.unwrap()
    );
    let mut third = silent().await;
    assert_eq!(Client::new(&sim).get(CONFIG_MAPS).await.code, 200);
    timeout(Duration::from_secs(4), sim.shutdown()).await.expect("before it is out of patience");
    assert!(timeout(PATIENCE, ended(&mut third)).await.unwrap());
}
