//! What plugins set of a container's resources.

use super::api::{Field, LinuxResources};
use super::failure::Failure;
use super::owners::Claims;

/// Claims each of these optional fields that is set, and sets it in the targets.
macro_rules! set {
    ($claims:ident, $from:expr, $targets:expr, $part:ident, $($field:ident: $owner:ident),+) => {
        if let Some(from) = &$from.$part {
            $(if let Some(value) = &from.$field {
                $claims.claim(Field::$owner)?;
                for target in $targets.iter_mut() {
                    target.$part.get_or_insert_default().$field = Some(*value);
                }
            })+
        }
    };
}

/// Sets in the targets what a plugin sets. Rules of devices are no field that is owned; limits for processes are left to
/// the caller.
pub(super) fn set(
    claims: &mut Claims<'_>,
    from: &LinuxResources,
    targets: &mut [&mut LinuxResources],
) -> Result<(), Failure> {
    set!(
        claims, from, targets, memory,
        limit: MemLimit,
        reservation: MemReservation,
        swap: MemSwapLimit,
        kernel: MemKernelLimit,
        kernel_tcp: MemTcpLimit,
        swappiness: MemSwappiness,
        disable_oom_killer: MemDisableOomKiller,
        use_hierarchy: MemUseHierarchy
    );
    set!(
        claims, from, targets, cpu,
        shares: CpuShares,
        quota: CpuQuota,
        period: CpuPeriod,
        realtime_runtime: CpuRealtimeRuntime,
        realtime_period: CpuRealtimePeriod
    );
    if let Some(cpu) = &from.cpu {
        if !cpu.cpus.is_empty() {
            claims.claim(Field::CpuSetCpUs)?;
            for target in targets.iter_mut() {
                target.cpu.get_or_insert_default().cpus.clone_from(&cpu.cpus);
            }
        }
        if !cpu.mems.is_empty() {
            claims.claim(Field::CpuSetMems)?;
            for target in targets.iter_mut() {
                target.cpu.get_or_insert_default().mems.clone_from(&cpu.mems);
            }
        }
    }
    for limit in &from.hugepage_limits {
        claims.claim_entry(Field::HugepageLimits, &limit.page_size)?;
        for target in targets.iter_mut() {
            target.hugepage_limits.push(limit.clone());
        }
    }
    for (key, value) in &from.unified {
        claims.claim_entry(Field::CgroupsUnified, key)?;
        for target in targets.iter_mut() {
            target.unified.insert(key.clone(), value.clone());
        }
    }
    if let Some(class) = &from.blockio_class {
        claims.claim(Field::BlockioClass)?;
        for target in targets.iter_mut() {
            target.blockio_class = Some(class.clone());
        }
    }
    if let Some(class) = &from.rdt_class {
        claims.claim(Field::RdtClass)?;
        for target in targets.iter_mut() {
            target.rdt_class = Some(class.clone());
        }
    }
    Ok(())
}
