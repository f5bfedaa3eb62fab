//! The builder of an adjustment, and what of it any platform has.

use std::collections::BTreeMap;

use super::check::{self, Checked};
use super::error::BadAdjustment;
use super::kinds::{HookPoint, Rlimit};
use super::removal::{mark, unmarked};
use crate::api::{
    CdiDevice, ContainerAdjustment, CreateContainerResponse, Hook, Hooks, KeyValue, LinuxContainerAdjustment, Mount,
    PosixRlimit,
};

/// How a container is to be created; see the [module](super) for what runtimes make of it.
///
/// Each method says something about one key or one value, and what is said last about it counts. What can't be is kept
/// as an error until the end.
///
/// ```
/// use nri_plugin::Adjustment;
///
/// // Nothing to change is nothing on the wire.
/// assert_eq!(Adjustment::new().build()?, None);
///
/// let adjustment = Adjustment::new().env("A", "1").env("A", "2").build()?.unwrap_or_default();
/// assert_eq!(adjustment.env.len(), 1);
/// # Ok::<(), nri_plugin::BadAdjustment>(())
/// ```
#[derive(Debug, Clone, Default)]
#[must_use = "an adjustment has to be built and returned"]
pub struct Adjustment {
    message: ContainerAdjustment,
    error: Option<BadAdjustment>,
}

/// Goes on from a message, which is taken as it is.
impl From<ContainerAdjustment> for Adjustment {
    fn from(message: ContainerAdjustment) -> Self {
        Self { message, error: None }
    }
}

/// Sets a key of a list: nothing else in it has that key, but for its removal.
pub(super) fn put<T>(list: &mut Vec<T>, item: T, key: impl Fn(&T) -> &str) {
    list.retain(|other| key(other) != key(&item));
    list.push(item);
}

/// Removes a key of a list, and what was set for it so far.
pub(super) fn take<T>(list: &mut Vec<T>, removal: T, key: impl Fn(&T) -> &str) {
    list.retain(|other| unmarked(key(other)) != unmarked(key(&removal)));
    list.push(removal);
}

/// Removes a key of a map, and what was set for it so far.
pub(super) fn take_key<T: Default>(map: &mut BTreeMap<String, T>, key: &str) {
    map.remove(key);
    map.insert(mark(key), T::default());
}

impl Adjustment {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Edits the message, and keeps the first error.
    pub(super) fn edit(mut self, edit: impl FnOnce(&mut ContainerAdjustment) -> Checked) -> Self {
        if self.error.is_none() {
            self.error = edit(&mut self.message).err();
        }
        self
    }

    pub(super) fn edit_linux(self, edit: impl FnOnce(&mut LinuxContainerAdjustment) -> Checked) -> Self {
        self.edit(|message| edit(message.linux.get_or_insert_default()))
    }

    /// The message, without empty parts; `None` if it changes nothing. An error is the first thing that can't be.
    pub fn build(self) -> Result<Option<ContainerAdjustment>, BadAdjustment> {
        self.error.map_or_else(|| Ok(self.message.into_option()), Err)
    }

    /// The answer to [`create_container`](crate::Plugin::create_container), with updates of other containers to be added
    /// to it, if there are some.
    ///
    /// ```
    /// # use nri_plugin::{Adjustment, Update, api::CreateContainerResponse};
    /// let others = vec![Update::new("0c5e").cpu_shares(2).build()?];
    /// let response = CreateContainerResponse { update: others, ..Adjustment::new().cpu_shares(512).respond()? };
    /// # assert_eq!((response.update.len(), response.adjust.is_some()), (1, true));
    /// # Ok::<(), nri_plugin::BadAdjustment>(())
    /// ```
    pub fn respond(self) -> Result<CreateContainerResponse, BadAdjustment> {
        Ok(CreateContainerResponse { adjust: self.build()?, ..CreateContainerResponse::default() })
    }

    /// Sets an annotation of the container.
    pub fn annotation(self, key: impl Into<String>, value: impl Into<String>) -> Self {
        let (key, value) = (key.into(), value.into());
        self.edit(|message| {
            check::name("an annotation", &key)?;
            message.annotations.insert(key, value);
            Ok(())
        })
    }

    /// Removes an annotation.
    pub fn remove_annotation(self, key: impl AsRef<str>) -> Self {
        self.edit(|message| {
            check::name("an annotation", key.as_ref())?;
            take_key(&mut message.annotations, key.as_ref());
            Ok(())
        })
    }

    /// Sets an annotation, whether another plugin has set it or not.
    pub fn replace_annotation(self, key: impl Into<String>, value: impl Into<String>) -> Self {
        let key = key.into();
        self.remove_annotation(&key).annotation(key, value)
    }

    /// Adds a mount, in place of what the container has at the destination.
    pub fn mount(self, mount: Mount) -> Self {
        self.edit(|message| {
            check::mount(&mount)?;
            put(&mut message.mounts, mount, |mount| &mount.destination);
            Ok(())
        })
    }

