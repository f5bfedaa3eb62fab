//! What happens to the API server and its connections → what a source tells.

use std::collections::BTreeSet;
use std::time::Duration;

use cluster_sim::{Deny, Fault, ObjectRef, Sim, SimBuilder, Verb};
use futures::{FutureExt, StreamExt, stream};
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::events::v1 as events;
use kube::runtime::watcher;
use kube_events::checkpoint::{EventsApi, Mark, Marks};
use kube_events::source::{EventSource, GapReason, Resume, SourceBuilder, SourceItem, SourceOptions};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use super::support::*;

fn builder(sim: &Sim) -> SourceBuilder {
    EventSource::builder(sim.client_in_memory()).clock(clock(sim))
}

/// What is told within a time, the items as words.
async fn told(source: &mut EventSource, time: Duration) -> Vec<String> {
    let mut all = Vec::new();
    let _ = timeout(time, async {
        while let Some(item) = source.next().await {
            match item {
                SourceItem::Event { event, .. } => all.push(event.message.clone()),
                SourceItem::Gap(gap) => all.push(format!("gap {}", gap.reason.as_str())),
                SourceItem::Synced => all.push("synced".to_owned()),
                _ => {}
            }
        }
    })
    .await;
    all
}

/// The newest version that a source of all namespaces has told, and the newest time.
async fn mark(source: &mut EventSource, time: Duration) -> Mark {
    let (mut version, mut last_event) = (None, None);
    let _ = timeout(time, async {
        while let Some(item) = source.next().await {
            if let SourceItem::Event { position, .. } | SourceItem::Bookmark(position) = item {
                version = position.resource_version.or(version.take());
                last_event = last_event.max(position.time);
            }
        }
    })
    .await;
    Mark { resource_version: version.unwrap().to_string(), last_event }
}

fn from(mark: Mark) -> Resume {
    Resume::From(Marks { api: EventsApi::Core, marks: [(String::new(), mark)].into() })
}

#[tokio::test(start_paused = true)]
async fn a_fresh_start_tells_what_is_young_then_all_that_comes() {
    let recorded = Recorded::default();
    let _recording = metrics::set_default_local_recorder(&recorded);
    let sim = cluster().await;
    sim.upsert(event(&sim, "old", 3600)).unwrap();
    sim.upsert(event(&sim, "young", 3)).unwrap();
    let mut source = builder(&sim).spawn();
    assert!(!source.status().borrow().synced);
    assert_eq!(told(&mut source, SECOND).await, ["young", "synced"]);
    assert!(source.status().borrow().synced);
    happen(&sim, "new");
    // The clock of its writer is an hour behind: it is new nevertheless.
    sim.upsert(event(&sim, "behind", 3600)).unwrap();
    let mut again = event(&sim, "new", 0);
    (again["count"], again["message"]) = (json!(2), json!("new, twice"));
    sim.upsert(again).unwrap();
    sim.delete(&ObjectRef::new("v1", "Event", "old").within(NAMESPACE)).unwrap();
    assert_eq!(told(&mut source, MINUTE).await, ["new", "behind", "new, twice"]);
    for (name, value) in [
        ("events_discarded", 1),
        ("kube_events_source_events_total kind=listed", 2),
        ("kube_events_source_events_total kind=added", 2),
        ("kube_events_source_events_total kind=modified", 1),
        ("kube_events_source_events_total kind=deleted", 1),
        ("kube_events_source_skipped_total reason=deleted", 1),
        ("kube_events_source_synced", 1),
        ("kube_events_source_queue_length", 0),
        ("watch_errors", 0),
    ] {
        assert_eq!(recorded.get(name), value, "{name}");
    }
    drop(source);
    settle().await;
    assert_eq!(recorded.get("kube_events_source_synced"), 0);
}

#[tokio::test(start_paused = true)]
async fn both_doors_tell_the_same_events() {
    let sim = cluster().await;
    sim.upsert(event(&sim, "a", 0)).unwrap();
    for api in [EventsApi::Core, EventsApi::Events] {
        let mut source = builder(&sim).api(api).spawn();
        assert_eq!(told(&mut source, SECOND).await, ["a", "synced"], "{api}");
        assert_eq!(source.api(), api);
    }
    let groups: Vec<_> =
        sim.requests().newest().iter().filter(|r| r.verb == Verb::Watch).map(|r| r.group.clone()).collect();
    assert_eq!(groups, ["", "events.k8s.io"]);
}

