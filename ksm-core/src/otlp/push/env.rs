//! An exporter by the environment variables of the OpenTelemetry specification.

use std::time::Duration;

use super::builder::{ExporterBuilder, Protocol};
use super::error::ExporterError;
use super::transport::Compression;
use percent_encoding::percent_decode_str;

/// "No limit" in the specification's words, as a time that no exporter outlives.
const UNLIMITED: Duration = Duration::from_hours(24 * 365);

impl ExporterBuilder {
    /// A configuration by the process's environment. What is not set keeps its default; what can't be read is an error
    /// that names the variable.
    ///
    /// | variable | meaning |
    /// |---|---|
    /// | `OTEL_EXPORTER_OTLP_ENDPOINT` | [`endpoint`](Self::endpoint) |
    /// | `OTEL_EXPORTER_OTLP_METRICS_ENDPOINT` | [`metrics_endpoint`](Self::metrics_endpoint) |
    /// | `OTEL_EXPORTER_OTLP_PROTOCOL` | `http/protobuf` or `grpc` |
    /// | `OTEL_EXPORTER_OTLP_HEADERS` | `name=value,…`, values percent-encoded |
    /// | `OTEL_EXPORTER_OTLP_COMPRESSION` | `gzip` or `none`; unset: `none`, by the specification |
    /// | `OTEL_EXPORTER_OTLP_TIMEOUT` | milliseconds for an attempt; 0: no limit |
    /// | `OTEL_EXPORTER_OTLP_INSECURE` | `true`: a gRPC endpoint without scheme is spoken to in plain text |
    /// | `OTEL_EXPORTER_OTLP_CERTIFICATE`, `…_CLIENT_CERTIFICATE`, `…_CLIENT_KEY` | PEM files, for HTTPS |
    /// | `OTEL_METRIC_EXPORT_INTERVAL` | milliseconds between collections |
    ///
    /// `OTEL_EXPORTER_OTLP_METRICS_…` wins over `OTEL_EXPORTER_OTLP_…` for each of them. `OTEL_RESOURCE_ATTRIBUTES` is
    /// not read: it describes the process, while the resources here are Kubernetes' objects.
    pub fn from_env() -> Result<Self, ExporterError> {
        Self::from_vars(|name| std::env::var(name).ok())
    }

    /// The same with variables from anywhere.
    ///
    /// ```
    /// use ksm_core::otlp::ExporterBuilder;
    ///
    /// let builder = ExporterBuilder::from_vars(|name| match name {
    ///     "OTEL_EXPORTER_OTLP_ENDPOINT" => Some("https://collector:4318".to_owned()),
    ///     _ => None,
    /// });
    /// assert!(builder.is_ok());
    /// ```
    pub fn from_vars(var: impl Fn(&str) -> Option<String>) -> Result<Self, ExporterError> {
        let vars = Vars(var);
        let mut builder = Self::default();
        builder.endpoint.base = vars.get("OTEL_EXPORTER_OTLP_ENDPOINT").map(|(_, url)| url);
        builder.endpoint.metrics = vars.get("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT").map(|(_, url)| url);
        if let Some(insecure) = vars.parse("INSECURE", flag)? {
            builder.endpoint.insecure = insecure;
        }
        if let Some(protocol) = vars.parse("PROTOCOL", protocol)? {
            builder.protocol = protocol;
        }
        if let Some(headers) = vars.parse("HEADERS", headers)? {
            builder.headers = headers;
        }
        builder.compression = vars.parse("COMPRESSION", compression)?.unwrap_or(Compression::None);
        if let Some(timeout) = vars.parse("TIMEOUT", millis)? {
            builder.timeout = if timeout.is_zero() { UNLIMITED } else { timeout };
        }
        if let Some((name, text)) = vars.get("OTEL_METRIC_EXPORT_INTERVAL") {
            builder.interval = millis(&text).map_err(|reason| ExporterError::Variable { name, reason })?;
        }
        #[cfg(feature = "otlp-http")]
        {
            let file = |suffix| vars.get_signal(suffix).map(|(_, path)| path.into());
            builder.tls.authorities = file("CERTIFICATE");
            builder.tls.certificate = file("CLIENT_CERTIFICATE");
            builder.tls.key = file("CLIENT_KEY");
        }
        Ok(builder)
    }
}

struct Vars<F>(F);

impl<F: Fn(&str) -> Option<String>> Vars<F> {
    /// A variable's name and value; an empty one counts as unset.
    fn get(&self, name: &str) -> Option<(String, String)> {
        let value = (self.0)(name)?.trim().to_owned();
        (!value.is_empty()).then(|| (name.to_owned(), value))
    }

    /// The variable for metrics, else the one for all signals.
    fn get_signal(&self, suffix: &str) -> Option<(String, String)> {
        let metrics = self.get(&format!("OTEL_EXPORTER_OTLP_METRICS_{suffix}"));
        metrics.or_else(|| self.get(&format!("OTEL_EXPORTER_OTLP_{suffix}")))
    }

