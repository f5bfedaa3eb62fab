//! The binary against a simulated cluster: scrapes, health, signals, wrong flags.

use crate::support::{self, Host, QUIET, command, get, get_until, get_with, run};

const EXPORTER: &str = env!("CARGO_BIN_EXE_ksm-exporter");
const FREE_PORTS: &[&str] = &["--port", "0", "--telemetry-port", "0"];

async fn start(flags: &[&str]) -> Host {
    let host = Host::start(command(EXPORTER, &[FREE_PORTS, flags].concat())).await;
    if flags.contains(&"--sim") {
        get_until(&ready_url(&host), |answer| answer.status == 200).await;
    }
    host
}

fn ready_url(host: &Host) -> String {
    host.url("metrics at").replace("/metrics", "/readyz")
}

/// The families that have samples.
fn families(text: &str) -> Vec<&str> {
    let mut names: Vec<&str> = text.lines().filter_map(|line| line.split_once('{').map(|(name, _)| name)).collect();
    names.dedup();
    names
}

#[tokio::test]
async fn a_scrape_shows_the_cluster_in_every_format_and_encoding() {
    let host = start(&[QUIET, &["--enable-gzip-encoding", "--gzip-cache"]].concat()).await;
    let url = host.url("metrics at");
    let plain = get(&url).await;
    assert_eq!(plain.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    let text = plain.text();
    assert_eq!(text.lines().filter(|line| line.starts_with("kube_node_info{")).count(), 2);
    assert!(text.lines().all(|line| line.starts_with('#') || line.rsplit_once(' ').unwrap().1.parse::<f64>().is_ok()));

    let gzip = get_with(&url, &[("accept-encoding", "gzip")]).await;
    assert_eq!((gzip.header("content-encoding"), gzip.text() == text), ("gzip", true));
    assert!(gzip.body.len() < plain.body.len() / 4);

    let open = get_with(&url, &[("accept", "application/openmetrics-text; version=1.0.0")]).await;
    assert_eq!(open.header("content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(open.text().ends_with("\n# EOF\n"));

    let nodes = get(&format!("{url}?resources=nodes")).await.text();
    assert!(!nodes.is_empty() && families(&nodes).iter().all(|name| name.starts_with("kube_node_")));
    let others = get(&format!("{url}?exclude_resources=nodes")).await.text();
    assert!(!others.contains("kube_node_info{") && others.contains("kube_pod_info{"));
}

#[tokio::test]
async fn gzip_is_off_unless_it_is_switched_on() {
    let host = start(QUIET).await;
    let answer = get_with(&host.url("metrics at"), &[("accept-encoding", "gzip")]).await;
    assert_eq!(answer.header("content-encoding"), "");
}

#[tokio::test]
async fn flags_choose_resources_families_and_labels() {
    let flags =
        ["--resources=namespaces,nodes", "--metric-denylist=_created$", "--metric-labels-allowlist=namespaces=[*]"];
    let host = start(&[QUIET, &flags].concat()).await;
    let text = get(&host.url("metrics at")).await.text();
    assert!(text.contains("label_kubernetes_io_metadata_name=\"default\""));
    let names = families(&text);
    assert!(!names.is_empty() && names.iter().all(|name| !name.ends_with("_created")));
    assert!(names.iter().all(|name| name.starts_with("kube_namespace_") || name.starts_with("kube_node_")));
}

#[tokio::test]
async fn health_and_own_metrics_are_told_on_both_ports() {
    let host = start(QUIET).await;
    let (main, own) = (host.url("metrics at"), host.url("own metrics at"));
    for path in ["/healthz", "/livez", "/readyz"] {
        let answer = get(&main.replace("/metrics", path)).await;
        assert_eq!((answer.status.as_u16(), answer.text().as_str()), (200, "ok\n"), "{path}");
    }
    assert_eq!(get(&own.replace("/metrics", "/readyz")).await.status, 200);
    let page = get(&main.replace("/metrics", "/")).await;
    assert!(
        page.header("content-type").starts_with("text/html")
            && page.text().contains("href=\"/metrics?resources=pods\"")
    );
    assert_eq!(get(&main.replace("/metrics", "/nothing")).await.status, 404);
    get(&main).await;
    let text = get(&own).await.text();
    for line in [
        "kube_state_metrics_list_total{result=\"success\",resource=\"pods\"} 1",
        "ksm_core_requests_total{resource=\"pods\",request=\"list\",result=\"success\"} 1",
        "ksm_core_synced{resource=\"pods\",namespace=\"\"} 1",
        "ksm_core_objects{resource=\"pods\",namespace=\"\"} 40",
        "kube_state_metrics_total_shards 1",
        "kube_state_metrics_shard_ordinal{shard_ordinal=\"0\"} 0",
        "http_request_duration_seconds_count{handler=\"metrics\",method=\"get\"} 1",
        "ksm_core_scrapes_total{encoding=\"identity\",result=\"complete\"} 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
    }
    assert!(text.contains("kube_state_metrics_build_info{") && text.contains("process_resident_memory_bytes "));
}

#[tokio::test]
async fn an_api_server_that_is_not_there_is_no_reason_to_end() {
    let host = start(&["--apiserver", "http://127.0.0.1:1"]).await;
    let unready = get_until(&ready_url(&host), |answer| answer.text().contains("pods: List request failed")).await;
    assert_eq!(unready.status, 503);
    let main = host.url("metrics at");
    let livez = get(&main.replace("/metrics", "/livez")).await;
    assert_eq!((livez.status.as_u16(), livez.text().starts_with("the API server: ")), (503, true));
    assert_eq!((get(&main).await.status.as_u16(), get(&main).await.text().as_str()), (200, ""));
    assert_eq!(get(&main.replace("/metrics", "/healthz")).await.status, 200);
}

#[tokio::test]
async fn a_limit_on_objects_is_held_and_told() {
    let host = start(&[QUIET, &["--resources=pods,nodes", "--object-limit=10"]].concat()).await;
    let text = get(&host.url("metrics at")).await.text();
    let count = |family: &str| text.lines().filter(|line| line.starts_with(family)).count();
    assert_eq!((count("kube_pod_info{"), count("kube_node_info{")), (10, 2));
    let text = get(&host.url("own metrics at")).await.text();
    for line in [
        "kube_state_metrics_list_objects{resource=\"pods\"} 10",
        "kube_state_metrics_list_objects{resource=\"nodes\"} 2",
        "kube_state_metrics_list_objects_limit{resource=\"pods\"} 10",
        "ksm_core_lists_cut_total{resource=\"pods\"} 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
    }
    let told = host.terminate().await.stderr;
    assert!(told.contains("the list was cut by the object limit") && told.contains("left_out=30"), "{told}");
}

#[tokio::test]
async fn everything_is_pushed_to_a_collector_where_that_is_wanted() {
    use ksm_core::otlp::proto::collector::metrics::v1::ExportMetricsServiceRequest;
    use prost::Message as _;

    let (received, mut messages) = tokio::sync::mpsc::unbounded_channel();
    let app = axum::Router::new().route(
        "/v1/metrics",
        axum::routing::post(async move |body: axum::body::Bytes| {
            received.send(ExportMetricsServiceRequest::decode(body)).unwrap();
        }),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });

    let flags = [FREE_PORTS, QUIET, &["--otlp", "--otlp-interval=200ms"]].concat();
    let mut command = command(EXPORTER, &flags);
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint);
    let host = Host::start(command).await;
    let pods = async {
        let mut pods = std::collections::BTreeSet::new();
        while pods.len() < 40 {
            let message = messages.recv().await.expect("the collector runs").unwrap();
            let attributes = message.resource_metrics.into_iter().filter_map(|metrics| metrics.resource);
            for attribute in attributes.flat_map(|resource| resource.attributes) {
                if attribute.key == "k8s.pod.uid" {
                    pods.insert(format!("{:?}", attribute.value));
                }
            }
        }
    };
    tokio::time::timeout(support::PATIENCE, pods).await.expect("every pod is pushed");
    assert_eq!(host.terminate().await.status.code(), Some(0));
}

#[tokio::test]
async fn zstd_is_off_unless_it_is_switched_on() {
    for (flags, encoding) in [(&[][..], ""), (&["--enable-zstd-encoding"], "zstd")] {
        let host = start(&[QUIET, flags].concat()).await;
        let answer = get_with(&host.url("metrics at"), &[("accept-encoding", "zstd, gzip;q=0.5")]).await;
        assert_eq!(answer.header("content-encoding"), encoding);
    }
}

#[cfg(unix)]
#[tokio::test]
async fn sigterm_ends_it_with_success() {
    let host = start(QUIET).await;
    let ended = host.terminate().await;
    assert_eq!((ended.status.code(), ended.stderr.as_str()), (Some(0), ""));
}

#[tokio::test]
async fn wrong_flags_exit_2_and_say_what_to_change() {
    for (flags, told) in [
        (&["--resources=cats"][..], "--resources: there is no resource \"cats\": use one of "),
        (
            &["--metric-allowlist=a", "--metric-denylist=b"],
            "--metric-allowlist and --metric-denylist exclude each other",
        ),
        (&["--node=n", "--resources=pods,nodes"], "--node needs --resources pods"),
        (&["--config=/no/such/file"], "/no/such/file: the options file can't be read: No such file"),
        (&["--custom-resource-state-only"], "--custom-resource-state-only needs --custom-resource-state-config-file"),
        (
            &["--custom-resource-state-config-file=/no/file"],
            "/no/file: the custom resource configuration can't be read",
        ),
        (&["--custom-resource-state-config=spec: {resource: []}"], "--custom-resource-state-config:1:8: unknown key"),
        (&["--logtostderr=true"], "--logtostderr of kube-state-metrics is not supported: it logs to standard error"),
        (&["--node=n", "--track-unscheduled-pods"], "--node and --track-unscheduled-pods exclude each other"),
        (&["--shard=1"], "--shard: shard 1 of 1 does not exist"),
        (&["--pod=ksm-0"], "--pod needs --pod-namespace"),
        (&["--server-read-timeout=soon"], "a duration is a positive time"),
        (&["--no-such-flag"], "unexpected argument '--no-such-flag'"),
        (&["--sim", "--kubeconfig=x"], "cannot be used with"),
    ] {
        let ended = run(EXPORTER, flags).await;
        assert_eq!(ended.status.code(), Some(2), "{flags:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(told), "{flags:?}: {}", ended.stderr);
    }
}

#[tokio::test]
async fn what_keeps_it_from_starting_is_told_with_status_1() {
    let ended = run(EXPORTER, FREE_PORTS).await;
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.stderr.contains("no cluster is configured: give --kubeconfig"), "{}", ended.stderr);
    let ended = run(EXPORTER, &[FREE_PORTS, &["--kubeconfig", "/no/such/file"]].concat()).await;
    assert!(ended.stderr.contains("the kubeconfig /no/such/file can't be read"), "{}", ended.stderr);

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let ended = run(EXPORTER, &["--sim", "--port", &port]).await;
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.stderr.contains("choose another --host or --port: can't listen on 127.0.0.1"), "{}", ended.stderr);
}
