//! How an exporter is set up, and how it starts.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use tokio_util::sync::CancellationToken;

use super::collect::Collector;
use super::endpoint::Endpoint;
#[cfg(feature = "otlp-http")]
use super::endpoint::TlsFiles;
use super::error::ExporterError;
use super::exporter::Exporter;
use super::queue::Queue;
use super::send::Sender;
use super::telemetry::Telemetry;
use super::transport::{Compression, Transport};
use crate::otlp::options::MessageOptions;
use crate::store::Snapshot;

/// The protocol between exporter and receiver.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Protocol {
    /// Protobuf bodies over HTTP, feature `otlp-http`.
    #[default]
    HttpProtobuf,
    /// gRPC, feature `otlp-grpc`.
    Grpc,
}

/// Sets an [`Exporter`] up.
///
/// The defaults are those of the OTLP specification where it has some: HTTP to `http://localhost:4318/v1/metrics`, every
/// 60 seconds, with 10 seconds for an attempt. [`from_env`](Self::from_env) begins with what the environment says.
#[derive(Clone)]
pub struct ExporterBuilder {
    pub(super) endpoint: Endpoint,
    pub(super) protocol: Protocol,
    pub(super) headers: Vec<(String, String)>,
    pub(super) compression: Compression,
    pub(super) timeout: Duration,
    pub(super) interval: Duration,
    max_age: Duration,
    queue_bytes: usize,
    shutdown: Duration,
    messages: MessageOptions,
    transport: Option<Arc<dyn Transport>>,
    cancel: Option<CancellationToken>,
    #[cfg(feature = "otlp-http")]
    pub(super) tls: TlsFiles,
    #[cfg(feature = "otlp-http")]
    client: Option<reqwest::Client>,
    #[cfg(feature = "otlp-grpc")]
    channel: Option<tonic::transport::Channel>,
}

impl Default for ExporterBuilder {
    fn default() -> Self {
        Self {
            endpoint: Endpoint::default(),
            protocol: Protocol::default(),
            headers: Vec::new(),
            compression: Compression::default(),
            timeout: Duration::from_secs(10),
            interval: Duration::from_mins(1),
            max_age: Duration::from_mins(5),
            queue_bytes: 16 << 20,
            shutdown: Duration::from_secs(5),
            messages: MessageOptions::default(),
            transport: None,
            cancel: None,
            #[cfg(feature = "otlp-http")]
            tls: TlsFiles::default(),
            #[cfg(feature = "otlp-http")]
            client: None,
            #[cfg(feature = "otlp-grpc")]
            channel: None,
        }
    }
}

impl std::fmt::Debug for ExporterBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Values of headers are secrets.
        let headers: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("ExporterBuilder")
            .field("endpoint", &self.endpoint)
            .field("protocol", &self.protocol)
            .field("headers", &headers)
            .field("compression", &self.compression)
            .field("timeout", &self.timeout)
            .field("interval", &self.interval)
            .field("max_age", &self.max_age)
            .field("queue_bytes", &self.queue_bytes)
            .field("messages", &self.messages)
            .finish_non_exhaustive()
    }
}

impl ExporterBuilder {
    /// The receiver's URL for all signals: HTTP adds `/v1/metrics` to its path, gRPC takes scheme, host and port.
    pub fn endpoint(mut self, url: impl Into<String>) -> Self {
        self.endpoint.base = Some(url.into());
        self
    }

    /// The receiver's URL for metrics, taken as it is. Wins over [`endpoint`](Self::endpoint).
    pub fn metrics_endpoint(mut self, url: impl Into<String>) -> Self {
        self.endpoint.metrics = Some(url.into());
        self
    }

