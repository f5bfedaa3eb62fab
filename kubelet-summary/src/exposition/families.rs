//! The families, one row each.

/// A metric family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Family {
    /// Its name; that of a counter ends with `_total`.
    pub name: &'static str,
    /// What its values are.
    pub help: &'static str,
    /// Counter or gauge.
    pub kind: Kind,
    /// `bytes`, `seconds` or `ratio`, with which its name ends then, before `_total`: so OpenMetrics has it. Empty for
    /// numbers of things, and for `container_memory_rss`, whose name lacks it.
    pub unit: &'static str,
    /// Whose name and meaning it is, and how stable that is.
    pub source: Source,
}

/// What a family's values do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// They only rise, until they begin anew.
    Counter,
    /// They rise and fall.
    Gauge,
}

impl Kind {
    /// The word of the exposition formats for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
        }
    }
}

/// Whose a family's name and meaning are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Source {
    /// The kubelet's `/metrics/resource`. Stable there, except for swap, which is newer.
    KubeletResource,
    /// The kubelet's `/metrics`. Of the level ALPHA there, and unchanged for years.
    Kubelet,
    /// cAdvisor, as the kubelet's `/metrics/cadvisor` has it. Nobody promises anything there.
    Cadvisor,
    /// Prometheus' node_exporter.
    NodeExporter,
    /// This crate. Not stable before its 1.0.
    Own,
}

impl Source {
    /// A few words for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::KubeletResource => "kubelet /metrics/resource",
            Self::Kubelet => "kubelet /metrics",
            Self::Cadvisor => "cAdvisor",
            Self::NodeExporter => "node_exporter",
            Self::Own => "own",
        }
    }
}

macro_rules! families {
    ($($constant:ident: $name:literal, $kind:ident, $unit:literal, $source:ident, $help:literal;)+) => {
        $(
            pub(super) static $constant: Family =
                Family { name: $name, help: $help, kind: Kind::$kind, unit: $unit, source: Source::$source };
        )+

        /// Every family there is.
        pub static FAMILIES: &[&Family] = &[$(&$constant),+];
    };
}

