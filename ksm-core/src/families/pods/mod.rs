//! `pods`

mod containers;
mod status;
mod unread;

use std::collections::HashSet;

use k8s_openapi::api::core::v1::{Pod, PodSpec, PodStatus, Toleration};

use self::containers::ContainerFamilies;
use super::amounts::amount;
use super::owners::put_owners;
use super::{Text, bool_text, instant, part};
use crate::family::{Family, family_table};
use crate::resource::Resource;
use crate::samples::Samples;

const NAME: &str = "pods";

pub(super) const RESOURCE: Resource<Pod> = Resource { name: NAME, families: FAMILIES, collect, unread: unread::PATHS };

family_table! {
    FAMILIES {
        COMPLETION_TIME = Family::gauge(
            "kube_pod_completion_time", "When the last container of the pod ended, in Unix seconds.").stable();
        CONTAINER_INFO = Family::gauge("kube_pod_container_info", "Images and identifiers of a container.").stable();
        CONTAINER_RESOURCE_LIMITS = Family::gauge(
            "kube_pod_container_resource_limits", "How much of a resource a container may use at most.").stable();
        CONTAINER_RESOURCE_REQUESTS = Family::gauge(
            "kube_pod_container_resource_requests", "How much of a resource is set aside for a container.").stable();
        CONTAINER_STATE_STARTED = Family::gauge(
            "kube_pod_container_state_started", "When a container was started, in Unix seconds.").stable();
        CONTAINER_LAST_TERMINATED_REASON = Family::gauge(
            "kube_pod_container_status_last_terminated_reason", "Why a container ended the last time.");
        CONTAINER_LAST_TERMINATED_EXITCODE = Family::gauge(
            "kube_pod_container_status_last_terminated_exitcode",
            "The exit code with which a container ended the last time.");
        CONTAINER_LAST_TERMINATED_TIMESTAMP = Family::gauge(
            "kube_pod_container_status_last_terminated_timestamp",
            "When a container ended the last time, in Unix seconds.");
        CONTAINER_READY = Family::gauge("kube_pod_container_status_ready", "1 for a container that is ready.").stable();
        CONTAINER_RESTARTS = Family::counter(
            "kube_pod_container_status_restarts_total", "How often a container was started again.").stable();
        CONTAINER_RUNNING = Family::gauge("kube_pod_container_status_running", "1 for a container that runs.").stable();
        CONTAINER_TERMINATED = Family::gauge(
            "kube_pod_container_status_terminated", "1 for a container that has ended.").stable();
        CONTAINER_TERMINATED_REASON = Family::gauge(
            "kube_pod_container_status_terminated_reason", "Why a container has ended.");
        CONTAINER_WAITING = Family::gauge(
            "kube_pod_container_status_waiting", "1 for a container that waits to be started.").stable();
        CONTAINER_WAITING_REASON = Family::gauge(
            "kube_pod_container_status_waiting_reason", "Why a container waits to be started.").stable();
        CREATED = Family::gauge("kube_pod_created", "When the pod was created, in Unix seconds.").stable();
        DELETION_TIMESTAMP = Family::gauge(
            "kube_pod_deletion_timestamp", "When the pod is to be deleted, in Unix seconds.");
        INFO = Family::gauge("kube_pod_info", "Addresses, node, controller and priority of the pod.").stable();
        IPS = Family::gauge("kube_pod_ips", "Each address of the pod.");
        INIT_CONTAINER_INFO = Family::gauge(
            "kube_pod_init_container_info", "Images and identifiers of an init container.").stable();
        INIT_CONTAINER_RESOURCE_LIMITS = Family::gauge(
            "kube_pod_init_container_resource_limits", "How much of a resource an init container may use at most.");
        INIT_CONTAINER_RESOURCE_REQUESTS = Family::gauge(
            "kube_pod_init_container_resource_requests", "How much of a resource is set aside for an init container.");
        INIT_CONTAINER_STATE_STARTED = Family::gauge(
            "kube_pod_init_container_state_started", "When an init container was started, in Unix seconds.");
        INIT_CONTAINER_LAST_TERMINATED_REASON = Family::gauge(
            "kube_pod_init_container_status_last_terminated_reason", "Why an init container ended the last time.");
        INIT_CONTAINER_LAST_TERMINATED_EXITCODE = Family::gauge(
            "kube_pod_init_container_status_last_terminated_exitcode",
            "The exit code with which an init container ended the last time.");
        INIT_CONTAINER_LAST_TERMINATED_TIMESTAMP = Family::gauge(
            "kube_pod_init_container_status_last_terminated_timestamp",
            "When an init container ended the last time, in Unix seconds.");
        INIT_CONTAINER_READY = Family::gauge(
            "kube_pod_init_container_status_ready", "1 for an init container that is ready.").stable();
        INIT_CONTAINER_RESTARTS = Family::counter(
            "kube_pod_init_container_status_restarts_total", "How often an init container was started again.").stable();
        INIT_CONTAINER_RUNNING = Family::gauge(
            "kube_pod_init_container_status_running", "1 for an init container that runs.").stable();
        INIT_CONTAINER_TERMINATED = Family::gauge(
            "kube_pod_init_container_status_terminated", "1 for an init container that has ended.").stable();
        INIT_CONTAINER_TERMINATED_REASON = Family::gauge(
            "kube_pod_init_container_status_terminated_reason", "Why an init container has ended.");
        INIT_CONTAINER_WAITING = Family::gauge(
            "kube_pod_init_container_status_waiting", "1 for an init container that waits to be started.").stable();
        INIT_CONTAINER_WAITING_REASON = Family::gauge(
            "kube_pod_init_container_status_waiting_reason", "Why an init container waits to be started.");
        ANNOTATIONS = Family::gauge("kube_pod_annotations", "Annotations of the pod as labels.")
            .needs_annotation_allowlist();
        LABELS = Family::gauge("kube_pod_labels", "Labels of the pod as labels.").stable().needs_label_allowlist();
        OVERHEAD_CPU_CORES = Family::gauge(
            "kube_pod_overhead_cpu_cores", "Cores that running the pod takes beyond its containers.");
        OVERHEAD_MEMORY_BYTES = Family::gauge(
            "kube_pod_overhead_memory_bytes", "Memory that running the pod takes beyond its containers, in bytes.");
        OWNER = Family::gauge("kube_pod_owner", "Each owner of the pod.").stable();
        RESOURCECLAIM_INFO = Family::gauge(
            "kube_pod_resourceclaim_info",
            "Each device claim of the pod: its name within the pod, the ResourceClaim, and the template that one \
             is made from.");
        RESTART_POLICY = Family::gauge("kube_pod_restart_policy", "The restart policy of the pod.").stable();
        RUNTIMECLASS_NAME_INFO = Family::gauge("kube_pod_runtimeclass_name_info", "The runtime class of the pod.");
        VOLUME_CLAIMS_INFO = Family::gauge(
            "kube_pod_spec_volumes_persistentvolumeclaims_info",
            "Each volume of the pod that a volume claim backs.").stable();
        VOLUME_CLAIMS_READONLY = Family::gauge(
            "kube_pod_spec_volumes_persistentvolumeclaims_readonly",
            "1 for a volume whose claim is mounted read-only; ephemeral volumes never are.").stable();
        START_TIME = Family::gauge("kube_pod_start_time", "When the kubelet took the pod on, in Unix seconds.")
            .stable();
        STATUS_PHASE = Family::gauge("kube_pod_status_phase", "The phase of the pod: 1 for the one it is in.").stable();
        STATUS_QOS_CLASS = Family::gauge(
            "kube_pod_status_qos_class", "The quality-of-service class of the pod: 1 for the one it has.");
        STATUS_READY = Family::gauge("kube_pod_status_ready", "Whether the pod is ready: 1 for the condition's status.")
            .stable();
        STATUS_READY_TIME = Family::gauge("kube_pod_status_ready_time", "When the pod became ready, in Unix seconds.");
        STATUS_INITIALIZED_TIME = Family::gauge(
            "kube_pod_status_initialized_time", "When all init containers of the pod were done, in Unix seconds.");
        STATUS_CONTAINER_READY_TIME = Family::gauge(
            "kube_pod_status_container_ready_time", "When all containers of the pod were ready, in Unix seconds.");
        STATUS_REASON = Family::gauge("kube_pod_status_reason", "Each known reason for the state that the pod is in.");
        STATUS_DISRUPTION_REASON = Family::gauge(
            "kube_pod_status_disruption_reason", "Why the pod is about to be ended by a disruption.");
        STATUS_SCHEDULED = Family::gauge(
            "kube_pod_status_scheduled", "Whether the pod has a node: 1 for the condition's status.").stable();
        STATUS_SCHEDULED_TIME = Family::gauge(
            "kube_pod_status_scheduled_time", "When the pod got its node, in Unix seconds.").stable();
        STATUS_UNSCHEDULABLE = Family::gauge("kube_pod_status_unschedulable", "1 for a pod that no node was found for.")
            .stable();
        STATUS_UNSCHEDULED_TIME = Family::gauge(
            "kube_pod_status_unscheduled_time", "Since when there has been no node for the pod, in Unix seconds.");
        TOLERATIONS = Family::gauge("kube_pod_tolerations", "Each toleration of the pod.");
        NODESELECTORS = Family::gauge("kube_pod_nodeselectors", "The node labels that the pod asks for, as labels.")
            .opt_in();
        SERVICE_ACCOUNT = Family::gauge("kube_pod_service_account", "The service account of the pod.");
        SCHEDULER = Family::gauge("kube_pod_scheduler", "The scheduler that finds a node for the pod.");
    }
}

