//! Parts of the agent on a simulated cluster: what they show, that one fails without the others, and that one can be
//! switched off.

use std::collections::BTreeSet;

use cluster_sim::population::PopulationSpec;
use cluster_sim::{Deny, Sim};
use serde_json::{Value, json};

use crate::support::{self, Host, command, get, get_until, get_with};

const AGENT: &str = env!("CARGO_BIN_EXE_cluster-agent");
const PODS: u32 = 30;

async fn sim() -> Sim {
    Sim::builder().population(&PopulationSpec::new(3, PODS)).start().await.unwrap()
}

async fn agent(sim: &Sim, flags: &[&str]) -> Host {
    let url = sim.url();
    let fixed = ["--port", "0", "--apiserver", &url, "--node-metadata", "off"];
    Host::start(command(AGENT, &[&fixed, flags].concat())).await
}

async fn ready(host: &Host) {
    get_until(&format!("{}/-/ready", host.url("serving at")), |answer| answer.status == 200).await;
}

async fn status(host: &Host) -> Value {
    serde_json::from_str(&get(&format!("{}/status.json", host.url("serving at"))).await.text()).unwrap()
}

/// How each part is, in the page's order.
async fn parts(host: &Host) -> Vec<String> {
    let status = status(host).await;
    let parts = status["parts"].as_array().unwrap();
    parts
        .iter()
        .map(|part| format!("{}: {}", part["name"].as_str().unwrap(), part["health"].as_str().unwrap()))
        .collect()
}

async fn metrics(host: &Host, query: &str) -> String {
    get(&format!("{}/metrics{query}", host.url("serving at"))).await.text()
}

async fn metrics_until(host: &Host, query: &str, wanted: impl Fn(&str) -> bool) -> String {
    let url = format!("{}/metrics{query}", host.url("serving at"));
    get_until(&url, |answer| wanted(&answer.text())).await.text()
}

fn label<'a>(sample: &'a str, name: &str) -> Option<&'a str> {
    let labels = sample.split_once('{')?.1;
    let at = labels.find(&format!("{name}=\"")).filter(|at| *at == 0 || labels[..*at].ends_with(','))?;
    labels[at + name.len() + 2..].split('"').next()
}

fn samples<'a>(text: &'a str, family: &str) -> Vec<&'a str> {
    text.lines().filter(|line| line.split('{').next() == Some(family)).collect()
}

fn write_event(sim: &Sim, reason: &str, count: u64) {
    sim.upsert(json!({
        "apiVersion": "v1", "kind": "Event",
        "metadata": {"name": format!("one.{}", reason.to_lowercase()), "namespace": "default"},
        "involvedObject": {"apiVersion": "v1", "kind": "Pod", "name": "one", "namespace": "default", "uid": "u"},
        "type": "Warning", "reason": reason, "message": "it failed", "source": {"component": "kubelet"},
        "firstTimestamp": sim.now().to_string(), "lastTimestamp": sim.now().to_string(), "count": count,
    }))
    .unwrap();
}

#[tokio::test]
async fn figures_of_kubelets_have_joined_labels_and_come_in_every_format() {
    let sim = sim().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("agent.yaml");
    let joins = "joins:\n  kube_pod_info: {labels_to_match: [namespace, pod], labels_to_get: [created_by_kind]}\n";
    std::fs::write(&file, joins).unwrap();
    let host = agent(&sim, &["--config", file.to_str().unwrap()]).await;
    ready(&host).await;
    let text = metrics_until(&host, "", |text| samples(text, "node_memory_working_set_bytes").len() == 3).await;
    let infos = samples(&text, "kube_pod_info");
    let memory = samples(&text, "pod_memory_working_set_bytes");
    assert!(memory.len() > 10, "{}", memory.len());
    for sample in memory {
        let uid = label(sample, "uid").unwrap();
        let info = infos.iter().find(|info| label(info, "uid") == Some(uid)).unwrap_or_else(|| panic!("{sample}"));
        for name in ["namespace", "pod", "node", "created_by_kind"] {
            assert_eq!(label(sample, name), label(info, name), "{name} of {sample}");
        }
    }
    // Each family stands once, with one type.
    let types: Vec<&str> = text.lines().filter(|line| line.starts_with("# TYPE ")).collect();
    let names: BTreeSet<&str> = types.iter().map(|line| line.split(' ').nth(2).unwrap()).collect();
    assert_eq!(names.len(), types.len());

    let accept = [("accept", "application/openmetrics-text;version=1.0.0")];
    let url = format!("{}/metrics?resources=usage", host.url("serving at"));
    let answer = get_with(&url, &accept).await;
    assert!(answer.header("content-type").starts_with("application/openmetrics-text"));
    let text = answer.text();
    assert!(text.contains("# TYPE pod_cpu_usage_seconds counter") && text.ends_with("# EOF\n"));
    assert!(!text.contains("kube_pod_info"));
    // There is one watch of pods, and one of nodes.
    let status = status(&host).await;
    assert_eq!(status["usage"]["shares_watches"], true);
    assert_eq!((status["usage"]["nodes"].as_u64(), status["usage"]["fresh"].as_u64()), (Some(3), Some(3)));
    sim.shutdown().await;
}

