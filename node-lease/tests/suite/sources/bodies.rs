//! Answers that are none → an error, for all services alike.

use cluster_sim::metadata::{Machine, MetadataFault};
use node_lease::source::azure::Azure;
use node_lease::{MetadataSource, SourceError};

use super::canned::{Canned, answer};
use super::support::{DOCUMENT, PATIENCE, ec2, imds, service};

/// What is read of an answer at the most.
const LIMIT: usize = 256 << 10;

async fn spoiled(fault: MetadataFault) -> SourceError {
    let service = ec2().await;
    service.faults().add(fault);
    imds(&service.url()).fetch().await.unwrap_err()
}

#[tokio::test]
async fn documents_that_are_none() {
    let error = spoiled(MetadataFault::on(DOCUMENT).truncate()).await;
    assert!(matches!(&error, SourceError::Decode { source, .. } if source.is_eof()), "{error}");
    let error = spoiled(MetadataFault::on(DOCUMENT).invalid_json()).await;
    assert!(matches!(&error, SourceError::Decode { source, .. } if source.is_syntax()), "{error}");
    let error = spoiled(MetadataFault::on(DOCUMENT).not_utf8()).await;
    assert!(matches!(error, SourceError::Decode { .. }), "{error}");
    let error = spoiled(MetadataFault::on(DOCUMENT).cut_short()).await;
    assert!(matches!(error, SourceError::BrokenOff { what: "IMDS identity document", .. }), "{error}");
    let error = spoiled(MetadataFault::on(DOCUMENT).reset()).await;
    assert!(matches!(error, SourceError::BrokenOff { .. }), "{error}");
}

#[tokio::test]
async fn an_answer_is_read_up_to_a_limit() {
    let service = service(Machine::azure("x")).await;
    let source = Azure::at(&service.url()).unwrap().timeout(PATIENCE);
    let document = |length: usize| [r#"{"vmId": "x"}"#, &" ".repeat(length - 13)].concat();
    let fits = service.faults().add(MetadataFault::on_any().body(document(LIMIT)));
    source.fetch().await.unwrap();
    service.faults().remove(fits);
    service.faults().add(MetadataFault::on_any().body(document(LIMIT + 1)));
    let error = source.fetch().await.unwrap_err();
    assert!(matches!(error, SourceError::TooLong { limit: LIMIT, .. }), "{error}");
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let elsewhere = service(Machine::azure("x")).await;
    let location = format!("Location: {}/metadata/instance\r\n", elsewhere.url());
    let here = Canned::start(move |_| answer("307 Temporary Redirect", &location, "")).await;
    let error = Azure::at(&here.url).unwrap().timeout(PATIENCE).fetch().await.unwrap_err();
    assert!(matches!(error, SourceError::Status { code: 307, .. }), "{error}");
    assert_eq!((here.asked().len(), elsewhere.requests().total()), (1, 0));
}

#[tokio::test]
async fn what_is_no_http() {
    let here = Canned::start(|_| "SSH-2.0-OpenSSH_9.9\r\n".to_owned()).await;
    let error = Azure::at(&here.url).unwrap().timeout(PATIENCE).fetch().await.unwrap_err();
    assert!(matches!(error, SourceError::BrokenOff { .. }), "{error}");
}
