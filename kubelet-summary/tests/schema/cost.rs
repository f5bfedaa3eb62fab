//! What a document costs: memory that stays, and allocations on the way.

use kubelet_summary::schema::{ContainerStats, PodStats, VolumeStats};
use kubelet_summary::{Parts, Summary};

use super::generate::{MEGABYTE, NODE, Shape};

#[test]
fn the_made_up_node_is_as_large_as_real_ones_and_sound() {
    let document = MEGABYTE.document(0);
    assert!((950_000..1_100_000).contains(&document.len()), "{}", document.len());
    let decoded = Summary::from_slice_keeping(&document, Parts::ALL).unwrap();
    assert!(decoded.skipped.is_clean(), "{:?}", decoded.skipped);
    assert_eq!(decoded.summary.pods.len(), MEGABYTE.pods);
}

/// Bytes that a pod of two containers and three volumes takes for as long as its summary is kept.
fn kept_per_pod(document: &[u8], pods: usize, parts: Parts) -> i64 {
    let mut decoded = None;
    let counted = allocation_counter::measure(|| {
        decoded = Summary::from_slice_keeping(document, parts).ok();
    });
    assert_eq!(decoded.unwrap().summary.pods.len(), pods);
    counted.bytes_current / i64::try_from(pods).unwrap()
}

#[test]
fn what_is_kept_of_a_pod_is_about_a_kilobyte() {
    let table = [
        ("names", Parts::NONE, 275),
        ("processor and memory", Parts::CPU_AND_MEMORY, 650),
        ("storage", Parts::STORAGE, 960),
        ("usage", Parts::USAGE, 1040),
        ("all", Parts::ALL, 1720),
    ];
    let shape = Shape { pods: 1000, ..NODE };
    let document = shape.document(0);
    for (name, parts, most) in table {
        let kept = kept_per_pod(&document, shape.pods, parts);
        // Half of it at the least: else nothing was kept, and the figure says nothing.
        assert!((most / 2..=most).contains(&kept), "{name}: {kept} bytes");
    }
}

#[test]
fn the_objects_that_there_are_most_of_do_not_grow_unseen() {
    let sizes = (size_of::<PodStats>(), size_of::<ContainerStats>(), size_of::<VolumeStats>());
    assert_eq!(sizes, (200, 184, 88));
}

#[test]
fn a_document_is_read_in_few_allocations() {
    for (parts, most_per_pod) in [(Parts::USAGE, 9), (Parts::ALL, 16)] {
        let document = NODE.document(0);
        let counted = allocation_counter::measure(|| {
            Summary::from_slice_keeping(&document, parts).unwrap();
        });
        let per_pod = counted.count_total / NODE.pods as u64;
        assert!((3..=most_per_pod).contains(&per_pod), "{per_pod}");
        // What is in use at once is what is kept, and little more.
        assert!(counted.bytes_max < 3 * document.len() as u64 / 5, "{counted:?}");
        assert_eq!(counted.count_current, 0, "nothing stays behind");
    }
}
