//! An answer → a table, JSON, or Prometheus' text.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, presets};
use example_host::units::age;
use kubelet_summary::PodUsage;
use kubelet_summary::Usage;
use kubelet_summary::exposition::{Family, collect_claims, collect_node, collect_pod, collect_requested};
use kubelet_summary::storage::Attribution;
use serde_json::{Value, json};

use crate::flags::By;
use crate::rows::{Amounts, Cpu, Row, heads, rows};

const UNKNOWN: &str = "-";

/// What is missing, a line each.
pub(crate) fn gaps(usage: &Usage) -> Vec<String> {
    let nodes = usage
        .missing
        .iter()
        .map(|missing| format!("node {} ({} pods): {}", missing.node, missing.pods.len(), missing.reason));
    let pods = usage
        .absent
        .iter()
        .map(|absent| format!("pod {}/{}: {}", absent.pod.namespace(), absent.pod.name(), absent.reason.as_str()));
    let mut stale = BTreeMap::new();
    for value in &usage.values {
        if let Some(reason) = value.stale_reason() {
            stale.entry(value.node()).or_insert_with(|| format!("node {} is stale: {reason}", value.node()));
        }
    }
    let behind = usage.behind.map(|behind| format!("changes of pods and nodes are not seen for {}", words(behind)));
    nodes.chain(pods).chain(stale.into_values()).chain(behind).collect()
}

fn words(duration: Duration) -> String {
    age(duration.as_secs())
}

/// Where a table goes to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    /// The columns of a terminal; a pipe has none, and gets lines as long as they are.
    pub(crate) width: Option<u16>,
    /// Whether a row is a line, with names cut short, since there are only so many of them.
    pub(crate) is_screen: bool,
}

pub(crate) fn table(usage: &Usage, by: By, cpu: Option<Cpu<'_>>, head: &str, place: Place) -> String {
    let rows = rows(usage, by, cpu);
    if rows.is_empty() {
        return format!("{head}\nno pods in scope have figures");
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_truncation_indicator("…");
    table.force_no_tty();
    if let Some(width) = place.width {
        table.set_width(width);
    }
    let counted: &[&str] = if by == By::Workload { &["PODS"] } else { &[] };
    let figures = ["CPU", "LIM%", "MEMORY", "LIM%", "DISK", "LIM%", "AGE"];
    table.set_header(["NAMESPACE"].iter().chain(heads(by)).chain(counted).chain(&figures));
    for row in &rows {
        let Row { namespace, name, parts, cpu, memory, storage, age } = row;
        let counted = (by == By::Workload).then(|| parts.to_string());
        let figures = [
            cpu.used.map_or_else(|| UNKNOWN.to_owned(), cores),
            of_limit(cpu),
            memory.used.map_or_else(|| UNKNOWN.to_owned(), quantity),
            of_limit(memory),
            storage.used.map_or_else(|| UNKNOWN.to_owned(), quantity),
            of_limit(storage),
            format!("{}s", age.as_secs()),
        ];
        let cells = [namespace.clone()].into_iter().chain(name.iter().cloned()).chain(counted).chain(figures);
        let mut row = comfy_table::Row::from(cells);
        if place.is_screen {
            row.max_height(1);
        }
        table.add_row(row);
    }
    let names = 1 + heads(by).len();
    for (place, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 1));
        if place >= names {
            column.set_cell_alignment(CellAlignment::Right);
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    let age = usage.age.map_or_else(|| UNKNOWN.to_owned(), words);
    format!("{head}\n{} pods, {} rows, {age} old at most\n\n{}", usage.values.len(), rows.len(), table.trim_fmt())
}

/// `250m`, as quantities of processor are written.
fn cores(nanos: u64) -> String {
    format!("{}m", nanos.div_ceil(1_000_000))
}

/// `512`, `1.5Gi`: bytes, as quantities of memory are written.
fn quantity(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["", "Ki", "Mi", "Gi"] {
        if value < 1024.0 {
            let decimals = usize::from(!unit.is_empty() && value < 9.95);
            return format!("{value:.decimals$}{unit}");
        }
        value /= 1024.0;
    }
    format!("{value:.1}Ti")
}

fn of_limit(amounts: &Amounts) -> String {
    amounts.of_limit().map_or_else(|| UNKNOWN.to_owned(), |ratio| format!("{:.0}%", ratio * 100.0))
}

pub(crate) fn json(usage: &Usage, by: By, cpu: Option<Cpu<'_>>) -> Value {
    let rows: Vec<Value> = rows(usage, by, cpu).iter().map(|row| row.json(by)).collect();
    let missing = usage.missing.iter().map(|missing| {
        let pods = missing.pods.iter().map(|pod| format!("{}/{}", pod.namespace(), pod.name()));
        json!({"node": &*missing.node, "reason": missing.reason.to_string(), "pods": pods.collect::<Vec<_>>()})
    });
    let absent = usage.absent.iter().map(|absent| {
        json!({"namespace": absent.pod.namespace(), "pod": absent.pod.name(), "reason": absent.reason.as_str()})
    });
    let unknown = usage.unknown.iter().map(|unknown| {
        let pod = &unknown.stats().pod_ref;
        json!({"node": unknown.node(), "namespace": pod.namespace(), "pod": pod.name(), "uid": pod.uid()})
    });
    json!({
        "whole": usage.is_whole(),
        "pods": usage.values.len(),
        "ageSeconds": usage.age.map(|age| age.as_secs_f64()),
        "behindSeconds": usage.behind.map(|behind| behind.as_secs_f64()),
        "rows": rows,
        "missingNodes": missing.collect::<Vec<_>>(),
        "absentPods": absent.collect::<Vec<_>>(),
        "unknownPods": unknown.collect::<Vec<_>>(),
    })
}

/// The samples of a family, under its head.
type Families = BTreeMap<&'static str, (&'static Family, String)>;

