//! The builder of an update.

use super::check::{self, Checked};
use super::error::BadAdjustment;
use crate::api::{Container, ContainerUpdate, LinuxResources};

/// A change to the resources of a container that exists; see the [module](super) for what runtimes make of it.
///
/// ```
/// use nri_plugin::Update;
///
/// let update = Update::new("0c5e").cpuset_cpus("4-7").memory_limit(1 << 30).ignore_failure().build()?;
/// assert_eq!(update.container_id, "0c5e");
/// # Ok::<(), nri_plugin::BadAdjustment>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "an update has to be built and returned"]
pub struct Update {
    message: ContainerUpdate,
    error: Option<BadAdjustment>,
}

/// Goes on from a message, which is taken as it is.
impl From<ContainerUpdate> for Update {
    fn from(message: ContainerUpdate) -> Self {
        Self { message, error: None }
    }
}

impl Update {
    /// Nothing yet, for the container of this id.
    pub fn new(container_id: impl Into<String>) -> Self {
        let message = ContainerUpdate { container_id: container_id.into(), ..ContainerUpdate::default() };
        let error = check::given("the id of a container", &message.container_id).err();
        Self { message, error }
    }

    /// Nothing yet, for this container.
    pub fn of(container: &Container) -> Self {
        Self::new(&container.id)
    }

    pub(super) fn edit_resources(mut self, edit: impl FnOnce(&mut LinuxResources) -> Checked) -> Self {
        if self.error.is_none() {
            let linux = self.message.linux.get_or_insert_default();
            self.error = edit(linux.resources.get_or_insert_default()).err();
        }
        self
    }

    /// Lets the rest go on if this fails.
    pub fn ignore_failure(mut self) -> Self {
        self.message.ignore_failure = true;
        self
    }

    /// The message, without empty parts. An error is the first thing that can't be.
    pub fn build(mut self) -> Result<ContainerUpdate, BadAdjustment> {
        self.message.strip();
        self.error.map_or(Ok(self.message), Err)
    }
}
