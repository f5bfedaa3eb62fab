//! What pods use of ephemeral storage, and whose it is.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that can't go on fails")]

use kubelet_summary::schema::PodStats;
use kubelet_summary::storage::{
    Attribution, ContainerStorage, NodeFilesystem, container_bytes, has_own_image_fs, is_local, node_filesystems,
    pod_storage,
};
use kubelet_summary::{Parts, Summary};
use proptest::prelude::*;
use serde_json::{Value, json};

fn pod(mut members: Value) -> PodStats {
    members["podRef"] = json!({"name": "web", "namespace": "shop", "uid": "u1"});
    let document = json!({"pods": [members]}).to_string();
    let decoded = Summary::from_slice_keeping(document.as_bytes(), Parts::STORAGE).unwrap();
    assert!(decoded.skipped.is_clean(), "{:?}", decoded.skipped);
    decoded.summary.pods[0].clone()
}

/// `(rootfs, logs)` of each container, used bytes of each volume, and the pod's figure.
fn of(containers: &[(Option<u64>, Option<u64>)], volumes: &[u64], used: Option<u64>) -> PodStats {
    let container = |(index, (rootfs, logs)): (usize, &(Option<u64>, Option<u64>))| json!({"name": format!("c{index}"), "rootfs": {"usedBytes": rootfs}, "logs": {"usedBytes": logs}});
    let volume = |(index, used): (usize, &u64)| json!({"name": format!("v{index}"), "usedBytes": used});
    pod(json!({
        "ephemeral-storage": {"usedBytes": used},
        "containers": containers.iter().enumerate().map(container).collect::<Vec<_>>(),
        "volume": volumes.iter().enumerate().map(volume).collect::<Vec<_>>(),
    }))
}

type Containers<'a> = &'a [(Option<u64>, Option<u64>)];
type Row<'a> = (Containers<'a>, &'a [u64], u64, &'a [u64], &'a [u64], u64, u64);

/// Containers, volumes, the pod's figure → attributed when measured, when split, nobody's, and what is too much.
#[test]
fn a_pods_figure_is_spread_over_its_containers() {
    let both = (Some(60), Some(10));
    let none = (None, None);
    let table: [Row<'_>; 10] = [
        (&[both], &[], 70, &[70], &[70], 0, 0),
        (&[both], &[20], 95, &[95], &[95], 5, 0),
        (&[both, none], &[20], 105, &[88, 17], &[53, 52], 15, 0),
        (&[both, (Some(5), None)], &[], 80, &[73, 7], &[40, 40], 5, 0),
        (&[none, none, none], &[], 11, &[4, 4, 3], &[4, 4, 3], 11, 0),
        (&[none, none, none], &[], 2, &[1, 1, 0], &[1, 1, 0], 2, 0),
        // A container that is known to use nothing, and a pod that uses nothing.
        (&[(Some(0), Some(0)), both], &[], 70, &[0, 70], &[35, 35], 0, 0),
        (&[both], &[], 0, &[0], &[0], 0, 70),
        // The containers use more than the pod, by samples of other times: in proportion, 50 to 100.
        (&[(Some(50), None), (Some(100), None)], &[7], 100, &[34, 66], &[50, 50], 0, 57),
        (&[], &[30], 100, &[], &[], 70, 0),
    ];
    for (containers, volumes, used, measured, split, unattributed, excess) in table {
        let pod = of(containers, volumes, Some(used));
        for (attribution, expected) in [(Attribution::Measured, measured), (Attribution::EvenSplit, split)] {
            let storage = pod_storage(&pod, attribution).unwrap();
            let attributed: Vec<u64> = storage.containers.iter().map(|container| container.attributed_bytes).collect();
            assert_eq!(attributed, expected, "{containers:?} {volumes:?} {used} {attribution:?}");
            assert_eq!(
                (storage.unattributed_bytes, storage.excess_bytes),
                (unattributed, excess),
                "{containers:?} {used}"
            );
            assert_eq!(storage.volumes.iter().map(|volume| volume.used_bytes).collect::<Vec<_>>(), volumes);
        }
    }
}

#[test]
fn a_pod_without_a_figure_has_none() {
    assert_eq!(pod_storage(&of(&[(Some(1), Some(1))], &[1], None), Attribution::Measured), None);
    assert_eq!(pod_storage(&of(&[(Some(1), Some(1))], &[1], None), Attribution::EvenSplit), None);
}

#[test]
fn a_containers_own_use_is_rootfs_and_logs() {
    let table = [
        ((Some(60), Some(10)), Some(70)),
        ((Some(60), None), Some(60)),
        ((None, Some(0)), Some(0)),
        ((None, None), None),
    ];
    for (parts, own) in table {
        let pod = of(&[parts], &[], Some(100));
        assert_eq!(container_bytes(&pod.containers[0]), own, "{parts:?}");
        let storage = pod_storage(&pod, Attribution::EvenSplit).unwrap();
        let app = storage.containers[0];
        assert_eq!((app.own_bytes(), (app.rootfs_bytes, app.logs_bytes)), (own, parts));
    }
}

