//! Events as OpenTelemetry logs.

mod record;

use std::collections::BTreeMap;
use std::fmt;

use futures::FutureExt;
use futures::future::BoxFuture;
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use reqwest::Url;
use secrecy::SecretString;

use super::excerpt::address;
use super::http::{Http, SHORT, TlsOptions, excerpt, groups, headers, shown, url};
use super::{Body, Delivery, DeliveryError, EncodeError, Record, Refused, Sink, SinkError};
use crate::event::EnhancedEvent;
use record::{attribute, log_record};

/// The version of the semantic conventions whose attribute names are used.
pub const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.44.0";

/// Where logs go.
#[derive(Clone)]
pub struct OtlpOptions {
    /// The receiver's address; `/v1/logs` is added where it has no path.
    pub endpoint: String,
    /// Headers of each request.
    pub headers: BTreeMap<String, SecretString>,
    /// Attributes of the resource. `k8s.cluster.name` is added from the event where the cluster has a name.
    pub resource_attributes: BTreeMap<String, String>,
    /// What of an event is the body: as kubernetes-event-exporter's JSON, the default, it is the message alone, since
    /// the attributes say the rest; any other form is a text of JSON.
    pub body: Body,
    /// Whether bodies are compressed; not by default.
    pub gzip: bool,
    /// Options of TLS.
    pub tls: TlsOptions,
}

impl fmt::Debug for OtlpOptions {
    /// Without what may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OtlpOptions").field("endpoint", &address(&self.endpoint)).finish_non_exhaustive()
    }
}

impl OtlpOptions {
    /// To this address, with the defaults.
    pub fn new(endpoint: impl Into<String>) -> Self {
        Self {
            endpoint: endpoint.into(),
            headers: BTreeMap::new(),
            resource_attributes: BTreeMap::new(),
            body: Body::default(),
            gzip: false,
            tls: TlsOptions::default(),
        }
    }
}

/// Exports each event as a log record, over HTTP with protobuf.
///
/// Warnings are `WARN`, the rest is `INFO`. Attributes are those of the semantic conventions: `k8s.event.*`,
/// `k8s.object.*`, `k8s.namespace.name`, and of built-in kinds `k8s.pod.name`, `k8s.pod.uid`, `k8s.pod.label.KEY`.
///
/// Answers are read by the OTLP specification: 2xx is taken, 429, 502, 503 and 504 (and redirects) come again, all
/// else is refused; but 401, 403 and 407, by which it would lose all until someone sets the credentials right, come
/// again. Of a batch that was taken in part, the specification lets nobody know which records were refused,
/// and forbids to send it again: so many are counted as refused.
///
/// ```
/// use kube_events::sink::Otlp;
/// use kube_events::sink::otlp::OtlpOptions;
///
/// let sink = Otlp::new(OtlpOptions { gzip: true, ..OtlpOptions::new("http://collector:4318") })?;
/// # Ok::<(), kube_events::sink::SinkError>(())
/// ```
pub struct Otlp {
    http: Http,
    url: Url,
    attributes: BTreeMap<String, String>,
    body: Body,
}

impl fmt::Debug for Otlp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Otlp").field("endpoint", &shown(&self.url)).finish_non_exhaustive()
    }
}

impl Otlp {
    /// Fails where an option can't be used. Connects with the first batch.
    pub fn new(options: OtlpOptions) -> Result<Self, SinkError> {
        let mut url = url("endpoint", &options.endpoint)?;
        if url.path() == "/" {
            url.set_path("/v1/logs");
        }
        let http = Http::new(&options.tls, headers(&options.headers)?, options.gzip)?;
        Ok(Self { http, url, attributes: options.resource_attributes, body: options.body })
    }

    fn resource(&self, cluster: &str) -> Resource {
        let own = self.attributes.iter().filter(|(key, _)| cluster.is_empty() || *key != CLUSTER);
        let own = own.map(|(key, value)| attribute(key, value));
        let cluster = (!cluster.is_empty()).then(|| attribute(CLUSTER, cluster));
        Resource { attributes: own.chain(cluster).collect(), ..Resource::default() }
    }

    fn request(&self, batch: &[Record]) -> Result<ExportLogsServiceRequest, DeliveryError> {
        let scope = InstrumentationScope {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..InstrumentationScope::default()
        };
        let mut resource_logs = Vec::new();
        for group in groups(batch, |_, record| &*record.target) {
            let records = group.records.iter().map(|record| LogRecord::decode(&*record.body));
            let log_records = records.collect::<Result<_, _>>().map_err(DeliveryError::refused)?;
            let cluster = group.records.first().map(|record| &*record.target).unwrap_or_default();
            resource_logs.push(ResourceLogs {
                resource: Some(self.resource(cluster)),
                scope_logs: vec![ScopeLogs { scope: Some(scope.clone()), log_records, ..ScopeLogs::default() }],
                schema_url: SCHEMA_URL.to_owned(),
            });
        }
        Ok(ExportLogsServiceRequest { resource_logs })
    }

    async fn send(&self, batch: &[Record]) -> Result<Delivery, DeliveryError> {
        let body = self.request(batch)?.encode_to_vec();
        let answer = self.http.post(&self.url, "application/x-protobuf", HeaderMap::new(), body, SHORT).await?;
        let status = answer.status;
        let is_later = status.is_redirection()
            || matches!(
                status,
                StatusCode::UNAUTHORIZED
                    | StatusCode::FORBIDDEN
                    | StatusCode::PROXY_AUTHENTICATION_REQUIRED
                    | StatusCode::TOO_MANY_REQUESTS
                    | StatusCode::BAD_GATEWAY
                    | StatusCode::SERVICE_UNAVAILABLE
                    | StatusCode::GATEWAY_TIMEOUT
            );
        match answer.check() {
            Err(DeliveryError::Again { cause, .. }) if !is_later => return Err(DeliveryError::Refused { cause }),
            checked => checked?,
        }
        // That it was taken is known: what can't be read besides is no reason to send it twice.
        let response = ExportLogsServiceResponse::decode(&*answer.body).unwrap_or_default();
        let partial = response.partial_success.unwrap_or_default();
        let said = excerpt(&partial.error_message);
        let rejected = usize::try_from(partial.rejected_log_records).unwrap_or(0).min(batch.len());
        if rejected == 0 && !said.is_empty() {
            tracing::warn!(endpoint = %shown(&self.url), said, "the receiver of logs has a warning");
        }
        let reason = format!("{rejected} of {} log records were refused: {said}", batch.len());
        let refused = (0..rejected).map(|index| Refused { index, reason: reason.clone() }).collect();
        Ok(Delivery { again: Vec::new(), refused })
    }
}

const CLUSTER: &str = "k8s.cluster.name";

impl Sink for Otlp {
    fn kind(&self) -> &'static str {
        "otlp"
    }

    fn encode(&self, event: &EnhancedEvent) -> Result<Record, EncodeError> {
        let text = if self.body.is_plain() {
            event.event.message.clone()
        } else {
            String::from_utf8_lossy(&self.body.encode(event)?).into_owned()
        };
        let mut record = Record::new(event, log_record(event, text, Timestamp::now()).encode_to_vec());
        record.target = (*event.cluster_name).into();
        Ok(record)
    }

    fn deliver<'a>(&'a self, batch: &'a [Record]) -> BoxFuture<'a, Result<Delivery, DeliveryError>> {
        self.send(batch).boxed()
    }
}
