use example_host::page::{Health, Part};

use super::*;
use crate::plots::history;
use crate::status::{LastError, Totals};
use example_host::config::Configuration;

fn resource(state: State) -> Row {
    Row {
        resource: "pods".to_owned(),
        namespace: None,
        state,
        synced_seconds: (state == State::Synced).then_some(61),
        objects: 1_234,
        listing: 500,
        series: 60_000,
        bytes: 3 << 20,
        events: 5_000,
        last_event_seconds: Some(0),
        errors: 0,
        skipped: 0,
        last_error: None,
    }
}

fn status(resources: Vec<Row>) -> Status {
    Status {
        simulated: false,
        cluster: "c".to_owned(),
        synced: true,
        uptime_seconds: 5,
        shard: None,
        parts: Vec::new(),
        configuration: Configuration::new(None).status(),
        node_metadata: None,
        usage: None,
        events: None,
        push: None,
        series: 70_000,
        bytes: 0,
        resources,
        totals: Totals::default(),
    }
}

fn text(status: &Status) -> String {
    live(status, &history()).into_string()
}

#[test]
fn a_resource_shows_its_state_and_links_to_its_metrics() {
    let shown = text(&status(vec![resource(State::Synced)]));
    for part in ["href=\"/metrics?resources=pods\"", ">synced</span>", "1 min", "1,234", "60,000", "3.0 MiB", "now"] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    assert!(text(&status(vec![resource(State::Listing)])).contains("500 so far"));
    assert!(!shown.contains("data-name=\"Namespace\""), "no column without namespaces");
}

#[test]
fn what_others_wrote_is_escaped() {
    const BAD: &str = "<script>alert(1)</script>";
    let mut failing = resource(State::Failing);
    failing.last_error = Some(LastError { message: BAD.to_owned(), seconds: 3 });
    failing.namespace = Some("a<b".to_owned());
    let mut status = status(vec![failing]);
    status.parts = vec![Part::new("Events", Health::Failed).reason(BAD)];
    let talker = Talker { pod: BAD.to_owned(), memory_bytes: 4, ..Talker::default() };
    status.usage =
        Some(UsageStatus { top_memory: vec![talker.clone()], top_cpu: vec![talker], ..UsageStatus::default() });
    let sinks = vec![SinkRow { name: BAD.to_owned(), error: Some(BAD.to_owned()), ..SinkRow::default() }];
    let top = vec![Frequent { reason: BAD.to_owned(), occurrences: 1, ..Frequent::default() }];
    status.events = Some(EventStatus { sinks, top, ..EventStatus::default() });
    let shown = text(&status);
    assert!(!shown.contains("<script>") && shown.contains("a&lt;b"), "{shown}");
    assert!(shown.matches("&lt;script&gt;").count() >= 7, "{shown}");
    assert!(shown.contains("not listed yet") && shown.contains("3 s ago"));
}

#[test]
fn each_part_shows_in_each_of_its_states() {
    for health in [Health::Ok, Health::Absent, Health::Starting, Health::Degraded, Health::Failed] {
        let mut status = status(Vec::new());
        status.parts = vec![Part::new("Usage by kubelets", health).reason("because").detail("3 pods")];
        let shown = text(&status);
        for part in ["Usage by kubelets", "because", "3 pods", &format!(">{}</span>", health.word())] {
            assert!(shown.contains(part), "{part} in {shown}");
        }
    }
}

#[test]
fn what_is_switched_off_has_no_tables() {
    let shown = text(&status(Vec::new()));
    for id in ["top-cpu", "top-memory", "top-events", "sinks", "push"] {
        assert!(!shown.contains(&format!("id=\"{id}\"")), "{id}");
    }
    let mut all = status(Vec::new());
    (all.usage, all.events, all.push) =
        (Some(UsageStatus::default()), Some(EventStatus::default()), Some(PushStatus::default()));
    let shown = text(&all);
    for part in ["id=\"top-cpu\"", "No kubelet has told", "No event occurred", "id=\"push\"", "Nothing is watched."] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    assert!(!shown.contains("id=\"sinks\""), "no sinks, no table of them");
}
