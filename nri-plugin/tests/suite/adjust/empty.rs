//! What changes nothing, and zeros that mean something.

use nri_plugin::api::{
    CreateContainerResponse, Hooks, LinuxContainerAdjustment, LinuxCpu, LinuxIoPriority, LinuxMemory,
    LinuxMemoryPolicy, LinuxPids, LinuxRdt, LinuxResources, LinuxScheduler, MpolMode,
};
use nri_plugin::{Adjustment, Update};
use prost::Message;

use super::linux;

#[test]
fn nothing_is_nothing_on_the_wire() {
    assert_eq!(Adjustment::new().build(), Ok(None));
    assert_eq!(Adjustment::new().respond().unwrap(), CreateContainerResponse::default());
    let touched = Adjustment::new().hooks(Hooks::default()).resources(LinuxResources {
        memory: Some(LinuxMemory::default()),
        cpu: Some(LinuxCpu::default()),
        ..LinuxResources::default()
    });
    assert_eq!(touched.clone().build(), Ok(None));
    assert_eq!(touched.respond().unwrap().encoded_len(), 0);
    let rdt = LinuxContainerAdjustment { rdt: Some(LinuxRdt::default()), ..LinuxContainerAdjustment::default() };
    assert_eq!(rdt.into_option(), None);
    let update = Update::new("0c5e").resources(LinuxResources::default()).build().unwrap();
    assert_eq!((update.linux.clone(), update.into_option()), (None, None));
    assert!(Update::new("0c5e").cpu_shares(2).build().unwrap().into_option().is_some());
}

#[test]
fn zeros_that_mean_something_stay() {
    let adjustment = linux(
        Adjustment::new()
            .clear_scheduler()
            .clear_io_priority()
            .clear_blockio_class()
            .clear_rdt_class()
            .memory_policy(MpolMode::MpolDefault, "", [])
            .pids_limit(0)
            .memory_swappiness(0),
    );
    assert_eq!(adjustment.scheduler, Some(LinuxScheduler::default()));
    assert_eq!(adjustment.io_priority, Some(LinuxIoPriority { class: 0, priority: 0 }));
    assert_eq!(adjustment.memory_policy, Some(LinuxMemoryPolicy::default()));
    let resources = adjustment.resources.unwrap();
    assert_eq!((resources.blockio_class, resources.rdt_class), (Some("".into()), Some("".into())));
    assert_eq!((resources.pids, resources.memory.unwrap().swappiness), (Some(LinuxPids { limit: 0 }), Some(0.into())));
}
