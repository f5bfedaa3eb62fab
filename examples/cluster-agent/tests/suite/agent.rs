//! The binary: the page and its data, where the cluster is found, and how it ends.

use serde_json::Value;

use crate::support::{self, Host, QUIET, command, get, get_until, get_with, run};

const AGENT: &str = env!("CARGO_BIN_EXE_cluster-agent");

async fn start(flags: &[&str]) -> Host {
    Host::start(command(AGENT, &[QUIET, &["--port", "0"], flags].concat())).await
}

async fn synced_status(host: &Host) -> Value {
    let url = format!("{}/status.json", host.url("serving at"));
    let of = |answer: &support::Answer| serde_json::from_str::<Value>(&answer.text()).unwrap();
    of(&get_until(&url, |answer| of(answer)["synced"] == true).await)
}

#[tokio::test]
async fn the_page_and_its_data_say_the_same() {
    let host = start(&["--resources", "pods,nodes"]).await;
    let status = synced_status(&host).await;
    assert_eq!(status["simulated"], true);
    let objects: Vec<(&str, u64)> = status["resources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|resource| {
            assert_eq!(resource["state"], "synced");
            (resource["resource"].as_str().unwrap(), resource["objects"].as_u64().unwrap())
        })
        .collect();
    assert_eq!(objects, [("pods", 40), ("nodes", 2)]);
    assert_eq!(status["totals"]["objects"], 42);

    let url = host.url("serving at");
    let page = get(&url).await;
    let policy = page.header("content-security-policy").to_owned();
    let nonce = policy.split("script-src 'nonce-").nth(1).unwrap().split('\'').next().unwrap();
    let text = page.text();
    assert!(text.contains(&format!("<script nonce=\"{nonce}\">")), "the page's script may run");
    assert!(text.contains("simulated cluster") && text.contains("href=\"/metrics?resources=pods\""), "{text}");
    let live = get(&format!("{url}/live")).await.text();
    assert!(live.contains("<table") && !live.contains("<html"), "{live}");
    // Nothing is loaded from elsewhere.
    assert!(!text.contains("src=") && !text.contains("https://"));
}

#[tokio::test]
async fn series_of_simulated_nodes_tell_their_machines() {
    let host = start(&["--resources", "pods,nodes"]).await;
    let status = synced_status(&host).await;
    let nodes = &status["node_metadata"];
    assert_eq!((nodes["state"].as_str(), nodes["nodes"].as_u64()), (Some("synced"), Some(2)), "{nodes}");
    assert_eq!(nodes["series"], serde_json::json!(["nodes"]));
    let url = host.url("serving at");
    let metrics = get(&format!("{url}/metrics")).await.text();
    let of_nodes = || metrics.lines().filter(|line| line.starts_with("kube_node_"));
    assert!(of_nodes().count() > 50);
    for line in of_nodes() {
        assert!(line.contains("host_id=\"i-0") && line.contains("cloud_provider=\"aws\""), "{line}");
    }
    assert!(metrics.lines().all(|line| !line.starts_with("kube_pod_") || !line.contains("host_id=")));
    let page = get(&url).await.text();
    assert!(page.contains("Node metadata") && page.contains("2 nodes"), "{page}");
    assert!(get(&format!("{url}/self/metrics")).await.text().contains("node_lease_cache_nodes 2"));
}

#[tokio::test]
async fn it_serves_metrics_of_the_cluster_and_of_itself() {
    // What kubelets say changes between two scrapes.
    let host = start(&["--usage", "off"]).await;
    synced_status(&host).await;
    let url = host.url("serving at");
    let all = get(&format!("{url}/metrics")).await.text();
    assert_eq!(all.lines().filter(|line| line.starts_with("kube_pod_info{")).count(), 40);
    let gzip = get_with(&format!("{url}/metrics"), &[("accept-encoding", "gzip")]).await;
    assert_eq!((gzip.header("content-encoding"), gzip.text() == all), ("gzip", true));
    let nodes = get(&format!("{url}/metrics?resources=nodes")).await.text();
    assert!(nodes.contains("kube_node_info{") && !nodes.contains("kube_pod_info{"));
    assert!(get(&format!("{url}/self/metrics")).await.text().contains("ksm_core_synced{resource=\"pods\""));
    get_until(&format!("{url}/-/ready"), |answer| answer.status == 200).await;
    for path in ["/healthz", "/livez", "/readyz", "/-/healthy"] {
        assert_eq!(get(&format!("{url}{path}")).await.status, 200, "{path}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn without_a_cluster_it_says_that_it_simulates_one_and_sigterm_ends_it() {
    let mut agent = command(AGENT, &["--port", "0"]);
    for (name, value) in [("NODES", "2"), ("PODS", "40")] {
        agent.env(format!("CLUSTER_AGENT_SIM_{name}"), value);
    }
    let host = Host::start(agent).await;
    let url = host.url("serving at");
    assert!(host.said.iter().any(|line| line.starts_with("watching a simulated cluster: 2 nodes, 40 pods")));
    let ended = host.terminate().await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains(&format!("Open {url}")) && ended.stderr.contains("SIMULATED"), "{}", ended.stderr);
}

#[tokio::test]
async fn a_configuration_that_is_broken_is_no_reason_to_simulate() {
    let output = command(AGENT, &["--port", "0"]).env("KUBECONFIG", "/no/such/file").output().await.unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("the kubeconfig can't be used: mend it, or try --sim"), "{told}");
}

#[tokio::test]
async fn a_default_port_that_is_taken_is_no_reason_to_end_but_a_named_one_is() {
    // Whoever has it, this test or another program: it is taken.
    let _taken = std::net::TcpListener::bind("127.0.0.1:8080");
    let host = Host::start(command(AGENT, QUIET)).await;
    assert!(!host.url("serving at").ends_with(":8080"));
    let ended = run(AGENT, &[QUIET, &["--port", "8080"]].concat()).await;
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.stderr.contains("choose another --host or --port: can't listen on 127.0.0.1 port 8080"));
}

#[tokio::test]
async fn permissions_are_printed_for_what_is_watched() {
    let ended = run(AGENT, &["--print-rbac", "--resources", "nodes,jobs", "--usage", "off", "--events", "off"]).await;
    assert_eq!((ended.status.code(), ended.stderr.as_str()), (Some(0), ""));
    assert!(ended.stdout.contains("- leases") && ended.stdout.contains("namespace: amazon-cloudwatch"));
    assert!(ended.stdout.contains("- nodes") && ended.stdout.contains("- jobs") && !ended.stdout.contains("- pods"));
    let without = run(AGENT, &["--print-rbac", "--resources", "nodes", "--node-metadata", "off"]).await;
    assert!(!without.stdout.contains("leases"), "{}", without.stdout);
    // Kubelets are asked about the pods on them, through the API server; events are watched.
    for right in ["- nodes/proxy", "- pods", "- events"] {
        assert!(without.stdout.contains(right), "{right} in {}", without.stdout);
    }
    assert_eq!(run(AGENT, &["--print-rbac", "--resources", "cats"]).await.status.code(), Some(2));
}
