//! Events → what a reader of the store sees.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::sync::Arc;

use ksm_core::{
    Applied, Exposition, Family, FamilyIndex, Format, GzipCache, MemoryStore, MetricType, ObjectKey, Retention, Reuse,
    Store, StoredObject,
};
use proptest::prelude::*;

const FAMILIES: [&str; 3] = ["thing_info", "thing_state", "thing_created"];

fn families() -> Vec<Family> {
    FAMILIES.iter().map(|name| Family::dynamic(*name, "Says a thing.", MetricType::Gauge)).collect()
}

/// An object of the model: a number that decides over its samples.
fn put(store: &MemoryStore, uid: u32, content: u32) -> Applied {
    let key = ObjectKey::from_uid(&uid.to_string());
    let version = content.to_string();
    let object = StoredObject { key, version: Some(&version) };
    store.apply(&object, &mut |sink| {
        let name = format!("thing-{uid}");
        sink.identity(&[("name", &name)]);
        let id = format!("id-{uid}-{content}");
        sink.sample(FamilyIndex(0), &[("id", &id)], 1.0, Reuse::Unique);
        for state in 0..content % 4 {
            let value = f64::from(u8::from(state == 0));
            sink.sample(FamilyIndex(1), &[("state", &state.to_string())], value, Reuse::Shared);
        }
        if content.is_multiple_of(3) {
            sink.sample(FamilyIndex(2), &[], f64::from(content), Reuse::Unique);
        }
    })
}

fn put_all(store: &MemoryStore, uids: impl IntoIterator<Item = u32>, content: impl Fn(u32) -> u32) {
    for uid in uids {
        put(store, uid, content(uid));
    }
}

fn model_lines(uid: u32, content: u32) -> Vec<String> {
    let name = format!("name=\"thing-{uid}\"");
    let mut lines = vec![format!("thing_info{{{name},id=\"id-{uid}-{content}\"}} 1")];
    for state in 0..content % 4 {
        lines.push(format!("thing_state{{{name},state=\"{state}\"}} {}", u8::from(state == 0)));
    }
    if content.is_multiple_of(3) {
        lines.push(format!("thing_created{{{name}}} {content}"));
    }
    lines
}

fn text(store: &MemoryStore) -> String {
    Exposition::new([store.snapshot()], Format::Text).to_text()
}

fn samples(text: &str) -> BTreeSet<String> {
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let set: BTreeSet<String> = lines.iter().map(|line| (*line).to_owned()).collect();
    assert_eq!(set.len(), lines.len(), "a sample is written once");
    set
}

fn model_samples(model: &BTreeMap<u32, u32>) -> BTreeSet<String> {
    model.iter().flat_map(|(uid, content)| model_lines(*uid, *content)).collect()
}

fn gunzip(blocks: impl IntoIterator<Item = impl AsRef<[u8]>>) -> String {
    let bytes: Vec<u8> = blocks.into_iter().flat_map(|block| block.as_ref().to_vec()).collect();
    let mut text = String::new();
    let mut reader = flate2::read::GzDecoder::new(bytes.as_slice());
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(reader.into_inner().len(), 0, "one member, and nothing after it");
    text
}

#[derive(Debug, Clone)]
enum Op {
    Put(u32, u32),
    Delete(u32),
    Relist(Vec<(u32, u32)>),
    Publish,
}