pub(crate) fn prometheus(usage: &Usage) -> String {
    let mut families = Families::new();
    let mut emit = |family: &'static Family, labels: &[(&str, &str)], value: f64, time: Option<i64>| {
        let (_, text) = families.entry(family.name).or_insert_with(|| (family, String::new()));
        let labels: Vec<String> = labels.iter().map(|(key, value)| format!("{key}=\"{}\"", escaped(value))).collect();
        let time = time.map(|time| format!(" {time}")).unwrap_or_default();
        // Writing to a String can't fail.
        let _ = writeln!(text, "{}{{{}}} {value}{time}", family.name, labels.join(","));
    };
    let mut nodes: BTreeMap<&str, Vec<&PodUsage>> = BTreeMap::new();
    for value in &usage.values {
        nodes.entry(value.node()).or_default().push(value);
    }
    for (name, pods) in nodes {
        // All of one node are of one document.
        let Some(document) = pods.first().map(|pod| pod.document()) else { continue };
        let node = &document.summary.node;
        collect_requested(name, document.requested_at, &mut emit);
        collect_node(node, &mut emit);
        for pod in &pods {
            let resources = pod.pod().resources().amounts();
            collect_pod(node, pod.stats(), Some(&resources), Attribution::Measured, &mut emit);
        }
        collect_claims(name, pods.iter().map(|pod| pod.stats()), &mut emit);
    }
    let heads = families.values().map(|(family, samples)| {
        format!("# HELP {0} {1}\n# TYPE {0} {2}\n{samples}", family.name, family.help, family.kind.name())
    });
    heads.collect()
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_short() {
        let sizes = [0, 1023, 1536, 10_240, 128 << 20, 1023 << 20, 3 << 29, 5 << 40];
        assert_eq!(sizes.map(quantity), ["0", "1023", "1.5Ki", "10Ki", "128Mi", "1023Mi", "1.5Gi", "5.0Ti"]);
    }
}
