//! Kubelets for a real API server that has none: simulated ones on this machine, as nodes of their own.

use cluster_sim::Sim;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::Client;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, from_value, json};

const NODES: usize = 2;
const PODS: usize = 5;

/// Nodes and pods that were made for a test.
pub(crate) struct Brought {
    sim: Sim,
    nodes: Api<Node>,
    pods: Api<Pod>,
    names: (Vec<String>, Vec<String>),
}

impl Brought {
    pub(crate) async fn none(client: &Client) -> Self {
        let sim = Sim::builder().start().await.unwrap();
        let (nodes, pods) = (Api::all(client.clone()), Api::default_namespaced(client.clone()));
        Self { sim, nodes, pods, names: Default::default() }
    }

    pub(crate) async fn bring(&mut self) {
        for number in 0..NODES {
            self.node(&format!("brought-{}-{number}", std::process::id())).await;
        }
    }

    /// The API server dials the address that the Node's status has.
    async fn node(&mut self, name: &str) {
        let node: Node = from_value(json!({"metadata": {"name": name}})).unwrap();
        self.names.0.push(name.to_owned());
        let node = self.nodes.create(&PostParams::default(), &node).await.unwrap();
        self.known("Node", &node);
        let kubelet = self.sim.kubelet(name).start().await.unwrap().addr();
        let status = json!({"status": {
            "addresses": [{"type": "InternalIP", "address": kubelet.ip().to_string()}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": kubelet.port()}},
        }});
        self.nodes.patch_status(name, &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
        for number in 0..PODS {
            self.pod(name, &format!("{name}-{number}")).await;
        }
    }

    /// The kubelet tells of it by the uid that the API server gave it.
    async fn pod(&mut self, node: &str, name: &str) {
        let pod: Pod = from_value(json!({
            "metadata": {"name": name},
            "spec": {
                "nodeName": node, "tolerations": [{"operator": "Exists"}],
                "containers": [{"name": "main", "image": "example.com/main:1"}],
            },
        }))
        .unwrap();
        self.names.1.push(name.to_owned());
        self.pods.create(&PostParams::default(), &pod).await.unwrap();
        let running = json!({"startedAt": "2026-01-01T00:00:00Z"});
        let status = json!({"status": {
            "phase": "Running", "startTime": "2026-01-01T00:00:00Z",
            "containerStatuses": [{
                "name": "main", "image": "example.com/main:1", "imageID": "", "ready": true, "restartCount": 0,
                "state": {"running": running},
            }],
        }});
        let pod = self.pods.patch_status(name, &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
        self.known("Pod", &pod);
    }

    fn known(&self, kind: &str, object: &impl serde::Serialize) {
        let mut object: Value = serde_json::to_value(object).unwrap();
        (object["apiVersion"], object["kind"]) = ("v1".into(), kind.into());
        self.sim.upsert(object).unwrap();
    }

    /// Takes everything away again; what could not be.
    pub(crate) async fn leave(self) -> Vec<kube::Error> {
        let at_once = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
        let mut left = Vec::new();
        for name in &self.names.1 {
            left.extend(self.pods.delete(name, &at_once).await.err());
        }
        for name in &self.names.0 {
            left.extend(self.nodes.delete(name, &at_once).await.err());
        }
        self.sim.shutdown().await;
        // What was never made is not left.
        left.retain(|error| !matches!(error, kube::Error::Api(status) if status.is_not_found()));
        left
    }
}