fn op() -> impl Strategy<Value = Op> {
    let object = || (0u32..400, 0u32..12);
    prop_oneof![
        6 => object().prop_map(|(uid, content)| Op::Put(uid, content)),
        2 => (0u32..400).prop_map(Op::Delete),
        1 => prop::collection::vec(object(), 0..300).prop_map(Op::Relist),
        2 => Just(Op::Publish),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever happened, a published store shows exactly the objects that are there; gzip shows the same.
    #[test]
    fn prop_store_equals_model(ops in prop::collection::vec(op(), 1..80)) {
        let store = MemoryStore::new(&families());
        let cache = GzipCache::new();
        let mut model: BTreeMap<u32, u32> = BTreeMap::new();
        for op in ops {
            match op {
                Op::Put(uid, content) => {
                    let want = match model.insert(uid, content) {
                        None => Applied::Added,
                        Some(old) if old == content => Applied::Unchanged,
                        Some(_) => Applied::Updated,
                    };
                    prop_assert_eq!(put(&store, uid, content), want);
                }
                Op::Delete(uid) => {
                    prop_assert_eq!(store.delete(ObjectKey::from_uid(&uid.to_string())), model.remove(&uid).is_some());
                }
                Op::Relist(objects) => {
                    store.publish();
                    let before = text(&store);
                    store.begin_relist();
                    let listed: BTreeMap<u32, u32> = objects.into_iter().collect();
                    for (uid, content) in &listed {
                        put(&store, *uid, *content);
                        store.publish();
                    }
                    prop_assert_eq!(text(&store), before, "nothing of an unfinished list is seen");
                    let removed: BTreeSet<String> =
                        store.finish_relist().into_iter().map(|removed| removed.identity[0].1.clone()).collect();
                    let want = model.keys().filter(|uid| !listed.contains_key(uid)).map(|uid| format!("thing-{uid}"));
                    prop_assert_eq!(removed, want.collect::<BTreeSet<_>>());
                    model = listed;
                }
                Op::Publish => {
                    store.publish();
                    prop_assert_eq!(samples(&text(&store)), model_samples(&model));
                    let exposition = Exposition::new([store.snapshot()], Format::Text);
                    prop_assert_eq!(gunzip(cache.compress(exposition)), text(&store));
                }
            }
        }
        store.publish();
        prop_assert_eq!(samples(&text(&store)), model_samples(&model));
        let stats = store.stats();
        prop_assert_eq!((stats.objects, stats.samples), (model.len(), model_samples(&model).len() as u64));
    }
}

#[test]
fn a_reader_keeps_its_snapshot_while_the_writer_goes_on() {
    let store = MemoryStore::new(&families());
    put_all(&store, 0..300, |_| 1);
    store.publish();
    let snapshot = store.snapshot();
    let before = Exposition::new([snapshot.clone()], Format::Text).to_text();
    put_all(&store, 0..300, |_| 7);
    for uid in 0..150 {
        store.delete(ObjectKey::from_uid(&uid.to_string()));
    }
    store.publish();
    assert_eq!(Exposition::new([snapshot], Format::Text).to_text(), before);
    assert_eq!(store.snapshot().objects(), 150);
}

#[test]
fn nothing_is_seen_before_it_is_published() {
    let store = MemoryStore::new(&families());
    put(&store, 1, 1);
    assert_eq!(text(&store), "");
    store.publish();
    assert!(text(&store).contains("thing-1"));
}

#[test]
fn a_store_that_emptied_gives_its_memory_back() {
    let store = MemoryStore::new(&families());
    store.begin_relist();
    put_all(&store, 0..20_000, |uid| uid);
    store.finish_relist();
    let full = store.stats();
    store.begin_relist();
    for uid in [5u32, 19_999] {
        put(&store, uid, uid);
    }
    store.finish_relist();
    let empty = store.stats();
    assert!(empty.bytes * 20 < full.bytes, "{} of {} bytes are left", empty.bytes, full.bytes);
    assert_eq!(samples(&text(&store)), model_samples(&BTreeMap::from([(5, 5), (19_999, 19_999)])));
    // What was moved together can still be found.
    assert!(store.delete(ObjectKey::from_uid("19999")));
    store.publish();
    assert_eq!(samples(&text(&store)), model_samples(&BTreeMap::from([(5, 5)])));
}

#[test]
fn churn_does_not_grow_the_store() {
    let store = MemoryStore::new(&families());
    let mut early = 0;
    for round in 0..200u32 {
        for uid in 0..200 {
            put(&store, round * 200 + uid, round * 7 + uid);
            if round > 0 {
                store.delete(ObjectKey::from_uid(&((round - 1) * 200 + uid).to_string()));
            }
        }
        store.publish();
        if round == 20 {
            early = store.stats().bytes;
        }
    }
    assert_eq!(store.stats().objects, 200);
    assert!(store.stats().bytes < early * 2, "{} then, {} now", early, store.stats().bytes);
}

#[test]
fn deleted_objects_stay_until_they_were_read_once() {
    let store = MemoryStore::with_retention(&families(), Retention::UntilRead { limit: 2 });
    let read = || samples(&Exposition::new([store.read()], Format::Text).to_text());
    put_all(&store, 1..=4, |_| 0);
    store.publish();
    read();
    put(&store, 1, 1);
    store.delete(ObjectKey::from_uid("1"));
    store.publish();
    assert!(read().contains("thing_info{name=\"thing-1\",id=\"id-1-1\"} 1"), "its last state is seen");
    assert!(!read().iter().any(|line| line.contains("thing-1")), "once");

    // A list that comes in without them counts as their deletion; beyond the limit the oldest go unread.
    store.begin_relist();
    store.finish_relist();
    let stats = store.stats();
    assert_eq!((stats.retained, stats.retained_dropped), (2, 1));
    assert_eq!(read().iter().filter(|line| line.starts_with("thing_info")).count(), 2);
    assert_eq!(read(), BTreeSet::new());
}

#[test]
fn extra_labels_stand_between_identity_and_the_samples_own() {
    let store = MemoryStore::new(&families());
    put(&store, 1, 2);
    assert!(store.set_extra_labels(ObjectKey::from_uid("1"), &[("zone", "a\"b")]));
    assert!(!store.set_extra_labels(ObjectKey::from_uid("2"), &[("zone", "a")]));
    store.publish();
    assert!(text(&store).contains("thing_state{name=\"thing-1\",zone=\"a\\\"b\",state=\"0\"} 1\n"));
}

#[test]
fn a_samples_own_label_wins_over_an_extra_one() {
    let store = MemoryStore::new(&families());
    let key = ObjectKey::from_uid("1");
    store.apply(&StoredObject { key, version: None }, &mut |sink| {
        sink.identity(&[("name", "n")]);
        sink.sample(FamilyIndex(1), &[("state", "own")], 1.0, Reuse::Shared);
        sink.sample(FamilyIndex(2), &[], 2.0, Reuse::Unique);
        sink.extra_labels(&[("state", "extra"), ("name", "extra"), ("zone", "z")]);
    });
    let want = |samples: [&str; 2]| samples.map(str::to_owned).into_iter().collect::<BTreeSet<_>>();
    store.publish();
    assert_eq!(
        samples(&text(&store)),
        want([
            "thing_state{name=\"n\",zone=\"z\",state=\"own\"} 1",
            "thing_created{name=\"n\",state=\"extra\",zone=\"z\"} 2"
        ])
    );
    let mut visited = Vec::new();
    store.snapshot().visit(
        |family| family.name == "thing_state",
        |sample| {
            visited.extend(sample.labels().map(|(name, value)| format!("{name}={value}")));
        },
    );
    assert_eq!(visited, ["name=n", "zone=z", "state=own"]);
    // Other labels on another day.
    assert!(store.set_extra_labels(key, &[("zone", "y")]));
    store.publish();
    assert_eq!(
        samples(&text(&store)),
        want(["thing_state{name=\"n\",zone=\"y\",state=\"own\"} 1", "thing_created{name=\"n\",zone=\"y\"} 2"])
    );
    assert!(store.delete(key));
    assert_eq!(store.stats().tails, 0, "every tail was let go");
}

#[test]
fn one_family_in_two_stores_is_one_block() {
    let (a, b) = (MemoryStore::new(&families()), MemoryStore::new(&families()));
    put(&a, 1, 1);
    put(&b, 2, 1);
    a.publish();
    b.publish();
    let text = Exposition::new([a.snapshot(), b.snapshot()], Format::Text).to_text();
    assert_eq!(text.matches("# TYPE thing_info gauge").count(), 1);
    let (info, rest) = text.split_once("# HELP thing_state").unwrap();
    assert_eq!(info.matches("\nthing_info{").count(), 2);
    assert!(!rest.contains("thing_info{"));
}

#[test]
fn headers_show_only_with_objects_and_only_of_what_is_on() {
    let store = MemoryStore::new(&families());
    store.publish();
    assert_eq!(text(&store), "");
    store.set_visible([0usize, 2].into_iter().collect());
    put(&store, 1, 1);
    store.publish();
    assert_eq!(
        text(&store),
        "# HELP thing_info [ALPHA] Says a thing.\n# TYPE thing_info gauge\n\
         thing_info{name=\"thing-1\",id=\"id-1-1\"} 1\n\
         # HELP thing_created [ALPHA] Says a thing.\n# TYPE thing_created gauge\n"
    );
}

#[test]
fn gzip_is_the_text_streamed_or_put_together_and_only_changes_are_compressed() {
    let store = Arc::new(MemoryStore::new(&families()));
    put_all(&store, 0..1000, |uid| uid);
    store.publish();
    let plain = text(&store);
    let exposition = || Exposition::new([store.snapshot()], Format::OpenMetrics);
    assert_eq!(gunzip(exposition().gzip_blocks()), format!("{plain}# EOF\n"));
    let cache = GzipCache::new();
    assert_eq!(gunzip(cache.compress(exposition())), format!("{plain}# EOF\n"));
    put(&store, 500, 3);
    store.publish();
    assert_eq!(gunzip(cache.compress(exposition())), format!("{}# EOF\n", text(&store)));
    let size = cache.memory();
    store.begin_relist();
    store.finish_relist();
    put(&store, 1, 1);
    store.publish();
    for _ in 0..3 {
        cache.compress(exposition()).for_each(drop);
    }
    assert!(cache.memory() * 5 < size, "parts of what is gone are forgotten");
}
