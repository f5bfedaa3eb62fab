//! EC2's instance metadata service
//! ([documentation](https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html)).
//!
//! Version 2: a token is fetched first, kept for its six hours, and fetched anew 2 minutes before they are over or when
//! the service does not know it any more. In a pod without host network, the answer to the token request is a hop too
//! far from the service for the default hop limit of 1: it never arrives. That is told apart from a service that is not
//! there ([`SourceError::HopLimit`]).

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use http::StatusCode;
use http::header::HeaderValue;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::http::{Answer, Service};
use super::{Fetched, LINK_LOCAL, MetadataSource, SourceError};
use crate::metadata::Attribute;

/// Where the service is by IPv6, on instances of IPv6-capable subnets that switch it on.
pub const ENDPOINT_IPV6: &str = "http://[fd00:ec2::254]";

const ENDPOINT_VARIABLE: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
const MODE_VARIABLE: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE";
const DISABLED_VARIABLE: &str = "AWS_EC2_METADATA_DISABLED";

const TOKEN_PATH: &str = "latest/api/token";
const TTL_HEADER: &str = "x-aws-ec2-metadata-token-ttl-seconds";
const TOKEN_HEADER: &str = "x-aws-ec2-metadata-token";
const TTL: Duration = Duration::from_hours(6);
/// So much before a token's end it is fetched anew.
const REFRESH_EARLY: Duration = Duration::from_mins(2);

/// Of what every instance has, the shortest. It is asked for without a token, for the status of the answer.
const PLAIN_PATH: &str = "latest/meta-data/instance-id";

const TOKEN: &str = "IMDS token";
const DOCUMENT: &str = "IMDS identity document";
const HOSTNAME: &str = "IMDS host name";

/// EC2's instance metadata service as a source. It tells all eight attributes.
///
/// ```
/// use node_lease::source::aws::Imds;
///
/// // As the environment says: AWS_EC2_METADATA_SERVICE_ENDPOINT and …_MODE, AWS_EC2_METADATA_DISABLED.
/// let source = Imds::from_env()?;
/// // Or where it is said to be:
/// let source = Imds::at("http://127.0.0.1:1338")?;
/// # Ok::<(), node_lease::SourceError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Imds {
    service: Service,
    v1_fallback: bool,
    disabled: bool,
    token: Arc<Mutex<Option<Token>>>,
}

#[derive(Debug, Clone)]
struct Token {
    /// Marked as sensitive: its `Debug` does not tell it.
    value: HeaderValue,
    refresh_at: Instant,
}

/// The token to ask with; none for version 1.
type Access = Option<HeaderValue>;

impl Imds {
    /// At the usual address, whatever the environment says.
    pub fn new() -> Result<Self, SourceError> {
        Self::at(LINK_LOCAL)
    }

    /// At another address.
    pub fn at(endpoint: &str) -> Result<Self, SourceError> {
        Self::with(endpoint, "the endpoint")
    }

    /// As the environment says, by the names of the AWS SDKs: `AWS_EC2_METADATA_SERVICE_ENDPOINT`, or else the mode
    /// (`IPv4`, `IPv6`) in `AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE`. With `AWS_EC2_METADATA_DISABLED=true` every fetch
    /// fails, and nothing is asked.
    pub fn from_env() -> Result<Self, SourceError> {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    /// The same, from variables that are looked up by name.
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Self, SourceError> {
        let given = |name| variable(name).filter(|value| !value.is_empty());
        let source = match (given(ENDPOINT_VARIABLE), given(MODE_VARIABLE)) {
            (Some(endpoint), _) => Self::with(&endpoint, ENDPOINT_VARIABLE)?,
            (None, None) => Self::new()?,
            (None, Some(mode)) if mode.eq_ignore_ascii_case("ipv4") => Self::new()?,
            (None, Some(mode)) if mode.eq_ignore_ascii_case("ipv6") => Self::at(ENDPOINT_IPV6)?,
            (None, Some(given)) => {
                return Err(SourceError::BadEndpoint { from: MODE_VARIABLE, given, must_be: "IPv4 or IPv6" });
            }
        };
        let disabled = given(DISABLED_VARIABLE).is_some_and(|value| value.eq_ignore_ascii_case("true"));
        Ok(Self { disabled, ..source })
    }

    fn with(endpoint: &str, from: &'static str) -> Result<Self, SourceError> {
        let service = Service::new(endpoint, from)?;
        Ok(Self { service, v1_fallback: false, disabled: false, token: Arc::default() })
    }

    /// How long each request may take, of which there are three at best; 2 s by default. A connection must be made
    /// within 1 s in any case.
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { service: self.service.timeout(timeout), ..self }
    }

    /// Whether to go on without a token (version 1) where none is to be had; off by default, since a version 1 that is
    /// open helps attackers too.
    pub fn v1_fallback(self, on: bool) -> Self {
        Self { v1_fallback: on, ..self }
    }