    fn parse<T>(&self, suffix: &str, parse: impl Fn(&str) -> Result<T, String>) -> Result<Option<T>, ExporterError> {
        let Some((name, text)) = self.get_signal(suffix) else { return Ok(None) };
        parse(&text).map(Some).map_err(|reason| ExporterError::Variable { name, reason })
    }
}

fn flag(text: &str) -> Result<bool, String> {
    text.to_ascii_lowercase().parse().map_err(|_| format!("{text:?} is neither true nor false"))
}

fn protocol(text: &str) -> Result<Protocol, String> {
    match text {
        "http/protobuf" => Ok(Protocol::HttpProtobuf),
        "grpc" => Ok(Protocol::Grpc),
        _ => Err(format!("{text:?} is not spoken here: use http/protobuf or grpc")),
    }
}

fn compression(text: &str) -> Result<Compression, String> {
    match text {
        "gzip" => Ok(Compression::Gzip),
        "none" => Ok(Compression::None),
        _ => Err(format!("{text:?} is not known here: use gzip or none")),
    }
}

fn millis(text: &str) -> Result<Duration, String> {
    text.parse().map(Duration::from_millis).map_err(|_| format!("{text:?} is no whole number of milliseconds"))
}

/// `a=1,b=2`. Nothing of it is repeated in an error, since values are secrets.
fn headers(text: &str) -> Result<Vec<(String, String)>, String> {
    let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty()).enumerate();
    let parsed = entries.map(|(index, entry)| {
        let number = index + 1;
        let (name, value) =
            entry.split_once('=').ok_or_else(|| format!("entry {number} has no `=`: write name=value"))?;
        let value = percent_decode_str(value.trim()).decode_utf8();
        let value =
            value.map_err(|_| format!("the value of entry {number} is not UTF-8 once its %-escapes are read"))?;
        Ok((name.trim().to_owned(), value.into_owned()))
    });
    parsed.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(vars: &[(&str, &str)]) -> Result<ExporterBuilder, String> {
        let find = |name: &str| vars.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        ExporterBuilder::from_vars(find).map_err(|error| error.to_string())
    }

    fn url(vars: &[(&str, &str)]) -> String {
        let builder = built(vars).unwrap();
        builder.endpoint.url(builder.protocol).unwrap().to_string()
    }

    #[test]
    fn an_empty_environment_is_the_specifications_default() {
        let builder = built(&[("OTEL_EXPORTER_OTLP_ENDPOINT", " "), ("OTEL_EXPORTER_OTLP_PROTOCOL", "")]).unwrap();
        assert_eq!(builder.protocol, Protocol::HttpProtobuf);
        assert_eq!((builder.timeout, builder.interval), (Duration::from_secs(10), Duration::from_mins(1)));
        assert_eq!(builder.compression, Compression::None);
        assert_eq!(url(&[]), "http://localhost:4318/v1/metrics");
    }

    #[test]
    fn what_is_for_metrics_wins() {
        let general = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://all:1"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "0"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "Api-Key=a%20b%3D, x=1=2,"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "1500"),
        ];
        let builder = built(&general).unwrap();
        assert_eq!(url(&general), "http://all:1/v1/metrics");
        assert_eq!((builder.timeout, builder.interval), (UNLIMITED, Duration::from_millis(1500)));
        assert_eq!(builder.compression, Compression::Gzip);
        assert_eq!(builder.headers, [("Api-Key".into(), "a b=".into()), ("x".into(), "1=2".to_owned())]);
        let specific = [
            ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://own/push"),
            ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "7"),
            ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "y=2"),
        ];
        let both = [&specific[..], &general].concat();
        let builder = built(&both).unwrap();
        assert_eq!(url(&both), "http://own/push");
        assert_eq!(builder.timeout, Duration::from_millis(7));
        assert_eq!(builder.headers, [("y".to_owned(), "2".to_owned())]);
    }

    #[test]
    fn grpc_by_name() {
        let vars = [
            ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317"),
            ("OTEL_EXPORTER_OTLP_INSECURE", "True"),
        ];
        assert_eq!(url(&vars), "http://collector:4317/");
    }

    #[test]
    fn what_cannot_be_read_is_named_and_secrets_are_not() {
        let cases = [
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
            ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "10s"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "-1"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"),
            ("OTEL_EXPORTER_OTLP_INSECURE", "yes"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=1,s3cret"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "s3cret=%ff"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "soon"),
        ];
        for (name, value) in cases {
            let error = built(&[(name, value)]).unwrap_err();
            assert!(error.contains(name) && !error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn debug_shows_no_secrets() {
        let builder = built(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://me:s3cret@host/?key=s3cret"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=s3cret"),
        ]);
        let shown = format!("{:?}", builder.unwrap());
        assert!(
            shown.contains("https://host/") && shown.contains("authorization") && !shown.contains("s3cret"),
            "{shown}"
        );
    }
}
