//! Which member of which object goes where.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::de::{DeserializeSeed as _, MapAccess};
use serde_json::value::RawValue;

use super::decode::{
    Context, Object, ObjectSeed, SkippedWhy, Step, amount, ignore, list, name, number, object, text, time,
};
use super::{
    AcceleratorStats, Amount, ContainerExtra, ContainerStats, CpuStats, FsStats, FsUse, Hundredths, InterfaceStats,
    MemoryStats, Name, NetworkStats, NodeStats, Parts, PodRef, PodStats, Pressure, Psi, PsiData, PvcRef, SwapStats,
    Time, UserMetric, VolumeStats, dedup,
};

/// A document as it was read, pods repeated as they stand in it.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) node: NodeStats,
    pub(super) has_node: bool,
    pub(super) pods: Vec<PodStats>,
    pub(super) has_pods: bool,
}

/// Reads a document in one pass.
pub(super) fn read(document: &[u8], context: &mut Context) -> Result<Read, serde_json::Error> {
    let mut read = Read::default();
    let mut json = serde_json::Deserializer::from_slice(document);
    ObjectSeed { into: &mut read, context, counts: false }.deserialize(&mut json)?;
    json.end()?;
    Ok(read)
}

/// Reads a document so that what can't be read in a pod, or in the node, costs no more than that.
pub(super) fn read_apart(document: &[u8], context: &mut Context) -> Result<Read, serde_json::Error> {
    let members: HashMap<Cow<'_, str>, &RawValue> = serde_json::from_slice(document)?;
    let (node, pods) = (members.get("node"), members.get("pods"));
    let mut read = Read { has_node: node.is_some(), has_pods: pods.is_some(), ..Read::default() };
    if let Some(text) = node {
        context.enter(Step::Member("node"));
        match one(text, context) {
            Some((node, _)) => read.node = node,
            None => context.field(None, SkippedWhy::Unreadable),
        }
        context.leave();
    }
    context.enter(Step::Member("pods"));
    let pods: Option<Vec<&RawValue>> = match pods.map(|pods| pods.get()) {
        None | Some("null") => Some(Vec::new()),
        Some(text) => serde_json::from_str(text).ok(),
    };
    if pods.is_none() {
        context.field(None, SkippedWhy::NotAList);
    }
    for (index, text) in pods.unwrap_or_default().into_iter().enumerate() {
        context.enter(Step::Item(index));
        match one(text, context) {
            Some((pod, is_object)) if is_pod(&pod, is_object, context) => read.pods.push(pod),
            Some(_) => {}
            None => context.pod(SkippedWhy::Unreadable),
        }
        context.leave();
    }
    context.leave();
    Ok(read)
}

/// One object, and whether it was one.
fn one<T: Object>(text: &RawValue, context: &mut Context) -> Option<(T, bool)> {
    context.back_after(|context| {
        let mut into = T::default();
        let mut json = serde_json::Deserializer::from_str(text.get());
        let is_object = ObjectSeed { into: &mut into, context, counts: false }.deserialize(&mut json).ok()?;
        Some((into, is_object))
    })
}

fn is_pod(pod: &PodStats, is_object: bool, context: &mut Context) -> bool {
    let named = ![pod.pod_ref.namespace(), pod.pod_ref.name(), pod.pod_ref.uid()].contains(&"");
    if !named {
        context.pod(if is_object { SkippedWhy::Unnamed } else { SkippedWhy::NotAnObject });
    }
    named
}

fn is_container(container: &ContainerStats, is_object: bool, context: &mut Context) -> bool {
    is_named(&container.name, is_object, context)
}

fn is_volume(volume: &VolumeStats, is_object: bool, context: &mut Context) -> bool {
    is_named(&volume.name, is_object, context)
}

fn is_named(name: &str, is_object: bool, context: &mut Context) -> bool {
    if name.is_empty() {
        context.unnamed(if is_object { SkippedWhy::Unnamed } else { SkippedWhy::NotAnObject });
    }
    !name.is_empty()
}

/// Of what needs no name, everything that is an object.
fn is_any<T>(_: &T, is_object: bool, context: &mut Context) -> bool {
    if !is_object {
        context.field(None, SkippedWhy::NotAnObject);
    }
    is_object
}

