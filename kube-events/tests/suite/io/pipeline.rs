//! Events in a simulated cluster → what sinks get, through all rooms.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::Duration;

use cluster_sim::{Fault, Sim};
use futures::FutureExt;
use futures::future::BoxFuture;
use kube_events::checkpoint::{Checkpoint, ConfigMap, LeaseAnnotation, Memory};
use kube_events::event::{Deletion, EnhancedEvent, OccurrenceKind};
use kube_events::object::Omitted;
use kube_events::pipeline::{ElectionOptions, Phase, Pipeline, PipelineBuilder, PipelineError, PipelineOptions};
use kube_events::route::{Route, Rule};
use kube_events::sink::{Delivery, DeliveryError, EncodeError, OutletOptions, OverflowPolicy, Record, Sink};
use parking_lot::Mutex;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use super::leader::cut;
use super::support::*;

/// Keeps what it is sent, as JSON; takes nothing while it hangs.
#[derive(Clone, Default)]
pub(crate) struct Kept {
    pub(crate) rich: bool,
    pub(crate) hangs: Arc<AtomicBool>,
    got: Arc<Mutex<Vec<Value>>>,
}

impl Kept {
    pub(crate) fn rich() -> Self {
        Self { rich: true, ..Self::default() }
    }

    pub(crate) fn got(&self) -> Vec<Value> {
        self.got.lock().clone()
    }

    pub(crate) fn texts(&self) -> Vec<String> {
        self.got().iter().map(|event| event["message"].as_str().unwrap().to_owned()).collect()
    }

    /// How often each came.
    pub(crate) fn times(&self) -> BTreeMap<String, usize> {
        let mut times = BTreeMap::new();
        for text in self.texts() {
            *times.entry(text).or_default() += 1;
        }
        times
    }
}

impl Sink for Kept {
    fn kind(&self) -> &'static str {
        "kept"
    }

    fn encode(&self, event: &EnhancedEvent) -> Result<Record, EncodeError> {
        let body = if self.rich { serde_json::to_vec(&event.rich()).unwrap() } else { event.to_json() };
        Ok(Record::new(event, body))
    }

    fn deliver<'a>(&'a self, batch: &'a [Record]) -> BoxFuture<'a, Result<Delivery, DeliveryError>> {
        async {
            if self.hangs.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
            let events = batch.iter().map(|record| serde_json::from_slice(&record.body).unwrap());
            self.got.lock().extend(events);
            Ok(Delivery::default())
        }
        .boxed()
    }
}

pub(crate) fn builder(sim: &Sim) -> PipelineBuilder {
    Pipeline::builder(sim.client_in_memory()).clock(clock(sim))
}

pub(crate) async fn to(sim: &Sim, sink: &Kept) -> Pipeline {
    builder(sim).receiver("kept", sink.clone(), OutletOptions::default()).spawn().await.unwrap()
}

pub(crate) async fn is_ready(pipeline: &Pipeline) {
    timeout(MINUTE, pipeline.ready()).await.unwrap_or_else(|_| panic!("not ready: {pipeline:?}"));
}

