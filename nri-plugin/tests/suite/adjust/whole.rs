//! Every field can be set.

use std::time::Duration;

use nri_plugin::adjust::{DeviceKind, HookPoint, Namespace, Rlimit, SeccompAction, SeccompOperator};
use nri_plugin::api::{
    CdiDevice, Container, ContainerAdjustment, ContainerUpdate, Hook, Hooks, HugepageLimit, IoPrioClass, KeyValue,
    LinuxContainerAdjustment, LinuxContainerUpdate, LinuxCpu, LinuxDevice, LinuxDeviceCgroup, LinuxIoPriority,
    LinuxMemory, LinuxMemoryPolicy, LinuxNamespace, LinuxNetDevice, LinuxPids, LinuxRdt, LinuxResources,
    LinuxScheduler, LinuxSchedulerFlag, LinuxSeccomp, LinuxSeccompArg, LinuxSyscall, Mount, MpolFlag, MpolMode,
    OptionalRepeatedString, PosixRlimit,
};
use nri_plugin::{Adjustment, Update};

use super::{built, hook, map, pair, texts};

/// What both builders can set, in the order of the schema.
macro_rules! all_resources {
    ($builder:expr) => {
        $builder
            .memory_limit(1)
            .memory_reservation(2)
            .memory_swap(3)
            .memory_kernel(4)
            .memory_kernel_tcp(5)
            .memory_swappiness(6)
            .memory_disable_oom_killer(true)
            .memory_use_hierarchy(false)
            .cpu_shares(11)
            .cpu_quota(12)
            .cpu_period(13)
            .cpu_realtime_runtime(14)
            .cpu_realtime_period(15)
            .cpuset_cpus("0-3,8")
            .cpuset_mems("0")
            .hugepage_limit("2MB", 21)
            .blockio_class("slow")
            .rdt_class("gold")
            .unified("memory.high", "22")
            .device_rule(LinuxDeviceCgroup::allowing(DeviceKind::Char, "rw").with_major(195).with_minor(1))
            .pids_limit(23)
    };
}

/// No field is left to its default: one that the schema gets has to be added here, and to the builders.
fn resources() -> LinuxResources {
    LinuxResources {
        memory: Some(LinuxMemory {
            limit: Some(1.into()),
            reservation: Some(2.into()),
            swap: Some(3.into()),
            kernel: Some(4.into()),
            kernel_tcp: Some(5.into()),
            swappiness: Some(6.into()),
            disable_oom_killer: Some(true.into()),
            use_hierarchy: Some(false.into()),
        }),
        cpu: Some(LinuxCpu {
            shares: Some(11.into()),
            quota: Some(12.into()),
            period: Some(13.into()),
            realtime_runtime: Some(14.into()),
            realtime_period: Some(15.into()),
            cpus: "0-3,8".to_owned(),
            mems: "0".to_owned(),
        }),
        hugepage_limits: vec![HugepageLimit { page_size: "2MB".to_owned(), limit: 21 }],
        blockio_class: Some("slow".into()),
        rdt_class: Some("gold".into()),
        unified: map([("memory.high", "22")]),
        devices: vec![LinuxDeviceCgroup {
            allow: true,
            r#type: "c".to_owned(),
            major: Some(195.into()),
            minor: Some(1.into()),
            access: "rw".to_owned(),
        }],
        pids: Some(LinuxPids { limit: 23 }),
    }
}

fn everything() -> Adjustment {
    let adjustment = Adjustment::new()
        .annotation("a.example.com", "1")
        .mount(Mount::new("ext4", "/dev/sda1", "/data").with_options(["noatime"]))
        .env("HOME", "/data")
        .args(["/bin/a", ""])
        .hook(HookPoint::Prestart, Hook::new("/prestart"))
        .hook(HookPoint::CreateRuntime, Hook::new("/createRuntime"))
        .hook(HookPoint::CreateContainer, Hook::new("/createContainer"))
        .hook(HookPoint::StartContainer, Hook::new("/startContainer"))
        .hook(HookPoint::Poststart, Hook::new("/poststart"))
        .hook(
            HookPoint::Poststop,
            Hook::new("/poststop").with_args(["poststop"]).with_env("A", "b").with_timeout(Duration::from_secs(9)),
        )
        .rlimit(Rlimit::Nofile, 1024, 4096)
        .cdi_device("vendor.com/class=one")
        .device(LinuxDevice::char("/dev/fuse", 10, 229).with_mode(0o660).with_owner(1, 2))
        .cgroups_path("kubepods.slice:cri-containerd:0c5e")
        .oom_score_adj(-998)
        .io_priority(IoPrioClass::IoprioClassBe, 3)
        .seccomp(
            LinuxSeccomp::new(SeccompAction::Errno)
                .with_default_errno(38)
                .with_architectures(["SCMP_ARCH_X86_64"])
                .with_flags(["SECCOMP_FILTER_FLAG_LOG"])
                .with_listener("/run/l.sock", "meta")
                .with_rule(LinuxSyscall::new(SeccompAction::Errno, ["clone"]).with_errno(1).when(
                    2,
                    SeccompOperator::MaskedEq,
                    7,
                    3,
                )),
        )
        .join_namespace(Namespace::Network, "/proc/1/ns/net")
        .sysctl("net.core.somaxconn", "512")
        .net_device_as("eth1", "data0")
        .scheduler(LinuxScheduler {
            policy: 3,
            nice: 31,
            priority: 32,
            flags: vec![LinuxSchedulerFlag::SchedFlagReclaim as i32],
            runtime: 33,
            deadline: 34,
            period: 35,
        })
        .remove_rdt()
        .rdt_clos_id("gold")
        .rdt_schemata(["L3:0=7f", "MB:0=50"])
        .rdt_monitoring(true)
        .memory_policy(MpolMode::MpolBind, "0-1", [MpolFlag::MpolFStaticNodes]);
    all_resources!(adjustment)
}

