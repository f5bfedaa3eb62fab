//! What is said about one key more than once, and removals.

use nri_plugin::Adjustment;
use nri_plugin::adjust::{HookPoint, Namespace, Rlimit};
use nri_plugin::api::{
    Hook, Hooks, HugepageLimit, LinuxDevice, LinuxNamespace, LinuxNetDevice, LinuxRdt, Mount, PosixRlimit,
};

use super::{built, hook, linux, map, pair};

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