const CONTAINERS: ContainerFamilies = ContainerFamilies {
    info: CONTAINER_INFO,
    info_names_restart_policy: false,
    resource_limits: CONTAINER_RESOURCE_LIMITS,
    resource_requests: CONTAINER_RESOURCE_REQUESTS,
    state_started: CONTAINER_STATE_STARTED,
    last_terminated_reason: CONTAINER_LAST_TERMINATED_REASON,
    last_terminated_exitcode: CONTAINER_LAST_TERMINATED_EXITCODE,
    last_terminated_timestamp: CONTAINER_LAST_TERMINATED_TIMESTAMP,
    ready: CONTAINER_READY,
    restarts: CONTAINER_RESTARTS,
    running: CONTAINER_RUNNING,
    terminated: CONTAINER_TERMINATED,
    terminated_reason: CONTAINER_TERMINATED_REASON,
    waiting: CONTAINER_WAITING,
    waiting_reason: CONTAINER_WAITING_REASON,
};

const INIT_CONTAINERS: ContainerFamilies = ContainerFamilies {
    info: INIT_CONTAINER_INFO,
    info_names_restart_policy: true,
    resource_limits: INIT_CONTAINER_RESOURCE_LIMITS,
    resource_requests: INIT_CONTAINER_RESOURCE_REQUESTS,
    state_started: INIT_CONTAINER_STATE_STARTED,
    last_terminated_reason: INIT_CONTAINER_LAST_TERMINATED_REASON,
    last_terminated_exitcode: INIT_CONTAINER_LAST_TERMINATED_EXITCODE,
    last_terminated_timestamp: INIT_CONTAINER_LAST_TERMINATED_TIMESTAMP,
    ready: INIT_CONTAINER_READY,
    restarts: INIT_CONTAINER_RESTARTS,
    running: INIT_CONTAINER_RUNNING,
    terminated: INIT_CONTAINER_TERMINATED,
    terminated_reason: INIT_CONTAINER_TERMINATED_REASON,
    waiting: INIT_CONTAINER_WAITING,
    waiting_reason: INIT_CONTAINER_WAITING_REASON,
};

