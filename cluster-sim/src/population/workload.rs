//! Workloads and the sets between them and their pods, as objects. Every count in a status is counted
//! from the pods there are.

use serde_json::{Map, Value, json};

use super::draft::{Draft, map, time};
use super::model::{Agent, Cluster, Kind, Outcome, Pod, PodSet, State, Workload};
use super::names::PERIODIC;
use super::template::{Template, selector};

/// What an owner reference names.
#[derive(Debug)]
pub(crate) struct Owner {
    pub(crate) api_version: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) name: String,
    pub(crate) uid: String,
}

impl Owner {
    /// The direct owner of a set's pods.
    pub(crate) fn of_pods(cluster: &Cluster, workload: &Workload, set: &PodSet) -> Option<Self> {
        let (api_version, kind) = match workload.kind {
            Kind::Deployment => ("apps/v1", "ReplicaSet"),
            Kind::StatefulSet { .. } => ("apps/v1", "StatefulSet"),
            Kind::DaemonSet { .. } => ("apps/v1", "DaemonSet"),
            Kind::ReplicationController => ("v1", "ReplicationController"),
            Kind::Errand | Kind::CronJob { .. } => ("batch/v1", "Job"),
            Kind::Bare => return None,
        };
        Some(Self { api_version, kind, name: set_name(cluster, workload, set), uid: cluster.uid(set.id, "set", 0) })
    }
}

/// The name of a set: of the ReplicaSet, of the Job, or of the workload where it owns its pods itself.
pub(crate) fn set_name(cluster: &Cluster, workload: &Workload, set: &PodSet) -> String {
    match workload.kind {
        Kind::Deployment => format!("{}-{}", workload.name, set_hash(cluster, set)),
        Kind::Errand => format!("{}-{}", workload.name, set.revision),
        // The minute it was scheduled for; the number keeps two runs of one minute apart.
        Kind::CronJob { .. } => format!("{}-{}{:02}", workload.name, set.created / 60, set.revision % 100),
        _ => workload.name.clone(),
    }
}

/// The hash of the pod template of a set.
pub(crate) fn set_hash(cluster: &Cluster, set: &PodSet) -> String {
    cluster.dice(set.id, "hash", set.revision).suffix(10)
}

/// The labels that tie a pod to its set.
pub(crate) fn set_labels(cluster: &Cluster, workload: &Workload, set: &PodSet) -> Vec<(String, Value)> {
    let hash = || Value::from(set_hash(cluster, set));
    match workload.kind {
        Kind::Deployment => vec![("pod-template-hash".into(), hash())],
        Kind::StatefulSet { .. } => {
            vec![("controller-revision-hash".into(), format!("{}-{}", workload.name, set_hash(cluster, set)).into())]
        }
        Kind::DaemonSet { .. } => {
            vec![("controller-revision-hash".into(), hash()), ("pod-template-generation".into(), "1".into())]
        }
        Kind::Errand | Kind::CronJob { .. } => {
            let job = set_name(cluster, workload, set);
            vec![
                ("batch.kubernetes.io/controller-uid".into(), cluster.uid(set.id, "set", 0).into()),
                ("batch.kubernetes.io/job-name".into(), job.clone().into()),
                ("job-name".into(), job.into()),
            ]
        }
        Kind::ReplicationController | Kind::Bare => Vec::new(),
    }
}

/// The uid of a workload's own object.
pub(crate) fn workload_uid(cluster: &Cluster, workload: &Workload) -> String {
    match workload.kind {
        Kind::Deployment | Kind::CronJob { .. } => cluster.uid(workload.id, "workload", 0),
        _ => cluster.uid(workload.id, "set", 0),
    }
}

