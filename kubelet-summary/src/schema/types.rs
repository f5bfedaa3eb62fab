//! The objects of a summary. Every figure may be absent; an object whose figures are all absent stood not in the
//! document.

use std::sync::Arc;

use super::{Amount, Extra, Name, PodRef, Run, Time};

/// What a kubelet says about its node and the pods on it.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Summary {
    /// The node itself.
    pub node: NodeStats,
    /// Its pods, each uid once, in the document's order.
    pub pods: Box<[PodStats]>,
}

/// The node as a whole.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct NodeStats {
    /// The node's name; empty where the document has none.
    pub node_name: Name,
    /// Since when the figures have been counted: in general the boot.
    pub start_time: Option<Time>,
    /// Processor, of the whole machine.
    pub cpu: CpuStats,
    /// Memory, of the whole machine.
    pub memory: MemoryStats,
    /// Swap, pressure, and what else few documents have or few readers want: one, or none.
    pub extra: Run<Extra>,
    /// The machine's network: one, or none.
    pub network: Run<NetworkStats>,
    /// The filesystem of the kubelet's root directory (`nodefs`).
    pub fs: FsStats,
    /// The filesystem that the runtime keeps images on (`imagefs`).
    pub image_fs: FsStats,
    /// The filesystem that the runtime keeps writable layers on (`containerfs`), often the same as `imagefs`.
    pub container_fs: FsStats,
    /// When [`NodeStats::max_pid`] and [`NodeStats::processes`] were read.
    pub rlimit_time: Option<Time>,
    /// The highest process id (`rlimit.maxpid`), a number of processes.
    pub max_pid: Amount,
    /// The processes there are (`rlimit.curproc`), a number.
    pub processes: Amount,
    /// Cgroups of the system's own: `kubelet`, `runtime`, `misc`, `pods`.
    pub system_containers: Run<ContainerStats>,
}

/// A pod: the whole of it, and its containers.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct PodStats {
    /// Which pod it is.
    pub pod_ref: PodRef,
    /// When the kubelet took note of the pod.
    pub start_time: Option<Time>,
    /// Its containers, each name once; terminated ones may be among them.
    pub containers: Run<ContainerStats>,
    /// Processor, of the whole pod with its sandbox.
    pub cpu: CpuStats,
    /// Memory, of the whole pod with its sandbox.
    pub memory: MemoryStats,
    /// Swap, pressure, and what else few documents have or few readers want: one, or none.
    pub extra: Run<Extra>,
    /// The network of the pod's namespace: one, or none for pods in the node's own.
    pub network: Run<NetworkStats>,
    /// Volumes that are mounted, ephemeral and persistent ones.
    pub volumes: Run<VolumeStats>,
    /// Ephemeral storage: writable layers, logs and local ephemeral volumes together.
    pub ephemeral_storage: FsUse,
    /// Processes in the pod, a number.
    pub process_count: Amount,
}

/// A container of a pod, or a system container of the node.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct ContainerStats {
    /// The container's name in its pod.
    pub name: Name,
    /// When the container started: the figures count from here.
    pub start_time: Option<Time>,
    /// Processor; all absent for a terminated container.
    pub cpu: CpuStats,
    /// Memory; all absent for a terminated container.
    pub memory: MemoryStats,
    /// The writable layer. Its size and free space are those of the filesystem that it is on.
    pub rootfs: FsUse,
    /// The container's logs. Their size and free space are those of the filesystem that they are on.
    pub logs: FsUse,
    /// Swap, pressure, and what else few documents have or few readers want: one, or none.
    pub extra: Run<Extra>,
}

/// Processor time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CpuStats {
    /// When it was sampled.
    pub time: Option<Time>,
    /// Nanoseconds of processor time per second, over the kubelet's own window. Zero where two callers poll one
    /// kubelet (kubernetes#122092), so no rate should come from it.
    pub usage_nano_cores: Amount,
    /// Nanoseconds of processor time since the start, a counter.
    pub usage_core_nano_seconds: Amount,
}

/// Memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MemoryStats {
    /// When it was sampled.
    pub time: Option<Time>,
    /// Bytes that can still be used: limit minus working set. Absent where there is no limit.
    pub available_bytes: Amount,
    /// Bytes in use, page cache included.
    pub usage_bytes: Amount,
    /// Bytes that can't be reclaimed easily, which is what the kernel's and the kubelet's limits look at.
    pub working_set_bytes: Amount,
    /// Bytes of anonymous memory, transparent huge pages included.
    pub rss_bytes: Amount,
    /// Minor page faults since the start, a counter.
    pub page_faults: Amount,
    /// Major page faults since the start, a counter.
    pub major_page_faults: Amount,
}

/// Network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetworkStats {
    /// When it was sampled.
    pub time: Option<Time>,
    /// The default interface.
    pub default: InterfaceStats,
    /// Every interface, the default one among them.
    pub interfaces: Run<InterfaceStats>,
}

/// A network interface. The counters start anew with the interface.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InterfaceStats {
    /// The interface's name; empty where the document has none.
    pub name: Name,
    /// Bytes received, a counter.
    pub rx_bytes: Amount,
    /// Errors while receiving, a counter.
    pub rx_errors: Amount,
    /// Bytes sent, a counter.
    pub tx_bytes: Amount,
    /// Errors while sending, a counter.
    pub tx_errors: Amount,
}

/// A filesystem, and how much of it is used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FsStats {
    /// When it was sampled.
    pub time: Option<Time>,
    /// Bytes used by what the figures are of. For the node's filesystems and for volumes with one of their own it is
    /// all of the filesystem, for a directory it is what lies under it.
    pub used_bytes: Amount,
    /// Inodes used, a number, as `used_bytes`.
    pub inodes_used: Amount,
    /// Size and free space of the whole filesystem.
    pub size: FsSize,
}

/// Size and free space of a whole filesystem.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct FsSize {
    /// Bytes that are free for the kubelet's user.
    pub available_bytes: Amount,
    /// Bytes in all.
    pub capacity_bytes: Amount,
    /// Inodes that are free, a number.
    pub inodes_free: Amount,
    /// Inodes in all, a number.
    pub inodes: Amount,
}

/// What something uses of a filesystem that it shares with others: a writable layer, logs, ephemeral storage.
///
/// Many of one document lie on one filesystem and repeat its size, so they share it here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FsUse {
    /// When it was sampled.
    pub time: Option<Time>,
    /// Bytes used.
    pub used_bytes: Amount,
    /// Inodes used, a number.
    pub inodes_used: Amount,
    /// The filesystem's size, shared.
    pub shared_size: Option<Arc<FsSize>>,
}

impl FsUse {
    /// Size and free space of the filesystem.
    pub fn size(&self) -> FsSize {
        self.shared_size.as_deref().copied().unwrap_or_default()
    }

    /// All of it in one.
    pub fn stats(&self) -> FsStats {
        FsStats { time: self.time, used_bytes: self.used_bytes, inodes_used: self.inodes_used, size: self.size() }
    }
}

impl From<FsStats> for FsUse {
    fn from(stats: FsStats) -> Self {
        let FsStats { time, used_bytes, inodes_used, size } = stats;
        let shared_size = (size != FsSize::default()).then(|| Arc::new(size));
        Self { time, used_bytes, inodes_used, shared_size }
    }
}

/// A volume of a pod.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct VolumeStats {
    /// The volume's name in the pod's spec.
    pub name: Name,
    /// The claim behind it: one, or none for volumes that live with the pod.
    pub pvc_ref: Run<PvcRef>,
    /// Its filesystem.
    pub fs: FsStats,
}

/// A PersistentVolumeClaim.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct PvcRef {
    /// The claim's namespace.
    pub namespace: Name,
    /// The claim's name.
    pub name: Name,
}
