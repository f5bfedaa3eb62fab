//! Azure's instance metadata service
//! ([documentation](https://learn.microsoft.com/azure/virtual-machines/instance-metadata-service)).

use std::time::Duration;

use futures::future::BoxFuture;
use reqwest::StatusCode;
use serde::Deserialize;

use super::http::Service;
use super::{Fetched, MetadataSource, SourceError};
use crate::metadata::Attribute;

/// Where the service is.
pub const ENDPOINT: &str = "http://169.254.169.254";

/// Every request must have it.
pub(super) const HEADER: (&str, &str) = ("metadata", "true");

pub(super) const PATH: &str = "metadata/instance/compute?api-version=2021-02-01&format=json";

const WHAT: &str = "Azure instance metadata";
const TIMEOUT: Duration = Duration::from_secs(2);

/// Azure's instance metadata service as a source.
///
/// `host.id` is the `vmId`, `host.name` the machine's name. The zone is written as Kubernetes does
/// (`westeurope-1`, from location and number); machines outside zones have none.
///
/// ```
/// use node_lease::source::azure::Azure;
///
/// let source = Azure::new()?;
/// # Ok::<(), node_lease::SourceError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Azure {
    service: Service,
}

/// The part of the compute document that is read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct Compute {
    location: String,
    name: String,
    vm_id: String,
    vm_size: String,
    subscription_id: String,
    zone: String,
    storage_profile: StorageProfile,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct StorageProfile {
    image_reference: ImageReference,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ImageReference {
    id: String,
    publisher: String,
    offer: String,
    sku: String,
    version: String,
}

impl ImageReference {
    /// The id of an image of one's own, or the name of one from the marketplace as Azure's tools write it.
    fn name(&self) -> String {
        if !self.id.is_empty() || self.publisher.is_empty() {
            return self.id.clone();
        }
        [&*self.publisher, &*self.offer, &*self.sku, &*self.version].join(":")
    }
}

impl Azure {
    /// At the usual address.
    pub fn new() -> Result<Self, SourceError> {
        Self::at(ENDPOINT)
    }

    /// At another address.
    pub fn at(endpoint: &str) -> Result<Self, SourceError> {
        Ok(Self { service: Service::new(endpoint, "the endpoint", TIMEOUT)? })
    }
}

impl MetadataSource for Azure {
    fn name(&self) -> &str {
        "Azure instance metadata"
    }

    fn fetch(&self) -> BoxFuture<'_, Result<Fetched, SourceError>> {
        Box::pin(async {
            let request = self.service.get(PATH).header(HEADER.0, HEADER.1);
            let answer = self.service.send(WHAT, request).await?;
            if answer.status == StatusCode::NOT_FOUND {
                return Err(SourceError::OtherCloud { what: WHAT, cloud: "Azure" });
            }
            let compute: Compute = answer.success()?.json()?;
            if compute.vm_id.is_empty() {
                return Err(SourceError::OtherCloud { what: WHAT, cloud: "Azure" });
            }
            let location = compute.location.to_ascii_lowercase();
            let zone = if compute.zone.is_empty() { String::new() } else { format!("{location}-{}", compute.zone) };
            let mut fetched = Fetched::default();
            for (attribute, value) in [
                (Attribute::Provider, "azure"),
                (Attribute::HostId, &*compute.vm_id),
                (Attribute::HostName, &*compute.name),
                (Attribute::HostType, &*compute.vm_size),
                (Attribute::HostImageId, &*compute.storage_profile.image_reference.name()),
                (Attribute::AvailabilityZone, &*zone),
                (Attribute::Region, &*location),
                (Attribute::AccountId, &*compute.subscription_id),
            ] {
                fetched.take(attribute, value);
            }
            Ok(fetched)
        })
    }
}