    /// Removes the mount at the destination.
    pub fn remove_mount(self, destination: impl AsRef<str>) -> Self {
        self.edit(|message| {
            check::absolute("a mount", destination.as_ref())?;
            let removal = Mount { destination: mark(destination.as_ref()), ..Mount::default() };
            take(&mut message.mounts, removal, |mount| &mount.destination);
            Ok(())
        })
    }

    /// Adds a mount, whether another plugin has added one at the destination or not.
    pub fn replace_mount(self, mount: Mount) -> Self {
        self.remove_mount(&mount.destination).mount(mount)
    }

    /// Sets a variable of the environment, in place of what the container has by that name.
    pub fn env(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let (key, value) = (name.into(), value.into());
        self.edit(|message| {
            check::env_name(&key)?;
            check::no_nul("the value of an environment variable", &value)?;
            put(&mut message.env, KeyValue { key, value }, |pair| &pair.key);
            Ok(())
        })
    }

    /// Removes a variable of the environment.
    pub fn remove_env(self, name: impl AsRef<str>) -> Self {
        self.edit(|message| {
            check::env_name(name.as_ref())?;
            let removal = KeyValue { key: mark(name.as_ref()), value: String::new() };
            take(&mut message.env, removal, |pair| &pair.key);
            Ok(())
        })
    }

    /// Sets a variable, whether another plugin has set it or not.
    pub fn replace_env(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let name = name.into();
        self.remove_env(&name).env(name, value)
    }

    /// Sets the program and its arguments. The first can't be empty, nor can the whole.
    pub fn args<T: Into<String>>(self, args: impl IntoIterator<Item = T>) -> Self {
        let args: Vec<String> = args.into_iter().map(Into::into).collect();
        self.edit(|message| {
            check::given("the program", args.first().map_or("", String::as_str))?;
            args.iter().try_for_each(|arg| check::no_nul("an argument", arg))?;
            message.args = args;
            Ok(())
        })
    }

    /// Sets the program and its arguments, whether another plugin has set them or not.
    pub fn override_args<T: Into<String>>(self, args: impl IntoIterator<Item = T>) -> Self {
        self.args(args).edit(|message| {
            message.args.insert(0, String::new());
            Ok(())
        })
    }

    /// Adds an OCI hook.
    pub fn hook(self, point: HookPoint, hook: Hook) -> Self {
        self.edit(|message| {
            check::hook(&hook)?;
            message.hooks.get_or_insert_default().at_mut(point).push(hook);
            Ok(())
        })
    }

    /// Adds all of these hooks.
    pub fn hooks(self, mut hooks: Hooks) -> Self {
        self.edit(|message| {
            for point in HookPoint::ALL {
                let hooks = hooks.at_mut(*point);
                hooks.iter().try_for_each(check::hook)?;
                message.hooks.get_or_insert_default().at_mut(*point).append(hooks);
            }
            Ok(())
        })
    }

    /// Sets a resource limit of POSIX. `u64::MAX` is none.
    pub fn rlimit(self, kind: Rlimit, soft: u64, hard: u64) -> Self {
        let limit = PosixRlimit { r#type: kind.into(), hard, soft };
        self.edit(|message| {
            check::rlimit(&limit)?;
            put(&mut message.rlimits, limit, |limit| &limit.r#type);
            Ok(())
        })
    }

    /// Adds a device by its qualified CDI name, `vendor.com/class=device`. The protocol has no removal for these.
    pub fn cdi_device(self, name: impl Into<String>) -> Self {
        let name = name.into();
        self.edit(|message| {
            check::cdi_name(&name)?;
            put(&mut message.cdi_devices, CdiDevice { name }, |device| &device.name);
            Ok(())
        })
    }
}

impl Hooks {
    /// The hooks that run at this point.
    pub fn at(&self, point: HookPoint) -> &[Hook] {
        match point {
            HookPoint::Prestart => &self.prestart,
            HookPoint::CreateRuntime => &self.create_runtime,
            HookPoint::CreateContainer => &self.create_container,
            HookPoint::StartContainer => &self.start_container,
            HookPoint::Poststart => &self.poststart,
            HookPoint::Poststop => &self.poststop,
        }
    }

    /// The hooks that run at this point, to be changed.
    pub fn at_mut(&mut self, point: HookPoint) -> &mut Vec<Hook> {
        match point {
            HookPoint::Prestart => &mut self.prestart,
            HookPoint::CreateRuntime => &mut self.create_runtime,
            HookPoint::CreateContainer => &mut self.create_container,
            HookPoint::StartContainer => &mut self.start_container,
            HookPoint::Poststart => &mut self.poststart,
            HookPoint::Poststop => &mut self.poststop,
        }
    }
}
