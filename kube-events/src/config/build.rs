//! Sinks from configured receivers.

use std::sync::Arc;
use std::time::Duration;

use super::sinks::{Delivery, OnFull, Receiver, Shape, Sink, Syslog};
use crate::sink::{
    self, BatchOptions, Body, Memory, OutletOptions, OverflowPolicy, Records, RetryOptions, SinkError, SpillOptions,
};

/// How many records an `inMemory` receiver holds for the program.
const MEMORY: usize = 1000;
const DAY: u64 = 24 * 60 * 60;

/// What a receiver becomes: what [`Outlet::spawn_boxed`](crate::sink::Outlet::spawn_boxed) takes.
pub struct Built {
    /// The sink.
    pub sink: Arc<dyn sink::Sink>,
    /// How it is treated.
    pub options: OutletOptions,
    /// Where the records of an `inMemory` receiver come out: the program must take them. None for all others.
    pub records: Option<Records>,
}

impl std::fmt::Debug for Built {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Built").field("kind", &self.sink.kind()).field("options", &self.options).finish_non_exhaustive()
    }
}

impl Receiver {
    /// Makes the receiver's sink, without connecting yet. Files of certificates are read.
    ///
    /// ```
    /// use kube_events::config::{Config, Strictness};
    /// use kube_events::sink::Outlet;
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let yaml = "receivers: [{name: dump, stdout: {deDot: true}}]";
    /// let config = Config::parse(yaml, Strictness::Strict, &|_| None)?;
    /// for receiver in &config.receivers {
    ///     let built = receiver.build()?;
    ///     let outlet = Outlet::spawn_boxed(receiver.name.as_str().into(), built.sink, built.options).await?;
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn build(&self) -> Result<Built, SinkError> {
        let mut options = self.delivery.outlet_options();
        let body = body(&self.shape);
        let mut records = None;
        let sink: Arc<dyn sink::Sink> = match &self.sink {
            Sink::Stdout => Arc::new(sink::Stdout::new(body)),
            Sink::InMemory => {
                let (memory, out) = Memory::channel(MEMORY, body);
                options.batch.events = options.batch.events.min(MEMORY);
                records = Some(out);
                Arc::new(memory)
            }
            Sink::File(file) => {
                let mut wanted = sink::file::FileOptions::new(&file.path);
                if file.max_size > 0 {
                    wanted.max_bytes = file.max_size.saturating_mul(1 << 20);
                }
                wanted.max_age = (file.max_age > 0).then(|| Duration::from_secs(file.max_age.saturating_mul(DAY)));
                wanted.max_backups = (file.max_backups > 0).then_some(file.max_backups);
                Arc::new(sink::File::new(wanted, body))
            }
            Sink::Syslog(syslog) => Arc::new(self::syslog(syslog, body)),
            #[cfg(feature = "http-sinks")]
            Sink::Webhook(webhook) => {
                if self.delivery.batch_events.is_none() {
                    options.batch.events = 1;
                }
                Arc::new(http::webhook(webhook, body)?)
            }
            #[cfg(feature = "http-sinks")]
            Sink::Elasticsearch(search) | Sink::OpenSearch(search) => Arc::new(http::search(search, body)?),
            #[cfg(feature = "http-sinks")]
            Sink::Loki(loki) => Arc::new(http::loki(loki, body)?),
            #[cfg(feature = "otlp")]
            Sink::Otlp(otlp) => Arc::new(http::otlp(otlp, body)?),
            #[cfg(not(feature = "http-sinks"))]
            Sink::Webhook(_) => return Err(SinkError::Feature { sink: "webhook", feature: "http-sinks" }),
            #[cfg(not(feature = "http-sinks"))]
            Sink::Elasticsearch(_) => return Err(SinkError::Feature { sink: "elasticsearch", feature: "http-sinks" }),
            #[cfg(not(feature = "http-sinks"))]
            Sink::OpenSearch(_) => return Err(SinkError::Feature { sink: "opensearch", feature: "http-sinks" }),
            #[cfg(not(feature = "http-sinks"))]
            Sink::Loki(_) => return Err(SinkError::Feature { sink: "loki", feature: "http-sinks" }),
            #[cfg(not(feature = "otlp"))]
            Sink::Otlp(_) => return Err(SinkError::Feature { sink: "otlp", feature: "otlp" }),
            #[cfg(feature = "kafka")]
            Sink::Kafka(kafka) => Arc::new(self::kafka(kafka, body)?),
            #[cfg(not(feature = "kafka"))]
            Sink::Kafka(_) => return Err(SinkError::Feature { sink: "kafka", feature: "kafka" }),
        };
        Ok(Built { sink, options, records })
    }
}

