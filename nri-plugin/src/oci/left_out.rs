//! What a conversion leaves out.

use oci_spec::runtime as oci;

use crate::api;

/// What a value has that the other side has no field for. Its conversion leaves it out.
pub trait LeftOut {
    /// The names of the fields that are set and have no equal, as the value's own side writes them; empty if all is
    /// converted.
    ///
    /// ```
    /// use nri_plugin::oci::LeftOut;
    /// use oci_spec::runtime::LinuxCpuBuilder;
    ///
    /// let cpu = LinuxCpuBuilder::default().shares(2u64).burst(1000u64).build()?;
    /// assert_eq!(cpu.left_out(), ["burst"]);
    /// # Ok::<(), oci_spec::OciSpecError>(())
    /// ```
    fn left_out(&self) -> Vec<&'static str>;
}

fn named<const N: usize>(fields: [(bool, &'static str); N]) -> Vec<&'static str> {
    fields.into_iter().filter(|(set, _)| *set).map(|(_, name)| name).collect()
}

impl LeftOut for oci::Mount {
    fn left_out(&self) -> Vec<&'static str> {
        named([(self.uid_mappings().is_some(), "uidMappings"), (self.gid_mappings().is_some(), "gidMappings")])
    }
}

impl LeftOut for oci::User {
    fn left_out(&self) -> Vec<&'static str> {
        named([(self.umask().is_some(), "umask"), (self.username().is_some(), "username")])
    }
}

impl LeftOut for oci::LinuxMemory {
    fn left_out(&self) -> Vec<&'static str> {
        named([(self.check_before_update().is_some(), "checkBeforeUpdate")])
    }
}

impl LeftOut for oci::LinuxCpu {
    fn left_out(&self) -> Vec<&'static str> {
        named([(self.idle().is_some(), "idle"), (self.burst().is_some(), "burst")])
    }
}

/// Those of memory and CPU are among them, as `memory.checkBeforeUpdate`, `cpu.idle` and `cpu.burst`.
impl LeftOut for oci::LinuxResources {
    fn left_out(&self) -> Vec<&'static str> {
        let cpu = |set: fn(&oci::LinuxCpu) -> bool| self.cpu().as_ref().is_some_and(set);
        let check = self.memory().as_ref().is_some_and(|memory| memory.check_before_update().is_some());
        named([
            (check, "memory.checkBeforeUpdate"),
            (cpu(|cpu| cpu.idle().is_some()), "cpu.idle"),
            (cpu(|cpu| cpu.burst().is_some()), "cpu.burst"),
            (self.block_io().is_some(), "blockIO"),
            (self.network().is_some(), "network"),
            (self.rdma().is_some(), "rdma"),
        ])
    }
}

impl LeftOut for oci::LinuxIntelRdt {
    #[allow(deprecated, reason = "a deprecated field is left out as well")]
    fn left_out(&self) -> Vec<&'static str> {
        named([
            (self.l3_cache_schema().is_some(), "l3CacheSchema"),
            (self.mem_bw_schema().is_some(), "memBwSchema"),
            (self.enable_cmt().is_some(), "enableCMT"),
            (self.enable_mbm().is_some(), "enableMBM"),
        ])
    }
}

/// Classes are names in a runtime's own configuration.
impl LeftOut for api::LinuxResources {
    fn left_out(&self) -> Vec<&'static str> {
        named([(self.blockio_class.is_some(), "blockio_class"), (self.rdt_class.is_some(), "rdt_class")])
    }
}

impl LeftOut for api::LinuxRdt {
    fn left_out(&self) -> Vec<&'static str> {
        named([(self.remove, "remove")])
    }
}
