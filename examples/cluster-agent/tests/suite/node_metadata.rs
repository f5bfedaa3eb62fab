//! Leases of nodes' metadata → labels of their series, by the agent as it runs in a cluster.

use std::collections::BTreeSet;
use std::time::Duration;

use cluster_sim::metadata::{Machine, MetadataServer};
use cluster_sim::population::PopulationSpec;
use cluster_sim::{Deny, Sim, Verb};
use node_lease::source::aws::Imds;
use node_lease::{Contract, LeaseWriter, WriterHandle};
use serde_json::{Map, Value, json};

use crate::support::{Host, PATIENCE, command, get, get_until, run};

const AGENT: &str = env!("CARGO_BIN_EXE_cluster-agent");
const NAMESPACE: &str = "amazon-cloudwatch";
const PREFIX: &str = "cwagent-node-metadata-";

async fn sim(nodes: u32) -> Sim {
    let sim = Sim::builder().population(&PopulationSpec::new(nodes, 20 * nodes)).start().await.unwrap();
    sim.create(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})).unwrap();
    sim
}

/// A node with all that is on it.
struct Member {
    name: String,
    metadata: MetadataServer,
    writer: WriterHandle,
}

/// A writer on each node, which asks and renews every second.
async fn members(sim: &Sim) -> Vec<Member> {
    let contract = Contract::cloudwatch().times(Duration::from_mins(1), Duration::from_secs(1)).unwrap();
    let mut members = Vec::new();
    for node in sim.list("v1", "nodes").unwrap() {
        let name = node["metadata"]["name"].as_str().unwrap().to_owned();
        let metadata = sim.metadata_of(&name).await.unwrap();
        let source = Imds::at(&metadata.url()).unwrap();
        let writer = LeaseWriter::builder(sim.client(), source, &*name, NAMESPACE, format!("writer-of-{name}"));
        let writer = writer.contract(contract.clone()).start_jitter(Duration::ZERO).build().unwrap().spawn().unwrap();
        members.push(Member { name, metadata, writer });
    }
    for member in &members {
        member.writer.held().await;
    }
    members
}

/// What is known of a machine, by the names of attributes.
fn attributes(machine: &Machine) -> [(&'static str, &str); 8] {
    [
        ("host.id", &machine.id),
        ("host.name", &machine.host_name),
        ("host.type", &machine.instance_type),
        ("host.image.id", &machine.image),
        ("cloud.availability_zone", &machine.zone),
        ("cloud.provider", "aws"),
        ("cloud.region", &machine.region),
        ("cloud.account.id", &machine.account),
    ]
}

/// The same as annotations of a Lease.
fn annotations(machine: &Machine) -> Value {
    let known = attributes(machine).into_iter().chain([("schema.version", "1")]);
    known.map(|(name, value)| (format!("cwagent.amazonaws.com/{name}"), value.into())).collect::<Map<_, _>>().into()
}

/// The same as labels, as they stand in a sample.
fn labels(machine: &Machine) -> String {
    let labels = attributes(machine).map(|(name, value)| format!(",{}=\"{value}\"", name.replace('.', "_")));
    labels.concat()
}

async fn agent(sim: &Sim, flags: &[&str]) -> Host {
    let url = sim.url();
    let off = ["--usage", "off", "--events", "off"];
    let fixed = ["--port", "0", "--apiserver", &url, "--resources", "nodes,pods,deployments,namespaces"];
    let fixed = [&fixed[..], &off].concat();
    let host = Host::start(command(AGENT, &[&fixed[..], flags].concat())).await;
    get_until(&format!("{}/readyz", host.url("serving at")), |answer| answer.status == 200).await;
    host
}

async fn samples(host: &Host) -> BTreeSet<String> {
    let text = get(&format!("{}/metrics", host.url("serving at"))).await.text();
    text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

async fn node_metadata(host: &Host) -> Value {
    let status = get(&format!("{}/status.json", host.url("serving at"))).await.text();
    serde_json::from_str::<Value>(&status).unwrap()["node_metadata"].clone()
}

/// The label of a sample, if it has it.
fn label<'a>(sample: &'a str, name: &str) -> Option<&'a str> {
    sample.split_once(&format!("{name}=\""))?.1.split('"').next()
}

