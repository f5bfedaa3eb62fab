//! The web configuration file of Prometheus' exporters: its schema.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use axum::http::{HeaderName, HeaderValue};
use rustls::SupportedProtocolVersion;
use rustls::crypto::CryptoProvider;
use serde::Deserialize;
use serde_saphyr::Spanned;

use crate::tls::WebError;

/// Headers that may be set, as exporters have it: others would change what a response means.
const HEADERS: [&str; 5] = [
    "Strict-Transport-Security",
    "X-Content-Type-Options",
    "X-Frame-Options",
    "X-XSS-Protection",
    "Content-Security-Policy",
];

/// A checked web configuration.
pub(crate) struct WebConfig {
    pub(crate) tls: Option<TlsSection>,
    /// User to bcrypt hash.
    pub(crate) users: BTreeMap<String, String>,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
}

pub(crate) struct TlsSection {
    pub(crate) cert: Pem,
    pub(crate) key: Pem,
    pub(crate) client_ca: Option<Pem>,
    pub(crate) client_auth: ClientAuth,
    min: Version,
    max: Version,
    cipher_suites: Vec<String>,
    curves: Vec<String>,
}

/// PEM in the configuration, or in a file beside it.
pub(crate) enum Pem {
    Inline(String),
    File(PathBuf),
}

/// What is wanted of a client's certificate.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClientAuth {
    None,
    IfGiven,
    Require,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd)]
pub(crate) enum Version {
    Tls12,
    Tls13,
}

