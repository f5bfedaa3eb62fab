//! The seldom parts of a summary: swap, pressure, accelerators and user-defined metrics.

use super::{Amount, ContainerStats, Hundredths, Name, NodeStats, PodStats, Run, Time};

macro_rules! extra {
    ($($type:ty),+) => {
        $(
            impl $type {
                /// Swap; every figure absent where there is none.
                pub fn swap(&self) -> SwapStats {
                    self.extra.first().map_or(SwapStats::default(), |extra| extra.swap)
                }

                /// Pressure stall information.
                pub fn pressure(&self) -> Option<&Pressure> {
                    self.extra.first()?.pressure.first()
                }
            }
        )+
    };
}

extra!(NodeStats, PodStats, ContainerStats);

impl ContainerStats {
    /// Accelerators, which kubelets below 1.25 write.
    pub fn accelerators(&self) -> &[AcceleratorStats] {
        self.extra.first().map_or(&[], |extra| &extra.accelerators)
    }

    /// User-defined metrics, which kubelets below 1.25 may write.
    pub fn user_metrics(&self) -> &[UserMetric] {
        self.extra.first().map_or(&[], |extra| &extra.user_metrics)
    }
}

/// The seldom parts of a node, a pod or a container.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Extra {
    /// Swap.
    pub swap: SwapStats,
    /// Pressure stall information: one, or none.
    pub pressure: Run<Pressure>,
    /// Accelerators, of containers only.
    pub accelerators: Box<[AcceleratorStats]>,
    /// User-defined metrics, of containers only.
    pub user_metrics: Box<[UserMetric]>,
}

/// Swap.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SwapStats {
    /// When it was sampled.
    pub time: Option<Time>,
    /// Bytes that can still be swapped out.
    pub available_bytes: Amount,
    /// Bytes that are swapped out.
    pub usage_bytes: Amount,
}

/// Pressure stall information of the three resources (`cpu.psi`, `memory.psi`, `io.psi`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pressure {
    /// Processor; sampled at the time of [`CpuStats`](super::CpuStats), which is repeated here in case that isn't kept.
    pub cpu: Psi,
    /// Memory; sampled at the time of [`MemoryStats`](super::MemoryStats).
    pub memory: Psi,
    /// Input and output.
    pub io: Psi,
}

/// Pressure stall information of one resource.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Psi {
    /// When it was sampled.
    pub time: Option<Time>,
    /// All tasks at once were stalled.
    pub full: PsiData,
    /// At least one task was stalled.
    pub some: PsiData,
}

/// One line of pressure stall information.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PsiData {
    /// Nanoseconds stalled since the start, a counter.
    pub total: Amount,
    /// Percent of the last 10 seconds.
    pub avg10: Hundredths,
    /// Percent of the last minute.
    pub avg60: Hundredths,
    /// Percent of the last 5 minutes.
    pub avg300: Hundredths,
}

/// An accelerator (a GPU) of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AcceleratorStats {
    /// The maker, as `nvidia`.
    pub make: Name,
    /// The model, as `Tesla P100`.
    pub model: Name,
    /// The device's id.
    pub id: Name,
    /// Bytes of memory in all.
    pub memory_total: Amount,
    /// Bytes of memory in use.
    pub memory_used: Amount,
    /// Percent of the time over the last sample period (10 s) in which it was busy.
    pub duty_cycle: Amount,
}

/// A metric that the container's own code exports.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct UserMetric {
    /// The metric's name.
    pub name: Name,
    /// `gauge`, `cumulative` or `delta`, as the document says.
    pub kind: Name,
    /// The unit, as the document says.
    pub units: Name,
    /// Labels, in the document's order.
    pub labels: Box<[(Name, Name)]>,
    /// When it was sampled.
    pub time: Option<Time>,
    /// The value, in `units`; `None` where it is absent or no finite number.
    pub value: Option<f64>,
}