#[tokio::test(start_paused = true)]
async fn a_restart_goes_on_where_it_was() {
    let sim = cluster().await;
    let mut source = builder(&sim).spawn();
    happen(&sim, "a");
    let mark = mark(&mut source, SECOND).await;
    source.shutdown().await;
    assert_eq!(source.next().await, None);
    source.shutdown().await;
    for n in 0..20 {
        sleep(SECOND).await;
        happen(&sim, &format!("down-{n}"));
    }
    sim.requests().clear();
    let mut source = builder(&sim).resume(from(mark)).spawn();
    let mut expected: Vec<String> = (0..20).map(|n| format!("down-{n}")).collect();
    expected.insert(0, "synced".to_owned());
    assert_eq!(told(&mut source, MINUTE).await, expected, "each once, however old, and no gap");
    let list = sim.requests().newest().into_iter().find(|request| request.verb == Verb::List).unwrap();
    assert!(list.query.contains("limit=1"), "it asks for the version only: {}", list.query);
    assert_eq!(sim.requests().count(Verb::List, "events"), 1);
    // In a quiet time, it is synced by having nothing to tell.
    let quiet = Mark { resource_version: sim.resource_version().to_string(), last_event: None };
    let mut source = builder(&sim).resume(from(quiet)).spawn();
    assert_eq!(told(&mut source, 2 * SECOND).await, ["synced"]);
}

