//! Kubelets behind a node proxy, as one suite: it runs against the simulator, and against a real API server when the
//! environment variable `KUBE_AGENT_KIT_REAL_KUBECONFIG` names its kubeconfig. It reads only, unless
//! `KUBE_AGENT_KIT_REAL_KUBELETS` is `simulated`: then it brings nodes and pods, and takes them away again.

mod brought;

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use cluster_sim::Sim;
use cluster_sim::population::PopulationSpec;
use futures::FutureExt;
use http::Request;
use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, ListParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, ResourceExt};
use kubelet_summary::fetch::{Fetcher, NodeProxy, Peer};
use kubelet_summary::query::NodeGap;
use kubelet_summary::{FetchError, KubeletSummary, NodeTarget, Parts, Scope, Summary};
use serde_json::Value;
use tokio::sync::Mutex;

use brought::Brought;

/// Names the kubeconfig of a real server to run the suite against.
const REAL: &str = "KUBE_AGENT_KIT_REAL_KUBECONFIG";

/// Says, by the word `simulated`, that the real server has no kubelets but those that are brought.
const KUBELETS: &str = "KUBE_AGENT_KIT_REAL_KUBELETS";

/// How many nodes are asked one by one.
const NODES: u32 = 10;

/// A node that answers, of those first in the list. Where none does on a real server, that is said, and there is nothing
/// to see.
async fn answering(client: &Client) -> Option<NodeTarget> {
    let nodes = Api::<Node>::all(client.clone()).list(&ListParams::default().limit(NODES)).await.unwrap();
    let proxy = NodeProxy::new(client.clone());
    for node in &nodes.items {
        let target = NodeTarget::from_node(node).unwrap();
        match proxy.fetch(&target).await {
            Ok(_) => return Some(target),
            Err(error) => eprintln!("{} is passed over: {error}", node.name_any()),
        }
    }
    eprintln!("skipped: of {} nodes none has a kubelet that answers", nodes.items.len());
    None
}

/// What a kubelet says, as it comes.
async fn raw(client: &Client, node: &NodeTarget, query: &str) -> (Value, String) {
    let path = format!("/api/v1/nodes/{}/proxy/stats/summary{query}", node.name);
    let text = client.request_text(Request::get(path).body(Vec::new()).unwrap()).await.unwrap();
    (serde_json::from_str(&text).unwrap(), text)
}

async fn each_node_answers_for_itself_or_says_why_not(client: Client) -> bool {
    let nodes = Api::<Node>::all(client.clone()).list(&ListParams::default().limit(NODES)).await.unwrap();
    let proxy = NodeProxy::new(client);
    let mut answered = false;
    for node in &nodes.items {
        match proxy.fetch(&NodeTarget::from_node(node).unwrap()).await {
            Ok(summary) => {
                assert_eq!(summary.node.node_name.as_str(), node.name_any());
                answered = true;
            }
            Err(error) => assert!(!matches!(error, FetchError::Malformed { .. } | FetchError::Other(_)), "{error:?}"),
        }
    }
    answered
}

async fn nothing_of_a_document_is_lost(client: Client) -> bool {
    let Some(node) = answering(&client).await else { return false };
    let (said, text) = raw(&client, &node, "").await;
    let decoded = Summary::from_slice_keeping(text.as_bytes(), Parts::ALL).unwrap();
    let skipped = &decoded.skipped;
    assert_eq!((skipped.pods, skipped.unnamed, skipped.fields), (0, 0, 0), "{skipped:?}");
    let pods = said["pods"].as_array().cloned().unwrap_or_default();
    let uids: BTreeSet<&str> = pods.iter().filter_map(|pod| pod["podRef"]["uid"].as_str()).collect();
    let known: BTreeSet<&str> = decoded.summary.pods.iter().map(|pod| pod.pod_ref.uid()).collect();
    assert_eq!(known, uids);
    let node = &decoded.summary.node;
    let cpu = &said["node"]["cpu"]["usageCoreNanoSeconds"];
    let memory = &said["node"]["memory"]["workingSetBytes"];
    assert_eq!(node.cpu.usage_core_nano_seconds.get(), cpu.as_u64());
    assert_eq!(node.memory.working_set_bytes.get(), memory.as_u64());
    for pod in &decoded.summary.pods {
        let said = pods.iter().filter(|said| said["podRef"]["uid"] == pod.pod_ref.uid());
        let figures: Vec<_> = said.map(|said| said["ephemeral-storage"]["usedBytes"].as_u64()).collect();
        assert!(figures.contains(&pod.ephemeral_storage.used_bytes.get()), "{figures:?}");
    }
    true
}

