//! A specification and an adjustment → the specification that the container is created by.

use std::collections::BTreeMap;
use std::time::Duration;

use nri_plugin::Adjustment;
use nri_plugin::adjust::{DeviceKind, HookPoint, Namespace, Rlimit, SeccompAction};
use nri_plugin::api::{
    ContainerAdjustment, Hook, Hooks, IoPrioClass, LinuxDevice, LinuxDeviceCgroup, LinuxNamespace, LinuxScheduler,
    LinuxSeccomp, Mount, MpolMode, PosixRlimit,
};
use nri_plugin::oci::{Applied, ConversionError, Propagation, Unresolved, apply_adjustment};
use oci_spec::runtime::Spec;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

fn spec(json: Value) -> Spec {
    serde_json::from_value(json).unwrap()
}

fn apply(before: &Value, adjustment: Adjustment) -> Applied {
    apply_adjustment(&spec(before.clone()), &adjustment.build().unwrap().unwrap_or_default()).unwrap()
}

/// What the specification is afterwards, and that nothing is left to be resolved.
fn after(before: &Value, adjustment: Adjustment) -> Value {
    let applied = apply(before, adjustment);
    assert!(applied.unresolved.is_empty(), "{:?}", applied.unresolved);
    let mut after = serde_json::to_value(applied.spec).unwrap();
    // Always written.
    after.as_object_mut().unwrap().remove("ociVersion");
    after
}

#[track_caller]
fn check(before: &Value, adjustment: Adjustment, expected: &Value) {
    assert_eq!(&after(before, adjustment), expected);
}

fn with_env(env: &[&str]) -> Value {
    json!({"process": {"user": {"uid": 0, "gid": 0}, "cwd": "/", "env": env}})
}

#[test]
fn an_empty_adjustment_changes_nothing() {
    for spec in [Spec::default(), spec(json!({}))] {
        let applied = apply_adjustment(&spec, &ContainerAdjustment::default()).unwrap();
        assert_eq!((applied.spec, applied.unresolved), (spec, Unresolved::default()));
    }
    let touched = Adjustment::new().oom_score_adj(1);
    assert_eq!(apply(&json!({}), touched).spec.linux(), &None, "a score is the process's");
    let mut empty = ContainerAdjustment { hooks: Some(Hooks::default()), ..ContainerAdjustment::default() };
    empty.linux.get_or_insert_default().resources.get_or_insert_default().memory.get_or_insert_default();
    assert_eq!(apply_adjustment(&spec(json!({})), &empty).unwrap().spec, spec(json!({})));
}

/// The defaults of OCI's types in Rust are a shell's.
#[test]
fn a_part_that_was_not_there_has_no_defaults() {
    let process = json!({"process": {"user": {"uid": 0, "gid": 0}, "cwd": "/", "oomScoreAdj": 1}});
    check(&json!({}), Adjustment::new().oom_score_adj(1), &process);
    check(&json!({}), Adjustment::new().sysctl("a", "1"), &json!({"linux": {"sysctl": {"a": "1"}}}));
}

