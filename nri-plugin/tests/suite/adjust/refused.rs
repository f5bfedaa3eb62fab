//! What can't be.

use std::time::Duration;

use nri_plugin::adjust::{DeviceKind, HookPoint, Namespace, Rlimit, SeccompAction, SeccompOperator};
use nri_plugin::api::{
    Hook, Hooks, IoPrioClass, LinuxDevice, LinuxDeviceCgroup, LinuxScheduler, LinuxSeccomp, LinuxSeccompArg,
    LinuxSyscall, Mount, MpolFlag, MpolMode,
};
use nri_plugin::{Adjustment, BadAdjustment, Update};

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
        ("the source of a mount can't be \"\\0\"", |a| a.mount(Mount::bind("\0", "/a"))),
        ("the type of a mount can't be \"\\0\"", |a| a.mount(Mount::new("\0", "a", "/a"))),
        ("an option of a mount can't be \"\"", |a| a.mount(Mount::tmpfs("/a").with_options([""]))),
        ("the program can't be \"\"", |a| a.args(["", "a"])),
        ("the program can't be \"\"", |a| a.override_args(Vec::<String>::new())),
        ("an argument can't be \"b\\0\"", |a| a.args(["a", "b\0"])),
        ("the path of a hook can't be \"hook\"", |a| a.hook(HookPoint::Poststop, Hook::new("hook"))),
        ("the path of a hook can't be \"h\"", |a| {
            a.hooks(Hooks { poststart: vec![Hook::new("h")], ..Hooks::default() })
        }),
        ("an argument or variable of a hook can't be \"\\0\"", |a| {
            a.hook(HookPoint::Poststop, Hook::new("/h").with_args(["\0"]))
        }),
        ("an argument or variable of a hook can't be \"A=\\0\"", |a| {
            a.hook(HookPoint::Poststop, Hook::new("/h").with_env("A", "\0"))
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
        ("a network device can't be \"..\"", |a| a.net_device("..")),
        ("a network device can't be \"a b\"", |a| a.net_device_as("a b", "a")),
        ("a network device can't be named \"\"", |a| a.remove_net_device("")),
        ("a sysctl can't be named \"\"", |a| a.sysctl("", "1")),
        ("a sysctl can't be named \"-a\"", |a| a.remove_sysctl("-a")),
        ("the cgroup can't be \"\"", |a| a.cgroups_path("")),
        ("the OOM score can't be 1001", |a| a.oom_score_adj(1001)),
        ("the priority for input and output can't be 8", |a| a.io_priority(IoPrioClass::IoprioClassRt, 8)),
        ("a seccomp action can't be \"\"", |a| a.seccomp(LinuxSeccomp::default())),
        ("a seccomp action can't be \"allow\"", |a| {
            let rule = LinuxSyscall { action: "allow".to_owned(), ..LinuxSyscall::default() };
            a.seccomp(LinuxSeccomp::new(SeccompAction::Allow).with_rule(rule))
        }),
        ("a seccomp architecture can't be \"\"", |a| {
            a.seccomp(LinuxSeccomp::new(SeccompAction::Allow).with_architectures([""]))
        }),
        ("a seccomp flag can't be \"\"", |a| a.seccomp(LinuxSeccomp::new(SeccompAction::Allow).with_flags([""]))),
        ("the name of a system call can't be \"\"", |a| {
            let rule = LinuxSyscall::new(SeccompAction::Log, [""]);
            a.seccomp(LinuxSeccomp::new(SeccompAction::Allow).with_rule(rule))
        }),
        ("a seccomp operator can't be \"==\"", |a| {
            let condition = LinuxSeccompArg { op: "==".to_owned(), ..LinuxSeccompArg::default() };
            let rule = LinuxSyscall { args: vec![condition], ..LinuxSyscall::new(SeccompAction::Log, ["a"]) };
            a.seccomp(LinuxSeccomp::new(SeccompAction::Allow).with_rule(rule))
        }),
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
        ("a scheduling policy can't be \"8\"", |a| a.scheduler(LinuxScheduler { policy: 8, ..LinuxScheduler::idle() })),
        ("a nice value can't be -21", |a| a.scheduler(LinuxScheduler::batch(-21))),
        ("a real-time priority can't be 100", |a| a.scheduler(LinuxScheduler::fifo(100))),
        ("a deadline can't be \"1023 of 2000 in 3000 ns\"", |a| {
            let [runtime, deadline, period] = [1023, 2000, 3000].map(Duration::from_nanos);
            a.scheduler(LinuxScheduler::deadline(runtime, deadline, period))
        }),
        ("a deadline can't be \"2000 of 3000 in 2999 ns\"", |a| {
            let [runtime, deadline, period] = [2000, 3000, 2999].map(Duration::from_nanos);
            a.scheduler(LinuxScheduler::deadline(runtime, deadline, period))
        }),
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
        ("the RDT class of service can't be \"\"", |a| a.rdt_clos_id("")),
        ("the RDT class of service can't be \"a/b\"", |a| a.rdt_clos_id("a/b")),
        ("the memory reservation can't be -2", |a| a.memory_reservation(-2)),
        ("the limit of memory and swap can't be -2", |a| a.memory_swap(-2)),
        ("the limit of kernel memory can't be -2", |a| a.memory_kernel(-2)),
        ("the limit of TCP memory can't be -2", |a| a.memory_kernel_tcp(-2)),
        ("the memory limit can't be -2", |a| a.memory_limit(-2)),
        ("the swappiness can't be 101", |a| a.memory_swappiness(101)),
        ("the CPU quota can't be -2", |a| a.cpu_quota(-2)),
        ("the set of CPUs can't be \"\"", |a| a.cpuset_cpus("")),
        ("the set of CPUs can't be \"3-1\"", |a| a.cpuset_cpus("3-1")),
        ("the set of CPUs can't be \"0,+1\"", |a| a.cpuset_cpus("0,+1")),
        ("the set of memory nodes can't be \"0,\"", |a| a.cpuset_mems("0,")),
        ("the limit of processes can't be -2", |a| a.pids_limit(-2)),
        ("the size of huge pages can't be \"-2MB\"", |a| a.hugepage_limit("-2MB", 1)),
        ("the size of huge pages can't be \"02MB\"", |a| a.hugepage_limit("02MB", 1)),
        ("the size of huge pages can't be \"2Mi\"", |a| a.hugepage_limit("2Mi", 1)),
        ("the size of huge pages can't be \"MB\"", |a| a.hugepage_limit("MB", 1)),
        ("the class of block input and output can't be \"\"", |a| a.blockio_class("")),
        ("the RDT class can't be \"\"", |a| a.rdt_class("")),
        ("a cgroup2 file can't be \"../memory.high\"", |a| a.unified("../memory.high", "1")),
        ("a cgroup2 file can't be named \"\"", |a| a.unified("", "1")),
        ("the type of a device rule can't be \"\"", |a| a.device_rule(LinuxDeviceCgroup::default())),
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
