//! What of an adjustment is particular to Linux, resources apart.

use super::adjustment::{Adjustment, put, take, take_key};
use super::check;
use super::kinds::Namespace;
use super::removal::{mark, unmarked};
use crate::api::{
    IoPrioClass, LinuxDevice, LinuxIoPriority, LinuxMemoryPolicy, LinuxNamespace, LinuxNetDevice, LinuxRdt,
    LinuxScheduler, LinuxSeccomp, MpolFlag, MpolMode, OptionalRepeatedString,
};

impl Adjustment {
    /// Adds a device, in place of what the container has at the path. The container may then read and write it; the
    /// runtime adds that rule ([`LinuxDevice::access`]).
    pub fn device(self, device: LinuxDevice) -> Self {
        self.edit_linux(|linux| {
            check::device(&device)?;
            put(&mut linux.devices, device, |device| &device.path);
            Ok(())
        })
    }

    /// Removes the device at the path.
    pub fn remove_device(self, path: impl AsRef<str>) -> Self {
        self.edit_linux(|linux| {
            check::absolute("a device", path.as_ref())?;
            let removal = LinuxDevice { path: mark(path.as_ref()), ..LinuxDevice::default() };
            take(&mut linux.devices, removal, |device| &device.path);
            Ok(())
        })
    }

    /// Adds a device, whether another plugin has added one at the path or not.
    pub fn replace_device(self, device: LinuxDevice) -> Self {
        self.remove_device(&device.path).device(device)
    }

