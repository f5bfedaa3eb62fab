//! Against what kube-state-metrics v2.20 does, as the data in `tests/data` states it.

#![expect(clippy::expect_used, reason = "a helper that can't go on fails its test")]

mod families;
mod filters;
mod format;
mod labels;
mod shards;
