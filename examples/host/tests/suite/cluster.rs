//! What a kubeconfig says → who asks the cluster, also once it says something else.

use std::fs;
use std::path::Path;

use clap::Parser;
use cluster_sim::Sim;
use example_host::cluster::{Cluster, ClusterFlags, Unconfigured};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::ListParams;
use kube::{Api, Client, Config};
use secrecy::ExposeSecret;

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    cluster: ClusterFlags,
}

fn write(file: &Path, url: &str, token: &str) {
    let text = serde_json::json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "c", "user": {"token": token}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}],
    });
    fs::write(file, text.to_string()).unwrap();
}

/// Whom the server takes each of the clients for.
async fn users(sim: &Sim, clients: [&Client; 2]) -> [String; 2] {
    let mut users = Vec::new();
    for client in clients {
        Api::<ConfigMap>::all(client.clone()).list(&ListParams::default()).await.unwrap();
        users.push(sim.requests().newest().last().unwrap().user.clone());
    }
    users.try_into().unwrap()
}

#[tokio::test]
async fn every_client_follows_the_kubeconfig_and_none_to_another_server() {
    let sim = Sim::builder()
        .token_of("first", "anna")
        .token_of("second", "berta")
        .token_of("third", "clara")
        .start()
        .await
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kubeconfig");
    write(&file, &sim.url(), "first");
    let flags = Flags::parse_from(["host", "--kubeconfig", file.to_str().unwrap()]).cluster;
    let cluster: Cluster = flags.connect(Unconfigured::Refuse).await.unwrap();
    let other = cluster.client_by(|config: &Config| Client::try_from(config.clone())).unwrap();
    let clients = [&cluster.client, &other];
    assert_eq!(users(&sim, clients).await, ["anna", "anna"]);

    write(&file, "http://127.0.0.1:1", "second");
    let refused = cluster.reload(&flags).await.unwrap_err().to_string();
    assert!(refused.contains("names another server"), "{refused}");
    assert_eq!(users(&sim, clients).await, ["anna", "anna"]);

    // All of them follow, or none does.
    let picky = |config: &Config| match &config.auth_info.token {
        Some(token) if token.expose_secret() == "third" => Err(kube::Error::TlsRequired),
        _ => Client::try_from(config.clone()),
    };
    cluster.client_by(picky).unwrap();
    write(&file, &sim.url(), "third");
    cluster.reload(&flags).await.unwrap_err();
    assert_eq!(users(&sim, clients).await, ["anna", "anna"]);

    write(&file, &sim.url(), "second");
    cluster.reload(&flags).await.unwrap();
    assert_eq!(users(&sim, clients).await, ["berta", "berta"]);
    // One that is made now is of what the kubeconfig says now.
    let late = cluster.client_by(|config: &Config| Client::try_from(config.clone())).unwrap();
    assert_eq!(users(&sim, [&late, &late]).await, ["berta", "berta"]);
    cluster.shutdown().await;
    sim.shutdown().await;
}
