//! Pods as objects.

use std::net::Ipv4Addr;

use serde_json::{Map, Value, json};

use super::draft::{Draft, map, time};
use super::model::{Cluster, ExitReason, Kind, Placement, Pod, PodSet, State, Workload};
use super::template::{Image, Template};
use super::workload::{Owner, set_labels, set_name};

/// The first address that nodes hand out to pods.
const POD_NETWORK: u32 = u32::from_be_bytes([100, 64, 0, 0]);
/// The first address of the nodes.
const NODE_NETWORK: u32 = u32::from_be_bytes([10, 0, 0, 10]);

/// The address of a node.
pub(crate) fn node_ip(index: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(NODE_NETWORK.wrapping_add(index))
}

/// The range a node hands out addresses from: its first address and its length in bits.
pub(crate) fn pod_cidr(cluster: &Cluster, index: u32) -> (Ipv4Addr, u32) {
    let first = POD_NETWORK.wrapping_add(index.wrapping_mul(cluster.slots_per_node));
    (Ipv4Addr::from_bits(first), 32 - cluster.slots_per_node.trailing_zeros())
}

/// The address of a pod: its own, or its node's.
pub(crate) fn pod_ip(cluster: &Cluster, placement: Placement) -> Ipv4Addr {
    match placement.slot {
        Some(slot) => Ipv4Addr::from_bits(pod_cidr(cluster, placement.node).0.to_bits().wrapping_add(slot)),
        None => node_ip(placement.node),
    }
}

/// The name of a pod.
pub(crate) fn pod_name(cluster: &Cluster, workload: &Workload, set: &PodSet, pod: &Pod) -> String {
    match workload.kind {
        Kind::Bare => workload.name.clone(),
        Kind::StatefulSet { .. } => format!("{}-{}", workload.name, pod.ordinal),
        _ => format!("{}-{}", set_name(cluster, workload, set), cluster.dice(pod.id, "name", 0).suffix(5)),
    }
}

/// The uid of a pod.
pub(crate) fn pod_uid(cluster: &Cluster, pod: &Pod) -> String {
    cluster.uid(pod.id, "pod", 0)
}

/// What all pods of a set have in common, made once for them.
#[derive(Debug)]
pub(crate) struct Mould {
    template: Template,
    owner: Option<Owner>,
    /// What the set's controller manages of a pod: what the template says, not what admission added.
    fields: Value,
}

impl Mould {
    pub(crate) fn of(cluster: &Cluster, workload: &Workload, set: &PodSet) -> Self {
        let mut template = Template::of(cluster, workload, set.revision);
        template.labels.extend(set_labels(cluster, workload, set));
        let mut mould = Self { template, owner: Owner::of_pods(cluster, workload, set), fields: Value::Null };
        let draft = mould.owned(Draft::new("v1", "Pod", "", String::new(), 0));
        let mut body = Map::new();
        body.insert("spec".into(), Value::Object(mould.template.spec.clone()));
        mould.fields = draft
            .labels(Value::Object(mould.template.labels.clone()))
            .annotations(Value::Object(mould.template.annotations.clone()))
            .fields(&body);
        mould
    }

    fn owned(&self, draft: Draft) -> Draft {
        match &self.owner {
            Some(owner) => draft.controlled_by(owner.api_version, owner.kind, &owner.name, &owner.uid),
            None => draft,
        }
    }
}

