//! An update, applied to the resources of a container.

use oci_spec::runtime as oci;

use super::apply::Unresolved;
use super::error::ConversionError;
use crate::api;

/// Resources after an update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppliedUpdate {
    /// The resources.
    pub resources: oci::LinuxResources,
    /// What only the runtime's own configuration resolves: classes.
    pub unresolved: Unresolved,
}

/// The resources that a container has after an update. What the update does not name stays; of huge pages and cgroup
/// files the size or file that it names, and device rules come after those that are there.
///
/// The runtime's side of NRI 0.12 drops device rules and the limit of processes of an update that answers an event.
///
/// ```
/// use nri_plugin::Update;
/// use nri_plugin::oci::apply_update;
/// use oci_spec::runtime::{LinuxCpuBuilder, LinuxResourcesBuilder};
///
/// let cpu = LinuxCpuBuilder::default().shares(2u64).cpus("0").build()?;
/// let resources = LinuxResourcesBuilder::default().cpu(cpu).build()?;
/// let update = Update::new("0c5e").cpuset_cpus("4-7").build()?;
/// let after = apply_update(&resources, &update)?.resources;
/// let cpu = after.cpu().as_ref().unwrap();
/// assert_eq!((cpu.shares(), cpu.cpus().as_deref()), (Some(2), Some("4-7")));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn apply_update(
    resources: &oci::LinuxResources,
    update: &api::ContainerUpdate,
) -> Result<AppliedUpdate, ConversionError> {
    let mut applied = AppliedUpdate { resources: resources.clone(), unresolved: Unresolved::default() };
    if let Some(change) = update.linux.as_ref().and_then(|linux| linux.resources.as_ref()) {
        merge(&mut applied.resources, change)?;
        applied.unresolved.blockio_class = class(change.blockio_class.as_ref(), || {
            applied.resources.set_block_io(None);
        });
        applied.unresolved.rdt_class = change.rdt_class.clone().map(Into::into);
    }
    Ok(applied)
}

/// A class that is to be resolved; an empty one only takes away what is there.
pub(super) fn class(class: Option<&api::OptionalString>, clear: impl FnOnce()) -> Option<String> {
    let class = &class?.value;
    if class.is_empty() {
        clear();
        return None;
    }
    Some(class.clone())
}

/// What is named takes the place of what was there.
pub(super) fn merge(resources: &mut oci::LinuxResources, change: &api::LinuxResources) -> Result<(), ConversionError> {
    if let Some(change) = &change.memory {
        memory(resources.memory_mut().get_or_insert_default(), change);
    }
    if let Some(change) = &change.cpu {
        cpu(resources.cpu_mut().get_or_insert_default(), change);
    }
    if let Some(pids) = &change.pids {
        resources.set_pids(Some(pids.into()));
    }
    for limit in &change.hugepage_limits {
        let limit = oci::LinuxHugepageLimit::try_from(limit)?;
        let limits = resources.hugepage_limits_mut().get_or_insert_default();
        match limits.iter_mut().find(|other| other.page_size() == limit.page_size()) {
            Some(other) => *other = limit,
            None => limits.push(limit),
        }
    }
    for (file, value) in &change.unified {
        resources.unified_mut().get_or_insert_default().insert(file.clone(), value.clone());
    }
    for rule in &change.devices {
        resources.devices_mut().get_or_insert_default().push(rule.try_into()?);
    }
    Ok(())
}

#[allow(deprecated, reason = "NRI has the limit of kernel memory")]
fn memory(memory: &mut oci::LinuxMemory, change: &api::LinuxMemory) {
    let (old, change) = (*memory, oci::LinuxMemory::from(change));
    memory
        .set_limit(change.limit().or(old.limit()))
        .set_reservation(change.reservation().or(old.reservation()))
        .set_swap(change.swap().or(old.swap()))
        .set_kernel(change.kernel().or(old.kernel()))
        .set_kernel_tcp(change.kernel_tcp().or(old.kernel_tcp()))
        .set_swappiness(change.swappiness().or(old.swappiness()))
        .set_disable_oom_killer(change.disable_oom_killer().or(old.disable_oom_killer()))
        .set_use_hierarchy(change.use_hierarchy().or(old.use_hierarchy()));
}

fn cpu(cpu: &mut oci::LinuxCpu, change: &api::LinuxCpu) {
    let (old, change) = (cpu.clone(), oci::LinuxCpu::from(change));
    cpu.set_shares(change.shares().or(old.shares()))
        .set_quota(change.quota().or(old.quota()))
        .set_period(change.period().or(old.period()))
        .set_realtime_runtime(change.realtime_runtime().or(old.realtime_runtime()))
        .set_realtime_period(change.realtime_period().or(old.realtime_period()))
        .set_cpus(change.cpus().clone().or(old.cpus().clone()))
        .set_mems(change.mems().clone().or(old.mems().clone()));
}
