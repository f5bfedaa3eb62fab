//! The program: called, asked, and told to stop, as a user would.
#![cfg(unix)]

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpStream, UnixStream};
use tokio::process::{Child, Command};
use tokio::time::timeout;

#[allow(dead_code, clippy::unwrap_used, clippy::expect_used, reason = "it serves the tests of the runtime, too")]
#[path = "../nri/plug.rs"]
mod plug;

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_mins(2);

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cluster-sim"));
    command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// Starts it, and reads the two lines it says: where it listens, and how to look at it.
async fn started(arguments: &[&str]) -> (Child, String, String) {
    let (child, lines) = started_saying(arguments, 2).await;
    let [listening, kubectl] = <[String; 2]>::try_from(lines).unwrap();
    let address = listening.strip_prefix("listening on http://").unwrap().to_owned();
    (child, address, kubectl)
}

/// Starts it, and reads so many lines.
async fn started_saying(arguments: &[&str], count: usize) -> (Child, Vec<String>) {
    let mut child = program(arguments).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut said = Vec::new();
    for _ in 0..count {
        said.push(timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap().unwrap());
    }
    (child, said)
}

async fn get(address: &str, path: &str, header: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{header}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    answer
}

async fn stopped(mut child: Child, signal: &str) -> Option<i32> {
    let id = child.id().unwrap().to_string();
    assert!(Command::new("kill").args([signal, &id]).status().await.unwrap().success());
    timeout(PATIENCE, child.wait()).await.unwrap().unwrap().code()
}

