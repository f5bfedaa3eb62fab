//! Where messages go.

use http::Uri;

use super::builder::Protocol;
use super::error::ExporterError;

const HTTP_DEFAULT: &str = "http://localhost:4318";
const GRPC_DEFAULT: &str = "http://localhost:4317";
/// What HTTP endpoints for all signals are completed by.
const METRICS_PATH: &str = "v1/metrics";

/// The endpoint as it was given: for all signals, or for metrics only. The latter wins.
#[derive(Clone, Default)]
pub(super) struct Endpoint {
    pub(super) base: Option<String>,
    pub(super) metrics: Option<String>,
    /// Whether a gRPC endpoint without a scheme is spoken to in plain text.
    pub(super) insecure: bool,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint")
            .field("base", &self.base.as_deref().map(shown))
            .field("metrics", &self.metrics.as_deref().map(shown))
            .field("insecure", &self.insecure)
            .finish()
    }
}

/// PEM files for HTTPS.
#[cfg(feature = "otlp-http")]
#[derive(Debug, Clone, Default)]
pub(super) struct TlsFiles {
    /// Certificate authorities, in place of the system's.
    pub(super) authorities: Option<std::path::PathBuf>,
    /// The client's certificate, with those that vouch for it.
    pub(super) certificate: Option<std::path::PathBuf>,
    /// The private key of that certificate.
    pub(super) key: Option<std::path::PathBuf>,
}

/// The endpoint for logs: scheme, host, port and path, since user information and queries carry credentials.
pub(super) fn shown(endpoint: &str) -> String {
    let (scheme, rest) = endpoint.split_once("://").unwrap_or(("", endpoint));
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    if scheme.is_empty() { format!("{host}{path}") } else { format!("{scheme}://{host}{path}") }
}

impl Endpoint {
    /// The URL for a protocol. HTTP: an endpoint for all signals is completed by `/v1/metrics`, one for metrics is
    /// taken as it is. gRPC: scheme, host and port count.
    pub(super) fn url(&self, protocol: Protocol) -> Result<Uri, ExporterError> {
        let given = self.metrics.as_deref().or(self.base.as_deref());
        match protocol {
            Protocol::HttpProtobuf => match (&self.metrics, &self.base) {
                (Some(metrics), _) => parse(metrics),
                (None, base) => {
                    let base = base.as_deref().unwrap_or(HTTP_DEFAULT);
                    parse(base)?;
                    parse(&with_path(base))
                }
            },
            Protocol::Grpc => {
                let given = given.unwrap_or(GRPC_DEFAULT);
                let scheme = if self.insecure { "http" } else { "https" };
                if given.contains("://") { parse(given) } else { parse(&format!("{scheme}://{given}")) }
            }
        }
    }
}

fn with_path(base: &str) -> String {
    let (base, query) = base.split_at(base.find('?').unwrap_or(base.len()));
    let slash = if base.ends_with('/') { "" } else { "/" };
    format!("{base}{slash}{METRICS_PATH}{query}")
}

fn parse(url: &str) -> Result<Uri, ExporterError> {
    let error = |reason: String| ExporterError::Endpoint { endpoint: shown(url), reason };
    let uri: Uri = url.parse().map_err(|why: http::uri::InvalidUri| error(format!("no URL ({why})")))?;
    match uri.scheme_str() {
        Some("http" | "https") if uri.host().is_some_and(|host| !host.is_empty()) => Ok(uri),
        _ => Err(error("begin it with http:// or https:// and a host, as in http://collector:4318".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(base: Option<&str>, metrics: Option<&str>, protocol: Protocol) -> Result<String, String> {
        let endpoint = Endpoint { base: base.map(Into::into), metrics: metrics.map(Into::into), insecure: false };
        endpoint.url(protocol).map(|uri| uri.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn http_paths_follow_the_specification() {
        let http = |base, metrics| url(base, metrics, Protocol::HttpProtobuf).unwrap();
        assert_eq!(http(None, None), "http://localhost:4318/v1/metrics");
        assert_eq!(http(Some("http://a:1"), None), "http://a:1/v1/metrics");
        assert_eq!(http(Some("https://a/otlp/"), None), "https://a/otlp/v1/metrics");
        assert_eq!(http(Some("https://a/otlp?key=1"), None), "https://a/otlp/v1/metrics?key=1");
        assert_eq!(http(Some("http://a"), Some("http://b/own")), "http://b/own");
        assert_eq!(http(None, Some("http://b")), "http://b/");
    }

    #[test]
    fn grpc_targets_may_lack_a_scheme() {
        assert_eq!(url(None, None, Protocol::Grpc).unwrap(), "http://localhost:4317/");
        assert_eq!(url(Some("collector:4317"), None, Protocol::Grpc).unwrap(), "https://collector:4317/");
        let plain = Endpoint { base: Some("collector:4317".into()), insecure: true, ..Endpoint::default() };
        assert_eq!(plain.url(Protocol::Grpc).unwrap().to_string(), "http://collector:4317/");
    }

    #[test]
    fn what_is_no_url_is_named_without_its_secrets() {
        for bad in ["collector:4318", "ftp://a", "http://", "not a url", ""] {
            let error = url(Some(bad), None, Protocol::HttpProtobuf).unwrap_err();
            assert!(error.starts_with("OTLP endpoint"), "{bad}: {error}");
        }
        let error = url(None, Some("ftp://me:secret@host/path?token=secret"), Protocol::HttpProtobuf).unwrap_err();
        assert!(error.contains("ftp://host/path") && !error.contains("secret"), "{error}");
    }
}
