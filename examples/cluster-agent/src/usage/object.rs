//! A node's or a pod's figures as an object of ksm-core, so that all that is there for objects is there for them: every
//! format, compression, selection, filters, joined labels, pushes.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use ksm_core::{Family, FamilyIndex, Label, ResourceBuilder, Samples};
use kubelet_summary::Summary;
use kubelet_summary::exposition::{FAMILIES, Kind, collect_claims, collect_node, collect_pod, collect_requested};
use kubelet_summary::resources::PodResources;
use kubelet_summary::storage::Attribution;
use serde::Deserialize;

use crate::object::own_kind;

/// Its word in queries, on the page and in the status.
pub(crate) const NAME: &str = "usage";

/// What a node's kubelet said of the node, or of one of its pods.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Usage {
    metadata: ObjectMeta,
    // It comes from a kubelet, and never as JSON from an API server.
    #[serde(skip)]
    figures: Option<Figures>,
}

#[derive(Debug, Clone)]
enum Figures {
    /// With the moment at which the node was asked.
    Node(Arc<Summary>, Timestamp),
    Pod {
        summary: Arc<Summary>,
        index: usize,
        resources: Option<PodResources>,
    },
}

impl Usage {
    /// That of a node.
    pub(crate) fn of_node(summary: Arc<Summary>, requested: Timestamp) -> Self {
        let name = summary.node.node_name.to_string();
        Self {
            metadata: identity(format!("node/{name}"), None, name),
            figures: Some(Figures::Node(summary, requested)),
        }
    }

    /// That of the pod at this place of the document. `uid` is its uid at the API server.
    pub(crate) fn of_pod(
        summary: Arc<Summary>,
        index: usize,
        uid: &str,
        resources: Option<PodResources>,
    ) -> Option<Self> {
        let pod = &summary.pods.get(index)?.pod_ref;
        let metadata = identity(uid.to_owned(), Some(pod.namespace().to_owned()), pod.name().to_owned());
        Some(Self { metadata, figures: Some(Figures::Pod { summary, index, resources }) })
    }

    /// One without figures, which stands for an object that is to go.
    pub(crate) fn gone(uid: &str) -> Self {
        Self { metadata: identity(uid.to_owned(), None, String::new()), figures: None }
    }

    pub(crate) fn uid(&self) -> &str {
        self.metadata.uid.as_deref().unwrap_or_default()
    }

    /// The node that it is of, or on.
    pub(crate) fn node(&self) -> Option<&str> {
        let (Figures::Node(summary, _) | Figures::Pod { summary, .. }) = self.figures.as_ref()?;
        Some(&summary.node.node_name)
    }

    /// The node that it is of; none of a pod.
    pub(crate) fn node_itself(&self) -> Option<&str> {
        self.node().filter(|_| matches!(self.figures, Some(Figures::Node(..))))
    }
}

fn identity(uid: String, namespace: Option<String>, name: String) -> ObjectMeta {
    ObjectMeta { uid: Some(uid), namespace, name: Some(name), ..ObjectMeta::default() }
}

own_kind!(Usage, NAME);

/// The resource, without its stream yet.
pub(crate) fn resource() -> ResourceBuilder<Usage> {
    let families = FAMILIES.iter().map(|family| match family.kind {
        Kind::Counter => Family::counter(family.name, family.help),
        Kind::Gauge => Family::gauge(family.name, family.help),
    });
    ResourceBuilder::new(NAME, families, walk)
}

/// Places of families in the table.
static PLACES: LazyLock<HashMap<&'static str, FamilyIndex>> = LazyLock::new(|| {
    let names = FAMILIES.iter().map(|family| family.name);
    names.zip(0..).map(|(name, place)| (name, FamilyIndex(place))).collect()
});

