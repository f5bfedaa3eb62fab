//! Where events go: a [`Sink`] encodes and delivers them, an [`Outlet`] stands before it with a queue, batches, retries
//! and, where it is asked to, a file for outages, so that a sink that is slow holds up nobody.
//!
//! ```text
//! event ─▶ Outlet::offer ─▶ queue ─▶ encode ─▶ batch ─▶ deliver ──▶ acknowledged
//!                             │                  │ fails  ▲
//!                   dropped and counted          ▼        │ in order
//!                                              spill (files)
//! ```

mod body;
#[cfg(feature = "http-sinks")]
pub mod elasticsearch;
mod error;
#[cfg(any(feature = "config", feature = "http-sinks", feature = "kafka"))]
pub(crate) mod excerpt;
pub mod file;
mod flight;
#[cfg(feature = "http-sinks")]
mod http;
#[cfg(feature = "kafka")]
pub mod kafka;
#[cfg(feature = "http-sinks")]
pub mod loki;
mod memory;
mod options;
#[cfg(feature = "otlp")]
pub mod otlp;
mod outlet;
mod queue;
mod spill;
mod stdout;
pub mod syslog;
#[cfg(any(feature = "http-sinks", feature = "kafka"))]
mod tls;
#[cfg(feature = "http-sinks")]
pub mod webhook;
mod worker;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;

use crate::event::EnhancedEvent;

pub use body::{Body, Text};
#[cfg(feature = "http-sinks")]
pub use elasticsearch::Elasticsearch;
pub use error::{Cause, DeliveryError, EncodeError, Refused, SinkError, SpillError};
pub use file::File;
#[cfg(feature = "kafka")]
pub use kafka::Kafka;
#[cfg(feature = "http-sinks")]
pub use loki::Loki;
pub use memory::{Channel, Events, Memory, Records};
pub use options::{BatchOptions, OutletOptions, OverflowPolicy, RetryOptions, SpillOptions};
#[cfg(feature = "otlp")]
pub use otlp::Otlp;
pub use outlet::{Ack, Drained, Outlet, OutletStatus};
pub use stdout::Stdout;
pub use syslog::Syslog;
#[cfg(any(feature = "http-sinks", feature = "kafka"))]
pub use tls::TlsOptions;
#[cfg(feature = "http-sinks")]
pub use webhook::Webhook;

/// An event as a sink sends it: what a spill keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// What is sent: JSON, mostly.
    pub body: Bytes,
    /// When it happened, in milliseconds since 1970.
    pub time_ms: i64,
    /// Where in the sink it goes: an index, a topic, the labels of a stream. Empty where there is one place only.
    pub target: Box<str>,
    /// Equal for equal emissions of one event: an id for sinks that drop what they have, a key for those that keep
    /// the order of equal keys. Empty where there is none.
    pub key: Box<str>,
}

impl Record {
    /// A body for a sink that has one place only, with the event's time and revision.
    pub fn new(event: &EnhancedEvent, body: impl Into<Bytes>) -> Self {
        Self {
            body: body.into(),
            time_ms: event.timestamp_ms().unwrap_or_default(),
            target: Box::default(),
            key: event.revision().unwrap_or_default().into(),
        }
    }

    /// The bytes that it takes in a batch.
    pub fn len(&self) -> usize {
        self.body.len() + self.target.len() + self.key.len()
    }

    /// Whether it has nothing to send.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What became of a batch that a sink has answered for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delivery {
    /// Places in the batch of those that may be taken later, in order: the sink was too busy for them.
    pub again: Vec<usize>,
    /// Those that it will never take.
    pub refused: Vec<Refused>,
}

/// Somewhere that events are sent to.
///
/// Encoding is pure and tells what is wrong with an event; delivering is all about the other side. A batch is delivered
/// in order, and may come twice: after a failure whose outcome nobody knows.
///
/// ```
/// use futures::{FutureExt, future::BoxFuture};
/// use kube_events::event::EnhancedEvent;
/// use kube_events::sink::{Delivery, DeliveryError, EncodeError, Record, Sink};
///
/// /// Prints the reason of each event.
/// struct Reasons;
///
/// impl Sink for Reasons {
///     fn kind(&self) -> &'static str {
///         "reasons"
///     }
///
///     fn encode(&self, event: &EnhancedEvent) -> Result<Record, EncodeError> {
///         Ok(Record::new(event, event.event.reason.clone()))
///     }
///
///     fn deliver<'a>(&'a self, batch: &'a [Record]) -> BoxFuture<'a, Result<Delivery, DeliveryError>> {
///         for record in batch {
///             println!("{}", String::from_utf8_lossy(&record.body));
///         }
///         async { Ok(Delivery::default()) }.boxed()
///     }
/// }
/// ```
pub trait Sink: Send + Sync + 'static {
    /// What kind it is, in one word, for logs and metrics: `webhook`.
    fn kind(&self) -> &'static str;

    /// What is sent of an event.
    fn encode(&self, event: &EnhancedEvent) -> Result<Record, EncodeError>;

    /// Sends a batch, and waits until the other side has it. Dropped when it takes longer than the outlet allows.
    fn deliver<'a>(&'a self, batch: &'a [Record]) -> BoxFuture<'a, Result<Delivery, DeliveryError>>;

    /// Nothing more will come: what is buffered is to be written. Nothing to do by default.
    fn close(&self) -> BoxFuture<'_, Result<(), DeliveryError>> {
        async { Ok(()) }.boxed()
    }
}
