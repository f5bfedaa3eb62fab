//! A host's streams and hooks → samples.

use std::sync::Arc;
use std::time::Duration;

use futures::channel::mpsc::{UnboundedSender, unbounded};
use k8s_openapi::api::core::v1::Namespace;
use ksm_core::{
    Applied, BuildError, Change, Family, FamilyFilter, FamilyIndex, Format, KeyAllowList, Ksm, Label, ObjectKey, Query,
    Removed, ResourceBuilder, Retention, Reuse, SampleSink, Settings, Store, StoredObject,
};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::watcher::Event;
use parking_lot::Mutex;
use serde_json::json;

type Events = UnboundedSender<Result<Event<Namespace>, String>>;

fn namespace(name: &str, version: u32, labels: &serde_json::Value) -> Namespace {
    serde_json::from_value(json!({
        "metadata": {"name": name, "uid": name, "resourceVersion": version.to_string(), "labels": labels},
        "status": {"phase": "Active"},
    }))
    .unwrap()
}

/// A resource that is fed by hand.
fn fed(
    configure: impl FnOnce(ResourceBuilder<Namespace>) -> ResourceBuilder<Namespace>,
) -> (Events, ResourceBuilder<Namespace>) {
    let (events, stream) = unbounded();
    (events, configure(ResourceBuilder::builtin().stream(stream)))
}

fn list(events: &Events, objects: impl IntoIterator<Item = Namespace>) {
    events.unbounded_send(Ok(Event::Init)).unwrap();
    for object in objects {
        events.unbounded_send(Ok(Event::InitApply(object))).unwrap();
    }
    events.unbounded_send(Ok(Event::InitDone)).unwrap();
}

fn text(ksm: &Ksm) -> String {
    ksm.exposition(&Query::default(), Format::Text).to_text()
}

