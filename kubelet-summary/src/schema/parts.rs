//! Which parts of a summary are kept.

use std::ops::{BitOr, BitOrAssign};

/// A set of parts of a summary. What is not in it is passed over while the document is read, and costs no memory.
///
/// The parts of containers come only together with [`Parts::CONTAINERS`]. What names an object (and its start time)
/// is always kept.
///
/// ```
/// use kubelet_summary::Parts;
///
/// let parts = Parts::CONTAINERS | Parts::CPU;
/// assert!(parts.contains(Parts::CPU) && !parts.contains(Parts::MEMORY));
/// assert_eq!(Parts::default(), Parts::USAGE);
/// assert_eq!(Parts::ALL.without(Parts::CPU | Parts::MEMORY).contains(Parts::CPU), false);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Parts(u16);

impl Parts {
    /// Nothing but what names the node and its pods.
    pub const NONE: Self = Self(0);
    /// `cpu`, without its pressure.
    pub const CPU: Self = Self(1);
    /// `memory`, without its pressure.
    pub const MEMORY: Self = Self(1 << 1);
    /// `swap`.
    pub const SWAP: Self = Self(1 << 2);
    /// `psi` of `cpu` and `memory`, and `io`, which holds nothing else.
    pub const PRESSURE: Self = Self(1 << 3);
    /// `network` of the node and the pods: the default interface.
    pub const NETWORK: Self = Self(1 << 4);
    /// `network.interfaces`: each interface. Has an effect only beside [`Parts::NETWORK`].
    pub const INTERFACES: Self = Self(1 << 5);
    /// `ephemeral-storage` of pods.
    pub const EPHEMERAL_STORAGE: Self = Self(1 << 6);
    /// `rootfs` and `logs` of containers.
    pub const CONTAINER_FS: Self = Self(1 << 7);
    /// `volume` of pods.
    pub const VOLUMES: Self = Self(1 << 8);
    /// `fs` and `runtime` of the node.
    pub const NODE_FS: Self = Self(1 << 9);
    /// `process_stats` of pods and `rlimit` of the node.
    pub const PROCESSES: Self = Self(1 << 10);
    /// `accelerators` of containers.
    pub const ACCELERATORS: Self = Self(1 << 11);
    /// `userDefinedMetrics` of containers.
    pub const USER_METRICS: Self = Self(1 << 12);
    /// `containers` of pods.
    pub const CONTAINERS: Self = Self(1 << 13);
    /// `systemContainers` of the node.
    pub const SYSTEM_CONTAINERS: Self = Self(1 << 14);

    /// Everything that this crate knows.
    pub const ALL: Self = Self((1 << 15) - 1);
    /// What ephemeral storage is worked out from, and the node's filesystems.
    pub const STORAGE: Self =
        Self(Self::EPHEMERAL_STORAGE.0 | Self::CONTAINER_FS.0 | Self::VOLUMES.0 | Self::NODE_FS.0 | Self::CONTAINERS.0);
    /// Processor and memory of pods and containers.
    pub const CPU_AND_MEMORY: Self = Self(Self::CPU.0 | Self::MEMORY.0 | Self::CONTAINERS.0);
    /// The default: what most ask for. Everything but swap, pressure, each interface, accelerators and user-defined
    /// metrics.
    pub const USAGE: Self = Self(
        Self::CPU_AND_MEMORY.0 | Self::STORAGE.0 | Self::NETWORK.0 | Self::PROCESSES.0 | Self::SYSTEM_CONTAINERS.0,
    );

    /// Whether all of `parts` are in the set.
    pub const fn contains(self, parts: Self) -> bool {
        self.0 & parts.0 == parts.0
    }

    /// Whether at least one of `parts` is in the set.
    pub const fn intersects(self, parts: Self) -> bool {
        self.0 & parts.0 != 0
    }

    /// The set without those of `parts`.
    pub const fn without(self, parts: Self) -> Self {
        Self(self.0 & !parts.0)
    }
}

impl Default for Parts {
    fn default() -> Self {
        Self::USAGE
    }
}

impl BitOr for Parts {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Parts {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}
