//! Each sink against what it sends to: files, pipes, and servers on the loopback.
#![allow(clippy::duration_suboptimal_units, reason = "seconds are what is counted here")]

#[cfg(feature = "kafka")]
mod broker;
#[cfg(feature = "config")]
mod build;
#[cfg(feature = "kafka")]
mod kafka;
mod local;
#[cfg(feature = "http-sinks")]
mod loki;
#[cfg(feature = "otlp")]
mod otlp;
#[cfg(feature = "http-sinks")]
mod search;
#[cfg(any(feature = "http-sinks", feature = "kafka"))]
#[cfg_attr(
    not(feature = "http-sinks"),
    expect(dead_code, reason = "of it, sinks that speak no HTTP need but a word for outcomes")
)]
mod server;
mod support;
mod syslog;
#[cfg(feature = "http-sinks")]
mod tls;
#[cfg(feature = "http-sinks")]
mod webhook;
