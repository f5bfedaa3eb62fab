//! Objects → OTLP messages, and messages → receivers with faults.

mod exporter;
mod grpc;
mod http;
mod messages;
mod receiver;
mod support;
