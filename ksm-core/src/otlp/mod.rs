//! The store as OpenTelemetry metrics: pulled as OTLP messages, or pushed to a receiver. Feature `otlp`.
//!
//! [`requests`] turns snapshots into [`ExportMetricsServiceRequest`]s, for a host that has its own way to send them.
//! [`Exporter`] collects at an interval and pushes over HTTP (feature `otlp-http`), gRPC (`otlp-grpc`), or a
//! [`Transport`] of the host's.
//!
//! # What a sample becomes
//!
//! - **A resource per object**, described by the semantic conventions ([`SCHEMA_URL`]) from the labels that all samples
//!   of the object share: `namespace`, `pod`, `uid` become `k8s.namespace.name`, `k8s.pod.name`, `k8s.pod.uid`. Kinds
//!   that the conventions don't name follow their pattern: `k8s.configmap.name`. Objects of resources that are not
//!   built in keep these labels as they are. What the host gives in [`MessageOptions::attributes`]
//!   (`k8s.cluster.name`) is added to every resource; the object's own attributes win.
//! - **A container is a resource too**: samples of a pod with a `container` label form a resource of their own, the
//!   pod's attributes and `k8s.container.name`. The conventions' container metrics stand on that very resource.
//! - **Labels that hooks add** ([`ResourceBuilder::enrich`](crate::ResourceBuilder::enrich), joins) belong to the object
//!   and become resource attributes under their own name. A sample's own label of that name stays on its data point.
//! - **All other labels** are attributes of the data point, named as they are. Empty labels are left out, as Prometheus
//!   does: there, an empty label is none.
//! - **Metrics** are named as their family. Counters are monotonic cumulative sums; gauges, infos and state sets are
//!   gauges. The unit is stated where the name states it (`_seconds`: `s`, `_bytes`: `By`) and only there, so that a
//!   receiver that appends units to names, as those for Prometheus do, leaves all names alone.
//! - **Times**: all points of one collection carry the same time. A counter counts since its object was created (its
//!   `…_created` family says when), else since [`MessageOptions::counters_since`].
//!
//! # How much at once
//!
//! [`Requests`] builds one message after the other from a snapshot that costs nothing to hold. A message has at most
//! [`MessageOptions::max_points`] data points and [`MessageOptions::max_bytes`] bytes before compression; an object
//! with more is split.
//!
//! [`ExportMetricsServiceRequest`]: opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest

mod attributes;
mod batch;
mod object;
mod options;
mod push;

pub use attributes::SCHEMA_URL;
pub use batch::{Requests, requests};
/// The messages' Rust types.
pub use opentelemetry_proto::tonic as proto;
pub use options::MessageOptions;
#[cfg(feature = "otlp-grpc")]
pub use push::GrpcTransport;
#[cfg(feature = "otlp-http")]
pub use push::HttpTransport;
pub use push::{
    Accepted, Compression, ExportError, Exporter, ExporterBuilder, ExporterError, ExporterStatus, Payload, Protocol,
    Transport,
};
