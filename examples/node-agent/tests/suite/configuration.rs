//! The configuration file: what is wrong with it, and what is taken up while the agent runs.
#![cfg(unix)]

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Host, QUIET, command, get, get_until, run};

const AGENT: &str = env!("CARGO_BIN_EXE_node-agent");

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, text: &str) -> String {
        let file = self.0.path().join("agent.yaml");
        std::fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    }
}

async fn status_until(host: &Host, wanted: impl Fn(&Value) -> bool) -> Value {
    let url = format!("{}/status.json", host.url("serving at"));
    let of = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    of(&get_until(&url, |answer| wanted(&of(&answer.text()))).await.text())
}

fn part<'a>(status: &'a Value, name: &str) -> &'a Value {
    status["parts"].as_array().unwrap().iter().find(|part| part["name"] == name).unwrap()
}

#[tokio::test]
async fn a_check_tells_all_that_is_wrong_with_its_place() {
    let folder = Folder::new();
    let file = folder.write("kubelet:\n  intervall: 3s\ncontainers: 7\nprats: [lease]\nparquet:\n  slot: 9s\n");
    let ended = run(AGENT, &["--node-name=n1", "--config", &file, "--check"]).await;
    assert_eq!((ended.status.code(), ended.stdout.as_str()), (Some(2), ""));
    let want = [
        format!("node-agent: {file}:2:3: kubelet.intervall: this key is not known: did you mean \"interval\"?"),
        format!("node-agent: {file}:3:13: containers: a map is wanted, here is a single value"),
        format!("node-agent: {file}:4:1: prats: this key is not known: did you mean \"parts\"?"),
        format!("node-agent: {file}:6:9: parquet.slot: invalid value '9s' for '--slot <DURATION>': give 100us to 1s"),
    ];
    assert_eq!(ended.stderr.lines().collect::<Vec<_>>(), want);

    let file = folder.write("kubelet:\n  port: high\n  interval: soon\nparquet: {slot: 1h}\n");
    // Who starts it is told the same.
    for flags in [&["--config", &file, "--check"][..], &["--config", &file]] {
        let ended = run(AGENT, flags).await;
        assert_eq!(ended.status.code(), Some(2));
        for part in [":2:9: kubelet.port: ", ":3:13: kubelet.interval: ", ":4:17: parquet.slot: "] {
            assert!(ended.stderr.contains(part), "{part} in {}", ended.stderr);
        }
    }
    let missing = run(AGENT, &["--config", "/no/such/file"]).await;
    assert_eq!(missing.status.code(), Some(2));
    assert!(missing.stderr.contains("/no/such/file: the file can't be read"), "{}", missing.stderr);
    let nameless = run(AGENT, &[]).await;
    assert_eq!(nameless.status.code(), Some(2));
    assert!(nameless.stderr.contains("which node is this?"), "{}", nameless.stderr);
}

#[tokio::test]
async fn a_right_file_passes_the_check_and_the_example_is_one() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("node-agent.yaml");
    let ended = run(AGENT, &["--config", example.to_str().unwrap(), "--check", "--node-name=n1"]).await;
    assert_eq!((ended.status.code(), ended.stderr.as_str()), (Some(0), ""));
}

#[tokio::test]
async fn a_change_is_taken_up_a_fault_changes_nothing_and_a_restart_is_asked_for_where_it_must() {
    let folder = Folder::new();
    let file = folder.write("containers: {interval: 1s}\n");
    let host = Host::start(command(AGENT, &[&["--port", "0", "--config", &file], QUIET].concat())).await;
    get_until(&format!("{}/-/ready", host.url("serving at")), |answer| answer.status == 200).await;
    let before = status_until(&host, |status| part(status, "kubelet")["health"] == "ok").await;
    assert_eq!(before["configuration"]["reloads"], 0);

    folder.write("kubelet: {interval: 5s}\ncontainers: {interval: 2s}\nserving: {host: '::'}\n");
    let status = status_until(&host, |status| status["configuration"]["reloads"] == 1).await;
    assert_eq!(status["configuration"]["pending"], json!(["serving.host"]));
    let page = get(&host.url("serving at")).await.text();
    assert!(page.contains("a restart takes up serving.host"), "{page}");

    folder.write("kubelet: {interval: never}\n");
    let status = status_until(&host, |status| status["configuration"]["problems"] != json!([])).await;
    let told = status["configuration"]["problems"][0].as_str().unwrap();
    assert!(told.contains("agent.yaml:1:21: kubelet.interval: invalid value 'never'"), "{told}");
    let lines = get(&format!("{}/-/healthy", host.url("serving at"))).await.text();
    assert!(lines.contains("configuration: degraded (what was in use stays: "), "{lines}");
    assert!(lines.contains("kubelet: ok"), "{lines}");

    // Samples into files for a while, where anything is counted.
    let samples = folder.0.path().join("samples");
    folder.write(&format!("parquet: {{directory: {:?}}}\n", samples.to_str().unwrap()));
    let status = status_until(&host, |status| status["configuration"]["reloads"] == 2).await;
    assert_eq!(status["configuration"]["pending"], json!([]));
    if part(&status, "perf")["health"] == "absent" {
        eprintln!("skipped: that files come and go, since here nothing is counted: {}", part(&status, "perf"));
    } else {
        status_until(&host, |status| part(status, "parquet")["health"] == "ok" && status["samples"].as_u64() > Some(0))
            .await;
        folder.write("containers: {counters: [cpu-clock]}\n");
        let status = status_until(&host, |status| part(status, "parquet")["health"] == "absent").await;
        assert!(part(&status, "parquet")["reason"].as_str().unwrap().contains("switched off"), "{status}");
        let files: Vec<_> = std::fs::read_dir(&samples).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(files.iter().any(|file| file.extension().is_some_and(|it| it == "parquet")), "{files:?}");
        let counted = |status: &Value| {
            let reason = part(status, "perf")["reason"].as_str().unwrap_or_default().to_owned();
            part(status, "perf")["health"] == "ok" && reason.starts_with("counted: cpu-clock")
        };
        status_until(&host, counted).await;
    }
    let ended = host.terminate().await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains("serving.host has changed, which takes a restart"), "{}", ended.stderr);
}
