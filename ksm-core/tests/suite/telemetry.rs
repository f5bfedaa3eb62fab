//! What happens → what the crate says of itself through the `metrics` facade.
#![allow(clippy::float_cmp, reason = "gauges are set to these very values")]

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use http::{Request, Response};
use http_body_util::Full;
use k8s_openapi::api::core::v1::Namespace;
use ksm_core::{Family, FamilyIndex, Ksm, ResourceBuilder, telemetry};
use kube::Client;
use kube::client::Body;
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::watcher::Event;
use metrics::{Counter, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use parking_lot::Mutex;
use serde_json::json;

/// Counters as they are, gauges by the bits of their floats, help texts.
#[derive(Default)]
struct Recorded {
    values: Mutex<BTreeMap<String, Arc<AtomicU64>>>,
    helps: Mutex<BTreeMap<String, String>>,
}

impl Recorded {
    fn value(&self, key: &Key) -> Arc<AtomicU64> {
        let labels: Vec<String> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        self.values.lock().entry(format!("{}{{{}}}", key.name(), labels.join(","))).or_default().clone()
    }

    fn counter(&self, series: &str) -> Option<u64> {
        self.values.lock().get(series).map(|value| value.load(Ordering::Relaxed))
    }

    fn gauge(&self, series: &str) -> Option<f64> {
        self.counter(series).map(f64::from_bits)
    }

    fn help(&self, name: &KeyName, help: SharedString) {
        self.helps.lock().insert(name.as_str().to_owned(), help.into_owned());
    }
}

impl Recorder for Recorded {
    fn describe_counter(&self, name: KeyName, _: Option<Unit>, help: SharedString) {
        self.help(&name, help);
    }
    fn describe_gauge(&self, name: KeyName, _: Option<Unit>, help: SharedString) {
        self.help(&name, help);
    }
    fn describe_histogram(&self, name: KeyName, _: Option<Unit>, help: SharedString) {
        self.help(&name, help);
    }
    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.value(key))
    }
    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.value(key))
    }
    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(Arc::new(Sum(self.value(key))))
    }
}

/// A histogram's sum, as a gauge.
struct Sum(Arc<AtomicU64>);

impl HistogramFn for Sum {
    fn record(&self, value: f64) {
        GaugeFn::increment(&*self.0, value);
    }
}

#[tokio::test]
async fn a_resource_says_what_it_holds_and_how_it_is() {
    let recorded = Recorded::default();
    let _recording = metrics::set_default_local_recorder(&recorded);
    let (events, stream) = futures::channel::mpsc::unbounded::<Result<Event<Namespace>, String>>();
    let namespaces = ResourceBuilder::<Namespace>::builtin()
        .families([Family::gauge("slow", "Takes its time.")], |_, samples| {
            std::thread::sleep(Duration::from_millis(2));
            samples.put(FamilyIndex(0), &[], 1.0);
        })
        .stream(stream);
    let ksm = Ksm::builder().resource(namespaces).spawn().unwrap();
    events.unbounded_send(Ok(Event::Init)).unwrap();
    for name in ["a", "b"] {
        let metadata = json!({"metadata": {"name": name, "uid": name}});
        events.unbounded_send(Ok(Event::InitApply(serde_json::from_value(metadata).unwrap()))).unwrap();
    }
    events.unbounded_send(Ok(Event::InitApply(Namespace::default()))).unwrap();
    events.unbounded_send(Ok(Event::InitDone)).unwrap();
    ksm.synced().await;
    telemetry::record(&ksm.status());
    let gauge = |name: &str| recorded.gauge(&format!("ksm_core_{name}{{resource=namespaces,namespace=}}")).unwrap();
    assert_eq!(["synced", "failing", "stale_seconds", "withdrawn"].map(gauge), [1.0, 0.0, 0.0, 0.0]);
    assert_eq!((gauge("objects"), gauge("kept_objects")), (2.0, 0.0));
    assert_eq!(gauge("samples"), ksm.snapshots(&ksm_core::Query::default())[0].samples() as f64);
    assert!(gauge("store_bytes") > 1000.0 && gauge("last_event_age_seconds") < 60.0);
    assert!(gauge("generate_seconds_total") >= 0.004, "both objects were walked");
    assert_eq!(recorded.counter("ksm_core_events_total{resource=namespaces}"), Some(3));
    assert_eq!(recorded.counter("ksm_core_objects_skipped_total{resource=namespaces}"), Some(1));
    drop(events);
    let ended = async {
        while !ksm.status()[0].failing {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), ended).await.unwrap();
    telemetry::record(&ksm.status());
    assert_eq!(gauge("failing"), 1.0);
    telemetry::describe();
    let helps = recorded.helps.lock();
    assert!(telemetry::METRICS.iter().all(|metric| helps.get(metric.name).unwrap() == metric.help));
}

