//! What plugins want changed in containers that exist, put together.

use std::collections::BTreeMap;

use super::api::{ContainerUpdate, Field, LinuxContainerUpdate, LinuxResources};
use super::failure::Failure;
use super::owners::Owners;
use super::resources;

/// The updates of all plugins so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Updating {
    /// The container whose creation is answered: it can't be updated meanwhile.
    created: Option<String>,
    /// The container that is to be updated, and what to.
    requested: Option<(String, LinuxResources)>,
    updates: BTreeMap<String, ContainerUpdate>,
    /// The order in which containers came up.
    order: Vec<String>,
}

impl Updating {
    /// Of the answers to the creation of this container.
    pub(super) fn while_creating(container: &str) -> Self {
        Self { created: Some(container.to_owned()), ..Self::default() }
    }

    /// Of the answers to an update of this container.
    pub(super) fn of(container: &str, resources: LinuxResources) -> Self {
        Self { requested: Some((container.to_owned(), resources)), ..Self::default() }
    }

    /// What the container is to be updated to, as far as the plugins so far changed it.
    pub(super) fn requested(&self) -> LinuxResources {
        self.requested.as_ref().map(|(_, resources)| resources.clone()).unwrap_or_default()
    }

    /// The updates of the other containers, in the order in which they came up.
    pub(super) fn of_others(mut self) -> Vec<ContainerUpdate> {
        let others = self.order.iter().filter(|id| self.requested.as_ref().is_none_or(|(own, _)| own != *id));
        others.filter_map(|id| self.updates.remove(id)).collect()
    }

    /// All updates, as the adaptation answers an update: that of the container itself comes last, if there is one.
    pub(super) fn all(mut self) -> Vec<ContainerUpdate> {
        let own = self.requested.as_ref().and_then(|(own, _)| self.updates.remove(own));
        self.of_others().into_iter().chain(own).collect()
    }

    /// Adds the updates of a plugin.
    pub(super) fn add(
        &mut self,
        owners: &mut Owners,
        plugin: &str,
        updates: Vec<ContainerUpdate>,
    ) -> Result<(), Failure> {
        for update in updates {
            let id = update.container_id.clone();
            if self.created.as_ref() == Some(&id) {
                return Err(Failure::UpdatedWhileCreated { plugin: plugin.to_owned(), container: id });
            }
            let known = self.updates.contains_key(&id);
            if !known {
                self.order.push(id.clone());
            }
            let all = self.updates.entry(id.clone()).or_insert_with(|| ContainerUpdate {
                container_id: id.clone(),
                linux: Some(LinuxContainerUpdate { resources: Some(LinuxResources::default()) }),
                ignore_failure: true,
            });
            all.ignore_failure &= update.ignore_failure;
            let Some(wanted) = update.linux.and_then(|linux| linux.resources) else { continue };
            let requested = self.requested.as_mut().filter(|(own, _)| *own == id).map(|(_, resources)| resources);
            let all = all.linux.get_or_insert_default().resources.get_or_insert_default();
            // Works on a copy: a failure that is ignored leaves all as it was.
            let mut merged = requested.as_deref().unwrap_or(all).clone();
            let mut claims = owners.of(&id, plugin);
            let mut set = resources::set(&mut claims, &wanted, &mut [&mut merged]);
            if set.is_ok() && merged.pids.is_some() {
                // Go looks at the limit that was there, where it means the one that is wanted: the latter is never set,
                // and a second plugin is in conflict with the first.
                set = claims.claim(Field::PidsLimit);
            }
            match set {
                Ok(()) => {
                    *all = merged.clone();
                    if let Some(requested) = requested {
                        *requested = merged;
                    }
                }
                Err(_) if update.ignore_failure => {}
                Err(failure) => return Err(failure),
            }
        }
        Ok(())
    }
}