/// A pod as its object, from the mould of its set.
pub(crate) fn pod_object(cluster: &Cluster, workload: &Workload, set: &PodSet, pod: &Pod, mould: &Mould) -> Value {
    let template = &mould.template;
    let name = pod_name(cluster, workload, set, pod);
    let mut labels = template.labels.clone();
    let mut draft = Draft::new("v1", "Pod", &name, pod_uid(cluster, pod), pod.created);
    if matches!(workload.kind, Kind::StatefulSet { .. }) {
        labels.insert("statefulset.kubernetes.io/pod-name".into(), name.as_str().into());
    } else if let Some(owner) = &mould.owner {
        draft = draft.with("generateName", format!("{}-", owner.name));
    }
    if let Some(deleted) = pod.deleted {
        draft = draft.with("deletionTimestamp", time(deleted)).with("deletionGracePeriodSeconds", 30);
    }
    mould
        .owned(draft)
        .namespace(cluster.namespace_of(workload))
        .labels(Value::Object(labels))
        .annotations(Value::Object(template.annotations.clone()))
        .managed_by("kube-controller-manager", "kubelet", pod.since)
        .managing(mould.fields.clone())
        .body(map([
            ("spec", spec(cluster, workload, pod, &name, template)),
            ("status", Status { cluster, pod, template }.render()),
        ]))
}

