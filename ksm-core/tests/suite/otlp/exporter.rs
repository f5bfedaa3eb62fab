//! Fault → outcome, by a transport that does as it is told, under a clock that stands until all wait.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::{BoxFuture, pending};
use futures::{FutureExt, StreamExt};
use ksm_core::otlp::{
    Accepted, Compression, ExportError, Exporter, ExporterBuilder, ExporterError, MessageOptions, Payload, Protocol,
    Transport,
};
use parking_lot::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::support::{PATIENCE, namespaces, points, until};

/// What happens to a message.
#[derive(Debug, Clone)]
enum Fate {
    Accept,
    Partly(u64),
    Come(Option<Duration>),
    Refuse,
    Hang,
    Panic,
    /// Accepted after a while.
    Slow(Duration),
}

/// Tells each attempt: when it was, and how many points it had. The last fate goes on for ever.
#[derive(Debug)]
struct Scripted {
    fates: Mutex<Vec<Fate>>,
    attempts: UnboundedSender<(Instant, usize)>,
}

impl Transport for Scripted {
    fn export<'a>(&'a self, payload: &'a Payload) -> BoxFuture<'a, Result<Accepted, ExportError>> {
        assert_eq!(payload.points, points(&payload.bytes));
        let _ = self.attempts.send((Instant::now(), payload.points));
        let fate = {
            let mut fates = self.fates.lock();
            if fates.len() > 1 { fates.remove(0) } else { fates[0].clone() }
        };
        async move {
            match fate {
                Fate::Accept => Ok(Accepted::default()),
                Fate::Partly(rejected) => Ok(Accepted { rejected, message: "too new".into() }),
                Fate::Come(retry_after) => Err(ExportError::Unavailable { reason: "full".into(), retry_after }),
                Fate::Refuse => Err(ExportError::Refused { reason: "bad name".into() }),
                Fate::Hang => pending().await,
                Fate::Panic => panic!("on purpose"),
                Fate::Slow(time) => {
                    tokio::time::sleep(time).await;
                    Ok(Accepted::default())
                }
            }
        }
        .boxed()
    }
}

/// An exporter of one collection an hour, uncompressed, and its attempts.
fn scripted(fates: &[Fate]) -> (ExporterBuilder, UnboundedReceiver<(Instant, usize)>) {
    let (attempts, seen) = unbounded_channel();
    let transport = Scripted { fates: Mutex::new(fates.to_vec()), attempts };
    let builder = Exporter::builder().transport(transport).compression(Compression::None);
    (builder.interval(Duration::from_hours(1)), seen)
}

/// Each message has one point.
fn singly() -> MessageOptions {
    MessageOptions::default().max_points(1)
}

async fn next(attempts: &mut UnboundedReceiver<(Instant, usize)>) -> (Instant, usize) {
    timeout(Duration::from_hours(10), attempts.recv()).await.expect("in time").expect("an attempt")
}

#[tokio::test(start_paused = true)]
async fn what_passes_is_tried_again_until_it_is_accepted() {
    let (builder, mut attempts) = scripted(&[Fate::Come(None), Fate::Come(None), Fate::Come(None), Fate::Accept]);
    let snapshots = namespaces(3);
    let exporter = builder.spawn(move || snapshots.clone()).unwrap();
    let mut times = Vec::new();
    for _ in 0..4 {
        let (at, points) = next(&mut attempts).await;
        assert_eq!(points, 3);
        times.push(at);
    }
    let pauses: Vec<f64> = times.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect();
    // 1, 2 and 4 seconds, and jitter.
    for (pause, own) in pauses.iter().zip([1.0, 2.0, 4.0]) {
        assert!((own..=own * 2.0 + 0.1).contains(pause), "{pauses:?}");
    }
    let status = until(&exporter, |status| status.messages == 1).await;
    assert_eq!((status.sent, status.retries, status.dropped, status.collections), (3, 3, 0, 1));
    assert!(status.last_error.unwrap().0.contains("full"));
}

#[tokio::test(start_paused = true)]
async fn the_receiver_is_left_alone_as_long_as_it_asks() {
    let minute = Duration::from_mins(1);
    let (builder, mut attempts) = scripted(&[Fate::Come(Some(minute)), Fate::Come(Some(Duration::ZERO)), Fate::Accept]);
    let snapshots = namespaces(2);
    let exporter = builder.messages(singly()).spawn(move || snapshots.clone()).unwrap();
    let (first, second, third) = (next(&mut attempts).await, next(&mut attempts).await, next(&mut attempts).await);
    assert!(second.0 - first.0 >= minute, "{:?}", second.0 - first.0);
    // Zero is no reason to hammer.
    assert!(third.0 - second.0 >= Duration::from_secs(1));
    assert_eq!(until(&exporter, |status| status.messages == 2).await.sent, 2);
}