/// The members of a volume → whether it counts as ephemeral storage of a pod on a filesystem of 1000 bytes.
#[test]
fn a_volume_counts_if_it_lies_beside_the_pod() {
    let table = [
        (json!({"capacityBytes": 1000}), true),
        (json!({}), true),
        (json!({"capacityBytes": 64}), false),
        (json!({"capacityBytes": 1000, "pvcRef": {"name": "data", "namespace": "shop"}}), false),
    ];
    for (mut volume, expected) in table {
        volume["name"] = json!("v");
        volume["usedBytes"] = json!(9);
        let pod = pod(json!({"volume": [volume], "ephemeral-storage": {"usedBytes": 10, "capacityBytes": 1000}}));
        assert_eq!(is_local(&pod, &pod.volumes[0]), expected, "{volume}");
        let storage = pod_storage(&pod, Attribution::Measured).unwrap();
        assert_eq!((storage.volumes.len(), storage.unattributed_bytes), if expected { (1, 1) } else { (0, 10) });
    }
}

#[test]
fn a_nodes_filesystems_are_those_with_figures() {
    let node = |members: Value| {
        let document = json!({"node": members}).to_string();
        Summary::from_slice(document.as_bytes()).unwrap().summary.node
    };
    let fs = |capacity: u64| json!({"time": "2026-01-01T00:00:00Z", "capacityBytes": capacity, "usedBytes": 5});
    let table = [
        (json!({}), vec![], None),
        (json!({"fs": {"time": "2026-01-01T00:00:00Z"}}), vec![], None),
        (json!({"fs": fs(9)}), vec![(NodeFilesystem::NodeFs, 9)], None),
        (
            json!({"fs": fs(9), "runtime": {"imageFs": fs(9)}}),
            vec![(NodeFilesystem::NodeFs, 9), (NodeFilesystem::ImageFs, 9)],
            Some(false),
        ),
        (
            json!({"fs": fs(9), "runtime": {"imageFs": fs(8), "containerFs": fs(7)}}),
            vec![(NodeFilesystem::NodeFs, 9), (NodeFilesystem::ImageFs, 8), (NodeFilesystem::ContainerFs, 7)],
            Some(true),
        ),
    ];
    for (members, expected, own) in table {
        let node = node(members);
        let there: Vec<_> =
            node_filesystems(&node).map(|(which, fs)| (which, fs.size.capacity_bytes.get().unwrap())).collect();
        assert_eq!(there, expected);
        assert_eq!(has_own_image_fs(&node), own);
    }
    assert_eq!(NodeFilesystem::ContainerFs.name(), "containerfs");
}

proptest! {
    #[test]
    fn the_parts_are_the_pods_figure_to_the_byte(
        containers in prop::collection::vec(
            (prop::option::of(0_u64..u64::MAX), prop::option::of(0_u64..u64::MAX), 0_u32..64), 0..7),
        volumes in prop::collection::vec(0_u64..u64::MAX / 8, 0..4),
        used in 0_u64..u64::MAX,
        shift in 0_u32..64,
    ) {
        // Of all magnitudes, so that the figure is sometimes less than its parts and sometimes more.
        let containers: Vec<_> = containers
            .into_iter()
            .map(|(rootfs, logs, down)| (rootfs.map(|bytes| bytes >> down), logs.map(|bytes| bytes >> down)))
            .collect();
        let pod = of(&containers, &volumes, Some(used >> shift));
        for attribution in [Attribution::Measured, Attribution::EvenSplit] {
            let storage = pod_storage(&pod, attribution).unwrap();
            let sum = |parts: &mut dyn Iterator<Item = u64>| parts.map(u128::from).sum::<u128>();
            let attributed = sum(&mut storage.containers.iter().map(|container| container.attributed_bytes));
            let figure = u128::from(storage.used_bytes);
            prop_assert_eq!(attributed, if containers.is_empty() { 0 } else { figure });
            prop_assert!(storage.unattributed_bytes == 0 || storage.excess_bytes == 0);
            let own = sum(&mut storage.containers.iter().filter_map(ContainerStorage::own_bytes));
            let known = own + sum(&mut storage.volumes.iter().map(|volume| volume.used_bytes));
            if storage.excess_bytes < u64::MAX {
                prop_assert_eq!(
                    known + u128::from(storage.unattributed_bytes), figure + u128::from(storage.excess_bytes));
            }
            // Where there is enough for all, nobody has less than is its own.
            if attribution == Attribution::Measured && own <= figure {
                let takes = |container: &ContainerStorage<'_>| {
                    container.attributed_bytes >= container.own_bytes().unwrap_or(0)
                };
                prop_assert!(storage.containers.iter().all(takes));
            }
        }
    }

    #[test]
    fn an_even_split_differs_by_a_byte_at_the_most(number in 1_usize..9, used in 0_u64..u64::MAX) {
        let pod = of(&vec![(Some(1), Some(1)); number], &[], Some(used));
        let parts: Vec<u64> = pod_storage(&pod, Attribution::EvenSplit)
            .unwrap().containers.iter().map(|container| container.attributed_bytes).collect();
        prop_assert!(parts.is_sorted_by(|one, next| one >= next));
        prop_assert!(parts[0] - parts[number - 1] <= 1);
    }
}
