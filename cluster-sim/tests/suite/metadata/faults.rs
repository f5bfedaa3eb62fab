//! Fault → what the client sees.

use std::io::ErrorKind;
use std::time::Duration;

use cluster_sim::metadata::{Machine, MetadataFault, MetadataServer};
use http::Method;
use serde_json::Value;
use tokio::time::Instant;

use super::support::{Answer, TOKEN_PATH, TTL, ask, get, get_by_token, put_token, until};

const DOCUMENT: &str = "/latest/dynamic/instance-identity/document";
const HOST_NAME: &str = "/latest/meta-data/hostname";

/// EC2 that asks for no token, so that each test is about one request.
async fn service() -> MetadataServer {
    MetadataServer::builder(Machine::aws("i-0")).v1_allowed(true).start().await.unwrap()
}

async fn document(service: &MetadataServer) -> Answer {
    get(service, DOCUMENT, &[]).await
}

#[tokio::test]
async fn a_hanging_answer_never_comes() {
    let service = service().await;
    service.faults().add(MetadataFault::on(DOCUMENT).hang());
    let (url, requests) = (service.url(), service.requests().clone());
    let hanging = tokio::spawn(async move { ask(&url, &Method::GET, DOCUMENT, &[]).await });
    until(async || requests.count(&Method::GET, DOCUMENT) == 1).await;
    assert_eq!(get(&service, HOST_NAME, &[]).await.code, 200);
    assert!(!hanging.is_finished());
    service.shutdown().await;
    assert!(hanging.await.unwrap().is_err());
}

#[tokio::test(start_paused = true)]
async fn latency_answers_later() {
    let service = service().await;
    let slow = service.faults().add(MetadataFault::on("/latest/meta-data/").latency(Duration::from_mins(10)));
    let started = Instant::now();
    assert_eq!(document(&service).await.code, 200);
    assert!(started.elapsed() < Duration::from_mins(10));
    assert_eq!(get(&service, HOST_NAME, &[]).await.code, 200);
    assert!(started.elapsed() >= Duration::from_mins(10));
    assert_eq!(service.faults().spoiled(slow), 1);
}

#[tokio::test]
async fn a_request_given_up_is_counted() {
    let service = service().await;
    let id = service.faults().add(MetadataFault::on(DOCUMENT).latency(Duration::from_hours(1)));
    let (url, requests) = (service.url(), service.requests());
    let asking = async { ask(&url, &Method::GET, DOCUMENT, &[]).await };
    tokio::select! {
        answer = asking => panic!("{answer:?} came at once"),
        () = until(async || service.faults().spoiled(id) == 1) => {}
    }
    until(async || requests.count(&Method::GET, DOCUMENT) == 1).await;
    assert_eq!(requests.newest().pop().unwrap().status, None);
}

#[tokio::test]
async fn a_status_is_answered_instead_and_nothing_done() {
    let service = service().await;
    service.faults().add(MetadataFault::on(TOKEN_PATH).method(Method::PUT).count(2).status(503));
    for _ in 0..2 {
        let refused = put_token(&service, "60").await;
        assert_eq!((refused.code, refused.header("server")), (503, "EC2ws"));
        assert!(refused.text().contains("503 - Service Unavailable"), "{}", refused.text());
    }
    assert_eq!(service.live_tokens(), 0);
    assert_eq!(put_token(&service, "60").await.code, 200);
    assert_eq!(service.requests().count_status(&Method::PUT, TOKEN_PATH, 503), 2);
}

#[tokio::test]
async fn a_status_has_the_page_of_the_cloud_or_ones_own() {
    let service = MetadataServer::builder(Machine::azure("x")).start().await.unwrap();
    let id = service.faults().add(MetadataFault::on_any().status(429));
    let refused = get(&service, "/metadata/instance", &[]).await;
    assert_eq!((refused.code, &refused.json()["error"]), (429, &Value::from("Too Many Requests")));
    service.faults().remove(id);
    service.faults().add(MetadataFault::on_any().status(410).body("in a minute"));
    let refused = get(&service, "/metadata/instance", &[]).await;
    assert_eq!((refused.code, refused.text()), (410, "in a minute"));
}

