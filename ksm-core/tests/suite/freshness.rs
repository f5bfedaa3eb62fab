//! An API server that goes away and comes back → what readers see. Time is paused: it passes while all wait.
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds are told as whole ones")]

use std::io;
use std::time::Duration;

use futures::stream::{self, BoxStream, StreamExt};
use http::{Request, Response};
use http_body_util::StreamBody;
use hyper::body::Frame;
use k8s_openapi::api::core::v1::Namespace;
use ksm_core::{Changes, Cursor, Format, Freshness, Ksm, Query, ResourceBuilder, ResourceStatus, WatchOptions};
use kube::Client;
use kube::client::Body;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

/// What the server does.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Server {
    /// Lists have one namespace; watches stay silent, and break when it does something else.
    Up,
    /// Connections are refused.
    Down,
    /// Watches are answered, and then tell an error.
    WatchesFail,
}

const LIST: &str = r#"{"metadata":{"resourceVersion":"5"},"items":[{"metadata":{"name":"a","uid":"1","resourceVersion":"5"},"status":{"phase":"Active"}}]}"#;
const ERROR: &str =
    r#"{"type":"ERROR","object":{"kind":"Status","code":500,"reason":"InternalError","message":"etcd","metadata":{}}}"#;

type Pieces = BoxStream<'static, io::Result<Frame<bytes::Bytes>>>;

fn client(server: &watch::Sender<Server>) -> Client {
    let server = server.subscribe();
    let service = tower::service_fn(move |request: Request<Body>| {
        let mut server = server.clone();
        async move {
            let now = *server.borrow_and_update();
            let is_watch = request.uri().query().is_some_and(|query| query.contains("watch=true"));
            let whole = |text: &'static str| stream::once(async { Ok(Frame::data(text.into())) }).boxed();
            let pieces: Pieces = match (now, is_watch) {
                (Server::Down, _) => return Err(io::Error::from(io::ErrorKind::ConnectionRefused)),
                (_, false) => whole(LIST),
                (Server::WatchesFail, true) => whole(ERROR).chain(whole("\n")).boxed(),
                (Server::Up, true) => stream::once(async move {
                    let _ = server.changed().await;
                    Err(io::Error::from(io::ErrorKind::ConnectionReset))
                })
                .boxed(),
            };
            Ok(Response::new(StreamBody::new(pieces)))
        }
    });
    Client::new(service, "default")
}

/// Namespaces of a server that is up.
async fn watching(freshness: Freshness) -> (watch::Sender<Server>, Ksm) {
    let server = watch::Sender::new(Server::Up);
    let namespaces = ResourceBuilder::<Namespace>::builtin();
    let builder = Ksm::builder().client(client(&server)).resource(namespaces).freshness(freshness);
    let ksm = builder.spawn().unwrap();
    ksm.synced().await;
    // The watch has begun, too.
    sleep(Duration::from_secs(20)).await;
    (server, ksm)
}

fn status(ksm: &Ksm) -> ResourceStatus {
    ksm.status().remove(0)
}