#[tokio::test(start_paused = true)]
async fn an_absurd_retry_after_is_bounded_and_costs_what_is_too_old() {
    let (builder, mut attempts) = scripted(&[Fate::Come(Some(Duration::from_hours(90_000))), Fate::Accept]);
    let snapshots = namespaces(1);
    let builder = builder.interval(Duration::from_mins(2)).max_age(Duration::from_mins(4));
    let exporter = builder.spawn(move || snapshots.clone()).unwrap();
    let first = next(&mut attempts).await.0;
    let second = next(&mut attempts).await.0;
    // Five minutes and a little: the first collection is too old by then, the next ones are not.
    assert!((300..310).contains(&(second - first).as_secs()), "{:?}", second - first);
    let status = until(&exporter, |status| status.sent == 2).await;
    assert_eq!(status.dropped, 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_is_dropped_and_its_neighbours_go_on() {
    let (builder, mut attempts) =
        scripted(&[Fate::Refuse, Fate::Panic, Fate::Partly(1), Fate::Partly(99), Fate::Accept]);
    let snapshots = namespaces(5);
    let exporter = builder.messages(singly()).spawn(move || snapshots.clone()).unwrap();
    let start = Instant::now();
    for _ in 0..5 {
        assert!(next(&mut attempts).await.0 - start < Duration::from_millis(500), "no pause after an answer");
    }
    let status = until(&exporter, |status| status.messages == 3).await;
    // A receiver can't reject more than it got.
    assert_eq!((status.sent, status.rejected, status.dropped, status.retries), (1, 2, 2, 0));
    assert!(status.last_error.unwrap().0.contains("too new"));
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_hangs_is_given_its_time_and_no_more() {
    let (builder, mut attempts) = scripted(&[Fate::Hang, Fate::Accept]);
    let snapshots = namespaces(1);
    let exporter = builder.timeout(Duration::from_secs(7)).spawn(move || snapshots.clone()).unwrap();
    let (first, second) = (next(&mut attempts).await.0, next(&mut attempts).await.0);
    assert!((8..10).contains(&(second - first).as_secs()), "{:?}", second - first);
    let status = until(&exporter, |status| status.sent == 1).await;
    assert!(status.last_error.unwrap().0.contains("no answer within 7s"));
}

#[tokio::test(start_paused = true)]
async fn collections_never_overlap_and_a_slow_one_is_given_up() {
    // A message takes 40 s, a collection has ten, and the queue room for one at most.
    let (builder, _attempts) = scripted(&[Fate::Slow(Duration::from_secs(40))]);
    let snapshots = namespaces(10);
    let builder = builder.interval(Duration::from_mins(1)).max_age(Duration::from_secs(130)).queue_bytes(1);
    let exporter = builder.timeout(Duration::from_mins(1)).messages(singly()).spawn(move || snapshots.clone()).unwrap();
    let status = until(&exporter, |status| status.abandoned == 1).await;
    assert_eq!((status.collections, status.skipped), (0, 2));
    assert!(status.queued <= 1);
    let status = until(&exporter, |status| status.abandoned == 4).await;
    // Every point of the first collections has come to its end; two or three may be under way.
    assert!((35..=40).contains(&(status.sent + status.dropped)), "{status:?}");
    assert!(status.sent >= 4 * 3, "{status:?}");
}

#[tokio::test(start_paused = true)]
async fn newer_state_takes_the_place_of_older_in_the_queue() {
    let (builder, mut attempts) = scripted(&[Fate::Come(None)]);
    let snapshots = namespaces(1);
    let size =
        ksm_core::otlp::requests(&snapshots, &MessageOptions::default()).map(|r| prost::Message::encoded_len(&r));
    let size: usize = size.sum();
    let builder = builder.interval(Duration::from_secs(10)).max_age(Duration::from_hours(1)).queue_bytes(3 * size);
    let exporter = builder.spawn(move || snapshots.clone()).unwrap();
    next(&mut attempts).await;
    let status = until(&exporter, |status| status.dropped == 5).await;
    // One is being sent, three wait, five were displaced.
    assert_eq!((status.collections, status.queued, status.queued_bytes, status.skipped), (9, 3, 3 * size, 0));
}

#[tokio::test(start_paused = true)]
async fn a_source_that_panics_costs_its_collection() {
    let (builder, mut attempts) = scripted(&[Fate::Accept]);
    let snapshots = namespaces(1);
    let healthy = AtomicBool::new(false);
    let source = move || {
        assert!(healthy.swap(true, Ordering::Relaxed), "on purpose");
        snapshots.clone()
    };
    let exporter = builder.spawn(source).unwrap();
    next(&mut attempts).await;
    let status = until(&exporter, |status| status.collections == 1).await;
    assert_eq!(status.abandoned, 1);
    until(&exporter, |status| status.sent == 1).await;
}

#[tokio::test(start_paused = true)]
async fn shutdown_sends_what_was_collected() {
    let (builder, mut attempts) = scripted(&[Fate::Slow(Duration::from_secs(1))]);
    let snapshots = namespaces(4);
    let exporter = builder.messages(singly()).spawn(move || snapshots.clone()).unwrap();
    next(&mut attempts).await;
    let begin = Instant::now();
    // Twice at once: both wait for the end.
    futures::join!(exporter.shutdown(), exporter.shutdown());
    assert!((3..5).contains(&begin.elapsed().as_secs()), "{:?}", begin.elapsed());
    assert_eq!((exporter.status().sent, exporter.status().dropped), (4, 0));
    exporter.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn shutdown_is_bounded_while_the_receiver_hangs() {
    let (builder, mut attempts) = scripted(&[Fate::Hang]);
    let snapshots = namespaces(4);
    let builder = builder.timeout(Duration::from_hours(1)).shutdown_timeout(Duration::from_secs(3));
    let exporter = builder.messages(singly()).spawn(move || snapshots.clone()).unwrap();
    next(&mut attempts).await;
    until(&exporter, |status| status.collections == 1).await;
    let begin = Instant::now();
    exporter.shutdown().await;
    assert_eq!(begin.elapsed().as_secs(), 3);
    let status = exporter.status();
    assert_eq!((status.sent, status.dropped, status.queued), (0, 4, 0), "what is left is counted");
}

#[tokio::test(start_paused = true)]
async fn dropping_it_or_the_hosts_token_ends_it_at_once() {
    let token = CancellationToken::new();
    for by_token in [false, true] {
        let (builder, mut attempts) = scripted(&[Fate::Hang]);
        let snapshots = namespaces(1);
        let exporter = builder.cancel_with(token.clone()).spawn(move || snapshots.clone()).unwrap();
        next(&mut attempts).await;
        let exporter = if by_token {
            token.cancel();
            Some(exporter)
        } else {
            drop(exporter);
            None
        };
        // The transport goes with the task.
        assert!(timeout(Duration::from_secs(1), attempts.recv()).await.expect("at once").is_none());
        drop(exporter);
    }
}

#[test]
fn faults_of_a_configuration_are_told_before_anything_runs() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let error = |builder: ExporterBuilder| builder.spawn(Vec::new).unwrap_err();
    assert!(matches!(error(Exporter::builder()), ExporterError::NoRuntime));
    let _inside = runtime.enter();
    let cases = [
        (Exporter::builder().endpoint("collector:4318"), "begin it with http://"),
        (Exporter::builder().header("two words", "s3cret"), "\"two words\""),
        (Exporter::builder().header("key", "s3cret\n"), "line breaks"),
        (Exporter::builder().interval(Duration::ZERO), "interval is zero"),
        (Exporter::builder().protocol(Protocol::Grpc).endpoint("https://a"), "ExporterBuilder::channel"),
        (Exporter::builder().endpoint("https://a").certificate_authorities("/nowhere.pem"), "/nowhere.pem"),
    ];
    for (builder, want) in cases {
        let shown = format!("{builder:?}");
        let told = error(builder).to_string();
        assert!(told.contains(want), "{told}");
        assert!(!told.contains("s3cret") && !shown.contains("s3cret"), "{told} {shown}");
    }
}

#[tokio::test]
async fn messages_are_compressed_once_for_all_attempts() {
    #[derive(Debug)]
    struct Keep(UnboundedSender<Payload>);
    impl Transport for Keep {
        fn export<'a>(&'a self, payload: &'a Payload) -> BoxFuture<'a, Result<Accepted, ExportError>> {
            let _ = self.0.send(payload.clone());
            async { Err(ExportError::Unavailable { reason: String::new(), retry_after: None }) }.boxed()
        }
    }
    let (keep, kept) = unbounded_channel();
    let snapshots = namespaces(50);
    let _exporter = Exporter::builder().transport(Keep(keep)).spawn(move || snapshots.clone()).unwrap();
    let stream = futures::stream::unfold(kept, async |mut kept| kept.recv().await.map(|payload| (payload, kept)));
    let payloads: Vec<Payload> = timeout(PATIENCE, stream.take(2).collect()).await.unwrap();
    assert_eq!(payloads[0].compression, Compression::Gzip);
    assert_eq!(points(&super::support::gunzip(&payloads[0].bytes)), 50);
    assert_eq!(payloads[0].bytes.as_ptr(), payloads[1].bytes.as_ptr());
}
