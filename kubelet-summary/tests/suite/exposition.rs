//! A summary → metric families.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that can't go on fails")]

use std::collections::{BTreeSet, HashSet};
use std::fmt::Write as _;

use jiff::Timestamp;
use kubelet_summary::exposition::{FAMILIES, Family, Kind, collect, collect_claims, collect_pod, collect_requested};
use kubelet_summary::resources::{PodResources, RequestsAndLimits, Resources};
use kubelet_summary::storage::Attribution;
use kubelet_summary::{Parts, Summary};
use serde_json::{Value, json};

#[allow(dead_code, reason = "some of its shapes are for other tests")]
use crate::generate::NODE;

fn summary(document: &Value) -> Summary {
    Summary::from_slice_keeping(document.to_string().as_bytes(), Parts::ALL).unwrap().summary
}

fn line(family: &Family, labels: &[(&str, &str)], value: f64, time: Option<i64>) -> String {
    let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    let mut line = format!("{}{{{}}} {value}", family.name, labels.join(","));
    if let Some(time) = time {
        let _ = write!(line, " {time}");
    }
    line
}

/// Lines of the text format, without the labels that all pods' series begin with.
fn lines(summary: &Summary, resources: Option<&PodResources>) -> Vec<String> {
    let mut lines = Vec::new();
    let mut emit = |family: &'static Family, labels: &[(&str, &str)], value: f64, time: Option<i64>| {
        assert!(value.is_finite(), "{}", family.name);
        lines.push(line(family, labels, value, time));
    };
    collect(summary, Attribution::Measured, |_| resources.cloned(), &mut emit);
    lines
}

fn limits(memory: u64, storage: u64) -> PodResources {
    let limits = Resources { memory: Some(memory), ephemeral_storage: Some(storage), cpu: None };
    let app = RequestsAndLimits { limits, ..RequestsAndLimits::default() };
    PodResources { pod: app, containers: vec![("app".to_owned(), app)] }
}

/// 2026-01-01T00:00:07Z.
const TIME: &str = "2026-01-01T00:00:07Z";
const MILLIS: i64 = 1_767_225_607_000;

#[test]
fn a_pod_is_these_lines() {
    let fs = |used: u64| json!({"time": TIME, "usedBytes": used, "capacityBytes": 1000});
    let volume = |name: &str, used: u64| {
        let mut volume = fs(used);
        volume["name"] = json!(name);
        volume
    };
    let mut claim = volume("data", 7);
    claim["pvcRef"] = json!({"name": "claim", "namespace": "shop"});
    let pod = json!({
        "podRef": {"name": "web", "namespace": "shop", "uid": "u1"}, "startTime": TIME,
        "cpu": {"time": TIME, "usageCoreNanoSeconds": 2_500_000_000_u64},
        "memory": {"time": null, "workingSetBytes": 500},
        "network": {"time": TIME, "name": "eth0", "rxBytes": 11, "txErrors": 0},
        "volume": [volume("tmp", 20), claim],
        "ephemeral-storage": {"time": TIME, "usedBytes": 105, "capacityBytes": 1000},
        "process_stats": {"process_count": 3},
        "containers": [
            {"name": "app", "startTime": TIME, "memory": {"time": TIME, "workingSetBytes": 250, "rssBytes": 0},
             "rootfs": fs(60), "logs": fs(10)},
            {"name": "done"},
        ],
    });
    let document = summary(&json!({"node": {"nodeName": "n1"}, "pods": [pod]}));
    let pod = r#"node="n1",namespace="shop",pod="web",uid="u1""#;
    let claim = r#"node="n1",namespace="shop",persistentvolumeclaim="claim""#;
    let expected = [
        format!("pod_cpu_usage_seconds_total{{{pod}}} 2.5 {MILLIS}"),
        format!("pod_memory_working_set_bytes{{{pod}}} 500"),
        format!("kube_pod_memory_limit_ratio{{{pod}}} 0.5"),
        format!("kube_pod_processes{{{pod}}} 3"),
        format!("container_network_receive_bytes_total{{{pod},interface=\"eth0\"}} 11 {MILLIS}"),
        format!("container_network_transmit_errors_total{{{pod},interface=\"eth0\"}} 0 {MILLIS}"),
        format!("kube_pod_ephemeral_storage_used_bytes{{{pod}}} 105 {MILLIS}"),
        format!("kube_pod_ephemeral_storage_unattributed_bytes{{{pod}}} 15 {MILLIS}"),
        format!("kube_pod_ephemeral_storage_limit_ratio{{{pod}}} 1.05 {MILLIS}"),
        format!("kube_pod_ephemeral_storage_volume_used_bytes{{{pod},volume=\"tmp\"}} 20 {MILLIS}"),
        format!("container_start_time_seconds{{{pod},container=\"app\"}} 1767225607"),
        format!("container_memory_working_set_bytes{{{pod},container=\"app\"}} 250 {MILLIS}"),
        format!("container_memory_rss{{{pod},container=\"app\"}} 0 {MILLIS}"),
        format!("kube_pod_container_memory_limit_ratio{{{pod},container=\"app\"}} 0.25 {MILLIS}"),
        format!("container_fs_usage_bytes{{{pod},container=\"app\"}} 60 {MILLIS}"),
        format!("container_fs_limit_bytes{{{pod},container=\"app\"}} 1000 {MILLIS}"),
        format!("kubelet_container_log_filesystem_used_bytes{{{pod},container=\"app\"}} 10 {MILLIS}"),
        format!("kube_pod_container_ephemeral_storage_used_bytes{{{pod},container=\"app\"}} 70 {MILLIS}"),
        format!("kube_pod_container_ephemeral_storage_limit_ratio{{{pod},container=\"app\"}} 0.7 {MILLIS}"),
        format!("kube_pod_container_ephemeral_storage_attributed_bytes{{{pod},container=\"app\"}} 88 {MILLIS}"),
        format!("kube_pod_container_ephemeral_storage_attributed_bytes{{{pod},container=\"done\"}} 17 {MILLIS}"),
        format!("kubelet_volume_stats_capacity_bytes{{{claim}}} 1000 {MILLIS}"),
        format!("kubelet_volume_stats_used_bytes{{{claim}}} 7 {MILLIS}"),
    ];
    let with_limits = lines(&document, Some(&limits(1000, 100)));
    assert_eq!(with_limits, expected);
    let without: Vec<String> = expected.into_iter().filter(|line| !line.contains("_limit_ratio{")).collect();
    assert_eq!(lines(&document, None), without);
}

