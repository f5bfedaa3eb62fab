//! Files as others read them: by pyarrow and by DuckDB, of the Python that `KUBE_AGENT_KIT_PYARROW` names.
#![cfg(feature = "parquet")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use cgroup_perf::output::parquet::{ParquetConfig, ParquetWriter, recover};
use common::{Node, OFFSET, columns, container, labels};

/// Which Python: one with pyarrow, and perhaps with DuckDB.
const PYTHON: &str = "KUBE_AGENT_KIT_PYARROW";

/// What both say of a directory's files: the rows, the first and last time, what was counted, whether times and qualities
/// are as the documentation says, and for each container of the dictionary columns its sums.
const PYARROW: &str = r#"
import glob, sys
import pyarrow as pa, pyarrow.compute as pc, pyarrow.parquet as pq

files = sorted(glob.glob(sys.argv[1] + "/*.parquet"))
tables = [pq.read_table(file) for file in files]
for table in tables:
    assert pa.types.is_dictionary(table.schema.field("container_id").type), table.schema
    assert str(table.schema.field("time").type) == "timestamp[ns, tz=UTC]", table.schema
metadata = tables[0].schema.metadata
table = pa.concat_tables(tables).unify_dictionaries()
times = pc.min_max(table["time"])
print("rows", table.num_rows)
print("time", times["min"].value, times["max"].value)
print("event", metadata[b"cgroup_perf.counter.llc_misses"].decode())
enabled = pc.coalesce(table["cycles_enabled_ns"], table["ran_ns"])
running = pc.coalesce(table["cycles_running_ns"], enabled)
print("running", pc.sum(running).as_py() == pc.sum(enabled).as_py())
print("exact", pc.all(pc.equal(table["quality"].cast(pa.string()), "exact")).as_py())
for name in ["container_id", "pod"]:
    table = table.set_column(table.schema.get_field_index(name), name, table[name].cast(pa.string()))
sums = table.group_by(["cgroup_id", "pod", "container_id"]).aggregate([("cycles", "sum"), ("llc_misses", "sum"), ("ran_ns", "sum")])
for row in sorted(sums.to_pylist(), key=lambda row: row["cgroup_id"]):
    print(row["cgroup_id"], row["pod"], row["container_id"], row["cycles_sum"], row["llc_misses_sum"], row["ran_ns_sum"])
"#;

const DUCKDB: &str = r#"
import sys
try:
    import duckdb
except ImportError:
    print("none")
    sys.exit()

files = sys.argv[1] + "/*.parquet"
one = lambda query: duckdb.execute(query.replace("FILES", f"read_parquet('{files}')")).fetchone()
print("rows", *one("select count(*) from FILES"))
print("time", *one("select epoch_ns(min(time)), epoch_ns(max(time)) from FILES"))
key_value = f"select decode(value) from parquet_kv_metadata('{files}') where decode(key) = 'cgroup_perf.counter.llc_misses' limit 1"
print("event", *one(key_value))
print("running", *one("""
    select sum(coalesce(cycles_running_ns, cycles_enabled_ns, ran_ns)) = sum(coalesce(cycles_enabled_ns, ran_ns)) from FILES
"""))
print("exact", *one("select bool_and(quality = 'exact') from FILES"))
for row in duckdb.execute(f"""
    select cgroup_id, pod, container_id, sum(cycles)::ubigint, sum(llc_misses)::ubigint, sum(ran_ns)::ubigint
    from read_parquet('{files}') where time >= '2026-01-01'::timestamptz group by all order by cgroup_id
""").fetchall():
    print(*row)
"#;

/// What was written, as the scripts say it.
#[derive(Default)]
struct Expected {
    rows: u64,
    first: i64,
    last: i64,
    sums: BTreeMap<u64, (String, [u64; 3])>,
}

impl Expected {
    fn text(&self) -> String {
        let Self { rows, first, last, sums } = self;
        let mut text =
            format!("rows {rows}\ntime {first} {last}\nevent PERF_COUNT_HW_CACHE_MISSES\nrunning True\nexact True\n");
        for (cgroup, (labels, [cycles, misses, ran])) in sums {
            writeln!(text, "{cgroup} {labels} {cycles} {misses} {ran}").unwrap();
        }
        text
    }
}

/// Writes so many rows of a node's samples.
fn write(config: ParquetConfig, rows: u64) {
    let mut writer = ParquetWriter::open(config, columns()).unwrap();
    writer.set_clock_offset(OFFSET).unwrap();
    let labels: Vec<_> = (0..100).map(labels).collect();
    let mut node = Node::new(100);
    let mut written = 0;
    while written < rows {
        for sample in node.slot().into_iter().take(usize::try_from(rows - written).unwrap()) {
            writer.push(&sample, Some(&labels[container(&sample)])).unwrap();
            written += 1;
        }
    }
    writer.finish().unwrap();
}

