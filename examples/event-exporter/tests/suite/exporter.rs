//! The binary: events reach receivers, the page and the metrics; it says what is wrong, how it is, and ends in order.
#![cfg(unix)]

pub(crate) mod process;
mod webhook;

use std::path::{Path, PathBuf};
use std::time::Duration;

use cluster_sim::{Fault, Sim, Verb};
use serde_json::{Value, json};

use self::process::{Exporter, exporter};
use self::webhook::Webhook;
use crate::support::{self, PATIENCE, get, get_until, run};

const EXPORTER: &str = env!("CARGO_BIN_EXE_event-exporter");

/// A cluster of the test's own, with a namespace and a pod, and a folder for configurations.
struct World {
    sim: Sim,
    url: String,
    folder: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        let sim = Sim::builder().start().await.unwrap();
        sim.create(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})).unwrap();
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "shop", "name": "web-0", "labels": {"app": "web"}},
            "spec": {"containers": [{"name": "c", "image": "i"}]},
        });
        sim.create(pod).unwrap();
        Self { url: sim.url(), sim, folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn config(&self, yaml: &str) -> String {
        let path = self.path("config.yaml");
        std::fs::write(&path, yaml).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn tell(&self, name: &str, type_: &str, reason: &str, message: &str) {
        let now = self.sim.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let event = json!({
            "apiVersion": "v1", "kind": "Event", "metadata": {"namespace": "shop", "name": name},
            "involvedObject": {"apiVersion": "v1", "kind": "Pod", "namespace": "shop", "name": "web-0"},
            "type": type_, "reason": reason, "message": message, "source": {"component": "kubelet"},
            "count": 1, "firstTimestamp": now, "lastTimestamp": now,
        });
        self.sim.create(event).unwrap();
    }

    async fn start(&self, yaml: &str, flags: &[&str]) -> Exporter {
        let config = self.config(yaml);
        let fixed = ["-conf", &config, "--apiserver", &self.url, "-metrics-address", "127.0.0.1:0"];
        Exporter::start(exporter(&[&fixed[..], flags].concat())).await
    }

    async fn ready(&self, yaml: &str, flags: &[&str]) -> Exporter {
        let exporter = self.start(yaml, flags).await;
        get_until(&format!("{}/-/ready", exporter.url), |answer| answer.status == 200).await;
        exporter
    }
}

async fn lines_of(file: &Path, least: usize) -> Vec<Value> {
    let read = async {
        loop {
            let text = std::fs::read_to_string(file).unwrap_or_default();
            if text.lines().count() >= least && text.ends_with('\n') {
                return text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, read).await.expect("the file is written")
}

const STDOUT: &str = "
clusterName: test
route: {routes: [{match: [{receiver: dump}]}]}
receivers: [{name: dump, stdout: {}}]
";

#[tokio::test]
async fn events_arrive_at_stdout_a_file_and_a_webhook_as_routes_say() {
    let world = World::new().await;
    let webhook = Webhook::start().await;
    let file = world.path("events.log");
    let yaml = format!(
        r#"
clusterName: test
route:
  routes:
    - match: [{{receiver: dump}}]
    - drop: [{{type: Normal}}]
      match:
        - {{kind: "^Pod$", labels: {{app: web}}, receiver: disk}}
        - {{reason: BackOff, receiver: hook}}
receivers:
  - name: dump
    stdout: {{}}
  - name: disk
    file: {{path: "{}"}}
  - name: hook
    webhook:
      endpoint: "{}/alerts"
      layout: {{text: "{{{{ .Reason }}}} of {{{{ .InvolvedObject.Name }}}}"}}
"#,
        file.display(),
        webhook.url
    );
    let mut exporter = world.ready(&yaml, &[]).await;
    world.tell("a", "Normal", "Pulled", "pulled");
    world.tell("b", "Warning", "BackOff", "restarting");
    let first = exporter.line().await;
    let second = exporter.line().await;
    assert_eq!((&first["reason"], &second["reason"]), (&json!("Pulled"), &json!("BackOff")));
    assert_eq!(second["clusterName"], "test");
    assert_eq!(second["involvedObject"]["labels"], json!({"app": "web"}));
    assert_eq!(second["involvedObject"]["deleted"], false);
    let written = lines_of(&file, 1).await;
    assert_eq!(written.len(), 1);
    assert_eq!(written[0]["reason"], "BackOff");
    assert_eq!(webhook.next().await, ("/alerts".to_owned(), json!({"text": "BackOff of web-0"})));
}

#[tokio::test]
async fn it_is_ready_once_it_is_synced_and_says_why_it_is_not() {
    let world = World::new().await;
    let refused = Fault::on(Verb::List).resource("events").status(500);
    world.sim.faults().add(refused);
    let exporter = world.start(STDOUT, &[]).await;
    let ready = format!("{}/-/ready", exporter.url);
    let told = get_until(&ready, |answer| answer.text().contains("can't be read")).await;
    assert_eq!(told.status, 503);
    assert!(told.text().contains("500"), "{}", told.text());
    assert_eq!(get(&format!("{}/-/healthy", exporter.url)).await.status, 200, "a restart would not help");
    world.sim.faults().clear();
    assert_eq!(get_until(&ready, |answer| answer.status == 200).await.text(), "ok: it reads events\n");
}

#[tokio::test]
async fn of_two_one_leads_and_the_other_takes_over() {
    let world = World::new().await;
    let yaml = format!("{STDOUT}leaderElection: {{enabled: true, leaderElectionID: one}}\n");
    let flags = ["--own-namespace", "shop", "--checkpoint", "configmap:position"];
    let first = world.ready(&yaml, &[&flags[..], &["--pod-name", "first"]].concat()).await;
    let mut second = world.ready(&yaml, &[&flags[..], &["--pod-name", "second"]].concat()).await;
    let leads = |answer: &support::Answer| answer.text().contains("waits to lead: first leads");
    assert_eq!(get_until(&format!("{}/-/ready", second.url), leads).await.status, 200);
    let ended = first.terminate().await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    let reads = |answer: &support::Answer| answer.text() == "ok: it reads events\n";
    get_until(&format!("{}/-/ready", second.url), reads).await;
    world.tell("a", "Normal", "Pulled", "pulled");
    assert_eq!(second.line().await["reason"], "Pulled");
}

#[tokio::test]
async fn the_page_escapes_what_is_hostile_and_filters() {
    let world = World::new().await;
    let mut exporter = world.ready(STDOUT, &[]).await;
    world.tell("a", "Normal", "Pulled", "</td><script>alert(1)</script>");
    world.tell("b", "Warning", "BackOff", "restarting");
    exporter.line().await;
    exporter.line().await;
    let url = &exporter.url;
    let page = get(url).await;
    let policy = page.header("content-security-policy").to_owned();
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    let text = page.text();
    assert!(text.contains("&lt;script&gt;alert(1)") && !text.contains("<script>"), "{text}");
    assert!(text.contains("restarting") && text.contains("The last 2 events"), "{text}");
    for part in ["scope=\"col\"", "<label>", "aria-label=\"Filter events\"", "<html lang=\"en\">"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let filtered = get(&format!("{url}/?type=Warning&reason=back&kind=pod&namespace=shop&q=RESTART")).await.text();
    assert!(filtered.contains("restarting") && !filtered.contains("alert(1)"), "{filtered}");
    let live = get(&format!("{url}/live?q=%3Cscript%3E")).await.text();
    assert!(live.contains("1 of the last 2 events") && !live.contains("<script"), "{live}");
    assert!(!live.contains("<html"), "{live}");
    assert_eq!(get(&format!("{url}/?type=a&type=b")).await.status, 400);
}

#[tokio::test]
async fn without_a_page_there_is_none() {
    let world = World::new().await;
    let exporter = world.ready(STDOUT, &["--no-page"]).await;
    for path in ["/", "/live"] {
        assert_eq!(get(&format!("{}{path}", exporter.url)).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn metrics_have_the_prefix_and_count_events() {
    let world = World::new().await;
    let mut exporter = world.ready(&format!("{STDOUT}metricsNamePrefix: acme_\n"), &[]).await;
    world.tell("a", "Warning", "Back\"Off", "restarting");
    exporter.line().await;
    let url = format!("{}/metrics", exporter.url);
    let answer = get_until(&url, |answer| answer.text().contains("acme_events_sent 1")).await;
    assert!(answer.header("content-type").starts_with("text/plain; version=0.0.4"));
    let text = answer.text();
    let counted = "acme_kube_events_total{type=\"Warning\",reason=\"Back\\\"Off\",kind=\"Pod\",namespace=\"shop\"} 1";
    for part in [counted, "# TYPE acme_events_sent counter", "acme_kube_api_read_cache_misses 1", "acme_build_info{"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let mut described = std::collections::BTreeSet::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        if let Some(comment) = line.strip_prefix("# TYPE ") {
            assert!(described.insert(comment.split(' ').next().unwrap()), "twice: {line}");
        } else if !line.starts_with('#') {
            let (series, value) = line.rsplit_once(' ').unwrap();
            value.parse::<f64>().unwrap();
            let name = series.split('{').next().unwrap();
            assert!(described.contains(name), "no type: {line}");
            assert!(name.starts_with("acme_") || name.starts_with("process_"), "{line}");
        }
    }
}

#[tokio::test]
async fn sigterm_drains_the_sinks_and_a_restart_goes_on() {
    let world = World::new().await;
    let webhook = Webhook::start().await;
    let yaml = format!(
        "route: {{routes: [{{match: [{{receiver: hook}}]}}]}}\n\
         receivers: [{{name: hook, webhook: {{endpoint: \"{}\"}}, delivery: {{retry: {{maxBackoff: 100ms}}}}}}]\n",
        webhook.url
    );
    let place = format!("file:{}", world.path("position").display());
    let exporter = world.ready(&yaml, &["--checkpoint", &place, "--drain", "1m"]).await;
    webhook.refuse(true);
    for number in 0..20 {
        world.tell(&format!("e{number}"), "Normal", &format!("R{number}"), "x");
    }
    get_until(&format!("{}/metrics", exporter.url), |answer| answer.text().contains("events_sent 20\n")).await;
    webhook.refuse(false);
    let ended = exporter.terminate().await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    let mut reasons = std::collections::BTreeSet::new();
    while reasons.len() < 20 {
        reasons.insert(webhook.next().await.1["reason"].as_str().unwrap().to_owned());
    }
    // What happens while nobody looks comes with the next start, and what was delivered does not.
    world.tell("later", "Normal", "Later", "x");
    let exporter = world.ready(&yaml, &["--checkpoint", &place, "--drain", "1m"]).await;
    assert_eq!(webhook.next().await.1["reason"], "Later");
    assert_eq!(exporter.terminate().await.status.code(), Some(0));
}

#[tokio::test]
async fn check_says_what_it_does_and_all_that_is_wrong() {
    let world = World::new().await;
    let config = world.config(&format!("{STDOUT}leaderElection: {{enabled: true}}\n"));
    let good = run(EXPORTER, &["-conf", &config, "-check", "--own-namespace", "shop"]).await;
    assert_eq!(good.status.code(), Some(0), "{}", good.stderr);
    let wanted = [
        "dump: standard output",
        "all → send to dump",
        "the Lease shop/kubernetes-event-exporter",
        "warning: leaderElection",
    ];
    for part in wanted {
        assert!(good.stdout.contains(part), "{part} in {}", good.stdout);
    }
    let config = world.config(
        "routes: {}\nroute: {match: [{receiver: nobody, kind: '('}]}\n\
         receivers: [{name: a, slack: {}}, {name: b, teams: {}}, {name: c, stdout: {}}]\n",
    );
    for flags in [&["--config", &*config, "--check"][..], &["--config", &config, "--sim"]] {
        let bad = run(EXPORTER, flags).await;
        assert_eq!(bad.status.code(), Some(2), "{}", bad.stderr);
        for part in ["slack", "teams", "nobody", "(line 2)", "routes"] {
            assert!(bad.stderr.contains(part), "{part} in {}", bad.stderr);
        }
        assert_eq!(bad.stderr.matches("sinks that are not here").count(), 1, "{}", bad.stderr);
    }
    let lenient = world.config(&format!("{STDOUT}unknownKey: 1\n"));
    let strict = run(EXPORTER, &["--config", &lenient, "--check"]).await;
    assert_eq!(strict.status.code(), Some(2));
    assert!(strict.stderr.contains("unknownKey") && strict.stderr.contains("so does --lenient"), "{}", strict.stderr);
    let passed = run(EXPORTER, &["--config", &lenient, "--check", "--lenient"]).await;
    assert_eq!(passed.status.code(), Some(0), "{}", passed.stderr);
    assert!(passed.stdout.contains("warning: unknownKey"), "{}", passed.stdout);
}

#[tokio::test]
async fn what_can_not_be_is_refused_at_the_start() {
    let world = World::new().await;
    let config = world.config(STDOUT);
    let nowhere = world.path("none.yaml").to_str().unwrap().to_owned();
    for (flags, code, told) in [
        (&["--config", &*nowhere][..], 2, "can't be read"),
        (&["--check"], 2, "there is no configuration"),
        (&["--apiserver", "http://127.0.0.1:1"], 2, "there is no configuration"),
        (&["--config", &config], 1, "no cluster is configured"),
        (&["--config", &config, "--checkpoint", "s3:x"], 2, "configmap:NAME"),
        (&["--config", &config, "-metrics-address", "2112"], 2, "HOST:PORT"),
    ] {
        let ended = run(EXPORTER, flags).await;
        assert_eq!(ended.status.code(), Some(code), "{flags:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(told), "{told} in {}", ended.stderr);
    }
}

#[tokio::test]
async fn without_anything_it_simulates_and_events_keep_coming() {
    // Nothing is configured, and nobody says --sim.
    let flags = ["--sim-nodes", "2", "--sim-pods", "40", "--sim-churn", "2000", "-metrics-address", "127.0.0.1:0"];
    let mut exporter = Exporter::start(exporter(&flags)).await;
    assert!(exporter.said.iter().any(|line| line.contains("SIMULATED")), "{:?}", exporter.said);
    for _ in 0..5 {
        assert_eq!(exporter.line().await["involvedObject"]["kind"], "Pod");
    }
    let page = get(&exporter.url).await.text();
    assert!(page.contains("simulated cluster"), "{page}");
    assert_eq!(exporter.terminate().await.status.code(), Some(0));
}

#[tokio::test]
async fn the_example_configuration_is_one() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("event-exporter.yaml");
    let mut command = support::command(EXPORTER, &["-conf", example.to_str().unwrap(), "--check"]);
    let output = command.env("ALERTS_URL", "https://user:secret@alerts.example/x?key=secret").output();
    let output = tokio::time::timeout(PATIENCE, output).await.unwrap().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("alerts: webhook at https://alerts.example\n") && !text.contains("secret"), "{text}");
}