    /// The protocol, HTTP by default.
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.protocol = protocol;
        self
    }

    /// A header of every request (metadata over gRPC). Values are taken for secrets, and never logged.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// How messages are compressed: gzip unless the environment says otherwise.
    pub fn compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// The time for one attempt to send a message, 10 seconds by default.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The time between two collections, a minute by default. The first begins at once.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// How long after its collection began a message is still worth sending, 5 minutes by default.
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = age;
        self
    }

    /// The most bytes of compressed messages that wait, 16 MiB by default. Beside them there are one message that is
    /// being made and one that is being sent.
    pub fn queue_bytes(mut self, bytes: usize) -> Self {
        self.queue_bytes = bytes;
        self
    }

    /// The longest that [`Exporter::shutdown`] takes, 5 seconds by default.
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.shutdown = timeout;
        self
    }

    /// How samples become messages.
    pub fn messages(mut self, options: MessageOptions) -> Self {
        self.messages = options;
        self
    }

    /// Sends by a transport of the host's. Endpoint, protocol and headers don't apply then.
    pub fn transport(mut self, transport: impl Transport) -> Self {
        self.transport = Some(Arc::new(transport));
        self
    }

    /// Sends HTTP by a client of the host's, with its TLS, proxies and pools.
    #[cfg(feature = "otlp-http")]
    pub fn http_client(mut self, client: reqwest::Client) -> Self {
        self.client = Some(client);
        self
    }

    /// Trusts the certificate authorities of a PEM file, in place of the system's, for HTTPS.
    #[cfg(feature = "otlp-http")]
    pub fn certificate_authorities(mut self, pem: impl Into<std::path::PathBuf>) -> Self {
        self.tls.authorities = Some(pem.into());
        self
    }

    /// Shows a client certificate, for HTTPS: PEM files of the certificate and of its key.
    #[cfg(feature = "otlp-http")]
    pub fn client_certificate(
        mut self,
        certificate: impl Into<std::path::PathBuf>,
        key: impl Into<std::path::PathBuf>,
    ) -> Self {
        self.tls.certificate = Some(certificate.into());
        self.tls.key = Some(key.into());
        self
    }

    /// Calls gRPC over a channel of the host's, with its TLS, balancing and limits. The endpoint does not apply then.
    #[cfg(feature = "otlp-grpc")]
    pub fn channel(mut self, channel: tonic::transport::Channel) -> Self {
        self.channel = Some(channel);
        self
    }

    /// Stops everything at once when the host's token is cancelled, too.
    pub fn cancel_with(mut self, token: CancellationToken) -> Self {
        self.cancel = Some(token);
        self
    }

    /// Starts on the current tokio runtime: one task that collects what `source` gives, one that sends.
    ///
    /// `source` is called once per collection, on a blocking thread.
    pub fn spawn(
        self,
        source: impl Fn() -> Vec<Arc<Snapshot>> + Send + Sync + 'static,
    ) -> Result<Exporter, ExporterError> {
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(ExporterError::NoRuntime);
        }
        for (name, duration) in [("timeout", self.timeout), ("interval", self.interval), ("maximum age", self.max_age)]
        {
            if duration.is_zero() {
                return Err(ExporterError::ZeroDuration { name });
            }
        }
        let transport = match &self.transport {
            Some(transport) => transport.clone(),
            None => self.built_in_transport()?,
        };
        let telemetry = Arc::new(Telemetry::default());
        let queue = Arc::new(Queue::new(self.queue_bytes, telemetry.clone()));
        let mut options = self.messages;
        if options.counters_since.is_none() {
            options.counters_since = Some(options.now());
        }
        let sender = Sender::new(queue.clone(), transport, telemetry.clone(), self.timeout);
        let collector = Collector {
            source: Arc::new(source),
            options,
            compression: self.compression,
            interval: self.interval,
            max_age: self.max_age,
            queue,
            telemetry,
            closing: CancellationToken::new(),
        };
        let stop = self.cancel.map_or_else(CancellationToken::new, |token| token.child_token());
        Ok(Exporter::start(collector, sender, stop, self.shutdown))
    }

    fn built_in_transport(&self) -> Result<Arc<dyn Transport>, ExporterError> {
        let headers = self.header_map()?;
        match self.protocol {
            Protocol::HttpProtobuf => self.http_transport(headers),
            Protocol::Grpc => self.grpc_transport(headers),
        }
    }

    #[cfg(feature = "otlp-http")]
    fn http_transport(&self, headers: HeaderMap) -> Result<Arc<dyn Transport>, ExporterError> {
        let url = self.endpoint.url(Protocol::HttpProtobuf)?;
        let client = match &self.client {
            Some(client) => client.clone(),
            None => {
                let is_https = url.scheme() == Some(&http::uri::Scheme::HTTPS);
                super::HttpTransport::client(super::tls::client_config(&self.tls, is_https)?)?
            }
        };
        Ok(Arc::new(super::HttpTransport::new(client, &url, headers)))
    }

    #[cfg(not(feature = "otlp-http"))]
    fn http_transport(&self, _headers: HeaderMap) -> Result<Arc<dyn Transport>, ExporterError> {
        self.endpoint.url(Protocol::HttpProtobuf)?;
        Err(ExporterError::NotBuiltIn { protocol: "HTTP", feature: "otlp-http" })
    }

    #[cfg(feature = "otlp-grpc")]
    fn grpc_transport(&self, headers: HeaderMap) -> Result<Arc<dyn Transport>, ExporterError> {
        let channel = match &self.channel {
            Some(channel) => channel.clone(),
            None => super::grpc::connect(&self.endpoint.url(Protocol::Grpc)?)?,
        };
        Ok(Arc::new(super::GrpcTransport::new(channel, headers, self.timeout)))
    }

    #[cfg(not(feature = "otlp-grpc"))]
    fn grpc_transport(&self, _headers: HeaderMap) -> Result<Arc<dyn Transport>, ExporterError> {
        self.endpoint.url(Protocol::Grpc)?;
        Err(ExporterError::NotBuiltIn { protocol: "gRPC", feature: "otlp-grpc" })
    }

    fn header_map(&self) -> Result<HeaderMap, ExporterError> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let error = |reason| ExporterError::Header { name: name.clone(), reason };
            let header: HeaderName = name.parse().map_err(|_| error("use letters, digits and hyphens in its name"))?;
            let mut value: HeaderValue =
                value.parse().map_err(|_| error("its value must be visible ASCII text without line breaks"))?;
            value.set_sensitive(true);
            headers.insert(header, value);
        }
        Ok(headers)
    }
}