/// What the first rows of those samples come to.
fn expected(rows: u64) -> Expected {
    let labels: Vec<_> = (0..100).map(labels).collect();
    let mut node = Node::new(100);
    let mut expected = Expected { first: i64::MAX, ..Expected::default() };
    while expected.rows < rows {
        for sample in node.slot().into_iter().take(usize::try_from(rows - expected.rows).unwrap()) {
            let labels = &labels[container(&sample)];
            let entry = expected.sums.entry(sample.cgroup.0);
            let (_, sums) = entry.or_insert_with(|| (format!("{} {}", labels.pod, labels.container_id), [0; 3]));
            let [cycles, _, misses, ..] = sample.counters;
            for (sum, value) in sums.iter_mut().zip([cycles.value, misses.value, sample.ran]) {
                *sum += value;
            }
            let time = OFFSET + i64::try_from(sample.start).unwrap();
            expected.first = expected.first.min(time);
            expected.last = expected.last.max(time);
            expected.rows += 1;
        }
    }
    expected
}

fn python() -> Option<String> {
    let python = std::env::var(PYTHON).ok();
    if python.is_none() {
        println!("skipped: {PYTHON} names no Python with pyarrow");
    }
    python
}

fn says(python: &str, script: &str, directory: &Path) -> String {
    let output = Command::new(python).args(["-c", script]).arg(directory).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// DuckDB keeps times to the microsecond where it converts them.
fn to_the_microsecond(text: &str) -> String {
    let cut = |line: &str| match line.strip_prefix("time ") {
        Some(times) => {
            let times = times.split(' ').map(|time| (time.parse::<i64>().unwrap() / 1_000).to_string());
            format!("time {}", times.collect::<Vec<_>>().join(" "))
        }
        None => line.to_owned(),
    };
    text.lines().map(cut).collect::<Vec<_>>().join("\n")
}

fn check(python: &str, directory: &Path, expected: &Expected) {
    assert_eq!(says(python, PYARROW, directory), expected.text());
    let said = says(python, DUCKDB, directory);
    if said == "none\n" {
        println!("not read by DuckDB: that Python has none");
    } else {
        assert_eq!(to_the_microsecond(&said), to_the_microsecond(&expected.text()));
    }
}

#[test]
fn pyarrow_and_duckdb_read_the_same_totals() {
    let Some(python) = python() else { return };
    let directory = tempfile::tempdir().unwrap();
    let mut config = ParquetConfig::new(directory.path());
    // Several row groups in several files, each with dictionaries of its own.
    (config.batch_rows, config.row_group_rows, config.file_bytes) = (1_000, 4_000, 200_000);
    write(config, 30_000);
    assert!(directory.path().read_dir().unwrap().count() > 1);
    check(&python, directory.path(), &expected(30_000));
}

const CHILD: &str = "CGROUP_PERF_TEST_WRITE_TO";

/// Not a test of its own: the process that is killed.
#[test]
fn writes_until_it_is_killed() {
    let Ok(directory) = std::env::var(CHILD) else { return };
    let mut config = ParquetConfig::new(directory);
    (config.batch_rows, config.row_group_rows, config.file_bytes) = (256, 1_024, 60_000);
    write(config, u64::MAX >> 1);
}

#[test]
fn what_a_killed_process_leaves_is_read_too() {
    let Some(python) = python() else { return };
    let directory = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "writes_until_it_is_killed"])
        .env(CHILD, directory.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let names = || {
        let names =
            fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect::<Vec<_>>()
    };
    // Two complete files, and one that has something in it.
    let deadline = Instant::now() + Duration::from_mins(1);
    while names().iter().filter(|name| name.ends_with(".parquet")).count() < 2
        || !names().iter().any(|name| name.ends_with(".footer"))
    {
        assert!(Instant::now() < deadline, "{:?}", names());
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    recover(directory.path(), "cgroup-perf").unwrap();
    assert!(names().iter().all(|name| name.ends_with(".parquet")), "{:?}", names());
    let said = says(&python, PYARROW, directory.path());
    let rows = said.lines().next().unwrap().strip_prefix("rows ").unwrap().parse().unwrap();
    println!("{rows} rows in {} files", names().len());
    assert!(rows > 2_048 && rows % 1_024 == 0, "whole row groups: {rows}");
    check(&python, directory.path(), &expected(rows));
}
