//! The keys of the file: each a flag, but for the two that are too large for one.

use Takes::{Effect, Restart};
use example_host::config::Shape::{List, Lists, One};
use example_host::config::{Key, Keys, Shape, Takes};

const fn key(path: &'static str, flag: &'static str, shape: Shape, takes: Takes) -> Key {
    Key::new(path, flag, shape, takes)
}

/// The joins of labels, and where events are sent.
pub(super) const JOINS: &str = "joins";
pub(super) const EXPORT: &str = "events.export";

/// All keys but these two.
pub(super) const FLAGS: &[Key] = &[
    key("cluster.kubeconfig", "kubeconfig", One, Restart),
    key("cluster.context", "context", One, Restart),
    key("cluster.apiserver", "apiserver", One, Restart),
    key("serve.host", "host", One, Restart),
    key("serve.port", "port", One, Restart),
    key("metrics.resources", "resources", List, Effect),
    key("metrics.allow", "metric-allowlist", List, Effect),
    key("metrics.deny", "metric-denylist", List, Effect),
    key("metrics.optIn", "metric-opt-in-list", List, Effect),
    key("metrics.labels", "metric-labels-allowlist", Lists, Effect),
    key("metrics.annotations", "metric-annotations-allowlist", Lists, Effect),
    key("scope.namespaces", "namespaces", List, Effect),
    key("scope.namespacesDenied", "namespaces-denylist", List, Effect),
    key("scope.node", "node", One, Effect),
    key("scope.unscheduledPods", "track-unscheduled-pods", One, Effect),
    key("scope.apiserverCache", "use-apiserver-cache", One, Restart),
    key("shards.shard", "shard", One, Restart),
    key("shards.total", "total-shards", One, Restart),
    key("shards.pod", "pod", One, Restart),
    key("shards.podNamespace", "pod-namespace", One, Restart),
    key("nodeMetadata.enabled", "node-metadata", One, Restart),
    key("nodeMetadata.namespace", "node-metadata-namespace", One, Restart),
    key("nodeMetadata.labels", "node-metadata-labels", List, Restart),
    key("nodeMetadata.pods", "node-metadata-pods", One, Restart),
    key("usage.enabled", "usage", One, Restart),
    key("usage.via", "usage-via", One, Restart),
    key("usage.kubeletCa", "usage-kubelet-ca", One, Restart),
    key("usage.kubeletToken", "usage-kubelet-token", One, Restart),
    key("usage.kubeletInsecure", "usage-kubelet-insecure", One, Restart),
    key("usage.interval", "usage-interval", One, Restart),
    key("usage.concurrency", "usage-concurrency", One, Restart),
    key("events.enabled", "events", One, Restart),
    key("events.series", "events-series", One, Restart),
    key("events.checkpoint", "events-checkpoint", One, Restart),
    key("otlp.enabled", "otlp", One, Restart),
    key("otlp.endpoint", "otlp-endpoint", One, Restart),
    key("otlp.interval", "otlp-interval", One, Restart),
];

/// Every key.
pub(super) const KEYS: Keys = Keys { flags: FLAGS, others: &[JOINS, EXPORT] };
