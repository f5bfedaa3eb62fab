//! A real Prometheus scrapes the agent on a simulated node: each query of the dashboard, and each alert, finds what it is
//! for; and what this machine can't count is put to it by the same exposition.
#![cfg(unix)]

use std::net::Ipv4Addr;
use std::sync::Arc;

use axum::http::header::CONTENT_TYPE;
use axum::{Router, routing};
use cgroup_perf::output::Event;
use cgroup_perf::output::openmetrics::{Exporter, Format};

use cgroup_perf::resolver::Labels;
use cgroup_perf::sample::{CgroupId, Delta};
use cgroup_perf::totals::Usage;

use crate::prometheus_server::{Prometheus, queries, value};
use crate::support::{Host, command, get_until};

const AGENT: &str = env!("CARGO_BIN_EXE_node-agent");
const SIM: &[&str] =
    &["--port", "0", "--sim", "--sim-nodes", "2", "--sim-pods", "24", "--sim-churn", "0", "--interval", "1s"];

/// What a processor's own counters would be needed for.
fn needs_hardware(query: &str) -> bool {
    query.contains("cgroup_perf_cycles") || query.contains("cgroup_perf_llc_misses")
}

#[tokio::test]
async fn each_query_of_the_dashboard_finds_something() {
    let host = Host::start(command(AGENT, SIM)).await;
    let agent = host.url("serving at");
    let ready = get_until(&format!("{agent}/-/ready"), |answer| answer.status == 200).await.text();
    let Some(prometheus) = Prometheus::scraping(&[("node-agent", &agent)]).await else { return };
    let counts = ready.lines().find(|line| line.starts_with("perf: ok")).map(str::to_owned);
    let has_hardware =
        counts.as_ref().is_some_and(|line| line.split("; not counted").next().unwrap().contains("cycles"));
    let all = queries("dashboard-node.json");
    assert_eq!(all.len(), 7);
    for query in all {
        if query.contains("cgroup_perf") && counts.is_none() {
            eprintln!("skipped: {query}: nothing is counted here: {ready}");
        } else if needs_hardware(&query) && !has_hardware {
            eprintln!("skipped here, and put to the exposition alone: {query}: {}", counts.as_deref().unwrap());
        } else {
            prometheus.found(&query).await;
        }
    }
    // All parts that are on work: the alert about parts does not fire.
    let rules = prometheus.rules().await;
    let down = rules.iter().find(|rule| rule["name"] == "NodeAgentPartDown").unwrap();
    assert_eq!(prometheus.query(down["query"].as_str().unwrap()).await, [serde_json::Value::Null; 0]);
    assert_eq!(host.terminate().await.status.code(), Some(0));
}

#[tokio::test]
async fn an_alert_tells_of_a_part_that_is_down() {
    let flags = ["--port", "0", "--node-name", "n1", "--parts", "kubelet", "--kubelet-insecure", "--kubelet-port", "1"];
    let host = Host::start(command(AGENT, &flags)).await;
    let agent = host.url("serving at");
    let Some(prometheus) = Prometheus::scraping(&[("node-agent", &agent)]).await else { return };
    let rules = prometheus.rules().await;
    let down = rules.iter().find(|rule| rule["name"] == "NodeAgentPartDown").unwrap();
    // Parts that are switched off are not down.
    let found = prometheus.found(down["query"].as_str().unwrap()).await;
    let parts: Vec<_> = found.iter().map(|found| found["metric"]["part"].as_str().unwrap()).collect();
    assert_eq!(parts, ["kubelet"]);
    assert_eq!(host.terminate().await.status.code(), Some(0));
}

/// What a container does in each scrape: cycles, instructions and misses of the last cache.
struct Does {
    labels: Labels,
    each: [u64; 3],
}

/// A target of a processor with counters: the kernel's part is made up, the exposition is the agent's.
async fn counted_by_a_processor(containers: Vec<Does>) -> String {
    let events = [("cycles", "CPU_CYCLES"), ("instructions", "INSTRUCTIONS"), ("llc_misses", "CACHE_MISSES")];
    let exporter = Exporter::new(events.map(|(name, event)| Event::named(name, event)).to_vec());
    let (state, containers) = (Arc::new(parking_lot::Mutex::new((exporter, 0_u64))), Arc::<[Does]>::from(containers));
    let scrape = move || {
        let (exporter, turns) = &mut *state.lock();
        *turns += 1;
        for (number, Does { labels, each }) in containers.iter().enumerate() {
            let mut usage = Usage { ran: 1_000_000_000 * *turns, switches: 10 * *turns, ..Usage::default() };
            for (sum, each) in usage.counters.iter_mut().zip(each) {
                sum.delta = Delta { value: each * *turns, enabled: usage.ran, running: usage.ran };
            }
            exporter.update(CgroupId(number as u64 + 1), &Arc::new(labels.clone()), &usage);
        }
        exporter.end_interval();
        let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        ([(CONTENT_TYPE, kind)], exporter.render(Format::OpenMetrics))
    };
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let routes = Router::new().route("/metrics", routing::get(move || std::future::ready(scrape())));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    url
}

#[tokio::test]
async fn cycles_per_instruction_of_a_pod_by_promql() {
    let does = |pod: &str, container: &str, each| Does {
        labels: Labels {
            namespace: "shop".into(),
            pod: pod.into(),
            container: container.into(),
            container_id: format!("{pod}-{container}"),
            ..Labels::default()
        },
        each,
    };
    let target = counted_by_a_processor(vec![
        does("web-0", "app", [3_000_000_000, 2_000_000_000, 4_000_000]),
        does("web-0", "sidecar", [1_000_000_000, 2_000_000_000, 0]),
        does("batch-0", "sort", [5_000_000_000, 1_000_000_000, 20_000_000]),
    ])
    .await;
    let Some(prometheus) = Prometheus::scraping(&[("node-agent", &target)]).await else { return };
    let of = |query: &'static str, labels: &'static [(&str, &str)], wanted: f64| {
        let prometheus = &prometheus;
        async move {
            let is = |found: &serde_json::Value| labels.iter().all(|(name, value)| found["metric"][*name] == *value);
            let near = |found: &[serde_json::Value]| {
                found.iter().any(|found| is(found) && (value(found) - wanted).abs() < wanted * 0.001)
            };
            prometheus.found_when(query, near).await
        }
    };
    let cpi = "sum by (namespace, pod) (rate(cgroup_perf_cycles_total[1m])) \
               / sum by (namespace, pod) (rate(cgroup_perf_instructions_total[1m]))";
    // Of both containers together, each by its weight.
    let found = of(cpi, &[("namespace", "shop"), ("pod", "web-0")], 1.0).await;
    assert_eq!(found.len(), 2, "{found:?}");
    of(cpi, &[("pod", "batch-0")], 5.0).await;
    let mpki = "1000 * sum by (namespace, pod) (rate(cgroup_perf_llc_misses_total[1m])) \
                / sum by (namespace, pod) (rate(cgroup_perf_instructions_total[1m]))";
    of(mpki, &[("pod", "web-0")], 1.0).await;
    // The dashboard's, by container.
    let by_dashboard: Vec<_> =
        queries("dashboard-node.json").into_iter().filter(|query| needs_hardware(query)).collect();
    assert_eq!(by_dashboard.len(), 2);
    for query in by_dashboard {
        let wanted = if query.contains("cycles") { 1.5 } else { 2.0 };
        let found = prometheus.found_when(&query, |found| found.len() == 3).await;
        let app = found.iter().find(|found| found["metric"]["container"] == "app").unwrap();
        assert!((value(app) - wanted).abs() < 1e-9, "{app}");
    }
}