fn spec(cluster: &Cluster, workload: &Workload, pod: &Pod, name: &str, template: &Template) -> Value {
    let mut spec = template.spec.clone();
    let token = format!("kube-api-access-{}", cluster.dice(pod.id, "token", 0).suffix(5));
    for list in ["initContainers", "containers"] {
        let containers = spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten();
        for mounts in containers.filter_map(|container| container.get_mut("volumeMounts")?.as_array_mut()) {
            mounts.push(json!({
                "name": token, "readOnly": true, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
            }));
        }
    }
    if let Some(volumes) = spec.get_mut("volumes").and_then(Value::as_array_mut) {
        volumes.push(json!({"name": token, "projected": {"defaultMode": 420, "sources": [
            {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {"downwardAPI": {"items": [
                {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}},
        ]}}));
        if matches!(workload.kind, Kind::StatefulSet { .. }) {
            volumes.push(json!({"name": "data", "persistentVolumeClaim": {"claimName": format!("data-{name}")}}));
        }
    }
    if matches!(workload.kind, Kind::StatefulSet { .. }) {
        spec.insert("hostname".into(), name.into());
        spec.insert("subdomain".into(), workload.name.clone().into());
    }
    if let Some(node) = cluster.node_of(pod) {
        spec.insert("nodeName".into(), super::node::node_name(node).into());
    }
    spec.insert("tolerations".into(), tolerations(workload));
    Value::Object(spec)
}

fn tolerations(workload: &Workload) -> Value {
    let every_node = matches!(workload.kind, Kind::DaemonSet { .. });
    let mut tolerations: Vec<Value> = ["not-ready", "unreachable"]
        .iter()
        .map(|condition| {
            let mut toleration = json!({
                "key": format!("node.kubernetes.io/{condition}"), "operator": "Exists", "effect": "NoExecute",
            });
            if !every_node {
                toleration["tolerationSeconds"] = 300.into();
            }
            toleration
        })
        .collect();
    if every_node {
        for condition in ["disk-pressure", "memory-pressure", "pid-pressure", "unschedulable"] {
            let key = format!("node.kubernetes.io/{condition}");
            tolerations.push(json!({"key": key, "operator": "Exists", "effect": "NoSchedule"}));
        }
    }
    Value::Array(tolerations)
}

/// What the kubelet says about a pod.
struct Status<'a> {
    cluster: &'a Cluster,
    pod: &'a Pod,
    template: &'a Template,
}

impl Status<'_> {
    fn render(&self) -> Value {
        let pod = self.pod;
        let mut status = Map::new();
        let mut put = |field: &str, value: Value| status.insert(field.into(), value);
        put("phase", self.phase().into());
        put("qosClass", self.template.qos.into());
        put("conditions", self.conditions());
        if let Some((reason, message)) = self.reason() {
            put("reason", reason.into());
            put("message", message.into());
        }
        let (Some(placement), true) = (pod.placement, self.scheduled()) else {
            return Value::Object(status);
        };
        let node = node_ip(placement.node).to_string();
        put("hostIP", node.clone().into());
        put("hostIPs", json!([{"ip": node}]));
        put("startTime", time(pod.created + 1).into());
        if pod.state != State::Creating {
            let ip = pod_ip(self.cluster, placement).to_string();
            put("podIP", ip.clone().into());
            put("podIPs", json!([{"ip": ip}]));
        }
        if !self.template.init.is_empty() {
            let statuses = (0..).zip(&self.template.init).map(|(nth, image)| self.init_container(image, nth));
            put("initContainerStatuses", statuses.collect());
        }
        let statuses = (0..).zip(&self.template.containers).map(|(nth, image)| self.container(image, nth));
        put("containerStatuses", statuses.collect());
        Value::Object(status)
    }

    fn scheduled(&self) -> bool {
        self.pod.state != State::Unschedulable
    }

    fn phase(&self) -> &'static str {
        match self.pod.state {
            State::Unschedulable | State::Creating | State::ImagePull => "Pending",
            State::Running | State::Unready | State::CrashLoop => "Running",
            State::Succeeded => "Succeeded",
            State::Failed | State::Evicted => "Failed",
        }
    }

    fn reason(&self) -> Option<(&'static str, String)> {
        let pod = self.pod;
        if pod.state == State::Evicted {
            let message = "The node was low on resource: memory. Threshold quantity: 100Mi, available: 61244Ki.";
            return Some(("Evicted", message.into()));
        }
        // A pod that is deleted while its node is gone stays until the node is back.
        let node = self.cluster.node_of(pod).filter(|_| pod.lost.is_some() && pod.deleted.is_some())?;
        let node = super::node::node_name(node);
        Some(("NodeLost", format!("Node {node} which was running this pod is unresponsive")))
    }

    fn conditions(&self) -> Value {
        let (pod, state) = (self.pod, self.pod.state);
        if !self.scheduled() {
            let nodes = self.cluster.nodes.len();
            let mut condition = condition("PodScheduled", false, pod.since);
            condition["reason"] = "Unschedulable".into();
            condition["message"] = format!("0/{nodes} nodes are available: {nodes} Insufficient cpu.").into();
            return json!([condition]);
        }
        let ready_at = pod.lost.unwrap_or(pod.since);
        let why = match state {
            State::Succeeded => Some("PodCompleted"),
            State::Failed | State::Evicted => Some("PodFailed"),
            _ if pod.lost.is_some() => None,
            _ => Some("ContainersNotReady"),
        };
        let mut conditions = vec![
            condition("PodReadyToStartContainers", !pod.ended() && state != State::Creating, pod.created + 4),
            condition("Initialized", state != State::Creating || self.template.init.is_empty(), pod.created + 5),
        ];
        for (kind, ready) in [("Ready", pod.ready()), ("ContainersReady", state == State::Running)] {
            let mut condition = condition(kind, ready, ready_at);
            if let (false, Some(why)) = (ready, why) {
                condition["reason"] = why.into();
                if why == "ContainersNotReady" {
                    let main = self.template.containers.first().map_or("app", |image| image.name);
                    condition["message"] = format!("containers with unready status: [{main}]").into();
                }
            }
            conditions.push(condition);
        }
        conditions.push(condition("PodScheduled", true, pod.created));
        let disrupted = match state {
            State::Evicted => Some(("TerminationByKubelet", pod.since)),
            _ => pod.lost.filter(|_| pod.deleted.is_some()).map(|at| ("DeletionByTaintManager", at)),
        };
        if let Some((reason, at)) = disrupted {
            let mut condition = condition("DisruptionTarget", true, at);
            condition["reason"] = reason.into();
            conditions.push(condition);
        }
        Value::Array(conditions)
    }

    fn init_container(&self, image: &Image, nth: u32) -> Value {
        let pod = self.pod;
        if pod.state == State::Creating {
            return status(image, false, waiting("PodInitializing", ""));
        }
        let id = self.container_id("init", nth, 0);
        if image.sidecar && !pod.ended() {
            let state = json!({"running": {"startedAt": time(pod.created + 4)}});
            return with_id(status(image, true, state), image, &id);
        }
        let (start, end) = (pod.created + 3, if image.sidecar { pod.since } else { pod.created + 5 });
        let state = terminated(ExitReason::Completed, start, end, &id);
        let mut status = with_id(status(image, true, state), image, &id);
        status["started"] = image.sidecar.into();
        status
    }

    fn container(&self, image: &Image, nth: u32) -> Value {
        let pod = self.pod;
        let (main, started) = (nth == 0, pod.created + 8);
        if pod.state == State::Creating {
            let why = if self.template.init.is_empty() { "ContainerCreating" } else { "PodInitializing" };
            return status(image, false, waiting(why, ""));
        }
        let restarts = if main { pod.restarts } else { 0 };
        let id = self.container_id("main", nth, restarts);
        let (ready, state) = match pod.state {
            State::ImagePull if main => {
                let message = format!("Back-off pulling image \"{}\"", image.reference);
                return status(image, false, waiting("ImagePullBackOff", &message));
            }
            State::CrashLoop if main => {
                (false, waiting("CrashLoopBackOff", "back-off 5m0s restarting failed container"))
            }
            State::Succeeded => (false, terminated(ExitReason::Completed, started, pod.since, &id)),
            State::Failed => {
                let reason = pod.last_exit.map_or(ExitReason::Error, |exit| exit.reason);
                (false, terminated(if main { reason } else { ExitReason::Completed }, started, pod.since, &id))
            }
            State::Evicted => (false, terminated(ExitReason::Error, started, pod.since, &id)),
            state => {
                let since = match pod.last_exit {
                    Some(exit) if main => exit.at + 2,
                    _ => started,
                };
                let ready = !main || state == State::Running;
                (ready, json!({"running": {"startedAt": time(since)}}))
            }
        };
        let mut status = with_id(status(image, ready, state), image, &id);
        status["restartCount"] = restarts.into();
        if let (true, Some(exit), false) = (main && restarts > 0, pod.last_exit, pod.ended()) {
            let last = self.container_id("main", nth, restarts - 1);
            status["lastState"] = terminated(exit.reason, (exit.at - 1800).max(started), exit.at, &last);
        }
        status
    }

    fn container_id(&self, facet: &str, nth: u32, restart: u32) -> String {
        let nth = nth.wrapping_mul(1 << 16).wrapping_add(restart);
        format!("containerd://{}", self.cluster.dice(self.pod.id, facet, nth).hex(64))
    }
}

