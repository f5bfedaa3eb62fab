//! Scrapes over HTTP: a request's head in, a response with a streaming body out. Feature `http`.
//!
//! It brings no server. [`Scraper::respond`] gives plain [`http`] types, which axum, hyper and others take as they are:
//!
//! ```no_run
//! use ksm_core::{Ksm, scrape::{Encoding, Scraper}};
//!
//! # fn example(ksm: std::sync::Arc<Ksm>, request: http::Request<()>) {
//! let scraper = Scraper::new(ksm).encoding(Encoding::GzipCached);
//! let (head, _) = request.into_parts();
//! let response = scraper.respond(&head.headers, head.uri.query());
//! # }
//! ```

mod body;
mod request;

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER, VARY};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use tokio::sync::Semaphore;

pub use body::{BodyError, ScrapeBody};
pub use request::{accepts_gzip, query};

use crate::engine::Ksm;
use crate::exposition::{Format, GzipCache};
use body::Content;

/// Scrapes that are answered at once, unless [`Scraper::max_concurrent`] says otherwise: far more than the replicas
/// of a Prometheus, and few enough to bound what slow readers hold.
const MAX_CONCURRENT: usize = 16;

/// How bodies are encoded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Encoding {
    /// As they are, whatever the client accepts: kube-state-metrics' default.
    #[default]
    Plain,
    /// Gzip where the client accepts it, compressed anew for each scrape.
    Gzip,
    /// Gzip where the client accepts it. What did not change since the last scrape is not compressed again, for the
    /// price of the compressed exposition in memory.
    GzipCached,
}

/// Answers scrapes.
#[derive(Debug)]
pub struct Scraper {
    ksm: Arc<Ksm>,
    encoding: Encoding,
    cache: Arc<GzipCache>,
    max_concurrent: usize,
    permits: Arc<Semaphore>,
}

impl Scraper {
    /// A scraper of what `ksm` watches.
    pub fn new(ksm: Arc<Ksm>) -> Self {
        Self {
            ksm,
            encoding: Encoding::default(),
            cache: Arc::default(),
            max_concurrent: MAX_CONCURRENT,
            permits: Arc::new(Semaphore::new(MAX_CONCURRENT)),
        }
    }

    /// How bodies are encoded.
    pub fn encoding(mut self, encoding: Encoding) -> Self {
        self.encoding = encoding;
        self
    }

    /// How many scrapes are answered at a time, 16 by default. More are told to come back by a 503. A slow reader
    /// holds on to the state that it reads, so this bounds memory.
    pub fn max_concurrent(mut self, scrapes: usize) -> Self {
        self.max_concurrent = scrapes;
        self.permits = Arc::new(Semaphore::new(scrapes.min(Semaphore::MAX_PERMITS)));
        self
    }

    /// What is scraped.
    pub fn ksm(&self) -> &Arc<Ksm> {
        &self.ksm
    }

    /// Answers a scrape: the format by `Accept`, the encoding by `Accept-Encoding`, and only some resources by
    /// `?resources=pods,nodes` and `?exclude_resources=leases` (which wins) in the URL's query.
    ///
    /// Must be called within a tokio runtime, on which bodies are compressed.
    pub fn respond(&self, headers: &HeaderMap, url_query: Option<&str>) -> Response<ScrapeBody> {
        let Ok(permit) = self.permits.clone().try_acquire_owned() else {
            metrics::counter!("ksm_core_scrapes_refused_total").increment(1);
            return self.busy();
        };
        let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let format = Format::negotiate(text(ACCEPT));
        let gzip = self.encoding != Encoding::Plain && accepts_gzip(text(ACCEPT_ENCODING));
        let exposition = self.ksm.exposition(&query(url_query), format);
        let content = match (gzip, self.encoding) {
            (false, _) => Content::plain(exposition),
            (true, Encoding::GzipCached) => Content::cached(exposition, self.cache.clone()),
            (true, _) => Content::gzip(exposition),
        };
        let mut response = Response::new(ScrapeBody::new(content, permit, Instant::now()));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
        if self.encoding != Encoding::Plain {
            headers.insert(VARY, HeaderValue::from_static("accept, accept-encoding"));
        }
        if gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response
    }

    fn busy(&self) -> Response<ScrapeBody> {
        let message = format!("{} scrapes are being answered, and no more at a time: try again\n", self.max_concurrent);
        let mut response = Response::new(ScrapeBody::whole(Bytes::from(message)));
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        response
    }
}
