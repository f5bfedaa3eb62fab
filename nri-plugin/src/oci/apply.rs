//! An adjustment, applied to a specification.

use std::collections::{BTreeMap, HashMap};
use std::path::{Component, Path};

use oci_spec::runtime as oci;

use super::device::namespace_type;
use super::error::ConversionError;
use super::process::variable;
use super::update::{class, merge};
use crate::adjust::removal::{is_marked, marked};
use crate::api;

/// A specification after an adjustment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The specification.
    pub spec: oci::Spec,
    /// What needs more than the specification to be applied.
    pub unresolved: Unresolved,
}

/// What a runtime resolves by what it alone knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unresolved {
    /// The CDI devices to be injected, by their qualified names. Runtimes inject them before they apply devices, mounts
    /// and resources, and after the environment, so that what is injected yields to the adjustment.
    pub cdi_devices: Vec<String>,
    /// The class whose settings become the specification's `linux.resources.blockIO`.
    pub blockio_class: Option<String>,
    /// The class whose settings become the specification's `linux.intelRdt`, under what the adjustment has for that. In
    /// an update an empty one takes the settings away.
    pub rdt_class: Option<String>,
    /// What the mounts at these sources of the host have to propagate; runtimes refuse the container otherwise.
    pub propagation: Vec<(String, Propagation)>,
}

/// What a source of the host has to be for a mount that propagates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    /// On a shared mount, for `rshared`.
    Shared,
    /// On a shared or a slave mount, for `rslave`.
    SharedOrSlave,
}

impl Unresolved {
    /// Whether nothing is left to be resolved.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The specification that a container is created by, after an adjustment.
///
/// Removals come before additions. A variable keeps its place as its value changes, a new one comes last; mounts are put
/// in order, those above before those below; a device gets its rule ([`api::LinuxDevice::access`]) but for a FIFO, which
/// has none. The limit of memory is that of memory and swap as well, unless the adjustment has one for those; a limit of
/// 0 is none given. Nothing is applied in part: an error leaves the specification as it was.
///
/// It differs from the code that containerd and CRI-O have of NRI 0.12 where that loses what an adjustment says: all
/// values of memory are applied rather than the limit alone, a seccomp policy keeps its default errno, a resource limit
/// takes the place of one of its kind, as OCI refuses two, and a variable without `=` stays.
///
/// ```
/// use nri_plugin::Adjustment;
/// use nri_plugin::oci::apply_adjustment;
/// use oci_spec::runtime::{ProcessBuilder, SpecBuilder};
///
/// let process = ProcessBuilder::default().env(["A=1", "B=2"].map(String::from)).build()?;
/// let spec = SpecBuilder::default().process(process).build()?;
/// let adjustment = Adjustment::new().env("A", "3").remove_env("B").build()?.unwrap_or_default();
/// let after = apply_adjustment(&spec, &adjustment)?.spec;
/// assert_eq!(after.process().as_ref().unwrap().env().as_deref(), Some(&["A=3".to_owned()][..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn apply_adjustment(spec: &oci::Spec, adjustment: &api::ContainerAdjustment) -> Result<Applied, ConversionError> {
    let mut applied = Applied { spec: spec.clone(), unresolved: Unresolved::default() };
    let spec = &mut applied.spec;
    map(spec.annotations_mut(), &adjustment.annotations, Clone::clone);
    if !adjustment.env.is_empty() {
        env(process(spec).env_mut().get_or_insert_default(), &adjustment.env)?;
    }
    // An empty first argument overrides another plugin's, and is none.
    let args = match adjustment.args.as_slice() {
        [first, rest @ ..] if first.is_empty() => rest,
        args => args,
    };
    if !args.is_empty() {
        process(spec).set_args(Some(args.to_vec()));
    }
    if let Some(more) = &adjustment.hooks {
        hooks(spec, more);
    }
    if let Some(change) = &adjustment.linux {
        linux(&mut applied, change)?;
    }
    let spec = &mut applied.spec;
    rlimits(spec, &adjustment.rlimits)?;
    mounts(&mut applied, &adjustment.mounts)?;
    applied.unresolved.cdi_devices = adjustment.cdi_devices.iter().map(|device| device.name.clone()).collect();
    Ok(applied)
}

/// The process, which has nothing if there is none yet: the type's own default runs a shell.
fn process(spec: &mut oci::Spec) -> &mut oci::Process {
    spec.process_mut().get_or_insert_with(|| {
        let mut process = oci::Process::default();
        process
            .set_terminal(None)
            .set_args(None)
            .set_env(None)
            .set_capabilities(None)
            .set_rlimits(None)
            .set_no_new_privileges(None);
        process
    })
}