/// The samples' own times are left out: Prometheus gives a scrape's time to all of them, as it does with cAdvisor's by
/// `honor_timestamps: false`, and OTLP the push's.
fn walk(usage: &Usage, samples: &mut Samples<'_>) {
    let put = |samples: &mut Samples<'_>, name: &str, labels: &[Label<'_>], common: usize, value: f64| {
        if let Some(place) = PLACES.get(name) {
            samples.put_unique(*place, labels.get(common..).unwrap_or_default(), value);
        }
    };
    match &usage.figures {
        None => {}
        Some(Figures::Node(summary, requested)) => {
            samples.identity(&[("node", &summary.node.node_name)]);
            collect_requested(&summary.node.node_name, *requested, &mut |family, labels, value, _| {
                put(samples, family.name, labels, 1, value);
            });
            collect_node(&summary.node, &mut |family, labels, value, _| put(samples, family.name, labels, 1, value));
            collect_claims(&summary.node.node_name, &summary.pods, &mut |family, labels, value, _| {
                put(samples, family.name, labels, 1, value);
            });
        }
        Some(Figures::Pod { summary, index, resources }) => {
            let Some(pod) = summary.pods.get(*index) else { return };
            let (node, uid) = (&*summary.node.node_name, usage.uid());
            let names = [("namespace", pod.pod_ref.namespace()), ("pod", pod.pod_ref.name())];
            samples.identity(&[names[0], names[1], ("uid", uid), ("node", node)]);
            collect_pod(
                &summary.node,
                pod,
                resources.as_ref(),
                Attribution::Measured,
                &mut |family, labels, value, _| {
                    put(samples, family.name, labels, 4, value);
                },
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use ksm_core::{Format, Ksm, Query};
    use kube::runtime::watcher::Event;
    use std::convert::Infallible;

    use super::*;

    const DOCUMENT: &[u8] = br#"{
        "node": {"nodeName": "n1", "cpu": {"time": "2026-01-01T00:00:00Z", "usageCoreNanoSeconds": 1500000000}},
        "pods": [{
            "podRef": {"name": "web", "namespace": "shop", "uid": "u1"},
            "cpu": {"time": "2026-01-01T00:00:00Z", "usageCoreNanoSeconds": 250000000},
            "containers": [{"name": "app", "memory": {"time": "2026-01-01T00:00:00Z", "workingSetBytes": 4096}}],
            "volume": [{"name": "data", "pvcRef": {"name": "claim", "namespace": "shop"}, "usedBytes": 7}]
        }]
    }"#;

    #[tokio::test]
    async fn figures_are_series_like_all_others() {
        let summary = Arc::new(Summary::from_slice(DOCUMENT).unwrap().summary);
        let pod = Usage::of_pod(summary.clone(), 0, "uid-of-the-api-server", None).unwrap();
        assert!(Usage::of_pod(summary.clone(), 1, "u", None).is_none());
        assert_eq!((pod.node(), pod.node_itself()), (Some("n1"), None));
        let node = Usage::of_node(summary, Timestamp::from_second(1_700_000_000).unwrap());
        assert_eq!((node.node(), node.node_itself()), (Some("n1"), Some("n1")));
        let events = [Event::Init, Event::InitApply(node), Event::InitApply(pod), Event::InitDone];
        let stream = futures::StreamExt::chain(
            futures::stream::iter(events.map(Ok::<_, Infallible>)),
            futures::stream::pending(),
        );
        let ksm = Ksm::builder().resource(resource().stream(stream)).spawn().unwrap();
        ksm.synced().await;
        let text = ksm.exposition(&Query::default(), Format::Text).to_text();
        for line in [
            "node_cpu_usage_seconds_total{node=\"n1\"} 1.5",
            "kube_node_summary_timestamp_seconds{node=\"n1\"} 1.7e+09",
            "pod_cpu_usage_seconds_total{namespace=\"shop\",pod=\"web\",uid=\"uid-of-the-api-server\",node=\"n1\"} 0.25",
            "container_memory_working_set_bytes{namespace=\"shop\",pod=\"web\",uid=\"uid-of-the-api-server\",node=\"n1\",container=\"app\"} 4096",
            "kubelet_volume_stats_used_bytes{node=\"n1\",namespace=\"shop\",persistentvolumeclaim=\"claim\"} 7",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
        ksm.shutdown().await;
    }
}
