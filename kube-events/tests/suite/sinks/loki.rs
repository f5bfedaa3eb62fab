//! Lines for Loki.

use kube_events::layout::Template;
use kube_events::sink::loki::LokiOptions;
use kube_events::sink::{Body, Delivery, Loki, Sink, Text};

use super::server::{Reply, Server, outcome, reply};
use super::support::{event, records};

fn template(text: &str) -> Text {
    Template::compile(text).unwrap().into()
}

fn options(server: &Server) -> LokiOptions {
    LokiOptions::new(format!("{}/loki/api/v1/push", server.url), "job", "events")
}

#[tokio::test]
async fn lines_go_to_their_streams_at_their_time() {
    let server = Server::new([reply("204 No Content", "", "")]).await;
    let mut options = options(&server);
    options.stream_labels.insert("why".to_owned(), template("{{ lower .Reason }}"));
    options.headers = vec![("X-Scope-OrgID".to_owned(), "team".into())];
    options.body = Body::json().de_dot(true);
    let sink = Loki::new(options).unwrap();
    assert_eq!(sink.deliver(&records(&sink, &["A", "B", "a"])).await.unwrap(), Delivery::default());
    let requests = server.requests();
    assert_eq!((requests.len(), requests[0].header("x-scope-orgid")), (1, Some("team")));
    assert!(requests[0].head.starts_with("POST /loki/api/v1/push HTTP/1.1\r\n"));
    let line = |reason| {
        let text = String::from_utf8(event(reason).de_dot().to_json()).unwrap();
        serde_json::json!(["1714557600000000000", text])
    };
    let expected = serde_json::json!({"streams": [
        {"stream": {"job": "events", "why": "a"}, "values": [line("A"), line("a")]},
        {"stream": {"job": "events", "why": "b"}, "values": [line("B")]},
    ]});
    assert_eq!(requests[0].json(), expected);
}

#[tokio::test]
async fn each_tenant_has_its_request() {
    let server = Server::new([reply("204 No Content", "", ""), reply("429 Too Many Requests", "", "")]).await;
    let headers = vec![("X-Scope-OrgID".to_owned(), template("{{ lower .Reason }}"))];
    let sink = Loki::new(LokiOptions { headers, ..options(&server) }).unwrap();
    let delivery = sink.deliver(&records(&sink, &["A", "B", "a", "C"])).await.unwrap();
    assert_eq!(delivery, Delivery { again: vec![1, 3], refused: Vec::new() });
    let tenants: Vec<_> = server.requests().iter().map(|it| it.header("x-scope-orgid").unwrap().to_owned()).collect();
    assert_eq!(tenants, ["a", "b"]);
    let first = &server.requests()[0].json()["streams"];
    assert_eq!((first.as_array().unwrap().len(), first[0]["values"].as_array().unwrap().len()), (1, 2));
}

#[tokio::test]
async fn the_status_says_what_becomes_of_lines() {
    let table = [
        (reply("204 No Content", "", ""), ("taken", None)),
        (reply("400 Bad Request", "", "entry too far behind"), ("refused", None)),
        (reply("429 Too Many Requests", "Retry-After: 3\r\n", ""), ("again", Some(3))),
        (reply("500 Internal Server Error", "", ""), ("again", None)),
        (reply("401 Unauthorized", "", ""), ("again", None)),
        (Reply::Reset, ("again", None)),
    ];
    let server = Server::new(table.iter().map(|(reply, _)| reply.clone())).await;
    let sink = Loki::new(options(&server)).unwrap();
    for (reply, want) in table {
        let delivered = sink.deliver(&records(&sink, &["A", "B"])).await;
        assert_eq!(outcome(&delivered), want, "{reply:?}: {delivered:?}");
    }
}

#[tokio::test]
async fn labels_that_loki_would_not_take_are_told() {
    let server = Server::new([]).await;
    let error = Loki::new(LokiOptions { stream_labels: [].into(), ..options(&server) }).unwrap_err();
    assert!(error.to_string().contains("at least one"), "{error}");
    for wrong in ["a.b", "1a", "", "größe"] {
        let stream_labels = [(wrong.to_owned(), "x".into())].into();
        let error = Loki::new(LokiOptions { stream_labels, ..options(&server) }).unwrap_err();
        assert!(error.to_string().contains("streamLabels"), "{error}");
    }
}

#[tokio::test]
async fn a_time_to_come_is_now() {
    let server = Server::new([]).await;
    let sink = Loki::new(options(&server)).unwrap();
    let now = jiff::Timestamp::now().as_millisecond();
    let mut ahead = event("A");
    std::sync::Arc::make_mut(&mut ahead.event).last_timestamp = Some(jiff::Timestamp::MAX);
    let time = sink.encode(&ahead).unwrap().time_ms;
    assert!((now..now + 60_000).contains(&time), "{time}");
}