/// The workload as its object; `None` for pods and Jobs that stand alone.
pub(crate) fn workload_object(cluster: &Cluster, workload: &Workload) -> Option<Value> {
    let counts = Counts::of(workload.pods());
    let template = Template::of(cluster, workload, workload.revision);
    let labels = Value::Object(template.labels.clone());
    let (api_version, kind, mut body) = match workload.kind {
        Kind::Deployment => ("apps/v1", "Deployment", deployment(cluster, workload, counts)),
        Kind::StatefulSet { .. } => ("apps/v1", "StatefulSet", stateful_set(cluster, workload, counts)),
        Kind::DaemonSet { agent } => ("apps/v1", "DaemonSet", daemon_set(cluster, workload, agent, counts)),
        Kind::ReplicationController => ("v1", "ReplicationController", replication_controller(workload, counts)),
        Kind::CronJob { periodic } => ("batch/v1", "CronJob", cron_job(cluster, workload, periodic)),
        Kind::Errand | Kind::Bare => return None,
    };
    let mut annotations = json!({"meta.helm.sh/release-name": workload.name});
    if workload.kind == Kind::Deployment {
        annotations["deployment.kubernetes.io/revision"] = workload.revision.to_string().into();
    }
    let draft = Draft::new(api_version, kind, &workload.name, workload_uid(cluster, workload), workload.created)
        .namespace(cluster.namespace_of(workload))
        .labels(labels)
        .annotations(annotations)
        .generation(workload.generation)
        .managed_by("helm", "kube-controller-manager", workload.progressed);
    // What is large is moved in, not copied.
    match workload.kind {
        Kind::CronJob { .. } => body["spec"]["jobTemplate"]["spec"]["template"] = template.into_object(),
        _ => body["spec"]["template"] = template.into_object(),
    }
    Some(draft.body(body))
}

/// The sets that are objects of their own: ReplicaSets of Deployments, and Jobs.
pub(crate) fn set_object(cluster: &Cluster, workload: &Workload, set: &PodSet) -> Option<Value> {
    let (api_version, kind, mut body) = match workload.kind {
        Kind::Deployment => ("apps/v1", "ReplicaSet", replica_set(cluster, workload, set)),
        Kind::Errand | Kind::CronJob { .. } => ("batch/v1", "Job", job(cluster, set)),
        _ => return None,
    };
    let mut template = Template::of(cluster, workload, set.revision);
    let mut labels = template.labels.clone();
    template.labels.extend(set_labels(cluster, workload, set));
    body["spec"]["template"] = template.into_object();
    let mut annotations = Map::new();
    if workload.kind == Kind::Deployment {
        labels.insert("pod-template-hash".into(), set_hash(cluster, set).into());
        annotations.insert("deployment.kubernetes.io/desired-replicas".into(), set.desired.to_string().into());
        annotations.insert("deployment.kubernetes.io/max-replicas".into(), surge(workload.desired).to_string().into());
        annotations.insert("deployment.kubernetes.io/revision".into(), set.revision.to_string().into());
    }
    let name = set_name(cluster, workload, set);
    let mut draft = Draft::new(api_version, kind, &name, cluster.uid(set.id, "set", 0), set.created)
        .namespace(cluster.namespace_of(workload))
        .labels(Value::Object(labels))
        .annotations(Value::Object(annotations))
        .generation(set.generation)
        .managed_by("kube-controller-manager", "kube-controller-manager", workload.progressed);
    let owner = match workload.kind {
        Kind::Deployment => Some(("apps/v1", "Deployment")),
        Kind::CronJob { .. } => Some(("batch/v1", "CronJob")),
        _ => None,
    };
    if let Some((api_version, kind)) = owner {
        draft = draft.controlled_by(api_version, kind, &workload.name, &workload_uid(cluster, workload));
    }
    Some(draft.body(body))
}

/// The record of a StatefulSet's or DaemonSet's pod template.
pub(crate) fn controller_revision(cluster: &Cluster, workload: &Workload) -> Option<Value> {
    let kind = match workload.kind {
        Kind::StatefulSet { .. } => "StatefulSet",
        Kind::DaemonSet { .. } => "DaemonSet",
        _ => return None,
    };
    let set = workload.sets.first()?;
    let template = Template::of(cluster, workload, set.revision);
    let name = format!("{}-{}", workload.name, set_hash(cluster, set));
    let uid = cluster.uid(workload.id, "history", set.revision);
    let draft = Draft::new("apps/v1", "ControllerRevision", &name, uid, set.created)
        .namespace(cluster.namespace_of(workload))
        .labels(Value::Object(template.labels.clone()))
        .controlled_by("apps/v1", kind, &workload.name, &workload_uid(cluster, workload));
    let data = map([("spec", map([("template", template.into_object())]))]);
    Some(draft.body(map([("revision", set.revision.into()), ("data", data)])))
}

/// How many pods are in which condition.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) active: u32,
    pub(crate) ready: u32,
    pub(crate) terminating: u32,
    pub(crate) succeeded: u32,
    pub(crate) failed: u32,
}

impl Counts {
    pub(crate) fn of<'a>(pods: impl Iterator<Item = &'a Pod>) -> Self {
        pods.fold(Self::default(), |mut counts, pod| {
            counts.active += u32::from(pod.active());
            counts.ready += u32::from(pod.active() && pod.ready());
            counts.terminating += u32::from(pod.deleted.is_some() && !pod.ended());
            counts.succeeded += u32::from(pod.state == State::Succeeded);
            counts.failed += u32::from(matches!(pod.state, State::Failed | State::Evicted));
            counts
        })
    }
}

