//! What is served where.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use example_host::endpoints::prometheus_text;
use example_host::page::{FRESH, live};
use example_host::telemetry::Telemetry;
use jiff::Timestamp;
use maud::Markup;

use crate::health::Watched;
use crate::page::{self, About};
use crate::recent::{Filter, Recent};

/// What is answered from.
#[derive(Clone)]
pub(crate) struct Shown {
    pub(crate) watched: Arc<Watched>,
    pub(crate) telemetry: Telemetry,
    /// The name of the counter of events.
    pub(crate) counter: Arc<str>,
    pub(crate) about: Arc<About>,
    /// None without a page.
    pub(crate) recent: Option<Arc<Recent>>,
}

pub(crate) fn routes(shown: Shown) -> Router {
    let mut router = Router::new()
        .route("/metrics", get(metrics))
        .route("/-/healthy", get(async |State(shown): State<Shown>| told(shown.watched.state().healthy())))
        .route("/-/ready", get(async |State(shown): State<Shown>| told(shown.watched.state().ready())));
    if let Some(recent) = shown.recent.clone() {
        let changing = recent.clone();
        router = router
            .route(
                "/",
                get(async move |State(shown): State<Shown>, Query(filter): Query<Filter>| {
                    page::page(&shown.about, part(&shown, &recent, &filter)).respond()
                }),
            )
            .route(
                "/live",
                get(async move |State(shown): State<Shown>, Query(filter): Query<Filter>| {
                    live(part(&shown, &changing, &filter))
                }),
            );
    }
    router.with_state(shown)
}

fn part(shown: &Shown, recent: &Recent, filter: &Filter) -> Markup {
    page::live(&shown.watched.state(), recent, filter, Timestamp::now())
}

async fn metrics(State(shown): State<Shown>) -> Response {
    let mut text = shown.telemetry.render_recorded();
    text.push_str(&shown.watched.pipeline.exposition(&shown.counter));
    prometheus_text(text)
}

fn told(how: Result<String, String>) -> Response {
    match how {
        Ok(words) => (FRESH, format!("ok: {words}\n")).into_response(),
        Err(words) => (StatusCode::SERVICE_UNAVAILABLE, FRESH, format!("{words}\n")).into_response(),
    }
}
