//! Messages for Kafka.
//!
//! A client of three requests, over messages that `kafka-protocol` encodes: one request to each broker for all its
//! partitions, and an answer for each record. Whole clients retry by themselves, with what the broker had taken
//! already.

mod answer;
mod cluster;
mod connection;

use std::fmt;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::Timestamp;
use kafka_protocol::protocol::StrBytes;
use secrecy::SecretString;
use tokio::sync::Mutex;

use self::cluster::Cluster;
use self::connection::Dialer;
use super::{Body, Delivery, DeliveryError, EncodeError, Record, Sink, SinkError, TlsOptions};
use crate::event::EnhancedEvent;

/// How batches of records are compressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// By gzip.
    Gzip,
    /// By snappy.
    Snappy,
    /// By lz4.
    Lz4,
    /// By zstd, which brokers know from version 2.1 on.
    Zstd,
}

/// How a user shows who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// The password itself is sent: use TLS.
    Plain,
    /// SCRAM-SHA-256.
    ScramSha256,
    /// SCRAM-SHA-512.
    ScramSha512,
}

/// Who the sink is (SASL).
#[derive(Debug, Clone)]
pub struct Sasl {
    /// How it shows that.
    pub mechanism: Mechanism,
    /// Its name.
    pub username: String,
    /// Its password.
    pub password: SecretString,
}

/// Where and what a [`Kafka`] sends.
#[derive(Debug, Clone)]
pub struct KafkaOptions {
    /// Brokers to begin with, each a host and a port: `kafka:9092`. They tell of the others.
    pub brokers: Vec<String>,
    /// The topic. Where it isn't there, brokers make it if they are set to (`auto.create.topics.enable`).
    pub topic: String,
    /// How the sink names itself, for quotas and logs; `kube-events` where it is empty.
    pub client_id: String,
    /// How batches are compressed; not at all by default.
    pub compression: Compression,
    /// What of an event is the record's value.
    pub body: Body,
    /// Whether TLS is spoken, and how; it is not by default.
    pub tls: Option<TlsOptions>,
    /// Who the sink is; nobody by default.
    pub sasl: Option<Sasl>,
}

impl KafkaOptions {
    /// To this topic, with the defaults.
    pub fn new(brokers: impl IntoIterator<Item = impl Into<String>>, topic: impl Into<String>) -> Self {
        Self {
            brokers: brokers.into_iter().map(Into::into).collect(),
            topic: topic.into(),
            client_id: String::new(),
            compression: Compression::None,
            body: Body::default(),
            tls: None,
            sasl: None,
        }
    }
}

/// Produces each event as a record of a topic, at the time when it happened, or now, if that is to come.
///
/// The key is the event's UID, and says the partition as with kubernetes-event-exporter (FNV-1a of the key): states of
/// one event stay in order. A record is acknowledged when all replicas that are in step have it (`acks=all`). There is
/// no idempotent producer: a batch whose answer was lost is there twice.
///
/// Of a batch, each record is answered for. What is too large, or what the broker finds invalid, is refused, alone; all
/// else comes again: brokers that are away, new leaders, too few replicas, a topic that is not there, rights that are
/// missing. Then brokers and leaders are asked for anew.
///
/// ```
/// use kube_events::sink::Kafka;
/// use kube_events::sink::kafka::{Compression, KafkaOptions};
///
/// let sink = Kafka::new(KafkaOptions {
///     compression: Compression::Lz4,
///     ..KafkaOptions::new(["kafka-0:9092", "kafka-1:9092"], "kube-events")
/// })?;
/// # Ok::<(), kube_events::sink::SinkError>(())
/// ```
pub struct Kafka {
    seeds: Vec<(String, u16)>,
    topic: StrBytes,
    compression: Compression,
    body: Body,
    dialer: Dialer,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    cluster: Option<Cluster>,
    /// How often a cluster was looked for: the next time begins with the next broker.
    discoveries: usize,
}

impl fmt::Debug for Kafka {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kafka").field("brokers", &self.seeds).field("topic", &&*self.topic).finish_non_exhaustive()
    }
}

impl Kafka {
    /// Fails where an option can't be used. Connects with the first batch.
    pub fn new(options: KafkaOptions) -> Result<Self, SinkError> {
        let seeds = options.brokers.iter().map(|broker| address(broker)).collect::<Result<Vec<_>, _>>()?;
        if seeds.is_empty() {
            return Err(SinkError::option("brokers", "at least one broker is wanted"));
        }
        if !is_topic(&options.topic) {
            let problem = "a topic has letters, digits, `.`, `_` and `-`, 249 of them at most";
            return Err(SinkError::option("topic", problem));
        }
        let client_id =
            if options.client_id.is_empty() { env!("CARGO_PKG_NAME").to_owned() } else { options.client_id };
        let tls = options.tls.map(|tls| tls.config().map(Arc::new)).transpose()?;
        Ok(Self {
            seeds,
            topic: options.topic.into(),
            compression: options.compression,
            body: options.body,
            dialer: Dialer { client_id: client_id.into(), tls, sasl: options.sasl },
            state: Mutex::default(),
        })
    }

