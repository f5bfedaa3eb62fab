//! Configuration files that change → what the running program makes of it.

use std::fs;
use std::path::{Path, PathBuf};

use cluster_sim::population::PopulationSpec;
use cluster_sim::{Sim, Verb};
use tempfile::TempDir;

use crate::support::{Host, command, get, get_until, get_with};

const EXPORTER: &str = env!("CARGO_BIN_EXE_ksm-exporter");

/// A cluster, and a folder of configuration files.
struct Setting {
    sim: Sim,
    folder: TempDir,
}

impl Setting {
    async fn new(tokens: &[(&str, &str)]) -> Self {
        let mut builder = Sim::builder().population(&PopulationSpec::new(2, 40));
        for (token, user) in tokens {
            builder = builder.token_of(*token, *user);
        }
        let setting = Self { sim: builder.start().await.unwrap(), folder: tempfile::tempdir().unwrap() };
        setting.write_kubeconfig(&setting.sim.url(), tokens.first().map_or("", |(token, _)| token));
        setting
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        replace(&self.path(name), text);
    }

    fn write_kubeconfig(&self, url: &str, token: &str) {
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{{name: c, cluster: {{server: '{url}'}}}}]\n\
             users: [{{name: c, user: {{token: '{token}'}}}}]\ncontexts: [{{name: c, context: {{cluster: c, user: c}}}}]\n"
        );
        self.write("kubeconfig", &text);
    }

    /// Starts the exporter with the kubeconfig, and waits until it is ready.
    async fn start(&self, flags: &[&str]) -> Exporter {
        let kubeconfig = self.path("kubeconfig").display().to_string();
        let fixed = ["--port=0", "--telemetry-port=0", "-v=2", "--kubeconfig", &kubeconfig];
        let host = Host::start(command(EXPORTER, &[&fixed, flags].concat())).await;
        let exporter = Exporter { metrics: host.url("metrics at"), own: host.url("own metrics at"), host };
        get_until(&exporter.metrics.replace("/metrics", "/readyz"), |answer| answer.status == 200).await;
        exporter
    }

    fn config_flag(&self) -> String {
        format!("--config={}", self.path("options.yaml").display())
    }
}

struct Exporter {
    metrics: String,
    own: String,
    host: Host,
}

impl Exporter {
    /// Waits for a line among its own metrics.
    async fn tells(&self, line: &str) {
        get_until(&self.own, |answer| answer.text().lines().any(|found| found == line)).await;
    }

    /// Whether each of these families has samples.
    async fn shows(&self, families: &[&str]) -> Vec<bool> {
        let text = get(&self.metrics).await.text();
        families.iter().map(|family| text.contains(&format!("\n{family}{{"))).collect()
    }

    /// Waits until a family has samples.
    async fn comes_to_show(&self, family: &str) {
        get_until(&self.metrics, |answer| answer.text().contains(&format!("\n{family}{{"))).await;
    }

    async fn own_value(&self, name: &str) -> String {
        let text = get(&self.own).await.text();
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name} in\n{text}"));
        line.rsplit(' ').next().unwrap().to_owned()
    }
}

/// As editors and kubelets change a file.
fn replace(file: &Path, text: &str) {
    let new = file.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(new, file).unwrap();
}

#[tokio::test]
async fn only_what_differs_changes() {
    let setting = Setting::new(&[]).await;
    setting.write("options.yaml", "resources: [namespaces, nodes]\nmetric_denylist: [_created$]\n");
    let exporter = setting.start(&[&setting.config_flag()]).await;
    let families = ["kube_node_info", "kube_node_created", "kube_namespace_status_phase", "kube_pod_info"];
    assert_eq!(exporter.shows(&families).await, [true, false, true, false]);
    let hash = exporter.own_value("kube_state_metrics_config_hash{type=\"config\"").await;

    setting.write("options.yaml", "resources: [nodes, pods]\nmetric_allowlist: [_info$]\n");
    exporter.comes_to_show("kube_pod_info").await;
    assert_eq!(exporter.shows(&families).await, [true, false, false, true]);
    assert_ne!(exporter.own_value("kube_state_metrics_config_hash{type=\"config\"").await, hash);
    let lists = |resource| setting.sim.requests().count(Verb::List, resource);
    assert_eq!((lists("nodes"), lists("namespaces"), lists("pods")), (1, 1, 1), "nothing was listed again");
}

