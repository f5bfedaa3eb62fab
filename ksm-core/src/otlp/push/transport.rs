//! What carries a message to its receiver.

use std::io::Write;
use std::time::Duration;

use bytes::Bytes;
use flate2::write::GzEncoder;
use futures::future::BoxFuture;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
#[cfg(any(feature = "otlp-http", feature = "otlp-grpc"))]
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;
use prost::Message;
use thiserror::Error;

/// Repetitive as it is, OTLP shrinks by more than nine tenths on the fastest level.
const GZIP_LEVEL: u32 = 1;

/// How messages are compressed on their way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Compression {
    /// As they are.
    None,
    /// By gzip, which every receiver must take.
    #[default]
    Gzip,
}

/// An encoded `ExportMetricsServiceRequest`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// The protobuf message, compressed as [`compression`](Self::compression) says.
    pub bytes: Bytes,
    /// The compression of `bytes`.
    pub compression: Compression,
    /// How many data points are in it.
    pub points: usize,
}

impl Payload {
    pub(super) fn encode(request: &ExportMetricsServiceRequest, points: usize, compression: Compression) -> Self {
        let plain = request.encode_to_vec();
        let bytes = match compression {
            Compression::None => plain,
            Compression::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::new(GZIP_LEVEL));
                // Writing into memory does not fail; if it did, the message would go as it is.
                match encoder.write_all(&plain).and_then(|()| encoder.finish()) {
                    Ok(bytes) => bytes,
                    Err(_) => return Self { bytes: plain.into(), compression: Compression::None, points },
                }
            }
        };
        Self { bytes: bytes.into(), compression, points }
    }
}

/// A receiver's answer to a message that it took.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Accepted {
    /// How many data points it rejected nevertheless. They are not sent again.
    pub rejected: u64,
    /// What it has to say: why points were rejected, or a warning.
    pub message: String,
}

impl Accepted {
    /// Reads an answer's message. One that can't be read changes nothing about the acceptance.
    #[cfg(any(feature = "otlp-http", feature = "otlp-grpc"))]
    pub(super) fn from_message(message: &[u8]) -> Self {
        let Ok(response) = ExportMetricsServiceResponse::decode(message) else { return Self::default() };
        let partial = response.partial_success.unwrap_or_default();
        Self { rejected: u64::try_from(partial.rejected_data_points).unwrap_or(0), message: partial.error_message }
    }
}

/// A message that was not taken.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The receiver can't be reached, or asks to come again: the message is kept and sent again.
    #[error("the receiver can't take metrics at the moment: {reason}")]
    Unavailable {
        /// What happened.
        reason: String,
        /// How long the receiver asks to wait, where it does.
        retry_after: Option<Duration>,
    },
    /// The receiver will not take this message, however often it is sent: it is dropped, and counted.
    #[error("the receiver refuses the metrics: {reason}")]
    Refused {
        /// What it said.
        reason: String,
    },
}

#[cfg(any(feature = "otlp-http", feature = "otlp-grpc"))]
impl ExportError {
    pub(super) fn unavailable(reason: impl Into<String>) -> Self {
        Self::Unavailable { reason: reason.into(), retry_after: None }
    }
}

/// The beginning of a text from outside, fit for a log line.
pub(super) fn excerpt(text: &str) -> String {
    const LONGEST: usize = 200;
    let mut short: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST).collect();
    if text.chars().nth(LONGEST).is_some() {
        short.push('…');
    }
    short
}

/// Carries messages to a receiver: over HTTP, gRPC, or whatever a host has (a message queue, a file).
///
/// Messages come one at a time, and the future is dropped when the exporter's timeout is over.
///
/// ```
/// use futures::{FutureExt, future::BoxFuture};
/// use ksm_core::otlp::{Accepted, ExportError, Payload, Transport};
///
/// #[derive(Debug)]
/// struct Topic(tokio::sync::mpsc::Sender<Payload>);
///
/// impl Transport for Topic {
///     fn export<'a>(&'a self, payload: &'a Payload) -> BoxFuture<'a, Result<Accepted, ExportError>> {
///         async move {
///             let gone = |_| ExportError::Refused { reason: "the topic is closed".to_owned() };
///             self.0.send(payload.clone()).await.map_err(gone)?;
///             Ok(Accepted::default())
///         }
///         .boxed()
///     }
/// }
/// ```
pub trait Transport: std::fmt::Debug + Send + Sync + 'static {
    /// Sends one message once.
    fn export<'a>(&'a self, payload: &'a Payload) -> BoxFuture<'a, Result<Accepted, ExportError>>;
}
