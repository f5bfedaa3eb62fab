//! What an index of a node holds in memory, and that churn leaves nothing.
//!
//! A program of its own: allocations are counted per thread.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::time::Duration;

use allocation_counter::measure;
use common::{Host, container, id, pod};
use nri_plugin::index::{ContainerIndex, ContainerInfo, Event};
use tokio::runtime::Runtime;
use tokio::time::advance;

fn paused() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

#[test]
fn ten_thousand_containers_that_come_and_go_leave_nothing() {
    let host = Host::unified();
    let index = ContainerIndex::builder(host.cgroups()).build();
    // Cgroups are used again, so that the test is of the index and not of the file system.
    let path = |number: usize| container(number % 100, 0).cgroups_path;
    let inside: Vec<u64> = (0..100).map(|number| host.make(&format!("{}/container", path(number)))).collect();
    let cycle = |from: usize, to: usize| {
        paused().block_on(async {
            for number in from..to {
                index.apply(Event::PodStarted(pod(number)));
                let told = ContainerInfo { cgroups_path: path(number), ..container(number, number) };
                index.apply(Event::ContainerStarted(told));
                let name = format!("app-{number}");
                assert_eq!(index.by_cgroup_id(inside[number % 100]).unwrap().name(), Some(name.as_str()));
                index.apply(Event::ContainerStopped(id(number)));
                index.apply(Event::ContainerRemoved(id(number)));
                index.apply(Event::PodRemoved(pod(number).id));
                advance(Duration::from_secs(1)).await;
            }
            assert!(index.len() <= 122, "a minute's containers and sandboxes, and no more: {}", index.len());
            advance(Duration::from_secs(61)).await;
            index.apply(Event::ContainerStopped(id(0)));
            assert!(index.is_empty());
        });
    };
    cycle(0, 1_000);
    let counted = measure(|| cycle(1_000, 11_000));
    // Some is garbage that waits for its collection; 10,000 containers would be 15 MB.
    println!("{} bytes stayed", counted.bytes_current);
    assert!(counted.bytes_current < 200_000, "{} bytes stayed", counted.bytes_current);
}

#[test]
fn a_thousand_pods_take_less_than_four_megabytes() {
    let host = Host::unified();
    let index = ContainerIndex::builder(host.cgroups()).build();
    for number in 0..1_000 {
        host.make(&container(number, number).cgroups_path);
    }
    let counted = measure(|| {
        for number in 0..1_000 {
            index.apply(Event::PodStarted(pod(number)));
            index.apply(Event::ContainerStarted(container(number, number)));
        }
    });
    assert_eq!(index.len(), 2_000);
    println!("{} bytes for 1,000 containers and their sandboxes", counted.bytes_current);
    assert!(counted.bytes_current < 4_000_000, "{} bytes", counted.bytes_current);
}