impl Delivery {
    /// How an outlet treats its sink: what isn't given is as by [default](OutletOptions::default). A receiver's
    /// [`build`](Receiver::build) adds what its sink wants besides.
    ///
    /// ```
    /// use kube_events::config::{Config, Strictness};
    /// use kube_events::sink::OverflowPolicy;
    ///
    /// let yaml = "receivers: [{name: dump, stdout: {}, delivery: {queue: {onFull: block}}}]";
    /// let config = Config::parse(yaml, Strictness::Strict, &|_| None)?;
    /// assert_eq!(config.receivers[0].delivery.outlet_options().policy, OverflowPolicy::Block);
    /// # Ok::<(), kube_events::config::ConfigError>(())
    /// ```
    pub fn outlet_options(&self) -> OutletOptions {
        let default = OutletOptions::default();
        let spill = self.spill_path.as_ref().map(|path| {
            let spill = SpillOptions::new(path);
            SpillOptions { max_bytes: self.spill_bytes.unwrap_or(spill.max_bytes), ..spill }
        });
        OutletOptions {
            queue: self.queue_events.map_or(default.queue, Into::into),
            policy: match self.on_full {
                OnFull::Block => OverflowPolicy::Block,
                OnFull::DropOldest => OverflowPolicy::DropOldest,
                OnFull::DropNewest => OverflowPolicy::DropNewest,
            },
            batch: BatchOptions {
                events: self.batch_events.map_or(default.batch.events, Into::into),
                bytes: self.batch_bytes.map_or(default.batch.bytes, Into::into),
                age: self.batch_wait.unwrap_or(default.batch.age),
            },
            retry: RetryOptions {
                first: self.retry_backoff.unwrap_or(default.retry.first),
                longest: self.retry_max_backoff.unwrap_or(default.retry.longest),
                timeout: self.timeout.unwrap_or(default.retry.timeout),
                give_up_after: self.retry_for,
            },
            spill,
        }
    }
}

fn body(shape: &Shape) -> Body {
    let body = match (&shape.layout, shape.rich) {
        (Some(layout), _) => Body::layout(layout.clone()),
        (None, true) => Body::rich(),
        (None, false) => Body::json(),
    };
    body.de_dot(shape.de_dot)
}

fn syslog(syslog: &Syslog, body: Body) -> sink::Syslog {
    use sink::syslog::{SyslogOptions, Transport};
    let transport = match syslog.network.as_str() {
        "tcp" | "tcp4" | "tcp6" => Transport::Tcp,
        "udp" | "udp4" | "udp6" => Transport::Udp,
        "unix" => Transport::Unix,
        "unixgram" => Transport::UnixDatagram,
        _ => Transport::Local,
    };
    let options = SyslogOptions::new(transport, syslog.address.as_str());
    sink::Syslog::new(SyslogOptions { tag: syslog.tag.clone(), body, ..options })
}

#[cfg(any(feature = "http-sinks", feature = "kafka"))]
fn tls(tls: &super::sinks::Tls) -> sink::TlsOptions {
    sink::TlsOptions {
        insecure_skip_verify: tls.insecure_skip_verify,
        server_name: (!tls.server_name.is_empty()).then(|| tls.server_name.clone()),
        ca_file: tls.ca_file.clone(),
        client: tls.client.clone(),
    }
}

