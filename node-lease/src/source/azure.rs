//! Azure's instance metadata service
//! ([documentation](https://learn.microsoft.com/azure/virtual-machines/instance-metadata-service)).

use std::time::Duration;

use futures::future::BoxFuture;
use http::StatusCode;
use http::request::Builder;

use super::http::{Document, Service};
use super::{Fetched, LINK_LOCAL, MetadataSource, SourceError};
use crate::metadata::Attribute;

const WHAT: &str = "Azure instance metadata";

/// Azure's instance metadata service as a source.
///
/// | attribute | from |
/// |---|---|
/// | `host.id`, `host.name`, `host.type` | `vmId`, `name`, `vmSize` |
/// | `host.image.id` | the id of an image of one's own, or `publisher:offer:sku:version` of one from the marketplace |
/// | `cloud.availability_zone` | as Kubernetes writes it, `westeurope-1`; machines outside zones have none |
/// | `cloud.region`, `cloud.account.id` | `location`, `subscriptionId` |
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

impl Azure {
    /// At the usual address.
    pub fn new() -> Result<Self, SourceError> {
        Self::at(LINK_LOCAL)
    }

    /// At another address.
    pub fn at(endpoint: &str) -> Result<Self, SourceError> {
        Ok(Self { service: Service::new(endpoint, "the endpoint")? })
    }

    /// How long the request may take; 2 s by default. A connection must be made within 1 s in any case.
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { service: self.service.timeout(timeout) }
    }

    /// Whether it is there: it tells a `vmId`.
    pub(super) async fn is_there(&self, timeout: Duration) -> bool {
        let service = self.service.clone().timeout(timeout);
        let answer = service.send("probe of Azure", compute(&service)).await;
        let document = answer.and_then(|answer| answer.success()?.document());
        document.is_ok_and(|compute| !compute.text("/vmId").is_empty())
    }
}

fn compute(service: &Service) -> Builder {
    service.get("metadata/instance/compute?api-version=2021-02-01&format=json").header("metadata", "true")
}

fn image(compute: &Document) -> String {
    let part = |name| compute.text(&format!("/storageProfile/imageReference/{name}"));
    if part("id").is_empty() && !part("publisher").is_empty() {
        ["publisher", "offer", "sku", "version"].map(part).join(":")
    } else {
        part("id").to_owned()
    }
}

impl MetadataSource for Azure {
    fn name(&self) -> &'static str {
        WHAT
    }

    fn fetch(&self) -> BoxFuture<'_, Result<Fetched, SourceError>> {
        Box::pin(async {
            const OTHER_CLOUD: SourceError = SourceError::OtherCloud { what: WHAT, cloud: "Azure" };
            let answer = self.service.send(WHAT, compute(&self.service)).await?;
            // That path is unknown elsewhere; EC2 does not even say so without a token.
            if matches!(answer.status, StatusCode::NOT_FOUND | StatusCode::UNAUTHORIZED) {
                return Err(OTHER_CLOUD);
            }
            let compute = answer.success()?.document()?;
            if compute.text("/vmId").is_empty() {
                return Err(OTHER_CLOUD);
            }
            let (region, number) = (compute.text("/location").to_ascii_lowercase(), compute.text("/zone"));
            let zone = if number.is_empty() { String::new() } else { format!("{region}-{number}") };
            let mut fetched = Fetched::default();
            for (attribute, value) in [
                (Attribute::Provider, "azure"),
                (Attribute::HostId, compute.text("/vmId")),
                (Attribute::HostName, compute.text("/name")),
                (Attribute::HostType, compute.text("/vmSize")),
                (Attribute::HostImageId, &image(&compute)),
                (Attribute::AvailabilityZone, &zone),
                (Attribute::Region, &region),
                (Attribute::AccountId, compute.text("/subscriptionId")),
            ] {
                fetched.take(attribute, value);
            }
            Ok(fetched)
        })
    }
}