#[tokio::test]
async fn one_path_can_be_missing() {
    let service = service().await;
    service.faults().add(MetadataFault::on(HOST_NAME).status(404));
    assert_eq!(get(&service, HOST_NAME, &[]).await.code, 404);
    assert_eq!(document(&service).await.code, 200);
}

#[tokio::test]
async fn a_reset_is_no_answer() {
    let service = service().await;
    service.faults().add(MetadataFault::on(TOKEN_PATH).reset());
    let error = ask(&service.url(), &Method::PUT, TOKEN_PATH, &[(TTL, "60")]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!(service.live_tokens(), 0);
    assert_eq!(service.requests().newest().pop().unwrap().status, None);
}

#[tokio::test]
async fn a_truncated_answer_ends_properly() {
    let service = service().await;
    let whole = document(&service).await.body;
    service.faults().add(MetadataFault::on(DOCUMENT).truncate());
    let cut = document(&service).await;
    assert_eq!((cut.code, cut.body.as_slice()), (200, &whole[..whole.len() / 2]));
    assert_eq!(cut.header("content-length"), cut.body.len().to_string());
    assert!(serde_json::from_slice::<Value>(&cut.body).is_err());
}

#[tokio::test]
async fn an_answer_cut_short_promised_more() {
    let service = service().await;
    let whole = document(&service).await.body;
    service.faults().add(MetadataFault::on(DOCUMENT).cut_short());
    let cut = document(&service).await;
    assert_eq!((cut.code, cut.body.as_slice()), (200, &whole[..whole.len() / 2]));
    assert_eq!(cut.header("content-length"), whole.len().to_string());
}

#[tokio::test]
async fn bodies_can_be_no_json_no_text_or_nothing() {
    let service = service().await;
    let spoil = |fault: MetadataFault| {
        service.faults().clear();
        service.faults().add(fault)
    };
    spoil(MetadataFault::on(DOCUMENT).invalid_json());
    let answer = document(&service).await;
    assert_eq!((answer.code, answer.header("content-type")), (200, "text/plain"));
    assert!(serde_json::from_str::<Value>(answer.text()).is_err());
    spoil(MetadataFault::on(DOCUMENT).not_utf8());
    assert!(String::from_utf8(document(&service).await.body).is_err());
    spoil(MetadataFault::on(DOCUMENT).empty());
    let answer = document(&service).await;
    assert_eq!((answer.told(), answer.header("content-length")), ((200, ""), "0"));
}

#[tokio::test]
async fn a_spoiled_token_is_issued_all_the_same() {
    let service = service().await;
    service.faults().add(MetadataFault::on(TOKEN_PATH).empty());
    let token = put_token(&service, "60").await;
    assert_eq!((token.told(), token.header(TTL)), ((200, ""), "60"));
    assert_eq!(service.live_tokens(), 1);
}

#[tokio::test]
async fn faults_come_after_those_they_skip_and_go_when_removed() {
    let service = service().await;
    let id = service.faults().add(MetadataFault::on(DOCUMENT).skip(1).count(1).status(500));
    let mut codes = Vec::new();
    for _ in 0..3 {
        codes.push(document(&service).await.code);
    }
    assert_eq!((codes, service.faults().spoiled(id)), (vec![200, 500, 200], 1));
    let id = service.faults().add(MetadataFault::on_any().status(500));
    assert_eq!(document(&service).await.code, 500);
    assert!(service.faults().remove(id));
    assert_eq!(document(&service).await.code, 200);
}

#[tokio::test]
async fn a_service_that_is_switched_off_refuses_everything() {
    for machine in [Machine::aws("i-0"), Machine::gce("1"), Machine::azure("x")] {
        let service = MetadataServer::builder(machine).disabled(true).start().await.unwrap();
        let provider = service.machine().provider;
        for (method, path) in [(Method::PUT, TOKEN_PATH), (Method::GET, "/"), (Method::GET, "/metadata/versions")] {
            let answer = ask(&service.url(), &method, path, &[(TTL, "60"), ("Metadata", "true")]).await.unwrap();
            assert_eq!(answer.code, 403, "{provider} {path}");
        }
    }
    let service = service().await;
    service.set_disabled(true);
    assert_eq!(document(&service).await.code, 403);
    service.set_disabled(false);
    assert_eq!(get_by_token(&service, DOCUMENT).await.code, 200);
}
