//! Everything real that can be had: a containerd with its pods and their cgroups, the kernel's counters, the agent as a
//! process, and a Prometheus that scrapes it and is asked whose the processor's time is. Of the cluster there is the API
//! server of `cluster-sim`. Skipped, and said why, where something is missing.
#![cfg(target_os = "linux")]

// The containerd of nri-plugin's tests.
#[path = "../../../../../nri-plugin/tests/containerd/config.rs"]
mod config;
#[path = "../../../../../nri-plugin/tests/containerd/cri.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod cri;
#[path = "../../../../../nri-plugin/tests/containerd/image.rs"]
mod image;
#[path = "../../../../../nri-plugin/tests/containerd/installed.rs"]
mod installed;
#[path = "../../../../../nri-plugin/tests/containerd/node.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod node;
#[path = "../../../../../nri-plugin/tests/containerd/remains.rs"]
mod remains;

use std::fs;

use cluster_sim::population::PopulationSpec;
use cluster_sim::{ObjectRef, Sim};
use node::{Node, Pod, each, say, until};
use nri_plugin::cgroup::CgroupFs;
use serde_json::{Value, json};

use crate::prometheus_server::{Prometheus, value};
use crate::support::{self, Host, command, get, get_until};

const AGENT: &str = env!("CARGO_BIN_EXE_node-agent");
const NAMESPACE: &str = "amazon-cloudwatch";

/// Works a little, over and over.
const BUSY: &str = "while :; do i=0; while [ $i -lt 3000 ]; do i=$((i+1)); done; sleep 0.02; done";
/// Works until it has done that much, and then not at all.
const DONE: &str = "i=0; while [ $i -lt 400000 ]; do i=$((i+1)); done; sleep 1000000";

/// Who used how much in the last seconds, by what the runtime calls it.
const RATES: &str = "sum by (namespace, pod, container, pod_uid) \
    (rate(cgroup_perf_cpu_seconds_total[10s]) * on (container_id) group_left (pod_uid) node_agent_container_info)";
/// How much a container used in all.
const TOTALS: &str = "sum by (namespace, pod, container, pod_uid) \
    (cgroup_perf_cpu_seconds_total * on (container_id) group_left (pod_uid) node_agent_container_info)";

async fn run(node: &Node, pod: &Pod, name: &str, script: &str) -> String {
    let id = node.create(pod, name, &["/bin/sh", "-c", script], None).await.unwrap();
    node.cri.start_container(&id).await.unwrap();
    id
}

/// What the kernel says itself that a container used, in seconds.
fn used(node: &Node, cgroups: &CgroupFs, pod: &Pod, id: &str) -> f64 {
    let file = node.cgroup_of(cgroups.mount_point(), pod, id).join("cpu.stat");
    let text = fs::read_to_string(file).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("usage_usec ")).unwrap();
    line.trim().parse::<f64>().unwrap() / 1e6
}

fn named<'a>(found: &'a [Value], pod: &str, container: &str) -> Option<&'a Value> {
    let is = |found: &&Value| {
        found["metric"]["pod"] == pod
            && found["metric"]["container"] == container
            && found["metric"]["namespace"] == "tests"
    };
    found.iter().find(is)
}

/// Seconds that the hypervisor took from the processors so far: they are in the agent's figures, and the kernel leaves
/// them out of its account.
fn stolen() -> f64 {
    let stat = std::fs::read_to_string("/proc/stat").unwrap();
    let ticks = stat.lines().next().unwrap().split_whitespace().nth(8).unwrap();
    ticks.parse::<f64>().unwrap() / 100.0
}

