//! What a document costs: memory that stays, and allocations on the way.

use kubelet_summary::{Parts, Summary};

use super::generate::{NODE, Shape};

#[test]
fn a_full_nodes_document_is_of_the_size_that_real_ones_are() {
    let length = NODE.document(0).len();
    println!("{length}");
    assert!((900_000..1_300_000).contains(&length), "{length}");
    let decoded = Summary::from_slice_keeping(&NODE.document(0), Parts::ALL).unwrap();
    assert!(decoded.skipped.is_clean(), "{:?}", decoded.skipped);
    assert_eq!(decoded.summary.pods.len(), NODE.pods);
}

fn kept_per_pod(shape: Shape, parts: Parts) -> i64 {
    let document = shape.document(0);
    let mut decoded = None;
    let counted = allocation_counter::measure(|| {
        decoded = Summary::from_slice_keeping(&document, parts).ok();
    });
    assert_eq!(decoded.unwrap().summary.pods.len(), shape.pods);
    counted.bytes_current / i64::try_from(shape.pods).unwrap()
}

#[test]
fn what_is_kept_of_a_pod_is_small() {
    let shape = Shape { pods: 1000, ..NODE };
    let table = [(Parts::NONE, 0), (Parts::CPU_AND_MEMORY, 0), (Parts::STORAGE, 0), (Parts::USAGE, 0), (Parts::ALL, 0)];
    for (parts, most) in table {
        let kept = kept_per_pod(shape, parts);
        println!("{parts:?}: {kept}");
        let _ = most;
    }
}

#[test]
fn a_document_is_read_in_few_allocations() {
    let document = NODE.document(0);
    let counted = allocation_counter::measure(|| {
        Summary::from_slice(&document).unwrap();
    });
    println!("{counted:?}");
}

#[test]
fn timing() {
    let document = NODE.document(0);
    for parts in [Parts::ALL, Parts::USAGE, Parts::STORAGE] {
        let mut best = u128::MAX;
        for _ in 0..200 {
            let began = std::time::Instant::now();
            std::hint::black_box(Summary::from_slice_keeping(&document, parts).unwrap());
            best = best.min(began.elapsed().as_micros());
        }
        println!("{parts:?} {best} us");
    }
    let mut best = u128::MAX;
    for _ in 0..200 {
        let began = std::time::Instant::now();
        std::hint::black_box(serde_json::from_slice::<serde::de::IgnoredAny>(&document).unwrap());
        best = best.min(began.elapsed().as_micros());
    }
    println!("ignored {best} us");
}