#[tokio::test]
async fn a_broken_file_changes_nothing_and_is_told() {
    let setting = Setting::new(&[]).await;
    setting.write("options.yaml", "resources: [nodes]\n");
    let exporter = setting.start(&[&setting.config_flag()]).await;
    let path = setting.path("options.yaml").display().to_string();
    let successful = |value: u8| {
        format!("kube_state_metrics_last_config_reload_successful{{type=\"config\",filename=\"{path}\"}} {value}")
    };
    exporter.tells(&successful(1)).await;
    let time = "kube_state_metrics_last_config_reload_success_timestamp_seconds{type=\"config\"";
    for broken in ["resources: [nodes, cats]\n", "resources: [nodes]\nresources: [nodes]\n", "colour: red\n"] {
        let loaded = exporter.own_value(time).await;
        setting.write("options.yaml", broken);
        exporter.tells(&successful(0)).await;
        assert_eq!(exporter.shows(&["kube_node_info"]).await, [true], "{broken}");
        assert_eq!(exporter.own_value(time).await, loaded);
        setting.write("options.yaml", "resources: [nodes]\n# mended\n");
        exporter.tells(&successful(1)).await;
    }
    fs::remove_file(setting.path("options.yaml")).unwrap();
    exporter.tells(&successful(0)).await;
    assert_eq!(exporter.shows(&["kube_node_info"]).await, [true]);
    let log = exporter.host.terminate().await.stderr;
    for told in [
        format!("{path}:1:12: resources: there is no resource \"cats\""),
        format!("{path}:2:1: "),
        format!("{path}:1:1: colour: there is no such option"),
        format!("{path}: the options file can't be read"),
    ] {
        assert!(log.contains(&told), "{told} in\n{log}");
    }
    assert_eq!(setting.sim.requests().count(Verb::List, "nodes"), 1);
}

#[tokio::test]
async fn what_takes_a_restart_is_told_by_its_key() {
    let setting = Setting::new(&[]).await;
    setting.write("options.yaml", "resources: [nodes]\n");
    let exporter = setting.start(&[&setting.config_flag()]).await;
    setting.write("options.yaml", "resources: [namespaces]\nport: 1\nenable_gzip_encoding: true\n");
    exporter.comes_to_show("kube_namespace_status_phase").await;
    let log = exporter.host.terminate().await.stderr;
    let path = setting.path("options.yaml").display().to_string();
    for told in [
        format!("{path}:2:7: port has changed, which takes a restart: it stays as it was"),
        format!("{path}:3:23: enable_gzip_encoding has changed"),
        // The command line has a port of its own.
        format!("{path}:2:7: port wins over --port, as in kube-state-metrics"),
    ] {
        assert!(log.contains(&told), "{told} in\n{log}");
    }
}

#[tokio::test]
async fn a_file_that_comes_later_is_taken_up() {
    let setting = Setting::new(&[]).await;
    let flags = ["--resources=nodes", "--continue-without-config", &setting.config_flag()];
    let exporter = setting.start(&flags).await;
    assert_eq!(exporter.shows(&["kube_node_info", "kube_namespace_status_phase"]).await, [true, false]);
    setting.write("options.yaml", "resources:\n  namespaces: {}\n");
    exporter.comes_to_show("kube_namespace_status_phase").await;
    assert_eq!(exporter.shows(&["kube_node_info"]).await, [false], "the file wins over the flag");
}

#[tokio::test]
async fn namespaces_come_and_go_while_the_others_stay() {
    let setting = Setting::new(&[]).await;
    setting.write("options.yaml", "resources: [pods]\nnamespaces: [default]\n");
    let exporter = setting.start(&[&setting.config_flag()]).await;
    assert!(pods(&get(&exporter.metrics).await.text()).len() < 40);
    setting.write("options.yaml", "resources: [pods]\n");
    get_until(&exporter.metrics, |answer| pods(&answer.text()).len() == 40).await;
}

