//! Stores to be read, and samples to compare.

use std::collections::BTreeMap;
use std::sync::Arc;

use cluster_sim::population::{Population, PopulationSpec};
use ksm_core::catalog::Catalog;
use ksm_core::engine::builtin_names;
use ksm_core::{
    Family, FamilyFilter, FamilyIndex, KeyAllowList, MemoryStore, ObjectKey, Reuse, Settings, Snapshot, Store,
    StoredObject,
};

/// A name, labels by name, and a value, of which NaN equals NaN.
pub(crate) type Sample = (String, BTreeMap<String, String>, u64);

pub(crate) fn sample<'a>(name: &str, labels: impl IntoIterator<Item = (&'a str, &'a str)>, value: f64) -> Sample {
    let labels = labels.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    (name.to_owned(), labels, if value.is_nan() { u64::MAX } else { value.to_bits() })
}

/// All samples of some snapshots, sorted.
pub(crate) fn visited(snapshots: &[Arc<Snapshot>]) -> Vec<Sample> {
    let mut samples = Vec::new();
    for snapshot in snapshots {
        snapshot.visit(
            |_| true,
            |found| {
                let labels: Vec<_> = found.labels().collect();
                let labels = labels.iter().map(|(name, value)| (*name, value.as_ref()));
                samples.push(sample(&found.family().name, labels, found.value()));
            },
        );
    }
    samples.sort();
    samples
}

/// Every built-in resource with every family on, over a small cluster with everything in it.
pub(crate) fn catalog() -> Catalog {
    let none: [&str; 0] = [];
    let every_key = || BTreeMap::from([("*".to_owned(), KeyAllowList::everything())]);
    let settings = Settings {
        families: FamilyFilter::new(&none, &none, &["."]).unwrap(),
        labels: every_key(),
        annotations: every_key(),
        ..Settings::default()
    };
    let catalog = Catalog::new(builtin_names(), &settings).unwrap();
    for object in Population::new(&PopulationSpec::new(3, 120).seed(7)).objects() {
        let text = |key: &str| object[key].as_str().unwrap_or_default().to_owned();
        // Kinds that are not built in have no shelf.
        let _ = catalog.put(&text("apiVersion"), &text("kind"), object.to_string().as_bytes());
    }
    catalog
}

/// What one object has of one family: the family's place, labels, value.
pub(crate) type Given<'a> = (u16, &'a [(&'a str, &'a str)], f64);

/// An object's identity and its samples.
pub(crate) type Object<'a> = (&'a [(&'a str, &'a str)], &'a [Given<'a>]);

/// A store of objects.
pub(crate) fn store(families: &[Family], objects: &[Object<'_>]) -> Arc<Snapshot> {
    enriched_store(families, &[], objects)
}

/// The same with extra labels on all of them.
pub(crate) fn enriched_store(
    families: &[Family],
    extra_labels: &[(&str, &str)],
    objects: &[Object<'_>],
) -> Arc<Snapshot> {
    let store = MemoryStore::new(families);
    for (n, (identity, samples)) in (0..).zip(objects) {
        let object = StoredObject { key: ObjectKey::anonymous(n), version: None };
        store.apply(&object, &mut |sink| {
            sink.identity(identity);
            for (n, (family, labels, value)) in samples.iter().enumerate() {
                let reuse = if n % 2 == 0 { Reuse::Shared } else { Reuse::Unique };
                sink.sample(FamilyIndex(*family), labels, *value, reuse);
            }
            sink.extra_labels(extra_labels);
        });
    }
    store.publish();
    store.snapshot()
}

/// Label values that formats and readers stumble over.
pub(crate) const ODD_VALUES: [&str; 14] = [
    "",
    " ",
    "a \"quoted\" word",
    "back\\slash\\",
    "line\nbreak",
    "carriage\rreturn\r\n",
    "next\u{85}line",
    "line\u{2028}separator",
    "nul\0",
    "a,b=\"c\"} 1",
    "# EOF",
    "\\n",
    "größe 名前 😀",
    "{}",
];

pub(crate) fn odd_store() -> Arc<Snapshot> {
    let families =
        [Family::gauge("odd", "Says \"odd\" things,\nof \\ and more."), Family::counter("odd_total", "Counts.")];
    let objects: Vec<Vec<(&str, &str)>> = ODD_VALUES.iter().map(|value| vec![("object", *value)]).collect();
    let labels: Vec<[(&str, &str); 1]> = ODD_VALUES.iter().map(|value| [("own", *value)]).collect();
    let values = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -2.5, 1e-7, 1.5e9, 9_007_199_254_740_993.0];
    let samples: Vec<Vec<Given<'_>>> = (0..objects.len())
        .map(|n| {
            let gauges =
                labels.iter().enumerate().map(|(at, own)| (0, own.as_slice(), values[(at + n) % values.len()]));
            gauges.chain([(1, [].as_slice(), 3.0)]).collect()
        })
        .collect();
    let objects: Vec<Object<'_>> =
        objects.iter().zip(&samples).map(|(identity, samples)| (identity.as_slice(), samples.as_slice())).collect();
    // One label that some samples have themselves, and one that none has.
    enriched_store(&families, &[("zone", "a\"1\""), ("own", "never shown")], &objects)
}
