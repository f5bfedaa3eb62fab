//! References → metadata, and how many requests that costs.

use std::sync::Arc;
use std::time::Duration;

use cluster_sim::{Fault, Sim, Verb};
use futures::future::join_all;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::{reflector, watcher};
use kube_events::event::{Deletion, ObjectReference};
use kube_events::object::{ObjectSource, Objects, Settings, StoreKnown};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::support::*;

fn objects(sim: &Sim, settings: Settings) -> Objects {
    Objects::builder(sim.client_in_memory()).settings(settings).build()
}

fn gets(sim: &Sim) -> u64 {
    let requests = sim.requests().newest();
    requests.iter().filter(|request| request.verb == Verb::Get && request.resource != "namespaces/status").count()
        as u64
}

fn discoveries(sim: &Sim) -> u64 {
    sim.requests().count(Verb::NonResource, "")
}

#[tokio::test(start_paused = true)]
async fn labels_annotations_and_owners_cost_one_read_of_metadata() {
    let recorded = Recorded::default();
    let _recording = metrics::set_default_local_recorder(&recorded);
    let sim = cluster().await;
    let mut web = pod("web-0");
    web["metadata"]["ownerReferences"] =
        json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "rs", "controller": true}]);
    sim.upsert(web).unwrap();
    let objects = objects(&sim, Settings { left_out: vec!["note".to_owned()], ..Settings::default() });
    for _ in 0..5 {
        let found = objects.look_up(&involved("web-0", "1")).await;
        assert_eq!(found.labels["app"], "web-0");
        assert_eq!(found.controller().unwrap().name, "web");
        assert_eq!(found.deletion, Deletion::No);
        assert!(found.annotations.is_empty(), "left out");
    }
    assert_eq!(sim.requests().count(Verb::Get, "pods"), 1);
    let read = sim.requests().newest().into_iter().find(|request| request.resource == "pods").unwrap();
    assert!(read.accept.starts_with("application/json;as=PartialObjectMetadata"), "{}", read.accept);
    assert_eq!(discoveries(&sim), 1, "of v1 alone");
    for (name, value) in [
        ("kube_api_read_cache_hits", 4),
        ("kube_api_read_cache_misses", 1),
        ("kube_events_object_lookups_total result=found", 1),
        ("kube_events_object_lookups_total result=hit", 4),
        ("kube_events_object_lookups_in_flight", 0),
        ("kube_events_object_discoveries_total", 1),
    ] {
        assert_eq!(recorded.get(name), value, "{name}");
    }
    // The pod has changed since: another version is another entry.
    objects.look_up(&involved("web-0", "2")).await;
    assert_eq!(sim.requests().count(Verb::Get, "pods"), 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_deleted_is_told_from_what_goes_and_what_is_not_known() {
    let sim = cluster().await;
    for name in ["there", "going", "again", "hidden"] {
        sim.upsert(pod(name)).unwrap();
    }
    let mut going = pod("going");
    going["metadata"]["deletionTimestamp"] = json!("2026-11-27T12:00:00Z");
    sim.upsert(going).unwrap();
    let mut again = pod("again");
    again["metadata"]["uid"] = json!("another");
    sim.delete(&pod_reference("again")).unwrap();
    sim.upsert(again).unwrap();
    sim.faults().add(Fault::on(Verb::Get).name("hidden").status(500));
    let objects = objects(&sim, Settings::default());
    for (name, deletion) in [
        ("there", Deletion::No),
        ("going", Deletion::Terminating),
        ("again", Deletion::Yes),
        ("none", Deletion::Yes),
        ("hidden", Deletion::Unknown),
    ] {
        let found = objects.look_up(&involved(name, "1")).await;
        assert_eq!(found.deletion, deletion, "{name}");
        assert_eq!(found.labels.is_empty(), !matches!(deletion, Deletion::No | Deletion::Terminating), "{name}");
    }
    // Without a uid, the object of that name is meant, and no other shares its place.
    for name in ["there", "going", "none"] {
        let reference = ObjectReference { uid: String::new(), ..involved(name, "") };
        let labels = &objects.look_up(&reference).await.labels;
        assert_eq!(labels.get("app").map(String::as_str), (name != "none").then_some(name));
    }
}

#[tokio::test(start_paused = true)]
async fn a_storm_about_deleted_pods_is_a_few_reads() {
    let recorded = Recorded::default();
    let _recording = metrics::set_default_local_recorder(&recorded);
    let sim = cluster().await;
    let objects = objects(&sim, Settings::default());
    // 10,000 events, each of another version of one of 100 pods.
    let references: Vec<_> = (0..10_000).map(|n| involved(&format!("gone-{}", n % 100), &n.to_string())).collect();
    for batch in references.chunks(1000) {
        let found = join_all(batch.iter().map(|reference| objects.look_up(reference))).await;
        assert!(found.iter().all(|found| found.deletion == Deletion::Yes));
        sleep(Duration::from_millis(500)).await;
    }
    let reads = sim.requests().count(Verb::Get, "pods");
    assert!((100..=200).contains(&reads), "{reads}");
    assert_eq!(recorded.get("kube_api_read_cache_misses"), i64::try_from(reads).unwrap());
    assert_eq!(
        recorded.get("kube_events_object_lookups_total result=negative_hit"),
        10_000 - i64::try_from(reads).unwrap()
    );
}

#[tokio::test(start_paused = true)]
async fn what_was_there_is_not_believed_for_ever() {
    let sim = cluster().await;
    sim.upsert(pod("a")).unwrap();
    let objects = objects(&sim, Settings::default());
    assert_eq!(objects.look_up(&involved("a", "1")).await.deletion, Deletion::No);
    sim.delete(&pod_reference("a")).unwrap();
    sleep(59 * SECOND).await;
    assert_eq!(objects.look_up(&involved("a", "1")).await.deletion, Deletion::No, "by then");
    sleep(2 * SECOND).await;
    assert_eq!(objects.look_up(&involved("a", "1")).await.deletion, Deletion::Yes);
    // What is gone is believed to be for a shorter time.
    sim.upsert(pod("a")).unwrap();
    sleep(29 * SECOND).await;
    assert_eq!(objects.look_up(&involved("a", "2")).await.deletion, Deletion::Yes);
    sleep(2 * SECOND).await;
    assert_eq!(objects.look_up(&involved("a", "1")).await.deletion, Deletion::No);
}

#[tokio::test(start_paused = true)]
async fn look_ups_of_one_object_share_a_read_and_slow_ones_hold_up_nobody() {
    let sim = cluster().await;
    sim.upsert(pod("slow")).unwrap();
    sim.upsert(pod("quick")).unwrap();
    sim.faults().add(Fault::on(Verb::Get).name("slow").latency(2 * SECOND));
    sim.faults().add(Fault::on(Verb::Get).name("hangs").latency(HOUR));
    let objects = objects(&sim, Settings::default());
    let began = Instant::now();
    let many = (0..1000).map(|_| objects.look_up_owned(involved("slow", "1")));
    let hangs = objects.look_up_owned(involved("hangs", "1"));
    let quick = async {
        objects.look_up(&involved("quick", "1")).await;
        began.elapsed()
    };
    let (many, hangs, quick) = tokio::join!(join_all(many), hangs, quick);
    assert!(many.iter().all(|found| found.deletion == Deletion::No));
    assert_eq!(hangs.deletion, Deletion::Unknown);
    assert_eq!(began.elapsed(), 5 * SECOND, "the deadline");
    assert_eq!(quick, Duration::ZERO);
    assert_eq!(sim.requests().newest().iter().filter(|r| r.name.as_deref() == Some("slow")).count(), 1);
}

trait Owned {
    async fn look_up_owned(&self, reference: ObjectReference) -> Arc<kube_events::event::ObjectMetadata>;
}

impl Owned for Objects {
    async fn look_up_owned(&self, reference: ObjectReference) -> Arc<kube_events::event::ObjectMetadata> {
        self.look_up(&reference).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_read_that_began_too_early_is_not_shared_with_newer_events() {
    let sim = cluster().await;
    let before = sim.upsert(pod("a")).unwrap();
    sim.faults().add(Fault::on(Verb::Get).name("a").stale_reads().latency(2 * SECOND).count(1));
    let mut changed = pod("a");
    changed["metadata"]["labels"]["app"] = json!("changed");
    let after = sim.upsert(changed).unwrap();
    let version = |object: &Value| object["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    let objects = objects(&sim, Settings::default());
    let (old, new) = tokio::join!(
        objects.look_up_owned(involved("a", &version(&before))),
        objects.look_up_owned(involved("a", &version(&after)))
    );
    assert_eq!(old.labels["app"], "a");
    assert_eq!(new.labels["app"], "changed");
}

#[tokio::test(start_paused = true)]
async fn reads_keep_to_a_rate_and_what_waits_too_long_is_unknown() {
    let recorded = Recorded::default();
    let _recording = metrics::set_default_local_recorder(&recorded);
    let sim = cluster().await;
    let settings = Settings { rate: 10.0, burst: 10, ..Settings::default() };
    let objects = objects(&sim, settings);
    let began = Instant::now();
    let references: Vec<_> = (0..100).map(|n| involved(&format!("p{n}"), "1")).collect();
    let found = join_all(references.iter().map(|reference| objects.look_up(reference))).await;
    assert!(began.elapsed() <= 5 * SECOND, "{:?}", began.elapsed());
    let unknown = found.iter().filter(|found| found.deletion == Deletion::Unknown).count();
    assert!((39..=41).contains(&unknown), "a burst of 10, and 50 in 5 s: {unknown}");
    assert!((59..=61).contains(&sim.requests().count(Verb::Get, "pods")));
    // One may be sent at the very deadline, and come too late.
    let throttled = recorded.get("kube_events_object_errors_total reason=throttled");
    assert!((39..=41).contains(&throttled), "{throttled}");
    assert_eq!(recorded.get("kube_events_object_lookups_in_flight"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_asks_for_patience_gets_it() {
    let sim = cluster().await;
    sim.upsert(pod("a")).unwrap();
    let objects = objects(&sim, Settings::default());
    sim.faults().add(Fault::on(Verb::Get).resource("pods").status(429).retry_after(3).count(1));
    let began = Instant::now();
    assert_eq!(objects.look_up(&involved("a", "1")).await.deletion, Deletion::No);
    assert_eq!(began.elapsed(), 3 * SECOND);
    // Longer than a look-up may take: it says so at once, and nobody asks before.
    sim.faults().add(Fault::on(Verb::Get).resource("pods").status(503).retry_after(60).count(1));
    sim.requests().clear();
    let began = Instant::now();
    assert_eq!(objects.look_up(&involved("b", "1")).await.deletion, Deletion::Unknown);
    assert_eq!(began.elapsed(), Duration::ZERO);
    for n in 0..9 {
        assert_eq!(objects.look_up(&involved(&format!("c{n}"), "1")).await.deletion, Deletion::Unknown);
    }
    assert_eq!(sim.requests().total(), 1);
    sleep(16 * SECOND).await;
    assert_eq!(objects.look_up(&involved("b", "1")).await.deletion, Deletion::Yes);
}

#[tokio::test(start_paused = true)]
async fn failures_are_unknown_counted_and_not_hammered() {
    let recorded = Recorded::default();
    let _recording = metrics::set_default_local_recorder(&recorded);
    let sim = cluster().await;
    for name in ["denied", "broken", "torn", "off"] {
        sim.upsert(pod(name)).unwrap();
    }
    let objects = objects(&sim, Settings::default());
    objects.look_up(&involved("other", "1")).await;
    sim.faults().add(Fault::on(Verb::Get).name("denied").status(403));
    sim.faults().add(Fault::on(Verb::Get).name("broken").status(500));
    sim.faults().add(Fault::on(Verb::Get).name("torn").reset_mid_body());
    sim.faults().add(Fault::on(Verb::Get).name("off").reset_before());
    sim.requests().clear();
    for _ in 0..100 {
        for name in ["denied", "broken", "torn", "off"] {
            assert_eq!(objects.look_up(&involved(name, "1")).await.deletion, Deletion::Unknown, "{name}");
        }
    }
    assert_eq!(sim.requests().count(Verb::Get, "pods"), 4);
    for (reason, count) in [("403", 1), ("500", 1), ("bad_answer", 1), ("unreachable", 1)] {
        assert_eq!(recorded.get(&format!("kube_events_object_errors_total reason={reason}")), count, "{reason}");
    }
    assert_eq!(recorded.get("kube_api_read_cache_misses"), 5, "failing ones too");
    sim.faults().clear();
    sleep(5 * SECOND).await;
    for name in ["denied", "broken", "torn", "off"] {
        assert_eq!(objects.look_up(&involved(name, "1")).await.deletion, Deletion::No, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn kinds_are_asked_for_once_and_unknown_ones_rarely() {
    let recorded = Recorded::default();
    let _recording = metrics::set_default_local_recorder(&recorded);
    let sim = cluster().await;
    let objects =
        objects(&sim, Settings { rate: 1e6, burst: 100_000, failure_ttl: Duration::ZERO, ..Settings::default() });
    let widget = |n: u32| ObjectReference {
        kind: "Widget".to_owned(),
        api_version: "example.com/v1".to_owned(),
        namespace: NAMESPACE.to_owned(),
        name: format!("w{n}"),
        ..ObjectReference::default()
    };
    for n in 0..500 {
        objects.look_up(&involved(&format!("p{n}"), "1")).await;
        assert_eq!(objects.look_up(&widget(n)).await.deletion, Deletion::Unknown);
    }
    assert!(discoveries(&sim) <= 3, "v1, example.com/v1 and example.com: {}", discoveries(&sim));
    assert_eq!(recorded.get("kube_api_read_cache_misses"), 500, "discovery is none");
    assert_eq!(recorded.get("kube_events_object_errors_total reason=unknown_kind"), 500);
    for n in 0..6 * 60 {
        sleep(10 * SECOND).await;
        objects.look_up(&widget(1000 + n)).await;
    }
    assert!(discoveries(&sim) <= 3 + 2 * 17, "in an hour, every 5 min in the end: {}", discoveries(&sim));
    sim.create(json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": {"plural": "widgets", "kind": "Widget"},
            "versions": [{"name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object"}}}]},
    }))
    .unwrap();
    sim.upsert(json!({"apiVersion": "example.com/v1", "kind": "Widget",
        "metadata": {"name": "w1", "namespace": NAMESPACE, "labels": {"w": "1"}}}))
        .unwrap();
    sleep(5 * MINUTE).await;
    assert_eq!(objects.look_up(&widget(1)).await.labels["w"], "1");
}

#[tokio::test(start_paused = true)]
async fn a_discovery_that_fails_costs_its_look_up_and_is_tried_again() {
    let sim = cluster().await;
    sim.upsert(pod("a")).unwrap();
    sim.faults().add(Fault::on(Verb::NonResource).status(503));
    let objects = objects(&sim, Settings { failure_ttl: Duration::ZERO, ..Settings::default() });
    for _ in 0..100 {
        assert_eq!(objects.look_up(&involved("a", "1")).await.deletion, Deletion::Unknown);
    }
    assert_eq!((discoveries(&sim), sim.requests().count(Verb::Get, "pods")), (1, 0));
    sim.faults().clear();
    sleep(SECOND).await;
    assert_eq!(objects.look_up(&involved("a", "1")).await.deletion, Deletion::No);
}

#[tokio::test(start_paused = true)]
async fn objects_of_a_version_that_is_not_served_any_more_are_found_in_another() {
    let sim = cluster().await;
    sim.upsert(json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "namespace": NAMESPACE,
        "labels": {"app": "d"}}}))
        .unwrap();
    let objects = objects(&sim, Settings::default());
    let reference = ObjectReference {
        kind: "Deployment".to_owned(),
        api_version: "apps/v1beta1".to_owned(),
        namespace: NAMESPACE.to_owned(),
        name: "d".to_owned(),
        ..ObjectReference::default()
    };
    assert_eq!(objects.look_up(&reference).await.labels["app"], "d");
    // Some who write events leave the version out.
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n", "labels": {"zone": "z"}}});
    sim.upsert(node).unwrap();
    let node = ObjectReference {
        kind: "Node".to_owned(),
        name: "n".to_owned(),
        uid: "n".to_owned(),
        namespace: "default".to_owned(),
        ..ObjectReference::default()
    };
    let found = objects.look_up(&node).await;
    assert_eq!((found.deletion, found.labels["zone"].as_str()), (Deletion::No, "z"));
}

#[tokio::test(start_paused = true)]
async fn owners_are_followed_to_the_top() {
    let sim = cluster().await;
    let owner = |version: &str, kind: &str, name: &str| json!([{"apiVersion": version, "kind": kind, "name": name, "uid": format!("uid-of-{name}"), "controller": true}]);
    let owned = |version: &str, kind: &str, name: &str, owners: Value| {
        json!({"apiVersion": version, "kind": kind, "metadata":
            {"name": name, "namespace": NAMESPACE, "uid": format!("uid-of-{name}"), "ownerReferences": owners}})
    };
    sim.upsert(owned("apps/v1", "Deployment", "web", json!([]))).unwrap();
    sim.upsert(owned("apps/v1", "ReplicaSet", "web-1", owner("apps/v1", "Deployment", "web"))).unwrap();
    for name in ["web-1-a", "web-1-b"] {
        sim.upsert(owned("v1", "Pod", name, owner("apps/v1", "ReplicaSet", "web-1"))).unwrap();
    }
    // Two that own each other.
    sim.upsert(owned("apps/v1", "ReplicaSet", "x", owner("apps/v1", "ReplicaSet", "y"))).unwrap();
    sim.upsert(owned("apps/v1", "ReplicaSet", "y", owner("apps/v1", "ReplicaSet", "x"))).unwrap();
    sim.upsert(owned("v1", "Pod", "circle", owner("apps/v1", "ReplicaSet", "x"))).unwrap();
    sim.upsert(owned("v1", "Pod", "orphan", owner("apps/v1", "ReplicaSet", "none"))).unwrap();
    let objects = objects(&sim, Settings::default());
    for name in ["web-1-a", "web-1-b"] {
        let found = objects.look_up(&involved(name, "1")).await;
        let owners = objects.controllers(NAMESPACE, &found, 5).await;
        let chain: Vec<_> = owners.chain.iter().map(|owner| (owner.kind.as_str(), owner.name.as_str())).collect();
        assert_eq!(chain, [("ReplicaSet", "web-1"), ("Deployment", "web")]);
        assert_eq!(owners.top().unwrap().name, "web");
        assert!(owners.complete);
        let shallow = objects.controllers(NAMESPACE, &found, 1).await;
        assert_eq!((shallow.chain.len(), shallow.complete), (1, false));
    }
    assert_eq!(gets(&sim), 4, "two pods, and their owners once");
    let circle = objects.look_up(&involved("circle", "1")).await;
    let owners = objects.controllers(NAMESPACE, &circle, 100).await;
    assert_eq!((owners.chain.len(), owners.complete), (2, false));
    let orphan = objects.look_up(&involved("orphan", "1")).await;
    let owners = objects.controllers(NAMESPACE, &orphan, 5).await;
    assert_eq!((owners.top().unwrap().name.as_str(), owners.complete), ("none", false));
    sim.requests().clear();
    for _ in 0..10 {
        assert_eq!(objects.namespace(NAMESPACE).await.labels["team"], NAMESPACE);
    }
    assert_eq!(sim.requests().count(Verb::Get, "namespaces"), 1);
}

#[tokio::test(start_paused = true)]
async fn what_the_host_watches_is_not_asked_for() {
    let recorded = Recorded::default();
    let _recording = metrics::set_default_local_recorder(&recorded);
    let sim = cluster().await;
    sim.upsert(pod("b")).unwrap();
    let (store, mut writer) = reflector::store::<Pod>();
    let watched: Pod = serde_json::from_value(pod("a")).unwrap();
    writer.apply_watcher_event(&watcher::Event::Apply(watched));
    let objects = Objects::builder(sim.client_in_memory()).known(StoreKnown::new(store)).build();
    assert_eq!(objects.look_up(&involved("a", "1")).await.labels["app"], "a");
    let before = ObjectReference { uid: "earlier".to_owned(), ..involved("a", "1") };
    assert_eq!(objects.look_up(&before).await.deletion, Deletion::Yes);
    assert_eq!(sim.requests().total(), 0);
    // What the store has not got may not have come yet.
    assert_eq!(objects.look_up(&involved("b", "1")).await.labels["app"], "b");
    assert_eq!(recorded.get("kube_events_object_lookups_total result=known"), 2);
}

#[tokio::test(start_paused = true)]
async fn the_cache_is_bounded_and_says_what_it_drops() {
    let recorded = Recorded::default();
    let _recording = metrics::set_default_local_recorder(&recorded);
    let sim = cluster().await;
    let settings = Settings { capacity: 50, rate: 1e6, burst: 100_000, ..Settings::default() };
    let objects = objects(&sim, settings);
    for n in 0..500 {
        let name = format!("p{n}");
        sim.upsert(pod(&name)).unwrap();
        objects.look_up(&involved(&name, "1")).await;
    }
    assert!(recorded.get("kube_events_object_evictions_total") >= 300);
}

/// A rollout gives all objects new versions: those of before are of no use, however often they were asked for.
#[tokio::test(start_paused = true)]
async fn what_is_new_replaces_what_was_popular() {
    let sim = cluster().await;
    let settings = Settings { capacity: 50, rate: 1e6, burst: 100_000, ..Settings::default() };
    let objects = objects(&sim, settings);
    for n in 0..50 {
        sim.upsert(pod(&format!("p{n}"))).unwrap();
    }
    for version in ["1", "2", "3"] {
        for _ in 0..40 {
            for n in 0..50 {
                objects.look_up(&involved(&format!("p{n}"), version)).await;
            }
        }
    }
    let reads = sim.requests().count(Verb::Get, "pods");
    assert!((150..=300).contains(&reads), "one for each version, or two: {reads}");
}

#[tokio::test(start_paused = true)]
async fn hostile_references_make_no_requests() {
    let sim = cluster().await;
    let objects = objects(&sim, Settings::default());
    for reference in [
        ObjectReference::default(),
        involved("../../../api/v1/secrets", "1"),
        ObjectReference { api_version: "../v1".to_owned(), ..involved("a", "1") },
        ObjectReference { namespace: "a/b".to_owned(), ..involved("a", "1") },
    ] {
        assert_eq!(objects.look_up(&reference).await.deletion, Deletion::Unknown, "{reference:?}");
    }
    assert_eq!(sim.requests().total(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_right_to_get_is_enough() {
    const AGENT: &str = "system:serviceaccount:web:events";
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "events"},
        "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]});
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": {"name": "events"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "events"},
        "subjects": [{"kind": "ServiceAccount", "name": "events", "namespace": "web"}]});
    let sim = Sim::builder().rbac(true).objects([namespace(NAMESPACE), role, binding]).start().await.unwrap();
    sim.upsert(pod("a")).unwrap();
    let objects = Objects::builder(sim.client_in_memory_as(AGENT)).build();
    assert_eq!(objects.look_up(&involved("a", "1")).await.deletion, Deletion::No);
    assert!(sim.requests().rights_refused(AGENT).is_empty());
    assert_eq!(sim.requests().rights_used(AGENT), sim.rights_granted(AGENT));
}

#[tokio::test(start_paused = true)]
async fn odd_settings_are_no_panic() {
    let sim = cluster().await;
    sim.upsert(pod("a")).unwrap();
    for time in [Duration::ZERO, Duration::MAX] {
        let settings = Settings {
            capacity: 0,
            ttl: time,
            negative_ttl: time,
            failure_ttl: time,
            deadline: time.max(SECOND),
            concurrency: 0,
            rate: f64::NAN,
            burst: 0,
            left_out: Vec::new(),
        };
        let objects = objects(&sim, settings);
        assert_eq!(objects.look_up(&involved("a", "1")).await.deletion, Deletion::No);
    }
}
