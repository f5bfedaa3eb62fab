//! EC2 that gives no token, or nothing at all → an error that says what to change.

use cluster_sim::metadata::{Machine, MetadataFault};
use http::Method;
use node_lease::{MetadataSource, SourceError};

use super::canned::{Canned, answer};
use super::support::{
    DOCUMENT, PLAIN, SHORT, TOKEN_PATH, documents, ec2, fetching, imds, missing, service, time_out, tokens,
};

#[tokio::test]
async fn a_token_that_is_lost_beyond_the_hop_limit() {
    let service = ec2().await;
    service.set_hop_limit_too_low(true);
    let source = imds(&service.url());
    let fetch = fetching(source.clone());
    time_out(&service, Method::PUT, TOKEN_PATH).await;
    let error = fetch.await.unwrap_err();
    assert!(matches!(error, SourceError::HopLimit), "{error}");
    let text = error.to_string();
    assert!(text.contains("timed out") && text.contains("401") && text.contains("hop limit to 2"), "{text}");
    service.set_hop_limit_too_low(false);
    assert!(source.fetch().await.unwrap().is_complete());
}

#[tokio::test]
async fn a_lost_token_where_version_1_is_open() {
    let service = ec2().await;
    service.set_hop_limit_too_low(true);
    service.set_v1_allowed(true);
    let fetch = fetching(imds(&service.url()));
    time_out(&service, Method::PUT, TOKEN_PATH).await;
    let error = fetch.await.unwrap_err();
    assert!(matches!(error, SourceError::OnlyV1 { .. }), "{error}");
    assert!(error.to_string().contains("hop limit to 2") && error.to_string().contains("v1_fallback"), "{error}");
    assert_eq!(documents(&service), 0, "nothing was read by version 1");

    service.requests().clear();
    let fetch = fetching(imds(&service.url()).v1_fallback(true));
    time_out(&service, Method::PUT, TOKEN_PATH).await;
    let fetched = fetch.await.unwrap();
    assert!(fetched.is_complete() && missing(&fetched).is_empty());
    assert_eq!(tokens(&service), 1, "a fetch waits for a token once");
}

#[tokio::test]
async fn an_old_service_without_tokens() {
    for code in [404, 405] {
        let service = ec2().await;
        service.faults().add(MetadataFault::on(TOKEN_PATH).status(code));
        let error = imds(&service.url()).fetch().await.unwrap_err();
        assert!(matches!(error, SourceError::Status { code: told, .. } if told == code), "no version 1: {error}");
        service.set_v1_allowed(true);
        let error = imds(&service.url()).fetch().await.unwrap_err();
        assert!(matches!(error, SourceError::OnlyV1 { .. }), "{error}");
        assert!(error.to_string().contains(&code.to_string()), "{error}");
        assert!(imds(&service.url()).v1_fallback(true).fetch().await.unwrap().is_complete());
    }
}

#[tokio::test]
async fn a_token_that_is_refused_opens_no_way_around() {
    for code in [400, 429, 503] {
        let service = ec2().await;
        service.set_v1_allowed(true);
        service.faults().add(MetadataFault::on(TOKEN_PATH).status(code));
        let error = imds(&service.url()).v1_fallback(true).fetch().await.unwrap_err();
        assert!(matches!(error, SourceError::Status { code: told, .. } if told == code), "{error}");
        assert_eq!(service.requests().total(), 1);
    }
}

#[tokio::test]
async fn a_service_that_is_silent() {
    let service = ec2().await;
    service.faults().add(MetadataFault::on_any().hang());
    let fetch = fetching(imds(&service.url()));
    time_out(&service, Method::PUT, TOKEN_PATH).await;
    time_out(&service, Method::GET, PLAIN).await;
    let error = fetch.await.unwrap_err();
    assert!(matches!(error, SourceError::Timeout { what: "IMDS token", .. }), "{error}");
    assert!(error.to_string().contains("network policy"), "{error}");
}

#[tokio::test]
async fn a_document_that_hangs_is_no_matter_of_the_hop_limit() {
    let service = ec2().await;
    service.faults().add(MetadataFault::on(DOCUMENT).hang());
    let fetch = fetching(imds(&service.url()));
    time_out(&service, Method::GET, DOCUMENT).await;
    let error = fetch.await.unwrap_err();
    assert!(matches!(error, SourceError::Timeout { what: "IMDS identity document", .. }), "{error}");
}

#[tokio::test]
async fn a_service_that_is_switched_off() {
    let service = ec2().await;
    service.set_disabled(true);
    let source = imds(&service.url()).v1_fallback(true);
    let error = source.fetch().await.unwrap_err();
    assert!(matches!(error, SourceError::Disabled { .. }), "{error}");
    assert!(error.to_string().contains("HttpEndpoint"), "{error}");
    assert_eq!(service.requests().total(), 1, "what is forbidden is not asked for twice");
    // Of that refusal, too, the one of a token may be lost.
    service.requests().clear();
    service.set_hop_limit_too_low(true);
    let fetch = fetching(source.clone());
    time_out(&service, Method::PUT, TOKEN_PATH).await;
    let error = fetch.await.unwrap_err();
    assert!(matches!(error, SourceError::Disabled { .. }), "{error}");
}

#[tokio::test]
async fn failures_that_pass() {
    let service = ec2().await;
    let source = imds(&service.url());
    service.faults().add(MetadataFault::on(TOKEN_PATH).count(1).status(503));
    service.faults().add(MetadataFault::on(DOCUMENT).count(1).status(500));
    for code in [503, 500] {
        let error = source.fetch().await.unwrap_err();
        assert!(matches!(error, SourceError::Status { code: told, .. } if told == code), "{error}");
        assert!(error.to_string().contains("asked again"), "{error}");
    }
    service.stop_listening().await;
    let error = source.fetch().await.unwrap_err();
    assert!(matches!(error, SourceError::Unreachable { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("refused") && text.matches(&service.url()).count() == 1, "{text}");
    service.start_again().await.unwrap();
    assert!(source.fetch().await.unwrap().is_complete());
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_connection_that_is_not_made_is_no_answer_that_is_lost() {
    // A listener that accepts nothing: once its queue is full, further connections are neither made nor refused.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let address = socket.local_addr().unwrap();
    let _listener = socket.listen(0).unwrap();
    let _queued = tokio::net::TcpStream::connect(address).await.unwrap();
    let error = imds(&format!("http://{address}")).timeout(SHORT).fetch().await.unwrap_err();
    assert!(matches!(error, SourceError::Unreachable { what: "IMDS token", .. }), "{error}");
}

#[tokio::test]
async fn what_is_not_ec2() {
    for machine in [Machine::gce("1"), Machine::azure("x")] {
        let service = service(machine).await;
        let error = imds(&service.url()).fetch().await.unwrap_err();
        assert!(matches!(error, SourceError::OtherCloud { cloud: "EC2", .. }), "{error}");
        assert!(error.to_string().contains("choose this machine's cloud"), "{error}");
    }
    let error = imds(&Canned::start(|_| answer("401 Unauthorized", "", "")).await.url).fetch().await.unwrap_err();
    assert!(matches!(error, SourceError::OtherCloud { what: "IMDS token", .. }), "{error}");
    for body in ["", "{}", "<html>\nWelcome</html>", r#""i-1""#, r#"{"instanceId": 7}"#] {
        let service = Canned::start(|_| answer("200 OK", "", body)).await;
        let error = imds(&service.url).v1_fallback(true).fetch().await.unwrap_err();
        assert!(matches!(error, SourceError::OtherCloud { cloud: "EC2", .. }), "{body}: {error}");
    }
}
