//! Compute Engine's metadata server
//! ([documentation](https://cloud.google.com/compute/docs/metadata/querying-metadata)).
//!
//! Each value is asked for by itself: the recursive document has the instance's attributes too, and in a cluster of
//! GKE those hold credentials.

use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use reqwest::StatusCode;

use super::http::Service;
use super::{Fetched, MetadataSource, SourceError};
use crate::metadata::Attribute;

/// Where the server is. Its name, `metadata.google.internal`, needs a resolver that knows it.
pub const ENDPOINT: &str = "http://169.254.169.254";

/// Every request must have it, and every answer has it.
pub(super) const FLAVOR: (&str, &str) = ("metadata-flavor", "Google");

const WHAT: &str = "GCE metadata";
const TIMEOUT: Duration = Duration::from_secs(2);

/// What is asked for, and where it is below `computeMetadata/v1/`.
const VALUES: [(Attribute, &str); 6] = [
    (Attribute::HostId, "instance/id"),
    (Attribute::HostName, "instance/hostname"),
    (Attribute::HostType, "instance/machine-type"),
    (Attribute::HostImageId, "instance/image"),
    (Attribute::AvailabilityZone, "instance/zone"),
    (Attribute::AccountId, "project/project-id"),
];

/// Compute Engine's metadata server as a source.
///
/// ```
/// use node_lease::source::gce::Gce;
///
/// // At the usual address, or where GCE_METADATA_HOST says.
/// let source = Gce::from_env()?;
/// # Ok::<(), node_lease::SourceError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Gce {
    service: Service,
}

impl Gce {
    /// At the usual address, whatever the environment says.
    pub fn new() -> Result<Self, SourceError> {
        Self::at(ENDPOINT)
    }

    /// At another address.
    pub fn at(endpoint: &str) -> Result<Self, SourceError> {
        Ok(Self { service: Service::new(endpoint, "the endpoint", TIMEOUT)? })
    }

    /// At `GCE_METADATA_HOST` (host and port), as Google's clients do, or at the usual address.
    pub fn from_env() -> Result<Self, SourceError> {
        match std::env::var("GCE_METADATA_HOST").ok().filter(|host| !host.is_empty()) {
            Some(host) => Ok(Self { service: Service::new(&format!("http://{host}"), "GCE_METADATA_HOST", TIMEOUT)? }),
            None => Self::new(),
        }
    }

    async fn get(&self, path: &str) -> Result<Option<String>, SourceError> {
        let request = self.service.get(&format!("computeMetadata/v1/{path}")).header(FLAVOR.0, FLAVOR.1);
        let answer = self.service.send(WHAT, request).await?;
        if !answer.has_header(FLAVOR.0, FLAVOR.1) && answer.status.is_success() {
            return Err(SourceError::OtherCloud { what: WHAT, cloud: "GCE" });
        }
        if answer.status == StatusCode::NOT_FOUND && answer.has_header(FLAVOR.0, FLAVOR.1) {
            return Ok(None);
        }
        answer.success()?.text().map(Some)
    }
}

/// `projects/123/zones/europe-west1-b` → `europe-west1-b`.
fn last_segment(path: &str) -> &str {
    path.trim().rsplit('/').next().unwrap_or_default()
}

/// `europe-west1-b` → `europe-west1`.
fn region_of(zone: &str) -> Option<&str> {
    zone.rsplit_once('-').map(|(region, _)| region)
}

impl MetadataSource for Gce {
    fn name(&self) -> &str {
        "GCE metadata"
    }

    fn fetch(&self) -> BoxFuture<'_, Result<Fetched, SourceError>> {
        Box::pin(async {
            // The first one alone: if that fails, so would the others.
            let [(first, path), others @ ..] = VALUES;
            let id = self.get(path).await?;
            let mut fetched = Fetched::default();
            fetched.take(Attribute::Provider, "gcp");
            fetched.note(first, Ok(id));
            let answers = join_all(others.iter().map(|(_, path)| self.get(path))).await;
            for ((attribute, _), answer) in others.into_iter().zip(answers) {
                let is_path = matches!(attribute, Attribute::HostType | Attribute::AvailabilityZone);
                let short = |value: String| if is_path { last_segment(&value).to_owned() } else { value };
                fetched.note(attribute, answer.map(|value| value.map(short)));
            }
            let region = fetched.metadata.get(Attribute::AvailabilityZone).and_then(region_of).map(str::to_owned);
            fetched.note(Attribute::Region, Ok(region));
            Ok(fetched)
        })
    }
}
