//! Receivers of a configuration become sinks.

use std::time::Duration;

use kube_events::config::{Built, Config, Strictness};
use kube_events::sink::{Ack, Outlet, OverflowPolicy, SinkError};

use super::support::{event, reasons};

fn build(receiver: &str) -> Result<Built, SinkError> {
    let yaml = format!("receivers: [{{name: it, {receiver}}}]");
    let config = Config::parse(&yaml, Strictness::Strict, &|_| None).unwrap_or_else(|error| panic!("{error}"));
    config.receivers[0].build()
}

async fn send(built: Built, events: &[&str]) {
    let outlet = Outlet::spawn_boxed("it".into(), built.sink, built.options).await.unwrap();
    for reason in events {
        outlet.offer(event(reason), Ack::none()).await;
    }
    let drained = outlet.shutdown(Duration::from_secs(10)).await;
    assert_eq!((drained.undelivered, outlet.status().delivered), (0, events.len() as u64), "{:?}", outlet.status());
}

#[tokio::test]
async fn a_file_and_the_program_itself() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("events.log");
    let file =
        format!("file: {{path: \"{}\", maxbackups: 2, layout: {{reason: \"x{{{{ .Reason }}}}\"}}}}", path.display());
    send(build(&file).unwrap(), &["A", "B"]).await;
    assert_eq!(reasons(&std::fs::read(&path).unwrap()), ["xA", "xB"]);
    let mut built = build("inMemory: {rich: true}").unwrap();
    let mut records = built.records.take().unwrap();
    send(built, &["C"]).await;
    let record = records.recv().await.unwrap();
    assert!(String::from_utf8_lossy(&record.body).contains("deletionState"));
}

#[test]
fn how_it_is_delivered() {
    let delivery = "delivery: {queue: {events: 7, onFull: dropNewest}, batch: {events: 5, bytes: 9, wait: 2s}, \
        retry: {for: 1h, backoff: 1, maxBackoff: 3}, spill: {path: /var/x, bytes: 100}, timeout: 4s}";
    let options = build(&format!("stdout: {{}}, {delivery}")).unwrap().options;
    assert_eq!((options.queue, options.policy), (7, OverflowPolicy::DropNewest));
    assert_eq!((options.batch.events, options.batch.bytes, options.batch.age.as_secs()), (5, 9, 2));
    let retry = options.retry;
    assert_eq!((retry.first.as_secs(), retry.longest.as_secs(), retry.timeout.as_secs()), (1, 3, 4));
    assert_eq!(retry.give_up_after, Some(Duration::from_secs(3600)));
    let spill = options.spill.unwrap();
    assert_eq!((spill.directory.to_str(), spill.max_bytes), (Some("/var/x"), 100));
    assert_eq!(build("stdout: {}").unwrap().options, kube_events::sink::OutletOptions::default());
    let policies = [
        ("dropOldest", OverflowPolicy::DropOldest),
        ("dropNewest", OverflowPolicy::DropNewest),
        ("block", OverflowPolicy::Block),
    ];
    for (word, policy) in policies {
        let built = build(&format!("stdout: {{}}, delivery: {{queue: {{onFull: {word}}}}}")).unwrap();
        assert_eq!(built.options.policy, policy);
    }
}

#[cfg(unix)]
#[tokio::test]
async fn syslog_in_all_its_networks() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let socket = tokio::net::UnixDatagram::bind(&path).unwrap();
    let networks = [
        format!("syslog: {{network: unixgram, address: \"{}\"}}", path.display()),
        format!("syslog: {{network: \"\", address: \"{}\", tag: t}}", path.display()),
    ];
    for (network, tag) in networks.iter().zip(["kube-events", "t"]) {
        send(build(network).unwrap(), &["A"]).await;
        let mut got = vec![0; 4096];
        let count = socket.recv(&mut got).await.unwrap();
        let text = String::from_utf8_lossy(&got[..count]).into_owned();
        let head = format!("<132>May  1 10:00:00 {tag}[{}]: {{", std::process::id());
        assert!(text.starts_with(&head), "{text}");
    }
    for network in ["network: udp, address: \"127.0.0.1:514\"", "network: unix, address: /run/log", "tag: a"] {
        build(&format!("syslog: {{{network}}}")).unwrap();
    }
}

