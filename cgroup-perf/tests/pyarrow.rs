//! Files as others read them: by pyarrow, of the Python that `KUBE_AGENT_KIT_PYARROW` names.
#![cfg(feature = "parquet")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::process::Command;

use cgroup_perf::output::parquet::{ParquetConfig, ParquetWriter};
use common::{Node, OFFSET, columns, container, labels};

/// Which Python: one with pyarrow.
const PYTHON: &str = "KUBE_AGENT_KIT_PYARROW";

/// A line for each container: its samples, and sums of what they counted; the times as the documentation says.
const SCRIPT: &str = r#"
import sys
import pyarrow as pa, pyarrow.compute as pc, pyarrow.parquet as pq

table = pq.read_table(sys.argv[1])
print("rows", table.num_rows)
print("time", table.schema.field("time").type, pc.min(table["time"]).value)
metadata = table.schema.metadata
print("event", metadata[b"cgroup_perf.counter.llc_misses"].decode())
enabled = pc.coalesce(table["cycles_enabled_ns"], table["ran_ns"])
running = pc.coalesce(table["cycles_running_ns"], enabled)
print("running", pc.sum(running).as_py() == pc.sum(enabled).as_py())
print("exact", pc.all(pc.equal(table["quality"].cast(pa.string()), "exact")).as_py())
table = table.set_column(table.schema.get_field_index("container_id"), "container_id", table["container_id"].cast(pa.string()))
sums = table.group_by("container_id").aggregate([("cycles", "sum"), ("llc_misses", "sum"), ("ran_ns", "sum")])
for row in sorted(sums.to_pylist(), key=lambda row: row["container_id"]):
    print(row["container_id"], row["cycles_sum"], row["llc_misses_sum"], row["ran_ns_sum"])
"#;

#[test]
fn pyarrow_reads_the_same_totals() {
    let Ok(python) = std::env::var(PYTHON) else {
        println!("skipped: {PYTHON} names no Python with pyarrow");
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let mut config = ParquetConfig::new(directory.path());
    (config.batch_rows, config.row_group_rows) = (1_000, 4_000);
    let mut writer = ParquetWriter::open(config, columns()).unwrap();
    writer.set_clock_offset(OFFSET).unwrap();
    let labels: Vec<_> = (0..100).map(labels).collect();
    let mut node = Node::new(100);
    let (mut rows, mut first) = (0, i64::MAX);
    let mut sums: BTreeMap<&str, [u64; 3]> = BTreeMap::new();
    for sample in (0..3_000).flat_map(|_| node.slot()) {
        let labels = &labels[container(&sample)];
        writer.push(&sample, Some(labels)).unwrap();
        let sum = sums.entry(&labels.container_id).or_default();
        let [cycles, _, misses, ..] = sample.counters;
        for (sum, value) in sum.iter_mut().zip([cycles.value, misses.value, sample.ran]) {
            *sum += value;
        }
        first = first.min(OFFSET + i64::try_from(sample.start).unwrap());
        rows += 1;
    }
    assert_eq!(writer.finish().unwrap().files, 1);

    let path = directory.path().read_dir().unwrap().next().unwrap().unwrap().path();
    let output = Command::new(python).args(["-c", SCRIPT]).arg(path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut expected = format!(
        "rows {rows}\ntime timestamp[ns, tz=UTC] {first}\nevent PERF_COUNT_HW_CACHE_MISSES\nrunning True\nexact True\n"
    );
    for (id, [cycles, misses, ran]) in sums {
        writeln!(expected, "{id} {cycles} {misses} {ran}").unwrap();
    }
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
}
