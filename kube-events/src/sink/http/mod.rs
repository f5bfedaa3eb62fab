//! What the sinks over HTTP have in common: a client, and what an answer means for a batch.

mod group;

use std::fmt;
use std::io::Write;
use std::time::{Duration, SystemTime};

use http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, RETRY_AFTER, TRANSFER_ENCODING,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use jiff::fmt::rfc2822;
use reqwest::{Client, Response, Url};
use secrecy::{ExposeSecret, SecretString};

use super::{Cause, DeliveryError, EncodeError, SinkError, Text};
use crate::event::EnhancedEvent;

pub(super) use super::excerpt::excerpt;
pub(super) use super::tls::TlsOptions;
pub(super) use group::{Group, groups, in_order};

const USER_AGENT: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));
/// The most of an answer that is read where it has a sentence in it, or two.
pub(super) const SHORT: usize = 16 << 10;
const CONNECT: Duration = Duration::from_secs(10);

/// A client with fixed headers.
pub(super) struct Http {
    client: Client,
    headers: HeaderMap,
    gzip: bool,
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").field("headers", &self.headers.keys().collect::<Vec<_>>()).finish_non_exhaustive()
    }
}

/// An answer, with so much of its body as was asked for.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Vec<u8>,
    /// It came to its end, and was not too long.
    pub(super) is_whole: bool,
    after: Option<Duration>,
    location: Option<String>,
}

impl Http {
    pub(super) fn new(tls: &TlsOptions, headers: HeaderMap, gzip: bool) -> Result<Self, SinkError> {
        let client = Client::builder()
            .tls_backend_preconfigured(tls.config()?)
            // A redirect would carry the headers' secrets elsewhere, and turn a POST into a GET.
            .redirect(reqwest::redirect::Policy::none())
            // Answers are short, and what is asked for does not hang on features that others turn on.
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate()
            .connect_timeout(CONNECT)
            .user_agent(USER_AGENT)
            .build()
            .map_err(|error| SinkError::option("tls", error.without_url()))?;
        Ok(Self { client, headers, gzip })
    }

    /// One request. `more` are headers of this request, which win. The answer is read up to `most` bytes.
    pub(super) async fn post(
        &self,
        url: &Url,
        content_type: &'static str,
        more: HeaderMap,
        body: Vec<u8>,
        most: usize,
    ) -> Result<Answer, DeliveryError> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        // Values of one name are kept beside each other; they replace what was there before.
        headers.extend(self.headers.clone());
        headers.extend(more);
        let body = if self.gzip && !headers.contains_key(CONTENT_ENCODING) {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            gzip(&body).map_err(DeliveryError::again)?
        } else {
            body
        };
        let sent = self.client.post(url.clone()).headers(headers).body(body).send().await;
        let response = sent.map_err(|error| DeliveryError::again(chain(&error.without_url())))?;
        Ok(Answer::read(response, most).await)
    }
}

fn gzip(body: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    out.write_all(body)?;
    out.finish()
}

impl Answer {
    async fn read(mut response: Response, most: usize) -> Self {
        let text = |name| response.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let after = text(RETRY_AFTER).and_then(|text| retry_delay(text, SystemTime::now()));
        let location = text(LOCATION).map(excerpt);
        let status = response.status();
        let mut body = Vec::new();
        let is_whole = loop {
            match response.chunk().await {
                Ok(Some(chunk)) => {
                    let room = most - body.len();
                    body.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
                    if chunk.len() > room {
                        break false;
                    }
                }
                Ok(None) => break true,
                Err(_) => break false,
            }
        };
        Self { status, body, is_whole, after, location }
    }

    /// What the status says about all that was sent.
    ///
    /// 2xx: it is taken. 408, 425, 429 and 5xx: later, after `Retry-After`. Redirects are not followed: someone has to
    /// change the address. 401, 403 and 407 are about the sink's credentials, whatever is sent, and someone has to set
    /// these right: later too. Everything else is refused.
    pub(super) fn check(&self) -> Result<(), DeliveryError> {
        let status = self.status;
        if status.is_success() {
            return Ok(());
        }
        let cause: Cause = self.reason().into();
        let later = status.is_server_error()
            || status.is_redirection()
            || matches!(
                status,
                StatusCode::REQUEST_TIMEOUT
                    | StatusCode::TOO_EARLY
                    | StatusCode::TOO_MANY_REQUESTS
                    | StatusCode::UNAUTHORIZED
                    | StatusCode::FORBIDDEN
                    | StatusCode::PROXY_AUTHENTICATION_REQUIRED
            );
        Err(if later { DeliveryError::Again { cause, after: self.after } } else { DeliveryError::Refused { cause } })
    }

