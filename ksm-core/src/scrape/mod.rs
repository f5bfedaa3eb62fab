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
pub use request::{QueryError, query};

use crate::engine::Ksm;
use crate::exposition::{Exposition, Format, GzipCache};
use crate::selector::Query;
use body::Content;
use request::{Coding, joined};

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
    /// price of the compressed exposition in memory, up to [`GzipCache::DEFAULT_LIMIT`] or
    /// [another limit](Scraper::gzip_cache). Selected samples (`?namespace=`, `?match[]=`) are compressed anew.
    GzipCached,
}

/// Answers scrapes.
#[derive(Debug)]
pub struct Scraper {
    ksm: Arc<Ksm>,
    encoding: Encoding,
    #[cfg(feature = "zstd")]
    zstd: bool,
    cache: GzipCache,
    max_concurrent: usize,
    permits: Arc<Semaphore>,
}

impl Scraper {
    /// A scraper of what `ksm` watches.
    pub fn new(ksm: Arc<Ksm>) -> Self {
        Self {
            ksm,
            encoding: Encoding::default(),
            #[cfg(feature = "zstd")]
            zstd: false,
            cache: GzipCache::default(),
            max_concurrent: MAX_CONCURRENT,
            permits: Arc::new(Semaphore::new(MAX_CONCURRENT)),
        }
    }

    /// How bodies are encoded.
    pub fn encoding(mut self, encoding: Encoding) -> Self {
        self.encoding = encoding;
        self
    }

    /// The cache of [`Encoding::GzipCached`]: one with another limit, or one that several scrapers share.
    pub fn gzip_cache(mut self, cache: GzipCache) -> Self {
        self.cache = cache;
        self
    }

    /// Zstandard too, where the client wants it at least as much as gzip: a fraction of gzip's time, and fewer bytes.
    /// Feature `zstd`.
    #[cfg(feature = "zstd")]
    pub fn zstd(mut self, offered: bool) -> Self {
        self.zstd = offered;
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

    /// Answers a `GET`: the format by `Accept`, the encoding by `Accept-Encoding`, and the part that the URL's
    /// [query] asks for.
    ///
    /// Must be called within a tokio runtime, on whose threads bodies are made.
    pub fn respond(&self, headers: &HeaderMap, url_query: Option<&str>) -> Response<ScrapeBody> {
        let Ok(permit) = self.permits.clone().try_acquire_owned() else {
            return self.busy();
        };
        let query = match query(url_query) {
            Ok(query) => query,
            Err(error) => return bad_query(&error),
        };
        let begin = Instant::now();
        let format = Format::negotiate(Some(&joined(headers, ACCEPT)));
        let coding = self.coding(headers);
        match self.content(self.ksm.exposition(&query, format), &query, coding) {
            Ok(content) => Self::headed(format, coding, ScrapeBody::new(content, coding, permit, begin)),
            Err(error) => refusal(
                StatusCode::INTERNAL_SERVER_ERROR,
                "encoder",
                format!("{} can't be written: {error}\n", coding.name()),
            ),
        }
    }

    /// Answers a `HEAD`: what [`respond`](Self::respond) would answer, without the body, and without having read
    /// anything.
    pub fn head(&self, headers: &HeaderMap, url_query: Option<&str>) -> Response<ScrapeBody> {
        match query(url_query) {
            Ok(_) => {
                let format = Format::negotiate(Some(&joined(headers, ACCEPT)));
                Self::headed(format, self.coding(headers), ScrapeBody::whole(Bytes::new()))
            }
            Err(error) => bad_query(&error).map(|_| ScrapeBody::whole(Bytes::new())),
        }
    }

    fn coding(&self, headers: &HeaderMap) -> Coding {
        let mut offered = Vec::with_capacity(2);
        #[cfg(feature = "zstd")]
        offered.extend(self.zstd.then_some(Coding::Zstd));
        offered.extend((self.encoding != Encoding::Plain).then_some(Coding::Gzip));
        Coding::negotiate(&joined(headers, ACCEPT_ENCODING), &offered)
    }

    #[cfg_attr(not(feature = "zstd"), expect(clippy::unnecessary_wraps, reason = "only zstd's encoder can fail"))]
    fn content(&self, exposition: Exposition, query: &Query, coding: Coding) -> std::io::Result<Content> {
        Ok(match coding {
            Coding::Identity => Content::plain(exposition),
            Coding::Gzip if self.encoding == Encoding::GzipCached && !query.is_partial() => {
                Content::worked(self.cache.compress(exposition))
            }
            Coding::Gzip => Content::worked(exposition.gzip_blocks()),
            #[cfg(feature = "zstd")]
            Coding::Zstd => Content::worked(exposition.zstd_blocks()?),
        })
    }

    fn headed(format: Format, coding: Coding, body: ScrapeBody) -> Response<ScrapeBody> {
        let mut response = Response::new(body);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
        headers.insert(VARY, HeaderValue::from_static("accept, accept-encoding"));
        if coding != Coding::Identity {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
        }
        response
    }

    fn busy(&self) -> Response<ScrapeBody> {
        let message = format!("{} scrapes are being answered, and no more at a time: try again\n", self.max_concurrent);
        let mut response = refusal(StatusCode::SERVICE_UNAVAILABLE, "busy", message);
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        response
    }
}

fn bad_query(error: &QueryError) -> Response<ScrapeBody> {
    refusal(StatusCode::BAD_REQUEST, "query", format!("{error}\n"))
}

fn refusal(status: StatusCode, reason: &'static str, message: String) -> Response<ScrapeBody> {
    metrics::counter!("ksm_core_scrapes_refused_total", "reason" => reason).increment(1);
    let mut response = Response::new(ScrapeBody::whole(Bytes::from(message)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
