//! kubectl against the simulator: skipped unless `KUBE_AGENT_KIT_KUBECTL` names the program.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use cluster_sim::Sim;
use cluster_sim::population::PopulationSpec;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;

const KUBECTL: &str = "KUBE_AGENT_KIT_KUBECTL";
const PATIENCE: Duration = Duration::from_mins(1);

struct Kubectl {
    program: OsString,
    home: PathBuf,
}

impl Kubectl {
    /// kubectl for `sim`, with a home of its own; `None` if there is no kubectl.
    fn new(sim: &Sim) -> Option<Self> {
        let Some(program) = std::env::var_os(KUBECTL) else {
            eprintln!("skipped: set {KUBECTL} to the path of kubectl to run it against the simulator");
            return None;
        };
        let home = std::env::temp_dir().join(format!("cluster-sim-kubectl-{}", sim.addr().port()));
        std::fs::create_dir_all(&home).unwrap();
        std::fs::write(home.join("config"), serde_json::to_string(&sim.kubeconfig()).unwrap()).unwrap();
        Some(Self { program, home })
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.env("KUBECONFIG", self.home.join("config")).env("HOME", &self.home).args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    /// Standard output; kubectl must succeed.
    async fn run(&self, arguments: &[&str], input: &Value) -> String {
        let mut child = self.command(arguments).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        if !input.is_null() {
            stdin.write_all(input.to_string().as_bytes()).await.unwrap();
        }
        drop(stdin);
        let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await.unwrap().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "kubectl {arguments:?}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Kubectl {
    fn drop(&mut self) {
        // What remains in the temporary directory does no harm.
        let _ = std::fs::remove_dir_all(&self.home);
    }
}

fn deployment(image: &str, replicas: u32) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "main", "image": image}, {"name": "side", "image": "side:1"}]},
            },
        },
    })
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn over_tls_it_sends_the_token() {
    let spec = PopulationSpec::new(2, 30);
    let sim = Sim::builder().population(&spec).tls(true).token("secret").start().await.unwrap();
    let Some(kubectl) = Kubectl::new(&sim) else { return };
    let pods = kubectl.run(&["get", "pods", "-A", "-o", "name"], &Value::Null).await;
    assert_eq!(pods.lines().count(), 30);
    sim.shutdown().await;
}

#[tokio::test]
async fn get_apply_and_delete() {
    // Without a token: kubectl sends none over plain HTTP.
    let sim = Sim::builder().population(&PopulationSpec::new(3, 60)).start().await.unwrap();
    let Some(kubectl) = Kubectl::new(&sim) else { return };
    let none = Value::Null;
    let pods = kubectl.run(&["get", "pods", "-A", "-o", "name", "--chunk-size=7"], &none).await;
    assert_eq!(pods.lines().count(), 60);
    let table = kubectl.run(&["get", "nodes"], &none).await;
    assert_eq!(table.lines().count(), 4, "{table}");
    let all: Value =
        serde_json::from_str(&kubectl.run(&["get", "deploy,sts,po", "-A", "-o", "json"], &none).await).unwrap();
    assert_eq!(all["kind"], "List");

    assert!(kubectl.run(&["apply", "-f", "-"], &deployment("web:1", 2)).await.contains("web created"));
    assert!(kubectl.run(&["apply", "-f", "-"], &deployment("web:1", 2)).await.contains("web unchanged"));
    assert!(kubectl.run(&["apply", "-f", "-"], &deployment("web:2", 3)).await.contains("web configured"));
    let jsonpath = "jsonpath={.spec.replicas} {.spec.template.spec.containers[*].image}";
    assert_eq!(kubectl.run(&["get", "deploy", "web", "-o", jsonpath], &none).await, "3 web:2 side:1");
    kubectl.run(&["scale", "deploy", "web", "--replicas=5"], &none).await;
    kubectl.run(&["label", "deploy", "web", "tier=front"], &none).await;
    kubectl.run(&["annotate", "deploy", "web", "note=x"], &none).await;
    kubectl.run(&["patch", "deploy", "web", "-p", r#"{"spec":{"paused":true}}"#], &none).await;
    let shown =
        kubectl.run(&["get", "deploy", "-l", "tier=front", "-o", "jsonpath={.items[0].spec.replicas}"], &none).await;
    assert_eq!(shown, "5");
    assert!(kubectl.run(&["describe", "deploy", "web"], &none).await.contains("web:2"));

    let config_map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "1"}});
    kubectl.run(&["apply", "--server-side", "-f", "-"], &config_map).await;
    kubectl
        .run(&["create", "-f", "-"], &json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "d"}}))
        .await;
    assert!(kubectl.run(&["delete", "deploy/web", "cm/c", "cm/d"], &none).await.contains("deleted"));
    assert_eq!(kubectl.run(&["get", "deploy", "-o", "name"], &none).await, "");
    let resources = kubectl.run(&["api-resources", "-o", "name"], &none).await;
    assert!(resources.lines().any(|line| line == "deployments.apps"), "{resources}");
}

#[tokio::test]
async fn watch() {
    let sim = Sim::builder().start().await.unwrap();
    let Some(kubectl) = Kubectl::new(&sim) else { return };
    let format = r#"jsonpath={.type} {.object.metadata.name}{"\n"}"#;
    let arguments = ["get", "configmaps", "--watch", "--output-watch-events", "-o", format];
    let mut child = kubectl.command(&arguments).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // kubectl lists, then watches from that list's version: whenever it does, it sees both.
    let config_map =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "default"}});
    let reference = cluster_sim::ObjectRef::of(&config_map).unwrap();
    sim.upsert(config_map).unwrap();
    let line = tokio::time::timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap().unwrap();
    assert_eq!(line, "ADDED a");
    while sim.requests().count(cluster_sim::Verb::Watch, "configmaps") == 0 {
        tokio::task::yield_now().await;
    }
    sim.delete(&reference).unwrap();
    let line = tokio::time::timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap().unwrap();
    assert_eq!(line, "DELETED a");
    child.kill().await.unwrap();
}