#[cfg(not(feature = "http-sinks"))]
#[test]
fn the_feature_is_named() {
    let receivers = [
        ("webhook: {endpoint: \"http://a\"}", "http-sinks"),
        ("elasticsearch: {hosts: [\"http://a\"], index: x}", "http-sinks"),
        ("opensearch: {hosts: [\"http://a\"], index: x}", "http-sinks"),
        ("loki: {url: \"http://a\", streamLabels: {a: b}}", "http-sinks"),
        ("otlp: {endpoint: \"http://a\"}", "otlp"),
        #[cfg(not(feature = "kafka"))]
        ("kafka: {topic: a, brokers: [\"a:1\"]}", "kafka"),
    ];
    for (receiver, feature) in receivers {
        let error = build(receiver).unwrap_err();
        assert!(matches!(&error, SinkError::Feature { feature: it, .. } if *it == feature), "{receiver}: {error}");
    }
}

#[cfg(feature = "otlp")]
#[tokio::test]
async fn sinks_over_http() {
    use super::server::{Server, reply};
    let answer = || reply("200 OK", "", r#"{"errors":false}"#);
    let server = Server::new([(); 6].map(|()| answer())).await;
    let url = &server.url;
    let receivers = [
        format!("webhook: {{endpoint: \"{url}/hook\", headers: {{X-A: \"{{{{ .Reason }}}}\", X-B: fixed}}}}"),
        format!("elasticsearch: {{hosts: [\"{url}\"], index: plain, useEventID: true, username: u, password: p}}"),
        format!("opensearch: {{hosts: [\"{url}\"], indexFormat: \"k-{{2006}}\", deDot: true}}"),
        format!("loki: {{url: \"{url}/push\", streamLabels: {{a: b, r: \"{{{{ .Reason }}}}\"}}}}"),
        format!("otlp: {{endpoint: \"{url}\", compression: gzip, resourceAttributes: {{a: b}}}}"),
    ];
    for (receiver, events) in receivers.iter().zip([&["A", "B"][..], &["A"], &["A"], &["A"], &["A"]]) {
        send(build(receiver).unwrap(), events).await;
    }
    let requests = server.requests();
    let paths: Vec<_> = requests.iter().map(|it| it.head.split([' ', '?']).nth(1).unwrap().to_owned()).collect();
    assert_eq!(paths, ["/hook", "/hook", "/_bulk", "/_bulk", "/push", "/v1/logs"]);
    assert_eq!((requests[1].header("x-a"), requests[1].header("x-b")), (Some("B"), Some("fixed")));
    assert_eq!(requests[2].header("authorization"), Some("Basic dTpw"));
    let text = |at: usize| String::from_utf8_lossy(&requests[at].body).into_owned();
    assert!(text(2).starts_with(r#"{"index":{"_index":"plain","_id":"uid-A"}}"#), "{}", text(2));
    assert!(text(3).contains(r#""k-2024""#) && text(3).contains("app_kind/x"), "{}", text(3));
    assert!(text(4).contains(r#"{"a":"b","r":"A"}"#), "{}", text(4));
    assert_eq!(requests[5].header("content-encoding"), Some("gzip"));
    let error = build(&format!("otlp: {{endpoint: \"{url}\", protocol: grpc}}")).unwrap_err();
    assert!(error.to_string().contains("gRPC"), "{error}");
    let many = build(&format!("webhook: {{endpoint: \"{url}\"}}, delivery: {{batch: {{events: 5}}}}")).unwrap();
    assert_eq!(many.options.batch.events, 5);
}

#[cfg(feature = "otlp")]
#[tokio::test]
async fn credentials_that_are_not_taken_come_again_with_all_sinks() {
    use super::server::{Server, outcome, reply};
    let statuses = ["401 Unauthorized", "403 Forbidden", "407 Proxy Authentication Required"];
    let receivers = [
        "webhook: {endpoint: \"URL\"}",
        "elasticsearch: {hosts: [\"URL\"], index: plain}",
        "opensearch: {hosts: [\"URL\"], index: plain}",
        "loki: {url: \"URL\", streamLabels: {a: b}}",
        "otlp: {endpoint: \"URL\"}",
    ];
    for receiver in receivers {
        let server = Server::new(statuses.map(|status| reply(status, "", "who are you"))).await;
        let sink = build(&receiver.replace("URL", &server.url)).unwrap().sink;
        let batch = [sink.encode(&event("A")).unwrap()];
        for status in statuses {
            let delivered = sink.deliver(&batch).await;
            assert_eq!(outcome(&delivered).0, "again", "{receiver}: {status}: {delivered:?}");
        }
    }
}
