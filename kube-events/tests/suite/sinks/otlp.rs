//! Log records.

use std::collections::BTreeMap;

use kube_events::sink::otlp::{OtlpOptions, SCHEMA_URL};
use kube_events::sink::{Body, Delivery, Otlp, Sink};
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use prost::Message;

use super::server::{Reply, Server, outcome, reply};
use super::support::{event, records};

fn texts(attributes: &[KeyValue]) -> BTreeMap<&str, String> {
    let text = |value: &Value| match value {
        Value::StringValue(text) => text.clone(),
        other => format!("{other:?}"),
    };
    attributes.iter().map(|it| (&*it.key, text(it.value.as_ref().unwrap().value.as_ref().unwrap()))).collect()
}

#[tokio::test]
async fn an_event_is_a_log_record() {
    let server = Server::new([]).await;
    let sink = Otlp::new(OtlpOptions {
        headers: [("X-Key".to_owned(), "hush".into())].into(),
        resource_attributes: [("k8s.cluster.name", "other"), ("env", "test")].map(|(k, v)| (k.into(), v.into())).into(),
        ..OtlpOptions::new(server.url.clone())
    })
    .unwrap();
    let mut events = [event("A"), event("B"), event("C")];
    events[1] = events[1].clone().with_cluster_name("".into());
    let batch: Vec<_> = events.iter().map(|event| sink.encode(event).unwrap()).collect();
    assert_eq!(sink.deliver(&batch).await.unwrap(), Delivery::default());
    let request = &server.requests()[0];
    assert!(request.head.starts_with("POST /v1/logs HTTP/1.1\r\n"), "{}", request.head);
    assert_eq!(request.header("content-type"), Some("application/x-protobuf"));
    assert_eq!(request.header("x-key"), Some("hush"));
    let sent = ExportLogsServiceRequest::decode(&*request.body).unwrap().resource_logs;
    let resources: Vec<_> = sent.iter().map(|it| texts(&it.resource.as_ref().unwrap().attributes)).collect();
    let of = |cluster: &str| BTreeMap::from([("env", "test".to_owned()), ("k8s.cluster.name", cluster.to_owned())]);
    assert_eq!(resources, [of("prod"), of("other")]);
    assert_eq!((sent[0].scope_logs[0].log_records.len(), &*sent[0].schema_url), (2, SCHEMA_URL));
    let log = &sent[0].scope_logs[0].log_records[0];
    assert_eq!((log.time_unix_nano, log.severity_number), (1_714_557_600_000_000_000, 13));
    assert!(log.observed_time_unix_nano > log.time_unix_nano);
    let body = log.body.as_ref().unwrap().value.clone();
    assert_eq!(body, Some(Value::StringValue("say \"so\"\nagain".to_owned())));
    let want = [
        ("k8s.event.count", "IntValue(3)"),
        ("k8s.event.name", "web-0.1"),
        ("k8s.event.reason", "A"),
        ("k8s.event.reporting_controller", "kubelet"),
        ("k8s.event.start_time", "2024-04-30T23:00:00.000000Z"),
        ("k8s.event.uid", "uid-A"),
        ("k8s.namespace.name", "shop"),
        ("k8s.node.name", "node-1"),
        ("k8s.object.api_version", "v1"),
        ("k8s.object.deletion_state", "yes"),
        ("k8s.object.kind", "Pod"),
        ("k8s.object.name", "web-0"),
        ("k8s.object.uid", "p-1"),
        ("k8s.pod.label.app.kind/x", "web"),
        ("k8s.pod.name", "web-0"),
        ("k8s.pod.uid", "p-1"),
    ];
    assert_eq!(texts(&log.attributes), want.map(|(key, value)| (key, value.to_owned())).into());
}

#[tokio::test]
async fn other_forms_are_texts_of_json() {
    let server = Server::new([]).await;
    let options = OtlpOptions { body: Body::rich(), ..OtlpOptions::new(format!("{}/own/path", server.url)) };
    let sink = Otlp::new(options).unwrap();
    sink.deliver(&records(&sink, &["A"])).await.unwrap();
    let request = &server.requests()[0];
    assert!(request.head.starts_with("POST /own/path HTTP/1.1\r\n"), "{}", request.head);
    let sent = ExportLogsServiceRequest::decode(&*request.body).unwrap().resource_logs;
    let body = sent[0].scope_logs[0].log_records[0].body.as_ref().unwrap().value.clone();
    let Some(Value::StringValue(text)) = body else { panic!("{body:?}") };
    assert_eq!(text, serde_json::to_string(&event("A").rich()).unwrap());
}

#[tokio::test]
async fn answers_are_read_by_the_specification() {
    let partial = |rejected_log_records, message: &str| {
        let error_message = message.to_owned();
        let partial_success = Some(ExportLogsPartialSuccess { rejected_log_records, error_message });
        let bytes = ExportLogsServiceResponse { partial_success }.encode_to_vec();
        reply("200 OK", "", std::str::from_utf8(&bytes).unwrap())
    };
    let table = [
        (reply("200 OK", "", ""), ("taken", None)),
        (reply("200 OK", "", "no protobuf"), ("taken", None)),
        (partial(0, "mind this"), ("taken", None)),
        (partial(1, "too long"), ("refused", None)),
        (reply("400 Bad Request", "", ""), ("refused", None)),
        (reply("401 Unauthorized", "", ""), ("again", None)),
        (reply("403 Forbidden", "", ""), ("again", None)),
        (reply("408 Request Timeout", "", ""), ("refused", None)),
        (reply("500 Internal Server Error", "", ""), ("refused", None)),
        (reply("429 Too Many Requests", "Retry-After: 9\r\n", ""), ("again", Some(9))),
        (reply("502 Bad Gateway", "", ""), ("again", None)),
        (reply("503 Service Unavailable", "Retry-After: 4\r\n", ""), ("again", Some(4))),
        (reply("504 Gateway Timeout", "", ""), ("again", None)),
        (Reply::Reset, ("again", None)),
    ];
    let server = Server::new(table.iter().map(|(reply, _)| reply.clone())).await;
    let sink = Otlp::new(OtlpOptions::new(server.url.clone())).unwrap();
    for (reply, want) in table {
        let delivered = sink.deliver(&records(&sink, &["A", "B"])).await;
        assert_eq!(outcome(&delivered), want, "{reply:?}: {delivered:?}");
        assert!(!format!("{reply:?}").contains("too long") || delivered.unwrap().refused.len() == 1);
    }
}
