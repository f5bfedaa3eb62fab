//! Against what kube-state-metrics v2.20 does, as the data in `tests/data` states it.

mod families;
mod filters;
mod format;
mod labels;
mod shards;