#[tokio::test]
async fn kubelets_are_asked_directly_where_that_is_wanted() {
    let sim = sim().await;
    sim.deny(Deny::everything().resource("nodes/proxy"));
    sim.add_token("secret", "agent");
    for node in sim.list("v1", "nodes").unwrap() {
        sim.kubelet(node["metadata"]["name"].as_str().unwrap()).start().await.unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("ca.pem"), sim.ca_pem().unwrap()).unwrap();
    std::fs::write(path("token"), "secret\n").unwrap();
    let direct = ["--resources", "nodes", "--usage-via", "direct", "--usage-kubelet-token", &path("token")];
    for trust in [["--usage-kubelet-ca", &path("ca.pem")].as_slice(), &["--usage-kubelet-insecure"]] {
        let host = agent(&sim, &[&direct, trust].concat()).await;
        ready(&host).await;
        metrics_until(&host, "?resources=usage", |text| samples(text, "node_memory_working_set_bytes").len() == 3)
            .await;
    }
    // Here is no service account whose authority it could be.
    let ended = support::run(AGENT, &[&["--port", "0", "--apiserver", &sim.url()], &direct[..]].concat()).await;
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("serviceaccount/ca.crt"), "{}", ended.stderr);
    sim.shutdown().await;
}

#[tokio::test]
async fn a_pod_that_is_gone_has_no_figures_and_limits_come_from_the_shared_watch() {
    let sim = sim().await;
    let host = agent(&sim, &["--usage-interval", "10s"]).await;
    ready(&host).await;
    let family = "container_memory_working_set_limit_ratio";
    let of_limits = |text: &str| text.lines().any(|line| line.contains("_ratio{"));
    let text = metrics_until(&host, "?resources=usage", of_limits).await;
    assert!(text.contains("_limit"), "{family} or the like in {text}");
    let sample = samples(&text, "pod_memory_working_set_bytes")[0];
    let [namespace, pod, uid] = ["namespace", "pod", "uid"].map(|name| label(sample, name).unwrap().to_owned());
    sim.delete(&cluster_sim::ObjectRef::new("v1", "Pod", &pod).within(&namespace)).unwrap();
    metrics_until(&host, "?resources=usage", |text| !text.contains(&uid)).await;
    sim.shutdown().await;
}

#[tokio::test]
async fn events_are_counted_by_what_they_are() {
    let sim = sim().await;
    let host = agent(&sim, &["--resources", "nodes"]).await;
    ready(&host).await;
    write_event(&sim, "Unhealthy", 3);
    let wanted = |count: u64| {
        format!("kube_events_total{{namespace=\"default\",type=\"Warning\",reason=\"Unhealthy\",kind=\"Pod\"}} {count}")
    };
    metrics_until(&host, "", |text| text.contains(&wanted(3))).await;
    write_event(&sim, "Unhealthy", 5);
    metrics_until(&host, "?resources=eventcounts", |text| text.contains(&wanted(5))).await;
    let status = status(&host).await;
    assert_eq!(
        status["events"]["top"][0],
        json!({"type": "Warning", "reason": "Unhealthy", "kind": "Pod", "occurrences": 5})
    );
    let page = get(&host.url("serving at")).await.text();
    assert!(page.contains("Most frequent events") && page.contains("Unhealthy"), "{page}");
    assert!(
        get(&format!("{}/self/metrics", host.url("serving at"))).await.text().contains("kube_events_source_synced 1")
    );
    sim.shutdown().await;
}

