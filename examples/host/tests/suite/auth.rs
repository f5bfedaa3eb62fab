//! Tokens, rights and an API server's moods → who may scrape.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::routing::get;
use cluster_sim::{Deny, Fault, Sim, Verb};
use example_host::auth::AuthFilter;
use http::StatusCode;
use tower::ServiceExt;

/// A server that knows two users besides the exporter, and the guarded page.
async fn guarded() -> (Sim, Router) {
    let sim = Sim::builder()
        .token("exporter")
        .token_of("of-alice", "alice")
        .token_of("of-bob", "bob")
        .deny(Deny::path("/metrics").to("bob"))
        .start()
        .await
        .unwrap();
    let filter = AuthFilter::new(sim.client());
    let check = move |request: Request, next: Next| Arc::clone(&filter).check(request, next);
    (sim, Router::new().route("/metrics", get(async || "samples")).layer(from_fn(check)))
}

async fn ask(app: &Router, authorization: Option<&str>) -> StatusCode {
    let mut request = Request::get("/metrics");
    if let Some(value) = authorization {
        request = request.header("authorization", value);
    }
    app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap().status()
}

fn reviews(sim: &Sim) -> u64 {
    sim.requests().count(Verb::Create, "tokenreviews") + sim.requests().count(Verb::Create, "subjectaccessreviews")
}

#[tokio::test]
async fn who_is_known_and_may_gets_in_and_others_are_told_why_not() {
    let (_sim, app) = guarded().await;
    for (authorization, status) in [
        (Some("Bearer of-alice"), 200),
        (Some("bearer of-alice"), 200),
        (Some("Bearer of-bob"), 403),
        (Some("Bearer of-nobody"), 401),
        (Some("Bearer "), 401),
        (Some("Basic of-alice"), 401),
        (None, 401),
    ] {
        assert_eq!(ask(&app, authorization).await, status, "{authorization:?}");
    }
}

#[tokio::test]
async fn an_answer_is_remembered_and_a_failure_is_not() {
    let (sim, app) = guarded().await;
    for _ in 0..3 {
        assert_eq!(ask(&app, Some("Bearer of-alice")).await, 200);
        assert_eq!(ask(&app, Some("Bearer of-nobody")).await, 401);
    }
    assert_eq!(reviews(&sim), 3, "two about alice, one about nobody");
    sim.deny(Deny::everything().verb(Verb::Create));
    assert_eq!(ask(&app, Some("Bearer of-bob")).await, 503, "the exporter may not ask");
    assert_eq!(ask(&app, Some("Bearer of-alice")).await, 200, "she is known by now");
    sim.allow_all();
    assert_eq!(ask(&app, Some("Bearer of-bob")).await, 200, "nothing was remembered of the failure");
}

#[tokio::test]
async fn without_the_api_server_nobody_new_gets_in() {
    let (sim, app) = guarded().await;
    sim.faults().add(Fault::on_any().status(500));
    assert_eq!(ask(&app, Some("Bearer of-alice")).await, 503);
    assert_eq!(ask(&app, None).await, 401, "that needs no API server");
}