/// How many pods a rollout may have at most: a quarter more than asked for, rounded up.
pub(crate) fn surge(desired: u32) -> u32 {
    desired + desired.div_ceil(4)
}

/// How many pods a rollout must keep available: at most a quarter may be missing, rounded down.
pub(crate) fn floor(desired: u32) -> u32 {
    desired - desired / 4
}

fn condition(kind: &str, holds: bool, reason: &str, message: &str, at: i64) -> Value {
    json!({
        "type": kind, "status": if holds { "True" } else { "False" }, "reason": reason, "message": message,
        "lastTransitionTime": time(at),
    })
}

fn deployment(cluster: &Cluster, workload: &Workload, counts: Counts) -> Value {
    let current = workload.sets.last().map_or_else(Counts::default, |set| Counts::of(set.pods.iter()));
    let available = counts.ready >= floor(workload.desired);
    let done = current.ready >= workload.desired && counts.active == current.active;
    let mut conditions = vec![if available {
        let message = "Deployment has minimum availability.";
        condition("Available", true, "MinimumReplicasAvailable", message, workload.created + 60)
    } else {
        let message = "Deployment does not have minimum availability.";
        condition("Available", false, "MinimumReplicasUnavailable", message, workload.progressed)
    }];
    let set = workload.sets.last().map_or_else(String::new, |set| set_name(cluster, workload, set));
    let (reason, message) = if workload.paused {
        ("DeploymentPaused", "Deployment is paused".to_owned())
    } else if done {
        ("NewReplicaSetAvailable", format!("ReplicaSet \"{set}\" has successfully progressed."))
    } else {
        ("ReplicaSetUpdated", format!("ReplicaSet \"{set}\" is progressing."))
    };
    let mut progressing = condition("Progressing", true, reason, &message, workload.created + 1);
    if workload.paused {
        progressing["status"] = "Unknown".into();
    }
    conditions.push(progressing);
    for condition in &mut conditions {
        condition["lastUpdateTime"] = time(workload.progressed).into();
    }
    json!({
        "spec": {
            "replicas": workload.desired,
            "paused": workload.paused,
            "progressDeadlineSeconds": 600,
            "revisionHistoryLimit": 10,
            "selector": {"matchLabels": selector(workload)},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
        },
        "status": {
            "observedGeneration": workload.generation,
            "replicas": counts.active,
            "updatedReplicas": current.active,
            "readyReplicas": counts.ready,
            "availableReplicas": counts.ready,
            "unavailableReplicas": counts.active.max(workload.desired) - counts.ready,
            "terminatingReplicas": counts.terminating,
            "conditions": conditions,
        },
    })
}

fn replica_set(cluster: &Cluster, workload: &Workload, set: &PodSet) -> Value {
    let counts = Counts::of(set.pods.iter());
    let mut labels = selector(workload);
    labels["pod-template-hash"] = set_hash(cluster, set).into();
    json!({
        "spec": {
            "replicas": set.desired,
            "selector": {"matchLabels": labels},
        },
        "status": {
            "observedGeneration": set.generation,
            "replicas": counts.active,
            "fullyLabeledReplicas": counts.active,
            "readyReplicas": counts.ready,
            "availableReplicas": counts.ready,
            "terminatingReplicas": counts.terminating,
        },
    })
}

fn stateful_set(cluster: &Cluster, workload: &Workload, counts: Counts) -> Value {
    let hash = workload.sets.first().map_or_else(String::new, |set| set_hash(cluster, set));
    let revision = format!("{}-{hash}", workload.name);
    json!({
        "spec": {
            "replicas": workload.desired,
            "serviceName": workload.name,
            "podManagementPolicy": "OrderedReady",
            "revisionHistoryLimit": 10,
            "selector": {"matchLabels": selector(workload)},
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
            "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Delete"},
            "volumeClaimTemplates": [{
                "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"},
                "spec": super::storage::claim_spec(),
                "status": {"phase": "Pending"},
            }],
        },
        "status": {
            "observedGeneration": workload.generation,
            "collisionCount": 0,
            "replicas": counts.active,
            "readyReplicas": counts.ready,
            "availableReplicas": counts.ready,
            "currentReplicas": counts.active,
            "updatedReplicas": counts.active,
            "currentRevision": revision,
            "updateRevision": revision,
        },
    })
}