/// Waits until the text says so.
async fn until(ksm: &Ksm, wanted: impl Fn(&str) -> bool) -> String {
    tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            let text = text(ksm);
            if wanted(&text) {
                return text;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap_or_else(|_| panic!("not seen in time; it shows:\n{}", text(ksm)))
}

#[tokio::test]
async fn events_of_a_stream_become_samples() {
    let (events, resource) = fed(|r| r);
    let ksm = Ksm::builder().resource(resource).spawn().unwrap();
    list(&events, [namespace("a", 1, &json!({})), namespace("b", 1, &json!({}))]);
    ksm.synced().await;
    assert!(text(&ksm).contains("kube_namespace_status_phase{namespace=\"a\",phase=\"Active\"} 1\n"));
    events.unbounded_send(Ok(Event::Delete(namespace("a", 2, &json!({}))))).unwrap();
    events.unbounded_send(Ok(Event::Apply(namespace("c", 3, &json!({}))))).unwrap();
    let text = until(&ksm, |text| text.contains("\"c\"")).await;
    assert!(!text.contains("\"a\"") && text.contains("\"b\""));
    let status = &ksm.status()[0];
    assert_eq!((status.resource.as_str(), status.lists, status.failing), ("namespaces", 1, false));
    assert_eq!(status.store.unwrap().objects, 2);
}

#[tokio::test]
async fn a_late_delete_does_not_take_the_successor_along() {
    let (events, resource) = fed(|r| r);
    let ksm = Ksm::builder().resource(resource).spawn().unwrap();
    list(&events, [namespace("a", 1, &json!({}))]);
    let mut successor = namespace("a", 5, &json!({}));
    successor.metadata.uid = Some("other".into());
    events.unbounded_send(Ok(Event::Apply(successor))).unwrap();
    events.unbounded_send(Ok(Event::Delete(namespace("a", 4, &json!({}))))).unwrap();
    events.unbounded_send(Ok(Event::Apply(namespace("end", 6, &json!({}))))).unwrap();
    assert!(until(&ksm, |text| text.contains("\"end\"")).await.contains("namespace=\"a\""));
}

#[tokio::test]
async fn hosts_add_drop_replace_enrich_and_transform() {
    let (events, resource) = fed(|resource| {
        resource
            .without(["kube_namespace_created", "kube_namespace_status_phase"])
            .families(
                [Family::gauge("kube_namespace_status_phase", "Ours."), Family::gauge("my_name_length", "Its length.")],
                |namespace: &Namespace, samples| {
                    let name = namespace.metadata.name.as_deref().unwrap_or_default();
                    samples.put(FamilyIndex(0), &[("ours", "yes")], 7.0);
                    samples.put(FamilyIndex(1), &[], name.len() as f64);
                },
            )
            .enrich(|namespace, extra| {
                for (key, value) in namespace.metadata.labels.iter().flatten() {
                    extra.add(key, value.as_str());
                }
            })
            .transform(|_, sample| {
                if sample.family().name == "my_name_length" {
                    sample.set_value(sample.value() * 10.0);
                    sample.set_label("unit", "decichar");
                }
            })
    });
    let ksm = Ksm::builder().resource(resource).spawn().unwrap();
    list(&events, [namespace("abc", 1, &json!({"example.com/team": "x"}))]);
    ksm.synced().await;
    assert_eq!(
        text(&ksm).lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>(),
        [
            "kube_namespace_status_phase{namespace=\"abc\",example_com_team=\"x\",ours=\"yes\"} 7",
            "my_name_length{namespace=\"abc\",example_com_team=\"x\",unit=\"decichar\"} 30",
        ]
    );
    assert!(!text(&ksm).contains("kube_namespace_created"));
}

#[tokio::test]
async fn hooks_see_every_change_with_its_object() {
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let notes = seen.clone();
    let (events, resource) = fed(|resource| {
        resource.on_change(move |change| {
            let name = |object: &Namespace| object.metadata.name.clone().unwrap_or_default();
            notes.lock().push(match change {
                Change::Added(object) => format!("added {}", name(object)),
                Change::Updated(object) => format!("updated {}", name(object)),
                Change::Deleted(object) => format!("deleted {}", name(object)),
                Change::Vanished(removed) => format!("vanished {}", removed.identity[0].1),
                Change::Moved(key) => format!("moved {key:?}"),
            });
        })
    });
    let ksm = Ksm::builder().resource(resource).spawn().unwrap();
    list(&events, [namespace("a", 1, &json!({})), namespace("b", 1, &json!({}))]);
    events.unbounded_send(Ok(Event::Apply(namespace("a", 2, &json!({}))))).unwrap();
    events.unbounded_send(Ok(Event::Delete(namespace("a", 3, &json!({}))))).unwrap();
    list(&events, [namespace("c", 4, &json!({}))]);
    until(&ksm, |text| text.contains("\"c\"")).await;
    assert_eq!(*seen.lock(), ["added a", "added b", "updated a", "deleted a", "added c", "vanished b"]);
}

#[tokio::test]
async fn a_panicking_hook_and_a_nameless_object_cost_only_themselves() {
    let is = |namespace: &Namespace, name: &str| namespace.metadata.name.as_deref() == Some(name);
    let (events, resource) = fed(|resource| {
        resource
            .families([Family::gauge("mine", "Mine.")], move |namespace, _| assert!(!is(namespace, "walk")))
            .enrich(move |namespace, _| assert!(!is(namespace, "enrich")))
            .on_change(move |change| assert!(!matches!(change, Change::Added(added) if is(added, "hook"))))
    });
    let ksm = Ksm::builder().resource(resource).spawn().unwrap();
    let named = ["walk", "a", "enrich", "hook", "b"].map(|name| namespace(name, 1, &json!({})));
    list(&events, named.into_iter().chain([Namespace::default()]));
    ksm.synced().await;
    let text = text(&ksm);
    let shown = |name: &str| text.contains(&format!("namespace=\"{name}\""));
    assert_eq!(["walk", "a", "enrich", "hook", "b"].map(shown), [false, true, false, true, true]);
    assert_eq!(ksm.status()[0].skipped, 4);
}

#[tokio::test]
async fn filters_change_at_run_time() {
    let (events, resource) = fed(|resource| resource);
    let ksm = Ksm::builder().resource(resource).spawn().unwrap();
    list(&events, [namespace("a", 1, &json!({"app": "x"}))]);
    ksm.synced().await;
    let none: [&str; 0] = [];
    let mut settings =
        Settings { families: FamilyFilter::new(&none, &["_phase$"], &none).unwrap(), ..Settings::default() };
    assert_eq!(ksm.reconfigure(&settings), ksm_core::Reconfigured::default());
    assert!(!text(&ksm).contains("kube_namespace_status_phase"), "it is hidden at once");
    settings.labels.insert("*".into(), KeyAllowList::everything());
    settings.families = FamilyFilter::default();
    assert_eq!(ksm.reconfigure(&settings).stale, ["namespaces"], "a stream can't be listed anew");
    assert!(text(&ksm).contains("kube_namespace_status_phase{"), "what was hidden is still there");
    events.unbounded_send(Ok(Event::Apply(namespace("a", 2, &json!({"app": "x"}))))).unwrap();
    until(&ksm, |text| text.contains("kube_namespace_labels{namespace=\"a\",label_app=\"x\"} 1\n")).await;
}

#[tokio::test]
async fn a_dynamic_custom_resource_is_a_resource() {
    let api = ApiResource::from_gvk(&GroupVersionKind::gvk("example.com", "v1", "Widget"));
    let (events, stream) = unbounded::<Result<Event<DynamicObject>, String>>();
    let widgets = ResourceBuilder::dynamic(
        "widgets",
        api.clone(),
        false,
        [Family::gauge("widget_size", "How big it is.")],
        |widget, samples| {
            let text = |value: &Option<String>| value.clone().unwrap_or_default();
            samples.identity(&[
                ("namespace", &text(&widget.metadata.namespace)),
                ("widget", &text(&widget.metadata.name)),
            ]);
            samples.put_some(FamilyIndex(0), &[], widget.data["spec"]["size"].as_f64());
        },
    )
    .stream(stream);
    let ksm = Ksm::builder().resource(widgets).spawn().unwrap();
    let mut widget = DynamicObject::new("w", &api).within("ns");
    widget.data = json!({"spec": {"size": 2.5}});
    events.unbounded_send(Ok(Event::Apply(widget))).unwrap();
    until(&ksm, |text| text.contains("widget_size{namespace=\"ns\",widget=\"w\"} 2.5\n")).await;
}

/// A store of the host's: it notes what it is told.
#[derive(Debug, Default)]
struct Notes(Mutex<Vec<String>>);

impl Notes {
    fn note(&self, what: impl Into<String>) {
        self.0.lock().push(what.into());
    }
}

impl Store for Notes {
    fn begin_relist(&self) {
        self.note("begin");
    }

    fn apply(&self, _object: &StoredObject<'_>, walk: &mut dyn FnMut(&mut dyn SampleSink)) -> Applied {
        struct Sink<'a>(&'a Notes);
        impl SampleSink for Sink<'_> {
            fn identity(&mut self, labels: &[Label<'_>]) {
                self.0.note(format!("{labels:?}"));
            }
            fn sample(&mut self, family: FamilyIndex, labels: &[Label<'_>], value: f64, _reuse: Reuse) {
                self.0.note(format!("{} {labels:?} {value}", family.0));
            }
        }
        walk(&mut Sink(self));
        Applied::Added
    }

    fn delete(&self, _key: ObjectKey) -> bool {
        self.note("delete");
        true
    }

    fn finish_relist(&self) -> Vec<Removed> {
        self.note("finish");
        Vec::new()
    }

    fn publish(&self) {}
}

#[tokio::test]
async fn a_store_of_the_hosts_gets_structures() {
    let notes = Arc::new(Notes::default());
    let given = notes.clone();
    let (events, resource) = fed(|resource| resource.store(move |_| given.clone()));
    let ksm = Ksm::builder().resource(resource).spawn().unwrap();
    list(&events, [namespace("a", 1, &json!({}))]);
    ksm.synced().await;
    assert_eq!(
        *notes.0.lock(),
        [
            "begin",
            r#"[("namespace", "a")]"#,
            r#"3 [("phase", "Active")] 1"#,
            r#"3 [("phase", "Terminating")] 0"#,
            "finish"
        ]
    );
    assert!(ksm.status()[0].store.is_none() && text(&ksm).is_empty());
}

#[tokio::test]
async fn a_host_that_learns_more_later_labels_what_is_there() {
    let (events, resource) = fed(|r| r);
    let ksm = Ksm::builder().resource(resource).spawn().unwrap();
    list(&events, [namespace("a", 1, &json!({}))]);
    ksm.synced().await;
    let key = ObjectKey::from_uid("a");
    assert!(ksm.set_extra_labels("namespaces", key, &[("zone", "z1")]));
    assert!(!ksm.set_extra_labels("pods", key, &[("zone", "z1")]));
    assert!(text(&ksm).contains("{namespace=\"a\",zone=\"z1\",phase=\"Active\"} 1"));
}

#[tokio::test]
async fn queries_pick_resources() {
    let (events, resource) = fed(|r| r);
    let ksm = Ksm::builder().resource(resource).spawn().unwrap();
    list(&events, [namespace("a", 1, &json!({}))]);
    ksm.synced().await;
    let text = |query: &Query| ksm.exposition(query, Format::Text).to_text();
    let named = vec!["namespaces".to_owned()];
    assert!(!text(&Query { resources: named.clone(), ..Query::default() }).is_empty());
    assert!(text(&Query { resources: vec!["pods".into()], ..Query::default() }).is_empty());
    assert!(text(&Query { resources: named.clone(), exclude: named, ..Query::default() }).is_empty());
}

#[tokio::test]
async fn two_instances_do_not_know_of_each_other_and_shutdown_is_idempotent() {
    let (events, resource) = fed(|r| r);
    let (_other_events, other) = fed(|r| r);
    let ksm = Ksm::builder().resource(resource).spawn().unwrap();
    let second = Ksm::builder().resource(other).spawn().unwrap();
    list(&events, [namespace("a", 1, &json!({}))]);
    ksm.synced().await;
    assert_eq!(text(&second), "");
    ksm.shutdown().await;
    ksm.shutdown().await;
    assert!(events.is_closed(), "the task has ended and dropped the stream");
    assert!(text(&ksm).contains("\"a\""), "what was stored can still be read");
}

#[tokio::test]
async fn dropping_the_handle_ends_its_tasks() {
    let (events, resource) = fed(|r| r);
    drop(Ksm::builder().resource(resource).spawn().unwrap());
    tokio::time::timeout(Duration::from_secs(20), async {
        while !events.is_closed() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn bad_configurations_are_refused_with_what_to_change() {
    let two = || Ksm::builder().resource(fed(|r| r).1).resource(fed(|r| r).1);
    assert_eq!(two().spawn().unwrap_err(), BuildError::DuplicateResource { name: "namespaces".into() });
    let twice = fed(|r| r.families([Family::gauge("kube_namespace_created", "")], |_, _| {})).1;
    assert!(matches!(Ksm::builder().resource(twice).spawn(), Err(BuildError::DuplicateFamily { .. })));
    let error = Ksm::builder().resources(["namespace"]).unwrap_err().to_string();
    assert!(error.contains("\"namespace\"") && error.contains("namespaces"), "{error}");
    assert!(matches!(Ksm::builder().resources(["namespaces"]).unwrap().spawn(), Err(BuildError::NoClient { .. })));
}

#[tokio::test]
async fn a_failing_stream_is_told_and_goes_on() {
    let (events, resource) = fed(|r| r);
    let ksm = Ksm::builder().resource(resource).spawn().unwrap();
    events.unbounded_send(Err("the host's watch broke".into())).unwrap();
    list(&events, [namespace("a", 1, &json!({}))]);
    ksm.synced().await;
    let status = &ksm.status()[0];
    assert_eq!((status.errors, status.failing), (1, false));
    assert_eq!(status.last_error.as_ref().unwrap().0, "the host's watch broke");
    drop(events);
    let ended = async {
        while ksm.status()[0].errors < 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), ended).await.unwrap();
    assert!(ksm.status()[0].failing, "a source that ended is not healthy");
}

#[tokio::test]
async fn deleted_objects_are_kept_for_one_reading_where_that_is_wanted() {
    let kept = Retention::UntilRead { limit: 10 };
    for (of_all, own, is_kept) in
        [(kept, None, true), (Retention::None, Some(kept), true), (kept, Some(Retention::None), false)]
    {
        let (events, resource) = fed(|resource| match own {
            Some(own) => resource.retention(own),
            None => resource,
        });
        let ksm = Ksm::builder().resource(resource).retention(of_all).spawn().unwrap();
        list(&events, [namespace("a", 1, &json!({})), namespace("b", 1, &json!({}))]);
        ksm.synced().await;
        text(&ksm);
        // One is deleted, one is missing in a list; a snapshot is no reading.
        events.unbounded_send(Ok(Event::Delete(namespace("a", 2, &json!({}))))).unwrap();
        list(&events, [namespace("end", 3, &json!({}))]);
        let seen = async {
            while ksm.status()[0].lists < 2 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), seen).await.unwrap();
        let shown = || {
            let text = text(&ksm);
            ["a", "b", "end"].map(|name| text.contains(&format!("{{namespace=\"{name}\"")))
        };
        assert_eq!(ksm.snapshots(&Query::default())[0].objects(), if is_kept { 3 } else { 1 });
        assert_eq!(shown(), [is_kept, is_kept, true]);
        assert_eq!(shown(), [false, false, true]);
    }
}
