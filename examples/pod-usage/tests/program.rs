//! The program on a simulated cluster.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;
use tokio::time::timeout;

const SIM: [&str; 6] = ["--sim-nodes", "3", "--sim-pods", "60", "--sim-churn", "0"];

async fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_pod-usage")).args(arguments).output();
    let output = timeout(Duration::from_mins(1), output).await.unwrap().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

async fn json(arguments: &[&str]) -> Value {
    let (code, out, err) = run(&[&SIM[..], &["--json"], arguments].concat()).await;
    assert!(matches!(code, Some(0 | 3)), "{err}");
    let answer: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(answer["whole"] == true, code == Some(0), "{err}");
    answer
}

#[tokio::test]
async fn pods_and_workloads_sum_up_to_the_same() {
    let (workloads, pods) = (json(&[]).await, json(&["--by", "pod"]).await);
    let count = |answer: &Value| {
        answer["rows"].as_array().unwrap().iter().map(|row| row["parts"].as_u64().unwrap()).sum::<u64>()
    };
    assert!(count(&pods) > 20, "{pods}");
    assert_eq!((count(&workloads), &workloads["pods"]), (count(&pods), &pods["pods"]));
    let row =
        pods["rows"].as_array().unwrap().iter().find(|row| row["memory"]["usedBytes"].as_u64() > Some(0)).unwrap();
    assert!(row["pod"].is_string() && row["node"].is_string(), "{row}");
}

#[tokio::test]
async fn kubelets_are_asked_directly_too() {
    let (proxy, direct) = (json(&["--by", "pod"]).await, json(&["--by", "pod", "--via", "direct"]).await);
    assert!(direct["pods"].as_u64() > Some(20), "{direct}");
    assert_eq!(proxy["pods"], direct["pods"]);
}

#[tokio::test]
async fn people_get_a_table_and_prometheus_its_text() {
    let (code, table, err) = run(&SIM).await;
    assert!(matches!(code, Some(0 | 3)), "{err}");
    let mut lines = table.lines();
    assert!(lines.next().unwrap().contains("SIMULATED"));
    let header: Vec<_> = lines.nth(2).unwrap().split_whitespace().collect();
    assert_eq!(header[..5], ["NAMESPACE", "KIND", "NAME", "PODS", "CPU"]);
    assert!(table.contains("Deployment"), "{table}");
    let (code, none, _) = run(&[&SIM[..], &["-l", "app=none"]].concat()).await;
    assert_eq!((code, none.lines().nth(1)), (Some(0), Some("no pods in scope have figures")));

    let (_, text, _) = run(&[&SIM[..], &["--prometheus"]].concat()).await;
    assert!(text.contains("# TYPE pod_memory_working_set_bytes gauge\npod_memory_working_set_bytes{node=\""), "{text}");
    assert!(text.contains("kube_pod_memory_limit_ratio{"), "{text}");
    for family in [
        "kube_node_summary_timestamp_seconds",
        "node_cpu_usage_seconds_total",
        "kube_node_filesystem_used_bytes",
        "kubelet_volume_stats_used_bytes",
    ] {
        assert!(text.contains(&format!("\n{family}{{node=\"")), "{family}");
    }
    let series: Vec<_> = text.lines().filter_map(|line| line.split_once("} ")).map(|(series, _)| series).collect();
    let once: std::collections::BTreeSet<_> = series.iter().collect();
    assert_eq!(series.len(), once.len(), "a series is there twice");
}

/// What it ends with when it is ended after its first line of output, or at once.
#[cfg(unix)]
#[tokio::test]
async fn a_signal_ends_it_with_the_status_of_the_last_turn() {
    use std::process::Stdio;
    use tokio::io::{AsyncBufReadExt, BufReader};

    let turns = [&SIM[..], &["--json", "--watch", "1h"]].concat();
    for (signal, arguments) in [("INT", turns.clone()), ("TERM", turns)] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_pod-usage"))
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = timeout(Duration::from_mins(1), lines.next_line()).await.unwrap().unwrap().unwrap();
        let answer: Value = serde_json::from_str(&line).unwrap();
        let pid = child.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-s", signal, &pid]).status().await.unwrap().success());
        let status = timeout(Duration::from_mins(1), child.wait()).await.unwrap().unwrap();
        let wanted = if answer["whole"] == true { 0 } else { 3 };
        assert_eq!(status.code(), Some(wanted), "{signal}");
    }
}

#[tokio::test]
async fn the_exit_status_says_what_is_wrong() {
    let (code, out, err) = run(&[&SIM[..], &["-l", "no-such=label"]].concat()).await;
    assert_eq!((code, out.contains("0 pods")), (Some(0), true), "{err}");
    let (code, _, err) = run(&["-l", "a=b=c"]).await;
    assert!(code == Some(2) && err.contains("character 4"), "{err}");
    let (code, _, err) = run(&["--insecure"]).await;
    assert!(code == Some(2) && err.contains("--via direct"), "{err}");
    let (code, _, err) = run(&["--kubeconfig", "/no/such/file"]).await;
    assert!(code == Some(1) && err.starts_with("pod-usage: "), "{err}");
}