#[tokio::test]
async fn it_serves_a_population_until_it_is_told_to_stop() {
    let directory = std::env::temp_dir().join(format!("cluster-sim-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let file = directory.join("kubeconfig.yaml");
    let name = file.to_str().unwrap();
    let (child, address, kubectl) =
        started(&["--nodes", "2", "--pods", "30", "--churn", "100", "--kubeconfig-out", name]).await;

    let kubeconfig = kube::config::Kubeconfig::read_from(&file).unwrap();
    let options = kube::config::KubeConfigOptions::default();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap();
    let client = kube::Client::try_from(config).unwrap();
    let nodes: kube::Api<k8s_openapi::api::core::v1::Node> = kube::Api::all(client);
    assert_eq!(nodes.list(&kube::api::ListParams::default()).await.unwrap().items.len(), 2);
    assert_eq!(kubectl, format!("kubectl --kubeconfig {name} get pods -A"));
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);

    assert!(get(&address, "/readyz", "").await.starts_with("HTTP/1.1 200 "));
    assert_eq!(stopped(child, "-TERM").await, Some(0));
    assert!(TcpStream::connect(&address).await.is_err());
    std::fs::remove_dir_all(&directory).unwrap();
}

#[tokio::test]
async fn it_asks_for_the_token_it_was_given() {
    let (child, address, kubectl) =
        started(&["--uniform-pods", "--pods", "5", "--token", "secret", "--no-streaming-lists"]).await;
    assert_eq!(kubectl, format!("curl -H \"Authorization: Bearer $TOKEN\" http://{address}/api/v1/pods"));
    assert!(get(&address, "/api/v1/pods", "").await.starts_with("HTTP/1.1 401 "));
    let token = "Authorization: Bearer secret\r\n";
    let pods = get(&address, "/api/v1/pods", token).await;
    assert!(pods.starts_with("HTTP/1.1 200 "));
    assert_eq!(pods.matches("\"nodeName\":").count(), 5);
    let streaming =
        "/api/v1/pods?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    assert!(get(&address, streaming, token).await.starts_with("HTTP/1.1 422 "));
    assert_eq!(stopped(child, "-INT").await, Some(0));
}

#[tokio::test]
async fn with_tls_the_kubeconfig_has_the_token_and_the_authority() {
    let directory = std::env::temp_dir().join(format!("cluster-sim-tls-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let (file, ca) = (directory.join("kubeconfig.yaml"), directory.join("ca.pem"));
    let (name, ca_name) = (file.to_str().unwrap(), ca.to_str().unwrap());
    let cluster = ["--nodes", "2", "--pods", "30", "--tls", "--token", "secret"];
    let (child, said) =
        started_saying(&[&cluster[..], &["--kubeconfig-out", name, "--ca-out", ca_name]].concat(), 2).await;
    let url = said[0].strip_prefix("listening on ").unwrap();
    assert!(url.starts_with("https://127.0.0.1:"), "{said:?}");
    assert_eq!(said[1], format!("kubectl --kubeconfig {name} get pods -A"));
    let kubeconfig = kube::config::Kubeconfig::read_from(&file).unwrap();
    let options = kube::config::KubeConfigOptions::default();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap();
    let pods: kube::Api<k8s_openapi::api::core::v1::Pod> = kube::Api::all(kube::Client::try_from(config).unwrap());
    assert_eq!(pods.list(&kube::api::ListParams::default()).await.unwrap().items.len(), 30);
    assert!(std::fs::read_to_string(&ca).unwrap().starts_with("-----BEGIN CERTIFICATE-----"));
    assert_eq!(stopped(child, "-TERM").await, Some(0));

    // Without a kubeconfig, it says how to ask, and never the token.
    let (child, said) = started_saying(&[&cluster[..], &["--ca-out", ca_name]].concat(), 2).await;
    let (url, asking) = (said[0].strip_prefix("listening on ").unwrap(), &said[1]);
    assert_eq!(*asking, format!("curl --cacert {ca_name} -H \"Authorization: Bearer $TOKEN\" {url}/api/v1/pods"));
    assert_eq!(stopped(child, "-TERM").await, Some(0));
    let (child, said) = started_saying(&["--nodes", "2", "--pods", "30", "--tls"], 2).await;
    let url = said[0].strip_prefix("listening on ").unwrap();
    assert_eq!(said[1], format!("kubectl --server {url} --insecure-skip-tls-verify get pods -A"));
    assert_eq!(stopped(child, "-TERM").await, Some(0));
    std::fs::remove_dir_all(&directory).unwrap();
}

#[tokio::test]
async fn it_starts_the_metadata_services_of_nodes() {
    let arguments = ["--nodes", "2", "--pods", "30", "--metadata", "all"];
    let (child, said) = started_saying(&arguments, 4).await;
    let nodes: Vec<(&str, &str)> =
        said.iter().filter_map(|line| line.strip_prefix("metadata of ")?.split_once(" on http://")).collect();
    assert_eq!(nodes.len(), 2, "{said:?}");
    for (_, address) in &nodes {
        assert!(get(address, "/latest/meta-data/", "").await.starts_with("HTTP/1.1 401 "));
    }
    let (first, _) = nodes[0];
    assert_eq!(stopped(child, "-TERM").await, Some(0));

    let (child, said) = started_saying(&["--nodes", "2", "--pods", "30", "--metadata", first], 3).await;
    assert!(said[2].starts_with(&format!("metadata of {first} on http://127.0.0.1:")), "{said:?}");
    assert_eq!(stopped(child, "-TERM").await, Some(0));
}

#[tokio::test]
async fn it_opens_the_ports_of_kubelets() {
    let directory = std::env::temp_dir().join(format!("cluster-sim-program-kubelets-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let file = directory.join("ca.pem");
    let name = file.to_str().unwrap();
    let churn = ["--nodes", "2", "--pods", "30", "--churn", "200", "--kubelets", "all", "--ca-out", name];
    let (child, said) = started_saying(&churn, 4).await;
    let api = said[0].strip_prefix("listening on http://").unwrap();
    let kubelets: Vec<(&str, &str)> =
        said.iter().filter_map(|line| line.strip_prefix("kubelet of ")?.split_once(" on ")).collect();
    assert_eq!(kubelets.len(), 2, "{said:?}");

    let ca = std::fs::read_to_string(&file).unwrap();
    let lines: String = ca.lines().filter(|line| !line.starts_with("-----")).collect();
    let ca = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, lines).unwrap();
    for (node, url) in kubelets {
        let mut config = kube::Config::new(url.parse().unwrap());
        config.root_cert = Some(vec![ca.clone()]);
        let kubelet = kube::Client::try_from(config).unwrap();
        let ask = || http::Request::get("/stats/summary").body(Vec::new()).unwrap();
        let document: serde_json::Value = kubelet.request(ask()).await.unwrap();
        assert_eq!(document["node"]["nodeName"], node);
        assert!(get(api, &format!("/api/v1/nodes/{node}/proxy/stats/summary"), "").await.starts_with("HTTP/1.1 200 "));
        // Churn leaves the address alone.
        let port = url.rsplit_once(':').unwrap().1;
        let object = get(api, &format!("/api/v1/nodes/{node}"), "").await;
        assert!(object.contains(&format!("\"kubeletEndpoint\":{{\"Port\":{port}}}")), "{object}");
    }
    assert_eq!(stopped(child, "-TERM").await, Some(0));
    std::fs::remove_dir_all(&directory).unwrap();
}

#[tokio::test]
async fn it_is_a_container_runtime_for_plugins() {
    let directory = std::env::temp_dir().join(format!("cluster-sim-program-nri-{}", std::process::id()));
    let socket = directory.join("nri.sock");
    let path = socket.to_str().unwrap();
    let arguments = ["--nodes", "1", "--pods", "1", "--nri", path, "--nri-version", "0.8", "--nri-rate", "200"];
    let mut child = program(&arguments).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut said = async || timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap().unwrap();
    while said().await != format!("NRI 0.8 on {path}") {}

    let (event, mut events) = tokio::sync::mpsc::channel(1000);
    let plugin = UnixStream::connect(&socket).await.unwrap();
    let plugin = plug::live(plugin, ("10", "test"), 0, move |method, _| {
        let _ = event.try_send(method.to_owned());
        plug::Reply::Usual
    });
    let mut next = async || timeout(PATIENCE, events.recv()).await.unwrap().unwrap();
    assert_eq!((next().await, next().await), ("Configure".to_owned(), "Synchronize".to_owned()));
    while next().await != "CreateContainer" {}
    assert_eq!(stopped(child, "-TERM").await, Some(0));
    plugin.await.unwrap();
    let line = said().await;
    assert!(line.ends_with(" pods were run, of which plugins failed 0"), "{line}");
    std::fs::remove_dir(directory).unwrap();
}

#[tokio::test]
async fn what_cannot_work_is_said_with_an_exit_status() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let refused: [(&[&str], i32, &str); 11] = [
        (&["--nodes", "1", "--pods", "1", "--port", &port], 1, "choose another port"),
        (&["--pods", "1", "--kubeconfig-out", "/nowhere/at/all"], 1, "/nowhere/at/all"),
        (&["--pods", "1", "--metadata", "nowhere"], 1, "there is no node \"nowhere\""),
        (&["--pods", "1", "--kubelets", "nowhere"], 1, "there is no node \"nowhere\""),
        (&["--pods", "1", "--ca-out", "/nowhere/at/all"], 1, "/nowhere/at/all"),
        (&["--churn", "-1"], 2, "--churn"),
        (&["--pods", "9999999"], 2, "--pods"),
        (&["--uniform-pods", "--nodes", "3"], 2, "--nodes"),
        (&["--pods", "1", "--nri", "/proc/nowhere/nri.sock"], 1, "/proc/nowhere/nri.sock"),
        (&["--nri", "/tmp/nri.sock", "--nri-version", "0.5"], 2, "none of the versions"),
        (&["--nri-rate", "1"], 2, "--nri"),
    ];
    for (arguments, status, said) in refused {
        let output = timeout(PATIENCE, program(arguments).output()).await.unwrap().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {text}");
        assert!(text.contains(said), "{arguments:?}: {text}");
    }
}

#[tokio::test]
async fn help_shows_how_it_is_used() {
    let output = timeout(PATIENCE, program(&["--help"]).output()).await.unwrap().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0));
    for option in [
        "--nodes",
        "--pods",
        "--seed",
        "--churn",
        "--port",
        "--kubeconfig-out",
        "--metadata",
        "--kubelets",
        "--nri",
        "Examples:",
    ] {
        assert!(text.contains(option), "{option}");
    }
}
