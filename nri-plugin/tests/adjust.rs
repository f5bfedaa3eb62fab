//! Methods of the builders → messages that runtimes read.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::time::Duration;

use nri_plugin::adjust::{DeviceKind, HookPoint, Namespace, Rlimit, SeccompAction, SeccompOperator};
use nri_plugin::api::{
    CdiDevice, Container, ContainerAdjustment, ContainerUpdate, CreateContainerResponse, Hook, Hooks, HugepageLimit,
    IoPrioClass, KeyValue, LinuxContainerAdjustment, LinuxContainerUpdate, LinuxCpu, LinuxDevice, LinuxDeviceCgroup,
    LinuxIoPriority, LinuxMemory, LinuxMemoryPolicy, LinuxNamespace, LinuxNetDevice, LinuxPids, LinuxRdt,
    LinuxResources, LinuxScheduler, LinuxSchedulerFlag, LinuxSeccomp, LinuxSeccompArg, LinuxSyscall, Mount, MpolFlag,
    MpolMode, OptionalRepeatedString, PosixRlimit,
};
use nri_plugin::{Adjustment, BadAdjustment, Update};
use prost::Message;

fn built(adjustment: Adjustment) -> ContainerAdjustment {
    adjustment.build().unwrap().unwrap()
}

fn linux(adjustment: Adjustment) -> LinuxContainerAdjustment {
    built(adjustment).linux.unwrap()
}

fn map<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}

fn pair(key: &str, value: &str) -> KeyValue {
    KeyValue { key: key.to_owned(), value: value.to_owned() }
}

fn texts<const N: usize>(texts: [&str; N]) -> Vec<String> {
    texts.map(str::to_owned).into()
}

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

