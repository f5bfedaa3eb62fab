//! Judging one event by twenty rules: what every event pays before it is sent anywhere.
#![allow(clippy::expect_used, reason = "a benchmark that can't be set up ends")]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use kube_events::event::{EnhancedEvent, Event, Limits, ObjectMetadata};
use kube_events::route::{Route, Router, Rule};

const RECEIVERS: [&str; 5] = ["dump", "alerts", "shop", "nodes", "audit"];

fn event(namespace: &str, kind: &str, reason: &str, type_: &str) -> EnhancedEvent {
    let json = format!(
        r#"{{"metadata": {{"name": "web-5d4f8c7b9-x2x4q.17988034c78ed0a4", "namespace": "{namespace}", "uid": "u"}},
        "involvedObject": {{"kind": "{kind}", "namespace": "{namespace}", "name": "web-5d4f8c7b9-x2x4q", "apiVersion": "v1"}},
        "reason": "{reason}", "type": "{type_}", "count": 12, "source": {{"component": "kubelet", "host": "node-17"}},
        "message": "Back-off restarting failed container web in pod web-5d4f8c7b9-x2x4q_{namespace}(968ca75e-681c-4f76-8ddd-61ddc2667afc)"}}"#
    );
    let labels = [("app", "web"), ("pod-template-hash", "5d4f8c7b9"), ("team", "blue"), ("version", "1.2.3")];
    let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    let object = ObjectMetadata { labels, ..ObjectMetadata::unknown() };
    let event = Event::from_json(json.as_bytes(), &Limits::default()).expect("an event");
    EnhancedEvent::new(event, Arc::new(object))
}

fn rule(receiver: &str, change: impl FnOnce(&mut Rule)) -> Rule {
    let mut rule = Rule { receiver: receiver.to_owned(), ..Rule::default() };
    change(&mut rule);
    rule
}

/// Twenty rules as they are written: alternatives, prefixes, labels, parts of messages.
fn tree() -> Route {
    let text = |pattern: &str| pattern.to_owned();
    let drop = vec![
        rule("", |rule| rule.namespace = text("^(kube-system|kube-public|kube-node-lease)$")),
        rule("", |rule| rule.message = text("leader election|Readiness probe failed")),
        rule("", |rule| (rule.type_, rule.reason) = (text("Normal"), text("Pulled|Created|Started"))),
        rule("", |rule| rule.component = text("^horizontal-pod-autoscaler$")),
        rule("", |rule| rule.host = text("^spot-[0-9]+$")),
    ];
    let match_ = vec![
        rule("dump", |_| {}),
        rule("alerts", |rule| (rule.type_, rule.min_count) = (text("Warning"), 5)),
        rule("shop", |rule| rule.namespace = text("shop|cart|checkout")),
        rule("nodes", |rule| rule.kind = text("^Node$")),
        rule("audit", |rule| rule.labels = [(text("team"), text("blue|red"))].into()),
    ];
    let routes = (0..10).map(|number| {
        let match_ = rule("audit", |rule| {
            rule.kind = text("Pod|Deployment|ReplicaSet");
            rule.labels = [(text("app"), format!("^app-{number}$"))].into();
            rule.message = text("(?i)failed|error|back-off");
        });
        Route { match_: vec![match_], ..Route::default() }
    });
    // All of the rules above hit some event; the children are reached by way of a sibling.
    let children = Route { routes: routes.collect(), ..Route::default() };
    Route { routes: vec![Route { drop, match_, ..Route::default() }, children], ..Route::default() }
}

fn route(criterion: &mut Criterion) {
    let router = Router::compile(&tree(), &RECEIVERS).expect("a tree");
    let events = [
        ("sent_to_four", event("shop", "Pod", "BackOff", "Warning")),
        ("dropped_first", event("kube-system", "Pod", "BackOff", "Warning")),
        ("dropped_last", event("spot", "Pod", "Pulled", "Normal")),
    ];
    let mut group = criterion.benchmark_group("kube_events/route_20_rules");
    for (name, event) in events {
        let mut receivers = Vec::with_capacity(RECEIVERS.len());
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                receivers.clear();
                router.receivers(black_box(&event), &mut receivers);
                receivers.len()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, route);
criterion_main!(benches);