families! {
    NODE_SUMMARY: "kube_node_summary_timestamp_seconds", Gauge, "seconds", Own,
        "When the node's kubelet was asked for what its series say, since 1970-01-01 UTC.";
    NODE_CPU: "node_cpu_usage_seconds_total", Counter, "seconds", KubeletResource,
        "Processor time that the node has used.";
    NODE_MEMORY_WORKING_SET: "node_memory_working_set_bytes", Gauge, "bytes", KubeletResource,
        "Working set of the node.";
    NODE_SWAP: "node_swap_usage_bytes", Gauge, "bytes", KubeletResource,
        "Swap that the node uses.";
    NODE_PROCESSES: "kube_node_processes", Gauge, "", Own,
        "Processes on the node.";
    NODE_MAX_PID: "kube_node_max_pid", Gauge, "", Own,
        "The highest process id that the node gives out.";
    NODE_PRESSURE_CPU_WAITING: "node_pressure_cpu_waiting_seconds_total", Counter, "seconds", NodeExporter,
        "Time in which a task of the node waited for a processor.";
    NODE_PRESSURE_MEMORY_WAITING: "node_pressure_memory_waiting_seconds_total", Counter, "seconds", NodeExporter,
        "Time in which a task of the node waited for memory.";
    NODE_PRESSURE_MEMORY_STALLED: "node_pressure_memory_stalled_seconds_total", Counter, "seconds", NodeExporter,
        "Time in which all tasks of the node waited for memory.";
    NODE_PRESSURE_IO_WAITING: "node_pressure_io_waiting_seconds_total", Counter, "seconds", NodeExporter,
        "Time in which a task of the node waited for input or output.";
    NODE_PRESSURE_IO_STALLED: "node_pressure_io_stalled_seconds_total", Counter, "seconds", NodeExporter,
        "Time in which all tasks of the node waited for input or output.";
    NODE_FS_USED: "kube_node_filesystem_used_bytes", Gauge, "bytes", Own,
        "Bytes used on a filesystem of the kubelet's: nodefs, imagefs or containerfs.";
    NODE_FS_CAPACITY: "kube_node_filesystem_capacity_bytes", Gauge, "bytes", Own,
        "Size of a filesystem of the kubelet's.";
    NODE_FS_AVAILABLE: "kube_node_filesystem_available_bytes", Gauge, "bytes", Own,
        "Bytes that are free on a filesystem of the kubelet's.";
    NODE_FS_INODES: "kube_node_filesystem_inodes", Gauge, "", Own,
        "Inodes of a filesystem of the kubelet's.";
    NODE_FS_INODES_FREE: "kube_node_filesystem_inodes_free", Gauge, "", Own,
        "Inodes that are free on a filesystem of the kubelet's.";
    SYSTEM_CONTAINER_CPU: "kube_node_system_container_cpu_usage_seconds_total", Counter, "seconds", Own,
        "Processor time that a system container of the node has used.";
    SYSTEM_CONTAINER_MEMORY_WORKING_SET: "kube_node_system_container_memory_working_set_bytes", Gauge, "bytes", Own,
        "Working set of a system container of the node.";
    POD_CPU: "pod_cpu_usage_seconds_total", Counter, "seconds", KubeletResource,
        "Processor time that the pod has used.";
    POD_MEMORY_WORKING_SET: "pod_memory_working_set_bytes", Gauge, "bytes", KubeletResource,
        "Working set of the pod.";
    POD_MEMORY_LIMIT_RATIO: "kube_pod_memory_limit_ratio", Gauge, "ratio", Own,
        "Working set of the pod as a part of its memory limit.";
    POD_SWAP: "pod_swap_usage_bytes", Gauge, "bytes", KubeletResource,
        "Swap that the pod uses.";
    POD_PROCESSES: "kube_pod_processes", Gauge, "", Own,
        "Processes in the pod.";
    NETWORK_RX_BYTES: "container_network_receive_bytes_total", Counter, "bytes", Cadvisor,
        "Bytes that the pod received on an interface.";
    NETWORK_RX_ERRORS: "container_network_receive_errors_total", Counter, "", Cadvisor,
        "Errors while the pod received on an interface.";
    NETWORK_TX_BYTES: "container_network_transmit_bytes_total", Counter, "bytes", Cadvisor,
        "Bytes that the pod sent on an interface.";
    NETWORK_TX_ERRORS: "container_network_transmit_errors_total", Counter, "", Cadvisor,
        "Errors while the pod sent on an interface.";
    POD_STORAGE_USED: "kube_pod_ephemeral_storage_used_bytes", Gauge, "bytes", Own,
        "Ephemeral storage that the pod uses, as eviction counts it.";
    POD_STORAGE_INODES_USED: "kube_pod_ephemeral_storage_inodes_used", Gauge, "", Own,
        "Inodes that the pod uses of ephemeral storage.";
    POD_STORAGE_UNATTRIBUTED: "kube_pod_ephemeral_storage_unattributed_bytes", Gauge, "bytes", Own,
        "Ephemeral storage of the pod that is neither a container's nor a volume's.";
    POD_STORAGE_LIMIT_RATIO: "kube_pod_ephemeral_storage_limit_ratio", Gauge, "ratio", Own,
        "Ephemeral storage that the pod uses as a part of its limit; above 1 it is evicted.";
    POD_STORAGE_VOLUME_USED: "kube_pod_ephemeral_storage_volume_used_bytes", Gauge, "bytes", Own,
        "Ephemeral storage that a local volume of the pod uses.";
    CONTAINER_START: "container_start_time_seconds", Gauge, "seconds", KubeletResource,
        "When the container started, since 1970-01-01 UTC.";
    CONTAINER_CPU: "container_cpu_usage_seconds_total", Counter, "seconds", KubeletResource,
        "Processor time that the container has used.";
    CONTAINER_MEMORY_WORKING_SET: "container_memory_working_set_bytes", Gauge, "bytes", KubeletResource,
        "Working set of the container.";
    CONTAINER_MEMORY_USAGE: "container_memory_usage_bytes", Gauge, "bytes", Cadvisor,
        "Memory that the container uses, page cache included.";
    CONTAINER_MEMORY_RSS: "container_memory_rss", Gauge, "", Cadvisor,
        "Anonymous memory of the container, in bytes.";
    CONTAINER_PAGE_FAULTS: "kube_pod_container_page_faults_total", Counter, "", Own,
        "Minor page faults of the container.";
    CONTAINER_MAJOR_PAGE_FAULTS: "kube_pod_container_major_page_faults_total", Counter, "", Own,
        "Major page faults of the container.";
    CONTAINER_MEMORY_LIMIT_RATIO: "kube_pod_container_memory_limit_ratio", Gauge, "ratio", Own,
        "Working set of the container as a part of its memory limit.";
    CONTAINER_SWAP: "container_swap_usage_bytes", Gauge, "bytes", KubeletResource,
        "Swap that the container uses.";
    CONTAINER_PRESSURE_CPU_WAITING: "container_pressure_cpu_waiting_seconds_total", Counter, "seconds", Cadvisor,
        "Time in which a task of the container waited for a processor.";
    CONTAINER_PRESSURE_CPU_STALLED: "container_pressure_cpu_stalled_seconds_total", Counter, "seconds", Cadvisor,
        "Time in which all tasks of the container waited for a processor.";
    CONTAINER_PRESSURE_MEMORY_WAITING: "container_pressure_memory_waiting_seconds_total", Counter, "seconds", Cadvisor,
        "Time in which a task of the container waited for memory.";
    CONTAINER_PRESSURE_MEMORY_STALLED: "container_pressure_memory_stalled_seconds_total", Counter, "seconds", Cadvisor,
        "Time in which all tasks of the container waited for memory.";
    CONTAINER_PRESSURE_IO_WAITING: "container_pressure_io_waiting_seconds_total", Counter, "seconds", Cadvisor,
        "Time in which a task of the container waited for input or output.";
    CONTAINER_PRESSURE_IO_STALLED: "container_pressure_io_stalled_seconds_total", Counter, "seconds", Cadvisor,
        "Time in which all tasks of the container waited for input or output.";
    CONTAINER_FS_USAGE: "container_fs_usage_bytes", Gauge, "bytes", Cadvisor,
        "Bytes of the container's writable layer.";
    CONTAINER_FS_INODES_USED: "kube_pod_container_rootfs_inodes_used", Gauge, "", Own,
        "Inodes of the container's writable layer.";
    CONTAINER_FS_LIMIT: "container_fs_limit_bytes", Gauge, "bytes", Cadvisor,
        "Size of the filesystem that the container's writable layer is on.";
    CONTAINER_LOGS_USED: "kubelet_container_log_filesystem_used_bytes", Gauge, "bytes", Kubelet,
        "Bytes of the container's logs.";
    CONTAINER_STORAGE_USED: "kube_pod_container_ephemeral_storage_used_bytes", Gauge, "bytes", Own,
        "Ephemeral storage that the container uses itself: writable layer and logs.";
    CONTAINER_STORAGE_LIMIT_RATIO: "kube_pod_container_ephemeral_storage_limit_ratio", Gauge, "ratio", Own,
        "What eviction compares with the container's limit on ephemeral storage, as a part of it.";
    CONTAINER_STORAGE_ATTRIBUTED: "kube_pod_container_ephemeral_storage_attributed_bytes", Gauge, "bytes", Own,
        "The container's part of the pod's ephemeral storage; the parts sum up to it.";
    VOLUME_CAPACITY: "kubelet_volume_stats_capacity_bytes", Gauge, "bytes", Kubelet,
        "Size of the claim's filesystem.";
    VOLUME_AVAILABLE: "kubelet_volume_stats_available_bytes", Gauge, "bytes", Kubelet,
        "Bytes that are free on the claim's filesystem.";
    VOLUME_USED: "kubelet_volume_stats_used_bytes", Gauge, "bytes", Kubelet,
        "Bytes used on the claim's filesystem.";
    VOLUME_INODES: "kubelet_volume_stats_inodes", Gauge, "", Kubelet,
        "Inodes of the claim's filesystem.";
    VOLUME_INODES_FREE: "kubelet_volume_stats_inodes_free", Gauge, "", Kubelet,
        "Inodes that are free on the claim's filesystem.";
    VOLUME_INODES_USED: "kubelet_volume_stats_inodes_used", Gauge, "", Kubelet,
        "Inodes used on the claim's filesystem.";
}