/// An object that is a table of members: `key: how to read it => where it goes`.
macro_rules! table {
    ($type:ty { $($key:literal: $how:ident => $($field:ident).+,)+ }) => {
        impl Object for $type {
            fn member<'de, A: MapAccess<'de>>(
                &mut self,
                key: &str,
                map: &mut A,
                context: &mut Context,
            ) -> Result<(), A::Error> {
                match key {
                    $($key => $how($key, &mut self.$($field).+, map, context),)+
                    _ => ignore(map),
                }
            }
        }
    };
}

table!(SwapStats {
    "time": time => time,
    "swapAvailableBytes": amount => available_bytes,
    "swapUsageBytes": amount => usage_bytes,
});

table!(FsStats {
    "time": time => time,
    "availableBytes": amount => size.available_bytes,
    "capacityBytes": amount => size.capacity_bytes,
    "usedBytes": amount => used_bytes,
    "inodesFree": amount => size.inodes_free,
    "inodes": amount => size.inodes,
    "inodesUsed": amount => inodes_used,
});

table!(InterfaceStats {
    "name": name => name,
    "rxBytes": amount => rx_bytes,
    "rxErrors": amount => rx_errors,
    "txBytes": amount => tx_bytes,
    "txErrors": amount => tx_errors,
});

table!(PvcRef {
    "name": name => name,
    "namespace": name => namespace,
});

table!(AcceleratorStats {
    "make": name => make,
    "model": name => model,
    "id": name => id,
    "memoryTotal": amount => memory_total,
    "memoryUsed": amount => memory_used,
    "dutyCycle": amount => duty_cycle,
});

table!(PsiData {
    "total": amount => total,
    "avg10": average => avg10,
    "avg60": average => avg60,
    "avg300": average => avg300,
});

/// A pod's names, as they come.
#[derive(Debug, Default)]
struct Names {
    namespace: Name,
    name: Name,
    uid: Name,
}

table!(Names {
    "name": name => name,
    "namespace": name => namespace,
    "uid": name => uid,
});

fn average<'de, A: MapAccess<'de>>(
    member: &'static str,
    into: &mut Hundredths,
    map: &mut A,
    context: &mut Context,
) -> Result<(), A::Error> {
    *into = number(member, map, context)?.map_or(Hundredths::ABSENT, Hundredths::of);
    Ok(())
}

impl Object for Psi {
    fn member<'de, A: MapAccess<'de>>(
        &mut self,
        key: &str,
        map: &mut A,
        context: &mut Context,
    ) -> Result<(), A::Error> {
        match key {
            "full" => object("full", &mut self.full, map, context).map(drop),
            "some" => object("some", &mut self.some, map, context).map(drop),
            _ => ignore(map),
        }
    }
}

/// `cpu`, `memory` or `io`, whose pressure goes elsewhere than its figures.
#[derive(Debug, Default)]
struct WithPsi<T> {
    time: Option<Time>,
    figures: T,
    psi: Psi,
}

impl<T: Figures> Object for WithPsi<T> {
    fn member<'de, A: MapAccess<'de>>(
        &mut self,
        key: &str,
        map: &mut A,
        context: &mut Context,
    ) -> Result<(), A::Error> {
        match key {
            "time" => time("time", &mut self.time, map, context),
            "psi" if context.parts.contains(Parts::PRESSURE) => object("psi", &mut self.psi, map, context).map(drop),
            _ => match self.figures.figure(key).filter(|_| context.parts.contains(T::PART)) {
                Some((key, into)) => amount(key, into, map, context),
                None => ignore(map),
            },
        }
    }
}

/// The counts beside pressure.
trait Figures: Default {
    const PART: Parts;

    fn figure(&mut self, key: &str) -> Option<(&'static str, &mut Amount)>;

    fn at(self, time: Option<Time>) -> Self;
}

impl Figures for CpuStats {
    const PART: Parts = Parts::CPU;

    fn figure(&mut self, key: &str) -> Option<(&'static str, &mut Amount)> {
        Some(match key {
            "usageNanoCores" => ("usageNanoCores", &mut self.usage_nano_cores),
            "usageCoreNanoSeconds" => ("usageCoreNanoSeconds", &mut self.usage_core_nano_seconds),
            _ => return None,
        })
    }

