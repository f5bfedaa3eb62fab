//! The client whose connections keep little memory: what it reads at once, and that it does what kube's own does.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc;
use std::time::Duration;

use cluster_sim::{Fault, Sim, Verb};
use http::Request;
use http_body_util::BodyExt;
use kube::client::Body;
use kube::{Client, Config};
use kubelet_summary::NodeTarget;
use kubelet_summary::fetch::{FetchError, Fetcher, NodeProxy, lean_client};
use serde_json::json;

const USER: &str = "system:serviceaccount:monitoring:agent";

/// As much as a connection of a machine that was just booted takes without a reader.
const AHEAD: usize = 100_000;
const BODY: usize = 4_000_000;

/// The most that is taken at once by a client of a server that is far ahead of it.
fn read_at_once(client: impl FnOnce(Config) -> Client) -> usize {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = Config::new(format!("http://{}", listener.local_addr().unwrap()).parse().unwrap());
    let (tell, told) = mpsc::channel();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            request.extend(byte);
        }
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {BODY}\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&vec![b' '; AHEAD]).unwrap();
        tell.send(()).unwrap();
        stream.write_all(&vec![b' '; BODY - AHEAD]).unwrap();
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (most, all) = runtime.block_on(async {
        let response = client(config).send(Request::get("/").body(Body::empty()).unwrap()).await.unwrap();
        // Nothing is read meanwhile: this is the thread that would.
        told.recv_timeout(Duration::from_mins(1)).unwrap();
        let (mut body, mut most, mut all) = (response.into_body(), 0, 0);
        while let Some(frame) = body.frame().await {
            let read = frame.unwrap().into_data().unwrap().len();
            (most, all) = (most.max(read), all + read);
        }
        (most, all)
    });
    assert_eq!(all, BODY);
    server.join().unwrap();
    most
}

#[test]
fn its_connections_take_little_at_once_from_a_server_that_is_far_ahead() {
    let most = read_at_once(|config| lean_client(&config).unwrap());
    // A read of 16 KiB, and what was left of the one before it.
    assert!(most <= 32 << 10, "{most} bytes");
    // Which is what it is for.
    let most = read_at_once(|config| Client::try_from(config).unwrap());
    assert!(most > 32 << 10, "{most} bytes: kube's own client does as well");
}

#[tokio::test]
async fn it_is_who_the_configuration_says_and_trusts_whom_that_says() {
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "usage"},
        "rules": [{"apiGroups": [""], "resources": ["nodes/proxy"], "verbs": ["get"]}],
    });
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "usage"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "usage"},
        "subjects": [{"kind": "ServiceAccount", "namespace": "monitoring", "name": "agent"}],
    });
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "a"}});
    let sim = Sim::builder().tls(true).rbac(true).token("admin").objects([node, role, binding]).start().await.unwrap();
    let fetch = async |config: Config| NodeProxy::new(lean_client(&config).unwrap()).fetch(&NodeTarget::new("a")).await;

    assert_eq!(fetch(sim.kube_config_as(USER)).await.unwrap().node.node_name, "a");
    let nobody = fetch(sim.kube_config_as("system:serviceaccount:monitoring:other")).await.unwrap_err();
    assert!(matches!(nobody, FetchError::Forbidden { .. }), "{nobody:?}");
    let mut acting = sim.kube_config();
    acting.auth_info.impersonate = Some(USER.to_owned());
    fetch(acting).await.unwrap();
    assert_eq!(sim.requests().newest().last().unwrap().user, USER);

    let mut stranger = sim.kube_config_as(USER);
    stranger.root_cert = None;
    let error = fetch(stranger).await.unwrap_err();
    assert!(format!("{error:?}").contains("UnknownIssuer"), "{error:?}");
    sim.shutdown().await;
}

#[tokio::test]
async fn it_asks_once_also_where_the_configuration_says_otherwise() {
    let sim = Sim::builder().start().await.unwrap();
    sim.faults().add(Fault::on(Verb::NonResource).status(503));
    let mut config = sim.kube_config();
    config.default_retry = true;
    let answer =
        lean_client(&config).unwrap().send(Request::get("/version").body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!((answer.status().as_u16(), sim.requests().total()), (503, 1));
    sim.shutdown().await;
}

#[tokio::test]
async fn a_proxy_is_asked_as_kubes_own_client_asks_it() {
    let mut config = Config::new("https://192.0.2.1".parse().unwrap());
    // Which is for kube to say: this build of it knows no proxies.
    config.proxy_url = Some("http://127.0.0.1:1".parse().unwrap());
    let own = Client::try_from(config.clone()).map(drop).unwrap_err();
    assert_eq!(lean_client(&config).map(drop).unwrap_err().to_string(), own.to_string());
}