fn collect(pod: &Pod, s: &mut Samples<'_>) {
    let meta = &pod.metadata;
    let (spec, status) = (part::<PodSpec>(&pod.spec), part::<PodStatus>(&pod.status));
    let (spec, status): (&PodSpec, &PodStatus) = (&spec, &status);
    s.identity(&[("namespace", meta.namespace.text()), ("pod", meta.name.text()), ("uid", meta.uid.text())]);

    s.put_time(CREATED, &[], instant(meta.creation_timestamp.as_ref()));
    s.put_time(DELETION_TIMESTAMP, &[], instant(meta.deletion_timestamp.as_ref()));
    s.put_annotations(ANNOTATIONS, meta.annotations.as_ref());
    s.put_labels(LABELS, meta.labels.as_ref());
    put_owners(s, OWNER, meta.owner_references.as_ref());
    if s.wants(INFO) {
        let controller = meta.owner_references.iter().flatten().find(|owner| owner.controller == Some(true));
        s.put_unique(
            INFO,
            &[
                ("host_ip", status.host_ip.text()),
                ("pod_ip", status.pod_ip.text()),
                ("node", spec.node_name.text()),
                ("created_by_kind", controller.map_or("", |owner| &owner.kind)),
                ("created_by_name", controller.map_or("", |owner| &owner.name)),
                ("priority_class", spec.priority_class_name.text()),
                ("host_network", bool_text(spec.host_network == Some(true))),
            ],
            1.0,
        );
    }

    let node = spec.node_name.text();
    let ended = CONTAINERS.collect(s, &spec.containers, status.container_statuses.as_deref().unwrap_or_default(), node);
    INIT_CONTAINERS.collect(
        s,
        spec.init_containers.as_deref().unwrap_or_default(),
        status.init_container_statuses.as_deref().unwrap_or_default(),
        node,
    );
    put_spec(s, meta.name.text(), spec, status);
    status::collect(s, status, ended);
}

