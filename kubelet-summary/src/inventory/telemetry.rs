//! The metrics of inventories.

pub(super) const EVENTS: &str = "kubelet_summary_inventory_events_total";
pub(super) const REJECTED: &str = "kubelet_summary_inventory_rejected_total";
pub(super) const FAILURES: &str = "kubelet_summary_inventory_failures_total";
pub(super) const VANISHED: &str = "kubelet_summary_inventory_vanished_total";
pub(super) const PODS: &str = "kubelet_summary_inventory_pods";
pub(super) const NODES: &str = "kubelet_summary_inventory_nodes";
