//! Clusters that lack the newest version of a resource, or the resource.

use std::time::Duration;

use cluster_sim::{Fault, ObjectRef, Sim, Verb};
use ksm_core::{Format, Ksm, ListStrategy, Query, ResourceStatus, WatchOptions};
use serde_json::{Value, json};

/// How long an outcome may take at the most: far beyond what it takes, far below a test's patience.
const PATIENCE: Duration = Duration::from_mins(1);

fn options() -> WatchOptions {
    WatchOptions {
        min_backoff: Duration::from_millis(20),
        max_backoff: Duration::from_millis(100),
        ..WatchOptions::default()
    }
}

fn watching(sim: &Sim, options: WatchOptions) -> Ksm {
    let mut config = sim.kube_config();
    config.default_retry = false;
    let client = kube::Client::try_from(config).unwrap();
    Ksm::builder().client(client).watch_options(options).resources(["cronjobs", "jobs"]).unwrap().spawn().unwrap()
}

fn cron_job(version: &str, name: &str) -> Value {
    json!({
        "apiVersion": format!("batch/{version}"), "kind": "CronJob",
        "metadata": {"name": name, "namespace": "default"}, "spec": {"schedule": "0 0 * * *", "suspend": true},
    })
}

fn status(ksm: &Ksm) -> ResourceStatus {
    ksm.status().into_iter().find(|status| status.resource == "cronjobs").unwrap()
}

fn text(ksm: &Ksm) -> String {
    ksm.exposition(&Query::default(), Format::Text).to_text()
}

fn shows(ksm: &Ksm, name: &str) -> bool {
    text(ksm).contains(&format!("kube_cronjob_spec_suspend{{namespace=\"default\",cronjob=\"{name}\"}} 1\n"))
}

async fn eventually(ksm: &Ksm, what: &str, so: impl Fn() -> bool) {
    let waiting = async {
        while !so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, waiting).await.is_ok(), "{what}: {:#?}\n{}", ksm.status(), text(ksm));
}

#[tokio::test]
async fn an_older_version_is_listed_and_watched() {
    for strategy in [ListStrategy::Pages, ListStrategy::Streaming] {
        let sim = Sim::builder().serve_versions("batch", "cronjobs", &["v1beta1"]);
        let sim = sim.objects([cron_job("v1beta1", "a")]).start().await.unwrap();
        // Nothing but the version is asked for again at once: with this pause it would not come in time.
        let ksm = watching(&sim, WatchOptions { strategy, min_backoff: PATIENCE * 2, ..WatchOptions::default() });
        eventually(&ksm, "it is listed", || shows(&ksm, "a") && ksm.is_synced()).await;
        sim.upsert(cron_job("v1beta1", "b")).unwrap();
        eventually(&ksm, "it is watched", || shows(&ksm, "b")).await;
        sim.delete(&ObjectRef::new("batch/v1beta1", "CronJob", "a").within("default")).unwrap();
        eventually(&ksm, "deletions are seen", || !shows(&ksm, "a")).await;
        let status = status(&ksm);
        assert_eq!((status.api_version.as_deref(), status.not_served), (Some("batch/v1beta1"), false));
        assert_eq!((status.skipped, status.failing), (0, false));
        assert_eq!(sim.requests().count_status(Verb::List, "jobs", 404), 0);
    }
}

