//! Pod templates: what a workload's pods are made of.

use serde_json::{Map, Value, json};

use super::dice::{Dice, Id};
use super::draft::map;
use super::model::{Agent, Cluster, Kind, Workload};
use super::names::{NODE_AGENTS, REGISTRY, STORES};

/// The pod template of one revision of a workload.
#[derive(Debug)]
pub(crate) struct Template {
    pub(crate) labels: Map<String, Value>,
    pub(crate) annotations: Map<String, Value>,
    /// The pod's spec, but for what differs from pod to pod.
    pub(crate) spec: Map<String, Value>,
    pub(crate) init: Vec<Image>,
    pub(crate) containers: Vec<Image>,
    pub(crate) qos: &'static str,
}

/// A container's name and the image it runs.
#[derive(Debug)]
pub(crate) struct Image {
    pub(crate) name: &'static str,
    /// As the template names it.
    pub(crate) reference: String,
    /// As the runtime resolved it.
    pub(crate) digest: String,
    /// An init container that keeps running beside the others.
    pub(crate) sidecar: bool,
}

/// The name of the service account a workload runs as.
pub(crate) fn service_account(workload: &Workload) -> &str {
    match workload.kind {
        Kind::Deployment | Kind::StatefulSet { .. } | Kind::DaemonSet { .. } | Kind::CronJob { .. } => &workload.name,
        Kind::ReplicationController | Kind::Errand | Kind::Bare => "default",
    }
}

/// The labels that select a workload's pods.
pub(crate) fn selector(workload: &Workload) -> Value {
    json!({"app.kubernetes.io/name": workload.name, "app.kubernetes.io/instance": workload.name})
}

/// The port a workload listens on.
pub(crate) fn port(workload: &Workload) -> u16 {
    match workload.kind {
        Kind::StatefulSet { store } => STORES.get(store).map_or(80, |store| store.2),
        _ => 8080,
    }
}

impl Template {
    /// The template of `revision`; the same again whenever it is asked for.
    pub(crate) fn of(cluster: &Cluster, workload: &Workload, revision: u32) -> Self {
        let mut dice = cluster.dice(workload.id, "shape", 0);
        let shape = Shape::of(cluster, workload, &mut dice);
        let version = format!("v1.{revision}.{}", dice.below(10));
        let namespace =
            cluster.namespaces.get(workload.namespace).map_or(("apps", "prod"), |n| (n.team, n.environment));

        let mut template = Self {
            labels: labels(workload, &version, namespace.0),
            annotations: annotations(cluster, workload, revision),
            spec: Map::new(),
            init: Vec::new(),
            containers: Vec::new(),
            qos: if shape.guaranteed { "Guaranteed" } else { "Burstable" },
        };
        let mut init = Vec::new();
        if shape.init {
            let image = Image::new(cluster, workload, "init-config", "docker.io/library/busybox:1.37.0", 0);
            init.push(json!({
                "name": image.name, "image": image.reference, "imagePullPolicy": "IfNotPresent",
                "command": ["sh", "-c", "cp -r /defaults/. /etc/app/ && chmod -R a+r /etc/app"],
                "resources": resources(50, 64, true),
                "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
                "volumeMounts": mounts(&[("config", "/defaults", true), ("work", "/etc/app", false)]),
            }));
            template.init.push(image);
        }
        if shape.native_sidecar {
            let mut image = Image::new(cluster, workload, "log-shipper", "docker.io/timberio/vector:0.51.1-alpine", 0);
            image.sidecar = true;
            init.push(json!({
                "name": image.name, "image": image.reference, "imagePullPolicy": "IfNotPresent",
                "restartPolicy": "Always",
                "env": [{"name": "VECTOR_LOG", "value": "warn"}, field_env("NODE_NAME", "spec.nodeName")],
                "resources": resources(100, 128, true),
                "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
                "volumeMounts": mounts(&[("work", "/var/log/app", false)]),
            }));
            template.init.push(image);
        }
        let main_image =
            shape.image.clone().unwrap_or_else(|| format!("{REGISTRY}/{}/{}:{version}", namespace.0, workload.name));
        let main = Image::new(cluster, workload, shape.main, &main_image, revision);
        let mut containers = vec![main_container(workload, &main, &shape)];
        template.containers.push(main);
        for (name, image, port) in SIDECARS.iter().take(shape.sidecars).copied() {
            let image = Image::new(cluster, workload, name, image, 0);
            containers.push(json!({
                "name": image.name, "image": image.reference, "imagePullPolicy": "IfNotPresent",
                "args": ["--config=/etc/sidecar/config.yaml", format!("--listen=0.0.0.0:{port}")],
                "env": [
                    field_env("POD_NAME", "metadata.name"),
                    field_env("POD_IP", "status.podIP"),
                ],
                "ports": [{"name": "admin", "containerPort": port, "protocol": "TCP"}],
                "resources": resources(100, 128, true),
                "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
                "volumeMounts": mounts(&[("config", "/etc/sidecar", true)]),
            }));
            template.containers.push(image);
        }
        template.spec = pod_spec(workload, &shape, init, containers);
        template
    }

