//! The binary on a simulated node: each part there, each part away, its metrics, its page, and its end.
#![cfg(unix)]

use std::collections::HashSet;
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::support::{Host, command, get, get_until, get_with};

const AGENT: &str = env!("CARGO_BIN_EXE_node-agent");
const SIM: &[&str] =
    &["--port", "0", "--sim", "--sim-nodes", "2", "--sim-pods", "24", "--sim-churn", "0", "--interval", "1s"];

async fn start(flags: &[&str]) -> Host {
    Host::start(command(AGENT, flags)).await
}

async fn ready(host: &Host) -> String {
    let url = format!("{}/-/ready", host.url("serving at"));
    get_until(&url, |answer| answer.status == 200).await.text()
}

async fn status(host: &Host) -> Value {
    serde_json::from_str(&get(&format!("{}/status.json", host.url("serving at"))).await.text()).unwrap()
}

/// A line of `/-/ready`, by its part.
fn line<'a>(told: &'a str, part: &str) -> &'a str {
    told.lines().find(|line| line.starts_with(part)).unwrap_or_else(|| panic!("{part} in {told}"))
}

/// Every sample is below its family's head, no family comes twice, and no series twice.
fn well_formed(text: &str, open: bool) {
    let (mut families, mut series, mut current) = (HashSet::new(), HashSet::new(), String::new());
    for line in text.lines() {
        if let Some(head) = line.strip_prefix("# TYPE ") {
            head.split(' ').next().unwrap().clone_into(&mut current);
            assert!(families.insert(current.clone()), "{current} comes twice");
        } else if !line.starts_with('#') {
            let name = line.split(['{', ' ']).next().unwrap();
            let suffixes = ["", if open { "_total" } else { "" }, if open { "_info" } else { "" }];
            assert!(suffixes.iter().any(|suffix| name == format!("{current}{suffix}")), "{line} below {current}");
            let (labels, value) = line.rsplit_once(' ').unwrap();
            assert!(series.insert(labels), "{labels} comes twice");
            value.parse::<f64>().unwrap();
        }
    }
    assert!(!series.is_empty());
    assert_eq!(text.ends_with("# EOF\n"), open);
}

#[tokio::test]
async fn on_a_laptop_every_part_works_or_says_why_not() {
    // No other test has this flag: it is how the process is told apart.
    let host = start(&[SIM, &["--sim-seed", "417"]].concat()).await;
    let url = host.url("serving at");
    let told = ready(&host).await;
    for part in ["lease", "runtime", "kubelet"] {
        assert_eq!(line(&told, part), format!("{part}: ok"));
    }
    let status = status(&host).await;
    assert!(status["containers"].as_u64().unwrap() > 0);
    assert_eq!(status["containers"], status["named"]);

    let text = get(&format!("{url}/metrics")).await.text();
    well_formed(&text, false);
    let open = get_with(&format!("{url}/metrics"), &[("accept", "application/openmetrics-text; version=1.0.0")]).await;
    assert!(open.header("content-type").starts_with("application/openmetrics-text"));
    well_formed(&open.text(), true);
    let one = text.lines().find(|line| line.starts_with("node_agent_container_info{")).unwrap();
    for label in ["namespace=\"", "pod=\"", "container=\""] {
        assert!(one.contains(label) && !one.contains(&format!("{label}\"")), "{label} in {one}");
    }
    assert!(
        text.contains("container_memory_working_set_bytes{") && text.contains("node_agent_part_up{part=\"lease\"} 1")
    );
    let asked = text.lines().find_map(|line| line.strip_prefix("kube_node_summary_timestamp_seconds{node=\"")).unwrap();
    let asked: f64 = asked.rsplit(' ').next().unwrap().parse().unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    assert!((now - 120.0..=now).contains(&asked), "asked at {asked}, now it is {now}");

    let page = get(&url).await;
    assert!(page.header("content-security-policy").starts_with("default-src 'none'"));
    for part in ["simulated node", "Most processor", "Raw outputs", "<h3>kubelet</h3>"] {
        assert!(page.text().contains(part), "{part}");
    }
    assert!(get(&format!("{url}/self/metrics")).await.text().contains("nri_index_containers"));

    let counted = line(&told, "perf").starts_with("perf: ok");
    if counted {
        let counted = |text: &str| text.contains("cgroup_perf_cpu_seconds_total{namespace=\"");
        get_until(&format!("{url}/metrics"), |answer| counted(&answer.text())).await;
    } else {
        eprintln!("skipped: that containers are counted, since here {}", line(&told, "perf"));
    }
    let pid = format!("node-agent-sim-{}", pid());
    let ended = host.terminate().await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert!(ended.stdout.contains("was deleted"), "{}", ended.stdout);
    for mount in ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"] {
        assert!(!std::path::Path::new(mount).join(&pid).exists(), "{pid} is left");
    }
}

/// The agent's process, by its command line.
fn pid() -> String {
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let pid = entry.file_name().to_string_lossy().into_owned();
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
        let has = |bytes: &[u8], text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
        if has(&line, AGENT) && has(&line, "--sim-seed") && !has(&environment, "SIMULATED_LOAD") {
            return pid;
        }
    }
    panic!("it is running")
}

#[tokio::test]
async fn each_part_is_switched_off_alone() {
    for part in ["lease", "runtime", "perf", "kubelet"] {
        let others: Vec<_> =
            ["lease", "runtime", "perf", "kubelet"].into_iter().filter(|other| *other != part).collect();
        let host = start(&[SIM, &["--parts", &others.join(",")]].concat()).await;
        let told = ready(&host).await;
        assert!(line(&told, part).starts_with(&format!("{part}: absent (switched off")), "{told}");
        for other in others.into_iter().filter(|other| *other != "perf") {
            assert!(line(&told, other).starts_with(&format!("{other}: ok")), "{told}");
        }
        // Killed, it would leave its cgroups to the next simulation.
        assert_eq!(host.terminate().await.status.code(), Some(0));
    }
}

#[tokio::test]
async fn what_is_not_there_is_told_and_harms_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("no.sock");
    let token = folder.path().join("no-token");
    let (socket, token) = (socket.to_str().unwrap(), token.to_str().unwrap());
    // No API server, no runtime, no kubelet; whether anything can be counted is this machine's matter.
    let host = start(&[
        "--port",
        "0",
        "--node-name",
        "n1",
        "--start-jitter",
        "0s",
        "--apiserver",
        "http://127.0.0.1:1",
        "--source",
        "node",
        "--socket",
        socket,
        "--kubelet-insecure",
        "--kubelet-token-file",
        token,
        "--kubelet-port",
        "1",
    ])
    .await;
    let url = host.url("serving at");
    let all = |text: &str| ["lease: failed (", "kubelet: failed ("].iter().all(|part| text.contains(part));
    let told =
        get_until(&format!("{url}/-/healthy"), |answer| all(&answer.text()) && !answer.text().contains("starting"))
            .await
            .text();
    assert!(line(&told, "kubelet").contains("no-token"), "{told}");
    assert!(line(&told, "runtime").contains("no.sock") || line(&told, "runtime").contains("cgroups"), "{told}");
    well_formed(&get(&format!("{url}/metrics")).await.text(), false);
    let page = get(&url).await.text();
    assert!(page.contains("failed") && page.contains("no-token"), "{page}");
    let ended = host.terminate().await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    let said = ended.stderr.lines().filter(|line| line.contains("kubelet is failed")).count();
    assert_eq!(said, 1, "{}", ended.stderr);
}