async fn the_light_form_has_processors_and_memory_alone(client: Client) -> bool {
    let Some(node) = answering(&client).await else { return false };
    let light = NodeProxy::new(client).only_cpu_and_memory(true).parts(Parts::ALL).fetch(&node).await.unwrap();
    assert!(light.node.cpu.usage_core_nano_seconds.get().is_some());
    assert!(light.node.memory.working_set_bytes.get().is_some());
    assert!(light.pods.iter().all(|pod| pod.ephemeral_storage.used_bytes.get().is_none()));
    true
}

async fn a_node_that_is_not_there_is_named_by_the_server(client: Client) -> bool {
    let error = NodeProxy::new(client).fetch(&NodeTarget::new("no-such-node.invalid")).await.unwrap_err();
    assert!(matches!(error, FetchError::NotFound { by: Peer::ApiServer, .. }), "{error:?}");
    true
}

async fn the_front_door_answers_and_asks_once(client: Client) -> bool {
    let Some(node) = answering(&client).await else { return false };
    let summary = KubeletSummary::builder(client).deadline(Duration::from_secs(30)).spawn().unwrap();
    tokio::time::timeout(Duration::from_mins(1), summary.ready()).await.unwrap().unwrap();
    let scope = Scope::all().node(&*node.name);
    let usage = summary.usage(&scope).await.unwrap();
    assert!(usage.missing.is_empty(), "{:?}", usage.missing);
    assert!(usage.values.iter().all(|pod| pod.is_fresh() && pod.node() == &*node.name));
    let again = summary.usage(&scope).await.unwrap();
    let sent = |usage: &kubelet_summary::Usage| usage.values.first().map(kubelet_summary::PodUsage::requested_at);
    assert_eq!(sent(&usage), sent(&again), "it was asked twice within a TTL");
    // A partial answer names who is missing; nobody is forgotten.
    let all = summary.nodes().await.unwrap();
    assert_eq!(all.len(), summary.inventory().status().known_nodes);
    if let Ok(usage) = summary.usage(&Scope::all()).await {
        for missing in &usage.missing {
            assert!(matches!(missing.reason, NodeGap::NoDocument { .. }), "{missing:?}");
        }
        let names: BTreeSet<_> = usage.values.iter().map(|pod| (pod.pod().namespace(), pod.pod().name())).collect();
        assert_eq!(names.len(), usage.values.len(), "a pod is there once");
    }
    summary.shutdown().await;
    !usage.values.is_empty()
}

/// Against the simulator, where everything must be seen.
async fn simulated<F: Future<Output = bool>>(case: impl FnOnce(Client) -> F) {
    let sim = Sim::builder().population(&PopulationSpec::new(3, 40)).start().await.unwrap();
    let mut config = sim.kube_config();
    config.default_retry = false;
    assert!(case(Client::try_from(config).unwrap()).await, "nothing was seen");
    sim.shutdown().await;
}

/// Against a real server, if there is one.
async fn real<F: Future<Output = bool>>(case: impl FnOnce(Client) -> F) {
    let Some(path) = std::env::var_os(REAL) else {
        eprintln!("skipped: set {REAL} to the path of a kubeconfig to run this against a real API server");
        return;
    };
    let kubeconfig = Kubeconfig::read_from(path).unwrap();
    let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    config.default_retry = false;
    let client = Client::try_from(config).unwrap();
    match std::env::var(KUBELETS).as_deref() {
        Ok("simulated") => {
            // One after another: each would see the others' nodes come and go.
            static ONE: Mutex<()> = Mutex::const_new(());
            let _one = ONE.lock().await;
            let mut brought = Brought::none(&client).await;
            let seeing = async {
                brought.bring().await;
                case(client).await
            };
            let outcome = AssertUnwindSafe(seeing).catch_unwind().await;
            let left = brought.leave().await;
            assert!(outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic)), "nothing was seen");
            assert!(left.is_empty(), "{left:?}");
        }
        Ok(other) => panic!("{KUBELETS} is {other:?}: set it to `simulated`, or not at all"),
        Err(_) => {
            if !case(client).await {
                eprintln!("skipped: this server has no kubelets that answer; {KUBELETS}=simulated brings some");
            }
        }
    }
}

/// Make two tests of each case: one per kind of server.
macro_rules! cases {
    ($($case:ident),* $(,)?) => {
        mod against_the_simulator {
            $(#[tokio::test]
            async fn $case() {
                super::simulated(super::$case).await;
            })*
        }
        mod against_a_real_server {
            $(#[tokio::test]
            async fn $case() {
                super::real(super::$case).await;
            })*
        }
    };
}

cases! {
    each_node_answers_for_itself_or_says_why_not,
    nothing_of_a_document_is_lost,
    the_light_form_has_processors_and_memory_alone,
    a_node_that_is_not_there_is_named_by_the_server,
    the_front_door_answers_and_asks_once,
}
