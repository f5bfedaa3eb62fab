//! What a cache of many nodes holds in memory, and that churn leaves nothing.
//!
//! A program of its own with a single-threaded runtime: allocations are counted per thread.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use allocation_counter::measure;
use futures::stream;
use k8s_openapi::api::coordination::v1::Lease;
use kube::runtime::watcher::{Error, Event};
use node_lease::LeaseCache;
use serde_json::{from_value, json};
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

fn lease(node: usize) -> Lease {
    const TYPES: [&str; 4] = ["m6i.4xlarge", "m6i.8xlarge", "c6i.8xlarge", "r6i.4xlarge"];
    const ZONES: [&str; 3] = ["us-east-1a", "us-east-1b", "us-east-1c"];
    from_value(json!({
        "metadata": {"namespace": "amazon-cloudwatch", "name": format!("cwagent-node-metadata-ip-10-0-{}-{}.us-east-1.compute.internal", node / 256, node % 256), "annotations": {
            "cwagent.amazonaws.com/host.id": format!("i-{node:017x}"),
            "cwagent.amazonaws.com/host.name": format!("ip-10-0-{}-{}.us-east-1.compute.internal", node / 256, node % 256),
            "cwagent.amazonaws.com/host.type": TYPES[node % 4],
            "cwagent.amazonaws.com/host.image.id": "ami-0123456789abcdef0",
            "cwagent.amazonaws.com/cloud.availability_zone": ZONES[node % 3],
            "cwagent.amazonaws.com/cloud.provider": "aws",
            "cwagent.amazonaws.com/cloud.region": "us-east-1",
            "cwagent.amazonaws.com/cloud.account.id": "123456789012",
            "cwagent.amazonaws.com/schema.version": "1",
        }},
        "spec": {"leaseDurationSeconds": 7200, "renewTime": jiff::Timestamp::now().to_string()},
    }))
    .unwrap()
}

struct Fed {
    runtime: Runtime,
    cache: LeaseCache,
    send: UnboundedSender<Result<Event<Lease>, Error>>,
}

impl Fed {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let (send, receive) = unbounded_channel();
        let events = stream::unfold(receive, async |mut receive| Some((receive.recv().await?, receive)));
        let cache = runtime.block_on(async { LeaseCache::from_stream(events, "amazon-cloudwatch").spawn() });
        let fed = Self { runtime, cache, send };
        fed.tell([Event::Init, Event::InitDone]);
        fed
    }

    /// Returns once everything was taken in.
    fn tell(&self, events: impl IntoIterator<Item = Event<Lease>>) {
        for event in events {
            self.tell_quietly(event);
        }
        self.runtime.block_on(async { tokio::time::sleep(Duration::from_millis(1)).await });
    }

    /// Returns once it was taken in, or soon will be.
    fn tell_quietly(&self, event: Event<Lease>) {
        self.send.send(Ok(event)).unwrap();
        self.runtime.block_on(tokio::task::yield_now());
    }

    fn nodes(&self) -> u64 {
        self.cache.status().nodes
    }
}

/// Both in one test: a look-up in another thread would hold up the collection of what was freed.
#[test]
fn ten_thousand_nodes_take_less_than_five_megabytes_and_leave_nothing() {
    let mut fed = None;
    let counted = measure(|| {
        let filled = Fed::new();
        filled.tell((0..10_000).map(|node| Event::Apply(lease(node))));
        fed = Some(filled);
    });
    let fed = fed.unwrap();
    assert_eq!(fed.nodes(), 10_000);
    println!("{} bytes for 10,000 nodes", counted.bytes_current);
    assert!(counted.bytes_current < 5_000_000, "{} bytes", counted.bytes_current);

    // They go and others come, one by one; then a list has none of them.
    let round = |from: usize, to: usize| {
        for node in from..to {
            fed.tell_quietly(Event::Delete(lease(node - 10_000)));
            fed.tell_quietly(Event::Apply(lease(node)));
        }
        fed.tell([]);
        assert_eq!(fed.nodes(), 10_000);
        let again = (from..to).map(|node| Event::InitApply(lease(node + 10_000)));
        fed.tell([Event::Init].into_iter().chain(again).chain([Event::InitDone]));
        assert_eq!(fed.nodes(), 10_000);
    };
    let first = measure(|| round(10_000, 20_000));
    let second = measure(|| round(30_000, 40_000));
    println!("{} bytes more after one round, {} after the next", first.bytes_current, second.bytes_current);
    // Some is garbage that waits for its collection; what each round left would add up.
    assert!(second.bytes_current < 300_000, "{} bytes stayed of 20,000 nodes", second.bytes_current);
}
