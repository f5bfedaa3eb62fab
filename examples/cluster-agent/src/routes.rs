//! What is served where.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use example_host::endpoints::Endpoints;
use example_host::page::{FRESH, History, Part, live};

use crate::page;
use crate::status::Watched;

#[derive(Clone)]
struct Shown {
    watched: Watched,
    history: Arc<History>,
}

pub(crate) fn routes(endpoints: Endpoints, watched: Watched, history: Arc<History>) -> Router {
    let main = endpoints.main();
    Router::new()
        .route(
            "/",
            get(async |State(shown): State<Shown>| page::page(&shown.watched.status(), &shown.history).respond()),
        )
        .route(
            "/live",
            get(async |State(shown): State<Shown>| live(page::live(&shown.watched.status(), &shown.history))),
        )
        .route("/status.json", get(async |State(shown): State<Shown>| (FRESH, Json(shown.watched.status()))))
        .route("/-/healthy", get(healthy))
        .route("/-/ready", get(ready))
        .with_state(Shown { watched, history })
        .route("/self/metrics", get(async move || endpoints.own_metrics()))
        .merge(main)
}

/// The agent answers; how its parts are is told, and no reason to restart it: they try again by themselves.
async fn healthy(State(shown): State<Shown>) -> Response {
    let status = shown.watched.status();
    (FRESH, told(status.parts.iter())).into_response()
}

/// Ready once every part has begun, or is known to fail.
async fn ready(State(shown): State<Shown>) -> Response {
    let status = shown.watched.status();
    let waits = status.waits_for();
    if waits.is_empty() {
        return (FRESH, told(status.parts.iter())).into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, FRESH, format!("not ready yet:\n{}", told(waits.into_iter()))).into_response()
}

/// A line for each part.
fn told<'a>(parts: impl Iterator<Item = &'a Part>) -> String {
    parts.fold(String::new(), |mut text, Part { name, health, reason, .. }| {
        let reason = reason.as_ref().map(|reason| format!(" ({})", reason.replace('\n', " "))).unwrap_or_default();
        // A String takes any text.
        let _ = writeln!(text, "{name}: {}{reason}", health.word());
        text
    })
}
