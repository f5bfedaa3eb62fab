//! A summary as metric families, for whatever writes them: a function that is called with each sample.
//!
//! Names, units and meanings are those of the kubelet's own `/metrics/resource` and `/metrics`, and of cAdvisor, where
//! these have such a metric ([`Family::source`]); the others are this crate's. All series begin with the label `node`,
//! since they come from many kubelets to one place; those of pods have `namespace`, `pod` and `uid`, by which a pod and
//! its successor of the same name are two. Figures that are absent yield no sample.

mod families;

pub use families::{FAMILIES, Family, Kind, Source};

use families as f;
use jiff::Timestamp;

use crate::resources::{PodResources, ratio};
use crate::schema::{
    Amount, ContainerStats, FsStats, InterfaceStats, NodeStats, PodRef, PodStats, Pressure, Psi, Summary, Time,
};
use crate::storage::{
    Attribution, PodStorage, container_bytes, evicted_by_bytes, has_own_image_fs, node_filesystems, pod_storage,
};

const NANOS: f64 = 1e9;

/// Calls `emit` with the family, labels, value and, where the sample's own time is known, milliseconds since 1970-01-01
/// UTC, of all that a document has figures of.
///
/// `resources` tells requests and limits of a pod, without which there are no ratios. The labels are borrowed for the
/// time of the call only; nothing is allocated for them.
///
/// ```
/// use kubelet_summary::Summary;
/// use kubelet_summary::exposition::{Family, collect};
/// use kubelet_summary::storage::Attribution;
///
/// let answer = br#"{"node": {"nodeName": "n1", "cpu": {"time": "2026-01-01T00:00:00Z", "usageCoreNanoSeconds": 1500000000}}}"#;
/// let decoded = Summary::from_slice(answer)?;
/// let mut lines = Vec::new();
/// let mut emit = |family: &'static Family, labels: &[(&str, &str)], value: f64, time: Option<i64>| {
///     lines.push(format!("{} {labels:?} {value} {time:?}", family.name));
/// };
/// collect(&decoded.summary, Attribution::Measured, |_| None, &mut emit);
/// assert_eq!(lines, [r#"node_cpu_usage_seconds_total [("node", "n1")] 1.5 Some(1767225600000)"#]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn collect(
    summary: &Summary,
    attribution: Attribution,
    mut resources: impl FnMut(&PodRef) -> Option<PodResources>,
    emit: &mut impl FnMut(&'static Family, &[(&str, &str)], f64, Option<i64>),
) {
    collect_node(&summary.node, emit);
    for pod in &summary.pods {
        let resources = resources(&pod.pod_ref);
        collect_pod(&summary.node, pod, resources.as_ref(), attribution, emit);
    }
    collect_claims(&summary.node.node_name, &summary.pods, emit);
}

/// The sample of when a node was asked: [`Document::requested_at`](crate::cache::Document::requested_at). One series per
/// node; `time() - kube_node_summary_timestamp_seconds` is the age of what the node's other series say, and where a kubelet
/// fails, since when.
pub fn collect_requested(
    node_name: &str,
    requested_at: Timestamp,
    emit: &mut impl FnMut(&'static Family, &[(&str, &str)], f64, Option<i64>),
) {
    let mut samples = Samples { emit, labels: &[("node", node_name)], time: None };
    samples.value(&f::NODE_SUMMARY, requested_at.as_nanosecond() as f64 / NANOS);
}

/// A sink, and what the samples of one object have in common.
struct Samples<'a, E> {
    emit: &'a mut E,
    labels: &'a [(&'a str, &'a str)],
    time: Option<Time>,
}