async fn sim() -> (Sim, String) {
    let sim = Sim::builder().population(&PopulationSpec::new(1, 1)).start().await.unwrap();
    sim.create(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})).unwrap();
    let name = sim.list("v1", "nodes").unwrap().remove(0)["metadata"]["name"].as_str().unwrap().to_owned();
    (sim, name)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processor_time_is_told_by_the_names_that_containerd_has() {
    each(async |node| {
        let (sim, name) = sim().await;
        let cgroups = CgroupFs::discover().unwrap();
        // One pod is there before the agent, and one comes after it.
        let early = node.run_pod("early").await;
        let busy = run(node, &early, "busy", BUSY).await;
        let flags = [
            "--port=0",
            "--parts=lease,runtime,perf",
            "--interval=1s",
            "--source=node",
            "--start-jitter=0s",
            &format!("--node-name={name}"),
            &format!("--apiserver={}", sim.url()),
            &format!("--socket={}", node.nri_socket().display()),
        ];
        let host = Host::start(command(AGENT, &flags)).await;
        let agent = host.url("serving at");
        let ready = get_until(&format!("{agent}/-/ready"), |answer| answer.status == 200).await.text();
        if !ready.contains("perf: ok") {
            return say(&format!("skipped: {ready}"));
        }
        assert!(ready.contains("lease: ok\nruntime: ok\n"), "{ready}");
        let Some(prometheus) = Prometheus::scraping(&[("node-agent", &agent)]).await else { return };

        let late = node.run_pod("late").await;
        let steal = stolen();
        let done = run(node, &late, "done", DONE).await;
        let idle = node.run(&late, "idle").await;

        // The joined result: who works, by the runtime's names. (The image is told by NRI 0.12.2 and later.)
        let works = |found: &[Value]| named(found, "early", "busy").is_some_and(|found| value(found) > 0.0);
        let rates = prometheus.found_when(RATES, works).await;
        let found = named(&rates, "early", "busy").unwrap();
        assert_eq!(found["metric"]["pod_uid"], early.uid.as_str());
        assert!(value(found) <= 1.1, "one loop is no more than a core: {found}");

        // What the container used in all is what the kernel's own account says, once it does no more.
        let account = async || {
            loop {
                let before = used(node, &cgroups, &late, &done);
                tokio::time::sleep(std::time::Duration::from_secs(2)).await;
                let after = used(node, &cgroups, &late, &done);
                if before > 0.0 && (after - before).abs() < 1e-6 {
                    return after;
                }
            }
        };
        let account = tokio::time::timeout(support::PATIENCE, account()).await.expect("it has done its work");
        let allowed = 0.05 + account * 0.05;
        let near = account - allowed..account + allowed + stolen() - steal;
        let near = |found: &[Value]| named(found, "late", "done").is_some_and(|found| near.contains(&value(found)));
        let totals = prometheus.found_when(TOTALS, near).await;
        let found = named(&totals, "late", "done").unwrap();
        say(&format!("containerd {}: {:.4} s by the agent, {account:.4} s by cpu.stat", node.version(), value(found)));
        assert_eq!(found["metric"]["pod_uid"], late.uid.as_str());
        // One that sleeps is there, and did next to nothing.
        let idle = prometheus.found(&format!("node_agent_container_info{{container_id=\"{idle}\"}}")).await;
        assert_eq!(idle[0]["metric"]["container"], "idle");
        let rates = prometheus.query(RATES).await;
        assert!(named(&rates, "late", "idle").is_none_or(|found| value(found) < 0.01), "{rates:?}");

        // All parts that are on work, and the Lease is there.
        for part in ["lease", "runtime", "perf"] {
            let up = prometheus.found(&format!("node_agent_part_up{{part=\"{part}\"}}")).await;
            assert!((value(&up[0]) - 1.0).abs() < f64::EPSILON, "{up:?}");
        }
        let lease = ObjectRef::new("coordination.k8s.io/v1", "Lease", format!("cwagent-node-metadata-{name}"));
        assert!(sim.get(&lease.within(NAMESPACE)).unwrap().is_some());

        // What is gone is no series any more.
        node.remove_pod(&early).await;
        let gone = |found: &[Value]| found.is_empty();
        prometheus.found_when(&format!("node_agent_container_info{{container_id=\"{busy}\"}}"), gone).await;
        let text = get(&format!("{agent}/metrics")).await.text();
        until("that the container is gone", || !node.cgroup_of(cgroups.mount_point(), &early, &busy).exists()).await;
        assert!(!text.contains(&format!("node_agent_container_info{{container_id=\"{busy}\"")), "{text}");
        let ended = host.terminate().await;
        assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
        sim.shutdown().await;
    })
    .await;
}