impl Version {
    pub(crate) fn rustls(self) -> &'static SupportedProtocolVersion {
        match self {
            Self::Tls12 => &rustls::version::TLS12,
            Self::Tls13 => &rustls::version::TLS13,
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    tls_server_config: Option<Spanned<Tls>>,
    http_server_config: Option<Http>,
    basic_auth_users: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Tls {
    cert: Option<String>,
    cert_file: Option<PathBuf>,
    key: Option<String>,
    key_file: Option<PathBuf>,
    client_ca: Option<String>,
    client_ca_file: Option<PathBuf>,
    client_auth_type: Option<Spanned<String>>,
    client_allowed_sans: Option<Spanned<Vec<String>>>,
    min_version: Option<Spanned<String>>,
    max_version: Option<Spanned<String>>,
    cipher_suites: Option<Spanned<Vec<String>>>,
    curve_preferences: Option<Spanned<Vec<String>>>,
    /// Says nothing, here as in Go.
    #[serde(rename = "prefer_server_cipher_suites")]
    _prefer_server_cipher_suites: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Http {
    /// HTTP/2 is negotiated, and HTTP/1.1 is what we offer.
    #[serde(rename = "http2")]
    _http2: Option<bool>,
    headers: BTreeMap<String, Spanned<String>>,
}

impl WebConfig {
    pub(crate) fn from_yaml(text: &str, path: &Path) -> Result<Self, WebError> {
        let wrong = |line, column, problem| {
            let place = format!("{}:{line}:{column}", path.display());
            WebError::Config { place, problem }
        };
        let options = serde_saphyr::options! { emit_comments: false, with_snippet: false };
        let file = serde_saphyr::from_str_with_options::<Option<File>>(text, options).map_err(|error| {
            let (line, column) = error.location().map_or((1, 1), |place| (place.line(), place.column()));
            let message = error.to_string();
            let problem = message.lines().next().unwrap_or_default();
            wrong(line, column, problem.split(" at line ").next().unwrap_or(problem).to_owned())
        })?;
        let file = file.unwrap_or_default();
        let at = |place: &serde_saphyr::Location, problem| wrong(place.line(), place.column(), problem);
        let tls = match file.tls_server_config {
            Some(tls) => {
                let section = tls.referenced;
                Some(TlsSection::check(tls.value, |place, problem| at(&place.unwrap_or(section), problem))?)
            }
            None => None,
        };
        let headers = file.http_server_config.unwrap_or_default().headers;
        let headers: Result<Vec<_>, _> = headers
            .into_iter()
            .map(|(name, value)| header(&name, &value.value).map_err(|p| at(&value.referenced, p)))
            .collect();
        Ok(Self { tls, users: file.basic_auth_users, headers: headers? })
    }
}

fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), String> {
    if !HEADERS.iter().any(|known| known.eq_ignore_ascii_case(name)) {
        return Err(format!("headers: {name:?} can't be set: use one of {}", HEADERS.join(", ")));
    }
    let read = name.parse().ok().zip(value.parse().ok());
    read.ok_or_else(|| format!("headers: the value of {name:?} is no header's"))
}

impl TlsSection {
    fn check(tls: Tls, wrong: impl Fn(Option<serde_saphyr::Location>, String) -> WebError) -> Result<Self, WebError> {
        let pem = |what: &str, inline: Option<String>, file: Option<PathBuf>| {
            let inline = inline.filter(|text| !text.is_empty()).map(Pem::Inline);
            let file = file.filter(|file| !file.as_os_str().is_empty()).map(Pem::File);
            match (inline, file) {
                (Some(_), Some(_)) => Err(wrong(None, format!("{what} and {what}_file exclude each other: give one"))),
                (inline, file) => Ok(inline.or(file)),
            }
        };
        let needed = |what: &str| wrong(None, format!("tls_server_config needs {what}_file, or {what}"));
        let cert = pem("cert", tls.cert, tls.cert_file)?.ok_or_else(|| needed("cert"))?;
        let key = pem("key", tls.key, tls.key_file)?.ok_or_else(|| needed("key"))?;
        let client_ca = pem("client_ca", tls.client_ca, tls.client_ca_file)?;
        let auth_place = tls.client_auth_type.as_ref().map(|auth| auth.referenced);
        let auth = tls.client_auth_type.map(|auth| auth.value).unwrap_or_default();
        let client_auth = match auth.as_str() {
            // A certificate that is asked for and not verified says nothing.
            "" | "NoClientCert" | "RequestClientCert" => ClientAuth::None,
            "VerifyClientCertIfGiven" => ClientAuth::IfGiven,
            "RequireAndVerifyClientCert" => ClientAuth::Require,
            "RequireAnyClientCert" | "RequireClientCert" => {
                let problem = "client_auth_type: a certificate that is not verified keeps nobody out: use \
                               RequireAndVerifyClientCert";
                return Err(wrong(auth_place, problem.to_owned()));
            }
            other => {
                let problem = format!(
                    "client_auth_type: there is no {other:?}: use NoClientCert, VerifyClientCertIfGiven or \
                     RequireAndVerifyClientCert"
                );
                return Err(wrong(auth_place, problem));
            }
        };
        match (client_auth, &client_ca) {
            (ClientAuth::None, Some(_)) => {
                let problem = "client_ca_file says nothing without client_auth_type: RequireAndVerifyClientCert";
                return Err(wrong(auth_place, problem.to_owned()));
            }
            (ClientAuth::IfGiven | ClientAuth::Require, None) => {
                return Err(wrong(auth_place, format!("client_auth_type: {auth} needs client_ca_file")));
            }
            _ => {}
        }
        if let Some(sans) = tls.client_allowed_sans.filter(|sans| !sans.value.is_empty()) {
            let problem = "client_allowed_sans is not supported: use a client CA of its own for those clients";
            return Err(wrong(Some(sans.referenced), problem.to_owned()));
        }
        let version = |given: Option<Spanned<String>>, default, key: &str| match given {
            None => Ok(default),
            Some(given) => match given.value.as_str() {
                "" => Ok(default),
                "TLS12" => Ok(Version::Tls12),
                "TLS13" => Ok(Version::Tls13),
                other => {
                    Err(wrong(Some(given.referenced), format!("{key}: {other:?} is not spoken: use TLS12 or TLS13")))
                }
            },
        };
        let max_place = tls.max_version.as_ref().map(|version| version.referenced);
        let min = version(tls.min_version, Version::Tls12, "min_version")?;
        let max = version(tls.max_version, Version::Tls13, "max_version")?;
        if min > max {
            return Err(wrong(max_place, "max_version is below min_version".to_owned()));
        }
        let provider = rustls::crypto::ring::default_provider();
        let known_suites: Vec<String> = provider.cipher_suites.iter().map(|suite| go_suite(suite.suite())).collect();
        let known_curves: Vec<String> = provider.kx_groups.iter().map(|group| go_curve(group.name())).collect();
        let names = |given: Option<Spanned<Vec<String>>>, key: &str, known: &[String]| {
            let Some(given) = given else { return Ok(Vec::new()) };
            match given.value.iter().find(|name| !known.contains(name)) {
                None => Ok(given.value),
                Some(name) => {
                    let problem = format!("{key}: {name:?} is not spoken: use some of {}", known.join(", "));
                    Err(wrong(Some(given.referenced), problem))
                }
            }
        };
        let cipher_suites = names(tls.cipher_suites, "cipher_suites", &known_suites)?;
        let curves = names(tls.curve_preferences, "curve_preferences", &known_curves)?;
        Ok(Self { cert, key, client_ca, client_auth, min, max, cipher_suites, curves })
    }

    /// The files that it names.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Path> {
        let all = [Some(&self.cert), Some(&self.key), self.client_ca.as_ref()];
        all.into_iter().flatten().filter_map(|pem| match pem {
            Pem::File(file) => Some(file.as_path()),
            Pem::Inline(_) => None,
        })
    }

    pub(crate) fn allows(&self, version: Version) -> bool {
        self.min <= version && version <= self.max
    }

    /// Leaves only what the configuration names. As in Go, the suites of TLS 1.3 are not a matter of choice.
    pub(crate) fn restrict(&self, provider: &mut CryptoProvider) {
        if !self.cipher_suites.is_empty() {
            provider.cipher_suites.retain(|suite| {
                suite.version() == &rustls::version::TLS13 || self.cipher_suites.contains(&go_suite(suite.suite()))
            });
        }
        if !self.curves.is_empty() {
            provider.kx_groups.retain(|group| self.curves.contains(&go_curve(group.name())));
        }
    }
}

/// A suite as Go names it.
fn go_suite(suite: rustls::CipherSuite) -> String {
    format!("{suite:?}").replacen("TLS13_", "TLS_", 1)
}

/// A curve as Go names it.
fn go_curve(group: rustls::NamedGroup) -> String {
    match group {
        rustls::NamedGroup::secp256r1 => "CurveP256".to_owned(),
        rustls::NamedGroup::secp384r1 => "CurveP384".to_owned(),
        other => format!("{other:?}"),
    }
}