impl<E: FnMut(&'static Family, &[(&str, &str)], f64, Option<i64>)> Samples<'_, E> {
    fn value(&mut self, family: &'static Family, value: f64) {
        (self.emit)(family, self.labels, value, self.time.map(Time::as_millis));
    }

    fn amount(&mut self, family: &'static Family, amount: Amount) {
        if let Some(amount) = amount.get() {
            self.value(family, amount as f64);
        }
    }

    fn seconds(&mut self, family: &'static Family, nanos: Amount) {
        if let Some(nanos) = nanos.get() {
            self.value(family, nanos as f64 / NANOS);
        }
    }

    fn ratio(&mut self, family: &'static Family, used: Option<u64>, of: Option<u64>) {
        if let Some(ratio) = ratio(used, of) {
            self.value(family, ratio);
        }
    }

    fn start(&mut self, family: &'static Family, start: Option<Time>) {
        if let Some(start) = start {
            self.value(family, start.as_nanos() as f64 / NANOS);
        }
    }

    fn at(&mut self, time: Option<Time>) -> &mut Self {
        self.time = time;
        self
    }

    /// The same with these labels instead.
    fn with<'b>(&'b mut self, labels: &'b [(&'b str, &'b str)], time: Option<Time>) -> Samples<'b, E> {
        Samples { emit: self.emit, labels, time }
    }
}

/// The samples of a node, its filesystems and its system containers' processor and memory.
pub fn collect_node(node: &NodeStats, emit: &mut impl FnMut(&'static Family, &[(&str, &str)], f64, Option<i64>)) {
    let name = ("node", &*node.node_name);
    let mut samples = Samples { emit, labels: &[name], time: node.cpu.time };
    samples.seconds(&f::NODE_CPU, node.cpu.usage_core_nano_seconds);
    samples.at(node.memory.time).amount(&f::NODE_MEMORY_WORKING_SET, node.memory.working_set_bytes);
    let swap = node.swap();
    samples.at(swap.time).amount(&f::NODE_SWAP, swap.usage_bytes);
    samples.at(node.rlimit_time).amount(&f::NODE_PROCESSES, node.processes);
    samples.amount(&f::NODE_MAX_PID, node.max_pid);
    if let Some(Pressure { cpu, memory, io }) = node.pressure() {
        samples.at(cpu.time).seconds(&f::NODE_PRESSURE_CPU_WAITING, cpu.some.total);
        samples.at(memory.time).seconds(&f::NODE_PRESSURE_MEMORY_WAITING, memory.some.total);
        samples.seconds(&f::NODE_PRESSURE_MEMORY_STALLED, memory.full.total);
        samples.at(io.time).seconds(&f::NODE_PRESSURE_IO_WAITING, io.some.total);
        samples.seconds(&f::NODE_PRESSURE_IO_STALLED, io.full.total);
    }
    for (filesystem, fs) in node_filesystems(node) {
        let labels = [name, ("filesystem", filesystem.name())];
        let mut samples = samples.with(&labels, fs.time);
        samples.amount(&f::NODE_FS_USED, fs.used_bytes);
        samples.amount(&f::NODE_FS_CAPACITY, fs.size.capacity_bytes);
        samples.amount(&f::NODE_FS_AVAILABLE, fs.size.available_bytes);
        samples.amount(&f::NODE_FS_INODES, fs.size.inodes);
        samples.amount(&f::NODE_FS_INODES_FREE, fs.size.inodes_free);
    }
    for container in &node.system_containers {
        let labels = [name, ("container", &*container.name)];
        let mut samples = samples.with(&labels, container.cpu.time);
        samples.seconds(&f::SYSTEM_CONTAINER_CPU, container.cpu.usage_core_nano_seconds);
        let memory = container.memory;
        samples.at(memory.time).amount(&f::SYSTEM_CONTAINER_MEMORY_WORKING_SET, memory.working_set_bytes);
    }
}

/// The samples of a pod of that node and its containers; those of its claims come from [`collect_claims`].
pub fn collect_pod(
    node: &NodeStats,
    pod: &PodStats,
    resources: Option<&PodResources>,
    attribution: Attribution,
    emit: &mut impl FnMut(&'static Family, &[(&str, &str)], f64, Option<i64>),
) {
    let PodStats { pod_ref, .. } = pod;
    let own_image_fs = has_own_image_fs(node).unwrap_or(false);
    let node_name = &*node.node_name;
    let [node, namespace, name, uid] =
        [("node", node_name), ("namespace", pod_ref.namespace()), ("pod", pod_ref.name()), ("uid", pod_ref.uid())];
    let mut samples = Samples { emit, labels: &[node, namespace, name, uid], time: pod.cpu.time };
    samples.seconds(&f::POD_CPU, pod.cpu.usage_core_nano_seconds);
    samples.at(pod.memory.time).amount(&f::POD_MEMORY_WORKING_SET, pod.memory.working_set_bytes);
    let limit = resources.and_then(|resources| resources.pod.limits.memory);
    samples.ratio(&f::POD_MEMORY_LIMIT_RATIO, pod.memory.working_set_bytes.get(), limit);
    let swap = pod.swap();
    samples.at(swap.time).amount(&f::POD_SWAP, swap.usage_bytes);
    samples.at(None).amount(&f::POD_PROCESSES, pod.process_count);
    if let Some(network) = pod.network.first() {
        // Each interface where they are kept, the default one among them; else that one alone.
        let default = std::slice::from_ref(&network.default);
        for interface in if network.interfaces.is_empty() { default } else { &*network.interfaces } {
            let labels = [node, namespace, name, uid, ("interface", &*interface.name)];
            let mut samples = samples.with(&labels, network.time);
            let InterfaceStats { rx_bytes, rx_errors, tx_bytes, tx_errors, .. } = interface;
            samples.amount(&f::NETWORK_RX_BYTES, *rx_bytes);
            samples.amount(&f::NETWORK_RX_ERRORS, *rx_errors);
            samples.amount(&f::NETWORK_TX_BYTES, *tx_bytes);
            samples.amount(&f::NETWORK_TX_ERRORS, *tx_errors);
        }
    }
    let storage = pod_storage(pod, attribution);
    if let Some(PodStorage { time, used_bytes, unattributed_bytes, volumes, .. }) = &storage {
        samples.at(*time).value(&f::POD_STORAGE_USED, *used_bytes as f64);
        samples.amount(&f::POD_STORAGE_INODES_USED, pod.ephemeral_storage.inodes_used);
        samples.value(&f::POD_STORAGE_UNATTRIBUTED, *unattributed_bytes as f64);
        let limit = resources.and_then(|resources| resources.pod.limits.ephemeral_storage);
        samples.ratio(&f::POD_STORAGE_LIMIT_RATIO, Some(*used_bytes), limit);
        for volume in volumes {
            let labels = [node, namespace, name, uid, ("volume", volume.name)];
            samples.with(&labels, volume.time).value(&f::POD_STORAGE_VOLUME_USED, volume.used_bytes as f64);
        }
    }
    for (index, container) in pod.containers.iter().enumerate() {
        let labels = [node, namespace, name, uid, ("container", &*container.name)];
        let mut samples = samples.with(&labels, None);
        collect_container(container, resources, own_image_fs, &mut samples);
        // The parts are in the order of the containers.
        if let Some((storage, part)) =
            storage.as_ref().and_then(|storage| Some((storage, storage.containers.get(index)?)))
        {
            samples.at(storage.time).value(&f::CONTAINER_STORAGE_ATTRIBUTED, part.attributed_bytes as f64);
        }
    }
}

fn collect_container<E: FnMut(&'static Family, &[(&str, &str)], f64, Option<i64>)>(
    container: &ContainerStats,
    resources: Option<&PodResources>,
    own_image_fs: bool,
    samples: &mut Samples<'_, E>,
) {
    let limits = resources.map(|resources| resources.container(&container.name).limits).unwrap_or_default();
    samples.start(&f::CONTAINER_START, container.start_time);
    samples.at(container.cpu.time).seconds(&f::CONTAINER_CPU, container.cpu.usage_core_nano_seconds);
    let memory = container.memory;
    samples.at(memory.time).amount(&f::CONTAINER_MEMORY_WORKING_SET, memory.working_set_bytes);
    samples.amount(&f::CONTAINER_MEMORY_USAGE, memory.usage_bytes);
    samples.amount(&f::CONTAINER_MEMORY_RSS, memory.rss_bytes);
    samples.amount(&f::CONTAINER_PAGE_FAULTS, memory.page_faults);
    samples.amount(&f::CONTAINER_MAJOR_PAGE_FAULTS, memory.major_page_faults);
    samples.ratio(&f::CONTAINER_MEMORY_LIMIT_RATIO, memory.working_set_bytes.get(), limits.memory);
    let swap = container.swap();
    samples.at(swap.time).amount(&f::CONTAINER_SWAP, swap.usage_bytes);
    if let Some(Pressure { cpu, memory, io }) = container.pressure() {
        let each: [(&Psi, &'static Family, &'static Family); 3] = [
            (cpu, &f::CONTAINER_PRESSURE_CPU_WAITING, &f::CONTAINER_PRESSURE_CPU_STALLED),
            (memory, &f::CONTAINER_PRESSURE_MEMORY_WAITING, &f::CONTAINER_PRESSURE_MEMORY_STALLED),
            (io, &f::CONTAINER_PRESSURE_IO_WAITING, &f::CONTAINER_PRESSURE_IO_STALLED),
        ];
        for (psi, waiting, stalled) in each {
            samples.at(psi.time).seconds(waiting, psi.some.total);
            samples.seconds(stalled, psi.full.total);
        }
    }
    let FsStats { time, used_bytes, inodes_used, size } = container.rootfs.stats();
    samples.at(time).amount(&f::CONTAINER_FS_USAGE, used_bytes);
    samples.amount(&f::CONTAINER_FS_INODES_USED, inodes_used);
    samples.amount(&f::CONTAINER_FS_LIMIT, size.capacity_bytes);
    samples.at(container.logs.time).amount(&f::CONTAINER_LOGS_USED, container.logs.used_bytes);
    let own = container_bytes(container);
    samples.at(time.max(container.logs.time)).amount(&f::CONTAINER_STORAGE_USED, own.into());
    let compared = evicted_by_bytes(container, own_image_fs);
    samples.ratio(&f::CONTAINER_STORAGE_LIMIT_RATIO, compared, limits.ephemeral_storage);
}

/// The samples of the PersistentVolumeClaims of pods of a node, each claim once, however many of them have it mounted.
pub fn collect_claims<'a>(
    node_name: &str,
    pods: impl IntoIterator<Item = &'a PodStats>,
    emit: &mut impl FnMut(&'static Family, &[(&str, &str)], f64, Option<i64>),
) {
    let volumes = pods.into_iter().flat_map(|pod| &pod.volumes);
    let mut claims: Vec<_> = volumes.filter_map(|volume| Some((volume.pvc_ref.first()?, &volume.fs))).collect();
    // The latest sample of each claim comes first.
    claims.sort_by(|(one, one_fs), (other, other_fs)| {
        let names = (&one.namespace, &one.name).cmp(&(&other.namespace, &other.name));
        names.then(other_fs.time.cmp(&one_fs.time))
    });
    claims.dedup_by(|(one, _), (before, _)| one == before);
    for (claim, fs) in claims {
        let labels = [("node", node_name), ("namespace", &*claim.namespace), ("persistentvolumeclaim", &*claim.name)];
        let mut samples = Samples { emit, labels: &labels, time: fs.time };
        samples.amount(&f::VOLUME_CAPACITY, fs.size.capacity_bytes);
        samples.amount(&f::VOLUME_AVAILABLE, fs.size.available_bytes);
        samples.amount(&f::VOLUME_USED, fs.used_bytes);
        samples.amount(&f::VOLUME_INODES, fs.size.inodes);
        samples.amount(&f::VOLUME_INODES_FREE, fs.size.inodes_free);
        samples.amount(&f::VOLUME_INODES_USED, fs.inodes_used);
    }
}
