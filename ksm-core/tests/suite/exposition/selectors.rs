//! Query → samples.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use ksm_core::{Exposition, Format, Ksm, Query, ResourceBuilder, Retention, SeriesSelector};
use kube::runtime::watcher::Event;
use serde_json::json;

use super::support::{Sample, catalog, odd_store, visited};

fn series(selectors: &[&str]) -> Query {
    Query { series: selectors.iter().map(|selector| selector.parse().unwrap()).collect(), ..Query::default() }
}

fn label<'a>(labels: &'a BTreeMap<String, String>, name: &str) -> &'a str {
    labels.get(name).map_or("", String::as_str)
}

/// The sample lines of a text, sorted.
fn lines(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.split_terminator('\n').filter(|line| !line.starts_with('#')).collect();
    lines.sort_unstable();
    lines
}

type Admits = Box<dyn Fn(&Sample) -> bool>;

#[test]
fn a_selector_admits_what_promql_admits() {
    let snapshots = catalog().snapshots();
    let all = visited(&snapshots);
    let namespace = all.iter().map(|sample| label(&sample.1, "namespace")).max().unwrap();
    let own = namespace.to_owned();
    let in_namespace = move |sample: &Sample| label(&sample.1, "namespace") == own;
    let cases: Vec<(Query, Admits)> = vec![
        (series(&["kube_pod_info"]), Box::new(|s| s.0 == "kube_pod_info")),
        (series(&["{}"]), Box::new(|_| true)),
        (series(&[&format!("{{namespace=\"{namespace}\"}}")]), Box::new(in_namespace.clone())),
        (Query { namespaces: vec![namespace.to_owned()], ..Query::default() }, Box::new(in_namespace.clone())),
        // Cluster-scoped objects have no namespace.
        (series(&["{namespace=\"\"}"]), Box::new(|s| label(&s.1, "namespace").is_empty())),
        (
            series(&["{__name__=~\"kube_node_.*\"}", "kube_pod_status_phase{phase!~\"Run.*\"}"]),
            Box::new(|s| {
                s.0.starts_with("kube_node_")
                    || (s.0 == "kube_pod_status_phase" && !label(&s.1, "phase").starts_with("Run"))
            }),
        ),
        // A label of the sample itself, on families that have it and families that don't.
        (
            series(&["{container!=\"\",pod=~\".*-.*\",__name__!~\".*_info\"}"]),
            Box::new(|s| {
                !label(&s.1, "container").is_empty() && label(&s.1, "pod").contains('-') && !s.0.ends_with("_info")
            }),
        ),
        (
            Query { namespaces: vec![namespace.to_owned()], ..series(&["{pod!=\"\"}", "{deployment!=\"\"}"]) },
            Box::new(move |s| {
                in_namespace(s) && !(label(&s.1, "pod").is_empty() && label(&s.1, "deployment").is_empty())
            }),
        ),
        (series(&["{nosuchlabel=\"x\"}"]), Box::new(|_| false)),
    ];
    for (query, admits) in cases {
        let want = all.iter().filter(|sample| admits(sample)).count();
        let text = Exposition::select(snapshots.iter().cloned(), Format::Text, &query).to_text();
        let got = lines(&text);
        let whole = Exposition::new(snapshots.iter().cloned(), Format::Text).to_text();
        let whole = lines(&whole);
        assert_eq!(got.len(), want, "{query:?}");
        assert!(got.iter().all(|line| whole.binary_search(line).is_ok()), "{query:?}");
        // By the reference's own rule, sample by sample.
        let mut visited = 0;
        for snapshot in &snapshots {
            snapshot.visit(
                |_| true,
                |sample| {
                    let in_namespace = query.namespaces.is_empty()
                        || query.namespaces.iter().any(|name| sample.label("namespace").as_deref() == Some(name));
                    let selected =
                        query.series.is_empty() || query.series.iter().any(|selector| selector.admits(&sample));
                    visited += usize::from(in_namespace && selected);
                },
            );
        }
        assert_eq!(visited, want, "{query:?}");
    }
}

#[test]
fn odd_values_are_selected_unescaped_and_extra_labels_as_they_are_shown() {
    let snapshots = [odd_store()];
    let count = |selector: &str| {
        let text = Exposition::select(snapshots.iter().cloned(), Format::Text, &series(&[selector])).to_text();
        lines(&text).len()
    };
    assert_eq!(count("{object=\"line\\nbreak\"}"), 15);
    assert_eq!(count("{object='a \"quoted\" word',own=`back\\slash\\`}"), 1);
    assert_eq!(count("{zone=\"a\\\"1\\\"\"}"), 14 * 15);
    // Shown on the samples only that have no label of that name themselves.
    assert_eq!(count("{own=\"never shown\"}"), 14);
}

#[test]
fn families_that_cannot_match_have_no_header() {
    let snapshots = catalog().snapshots();
    let query = series(&["{__name__=~\"kube_node_(info|created)\"}"]);
    let text = Exposition::select(snapshots, Format::Text, &query).to_text();
    assert_eq!(text.matches("# TYPE ").count(), 2, "{text}");
}

#[test]
fn a_pattern_takes_linear_time() {
    let selector: SeriesSelector = "{pod=~\"(a*)*(a*)*(a*)*(a*)*(a*)*b\"}".parse().unwrap();
    let families = [ksm_core::Family::gauge("a", "A.")];
    let long = "a".repeat(100_000);
    let snapshot = super::support::store(&families, &[(&[("pod", &long)], &[(0, &[], 1.0)])]);
    let query = Query { series: vec![selector], ..Query::default() };
    assert_eq!(lines(&Exposition::select([snapshot], Format::Text, &query).to_text()).len(), 0);
}

fn pod(n: usize) -> Pod {
    let object =
        json!({"metadata": {"namespace": format!("ns-{n}"), "name": format!("pod-{n}"), "uid": n.to_string()}});
    serde_json::from_value(object).unwrap()
}

#[tokio::test]
async fn a_reader_of_a_part_takes_no_deleted_object_from_one_of_all() {
    let (events, stream) = futures::channel::mpsc::unbounded::<Result<Event<Pod>, String>>();
    let resource = ResourceBuilder::<Pod>::builtin().retention(Retention::UntilRead { limit: 10 }).stream(stream);
    let ksm = Ksm::builder().resource(resource).spawn().unwrap();
    for event in [Event::Init, Event::InitApply(pod(1)), Event::InitApply(pod(2)), Event::InitDone] {
        events.unbounded_send(Ok(event)).unwrap();
    }
    ksm.synced().await;
    events.unbounded_send(Ok(Event::Delete(pod(1)))).unwrap();
    let retained = async {
        while ksm.status()[0].store.is_none_or(|store| store.retained == 0) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), retained).await.expect("the deletion is applied");
    let pods = |query: &Query| {
        let mut pods = Vec::new();
        ksm.visit(query, |sample| {
            if sample.family().name == "kube_pod_info" {
                pods.push(sample.label("pod").unwrap().into_owned());
            }
        });
        pods.sort();
        pods
    };
    let scrape = |query: &Query| lines(&ksm.exposition(query, Format::Text).to_text()).len();
    let one = Query { namespaces: vec!["ns-2".into()], ..Query::default() };
    for _ in 0..3 {
        assert!(scrape(&one) > 0);
    }
    assert_eq!(pods(&Query::default()), ["pod-1", "pod-2"], "nobody has read all of it yet");
    assert_eq!(pods(&one), ["pod-2"]);
    let first = scrape(&Query::default());
    assert!(scrape(&Query::default()) < first, "it was read once");
    assert_eq!(pods(&Query::default()), ["pod-2"]);
}
