//! Documents for Elasticsearch and OpenSearch, by their bulk API.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::FutureExt;
use futures::future::BoxFuture;
use http::HeaderMap;
use jiff::Timestamp;
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::excerpt::address;
use super::http::{Http, TlsOptions, basic, excerpt, header, headers, shown, url};
use super::{Body, Delivery, DeliveryError, EncodeError, Record, Refused, Sink, SinkError};
use crate::event::EnhancedEvent;
use crate::layout::IndexFormat;

/// The most of an answer that is read. One item is a few hundred bytes, of what is asked for.
const MAX_ANSWER: usize = 16 << 20;
/// What is asked for of the answer: not the document's id, shards and so on, for each item.
const FILTER: &str = "errors,error.type,error.reason,items.*.status,items.*.error.type,items.*.error.reason";

/// Where documents go, and as whom.
#[derive(Clone)]
pub struct SearchOptions {
    /// Addresses, with `http://` or `https://`. When one fails, the next attempt is for the next.
    pub hosts: Vec<String>,
    /// An id of Elastic's cloud, instead of hosts.
    pub cloud_id: Option<String>,
    /// The index, perhaps by the event's time.
    pub index: IndexFormat,
    /// Whether a document's id is the event's UID, so that an event's next state replaces the one before, and what is
    /// sent twice is there once. The index is then that of the time when the event was first seen: an id is unique in
    /// its index only.
    pub use_event_id: bool,
    /// Whether documents are created only, and never replaced, as data streams want it.
    pub create: bool,
    /// The documents' type, for servers before version 7.
    pub type_: Option<String>,
    /// Name and password.
    pub user: Option<(String, SecretString)>,
    /// A key of the API, base64 as the server gives it.
    pub api_key: Option<SecretString>,
    /// Headers of each request.
    pub headers: BTreeMap<String, SecretString>,
    /// What of an event is sent.
    pub body: Body,
    /// Whether bodies are compressed; not by default.
    pub gzip: bool,
    /// Options of TLS.
    pub tls: TlsOptions,
}

impl fmt::Debug for SearchOptions {
    /// Without what may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts: Vec<_> = self.hosts.iter().map(|host| address(host)).collect();
        f.debug_struct("SearchOptions").field("hosts", &hosts).finish_non_exhaustive()
    }
}

impl SearchOptions {
    /// To these hosts, with the defaults.
    pub fn new(hosts: impl IntoIterator<Item = impl Into<String>>, index: IndexFormat) -> Self {
        Self {
            hosts: hosts.into_iter().map(Into::into).collect(),
            cloud_id: None,
            index,
            use_event_id: false,
            create: false,
            type_: None,
            user: None,
            api_key: None,
            headers: BTreeMap::new(),
            body: Body::default(),
            gzip: false,
            tls: TlsOptions::default(),
        }
    }
}

/// Writes events as documents, by `_bulk`.
///
/// Each document is answered for: those that find the server busy (429, 5xx), the index blocked or not there, or rights
/// missing (401, 403) come again, those that it can't take (mappings, above all) are refused. Of a request as a whole,
/// what asks for other credentials comes again as well.
///
/// ```
/// use kube_events::layout::IndexFormat;
/// use kube_events::sink::Elasticsearch;
/// use kube_events::sink::elasticsearch::SearchOptions;
///
/// let sink = Elasticsearch::new(SearchOptions {
///     use_event_id: true,
///     ..SearchOptions::new(["https://search:9200"], IndexFormat::new("kube-events-{2006-01-02}"))
/// })?;
/// # Ok::<(), kube_events::sink::SinkError>(())
/// ```
pub struct Elasticsearch {
    http: Http,
    hosts: Vec<Url>,
    current: AtomicUsize,
    index: IndexFormat,
    use_event_id: bool,
    create: bool,
    type_: Option<String>,
    body: Body,
}

