//! Which receivers an event goes to.

use std::sync::Arc;

use kube_events::event::{EnhancedEvent, Event, Limits, ObjectMetadata};
use kube_events::route::{InvalidPatterns, Route, Router, Rule};
use serde_json::{Value, json};

const RECEIVERS: [&str; 4] = ["a", "b", "c", "d"];

fn event(event: &Value) -> EnhancedEvent {
    let map = |value: &Value| serde_json::from_value(value.clone()).unwrap_or_default();
    let object = ObjectMetadata {
        labels: map(&event["object"]["labels"]),
        annotations: map(&event["object"]["annotations"]),
        ..ObjectMetadata::unknown()
    };
    let namespace_labels = event.get("namespaceLabels").map(|labels| Arc::new(map(labels)));
    let event = Event::from_json(event.to_string().as_bytes(), &Limits::default()).unwrap();
    EnhancedEvent { namespace_labels, ..EnhancedEvent::new(event, Arc::new(object)) }
}

fn pod() -> Value {
    json!({
        "metadata": {"namespace": "shop", "labels": {"own": "1"}},
        "involvedObject": {"kind": "Pod", "apiVersion": "v1", "namespace": "other", "name": "web-0"},
        "object": {"labels": {"app": "web", "empty": ""}, "annotations": {"team": "blue"}},
        "reason": "BackOff", "type": "Warning", "message": "Back-off restarting\nfailed container", "count": 4,
        "source": {"component": "kubelet", "host": "node-1"}, "reportingComponent": "other",
        "namespaceLabels": {"env": "prod"},
    })
}

/// A rule in the words of the configuration.
fn rule(rule: &Value) -> Rule {
    let text = |key: &str| rule.get(key).map_or("", |text| text.as_str().unwrap()).to_owned();
    let map = |key: &str| rule.get(key).map(|map| serde_json::from_value(map.clone()).unwrap()).unwrap_or_default();
    Rule {
        message: text("message"),
        api_version: text("apiVersion"),
        kind: text("kind"),
        namespace: text("namespace"),
        reason: text("reason"),
        type_: text("type"),
        component: text("component"),
        host: text("host"),
        labels: map("labels"),
        annotations: map("annotations"),
        namespace_labels: map("namespaceLabels"),
        min_count: rule.get("minCount").map_or(0, |count| count.as_u64().unwrap().try_into().unwrap()),
        receiver: text("receiver"),
    }
}

fn route(route: &Value) -> Route {
    let list = |key: &str| route.get(key).map_or(&[][..], |list| list.as_array().unwrap());
    Route {
        drop: list("drop").iter().map(rule).collect(),
        match_: list("match").iter().map(rule).collect(),
        routes: list("routes").iter().map(self::route).collect(),
    }
}

/// The names of the rules' receivers that hit, one after the other; and each once.
fn judge(tree: &Value, subject: &Value) -> (String, String) {
    let router = Router::compile(&route(tree), &RECEIVERS).unwrap();
    let event = event(subject);
    let mut hits = String::new();
    router.hits(&event, |receiver| hits.push_str(RECEIVERS[receiver.0]));
    let mut once = Vec::new();
    router.receivers(&event, &mut once);
    (hits, once.into_iter().map(|receiver| RECEIVERS[receiver.0]).collect())
}

#[test]
fn rules() {
    let yes = [
        json!({}),
        json!({"message": "restart"}),
        json!({"message": "^Back-off", "kind": "Pod|Node", "apiVersion": "^v1$", "reason": "Back", "type": "Warn"}),
        json!({"namespace": "shop", "component": "kubelet", "host": "node-[0-9]"}),
        json!({"labels": {"app": "^web$"}, "annotations": {"team": "blue|red"}, "namespaceLabels": {"env": "prod"}}),
        json!({"labels": {"empty": ""}}),
        json!({"labels": {"app": ""}}),
        json!({"minCount": 4}),
        json!({"kind": "", "message": ""}),
        json!({"message": "(?s)restarting.failed"}),
    ];
    let no = [
        json!({"message": "^off"}),
        json!({"kind": "pod"}),
        json!({"kind": "Pod", "reason": "Killing"}),
        json!({"namespace": "other"}),
        json!({"apiVersion": "^apps"}),
        json!({"component": "other"}),
        json!({"type": "Normal"}),
        json!({"host": "node-2"}),
        json!({"labels": {"app": "db"}}),
        json!({"labels": {"app": "web", "absent": ""}}),
        json!({"labels": {"own": "1"}}),
        json!({"annotations": {"app": ""}}),
        json!({"namespaceLabels": {"env": "dev"}}),
        json!({"namespaceLabels": {"absent": ""}}),
        json!({"minCount": 5}),
        json!({"message": "restarting.failed"}),
    ];
    for (rules, want) in [(&yes[..], "a"), (&no[..], "")] {
        for rule in rules {
            let mut sends = rule.clone();
            sends["receiver"] = json!("a");
            assert_eq!(judge(&json!({"match": [sends]}), &pod()).0, want, "{rule}");
            let drops = json!({"drop": [rule], "match": [{"receiver": "a"}]});
            assert_eq!(judge(&drops, &pod()).0.is_empty(), want == "a", "{rule}");
        }
    }
}

