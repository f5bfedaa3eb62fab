//! Which plugin set what of a container: two that set the same are in conflict.

use super::api::{Field, FieldOwners, OwningPlugins};
use super::failure::Failure;

/// The plugins that set something, container by container.
#[derive(Debug, Clone, Default)]
pub(super) struct Owners(pub(super) OwningPlugins);

/// A plugin that removed something, so that it may set it, is marked as removed keys are.
fn removed(plugin: &str) -> String {
    format!("-{plugin}")
}

impl Owners {
    /// Those of one container, on behalf of a plugin.
    pub(super) fn of<'a>(&'a mut self, container: &str, plugin: &'a str) -> Claims<'a> {
        Claims { owners: self.0.owners.entry(container.to_owned()).or_default(), plugin }
    }
}

/// The fields of one container, as one plugin claims them.
pub(super) struct Claims<'a> {
    owners: &'a mut FieldOwners,
    plugin: &'a str,
}

impl Claims<'_> {
    /// Claims a field that has no entries.
    pub(super) fn claim(&mut self, field: Field) -> Result<(), Failure> {
        let owner = self.owners.simple.get(&(field as i32)).cloned();
        self.check(owner, field, "")?;
        self.owners.simple.insert(field as i32, self.plugin.to_owned());
        Ok(())
    }

    /// Claims one entry of a field.
    pub(super) fn claim_entry(&mut self, field: Field, key: &str) -> Result<(), Failure> {
        let entries = self.owners.compound.entry(field as i32).or_default();
        let owner = entries.owners.get(key).cloned();
        self.check(owner, field, key)?;
        let entries = self.owners.compound.entry(field as i32).or_default();
        entries.owners.insert(key.to_owned(), self.plugin.to_owned());
        Ok(())
    }

    /// Removes what others set of a field, so that this plugin may set it.
    pub(super) fn clear(&mut self, field: Field) {
        self.owners.simple.insert(field as i32, removed(self.plugin));
    }

    /// Removes what others set of an entry, so that this plugin may set it.
    pub(super) fn clear_entry(&mut self, field: Field, key: &str) {
        self.owners.compound.entry(field as i32).or_default().owners.insert(key.to_owned(), removed(self.plugin));
    }

    /// Joins those that set a field which many may set.
    pub(super) fn join(&mut self, field: Field) {
        let owner = self.owners.simple.entry(field as i32).or_default();
        let comma = if owner.is_empty() { "" } else { "," };
        *owner = format!("{owner}{comma}{}", self.plugin);
    }

    fn check(&self, owner: Option<String>, field: Field, key: &str) -> Result<(), Failure> {
        let Some(owner) = owner else { return Ok(()) };
        if owner == removed(self.plugin) {
            return Ok(());
        }
        let other = owner.strip_prefix('-').unwrap_or(&owner).to_owned();
        Err(Failure::Conflict { plugin: self.plugin.to_owned(), other, field, key: key.to_owned() })
    }
}