impl fmt::Debug for Elasticsearch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts: Vec<String> = self.hosts.iter().map(shown).collect();
        f.debug_struct("Elasticsearch").field("hosts", &hosts).finish_non_exhaustive()
    }
}

#[derive(Serialize)]
enum Action<'a> {
    #[serde(rename = "index")]
    Index(Target<'a>),
    #[serde(rename = "create")]
    Create(Target<'a>),
}

#[derive(Serialize)]
struct Target<'a> {
    #[serde(rename = "_index")]
    index: &'a str,
    #[serde(rename = "_type", skip_serializing_if = "Option::is_none")]
    type_: Option<&'a str>,
    #[serde(rename = "_id", skip_serializing_if = "str::is_empty")]
    id: &'a str,
}

#[derive(Deserialize)]
struct Answered {
    errors: bool,
    #[serde(default)]
    items: Vec<BTreeMap<String, Item>>,
}

#[derive(Deserialize)]
struct Item {
    status: u16,
    #[serde(default)]
    error: Option<ItemError>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ItemError {
    #[serde(rename = "type")]
    kind: Option<String>,
    reason: Option<String>,
}

impl Elasticsearch {
    /// Fails where an option can't be used. Connects with the first batch.
    pub fn new(options: SearchOptions) -> Result<Self, SinkError> {
        let mut hosts = options.hosts.iter().map(|host| bulk(url("hosts", host)?)).collect::<Result<Vec<_>, _>>()?;
        if let Some(id) = options.cloud_id.filter(|id| !id.is_empty()) {
            hosts = vec![bulk(cloud(&id)?)?];
        }
        if hosts.is_empty() {
            return Err(SinkError::option("hosts", "at least one address is wanted"));
        }
        let mut fixed: HeaderMap = headers(&options.headers)?;
        if let Some((name, password)) = &options.user {
            fixed.extend([basic(name, Some(password))?]);
        }
        if let Some(key) = &options.api_key {
            fixed.extend([header("authorization", &format!("ApiKey {}", key.expose_secret()))?]);
        }
        Ok(Self {
            http: Http::new(&options.tls, fixed, options.gzip)?,
            hosts,
            current: AtomicUsize::new(0),
            index: options.index,
            use_event_id: options.use_event_id,
            create: options.create,
            type_: options.type_.filter(|type_| !type_.is_empty()),
            body: options.body,
        })
    }

    fn lines(&self, batch: &[Record]) -> Result<Vec<u8>, DeliveryError> {
        let mut lines = Vec::with_capacity(batch.iter().map(|record| record.len() + 64).sum());
        for record in batch {
            let target = Target { index: &record.target, type_: self.type_.as_deref(), id: &record.key };
            let action = if self.create { Action::Create(target) } else { Action::Index(target) };
            serde_json::to_writer(&mut lines, &action).map_err(DeliveryError::refused)?;
            lines.push(b'\n');
            lines.extend_from_slice(&record.body);
            lines.push(b'\n');
        }
        Ok(lines)
    }

    async fn send(&self, batch: &[Record]) -> Result<Delivery, DeliveryError> {
        let at = self.current.load(Ordering::Relaxed);
        let Some(url) = self.hosts.get(at % self.hosts.len()) else { return Ok(Delivery::default()) };
        let sent = self.http.post(url, "application/x-ndjson", HeaderMap::new(), self.lines(batch)?, MAX_ANSWER).await;
        let checked = sent.and_then(|answer| answer.check().map(|()| answer));
        let answer = checked.inspect_err(|error| {
            if matches!(error, DeliveryError::Again { .. }) {
                self.current.store(at.wrapping_add(1), Ordering::Relaxed);
            }
        })?;
        if !answer.is_whole {
            return Err(DeliveryError::again("the answer broke off, or was too long: what it took is not known"));
        }
        let answered: Answered = serde_json::from_slice(&answer.body).map_err(|error| {
            let said = excerpt(&String::from_utf8_lossy(&answer.body));
            DeliveryError::again(format!("this is no answer of the bulk API ({error}): {said}"))
        })?;
        self.read(answered, batch.len())
    }