#[test]
fn a_container_is_compared_with_its_limit_as_eviction_does() {
    let pod = json!({"podRef": {"name": "web", "namespace": "shop", "uid": "u1"}, "containers": [
        {"name": "app", "rootfs": {"usedBytes": 60}, "logs": {"usedBytes": 10}}]});
    let fs = |inodes: u64| json!({"usedBytes": 1, "capacityBytes": 1000, "inodes": inodes});
    for (image_fs, ratio) in [(json!(null), 0.7), (fs(5), 0.7), (fs(6), 0.1)] {
        let node = json!({"nodeName": "n1", "fs": fs(5), "runtime": {"imageFs": image_fs}});
        let lines = lines(&summary(&json!({"node": node, "pods": [pod]})), Some(&limits(1000, 100)));
        let ended = |name: &str, value: f64| {
            lines.iter().any(|line| line.starts_with(name) && line.ends_with(&format!("}} {value}")))
        };
        assert!(ended("kube_pod_container_ephemeral_storage_limit_ratio{", ratio), "{image_fs}: {lines:#?}");
        assert!(ended("kube_pod_container_ephemeral_storage_used_bytes{", 70.0), "{image_fs}: {lines:#?}");
    }
}

#[test]
fn a_unit_is_the_end_of_its_familys_name() {
    for family in FAMILIES {
        let name = family.name.strip_suffix("_total").unwrap_or(family.name);
        let ended = ["bytes", "seconds", "ratio"].into_iter().find(|unit| name.ends_with(&format!("_{unit}")));
        assert_eq!(family.unit, ended.unwrap_or_default(), "{}", family.name);
    }
}

#[test]
fn a_node_is_these_lines() {
    let document = summary(&json!({"node": {
        "nodeName": "n1", "cpu": {"time": TIME, "usageCoreNanoSeconds": 1}, "memory": {"time": TIME, "workingSetBytes": 2},
        "swap": {"time": TIME, "swapUsageBytes": 0}, "rlimit": {"time": TIME, "maxpid": 4, "curproc": 3},
        "fs": {"time": TIME, "usedBytes": 5, "inodes": 9},
        "runtime": {"imageFs": {"time": TIME, "availableBytes": 6, "inodesFree": 8}, "containerFs": {"time": TIME}},
        "systemContainers": [{"name": "kubelet", "memory": {"time": TIME, "workingSetBytes": 7}}],
    }}));
    let expected = [
        format!("node_cpu_usage_seconds_total{{node=\"n1\"}} 0.000000001 {MILLIS}"),
        format!("node_memory_working_set_bytes{{node=\"n1\"}} 2 {MILLIS}"),
        format!("node_swap_usage_bytes{{node=\"n1\"}} 0 {MILLIS}"),
        format!("kube_node_processes{{node=\"n1\"}} 3 {MILLIS}"),
        format!("kube_node_max_pid{{node=\"n1\"}} 4 {MILLIS}"),
        format!("kube_node_filesystem_used_bytes{{node=\"n1\",filesystem=\"nodefs\"}} 5 {MILLIS}"),
        format!("kube_node_filesystem_inodes{{node=\"n1\",filesystem=\"nodefs\"}} 9 {MILLIS}"),
        format!("kube_node_filesystem_available_bytes{{node=\"n1\",filesystem=\"imagefs\"}} 6 {MILLIS}"),
        format!("kube_node_filesystem_inodes_free{{node=\"n1\",filesystem=\"imagefs\"}} 8 {MILLIS}"),
        format!("kube_node_system_container_memory_working_set_bytes{{node=\"n1\",container=\"kubelet\"}} 7 {MILLIS}"),
    ];
    assert_eq!(lines(&document, None), expected);
}

