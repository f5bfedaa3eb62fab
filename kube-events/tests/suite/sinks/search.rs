//! Documents, by the bulk API.

use std::time::Duration;

use kube_events::layout::IndexFormat;
use kube_events::sink::elasticsearch::SearchOptions;
use kube_events::sink::{Ack, Delivery, Elasticsearch, Outlet, OutletOptions, Refused, RetryOptions, Sink};

use super::server::{Reply, Server, outcome, reply};
use super::support::{event, records};

fn options(server: &Server) -> SearchOptions {
    SearchOptions::new([format!("{}/prefix/", server.url)], IndexFormat::new("kube-events-{2006-01-02}"))
}

fn items(items: &[(u16, &str)]) -> Reply {
    let item = |(status, error): &(u16, &str)| {
        let error =
            if error.is_empty() { String::new() } else { format!(r#","error":{{"type":"{error}","reason":"so"}}"#) };
        format!(r#"{{"index":{{"status":{status}{error}}}}}"#)
    };
    let items: Vec<_> = items.iter().map(item).collect();
    reply("200 OK", "", &format!(r#"{{"took":3,"errors":true,"items":[{}]}}"#, items.join(",")))
}

#[tokio::test]
async fn a_batch_is_one_request_of_two_lines_each() {
    let server = Server::new([reply("200 OK", "", r#"{"errors":false}"#), items(&[(201, "")])]).await;
    let sink = Elasticsearch::new(SearchOptions {
        user: Some(("elastic".to_owned(), "hush".into())),
        headers: [("X-A".to_owned(), "b".into())].into(),
        ..options(&server)
    })
    .unwrap();
    assert_eq!(sink.deliver(&records(&sink, &["A", "B"])).await.unwrap(), Delivery::default());
    let by_id = Elasticsearch::new(SearchOptions {
        use_event_id: true,
        create: true,
        type_: Some("kube-event".to_owned()),
        api_key: Some("a2V5".into()),
        ..options(&server)
    })
    .unwrap();
    assert_eq!(by_id.deliver(&records(&by_id, &["A"])).await.unwrap(), Delivery::default());
    let requests = server.requests();
    let line = requests[0].head.lines().next().unwrap();
    assert!(line.starts_with("POST /prefix/_bulk?filter_path=errors%2C"), "{line}");
    assert_eq!(requests[0].header("content-type"), Some("application/x-ndjson"));
    assert_eq!(requests[0].header("authorization"), Some("Basic ZWxhc3RpYzpodXNo"));
    assert_eq!(requests[0].header("x-a"), Some("b"));
    let action = r#"{"index":{"_index":"kube-events-2024-05-01"}}"#;
    let document = |reason| String::from_utf8(event(reason).to_json()).unwrap();
    let body = format!("{action}\n{}\n{action}\n{}\n", document("A"), document("B"));
    assert_eq!(String::from_utf8_lossy(&requests[0].body), body);
    assert_eq!(requests[1].header("authorization"), Some("ApiKey a2V5"));
    let action = r#"{"create":{"_index":"kube-events-2024-04-30","_type":"kube-event","_id":"uid-A"}}"#;
    let body = format!("{action}\n{}\n", document("A"));
    assert_eq!(String::from_utf8_lossy(&requests[1].body), body, "its first day's index, and the event's id");
}

#[tokio::test]
async fn each_document_is_answered_for() {
    let answer = items(&[
        (201, ""),
        (429, "es_rejected_execution_exception"),
        (400, "mapper_parsing_exception"),
        (503, "unavailable_shards_exception"),
        (403, "cluster_block_exception"),
        (409, "version_conflict_engine_exception"),
        (403, "security_exception"),
        (404, "index_not_found_exception"),
        (404, "document_missing_exception"),
    ]);
    let server = Server::new([answer.clone(), answer]).await;
    let refused = |index, status: u16, kind: &str| Refused { index, reason: format!("{status} {kind}: so") };
    let mapping = refused(2, 400, "mapper_parsing_exception");
    let conflict = refused(5, 409, "version_conflict_engine_exception");
    let missing = refused(8, 404, "document_missing_exception");
    let cases = [(false, vec![mapping.clone(), conflict, missing.clone()]), (true, vec![mapping, missing])];
    for (create, want) in cases {
        let sink = Elasticsearch::new(SearchOptions { create, ..options(&server) }).unwrap();
        let delivery = sink.deliver(&records(&sink, &["A", "B", "C", "D", "E", "F", "G", "H", "I"])).await.unwrap();
        assert_eq!(delivery, Delivery { again: vec![1, 3, 4, 6, 7], refused: want }, "create: {create}");
    }
}

#[tokio::test]
async fn answers_that_say_too_little() {
    let long = format!(r#"{{"errors":false,"padding":"{}"}}"#, "x".repeat(17 << 20));
    let table = [
        (reply("200 OK", "", "<html>hello"), "again"),
        (reply("200 OK", "", ""), "again"),
        (reply("200 OK", "", "{}"), "again"),
        (items(&[(201, "")]), "again"),
        (reply("200 OK", "", r#"{"errors":true,"items":[{},{}]}"#), "again"),
        (reply("200 OK", "", &long), "again"),
        (Reply::Text("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"errors\":false}".to_owned()), "again"),
        (Reply::Reset, "again"),
        (reply("401 Unauthorized", "", ""), "again"),
        (reply("403 Forbidden", "", ""), "again"),
        (reply("413 Payload Too Large", "", ""), "refused"),
        (reply("400 Bad Request", "", r#"{"error":{"type":"illegal_argument_exception"}}"#), "refused"),
        (reply("200 OK", "", r#"{"errors":false}"#), "taken"),
    ];
    let server = Server::new(table.iter().map(|(reply, _)| reply.clone())).await;
    let sink = Elasticsearch::new(options(&server)).unwrap();
    for (at, (_, want)) in table.iter().enumerate() {
        let delivered = sink.deliver(&records(&sink, &["A", "B"])).await;
        assert_eq!(outcome(&delivered).0, *want, "case {at}: {delivered:?}");
    }
}

#[tokio::test]
async fn the_next_host_is_asked_when_one_fails() {
    let one = Server::new([reply("503 Service Unavailable", "", "")]).await;
    let other = Server::new([reply("200 OK", "", r#"{"errors":false}"#)]).await;
    let hosts = [one.url.clone(), other.url.clone()];
    let sink = Elasticsearch::new(SearchOptions::new(hosts, IndexFormat::new("x"))).unwrap();
    let batch = records(&sink, &["A"]);
    assert_eq!(outcome(&sink.deliver(&batch).await).0, "again");
    assert_eq!(outcome(&sink.deliver(&batch).await).0, "taken");
    assert_eq!((one.requests().len(), other.requests().len()), (1, 1));
}

#[tokio::test]
async fn an_outlet_sends_again_what_was_too_much() {
    let answer = items(&[(201, ""), (429, "busy"), (400, "mapper_parsing_exception")]);
    let server = Server::new([answer, reply("200 OK", "", r#"{"errors":false}"#)]).await;
    let options = OutletOptions {
        batch: kube_events::sink::BatchOptions { age: Duration::from_millis(200), ..Default::default() },
        retry: RetryOptions { first: Duration::from_millis(10), ..RetryOptions::default() },
        ..OutletOptions::default()
    };
    let sink = Elasticsearch::new(self::options(&server)).unwrap();
    let outlet = Outlet::spawn("search", sink, options).await.unwrap();
    for reason in ["A", "B", "C"] {
        outlet.offer(event(reason), Ack::none()).await;
    }
    outlet.shutdown(Duration::from_secs(10)).await;
    let status = outlet.status();
    assert_eq!((status.delivered, status.refused, status.dropped), (2, 1, 0), "{status:?}");
    let second = String::from_utf8(server.requests()[1].body.clone()).unwrap();
    assert!(second.contains(r#""reason":"B""#) && second.lines().count() == 2, "{second}");
}