#[cfg(feature = "http")]
#[tokio::test]
async fn a_scrape_says_how_much_of_its_time_went_into_writing() {
    use http_body_util::BodyExt;
    use ksm_core::scrape::{Encoding, Scraper};
    let recorded = Recorded::default();
    let _recording = metrics::set_default_local_recorder(&recorded);
    let names = (0..500).map(|n| json!({"metadata": {"name": n.to_string(), "uid": n.to_string()}}));
    let listed = names.map(|object| Ok::<_, String>(Event::InitApply(serde_json::from_value(object).unwrap())));
    let events = [Ok(Event::Init)].into_iter().chain(listed).chain([Ok(Event::InitDone)]);
    let stream = futures::stream::iter(events.collect::<Vec<Result<Event<Namespace>, String>>>());
    let ksm = Ksm::builder().resource(ResourceBuilder::<Namespace>::builtin().stream(stream)).spawn().unwrap();
    ksm.synced().await;
    let ksm = Arc::new(ksm);
    let headers = [(http::header::ACCEPT_ENCODING, http::HeaderValue::from_static("gzip"))].into_iter().collect();
    for (encoding, name) in [(Encoding::Plain, "identity"), (Encoding::Gzip, "gzip"), (Encoding::GzipCached, "gzip")] {
        let sums = || {
            let writing = format!("ksm_core_scrape_encode_duration_seconds{{encoding={name}}}");
            let all = recorded.gauge("ksm_core_scrape_duration_seconds{result=complete}");
            (recorded.gauge(&writing).unwrap_or_default(), all.unwrap_or_default())
        };
        let before = sums();
        let response = Scraper::new(ksm.clone()).encoding(encoding).respond(&headers, None);
        // A slow client's time is not the encoder's.
        std::thread::sleep(Duration::from_millis(50));
        response.into_body().collect().await.unwrap();
        let after = sums();
        let (writing, all) = (after.0 - before.0, after.1 - before.1);
        assert!(writing > 0.0 && writing + 0.05 <= all, "{encoding:?}: {writing} of {all} s");
    }
}

/// Each answer in turn, then none.
fn client(answers: &'static [&'static str]) -> Client {
    let next = Arc::new(AtomicUsize::new(0));
    Client::new(
        tower::service_fn(move |_: Request<Body>| {
            let answer = answers.get(next.fetch_add(1, Ordering::Relaxed)).copied();
            async move {
                match answer {
                    Some(text) => {
                        Ok::<_, Infallible>(Response::new(Full::new(bytes::Bytes::from_static(text.as_bytes()))))
                    }
                    None => std::future::pending().await,
                }
            }
        }),
        "default",
    )
}

#[tokio::test(start_paused = true)]
async fn requests_are_counted_at_their_end_and_custom_resources_by_their_name() {
    let recorded = Recorded::default();
    let _recording = metrics::set_default_local_recorder(&recorded);
    let api = ApiResource::from_gvk(&GroupVersionKind::gvk("example.com", "v1", "Foo"));
    let foos = ResourceBuilder::dynamic("foos.v1.example.com", api, false, [], |_, _| {});
    let client = client(&[
        r#"{"metadata":{"resourceVersion":"1","continue":"more"},"items":[]}"#,
        r#"{"metadata":{"resourceVersion":"1"},"items":[]}"#,
        // A watch whose time is over, one that breaks off, one that tells an error: all of them were answered with 200.
        "",
        "{\"type\":",
        concat!(r#"{"type":"ERROR","object":{"code":410,"reason":"Expired","message":"old"}}"#, "\n"),
        // The list that follows is none.
        "{",
    ]);
    let ksm = Ksm::builder().client(client).resource(foos).spawn().unwrap();
    let counts = || {
        ["list,result=success", "list,result=error", "watch,result=success", "watch,result=error"].map(|labels| {
            let series = format!("ksm_core_requests_total{{resource=foos.v1.example.com,request={labels}}}");
            recorded.counter(&series).unwrap()
        })
    };
    assert_eq!(counts(), [0; 4], "they begin at nothing");
    let played = async {
        while ksm.status()[0].errors < 3 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_hours(1), played).await.unwrap();
    assert_eq!(counts(), [2, 1, 1, 2]);
}
