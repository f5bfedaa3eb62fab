//! Ephemeral storage of pods: how much there is, and which container or volume it goes back to.
//!
//! The figure of a pod is the kubelet's own (`ephemeral-storage.usedBytes`), which is what it evicts pods by. The
//! kubelet makes it up from each container's writable layer (`rootfs`) and logs, the pod's local ephemeral volumes, and
//! a few files of its own (`/etc/hosts`). A container's own use is rootfs plus logs, as eviction counts it; where
//! images are on a filesystem apart (see [`has_own_image_fs`]), eviction compares the logs alone with the container's
//! limit, and [`ContainerStorage`] has them apart for that.
//!
//! [`Attribution`] says how the pod's figure is spread over its containers, so that their parts sum up to it.

use crate::schema::{ContainerStats, FsSize, FsStats, NodeStats, PodStats, Time, VolumeStats};

/// How a pod's figure is spread over its containers. In both ways the parts sum up to the figure, to the byte.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Attribution {
    /// Each container has what it uses itself, rootfs and logs, and an even part of the rest: volumes and what is
    /// nobody's. Of what can't be divided, the first containers have a byte more.
    ///
    /// The figures in one document are sampled at different times, so the containers can use more than the pod does,
    /// by some bytes. Then there is no rest, and each container has the pod's figure in proportion to its use, rounded
    /// down; the bytes left by the rounding go to the first ones.
    #[default]
    Measured,
    /// Each container has an even part of the whole figure, and the first ones a byte more, whatever they use.
    EvenSplit,
}

/// Ephemeral storage of one pod.
///
/// `own` of all containers, plus `volumes`, plus `unattributed_bytes`, is `used_bytes` plus `excess_bytes`, of which
/// the latter two are never both above zero.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PodStorage<'a> {
    /// When the pod's figure was sampled.
    pub time: Option<Time>,
    /// Bytes that the pod uses.
    pub used_bytes: u64,
    /// Inodes that the pod uses, a number.
    pub inodes_used: Option<u64>,
    /// The filesystem that it is on, as a whole.
    pub size: FsSize,
    /// Each container that is in the document. Where there is none, nothing of the figure is spread.
    pub containers: Vec<ContainerStorage<'a>>,
    /// Each local ephemeral volume that has a figure: see [`is_local`].
    pub volumes: Vec<VolumeStorage<'a>>,
    /// Bytes of the pod's figure that neither a container's nor a volume's figure accounts for.
    pub unattributed_bytes: u64,
    /// Bytes by which the figures of containers and volumes, sampled at other times, are more than the pod's.
    pub excess_bytes: u64,
}

/// Ephemeral storage of one container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ContainerStorage<'a> {
    /// The container's name.
    pub name: &'a str,
    /// Bytes of the writable layer.
    pub rootfs_bytes: Option<u64>,
    /// Bytes of logs.
    pub logs_bytes: Option<u64>,
    /// Bytes of the pod's figure that are this container's by the [`Attribution`].
    pub attributed_bytes: u64,
}

impl ContainerStorage<'_> {
    /// What the container uses itself, rootfs plus logs, in bytes; absent where neither is known.
    pub fn own_bytes(&self) -> Option<u64> {
        sum(self.rootfs_bytes, self.logs_bytes)
    }
}

/// A local ephemeral volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct VolumeStorage<'a> {
    /// The volume's name in the pod's spec.
    pub name: &'a str,
    /// When it was sampled: the kubelet looks at volumes once a minute.
    pub time: Option<Time>,
    /// Bytes used.
    pub used_bytes: u64,
}

/// Of two parts the sum; a part that is absent adds nothing, and two make nothing.
fn sum(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.saturating_add(other)),
        _ => one.or(other),
    }
}

/// What a container uses itself, rootfs plus logs, in bytes; absent where neither is known.
pub fn container_bytes(container: &ContainerStats) -> Option<u64> {
    sum(container.rootfs.used_bytes.get(), container.logs.used_bytes.get())
}

/// What eviction compares with a container's limit on ephemeral storage, in bytes: rootfs plus logs, or the logs alone
/// where images are on a filesystem apart from the kubelet's own ([`has_own_image_fs`]). Absent where it is not known.
pub fn evicted_by_bytes(container: &ContainerStats, own_image_fs: bool) -> Option<u64> {
    if own_image_fs { container.logs.used_bytes.get() } else { container_bytes(container) }
}

/// Whether a volume counts as the pod's ephemeral storage: `emptyDir` on disk, `configMap` and `gitRepo`.
///
/// The document doesn't say of what kind a volume is. A volume with a claim isn't local, nor is one with a filesystem
/// of its own: the memory behind secrets, projected tokens and `emptyDir` of the medium `Memory`, or an inline CSI
/// volume. A filesystem is taken for another than that of the pod's ephemeral storage where its size is another;
/// where one of the sizes is unknown, the volume counts.
pub fn is_local(pod: &PodStats, volume: &VolumeStats) -> bool {
    let (of_pod, of_volume) = (pod.ephemeral_storage.size(), volume.fs.size);
    let is_elsewhere = matches!(
        (of_pod.capacity_bytes.get(), of_volume.capacity_bytes.get()),
        (Some(of_pod), Some(of_volume)) if of_pod != of_volume
    );
    volume.pvc_ref.is_empty() && !is_elsewhere
}

