//! Posts of JSON.

use std::io::Read;
use std::time::Duration;

use kube_events::event::EnhancedEvent;
use kube_events::layout::{Layout, Template};
use kube_events::sink::webhook::{Requests, WebhookOptions};
use kube_events::sink::{
    Ack, BatchOptions, Body, Delivery, Outlet, OutletOptions, RetryOptions, Sink, SinkError, Webhook,
};
use tokio::time::{sleep, timeout};

use super::server::{Reply, Server, outcome, reply};
use super::support::{event, reasons, records};

fn template(text: &str) -> kube_events::sink::Text {
    Template::compile(text).unwrap().into()
}

#[tokio::test]
async fn one_event_is_one_request() {
    let server = Server::new([]).await;
    let layout = serde_json::json!({"kind": "event", "version": 1, "why": "{{ .Reason }}"});
    let sink = Webhook::new(WebhookOptions {
        headers: vec![("X-API-Key".to_owned(), "hush".into()), ("X-Reason".to_owned(), template("{{ .Reason }}"))],
        body: Body::layout(Layout::compile(&layout).unwrap()),
        ..WebhookOptions::new(format!("{}/hook?a=b", server.url))
    })
    .unwrap();
    let batch = records(&sink, &["A", "B"]);
    assert!(!format!("{sink:?}{batch:?}").contains("hush"), "a secret is kept or shown");
    assert_eq!(sink.deliver(&batch).await.unwrap(), Delivery::default());
    let requests = server.requests();
    let host = server.url.strip_prefix("http://").unwrap();
    let version = env!("CARGO_PKG_VERSION");
    let head = format!(
        "POST /hook?a=b HTTP/1.1\r\ncontent-type: application/json\r\nx-api-key: hush\r\nx-reason: A\r\n\
         accept: */*\r\nuser-agent: kube-events/{version}\r\nhost: {host}\r\ncontent-length: 38\r\n\r\n"
    );
    assert_eq!(requests[0].head, head);
    assert_eq!(String::from_utf8_lossy(&requests[0].body), r#"{"kind":"event","version":1,"why":"A"}"#);
    assert_eq!((requests.len(), requests[1].header("x-reason")), (2, Some("B")));
}

#[tokio::test]
async fn a_batch_is_one_request_where_headers_are_equal() {
    let server = Server::new([]).await;
    let options = |requests| WebhookOptions {
        headers: vec![
            ("content-type".to_owned(), "text/x".into()),
            ("X-R".to_owned(), template("{{ lower .Reason }}")),
        ],
        requests,
        gzip: requests == Requests::Lines,
        ..WebhookOptions::new(server.url.clone())
    };
    let array = Webhook::new(options(Requests::Array)).unwrap();
    array.deliver(&records(&array, &["A", "B", "a"])).await.unwrap();
    let lines = Webhook::new(options(Requests::Lines)).unwrap();
    lines.deliver(&records(&lines, &["A", "a"])).await.unwrap();
    let requests = server.requests();
    let got: Vec<_> = requests.iter().map(|it| it.header("x-r").unwrap()).collect();
    assert_eq!(got, ["a", "b", "a"]);
    let expected = [event("A").to_json(), event("a").to_json()];
    assert_eq!(requests[0].body, [b"[", &*expected.join(&b','), b"]"].concat());
    assert_eq!(requests[0].header("content-type"), Some("text/x"));
    assert_eq!(requests[2].header("content-encoding"), Some("gzip"));
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(&*requests[2].body).read_to_end(&mut unpacked).unwrap();
    assert_eq!(reasons(&unpacked), ["A", "a"]);
}

#[tokio::test]
async fn the_status_says_what_becomes_of_an_event() {
    let table = [
        ("200 OK", "", "taken", None),
        ("204 No Content", "", "taken", None),
        ("301 Moved Permanently", "Location: http://elsewhere/\r\n", "again", None),
        ("307 Temporary Redirect", "Location: /there\r\n", "again", None),
        ("400 Bad Request", "", "refused", None),
        ("401 Unauthorized", "", "again", None),
        ("403 Forbidden", "", "again", None),
        ("404 Not Found", "Retry-After: 5\r\n", "refused", None),
        ("407 Proxy Authentication Required", "", "again", None),
        ("408 Request Timeout", "", "again", None),
        ("413 Payload Too Large", "", "refused", None),
        ("422 Unprocessable Entity", "", "refused", None),
        ("425 Too Early", "", "again", None),
        ("429 Too Many Requests", "Retry-After: 7\r\n", "again", Some(7)),
        ("500 Internal Server Error", "", "again", None),
        ("502 Bad Gateway", "", "again", None),
        ("503 Service Unavailable", "Retry-After: 120\r\n", "again", Some(120)),
        ("503 Service Unavailable", "Retry-After: soon\r\n", "again", None),
        ("504 Gateway Timeout", "", "again", None),
    ];
    let server = Server::new(table.map(|(status, headers, ..)| reply(status, headers, "why\r\nnot"))).await;
    let sink = Webhook::new(WebhookOptions::new(server.url.clone())).unwrap();
    for (status, _, want, after) in table {
        let delivered = sink.deliver(&records(&sink, &["A"])).await;
        assert_eq!(outcome(&delivered), (want, after), "{status}: {delivered:?}");
        if want != "taken" {
            let told = format!("{delivered:?}");
            assert!(told.contains(status), "{told}");
            assert!(status.starts_with('3') || told.contains("why not"), "{told}");
        }
    }
    assert_eq!(server.requests().len(), table.len(), "no redirect is followed");
}

#[tokio::test]
async fn answers_that_break_off_or_have_no_end() {
    let endless = format!("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n{}", "x".repeat(1 << 20));
    let replies = [
        Reply::Text("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc".to_owned()),
        Reply::Text("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 100\r\n\r\nabc".to_owned()),
        Reply::Text("HTTP/1.1 2".to_owned()),
        Reply::Text("SSH-2.0-nothing\r\n".to_owned()),
        Reply::Reset,
        Reply::Text(endless),
    ];
    let server = Server::new(replies).await;
    let sink = Webhook::new(WebhookOptions::new(server.url.clone())).unwrap();
    for want in ["taken", "again", "again", "again", "again", "refused"] {
        let delivered = sink.deliver(&records(&sink, &["A"])).await;
        assert_eq!(outcome(&delivered).0, want, "{delivered:?}");
        assert!(format!("{delivered:?}").len() < 1000);
    }
}

#[tokio::test]
async fn what_comes_before_a_failure_is_taken() {
    let refused = reply("400 Bad Request", "", "");
    let away = reply("503 Service Unavailable", "", "");
    let server = Server::new([reply("200 OK", "", ""), refused, away]).await;
    let sink = Webhook::new(WebhookOptions::new(server.url.clone())).unwrap();
    let delivery = sink.deliver(&records(&sink, &["A", "B", "C", "D"])).await.unwrap();
    assert_eq!(delivery.again, [2, 3]);
    assert_eq!((delivery.refused.len(), delivery.refused[0].index), (1, 1));
}

#[tokio::test]
async fn nobody_is_there() {
    let server = Server::new([]).await;
    let url = server.url.clone();
    drop(server);
    let sink = Webhook::new(WebhookOptions::new(url.replace("http://", "http://user:hush@"))).unwrap();
    // The listener's task may take a moment to end.
    sleep(Duration::from_millis(50)).await;
    let delivered = sink.deliver(&records(&sink, &["A"])).await;
    assert_eq!(outcome(&delivered).0, "again", "{delivered:?}");
    assert!(!format!("{delivered:?}{sink:?}").contains("hush"), "{delivered:?}");
}

#[tokio::test]
async fn an_outlet_gives_up_waiting_and_delivers_in_the_end() {
    let away = reply("503 Service Unavailable", "Retry-After: 0\r\n", "");
    let server = Server::new([Reply::Hang, Reply::Reset, away]).await;
    let sink = Webhook::new(WebhookOptions::new(server.url.clone())).unwrap();
    let options = OutletOptions {
        batch: BatchOptions { events: 1, ..BatchOptions::default() },
        retry: RetryOptions {
            first: Duration::from_millis(10),
            timeout: Duration::from_millis(200),
            ..RetryOptions::default()
        },
        ..OutletOptions::default()
    };
    let outlet = Outlet::spawn("hook", sink, options).await.unwrap();
    for reason in ["A", "B"] {
        outlet.offer(event(reason), Ack::none()).await;
    }
    timeout(Duration::from_secs(20), outlet.shutdown(Duration::from_secs(15))).await.unwrap();
    let status = outlet.status();
    assert_eq!((status.delivered, status.failures, status.refused), (2, 3, 0), "{status:?}");
    let got: Vec<_> = server.requests().iter().map(|it| it.json()["reason"].as_str().unwrap().to_owned()).collect();
    assert_eq!(got, ["A", "A", "A", "B"], "the first was never answered, the second busy");
}

#[tokio::test]
async fn options_that_can_not_be_used_are_told() {
    let told = |options: WebhookOptions| Webhook::new(options).unwrap_err().to_string();
    let to = || WebhookOptions::new("https://example.com");
    let header = |name: &str, value: &str| vec![(name.to_owned(), value.into())];
    assert!(told(WebhookOptions::new("example.com")).contains("`endpoint`"));
    assert!(told(WebhookOptions { headers: header("X Y", "a"), ..to() }).contains("`X Y`"));
    let error = told(WebhookOptions { headers: header("X", "hush\n"), ..to() });
    assert!(!error.contains("hush"), "{error}");
    let missing = kube_events::sink::TlsOptions { ca_file: Some("/nowhere/ca.pem".into()), ..Default::default() };
    let error = Webhook::new(WebhookOptions { tls: missing, ..to() }).unwrap_err();
    assert!(matches!(&error, SinkError::File { option: "caFile", .. }), "{error}");
}

/// Values that a template takes from an event can't add headers.
#[tokio::test]
async fn values_of_headers_are_on_one_line() {
    let server = Server::new([]).await;
    let headers = vec![("X-Message".to_owned(), template("{{ .Message }}"))];
    let sink = Webhook::new(WebhookOptions { headers, ..WebhookOptions::new(server.url.clone()) }).unwrap();
    let events: [EnhancedEvent; 1] = [event("A")];
    sink.deliver(&[sink.encode(&events[0]).unwrap()]).await.unwrap();
    assert_eq!(server.requests()[0].header("x-message"), Some("say \"so\" again"));
}
