//! What the crate says of itself, through the [`metrics`] facade: the host picks the exporter.
//!
//! [`describe`] gives help texts to the host's recorder. Install the recorder before anything is started. Nothing is said
//! by sample: sums go out with each batch, row group or walk.

use metrics::{counter, gauge};

use crate::{loader::Health, quality::Quality};

macro_rules! metrics_table {
    ($($constant:ident $name:literal $kind:ident ($labels:literal) $help:literal)+) => {
        /// All metrics of this crate about itself: name, kind, labels, and what it says.
        ///
        /// | name | kind | labels | says |
        /// |---|---|---|---|
        $(#[doc = concat!("| `", $name, "` | ", stringify!($kind), " | ", $labels, " | ", $help, " |")])+
        pub static METRICS: &[(&str, &str, &str, &str)] =
            &[$(($name, stringify!($kind), $labels, $help)),+];

        $(
            #[cfg_attr(not(feature = "parquet"), allow(dead_code, reason = "those of files are for files"))]
            pub(crate) const $constant: &str = $name;
        )+

        /// Gives the help texts of [`METRICS`] to the recorder that is installed.
        pub fn describe() {
            $(metrics_table!(@ $kind $name $help);)+
        }
    };
    (@ counter $name:literal $help:literal) => { metrics::describe_counter!($name, $help) };
    (@ gauge $name:literal $help:literal) => { metrics::describe_gauge!($name, $help) };
}

metrics_table! {
    RECORDS "cgroup_perf_records_total" counter ("result")
        "Records of the programs: result=read, lost (the ring was full) or malformed (the object is of other sources)."
    SAMPLES "cgroup_perf_samples_total" counter ("result")
        "Samples that were handed on: result=in_order, or late (behind samples of later slots)."
    MERGING "cgroup_perf_merge_queue" gauge ("") "Samples that wait until those of their slot are there from all processors."
    INSERT_FAILURES "cgroup_perf_insert_failures_total" counter ("")
        "Times that a cgroup had no room in the totals: raise max_cgroups."
    RECLAIMED "cgroup_perf_reclaimed_total" counter ("") "Removed cgroups whose places were given back."
    REOPENED "cgroup_perf_reopened_total" counter ("") "Times that a processor's counters were opened after the start."
    COUNTERS "cgroup_perf_counter_faults_total" counter ("kind")
        "What the programs noticed of counters: kind=backwards (a new baseline), frozen (it stands still) or refused (by the kernel)."
    LATE_TICKS "cgroup_perf_late_slots_total" counter ("") "Slots that late ticks passed over."
    READINGS "cgroup_perf_readings_total" counter ("by, quality")
        "Readings of counters that were judged: by=totals, files or watched; quality=exact, scaled, not_counted, stalled or implausible."
    JOINED "cgroup_perf_join_samples_total" counter ("result")
        "Samples that were to have labels: result=hit (at once), late (they waited), unresolved (the grace time ended) or overflowed (too many waited)."
    JOINING "cgroup_perf_join_queue" gauge ("") "Samples that wait for their labels."
    ROWS "cgroup_perf_parquet_rows_total" counter ("result")
        "Rows for files: result=written, or dropped (too much waited for the disk, or they could not be encoded)."
    ROW_GROUPS "cgroup_perf_parquet_row_groups_total" counter ("result")
        "Row groups for files: result=written, or dropped (too many waited for the disk)."
    WAITING "cgroup_perf_parquet_queue" gauge ("") "Row groups that wait for the disk."
    BYTES "cgroup_perf_parquet_bytes_total" counter ("") "Bytes of row groups that were written."
    FILES "cgroup_perf_parquet_files_total" counter ("result")
        "Files that were completed: result=written, or recovered (a killed process had left them)."
    WRITE_ERRORS "cgroup_perf_parquet_write_errors_total" counter ("") "Attempts to write that failed."
}

/// Adds to a counter, if there is something to add.
pub(crate) fn add(name: &'static str, count: u64) {
    if count > 0 {
        counter!(name).increment(count);
    }
}

/// The same, of a counter with one label.
pub(crate) fn add_to(name: &'static str, label: &'static str, value: &'static str, count: u64) {
    if count > 0 {
        counter!(name, label => value).increment(count);
    }
}

/// What one of perhaps several owners adds to a gauge that they share. It takes it back when it is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    name: &'static str,
    count: u64,
}

impl Held {
    pub(crate) const fn new(name: &'static str) -> Self {
        Self { name, count: 0 }
    }

    pub(crate) fn set(&mut self, count: usize) {
        let before = std::mem::replace(&mut self.count, count as u64);
        let difference = self.count as f64 - before as f64;
        if self.count != before {
            gauge!(self.name).increment(difference);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// How many readings were worth what.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Judged([u64; Quality::ALL.len()]);

impl Judged {
    pub(crate) fn add(&mut self, quality: Quality) {
        if let Some(count) = self.0.get_mut(quality as usize) {
            *count += 1;
        }
    }

    /// Says it, and begins anew.
    pub(crate) fn report(&mut self, by: &'static str) {
        for (quality, count) in Quality::ALL.iter().zip(std::mem::take(&mut self.0)) {
            if count > 0 {
                counter!(READINGS, "by" => by, "quality" => quality.as_str()).increment(count);
            }
        }
    }
}

/// What the programs noticed since an earlier look.
pub(crate) fn health(now: &Health, before: &Health) {
    let since = |of: fn(&Health) -> u64| of(now).saturating_sub(of(before));
    add_to(RECORDS, "result", "lost", since(|health| health.lost));
    add(INSERT_FAILURES, since(|health| health.insert_failures));
    add(LATE_TICKS, since(|health| health.late_slots));
    add_to(COUNTERS, "kind", "backwards", since(|health| health.backwards));
    add_to(COUNTERS, "kind", "frozen", since(|health| health.frozen));
    add_to(COUNTERS, "kind", "refused", since(|health| health.read_failures));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_quality_has_its_place() {
        let mut judged = Judged::default();
        for quality in Quality::ALL {
            judged.add(quality);
        }
        assert_eq!(judged.0, [1; 5]);
        judged.report("test");
        assert_eq!(judged.0, [0; 5]);
    }
}