    fn at(self, time: Option<Time>) -> Self {
        Self { time, ..self }
    }
}

impl Figures for MemoryStats {
    const PART: Parts = Parts::MEMORY;

    fn figure(&mut self, key: &str) -> Option<(&'static str, &mut Amount)> {
        Some(match key {
            "availableBytes" => ("availableBytes", &mut self.available_bytes),
            "usageBytes" => ("usageBytes", &mut self.usage_bytes),
            "workingSetBytes" => ("workingSetBytes", &mut self.working_set_bytes),
            "rssBytes" => ("rssBytes", &mut self.rss_bytes),
            "pageFaults" => ("pageFaults", &mut self.page_faults),
            "majorPageFaults" => ("majorPageFaults", &mut self.major_page_faults),
            _ => return None,
        })
    }

    fn at(self, time: Option<Time>) -> Self {
        Self { time, ..self }
    }
}

/// `io` has nothing but its pressure.
impl Figures for () {
    const PART: Parts = Parts::PRESSURE;

    fn figure(&mut self, _: &str) -> Option<(&'static str, &mut Amount)> {
        None
    }

    fn at(self, _: Option<Time>) -> Self {}
}

/// The members that nodes, pods and containers have in common.
struct Usage<'a> {
    cpu: &'a mut CpuStats,
    memory: &'a mut MemoryStats,
    swap: &'a mut Option<Box<SwapStats>>,
    pressure: &'a mut Option<Box<Pressure>>,
}

impl Usage<'_> {
    /// Takes a member that is one of these, or passes over it.
    fn member<'de, A: MapAccess<'de>>(self, key: &str, map: &mut A, context: &mut Context) -> Result<(), A::Error> {
        let parts = context.parts;
        match key {
            "cpu" if parts.intersects(Parts::CPU | Parts::PRESSURE) => {
                *self.cpu = with_psi("cpu", self.pressure, |pressure| &mut pressure.cpu, map, context)?;
            }
            "memory" if parts.intersects(Parts::MEMORY | Parts::PRESSURE) => {
                *self.memory = with_psi("memory", self.pressure, |pressure| &mut pressure.memory, map, context)?;
            }
            "io" if parts.contains(Parts::PRESSURE) => {
                with_psi::<(), _>("io", self.pressure, |pressure| &mut pressure.io, map, context)?;
            }
            "swap" if parts.contains(Parts::SWAP) => *self.swap = boxed("swap", map, context)?,
            _ => ignore(map)?,
        }
        Ok(())
    }
}

fn with_psi<'de, T: Figures, A: MapAccess<'de>>(
    member: &'static str,
    pressure: &mut Option<Box<Pressure>>,
    place: fn(&mut Pressure) -> &mut Psi,
    map: &mut A,
    context: &mut Context,
) -> Result<T, A::Error> {
    let mut read = WithPsi::<T>::default();
    object(member, &mut read, map, context)?;
    if read.psi != Psi::default() {
        *place(pressure.get_or_insert_default()) = Psi { time: read.time, ..read.psi };
    }
    let time = if context.parts.contains(T::PART) { read.time } else { None };
    Ok(read.figures.at(time))
}

/// A member that most objects do without.
fn boxed<'de, T: Object, A: MapAccess<'de>>(
    member: &'static str,
    map: &mut A,
    context: &mut Context,
) -> Result<Option<Box<T>>, A::Error> {
    let mut into = T::default();
    Ok(object(member, &mut into, map, context)?.then(|| Box::new(into)))
}

fn fs_use<'de, A: MapAccess<'de>>(
    member: &'static str,
    into: &mut FsUse,
    map: &mut A,
    context: &mut Context,
) -> Result<(), A::Error> {
    let mut stats = FsStats::default();
    object(member, &mut stats, map, context)?;
    let FsStats { time, used_bytes, inodes_used, size } = stats;
    *into = FsUse { time, used_bytes, inodes_used, shared_size: context.share(size) };
    Ok(())
}

impl Object for Read {
    fn member<'de, A: MapAccess<'de>>(
        &mut self,
        key: &str,
        map: &mut A,
        context: &mut Context,
    ) -> Result<(), A::Error> {
        match key {
            "node" => {
                self.has_node = true;
                object("node", &mut self.node, map, context).map(drop)
            }
            "pods" => {
                self.has_pods = true;
                list("pods", &mut self.pods, map, context, is_pod).map(drop)
            }
            _ => ignore(map),
        }
    }
}

