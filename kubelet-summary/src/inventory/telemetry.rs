//! What inventories say of themselves, through the [`metrics`] facade.

use metrics::{describe_counter, describe_gauge};

macro_rules! metrics_table {
    ($($constant:ident $name:literal $kind:ident $describe:ident ($labels:literal) $help:literal)+) => {
        /// All metrics of inventories: name, kind, labels, and what it says.
        ///
        /// | name | kind | labels | says |
        /// |---|---|---|---|
        $(#[doc = concat!("| `", $name, "` | ", stringify!($kind), " | ", $labels, " | ", $help, " |")])+
        pub static METRICS: &[(&str, &str, &str, &str)] = &[$(($name, stringify!($kind), $labels, $help)),+];

        $(pub(super) const $constant: &str = $name;)+

        /// Gives the help texts of [`METRICS`] to the recorder that is installed.
        pub fn describe() {
            $($describe!($name, $help);)+
        }
    };
}

metrics_table! {
    EVENTS "kubelet_summary_inventory_events_total" counter describe_counter ("resource, kind")
        "Pods and nodes that watches told: kind=listed, changed or deleted."
    REJECTED "kubelet_summary_inventory_rejected_total" counter describe_counter ("resource")
        "Of them, those that can't be kept since they have no name or uid."
    VANISHED "kubelet_summary_inventory_vanished_total" counter describe_counter ("resource")
        "Pods and nodes that were known and a complete list did not have."
    FAILURES "kubelet_summary_inventory_failures_total" counter describe_counter ("resource")
        "Lists and watches that failed, and streams that ended."
    PODS "kubelet_summary_inventory_pods" gauge describe_gauge ("") "Pods in the inventories of this process."
    NODES "kubelet_summary_inventory_nodes" gauge describe_gauge ("") "Nodes in the inventories of this process."
}