#[cfg(feature = "kafka")]
fn kafka(options: &super::sinks::Kafka, body: Body) -> Result<sink::Kafka, SinkError> {
    use sink::kafka::{self, KafkaOptions, Sasl};

    use super::sinks::{Compression, Mechanism};
    let sasl = options.sasl.as_ref().map(|sasl| Sasl {
        mechanism: match sasl.mechanism {
            Mechanism::Plain => kafka::Mechanism::Plain,
            Mechanism::Sha256 => kafka::Mechanism::ScramSha256,
            Mechanism::Sha512 => kafka::Mechanism::ScramSha512,
        },
        username: sasl.username.clone(),
        password: sasl.password.clone().unwrap_or_default(),
    });
    sink::Kafka::new(KafkaOptions {
        client_id: options.client_id.clone(),
        compression: match options.compression {
            Compression::None => kafka::Compression::None,
            Compression::Snappy => kafka::Compression::Snappy,
            Compression::Gzip => kafka::Compression::Gzip,
            Compression::Lz4 => kafka::Compression::Lz4,
            Compression::Zstd => kafka::Compression::Zstd,
        },
        body,
        tls: options.tls.as_ref().map(tls),
        sasl,
        ..KafkaOptions::new(&options.brokers, options.topic.as_str())
    })
}

#[cfg(feature = "http-sinks")]
mod http {
    use std::collections::BTreeMap;

    use super::tls;
    use crate::config::sinks::{Loki, Search, Webhook};
    use crate::layout::Template;
    use crate::sink::elasticsearch::SearchOptions;
    use crate::sink::loki::LokiOptions;
    use crate::sink::webhook::WebhookOptions;
    use crate::sink::{self, Body, SinkError, Text};

    fn texts<C: FromIterator<(String, Text)>>(templates: &BTreeMap<String, Template>) -> C {
        templates.iter().map(|(name, template)| (name.clone(), template.clone().into())).collect()
    }

    pub(super) fn webhook(webhook: &Webhook, body: Body) -> Result<sink::Webhook, SinkError> {
        sink::Webhook::new(WebhookOptions {
            headers: texts(&webhook.headers),
            body,
            tls: tls(&webhook.tls),
            ..WebhookOptions::new(webhook.endpoint.as_str())
        })
    }

    pub(super) fn search(search: &Search, body: Body) -> Result<sink::Elasticsearch, SinkError> {
        let user = (!search.username.is_empty())
            .then(|| (search.username.clone(), search.password.clone().unwrap_or_default()));
        sink::Elasticsearch::new(SearchOptions {
            cloud_id: (!search.cloud_id.is_empty()).then(|| search.cloud_id.clone()),
            use_event_id: search.use_event_id,
            type_: (!search.type_.is_empty()).then(|| search.type_.clone()),
            user,
            api_key: search.api_key.clone(),
            headers: search.headers.clone(),
            body,
            tls: tls(&search.tls),
            ..SearchOptions::new(&search.hosts, search.index.clone())
        })
    }

    pub(super) fn loki(loki: &Loki, body: Body) -> Result<sink::Loki, SinkError> {
        sink::Loki::new(LokiOptions {
            url: loki.url.clone(),
            stream_labels: texts(&loki.stream_labels),
            headers: texts(&loki.headers),
            body,
            gzip: false,
            tls: tls(&loki.tls),
        })
    }

    #[cfg(feature = "otlp")]
    pub(super) fn otlp(otlp: &crate::config::sinks::Otlp, body: Body) -> Result<sink::Otlp, SinkError> {
        if otlp.grpc {
            let problem = "gRPC is not spoken: give `http/protobuf`, and the receiver's port for it (4318, mostly)";
            return Err(SinkError::option("protocol", problem));
        }
        sink::Otlp::new(crate::sink::otlp::OtlpOptions {
            endpoint: otlp.endpoint.clone(),
            headers: otlp.headers.clone(),
            resource_attributes: otlp.resource_attributes.clone(),
            body,
            gzip: otlp.gzip,
            tls: tls(&otlp.tls),
        })
    }
}
