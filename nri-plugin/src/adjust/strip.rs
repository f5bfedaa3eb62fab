//! What changes nothing, off the wire.
//!
//! Go's side tells an empty part from an absent one nowhere but where presence has a meaning: a priority, a scheduler, a
//! policy or a limit of processes that is there with zeros in it. Those stay.

use crate::api::{
    ContainerAdjustment, ContainerUpdate, Hooks, LinuxContainerAdjustment, LinuxContainerUpdate, LinuxRdt,
    LinuxResources,
};

/// `None` if it is what the type begins with.
fn some<T: Default + PartialEq>(value: T) -> Option<T> {
    (value != T::default()).then_some(value)
}

impl Hooks {
    /// `None` if there is no hook.
    pub fn into_option(self) -> Option<Self> {
        some(self)
    }
}

impl LinuxRdt {
    /// `None` if it changes nothing.
    pub fn into_option(self) -> Option<Self> {
        some(self)
    }
}

impl LinuxResources {
    /// Without empty parts; `None` if nothing is left.
    pub fn into_option(mut self) -> Option<Self> {
        self.memory = self.memory.and_then(some);
        self.cpu = self.cpu.and_then(some);
        some(self)
    }
}

impl LinuxContainerAdjustment {
    /// Without empty parts; `None` if nothing is left.
    pub fn into_option(mut self) -> Option<Self> {
        self.resources = self.resources.and_then(LinuxResources::into_option);
        self.rdt = self.rdt.and_then(LinuxRdt::into_option);
        some(self)
    }
}

impl ContainerAdjustment {
    /// Without empty parts; `None` if it changes nothing.
    ///
    /// ```
    /// use nri_plugin::api::{ContainerAdjustment, Hooks, LinuxContainerAdjustment};
    ///
    /// let linux = Some(LinuxContainerAdjustment::default());
    /// let empty = ContainerAdjustment { hooks: Some(Hooks::default()), linux, ..ContainerAdjustment::default() };
    /// assert_eq!(empty.into_option(), None);
    /// ```
    pub fn into_option(mut self) -> Option<Self> {
        self.hooks = self.hooks.and_then(Hooks::into_option);
        self.linux = self.linux.and_then(LinuxContainerAdjustment::into_option);
        some(self)
    }
}

impl LinuxContainerUpdate {
    /// Without empty parts; `None` if nothing is left.
    pub fn into_option(mut self) -> Option<Self> {
        self.resources = self.resources.and_then(LinuxResources::into_option);
        some(self)
    }
}

impl ContainerUpdate {
    /// Leaves out empty parts.
    pub(super) fn strip(&mut self) {
        self.linux = self.linux.take().and_then(LinuxContainerUpdate::into_option);
    }

    /// Without empty parts; `None` if it changes nothing.
    pub fn into_option(mut self) -> Option<Self> {
        self.strip();
        self.linux.is_some().then_some(self)
    }
}