fn status(image: &Image, ready: bool, state: Value) -> Value {
    map([
        ("name", image.name.into()),
        ("image", image.reference.as_str().into()),
        ("imageID", "".into()),
        ("ready", ready.into()),
        ("started", state.get("running").is_some().into()),
        ("restartCount", 0.into()),
        ("state", state),
        ("lastState", json!({})),
    ])
}

/// What the runtime adds once it has pulled the image and made the container.
fn with_id(mut status: Value, image: &Image, id: &str) -> Value {
    status["imageID"] = image.digest.as_str().into();
    status["containerID"] = id.into();
    status
}

fn condition(kind: &str, holds: bool, since: i64) -> Value {
    json!({
        "type": kind, "status": if holds { "True" } else { "False" },
        "lastProbeTime": null, "lastTransitionTime": time(since),
    })
}

fn waiting(reason: &str, message: &str) -> Value {
    let mut waiting = json!({"reason": reason});
    if !message.is_empty() {
        waiting["message"] = message.into();
    }
    json!({"waiting": waiting})
}

fn terminated(reason: ExitReason, started: i64, finished: i64, id: &str) -> Value {
    let (reason, code) = reason.spelled();
    json!({"terminated": {
        "reason": reason, "exitCode": code, "startedAt": time(started),
        "finishedAt": time(finished.max(started)), "containerID": id,
    }})
}