/// A specification without a part gets that part with what was set, and none of a shell's or a default's.
#[test]
fn what_is_set_is_all_that_an_empty_specification_gets() {
    let seccomp = LinuxSeccomp::new(SeccompAction::Errno).with_default_errno(38);
    let adjustment = Adjustment::new()
        .annotation("a", "1")
        .env("A", "1")
        .args(["/bin/a"])
        .hook(HookPoint::Prestart, Hook::new("/prestart"))
        .hook(HookPoint::CreateRuntime, Hook::new("/createRuntime"))
        .hook(HookPoint::CreateContainer, Hook::new("/createContainer"))
        .hook(HookPoint::StartContainer, Hook::new("/startContainer"))
        .hook(HookPoint::Poststart, Hook::new("/poststart"))
        .hook(HookPoint::Poststop, Hook::new("/poststop").with_args(["a"]).with_env("B", "c"))
        .rlimit(Rlimit::Nofile, 1, 2)
        .mount(Mount::bind("/src", "/dst"))
        .device(LinuxDevice::block("/dev/b", 8, 1))
        .cgroups_path("/pods/a")
        .oom_score_adj(-5)
        .io_priority(IoPrioClass::IoprioClassRt, 3)
        .seccomp(seccomp)
        .new_namespace(Namespace::Mount)
        .sysctl("net.core.somaxconn", "1")
        .net_device_as("eth1", "data0")
        .scheduler(LinuxScheduler::other(7))
        .rdt_clos_id("gold")
        .rdt_schemata(["L3:0=f"])
        .rdt_monitoring(true)
        .memory_policy(MpolMode::MpolBind, "0-1", [])
        .memory_limit(100)
        .memory_reservation(50)
        .memory_kernel(40)
        .memory_kernel_tcp(30)
        .memory_swappiness(20)
        .memory_disable_oom_killer(true)
        .memory_use_hierarchy(false)
        .cpu_shares(2)
        .cpu_quota(3)
        .cpu_period(4)
        .cpu_realtime_runtime(5)
        .cpu_realtime_period(6)
        .cpuset_cpus("0")
        .cpuset_mems("1")
        .hugepage_limit("2MB", 7)
        .unified("memory.high", "8")
        .device_rule(LinuxDeviceCgroup::denying(DeviceKind::All, "m"))
        .pids_limit(9);
    let rule = |allow: bool, kind: &str, access: &str| json!({"allow": allow, "type": kind, "access": access});
    let mut added = rule(true, "b", "rwm");
    added["major"] = 8.into();
    added["minor"] = 1.into();
    let expected = json!({
        "annotations": {"a": "1"},
        "mounts": [{"destination": "/dst", "type": "bind", "source": "/src", "options": ["rbind"]}],
        "hooks": {
            "prestart": [{"path": "/prestart"}],
            "createRuntime": [{"path": "/createRuntime"}],
            "createContainer": [{"path": "/createContainer"}],
            "startContainer": [{"path": "/startContainer"}],
            "poststart": [{"path": "/poststart"}],
            "poststop": [{"path": "/poststop", "args": ["a"], "env": ["B=c"]}],
        },
        "process": {
            "user": {"uid": 0, "gid": 0},
            "cwd": "/",
            "args": ["/bin/a"],
            "env": ["A=1"],
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 2, "soft": 1}],
            "oomScoreAdj": -5,
            "ioPriority": {"class": "IOPRIO_CLASS_RT", "priority": 3},
            "scheduler": {"policy": "SCHED_OTHER", "nice": 7},
        },
        "linux": {
            "devices": [{"path": "/dev/b", "type": "b", "major": 8, "minor": 1}],
            "cgroupsPath": "/pods/a",
            "seccomp": {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38},
            "namespaces": [{"type": "mount"}],
            "sysctl": {"net.core.somaxconn": "1"},
            "netDevices": {"eth1": {"name": "data0"}},
            "intelRdt": {"closID": "gold", "schemata": ["L3:0=f"], "enableMonitoring": true},
            "memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0-1"},
            "resources": {
                "memory": {
                    "limit": 100,
                    "swap": 100,
                    "reservation": 50,
                    "kernel": 40,
                    "kernelTCP": 30,
                    "swappiness": 20,
                    "disableOOMKiller": true,
                    "useHierarchy": false,
                },
                "cpu": {
                    "shares": 2,
                    "quota": 3,
                    "period": 4,
                    "realtimeRuntime": 5,
                    "realtimePeriod": 6,
                    "cpus": "0",
                    "mems": "1",
                },
                "hugepageLimits": [{"pageSize": "2MB", "limit": 7}],
                "unified": {"memory.high": "8"},
                "devices": [added, rule(false, "a", "m")],
                "pids": {"limit": 9},
            },
        },
    });
    check(&json!({}), adjustment, &expected);
}

#[test]
fn variables_keep_their_places() {
    let before = with_env(&["PATH=/bin", "A=1", "B=2", "C"]);
    let env = |adjustment| after(&before, adjustment)["process"]["env"].clone();
    assert_eq!(env(Adjustment::new().env("A", "x=y").env("N", "")), json!(["PATH=/bin", "A=x=y", "B=2", "C", "N="]));
    assert_eq!(env(Adjustment::new().remove_env("A").remove_env("N")), json!(["PATH=/bin", "B=2", "C"]));
    assert_eq!(env(Adjustment::new().replace_env("A", "3")), json!(["PATH=/bin", "A=3", "B=2", "C"]));
    assert_eq!(env(Adjustment::new().env("C", "3")), json!(["PATH=/bin", "A=1", "B=2", "C=3"]));
    let twice = with_env(&["B=0", "A=1", "B=2", "A=3"]);
    let env = |adjustment| after(&twice, adjustment)["process"]["env"].clone();
    assert_eq!(env(Adjustment::new().env("A", "4")), json!(["B=0", "A=4", "B=2"]));
    assert_eq!(env(Adjustment::new().remove_env("A")), json!(["B=0", "B=2"]));
}