/// The ephemeral storage of a pod; `None` where the document has no figure for it, which is not zero.
///
/// ```
/// use kubelet_summary::Summary;
/// use kubelet_summary::storage::{Attribution, pod_storage};
///
/// let answer = br#"{"pods": [{"podRef": {"name": "web", "namespace": "shop", "uid": "u1"},
///     "ephemeral-storage": {"usedBytes": 105}, "volume": [{"name": "tmp", "usedBytes": 20}],
///     "containers": [{"name": "app", "rootfs": {"usedBytes": 60}, "logs": {"usedBytes": 10}}, {"name": "proxy"}]}]}"#;
/// let decoded = Summary::from_slice(answer)?;
/// let storage = pod_storage(&decoded.summary.pods[0], Attribution::Measured).ok_or("no figure")?;
/// let parts: Vec<_> = storage.containers.iter().map(|container| (container.name, container.attributed_bytes)).collect();
/// // 70 of its own, and 18 of the 35 that are left.
/// assert_eq!(parts, [("app", 88), ("proxy", 17)]);
/// assert_eq!((storage.volumes[0].used_bytes, storage.unattributed_bytes), (20, 15));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn pod_storage(pod: &PodStats, attribution: Attribution) -> Option<PodStorage<'_>> {
    let figure = &pod.ephemeral_storage;
    let used_bytes = figure.used_bytes.get()?;
    let mut containers: Vec<ContainerStorage<'_>> = pod
        .containers
        .iter()
        .map(|container| ContainerStorage {
            name: &container.name,
            rootfs_bytes: container.rootfs.used_bytes.get(),
            logs_bytes: container.logs.used_bytes.get(),
            attributed_bytes: 0,
        })
        .collect();
    let volumes: Vec<VolumeStorage<'_>> = pod
        .volumes
        .iter()
        .filter(|volume| is_local(pod, volume))
        .filter_map(|volume| {
            let used_bytes = volume.fs.used_bytes.get()?;
            Some(VolumeStorage { name: &volume.name, time: volume.fs.time, used_bytes })
        })
        .collect();
    match attribution {
        Attribution::Measured => attribute_measured(used_bytes, &mut containers),
        Attribution::EvenSplit => spread(used_bytes, &mut containers),
    }
    // A hostile document's figures can be more than 64 bits in sum.
    let own: u128 = containers.iter().filter_map(ContainerStorage::own_bytes).map(u128::from).sum();
    let known: u128 = own + volumes.iter().map(|volume| u128::from(volume.used_bytes)).sum::<u128>();
    let used = u128::from(used_bytes);
    Some(PodStorage {
        time: figure.time,
        used_bytes,
        inodes_used: figure.inodes_used.get(),
        size: figure.size(),
        containers,
        volumes,
        unattributed_bytes: narrow(used.saturating_sub(known)),
        excess_bytes: narrow(known.saturating_sub(used)),
    })
}

fn narrow(bytes: u128) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

/// To each container what it uses itself and an even part of the rest.
fn attribute_measured(used_bytes: u64, containers: &mut [ContainerStorage<'_>]) {
    let used = u128::from(used_bytes);
    let own: u128 = containers.iter().filter_map(ContainerStorage::own_bytes).map(u128::from).sum();
    if own > used {
        for container in &mut *containers {
            let part = u128::from(container.own_bytes().unwrap_or(0));
            container.attributed_bytes = narrow(part * used / own);
        }
    } else {
        for container in &mut *containers {
            container.attributed_bytes = container.own_bytes().unwrap_or(0);
        }
    }
    let given: u128 = containers.iter().map(|container| u128::from(container.attributed_bytes)).sum();
    spread(narrow(used.saturating_sub(given)), containers);
}

/// To each container an even part more, and to the first ones a byte on top.
fn spread(bytes: u64, containers: &mut [ContainerStorage<'_>]) {
    let number = containers.len() as u64;
    let (Some(part), Some(left)) = (bytes.checked_div(number), bytes.checked_rem(number)) else { return };
    for (index, container) in (0_u64..).zip(containers) {
        container.attributed_bytes += part + u64::from(index < left);
    }
}

/// A filesystem of the node, by the name that the kubelet's eviction signals have for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NodeFilesystem {
    /// That of the kubelet's root directory: volumes and logs.
    NodeFs,
    /// That of images.
    ImageFs,
    /// That of writable layers.
    ContainerFs,
}

impl NodeFilesystem {
    /// `nodefs`, `imagefs` or `containerfs`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NodeFs => "nodefs",
            Self::ImageFs => "imagefs",
            Self::ContainerFs => "containerfs",
        }
    }
}

/// The filesystems of a node that the document has a figure of. They may be one and the same.
pub fn node_filesystems(node: &NodeStats) -> impl Iterator<Item = (NodeFilesystem, FsStats)> {
    [
        (NodeFilesystem::NodeFs, node.fs),
        (NodeFilesystem::ImageFs, node.image_fs),
        (NodeFilesystem::ContainerFs, node.container_fs),
    ]
    .into_iter()
    .filter(|(_, fs)| FsStats { time: None, ..*fs } != FsStats::default())
}

/// Whether images are on a filesystem apart from the kubelet's own; `None` where the document doesn't say. Two
/// filesystems are taken for one where capacity and inodes are the same.
pub fn has_own_image_fs(node: &NodeStats) -> Option<bool> {
    let size = |fs: &FsStats| Some((fs.size.capacity_bytes.get()?, fs.size.inodes.get()));
    Some(size(&node.fs)? != size(&node.image_fs)?)
}