fn daemon_set(cluster: &Cluster, workload: &Workload, agent: Agent, counts: Counts) -> Value {
    let nodes = match agent {
        Agent::EveryNode(_) => u32::try_from(cluster.nodes.len()).unwrap_or(u32::MAX),
        Agent::Windows => 0,
    };
    json!({
        "spec": {
            "revisionHistoryLimit": 10,
            "selector": {"matchLabels": selector(workload)},
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": "10%"}},
        },
        "status": {
            "observedGeneration": workload.generation,
            "currentNumberScheduled": counts.active,
            "desiredNumberScheduled": nodes,
            "numberAvailable": counts.ready,
            "numberMisscheduled": 0,
            "numberReady": counts.ready,
            "numberUnavailable": nodes.saturating_sub(counts.ready),
            "updatedNumberScheduled": counts.active,
        },
    })
}

fn replication_controller(workload: &Workload, counts: Counts) -> Value {
    json!({
        "spec": {
            "replicas": workload.desired,
            "selector": selector(workload),
        },
        "status": {
            "observedGeneration": workload.generation,
            "replicas": counts.active,
            "fullyLabeledReplicas": counts.active,
            "readyReplicas": counts.ready,
            "availableReplicas": counts.ready,
        },
    })
}

fn cron_job(cluster: &Cluster, workload: &Workload, periodic: usize) -> Value {
    let active: Vec<Value> = workload
        .sets
        .iter()
        .filter(|set| set.outcome == Outcome::Open)
        .map(|set| {
            json!({
                "apiVersion": "batch/v1", "kind": "Job", "name": set_name(cluster, workload, set),
                "namespace": cluster.namespace_of(workload), "uid": cluster.uid(set.id, "set", 0),
            })
        })
        .collect();
    let successful = workload.sets.iter().rev().find_map(|set| match set.outcome {
        Outcome::Complete { at } => Some(time(at)),
        _ => None,
    });
    let schedule = PERIODIC.get(periodic).map_or("@daily", |periodic| periodic.1);
    let mut body = json!({
        "spec": {
            "schedule": schedule,
            "concurrencyPolicy": "Forbid",
            "suspend": workload.paused,
            "startingDeadlineSeconds": 300,
            "successfulJobsHistoryLimit": 3,
            "failedJobsHistoryLimit": 1,
            "jobTemplate": {"spec": {
                "backoffLimit": 0, "completions": 1, "parallelism": 1, "activeDeadlineSeconds": 3600,
            }},
        },
        "status": {},
    });
    if periodic.is_multiple_of(2) {
        body["spec"]["timeZone"] = "Europe/Berlin".into();
    }
    if !active.is_empty() {
        body["status"]["active"] = Value::Array(active);
    }
    if let Some(set) = workload.sets.last() {
        body["status"]["lastScheduleTime"] = time(set.created).into();
    }
    if let Some(at) = successful {
        body["status"]["lastSuccessfulTime"] = at.into();
    }
    body
}

fn job(cluster: &Cluster, set: &PodSet) -> Value {
    let counts = Counts::of(set.pods.iter());
    let uid = cluster.uid(set.id, "set", 0);
    let mut status = json!({
        "startTime": time(set.created),
        "ready": counts.ready,
        "terminating": counts.terminating,
        "uncountedTerminatedPods": {},
    });
    if counts.active > 0 {
        status["active"] = counts.active.into();
    }
    let ended = |kind: &str, reason: &str, message: &str, at: i64| {
        let mut condition = condition(kind, true, reason, message, at);
        condition["lastProbeTime"] = time(at).into();
        condition
    };
    match set.outcome {
        Outcome::Open => {}
        Outcome::Complete { at } => {
            status["succeeded"] = 1.into();
            status["completionTime"] = time(at).into();
            let message = "Reached expected number of succeeded pods";
            status["conditions"] = ["SuccessCriteriaMet", "Complete"]
                .iter()
                .map(|kind| ended(kind, "CompletionsReached", message, at))
                .collect();
        }
        Outcome::Failed { at } => {
            status["failed"] = 1.into();
            let message = "Job has reached the specified backoff limit";
            status["conditions"] = ["FailureTarget", "Failed"]
                .iter()
                .map(|kind| ended(kind, "BackoffLimitExceeded", message, at))
                .collect();
        }
    }
    json!({
        "spec": {
            "backoffLimit": 0,
            "completionMode": "NonIndexed",
            "completions": 1,
            "parallelism": 1,
            "activeDeadlineSeconds": 3600,
            "manualSelector": false,
            "suspend": false,
            "podReplacementPolicy": "TerminatingOrFailed",
            "selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}},
        },
        "status": status,
    })
}