fn put_spec(s: &mut Samples<'_>, pod: &str, spec: &PodSpec, status: &PodStatus) {
    if let Some(overhead) = spec.overhead.as_ref() {
        s.put_some(OVERHEAD_CPU_CORES, &[], amount(Some(overhead), "cpu", NAME).map(crate::value::Quantity::amount));
        s.put_some(
            OVERHEAD_MEMORY_BYTES,
            &[],
            amount(Some(overhead), "memory", NAME).map(crate::value::Quantity::value),
        );
    }
    put_resource_claims(s, spec, status);
    s.put(RESTART_POLICY, &[("type", spec.restart_policy.text())], 1.0);
    if let Some(class) = &spec.runtime_class_name {
        s.put(RUNTIMECLASS_NAME_INFO, &[("runtimeclass_name", class)], 1.0);
    }
    if s.wants(VOLUME_CLAIMS_INFO) || s.wants(VOLUME_CLAIMS_READONLY) {
        put_volume_claims(s, pod, spec);
    }
    if s.wants(TOLERATIONS) {
        put_tolerations(s, spec.tolerations.as_deref().unwrap_or_default());
    }
    s.put_map(NODESELECTORS, "nodeselector", spec.node_selector.as_ref(), |_| true);
    s.put(SERVICE_ACCOUNT, &[("service_account", spec.service_account_name.text())], 1.0);
    s.put(SCHEDULER, &[("name", spec.scheduler_name.text())], 1.0);
}

fn put_resource_claims(s: &mut Samples<'_>, spec: &PodSpec, status: &PodStatus) {
    for claim in spec.resource_claims.iter().flatten() {
        let name = match (&claim.resource_claim_name, &claim.resource_claim_template_name) {
            (Some(name), _) => name.as_str(),
            // A claim made from a template gets its name later; until then it is exposed without.
            (None, Some(_)) => {
                let mut made = status.resource_claim_statuses.iter().flatten();
                made.rfind(|made| made.name == claim.name && made.resource_claim_name.is_some())
                    .map_or("", |made| made.resource_claim_name.text())
            }
            (None, None) => continue,
        };
        let labels = [
            ("claim_name", claim.name.as_str()),
            ("resourceclaim_name", name),
            ("resourceclaim_template_name", claim.resource_claim_template_name.text()),
        ];
        s.put_unique(RESOURCECLAIM_INFO, &labels, 1.0);
    }
}

fn put_volume_claims(s: &mut Samples<'_>, pod: &str, spec: &PodSpec) {
    for volume in spec.volumes.iter().flatten() {
        let generated;
        let (claim, is_ephemeral, is_read_only) = match (&volume.persistent_volume_claim, &volume.ephemeral) {
            (Some(claim), _) => (&claim.claim_name, false, claim.read_only == Some(true)),
            (None, Some(_)) => {
                generated = format!("{pod}-{}", volume.name);
                (&generated, true, false)
            }
            (None, None) => continue,
        };
        let labels = [
            ("volume", volume.name.as_str()),
            ("persistentvolumeclaim", claim),
            ("ephemeral", bool_text(is_ephemeral)),
        ];
        s.put_unique(VOLUME_CLAIMS_INFO, &labels, 1.0);
        s.put_unique(VOLUME_CLAIMS_READONLY, &labels, f64::from(u8::from(is_read_only)));
    }
}

/// Each toleration once: the same one twice would be the same sample twice.
fn put_tolerations(s: &mut Samples<'_>, tolerations: &[Toleration]) {
    type Key<'a> = ([&'a str; 4], Option<i64>);
    fn key_of(t: &Toleration) -> Key<'_> {
        ([t.key.text(), t.operator.text(), t.value.text(), t.effect.text()], t.toleration_seconds)
    }

    // Comparing each with all before it is the fastest for the few there are; a set bounds the work for absurdly many.
    let mut many: Option<HashSet<Key<'_>>> = (tolerations.len() > 32).then(HashSet::new);
    for (at, toleration) in tolerations.iter().enumerate() {
        let key = key_of(toleration);
        let is_new = match &mut many {
            Some(seen) => seen.insert(key),
            None => !tolerations.iter().take(at).any(|other| key_of(other) == key),
        };
        if is_new {
            let ([name, operator, value, effect], seconds) = key;
            let mut buffer = itoa::Buffer::new();
            let seconds = seconds.map_or("", |seconds| buffer.format(seconds));
            let labels = [
                ("key", name),
                ("operator", operator),
                ("value", value),
                ("effect", effect),
                ("toleration_seconds", seconds),
            ];
            s.put(TOLERATIONS, &labels, 1.0);
        }
    }
}