    fn read(&self, answered: Answered, expected: usize) -> Result<Delivery, DeliveryError> {
        let mut delivery = Delivery::default();
        if !answered.errors {
            return Ok(delivery);
        }
        if answered.items.len() != expected {
            let got = answered.items.len();
            return Err(DeliveryError::again(format!("{got} of {expected} documents were answered for")));
        }
        for (index, item) in answered.items.into_iter().enumerate() {
            let Some(item) = item.into_values().next() else {
                delivery.again.push(index);
                continue;
            };
            let error = item.error.unwrap_or_default();
            let kind = error.kind.unwrap_or_default();
            match item.status {
                200..=299 => {}
                // It is there already.
                409 if self.create => {}
                // It is busy; or rights are missing, or the index is read-only, as when disks are full.
                401 | 403 | 429 | 500..=599 => delivery.again.push(index),
                // An index that is not there and not made by itself: somebody has to.
                404 if kind == "index_not_found_exception" => delivery.again.push(index),
                status => {
                    let reason = excerpt(&error.reason.unwrap_or_default());
                    delivery.refused.push(Refused { index, reason: format!("{status} {kind}: {reason}") });
                }
            }
        }
        Ok(delivery)
    }
}

/// The address of the bulk API below that of a host.
fn bulk(mut url: Url) -> Result<Url, SinkError> {
    let whole = url.path_segments_mut().map(|mut path| {
        path.pop_if_empty().push("_bulk");
    });
    whole.map_err(|()| SinkError::option("hosts", "an address with a host is wanted"))?;
    url.query_pairs_mut().append_pair("filter_path", FILTER);
    Ok(url)
}

/// `name:base64(host[:port]$id$…)`.
fn cloud(text: &str) -> Result<Url, SinkError> {
    use base64::Engine as _;
    let wrong = || SinkError::option("cloudID", "this is none: copy it from the deployment's page");
    let encoded = text.rsplit(':').next().unwrap_or_default();
    let decoded = base64::engine::general_purpose::STANDARD.decode(encoded).map_err(|_| wrong())?;
    let decoded = String::from_utf8(decoded).map_err(|_| wrong())?;
    let mut parts = decoded.split('$');
    let (Some(host), Some(id)) = (parts.next(), parts.next().filter(|id| !id.is_empty())) else { return Err(wrong()) };
    url("cloudID", &format!("https://{id}.{host}"))
}

impl Sink for Elasticsearch {
    fn kind(&self) -> &'static str {
        "elasticsearch"
    }

    fn encode(&self, event: &EnhancedEvent) -> Result<Record, EncodeError> {
        let mut record = Record::new(event, self.body.encode(event)?);
        let time = if self.use_event_id { event.event.first_seen() } else { event.timestamp() };
        record.target = self.index.render(time.unwrap_or_else(Timestamp::now)).into();
        record.key = if self.use_event_id { event.uid().into() } else { Box::default() };
        Ok(record)
    }

    fn deliver<'a>(&'a self, batch: &'a [Record]) -> BoxFuture<'a, Result<Delivery, DeliveryError>> {
        self.send(batch).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cloud_id_is_an_address() {
        use base64::Engine as _;
        let id = |text: &str| format!("mine:{}", base64::engine::general_purpose::STANDARD.encode(text));
        let url = |text: &str| cloud(&id(text)).map(String::from);
        assert_eq!(url("eu.example:9243$abc$kibana").unwrap(), "https://abc.eu.example:9243/");
        assert_eq!(url("eu.example$abc").unwrap(), "https://abc.eu.example/");
        for wrong in ["eu.example", "eu.example$", ""] {
            assert!(url(wrong).is_err(), "{wrong}");
        }
        assert!(cloud("mine:???").is_err());
    }
}