#[tokio::test(start_paused = true)]
async fn a_position_that_is_forgotten_is_a_gap_and_what_is_there_is_told() {
    for as_status in [false, true] {
        let recorded = Recorded::default();
        let _recording = metrics::set_default_local_recorder(&recorded);
        let sim = cluster().await;
        sim.set_expired_watch_as_status(as_status);
        let mut source = builder(&sim).spawn();
        happen(&sim, "before");
        let mark = mark(&mut source, SECOND).await;
        let last_event = mark.last_event;
        drop(source);
        for name in ["gone", "there", "also there"] {
            happen(&sim, &name.replace(' ', "-"));
            sleep(10 * MINUTE).await;
        }
        sim.delete(&ObjectRef::new("v1", "Event", "gone").within(NAMESPACE)).unwrap();
        sim.compact_now();
        let mut source = builder(&sim)
            .resume(from(mark))
            .options(SourceOptions { page_size: 1, ..SourceOptions::default() })
            .spawn();
        let first = timeout(MINUTE, source.next()).await.unwrap().unwrap();
        let SourceItem::Gap(gap) = first else { panic!("{first:?}") };
        assert_eq!((gap.reason, gap.since), (GapReason::Compacted, last_event));
        assert!(gap.until > last_event.unwrap() + jiff::SignedDuration::from_mins(29), "{gap}");
        assert_eq!(told(&mut source, MINUTE).await, ["also-there", "there", "synced"]);
        assert_eq!(recorded.get("kube_events_source_gaps_total reason=compacted"), 1);
        assert_eq!(recorded.get("kube_events_source_skipped_total reason=seen"), 1, "the one before");
        assert_eq!(recorded.get("watch_errors"), 1);
        happen(&sim, "after");
        assert_eq!(told(&mut source, MINUTE).await, ["after"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_running_watch_survives_a_compaction_while_it_is_cut_off() {
    let sim = cluster().await;
    let mut source = builder(&sim).spawn();
    happen(&sim, "a");
    assert_eq!(told(&mut source, SECOND).await, ["a", "synced"]);
    let off = sim.faults().add(Fault::on_any().resource("events").reset_before());
    sim.restart();
    sleep(SECOND).await;
    happen(&sim, "b");
    sleep(MINUTE).await;
    sim.compact_now();
    sim.faults().remove(off);
    assert_eq!(told(&mut source, 2 * MINUTE).await, ["gap compacted", "b"]);
    assert!(source.status().borrow().failures.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_cluster_with_another_history_is_noticed() {
    let sim = cluster().await;
    sim.upsert(event(&sim, "early", 3600)).unwrap();
    happen(&sim, "late");
    let last_event = Some(sim.now() - jiff::SignedDuration::from_mins(10));
    let stored = Mark { resource_version: "1000000000".to_owned(), last_event };
    // A watch from there would be silent for ever.
    let mut source = builder(&sim).resume(from(stored)).spawn();
    assert_eq!(told(&mut source, MINUTE).await, ["gap version_reset", "late", "synced"]);
    happen(&sim, "next");
    assert_eq!(told(&mut source, MINUTE).await, ["next"]);
    let stored = Mark { resource_version: "1".to_owned(), last_event };
    let other = Resume::From(Marks { api: EventsApi::Events, marks: [(String::new(), stored)].into() });
    let mut source = builder(&sim).resume(other).spawn();
    assert_eq!(told(&mut source, MINUTE).await, ["gap api_changed", "late", "next", "synced"]);
    let mut source = builder(&sim).resume(Resume::Lost).spawn();
    assert_eq!(told(&mut source, MINUTE).await, ["gap checkpoint_lost", "synced"], "both are older than 5 s by now");
}

#[tokio::test(start_paused = true)]
async fn connections_that_break_all_the_time_lose_nothing_and_repeat_nothing() {
    let sim = cluster().await;
    let mut source = builder(&sim).spawn();
    sim.faults().add(Fault::on(Verb::Watch).resource("events").share(0.2).reset_mid_body());
    sim.faults().add(Fault::on(Verb::Watch).resource("events").share(0.1).truncate());
    sim.faults().add(Fault::on_any().resource("events").share(0.2).status(503));
    sim.faults().add(Fault::on_any().resource("events").share(0.1).status(429).retry_after(2));
    let mut all = Vec::new();
    for n in 0..600 {
        happen(&sim, &format!("e{n}"));
        if n % 7 == 0 {
            sim.restart();
        }
        all.extend(told(&mut source, SECOND).await);
    }
    sim.faults().clear();
    all.extend(told(&mut source, 2 * MINUTE).await);
    all.retain(|word| word != "synced");
    assert_eq!(all, (0..600).map(|n| format!("e{n}")).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_went_silent_is_noticed_and_begun_again() {
    for (max_silence, longest) in [(None, 365), (Some(150 * SECOND), 151)] {
        let recorded = Recorded::default();
        let _recording = metrics::set_default_local_recorder(&recorded);
        let sim = cluster().await;
        let silent = sim.faults().add(Fault::on(Verb::Watch).resource("events").silent_watch().count(1));
        let mut source = builder(&sim).options(SourceOptions { max_silence, ..SourceOptions::default() }).spawn();
        assert_eq!(told(&mut source, SECOND).await, ["synced"]);
        happen(&sim, "a");
        let began = Instant::now();
        let item = timeout(HOUR, source.next()).await.unwrap();
        assert!(matches!(item, Some(SourceItem::Event { .. })), "{item:?}");
        assert!(began.elapsed() <= longest * SECOND, "{:?}", began.elapsed());
        assert_eq!(sim.faults().spoiled(silent), 1);
        assert_eq!(recorded.get("kube_events_source_failures_total reason=silent"), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn quiet_days_are_bookmarks_and_renewed_watches() {
    let sim = Sim::builder().objects([namespace(NAMESPACE)]).bookmark_interval(MINUTE).start().await.unwrap();
    let options = SourceOptions { max_silence: Some(150 * SECOND), ..SourceOptions::default() };
    let mut source = builder(&sim).options(options).spawn();
    assert_eq!(told(&mut source, MINUTE).await, ["synced"]);
    sim.requests().clear();
    // Something else in the cluster changes: bookmarks tell where the watch is.
    let before = sim.resource_version();
    for _ in 0..24 * 60 {
        sim.upsert(pod("a")).unwrap();
        assert!(told(&mut source, MINUTE).await.is_empty());
    }
    let watches = sim.requests().count(Verb::Watch, "events");
    assert!((280..=310).contains(&watches), "one in 290 s: {watches}");
    assert_eq!(sim.requests().total(), watches);
    sim.upsert(pod("a")).unwrap();
    let mark = mark(&mut source, 2 * MINUTE).await;
    assert!(mark.resource_version.parse::<u64>().unwrap() >= before + 24 * 60, "{mark:?}");
}

#[tokio::test(start_paused = true)]
async fn failures_are_told_and_heal() {
    let recorded = Recorded::default();
    let _recording = metrics::set_default_local_recorder(&recorded);
    let sim = cluster().await;
    sim.deny(Deny::everything().resource("events"));
    let mut source = builder(&sim).spawn();
    assert!(told(&mut source, HOUR).await.is_empty());
    let status = source.status().borrow().clone();
    assert!(!status.synced);
    let failure = &status.failures[""];
    assert!(failure.contains("list Events was answered 403") && failure.contains("grant"), "{failure}");
    let requests = sim.requests().total();
    assert!((120..=250).contains(&requests), "one in 15 to 30 s: {requests}");
    assert_eq!(recorded.get("watch_errors"), i64::try_from(requests).unwrap());
    happen(&sim, "during the outage".replace(' ', "-").as_str());
    sim.allow_all();
    // It is old by now, and was not there at the start.
    assert_eq!(told(&mut source, MINUTE).await, ["during-the-outage", "synced"]);
    assert!(source.status().borrow().failures.is_empty());
    // Watches that end at once are no tight loop.
    sim.faults().add(Fault::on(Verb::Watch).resource("events").truncate());
    sim.restart();
    sim.requests().clear();
    told(&mut source, HOUR).await;
    assert!(sim.requests().total() <= 500, "{}", sim.requests().total());
    // Nor are versions that are always too old.
    sim.faults().clear();
    sim.faults().add(Fault::on(Verb::Watch).resource("events").status(410));
    sim.restart();
    sim.requests().clear();
    let gaps = told(&mut source, HOUR).await;
    assert!((100..=250).contains(&gaps.len()), "{}", gaps.len());
    assert!(sim.requests().count(Verb::List, "events") <= 250);
}

#[tokio::test(start_paused = true)]
async fn long_lists_come_in_pages_each_event_once_though_they_expire() {
    let sim = cluster().await;
    for n in 0..2000 {
        happen(&sim, &format!("e{n:04}"));
    }
    let options = SourceOptions { page_size: 100, queue: 10, ..SourceOptions::default() };
    let mut source = builder(&sim).options(options).spawn();
    let mut all = Vec::new();
    let mut compactions = 0;
    while let Some(item) = timeout(HOUR, source.next()).await.unwrap() {
        match item {
            SourceItem::Event { event, position } => {
                assert_eq!(position.resource_version, None, "a list has no order");
                all.push(event.message.clone());
                if all.len() % 700 == 0 {
                    // Something changes, and what the list is of is forgotten.
                    compactions += 1;
                    sim.upsert(pod("a")).unwrap();
                    sim.compact_now();
                }
            }
            SourceItem::Synced => break,
            _ => {}
        }
    }
    assert!(compactions > 0);
    let mut expected: Vec<_> = (0..2000).map(|n| format!("e{n:04}")).collect();
    all.sort();
    expected.sort();
    assert_eq!(all, expected);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_rests_is_waited_for() {
    let sim = cluster().await;
    let options = SourceOptions { queue: 4, ..SourceOptions::default() };
    let mut source = builder(&sim).options(options).spawn();
    assert_eq!(told(&mut source, SECOND).await, ["synced"]);
    for n in 0..1000 {
        happen(&sim, &format!("e{n}"));
        sleep(SECOND).await;
    }
    assert_eq!(told(&mut source, MINUTE).await, (0..1000).map(|n| format!("e{n}")).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn namespaces_and_selectors_choose() {
    let sim = cluster().await;
    let elsewhere = |name: &str, namespace: &str, kind: &str| {
        let mut event = event(&sim, name, 0);
        (event["metadata"]["namespace"], event["type"]) = (json!(namespace), json!(kind));
        sim.upsert(event).unwrap();
    };
    elsewhere("a", NAMESPACE, "Warning");
    elsewhere("b", "other", "Warning");
    elsewhere("c", "third", "Warning");
    elsewhere("d", NAMESPACE, "Normal");
    let options = SourceOptions { field_selector: Some("type=Warning".to_owned()), ..SourceOptions::default() };
    let mut source = builder(&sim).namespaces([NAMESPACE, "other"]).options(options).spawn();
    let mut first = told(&mut source, SECOND).await;
    assert_eq!(first.pop().unwrap(), "synced", "when both are");
    first.sort();
    assert_eq!(first, ["a", "b"]);
    elsewhere("e", "other", "Warning");
    elsewhere("f", "third", "Warning");
    let item = source.next().await.unwrap();
    let SourceItem::Event { position, .. } = item else { panic!("{item:?}") };
    assert_eq!(&*position.partition, "other");
    assert!(told(&mut source, MINUTE).await.is_empty());
}

/// A client whose watch answers these lines and ends, and whose lists are empty.
fn canned(lines: Vec<&'static str>) -> kube::Client {
    let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
        let watch = request.uri().query().is_some_and(|query| query.contains("watch=true"));
        let first = request.uri().query().is_some_and(|query| query.contains("resourceVersion=5"));
        let text = match (watch, first) {
            (false, _) => r#"{"metadata":{"resourceVersion":"5"},"items":[[1],7]}"#.to_owned(),
            (true, true) => lines.join("\n") + "\n",
            (true, false) => String::new(),
        };
        let body = kube::client::Body::from(text.into_bytes());
        async move { Ok::<_, kube::Error>(http::Response::new(body)) }.boxed()
    });
    kube::Client::new(service, "default")
}

#[tokio::test(start_paused = true)]
async fn what_cant_be_read_costs_itself_only() {
    let recorded = Recorded::default();
    let _recording = metrics::set_default_local_recorder(&recorded);
    let client = canned(vec![
        r#"{"type":"ADDED","object":{"metadata":{"uid":"a","resourceVersion":"6"},"message":"a","lastTimestamp":null}}"#,
        r#"{"type":"ADDED","object":[1]}"#,
        "what?",
        "",
        r#"{"type":"ADDED","object":{"metadata":{"uid":"b","resourceVersion":"7"},"message":["not","text"],"count":"x"}}"#,
        r#"{"type":"NEWS","object":{}}"#,
        r#"{"type":"ADDED","object":{"metadata":{"uid":"c","resourceVersion":"8"},"message":"c"}}"#,
    ]);
    let mut source = EventSource::builder(client).spawn();
    assert_eq!(told(&mut source, SECOND).await, ["synced", "a", "", "c"]);
    assert_eq!(recorded.get("kube_events_source_skipped_total reason=undecodable"), 4, "two of them in the list");
    assert_eq!(recorded.get("kube_events_source_events_total kind=added"), 3);
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_the_hosts_is_as_good_as_an_own_watch() {
    async fn try_with<K>(sim: &Sim, read: impl Fn(Value) -> K)
    where
        K: kube::Resource<DynamicType = ()> + Into<kube_events::event::Event> + Send + std::fmt::Debug + 'static,
    {
        let versioned = |name: &str, version: u64, age| {
            let mut event = event(sim, name, age);
            event["metadata"]["uid"] = json!(format!("uid-of-{name}"));
            event["metadata"]["resourceVersion"] = json!(version.to_string());
            // Under the names of both APIs.
            event["note"] = event["message"].clone();
            event["regarding"] = event["involvedObject"].clone();
            event["deprecatedLastTimestamp"] = event["lastTimestamp"].clone();
            read(event)
        };
        let (send, receive) = mpsc::unbounded_channel::<Result<watcher::Event<K>, watcher::Error>>();
        let events = || stream::unfold(receive, async |mut receive| Some((receive.recv().await?, receive)));
        let mut source = EventSource::from_stream_with(events(), SourceOptions::default(), Resume::Fresh, clock(sim));
        let tell = |events: Vec<watcher::Event<K>>| events.into_iter().for_each(|event| send.send(Ok(event)).unwrap());
        tell(vec![
            watcher::Event::Init,
            watcher::Event::InitApply(versioned("old", 3, 60)),
            watcher::Event::InitApply(versioned("young", 4, 0)),
            watcher::Event::InitDone,
        ]);
        assert_eq!(told(&mut source, SECOND).await, ["young", "synced"]);
        tell(vec![
            watcher::Event::Apply(versioned("a", 5, 0)),
            watcher::Event::Delete(versioned("old", 6, 60)),
            watcher::Event::Apply(versioned("b", 7, 0)),
        ]);
        let mark = mark(&mut source, SECOND).await;
        assert_eq!(mark.resource_version, "7");
        // The host's watch begins anew.
        send.send(Err(watcher::Error::NoResourceVersion)).unwrap();
        assert!(told(&mut source, SECOND).await.is_empty());
        assert!(source.status().borrow().failures[""].contains("the host's watch of Events failed"));
        tell(vec![
            watcher::Event::Init,
            watcher::Event::InitApply(versioned("b", 7, 0)),
            watcher::Event::InitApply(versioned("missed", 9, 10)),
            watcher::Event::InitDone,
        ]);
        assert_eq!(told(&mut source, SECOND).await, ["gap relisted", "missed"]);
        assert!(source.status().borrow().failures.is_empty());
        drop(send);
        assert!(told(&mut source, HOUR).await.is_empty());
        assert!(source.status().borrow().failures[""].contains("ended"));
        assert_eq!(source.next().await, None);
    }
    let sim = cluster().await;
    try_with::<core::Event>(&sim, |event| serde_json::from_value(event).unwrap()).await;
    try_with::<events::Event>(&sim, |mut event| {
        event["apiVersion"] = json!("events.k8s.io/v1");
        serde_json::from_value(event).unwrap()
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_source_that_is_dropped_asks_for_nothing_any_more() {
    let recorded = Recorded::default();
    let _recording = metrics::set_default_local_recorder(&recorded);
    let sim = cluster().await;
    let sources: Vec<_> = (0..3).map(|_| builder(&sim).spawn()).collect();
    settle().await;
    for n in 0..5 {
        happen(&sim, &format!("e{n}"));
    }
    settle().await;
    assert!(recorded.get("kube_events_source_queue_length") > 0);
    drop(sources);
    settle().await;
    assert_eq!(recorded.get("kube_events_source_queue_length"), 0);
    sim.requests().clear();
    sleep(HOUR).await;
    assert_eq!(sim.requests().total(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_rights_to_list_and_watch_are_enough() {
    const AGENT: &str = "system:serviceaccount:web:events";
    for (api, group) in [(EventsApi::Core, ""), (EventsApi::Events, "events.k8s.io")] {
        let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": {"name": "events"},
            "rules": [{"apiGroups": [group], "resources": ["events"], "verbs": ["list", "watch"]}]});
        let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": {"name": "events"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "events"},
            "subjects": [{"kind": "ServiceAccount", "name": "events", "namespace": "web"}]});
        let builder: SimBuilder<'_> = Sim::builder();
        let sim = builder.rbac(true).objects([namespace(NAMESPACE), role, binding]).start().await.unwrap();
        let mut source = EventSource::builder(sim.client_in_memory_as(AGENT)).api(api).clock(clock(&sim)).spawn();
        happen(&sim, "a");
        let told: BTreeSet<_> = told(&mut source, MINUTE).await.into_iter().collect();
        assert!(told.contains("a") && told.contains("synced"));
        assert!(sim.requests().rights_refused(AGENT).is_empty());
        assert_eq!(sim.requests().rights_used(AGENT), sim.rights_granted(AGENT));
    }
}

#[tokio::test(start_paused = true)]
async fn odd_options_are_no_panic() {
    let sim = cluster().await;
    for time in [Duration::ZERO, Duration::MAX] {
        let options = SourceOptions {
            max_age: Some(time),
            max_watched_age: Some(time),
            page_size: 0,
            watch_seconds: 0,
            max_silence: Some(time),
            queue: if time.is_zero() { 0 } else { usize::MAX },
            min_backoff: time,
            max_backoff: time,
            ..SourceOptions::default()
        };
        let mut source = builder(&sim).options(options).spawn();
        assert_eq!(told(&mut source, MINUTE).await.pop().unwrap(), "synced");
        // No loop without rest.
        assert!(sim.requests().total() < 1000, "{}", sim.requests().total());
    }
}
