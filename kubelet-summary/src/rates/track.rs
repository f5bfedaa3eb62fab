//! Counters of one object, from sample to sample.

use super::Fed;
use crate::schema::{
    Amount, ContainerStats, CpuStats, MemoryStats, Name, NetworkStats, NodeStats, PodStats, Pressure, Psi, Time,
};

/// A counter that rates are worked out of, and its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Counter {
    /// Processor time, seconds; per second, that is processors.
    CpuSeconds,
    /// Minor page faults.
    PageFaults,
    /// Major page faults.
    MajorPageFaults,
    /// Bytes received on the default interface; of nodes and pods.
    RxBytes,
    /// Errors while receiving on the default interface.
    RxErrors,
    /// Bytes sent on the default interface.
    TxBytes,
    /// Errors while sending on the default interface.
    TxErrors,
    /// Seconds in which all tasks waited for a processor; per second, that is a part of the time, 1 being all of it.
    CpuStalled,
    /// Seconds in which a task waited for a processor.
    CpuWaiting,
    /// Seconds in which all tasks waited for memory.
    MemoryStalled,
    /// Seconds in which a task waited for memory.
    MemoryWaiting,
    /// Seconds in which all tasks waited for input or output.
    IoStalled,
    /// Seconds in which a task waited for input or output.
    IoWaiting,
}

impl Counter {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::CpuSeconds,
        Self::PageFaults,
        Self::MajorPageFaults,
        Self::RxBytes,
        Self::RxErrors,
        Self::TxBytes,
        Self::TxErrors,
        Self::CpuStalled,
        Self::CpuWaiting,
        Self::MemoryStalled,
        Self::MemoryWaiting,
        Self::IoStalled,
        Self::IoWaiting,
    ];
}

/// What a counter gained per second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// In the counter's unit, never negative.
    pub per_second: f64,
    /// When the sample before was taken.
    pub from: Time,
    /// When the last sample was taken. The rate's age counts from here.
    pub to: Time,
}

/// The rates of a node, a pod or a container.
#[derive(Debug, Clone, Default)]
pub struct ObjectRates {
    start: Option<Time>,
    cpu: Track<1>,
    memory: Track<2>,
    // Few have these: containers no network, and older nodes no pressure.
    network: Option<Box<NetworkTrack>>,
    pressure: Option<Box<[Track<2>; 3]>>,
}

#[derive(Debug, Clone, Default)]
struct NetworkTrack {
    interface: Name,
    track: Track<4>,
}

/// Counters that are sampled together.
#[derive(Debug, Clone, Copy)]
struct Track<const N: usize> {
    /// Of the last sample.
    time: Option<Time>,
    /// Of the sample before that.
    from: Option<Time>,
    values: [Amount; N],
    /// What each gained in between.
    gains: [Amount; N],
}

impl<const N: usize> Default for Track<N> {
    fn default() -> Self {
        Self { time: None, from: None, values: [Amount::ABSENT; N], gains: [Amount::ABSENT; N] }
    }
}

impl<const N: usize> Track<N> {
    fn feed(&mut self, time: Option<Time>, values: [Amount; N], fed: &mut Fed) {
        let is_absent = values.iter().all(|value| value.is_absent());
        let Some(time) = time.filter(|_| !is_absent) else {
            *self = Self::default();
            return;
        };
        let anew = Self { time: Some(time), values, ..Self::default() };
        let Some(before) = self.time else {
            fed.samples += 1;
            *self = anew;
            return;
        };
        match time.cmp(&before) {
            std::cmp::Ordering::Equal => fed.repeated += 1,
            std::cmp::Ordering::Less => {
                fed.backwards += 1;
                *self = anew;
            }
            std::cmp::Ordering::Greater => {
                fed.samples += 1;
                let mut gains = [Amount::ABSENT; N];
                for ((gain, value), was) in gains.iter_mut().zip(values).zip(self.values) {
                    let (Some(value), Some(was)) = (value.get(), was.get()) else { continue };
                    let Some(more) = value.checked_sub(was) else {
                        // What is sampled together has begun anew together, even where it is ahead again.
                        fed.resets += 1;
                        *self = anew;
                        return;
                    };
                    *gain = Amount::of(more);
                }
                *self = Self { time: Some(time), from: Some(before), values, gains };
            }
        }
    }

