//! Resources, and Intel RDT.

use oci_spec::runtime as oci;

use super::error::ConversionError;
use super::{each, text};
use crate::api;

impl From<&api::LinuxMemory> for oci::LinuxMemory {
    #[allow(deprecated, reason = "NRI has the limit of kernel memory")]
    fn from(memory: &api::LinuxMemory) -> Self {
        let mut oci = Self::default();
        oci.set_limit(memory.limit.map(i64::from))
            .set_reservation(memory.reservation.map(i64::from))
            .set_swap(memory.swap.map(i64::from))
            .set_kernel(memory.kernel.map(i64::from))
            .set_kernel_tcp(memory.kernel_tcp.map(i64::from))
            .set_swappiness(memory.swappiness.map(u64::from))
            .set_disable_oom_killer(memory.disable_oom_killer.map(bool::from))
            .set_use_hierarchy(memory.use_hierarchy.map(bool::from));
        oci
    }
}

impl From<&oci::LinuxMemory> for api::LinuxMemory {
    #[allow(deprecated, reason = "NRI has the limit of kernel memory")]
    fn from(oci: &oci::LinuxMemory) -> Self {
        Self {
            limit: oci.limit().map(Into::into),
            reservation: oci.reservation().map(Into::into),
            swap: oci.swap().map(Into::into),
            kernel: oci.kernel().map(Into::into),
            kernel_tcp: oci.kernel_tcp().map(Into::into),
            swappiness: oci.swappiness().map(Into::into),
            disable_oom_killer: oci.disable_oom_killer().map(Into::into),
            use_hierarchy: oci.use_hierarchy().map(Into::into),
        }
    }
}

impl From<&api::LinuxCpu> for oci::LinuxCpu {
    fn from(cpu: &api::LinuxCpu) -> Self {
        let mut oci = Self::default();
        oci.set_shares(cpu.shares.map(u64::from))
            .set_quota(cpu.quota.map(i64::from))
            .set_period(cpu.period.map(u64::from))
            .set_realtime_runtime(cpu.realtime_runtime.map(i64::from))
            .set_realtime_period(cpu.realtime_period.map(u64::from))
            .set_cpus(text(&cpu.cpus))
            .set_mems(text(&cpu.mems));
        oci
    }
}

impl From<&oci::LinuxCpu> for api::LinuxCpu {
    fn from(oci: &oci::LinuxCpu) -> Self {
        Self {
            shares: oci.shares().map(Into::into),
            quota: oci.quota().map(Into::into),
            period: oci.period().map(Into::into),
            realtime_runtime: oci.realtime_runtime().map(Into::into),
            realtime_period: oci.realtime_period().map(Into::into),
            cpus: oci.cpus().clone().unwrap_or_default(),
            mems: oci.mems().clone().unwrap_or_default(),
        }
    }
}

impl From<&api::LinuxPids> for oci::LinuxPids {
    fn from(pids: &api::LinuxPids) -> Self {
        let mut oci = Self::default();
        oci.set_limit(pids.limit);
        oci
    }
}

impl From<&oci::LinuxPids> for api::LinuxPids {
    fn from(oci: &oci::LinuxPids) -> Self {
        Self { limit: oci.limit() }
    }
}

/// NRI counts without a sign, `oci-spec` with one.
const LIMITS: (i128, i128) = (0, i64::MAX as i128);

fn hugepages(value: i128) -> ConversionError {
    ConversionError::OutOfRange { field: "a limit of huge pages", value, least: LIMITS.0, most: LIMITS.1 }
}

impl TryFrom<&api::HugepageLimit> for oci::LinuxHugepageLimit {
    type Error = ConversionError;

    fn try_from(limit: &api::HugepageLimit) -> Result<Self, ConversionError> {
        let bytes = i64::try_from(limit.limit).map_err(|_| hugepages(limit.limit.into()))?;
        let mut oci = Self::default();
        oci.set_page_size(limit.page_size.clone()).set_limit(bytes);
        Ok(oci)
    }
}

impl TryFrom<&oci::LinuxHugepageLimit> for api::HugepageLimit {
    type Error = ConversionError;

    fn try_from(oci: &oci::LinuxHugepageLimit) -> Result<Self, ConversionError> {
        let limit = u64::try_from(oci.limit()).map_err(|_| hugepages(oci.limit().into()))?;
        Ok(Self { page_size: oci.page_size().clone(), limit })
    }
}

impl TryFrom<&api::LinuxResources> for oci::LinuxResources {
    type Error = ConversionError;

    fn try_from(resources: &api::LinuxResources) -> Result<Self, ConversionError> {
        let unified = resources.unified.iter().map(|(file, value)| (file.clone(), value.clone()));
        let mut oci = Self::default();
        oci.set_memory(resources.memory.as_ref().map(Into::into))
            .set_cpu(resources.cpu.as_ref().map(Into::into))
            .set_hugepage_limits(each(&resources.hugepage_limits, TryInto::try_into)?)
            .set_unified((!resources.unified.is_empty()).then(|| unified.collect()))
            .set_devices(each(&resources.devices, TryInto::try_into)?)
            .set_pids(resources.pids.as_ref().map(Into::into));
        Ok(oci)
    }
}

impl TryFrom<&oci::LinuxResources> for api::LinuxResources {
    type Error = ConversionError;

    fn try_from(oci: &oci::LinuxResources) -> Result<Self, ConversionError> {
        let unified = oci.unified().iter().flatten().map(|(file, value)| (file.clone(), value.clone()));
        let limits = oci.hugepage_limits().iter().flatten().map(TryInto::try_into);
        Ok(Self {
            memory: oci.memory().as_ref().map(Into::into),
            cpu: oci.cpu().as_ref().map(Into::into),
            hugepage_limits: limits.collect::<Result<_, _>>()?,
            blockio_class: None,
            rdt_class: None,
            unified: unified.collect(),
            devices: oci.devices().iter().flatten().map(Into::into).collect(),
            pids: oci.pids().as_ref().map(Into::into),
        })
    }
}

impl From<&api::LinuxRdt> for oci::LinuxIntelRdt {
    fn from(rdt: &api::LinuxRdt) -> Self {
        let mut oci = Self::default();
        oci.set_clos_id(rdt.clos_id.clone().map(Into::into))
            .set_schemata(rdt.schemata.clone().map(Into::into))
            .set_enable_monitoring(rdt.enable_monitoring.map(Into::into));
        oci
    }
}

impl From<&oci::LinuxIntelRdt> for api::LinuxRdt {
    fn from(oci: &oci::LinuxIntelRdt) -> Self {
        Self {
            clos_id: oci.clos_id().clone().map(Into::into),
            schemata: oci.schemata().clone().map(Into::into),
            enable_monitoring: oci.enable_monitoring().map(Into::into),
            remove: false,
        }
    }
}
