//! Which member of which object goes where.

use std::ops::Range;

use serde::de::MapAccess;

use super::context::Context;
use super::usage::{Usage, extra};
use super::walk::{Item, Object, amount, ignore, list, list_into, name, number, object, single, text, time};
use super::{
    AcceleratorStats, Amount, ContainerStats, FsStats, FsUse, Hundredths, InterfaceStats, Name, NetworkStats,
    NodeStats, Parts, PodRef, PodStats, PsiData, PvcRef, Skipped, SkippedWhy, SwapStats, Time, UserMetric, VolumeStats,
    dedup, limits,
};

impl Item for PodStats {
    const LIMIT: usize = limits::PODS;

    fn admit(&self, is_object: bool, context: &mut Context) -> bool {
        let named = self.pod_ref.is_whole();
        if !named {
            context.pod(if is_object { SkippedWhy::Unnamed } else { SkippedWhy::NotAnObject });
        }
        named
    }

    /// That is seen to when all names are there.
    fn once_each(pods: &mut [Self], _: &mut Skipped) -> usize {
        pods.len()
    }
}

impl Item for ContainerStats {
    const LIMIT: usize = limits::CONTAINERS;

    fn admit(&self, is_object: bool, context: &mut Context) -> bool {
        is_named(&self.name, is_object, context)
    }

    fn once_each(containers: &mut [Self], skipped: &mut Skipped) -> usize {
        dedup::newest_containers(containers, skipped)
    }
}

impl Item for VolumeStats {
    const LIMIT: usize = limits::VOLUMES;

    fn admit(&self, is_object: bool, context: &mut Context) -> bool {
        is_named(&self.name, is_object, context)
    }

    fn once_each(volumes: &mut [Self], skipped: &mut Skipped) -> usize {
        dedup::newest_volumes(volumes, skipped)
    }
}

impl Item for InterfaceStats {
    const LIMIT: usize = limits::INTERFACES;

    fn admit(&self, is_object: bool, context: &mut Context) -> bool {
        is_any(self, is_object, context)
    }

    fn once_each(interfaces: &mut [Self], skipped: &mut Skipped) -> usize {
        dedup::first_interfaces(interfaces, skipped)
    }
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

/// A pod's names, as they come: where in the document's text they are.
#[derive(Debug, Default)]
struct Names {
    namespace: Range<usize>,
    name: Range<usize>,
    uid: Range<usize>,
}

impl Object for Names {
    fn member<'de, A: MapAccess<'de>>(
        &mut self,
        key: &str,
        map: &mut A,
        context: &mut Context,
    ) -> Result<(), A::Error> {
        let (key, into) = match key {
            "name" => ("name", &mut self.name),
            "namespace" => ("namespace", &mut self.namespace),
            "uid" => ("uid", &mut self.uid),
            _ => return ignore(map),
        };
        let name = text(key, map, context)?;
        let names = &mut context.columns.text;
        *into = names.len()..names.len() + name.len();
        names.push_str(&name);
        Ok(())
    }
}

fn pod_ref<'de, A: MapAccess<'de>>(map: &mut A, context: &mut Context) -> Result<PodRef, A::Error> {
    let start = context.columns.text.len();
    let mut names = Names::default();
    object("podRef", &mut names, map, context)?;
    // One after another, whatever order they came in.
    let Names { namespace, name, uid } = names;
    let text = &mut context.columns.text;
    let end = text.len();
    let lengths = [namespace.len(), name.len(), uid.len()];
    for name in [namespace, name, uid] {
        text.extend_from_within(name);
    }
    text.drain(start..end);
    Ok(PodRef::at(start, lengths))
}

fn average<'de, A: MapAccess<'de>>(
    member: &'static str,
    into: &mut Hundredths,
    map: &mut A,
    context: &mut Context,
) -> Result<(), A::Error> {
    *into = number(member, map, context)?.map_or(Hundredths::ABSENT, Hundredths::of);
    Ok(())
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
                self.network = single("network", map, context)?;
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
                self.system_containers = list("systemContainers", map, context)?;
                Ok(())
            }
            _ => {
                let Self { cpu, memory, extra, .. } = self;
                Usage { cpu, memory, extra }.member(key, map, context)
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
            "podRef" => self.pod_ref = pod_ref(map, context)?,
            "startTime" => time("startTime", &mut self.start_time, map, context)?,
            "containers" if parts.contains(Parts::CONTAINERS) => self.containers = list("containers", map, context)?,
            "network" if parts.contains(Parts::NETWORK) => self.network = single("network", map, context)?,
            "volume" if parts.contains(Parts::VOLUMES) => self.volumes = list("volume", map, context)?,
            "ephemeral-storage" if parts.contains(Parts::EPHEMERAL_STORAGE) => {
                fs_use("ephemeral-storage", &mut self.ephemeral_storage, map, context)?;
            }
            "process_stats" if parts.contains(Parts::PROCESSES) => {
                let mut stats = ProcessStats::default();
                object("process_stats", &mut stats, map, context)?;
                self.process_count = stats.count;
            }
            _ => {
                let Self { cpu, memory, extra, .. } = self;
                Usage { cpu, memory, extra }.member(key, map, context)?;
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
                list_into("accelerators", (&mut accelerators, 0), map, context, limits::ACCELERATORS, is_any)?;
                let needed = !accelerators.is_empty();
                extra(&mut self.extra, needed, context, |extra| extra.accelerators = accelerators.into());
            }
            "userDefinedMetrics" if parts.contains(Parts::USER_METRICS) => {
                let mut metrics = Vec::new();
                list_into("userDefinedMetrics", (&mut metrics, 0), map, context, limits::USER_METRICS, is_any)?;
                let needed = !metrics.is_empty();
                extra(&mut self.extra, needed, context, |extra| extra.user_metrics = metrics.into());
            }
            _ => {
                let Self { cpu, memory, extra, .. } = self;
                Usage { cpu, memory, extra }.member(key, map, context)?;
            }
        }
        Ok(())
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
                self.interfaces = list("interfaces", map, context)?;
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
                self.pvc_ref = single("pvcRef", map, context)?;
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
        if self.0.len() >= limits::LABELS {
            context.beyond(1, limits::LABELS);
            return ignore(map);
        }
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
