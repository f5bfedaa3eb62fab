//! What goes wrong around a pipeline → what its sinks get all the same.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use cluster_sim::{Sim, Verb};
use futures::FutureExt;
use jiff::SignedDuration;
use kube::client::Body;
use kube_events::checkpoint::{Checkpoint, Memory};
use kube_events::object::Omitted;
use kube_events::pipeline::Pipeline;
use kube_events::sink::{OutletOptions, SpillOptions};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::pipeline::{Kept, builder, is_ready, to};
use super::support::*;

/// Waits until a sink has so many.
async fn has(sink: &Kept, count: usize) {
    let arrived = async {
        while sink.got().len() < count {
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(HOUR, arrived).await.unwrap_or_else(|_| panic!("{} of {count}", sink.got().len()));
}

#[tokio::test(start_paused = true)]
async fn a_storm_about_deleted_pods_reads_each_once_or_twice() {
    let sim = cluster().await;
    let sink = Kept::rich();
    let pipeline = to(&sim, &sink).await;
    is_ready(&pipeline).await;
    for n in 0..10_000 {
        let mut event = event(&sim, &format!("e{n}"), 0);
        let pod = format!("gone-{}", n % 100);
        event["involvedObject"] =
            serde_json::to_value(json!({"kind": "Pod", "apiVersion": "v1", "namespace": NAMESPACE,
            "name": pod, "uid": format!("uid-of-{pod}"), "resourceVersion": n.to_string()}))
            .unwrap();
        sim.upsert(event).unwrap();
        if n % 100 == 99 {
            sleep(Duration::from_millis(300)).await;
        }
    }
    has(&sink, 10_000).await;
    assert!(sink.got().iter().all(|event| event["involvedObject"]["deletionState"] == "yes"));
    let reads = sim.requests().count(Verb::Get, "pods");
    assert!((100..=200).contains(&reads), "{reads}");
}

/// The process ends in the middle of it, and another goes on.
#[tokio::test(start_paused = true)]
async fn a_webhook_that_is_down_for_an_hour_gets_all_in_order_in_the_end() {
    let sim = cluster().await;
    let (sink, checkpoint) = (Kept::default(), Arc::new(Memory::default()));
    let directory = tempfile::tempdir().unwrap();
    let spawn = async || {
        let spill = Some(SpillOptions::new(directory.path()));
        let options = OutletOptions { queue: 100, spill, ..OutletOptions::default() };
        let pipeline = builder(&sim).objects(Omitted).receiver("hook", sink.clone(), options);
        pipeline.checkpoint(checkpoint.clone()).spawn().await.unwrap()
    };
    let mut pipeline = spawn().await;
    is_ready(&pipeline).await;
    let mut names = Vec::new();
    let mut go_on = async |seconds: usize| {
        for _ in 0..seconds {
            names.push(format!("e{}", names.len()));
            happen(&sim, names.last().unwrap());
            sleep(SECOND).await;
        }
    };
    go_on(60).await;
    assert_eq!(sink.got().len(), 60);
    sink.hangs.store(true, Ordering::Relaxed);
    go_on(1800).await;
    let status = &pipeline.status().outlets[0].1;
    assert!(status.spilled > 1_500 && status.dropped == 0, "{status:?}");
    pipeline.shutdown().await;
    go_on(60).await;
    pipeline = spawn().await;
    go_on(1800).await;
    assert_eq!(sink.got().len(), 60, "it is down");
    sink.hangs.store(false, Ordering::Relaxed);
    go_on(60).await;
    has(&sink, names.len()).await;
    pipeline.shutdown().await;
    assert_eq!(sink.texts(), names, "each once, in order");
}

/// Such events had the labels of one another in kubernetes-event-exporter.
#[tokio::test(start_paused = true)]
async fn events_without_a_uid_get_the_labels_of_their_own_objects() {
    let sim = cluster().await;
    for name in ["web-0", "web-1"] {
        sim.upsert(pod(name)).unwrap();
    }
    let sink = Kept::default();
    let pipeline = to(&sim, &sink).await;
    is_ready(&pipeline).await;
    for n in 0..20 {
        let mut event = event(&sim, &format!("e{n}"), 0);
        event["involvedObject"] =
            json!({"kind": "Pod", "apiVersion": "v1", "namespace": NAMESPACE, "name": format!("web-{}", n % 3)});
        sim.upsert(event).unwrap();
    }
    has(&sink, 20).await;
    for (n, event) in sink.got().iter().enumerate() {
        let object = &event["involvedObject"];
        let labels = if n % 3 == 2 { Value::Null } else { json!({"app": format!("web-{}", n % 3)}) };
        assert_eq!((&object["labels"], &object["deleted"]), (&labels, &json!(n % 3 == 2)), "{event}");
    }
    assert_eq!(sim.requests().count(Verb::Get, "pods"), 3, "one for each");
}

#[tokio::test(start_paused = true)]
async fn huge_messages_are_cut_and_marked_and_cost_no_neighbour() {
    let sim = cluster().await;
    let sink = Kept::rich();
    let pipeline = to(&sim, &sink).await;
    is_ready(&pipeline).await;
    happen(&sim, "before");
    let mut huge = event(&sim, "huge", 0);
    huge["message"] = json!("é".repeat(500_000));
    huge["metadata"]["annotations"] = json!({"a": "x".repeat(200_000)});
    sim.upsert(huge).unwrap();
    happen(&sim, "after");
    has(&sink, 3).await;
    let got = sink.got();
    let (message, marks) = (got[1]["message"].as_str().unwrap(), &got[1]["marks"]);
    assert!(message.len() < 33 << 10 && message.ends_with("bytes cut]"), "{}", message.len());
    assert_eq!(marks["messageCut"], 1_000_000 - (32 << 10));
    assert_eq!((&got[0]["message"], &got[2]["message"]), (&json!("before"), &json!("after")));
    assert_eq!((&got[0]["marks"], &got[2]["marks"]), (&Value::Null, &Value::Null));
}

/// A server whose list is empty, whose first watch is these bytes, and whose others say nothing.
fn raw(bytes: &'static [u8]) -> kube::Client {
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let query = request.uri().query().unwrap_or_default().to_owned();
        let body = match (query.contains("watch=true"), query.contains("resourceVersion=5")) {
            (false, _) => br#"{"metadata":{"resourceVersion":"5"},"items":[]}"#.to_vec(),
            (true, true) => bytes.to_vec(),
            (true, false) => Vec::new(),
        };
        async move { Ok::<_, kube::Error>(http::Response::new(Body::from(body))) }.boxed()
    });
    kube::Client::new(service, "default")
}

