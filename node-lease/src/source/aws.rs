//! EC2's instance metadata service
//! ([documentation](https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html)).
//!
//! Version 2: a token is fetched first, kept for its six hours, and fetched anew 2 minutes before they are over or when
//! the service does not know it any more. In a pod without host network, the answer to the token request is a hop too
//! far from the service for the default hop limit of 1: it never arrives. That is told apart from a service that is not
//! there ([`SourceError::HopLimit`]).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use parking_lot::Mutex;
use reqwest::{Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::time::Instant;

use super::http::{Answer, Service};
use super::{Fetched, MetadataSource, SourceError};
use crate::metadata::Attribute;

/// Where the service is.
pub const ENDPOINT: &str = "http://169.254.169.254";

/// Where it is by IPv6, on instances of IPv6-capable subnets that switch it on.
pub const ENDPOINT_IPV6: &str = "http://[fd00:ec2::254]";

const TOKEN_TTL_HEADER: &str = "x-aws-ec2-metadata-token-ttl-seconds";
const TOKEN_HEADER: &str = "x-aws-ec2-metadata-token";
const TOKEN_TTL: Duration = Duration::from_hours(6);
/// So much before a token's end it is fetched anew.
const REFRESH_EARLY: Duration = Duration::from_mins(2);
const TIMEOUT: Duration = Duration::from_secs(2);

const TOKEN: &str = "IMDS token";
const DOCUMENT: &str = "IMDS identity document";
const HOSTNAME: &str = "IMDS host name";

/// EC2's instance metadata service as a source.
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
#[derive(Clone)]
pub struct Imds {
    service: Service,
    v1_fallback: bool,
    disabled: bool,
    token: Arc<Mutex<Option<Token>>>,
}

#[derive(Clone)]
struct Token {
    value: SecretString,
    refresh_at: Instant,
}

/// What a request is sent with.
#[derive(Clone)]
enum Access {
    Token(SecretString),
    /// Version 1, which was asked for.
    Nothing,
}

impl fmt::Debug for Imds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Imds")
            .field("service", &self.service)
            .field("v1_fallback", &self.v1_fallback)
            .finish_non_exhaustive()
    }
}

/// The part of the identity document that is read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    instance_id: Option<String>,
    instance_type: Option<String>,
    image_id: Option<String>,
    availability_zone: Option<String>,
    region: Option<String>,
    account_id: Option<String>,
}

impl Imds {
    /// At the usual address, whatever the environment says.
    pub fn new() -> Result<Self, SourceError> {
        Self::at(ENDPOINT)
    }

    /// At another address.
    pub fn at(endpoint: &str) -> Result<Self, SourceError> {
        Self::with(endpoint, "the endpoint")
    }

