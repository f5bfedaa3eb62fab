//! What the index says of itself, through the [`metrics`] facade: the host picks the exporter.

use crate::telemetry::metrics_table;

metrics_table! {
    /// All metrics of the index about itself: name, kind, labels, and what it says.
    CONTAINERS "nri_index_containers" gauge ("") "Containers in the index, ended ones included."
    NESTED "nri_index_nested_cgroups" gauge ("") "Cgroups inside containers that the index knows."
    DROPPED "nri_index_dropped_total" counter ("what")
        "What a bound left out: what=container, pod, nested (a cgroup inside a container), metadata (a label or annotation) or invalid (an id that is empty or too long)."
    FORGOTTEN "nri_index_forgotten_total" counter ("reason")
        "Containers that left the index: reason=expired (some time after they were removed) or full (the index's bound)."
    UNTOLD "nri_index_untold_ends_total" counter ("")
        "Containers and sandboxes whose cgroup was gone though no event told of their end."
    REUSED "nri_index_reused_ids_total" counter ("") "Cgroup ids that were another container's before."
    UNLOCATED "nri_index_unlocated_total" counter ("reason")
        "Running containers whose cgroup was not found: reason=gone (it had ended), unreadable, unseen (outside of the mount), foreign (the process is in another container) or unknown (neither a process nor a path)."
    MISMATCHES "nri_index_path_mismatches_total" counter ("")
        "Containers whose process is not where their cgroups_path says; the process is believed, unless it is in another container."
    WALKS "nri_index_walks_total" counter ("") "Walks through the containers' cgroups for an id that was not known."
}