    /// What a counter gained per second, in so many of its steps to the unit.
    fn rate(&self, index: usize, steps: f64) -> Option<Rate> {
        let (from, to) = (self.from?, self.time?);
        let gain = self.gains.get(index)?.get()?;
        let nanos = u64::try_from(to.nanos_since(from)).ok().filter(|nanos| *nanos > 0)?;
        Some(Rate { per_second: gain as f64 / steps / (nanos as f64 / NANOS), from, to })
    }
}

const NANOS: f64 = 1e9;

impl ObjectRates {
    /// The rate of a counter; `None` until there are two samples of it without a reset in between.
    pub fn get(&self, counter: Counter) -> Option<Rate> {
        let network = |index| self.network.as_deref()?.track.rate(index, 1.0);
        let pressure = |resource, index| self.pressure.as_deref()?.get::<usize>(resource)?.rate(index, NANOS);
        match counter {
            Counter::CpuSeconds => self.cpu.rate(0, NANOS),
            Counter::PageFaults => self.memory.rate(0, 1.0),
            Counter::MajorPageFaults => self.memory.rate(1, 1.0),
            Counter::RxBytes => network(0),
            Counter::RxErrors => network(1),
            Counter::TxBytes => network(2),
            Counter::TxErrors => network(3),
            Counter::CpuStalled => pressure(0, 0),
            Counter::CpuWaiting => pressure(0, 1),
            Counter::MemoryStalled => pressure(1, 0),
            Counter::MemoryWaiting => pressure(1, 1),
            Counter::IoStalled => pressure(2, 0),
            Counter::IoWaiting => pressure(2, 1),
        }
    }

    pub(super) fn feed_node(&mut self, node: &NodeStats, fed: &mut Fed) {
        self.started(node.start_time, fed);
        self.feed(&node.cpu, &node.memory, node.pressure(), fed);
        self.feed_network(node.network.first(), fed);
    }

    pub(super) fn feed_pod(&mut self, pod: &PodStats, fed: &mut Fed) {
        self.started(pod.start_time, fed);
        self.feed(&pod.cpu, &pod.memory, pod.pressure(), fed);
        self.feed_network(pod.network.first(), fed);
    }

    pub(super) fn feed_container(&mut self, container: &ContainerStats, fed: &mut Fed) {
        self.started(container.start_time, fed);
        self.feed(&container.cpu, &container.memory, container.pressure(), fed);
    }

    /// With another start everything begins anew. A start that isn't known says nothing.
    fn started(&mut self, start: Option<Time>, fed: &mut Fed) {
        if let (Some(start), Some(known)) = (start, self.start)
            && start != known
        {
            fed.resets += 1;
            *self = Self::default();
        }
        self.start = start.or(self.start);
    }

    fn feed(&mut self, cpu: &CpuStats, memory: &MemoryStats, pressure: Option<&Pressure>, fed: &mut Fed) {
        self.cpu.feed(cpu.time, [cpu.usage_core_nano_seconds], fed);
        self.memory.feed(memory.time, [memory.page_faults, memory.major_page_faults], fed);
        let Some(pressure) = pressure else {
            self.pressure = None;
            return;
        };
        let resources: [&Psi; 3] = [&pressure.cpu, &pressure.memory, &pressure.io];
        for (track, psi) in self.pressure.get_or_insert_default().iter_mut().zip(resources) {
            track.feed(psi.time, [psi.full.total, psi.some.total], fed);
        }
    }

    fn feed_network(&mut self, network: Option<&NetworkStats>, fed: &mut Fed) {
        let Some(NetworkStats { time, default, .. }) = network else {
            self.network = None;
            return;
        };
        let known = self.network.get_or_insert_default();
        if known.interface != default.name {
            // Another interface has counters of its own.
            **known = NetworkTrack { interface: default.name.clone(), ..NetworkTrack::default() };
        }
        known.track.feed(*time, [default.rx_bytes, default.rx_errors, default.tx_bytes, default.tx_errors], fed);
    }
}