impl Object for NodeStats {
    fn member<'de, A: MapAccess<'de>>(
        &mut self,
        key: &str,
        map: &mut A,
        context: &mut Context,
    ) -> Result<(), A::Error> {
        let parts = context.parts;
        match key {
            "nodeName" => name("nodeName", &mut self.node_name, map, context),
            "startTime" => time("startTime", &mut self.start_time, map, context),
            "network" if parts.contains(Parts::NETWORK) => {
                self.network = boxed("network", map, context)?;
                Ok(())
            }
            "fs" if parts.contains(Parts::NODE_FS) => object("fs", &mut self.fs, map, context).map(drop),
            "runtime" if parts.contains(Parts::NODE_FS) => {
                let mut runtime = Runtime::default();
                object("runtime", &mut runtime, map, context)?;
                (self.image_fs, self.container_fs) = (runtime.image_fs, runtime.container_fs);
                Ok(())
            }
            "rlimit" if parts.contains(Parts::PROCESSES) => {
                let mut rlimit = Rlimit::default();
                object("rlimit", &mut rlimit, map, context)?;
                (self.rlimit_time, self.max_pid, self.processes) = (rlimit.time, rlimit.max_pid, rlimit.processes);
                Ok(())
            }
            "systemContainers" if parts.contains(Parts::SYSTEM_CONTAINERS) => {
                let mut containers = Vec::new();
                list("systemContainers", &mut containers, map, context, is_container)?;
                self.system_containers = containers.into();
                Ok(())
            }
            _ => {
                let Self { cpu, memory, swap, pressure, .. } = self;
                Usage { cpu, memory, swap, pressure }.member(key, map, context)
            }
        }
    }
}

#[derive(Debug, Default)]
struct Runtime {
    image_fs: FsStats,
    container_fs: FsStats,
}

impl Object for Runtime {
    fn member<'de, A: MapAccess<'de>>(
        &mut self,
        key: &str,
        map: &mut A,
        context: &mut Context,
    ) -> Result<(), A::Error> {
        match key {
            "imageFs" => object("imageFs", &mut self.image_fs, map, context).map(drop),
            "containerFs" => object("containerFs", &mut self.container_fs, map, context).map(drop),
            _ => ignore(map),
        }
    }
}

#[derive(Debug, Default)]
struct Rlimit {
    time: Option<Time>,
    max_pid: Amount,
    processes: Amount,
}

table!(Rlimit {
    "time": time => time,
    "maxpid": amount => max_pid,
    "curproc": amount => processes,
});

#[derive(Debug, Default)]
struct ProcessStats {
    count: Amount,
}

table!(ProcessStats {
    "process_count": amount => count,
});

impl Object for PodStats {
    fn member<'de, A: MapAccess<'de>>(
        &mut self,
        key: &str,
        map: &mut A,
        context: &mut Context,
    ) -> Result<(), A::Error> {
        let parts = context.parts;
        match key {
            "podRef" => {
                let mut names = Names::default();
                object("podRef", &mut names, map, context)?;
                self.pod_ref = PodRef::new(&names.namespace, &names.name, &names.uid);
            }
            "startTime" => time("startTime", &mut self.start_time, map, context)?,
            "containers" if parts.contains(Parts::CONTAINERS) => {
                let mut containers = Vec::new();
                list("containers", &mut containers, map, context, is_container)?;
                dedup::newest_containers(&mut containers, &mut context.skipped);
                self.containers = containers.into();
            }
            "network" if parts.contains(Parts::NETWORK) => self.network = boxed("network", map, context)?,
            "volume" if parts.contains(Parts::VOLUMES) => {
                let mut volumes = Vec::new();
                list("volume", &mut volumes, map, context, is_volume)?;
                self.volumes = volumes.into();
            }
            "ephemeral-storage" if parts.contains(Parts::EPHEMERAL_STORAGE) => {
                fs_use("ephemeral-storage", &mut self.ephemeral_storage, map, context)?;
            }
            "process_stats" if parts.contains(Parts::PROCESSES) => {
                let mut stats = ProcessStats::default();
                object("process_stats", &mut stats, map, context)?;
                self.process_count = stats.count;
            }
            _ => {
                let Self { cpu, memory, swap, pressure, .. } = self;
                Usage { cpu, memory, swap, pressure }.member(key, map, context)?;
            }
        }
        Ok(())
    }
}

