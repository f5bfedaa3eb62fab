//! The binary as the DaemonSet runs it, in a cluster where roles count: what `examples/deploy/node-agent` grants is what
//! it takes, and whichever right is taken away, something fails and is told.
#![cfg(unix)]

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use cluster_sim::nri::api::{Container, PodSandbox};
use cluster_sim::nri::{Runtime, Version};
use cluster_sim::population::PopulationSpec;
use cluster_sim::{ObjectRef, Right, Sim};
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tokio_util::task::AbortOnDropHandle;

use crate::manifest_files::{manifests, of_kind};
use crate::support::{Ended, Host, PATIENCE, command, get, get_until};

const AGENT: &str = env!("CARGO_BIN_EXE_node-agent");
const NAMESPACE: &str = "amazon-cloudwatch";
const USER: &str = "system:serviceaccount:amazon-cloudwatch:node-agent";
const HOLDER: &str = "node-agent-x7k2p";

/// A node of a simulated cluster with the agent on it.
struct World {
    sim: Sim,
    lease: String,
    host: Host,
    _runtime: Runtime,
    _folder: tempfile::TempDir,
}

impl World {
    /// Runs the binary as the DaemonSet does. What differs from a pod: where things are, and how long an hour is.
    async fn start(objects: Vec<Value>) -> Self {
        let sim = Sim::builder().rbac(true).population(&PopulationSpec::new(1, 20)).start().await.unwrap();
        sim.create(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})).unwrap();
        let daemon_set: DaemonSet = of_kind(objects.clone(), "DaemonSet");
        for object in objects {
            sim.create(object).unwrap();
        }
        let pod = daemon_set.spec.template.spec.unwrap();
        assert_eq!(pod.service_account_name.as_deref(), USER.rsplit(':').next());
        let node = sim.list("v1", "nodes").unwrap().remove(0)["metadata"]["name"].as_str().unwrap().to_owned();

        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let kubeconfig = write("kubeconfig", &serde_json::to_string(&sim.kubeconfig_as(USER)).unwrap());
        sim.add_token("of-the-account", USER);
        let token = write("token", "of-the-account");
        let kubelet = sim.kubelet(&node).start().await.unwrap().addr();
        let authority = write("ca.crt", &sim.ca_pem().unwrap());
        let runtime = runtime(folder.path()).await;

        let field = |path: &str| match path {
            "spec.nodeName" => node.clone(),
            "metadata.namespace" => NAMESPACE.to_owned(),
            "metadata.name" => HOLDER.to_owned(),
            "status.podIP" | "status.hostIP" => "127.0.0.1".to_owned(),
            other => panic!("{other}"),
        };
        let container = &pod.containers[0];
        let variables = container.env.iter().flatten().map(|variable| {
            let from = variable.value_from.as_ref().and_then(|from| from.field_ref.as_ref());
            let value = variable.value.clone().or_else(|| Some(field(&from?.field_path)));
            (variable.name.clone(), value.unwrap())
        });
        let variables: Vec<(String, String)> = variables.collect();
        let expand = |arg: &String| {
            variables.iter().fold(arg.clone(), |arg, (name, value)| arg.replace(&format!("$({name})"), value))
        };
        let mut args: Vec<String> = container.args.iter().flatten().map(expand).collect();
        args.retain(|arg| !arg.starts_with("--port"));
        for (flag, value) in [
            ("port", "0"),
            ("imds-endpoint", &sim.metadata_of(&node).await.unwrap().url()),
            ("source", "aws"),
            ("start-jitter", "0s"),
            ("renew-interval", "1s"),
            ("lease-duration", "1m"),
            ("kubelet-port", &kubelet.port().to_string()),
            ("kubelet-ca", &authority),
            ("kubelet-token-file", &token),
            ("socket", folder.path().join("nri.sock").to_str().unwrap()),
        ] {
            args.push(format!("--{flag}={value}"));
        }
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let mut command = command(AGENT, &args);
        command.env("KUBECONFIG", kubeconfig).envs(variables);
        let host = Host::start(command).await;
        let lease = format!("cwagent-node-metadata-{node}");
        Self { sim, lease, host, _runtime: runtime, _folder: folder }
    }

    /// Until a part says something.
    async fn part(&self, part: &str, wanted: impl Fn(&str) -> bool) -> String {
        let line = |text: &str| text.lines().find(|line| line.starts_with(part)).unwrap_or_default().to_owned();
        let url = format!("{}/-/healthy", self.host.url("serving at"));
        line(&get_until(&url, |answer| wanted(&line(&answer.text()))).await.text())
    }

    fn lease(&self) -> Option<Value> {
        let lease = ObjectRef::new("coordination.k8s.io/v1", "Lease", &self.lease).within(NAMESPACE);
        self.sim.get(&lease).unwrap()
    }

    async fn lease_when(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        let waiting = async {
            loop {
                match self.lease() {
                    Some(lease) if wanted(&lease) => return lease,
                    _ => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect("the Lease gets there")
    }

    async fn renewed(&self) {
        let at = |lease: &Value| lease["spec"]["renewTime"].as_str().unwrap().to_owned();
        let before = at(&self.lease_when(|_| true).await);
        self.lease_when(|lease| at(lease) > before).await;
    }

    /// Changes the Lease as somebody else.
    async fn change(&self, patch: Value) {
        change(&leases(&self.sim), &self.lease, patch).await;
    }

    /// The pod that replaces this one takes the Lease over.
    async fn take_over(&self) {
        self.change(taken_over(&self.sim)).await;
    }

    /// The same, and it renews the Lease until this ends. With an interval of a second, who renews only once is soon dead.
    fn successor(&self) -> AbortOnDropHandle<()> {
        let (sim, name) = (self.sim.clone(), self.lease.clone());
        AbortOnDropHandle::new(tokio::spawn(async move {
            let leases = leases(&sim);
            loop {
                change(&leases, &name, taken_over(&sim)).await;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }))
    }

    async fn end(self) -> (Ended, Sim) {
        let ended = self.host.terminate().await;
        assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
        (ended, self.sim)
    }
}

fn leases(sim: &Sim) -> Api<Lease> {
    Api::namespaced(sim.client(), NAMESPACE)
}

async fn change(leases: &Api<Lease>, lease: &str, patch: Value) {
    leases.patch(lease, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
}

fn taken_over(sim: &Sim) -> Value {
    let now = sim.now().strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string();
    json!({"spec": {"holderIdentity": "node-agent-next", "renewTime": now}})
}

/// A runtime with a container, whose cgroups are directories that nobody looks at.
async fn runtime(folder: &Path) -> Runtime {
    std::fs::create_dir(folder.join("cgroups")).unwrap();
    let runtime = Runtime::builder(Version::V0_12).cgroup_root(folder.join("cgroups")).start();
    runtime.listen(&folder.join("nri.sock")).await.unwrap();
    let pod = PodSandbox { name: "web-0".into(), namespace: "shop".into(), uid: "u-0".into(), ..PodSandbox::default() };
    let pod = runtime.run_pod(pod).await.unwrap();
    let container = Container { name: "app".into(), ..Container::default() };
    let created = runtime.create(&pod.id, container).await.unwrap();
    runtime.start(&created.container.id).await.unwrap();
    runtime
}

/// Each right that the roles grant, and what is left without it.
fn each_right_taken_away() -> Vec<(Right, Vec<Value>)> {
    let all = manifests("node-agent");
    let mut cases = Vec::new();
    for (place, object) in all.iter().enumerate() {
        for (number, rule) in object["rules"].as_array().into_iter().flatten().enumerate() {
            let [groups, resources, verbs] = ["apiGroups", "resources", "verbs"].map(|of| rule[of].as_array().unwrap());
            // Else one could be taken away with another.
            assert_eq!((groups.len(), resources.len()), (1, 1), "{rule}");
            for (at, verb) in verbs.iter().enumerate() {
                let text = |value: &Value| value.as_str().unwrap().to_owned();
                let right = Right::new(text(verb), text(&groups[0]), text(&resources[0]));
                let mut without = all.clone();
                without[place]["rules"][number]["verbs"].as_array_mut().unwrap().remove(at);
                cases.push((right, without));
            }
        }
    }
    cases
}

#[tokio::test]
async fn all_that_is_granted_is_used_and_nothing_is_missing() {
    let world = World::start(manifests("node-agent")).await;
    for part in ["lease", "runtime", "kubelet"] {
        world.part(part, |line| line == format!("{part}: ok")).await;
    }
    let counts = world.part("perf", |line| !line.contains("starting")).await;
    if !counts.starts_with("perf: ok") {
        eprintln!("skipped: that containers are counted, since here {counts}");
    }
    let text = get(&format!("{}/metrics", world.host.url("serving at"))).await.text();
    assert!(text.contains("node_agent_container_info{namespace=\"shop\",pod=\"web-0\""), "{text}");
    assert!(text.contains("pod_memory_working_set_bytes{"), "{text}");

    let lease = world.lease_when(|_| true).await;
    assert_eq!(lease["spec"]["holderIdentity"], HOLDER);
    assert_eq!(lease["metadata"]["ownerReferences"][0]["kind"], "Node");
    world.renewed().await;
    world.change(json!({"metadata": {"labels": {"team": "a"}}})).await;
    world.renewed().await;
    assert_eq!(world.lease().unwrap()["metadata"]["labels"]["team"], "a");
    world.part("lease", |line| line == "lease: ok").await;

    let lease = ObjectRef::new("coordination.k8s.io/v1", "Lease", &world.lease).within(NAMESPACE);
    let (ended, sim) = world.end().await;
    assert!(ended.stdout.contains("was deleted"), "{}", ended.stdout);
    assert_eq!(sim.get(&lease).unwrap(), None);
    assert_eq!(sim.requests().rights_used(USER), sim.rights_granted(USER));
    assert_eq!(sim.requests().rights_refused(USER), BTreeSet::new());
    sim.shutdown().await;
}

#[tokio::test]
async fn a_lease_that_was_taken_over_is_left_alone() {
    let world = World::start(manifests("node-agent")).await;
    world.renewed().await;
    let successor = world.successor();
    let line = world.part("lease", |line| line.contains("degraded")).await;
    assert!(line.contains("node-agent-next has taken the Lease over"), "{line}");
    let (ended, sim) = world.end().await;
    assert!(!successor.is_finished());
    assert!(ended.stdout.contains("is not this writer's"), "{}", ended.stdout);
    sim.shutdown().await;
}

#[tokio::test]
async fn without_any_one_right_something_fails() {
    let cases = each_right_taken_away();
    assert_eq!(cases.len(), 6, "{cases:?}");
    for (right, without) in cases {
        let told = right.to_string();
        let world = World::start(without).await;
        let ended = match (right.verb.as_str(), right.resource.as_str()) {
            ("create" | "patch", "leases") => {
                // Without `patch` it is made by `create`, and can't be renewed.
                let line = world.part("lease", |line| line.starts_with("lease: failed")).await;
                assert!(line.contains("403") || line.contains("forbidden"), "{told}: {line}");
                world.end().await
            }
            ("get", "leases") => {
                world.renewed().await;
                world.take_over().await;
                // It can't see by whom it was changed, and takes the Lease from the pod that replaces it.
                world.lease_when(|lease| lease["spec"]["holderIdentity"] == HOLDER).await;
                world.end().await
            }
            ("delete", "leases") => {
                world.lease_when(|_| true).await;
                let lease = ObjectRef::new("coordination.k8s.io/v1", "Lease", &world.lease).within(NAMESPACE);
                let (ended, sim) = world.end().await;
                assert!(ended.stdout.contains("could not be deleted"), "{told}: {}", ended.stdout);
                assert!(sim.get(&lease).unwrap().is_some(), "{told}");
                (ended, sim)
            }
            ("get", "nodes") => {
                // It would outlive its node.
                let lease = world.lease_when(|_| true).await;
                assert!(lease["metadata"]["ownerReferences"].is_null(), "{told}: {lease}");
                world.end().await
            }
            ("get", "nodes/stats") => {
                let line = world.part("kubelet", |line| line.starts_with("kubelet: failed")).await;
                assert!(line.contains("403") || line.contains("nodes/stats"), "{told}: {line}");
                world.end().await
            }
            _ => panic!("of {told} no test knows what fails without it"),
        };
        let (_, sim) = ended;
        assert!(sim.requests().rights_refused(USER).contains(&right), "{told}");
        sim.shutdown().await;
    }
}