    /// The template as part of a workload's object.
    pub(crate) fn into_object(self) -> Value {
        map([
            (
                "metadata",
                map([("labels", Value::Object(self.labels)), ("annotations", Value::Object(self.annotations))]),
            ),
            ("spec", Value::Object(self.spec)),
        ])
    }
}

impl Image {
    /// A workload's own images differ by revision; the images of the platform are the same everywhere.
    fn new(cluster: &Cluster, workload: &Workload, name: &'static str, image: &str, revision: u32) -> Self {
        let mut dice = if image.starts_with(REGISTRY) {
            cluster.dice(workload.id, "digest", revision)
        } else {
            Dice::new(0, Id(0), name, 0)
        };
        let repository = image.rsplit_once(':').map_or(image, |(repository, _)| repository);
        let digest = format!("{repository}@sha256:{}", dice.hex(64));
        Self { name, reference: image.to_owned(), digest, sidecar: false }
    }
}

/// Containers that ride along: name, image, port.
const SIDECARS: [(&str, &str, u16); 2] = [
    ("istio-proxy", "docker.io/istio/proxyv2:1.27.3", 15021),
    ("otel-agent", "docker.io/otel/opentelemetry-collector-contrib:0.140.0", 13133),
];

/// What differs between the templates of different workloads.
struct Shape {
    main: &'static str,
    image: Option<String>,
    command: &'static [&'static str],
    cpu: u32,
    memory: u32,
    guaranteed: bool,
    init: bool,
    native_sidecar: bool,
    sidecars: usize,
    priority: Option<(&'static str, i32)>,
}

impl Shape {
    fn of(cluster: &Cluster, workload: &Workload, dice: &mut Dice) -> Self {
        let cpu = dice.pick(&[100, 200, 250, 500, 500, 1000, 2000]);
        let memory = dice.pick(&[128, 256, 512, 512, 1024, 2048, 4096]);
        let app = Self {
            main: "app",
            image: None,
            command: dice.pick(&[
                &["java", "-XX:MaxRAMPercentage=75", "-jar", "/app/service.jar"] as &[_],
                &["/usr/local/bin/server", "--config=/etc/app/config.yaml"],
                &["node", "--enable-source-maps", "dist/main.js"],
                &["gunicorn", "--workers=4", "--bind=0.0.0.0:8080", "app.wsgi"],
            ]),
            cpu,
            memory,
            guaranteed: dice.percent(10),
            init: dice.percent(25),
            native_sidecar: dice.percent(10),
            // One container, two (mostly) or three.
            sidecars: dice.pick(&[0, 0, 1, 1, 1, 1, 1, 1, 1, 2]),
            priority: dice.percent(10).then_some(("business-critical", 100_000)),
        };
        if cluster.uniform {
            let (init, native_sidecar, sidecars, priority) = (false, false, 1, None);
            return Self { init, native_sidecar, sidecars, priority, guaranteed: false, ..app };
        }
        match workload.kind {
            Kind::DaemonSet { agent } => {
                let (name, image) = match agent {
                    Agent::EveryNode(agent) => NODE_AGENTS.get(agent).map_or(("agent", ""), |a| (a.1, a.2)),
                    Agent::Windows => ("kube-proxy", "registry.k8s.io/kube-proxy-windows:v1.36.0"),
                };
                Self {
                    main: name,
                    image: Some(image.to_owned()),
                    command: &["/agent", "--node=$(NODE_NAME)", "--v=2"],
                    cpu: 100,
                    memory: 128,
                    guaranteed: false,
                    native_sidecar: false,
                    sidecars: 0,
                    priority: Some(("system-node-critical", 2_000_001_000)),
                    ..app
                }
            }
            Kind::StatefulSet { store } => {
                let (name, image, _) = STORES.get(store).copied().unwrap_or(("store", "", 80));
                Self { main: name, image: Some(image.to_owned()), memory: memory * 2, sidecars: 1, ..app }
            }
            Kind::Errand | Kind::CronJob { .. } => {
                Self { main: "job", sidecars: 0, native_sidecar: false, guaranteed: false, ..app }
            }
            Kind::Deployment | Kind::ReplicationController | Kind::Bare => app,
        }
    }
}

fn labels(workload: &Workload, version: &str, team: &str) -> Map<String, Value> {
    let mut labels = Map::new();
    for (key, value) in [
        ("app.kubernetes.io/name", workload.name.as_str()),
        ("app.kubernetes.io/instance", workload.name.as_str()),
        ("app.kubernetes.io/version", version),
        ("app.kubernetes.io/part-of", team),
        ("app.kubernetes.io/managed-by", "Helm"),
        ("team", team),
    ] {
        labels.insert(key.into(), value.into());
    }
    labels
}