impl Object for ContainerStats {
    fn member<'de, A: MapAccess<'de>>(
        &mut self,
        key: &str,
        map: &mut A,
        context: &mut Context,
    ) -> Result<(), A::Error> {
        let parts = context.parts;
        match key {
            "name" => name("name", &mut self.name, map, context)?,
            "startTime" => time("startTime", &mut self.start_time, map, context)?,
            "rootfs" if parts.contains(Parts::CONTAINER_FS) => fs_use("rootfs", &mut self.rootfs, map, context)?,
            "logs" if parts.contains(Parts::CONTAINER_FS) => fs_use("logs", &mut self.logs, map, context)?,
            "accelerators" if parts.contains(Parts::ACCELERATORS) => {
                let mut accelerators = Vec::new();
                list("accelerators", &mut accelerators, map, context, is_any)?;
                self.extra(!accelerators.is_empty(), |extra| extra.accelerators = accelerators.into());
            }
            "userDefinedMetrics" if parts.contains(Parts::USER_METRICS) => {
                let mut metrics = Vec::new();
                list("userDefinedMetrics", &mut metrics, map, context, is_any)?;
                self.extra(!metrics.is_empty(), |extra| extra.user_metrics = metrics.into());
            }
            _ => {
                let mut pressure = self.extra.as_mut().and_then(|extra| extra.pressure.take());
                let Self { cpu, memory, swap, .. } = self;
                Usage { cpu, memory, swap, pressure: &mut pressure }.member(key, map, context)?;
                self.extra(pressure.is_some(), |extra| extra.pressure = pressure);
            }
        }
        Ok(())
    }
}

impl ContainerStats {
    fn extra(&mut self, needed: bool, set: impl FnOnce(&mut ContainerExtra)) {
        if needed || self.extra.is_some() {
            set(self.extra.get_or_insert_default());
        }
    }
}

impl Object for NetworkStats {
    fn member<'de, A: MapAccess<'de>>(
        &mut self,
        key: &str,
        map: &mut A,
        context: &mut Context,
    ) -> Result<(), A::Error> {
        match key {
            "time" => time("time", &mut self.time, map, context),
            "interfaces" if context.parts.contains(Parts::INTERFACES) => {
                let mut interfaces = Vec::new();
                list("interfaces", &mut interfaces, map, context, is_any)?;
                self.interfaces = interfaces.into();
                Ok(())
            }
            _ => self.default.member(key, map, context),
        }
    }
}

impl Object for VolumeStats {
    fn member<'de, A: MapAccess<'de>>(
        &mut self,
        key: &str,
        map: &mut A,
        context: &mut Context,
    ) -> Result<(), A::Error> {
        match key {
            "name" => name("name", &mut self.name, map, context),
            "pvcRef" => {
                self.pvc_ref = boxed("pvcRef", map, context)?;
                Ok(())
            }
            _ => self.fs.member(key, map, context),
        }
    }
}

/// The labels of a metric: whatever members there are.
#[derive(Debug, Default)]
struct Labels(Vec<(Name, Name)>);

impl Object for Labels {
    fn member<'de, A: MapAccess<'de>>(
        &mut self,
        key: &str,
        map: &mut A,
        context: &mut Context,
    ) -> Result<(), A::Error> {
        let value = text("labels", map, context)?;
        self.0.push((Name::from(key), Name::from(&*value)));
        Ok(())
    }
}

impl Object for UserMetric {
    fn member<'de, A: MapAccess<'de>>(
        &mut self,
        key: &str,
        map: &mut A,
        context: &mut Context,
    ) -> Result<(), A::Error> {
        match key {
            "name" => name("name", &mut self.name, map, context),
            "type" => name("type", &mut self.kind, map, context),
            "units" => name("units", &mut self.units, map, context),
            "time" => time("time", &mut self.time, map, context),
            "value" => {
                self.value = number("value", map, context)?;
                Ok(())
            }
            "labels" => {
                let mut labels = Labels::default();
                object("labels", &mut labels, map, context)?;
                self.labels = labels.0.into();
                Ok(())
            }
            _ => ignore(map),
        }
    }
}
