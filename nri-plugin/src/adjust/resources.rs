//! Resources, which adjustments and updates have in common.

use super::adjustment::put;
use super::check;
use super::{Adjustment, Update};
use crate::api::{HugepageLimit, LinuxCpu, LinuxDeviceCgroup, LinuxMemory, LinuxPids, LinuxResources, OptionalString};

fn memory(resources: &mut LinuxResources) -> &mut LinuxMemory {
    resources.memory.get_or_insert_default()
}

fn cpu(resources: &mut LinuxResources) -> &mut LinuxCpu {
    resources.cpu.get_or_insert_default()
}

macro_rules! resource_methods {
    ($builder:ident) => {
        /// Resources. What the kernel refuses of numbers depends on its version and its cgroups: those are passed on.
        impl $builder {
            /// Sets all resources, in place of what was set so far; taken as they are.
            pub fn resources(self, resources: LinuxResources) -> Self {
                self.edit_resources(|all| {
                    *all = resources;
                    Ok(())
                })
            }

            /// Sets the memory limit in bytes; −1 is none. Runtimes take 0 as not given.
            pub fn memory_limit(self, bytes: i64) -> Self {
                self.edit_resources(|all| {
                    check::range("the memory limit", bytes, -1..=i64::MAX.into())?;
                    memory(all).limit = Some(bytes.into());
                    Ok(())
                })
            }

            /// Sets the soft memory limit in bytes; −1 is none.
            pub fn memory_reservation(self, bytes: i64) -> Self {
                self.edit_resources(|all| {
                    check::range("the memory reservation", bytes, -1..=i64::MAX.into())?;
                    memory(all).reservation = Some(bytes.into());
                    Ok(())
                })
            }

            /// Sets the limit of memory **and** swap in bytes; −1 is none.
            pub fn memory_swap(self, bytes: i64) -> Self {
                self.edit_resources(|all| {
                    check::range("the limit of memory and swap", bytes, -1..=i64::MAX.into())?;
                    memory(all).swap = Some(bytes.into());
                    Ok(())
                })
            }

            /// Sets the limit of kernel memory in bytes; without effect since Linux 5.4.
            pub fn memory_kernel(self, bytes: i64) -> Self {
                self.edit_resources(|all| {
                    check::range("the limit of kernel memory", bytes, -1..=i64::MAX.into())?;
                    memory(all).kernel = Some(bytes.into());
                    Ok(())
                })
            }

            /// Sets the limit of memory for TCP buffers in bytes; cgroup v1 only.
            pub fn memory_kernel_tcp(self, bytes: i64) -> Self {
                self.edit_resources(|all| {
                    check::range("the limit of TCP memory", bytes, -1..=i64::MAX.into())?;
                    memory(all).kernel_tcp = Some(bytes.into());
                    Ok(())
                })
            }

            /// Sets how readily memory is swapped, from 0 to 100; cgroup v1 only.
            pub fn memory_swappiness(self, swappiness: u64) -> Self {
                self.edit_resources(|all| {
                    check::range("the swappiness", swappiness, 0..=100)?;
                    memory(all).swappiness = Some(swappiness.into());
                    Ok(())
                })
            }

            /// Sets whether processes wait for memory rather than being killed for want of it; cgroup v1 only.
            pub fn memory_disable_oom_killer(self, disable: bool) -> Self {
                self.edit_resources(|all| {
                    memory(all).disable_oom_killer = Some(disable.into());
                    Ok(())
                })
            }

            /// Sets whether memory is accounted with that of child cgroups; cgroup v1 only.
            pub fn memory_use_hierarchy(self, enable: bool) -> Self {
                self.edit_resources(|all| {
                    memory(all).use_hierarchy = Some(enable.into());
                    Ok(())
                })
            }

            /// Sets the CPU shares, from 2 to 262144, where 1024 is a whole CPU's request; runtimes make a weight of it
            /// for cgroup2.
            pub fn cpu_shares(self, shares: u64) -> Self {
                self.edit_resources(|all| {
                    cpu(all).shares = Some(shares.into());
                    Ok(())
                })
            }

            /// Sets the CPU time per period in microseconds; −1 is no limit.
            pub fn cpu_quota(self, microseconds: i64) -> Self {
                self.edit_resources(|all| {
                    check::range("the CPU quota", microseconds, -1..=i64::MAX.into())?;
                    cpu(all).quota = Some(microseconds.into());
                    Ok(())
                })
            }

            /// Sets the period of the quota in microseconds.
            pub fn cpu_period(self, microseconds: u64) -> Self {
                self.edit_resources(|all| {
                    cpu(all).period = Some(microseconds.into());
                    Ok(())
                })
            }

            /// Sets the real-time CPU time per period in microseconds; cgroup v1 only.
            pub fn cpu_realtime_runtime(self, microseconds: i64) -> Self {
                self.edit_resources(|all| {
                    cpu(all).realtime_runtime = Some(microseconds.into());
                    Ok(())
                })
            }

            /// Sets the period of real-time CPU time in microseconds; cgroup v1 only.
            pub fn cpu_realtime_period(self, microseconds: u64) -> Self {
                self.edit_resources(|all| {
                    cpu(all).realtime_period = Some(microseconds.into());
                    Ok(())
                })
            }

            /// Sets on which CPUs the container runs: `0-3,8`.
            pub fn cpuset_cpus(self, cpus: impl Into<String>) -> Self {
                let cpus = cpus.into();
                self.edit_resources(|all| {
                    check::list("the set of CPUs", &cpus)?;
                    cpu(all).cpus = cpus;
                    Ok(())
                })
            }

            /// Sets on which NUMA nodes the container has its memory: `0-1`.
            pub fn cpuset_mems(self, mems: impl Into<String>) -> Self {
                let mems = mems.into();
                self.edit_resources(|all| {
                    check::list("the set of memory nodes", &mems)?;
                    cpu(all).mems = mems;
                    Ok(())
                })
            }

            /// Sets the limit of processes and threads; −1 is none.
            pub fn pids_limit(self, limit: i64) -> Self {
                self.edit_resources(|all| {
                    check::range("the limit of processes", limit, -1..=i64::MAX.into())?;
                    all.pids = Some(LinuxPids { limit });
                    Ok(())
                })
            }

            /// Sets the limit in bytes of huge pages of a size, which is as the kernel has it: `64KB`, `2MB`, `1GB`.
            pub fn hugepage_limit(self, page_size: impl Into<String>, bytes: u64) -> Self {
                let page_size = page_size.into();
                self.edit_resources(|all| {
                    check::page_size(&page_size)?;
                    let limit = HugepageLimit { page_size, limit: bytes };
                    put(&mut all.hugepage_limits, limit, |limit| &limit.page_size);
                    Ok(())
                })
            }

            /// Sets the class of block input and output, one of the runtime's own configuration.
            pub fn blockio_class(self, class: impl Into<String>) -> Self {
                let class = class.into();
                self.edit_resources(|all| {
                    check::given("the class of block input and output", &class)?;
                    all.blockio_class = Some(class.into());
                    Ok(())
                })
            }

            /// Takes away the block input and output settings that the container would have.
            pub fn clear_blockio_class(self) -> Self {
                self.edit_resources(|all| {
                    all.blockio_class = Some(OptionalString::default());
                    Ok(())
                })
            }

            /// Sets the class of Intel RDT, one of the runtime's own configuration.
            pub fn rdt_class(self, class: impl Into<String>) -> Self {
                let class = class.into();
                self.edit_resources(|all| {
                    check::given("the RDT class", &class)?;
                    all.rdt_class = Some(class.into());
                    Ok(())
                })
            }

            /// Takes away the Intel RDT settings that the container would have.
            pub fn clear_rdt_class(self) -> Self {
                self.edit_resources(|all| {
                    all.rdt_class = Some(OptionalString::default());
                    Ok(())
                })
            }

            /// Writes a file of the container's cgroup, such as `memory.high`; cgroup2 only.
            pub fn unified(self, file: impl Into<String>, value: impl Into<String>) -> Self {
                let (file, value) = (file.into(), value.into());
                self.edit_resources(|all| {
                    check::cgroup_file(&file)?;
                    all.unified.insert(file, value);
                    Ok(())
                })
            }

            /// Adds a rule of the device cgroup, after those that the container has; of two that match, the later counts.
            pub fn device_rule(self, rule: LinuxDeviceCgroup) -> Self {
                self.edit_resources(|all| {
                    check::device_rule(&rule)?;
                    all.devices.push(rule);
                    Ok(())
                })
            }
        }
    };
}

resource_methods!(Adjustment);
resource_methods!(Update);

impl Adjustment {
    fn edit_resources(self, edit: impl FnOnce(&mut LinuxResources) -> check::Checked) -> Self {
        self.edit_linux(|linux| edit(linux.resources.get_or_insert_default()))
    }
}