proptest! {
    /// As a map from names to values, whatever the order of what is said.
    #[test]
    fn variables_are_those_that_a_map_would_have(
        env in proptest::collection::btree_map("[A-C]{1,2}", "[a-c=]{0,2}", 0..5),
        changes in vec(("[A-C]{1,2}", proptest::option::of("[a-c]{0,2}")), 0..5),
    ) {
        let entries: Vec<_> = env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let entries: Vec<_> = entries.iter().map(String::as_str).collect();
        let mut adjustment = Adjustment::new();
        let mut expected: BTreeMap<_, _> = env.clone();
        for (name, value) in &changes {
            match value {
                Some(value) => {
                    adjustment = adjustment.env(name, value);
                    expected.insert(name.clone(), value.clone());
                }
                None => {
                    adjustment = adjustment.remove_env(name);
                    expected.remove(name);
                }
            }
        }
        let applied = apply(&with_env(&entries), adjustment).spec;
        let found = applied.process().as_ref().unwrap().env().clone().unwrap_or_default();
        prop_assert_eq!(found.len(), expected.len());
        let found: BTreeMap<_, _> = found
            .iter()
            .map(|entry| entry.split_once('=').unwrap())
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn arguments_are_set_with_and_without_the_mark_of_an_override() {
    let before = json!({"process": {"user": {"uid": 1, "gid": 2}, "cwd": "/w", "args": ["sh", "-c"]}});
    let args = |adjustment| after(&before, adjustment)["process"]["args"].clone();
    assert_eq!(args(Adjustment::new().args(["a", ""])), json!(["a", ""]));
    assert_eq!(args(Adjustment::new().override_args(["b"])), json!(["b"]));
    let none = ContainerAdjustment { args: vec![String::new()], ..ContainerAdjustment::default() };
    assert_eq!(args(none.into()), json!(["sh", "-c"]));
}

#[test]
fn keys_of_maps_are_removed_and_set() {
    let before = json!({
        "annotations": {"a": "1", "b": "2"},
        "linux": {"sysctl": {"a": "1", "b": "2"}, "netDevices": {"a": {"name": "x"}, "b": {"name": "y"}}},
    });
    let adjustment = Adjustment::new()
        .remove_annotation("a")
        .replace_annotation("b", "3")
        .annotation("c", "4")
        .remove_sysctl("a")
        .replace_sysctl("b", "3")
        .sysctl("c", "4")
        .remove_net_device("a")
        .net_device_as("b", "z")
        .net_device("c");
    let expected = json!({
        "annotations": {"b": "3", "c": "4"},
        "linux": {"sysctl": {"b": "3", "c": "4"}, "netDevices": {"b": {"name": "z"}, "c": {"name": null}}},
    });
    check(&before, adjustment, &expected);
}

#[test]
fn hooks_come_after_those_that_are_there() {
    let before = json!({"hooks": {"poststop": [{"path": "/a"}]}});
    let hook = Hook::new("/b").with_timeout(Duration::from_secs(2));
    let expected = json!({"hooks": {"poststop": [{"path": "/a"}, {"path": "/b", "timeout": 2}]}});
    check(&before, Adjustment::new().hook(HookPoint::Poststop, hook), &expected);
}

/// OCI refuses two of a kind.
#[test]
fn a_resource_limit_takes_the_place_of_its_kind() {
    let limit = |kind: &str, limit: u64| json!({"type": kind, "hard": limit, "soft": limit});
    let process =
        |limits: [Value; 2]| json!({"process": {"user": {"uid": 0, "gid": 0}, "cwd": "/", "rlimits": limits}});
    let before = process([limit("RLIMIT_CPU", 1), limit("RLIMIT_CORE", 2)]);
    let expected = process([limit("RLIMIT_CORE", 2), limit("RLIMIT_CPU", 3)]);
    check(&before, Adjustment::new().rlimit(Rlimit::Cpu, 3, 3), &expected);
}

#[test]
fn mounts_are_replaced_removed_and_put_in_order() {
    let mount = |destination: &str, kind: &str| json!({"destination": destination, "type": kind});
    let before = json!({"mounts": [mount("/b/c/d", "x"), mount("/b", "y"), mount("/proc", "proc")]});
    let new = |destination: &str| Mount { options: Vec::new(), source: String::new(), ..Mount::tmpfs(destination) };
    let adjustment =
        Adjustment::new().mount(new("/b/c")).remove_mount("/proc").replace_mount(new("/b")).mount(new("/a/"));
    let expected = json!({
        "mounts": [mount("/a/", "tmpfs"), mount("/b", "tmpfs"), mount("/b/c", "tmpfs"), mount("/b/c/d", "x")],
    });
    check(&before, adjustment, &expected);
}

#[test]
fn mounts_that_propagate_say_so_in_the_root_and_to_the_caller() {
    let root = |before: Value, options: &[&str]| {
        let mount = Mount::bind("/src", "/dst").with_options(options.iter().copied());
        let applied = apply(&json!({"linux": before}), Adjustment::new().mount(mount));
        let root = applied.spec.linux().as_ref().unwrap().rootfs_propagation().clone().unwrap_or_default();
        (root, applied.unresolved.propagation)
    };
    let source = |propagation| vec![("/src".to_owned(), propagation)];
    let shared = || source(Propagation::Shared);
    let either = || source(Propagation::SharedOrSlave);
    assert_eq!(root(json!({}), &["rshared"]), ("rshared".to_owned(), shared()));
    assert_eq!(root(json!({}), &["rslave"]), ("rslave".to_owned(), either()));
    assert_eq!(root(json!({"rootfsPropagation": "rslave"}), &["rshared"]), ("rshared".to_owned(), shared()));
    assert_eq!(root(json!({"rootfsPropagation": "rshared"}), &["rslave"]), ("rshared".to_owned(), either()));
    assert_eq!(root(json!({"rootfsPropagation": "rprivate"}), &["rslave"]), ("rslave".to_owned(), either()));
    assert_eq!(root(json!({}), &["rshared", "rprivate"]), (String::new(), vec![]));
}

#[test]
fn devices_are_replaced_removed_and_allowed() {
    let device = |path: &str, major: i64| json!({"path": path, "type": "c", "major": major, "minor": 0});
    let before = json!({"linux": {
        "devices": [device("/dev/a", 1), device("/dev/b", 2)],
        "resources": {"devices": [{"allow": false, "access": "rwm"}]},
    }});
    let adjustment = Adjustment::new()
        .remove_device("/dev/a")
        .replace_device(LinuxDevice::char("/dev/b", 3, 0))
        .device(LinuxDevice::fifo("/dev/p"))
        .device(LinuxDevice { r#type: "u".to_owned(), ..LinuxDevice::char("/dev/u", 4, 0) });
    let rule = |major: i64| json!({"allow": true, "type": "c", "major": major, "minor": 0, "access": "rw"});
    let mut unbuffered = device("/dev/u", 4);
    unbuffered["type"] = "u".into();
    let expected = json!({"linux": {
        "devices": [device("/dev/b", 3), {"path": "/dev/p", "type": "p", "major": 0, "minor": 0}, unbuffered],
        "resources": {"devices": [{"allow": false, "access": "rwm"}, rule(3), rule(4)]},
    }});
    check(&before, adjustment, &expected);
}

#[test]
fn namespaces_are_replaced_and_removed_by_kind() {
    let before =
        json!({"linux": {"namespaces": [{"type": "pid"}, {"type": "network", "path": "/n"}, {"type": "uts"}]}});
    let adjustment = Adjustment::new()
        .remove_namespace(Namespace::Pid)
        .new_namespace(Namespace::Network)
        .join_namespace(Namespace::Ipc, "/i");
    let expected =
        json!({"linux": {"namespaces": [{"type": "uts"}, {"type": "network"}, {"type": "ipc", "path": "/i"}]}});
    check(&before, adjustment, &expected);
}

#[test]
fn what_is_cleared_is_gone() {
    let before = json!({
        "process": {
            "user": {"uid": 0, "gid": 0},
            "cwd": "/",
            "scheduler": {"policy": "SCHED_IDLE"},
            "ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 1},
        },
        "linux": {"intelRdt": {"closID": "a"}, "resources": {"blockIO": {"weight": 10}, "pids": {"limit": 1}}},
    });
    let process = |process: Value| json!({"process": process, "linux": before["linux"]});
    let mut expected = before["process"].clone();
    expected.as_object_mut().unwrap().remove("scheduler");
    check(&before, Adjustment::new().clear_scheduler(), &process(expected.clone()));
    expected.as_object_mut().unwrap().remove("ioPriority");
    check(&before, Adjustment::new().clear_scheduler().clear_io_priority(), &process(expected));

    let linux = |linux: Value| json!({"process": before["process"], "linux": linux});
    let pids = json!({"pids": {"limit": 1}});
    let no_class = linux(json!({"intelRdt": {"closID": "a"}, "resources": pids}));
    check(&before, Adjustment::new().clear_blockio_class(), &no_class);
    let resources = before["linux"]["resources"].clone();
    check(&before, Adjustment::new().clear_rdt_class(), &linux(json!({"resources": resources})));
    check(&before, Adjustment::new().remove_rdt(), &linux(json!({"resources": resources})));
    let monitored = linux(json!({"intelRdt": {"enableMonitoring": true}, "resources": resources}));
    check(&before, Adjustment::new().remove_rdt().rdt_monitoring(true), &monitored);
    let both = linux(json!({"intelRdt": {"closID": "a", "enableMonitoring": true}, "resources": resources}));
    check(&before, Adjustment::new().rdt_monitoring(true), &both);
}

#[test]
fn a_memory_limit_is_one_of_swap_too_unless_that_has_its_own() {
    let before = json!({"linux": {"resources": {"memory": {"limit": 1, "swap": 2, "reservation": 3}}}});
    let memory = |adjustment| after(&before, adjustment)["linux"]["resources"]["memory"].clone();
    assert_eq!(memory(Adjustment::new().memory_limit(9)), json!({"limit": 9, "swap": 9, "reservation": 3}));
    let both = Adjustment::new().memory_limit(9).memory_swap(10);
    assert_eq!(memory(both), json!({"limit": 9, "swap": 10, "reservation": 3}));
    assert_eq!(memory(Adjustment::new().memory_swap(10)), json!({"limit": 1, "swap": 10, "reservation": 3}));
    assert_eq!(memory(Adjustment::new().memory_limit(0)), json!({"limit": 1, "swap": 2, "reservation": 3}));
}

#[test]
fn what_only_the_runtime_resolves_is_handed_back() {
    let adjustment = Adjustment::new().cdi_device("v.com/c=d").blockio_class("slow").rdt_class("gold");
    let unresolved = apply(&json!({}), adjustment).unresolved;
    assert!(!unresolved.is_empty());
    assert_eq!(unresolved.cdi_devices, ["v.com/c=d"]);
    assert_eq!((unresolved.blockio_class.as_deref(), unresolved.rdt_class.as_deref()), (Some("slow"), Some("gold")));
}

#[test]
fn what_oci_does_not_have_is_an_error() {
    let text = |text: &str| text.to_owned();
    let mut namespace = ContainerAdjustment::default();
    namespace.linux.get_or_insert_default().namespaces = vec![LinuxNamespace { r#type: text("-net"), path: text("") }];
    let mut score = ContainerAdjustment::default();
    score.linux.get_or_insert_default().oom_score_adj = Some((1 << 40).into());
    let limit = PosixRlimit { r#type: text("RLIMIT_X"), hard: 0, soft: 0 };
    let rlimit = ContainerAdjustment { rlimits: vec![limit], ..ContainerAdjustment::default() };
    let errors = [namespace, score, rlimit].map(|bad| apply_adjustment(&Spec::default(), &bad).unwrap_err());
    let unknown = |field: &'static str, value: &str| ConversionError::Unknown { field, value: value.to_owned() };
    assert_eq!(errors[0], unknown("a namespace", "net"));
    assert!(matches!(errors[1], ConversionError::OutOfRange { field: "the OOM score", value: 0x100_0000_0000, .. }));
    assert_eq!(errors[2], unknown("a resource limit", "RLIMIT_X"));
}