    fn reason(&self) -> String {
        let status = self.status;
        if let Some(location) = self.location.as_ref().filter(|_| status.is_redirection()) {
            return format!("{status}: redirects are not followed: if {location} is right, give that address");
        }
        let said = excerpt(&String::from_utf8_lossy(&self.body));
        if said.is_empty() { status.to_string() } else { format!("{status}: {said}") }
    }
}

/// An error with its causes: reqwest's own words say nothing but that a request failed.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}

/// `Retry-After`: seconds, or a date.
fn retry_delay(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = SystemTime::from(rfc2822::parse(text).ok()?.timestamp());
    Some(date.duration_since(now).unwrap_or_default())
}

/// An address of HTTP.
pub(super) fn url(option: &'static str, text: &str) -> Result<Url, SinkError> {
    let url = Url::parse(text).map_err(|error| SinkError::option(option, error))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err(SinkError::option(option, "an address that begins with `http://` or `https://` is wanted"));
    }
    Ok(url)
}

/// An address for logs.
pub(super) fn shown(url: &Url) -> String {
    super::excerpt::address(url.as_str())
}

/// A header of fixed value; the value is marked as a secret and never told.
pub(super) fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), SinkError> {
    let wrong = |what| SinkError::option("headers", format!("`{}`: {what}", excerpt(name)));
    let name = HeaderName::try_from(name).map_err(|_| wrong("this is no name of a header"))?;
    if matches!(name, CONTENT_LENGTH | TRANSFER_ENCODING) {
        return Err(wrong("the body says it: leave it out"));
    }
    let mut value =
        HeaderValue::try_from(value).map_err(|_| wrong("its value has letters that a header can't have"))?;
    value.set_sensitive(true);
    Ok((name, value))
}

/// Fixed headers.
pub(super) fn headers<'a>(
    pairs: impl IntoIterator<Item = (&'a String, &'a SecretString)>,
) -> Result<HeaderMap, SinkError> {
    pairs.into_iter().map(|(name, value)| header(name, value.expose_secret())).collect()
}

/// `Authorization: Basic`.
pub(super) fn basic(username: &str, password: Option<&SecretString>) -> Result<(HeaderName, HeaderValue), SinkError> {
    use base64::Engine as _;
    let password = password.map(ExposeSecret::expose_secret).unwrap_or_default();
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("{username}:{password}"));
    header(AUTHORIZATION.as_str(), &format!("Basic {pair}"))
}

/// Headers of which some depend on the event.
#[derive(Debug, Default)]
pub(super) struct EventHeaders(Vec<(HeaderName, Text)>);

impl EventHeaders {
    /// Those that are fixed, and the others.
    pub(super) fn split(pairs: &[(String, Text)]) -> Result<(HeaderMap, Self), SinkError> {
        let (mut fixed, mut others) = (HeaderMap::new(), Vec::new());
        for (name, text) in pairs {
            let (name, value) = header(name, text.as_fixed().unwrap_or_default())?;
            if text.as_fixed().is_some() {
                fixed.insert(name, value);
            } else {
                others.push((name, text.clone()));
            }
        }
        Ok((fixed, Self(others)))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Name and value of each, for an event. Line ends and the like in a value become spaces.
    pub(super) fn render(&self, event: &EnhancedEvent) -> Result<Vec<(String, String)>, EncodeError> {
        let clean = |value: String| value.replace(|letter: char| letter.is_control(), " ");
        self.0.iter().map(|(name, text)| Ok((name.to_string(), clean(text.render(event)?)))).collect()
    }

    /// Those that were rendered once. What is none any more, as after a change of versions, is left out.
    pub(super) fn parse(pairs: &[(String, String)]) -> HeaderMap {
        pairs.iter().filter_map(|(name, value)| header(name, value).ok()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_770);
        let cases = [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(7)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("-1", None),
            ("soon", None),
        ];
        for (text, want) in cases {
            assert_eq!(retry_delay(text, now), want.map(Duration::from_secs), "{text}");
        }
    }

    #[test]
    fn addresses_are_shown_without_secrets() {
        let url = url("endpoint", "https://user:pass@example.com:8443/hook?token=secret").unwrap();
        assert_eq!(shown(&url), "https://example.com:8443");
        for wrong in ["ftp://example.com", "example.com/x", "http://"] {
            assert!(super::url("endpoint", wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn values_of_headers_are_never_told() {
        let error = header("X-Key", "hush\n").unwrap_err().to_string();
        assert!(error.contains("X-Key") && !error.contains("hush"), "{error}");
        assert!(header("Content-Length", "5").is_err());
        let (_, value) = header("X-Key", "hush").unwrap();
        assert!(!format!("{value:?}").contains("hush"));
    }
}