/// What is particular to Linux, which has nothing if there is none yet: the type's own default has namespaces and paths.
fn linux_of(spec: &mut oci::Spec) -> &mut oci::Linux {
    spec.linux_mut().get_or_insert_with(|| {
        let mut linux = oci::Linux::default();
        linux.set_resources(None).set_namespaces(None).set_masked_paths(None).set_readonly_paths(None);
        linux
    })
}

fn map<T, U>(entries: &mut Option<HashMap<String, U>>, changes: &BTreeMap<String, T>, convert: impl Fn(&T) -> U) {
    if let Some(entries) = entries {
        changes.keys().filter_map(|key| marked(key)).for_each(|key| drop(entries.remove(key)));
    }
    for (key, value) in changes.iter().filter(|(key, _)| !is_marked(key)) {
        entries.get_or_insert_default().insert(key.clone(), convert(value));
    }
}

fn env(env: &mut Vec<String>, changes: &[api::KeyValue]) -> Result<(), ConversionError> {
    fn name(entry: &str) -> &str {
        entry.split_once('=').map_or(entry, |(name, _)| name)
    }

    for removed in changes.iter().filter_map(api::KeyValue::removes) {
        // What is set as well keeps its place.
        if !changes.iter().any(|change| change.key == removed) {
            env.retain(|entry| name(entry) != removed);
        }
    }
    for change in changes.iter().filter(|change| change.removes().is_none()) {
        let entry = variable(change)?;
        let Some(place) = env.iter().position(|entry| name(entry) == change.key) else {
            env.push(entry);
            continue;
        };
        // A second one of that name would have a value of its own.
        env.retain(|entry| name(entry) != change.key);
        env.insert(place, entry);
    }
    Ok(())
}

#[allow(deprecated, reason = "runtimes still run prestart hooks")]
fn hooks(spec: &mut oci::Spec, more: &api::Hooks) {
    if *more == api::Hooks::default() {
        return;
    }
    let hooks = spec.hooks_mut().get_or_insert_default();
    let add = |to: &mut Option<Vec<oci::Hook>>, more: &[api::Hook]| {
        if !more.is_empty() {
            to.get_or_insert_default().extend(more.iter().map(oci::Hook::from));
        }
    };
    add(hooks.prestart_mut(), &more.prestart);
    add(hooks.create_runtime_mut(), &more.create_runtime);
    add(hooks.create_container_mut(), &more.create_container);
    add(hooks.start_container_mut(), &more.start_container);
    add(hooks.poststart_mut(), &more.poststart);
    add(hooks.poststop_mut(), &more.poststop);
}

fn rlimits(spec: &mut oci::Spec, changes: &[api::PosixRlimit]) -> Result<(), ConversionError> {
    if changes.is_empty() {
        return Ok(());
    }
    let process = process(spec);
    let mut limits = process.rlimits().clone().unwrap_or_default();
    for change in changes {
        let limit = oci::PosixRlimit::try_from(change)?;
        limits.retain(|other| other.typ() != limit.typ());
        limits.push(limit);
    }
    process.set_rlimits(Some(limits));
    Ok(())
}

fn mounts(applied: &mut Applied, changes: &[api::Mount]) -> Result<(), ConversionError> {
    if changes.is_empty() {
        return Ok(());
    }
    let spec = &mut applied.spec;
    let mut mounts = spec.mounts().clone().unwrap_or_default();
    let gone = |mount: &oci::Mount| {
        let at = |destination: &str| mount.destination() == Path::new(destination);
        changes.iter().any(|change| at(change.removes().unwrap_or(&change.destination)))
    };
    mounts.retain(|mount| !gone(mount));
    for change in changes.iter().filter(|change| change.removes().is_none()) {
        mounts.push(change.try_into()?);
        let last = change.options.iter().rfind(|option| matches!(option.as_str(), "rprivate" | "rshared" | "rslave"));
        let (propagation, roots): (_, &[&str]) = match last.map(String::as_str) {
            Some("rshared") => (Propagation::Shared, &["rshared"]),
            Some("rslave") => (Propagation::SharedOrSlave, &["rshared", "rslave"]),
            _ => continue,
        };
        applied.unresolved.propagation.push((change.source.clone(), propagation));
        let linux = linux_of(spec);
        if !linux.rootfs_propagation().as_deref().is_some_and(|root| roots.contains(&root)) {
            linux.set_rootfs_propagation(last.cloned());
        }
    }
    mounts.sort_by_cached_key(|mount| {
        let depth = mount.destination().components().filter(|part| matches!(part, Component::Normal(_))).count();
        (depth, mount.destination().clone())
    });
    spec.set_mounts(Some(mounts));
    Ok(())
}

