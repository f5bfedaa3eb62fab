//! What a document costs: memory that stays, and allocations on the way.

use kubelet_summary::schema::{ContainerStats, PodStats, VolumeStats};
use kubelet_summary::{Parts, Summary};

use crate::generate::{MEGABYTE, NODE, Shape};

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
    // What one document leaves behind, room for the next one, is not of the second.
    Summary::from_slice_keeping(document, parts).unwrap();
    let counted = allocation_counter::measure(|| {
        decoded = Summary::from_slice_keeping(document, parts).ok();
    });
    assert_eq!(decoded.unwrap().summary.pods.len(), pods);
    counted.bytes_current / i64::try_from(pods).unwrap()
}

#[test]
fn what_is_kept_of_a_pod_is_about_a_kilobyte() {
    let table = [
        ("names", Parts::NONE, 285),
        ("processor and memory", Parts::CPU_AND_MEMORY, 670),
        ("storage", Parts::STORAGE, 1010),
        ("usage", Parts::USAGE, 1090),
        ("all", Parts::ALL, 1780),
    ];
    let shape = Shape { pods: 1000, ..NODE };
    let document = shape.document(0);
    for (name, parts, most) in table {
        let kept = kept_per_pod(&document, shape.pods, parts);
        println!("{name}: {kept} bytes");
        // Half of it at the least: else nothing was kept, and the figure says nothing.
        assert!((most / 2..=most).contains(&kept), "{name}: {kept} bytes");
    }
}

#[test]
fn the_objects_that_there_are_most_of_do_not_grow_unseen() {
    let sizes = (size_of::<PodStats>(), size_of::<ContainerStats>(), size_of::<VolumeStats>());
    assert_eq!(sizes, (216, 192, 96));
}

#[test]
fn a_document_is_read_in_few_allocations_however_many_pods_it_has() {
    for (parts, most) in [(Parts::CPU_AND_MEMORY, 9), (Parts::USAGE, 16), (Parts::ALL, 21)] {
        let counts = [20, 110, 500].map(|pods| {
            let document = Shape { pods, ..NODE }.document(0);
            // A thread's first document makes room for those that come after it.
            Summary::from_slice_keeping(&document, parts).unwrap();
            let counted = allocation_counter::measure(|| {
                Summary::from_slice_keeping(&document, parts).unwrap();
            });
            // What is in use at once is what is kept, and little more.
            assert!(counted.bytes_max < 3 * document.len() as u64 / 5, "{counted:?}");
            assert_eq!(counted.count_current, 0, "nothing stays behind");
            counted.count_total
        });
        println!("{parts:?}: {counts:?} allocations");
        assert!(counts.iter().all(|count| (5..=most).contains(count)), "{counts:?}");
    }
}

#[test]
fn room_for_the_next_document_is_bounded() {
    let room = |document: &[u8]| {
        let read = || {
            Summary::from_slice_keeping(document, Parts::ALL).unwrap();
        };
        // On a thread of its own, which has none yet.
        std::thread::scope(|scope| scope.spawn(|| allocation_counter::measure(read)).join().unwrap()).bytes_current
    };
    let full = room(&NODE.document(0));
    assert!((50_000..500_000).contains(&full), "{full} bytes");
    let most = room(&Shape { pods: 700, containers: 4, ..NODE }.document(0));
    assert!(most < 2 << 20, "{most} bytes");
}