    /// As the environment says, by the names of the AWS SDKs: `AWS_EC2_METADATA_SERVICE_ENDPOINT`, or the mode
    /// (`IPv4`, `IPv6`) in `AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE`; `AWS_EC2_METADATA_DISABLED`.
    pub fn from_env() -> Result<Self, SourceError> {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    /// The same, from variables that are looked up by name.
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Self, SourceError> {
        const MODE: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE";
        let given = |name: &str| variable(name).filter(|value| !value.is_empty());
        let mut source = match (given("AWS_EC2_METADATA_SERVICE_ENDPOINT"), given(MODE)) {
            (Some(endpoint), _) => Self::with(&endpoint, "AWS_EC2_METADATA_SERVICE_ENDPOINT")?,
            (None, None) => Self::new()?,
            (None, Some(mode)) if mode.eq_ignore_ascii_case("ipv4") => Self::new()?,
            (None, Some(mode)) if mode.eq_ignore_ascii_case("ipv6") => Self::at(ENDPOINT_IPV6)?,
            (None, Some(mode)) => {
                return Err(SourceError::BadEndpoint {
                    url: mode,
                    from: "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE (IPv4 or IPv6)",
                });
            }
        };
        source.disabled = given("AWS_EC2_METADATA_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
        Ok(source)
    }

    fn with(endpoint: &str, from: &'static str) -> Result<Self, SourceError> {
        let service = Service::new(endpoint, from, TIMEOUT)?;
        Ok(Self { service, v1_fallback: false, disabled: false, token: Arc::default() })
    }

    /// Whether to go on without a token (version 1) where none is to be had; off by default, since a version 1 that is
    /// open helps attackers too.
    pub fn v1_fallback(mut self, on: bool) -> Self {
        self.v1_fallback = on;
        self
    }

    /// The token at hand, or a new one.
    async fn access(&self) -> Result<Access, SourceError> {
        let kept = self.token.lock().clone();
        if let Some(token) = kept.filter(|token| Instant::now() < token.refresh_at) {
            return Ok(Access::Token(token.value));
        }
        match self.fetch_token().await {
            Ok(token) => {
                *self.token.lock() = Some(token.clone());
                Ok(Access::Token(token.value))
            }
            Err(error) => self.without_token(error).await,
        }
    }

    async fn fetch_token(&self) -> Result<Token, SourceError> {
        let ttl = TOKEN_TTL.as_secs().to_string();
        let request = self.service.request(Method::PUT, "latest/api/token").header(TOKEN_TTL_HEADER, ttl);
        let answer = self.service.send(TOKEN, request).await?.success()?;
        let granted = answer.headers.get(TOKEN_TTL_HEADER).and_then(|ttl| ttl.to_str().ok()?.trim().parse().ok());
        let granted = granted.map_or(TOKEN_TTL, Duration::from_secs).min(TOKEN_TTL);
        let value = answer.text()?;
        if value.is_empty() || !value.bytes().all(|c| c.is_ascii_graphic()) {
            return Err(SourceError::OtherCloud { what: TOKEN, cloud: "EC2" });
        }
        let refresh_at = Instant::now() + granted.saturating_sub(REFRESH_EARLY);
        Ok(Token { value: value.into(), refresh_at })
    }

    /// There is no token: what does the service say to a request without one?
    async fn without_token(&self, error: SourceError) -> Result<Access, SourceError> {
        let hung = matches!(error, SourceError::Timeout { .. });
        let no_such_thing = matches!(error, SourceError::Status { code: 404 | 405, .. });
        if !hung && !no_such_thing {
            return Err(error);
        }
        let Ok(answer) = self.service.send(DOCUMENT, self.service.get("latest/meta-data/instance-id")).await else {
            return Err(error);
        };
        match answer.status {
            StatusCode::UNAUTHORIZED if hung => Err(SourceError::HopLimit),
            StatusCode::OK if self.v1_fallback => Ok(Access::Nothing),
            StatusCode::OK => Err(SourceError::OnlyV1 { reason: error.to_string() }),
            _ => Err(error),
        }
    }

    async fn get(&self, what: &'static str, path: &str, access: &Access) -> Result<Answer, SourceError> {
        let request = self.service.get(path);
        let request = match access {
            Access::Token(token) => request.header(TOKEN_HEADER, token.expose_secret()),
            Access::Nothing => request,
        };
        self.service.send(what, request).await
    }

    /// Gets a path; a token that the service does not know any more is fetched anew, once.
    async fn get_fresh(&self, what: &'static str, path: &str) -> Result<Answer, SourceError> {
        let access = self.access().await?;
        let answer = self.get(what, path, &access).await?;
        if answer.status != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        self.token.lock().take();
        let access = self.access().await?;
        self.get(what, path, &access).await
    }

    async fn host_name(&self) -> Result<Option<String>, SourceError> {
        let answer = self.get_fresh(HOSTNAME, "latest/meta-data/hostname").await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        answer.success()?.text().map(Some)
    }
}

impl MetadataSource for Imds {
    fn name(&self) -> &str {
        "EC2 instance metadata"
    }

    fn fetch(&self) -> BoxFuture<'_, Result<Fetched, SourceError>> {
        Box::pin(async {
            if self.disabled {
                return Err(SourceError::DisabledByEnvironment);
            }
            let document: Document =
                self.get_fresh(DOCUMENT, "latest/dynamic/instance-identity/document").await?.success()?.json()?;
            let mut fetched = Fetched::default();
            fetched.take(Attribute::Provider, "aws");
            for (attribute, value) in [
                (Attribute::HostId, document.instance_id),
                (Attribute::HostType, document.instance_type),
                (Attribute::HostImageId, document.image_id),
                (Attribute::AvailabilityZone, document.availability_zone),
                (Attribute::Region, document.region),
                (Attribute::AccountId, document.account_id),
            ] {
                fetched.note(attribute, Ok(value));
            }
            fetched.note(Attribute::HostName, self.host_name().await);
            Ok(fetched)
        })
    }
}