fn hook(path: &str) -> Hook {
    Hook { path: path.to_owned(), args: Vec::new(), env: Vec::new(), timeout: None }
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

/// A plugin that sets a key twice conflicts with itself, as the runtime's side sees it.
#[test]
fn what_is_said_last_about_a_key_counts() {
    let env = |adjustment: Adjustment| built(adjustment).env;
    assert_eq!(env(Adjustment::new().env("A", "1").env("B", "2").env("A", "3")), [pair("B", "2"), pair("A", "3")]);
    assert_eq!(env(Adjustment::new().env("A", "1").remove_env("A")), [pair("-A", "")]);
    assert_eq!(env(Adjustment::new().remove_env("A").env("A", "1")), [pair("-A", ""), pair("A", "1")]);
    assert_eq!(env(Adjustment::new().replace_env("A", "1").replace_env("A", "2")), [pair("-A", ""), pair("A", "2")]);
    assert_eq!(env(Adjustment::new().remove_env("A").remove_env("A")), [pair("-A", "")]);

    let twice = built(
        Adjustment::new()
            .mount(Mount::tmpfs("/a"))
            .mount(Mount::bind("/b", "/a"))
            .rlimit(Rlimit::Core, 0, 0)
            .rlimit(Rlimit::Core, 1, 2)
            .cdi_device("v.com/c=d")
            .cdi_device("v.com/c=d")
            .args(["a"])
            .override_args(["b", "c"]),
    );
    assert_eq!(twice.mounts, [Mount::bind("/b", "/a")]);
    assert_eq!(twice.rlimits, [PosixRlimit { r#type: "RLIMIT_CORE".to_owned(), hard: 2, soft: 1 }]);
    assert_eq!(twice.cdi_devices.len(), 1);
    assert_eq!(twice.args, ["", "b", "c"]);
    assert_eq!(built(Adjustment::new().override_args(["b"]).args(["a"])).args, ["a"]);

    let twice = linux(
        Adjustment::new()
            .device(LinuxDevice::char("/dev/a", 1, 2))
            .device(LinuxDevice::block("/dev/a", 3, 4))
            .hugepage_limit("1GB", 1)
            .hugepage_limit("1GB", 2)
            .rdt_clos_id("a")
            .remove_rdt(),
    );
    assert_eq!(twice.devices, [LinuxDevice::block("/dev/a", 3, 4)]);
    assert_eq!(twice.resources.unwrap().hugepage_limits, [HugepageLimit { page_size: "1GB".to_owned(), limit: 2 }]);
    assert_eq!(twice.rdt, Some(LinuxRdt { remove: true, ..LinuxRdt::default() }));
}

#[test]
fn what_can_be_removed_is_marked_and_can_be_replaced() {
    let removed = built(
        Adjustment::new()
            .annotation("a", "1")
            .remove_annotation("a")
            .remove_mount("/m")
            .remove_env("E")
            .remove_device("/dev/d")
            .remove_namespace(Namespace::Pid)
            .sysctl("s", "1")
            .remove_sysctl("s")
            .net_device("eth1")
            .remove_net_device("eth1"),
    );
    assert_eq!(removed.annotations, map([("-a", "")]));
    assert_eq!(removed.mounts, [Mount { destination: "-/m".to_owned(), ..Mount::default() }]);
    assert_eq!(removed.env, [pair("-E", "")]);
    let of_linux = removed.linux.unwrap();
    assert_eq!(of_linux.devices, [LinuxDevice { path: "-/dev/d".to_owned(), ..LinuxDevice::default() }]);
    assert_eq!(of_linux.namespaces, [LinuxNamespace { r#type: "-pid".to_owned(), path: String::new() }]);
    assert_eq!(of_linux.sysctl, map([("-s", "")]));
    assert_eq!(of_linux.net_devices, [("-eth1".to_owned(), LinuxNetDevice::default())].into());

    let replaced = built(
        Adjustment::new()
            .replace_annotation("a", "1")
            .replace_mount(Mount::tmpfs("/m"))
            .replace_device(LinuxDevice::fifo("/dev/d"))
            .replace_sysctl("s", "1")
            .remove_net_device("eth1")
            .net_device("eth1"),
    );
    assert_eq!(replaced.annotations, map([("-a", ""), ("a", "1")]));
    assert_eq!(replaced.mounts, [Mount { destination: "-/m".to_owned(), ..Mount::default() }, Mount::tmpfs("/m")]);
    let of_linux = replaced.linux.unwrap();
    let paths: Vec<_> = of_linux.devices.iter().map(|device| &*device.path).collect();
    assert_eq!(paths, ["-/dev/d", "/dev/d"]);
    assert_eq!(of_linux.sysctl, map([("-s", ""), ("s", "1")]));
    assert_eq!(of_linux.net_devices.into_keys().collect::<Vec<_>>(), ["-eth1", "eth1"]);
}

/// Removing a namespace claims its kind as setting it does.
#[test]
fn a_kind_of_namespace_is_named_once() {
    let kinds = |adjustment| {
        linux(adjustment).namespaces.into_iter().map(|namespace| (namespace.r#type, namespace.path)).collect::<Vec<_>>()
    };
    let text = |kind: &str, path: &str| (kind.to_owned(), path.to_owned());
    let all = Adjustment::new().remove_namespace(Namespace::Uts).new_namespace(Namespace::Uts);
    assert_eq!(kinds(all.clone()), [text("uts", "")]);
    assert_eq!(kinds(all.clone().join_namespace(Namespace::Uts, "/n")), [text("uts", "/n")]);
    assert_eq!(
        kinds(all.new_namespace(Namespace::Ipc).remove_namespace(Namespace::Uts)),
        [text("ipc", ""), text("-uts", "")]
    );
}

#[test]
fn hooks_add_up() {
    let more = Hooks { prestart: vec![Hook::new("/b")], poststop: vec![Hook::new("/c")], ..Hooks::default() };
    let hooks = built(Adjustment::new().hook(HookPoint::Prestart, Hook::new("/a")).hooks(more)).hooks.unwrap();
    assert_eq!(hooks.prestart, [hook("/a"), hook("/b")]);
    assert_eq!(hooks.poststop, [hook("/c")]);
}

#[test]
fn what_runtimes_refuse_is_an_error_that_names_it() {
    type Case = (&'static str, fn(Adjustment) -> Adjustment);
    let refused: &[Case] = &[
        ("an environment variable can't be named \"\"", |a| a.env("", "1")),
        ("an environment variable can't be named \"A=B\"", |a| a.env("A=B", "1")),
        ("an environment variable can't be named \"-A\"", |a| a.env("-A", "1")),
        ("an environment variable can't be named \"A=\"", |a| a.remove_env("A=")),
        ("the value of an environment variable can't be \"\\0\"", |a| a.env("A", "\0")),
        ("an annotation can't be named \"\"", |a| a.annotation("", "1")),
        ("an annotation can't be named \"-a\"", |a| a.remove_annotation("-a")),
        ("the path of a mount can't be \"\"", |a| a.mount(Mount::default())),
        ("the path of a mount can't be \"-/a\"", |a| a.mount(Mount::tmpfs("-/a"))),
        ("the path of a mount can't be \"a\"", |a| a.remove_mount("a")),
        ("an option of a mount can't be \"\"", |a| a.mount(Mount::tmpfs("/a").with_options([""]))),
        ("the program can't be \"\"", |a| a.args(["", "a"])),
        ("the program can't be \"\"", |a| a.override_args(Vec::<String>::new())),
        ("an argument can't be \"b\\0\"", |a| a.args(["a", "b\0"])),
        ("the path of a hook can't be \"hook\"", |a| a.hook(HookPoint::Poststop, Hook::new("hook"))),
        ("the path of a hook can't be \"h\"", |a| {
            a.hooks(Hooks { poststart: vec![Hook::new("h")], ..Hooks::default() })
        }),
        ("the timeout of a hook can't be 0", |a| {
            a.hook(HookPoint::Poststop, Hook::new("/h").with_timeout(Duration::ZERO))
        }),
        ("a resource limit can't be \"RLIMIT_CORE 2 of 1\"", |a| a.rlimit(Rlimit::Core, 2, 1)),
        ("a CDI device can't be \"gpu0\"", |a| a.cdi_device("gpu0")),
        ("a CDI device can't be \"v.com/c=\"", |a| a.cdi_device("v.com/c=")),
        ("a CDI device can't be \"/c=d\"", |a| a.cdi_device("/c=d")),
        ("the path of a device can't be \"dev\"", |a| a.device(LinuxDevice::fifo("dev"))),
        ("the path of a device can't be \"dev\"", |a| a.remove_device("dev")),
        ("the major number of a device can't be 4096", |a| a.device(LinuxDevice::char("/d", 4096, 0))),
        ("the minor number of a device can't be 1048576", |a| a.device(LinuxDevice::char("/d", 0, 1 << 20))),
        ("the type of a device can't be \"\"", |a| {
            a.device(LinuxDevice { path: "/d".to_owned(), ..LinuxDevice::default() })
        }),
        ("the path of a namespace can't be \"\"", |a| a.join_namespace(Namespace::User, "")),
        ("a network device can't be named \"-e\"", |a| a.net_device("-e")),
        ("a network device can't be \"a/b\"", |a| a.net_device_as("a", "a/b")),
        ("a network device can't be \"sixteen_bytes_ab\"", |a| a.net_device("sixteen_bytes_ab")),
        ("a network device can't be named \"\"", |a| a.remove_net_device("")),
        ("a sysctl can't be named \"\"", |a| a.sysctl("", "1")),
        ("a sysctl can't be named \"-a\"", |a| a.remove_sysctl("-a")),
        ("the cgroup can't be \"\"", |a| a.cgroups_path("")),
        ("the OOM score can't be 1001", |a| a.oom_score_adj(1001)),
        ("the priority for input and output can't be 8", |a| a.io_priority(IoPrioClass::IoprioClassRt, 8)),
        ("a seccomp action can't be \"\"", |a| a.seccomp(LinuxSeccomp::default())),
        ("a seccomp rule can't be \"SCMP_ACT_LOG\"", |a| {
            let rule = LinuxSyscall::new(SeccompAction::Log, Vec::<String>::new());
            a.seccomp(LinuxSeccomp::new(SeccompAction::Allow).with_rule(rule))
        }),
        ("the index of a seccomp argument can't be 6", |a| {
            let rule = LinuxSyscall::new(SeccompAction::Log, ["a"]).when(6, SeccompOperator::Eq, 0, 0);
            a.seccomp(LinuxSeccomp::new(SeccompAction::Allow).with_rule(rule))
        }),
        ("a nice value can't be 20", |a| a.scheduler(LinuxScheduler::other(20))),
        ("a real-time priority can't be 0", |a| a.scheduler(LinuxScheduler::round_robin(0))),
        ("a deadline can't be \"2000 of 1000 in 3000 ns\"", |a| {
            let [runtime, deadline, period] = [2, 1, 3].map(Duration::from_micros);
            a.scheduler(LinuxScheduler::deadline(runtime, deadline, period))
        }),
        ("the nodes of a memory policy can't be \"0\"", |a| a.memory_policy(MpolMode::MpolLocal, "0", [])),
        ("the nodes of a memory policy can't be \"\"", |a| a.memory_policy(MpolMode::MpolBind, "", [])),
        ("the flags of a memory policy can't be", |a| {
            a.memory_policy(MpolMode::MpolBind, "0", [MpolFlag::MpolFStaticNodes, MpolFlag::MpolFRelativeNodes])
        }),
        ("the RDT class of service can't be \"..\"", |a| a.rdt_clos_id("..")),
        ("the memory limit can't be -2", |a| a.memory_limit(-2)),
        ("the swappiness can't be 101", |a| a.memory_swappiness(101)),
        ("the CPU quota can't be -2", |a| a.cpu_quota(-2)),
        ("the set of CPUs can't be \"\"", |a| a.cpuset_cpus("")),
        ("the set of CPUs can't be \"3-1\"", |a| a.cpuset_cpus("3-1")),
        ("the set of CPUs can't be \"0,+1\"", |a| a.cpuset_cpus("0,+1")),
        ("the set of memory nodes can't be \"0,\"", |a| a.cpuset_mems("0,")),
        ("the limit of processes can't be -2", |a| a.pids_limit(-2)),
        ("the size of huge pages can't be \"-2MB\"", |a| a.hugepage_limit("-2MB", 1)),
        ("the size of huge pages can't be \"2Mi\"", |a| a.hugepage_limit("2Mi", 1)),
        ("the size of huge pages can't be \"MB\"", |a| a.hugepage_limit("MB", 1)),
        ("the class of block input and output can't be \"\"", |a| a.blockio_class("")),
        ("the RDT class can't be \"\"", |a| a.rdt_class("")),
        ("a cgroup2 file can't be \"../memory.high\"", |a| a.unified("../memory.high", "1")),
        ("the access of a device rule can't be \"x\"", |a| {
            a.device_rule(LinuxDeviceCgroup::allowing(DeviceKind::All, "x"))
        }),
    ];
    for (expected, bad) in refused {
        let error = bad(Adjustment::new()).build().unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error:?} instead of {expected:?}");
    }
    assert!(Update::new("").build().unwrap_err().to_string().starts_with("the id of a container can't be \"\""));
    assert!(Update::new("a").cpu_quota(-2).build().is_err());
}

#[test]
fn the_bounds_themselves_are_taken() {
    let [shortest, longest] = [Duration::from_nanos(1024), Duration::from_secs(1)];
    let adjustment = Adjustment::new()
        .rlimit(Rlimit::As, u64::MAX, u64::MAX)
        .device(LinuxDevice::char("/d", 4095, (1 << 20) - 1))
        .net_device("fifteen_bytes_a")
        .oom_score_adj(-1000)
        .io_priority(IoPrioClass::IoprioClassRt, 7)
        .scheduler(LinuxScheduler::other(-20))
        .scheduler(LinuxScheduler::batch(19))
        .scheduler(LinuxScheduler::fifo(99))
        .scheduler(LinuxScheduler::deadline(shortest, shortest, longest))
        .scheduler(LinuxScheduler::idle())
        .memory_policy(MpolMode::MpolPreferred, "", [])
        .memory_limit(-1)
        .memory_swappiness(100)
        .cpu_quota(-1)
        .cpuset_cpus("3-3")
        .pids_limit(-1)
        .hugepage_limit("64KB", u64::MAX);
    assert!(adjustment.build().is_ok());
}

#[test]
fn the_first_error_is_the_one_that_is_told() {
    let error = Adjustment::new().oom_score_adj(2000).env("", "1").memory_limit(1).build().unwrap_err();
    assert_eq!(error, BadAdjustment::Range { field: "the OOM score", value: 2000, least: -1000, most: 1000 });
    let error = Update::new("").cpu_quota(-2).build().unwrap_err().to_string();
    assert!(error.starts_with("the id of a container"), "{error}");
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