#[test]
fn a_node_says_when_it_was_asked() {
    let mut said = Vec::new();
    let requested: Timestamp = "2026-01-01T00:00:00.5Z".parse().unwrap();
    collect_requested("n1", requested, &mut |family, labels, value, time| said.push(line(family, labels, value, time)));
    assert_eq!(said, ["kube_node_summary_timestamp_seconds{node=\"n1\"} 1767225600.5"]);
}

#[test]
fn a_claim_of_many_pods_is_there_once_with_its_latest_sample() {
    let pod = |uid: &str, second: u64, used: u64| {
        json!({"podRef": {"name": uid, "namespace": "shop", "uid": uid}, "volume": [
            {"name": "v", "time": format!("2026-01-01T00:00:{second:02}Z"), "usedBytes": used,
             "pvcRef": {"name": "shared", "namespace": "shop"}}]})
    };
    let document =
        summary(&json!({"node": {"nodeName": "n1"}, "pods": [pod("a", 5, 1), pod("b", 7, 2), pod("c", 6, 3)]}));
    let mut lines = Vec::new();
    collect_claims("n1", &document.pods, &mut |family, labels, value, time| {
        lines.push(line(family, labels, value, time));
    });
    let labels = r#"node="n1",namespace="shop",persistentvolumeclaim="shared""#;
    assert_eq!(lines, [format!("kubelet_volume_stats_used_bytes{{{labels}}} 2 {MILLIS}")]);
}

#[test]
fn a_whole_document_has_all_families_and_no_series_twice() {
    let mut document = NODE.summary(0);
    // One pod's successor of the same name, beside it.
    let mut successor = document["pods"][0].clone();
    successor["podRef"]["uid"] = json!("another");
    document["pods"].as_array_mut().unwrap().push(successor);
    let lines = lines(
        &summary(&document),
        Some(&PodResources { containers: vec![("server".to_owned(), limits(1, 1).pod)], ..limits(1, 1) }),
    );
    let series: HashSet<&str> = lines.iter().map(|line| line.split_once("} ").unwrap().0).collect();
    assert_eq!(series.len(), lines.len());
    let mut there: BTreeSet<&str> = lines.iter().map(|line| line.split_once('{').unwrap().0).collect();
    // The document doesn't know when it was asked for.
    collect_requested("n", Timestamp::UNIX_EPOCH, &mut |family, _, _, _| {
        there.insert(family.name);
    });
    let all: BTreeSet<&str> = FAMILIES.iter().map(|family| family.name).collect();
    assert_eq!(there, all);
}

#[test]
fn families_are_named_as_the_field_names_them() {
    let mut names = HashSet::new();
    for family in FAMILIES {
        assert!(names.insert(family.name), "{} is there twice", family.name);
        assert_eq!(family.kind == Kind::Counter, family.name.ends_with("_total"), "{}", family.name);
        let is_name = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
        assert!(family.name.bytes().all(is_name), "{}", family.name);
        // cAdvisor's own `container_memory_rss` is the one that has no unit in its name.
        let stem = family.name.trim_end_matches("_total");
        assert!(stem.ends_with(family.unit) || family.name == "container_memory_rss", "{}", family.name);
        assert!(family.help.ends_with('.') && !family.help.contains('\n'), "{}", family.name);
    }
}

#[test]
fn the_table_in_the_readme_is_that_of_the_code() {
    let readme = include_str!("../../README.md");
    let written: Vec<&str> =
        readme.lines().filter(|line| line.starts_with("| `") && line.matches('|').count() == 6).collect();
    let expected: Vec<String> = FAMILIES
        .iter()
        .map(|family| {
            let unit = if family.unit.is_empty() { "-" } else { family.unit };
            format!(
                "| `{}` | {} | {unit} | {} | {} |",
                family.name,
                family.kind.name(),
                family.source.name(),
                family.help
            )
        })
        .collect();
    assert_eq!(written, expected);
}

#[test]
fn a_pods_samples_cost_no_more_allocations_than_its_storage() {
    let document = summary(&NODE.summary(0));
    let limits = limits(1, 1);
    let mut samples = 0;
    let counted = allocation_counter::measure(|| {
        for pod in &document.pods {
            collect_pod(&document.node, pod, Some(&limits), Attribution::Measured, &mut |_, _, _, _| samples += 1);
        }
    });
    assert!(samples > 50 * document.pods.len(), "{samples}");
    // One list of containers, one of volumes.
    assert_eq!(counted.count_total, 2 * document.pods.len() as u64, "{counted:?}");
}