fn linux(applied: &mut Applied, change: &api::LinuxContainerAdjustment) -> Result<(), ConversionError> {
    let spec = &mut applied.spec;
    if let Some(score) = change.oom_score_adj {
        let out_of_range = |_| ConversionError::OutOfRange {
            field: "the OOM score",
            value: score.value.into(),
            least: i32::MIN.into(),
            most: i32::MAX.into(),
        };
        process(spec).set_oom_score_adj(Some(i32::try_from(score.value).map_err(out_of_range)?));
    }
    if let Some(priority) = &change.io_priority {
        process(spec).set_io_priority(unless_cleared(priority.try_into())?);
    }
    if let Some(scheduler) = &change.scheduler {
        process(spec).set_scheduler(unless_cleared(scheduler.try_into())?);
    }
    // Those three are the process's.
    let rest =
        api::LinuxContainerAdjustment { oom_score_adj: None, io_priority: None, scheduler: None, ..change.clone() };
    let Some(change) = rest.into_option() else { return Ok(()) };
    let linux = linux_of(spec);
    devices(linux, &change.devices)?;
    namespaces(linux, &change.namespaces)?;
    map(linux.sysctl_mut(), &change.sysctl, Clone::clone);
    map(linux.net_devices_mut(), &change.net_devices, |device| device.into());
    if !change.cgroups_path.is_empty() {
        linux.set_cgroups_path(Some(change.cgroups_path.clone().into()));
    }
    if let Some(policy) = &change.seccomp_policy {
        linux.set_seccomp(Some(policy.try_into()?));
    }
    if let Some(policy) = &change.memory_policy {
        linux.set_memory_policy(Some(policy.try_into()?));
    }
    if let Some(change) = &change.resources {
        resources(linux, change, &mut applied.unresolved)?;
    }
    if let Some(change) = &change.rdt {
        rdt(linux, change, &mut applied.unresolved);
    }
    Ok(())
}

/// What stands for none is left out.
fn unless_cleared<T>(converted: Result<T, ConversionError>) -> Result<Option<T>, ConversionError> {
    match converted {
        Err(ConversionError::Cleared { .. }) => Ok(None),
        converted => converted.map(Some),
    }
}

fn devices(linux: &mut oci::Linux, changes: &[api::LinuxDevice]) -> Result<(), ConversionError> {
    if let Some(devices) = linux.devices_mut() {
        let at = |device: &oci::LinuxDevice, path: &str| device.path() == Path::new(path);
        devices.retain(|device| !changes.iter().any(|change| at(device, change.removes().unwrap_or(&change.path))));
    }
    for change in changes.iter().filter(|change| change.removes().is_none()) {
        linux.devices_mut().get_or_insert_default().push(change.try_into()?);
        let kind = match change.r#type.as_str() {
            "p" => continue,
            "u" => "c",
            kind => kind,
        };
        let rule = api::LinuxDeviceCgroup {
            allow: true,
            r#type: kind.to_owned(),
            major: Some(change.major.into()),
            minor: Some(change.minor.into()),
            access: change.access().to_owned(),
        };
        let resources = linux.resources_mut().get_or_insert_default();
        resources.devices_mut().get_or_insert_default().push((&rule).try_into()?);
    }
    Ok(())
}

fn namespaces(linux: &mut oci::Linux, changes: &[api::LinuxNamespace]) -> Result<(), ConversionError> {
    for change in changes {
        let kind = namespace_type(change.removes().unwrap_or(&change.r#type))?;
        if let Some(namespaces) = linux.namespaces_mut() {
            namespaces.retain(|namespace| namespace.typ() != kind);
        }
        if change.removes().is_none() {
            linux.namespaces_mut().get_or_insert_default().push(change.try_into()?);
        }
    }
    Ok(())
}

fn resources(
    linux: &mut oci::Linux,
    change: &api::LinuxResources,
    unresolved: &mut Unresolved,
) -> Result<(), ConversionError> {
    let mut change = change.clone();
    if let Some(memory) = &mut change.memory {
        memory.limit = memory.limit.filter(|limit| limit.value != 0);
        memory.swap = memory.swap.or(memory.limit);
    }
    let resources = linux.resources_mut().get_or_insert_default();
    merge(resources, &change)?;
    unresolved.blockio_class = class(change.blockio_class.as_ref(), || {
        resources.set_block_io(None);
    });
    unresolved.rdt_class = class(change.rdt_class.as_ref(), || {
        linux.set_intel_rdt(None);
    });
    Ok(())
}

fn rdt(linux: &mut oci::Linux, change: &api::LinuxRdt, unresolved: &mut Unresolved) {
    if change.remove {
        linux.set_intel_rdt(None);
        unresolved.rdt_class = None;
    }
    let named = oci::LinuxIntelRdt::from(change);
    if named == oci::LinuxIntelRdt::default() {
        return;
    }
    let rdt = linux.intel_rdt_mut().get_or_insert_default();
    if named.clos_id().is_some() {
        rdt.set_clos_id(named.clos_id().clone());
    }
    if named.schemata().is_some() {
        rdt.set_schemata(named.schemata().clone());
    }
    if named.enable_monitoring().is_some() {
        rdt.set_enable_monitoring(*named.enable_monitoring());
    }
}
