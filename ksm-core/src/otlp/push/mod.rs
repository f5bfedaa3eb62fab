//! Pushing messages to a receiver: [`ExporterBuilder`] starts it, [`Exporter`] is the handle of what runs.
//!
//! A collector task makes messages at an interval and puts them into a bounded queue; a sender task takes them out and
//! hands each to a transport until it is accepted, refused, or too old.

mod builder;
mod collect;
mod endpoint;
mod env;
mod error;
mod exporter;
#[cfg(feature = "otlp-grpc")]
mod grpc;
#[cfg(feature = "otlp-http")]
mod http;
mod queue;
#[cfg(any(feature = "otlp-http", feature = "otlp-grpc"))]
mod rpc;
mod send;
mod telemetry;
#[cfg(feature = "otlp-http")]
mod tls;
mod transport;

pub use builder::{ExporterBuilder, Protocol};
pub use error::ExporterError;
pub use exporter::Exporter;
#[cfg(feature = "otlp-grpc")]
pub use grpc::GrpcTransport;
#[cfg(feature = "otlp-http")]
pub use http::HttpTransport;
pub use telemetry::ExporterStatus;
pub use transport::{Accepted, Compression, ExportError, Payload, Transport};