#[tokio::test]
async fn all_series_of_thirteen_nodes_tell_their_machines_and_all_others_stay_as_they_are() {
    let sim = sim(13).await;
    let members = members(&sim).await;
    let types: BTreeSet<String> = members.iter().map(|member| member.metadata.machine().instance_type).collect();
    assert!(types.len() > 2, "several machine types: {types:?}");

    let machine_of = |node: &str| members.iter().find(|member| member.name == node).unwrap().metadata.machine();
    let leases = sim.list("coordination.k8s.io/v1", "leases").unwrap();
    let node_of = |lease: &Value| Some(lease["metadata"]["name"].as_str()?.strip_prefix(PREFIX)?.to_owned());
    let of_nodes: Vec<_> = leases.iter().filter_map(|lease| Some((node_of(lease)?, lease))).collect();
    assert_eq!(of_nodes.len(), 13);
    for (node, lease) in of_nodes {
        assert_eq!(lease["metadata"]["annotations"], annotations(&machine_of(&node)), "{node}");
    }

    let plain = samples(&agent(&sim, &["--node-metadata", "off"]).await).await;
    let host = agent(&sim, &[]).await;
    let told = node_metadata(&host).await;
    assert_eq!((told["state"].as_str(), told["nodes"].as_u64()), (Some("synced"), Some(13)), "{told}");
    let enriched = samples(&host).await;
    let bare: BTreeSet<String> = enriched
        .iter()
        .map(|sample| {
            if !sample.starts_with("kube_node_") {
                return sample.clone();
            }
            let labels = labels(&machine_of(label(sample, "node").unwrap()));
            assert_eq!(sample.matches(&labels).count(), 1, "{labels} in {sample}");
            sample.replace(&labels, "")
        })
        .collect();
    assert_eq!(bare, plain);
    assert!(plain.iter().any(|sample| sample.starts_with("kube_pod_info{")));

    // A machine is stopped, and started as a larger one.
    let changed = &members[4];
    changed.metadata.set_machine(changed.metadata.machine().instance_type("m7i.metal-48xl"));
    let now = "host_type=\"m7i.metal-48xl\"";
    let url = format!("{}/metrics?resources=nodes", host.url("serving at"));
    let text = get_until(&url, |answer| answer.text().contains(now)).await.text();
    for sample in text.lines().filter(|line| line.starts_with("kube_node_")) {
        assert_eq!(sample.contains(now), label(sample, "node") == Some(&changed.name), "{sample}");
    }
    sim.shutdown().await;
}

#[tokio::test]
async fn pods_get_chosen_labels_of_their_nodes_where_that_is_wanted() {
    let sim = sim(3).await;
    let members = members(&sim).await;
    let host =
        agent(&sim, &["--node-metadata-pods", "--node-metadata-labels", "host_type,cloud_availability_zone"]).await;
    assert_eq!(node_metadata(&host).await["series"], json!(["nodes", "pods"]));
    let samples = samples(&host).await;
    let infos: Vec<&String> = samples.iter().filter(|sample| sample.starts_with("kube_pod_info{")).collect();
    assert_eq!(infos.len(), 60);
    for info in infos {
        let machine = members.iter().find(|member| label(info, "node") == Some(&member.name));
        let machine = machine.map(|member| member.metadata.machine());
        assert_eq!(label(info, "host_type"), machine.as_ref().map(|machine| machine.instance_type.as_str()), "{info}");
        assert_eq!(label(info, "cloud_availability_zone"), machine.as_ref().map(|machine| machine.zone.as_str()));
        assert_eq!(label(info, "cloud_region"), None, "it was not chosen");
    }
    sim.shutdown().await;
}

