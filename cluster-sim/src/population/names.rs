//! The vocabulary: names that look like somebody's cluster.

/// The zones nodes are spread over; the region is the zone without its last letter.
pub(super) const ZONES: [&str; 3] = ["eu-central-1a", "eu-central-1b", "eu-central-1c"];
/// The region of [`ZONES`].
pub(super) const REGION: &str = "eu-central-1";
/// The registry private images come from.
pub(super) const REGISTRY: &str = "registry.example.com";

/// Namespaces that belong to the platform; every population has them, in this order.
pub(super) const PLATFORM: [&str; 6] =
    ["default", "kube-system", "kube-public", "kube-node-lease", "monitoring", "ingress-nginx"];

/// Teams and environments that together name the namespaces of applications.
pub(super) const TEAMS: [&str; 20] = [
    "payments",
    "checkout",
    "catalog",
    "search",
    "identity",
    "orders",
    "shipping",
    "inventory",
    "pricing",
    "media",
    "messaging",
    "analytics",
    "recommendations",
    "fraud",
    "billing",
    "loyalty",
    "partners",
    "warehouse",
    "support",
    "ledger",
];
/// The environment part of a namespace's name.
pub(super) const ENVIRONMENTS: [&str; 3] = ["prod", "staging", "dev"];

/// What an application is about.
pub(super) const SUBJECTS: [&str; 24] = [
    "account", "address", "basket", "campaign", "card", "customer", "delivery", "document", "export", "feed", "gift",
    "invoice", "label", "offer", "order", "price", "profile", "refund", "report", "review", "session", "stock", "tax",
    "voucher",
];
/// What an application does.
pub(super) const ROLES: [&str; 10] =
    ["api", "worker", "gateway", "service", "consumer", "frontend", "indexer", "scheduler", "proxy", "sync"];
/// Stores that run as StatefulSets: name, image, port.
pub(super) const STORES: [(&str, &str, u16); 6] = [
    ("postgres", "docker.io/library/postgres:17.2", 5432),
    ("redis", "docker.io/library/redis:7.4.1", 6379),
    ("kafka", "docker.io/apache/kafka:3.9.0", 9092),
    ("elasticsearch", "docker.elastic.co/elasticsearch/elasticsearch:8.16.1", 9200),
    ("rabbitmq", "docker.io/library/rabbitmq:4.0.4-management", 5672),
    ("cassandra", "docker.io/library/cassandra:5.0.2", 9042),
];
/// Work that runs on a schedule: name and schedule.
pub(super) const PERIODIC: [(&str, &str); 8] = [
    ("nightly-export", "15 2 * * *"),
    ("cleanup", "*/15 * * * *"),
    ("report", "0 6 * * 1-5"),
    ("reconcile", "*/5 * * * *"),
    ("backup", "30 1 * * *"),
    ("rotate-keys", "0 0 1 * *"),
    ("warm-cache", "@hourly"),
    ("send-digest", "0 8 * * MON"),
];
/// Work that runs once.
pub(super) const ERRANDS: [&str; 5] = ["db-migrate", "backfill", "reindex", "import", "load-test"];

/// The agents that run on every node, most common first: namespace, name, image, host network.
pub(super) const NODE_AGENTS: [(&str, &str, &str, bool); 6] = [
    ("kube-system", "kube-proxy", "registry.k8s.io/kube-proxy:v1.36.0", true),
    ("kube-system", "cilium", "quay.io/cilium/cilium:v1.18.4", true),
    ("monitoring", "node-exporter", "quay.io/prometheus/node-exporter:v1.9.1", true),
    ("kube-system", "ebs-csi-node", "registry.k8s.io/provider-aws/aws-ebs-csi-driver:v1.48.0", true),
    ("monitoring", "log-collector", "docker.io/fluent/fluent-bit:4.0.3", false),
    ("kube-system", "node-local-dns", "registry.k8s.io/dns/k8s-dns-node-cache:1.26.4", true),
];
