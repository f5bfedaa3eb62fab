//! A POST for each event, or for several.

use std::fmt;

use futures::FutureExt;
use futures::future::BoxFuture;
use reqwest::Url;

use super::excerpt::address;
use super::http::{EventHeaders, Group, Http, SHORT, TlsOptions, groups, in_order, shown, url};
use super::stdout::lines;
use super::{Body, Delivery, DeliveryError, EncodeError, Record, Sink, SinkError, Text};
use crate::event::EnhancedEvent;

/// What one request holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Requests {
    /// One event, as kubernetes-event-exporter sends it. [`BatchOptions::events`](super::BatchOptions::events) should
    /// be 1, so that the time for an attempt is that for a request.
    #[default]
    One,
    /// A batch, as an array of JSON.
    Array,
    /// A batch, as lines of JSON (`application/x-ndjson`).
    Lines,
}

/// Where and what a [`Webhook`] posts.
#[derive(Clone)]
pub struct WebhookOptions {
    /// The address, with `http://` or `https://`.
    pub endpoint: String,
    /// Headers of each request. Events whose headers differ don't share a request.
    pub headers: Vec<(String, Text)>,
    /// What of an event is sent.
    pub body: Body,
    /// How many go into a request.
    pub requests: Requests,
    /// Whether bodies are compressed; not by default.
    pub gzip: bool,
    /// Options of TLS.
    pub tls: TlsOptions,
}

impl fmt::Debug for WebhookOptions {
    /// Without what may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookOptions").field("endpoint", &address(&self.endpoint)).finish_non_exhaustive()
    }
}

impl WebhookOptions {
    /// To this address, with the defaults.
    pub fn new(endpoint: impl Into<String>) -> Self {
        Self {
            endpoint: endpoint.into(),
            headers: Vec::new(),
            body: Body::default(),
            requests: Requests::One,
            gzip: false,
            tls: TlsOptions::default(),
        }
    }
}

/// Posts events as JSON. An answer of 2xx acknowledges them; 408, 425, 429, redirects and 5xx ask to come again, after
/// `Retry-After` where it is there; so do 401, 403 and 407, until the credentials are set right; everything else refuses
/// them. An endpoint that says 403 to single events, as firewalls do, wants
/// [`RetryOptions::give_up_after`](super::RetryOptions::give_up_after).
///
/// ```
/// use kube_events::sink::webhook::{Requests, Webhook, WebhookOptions};
///
/// let sink = Webhook::new(WebhookOptions {
///     headers: vec![("X-API-Key".to_owned(), "secret".into())],
///     requests: Requests::Lines,
///     ..WebhookOptions::new("https://example.com/hook")
/// })?;
/// # Ok::<(), kube_events::sink::SinkError>(())
/// ```
pub struct Webhook {
    http: Http,
    url: Url,
    headers: EventHeaders,
    body: Body,
    requests: Requests,
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook").field("endpoint", &shown(&self.url)).finish_non_exhaustive()
    }
}

impl Webhook {
    /// Fails where an option can't be used. Connects with the first event.
    pub fn new(options: WebhookOptions) -> Result<Self, SinkError> {
        let (fixed, headers) = EventHeaders::split(&options.headers)?;
        Ok(Self {
            http: Http::new(&options.tls, fixed, options.gzip)?,
            url: url("endpoint", &options.endpoint)?,
            headers,
            body: options.body,
            requests: options.requests,
        })
    }

    async fn send(&self, group: Group<'_>) -> Result<Delivery, DeliveryError> {
        let bodies: Vec<Record> = group.records.iter().map(|record| (*record).clone()).collect();
        let target = bodies.first().map(|record| &*record.target).unwrap_or_default();
        let headers: Vec<(String, String)> = serde_json::from_str(target).unwrap_or_default();
        let (content_type, body) = match self.requests {
            Requests::One => ("application/json", bodies.iter().flat_map(|record| record.body.to_vec()).collect()),
            Requests::Array => {
                let bodies: Vec<&[u8]> = bodies.iter().map(|record| &*record.body).collect();
                ("application/json", [b"[", &*bodies.join(&b','), b"]"].concat())
            }
            Requests::Lines => ("application/x-ndjson", lines(&bodies)),
        };
        let headers = EventHeaders::parse(&headers);
        self.http.post(&self.url, content_type, headers, body, SHORT).await?.check()?;
        Ok(Delivery::default())
    }
}

impl Sink for Webhook {
    fn kind(&self) -> &'static str {
        "webhook"
    }

    fn encode(&self, event: &EnhancedEvent) -> Result<Record, EncodeError> {
        let mut record = Record::new(event, self.body.encode(event)?);
        if !self.headers.is_empty() {
            // What is fixed, and may be a secret, is not kept with the record.
            let headers = serde_json::to_string(&self.headers.render(event)?);
            record.target = headers.map_err(|error| EncodeError(error.into()))?.into();
        }
        Ok(record)
    }

    fn deliver<'a>(&'a self, batch: &'a [Record]) -> BoxFuture<'a, Result<Delivery, DeliveryError>> {
        let is_each = self.requests == Requests::One;
        let groups = groups(batch, |place, record| if is_each { (place, "") } else { (0, &*record.target) });
        in_order(groups, |group| self.send(group)).boxed()
    }
}