fn annotations(cluster: &Cluster, workload: &Workload, revision: u32) -> Map<String, Value> {
    let mut annotations = Map::new();
    let checksum = cluster.dice(workload.id, "checksum", revision).hex(64);
    for (key, value) in
        [("checksum/config", checksum.as_str()), ("prometheus.io/scrape", "true"), ("prometheus.io/port", "8080")]
    {
        annotations.insert(key.into(), value.into());
    }
    annotations
}

fn main_container(workload: &Workload, image: &Image, shape: &Shape) -> Value {
    let port = port(workload);
    let mut container = json!({
        "name": image.name, "image": image.reference, "imagePullPolicy": "IfNotPresent",
        "command": shape.command,
        "env": [
            field_env("POD_NAME", "metadata.name"),
            field_env("NODE_NAME", "spec.nodeName"),
            {"name": "OTEL_SERVICE_NAME", "value": workload.name},
            {"name": "DATABASE_URL", "valueFrom": {"secretKeyRef": {
                "name": format!("{}-credentials", workload.name), "key": "url", "optional": true}}},
        ],
        "ports": [
            {"name": "http", "containerPort": port, "protocol": "TCP"},
            {"name": "metrics", "containerPort": 9100, "protocol": "TCP"},
        ],
        "resources": resources(shape.cpu, shape.memory, shape.guaranteed),
        "securityContext": {"allowPrivilegeEscalation": false, "runAsNonRoot": true},
        "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": mounts(&[("config", "/etc/app/config", true), ("work", "/tmp", false)]),
    });
    if !workload.kind.runs_to_completion() {
        container["livenessProbe"] = probe("/healthz", port, 10);
        container["readinessProbe"] = probe("/readyz", port, 5);
    }
    if let (Kind::StatefulSet { .. }, Some(mounts)) = (workload.kind, container["volumeMounts"].as_array_mut()) {
        mounts.push(json!({"name": "data", "mountPath": "/var/lib/data"}));
    }
    container
}

fn pod_spec(workload: &Workload, shape: &Shape, init: Vec<Value>, containers: Vec<Value>) -> Map<String, Value> {
    let mut spec = json!({
        "dnsPolicy": "ClusterFirst",
        "enableServiceLinks": false,
        "imagePullSecrets": [{"name": "registry-credentials"}],
        "preemptionPolicy": "PreemptLowerPriority",
        "priority": shape.priority.map_or(0, |priority| priority.1),
        "restartPolicy": if workload.kind.runs_to_completion() { "Never" } else { "Always" },
        "schedulerName": "default-scheduler",
        "securityContext": {"fsGroup": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "serviceAccount": service_account(workload),
        "serviceAccountName": service_account(workload),
        "terminationGracePeriodSeconds": 30,
        "volumes": [
            {"name": "config", "configMap": {"name": format!("{}-config", workload.name), "defaultMode": 420, "optional": true}},
            {"name": "work", "emptyDir": {"sizeLimit": "1Gi"}},
        ],
    });
    spec["containers"] = Value::Array(containers);
    if !init.is_empty() {
        spec["initContainers"] = Value::Array(init);
    }
    if let Some((class, _)) = shape.priority {
        spec["priorityClassName"] = class.into();
    }
    if let Kind::DaemonSet { agent } = workload.kind {
        let os = if agent == Agent::Windows { "windows" } else { "linux" };
        spec["nodeSelector"] = json!({"kubernetes.io/os": os});
        if workload.host_network() {
            spec["hostNetwork"] = true.into();
            spec["dnsPolicy"] = "ClusterFirstWithHostNet".into();
        }
    }
    match spec {
        Value::Object(spec) => spec,
        _ => Map::new(),
    }
}

/// Requests in millicores and mebibytes; limits are twice that, or the same where they are guaranteed.
fn resources(cpu: u32, memory: u32, guaranteed: bool) -> Value {
    let factor = if guaranteed { 1 } else { 2 };
    json!({
        "limits": {"cpu": millicores(cpu * factor), "memory": format!("{}Mi", memory * factor)},
        "requests": {"cpu": millicores(cpu), "memory": format!("{memory}Mi")},
    })
}

/// Whole cores are written without a suffix, as the API server normalises them.
fn millicores(cpu: u32) -> String {
    if cpu.is_multiple_of(1000) { (cpu / 1000).to_string() } else { format!("{cpu}m") }
}

fn field_env(name: &str, path: &str) -> Value {
    json!({"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}})
}

fn probe(path: &str, port: u16, period: u32) -> Value {
    json!({
        "httpGet": {"path": path, "port": port, "scheme": "HTTP"},
        "initialDelaySeconds": 5, "timeoutSeconds": 1, "periodSeconds": period,
        "successThreshold": 1, "failureThreshold": 3,
    })
}

fn mounts(mounts: &[(&str, &str, bool)]) -> Vec<Value> {
    mounts
        .iter()
        .map(|(name, path, read_only)| {
            let mut mount = json!({"name": name, "mountPath": path});
            if *read_only {
                mount["readOnly"] = true.into();
            }
            mount
        })
        .collect()
}
