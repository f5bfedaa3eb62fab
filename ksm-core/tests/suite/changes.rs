//! What happened to a store between two readings → what the second is told.

use std::collections::{BTreeMap, BTreeSet};

use ksm_core::{
    Applied, Changes, Delta, Exposition, Family, FamilyIndex, Format, MemoryStore, MetricType, ObjectKey, Retention,
    Reuse, Store, StoreCursor, StoredObject,
};
use proptest::prelude::*;

fn families() -> Vec<Family> {
    ["thing_info", "thing_state"].map(|name| Family::dynamic(name, "Says a thing.", MetricType::Gauge)).into()
}

fn key(uid: u32) -> ObjectKey {
    ObjectKey::from_uid(&uid.to_string())
}

/// `version` is what the API server counts, `content` decides over the samples.
fn put_as(store: &MemoryStore, uid: u32, name: &str, version: u32, content: u32) -> Applied {
    let version = version.to_string();
    store.apply(&StoredObject { key: key(uid), version: Some(&version) }, &mut |sink| {
        sink.identity(&[("name", name)]);
        sink.sample(FamilyIndex(0), &[("id", &format!("{uid}-{content}"))], 1.0, Reuse::Unique);
        for state in 0..content % 3 {
            sink.sample(FamilyIndex(1), &[("state", &state.to_string())], f64::from(state), Reuse::Shared);
        }
    })
}

fn put(store: &MemoryStore, uid: u32, content: u32) {
    put_as(store, uid, &format!("thing-{uid}"), content, content);
}

fn sample_lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect();
    lines.sort();
    lines
}

fn published(store: &MemoryStore) -> Vec<String> {
    sample_lines(&Exposition::new([store.snapshot()], Format::Text).to_text())
}

/// A reader that knows nothing but what it was told.
#[derive(Default)]
struct Mirror {
    /// Names and lines.
    objects: BTreeMap<ObjectKey, (String, String)>,
    cursor: Option<StoreCursor>,
}

impl Mirror {
    fn catch_up(&mut self, store: &MemoryStore) -> Changes {
        let changes = store.changes_since(self.cursor);
        match &changes {
            Changes::Resync(_) => self.objects.clear(),
            Changes::Delta(delta) => {
                for removed in delta.removed() {
                    let (name, _) = self.objects.remove(&removed.key).unwrap();
                    assert_eq!(removed.identity, [("name".to_owned(), name)]);
                }
            }
        }
        for object in changes.updated() {
            let name = object.label("name").unwrap().into_owned();
            self.objects.insert(object.key(), (name, object.to_text()));
        }
        self.cursor = Some(changes.cursor());
        changes
    }

    fn lines(&self) -> Vec<String> {
        sample_lines(&self.objects.values().map(|(_, lines)| lines.as_str()).collect::<String>())
    }
}

/// The keys of a delta: updated, removed.
fn keys(delta: &Delta) -> (BTreeSet<ObjectKey>, Vec<ObjectKey>) {
    (delta.updated().map(|object| object.key()).collect(), delta.removed().iter().map(|gone| gone.key).collect())
}

fn delta(changes: Changes) -> Delta {
    match changes {
        Changes::Delta(delta) => delta,
        Changes::Resync(_) => panic!("a delta was to be had"),
    }
}

#[derive(Debug, Clone)]
enum Op {
    Put(u32, u32),
    Delete(u32),
    Extra(u32, u8),
    Relist(Vec<(u32, u32)>),
    /// So many objects that the next list leaves mostly holes.
    Fill,
    Hide(bool),
    Publish,
    CatchUp(usize),
}

