//! What one side has and the other lacks: named, or an error.

use std::ffi::OsStr;
use std::fmt::Debug;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use nri_plugin::adjust::SeccompAction;
use nri_plugin::api;
use nri_plugin::oci::{ConversionError, LeftOut, env_to_oci};
use oci_spec::runtime as oci;
use serde_json::{Value, json};

/// The names of the fields of a type, whose default has no nested ones.
fn fields(default: &impl Debug) -> Vec<String> {
    let text = format!("{default:?}");
    text.split([' ', '{']).filter_map(|word| word.strip_suffix(':')).map(str::to_owned).collect()
}

/// Breaks if a new version of `oci-spec` has a field that is neither converted nor said to be left out.
#[test]
fn each_field_of_oci_is_known() {
    let known: &[(Vec<String>, &[&str])] = &[
        (fields(&oci::Mount::default()), &["destination", "typ", "source", "options", "uid_mappings", "gid_mappings"]),
        (fields(&oci::Hook::default()), &["path", "args", "env", "timeout"]),
        (
            fields(&oci::Hooks::default()),
            &["prestart", "create_runtime", "create_container", "start_container", "poststart", "poststop"],
        ),
        (fields(&oci::User::default()), &["uid", "gid", "umask", "additional_gids", "username"]),
        (fields(&oci::PosixRlimit::default()), &["typ", "hard", "soft"]),
        (fields(&oci::LinuxDevice::default()), &["path", "typ", "major", "minor", "file_mode", "uid", "gid"]),
        (fields(&oci::LinuxDeviceCgroup::default()), &["allow", "typ", "major", "minor", "access"]),
        (fields(&oci::LinuxNamespace::default()), &["typ", "path"]),
        (fields(&oci::LinuxNetDevice::default()), &["name"]),
        (
            fields(&oci::LinuxMemory::default()),
            &[
                "limit",
                "reservation",
                "swap",
                "kernel",
                "kernel_tcp",
                "swappiness",
                "disable_oom_killer",
                "use_hierarchy",
                "check_before_update",
            ],
        ),
        (
            fields(&oci::LinuxCpu::default()),
            &["shares", "quota", "idle", "burst", "period", "realtime_runtime", "realtime_period", "cpus", "mems"],
        ),
        (fields(&oci::LinuxPids::default()), &["limit"]),
        (fields(&oci::LinuxHugepageLimit::default()), &["page_size", "limit"]),
        (
            fields(&oci::LinuxResources::default()),
            &["devices", "memory", "cpu", "pids", "block_io", "hugepage_limits", "network", "rdma", "unified"],
        ),
        (
            fields(&oci::LinuxIntelRdt::default()),
            &[
                "clos_id",
                "schemata",
                "l3_cache_schema",
                "mem_bw_schema",
                "enable_cmt",
                "enable_mbm",
                "enable_monitoring",
            ],
        ),
        (
            fields(&oci::LinuxSeccomp::default()),
            &[
                "default_action",
                "default_errno_ret",
                "architectures",
                "flags",
                "listener_path",
                "listener_metadata",
                "syscalls",
            ],
        ),
        (fields(&oci::LinuxSyscall::default()), &["names", "action", "errno_ret", "args"]),
        (fields(&oci::LinuxSeccompArg::default()), &["index", "value", "value_two", "op"]),
        (fields(&oci::LinuxIOPriority::default()), &["class", "priority"]),
        (fields(&oci::Scheduler::default()), &["policy", "nice", "priority", "flags", "runtime", "deadline", "period"]),
        (fields(&oci::LinuxMemoryPolicy::default()), &["mode", "nodes", "flags"]),
    ];
    for (fields, known) in known {
        assert_eq!(fields, known);
    }
}

