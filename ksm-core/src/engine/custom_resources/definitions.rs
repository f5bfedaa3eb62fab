//! CustomResourceDefinitions → the kinds that they make the cluster serve.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::core::GroupVersionKind;
use serde::Deserialize;
use tokio::sync::watch;

use super::DEFINITIONS;
use crate::engine::state::{Batch, State};
use crate::telemetry;
use crate::watch::{EventSink, Request, WatchError};

/// What of a definition says nothing about what is served. Schemas are most of it.
pub(super) const UNREAD: [&str; 8] = [
    "metadata.annotations",
    "metadata.labels",
    "metadata.managedFields",
    "spec.conversion",
    "spec.versions.additionalPrinterColumns",
    "spec.versions.schema",
    "spec.versions.selectableFields",
    "spec.versions.subresources",
];

/// A kind as the cluster serves it, in one version.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Kind {
    pub(super) gvk: GroupVersionKind,
    pub(super) plural: String,
    pub(super) namespaced: bool,
    /// The definition's uid; none where it was found by discovery.
    pub(super) definition: Option<Arc<str>>,
}

/// All kinds that are defined.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Kinds {
    /// Nothing is known yet.
    #[default]
    Unknown,
    /// The definitions could not be listed.
    Unreadable,
    /// These, in the order of their definitions' names.
    Defined(Arc<[Kind]>),
}

/// What a definition makes the cluster serve; nothing as long as its names are not accepted.
fn kinds_of(definition: &CustomResourceDefinition) -> Vec<Kind> {
    let status = definition.status.as_ref();
    let conditions = status.and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    if !conditions.iter().any(|condition| condition.type_ == "Established" && condition.status == "True") {
        return Vec::new();
    }
    let spec = &definition.spec;
    let accepted = status.and_then(|status| status.accepted_names.as_ref());
    let names = accepted.filter(|names| !names.plural.is_empty() && !names.kind.is_empty()).unwrap_or(&spec.names);
    let uid = definition.metadata.uid.as_deref().map(Arc::from);
    let served = spec.versions.iter().filter(|version| version.served);
    served
        .map(|version| Kind {
            gvk: GroupVersionKind::gvk(&spec.group, &version.name, &names.kind),
            plural: names.plural.clone(),
            namespaced: spec.scope == "Namespaced",
            definition: uid.clone(),
        })
        .collect()
}

/// A definition as far as it matters.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    uid: Option<String>,
    version: Option<String>,
    kinds: Vec<Kind>,
}

/// Takes the events of definitions, and tells the kinds whenever others are served.
pub(super) struct Definitions {
    /// By name.
    known: HashMap<String, Known>,
    /// What a list that has not ended yet brought so far.
    listed: Option<HashMap<String, Known>>,
    events: u64,
    changed: bool,
    state: Arc<State>,
    kinds: watch::Sender<Kinds>,
}

impl Definitions {
    pub(super) fn new(kinds: watch::Sender<Kinds>, state: Arc<State>) -> Self {
        Self { known: HashMap::new(), listed: None, events: 0, changed: false, state, kinds }
    }

    fn put(&mut self, definition: &CustomResourceDefinition) {
        self.events += 1;
        let meta = &definition.metadata;
        let Some(name) = meta.name.clone() else { return self.skip("a definition without a name") };
        let known =
            Known { uid: meta.uid.clone(), version: meta.resource_version.clone(), kinds: kinds_of(definition) };
        match &mut self.listed {
            Some(listed) => drop(listed.insert(name, known)),
            None => {
                let old = self.known.get(&name);
                count_change(old, &known);
                self.changed |= old.is_none_or(|old| old.kinds != known.kinds);
                self.known.insert(name, known);
            }
        }
    }

    fn remove(&mut self, name: &str, uid: Option<&str>) {
        self.events += 1;
        // A late deletion must not take a successor of the same name along.
        if self.known.get(name).is_some_and(|known| uid.is_none() || known.uid.as_deref() == uid) {
            self.changed = true;
            self.known.remove(name);
            count("ksm_core_custom_resource_delete_events_total");
        }
    }

    fn skip(&self, why: &str) {
        self.state.skipped.fetch_add(1, Ordering::Relaxed);
        metrics::counter!("ksm_core_objects_skipped_total", "resource" => DEFINITIONS).increment(1);
        tracing::warn!(resource = DEFINITIONS, why, "object skipped");
    }

    fn publish(&mut self) {
        self.changed = false;
        let mut names: Vec<(&String, &Known)> = self.known.iter().collect();
        names.sort_unstable_by_key(|(name, _)| *name);
        let kinds: Arc<[Kind]> = names.into_iter().flat_map(|(_, known)| known.kinds.iter().cloned()).collect();
        metrics::gauge!("ksm_core_custom_resource_kinds").set(kinds.len() as f64);
        let kinds = Kinds::Defined(kinds);
        self.kinds.send_if_modified(|known| {
            let other = *known != kinds;
            *known = kinds;
            other
        });
    }
}