#[test]
fn counts_of_series_count_and_an_event_happened_at_least_once() {
    let tree = |count: u32| json!({"match": [{"minCount": count, "receiver": "a"}]});
    let series = json!({"count": 1, "series": {"count": 9, "lastObservedTime": null}});
    let table = [(json!({}), 1, "a"), (json!({}), 2, ""), (series.clone(), 9, "a"), (series, 10, "")];
    for (event, count, want) in table {
        assert_eq!(judge(&tree(count), &event).0, want, "{event} {count}");
    }
}

#[test]
fn namespace_labels_that_nobody_looked_up_hit_nothing() {
    let mut event = pod();
    event.as_object_mut().unwrap().remove("namespaceLabels");
    let tree = json!({"match": [{"namespaceLabels": {"env": ""}, "receiver": "a"}]});
    assert_eq!(judge(&tree, &event).0, "");
}

#[test]
fn trees() {
    let yes = |receiver: &str| json!({"kind": "Pod", "receiver": receiver});
    let no = |receiver: &str| json!({"kind": "Node", "receiver": receiver});
    let sub = |receiver: &str| json!([{"match": [{"receiver": receiver}]}]);
    let table = [
        // Nothing, and empty lists.
        (json!({}), "", ""),
        (json!({"drop": [], "match": [], "routes": []}), "", ""),
        (json!({"match": [], "routes": sub("a")}), "a", "a"),
        // Rules are independent of each other; a receiver may be hit twice.
        (json!({"match": [yes("a"), no("b"), yes("c")]}), "ac", "ac"),
        (json!({"match": [yes("b"), yes("a"), yes("b")]}), "bab", "ba"),
        // Drop comes first, wherever it is written, and ends the subtree.
        (json!({"match": [yes("a")], "routes": sub("b"), "drop": [no(""), yes("")]}), "", ""),
        (json!({"drop": [yes("d")], "match": [yes("a")]}), "", ""),
        (json!({"drop": [no("")], "match": [yes("a")], "routes": sub("b")}), "ab", "ab"),
        // An empty rule drops everything.
        (json!({"drop": [{}], "match": [yes("a")]}), "", ""),
        // Children need all rules.
        (json!({"match": [yes("a"), no("b")], "routes": sub("c")}), "a", "a"),
        (json!({"match": [yes("a"), yes("b")], "routes": sub("c")}), "abc", "abc"),
        // A rule without a receiver only filters.
        (json!({"match": [yes("")], "routes": sub("a")}), "a", "a"),
        (json!({"match": [no("")], "routes": sub("a")}), "", ""),
        // Siblings don't mind each other.
        (
            json!({"routes": [
                {"drop": [yes("")], "match": [{"receiver": "a"}]},
                {"match": [no("b")], "routes": sub("b")},
                {"match": [yes("")], "routes": [{"drop": [no("")], "match": [yes("c")], "routes": sub("d")}]},
                {"match": [yes("c")]},
            ]}),
            "cdc",
            "cd",
        ),
    ];
    for (tree, hits, once) in table {
        assert_eq!(judge(&tree, &pod()), (hits.to_owned(), once.to_owned()), "{tree}");
    }
}

#[test]
fn all_problems_are_told_with_their_places() {
    let tree = json!({
        "drop": [{"namespace": "*test*"}],
        "match": [{"labels": {"app": "(", "b": "ok"}, "receiver": "a"}],
        "routes": [{"match": [{"receiver": "a"}, {"receiver": "alert"}], "routes": [{"drop": [{"message": "[z-a]"}]}]}],
    });
    let error = Router::compile(&route(&tree), &["a", "alerts"]).unwrap_err();
    let paths: Vec<_> = error.problems.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "route.drop[0].namespace",
            "route.match[0].labels.app",
            "route.routes[0].match[1].receiver",
            "route.routes[0].routes[0].drop[0].message",
        ]
    );
    let text = error.to_string();
    for part in [
        "`*test*` is no regular expression: repetition operator missing expression",
        "leave it out (`test`)",
        "there is no receiver `alert`; did you mean `alerts`?",
    ] {
        assert!(text.contains(part), "{text}");
    }
    let huge = Rule { message: "(a{1000}){1000}".to_owned(), ..Rule::default() };
    let error = Router::compile(&Route { match_: vec![huge], ..Route::default() }, &RECEIVERS).unwrap_err();
    assert!(error.to_string().contains("too big"), "{error}");
    let deep = (0..1000).fold(Route::default(), |route, _| Route { routes: vec![route], ..Route::default() });
    assert!(Router::compile(&deep, &RECEIVERS).unwrap_err().to_string().contains("nested more than"));
}

#[test]
fn a_pattern_that_is_none_may_be_let_pass_and_never_hits() {
    let tree =
        json!({"drop": [{"namespace": "*shop*"}], "match": [{"receiver": "a"}, {"reason": "(", "receiver": "b"}]});
    let router = Router::compile_with(&route(&tree), &RECEIVERS, InvalidPatterns::NeverHit).unwrap();
    assert_eq!(router.warnings().len(), 2);
    let mut receivers = Vec::new();
    router.receivers(&event(&pod()), &mut receivers);
    assert_eq!(receivers.into_iter().map(|receiver| RECEIVERS[receiver.0]).collect::<String>(), "a");
    assert_eq!(router.unused().map(|receiver| RECEIVERS[receiver.0]).collect::<String>(), "cd");
}