/// As for [`resources`], no field is left to its default.
#[test]
fn every_field_of_an_adjustment_can_be_set() {
    let expected = ContainerAdjustment {
        annotations: map([("a.example.com", "1")]),
        mounts: vec![Mount {
            destination: "/data".to_owned(),
            r#type: "ext4".to_owned(),
            source: "/dev/sda1".to_owned(),
            options: texts(["noatime"]),
        }],
        env: vec![KeyValue { key: "HOME".to_owned(), value: "/data".to_owned() }],
        hooks: Some(Hooks {
            prestart: vec![hook("/prestart")],
            create_runtime: vec![hook("/createRuntime")],
            create_container: vec![hook("/createContainer")],
            start_container: vec![hook("/startContainer")],
            poststart: vec![hook("/poststart")],
            poststop: vec![Hook {
                path: "/poststop".to_owned(),
                args: texts(["poststop"]),
                env: texts(["A=b"]),
                timeout: Some(9.into()),
            }],
        }),
        linux: Some(LinuxContainerAdjustment {
            devices: vec![LinuxDevice {
                path: "/dev/fuse".to_owned(),
                r#type: "c".to_owned(),
                major: 10,
                minor: 229,
                file_mode: Some(0o660.into()),
                uid: Some(1.into()),
                gid: Some(2.into()),
            }],
            resources: Some(resources()),
            cgroups_path: "kubepods.slice:cri-containerd:0c5e".to_owned(),
            oom_score_adj: Some((-998).into()),
            io_priority: Some(LinuxIoPriority { class: 2, priority: 3 }),
            seccomp_policy: Some(LinuxSeccomp {
                default_action: "SCMP_ACT_ERRNO".to_owned(),
                default_errno: Some(38.into()),
                architectures: texts(["SCMP_ARCH_X86_64"]),
                flags: texts(["SECCOMP_FILTER_FLAG_LOG"]),
                listener_path: "/run/l.sock".to_owned(),
                listener_metadata: "meta".to_owned(),
                syscalls: vec![LinuxSyscall {
                    names: texts(["clone"]),
                    action: "SCMP_ACT_ERRNO".to_owned(),
                    errno_ret: Some(1.into()),
                    args: vec![LinuxSeccompArg {
                        index: 2,
                        value: 7,
                        value_two: 3,
                        op: "SCMP_CMP_MASKED_EQ".to_owned(),
                    }],
                }],
            }),
            namespaces: vec![LinuxNamespace { r#type: "network".to_owned(), path: "/proc/1/ns/net".to_owned() }],
            sysctl: map([("net.core.somaxconn", "512")]),
            net_devices: [("eth1".to_owned(), LinuxNetDevice { name: "data0".to_owned() })].into(),
            scheduler: Some(LinuxScheduler {
                policy: 3,
                nice: 31,
                priority: 32,
                flags: vec![1],
                runtime: 33,
                deadline: 34,
                period: 35,
            }),
            rdt: Some(LinuxRdt {
                clos_id: Some("gold".into()),
                schemata: Some(OptionalRepeatedString { value: texts(["L3:0=7f", "MB:0=50"]) }),
                enable_monitoring: Some(true.into()),
                remove: true,
            }),
            memory_policy: Some(LinuxMemoryPolicy { mode: 2, nodes: "0-1".to_owned(), flags: vec![0] }),
        }),
        rlimits: vec![PosixRlimit { r#type: "RLIMIT_NOFILE".to_owned(), hard: 4096, soft: 1024 }],
        cdi_devices: vec![CdiDevice { name: "vendor.com/class=one".to_owned() }],
        args: texts(["/bin/a", ""]),
    };
    assert_eq!(built(everything()), expected);
    assert_eq!(built(expected.clone().into()), expected, "nothing of it is taken for empty");
}

#[test]
fn every_field_of_an_update_can_be_set() {
    let expected = ContainerUpdate {
        container_id: "0c5e".to_owned(),
        linux: Some(LinuxContainerUpdate { resources: Some(resources()) }),
        ignore_failure: true,
    };
    assert_eq!(all_resources!(Update::new("0c5e").ignore_failure()).build().unwrap(), expected);
    let container = Container { id: "0c5e".to_owned(), ..Container::default() };
    let whole = Update::of(&container).cpu_shares(1).resources(resources()).ignore_failure();
    assert_eq!(whole.build().unwrap(), expected, "what was said before is gone");
    assert_eq!(
        built(Adjustment::new().cpu_shares(1).resources(resources())).linux.unwrap().resources,
        Some(resources())
    );
}

#[test]
fn a_message_that_is_there_can_be_gone_on_from() {
    let message = built(Adjustment::new().env("A", "1"));
    assert_eq!(built(Adjustment::from(message).env("A", "2")).env, [pair("A", "2")]);
    let update = Update::new("a").cpu_shares(2).build().unwrap();
    let update = Update::from(update).pids_limit(3).build().unwrap();
    let resources = update.linux.unwrap().resources.unwrap();
    assert_eq!((resources.cpu.unwrap().shares, resources.pids), (Some(2.into()), Some(LinuxPids { limit: 3 })));
}
