//! A simulated cluster's kubelets, directly and behind its API server → the cache.

use std::time::Duration;

use cluster_sim::kubelet::{Certificate, KubeletFault, Way};
use cluster_sim::{Fault, ObjectRef, Sim, Verb};
use k8s_openapi::api::core::v1::Node;
use kubelet_summary::fetch::rbac::{self, Rule};
use kubelet_summary::fetch::{Direct, DirectBuilder, FetchError, Fetcher, NodeProxy, Peer, TlsProblem, Token, Trust};
use kubelet_summary::{KubeletSummary, MissingReason, NodeOutcome, NodeTarget, SummaryCache};
use serde_json::{Value, json};

const USER: &str = "system:serviceaccount:monitoring:reader";

fn node(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": name},
        "status": {"capacity": {"cpu": "4", "memory": "16Gi"}, "nodeInfo": {"kubeletVersion": "v1.36.0"}},
    })
}

fn pod(name: &str, node: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"},
        "spec": {"nodeName": node, "containers": [{"name": "app", "image": "app"}]},
        "status": {
            "phase": "Running", "podIP": "10.1.2.3", "startTime": "2026-01-02T00:00:00Z",
            "containerStatuses": [{
                "name": "app", "ready": true, "restartCount": 0,
                "state": {"running": {"startedAt": "2026-01-02T00:00:00Z"}},
            }],
        },
    })
}

/// The nodes `a`, `b` and `c` with a pod each.
async fn sim() -> Sim {
    let names = ["a", "b", "c"];
    let pods = names.map(|name| pod(&format!("on-{name}"), name));
    Sim::builder().objects(names.map(node)).objects(pods).start().await.unwrap()
}

/// The same, where a service account may do what these rules say and nothing else.
async fn guarded(rules: &[Rule]) -> Sim {
    let rules: Vec<Value> = rules
        .iter()
        .map(|rule| json!({"apiGroups": rule.api_groups, "resources": rule.resources, "verbs": rule.verbs}))
        .collect();
    let group = "rbac.authorization.k8s.io";
    let role = json!({
        "apiVersion": format!("{group}/v1"), "kind": "ClusterRole", "metadata": {"name": "reader"}, "rules": rules,
    });
    let binding = json!({
        "apiVersion": format!("{group}/v1"), "kind": "ClusterRoleBinding", "metadata": {"name": "reader"},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "reader"},
        "subjects": [{"kind": "ServiceAccount", "namespace": "monitoring", "name": "reader"}],
    });
    let builder = Sim::builder().rbac(true).token("admin").token_of("s3cret", USER);
    builder.objects([node("a"), pod("on-a", "a"), role, binding]).start().await.unwrap()
}

fn target(sim: &Sim, name: &str) -> NodeTarget {
    let node = sim.get(&ObjectRef::new("v1", "Node", name)).unwrap().unwrap();
    NodeTarget::from_node(&serde_json::from_value::<Node>(node).unwrap()).unwrap()
}

fn direct(sim: &Sim) -> DirectBuilder {
    Direct::builder().trust(Trust::Pem(sim.ca_pem().unwrap())).token(Token::Fixed("s3cret".into()))
}

fn pods(outcome: &NodeOutcome) -> Vec<&str> {
    outcome.summary().map(|summary| summary.pods.iter().map(|pod| pod.pod_ref.name()).collect()).unwrap_or_default()
}