fn op() -> impl Strategy<Value = Op> {
    let object = || (0u32..60, 0u32..6);
    prop_oneof![
        8 => object().prop_map(|(uid, content)| Op::Put(uid, content)),
        5 => (0u32..60).prop_map(Op::Delete),
        2 => (0u32..60, 0u8..3).prop_map(|(uid, zone)| Op::Extra(uid, zone)),
        1 => prop::collection::vec(object(), 0..60).prop_map(Op::Relist),
        1 => Just(Op::Fill),
        1 => any::<bool>().prop_map(Op::Hide),
        5 => Just(Op::Publish),
        5 => (0usize..3).prop_map(Op::CatchUp),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whoever takes over what it is told has the published state, however seldom it asks.
    #[test]
    fn prop_deltas_lead_from_one_published_state_to_the_next(
        ops in prop::collection::vec(op(), 1..100),
        limit in prop_oneof![Just(0usize), Just(3), Just(1000)],
        kept in prop_oneof![Just(0usize), Just(2)],
    ) {
        let retention = if kept == 0 { Retention::None } else { Retention::UntilRead { limit: kept } };
        let store = MemoryStore::with_retention(&families(), retention).remember_removals(limit);
        let mut mirrors: [Mirror; 3] = Default::default();
        for op in ops {
            match op {
                Op::Put(uid, content) => put(&store, uid, content),
                Op::Delete(uid) => drop(store.delete(key(uid))),
                Op::Extra(uid, zone) => drop(store.set_extra_labels(key(uid), &[("zone", &zone.to_string())])),
                Op::Relist(objects) => {
                    store.begin_relist();
                    for (uid, content) in objects {
 put(&store, uid, content);
}
                    store.publish();
                    mirrors[0].catch_up(&store);
                    prop_assert_eq!(mirrors[0].lines(), published(&store));
                    store.finish_relist();
                }
                Op::Fill => (100..1300).for_each(|uid| put(&store, uid, 1)),
                Op::Hide(hide) => store.set_visible((usize::from(hide)..2).collect()),
                Op::Publish => store.publish(),
                Op::CatchUp(mirror) => {
                    mirrors[mirror].catch_up(&store);
                    prop_assert_eq!(mirrors[mirror].lines(), published(&store));
                }
            }
        }
        store.publish();
        for mirror in &mut mirrors {
            mirror.catch_up(&store);
            prop_assert_eq!(mirror.lines(), published(&store));
            // Kept objects that were read leave now.
            mirror.catch_up(&store);
            prop_assert_eq!(mirror.lines(), published(&store));
            prop_assert!(mirror.catch_up(&store).is_empty());
        }
    }
}

/// A store with three objects and a reader who has them.
fn store_and_reader() -> (MemoryStore, Mirror) {
    let store = MemoryStore::new(&families()).remember_removals(4);
    (1..=3).for_each(|uid| put(&store, uid, 1));
    store.publish();
    let mut mirror = Mirror::default();
    assert!(matches!(mirror.catch_up(&store), Changes::Resync(all) if all.objects() == 3));
    (store, mirror)
}

#[test]
fn an_object_is_told_once_however_often_it_changed() {
    let (store, mut mirror) = store_and_reader();
    for content in 2..5 {
        put(&store, 1, content);
        store.publish();
    }
    store.delete(key(2));
    store.publish();
    put(&store, 2, 1);
    store.publish();
    put(&store, 4, 1);
    store.publish();
    store.delete(key(4));
    store.delete(key(3));
    put(&store, 5, 1);
    store.delete(key(5));
    store.publish();
    let delta = delta(mirror.catch_up(&store));
    // What came back is an update; what came and went is not mentioned.
    assert_eq!(keys(&delta), ([key(1), key(2)].into(), vec![key(3)]));
}

#[test]
fn what_is_not_published_is_not_told() {
    let (store, mut mirror) = store_and_reader();
    put(&store, 1, 2);
    store.delete(key(2));
    assert!(mirror.catch_up(&store).is_empty());
    store.publish();
    assert_eq!(keys(&delta(mirror.catch_up(&store))), ([key(1)].into(), vec![key(2)]));
}

#[test]
fn no_sample_changed_means_no_change() {
    let (store, mut mirror) = store_and_reader();
    let generation = store.snapshot().generation();
    // A new version of the object without a new sample, and a list that says what is known.
    assert_eq!(put_as(&store, 1, "thing-1", 77, 1), Applied::Updated);
    store.publish();
    store.begin_relist();
    assert_eq!(put_as(&store, 1, "thing-1", 77, 1), Applied::Unchanged);
    (2..=3).for_each(|uid| put(&store, uid, 1));
    assert!(store.finish_relist().is_empty());
    assert!(store.set_extra_labels(key(1), &[]));
    store.publish();
    assert!(mirror.catch_up(&store).is_empty());
    assert_eq!(store.snapshot().generation(), generation, "nothing was published");
    assert!(store.set_extra_labels(key(1), &[("zone", "z")]));
    store.publish();
    let delta = delta(mirror.catch_up(&store));
    let object = delta.updated().next().unwrap();
    assert_eq!((object.label("zone").as_deref(), object.label("name").as_deref()), (Some("z"), Some("thing-1")));
}

#[test]
fn a_reader_that_can_not_be_told_all_gets_the_whole() {
    let resyncs = |store: &MemoryStore, cursor| matches!(store.changes_since(Some(cursor)), Changes::Resync(_));
    let (store, mirror) = store_and_reader();
    let cursor = mirror.cursor.unwrap();
    assert!(!resyncs(&store, cursor));
    // Of another store; of this one, but from a time to come.
    let (other, reader) = store_and_reader();
    assert!(resyncs(&store, reader.cursor.unwrap()));
    put(&other, 1, 2);
    other.publish();
    let later = serde_json::to_value(other.changes_since(None).cursor()).unwrap();
    let mut future = serde_json::to_value(cursor).unwrap();
    future["g"] = later["g"].clone();
    assert!(resyncs(&store, serde_json::from_value(future).unwrap()));
    // Four removals are remembered, the fifth is one too many.
    for uid in 10..14 {
        put(&store, uid, 1);
        store.publish();
        store.delete(key(uid));
        store.publish();
    }
    assert!(!resyncs(&store, cursor));
    store.delete(key(3));
    store.publish();
    assert!(resyncs(&store, cursor));
    // Other families.
    let cursor = store.changes_since(None).cursor();
    store.set_visible([0].into_iter().collect());
    let changes = store.changes_since(Some(cursor));
    assert!(matches!(&changes, Changes::Resync(_)));
    assert!(changes.updated().all(|object| object.to_text().starts_with("thing_info{")));
    store.set_visible([0].into_iter().collect());
    assert!(store.changes_since(Some(changes.cursor())).is_empty());
}

#[test]
fn removals_are_not_remembered_before_somebody_asks() {
    let store = MemoryStore::new(&families());
    (0..50).for_each(|uid| put(&store, uid, 1));
    store.publish();
    let early = store.snapshot().cursor();
    store.delete(key(7));
    // The first to ask comes while a removal is not published yet, and nobody noted it.
    let first = store.changes_since(Some(early)).cursor();
    store.publish();
    let Changes::Resync(all) = store.changes_since(Some(first)) else { panic!("a removal was lost") };
    assert_eq!(all.objects(), 49);
    let before = store.stats().bytes;
    store.delete(key(8));
    store.publish();
    assert_eq!(keys(&delta(store.changes_since(Some(all.cursor())))), (BTreeSet::new(), vec![key(8)]));
    assert!(store.stats().bytes > before, "the log is counted");
}

#[test]
fn a_kept_object_is_removed_when_it_leaves() {
    let store = MemoryStore::with_retention(&families(), Retention::UntilRead { limit: 5 });
    (1..=3).for_each(|uid| put(&store, uid, 1));
    store.publish();
    let mut mirror = Mirror::default();
    mirror.catch_up(&store);
    // One ends by an event, one by a list that does not name it.
    put(&store, 1, 2);
    store.delete(key(1));
    store.publish();
    assert_eq!(keys(&delta(mirror.catch_up(&store))), ([key(1)].into(), vec![]), "its last state is told first");
    assert_eq!(keys(&delta(mirror.catch_up(&store))), ([].into(), vec![key(1)]));
    store.begin_relist();
    put(&store, 2, 1);
    store.finish_relist();
    assert!(mirror.catch_up(&store).is_empty(), "it is still there");
    assert_eq!(keys(&delta(mirror.catch_up(&store))), ([].into(), vec![key(3)]));
}

#[test]
fn reading_in_the_middle_of_a_list_shows_nothing_of_it() {
    let store = MemoryStore::with_retention(&families(), Retention::UntilRead { limit: 5 });
    (1..=2).for_each(|uid| put(&store, uid, 1));
    store.publish();
    store.delete(key(1));
    store.publish();
    store.read();
    store.begin_relist();
    put(&store, 9, 1);
    let shown = |line: &str| published(&store).iter().any(|sample| sample.contains(line));
    store.read();
    assert!(!shown("thing-9"), "it is not complete");
    store.finish_relist();
    assert!(shown("thing-9") && shown("thing-2") && !shown("thing-1"), "what was read before the list is gone with it");
}

#[test]
fn a_kept_object_makes_way_for_one_with_the_same_labels() {
    let info = |store: &MemoryStore| -> Vec<String> {
        store.read();
        published(store).into_iter().filter(|line| line.starts_with("thing_info")).collect()
    };
    let of = |uid: u32| format!("thing_info{{name=\"web\",id=\"{uid}-1\"}} 1");
    for deletion_first in [true, false] {
        let store = MemoryStore::with_retention(&families(), Retention::UntilRead { limit: 5 });
        put_as(&store, 1, "web", 1, 1);
        store.publish();
        info(&store);
        // Deleted and created anew under its name, or the other way round.
        if deletion_first {
            store.delete(key(1));
            store.publish();
        }
        put_as(&store, 2, "web", 2, 1);
        if !deletion_first {
            store.delete(key(1));
        }
        store.publish();
        assert_eq!(info(&store), [of(2)], "no series is there twice");
        // A list that names a third instead.
        store.begin_relist();
        put_as(&store, 3, "web", 3, 1);
        store.finish_relist();
        assert_eq!(info(&store), [of(3)]);
        store.delete(key(3));
        store.publish();
        assert_eq!(info(&store), [of(3)], "without a successor it is kept");
        assert_eq!(info(&store), [] as [String; 0]);
        assert_eq!(store.stats().retained_dropped, 0);
    }
}

mod of_all_resources {
    use std::time::Duration;

    use futures::channel::mpsc::{UnboundedSender, unbounded};
    use k8s_openapi::api::core::v1::{Namespace, Node};
    use ksm_core::{ChangeSet, Changes, Cursor, Ksm, Query, ResourceBuilder};
    use kube::runtime::watcher::Event;
    use serde_json::json;

    type Events<K> = UnboundedSender<Result<Event<K>, String>>;

    fn object<K: serde::de::DeserializeOwned>(name: &str) -> K {
        serde_json::from_value(json!({"metadata": {"name": name, "uid": name, "resourceVersion": "1"}})).unwrap()
    }

    fn namespaces() -> (Events<Namespace>, ResourceBuilder<Namespace>) {
        let (events, stream) = unbounded();
        (events, ResourceBuilder::builtin().stream(stream))
    }

    /// Waits until a call has something to tell.
    async fn next(ksm: &Ksm, cursor: &Cursor) -> ChangeSet {
        let asked = async {
            loop {
                let changes = ksm.changes_since(&Query::default(), cursor);
                if !changes.is_empty() {
                    return changes;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), asked).await.unwrap()
    }

    /// `namespaces +a -b`: what is told of each scope, in short; `!` for a resynchronisation.
    fn told(changes: &ChangeSet) -> Vec<String> {
        let scopes = changes.scopes.iter().map(|entry| {
            let mut words = vec![entry.scope.resource.clone()];
            let name = |label: Option<std::borrow::Cow<'_, str>>| label.unwrap().into_owned();
            if let Changes::Resync(_) = &entry.changes {
                words.push("!".into());
            }
            let updated = entry.changes.updated();
            words.extend(updated.map(|object| format!("+{}", name(object.identity().next().map(|(_, name)| name)))));
            if let Changes::Delta(delta) = &entry.changes {
                words.extend(delta.removed().iter().map(|gone| format!("-{}", gone.identity[0].1)));
            }
            words.join(" ")
        });
        scopes.chain(changes.gone.iter().map(|scope| format!("{} gone", scope.resource))).collect()
    }

    #[tokio::test]
    async fn one_cursor_follows_resources_that_come_change_and_go() {
        let (events, resource) = namespaces();
        let (node_events, node_stream) = unbounded::<Result<Event<Node>, String>>();
        let nodes = ResourceBuilder::<Node>::builtin().stream(node_stream);
        let ksm = Ksm::builder().resource(resource).resource(nodes).spawn().unwrap();
        let list = |names: &[&str]| {
            events.unbounded_send(Ok(Event::Init)).unwrap();
            for name in names {
                events.unbounded_send(Ok(Event::InitApply(object(name)))).unwrap();
            }
            events.unbounded_send(Ok(Event::InitDone)).unwrap();
        };
        list(&["a", "b"]);
        node_events.unbounded_send(Ok(Event::Init)).unwrap();
        node_events.unbounded_send(Ok(Event::InitDone)).unwrap();
        ksm.synced().await;
        let changes = ksm.changes_since(&Query::default(), &Cursor::default());
        assert_eq!(told(&changes), ["namespaces ! +a +b", "nodes !"]);

        // As text, it waits somewhere for the next time.
        let cursor: Cursor = changes.cursor.to_string().parse().unwrap();
        assert_eq!(cursor, changes.cursor);
        list(&["b", "c"]);
        let changes = next(&ksm, &cursor).await;
        assert_eq!(told(&changes), ["namespaces +c -a"]);
        // Whoever asks for one resource goes on with the others where it was.
        let only_nodes = Query { resources: vec!["nodes".into()], ..Query::default() };
        node_events.unbounded_send(Ok(Event::Apply(object("n")))).unwrap();
        assert_eq!(told(&next(&ksm, &changes.cursor).await), ["nodes +n"]);
        let of_nodes = ksm.changes_since(&only_nodes, &cursor);
        assert_eq!(told(&of_nodes), ["nodes +n"]);
        assert_eq!(told(&ksm.changes_since(&Query::default(), &of_nodes.cursor)), ["namespaces +c -a"]);

        // A resource ends, and is begun anew; another one goes on.
        let cursor = ksm.changes_since(&Query::default(), &changes.cursor).cursor;
        ksm.remove("namespaces");
        let changes = ksm.changes_since(&Query::default(), &cursor);
        assert_eq!(told(&changes), ["namespaces gone"]);
        assert!(ksm.changes_since(&Query::default(), &changes.cursor).is_empty(), "once");
        let (_events, resource) = namespaces();
        ksm.add(resource).unwrap();
        let anew = ["namespaces !"];
        assert_eq!(told(&ksm.changes_since(&Query::default(), &changes.cursor)), anew);
        assert_eq!(told(&ksm.changes_since(&Query::default(), &cursor)), anew, "it is another store");
    }

    #[test]
    fn a_text_that_is_no_cursor_is_refused_with_what_to_do() {
        for text in ["", "{}", "[{\"r\":\"pods\"}]", "[{\"r\":\"pods\",\"s\":-1,\"g\":1,\"v\":0}]"] {
            let error = text.parse::<Cursor>().unwrap_err().to_string();
            assert!(error.contains("`Cursor::default()`"), "{error}");
        }
        assert_eq!(Cursor::default().to_string().parse::<Cursor>().unwrap(), Cursor::default());
    }
}
