//! The binary: the Lease that it keeps, its page and health, and how it ends.

use cluster_sim::metadata::MetadataServer;
use cluster_sim::population::PopulationSpec;
use cluster_sim::{ObjectRef, Sim};
use serde_json::{Value, json};

use crate::support::{Host, QUIET, command, get, get_until, run};

const WRITER: &str = env!("CARGO_BIN_EXE_lease-writer");
const NAMESPACE: &str = "amazon-cloudwatch";

/// A writer that is up, and writes or tries to.
async fn start(flags: &[&str]) -> Host {
    Host::start_until(command(WRITER, &[&["--port", "0"], flags].concat()), "writing Lease ").await
}

async fn status_when(host: &Host, state: &str) -> Value {
    let url = format!("{}/status.json", host.url("serving at"));
    let state = format!("\"state\":\"{state}\"");
    serde_json::from_str(&get_until(&url, |answer| answer.text().contains(&state)).await.text()).unwrap()
}

/// A cluster of the test's own, and a node of it.
struct Cluster {
    sim: Sim,
    url: String,
    node: String,
    metadata: MetadataServer,
}

impl Cluster {
    async fn start() -> Self {
        let sim = Sim::builder().population(&PopulationSpec::new(1, 20)).start().await.unwrap();
        sim.create(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})).unwrap();
        let node = sim.list("v1", "nodes").unwrap().remove(0)["metadata"]["name"].as_str().unwrap().to_owned();
        let metadata = sim.metadata_of(&node).await.unwrap();
        Self { url: sim.url(), sim, node, metadata }
    }

    /// A writer on the node.
    async fn writer(&self, flags: &[&str]) -> Host {
        let endpoint = self.metadata.url();
        let fixed = ["--apiserver", &self.url, "--node-name", &self.node, "--imds-endpoint", &endpoint];
        start(&[&fixed[..], &["--source", "aws", "--start-jitter", "0s"], flags].concat()).await
    }

    fn lease(&self) -> Option<Value> {
        let name = format!("cwagent-node-metadata-{}", self.node);
        self.sim.get(&ObjectRef::new("coordination.k8s.io/v1", "Lease", name).within(NAMESPACE)).unwrap()
    }
}

#[tokio::test]
async fn on_a_laptop_it_writes_the_lease_of_a_simulated_node() {
    let host = start(QUIET).await;
    let status = status_when(&host, "held").await;
    let (node, lease) = (status["node"].as_str().unwrap(), status["lease"].as_str().unwrap());
    assert!(host.said.contains(&format!("writing Lease {NAMESPACE}/{lease}")), "{:?}", host.said);

    let api = status["cluster"].as_str().unwrap().rsplit(' ').next().unwrap();
    let get_object =
        async |path: String| serde_json::from_str::<Value>(&get(&format!("{api}{path}")).await.text()).unwrap();
    let lease = get_object(format!("/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/{lease}")).await;
    let node = get_object(format!("/api/v1/nodes/{node}")).await;
    let annotation = |name: &str| lease["metadata"]["annotations"][format!("cwagent.amazonaws.com/{name}")].as_str();
    assert_eq!(annotation("host.id"), node["spec"]["providerID"].as_str().unwrap().rsplit('/').next());
    assert_eq!(annotation("host.type"), node["metadata"]["labels"]["node.kubernetes.io/instance-type"].as_str());
    assert_eq!(annotation("cloud.region"), node["metadata"]["labels"]["topology.kubernetes.io/region"].as_str());
    assert!(annotation("host.image.id").unwrap().starts_with("ami-"), "only the metadata service knows it");
    assert_eq!(lease["metadata"]["ownerReferences"][0]["uid"], node["metadata"]["uid"]);
    assert_eq!(lease["spec"]["leaseDurationSeconds"], 7_200);
    assert_eq!(lease["spec"]["holderIdentity"], status["holder"]);
    assert_eq!(status["metadata"].as_array().unwrap().len(), 8);
}

