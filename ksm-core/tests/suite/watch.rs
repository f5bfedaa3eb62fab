//! What a server answers → what the reflector tells, and when it asks again. Time is paused: pauses are exact.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use http::{Request as HttpRequest, Response};
use http_body_util::StreamBody;
use hyper::body::Frame;
use k8s_openapi::api::core::v1::ConfigMap;
use ksm_core::decode::PathTree;
use ksm_core::watch::{EventSink, ListStrategy, Reflector, Request, WatchError, WatchOptions};
use kube::Client;
use kube::client::Body;
use parking_lot::Mutex;
use tokio::time::Instant;

/// One scripted answer.
struct Answer {
    status: u16,
    retry_after: Option<u64>,
    /// What is sent, and the pause before each piece.
    pieces: Vec<(Duration, String)>,
    end: End,
}

#[derive(Clone, Copy)]
enum End {
    /// The body ends.
    Close,
    /// The connection stays open and silent.
    Hang,
    /// The connection breaks.
    Reset,
}

fn answer(status: u16, body: impl Into<String>) -> Answer {
    Answer { status, retry_after: None, pieces: vec![(Duration::ZERO, body.into())], end: End::Close }
}

fn list(version: u32, names: &[&str], token: &str) -> Answer {
    let items: Vec<String> = names.iter().map(|name| object(name, version)).collect();
    let items = items.join(",");
    answer(200, format!(r#"{{"metadata":{{"resourceVersion":"{version}","continue":"{token}"}},"items":[{items}]}}"#))
}

fn object(name: &str, version: u32) -> String {
    format!(r#"{{"metadata":{{"name":"{name}","uid":"{name}","resourceVersion":"{version}"}}}}"#)
}

fn event(kind: &str, object: &str) -> String {
    format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n")
}

fn watch(events: &[String], end: End) -> Answer {
    Answer { end, ..answer(200, events.concat()) }
}

fn status(code: u16, reason: &str) -> String {
    format!(
        r#"{{"kind":"Status","status":"Failure","code":{code},"reason":"{reason}","message":"no","metadata":{{}}}}"#
    )
}

/// A watch that never says anything.
fn silence() -> Answer {
    watch(&[], End::Hang)
}

#[derive(Default, Clone)]
struct Told(Arc<Mutex<Vec<String>>>, Ended);

/// How each request ended.
type Ended = Arc<Mutex<Vec<(Request, bool)>>>;

impl Told {
    fn note(&self, what: &str, object: ConfigMap) {
        self.0.lock().push(format!("{what} {}", object.metadata.name.unwrap_or_default()));
    }
}

impl EventSink<ConfigMap> for Told {
    fn init(&mut self) {
        self.0.lock().push("init".into());
    }
    fn init_apply(&mut self, object: ConfigMap) {
        self.note("listed", object);
    }
    fn limited(&mut self, listed: u64, left_out: Option<u64>) {
        self.0.lock().push(format!("limited to {listed}, without {left_out:?}"));
    }
    fn init_done(&mut self) {
        self.0.lock().push("done".into());
    }
    fn apply(&mut self, object: ConfigMap) {
        self.note("applied", object);
    }
    fn delete(&mut self, object: ConfigMap) {
        self.note("deleted", object);
    }
    fn undecodable(&mut self, text: &str, _error: &serde_json::Error) {
        self.0.lock().push(format!("undecodable {}", text.len()));
    }
    fn failed(&mut self, error: &WatchError) {
        self.1.lock().push((error.request(), false));
        self.0.lock().push(format!("failed {error}"));
    }
    fn answered(&mut self, _request: Request) {}
    fn completed(&mut self, request: Request) {
        self.1.lock().push((request, true));
    }
    fn flush(&mut self) {}
}

/// What was asked, and when.
type Asked = Arc<Mutex<Vec<(Duration, String)>>>;

/// Runs a reflector against a script, until the script has been played and the last answer is being waited on.
async fn play(options: WatchOptions, script: Vec<Answer>) -> (Vec<String>, Vec<(Duration, String)>) {
    play_to(&Told::default(), options, script).await
}

async fn play_to(told: &Told, options: WatchOptions, script: Vec<Answer>) -> (Vec<String>, Vec<(Duration, String)>) {
    let began = Instant::now();
    let asked: Asked = Arc::default();
    let script = Arc::new(Mutex::new(VecDeque::from(script)));
    let played = Arc::new(tokio::sync::Notify::new());
    let service = {
        let (asked, played) = (asked.clone(), played.clone());
        tower::service_fn(move |request: HttpRequest<Body>| {
            let next = script.lock().pop_front();
            if next.is_none() {
                played.notify_one();
            }
            let uri = request.uri().to_string();
            asked.lock().push((began.elapsed(), uri));
            async move { Ok::<_, Infallible>(respond(next.unwrap_or_else(silence))) }
        })
    };
    let client = Client::new(service, "default");
    let mut sink = told.clone();
    let reflector = Reflector::new("/api/v1/configmaps", options, PathTree::default());
    tokio::select! {
        () = reflector.run::<ConfigMap>(client, &mut sink) => panic!("it runs for ever"),
        () = played.notified() => {}
        () = tokio::time::sleep(Duration::from_hours(24)) => panic!("the script was not played: {:?}", told.0.lock()),
    }
    let log = std::mem::take(&mut *told.0.lock());
    let asked = asked.lock().clone();
    (log, asked)
}

type Pieces = StreamBody<BoxStream<'static, std::io::Result<Frame<Bytes>>>>;

fn respond(answer: Answer) -> Response<Pieces> {
    let pieces = stream::iter(answer.pieces).then(|(pause, piece)| async move {
        tokio::time::sleep(pause).await;
        Ok::<_, std::io::Error>(Frame::data(Bytes::from(piece)))
    });
    let end = stream::once(async move {
        match answer.end {
            End::Close => None,
            End::Hang => std::future::pending().await,
            End::Reset => Some(Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset))),
        }
    })
    .filter_map(std::future::ready);
    let body = StreamBody::new(pieces.chain(end).boxed());
    let mut response = Response::builder().status(answer.status);
    if let Some(seconds) = answer.retry_after {
        response = response.header("Retry-After", seconds);
    }
    response.body(body).unwrap()
}

fn has(url: &str, part: &str) -> bool {
    url.split(['?', '&']).any(|piece| piece == part)
}

#[tokio::test(start_paused = true)]
async fn pages_then_events() {
    let script = vec![
        list(5, &["a"], "next"),
        list(5, &["b"], ""),
        watch(
            &[event("MODIFIED", &object("a", 6)), event("DELETED", &object("b", 7)), event("BOOKMARK", &object("", 9))],
            End::Close,
        ),
    ];
    let (log, asked) = play(WatchOptions::default(), script).await;
    assert_eq!(log, ["init", "listed a", "listed b", "done", "applied a", "deleted b"]);
    assert!(has(&asked[0].1, "limit=150") && !asked[0].1.contains("resourceVersion"));
    assert!(has(&asked[1].1, "continue=next"));
    assert!(has(&asked[2].1, "resourceVersion=5") && has(&asked[2].1, "allowWatchBookmarks=true"));
    assert!(has(&asked[3].1, "resourceVersion=9"), "it goes on from the bookmark: {}", asked[3].1);
}

#[tokio::test(start_paused = true)]
async fn expired_versions_lead_to_a_new_list() {
    for gone in [answer(410, status(410, "Expired")), watch(&[event("ERROR", &status(410, "Expired"))], End::Close)] {
        let (log, asked) = play(WatchOptions::default(), vec![list(5, &["a"], ""), gone, list(8, &["b"], "")]).await;
        assert_eq!(log[..3], ["init", "listed a", "done"]);
        assert!(log[3].starts_with("failed") && log[3].contains("410"), "{}", log[3]);
        assert_eq!(log[4..], ["init", "listed b", "done"]);
        assert!(has(&asked[3].1, "resourceVersion=8"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_expires_mid_list_leads_to_a_list_in_one_piece() {
    let script = vec![list(5, &["a"], "next"), answer(410, status(410, "Expired")), list(8, &["a", "b"], "")];
    let (log, asked) = play(WatchOptions::default(), script).await;
    assert_eq!(log[3..], ["init", "listed a", "listed b", "done"]);
    assert!(!asked[2].1.contains("limit="), "{}", asked[2].1);
}

#[tokio::test(start_paused = true)]
async fn streaming_lists_end_with_their_bookmark() {
    let end = r#"{"metadata":{"resourceVersion":"7","annotations":{"k8s.io/initial-events-end":"true"}}}"#;
    let events = [event("ADDED", &object("a", 3)), event("BOOKMARK", &object("", 4)), event("BOOKMARK", end)];
    let options = WatchOptions { strategy: ListStrategy::Streaming, ..WatchOptions::default() };
    let (log, asked) = play(options, vec![watch(&events, End::Hang)]).await;
    assert_eq!(log, ["init", "listed a", "done"]);
    assert!(has(&asked[0].1, "sendInitialEvents=true") && has(&asked[0].1, "resourceVersionMatch=NotOlderThan"));
    assert!(has(&asked[1].1, "resourceVersion=7"));
}

#[tokio::test(start_paused = true)]
async fn a_server_without_streaming_lists_is_asked_once_and_then_for_pages() {
    let options = WatchOptions { strategy: ListStrategy::Streaming, ..WatchOptions::default() };
    let script = vec![
        answer(422, status(422, "Invalid")),
        list(5, &["a"], ""),
        answer(410, status(410, "Expired")),
        list(6, &["a"], ""),
    ];
    let (log, asked) = play(options, script).await;
    assert_eq!(log[..3], ["init", "listed a", "done"], "no failure is told");
    assert_eq!(asked[1].0, Duration::ZERO, "without a pause");
    assert!(asked.iter().skip(1).all(|(_, url)| !url.contains("sendInitialEvents")));
}

#[tokio::test(start_paused = true)]
async fn pauses_grow_with_failures_and_stay_below_their_limit() {
    let mut script: Vec<Answer> = (0..9).map(|_| answer(500, "oops")).collect();
    script.push(list(5, &["a"], ""));
    let (log, asked) = play(WatchOptions::default(), script).await;
    assert_eq!(log.iter().filter(|line| line.starts_with("failed")).count(), 9);
    let pauses: Vec<Duration> = asked.windows(2).map(|pair| pair[1].0.saturating_sub(pair[0].0)).take(9).collect();
    for (n, pause) in pauses.iter().enumerate() {
        let base = Duration::from_millis(800 << n).min(Duration::from_secs(30));
        assert!(*pause >= base && *pause <= base * 2 + Duration::from_millis(5), "pause {n} is {pause:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_honoured() {
    let mut busy = answer(429, status(429, "TooManyRequests"));
    busy.retry_after = Some(40);
    let (_, asked) = play(WatchOptions::default(), vec![busy, list(5, &["a"], "")]).await;
    let pause = asked[1].0;
    assert!(pause >= Duration::from_secs(40) && pause < Duration::from_secs(50), "{pause:?}");
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_fell_silent_ends_by_its_deadline_and_is_resumed() {
    let options = WatchOptions { watch_seconds: 100, ..WatchOptions::default() };
    let script = vec![list(5, &["a"], ""), watch(&[event("ADDED", &object("b", 6))], End::Hang)];
    let (log, asked) = play(options, script).await;
    assert_eq!(log[..4], ["init", "listed a", "done", "applied b"]);
    assert!(log[4].contains("half open"), "{}", log[4]);
    assert!(has(&asked[2].1, "resourceVersion=6"), "no new list: {}", asked[2].1);
    let waited = asked[2].0.saturating_sub(asked[1].0);
    assert!(waited >= Duration::from_secs(100) && waited < Duration::from_secs(130), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_trickling_list_is_given_up_after_its_time() {
    let mut slow = answer(200, "{\"items\":[");
    slow.pieces.extend((0..1000).map(|_| (Duration::from_secs(1), " ".to_owned())));
    let (log, asked) = play(WatchOptions::default(), vec![slow, list(5, &["a"], "")]).await;
    assert!(log[1].contains("not answered within 60s"), "{}", log[1]);
    assert_eq!(log[2..], ["init", "listed a", "done"]);
    assert!(asked[1].0 < Duration::from_secs(63));
}

#[tokio::test(start_paused = true)]
async fn broken_bodies_are_tried_again() {
    let cut = answer(200, r#"{"metadata":{"resourceVersion":"5"},"items":[{"metadata":{"na"#);
    let reset = Answer { end: End::Reset, ..answer(200, r#"{"metadata":{"#) };
    let (log, _) = play(WatchOptions::default(), vec![cut, reset, list(6, &["a"], "")]).await;
    assert!(log[1].contains("no valid JSON"), "{}", log[1]);
    assert!(log[3].contains("broke off"), "{}", log[3]);
    assert_eq!(log[4..], ["init", "listed a", "done"]);
}

#[tokio::test(start_paused = true)]
async fn a_reset_in_the_middle_of_an_event_resumes_from_the_last_whole_one() {
    let half = Answer { end: End::Reset, ..answer(200, event("ADDED", &object("b", 6)) + "{\"type\":\"ADD") };
    let (log, asked) = play(WatchOptions::default(), vec![list(5, &["a"], ""), half]).await;
    assert_eq!(log[3], "applied b");
    assert!(has(&asked[2].1, "resourceVersion=6"));
}

#[tokio::test(start_paused = true)]
async fn a_bad_object_costs_itself_and_the_watch_goes_on() {
    let bad = r#"{"metadata":{"name":7,"uid":"x","resourceVersion":"6"}}"#;
    let events = [event("ADDED", bad), event("WHATEVER", "{}"), event("ADDED", &object("c", 7))];
    let mut script = vec![list(5, &["a"], "")];
    script.push(watch(&events, End::Close));
    let (log, asked) = play(WatchOptions::default(), script).await;
    assert_eq!(log[3..], [format!("undecodable {}", bad.len()), "applied c".to_owned()]);
    assert!(has(&asked[2].1, "resourceVersion=7"));
}

#[tokio::test(start_paused = true)]
async fn bodies_beyond_the_limit_are_not_kept() {
    let options = WatchOptions { max_body: 1000, ..WatchOptions::default() };
    let big = answer(200, " ".repeat(2000));
    let endless = Answer { end: End::Hang, ..answer(200, "x".repeat(2000)) };
    let (log, _) = play(options, vec![big, list(5, &["a"], ""), endless]).await;
    assert!(log[1].contains("longer than 1000 bytes"), "{}", log[1]);
    assert!(log[5].contains("longer than 1000 bytes"), "{}", log[5]);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_ends_every_watch_at_once_is_not_hammered() {
    let mut script = vec![list(5, &["a"], "")];
    script.extend((0..50).map(|_| watch(&[], End::Close)));
    let (_, asked) = play(WatchOptions::default(), script).await;
    assert!(asked.last().unwrap().0 > Duration::from_mins(15), "{:?}", asked.last());
}

#[tokio::test(start_paused = true)]
async fn refusals_say_what_to_change() {
    let script = vec![answer(403, status(403, "Forbidden")), answer(401, "who?"), list(5, &[], "")];
    let (log, _) = play(WatchOptions::default(), script).await;
    assert!(log[1].contains("grant `list` and `watch`"), "{}", log[1]);
    assert!(log[3].contains("check the token"), "{}", log[3]);
}

#[tokio::test(start_paused = true)]
async fn a_request_is_a_success_only_once_it_ended_well() {
    use Request::{List, Watch};
    let options = WatchOptions { watch_seconds: 100, ..WatchOptions::default() };
    let told = Told::default();
    let error = event("ERROR", &status(500, "InternalError"));
    let script = vec![
        list(5, &["a"], "next"),
        // Read to its end, but no list; then a list that can't be watched.
        answer(200, r#"{"items":7}"#),
        answer(200, r#"{"metadata":{},"items":[]}"#),
        list(5, &["a"], ""),
        watch(&[event("ADDED", &object("b", 6))], End::Close),
        watch(&[event("ADDED", &object("c", 7))], End::Reset),
        watch(&[event("ADDED", &object("d", 8)), error], End::Close),
        watch(&[event("ADDED", &object("e", 9)), "no event\n".into()], End::Hang),
        silence(),
        answer(503, "later"),
    ];
    play_to(&told, options, script).await;
    let watches = [true, false, false, false, false, false].map(|ended_well| (Watch, ended_well));
    let lists = [(List, true), (List, false), (List, false), (List, true)];
    assert_eq!(*told.1.lock(), [lists.as_slice(), &watches].concat());

    // Streaming lists are lists, whatever their lines look like.
    let end = r#"{"metadata":{"resourceVersion":"7","annotations":{"k8s.io/initial-events-end":"true"}}}"#;
    let options = WatchOptions { strategy: ListStrategy::Streaming, watch_seconds: 100, ..WatchOptions::default() };
    let told = Told::default();
    let script = vec![watch(&["no event\n".into()], End::Hang), silence(), watch(&[event("BOOKMARK", end)], End::Hang)];
    play_to(&told, options, script).await;
    assert_eq!(*told.1.lock(), [(List, false), (List, false), (List, true)]);
}

#[tokio::test(start_paused = true)]
async fn a_list_is_cut_at_its_limit_which_is_told_and_the_watch_is_not() {
    let limited = |object_limit| WatchOptions {
        object_limit: Some(object_limit),
        page_size: 2,
        strategy: ListStrategy::Streaming,
        ..WatchOptions::default()
    };
    let rest = list(5, &["c"], "more");
    let counted = rest.pieces[0].1.replace("\"continue\"", "\"remainingItemCount\":7,\"continue\"");
    let added = watch(&[event("ADDED", &object("z", 6))], End::Hang);
    let script = vec![list(5, &["a", "b"], "next"), answer(200, counted), added];
    let (log, asked) = play(limited(3), script).await;
    let told = ["init", "listed a", "listed b", "listed c", "limited to 3, without Some(7)", "done", "applied z"];
    assert_eq!(log[..told.len()], told);
    assert!(has(&asked[0].1, "limit=2") && has(&asked[1].1, "limit=1") && has(&asked[2].1, "watch=true"), "{asked:?}");

    // A server that sends more than it was asked for.
    let (log, _) = play(limited(1), vec![list(5, &["a", "b", "c"], "")]).await;
    assert_eq!(log[..3], ["init", "listed a", "limited to 1, without Some(2)"]);
    let (log, _) = play(limited(9), vec![list(5, &["a", "b"], "")]).await;
    assert_eq!(log[3], "limited to 2, without Some(0)");
    let (log, _) = play(limited(2), vec![list(5, &["a", "b"], "more")]).await;
    assert_eq!(log[3], "limited to 2, without None");
}