#[tokio::test]
async fn what_happens_while_no_agent_runs_is_sent_by_the_next() {
    let sim = sim().await;
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (file, sent) = (path("agent.yaml"), path("sent.jsonl"));
    let export = json!({"events": {"checkpoint": format!("file:{}", path("position")), "export": {
        "route": {"routes": [{"match": [{"receiver": "file"}]}]},
        "receivers": [{"name": "file", "file": {"path": sent}}],
    }}});
    std::fs::write(&file, export.to_string()).unwrap();
    let reasons = || {
        let lines = std::fs::read_to_string(&sent).unwrap_or_default();
        let reason = |line: &str| serde_json::from_str::<Value>(line).unwrap()["reason"].as_str().unwrap().to_owned();
        // The last line may be half there.
        lines.split_inclusive('\n').filter(|line| line.ends_with('\n')).map(reason).collect::<Vec<_>>()
    };
    for [before, during] in [["BackOff", "Killing"], ["Unhealthy", "FailedMount"]] {
        let host = agent(&sim, &["--resources", "nodes", "--usage", "off", "--config", &file]).await;
        ready(&host).await;
        write_event(&sim, before, 1);
        let last = async {
            while reasons().last().map(String::as_str) != Some(before) {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(support::PATIENCE, last).await.expect("it is sent");
        let ended = host.terminate().await;
        assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
        assert!(!ended.stderr.contains("the stream ended"), "{}", ended.stderr);
        write_event(&sim, during, 1);
    }
    assert_eq!(reasons(), ["BackOff", "Killing", "Unhealthy"]);
    sim.shutdown().await;
}

#[tokio::test]
async fn kubelets_that_may_not_be_asked_leave_the_others_alone() {
    let sim = sim().await;
    sim.deny(Deny::everything().resource("nodes/proxy"));
    let host = agent(&sim, &["--resources", "nodes,pods"]).await;
    ready(&host).await;
    let url = format!("{}/status.json", host.url("serving at"));
    get_until(&url, |answer| {
        let text = answer.text();
        text.contains("nodes/proxy")
            && text.contains("3 nodes: ")
            && text.contains("{\"name\":\"Events\",\"health\":\"ok\"")
    })
    .await;
    let want = [
        "Cluster state: ok",
        "Node metadata: absent",
        "Usage by kubelets: failed",
        "Events: ok",
        "OTLP push: absent",
        "Configuration: absent",
    ];
    assert_eq!(parts(&host).await, want);
    let text = metrics(&host, "").await;
    assert_eq!(samples(&text, "kube_pod_info").len(), PODS as usize);
    assert!(samples(&text, "pod_memory_working_set_bytes").is_empty());
    let page = get(&host.url("serving at")).await.text();
    assert!(
        page.contains("state bad\">failed") && page.contains("3 nodes: ") && page.contains("nodes/proxy"),
        "{page}"
    );
    let healthy = get(&format!("{}/-/healthy", host.url("serving at"))).await;
    assert_eq!(healthy.status, 200);
    assert!(healthy.text().contains("Usage by kubelets: failed (3 nodes: "), "{}", healthy.text());
    sim.shutdown().await;
}

#[tokio::test]
async fn events_that_may_not_be_read_leave_the_others_alone_and_come_when_they_may() {
    let sim = sim().await;
    sim.deny(Deny::everything().resource("events"));
    let host = agent(&sim, &["--resources", "nodes,pods"]).await;
    ready(&host).await;
    let text = metrics_until(&host, "", |text| samples(text, "node_memory_working_set_bytes").len() == 3).await;
    assert_eq!(samples(&text, "kube_pod_info").len(), PODS as usize);
    let url = format!("{}/status.json", host.url("serving at"));
    get_until(&url, |answer| answer.text().contains("{\"name\":\"Events\",\"health\":\"failed\"")).await;
    let told = status(&host).await["events"]["error"].as_str().unwrap().to_owned();
    assert!(told.contains("403") || told.contains("forbidden"), "{told}");
    sim.allow_all();
    get_until(&url, |answer| answer.text().contains("{\"name\":\"Events\",\"health\":\"ok\"")).await;
    sim.shutdown().await;
}

#[tokio::test]
async fn without_rights_on_pods_nothing_waits_for_ever() {
    let sim = sim().await;
    sim.deny(Deny::everything().resource("pods"));
    let host = agent(&sim, &["--resources", "nodes,pods"]).await;
    let url = format!("{}/status.json", host.url("serving at"));
    get_until(&url, |answer| answer.text().contains("{\"name\":\"Cluster state\",\"health\":\"degraded\"")).await;
    let waits = get(&format!("{}/-/ready", host.url("serving at"))).await;
    assert_eq!(waits.status, 503);
    assert!(waits.text().starts_with("not ready yet:\nCluster state: degraded (1 failing; pods: "), "{}", waits.text());
    metrics_until(&host, "", |text| samples(text, "kube_node_info").len() == 3).await;
    get_until(&url, |answer| answer.text().contains("{\"name\":\"Events\",\"health\":\"ok\"")).await;
    sim.allow_all();
    ready(&host).await;
    sim.shutdown().await;
}

#[tokio::test]
async fn parts_that_are_switched_off_ask_nobody() {
    let sim = sim().await;
    let host = agent(&sim, &["--resources", "nodes", "--usage", "off", "--events", "off"]).await;
    ready(&host).await;
    assert_eq!(parts(&host).await[2..4], ["Usage by kubelets: absent", "Events: absent"]);
    let text = metrics(&host, "").await;
    assert!(text.contains("kube_node_info{") && !text.contains("node_memory_working_set_bytes"));
    assert_eq!(sim.kubelets().requests().total(), 0);
    let page = get(&host.url("serving at")).await.text();
    assert!(!page.contains("Most processor") && !page.contains("Most frequent events"));
    sim.shutdown().await;
}

#[tokio::test]
async fn shards_show_all_figures_and_counts_once() {
    let sim = sim().await;
    let shard = async |number: &str| {
        let host = agent(&sim, &["--resources", "nodes,pods", "--shard", number, "--total-shards", "2"]).await;
        ready(&host).await;
        host
    };
    let hosts = [shard("0").await, shard("1").await];
    for reason in ["Unhealthy", "BackOff", "Killing", "FailedMount"] {
        write_event(&sim, reason, 1);
    }
    let url = |host: &Host| format!("{}/metrics", host.url("serving at"));
    let all = async || {
        let texts = [get(&url(&hosts[0])).await.text(), get(&url(&hosts[1])).await.text()];
        ["pod_memory_working_set_bytes", "kube_pod_info", "kube_events_total", "node_memory_working_set_bytes"].map(
            |family| {
                let uids = texts.each_ref().map(|text| {
                    samples(text, family)
                        .iter()
                        .map(|sample| sample.rsplit_once(' ').unwrap().0.to_owned())
                        .collect::<BTreeSet<_>>()
                });
                assert!(uids[0].is_disjoint(&uids[1]), "{family}");
                (uids[0].len() + uids[1].len(), uids[0].len())
            },
        )
    };
    let told = tokio::time::timeout(support::PATIENCE, async {
        loop {
            let told = all().await;
            if (told[1].0, told[2].0, told[3].0) == (PODS as usize, 4, 3) && told[0].0 > 10 {
                return told;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    });
    let told = told.await.expect("all is shown");
    assert!(told[0].1 > 0 && told[0].1 < told[0].0, "both have a part: {told:?}");
    assert_eq!(status(&hosts[1]).await["shard"], "1 of 2");
    assert_eq!(status(&hosts[1]).await["usage"]["shares_watches"], false);
    sim.shutdown().await;
}

#[tokio::test]
async fn of_namespaces_that_are_not_shown_nothing_is_told() {
    let sim = sim().await;
    let pods = sim.list("v1", "pods").unwrap();
    let shown = pods[0]["metadata"]["namespace"].as_str().unwrap().to_owned();
    assert!(pods.iter().any(|pod| pod["metadata"]["namespace"] != shown.as_str()), "there are others");
    let host = agent(&sim, &["--resources", "nodes,pods", "--namespaces", &shown]).await;
    ready(&host).await;
    let text = metrics_until(&host, "", |text| !samples(text, "pod_memory_working_set_bytes").is_empty()).await;
    let memory = samples(&text, "pod_memory_working_set_bytes");
    assert!(memory.iter().all(|sample| label(sample, "namespace") == Some(&*shown)), "{memory:?}");
    let status = status(&host).await;
    assert!(status["usage"]["pods"].as_u64().unwrap() < u64::from(PODS));
    for talker in status["usage"]["top_memory"].as_array().unwrap() {
        assert_eq!(talker["namespace"], shown.as_str());
    }
    sim.shutdown().await;
}