fn pods(text: &str) -> Vec<&str> {
    text.lines().filter(|line| line.starts_with("kube_pod_info{")).collect()
}

#[tokio::test]
async fn shards_sum_up_and_another_number_takes_no_restart() {
    let setting = Setting::new(&[]).await;
    setting.write("options.yaml", "resources: [pods]\nshard: 0\ntotal_shards: 2\n");
    let first = setting.start(&[&setting.config_flag()]).await;
    let second = setting.start(&["--resources=pods", "--shard=1", "--total-shards=2"]).await;
    let (one, other) = (get(&first.metrics).await.text(), get(&second.metrics).await.text());
    assert!(!pods(&one).is_empty() && !pods(&other).is_empty());
    assert_eq!(pods(&one).len() + pods(&other).len(), 40);
    second.tells("kube_state_metrics_shard_ordinal{shard_ordinal=\"1\"} 1").await;
    second.tells("kube_state_metrics_total_shards 2").await;

    setting.write("options.yaml", "resources: [pods]\n");
    get_until(&first.metrics, |answer| pods(&answer.text()).len() == 40).await;
    first.tells("kube_state_metrics_total_shards 1").await;
    let own = get(&first.own).await.text();
    assert_eq!(own.lines().filter(|line| line.starts_with("kube_state_metrics_shard_ordinal{")).count(), 1);
}

#[tokio::test]
async fn a_pod_of_a_stateful_set_knows_its_shard_and_follows_its_scale() {
    let setting = Setting::new(&[]).await;
    let set = |replicas: u8| {
        serde_json::json!({
            "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "ksm", "namespace": "default"},
            "spec": {"replicas": replicas, "serviceName": "ksm", "selector": {"matchLabels": {"app": "ksm"}},
                "template": {"metadata": {"labels": {"app": "ksm"}},
                    "spec": {"containers": [{"name": "ksm", "image": "ksm"}]}}}
        })
    };
    let owner = setting.sim.upsert(set(2)).unwrap();
    let pod = serde_json::json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "ksm-1", "namespace": "default", "ownerReferences": [{"apiVersion": "apps/v1",
            "kind": "StatefulSet", "name": "ksm", "uid": owner["metadata"]["uid"], "controller": true}]},
        "spec": {"containers": [{"name": "ksm", "image": "ksm"}]}
    });
    setting.sim.upsert(pod).unwrap();
    let exporter = setting.start(&["--resources=pods", "--pod=ksm-1", "--pod-namespace=default"]).await;
    exporter.tells("kube_state_metrics_shard_ordinal{shard_ordinal=\"1\"} 1").await;
    exporter.tells("kube_state_metrics_total_shards 2").await;
    setting.sim.upsert(set(5)).unwrap();
    exporter.tells("kube_state_metrics_total_shards 5").await;
}

/// A gauge of the nodes' capacity, as a configuration of custom resources.
fn custom(metric: &str) -> String {
    format!(
        "kind: CustomResourceStateMetrics\nspec:\n  resources:\n  - groupVersionKind: {{group: '', version: v1, kind: Node}}\n    \
         metricNamePrefix: my\n    metrics:\n    - name: {metric}\n      help: Pods that fit.\n      each:\n        type: Gauge\n        \
         gauge: {{path: [status, capacity, pods]}}\n"
    )
}

#[tokio::test]
async fn custom_resources_come_later_change_and_break_while_others_stay() {
    let setting = Setting::new(&[]).await;
    let path = setting.path("crs.yaml").display().to_string();
    let file = format!("--custom-resource-state-config-file={path}");
    let flags = ["--resources=namespaces", "--continue-without-custom-resource-state-config-file", &file];
    let exporter = setting.start(&flags).await;
    let successful = |value: u8| {
        format!(
            "kube_state_metrics_last_config_reload_successful{{type=\"customresourceconfig\",filename=\"{path}\"}} {value}"
        )
    };
    exporter.tells(&successful(0)).await;
    setting.write("crs.yaml", &custom("capacity"));
    exporter.comes_to_show("my_capacity").await;
    exporter.tells(&successful(1)).await;
    setting.write("crs.yaml", &custom("room"));
    exporter.comes_to_show("my_room").await;
    assert_eq!(exporter.shows(&["my_capacity", "kube_namespace_status_phase"]).await, [false, true]);
    setting.write("crs.yaml", &custom("broken").replace("path:", "pth:"));
    exporter.tells(&successful(0)).await;
    assert_eq!(exporter.shows(&["my_room", "my_broken"]).await, [true, false]);
    assert_eq!(setting.sim.requests().count(Verb::List, "namespaces"), 1);
    let log = exporter.host.terminate().await.stderr;
    assert!(log.contains(&format!("{path}:11:")) && log.contains("pth"), "{log}");
}

