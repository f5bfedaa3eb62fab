//! What is served where.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use cgroup_perf::output::openmetrics::Format;
use example_host::endpoints::prometheus_text;
use example_host::page::{FRESH, History, live};
use example_host::telemetry::Telemetry;

use crate::page;
use crate::status::{Watched, is_ready, lines};

#[derive(Clone)]
struct Shown {
    watched: Watched,
    history: Arc<History>,
}

pub(crate) fn routes(watched: Watched, history: Arc<History>, telemetry: Telemetry) -> Router {
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
        .route("/metrics", get(metrics))
        .route("/-/healthy", get(healthy))
        .route("/healthz", get(healthy))
        .route("/-/ready", get(ready))
        .route("/readyz", get(ready))
        .with_state(Shown { watched, history })
        .route("/self/metrics", get(async move || prometheus_text(telemetry.render_recorded())))
}

async fn metrics(State(shown): State<Shown>, headers: HeaderMap) -> Response {
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    if accept.contains("application/openmetrics-text") {
        let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        return ([(CONTENT_TYPE, kind)], shown.watched.metrics(Format::OpenMetrics)).into_response();
    }
    prometheus_text(shown.watched.metrics(Format::Prometheus))
}

/// The agent answers; how its parts are is told, and no reason to restart it: they try again by themselves.
async fn healthy(State(shown): State<Shown>) -> Response {
    (FRESH, lines(&shown.watched.all_parts())).into_response()
}

async fn ready(State(shown): State<Shown>) -> Response {
    let told = lines(&shown.watched.all_parts());
    if is_ready(&shown.watched.parts()) {
        return (FRESH, told).into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, FRESH, format!("not ready yet:\n{told}")).into_response()
}
