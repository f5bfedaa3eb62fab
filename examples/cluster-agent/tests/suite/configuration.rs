//! The configuration file: what is wrong with it, what wins, and what is taken up while the agent runs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use cluster_sim::Sim;
use cluster_sim::population::PopulationSpec;
use serde_json::{Value, json};

use crate::support::{self, Host, PATIENCE, QUIET, command, get, get_until, run};

const AGENT: &str = env!("CARGO_BIN_EXE_cluster-agent");

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, text: &str) -> String {
        let file = self.at("agent.yaml");
        std::fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    }
}

async fn start(file: &str, flags: &[&str]) -> Host {
    let fixed = ["--port", "0", "--config", file];
    Host::start(command(AGENT, &[&fixed, flags].concat())).await
}

async fn configuration_until(host: &Host, wanted: impl Fn(&Value) -> bool) -> Value {
    let url = format!("{}/status.json", host.url("serving at"));
    let of = |text: &str| serde_json::from_str::<Value>(text).unwrap()["configuration"].clone();
    of(&get_until(&url, |answer| wanted(&of(&answer.text()))).await.text())
}

async fn metrics_until(host: &Host, wanted: impl Fn(&str) -> bool) {
    get_until(&format!("{}/metrics", host.url("serving at")), |answer| wanted(&answer.text())).await;
}

#[tokio::test]
async fn a_check_tells_all_that_is_wrong_with_its_place() {
    let folder = Folder::new();
    let text = "serve:\n  prot: 80\nevents:\n  export:\n    route: {match: [{receiver: a}]}\n    receivers:\n    - name: a\n      stdout: {color: red}\n";
    let file = folder.write(text);
    let ended = run(AGENT, &["--config", &file, "--check"]).await;
    assert_eq!((ended.status.code(), ended.stdout.as_str()), (Some(2), ""));
    let told: Vec<&str> = ended.stderr.lines().collect();
    assert_eq!(told.len(), 2, "{}", ended.stderr);
    assert!(told[0].contains(&format!("{file}:2:3: serve.prot: this key is not known: did you mean \"port\"?")));
    assert!(told[1].contains(&format!("{file}:8: events.export.receivers[0].stdout.color: ")), "{}", ended.stderr);

    let file = folder.write("metrics:\n  resources: [cats]\n  deny: ['(']\n");
    let ended = run(AGENT, &["--config", &file, "--check"]).await;
    assert_eq!(ended.status.code(), Some(2));
    for part in [
        ":2:14: metrics.resources: there is no resource \"cats\"",
        ":3:9: metrics.deny: \"(\" is no regular expression",
    ] {
        assert!(ended.stderr.contains(part), "{part} in {}", ended.stderr);
    }
    // Who starts it is told the same.
    assert_eq!(run(AGENT, &["--config", &file]).await.status.code(), Some(2));
    let missing = run(AGENT, &["--config", "/no/such/file"]).await;
    assert_eq!(missing.status.code(), Some(2));
    assert!(missing.stderr.contains("/no/such/file: the file can't be read"), "{}", missing.stderr);
}

#[tokio::test]
async fn a_right_file_passes_the_check_and_the_example_is_one() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("cluster-agent.yaml");
    let ended = run(AGENT, &["--config", example.to_str().unwrap(), "--check"]).await;
    assert_eq!((ended.status.code(), ended.stderr.as_str()), (Some(0), ""));
}

#[tokio::test]
async fn flags_win_over_the_environment_and_that_over_the_file() {
    let folder = Folder::new();
    let file = folder.write("metrics: {resources: [pods]}\nusage: {enabled: false}\nevents: {enabled: false}\n");
    let mut agent = command(AGENT, &[&["--port", "0", "--config", &file, "--events", "on"], QUIET].concat());
    agent.env("CLUSTER_AGENT_RESOURCES", "nodes").env("CLUSTER_AGENT_EVENTS", "off");
    let host = Host::start(agent).await;
    let url = format!("{}/status.json", host.url("serving at"));
    let of = |answer: &support::Answer| serde_json::from_str::<Value>(&answer.text()).unwrap();
    let status = of(&get_until(&url, |answer| of(answer)["synced"] == true).await);
    assert_eq!(status["resources"][0]["resource"], "nodes", "the environment's");
    assert_eq!((status["usage"].is_null(), status["events"].is_null()), (true, false), "the file's, the flag's");
    assert!(status["configuration"]["file"].as_str().unwrap().ends_with("agent.yaml"));
}