    fn namespace(self, namespace: LinuxNamespace) -> Self {
        self.edit_linux(|linux| {
            // A removal claims the kind as setting it does, so that both in one adjustment would conflict.
            linux.namespaces.retain(|other| unmarked(&other.r#type) != unmarked(&namespace.r#type));
            linux.namespaces.push(namespace);
            Ok(())
        })
    }

    /// Gives the container a namespace of its own, in place of the one that it would join or share.
    pub fn new_namespace(self, kind: Namespace) -> Self {
        self.namespace(LinuxNamespace { r#type: kind.into(), path: String::new() })
    }

    /// Puts the container into the namespace at this path, such as `/proc/PID/ns/net`.
    pub fn join_namespace(self, kind: Namespace, path: impl Into<String>) -> Self {
        let path = path.into();
        let checked = check::absolute("a namespace", &path);
        self.namespace(LinuxNamespace { r#type: kind.into(), path }).edit(|_| checked)
    }

    /// Leaves the container in the runtime's namespace of this kind, which is the host's.
    pub fn remove_namespace(self, kind: Namespace) -> Self {
        self.namespace(LinuxNamespace { r#type: mark(kind.as_str()), path: String::new() })
    }

    /// Moves a network device of the host into the container, under the name that it has.
    pub fn net_device(self, host: impl Into<String>) -> Self {
        let host = host.into();
        self.edit_linux(|linux| {
            check::interface(&host)?;
            linux.net_devices.insert(host, LinuxNetDevice::default());
            Ok(())
        })
    }

    /// Moves a network device of the host into the container, under another name.
    pub fn net_device_as(self, host: impl Into<String>, name: impl Into<String>) -> Self {
        let (host, name) = (host.into(), name.into());
        self.edit_linux(|linux| {
            check::interface(&host)?;
            check::interface(&name)?;
            linux.net_devices.insert(host, LinuxNetDevice { name });
            Ok(())
        })
    }

    /// Leaves a network device on the host.
    pub fn remove_net_device(self, host: impl AsRef<str>) -> Self {
        self.edit_linux(|linux| {
            check::interface(host.as_ref())?;
            take_key(&mut linux.net_devices, host.as_ref());
            Ok(())
        })
    }

    /// Sets a sysctl, by its name with dots: `net.core.somaxconn`.
    pub fn sysctl(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let (name, value) = (name.into(), value.into());
        self.edit_linux(|linux| {
            check::name("a sysctl", &name)?;
            linux.sysctl.insert(name, value);
            Ok(())
        })
    }

    /// Leaves a sysctl as it is.
    pub fn remove_sysctl(self, name: impl AsRef<str>) -> Self {
        self.edit_linux(|linux| {
            check::name("a sysctl", name.as_ref())?;
            take_key(&mut linux.sysctl, name.as_ref());
            Ok(())
        })
    }

    /// Sets a sysctl, whether another plugin has set it or not.
    pub fn replace_sysctl(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let name = name.into();
        self.remove_sysctl(&name).sysctl(name, value)
    }

    /// Sets the cgroup: a path for the cgroupfs driver, `slice:prefix:name` for systemd's.
    pub fn cgroups_path(self, path: impl Into<String>) -> Self {
        let path = path.into();
        self.edit_linux(|linux| {
            check::given("the cgroup", &path)?;
            linux.cgroups_path = path;
            Ok(())
        })
    }

    /// Sets how readily the kernel kills the container for want of memory: from −1000 (never) to 1000.
    pub fn oom_score_adj(self, score: i32) -> Self {
        self.edit_linux(|linux| {
            check::range("the OOM score", score, -1000..=1000)?;
            linux.oom_score_adj = Some(i64::from(score).into());
            Ok(())
        })
    }

    /// Sets the priority for input and output, from 0 (first) to 7.
    pub fn io_priority(self, class: IoPrioClass, priority: u8) -> Self {
        self.edit_linux(|linux| {
            check::range("the priority for input and output", priority, 0..=7)?;
            linux.io_priority = Some(LinuxIoPriority { class: class as i32, priority: priority.into() });
            Ok(())
        })
    }

    /// Takes away the priority for input and output that the container would have.
    pub fn clear_io_priority(self) -> Self {
        self.io_priority(IoPrioClass::IoprioClassNone, 0)
    }

    /// Sets the seccomp policy, in place of the container's.
    pub fn seccomp(self, policy: LinuxSeccomp) -> Self {
        self.edit_linux(|linux| {
            check::seccomp(&policy)?;
            linux.seccomp_policy = Some(policy);
            Ok(())
        })
    }

    /// Sets how the kernel schedules the container.
    pub fn scheduler(self, scheduler: LinuxScheduler) -> Self {
        self.edit_linux(|linux| {
            check::scheduler(&scheduler)?;
            linux.scheduler = Some(scheduler);
            Ok(())
        })
    }

    /// Takes away the scheduling that the container would have.
    pub fn clear_scheduler(self) -> Self {
        self.scheduler(LinuxScheduler::default())
    }

    /// Sets on which NUMA nodes memory is taken: a mode and flags of `set_mempolicy(2)`, and nodes as `0-1,3`, which are
    /// empty for a mode that has none.
    pub fn memory_policy(
        self,
        mode: MpolMode,
        nodes: impl Into<String>,
        flags: impl IntoIterator<Item = MpolFlag>,
    ) -> Self {
        let flags = flags.into_iter().map(|flag| flag as i32).collect();
        let policy = LinuxMemoryPolicy { mode: mode as i32, nodes: nodes.into(), flags };
        self.edit_linux(|linux| {
            check::memory_policy(mode, &policy)?;
            linux.memory_policy = Some(policy);
            Ok(())
        })
    }

    fn rdt(self, edit: impl FnOnce(&mut LinuxRdt)) -> Self {
        self.edit_linux(|linux| {
            edit(linux.rdt.get_or_insert_default());
            Ok(())
        })
    }

    /// Sets the class of service of Intel RDT, a directory under `/sys/fs/resctrl`.
    pub fn rdt_clos_id(self, id: impl Into<String>) -> Self {
        let id = id.into();
        let checked = check::clos_id(&id);
        self.rdt(|rdt| rdt.clos_id = Some(id.into())).edit(|_| checked)
    }

    /// Sets what the class of service gets, in lines as `/sys/fs/resctrl/schemata` has them: `L3:0=7f;1=7f`.
    pub fn rdt_schemata<T: Into<String>>(self, schemata: impl IntoIterator<Item = T>) -> Self {
        let value = schemata.into_iter().map(Into::into).collect();
        self.rdt(|rdt| rdt.schemata = Some(OptionalRepeatedString { value }))
    }

    /// Sets whether Intel RDT monitors the container.
    pub fn rdt_monitoring(self, enable: bool) -> Self {
        self.rdt(|rdt| rdt.enable_monitoring = Some(enable.into()))
    }

    /// Removes what other plugins and the container have for Intel RDT, and what was set here so far. What is set
    /// afterwards stands instead.
    pub fn remove_rdt(self) -> Self {
        self.rdt(|rdt| *rdt = LinuxRdt { remove: true, ..LinuxRdt::default() })
    }
}