#[tokio::test(start_paused = true)]
async fn counts_that_rise_are_told_by_their_difference() {
    let recorded = Recorded::default();
    let _recording = metrics::set_default_local_recorder(&recorded);
    let sim = cluster().await;
    sim.upsert(pod("web-0")).unwrap();
    let (sink, taps) = (Kept::rich(), Arc::new(Mutex::new(Vec::new())));
    let tap = taps.clone();
    let pipeline = builder(&sim)
        .receiver("kept", sink.clone(), OutletOptions::default())
        .on_event(move |event| tap.lock().push(event.occurrence.unwrap()))
        .spawn()
        .await
        .unwrap();
    is_ready(&pipeline).await;
    let mut event = event(&sim, "back-off", 0);
    for count in [1, 4, 4, 11] {
        event["count"] = json!(count);
        event["metadata"]["annotations"] = json!({"touched": sim.resource_version().to_string()});
        sim.upsert(event.clone()).unwrap();
        sleep(SECOND).await;
    }
    let told: Vec<_> = taps.lock().iter().map(|it| (it.delta, it.count, it.kind)).collect();
    assert_eq!(told, [(1, 1, OccurrenceKind::New), (3, 4, OccurrenceKind::Again), (7, 11, OccurrenceKind::Again)]);
    assert_eq!(sink.got().len(), 3);
    let status = pipeline.status();
    assert_eq!((status.events, status.deltas.again, status.deltas.unchanged), (3, 2, 1));
    assert_eq!((status.phase, status.waiting, status.outlets[0].1.delivered), (Phase::Running, 0, 3));
    let exposition = pipeline.exposition("kube_events_total");
    let line = r#"kube_events_total{type="Normal",reason="Tested",kind="Pod",namespace="web"} 11"#;
    assert!(exposition.contains(line), "{exposition}");
    assert_eq!(recorded.get("events_sent"), 3);
    assert_eq!(recorded.get("kube_events_pipeline_skipped_total reason=unchanged"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_restart_loses_and_repeats_nothing() {
    let sim = cluster().await;
    let (sink, checkpoint) = (Kept::default(), Arc::new(Memory::default()));
    let spawn = async || {
        let receiver = builder(&sim).receiver("kept", sink.clone(), OutletOptions::default());
        receiver.checkpoint(checkpoint.clone()).spawn().await.unwrap()
    };
    let mut expected = Vec::new();
    for round in 0..10 {
        let pipeline = spawn().await;
        is_ready(&pipeline).await;
        for n in 0..20 {
            let name = format!("{round}-{n}");
            // Some while it does not run, and longer ago than any age that is told at a fresh start.
            if n == 10 {
                pipeline.shutdown().await;
                pipeline.shutdown().await;
                assert_eq!(pipeline.status().phase, Phase::Stopped);
            }
            happen(&sim, &name);
            expected.push(name);
            sleep(SECOND).await;
        }
    }
    let pipeline = spawn().await;
    is_ready(&pipeline).await;
    pipeline.shutdown().await;
    assert_eq!(sink.texts(), expected, "each once, in order");
}

#[tokio::test(start_paused = true)]
async fn crashes_lose_nothing_and_repeat_a_few_seconds() {
    for seed in 0..5 {
        let mut dice = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
        let sim = cluster().await;
        sim.faults().add(Fault::on_any().resource("pods").share(0.2).latency(SECOND));
        let (sink, checkpoint) = (Kept::default(), Arc::new(Memory::default()));
        let spawn = async || {
            let receiver = builder(&sim).receiver("kept", sink.clone(), OutletOptions::default());
            receiver.checkpoint(checkpoint.clone()).spawn().await.unwrap()
        };
        let mut pipeline = spawn().await;
        is_ready(&pipeline).await;
        let (mut happened, mut crashes) = (0, 0);
        for _ in 0..600 {
            happen(&sim, &format!("e{happened}"));
            happened += 1;
            sleep(Duration::from_millis(dice.random_range(0..400))).await;
            // The first position is kept at once: before that a crash is a fresh start.
            if happened > 50 && dice.random_bool(0.03) {
                drop(pipeline);
                crashes += 1;
                sleep(Duration::from_millis(dice.random_range(0..20_000))).await;
                pipeline = spawn().await;
            }
        }
        sleep(MINUTE).await;
        pipeline.shutdown().await;
        let times = sink.times();
        assert_eq!(times.len(), happened, "seed {seed}: at least once each");
        let repeated = sink.got().len() - happened;
        // Within 5 s there are 25 events, and some were on their way.
        assert!(crashes >= 5 && repeated > 0, "seed {seed}: {crashes} crashes repeat {repeated}");
        assert!(repeated <= crashes * 40, "seed {seed}: {crashes} crashes repeat {repeated}");
    }
}

#[tokio::test(start_paused = true)]
async fn events_whose_objects_can_t_be_read_go_on_as_unknown() {
    for (how, fault) in [
        ("429", Fault::on_any().resource("pods").status(429)),
        ("503", Fault::on_any().resource("pods").status(503)),
        ("slow", Fault::on_any().resource("pods").latency(HOUR)),
        ("unreachable", Fault::on_any().resource("pods").reset_before()),
    ] {
        let sim = cluster().await;
        sim.upsert(pod("web-0")).unwrap();
        let (sink, rich) = (Kept::default(), Kept::rich());
        let pipeline = builder(&sim)
            .receiver("kept", sink.clone(), OutletOptions::default())
            .receiver("rich", rich.clone(), OutletOptions::default())
            .spawn()
            .await
            .unwrap();
        is_ready(&pipeline).await;
        sim.faults().add(fault);
        let began = Instant::now();
        let names: Vec<String> = (0..100).map(|n| format!("e{n}")).collect();
        for name in &names {
            happen(&sim, name);
        }
        while sink.got().len() < names.len() {
            sleep(SECOND).await;
            assert!(began.elapsed() < MINUTE, "{how}: {} in {:?}", sink.got().len(), began.elapsed());
        }
        assert_eq!(sink.texts(), names, "{how}");
        assert!(sink.got().iter().all(|event| event["involvedObject"]["deleted"] == false), "{how}");
        let state = |event: &Value| event["involvedObject"]["deletionState"] == "unknown";
        assert!(rich.got().iter().all(state), "{how}: {}", rich.got()[0]);
        // It recovers.
        sim.faults().clear();
        sleep(6 * MINUTE).await;
        happen(&sim, "after");
        sleep(10 * SECOND).await;
        assert_eq!(sink.got().last().unwrap()["involvedObject"]["labels"]["app"], "web-0", "{how}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_hangs_holds_up_nobody_and_no_shutdown() {
    let sim = cluster().await;
    let (good, stuck) = (Kept::default(), Kept::default());
    let checkpoint = Arc::new(Memory::default());
    let spawn = async |queue| {
        let options = OutletOptions { queue, ..OutletOptions::default() };
        let receivers = builder(&sim)
            .objects(Omitted)
            .options(PipelineOptions { positions: 50, ..PipelineOptions::default() })
            .receiver("stuck", stuck.clone(), options)
            .receiver("good", good.clone(), OutletOptions::default());
        receivers.checkpoint(checkpoint.clone()).spawn().await.unwrap()
    };
    let pipeline = spawn(10).await;
    is_ready(&pipeline).await;
    stuck.hangs.store(true, Ordering::Relaxed);
    let names: Vec<String> = (0..500).map(|n| format!("e{n}")).collect();
    for name in &names {
        happen(&sim, name);
        sleep(Duration::from_millis(10)).await;
    }
    sleep(SECOND).await;
    assert_eq!(good.texts(), names);
    let status = pipeline.status();
    assert_eq!((status.events, status.untracked), (500, 0));
    assert!(status.waiting <= 50, "{}", status.waiting);
    let dropped = status.outlets[0].1.dropped;
    assert!((480..500).contains(&dropped), "counted: {dropped}");
    let began = Instant::now();
    pipeline.shutdown().await;
    assert!(began.elapsed() <= 30 * SECOND, "{:?}", began.elapsed());
    assert_eq!(pipeline.status().phase, Phase::Stopped);
    // What it did not take comes again, with all after it.
    stuck.hangs.store(false, Ordering::Relaxed);
    let pipeline = spawn(1000).await;
    is_ready(&pipeline).await;
    sleep(SECOND).await;
    pipeline.shutdown().await;
    let first = stuck.texts();
    let begins: usize = first[0].trim_start_matches('e').parse().unwrap();
    assert!(begins < 20, "what was in flight is the first that is not acknowledged: {begins}");
    assert_eq!(first, names[begins..]);
    assert!(good.times().values().all(|times| (1..=2).contains(times)));
}

#[tokio::test(start_paused = true)]
async fn labels_of_namespaces_are_read_where_a_rule_asks_for_them() {
    for asks in [false, true] {
        let sim = cluster().await;
        let (web, rest) = (Kept::default(), Kept::default());
        let mut rule = Rule { receiver: "web".to_owned(), ..Rule::default() };
        if asks {
            rule.namespace_labels = [("team".to_owned(), "^web$".to_owned())].into();
        }
        let other = Rule { namespace: "nowhere".to_owned(), receiver: "rest".to_owned(), ..Rule::default() };
        let pipeline = builder(&sim)
            .receiver("rest", rest.clone(), OutletOptions::default())
            .receiver("web", web.clone(), OutletOptions::default())
            .route(Route { match_: vec![other, rule], ..Route::default() })
            .spawn()
            .await
            .unwrap();
        is_ready(&pipeline).await;
        sim.requests().clear();
        for (name, within) in [("a", "web"), ("b", "other"), ("c", "web")] {
            let mut event = event(&sim, name, 0);
            event["metadata"]["namespace"] = json!(within);
            event["involvedObject"]["namespace"] = json!(within);
            sim.upsert(event).unwrap();
        }
        sleep(MINUTE).await;
        let expected: &[&str] = if asks { &["a", "c"] } else { &["a", "b", "c"] };
        assert_eq!(web.texts(), expected);
        assert_eq!(rest.texts(), [""; 0]);
        let reads = sim.requests().newest().iter().filter(|request| request.resource == "namespaces").count();
        assert_eq!(reads, if asks { 2 } else { 0 }, "one for each");
        assert_eq!(pipeline.status().unrouted, u64::from(asks));
    }
}

/// Two replicas; the leader is cut off while events go on.
#[tokio::test(start_paused = true)]
async fn of_two_replicas_one_emits_and_a_partition_repeats_15_seconds_at_most() {
    partition(|client| Arc::new(ConfigMap::new(client, NAMESPACE, "events"))).await;
    partition(|client| Arc::new(LeaseAnnotation::new(client, NAMESPACE, "events"))).await;
}

async fn partition(checkpoint: impl Fn(kube::Client) -> Arc<dyn Checkpoint>) {
    let sim = cluster().await;
    let switches = [Arc::new(AtomicU8::new(0)), Arc::new(AtomicU8::new(0))];
    let sinks = [Kept::default(), Kept::default()];
    let mut pipelines = Vec::new();
    for (n, (switch, sink)) in switches.iter().zip(&sinks).enumerate() {
        let client = cut(&sim, switch);
        let pipeline = Pipeline::builder(client.clone())
            .clock(clock(&sim))
            .receiver("kept", sink.clone(), OutletOptions::default())
            .checkpoint(checkpoint(client))
            .election(ElectionOptions::new(NAMESPACE, "events", format!("replica-{n}")))
            .spawn()
            .await
            .unwrap();
        is_ready(&pipeline).await;
        sleep(10 * SECOND).await;
        pipelines.push(pipeline);
    }
    assert_eq!(pipelines[0].status().phase, Phase::Running);
    let standby = pipelines[1].status();
    assert_eq!((standby.phase.clone(), standby.leader.as_deref()), (Phase::Standby, Some("replica-0")));
    assert!(standby.is_ready());
    let mut happened = 0;
    let mut go_on = async |time: Duration| {
        let end = Instant::now() + time;
        while Instant::now() < end {
            happen(&sim, &format!("e{happened}"));
            happened += 1;
            sleep(Duration::from_millis(200)).await;
        }
        happened
    };
    go_on(MINUTE).await;
    assert_eq!((sinks[0].got().is_empty(), sinks[1].got().len()), (false, 0));
    switches[0].store(1, Ordering::Relaxed);
    go_on(MINUTE).await;
    assert_eq!(pipelines[1].status().phase, Phase::Running);
    assert_eq!(pipelines[0].status().phase, Phase::Standby);
    switches[0].store(0, Ordering::Relaxed);
    go_on(MINUTE).await;
    // One that ends hands over, and repeats nothing.
    sleep(10 * SECOND).await;
    let repeated_by_partition = sinks.iter().map(|sink| sink.got().len()).sum::<usize>() - go_on(Duration::ZERO).await;
    pipelines[1].shutdown().await;
    let happened = go_on(MINUTE).await;
    sleep(10 * SECOND).await;
    assert_eq!(pipelines[0].status().phase, Phase::Running);
    let mut times = sinks[0].times();
    for (text, n) in sinks[1].times() {
        *times.entry(text).or_default() += n;
    }
    assert_eq!(times.len(), happened, "each at least once");
    assert!(times.values().all(|times| *times <= 2));
    let repeated = times.values().filter(|times| **times == 2).count();
    // What was sent within the 5 s between two writes of the position, and, as the watch that was open goes on, within
    // the 10 s after which one that can't renew ceases to lead.
    assert!((1..=16 * 5).contains(&repeated), "{repeated}");
    assert_eq!(repeated, repeated_by_partition, "the handover repeats nothing");
}

#[tokio::test(start_paused = true)]
async fn gaps_are_told_and_what_is_wrong_with_the_parts_is_an_error() {
    let sim = cluster().await;
    let (sink, checkpoint, gaps) = (Kept::default(), Arc::new(Memory::default()), Arc::new(Mutex::new(Vec::new())));
    let spawn = async || {
        let gaps = gaps.clone();
        builder(&sim)
            .receiver("kept", sink.clone(), OutletOptions::default())
            .checkpoint(checkpoint.clone())
            .on_gap(move |gap| gaps.lock().push(gap.reason.as_str()))
            .spawn()
            .await
            .unwrap()
    };
    let pipeline = spawn().await;
    is_ready(&pipeline).await;
    happen(&sim, "a");
    sleep(SECOND).await;
    pipeline.shutdown().await;
    happen(&sim, "b");
    sleep(10 * MINUTE).await;
    sim.compact_now();
    let pipeline = spawn().await;
    is_ready(&pipeline).await;
    sleep(SECOND).await;
    assert_eq!((sink.texts(), gaps.lock().clone()), (vec!["a".to_owned(), "b".to_owned()], vec!["compacted"]));
    assert_eq!((pipeline.status().gaps, pipeline.status().last_gap.is_some()), (1, true));

    let rule = Rule { receiver: "nobody".to_owned(), ..Rule::default() };
    let route = Route { match_: vec![rule], ..Route::default() };
    let error = builder(&sim).route(route).spawn().await.unwrap_err();
    assert!(matches!(error, PipelineError::Route(_)) && error.to_string().contains("nobody"), "{error}");
    let twice = builder(&sim).receiver("a", sink.clone(), OutletOptions::default());
    let error = twice.receiver("a", sink.clone(), OutletOptions::default()).spawn().await.unwrap_err();
    assert!(matches!(error, PipelineError::SameName(_)), "{error}");
}

#[tokio::test(start_paused = true)]
async fn objects_that_are_gone_and_owners_are_told() {
    let sim = cluster().await;
    let mut web = pod("web-0");
    web["metadata"]["ownerReferences"] =
        json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "rs", "controller": true}]);
    sim.upsert(web).unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let tap = seen.clone();
    let pipeline = builder(&sim)
        .options(PipelineOptions { owners: 3, ..PipelineOptions::default() })
        .on_event(move |event| tap.lock().push((event.object.deletion, event.owner_chain.len())))
        .spawn()
        .await
        .unwrap();
    is_ready(&pipeline).await;
    happen(&sim, "there");
    sleep(SECOND).await;
    let mut gone = event(&sim, "gone", 0);
    gone["involvedObject"]["name"] = json!("web-9");
    sim.upsert(gone).unwrap();
    sleep(SECOND).await;
    assert_eq!(*seen.lock(), [(Deletion::No, 1), (Deletion::Yes, 0)]);
    assert_eq!(pipeline.status().unrouted, 2, "there are no receivers");
}

#[cfg(feature = "config")]
#[tokio::test(start_paused = true)]
async fn a_configuration_says_how() {
    use kube_events::config::{Config, Strictness};
    let yaml = r"
clusterName: prod
namespace: other
omitLookup: true
route:
  drop: [{reason: Noise}]
  match: [{receiver: dump}]
receivers:
  - name: dump
    stdout: {}
    delivery: {queue: {events: 7, onFull: dropNewest}, timeout: 3s}
";
    let config = Config::parse(yaml, Strictness::Strict, &|_| None).unwrap();
    let sim = cluster().await;
    let sink = Kept::default();
    let options = config.receivers[0].delivery.outlet_options();
    let pipeline = builder(&sim).config(&config).receiver("dump", sink.clone(), options).spawn().await.unwrap();
    is_ready(&pipeline).await;
    for (name, within, reason) in [("a", "web", "Good"), ("b", "other", "Noise"), ("c", "other", "Good")] {
        let mut event = event(&sim, name, 0);
        (event["metadata"]["namespace"], event["involvedObject"]["namespace"]) = (json!(within), json!(within));
        event["reason"] = json!(reason);
        sim.upsert(event).unwrap();
    }
    sleep(SECOND).await;
    assert_eq!(sink.texts(), ["c"]);
    assert_eq!(sink.got()[0]["clusterName"], "prod");
    assert_eq!(sim.requests().count(cluster_sim::Verb::Get, "pods"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_that_blocks_holds_up_later_events_only() {
    let sim = cluster().await;
    let (stuck, other) = (Kept::default(), Kept::default());
    stuck.hangs.store(true, Ordering::Relaxed);
    let block = OutletOptions { queue: 1, policy: OverflowPolicy::Block, ..OutletOptions::default() };
    let pipeline = builder(&sim)
        .receiver("stuck", stuck.clone(), block)
        .receiver("other", other.clone(), OutletOptions::default())
        .spawn()
        .await
        .unwrap();
    is_ready(&pipeline).await;
    // One is on its way, one waits, and the third finds no room.
    for name in ["a", "b", "c", "d"] {
        happen(&sim, name);
        sleep(SECOND).await;
    }
    assert_eq!(other.texts(), ["a", "b", "c"], "of the event that waits for room, nobody else waits");
    stuck.hangs.store(false, Ordering::Relaxed);
    sleep(MINUTE).await;
    assert_eq!((stuck.texts(), other.texts()), (other.texts(), ["a", "b", "c", "d"].map(str::to_owned).to_vec()));
    pipeline.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn dropping_it_stops_it() {
    let sim = cluster().await;
    let sink = Kept::default();
    let pipeline = to(&sim, &sink).await;
    is_ready(&pipeline).await;
    happen(&sim, "a");
    sleep(SECOND).await;
    drop(pipeline);
    settle().await;
    sim.requests().clear();
    happen(&sim, "b");
    sleep(HOUR).await;
    assert_eq!(sink.texts(), ["a"]);
    assert_eq!(sim.requests().total(), 0);
}
