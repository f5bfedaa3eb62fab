//! What happens → what the crate counts of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use nri_plugin::api::{Container, ContainerEviction, Empty, PLUGIN_SERVICE, PodSandbox, StartContainerRequest};
use nri_plugin::mux::{self, Mux};
use nri_plugin::ttrpc::{self, CallError, CallOptions, Client, Request};
use nri_plugin::{Answer, Identity, Plugin, Session, telemetry};
use parking_lot::Mutex;
use prost::Message;
use tokio::io::{AsyncWriteExt, duplex};

/// Counters by `name label=value`, and what was described.
#[derive(Default)]
struct Recorded {
    counters: Mutex<BTreeMap<String, Arc<AtomicU64>>>,
    described: Mutex<Vec<String>>,
}

impl Recorder for Recorded {
    fn describe_counter(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
        self.described.lock().push(name.as_str().to_owned());
    }

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let labels: Vec<String> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        let name = format!("{} {}", key.name(), labels.join(","));
        Counter::from_arc(self.counters.lock().entry(name).or_default().clone())
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

/// Runs this in paused time, and says what was counted.
fn counted(what: impl Future<Output = ()>) -> Vec<(String, u64)> {
    let recorded = Recorded::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    metrics::with_local_recorder(&recorded, || runtime.block_on(what));
    let counters = recorded.counters.into_inner();
    counters.into_iter().map(|(name, count)| (name, count.load(Ordering::Relaxed))).collect()
}

fn frame(connection: u32, stream: u32, kind: u8, data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(data.len()).unwrap();
    let header = [connection, length + 10, length, stream].map(u32::to_be_bytes).concat();
    [&header[..], &[kind, 0], data].concat()
}

#[test]
fn the_readme_and_the_recorder_have_all_metrics() {
    let recorded = Recorded::default();
    metrics::with_local_recorder(&recorded, telemetry::describe);
    let names: Vec<_> = telemetry::METRICS.iter().map(|(name, ..)| (*name).to_owned()).collect();
    assert_eq!(*recorded.described.lock(), names);
    for (name, _, labels, _) in telemetry::METRICS {
        let labels = if labels.is_empty() { String::new() } else { format!("`{}` ", labels.replace(", ", "`, `")) };
        assert!(include_str!("../../README.md").contains(&format!("| `{name}` | {labels}|")), "{name}");
    }
    for (name, ..) in nri_plugin::index::telemetry::METRICS {
        assert!(include_str!("../../README.md").contains(&format!("| `{name}` |")), "{name}");
    }
}

#[test]
fn frames_that_nobody_takes_are_counted() {
    let counts = counted(async {
        let (near, mut far) = duplex(1 << 16);
        let config = mux::Config { receive_queue: 1000, ..mux::Config::default() };
        let (mux, _one) = Mux::start(near, config, [1]).unwrap();
        for frame in [frame(7, 1, 1, b""), frame(1, 1, 1, &[0; 900]), frame(1, 1, 1, &[0; 900]), frame(1, 1, 1, b"")] {
            far.write_all(&frame).await.unwrap();
        }
        drop(far);
        mux.ended().await;
    });
    let name = "nri_plugin_mux_frames_dropped_total";
    assert_eq!(counts, [(format!("{name} reason=not_open"), 2), (format!("{name} reason=stalled"), 1)]);
}

#[test]
fn messages_that_nobody_takes_are_counted() {
    struct NoService;

    impl ttrpc::Service for NoService {
        async fn call(&self, _: ttrpc::Call) -> Result<Bytes, ttrpc::Status> {
            Ok(Bytes::new())
        }
    }

    let counts = counted(async {
        let (near, mut far) = duplex(1 << 16);
        let (_mux, [one, two]) = Mux::start(near, mux::Config::default(), [1, 2]).unwrap();
        let client = Client::new(two, ttrpc::Config::default());
        let options = CallOptions { timeout: Some(std::time::Duration::from_secs(1)), ..CallOptions::default() };
        let late = client.call::<Empty>("a.B", "C", &Empty {}, options).await;
        assert!(matches!(late, Err(CallError::DeadlineExceeded(_))));
        let config = ttrpc::Config { max_receive: 100, ..ttrpc::Config::default() };
        let serving = ttrpc::serve(one, Arc::new(NoService), config, tokio_util::sync::CancellationToken::new());
        for frame in [
            frame(1, 1, 1, &[0xff; 9]),
            frame(1, 3, 1, &[0; 101]),
            frame(1, 5, 3, b""),
            frame(2, 7, 2, b""),
            // The answer to the call that was given up.
            frame(2, 1, 2, b""),
            frame(2, 1, 1, b""),
        ] {
            far.write_all(&frame).await.unwrap();
        }
        far.shutdown().await.unwrap();
        serving.await;
        let refused = client.call::<Empty>("a.B", "C", &Empty {}, CallOptions::default()).await;
        assert!(matches!(refused, Err(CallError::Connection(_))));
    });
    let count = |reason: &str, count| (format!("nri_plugin_ttrpc_messages_dropped_total reason={reason}"), count);
    assert_eq!(
        counts,
        [count("bad_type", 2), count("oversize", 1), count("undecodable", 1), count("unknown_stream", 2)]
    );
}

#[test]
fn handlers_and_sessions_are_counted() {
    struct Fails;

    impl Plugin for Fails {
        async fn start_container(&self, _: PodSandbox, container: Container) -> Answer<()> {
            match container.id.as_str() {
                "error" => Err("as was wanted".into()),
                "panic" => panic!("as was wanted"),
                "overrun" => std::future::pending().await,
                _ => Ok(()),
            }
        }
    }

    let counts = counted(async {
        let (near, mut far) = duplex(1 << 16);
        let identity = Identity::new("10", "fails").unwrap();
        let session = Session::builder(identity, Arc::new(Fails)).spawn(near).unwrap();
        let request = |payload: Vec<u8>| Request {
            service: PLUGIN_SERVICE.to_owned(),
            method: "StartContainer".to_owned(),
            payload: payload.into(),
            ..Request::default()
        };
        let mut payloads: Vec<_> = ["ok", "error", "panic", "overrun"]
            .map(|id| Container { id: id.to_owned(), ..Container::default() })
            .map(|container| StartContainerRequest { container: Some(container), pod: None }.encode_to_vec())
            .into();
        // A pod's id that is no text.
        payloads.push(
            ContainerEviction { container_id: "\u{1}".to_owned(), ..ContainerEviction::default() }.encode_to_vec(),
        );
        for (stream, payload) in (1..).step_by(2).zip(payloads) {
            far.write_all(&frame(1, stream, 1, &request(payload).encode_to_vec())).await.unwrap();
        }
        tokio::time::sleep(std::time::Duration::from_secs(3)).await;
        session.shutdown().await.unwrap();
    });
    let mut expected: Vec<_> = ["error", "ok", "overrun", "panic", "undecodable"]
        .map(|result| (format!("nri_plugin_handled_total event=StartContainer,result={result}"), 1))
        .into();
    expected.push(("nri_plugin_sessions_total end=stopped".to_owned(), 1));
    assert_eq!(counts, expected);
}
