//! How many entries of a document's lists are kept. What is beyond is passed over and counted
//! ([`Skipped::beyond_limits`](super::Skipped::beyond_limits)), so that a document's length is not all that bounds what it
//! takes in memory: of the shortest entries, a kept one is forty times as long as its text.

/// Pods in a document. Kubernetes is made for 110 a node, and providers allow some hundreds.
pub const PODS: usize = 4096;
/// Containers of a pod, terminated ones that are repeated among them, and system containers of the node.
pub const CONTAINERS: usize = 1024;
/// Volumes of a pod.
pub const VOLUMES: usize = 1024;
/// Interfaces of a pod or of the node.
pub const INTERFACES: usize = 1024;
/// Accelerators of a container.
pub const ACCELERATORS: usize = 256;
/// User-defined metrics of a container.
pub const USER_METRICS: usize = 1024;
/// Labels of a user-defined metric.
pub const LABELS: usize = 64;
/// Entries of all lists in a document together.
pub const ENTRIES: usize = 65_536;