#[tokio::test]
async fn a_change_is_taken_up_a_fault_changes_nothing_and_a_restart_is_asked_for_where_it_must() {
    let folder = Folder::new();
    let file = folder.write("metrics: {resources: [nodes, namespaces]}\n");
    let host = start(&file, &[QUIET, &["--usage", "off", "--events", "off"]].concat()).await;
    metrics_until(&host, |text| text.contains("kube_namespace_created{") && text.contains("kube_node_info{")).await;

    folder.write("metrics: {resources: [nodes, deployments], deny: [kube_node_info]}\n");
    configuration_until(&host, |configuration| configuration["reloads"] == 1).await;
    metrics_until(&host, |text| {
        text.contains("kube_deployment_created{")
            && !text.contains("kube_namespace_")
            && !text.contains("kube_node_info")
    })
    .await;

    folder.write("metrics: {resources: [nodes, dogs]}\n");
    let told = configuration_until(&host, |configuration| configuration["problems"] != json!([])).await;
    assert!(told["problems"][0].as_str().unwrap().contains("agent.yaml:1:22: metrics.resources: there is no resource"));
    let text = get(&format!("{}/metrics", host.url("serving at"))).await.text();
    assert!(text.contains("kube_deployment_created{"), "what was in use stays");
    let page = get(&host.url("serving at")).await.text();
    assert!(page.contains("what was in use stays") && page.contains("state half\">degraded"), "{page}");

    folder.write("metrics: {resources: [pods, deployments]}\nserve: {host: '::'}\n");
    let told = configuration_until(&host, |configuration| configuration["reloads"] == 2).await;
    assert_eq!(told["problems"], json!([]));
    assert_eq!(told["pending"], json!(["serve.host", "pods among metrics.resources", "nodes among metrics.resources"]));
    folder.write("metrics: {resources: [nodes, deployments]}\n");
    let told = configuration_until(&host, |configuration| configuration["reloads"] == 3).await;
    assert_eq!(told["pending"], json!([]));
}

fn write_event(sim: &Sim, reason: &str) {
    sim.create(json!({
        "apiVersion": "v1", "kind": "Event",
        "metadata": {"name": format!("one.{}", reason.to_lowercase()), "namespace": "default"},
        "involvedObject": {"apiVersion": "v1", "kind": "Pod", "name": "one", "namespace": "default", "uid": "u"},
        "type": "Warning", "reason": reason, "message": "it failed", "source": {"component": "kubelet"},
        "firstTimestamp": sim.now().to_string(), "lastTimestamp": sim.now().to_string(), "count": 1,
    }))
    .unwrap();
}

async fn lines_until(file: &Path, wanted: &str) -> String {
    let seen = async {
        loop {
            let text = std::fs::read_to_string(file).unwrap_or_default();
            if text.contains(wanted) {
                return text;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, seen).await.unwrap_or_else(|_| panic!("{wanted} never comes"))
}

#[tokio::test]
async fn sinks_of_events_come_and_go_while_it_runs() {
    let sim = Sim::builder().population(&PopulationSpec::new(1, 5)).start().await.unwrap();
    let folder = Folder::new();
    let file = folder.write("events: {}\n");
    let url = sim.url();
    let host =
        start(&file, &["--apiserver", &url, "--resources", "nodes", "--usage", "off", "--node-metadata", "off"]).await;
    get_until(&format!("{}/-/ready", host.url("serving at")), |answer| answer.status == 200).await;
    write_event(&sim, "BeforeSinks");
    metrics_until(&host, |text| text.contains("reason=\"BeforeSinks\"")).await;

    let out = folder.at("events.log");
    let export = format!(
        "events:\n  export:\n    omitLookup: true\n    route: {{match: [{{reason: Wanted, receiver: log}}]}}\n    receivers:\n    - name: log\n      file: {{path: {:?}}}\n",
        out.to_str().unwrap()
    );
    folder.write(&export);
    configuration_until(&host, |configuration| configuration["reloads"] == 1).await;
    get_until(&format!("{}/-/ready", host.url("serving at")), |answer| answer.status == 200).await;
    write_event(&sim, "Unrouted");
    write_event(&sim, "Wanted");
    let text = lines_until(&out, "\"reason\":\"Wanted\"").await;
    assert!(!text.contains("Unrouted"), "{text}");
    // Counts go on where they were.
    metrics_until(&host, |text| ["BeforeSinks", "Unrouted", "Wanted"].iter().all(|reason| text.contains(reason))).await;
    let status = get(&format!("{}/status.json", host.url("serving at"))).await.text();
    let status: Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["events"]["sinks"][0]["name"], "log", "{}", status["events"]);
    sim.shutdown().await;
}
