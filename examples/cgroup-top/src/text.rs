//! Rows → a table, or JSON.

use cgroup_perf::loader::Capabilities;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde_json::{Map, Value, json};

use crate::columns::Column;
use crate::rows::Row;
use crate::snapshot::Counted;

/// A table for people.
pub(crate) fn table(rows: &[Row], counted: &Counted) -> String {
    let columns = Column::of(counted);
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    let titles = columns.iter().map(|column| column.title(counted));
    table.set_header(titles.chain(["NAME".to_owned()]));
    for row in rows {
        let figures = columns.iter().map(|column| column.text(counted, row));
        table.add_row(figures.chain([format!("{}{}", "  ".repeat(row.depth), row.name)]));
    }
    for number in 0..columns.len() {
        if let Some(column) = table.column_mut(number) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}

/// One value for programs. Counts are of the interval, and scaled where `quality` is `scaled`.
pub(crate) fn json(rows: &[Row], counted: &Counted, what: &Capabilities, notes: &[String], seconds: f64) -> Value {
    let counter = |counter: &cgroup_perf::events::Resolved| json!({ "name": counter.name, "note": counter.note });
    json!({
        "interval_seconds": seconds,
        "capabilities": what.to_string(),
        "hardware": what.hardware(),
        "counters": what.counters.iter().map(counter).collect::<Vec<_>>(),
        "notes": notes,
        "rows": rows.iter().map(|row| self::row(row, counted)).collect::<Vec<_>>(),
    })
}

fn row(row: &Row, counted: &Counted) -> Value {
    let figures = &row.figures;
    let counts =
        counted.names.iter().zip(&figures.counts).map(|(name, verdict)| {
            (name.clone(), json!({ "value": verdict.figure, "quality": verdict.quality.as_str() }))
        });
    let owner = row.owner.as_ref();
    json!({
        "name": row.name,
        "depth": row.depth,
        "cgroup": row.path,
        "cgroup_ids": row.cgroups,
        "container_id": owner.map(|owner| &owner.id),
        "namespace": owner.and_then(|owner| owner.namespace.as_ref()),
        "pod": owner.and_then(|owner| owner.pod.as_ref()),
        "pod_uid": owner.and_then(|owner| owner.pod_uid.as_ref()),
        "container": owner.and_then(|owner| owner.container.as_ref()),
        "removed": row.removed,
        "cpu": figures.cpu,
        "ran_ns": figures.ran,
        "switches": figures.switches,
        "counters": counts.collect::<Map<_, _>>(),
        "cycles_per_instruction": figures.cpi,
        "misses_per_kilo_instruction": figures.mpki,
    })
}