    /// Whether it is there: it gives tokens, or would if they came through.
    pub(super) async fn is_there(&self, timeout: Duration) -> bool {
        const PROBE: &str = "probe of EC2";
        if self.disabled {
            return false;
        }
        let service = self.service.clone().timeout(timeout);
        let (token, plain) = (service.put(TOKEN_PATH).header(TTL_HEADER, "60"), service.get(PLAIN_PATH));
        match tokio::join!(service.send(PROBE, token), service.send(PROBE, plain)) {
            (Ok(token), _) => token.header(TTL_HEADER).is_some(),
            (Err(SourceError::Timeout { .. }), Ok(plain)) => {
                plain.status == StatusCode::UNAUTHORIZED || plain.header("server") == Some("EC2ws")
            }
            _ => false,
        }
    }

    /// By the token at hand, or a new one.
    async fn access(&self) -> Result<Access, SourceError> {
        let kept = self.token.lock().clone();
        if let Some(token) = kept.filter(|token| Instant::now() < token.refresh_at) {
            return Ok(Some(token.value));
        }
        match self.fetch_token().await {
            Ok(token) => Ok(Some(self.token.lock().insert(token).value.clone())),
            Err(error) => self.without_token(error).await,
        }
    }

    async fn fetch_token(&self) -> Result<Token, SourceError> {
        const OTHER_CLOUD: SourceError = SourceError::OtherCloud { what: TOKEN, cloud: "EC2" };
        let request = self.service.put(TOKEN_PATH).header(TTL_HEADER, TTL.as_secs());
        let answer = self.service.send(TOKEN, request).await?;
        if answer.status == StatusCode::UNAUTHORIZED {
            return Err(OTHER_CLOUD);
        }
        let answer = answer.success()?;
        let granted = answer.header(TTL_HEADER).and_then(|seconds| seconds.trim().parse().ok());
        let granted = granted.map_or(TTL, Duration::from_secs).min(TTL);
        let mut value = HeaderValue::try_from(answer.text()?).map_err(|_| OTHER_CLOUD)?;
        if value.is_empty() {
            return Err(OTHER_CLOUD);
        }
        value.set_sensitive(true);
        Ok(Token { value, refresh_at: Instant::now() + granted.saturating_sub(REFRESH_EARLY) })
    }

    /// There is no token: what does the service say to a request without one?
    async fn without_token(&self, error: SourceError) -> Result<Access, SourceError> {
        let is_lost = matches!(error, SourceError::Timeout { .. });
        if !is_lost && !matches!(error, SourceError::Status { code: 404 | 405, .. }) {
            return Err(error);
        }
        let Ok(plain) = self.service.send(TOKEN, self.service.get(PLAIN_PATH)).await else { return Err(error) };
        Err(match plain.status {
            StatusCode::OK if self.v1_fallback => return Ok(None),
            StatusCode::OK => SourceError::OnlyV1 { source: Box::new(error) },
            StatusCode::UNAUTHORIZED if is_lost => SourceError::HopLimit,
            StatusCode::FORBIDDEN => SourceError::Disabled { what: TOKEN },
            StatusCode::NOT_FOUND if !is_lost => SourceError::OtherCloud { what: TOKEN, cloud: "EC2" },
            _ => error,
        })
    }

    /// Gets a path; if the service does not know the token any more, with a new one, once.
    async fn get(&self, what: &'static str, path: &str, access: &mut Access) -> Result<Answer, SourceError> {
        let answer = self.get_by(access, what, path).await?;
        if answer.status != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        *self.token.lock() = None;
        *access = self.access().await?;
        self.get_by(access, what, path).await
    }

    async fn get_by(&self, access: &Access, what: &'static str, path: &str) -> Result<Answer, SourceError> {
        let request = self.service.get(path);
        let request = match access {
            Some(token) => request.header(TOKEN_HEADER, token),
            None => request,
        };
        self.service.send(what, request).await
    }

    async fn host_name(&self, access: &mut Access) -> Result<Option<String>, SourceError> {
        let answer = self.get(HOSTNAME, "latest/meta-data/hostname", access).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        match answer.success()?.text()? {
            name if name.trim().is_empty() => Err(SourceError::Empty { what: HOSTNAME }),
            name => Ok(Some(name)),
        }
    }
}

impl MetadataSource for Imds {
    fn name(&self) -> &'static str {
        "EC2 instance metadata"
    }

    fn fetch(&self) -> BoxFuture<'_, Result<Fetched, SourceError>> {
        Box::pin(async {
            if self.disabled {
                return Err(SourceError::DisabledByEnvironment);
            }
            let mut access = self.access().await?;
            let document = self.get(DOCUMENT, "latest/dynamic/instance-identity/document", &mut access).await?;
            let document = document.success()?.document()?;
            if document.text("/instanceId").is_empty() {
                return Err(SourceError::OtherCloud { what: DOCUMENT, cloud: "EC2" });
            }
            let mut fetched = Fetched::default();
            for (attribute, value) in [
                (Attribute::Provider, "aws"),
                (Attribute::HostId, document.text("/instanceId")),
                (Attribute::HostType, document.text("/instanceType")),
                (Attribute::HostImageId, document.text("/imageId")),
                (Attribute::AvailabilityZone, document.text("/availabilityZone")),
                (Attribute::Region, document.text("/region")),
                (Attribute::AccountId, document.text("/accountId")),
            ] {
                fetched.take(attribute, value);
            }
            fetched.note(Attribute::HostName, self.host_name(&mut access).await);
            Ok(fetched)
        })
    }
}
