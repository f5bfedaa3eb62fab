//! What plugins make of a container that is to be created, put together.

use std::collections::{BTreeMap, BTreeSet};

use super::api::{
    Container, ContainerAdjustment, ContainerUpdate, CreateContainerResponse, Field, Hooks, KeyValue,
    LinuxContainerAdjustment, LinuxDevice, LinuxNamespace, LinuxRdt, Mount,
};
use super::failure::Failure;
use super::owners::{Claims, Owners};
use super::resources;
use super::updating::Updating;

/// The answers of all plugins so far. A plugin gets the container as those before it made it.
#[derive(Debug)]
pub(super) struct Creation {
    pub(super) container: Container,
    pub(super) adjustment: ContainerAdjustment,
    pub(super) owners: Owners,
    updating: Updating,
}

impl Creation {
    pub(super) fn new(mut container: Container) -> Self {
        // Go sends what is empty as something that is.
        container.hooks.get_or_insert_default();
        let resources = container.linux.get_or_insert_default().resources.get_or_insert_default();
        resources.memory.get_or_insert_default();
        resources.cpu.get_or_insert_default();
        let updating = Updating::while_creating(&container.id);
        let mut adjustment = ContainerAdjustment { hooks: Some(Hooks::default()), ..ContainerAdjustment::default() };
        let resources = adjustment.linux.get_or_insert_default().resources.get_or_insert_default();
        resources.memory.get_or_insert_default();
        resources.cpu.get_or_insert_default();
        Self { container, adjustment, owners: Owners::default(), updating }
    }

    /// The updates of other containers.
    pub(super) fn updates(&mut self) -> Vec<ContainerUpdate> {
        std::mem::take(&mut self.updating).of_others()
    }

    /// A copy of the updates of other containers.
    pub(super) fn peek(&self) -> Vec<ContainerUpdate> {
        self.updating.clone().of_others()
    }

    /// Adds the answer of a plugin. Later plugins are asked after it, as nothing goes on after a failure.
    pub(super) fn add(&mut self, plugin: &str, answer: CreateContainerResponse) -> Result<(), Failure> {
        if let Some(adjust) = answer.adjust {
            self.adjust(plugin, adjust)?;
        }
        self.updating.add(&mut self.owners, plugin, answer.update)
    }