#[tokio::test]
async fn custom_resources_alone_are_shown_where_they_alone_are_wanted() {
    let setting = Setting::new(&[]).await;
    setting.write("crs.yaml", &custom("capacity"));
    let file = format!("--custom-resource-state-config-file={}", setting.path("crs.yaml").display());
    let inline = format!("--custom-resource-state-config={}", custom("room"));
    let exporter = setting.start(&["--resources=pods", "--custom-resource-state-only", &file, &inline]).await;
    exporter.comes_to_show("my_capacity").await;
    assert_eq!(exporter.shows(&["my_room", "kube_pod_info"]).await, [true, false]);
    let own = get(&exporter.own).await.text();
    for name in ["add_events_total", "update_events_total", "delete_events_total", "cache"] {
        assert!(own.contains(&format!("\nkube_state_metrics_custom_resource_state_{name} ")), "{name} in\n{own}");
    }
}

#[tokio::test]
async fn a_new_token_in_the_kubeconfig_is_used_and_another_server_is_not() {
    let setting = Setting::new(&[("first", "exporter"), ("second", "exporter")]).await;
    setting.write("options.yaml", "resources: [nodes]\n");
    let exporter = setting.start(&[&setting.config_flag()]).await;
    let path = setting.path("kubeconfig").display().to_string();
    let successful = |value: u8| {
        format!("kube_state_metrics_last_config_reload_successful{{type=\"kubeconfig\",filename=\"{path}\"}} {value}")
    };
    assert!(setting.sim.revoke_token("first"));
    setting.write_kubeconfig("http://127.0.0.1:1", "second");
    exporter.tells(&successful(0)).await;
    setting.write_kubeconfig(&setting.sim.url(), "second");
    exporter.tells(&successful(1)).await;
    setting.write("options.yaml", "resources: [nodes, namespaces]\n");
    exporter.comes_to_show("kube_namespace_status_phase").await;
    assert_eq!(exporter.shows(&["kube_node_info"]).await, [true]);
    assert_eq!(setting.sim.requests().count(Verb::List, "nodes"), 1);
    let log = exporter.host.terminate().await.stderr;
    assert!(log.contains("names another server (http://127.0.0.1:1/"), "{log}");
    assert!(!log.contains("first") && !log.contains("second"), "no token is logged: {log}");
}

#[tokio::test]
async fn with_the_auth_filter_only_who_may_scrapes() {
    let setting = Setting::new(&[("own", "exporter"), ("prometheus-token", "prometheus")]).await;
    setting.sim.deny(cluster_sim::Deny::path("/metrics").to("exporter"));
    let exporter = setting.start(&["--auth-filter", "--resources=nodes"]).await;
    for url in [&exporter.metrics, &exporter.own] {
        assert_eq!(get(url).await.status, 401);
        assert_eq!(get_with(url, &[("authorization", "Bearer own")]).await.status, 403);
        assert_eq!(get_with(url, &[("authorization", "Bearer prometheus-token")]).await.status, 200);
        assert_eq!(get(&url.replace("/metrics", "/healthz")).await.status, 200, "probes carry no token");
    }
    setting.sim.faults().add(cluster_sim::Fault::on(Verb::Create).status(500));
    assert_eq!(get_with(&exporter.metrics, &[("authorization", "Bearer unknown")]).await.status, 503);
    let log = exporter.host.terminate().await.stderr;
    assert!(log.contains("did not review a token") && !log.contains("unknown"), "{log}");
}