#[tokio::test]
async fn each_way_needs_its_right_and_no_more() {
    let sim = guarded(rbac::DIRECT).await;
    let kubelet = sim.kubelet("a").start().await.unwrap();
    let (node, proxy) = (target(&sim, "a"), NodeProxy::new(sim.client_as(USER)));
    assert_eq!(direct(&sim).build().unwrap().fetch(&node).await.unwrap().pods.len(), 1);
    let error = proxy.fetch(&node).await.unwrap_err();
    assert!(matches!(error, FetchError::Forbidden { by: Peer::ApiServer, .. }), "{error:?}");
    assert!(error.to_string().contains("grant `get` on `nodes/proxy`"), "{error}");
    sim.revoke_token("s3cret");
    let error = direct(&sim).build().unwrap().fetch(&node).await.unwrap_err();
    assert!(matches!(error, FetchError::Unauthorized { by: Peer::Kubelet, .. }), "{error:?}");
    kubelet.shutdown().await;

    let sim = guarded(rbac::NODE_PROXY).await;
    sim.kubelet("a").start().await.unwrap();
    let (node, proxy) = (target(&sim, "a"), NodeProxy::new(sim.client_as(USER)));
    assert_eq!(proxy.fetch(&node).await.unwrap().pods.len(), 1);
    let error = direct(&sim).build().unwrap().fetch(&node).await.unwrap_err();
    assert!(matches!(error, FetchError::Forbidden { by: Peer::Kubelet, .. }), "{error:?}");
    assert!(error.to_string().contains("grant `get` on `nodes/stats`"), "{error}");

    let sim = guarded(rbac::READ_ONLY_PORT).await;
    let kubelet = sim.kubelet("a").read_only_port(0).start().await.unwrap();
    let port = kubelet.read_only_url().unwrap().rsplit(':').next().unwrap().trim_end_matches('/').parse().unwrap();
    let direct = Direct::builder().read_only_port().port(port).build().unwrap();
    assert_eq!(direct.fetch(&target(&sim, "a")).await.unwrap().pods.len(), 1);
}

#[tokio::test]
async fn certificates_of_kubelets_are_checked_at_the_port() {
    let sim = guarded(rbac::DIRECT).await;
    let kubelet = sim.kubelet("a").start().await.unwrap();
    let (node, direct) = (target(&sim, "a"), direct(&sim).build().unwrap());
    for certificate in [
        Certificate::SelfSigned,
        Certificate::UnknownAuthority,
        Certificate::WithoutSans,
        Certificate::WrongSan,
        Certificate::Expired,
    ] {
        kubelet.set_certificate(certificate).unwrap();
        let error = direct.fetch(&node).await.unwrap_err();
        let FetchError::Tls { problem, .. } = error else { panic!("{certificate:?}: {error:?}") };
        let right = match certificate {
            Certificate::WithoutSans => problem == TlsProblem::WrongName { presented: Vec::new() },
            Certificate::WrongSan => matches!(problem, TlsProblem::WrongName { .. }),
            Certificate::Expired => problem == TlsProblem::Expired,
            _ => problem == TlsProblem::UnknownAuthority,
        };
        assert!(right, "{certificate:?}: {problem:?}");
    }
    assert_eq!(sim.kubelets().requests().summaries("a"), 0);
    kubelet.set_certificate(Certificate::Signed).unwrap();
    assert!(direct.fetch(&node).await.is_ok());
}

#[tokio::test]
async fn one_fetch_per_node_behind_the_proxy_whoever_asks() {
    let sim = sim().await;
    let cache = SummaryCache::builder(NodeProxy::new(sim.client_in_memory())).build();
    let nodes = ["a", "b", "c"].map(NodeTarget::new);
    let callers = (0..50).map(|_| cache.get_many(&nodes, Duration::from_secs(30)));
    for answers in futures::future::join_all(callers).await {
        let names: Vec<_> = answers.iter().map(|answer| pods(&answer.outcome)).collect();
        assert_eq!(names, [["on-a"], ["on-b"], ["on-c"]]);
    }
    for node in ["a", "b", "c"] {
        assert_eq!(sim.kubelets().requests().summaries_by(node, Way::Proxy), 1);
    }
}

#[tokio::test]
async fn what_fails_is_named_and_the_rest_is_there() {
    let sim = sim().await;
    let proxy = NodeProxy::new(sim.client()).max_bytes(1 << 20);
    let cache = SummaryCache::builder(proxy).build();
    sim.kubelets().faults().add(KubeletFault::on("b").hang());
    sim.kubelets().set_down("c", true);
    let nodes = ["a", "b", "c", "nobody"].map(NodeTarget::new);
    let answers = cache.get_many(&nodes, Duration::from_secs(2)).await;
    let [a, b, c, nobody] = &*answers else { panic!("{answers:?}") };
    assert_eq!(pods(&a.outcome), ["on-a"]);
    assert!(matches!(b.outcome.reason(), Some(MissingReason::Deadline)), "{b:?}");
    let error = |outcome: &NodeOutcome| outcome.reason().and_then(MissingReason::error).cloned().unwrap();
    assert!(matches!(*error(&c.outcome), FetchError::KubeletUnreachable { .. }), "{c:?}");
    assert!(matches!(*error(&nobody.outcome), FetchError::NotFound { by: Peer::ApiServer, .. }), "{nobody:?}");
    cache.shutdown().await;
    sim.shutdown().await;
}