    fn adjust(&mut self, plugin: &str, adjust: ContainerAdjustment) -> Result<(), Failure> {
        let Self { container, adjustment, owners, .. } = self;
        let mut claims = owners.of(&container.id, plugin);
        let own = &mut container.annotations;
        entries(&mut claims, Field::Annotations, adjust.annotations, &mut adjustment.annotations, own)?;
        // Of what is removed and not set anew, only mounts are told to the runtime.
        let gone = list(&mut claims, Field::Mounts, adjust.mounts, &mut adjustment.mounts, &mut container.mounts)?;
        adjustment.mounts.extend(gone);
        list(&mut claims, Field::Env, adjust.env, &mut adjustment.env, &mut container.env)?;
        args(&mut claims, adjust.args, adjustment, container)?;
        hooks(&mut claims, adjust.hooks, adjustment, container);
        if let Some(linux) = adjust.linux {
            linux_parts(&mut claims, linux, adjustment.linux.get_or_insert_default(), container)?;
        }
        for limit in adjust.rlimits {
            claims.claim_entry(Field::Rlimits, &limit.r#type)?;
            container.rlimits.push(limit.clone());
            adjustment.rlimits.push(limit);
        }
        for device in adjust.cdi_devices {
            claims.claim_entry(Field::CdiDevices, &device.name)?;
            adjustment.cdi_devices.push(device);
        }
        Ok(())
    }
}

fn linux_parts(
    claims: &mut Claims<'_>,
    from: LinuxContainerAdjustment,
    adjustment: &mut LinuxContainerAdjustment,
    container: &mut Container,
) -> Result<(), Failure> {
    let own = container.linux.get_or_insert_default();
    list(claims, Field::Devices, from.devices, &mut adjustment.devices, &mut own.devices)?;
    if let Some(from) = from.resources {
        let own = own.resources.get_or_insert_default();
        let all = adjustment.resources.get_or_insert_default();
        resources::set(claims, &from, &mut [&mut *own, &mut *all])?;
        if let Some(pids) = from.pids {
            claims.claim(Field::PidsLimit)?;
            (own.pids, all.pids) = (Some(pids), Some(pids));
        }
        own.devices.extend(from.devices.iter().cloned());
        all.devices.extend(from.devices);
    }
    if !from.cgroups_path.is_empty() {
        claims.claim(Field::CgroupsPath)?;
        own.cgroups_path.clone_from(&from.cgroups_path);
        adjustment.cgroups_path = from.cgroups_path;
    }
    if let Some(score) = from.oom_score_adj {
        claims.claim(Field::OomScoreAdj)?;
        (own.oom_score_adj, adjustment.oom_score_adj) = (Some(score), Some(score));
    }
    if let Some(priority) = from.io_priority {
        claims.claim(Field::IoPriority)?;
        (own.io_priority, adjustment.io_priority) = (Some(priority), Some(priority));
    }
    if let Some(policy) = from.seccomp_policy {
        claims.claim(Field::SeccompPolicy)?;
        own.seccomp_policy = Some(policy.clone());
        adjustment.seccomp_policy = Some(policy);
    }
    namespaces(claims, from.namespaces, &mut adjustment.namespaces, &mut own.namespaces)?;
    entries(claims, Field::Sysctl, from.sysctl, &mut adjustment.sysctl, &mut own.sysctl)?;
    entries(claims, Field::LinuxNetDevices, from.net_devices, &mut adjustment.net_devices, &mut own.net_devices)?;
    if let Some(scheduler) = from.scheduler {
        claims.claim(Field::LinuxSched)?;
        own.scheduler = Some(scheduler.clone());
        adjustment.scheduler = Some(scheduler);
    }
    rdt(claims, from.rdt.unwrap_or_default(), adjustment.rdt.get_or_insert_default())?;
    if let Some(policy) = from.memory_policy {
        claims.claim(Field::MemoryPolicy)?;
        adjustment.memory_policy = Some(policy);
    }
    Ok(())
}

/// The key without the mark of removal, and whether it has one.
fn marked(key: &str) -> (&str, bool) {
    key.strip_prefix('-').map_or((key, false), |key| (key, true))
}

/// Entries of a map. Removing and setting a key replaces what another plugin set; the removal is told as well.
fn entries<V: Clone + Default>(
    claims: &mut Claims<'_>,
    field: Field,
    from: BTreeMap<String, V>,
    all: &mut BTreeMap<String, V>,
    own: &mut BTreeMap<String, V>,
) -> Result<(), Failure> {
    let (removed, set): (BTreeMap<_, _>, BTreeMap<_, _>) = from.into_iter().partition(|(key, _)| marked(key).1);
    for (key, value) in set {
        let mark = format!("-{key}");
        if removed.contains_key(&mark) {
            claims.clear_entry(field, &key);
            all.insert(mark, V::default());
        }
        claims.claim_entry(field, &key)?;
        own.insert(key.clone(), value.clone());
        all.insert(key, value);
    }
    all.extend(removed.into_keys().map(|mark| (mark, V::default())));
    Ok(())
}

/// Something that has a key in a list.
trait Keyed {
    fn key(&self) -> &str;
}

impl Keyed for Mount {
    fn key(&self) -> &str {
        &self.destination
    }
}

impl Keyed for LinuxDevice {
    fn key(&self) -> &str {
        &self.path
    }
}

impl Keyed for KeyValue {
    fn key(&self) -> &str {
        &self.key
    }
}

/// A variable of a container.
impl Keyed for String {
    fn key(&self) -> &str {
        self.split_once('=').map_or(self, |(key, _)| key)
    }
}

impl From<KeyValue> for String {
    fn from(KeyValue { key, value }: KeyValue) -> Self {
        format!("{key}={value}")
    }
}

/// Entries of a list; those that are removed and not set anew come back.
fn list<T: Keyed + Clone + Into<O>, O: Keyed>(
    claims: &mut Claims<'_>,
    field: Field,
    from: Vec<T>,
    all: &mut Vec<T>,
    own: &mut Vec<O>,
) -> Result<Vec<T>, Failure> {
    let (mut removed, set): (Vec<T>, Vec<T>) = from.into_iter().partition(|entry| marked(entry.key()).1);
    let gone: BTreeSet<String> = removed.iter().map(|entry| marked(entry.key()).0.to_owned()).collect();
    let new: BTreeSet<String> = set.iter().map(|entry| entry.key().to_owned()).collect();
    all.retain(|entry| {
        let stays = !gone.contains(entry.key());
        if !stays {
            claims.clear_entry(field, entry.key());
        }
        stays
    });
    own.retain(|entry| !gone.contains(entry.key()) && !new.contains(entry.key()));
    for entry in set {
        claims.claim_entry(field, entry.key())?;
        own.push(entry.clone().into());
        all.push(entry);
    }
    removed.retain(|entry| !new.contains(marked(entry.key()).0));
    Ok(removed)
}

/// Arguments that begin with an empty one override those of another plugin.
fn args(
    claims: &mut Claims<'_>,
    mut from: Vec<String>,
    adjustment: &mut ContainerAdjustment,
    container: &mut Container,
) -> Result<(), Failure> {
    match from.first() {
        None => return Ok(()),
        Some(first) if first.is_empty() => {
            claims.clear(Field::Args);
            from.remove(0);
        }
        Some(_) => {}
    }
    claims.claim(Field::Args)?;
    container.args.clone_from(&from);
    adjustment.args = from;
    Ok(())
}

/// Hooks of all plugins are run: nobody owns them alone.
fn hooks(
    claims: &mut Claims<'_>,
    from: Option<Hooks>,
    adjustment: &mut ContainerAdjustment,
    container: &mut Container,
) {
    let Some(from) = from.filter(|hooks| *hooks != Hooks::default()) else { return };
    for to in [adjustment.hooks.get_or_insert_default(), container.hooks.get_or_insert_default()] {
        let from = from.clone();
        to.prestart.extend(from.prestart);
        to.create_runtime.extend(from.create_runtime);
        to.create_container.extend(from.create_container);
        to.start_container.extend(from.start_container);
        to.poststart.extend(from.poststart);
        to.poststop.extend(from.poststop);
    }
    claims.join(Field::OciHooks);
}

/// Namespaces by type. Removing one claims it, as setting does: two plugins that do either are in conflict.
fn namespaces(
    claims: &mut Claims<'_>,
    from: Vec<LinuxNamespace>,
    all: &mut Vec<LinuxNamespace>,
    own: &mut Vec<LinuxNamespace>,
) -> Result<(), Failure> {
    for namespace in from {
        let (kind, removed) = marked(&namespace.r#type);
        claims.claim_entry(Field::Namespace, kind)?;
        own.retain(|other| other.r#type != kind);
        if !removed {
            own.push(namespace.clone());
        }
        all.push(namespace);
    }
    Ok(())
}

/// Intel RDT, where removing is a field of its own.
fn rdt(claims: &mut Claims<'_>, from: LinuxRdt, all: &mut LinuxRdt) -> Result<(), Failure> {
    if from.remove {
        for field in [Field::RdtClosId, Field::RdtSchemata, Field::RdtEnableMonitoring] {
            claims.clear(field);
        }
        *all = LinuxRdt { remove: true, ..LinuxRdt::default() };
    }
    if let Some(id) = from.clos_id {
        claims.claim(Field::RdtClosId)?;
        (all.clos_id, all.remove) = (Some(id), false);
    }
    if let Some(schemata) = from.schemata {
        claims.claim(Field::RdtSchemata)?;
        (all.schemata, all.remove) = (Some(schemata), false);
    }
    if let Some(monitoring) = from.enable_monitoring {
        claims.claim(Field::RdtEnableMonitoring)?;
        (all.enable_monitoring, all.remove) = (Some(monitoring), false);
    }
    Ok(())
}
