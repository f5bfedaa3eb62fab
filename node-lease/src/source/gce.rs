//! Compute Engine's metadata server
//! ([documentation](https://cloud.google.com/compute/docs/metadata/querying-metadata)).
//!
//! Each value is asked for by itself: the recursive document has the instance's attributes too, and in a cluster of
//! GKE those hold credentials.

use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use http::StatusCode;

use super::http::{Answer, Service};
use super::{Fetched, LINK_LOCAL, MetadataSource, SourceError};
use crate::metadata::Attribute;

const HOST_VARIABLE: &str = "GCE_METADATA_HOST";

/// Every request must have it, and every answer has it.
const FLAVOR: (&str, &str) = ("metadata-flavor", "Google");

const WHAT: &str = "GCE metadata";

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
/// It tells all eight attributes: `host.type` and `cloud.availability_zone` are the last segments of what the server
/// tells, the region is in the zone's name, and the account is the project's id.
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
    /// At the usual address, whatever the environment says. The server's name, `metadata.google.internal`, would need a
    /// resolver that knows it.
    pub fn new() -> Result<Self, SourceError> {
        Self::at(LINK_LOCAL)
    }

    /// At another address.
    pub fn at(endpoint: &str) -> Result<Self, SourceError> {
        Ok(Self { service: Service::new(endpoint, "the endpoint")? })
    }

    /// At `GCE_METADATA_HOST` (a host, and a port if it is not 80), as Google's clients do, or at the usual address.
    pub fn from_env() -> Result<Self, SourceError> {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    /// The same, from variables that are looked up by name.
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Self, SourceError> {
        match variable(HOST_VARIABLE).filter(|host| !host.is_empty()) {
            None => Self::new(),
            Some(given) if given.contains('/') => {
                Err(SourceError::BadEndpoint { from: HOST_VARIABLE, given, must_be: "host or host:port" })
            }
            Some(host) => Ok(Self { service: Service::new(&format!("http://{host}"), HOST_VARIABLE)? }),
        }
    }

    /// How long each request may take; 2 s by default. A connection must be made within 1 s in any case.
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { service: self.service.timeout(timeout) }
    }

    /// Whether it is there: its answers have its mark.
    pub(super) async fn is_there(&self, timeout: Duration) -> bool {
        let service = self.service.clone().timeout(timeout);
        let request = service.get("").header(FLAVOR.0, FLAVOR.1);
        service.send("probe of GCE", request).await.is_ok_and(|answer| has_flavor(&answer))
    }

    async fn get(&self, path: &str) -> Result<Option<String>, SourceError> {
        let request = self.service.get(&format!("computeMetadata/v1/{path}")).header(FLAVOR.0, FLAVOR.1);
        let answer = self.service.send(WHAT, request).await?;
        // What stands before a server that is down may answer for it, without its mark.
        if !has_flavor(&answer) && !answer.status.is_server_error() {
            return Err(SourceError::OtherCloud { what: WHAT, cloud: "GCE" });
        }
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        answer.success()?.text().map(Some)
    }
}

fn has_flavor(answer: &Answer) -> bool {
    answer.header(FLAVOR.0).is_some_and(|flavor| flavor.eq_ignore_ascii_case(FLAVOR.1))
}

/// `projects/123/zones/europe-west1-b` → `europe-west1-b`.
fn last_segment(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

/// `europe-west1-b` → `europe-west1`.
fn region_of(zone: &str) -> Option<&str> {
    zone.rsplit_once('-').map(|(region, _)| region)
}

impl MetadataSource for Gce {
    fn name(&self) -> &'static str {
        WHAT
    }

    fn fetch(&self) -> BoxFuture<'_, Result<Fetched, SourceError>> {
        Box::pin(async {
            let answers = join_all(VALUES.iter().map(|(_, path)| self.get(path))).await;
            let mut fetched = Fetched::default();
            for ((attribute, _), answer) in VALUES.into_iter().zip(answers) {
                let is_path = matches!(attribute, Attribute::HostType | Attribute::AvailabilityZone);
                let short = |value: String| if is_path { last_segment(&value).to_owned() } else { value };
                fetched.note(attribute, answer.map(|value| value.map(short)));
            }
            let mut fetched = fetched.if_anything()?;
            fetched.take(Attribute::Provider, "gcp");
            let region = fetched.metadata.get(Attribute::AvailabilityZone).and_then(region_of).map(str::to_owned);
            fetched.note(Attribute::Region, Ok(region));
            Ok(fetched)
        })
    }
}