#[tokio::test(start_paused = true)]
async fn bytes_that_are_no_utf_8_are_replaced_and_marked() {
    let client = raw(b"{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"uid\":\"a\",\"resourceVersion\":\"6\"},\"message\":\"one\"}}
{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"uid\":\"b\",\"resourceVersion\":\"7\",\"labels\":{\"k\xff\":\"\xc3\x28\"}},\"message\":\"t\xffw\xf0\x9fo\"}}
{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"uid\":\"c\",\"resourceVersion\":\"8\"},\"message\":\"three\"}}
");
    let sink = Kept::rich();
    let pipeline = Pipeline::builder(client)
        .objects(Omitted)
        .receiver("kept", sink.clone(), OutletOptions::default())
        .spawn()
        .await
        .unwrap();
    has(&sink, 3).await;
    drop(pipeline);
    let got = sink.got();
    assert_eq!(sink.texts(), ["one", "t\u{fffd}w\u{fffd}o", "three"]);
    assert_eq!(got[1]["metadata"]["labels"], json!({"k\u{fffd}": "\u{fffd}("}));
    assert_eq!((&got[1]["marks"]["invalidUtf8"], &got[0]["marks"]), (&json!(true), &Value::Null));
}

/// An event by a clock that is wrong by so much.
fn skewed(sim: &Sim, name: &str, by: SignedDuration) {
    sim.upsert(event(sim, name, -by.as_secs())).unwrap();
}

#[tokio::test(start_paused = true)]
async fn clocks_of_writers_and_ours_may_be_wrong() {
    let hour = SignedDuration::from_hours(1);
    for ours in [-hour, SignedDuration::ZERO, hour] {
        let sim = cluster().await;
        let (sink, checkpoint) = (Kept::default(), Arc::new(Memory::default()));
        let spawn = async |sim: &Sim| {
            let right = clock(sim);
            let pipeline = Pipeline::builder(sim.client_in_memory())
                .clock(move || kube_events::Clock::now(&right) + ours)
                .objects(Omitted)
                .receiver("kept", sink.clone(), OutletOptions::default())
                .checkpoint(checkpoint.clone())
                .spawn()
                .await
                .unwrap();
            is_ready(&pipeline).await;
            pipeline
        };
        let pipeline = spawn(&sim).await;
        for (name, by) in
            [("right", SignedDuration::ZERO), ("ahead", hour), ("behind", -hour), ("right again", -hour / 60)]
        {
            skewed(&sim, name, by);
            sleep(SECOND).await;
        }
        pipeline.shutdown().await;
        // What happens meanwhile is told, by whatever clock, whether the position is still known or not.
        for (name, by) in [("meanwhile", SignedDuration::ZERO), ("meanwhile, behind", -hour)] {
            skewed(&sim, name, by);
        }
        let pipeline = spawn(&sim).await;
        sleep(SECOND).await;
        pipeline.shutdown().await;
        for (name, by) in [("forgotten", SignedDuration::ZERO), ("forgotten, behind", -hour)] {
            skewed(&sim, name, by);
        }
        sleep(10 * MINUTE).await;
        sim.compact_now();
        let pipeline = spawn(&sim).await;
        sleep(SECOND).await;
        pipeline.shutdown().await;
        let expected = [
            "right",
            "ahead",
            "behind",
            "right again",
            "meanwhile",
            "meanwhile, behind",
            "forgotten",
            "forgotten, behind",
        ];
        assert_eq!(sink.texts(), expected, "{ours:?}");
    }
}

/// Where versions tell nothing, times do: a clock that was ahead once must not hide what happens until then.
#[tokio::test(start_paused = true)]
async fn a_writer_s_clock_that_is_ahead_hides_nothing_in_a_cluster_with_another_history() {
    let (sink, checkpoint) = (Kept::default(), Arc::new(Memory::default()));
    let run = async |sim: &Sim| {
        let pipeline = builder(sim)
            .objects(Omitted)
            .receiver("kept", sink.clone(), OutletOptions::default())
            .checkpoint(checkpoint.clone())
            .spawn()
            .await
            .unwrap();
        is_ready(&pipeline).await;
        sleep(MINUTE).await;
        pipeline.shutdown().await;
    };
    let before = cluster().await;
    for n in 0..100 {
        before.upsert(pod(&format!("p{n}"))).unwrap();
    }
    skewed(&before, "ahead", SignedDuration::from_hours(1));
    run(&before).await;
    let after = Sim::builder().now(before.now() + SignedDuration::from_mins(1)).objects([namespace(NAMESPACE)]);
    let after = after.start().await.unwrap();
    assert!(after.resource_version() < before.resource_version());
    happen(&after, "new");
    run(&after).await;
    assert_eq!(sink.texts(), ["ahead", "new"]);
    assert!(checkpoint.load().await.unwrap().unwrap().of("").unwrap().last_event.unwrap() <= after.now());
}
