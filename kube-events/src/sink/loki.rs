//! Lines for Loki.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::Timestamp;
use reqwest::Url;
use serde::{Deserialize, Serialize};

use super::excerpt::address;
use super::http::{EventHeaders, Group, Http, SHORT, TlsOptions, groups, in_order, shown, url};
use super::{Body, Delivery, DeliveryError, EncodeError, Record, Sink, SinkError, Text};
use crate::event::EnhancedEvent;

/// Where lines go, and of which streams they are.
#[derive(Clone)]
pub struct LokiOptions {
    /// The whole address: `http://loki:3100/loki/api/v1/push`.
    pub url: String,
    /// The labels of the stream, at least one. Each set of values is a stream: mind how many there will be.
    pub stream_labels: BTreeMap<String, Text>,
    /// Headers of each request, as `X-Scope-OrgID` for the tenant. Events whose headers differ don't share a request.
    pub headers: Vec<(String, Text)>,
    /// What of an event is the line.
    pub body: Body,
    /// Whether bodies are compressed; not by default.
    pub gzip: bool,
    /// Options of TLS.
    pub tls: TlsOptions,
}

impl fmt::Debug for LokiOptions {
    /// Without what may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LokiOptions").field("url", &address(&self.url)).finish_non_exhaustive()
    }
}

impl LokiOptions {
    /// To this address, with one label.
    pub fn new(url: impl Into<String>, label: impl Into<String>, value: impl Into<Text>) -> Self {
        Self {
            url: url.into(),
            stream_labels: [(label.into(), value.into())].into(),
            headers: Vec::new(),
            body: Body::default(),
            gzip: false,
            tls: TlsOptions::default(),
        }
    }
}

/// Pushes events as lines, at the time when they happened, or now, if that is to come. 2xx acknowledges a batch; of one that is refused (400: too
/// old, out of order, too many streams), each line is tried alone in the end, and Loki drops what it has already. 401
/// and 403 come again.
///
/// ```
/// use kube_events::sink::Loki;
/// use kube_events::sink::loki::LokiOptions;
///
/// let sink = Loki::new(LokiOptions {
///     headers: vec![("X-Scope-OrgID".to_owned(), "team".into())],
///     ..LokiOptions::new("http://loki:3100/loki/api/v1/push", "job", "kube-events")
/// })?;
/// # Ok::<(), kube_events::sink::SinkError>(())
/// ```
pub struct Loki {
    http: Http,
    url: Url,
    labels: BTreeMap<String, Text>,
    headers: EventHeaders,
    body: Body,
}

impl fmt::Debug for Loki {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loki").field("url", &shown(&self.url)).finish_non_exhaustive()
    }
}

/// What a record's target says: where in Loki its line goes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    labels: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    headers: Vec<(String, String)>,
}

#[derive(Serialize)]
struct Push<'a> {
    streams: Vec<Stream<'a>>,
}

#[derive(Serialize)]
struct Stream<'a> {
    stream: BTreeMap<String, String>,
    /// Nanoseconds since 1970, and the line.
    values: Vec<(String, std::borrow::Cow<'a, str>)>,
}

impl Loki {
    /// Fails where an option can't be used. Connects with the first batch.
    pub fn new(options: LokiOptions) -> Result<Self, SinkError> {
        if options.stream_labels.is_empty() {
            return Err(SinkError::option("streamLabels", "Loki takes no stream without labels: give at least one"));
        }
        if let Some(name) = options.stream_labels.keys().find(|name| !is_label(name)) {
            let problem = format!("`{name}`: a label has letters, digits and `_`, and begins with no digit");
            return Err(SinkError::option("streamLabels", problem));
        }
        let (fixed, headers) = EventHeaders::split(&options.headers)?;
        Ok(Self {
            http: Http::new(&options.tls, fixed, options.gzip)?,
            url: url("url", &options.url)?,
            labels: options.stream_labels,
            headers,
            body: options.body,
        })
    }

    async fn send(&self, group: Group<'_>) -> Result<Delivery, DeliveryError> {
        let mut headers = Vec::new();
        let mut streams: Vec<Stream<'_>> = Vec::new();
        let mut known: HashMap<&str, usize> = HashMap::new();
        for record in &group.records {
            let at = *known.entry(&*record.target).or_insert_with(|| {
                let place: Place = serde_json::from_str(&record.target).unwrap_or_default();
                headers = place.headers;
                streams.push(Stream { stream: place.labels, values: Vec::new() });
                streams.len() - 1
            });
            if let Some(stream) = streams.get_mut(at) {
                let nanos = i128::from(record.time_ms) * 1_000_000;
                stream.values.push((nanos.to_string(), String::from_utf8_lossy(&record.body)));
            }
        }
        let body = serde_json::to_vec(&Push { streams }).map_err(DeliveryError::refused)?;
        let headers = EventHeaders::parse(&headers);
        self.http.post(&self.url, "application/json", headers, body, SHORT).await?.check()?;
        Ok(Delivery::default())
    }
}

fn is_label(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

impl Sink for Loki {
    fn kind(&self) -> &'static str {
        "loki"
    }

    fn encode(&self, event: &EnhancedEvent) -> Result<Record, EncodeError> {
        let mut record = Record::new(event, self.body.encode(event)?);
        // Loki refuses what is of more than ten minutes to come, as the clocks of nodes may have it.
        let now = Timestamp::now().as_millisecond();
        record.time_ms = event.timestamp_ms().map_or(now, |time| time.min(now));
        let labels = self.labels.iter().map(|(name, text)| Ok((name.clone(), text.render(event)?)));
        let place = Place { labels: labels.collect::<Result<_, EncodeError>>()?, headers: self.headers.render(event)? };
        record.target = serde_json::to_string(&place).map_err(|error| EncodeError(error.into()))?.into();
        Ok(record)
    }

    fn deliver<'a>(&'a self, batch: &'a [Record]) -> BoxFuture<'a, Result<Delivery, DeliveryError>> {
        let is_one = self.headers.is_empty();
        let headers = |record: &Record| serde_json::from_str::<Place>(&record.target).unwrap_or_default().headers;
        let groups = groups(batch, |_, record| if is_one { Vec::new() } else { headers(record) });
        in_order(groups, |group| self.send(group)).boxed()
    }
}