#[tokio::test]
async fn a_dead_kubelet_is_asked_once_also_by_a_client_that_retries() {
    let sim = sim().await;
    let config = sim.kube_config();
    assert!(config.default_retry, "kube's clients retry by themselves");
    let proxy = NodeProxy::new(kube::Client::try_from(config).unwrap());
    sim.kubelets().set_down("a", true);
    sim.kubelets().faults().add(KubeletFault::on("b").status(503));
    sim.kubelets().faults().add(KubeletFault::on("c").status(504));
    for node in ["a", "b", "c"] {
        let asked = sim.requests().total();
        let error = proxy.fetch(&NodeTarget::new(node)).await.unwrap_err();
        assert!(matches!(error, FetchError::KubeletUnreachable { .. } | FetchError::Server { .. }), "{error:?}");
        assert_eq!(sim.requests().total() - asked, 1, "{node}");
    }
    // What goes well is as it is.
    sim.kubelets().faults().clear();
    assert_eq!(proxy.fetch(&NodeTarget::new("b")).await.unwrap().pods.len(), 1);
    sim.shutdown().await;
}

#[tokio::test]
async fn a_watch_that_fails_says_so_at_its_first_try() {
    let sim = sim().await;
    sim.faults().add(Fault::on(Verb::List).resource("pods").status(503));
    let summary = KubeletSummary::from_config(sim.kube_config()).unwrap().spawn().unwrap();
    // A client that retries by itself would try for minutes before.
    let failing = summary.inventory().wait_for(|status| status.pods.failing.is_some());
    tokio::time::timeout(Duration::from_secs(30), failing).await.unwrap();
    summary.shutdown().await;
    sim.shutdown().await;
}

#[tokio::test]
async fn odd_documents_are_read_and_broken_ones_named() {
    let sim = sim().await;
    let proxy = NodeProxy::new(sim.client_in_memory()).max_bytes(1 << 20);
    let asked = async |fault: KubeletFault| {
        sim.kubelets().faults().clear();
        sim.kubelets().faults().add(fault);
        proxy.fetch(&NodeTarget::new("a")).await
    };
    for fault in [
        KubeletFault::on("a").null_times(),
        KubeletFault::on("a").null_arrays(),
        KubeletFault::on("a").no_pods(),
        KubeletFault::on("a").duplicate_pods(),
        KubeletFault::on("a").ended_containers(),
        KubeletFault::on("a").future_fields(),
    ] {
        let told = format!("{fault:?}");
        let summary = asked(fault).await.unwrap_or_else(|error| panic!("{told}: {error}"));
        assert!(summary.node.node_name.as_str() == "a" && summary.pods.len() <= 1, "{told}");
    }
    let malformed = asked(KubeletFault::on("a").invalid_json()).await.unwrap_err();
    assert!(matches!(malformed, FetchError::Malformed { .. }), "{malformed:?}");
    let malformed = asked(KubeletFault::on("a").truncate()).await.unwrap_err();
    assert!(matches!(malformed, FetchError::Malformed { .. } | FetchError::Broken { .. }), "{malformed:?}");
    let large = asked(KubeletFault::on("a").huge(64 << 20)).await.unwrap_err();
    assert!(matches!(large, FetchError::TooLarge { .. }), "{large:?}");
    let failed = asked(KubeletFault::on("a").status(500)).await.unwrap_err();
    assert!(matches!(failed, FetchError::Server { status: 500, .. }), "{failed:?}");
}

#[test]
fn the_readme_states_the_rights() {
    let readme = include_str!("../../README.md");
    for (way, rules) in [("`Direct`", rbac::DIRECT), ("`NodeProxy`", rbac::NODE_PROXY)] {
        let [rule] = rules else { panic!("{rules:?}") };
        let ([group], [resource], [verb]) = (rule.api_groups, rule.resources, rule.verbs) else { panic!("{rule:?}") };
        let yaml = format!("- {{apiGroups: [\"{group}\"], resources: [\"{resource}\"], verbs: [\"{verb}\"]}}");
        let line = readme.lines().find(|line| line.starts_with(&format!("| {way}"))).unwrap();
        assert!(line.contains(&yaml), "{line} lacks {yaml}");
    }
    assert!(rbac::READ_ONLY_PORT.is_empty());
}