fn count(counter: &'static str) {
    metrics::counter!(counter).increment(1);
}

fn count_change(old: Option<&Known>, new: &Known) {
    match old {
        None => count("ksm_core_custom_resource_add_events_total"),
        Some(old) if old.version != new.version => count("ksm_core_custom_resource_update_events_total"),
        Some(_) => {}
    }
}

impl EventSink<CustomResourceDefinition> for Definitions {
    fn init(&mut self) {
        self.listed = Some(HashMap::new());
    }

    fn init_apply(&mut self, definition: CustomResourceDefinition) {
        self.put(&definition);
    }

    fn init_done(&mut self) {
        let listed = self.listed.take().unwrap_or_default();
        for (name, known) in &listed {
            count_change(self.known.get(name), known);
        }
        let gone = self.known.keys().filter(|name| !listed.contains_key(*name)).count();
        metrics::counter!("ksm_core_custom_resource_delete_events_total").increment(gone as u64);
        self.known = listed;
        self.publish();
        self.flush();
        self.state.listed();
    }

    fn apply(&mut self, definition: CustomResourceDefinition) {
        self.put(&definition);
    }

    fn delete(&mut self, definition: CustomResourceDefinition) {
        let meta = definition.metadata;
        self.remove(&meta.name.unwrap_or_default(), meta.uid.as_deref());
    }

    fn undecodable(&mut self, text: &str, error: &serde_json::Error) {
        #[derive(Deserialize, Default)]
        struct Named {
            #[serde(default)]
            name: String,
        }
        #[derive(Deserialize, Default)]
        struct Object {
            #[serde(default)]
            metadata: Named,
        }
        let name = serde_json::from_str::<Object>(text).unwrap_or_default().metadata.name;
        // What it serves now is unknown: as elsewhere, what can't be read counts as absent.
        if self.listed.is_none() {
            self.remove(&name, None);
        }
        self.skip(&format!("{name} can't be read: {error}"));
    }

    fn failed(&mut self, error: &WatchError) {
        telemetry::count_request(DEFINITIONS, error.request(), telemetry::RequestResult::Error);
        tracing::warn!(resource = DEFINITIONS, %error, "will be tried again");
        self.state.failed(error.to_string());
        self.kinds.send_if_modified(|kinds| {
            let unknown = *kinds == Kinds::Unknown;
            if unknown {
                *kinds = Kinds::Unreadable;
            }
            unknown
        });
    }

    fn answered(&mut self, request: Request) {
        self.state.answered(request);
    }

    fn completed(&mut self, request: Request) {
        telemetry::count_request(DEFINITIONS, request, telemetry::RequestResult::Success);
        self.state.completed(request);
    }

    fn resolved(&mut self, api_version: Option<&str>) {
        // A server without definitions has no kinds by them.
        self.state.resolved(api_version);
        self.listed = None;
        self.known.clear();
        self.publish();
    }