async fn until(ksm: &Ksm, wanted: impl Fn(&ResourceStatus) -> bool) {
    let seen = async {
        while !wanted(&status(ksm)) {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_hours(1), seen).await.unwrap_or_else(|_| panic!("{:?}", status(ksm)));
}

fn text(ksm: &Ksm) -> String {
    ksm.exposition(&Query::default(), Format::Text).to_text()
}

const ACTIVE: &str = "kube_namespace_status_phase{namespace=\"a\",phase=\"Active\"} 1\n";

/// The gauge in the exposition, in whole seconds.
fn mark(ksm: &Ksm) -> Option<u64> {
    let text = text(ksm);
    let line = text.lines().find(|line| line.starts_with("ksm_core_stale_seconds"))?;
    let (series, value) = line.rsplit_once(' ').unwrap();
    assert_eq!(series, "ksm_core_stale_seconds{resource=\"namespaces\",namespace=\"\"}");
    Some(value.parse::<f64>().unwrap() as u64)
}

#[tokio::test(start_paused = true)]
async fn series_are_kept_as_they_were_unless_asked_otherwise() {
    let (server, ksm) = watching(Freshness::default()).await;
    let before = text(&ksm);
    assert!(before.contains(ACTIVE));
    server.send_replace(Server::Down);
    until(&ksm, |status| status.stale_for > Some(Duration::from_mins(30))).await;
    assert_eq!(text(&ksm), before);
    let now = status(&ksm);
    assert!(now.failing && !now.withdrawn && now.last_error.unwrap().0.contains("refused"));
}

#[tokio::test(start_paused = true)]
async fn marks_say_how_long_the_outage_has_lasted() {
    let (server, ksm) = watching(Freshness::default().mark()).await;
    assert_eq!(mark(&ksm), Some(0));
    server.send_replace(Server::Down);
    until(&ksm, |status| status.failing).await;
    sleep(Duration::from_secs(100)).await;
    assert_eq!(mark(&ksm), Some(100));
    assert!(text(&ksm).contains(ACTIVE));
    assert_eq!(ksm.snapshots(&Query::default()).len(), 2, "samples as structures have it, too");
    let other = Query { exclude: vec!["namespaces".into()], ..Query::default() };
    assert_eq!(ksm.exposition(&other, Format::Text).to_text(), "");
    server.send_replace(Server::Up);
    until(&ksm, |status| !status.failing).await;
    assert_eq!(mark(&ksm), Some(0));
}

#[tokio::test(start_paused = true)]
async fn series_are_withdrawn_after_a_time_and_back_at_once() {
    let (server, ksm) = watching(Freshness::default().withdraw_after(Duration::from_mins(5))).await;
    let everything = Query::default();
    let cursor = ksm.changes_since(&everything, &Cursor::default()).cursor;
    server.send_replace(Server::Down);
    until(&ksm, |status| status.failing).await;
    sleep(Duration::from_mins(5) - Duration::from_secs(1)).await;
    assert!(text(&ksm).contains(ACTIVE) && !status(&ksm).withdrawn);
    assert!(ksm.changes_since(&everything, &cursor).is_empty());
    sleep(Duration::from_secs(1)).await;
    assert_eq!(text(&ksm), "", "headers are gone, too");
    assert!(ksm.snapshots(&everything).is_empty() && status(&ksm).withdrawn);
    let changes = ksm.changes_since(&everything, &cursor);
    assert_eq!((changes.scopes.len(), changes.gone[0].resource.as_str()), (0, "namespaces"));
    // They are back as soon as a watch is answered, which tells nothing.
    server.send_replace(Server::Up);
    until(&ksm, |status| !status.failing).await;
    assert!(text(&ksm).contains(ACTIVE) && !status(&ksm).withdrawn);
    assert_eq!(status(&ksm).lists, 1, "no list was needed");
    let changes = ksm.changes_since(&everything, &changes.cursor);
    assert!(matches!(&changes.scopes[0].changes, Changes::Resync(all) if all.objects() == 1));
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_answered_and_fails_is_no_recovery() {
    let (server, ksm) = watching(Freshness::default().withdraw_after(Duration::from_mins(5))).await;
    server.send_replace(Server::WatchesFail);
    until(&ksm, |status| status.failing).await;
    let began = Instant::now();
    until(&ksm, |status| status.withdrawn).await;
    let lasted = began.elapsed().as_secs();
    assert!((299..=300).contains(&lasted), "though watches were answered all the time: {lasted} s");
    assert!(status(&ksm).errors > 8, "{:?}", status(&ksm));
    server.send_replace(Server::Up);
    until(&ksm, |status| !status.failing).await;
    assert!(text(&ksm).contains(ACTIVE));
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_fell_silent_counts_from_its_deadline() {
    let server = watch::Sender::new(Server::Up);
    let resource = ResourceBuilder::<Namespace>::builtin()
        .watch_options(WatchOptions { watch_seconds: 100, ..WatchOptions::default() })
        .freshness(Freshness::default().mark());
    let ksm = Ksm::builder().client(client(&server)).resource(resource).spawn().unwrap();
    ksm.synced().await;
    sleep(Duration::from_mins(2)).await;
    assert_eq!((mark(&ksm), status(&ksm).errors), (Some(0), 0));
    until(&ksm, |status| status.errors == 1).await;
    assert!(status(&ksm).last_error.unwrap().0.contains("half open"));
    assert!(status(&ksm).stale_for < Some(Duration::from_secs(1)));
    // The next one is answered.
    until(&ksm, |status| status.stale_for.is_none()).await;
}