#[tokio::test]
async fn it_shows_how_it_is_doing() {
    let host = start(QUIET).await;
    let url = host.url("serving at");
    let status = status_when(&host, "held").await;
    let page = get(&url).await;
    let policy = page.header("content-security-policy").to_owned();
    let text = page.text();
    for part in ["simulated cluster", "state good\">held", "host.image.id", status["lease"].as_str().unwrap()] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(policy.contains("default-src 'none'") && !text.contains("src=") && !text.contains("https://"));
    let part = get(&format!("{url}/live")).await.text();
    assert!(part.contains("<dl") && !part.contains("<html"), "{part}");
    for path in ["/healthz", "/readyz"] {
        assert_eq!(get(&format!("{url}{path}")).await.status, 200, "{path}");
    }
    let metrics = get(&format!("{url}/metrics")).await.text();
    for line in ["# HELP node_lease_held ", "node_lease_held 1", "node_lease_writes_total{result=\"success\"} 1"] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
}

#[tokio::test]
async fn a_lease_goes_with_its_writer_or_stays_as_is_wanted() {
    let cluster = Cluster::start().await;
    for (flags, said, stays) in
        [(&["--on-stop", "keep"][..], "is kept: it ends by itself", true), (&[][..], "was deleted", false)]
    {
        let host = cluster.writer(flags).await;
        status_when(&host, "held").await;
        assert!(cluster.lease().is_some());
        let ended = host.terminate().await;
        assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
        assert!(ended.stdout.starts_with("the Lease ") && ended.stdout.contains(said), "{}", ended.stdout);
        assert_eq!(cluster.lease().is_some(), stays);
    }
}

#[tokio::test]
async fn the_pod_that_is_replaced_leaves_the_lease_to_its_successor() {
    let cluster = Cluster::start().await;
    let often = ["--renew-interval", "1s", "--lease-duration", "1m"];
    let old = cluster.writer(&[&often[..], &["--pod-name", "old"]].concat()).await;
    status_when(&old, "held").await;
    let new = cluster.writer(&[&often[..], &["--pod-name", "new"]].concat()).await;
    status_when(&new, "held").await;
    let status = status_when(&old, "superseded").await;
    assert_eq!(status["reason"], "new has taken the Lease over");
    let ended = old.terminate().await;
    assert!(ended.stdout.contains("is not this writer's"), "{}", ended.stdout);
    assert_eq!(cluster.lease().unwrap()["spec"]["holderIdentity"], "new");
}

#[tokio::test]
async fn what_it_can_not_find_out_it_says() {
    let cluster = Cluster::start().await;
    cluster.metadata.set_disabled(true);
    let host = cluster.writer(&[]).await;
    let url = host.url("serving at");
    let ready = get_until(&format!("{url}/readyz"), |answer| answer.text().contains("no metadata yet")).await;
    assert_eq!(ready.status, 503);
    assert!(ready.text().contains("switch it on (on EC2 by HttpEndpoint)"), "{}", ready.text());
    assert!(get(&url).await.text().contains("switch it on (on EC2 by HttpEndpoint)"));
    // It is asked again.
    cluster.metadata.set_disabled(false);
    status_when(&host, "held").await;
}

#[tokio::test]
async fn what_can_not_be_is_refused_at_the_start() {
    let nowhere = ["--apiserver", "http://127.0.0.1:1"];
    let long = "n".repeat(240);
    for (flags, told) in [
        (&["--node-name", long.as_str()][..], "use a shorter prefix"),
        (&["--node-name", "Node"], "is no node's name"),
        (&["--node-name", "n", "--namespace", ""], "K8S_NAMESPACE"),
        (&["--node-name", "n", "--pod-name", ""], "the holder identity is empty"),
        (&["--node-name", "n", "--lease-prefix", "Acme-"], "no beginning of a name"),
        (&["--node-name", "n", "--renew-interval", "2h"], "longer than the interval"),
        (&["--node-name", "n", "--imds-endpoint", "https://x"], "must be"),
        (&["--node-name", "n", "--source", "gcp"], "possible values"),
        (&[], "K8S_NODE_NAME"),
    ] {
        let ended = run(WRITER, &[&nowhere, flags].concat()).await;
        assert_eq!(ended.status.code(), Some(2), "{flags:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(told), "{told} in {}", ended.stderr);
    }
    let ended = run(WRITER, &["--node-name", "n"]).await;
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("no cluster is configured"), "{}", ended.stderr);
    let ended = run(WRITER, &[QUIET, &["--node-name", "n"]].concat()).await;
    assert!(ended.stderr.contains("choose another --node-name"), "{}", ended.stderr);
}
