//! EC2's tokens: fetched once, kept, fetched anew, and never told.

use std::time::Duration;

use cluster_sim::metadata::MetadataFault;
use http::Method;
use node_lease::{MetadataSource, SourceError};

use super::canned::{Canned, answer};
use super::support::{DOCUMENT, HOST_NAME, documents, ec2, imds, pass, tokens};

const MINUTE: Duration = Duration::from_mins(1);
const SECRET: &str = "c2VjcmV0LXRva2Vu";

/// An EC2 that grants tokens as it likes, and answers everything else by `rest`.
async fn granting(ttl: &'static str, rest: impl Fn() -> String + Send + 'static) -> Canned {
    let ttl = if ttl.is_empty() { String::new() } else { format!("X-aws-ec2-metadata-token-ttl-seconds: {ttl}\r\n") };
    Canned::start(move |line| if line.starts_with("PUT") { answer("200 OK", &ttl, SECRET) } else { rest() }).await
}

fn instance() -> String {
    answer("200 OK", "", r#"{"instanceId": "i-1"}"#)
}

#[tokio::test]
async fn one_token_serves_all_fetches_and_all_clones() {
    let service = ec2().await;
    let source = imds(&service.url());
    for _ in 0..3 {
        source.fetch().await.unwrap();
    }
    source.clone().fetch().await.unwrap();
    assert_eq!((tokens(&service), documents(&service)), (1, 4));
}

#[tokio::test]
async fn a_token_is_fetched_anew_two_minutes_before_its_end() {
    let service = ec2().await;
    let source = imds(&service.url());
    source.fetch().await.unwrap();
    // Of six hours.
    pass(357 * MINUTE).await;
    source.fetch().await.unwrap();
    assert_eq!(tokens(&service), 1);
    pass(2 * MINUTE).await;
    source.fetch().await.unwrap();
    assert_eq!(tokens(&service), 2);
    assert_eq!(service.requests().count_status(&Method::GET, DOCUMENT, 401), 0, "none has ended in use");
}

#[tokio::test]
async fn a_token_is_good_for_as_long_as_was_granted() {
    // What was granted, and for how many minutes it is used; six hours are asked for.
    for (granted, minutes) in [("600", 8), ("", 358), ("soon", 358), ("18446744073709551615", 358)] {
        let service = granting(granted, instance).await;
        let source = imds(&service.url);
        source.fetch().await.unwrap();
        pass((minutes - 1) * MINUTE).await;
        source.fetch().await.unwrap();
        assert_eq!(service.count("PUT"), 1, "{granted}");
        pass(2 * MINUTE).await;
        source.fetch().await.unwrap();
        assert_eq!(service.count("PUT"), 2, "{granted}");
    }
}

#[tokio::test]
async fn a_token_that_is_not_known_any_more_is_fetched_anew_once() {
    let service = ec2().await;
    let source = imds(&service.url());
    source.fetch().await.unwrap();
    service.rotate_tokens();
    assert!(source.fetch().await.unwrap().is_complete());
    let refused = |path| service.requests().count_status(&Method::GET, path, 401);
    assert_eq!((tokens(&service), refused(DOCUMENT), refused(HOST_NAME)), (2, 1, 0));
    // It may also go between two requests of a fetch.
    service.faults().add(MetadataFault::on(HOST_NAME).count(1).status(401));
    assert!(source.fetch().await.unwrap().is_complete());
    assert_eq!((tokens(&service), refused(HOST_NAME)), (3, 1));
}

#[tokio::test]
async fn a_new_token_that_is_refused_too_is_an_error() {
    let service = ec2().await;
    service.faults().add(MetadataFault::on(DOCUMENT).count(2).status(401));
    let source = imds(&service.url());
    let error = source.fetch().await.unwrap_err();
    assert!(matches!(error, SourceError::Status { code: 401, .. }), "{error}");
    assert!(error.to_string().contains("refuses the token"), "{error}");
    assert_eq!((tokens(&service), documents(&service)), (2, 2));
    assert!(source.fetch().await.unwrap().is_complete(), "the next fetch begins anew");
}

#[tokio::test]
async fn a_token_is_never_told() {
    let rest: [fn() -> String; 4] = [
        instance,
        || answer("500 Oh", "", SECRET),
        || answer("200 OK", "", &format!(r#"{{"instanceId": {SECRET}"#)),
        || answer("200 OK", "", "").replace("Content-Length: 0", &format!("Content-Length: {SECRET}")),
    ];
    for rest in rest {
        let service = granting("21600", rest).await;
        let source = imds(&service.url);
        let outcome = source.fetch().await;
        let display = outcome.as_ref().err().map(ToString::to_string).unwrap_or_default();
        let told = format!("{source:?} {outcome:?} {display}");
        assert!(!told.contains(SECRET), "{told}");
        assert!(service.count("GET") > 0, "the token was used");
    }
    // Nor what is none.
    let service = Canned::start(|_| answer("200 OK", "", &format!("{SECRET}\n{SECRET}"))).await;
    let error = imds(&service.url).fetch().await.unwrap_err();
    assert!(matches!(error, SourceError::OtherCloud { what: "IMDS token", .. }), "{error}");
    assert!(!format!("{error} {error:?}").contains(SECRET));
}
