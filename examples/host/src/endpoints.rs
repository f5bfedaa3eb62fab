//! The endpoints that every host of `ksm-core` has.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use ksm_core::scrape::Scraper;
use kube::Client;
use tokio::time::timeout;

use crate::auth::AuthFilter;
use crate::telemetry::Telemetry;

/// How long the API server may take to say that it lives.
const LIVEZ: Duration = Duration::from_secs(5);

/// What the endpoints answer from.
#[derive(Clone)]
pub struct Endpoints {
    /// Answers `/metrics`.
    pub scraper: Arc<Scraper>,
    /// Asks the API server for `/livez`.
    pub client: Client,
    /// Answers the telemetry port's `/metrics`.
    pub telemetry: Telemetry,
    /// Says who may get `/metrics`, on both ports; `None`: everybody.
    pub auth: Option<Arc<AuthFilter>>,
}

impl fmt::Debug for Endpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoints").field("scraper", &self.scraper).finish_non_exhaustive()
    }
}

impl Endpoints {
    /// The cluster's metrics and health: `/metrics`, `/healthz`, `/livez`, `/readyz`.
    pub fn main(&self) -> Router {
        Router::new()
            .merge(self.guarded(get(scrape)))
            .route("/livez", get(livez))
            .route("/healthz", get(async || "ok\n"))
            .route("/readyz", get(readyz))
            .with_state(self.clone())
    }

    /// The program's own metrics and health: `/metrics`, `/healthz`, `/readyz`.
    pub fn telemetry(&self) -> Router {
        Router::new()
            .merge(self.guarded(get(own_metrics)))
            .route("/healthz", get(async || "ok\n"))
            .route("/readyz", get(readyz))
            .with_state(self.clone())
    }

    fn guarded(&self, metrics: MethodRouter<Self>) -> Router<Self> {
        let router = Router::new().route("/metrics", metrics);
        let Some(filter) = self.auth.clone() else { return router };
        router.layer(from_fn(move |request: Request, next: Next| filter.clone().check(request, next)))
    }

    /// The program's own metrics as a response, for a host that serves them under a path of its own.
    pub fn own_metrics(&self) -> Response {
        prometheus_text(self.telemetry.render(self.scraper.ksm()))
    }
}

/// Metrics in Prometheus' text format as a response.
pub fn prometheus_text(text: String) -> Response {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

async fn scrape(State(endpoints): State<Endpoints>, request: Request) -> Response {
    let (headers, query) = (request.headers(), request.uri().query());
    let response = match *request.method() {
        Method::HEAD => endpoints.scraper.head(headers, query),
        _ => endpoints.scraper.respond(headers, query),
    };
    response.map(Body::new)
}

async fn own_metrics(State(endpoints): State<Endpoints>) -> Response {
    endpoints.own_metrics()
}

/// Ready when every resource was listed once; until then it says which ones were not.
async fn readyz(State(endpoints): State<Endpoints>) -> Response {
    let statuses = endpoints.scraper.ksm().status();
    let missing: Vec<String> = statuses
        .into_iter()
        .filter(|status| status.synced_for.is_none())
        .map(|status| match (status.namespace, status.last_error) {
            (None, None) => status.resource,
            (Some(namespace), None) => format!("{} in {namespace}", status.resource),
            (None, Some((error, _))) => format!("{}: {error}", status.resource),
            (Some(namespace), Some((error, _))) => format!("{} in {namespace}: {error}", status.resource),
        })
        .collect();
    if missing.is_empty() {
        "ok\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, format!("not listed yet:\n{}\n", missing.join("\n"))).into_response()
    }
}

/// Alive as long as the API server says that it is.
async fn livez(State(endpoints): State<Endpoints>) -> Response {
    let failure = match http::Request::get("/livez").body(Vec::new()) {
        Err(error) => error.to_string(),
        Ok(request) => match timeout(LIVEZ, endpoints.client.request_text(request)).await {
            Ok(Ok(_)) => return "ok\n".into_response(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {LIVEZ:?}"),
        },
    };
    (StatusCode::SERVICE_UNAVAILABLE, format!("the API server: {failure}\n")).into_response()
}
