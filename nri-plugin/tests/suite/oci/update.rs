//! Resources and an update → the resources that the container has then.

use nri_plugin::Update;
use nri_plugin::adjust::DeviceKind;
use nri_plugin::api::{ContainerUpdate, LinuxDeviceCgroup};
use nri_plugin::oci::{Unresolved, apply_update};
use oci_spec::runtime::LinuxResources;
use serde_json::{Value, json};

/// Where, what is then there, and by which update.
type Change = (&'static str, Value, fn(Update) -> Update);

fn updated(before: Value, update: &ContainerUpdate) -> (Value, Unresolved) {
    let before: LinuxResources = serde_json::from_value(before).unwrap();
    let applied = apply_update(&before, update).unwrap();
    (serde_json::to_value(applied.resources).unwrap(), applied.unresolved)
}

#[test]
fn an_update_changes_what_it_names_and_nothing_else() {
    let before = json!({
        "memory": {
            "limit": 1, "reservation": 2, "swap": 3, "kernel": 4, "kernelTCP": 5, "swappiness": 6,
            "disableOOMKiller": false, "useHierarchy": true, "checkBeforeUpdate": true,
        },
        "cpu": {
            "shares": 2, "quota": 3, "period": 4, "realtimeRuntime": 5, "realtimePeriod": 6, "cpus": "0", "mems": "1",
            "idle": 1, "burst": 7,
        },
        "pids": {"limit": 1},
        "hugepageLimits": [{"pageSize": "2MB", "limit": 1}, {"pageSize": "1GB", "limit": 2}],
        "unified": {"a": "1", "b": "2"},
        "devices": [{"allow": false, "access": "rwm"}],
        "blockIO": {"weight": 10},
        "network": {"classID": 1},
        "rdma": {"mlx5_1": {"hcaHandles": 3}},
    });
    let nothing = Update::new("a").build().unwrap();
    assert_eq!(updated(before.clone(), &nothing), (before.clone(), Unresolved::default()));

    let changes: [Change; 18] = [
        ("/memory/limit", json!(101), |u| u.memory_limit(101)),
        ("/memory/reservation", json!(102), |u| u.memory_reservation(102)),
        ("/memory/swap", json!(103), |u| u.memory_swap(103)),
        ("/memory/kernel", json!(104), |u| u.memory_kernel(104)),
        ("/memory/kernelTCP", json!(105), |u| u.memory_kernel_tcp(105)),
        ("/memory/swappiness", json!(60), |u| u.memory_swappiness(60)),
        ("/memory/disableOOMKiller", json!(true), |u| u.memory_disable_oom_killer(true)),
        ("/memory/useHierarchy", json!(false), |u| u.memory_use_hierarchy(false)),
        ("/cpu/shares", json!(202), |u| u.cpu_shares(202)),
        ("/cpu/quota", json!(203), |u| u.cpu_quota(203)),
        ("/cpu/period", json!(204), |u| u.cpu_period(204)),
        ("/cpu/realtimeRuntime", json!(205), |u| u.cpu_realtime_runtime(205)),
        ("/cpu/realtimePeriod", json!(206), |u| u.cpu_realtime_period(206)),
        ("/cpu/cpus", json!("4-7"), |u| u.cpuset_cpus("4-7")),
        ("/cpu/mems", json!("2"), |u| u.cpuset_mems("2")),
        ("/pids/limit", json!(300), |u| u.pids_limit(300)),
        ("/hugepageLimits/1/limit", json!(400), |u| u.hugepage_limit("1GB", 400)),
        ("/unified/b", json!("500"), |u| u.unified("b", "500")),
    ];
    for (path, value, change) in changes {
        let mut expected = before.clone();
        *expected.pointer_mut(path).unwrap() = value;
        let (found, unresolved) = updated(before.clone(), &change(Update::new("a")).build().unwrap());
        assert_eq!((found, unresolved.is_empty()), (expected, true), "{path}");
    }

    let rule = LinuxDeviceCgroup::allowing(DeviceKind::Char, "r");
    let update = Update::new("a").device_rule(rule).unified("c", "3").hugepage_limit("64KB", 3);
    let (found, _) = updated(before, &update.build().unwrap());
    assert_eq!(
        found["devices"],
        json!([{"allow": false, "access": "rwm"}, {"allow": true, "type": "c", "access": "r"}])
    );
    assert_eq!(found["unified"], json!({"a": "1", "b": "2", "c": "3"}));
    assert_eq!(found["hugepageLimits"][2], json!({"pageSize": "64KB", "limit": 3}));
}

#[test]
fn classes_of_an_update_are_handed_back_or_cleared() {
    let before = json!({"blockIO": {"weight": 10}});
    let named = Update::new("a").blockio_class("slow").rdt_class("gold").build().unwrap();
    let (found, unresolved) = updated(before.clone(), &named);
    assert_eq!(found, before);
    assert_eq!((unresolved.blockio_class.as_deref(), unresolved.rdt_class.as_deref()), (Some("slow"), Some("gold")));
    let cleared = Update::new("a").clear_blockio_class().clear_rdt_class().build().unwrap();
    let (found, unresolved) = updated(before, &cleared);
    assert_eq!(found, json!({}));
    assert_eq!((unresolved.blockio_class, unresolved.rdt_class.as_deref()), (None, Some("")));
}
