//! Counts of events as objects of ksm-core: one for each type, reason, kind and namespace.

use std::collections::HashMap;

use futures::SinkExt;
use futures::channel::mpsc::Sender;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use ksm_core::{Family, FamilyIndex, ResourceBuilder, Samples};
use kube::runtime::watcher::Event;
use kube_events::event_metrics::EventSeriesKey;
use serde::Deserialize;

use super::Counts;
use crate::object::own_kind;

/// Its word in queries, on the page and in the status.
pub(crate) const NAME: &str = "eventcounts";

const FAMILIES: [Family; 1] = [Family::counter(
    "kube_events_total",
    "Occurrences of Kubernetes events since the agent began to count, by type, reason, and the kind of the object.",
)];

/// How often counts are brought to the series.
const EVERY: std::time::Duration = std::time::Duration::from_secs(1);

/// What finds no room among the series is counted under this word.
const OTHER: &str = "other";

/// Occurrences of one type, reason, kind and namespace.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct EventCount {
    metadata: ObjectMeta,
    // It is counted here, and never comes as JSON from an API server.
    #[serde(skip)]
    counted: Option<(EventSeriesKey, u64)>,
}

impl EventCount {
    fn new(key: EventSeriesKey, count: u64) -> Self {
        // Namespaces have no slash, and neither have kinds: no two keys give one text.
        let uid = format!("{}/{}/{}/{}", key.namespace, key.kind, key.type_, key.reason);
        let metadata = ObjectMeta { uid: Some(uid), ..ObjectMeta::default() };
        Self { metadata, counted: Some((key, count)) }
    }
}

own_kind!(EventCount, NAME);

/// The resource, without its stream yet.
pub(super) fn resource() -> ResourceBuilder<EventCount> {
    ResourceBuilder::new(NAME, FAMILIES, |counted: &EventCount, samples: &mut Samples<'_>| {
        let Some((EventSeriesKey { type_, reason, kind, namespace }, count)) = &counted.counted else { return };
        samples.identity(&[("namespace", namespace), ("type", type_), ("reason", reason), ("kind", kind)]);
        samples.put_unique(FamilyIndex(0), &[], *count as f64);
    })
}

/// Brings counts that have changed to the series, until nobody listens.
pub(super) async fn feed(counts: Counts, mut out: Sender<Event<EventCount>>) {
    // As many as there are series, whose number is limited where they are counted.
    let mut shown: HashMap<EventSeriesKey, u64> = HashMap::new();
    let mut ticks = tokio::time::interval(EVERY);
    if out.send(Event::Init).await.is_err() || out.send(Event::InitDone).await.is_err() {
        return;
    }
    let mut version = 0;
    loop {
        ticks.tick().await;
        let changed: Vec<(EventSeriesKey, u64)> = {
            let counts = counts.lock();
            if counts.version == version {
                continue;
            }
            version = counts.version;
            let rest = [OTHER; 4].map(str::to_owned);
            let [type_, reason, kind, namespace] = rest;
            let rest = EventSeriesKey { type_, reason, kind, namespace };
            let rest = (counts.counts.overflowed() > 0).then(|| (rest, counts.counts.other()));
            let all = counts.counts.series().into_iter().map(|(key, count)| (key.clone(), count)).chain(rest);
            all.filter(|(key, count)| shown.get(key) != Some(count)).collect()
        };
        for (key, count) in changed {
            shown.insert(key.clone(), count);
            if out.send(Event::Apply(EventCount::new(key, count))).await.is_err() {
                return;
            }
        }
    }
}