    async fn send(&self, batch: &[Record]) -> Result<Delivery, DeliveryError> {
        let mut state = self.state.lock().await;
        // It is put back when all went well: a connection that was left in the middle of an exchange is of no use, and
        // after a failure leaders may be others.
        let mut cluster = match state.cluster.take().filter(Cluster::is_fresh) {
            Some(cluster) => cluster,
            None => {
                let mut seeds = self.seeds.clone();
                seeds.rotate_left(state.discoveries % self.seeds.len().max(1));
                state.discoveries = state.discoveries.wrapping_add(1);
                let found = Cluster::discover(&self.dialer, &seeds, &self.topic).await;
                found.map_err(|cause| DeliveryError::Again { cause, after: None })?
            }
        };
        let outcome = cluster.send(&self.dialer, &self.topic, self.compression.into(), batch).await;
        match outcome.cause {
            None => state.cluster = Some(cluster),
            Some(cause) if outcome.again.len() == batch.len() => {
                return Err(DeliveryError::Again { cause, after: None });
            }
            Some(cause) => tracing::warn!(topic = &*self.topic, %cause, "a part of a batch was not taken"),
        }
        Ok(Delivery { again: outcome.again, refused: outcome.refused })
    }
}

impl From<Compression> for kafka_protocol::records::Compression {
    fn from(compression: Compression) -> Self {
        match compression {
            Compression::None => Self::None,
            Compression::Gzip => Self::Gzip,
            Compression::Snappy => Self::Snappy,
            Compression::Lz4 => Self::Lz4,
            Compression::Zstd => Self::Zstd,
        }
    }
}

/// `host:port`, `[::1]:port`.
fn address(text: &str) -> Result<(String, u16), SinkError> {
    let parts = text.trim().rsplit_once(':').and_then(|(host, port)| {
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let is_plain = !host.is_empty() && !host.contains(['/', '@', ',', ' ']);
        Some((host.to_owned(), port.parse().ok().filter(|_| is_plain)?))
    });
    parts.ok_or_else(|| SinkError::option("brokers", "each is a host and a port, as `kafka:9092`"))
}

fn is_topic(name: &str) -> bool {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-');
    (1..=249).contains(&name.len()) && name.chars().all(is_plain) && !matches!(name, "." | "..")
}

/// Which of so many partitions a key belongs to: that of sarama, the origin's client.
fn partition_of(key: &str, count: usize) -> usize {
    let hash = key.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let count = i64::try_from(count).unwrap_or(i64::MAX).max(1);
    usize::try_from((i64::from(hash.cast_signed()) % count).unsigned_abs()).unwrap_or(0)
}

impl Sink for Kafka {
    fn kind(&self) -> &'static str {
        "kafka"
    }

    fn encode(&self, event: &EnhancedEvent) -> Result<Record, EncodeError> {
        let mut record = Record::new(event, self.body.encode(event)?);
        // Brokers refuse what is of more than an hour to come, as the clocks of nodes may have it.
        let now = Timestamp::now().as_millisecond();
        record.time_ms = event.timestamp_ms().map_or(now, |time| time.min(now));
        record.key = event.uid().into();
        Ok(record)
    }

    fn deliver<'a>(&'a self, batch: &'a [Record]) -> BoxFuture<'a, Result<Delivery, DeliveryError>> {
        self.send(batch).boxed()
    }

    fn close(&self) -> BoxFuture<'_, Result<(), DeliveryError>> {
        async {
            self.state.lock().await.cluster = None;
            Ok(())
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_the_partition_that_sarama_gives_them() {
        // FNV-1a of these is 0x811c9dc5, 0xe40c292c and 0xbf9cf968: negative numbers all.
        let cases = [("", 7, 2), ("a", 10, 6), ("foobar", 10, 6), ("foobar", 1, 0), ("", 0, 0)];
        for (key, count, expected) in cases {
            assert_eq!(partition_of(key, count), expected, "{key} of {count}");
        }
    }

    #[test]
    fn brokers_are_hosts_and_ports() {
        assert_eq!(address("kafka:9092").unwrap(), ("kafka".to_owned(), 9092));
        assert_eq!(address("[::1]:9092").unwrap(), ("::1".to_owned(), 9092));
        for wrong in ["kafka", "kafka:", ":9092", "kafka:70000", "http://kafka:9092", "user:secret@kafka:9092"] {
            let error = address(wrong).unwrap_err().to_string();
            assert!(error.contains("`brokers`") && !error.contains("secret"), "{wrong}: {error}");
        }
    }

    #[test]
    fn topics_have_plain_names() {
        assert!(is_topic("kube.events_1-a"));
        for wrong in ["", ".", "..", "a b", "größe", &"x".repeat(250)] {
            assert!(!is_topic(wrong), "{wrong}");
        }
    }
}