    fn flush(&mut self) {
        let events = std::mem::take(&mut self.events);
        if events > 0 {
            metrics::counter!("ksm_core_events_total", "resource" => DEFINITIONS).increment(events);
            self.state.saw_events(&Batch { events, of_list: self.listed.is_some(), ..Batch::default() });
        }
        if self.changed && self.listed.is_none() {
            self.publish();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
    use serde_json::{Value, json};

    use super::*;

    fn definition(change: impl FnOnce(&mut Value)) -> CustomResourceDefinition {
        let mut value = json!({
            "metadata": {"name": "foos.example.com", "uid": "u", "resourceVersion": "1"},
            "spec": {
                "group": "example.com", "scope": "Namespaced", "names": {"plural": "foos", "kind": "Foo"},
                "versions": [
                    {"name": "v1", "served": true, "storage": true},
                    {"name": "v1beta1", "served": true, "storage": false},
                    {"name": "v1alpha1", "served": false, "storage": false},
                ],
            },
            "status": {"conditions": [{"type": "Established", "status": "True"}]},
        });
        change(&mut value);
        serde_json::from_value(value).unwrap()
    }

    fn kinds(definition: &CustomResourceDefinition) -> Vec<String> {
        kinds_of(definition).iter().map(|kind| format!("{} {}", kind.gvk.api_version(), kind.gvk.kind)).collect()
    }

    #[test]
    fn a_definition_serves_what_is_accepted() {
        assert_eq!(kinds(&definition(|_| {})), ["example.com/v1 Foo", "example.com/v1beta1 Foo"]);
        let pending = definition(|value| value["status"] = json!({"conditions": []}));
        assert!(kinds(&pending).is_empty(), "its names are not accepted yet");
        let renamed = definition(|value| {
            value["status"]["acceptedNames"] = json!({"plural": "foos", "kind": "Foo"});
            value["spec"]["names"]["kind"] = json!("Taken");
        });
        assert_eq!(kinds(&renamed)[0], "example.com/v1 Foo");
        assert!(!kinds_of(&definition(|value| value["spec"]["scope"] = json!("Cluster")))[0].namespaced);
    }

    /// The counters and gauges that the code under test sets, by name.
    #[derive(Default)]
    struct Recorded(parking_lot::Mutex<std::collections::BTreeMap<String, Arc<AtomicU64>>>);

    impl Recorded {
        fn cell(&self, key: &Key) -> Arc<AtomicU64> {
            self.0.lock().entry(key.name().to_owned()).or_default().clone()
        }

        fn counts(&self) -> [u64; 3] {
            ["add", "update", "delete"].map(|event| {
                let counted = self.0.lock().get(&format!("ksm_core_custom_resource_{event}_events_total")).cloned();
                counted.map_or(0, |count| count.load(Ordering::Relaxed))
            })
        }
    }

    impl Recorder for Recorded {
        fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

        fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
            Counter::from_arc(self.cell(key))
        }

        fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
            Gauge::from_arc(self.cell(key))
        }

        fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
            Histogram::noop()
        }
    }

    #[test]
    fn what_comes_changes_and_goes_is_counted() {
        let recorded = Recorded::default();
        metrics::with_local_recorder(&recorded, || {
            let mut sink = Definitions::new(watch::channel(Kinds::default()).0, Arc::new(State::new()));
            let newer = |value: &mut Value| value["metadata"]["resourceVersion"] = json!("2");
            let list = |sink: &mut Definitions, definitions: Vec<CustomResourceDefinition>| {
                sink.init();
                for definition in definitions {
                    sink.init_apply(definition);
                }
                sink.init_done();
            };
            sink.init();
            sink.init_apply(definition(|_| {}));
            assert_eq!(recorded.counts(), [0, 0, 0], "a list that breaks off says nothing");
            list(&mut sink, vec![definition(|_| {})]);
            list(&mut sink, vec![definition(|_| {})]);
            assert_eq!(recorded.counts(), [1, 0, 0], "a list that brings nothing new");
            sink.apply(definition(newer));
            list(&mut sink, vec![]);
            sink.apply(definition(|_| {}));
            sink.flush();
            assert_eq!(recorded.counts(), [2, 1, 1], "what is missing in a list is gone");
            sink.delete(definition(|_| {}));
            assert_eq!(recorded.counts(), [2, 1, 2]);
        });
        let kinds = recorded.0.lock()["ksm_core_custom_resource_kinds"].load(Ordering::Relaxed);
        assert_eq!(kinds, 2.0_f64.to_bits(), "as it was told last");
    }

    #[test]
    fn only_what_is_served_is_told() {
        let (sender, mut kinds) = watch::channel(Kinds::default());
        let mut sink = Definitions::new(sender, Arc::new(State::new()));
        let mut tell = |events: &mut dyn FnMut(&mut Definitions)| {
            events(&mut sink);
            sink.flush();
            let changed = kinds.has_changed().unwrap();
            let defined = match &*kinds.borrow_and_update() {
                Kinds::Defined(kinds) => kinds.len(),
                other => panic!("{other:?}"),
            };
            (changed, defined)
        };
        let list = |sink: &mut Definitions, change: &dyn Fn(&mut Value)| {
            sink.init();
            sink.init_apply(definition(change));
            sink.init_done();
        };
        assert_eq!(tell(&mut |sink| list(sink, &|_| {})), (true, 2));
        assert_eq!(tell(&mut |sink| list(sink, &|_| {})), (false, 2), "a list that brings nothing new");
        let schema = |value: &mut Value| value["spec"]["versions"][0]["schema"] = json!({"openAPIV3Schema": {}});
        assert_eq!(tell(&mut |sink| sink.apply(definition(schema))), (false, 2));
        let withdrawn = |value: &mut Value| value["spec"]["versions"][1]["served"] = json!(false);
        assert_eq!(tell(&mut |sink| sink.apply(definition(withdrawn))), (true, 1));
        let other = |value: &mut Value| value["metadata"]["uid"] = json!("other");
        assert_eq!(tell(&mut |sink| sink.delete(definition(other))), (false, 1), "a late deletion of another one");
        assert_eq!(tell(&mut |sink| sink.apply(definition(other))), (true, 2), "made anew");
        let error = serde_json::from_str::<Value>("x").unwrap_err();
        let broken = r#"{"metadata":{"name":"foos.example.com"},"spec":5}"#;
        assert_eq!(tell(&mut |sink| sink.undecodable(broken, &error)), (true, 0), "what can't be read is absent");
    }
}