#[tokio::test]
async fn without_rights_on_leases_it_runs_on_and_says_so_until_they_are_given() {
    let sim = sim(1).await;
    let _members = members(&sim).await;
    sim.deny(Deny::everything().verb(Verb::List).resource("leases"));
    let host = agent(&sim, &[]).await;
    assert!(samples(&host).await.iter().any(|sample| sample.starts_with("kube_node_info{")));
    let told = node_metadata(&host).await;
    assert_eq!((told["state"].as_str(), told["nodes"].as_u64()), (Some("failing"), Some(0)), "{told}");
    let error = told["error"].as_str().unwrap();
    assert!(error.contains("403") && error.contains("grant that verb"), "{error}");
    let page = get(&host.url("serving at")).await.text();
    assert!(page.contains("state bad\">failed") && page.contains("grant that verb"), "{page}");

    sim.allow_all();
    let url = format!("{}/metrics?resources=nodes", host.url("serving at"));
    get_until(&url, |answer| answer.text().contains("host_type=")).await;
    assert_eq!(node_metadata(&host).await["state"], "synced");
    sim.shutdown().await;
}

#[tokio::test]
async fn the_permissions_that_it_prints_are_those_that_it_uses() {
    const USER: &str = "system:serviceaccount:cluster-agent:cluster-agent";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("agent.yaml");
    // Objects that events are about would be looked up only where there are events about them.
    let export = json!({"events": {"checkpoint": "configmap:cluster-agent/position", "export": {
        "route": {"routes": [{"match": [{"receiver": "null"}]}]}, "omitLookup": true,
        "receivers": [{"name": "null", "file": {"path": folder.path().join("events")}}],
    }}});
    std::fs::write(&file, export.to_string()).unwrap();
    let flags = ["--resources", "nodes,pods", "--node-metadata-pods", "--config", file.to_str().unwrap()];
    let printed = run(AGENT, &[&["--print-rbac"], &flags[..]].concat()).await.stdout;
    let sim = Sim::builder().rbac(true).population(&PopulationSpec::new(1, 20)).start().await.unwrap();
    sim.create(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})).unwrap();
    for document in printed.split("---\n") {
        sim.create(serde_saphyr::from_str(document).unwrap()).unwrap();
    }
    let members = members(&sim).await;
    let kubeconfig = folder.path().join("kubeconfig");
    std::fs::write(&kubeconfig, serde_json::to_string(&sim.kubeconfig_as(USER)).unwrap()).unwrap();
    let mut command = command(AGENT, &[&["--port", "0"], &flags[..]].concat());
    command.env("KUBECONFIG", kubeconfig);
    let host = Host::start(command).await;
    let url = format!("{}/metrics", host.url("serving at"));
    let wanted = format!("host_id=\"{}\"", members[0].metadata.machine().id);
    get_until(&url, |answer| answer.text().contains(&wanted)).await;
    get_until(&format!("{}/readyz", host.url("serving at")), |answer| answer.status == 200).await;
    sim.create(json!({
        "apiVersion": "v1", "kind": "Event", "metadata": {"name": "one.event", "namespace": "default"},
        "involvedObject": {"kind": "Pod", "name": "one", "namespace": "default"}, "type": "Normal", "reason": "Killing",
        "firstTimestamp": sim.now().to_string(), "lastTimestamp": sim.now().to_string(), "count": 1,
    }))
    .unwrap();
    // A watch follows its list, after the agent is ready, and a position what was sent.
    let granted = sim.rights_granted(USER);
    let using = async {
        while sim.requests().rights_used(USER) != granted {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let all = tokio::time::timeout(PATIENCE, using).await;
    assert!(all.is_ok(), "{:?} of {granted:?}", sim.requests().rights_used(USER));
    assert_eq!(sim.requests().rights_refused(USER), BTreeSet::new());
    sim.shutdown().await;
}