/// Objects that look otherwise in their older version, with a sample that tells.
#[tokio::test]
async fn what_was_called_otherwise_is_read_right() {
    let ingress = json!({
        "apiVersion": "networking.k8s.io/v1beta1", "kind": "Ingress", "metadata": {"namespace": "default"},
        "spec": {"rules": [{"host": "h", "http": {"paths": [
            {"path": "/p", "backend": {"serviceName": "web", "servicePort": 80}},
        ]}}]},
    });
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1beta1", "kind": "EndpointSlice", "metadata": {"namespace": "default"},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.0.0.1"], "topology": {"kubernetes.io/hostname": "worker-7"}}],
    });
    let named = |mut object: Value, name: &str| {
        object["metadata"]["name"] = json!(name);
        object
    };
    let cases = [
        ("networking.k8s.io", "ingresses", ingress, r#"service_name="web",service_port="80""#),
        ("discovery.k8s.io", "endpointslices", slice, r#"endpoint_nodename="worker-7""#),
    ];
    for strategy in [ListStrategy::Pages, ListStrategy::Streaming] {
        for (group, resource, object, told) in &cases {
            let sim = Sim::builder().serve_versions(group, resource, &["v1beta1"]);
            let sim = sim.objects([named(object.clone(), "listed")]).start().await.unwrap();
            let options = WatchOptions { strategy, ..options() };
            let ksm = Ksm::builder().client(sim.client()).watch_options(options).resources([resource]).unwrap();
            let ksm = ksm.spawn().unwrap();
            let shows = |name: &str| text(&ksm).lines().any(|line| line.contains(name) && line.contains(told));
            eventually(&ksm, told, || shows("listed")).await;
            sim.upsert(named(object.clone(), "watched")).unwrap();
            eventually(&ksm, told, || shows("watched")).await;
        }
    }
}

#[tokio::test]
async fn what_the_cluster_lacks_is_synced_and_may_come_later() {
    let sim = Sim::builder().serve_versions("batch", "cronjobs", &[]).start().await.unwrap();
    let ksm = watching(&sim, options());
    tokio::time::timeout(PATIENCE, ksm.synced()).await.unwrap();
    eventually(&ksm, "it is known as not served", || status(&ksm).not_served).await;
    assert!(!status(&ksm).failing && status(&ksm).synced_for.is_none());
    sim.serve_versions("batch", "cronjobs", &["v1"]).unwrap();
    sim.upsert(cron_job("v1", "a")).unwrap();
    eventually(&ksm, "it is found", || shows(&ksm, "a")).await;
    assert!(!status(&ksm).not_served);
    sim.serve_versions("batch", "cronjobs", &[]).unwrap();
    sim.restart();
    eventually(&ksm, "its series are gone with it", || status(&ksm).not_served && !shows(&ksm, "a")).await;
}

#[tokio::test]
async fn an_upgrade_of_the_cluster_leads_to_the_newer_version() {
    let sim = Sim::builder().serve_versions("batch", "cronjobs", &["v1beta1"]);
    let sim = sim.objects([cron_job("v1beta1", "a")]).start().await.unwrap();
    let ksm = watching(&sim, options());
    eventually(&ksm, "it is listed", || shows(&ksm, "a")).await;
    sim.serve_versions("batch", "cronjobs", &["v1"]).unwrap();
    sim.restart();
    let upgraded = async {
        while status(&ksm).api_version.as_deref() != Some("batch/v1") {
            assert!(shows(&ksm, "a"), "it never went away");
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, upgraded).await.unwrap();
    sim.upsert(cron_job("v1", "b")).unwrap();
    eventually(&ksm, "it is watched", || shows(&ksm, "a") && shows(&ksm, "b")).await;
}

/// Lists that are answered 404 by mistake, with and without a discovery that says so.
#[tokio::test]
async fn a_404_alone_takes_nothing_away() {
    for everything in [false, true] {
        let sim = Sim::builder().objects([cron_job("v1", "a")]).start().await.unwrap();
        let ksm = watching(&sim, options());
        eventually(&ksm, "it is listed", || shows(&ksm, "a")).await;
        let answers = if everything { Fault::on_any() } else { Fault::on_any().resource("cronjobs") };
        let fault = sim.faults().add(answers.status(404));
        sim.restart();
        eventually(&ksm, "it fails", || status(&ksm).failing && status(&ksm).errors > 5).await;
        assert!(shows(&ksm, "a") && !status(&ksm).not_served, "everything: {everything}");
        sim.faults().remove(fault);
        sim.upsert(cron_job("v1", "b")).unwrap();
        eventually(&ksm, "it goes on", || shows(&ksm, "a") && shows(&ksm, "b")).await;
    }
}
