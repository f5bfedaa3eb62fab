//! The main figures of pods and containers, and sums of them.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{PodUsage, Usage};
use crate::resources::Resources;
use crate::schema::{ContainerStats, PodStats, Pressure, Psi};

macro_rules! figures {
    ($($(#[$doc:meta])+ $name:ident,)+) => {
        /// The main figures of a pod or a container. What is absent is not known, which is not zero.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        #[non_exhaustive]
        pub struct Figures {
            $($(#[$doc])+ pub $name: Option<u64>,)+
        }

        /// Figures of several pods or containers together.
        #[derive(Debug, Clone, PartialEq, Eq, Default)]
        #[non_exhaustive]
        pub struct Aggregate {
            /// How many pods or containers there are.
            pub parts: usize,
            /// The age of the oldest document among them.
            pub age: Duration,
            $($(#[$doc])+ pub $name: Tally,)+
            /// What they ask for.
            pub requests: ResourceTallies,
            /// What they may take. Where one of them has no limit, a sum of the others' holds nothing: see
            /// [`of_all`](Self::of_all).
            pub limits: ResourceTallies,
        }

        impl Aggregate {
            /// With one more.
            pub fn add(&mut self, figures: &Figures, requests: Resources, limits: Resources, age: Duration) {
                self.parts += 1;
                self.age = self.age.max(age);
                $(self.$name.add(figures.$name);)+
                self.requests.add(requests);
                self.limits.add(limits);
            }
        }
    };
}

/// Requests or limits of several pods or containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ResourceTallies {
    /// CPU, in billionths of a core.
    pub cpu: Tally,
    /// Memory, in bytes.
    pub memory: Tally,
    /// Ephemeral storage, in bytes.
    pub ephemeral_storage: Tally,
}

impl ResourceTallies {
    fn add(&mut self, resources: Resources) {
        self.cpu.add(resources.cpu);
        self.memory.add(resources.memory);
        self.ephemeral_storage.add(resources.ephemeral_storage);
    }
}

impl Aggregate {
    /// The sum of a figure that is known of each part, as a limit has to be to hold all of them; none where one lacks it,
    /// and none of nothing.
    pub fn of_all(&self, tally: Tally) -> Option<u64> {
        tally.sum().filter(|_| tally.of == self.parts)
    }
}

figures! {
    /// Processor, in billionths of a core, over the kubelet's own window. Zero where others poll the kubelet too
    /// (kubernetes#122092): a rate of the counter is better.
    cpu_nano_cores,
    /// Processor time since the start, in nanoseconds; a counter.
    cpu_core_nano_seconds,
    /// Memory that can't be reclaimed easily, in bytes: what limits look at.
    memory_working_set_bytes,
    /// Memory in all, in bytes.
    memory_usage_bytes,
    /// Anonymous memory, in bytes.
    memory_rss_bytes,
    /// Swap, in bytes; where it is [kept](crate::KubeletSummaryBuilder::parts) of documents.
    swap_bytes,
    /// Ephemeral storage, in bytes: of a pod its own figure, of a container its writable layer and logs.
    ephemeral_storage_bytes,
    /// Used on the claims that the pod mounts, in bytes; a claim that several pods mount is in each of them. None for a
    /// container. Volumes that live with the pod are in its ephemeral storage.
    claim_bytes,
    /// Received by the pod's default interface, in bytes; a counter. None for a container.
    network_rx_bytes,
    /// Sent by it.
    network_tx_bytes,
    /// Processes, a number. None for a container.
    processes,
    /// Time in which a task waited for a processor, in nanoseconds; a counter. Pressure is there where it is
    /// [kept](crate::KubeletSummaryBuilder::parts) of documents, and known to the kubelet (1.34 or later).
    cpu_waiting_nano_seconds,
    /// Time in which a task waited for memory, in the same way.
    memory_waiting_nano_seconds,
    /// Time in which a task waited for input or output, in the same way.
    io_waiting_nano_seconds,
}

fn claims(stats: &PodStats) -> Option<u64> {
    let claims = stats.volumes.iter().filter(|volume| !volume.pvc_ref.is_empty());
    claims.filter_map(|volume| volume.fs.used_bytes.get()).reduce(u64::saturating_add)
}

/// For how long tasks waited for processors, memory, and input or output.
fn waits(pressure: Option<&Pressure>) -> [Option<u64>; 3] {
    let waited = |psi: fn(&Pressure) -> &Psi| pressure.and_then(|pressure| psi(pressure).some.total.get());
    [waited(|of| &of.cpu), waited(|of| &of.memory), waited(|of| &of.io)]
}

impl Figures {
    /// Of a pod's document.
    pub fn of_pod(stats: &PodStats) -> Self {
        let network = stats.network.first().map(|network| &network.default);
        let [cpu, memory, io] = waits(stats.pressure());
        Self {
            cpu_nano_cores: stats.cpu.usage_nano_cores.get(),
            cpu_core_nano_seconds: stats.cpu.usage_core_nano_seconds.get(),
            memory_working_set_bytes: stats.memory.working_set_bytes.get(),
            memory_usage_bytes: stats.memory.usage_bytes.get(),
            memory_rss_bytes: stats.memory.rss_bytes.get(),
            swap_bytes: stats.swap().usage_bytes.get(),
            ephemeral_storage_bytes: stats.ephemeral_storage.used_bytes.get(),
            claim_bytes: claims(stats),
            network_rx_bytes: network.and_then(|network| network.rx_bytes.get()),
            network_tx_bytes: network.and_then(|network| network.tx_bytes.get()),
            processes: stats.process_count.get(),
            cpu_waiting_nano_seconds: cpu,
            memory_waiting_nano_seconds: memory,
            io_waiting_nano_seconds: io,
        }
    }

    /// Of a container's document.
    pub fn of_container(stats: &ContainerStats) -> Self {
        let storage = [stats.rootfs.used_bytes.get(), stats.logs.used_bytes.get()];
        let [cpu, memory, io] = waits(stats.pressure());
        Self {
            cpu_nano_cores: stats.cpu.usage_nano_cores.get(),
            cpu_core_nano_seconds: stats.cpu.usage_core_nano_seconds.get(),
            memory_working_set_bytes: stats.memory.working_set_bytes.get(),
            memory_usage_bytes: stats.memory.usage_bytes.get(),
            memory_rss_bytes: stats.memory.rss_bytes.get(),
            swap_bytes: stats.swap().usage_bytes.get(),
            ephemeral_storage_bytes: storage.into_iter().flatten().reduce(u64::saturating_add),
            cpu_waiting_nano_seconds: cpu,
            memory_waiting_nano_seconds: memory,
            io_waiting_nano_seconds: io,
            ..Self::default()
        }
    }
}

/// A figure of several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Tally {
    /// Of how many it is known; where that is none, the others say nothing.
    pub of: usize,
    /// Their sum.
    pub sum: u64,
    /// The greatest of them.
    pub max: u64,
}

impl Tally {
    fn add(&mut self, figure: Option<u64>) {
        if let Some(figure) = figure {
            self.of += 1;
            self.sum = self.sum.saturating_add(figure);
            self.max = self.max.max(figure);
        }
    }

    /// The sum, where at least one is known.
    pub fn sum(&self) -> Option<u64> {
        (self.of > 0).then_some(self.sum)
    }

    /// The greatest, where at least one is known.
    pub fn max(&self) -> Option<u64> {
        (self.of > 0).then_some(self.max)
    }
}

/// What pods are put together by: the workload that they are of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkloadKey {
    /// Its namespace.
    pub namespace: String,
    /// Its kind; `Pod` for a pod that nothing controls.
    pub kind: String,
    /// Its name; the pod's where nothing controls it.
    pub name: String,
}

impl std::fmt::Display for WorkloadKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}

impl PodUsage {
    fn add_to(&self, aggregate: &mut Aggregate) {
        aggregate.add(&self.figures(), self.requests(), self.limits(), self.age());
    }

    /// The workload that it is of.
    pub fn workload(&self) -> WorkloadKey {
        let workload = self.pod().workload();
        WorkloadKey {
            namespace: self.pod().namespace().to_owned(),
            kind: workload.kind.to_owned(),
            name: workload.name.unwrap_or(self.pod().name()).to_owned(),
        }
    }
}

impl Usage {
    /// All pods together.
    pub fn total(&self) -> Aggregate {
        let mut total = Aggregate::default();
        for value in &self.values {
            value.add_to(&mut total);
        }
        total
    }

    /// The pods of each workload together. A Deployment's ReplicaSets, old and new, count as one.
    pub fn by_workload(&self) -> BTreeMap<WorkloadKey, Aggregate> {
        let mut all = BTreeMap::new();
        for value in &self.values {
            value.add_to(all.entry(value.workload()).or_default());
        }
        all
    }

    /// The containers of each name together, in all pods: those that have figures. Of ephemeral storage they have what is
    /// their own; [`PodUsage::storage`] spreads the rest of the pod's over them.
    pub fn by_container(&self) -> BTreeMap<String, Aggregate> {
        let mut all: BTreeMap<String, Aggregate> = BTreeMap::new();
        for value in &self.values {
            for container in value.containers().iter().filter(|container| container.stats.is_some()) {
                let aggregate = all.entry(container.name.to_owned()).or_default();
                aggregate.add(&container.figures(), container.requests, container.limits, value.age());
            }
        }
        all
    }
}