fn left_out<Oci, Nri>(json: &Value) -> (Vec<&'static str>, Value)
where
    Oci: for<'a> TryFrom<&'a Nri, Error: Debug> + serde::de::DeserializeOwned + serde::Serialize + LeftOut,
    Nri: for<'a> TryFrom<&'a Oci, Error: Debug>,
{
    let oci: Oci = serde_json::from_value(json.clone()).unwrap();
    let back = Oci::try_from(&Nri::try_from(&oci).unwrap()).unwrap();
    assert!(back.left_out().is_empty());
    (oci.left_out(), serde_json::to_value(back).unwrap())
}

#[test]
fn what_is_left_out_is_named_and_nothing_else_is() {
    let map = json!([{"containerID": 0, "hostID": 1, "size": 2}]);
    let mount = json!({"destination": "/a", "uidMappings": map, "gidMappings": map});
    let converted = left_out::<oci::Mount, api::Mount>(&mount);
    assert_eq!(converted, (vec!["uidMappings", "gidMappings"], json!({"destination": "/a"})));

    let user = json!({"uid": 1, "gid": 2, "umask": 18, "username": "a"});
    let converted = left_out::<oci::User, api::User>(&user);
    assert_eq!(converted, (vec!["umask", "username"], json!({"uid": 1, "gid": 2})));

    let resources = json!({
        "memory": {"limit": 1, "checkBeforeUpdate": true},
        "cpu": {"shares": 2, "idle": 1, "burst": 3},
        "pids": {"limit": 4},
        "blockIO": {"weight": 10},
        "network": {"classID": 1},
        "rdma": {"mlx5_1": {"hcaHandles": 3}},
    });
    let names = vec!["memory.checkBeforeUpdate", "cpu.idle", "cpu.burst", "blockIO", "network", "rdma"];
    let kept = json!({"memory": {"limit": 1}, "cpu": {"shares": 2}, "pids": {"limit": 4}});
    assert_eq!(left_out::<oci::LinuxResources, api::LinuxResources>(&resources), (names, kept));
    let memory: oci::LinuxMemory = serde_json::from_value(resources["memory"].clone()).unwrap();
    let cpu: oci::LinuxCpu = serde_json::from_value(resources["cpu"].clone()).unwrap();
    assert_eq!((memory.left_out(), cpu.left_out()), (vec!["checkBeforeUpdate"], vec!["idle", "burst"]));

    let rdt = json!({
        "closID": "a",
        "l3CacheSchema": "L3:0=f",
        "memBwSchema": "MB:0=20",
        "enableCmt": true,
        "enableMbm": true,
    });
    let names = vec!["l3CacheSchema", "memBwSchema", "enableCMT", "enableMBM"];
    assert_eq!(left_out::<oci::LinuxIntelRdt, api::LinuxRdt>(&rdt), (names, json!({"closID": "a"})));

    let classes = api::LinuxResources {
        blockio_class: Some("a".into()),
        rdt_class: Some("b".into()),
        ..api::LinuxResources::default()
    };
    assert_eq!(classes.left_out(), ["blockio_class", "rdt_class"]);
    assert_eq!(oci::LinuxResources::try_from(&classes).unwrap(), oci::LinuxResources::default());
    assert_eq!(api::LinuxRdt { remove: true, ..api::LinuxRdt::default() }.left_out(), ["remove"]);
    assert!(api::LinuxRdt::default().left_out().is_empty());
}

fn unknown<Oci: for<'a> TryFrom<&'a Nri, Error = ConversionError> + Debug, Nri>(nri: &Nri) -> String {
    Oci::try_from(nri).unwrap_err().to_string()
}

#[test]
fn what_has_no_equal_is_an_error_that_names_field_and_value() {
    let text = |text: &str| text.to_owned();
    let errors = [
        unknown::<oci::LinuxNamespace, _>(&api::LinuxNamespace { r#type: text("net"), path: text("") }),
        unknown::<oci::PosixRlimit, _>(&api::PosixRlimit { r#type: text("RLIMIT_X"), hard: 0, soft: 0 }),
        unknown::<oci::LinuxDevice, _>(&api::LinuxDevice { r#type: text("x"), ..api::LinuxDevice::default() }),
        unknown::<oci::LinuxDeviceCgroup, _>(&api::LinuxDeviceCgroup {
            r#type: text("y"),
            ..api::LinuxDeviceCgroup::default()
        }),
        unknown::<oci::LinuxSeccomp, _>(&api::LinuxSeccomp::default()),
        unknown::<oci::LinuxSeccomp, _>(&api::LinuxSeccomp::new(SeccompAction::Log).with_flags(["f"])),
        unknown::<oci::LinuxSeccomp, _>(&api::LinuxSeccomp::new(SeccompAction::Log).with_architectures(["a"])),
        unknown::<oci::LinuxSeccompArg, _>(&api::LinuxSeccompArg { op: text("<"), ..api::LinuxSeccompArg::default() }),
        unknown::<oci::LinuxIOPriority, _>(&api::LinuxIoPriority { class: 9, priority: 0 }),
        unknown::<oci::LinuxIOPriority, _>(&api::LinuxIoPriority::default()),
        unknown::<oci::Scheduler, _>(&api::LinuxScheduler { policy: 8, ..api::LinuxScheduler::default() }),
        unknown::<oci::Scheduler, _>(&api::LinuxScheduler { flags: vec![7], ..api::LinuxScheduler::idle() }),
        unknown::<oci::Scheduler, _>(&api::LinuxScheduler::default()),
        unknown::<oci::LinuxMemoryPolicy, _>(&api::LinuxMemoryPolicy { mode: 7, ..api::LinuxMemoryPolicy::default() }),
        unknown::<oci::LinuxMemoryPolicy, _>(&api::LinuxMemoryPolicy {
            flags: vec![3],
            ..api::LinuxMemoryPolicy::default()
        }),
        unknown::<oci::LinuxHugepageLimit, _>(&api::HugepageLimit { page_size: text("2MB"), limit: u64::MAX }),
        unknown::<oci::Mount, _>(&api::Mount { destination: text("-/a"), ..api::Mount::default() }),
        unknown::<oci::LinuxDevice, _>(&api::LinuxDevice { path: text("-/b"), ..api::LinuxDevice::default() }),
        unknown::<oci::LinuxNamespace, _>(&api::LinuxNamespace { r#type: text("-pid"), path: text("") }),
        env_to_oci(&[api::KeyValue { key: text("-A"), value: text("") }]).unwrap_err().to_string(),
        env_to_oci(&[api::KeyValue { key: text("A=B"), value: text("") }]).unwrap_err().to_string(),
    ];
    let begin = [
        "a namespace can't be \"net\" in OCI",
        "a resource limit can't be \"RLIMIT_X\" in OCI",
        "the type of a device can't be \"x\" in OCI",
        "the type of a device rule can't be \"y\" in OCI",
        "a seccomp action can't be \"\" in OCI",
        "a seccomp flag can't be \"f\" in OCI",
        "a seccomp architecture can't be \"a\" in OCI",
        "a seccomp operator can't be \"<\" in OCI",
        "the class of the priority for input and output can't be \"9\" in OCI",
        "the class of the priority for input and output IOPRIO_CLASS_NONE stands for none",
        "the scheduling policy can't be \"8\" in OCI",
        "a scheduling flag can't be \"7\" in OCI",
        "the scheduling policy SCHED_NONE stands for none",
        "the mode of a memory policy can't be \"7\" in OCI",
        "a flag of a memory policy can't be \"3\" in OCI",
        "a limit of huge pages can't be 18446744073709551615 on the other side",
        "the mount \"-/a\" is a removal",
        "the device \"-/b\" is a removal",
        "the namespace \"-pid\" is a removal",
        "the environment variable \"-A\" is a removal",
        "the name of an environment variable can't be \"A=B\" in OCI",
    ];
    for (error, begin) in errors.iter().zip(begin) {
        assert!(error.starts_with(begin), "{error:?} instead of {begin:?}");
    }
    assert_eq!(errors.len(), begin.len());
}

#[test]
fn what_a_message_does_not_hold_is_an_error_that_names_field_and_value() {
    let bad = PathBuf::from(OsStr::from_bytes(b"/\xff"));
    let not_utf8 = |error: ConversionError| match error {
        ConversionError::NotUtf8 { field, path } if path == bad => field,
        error => panic!("{error:?}"),
    };
    let destination = oci::MountBuilder::default().destination(bad.clone()).build().unwrap();
    let source = oci::MountBuilder::default().source(bad.clone()).build().unwrap();
    let hook = oci::HookBuilder::default().path(bad.clone()).build().unwrap();
    let hooks = oci::HooksBuilder::default().poststop(vec![hook]).build().unwrap();
    let device = oci::LinuxDeviceBuilder::default().path(bad.clone()).build().unwrap();
    let namespace = oci::LinuxNamespaceBuilder::default().path(bad.clone()).build().unwrap();
    let seccomp = oci::LinuxSeccompBuilder::default().listener_path(bad.clone()).build().unwrap();
    let fields = [
        api::Mount::try_from(&destination).map_err(not_utf8).unwrap_err(),
        api::Mount::try_from(&source).map_err(not_utf8).unwrap_err(),
        api::Hooks::try_from(&hooks).map_err(not_utf8).unwrap_err(),
        api::LinuxDevice::try_from(&device).map_err(not_utf8).unwrap_err(),
        api::LinuxNamespace::try_from(&namespace).map_err(not_utf8).unwrap_err(),
        api::LinuxSeccomp::try_from(&seccomp).map_err(not_utf8).unwrap_err(),
    ];
    let expected = [
        "the destination of a mount",
        "the source of a mount",
        "the path of a hook",
        "the path of a device",
        "the path of a namespace",
        "the seccomp listener",
    ];
    assert_eq!(fields, expected);

    let limit = oci::LinuxHugepageLimitBuilder::default().limit(-1).build().unwrap();
    let error = api::HugepageLimit::try_from(&limit).unwrap_err().to_string();
    assert!(error.starts_with("a limit of huge pages can't be -1 on the other side"), "{error}");
    let priority = oci::LinuxIOPriorityBuilder::default().priority(1_i64 << 40).build().unwrap();
    let error = api::LinuxIoPriority::try_from(&priority).unwrap_err();
    assert!(matches!(error, ConversionError::OutOfRange { value: 0x100_0000_0000, .. }), "{error}");
    let argument = oci::LinuxSeccompArgBuilder::default().index(1_usize << 40).build().unwrap();
    let error = api::LinuxSeccompArg::try_from(&argument).unwrap_err();
    assert!(matches!(error, ConversionError::OutOfRange { value: 0x100_0000_0000, .. }), "{error}");
}
