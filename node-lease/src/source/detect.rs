//! Which cloud a machine is in: by its firmware's tables, by its Node's `providerID`, or by asking all services at once.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::OnceCell;

use super::aws::Imds;
use super::azure::Azure;
use super::gce::Gce;
use super::node::{NodeObject, ProviderId};
use super::{Fetched, MetadataSource, SourceError};

/// A cloud that has a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cloud {
    /// Amazon EC2.
    Aws,
    /// Google Compute Engine.
    Gce,
    /// Microsoft Azure.
    Azure,
}

impl fmt::Display for Cloud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Aws => "AWS",
            Self::Gce => "GCE",
            Self::Azure => "Azure",
        })
    }
}

/// What told which cloud it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Evidence {
    /// The firmware's tables (DMI).
    Dmi,
    /// The Node's `spec.providerID`.
    ProviderId,
    /// The service itself, which answered.
    Service,
}

/// A source, and what told that it is the right one.
#[derive(Clone)]
pub struct Detected {
    /// The cloud.
    pub cloud: Cloud,
    /// What told.
    pub by: Evidence,
    /// Its metadata service.
    pub source: Arc<dyn MetadataSource>,
}

impl fmt::Debug for Detected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Detected").field("cloud", &self.cloud).field("by", &self.by).finish_non_exhaustive()
    }
}

/// Tells the cloud.
///
/// The firmware's tables are asked first, then the `providerID` that is given, both without any network; then all three
/// services at once, each with a short deadline, since all three have the same address.
///
/// ```no_run
/// use node_lease::source::detect::Detector;
///
/// # async fn example() -> Result<(), node_lease::SourceError> {
/// let detected = Detector::from_env()?.provider_id("aws:///us-east-1a/i-0123").detect().await?;
/// println!("{} by {:?}", detected.cloud, detected.by);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Detector {
    dmi: PathBuf,
    provider_id: Option<String>,
    aws: Imds,
    gce: Gce,
    azure: Azure,
    timeout: Duration,
}

impl Detector {
    /// Between these sources, one of which is the outcome.
    pub fn between(aws: Imds, gce: Gce, azure: Azure) -> Self {
        let (dmi, timeout) = (PathBuf::from("/sys/class/dmi/id"), Duration::from_secs(1));
        Self { dmi, provider_id: None, aws, gce, azure, timeout }
    }

    /// Between the clouds' services at their usual addresses, or where the environment says: see [`Imds::from_env`] and
    /// [`Gce::from_env`].
    pub fn from_env() -> Result<Self, SourceError> {
        Ok(Self::between(Imds::from_env()?, Gce::from_env()?, Azure::new()?))
    }

    /// The Node's `spec.providerID`.
    pub fn provider_id(mut self, id: impl Into<String>) -> Self {
        self.provider_id = Some(id.into());
        self
    }

    /// Where the firmware's tables are; `/sys/class/dmi/id` by default.
    pub fn dmi(mut self, folder: impl Into<PathBuf>) -> Self {
        self.dmi = folder.into();
        self
    }

    /// How long the services may take to answer when they are asked which cloud this is; 1 s by default. It is not the
    /// timeout of the source that is found.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Tells the cloud, and gives its source.
    pub async fn detect(&self) -> Result<Detected, SourceError> {
        let (cloud, by) = match (by_dmi(&self.dmi), self.provider_id.as_deref().and_then(by_provider_id)) {
            (Some(cloud), _) => (cloud, Evidence::Dmi),
            (None, Some(cloud)) => (cloud, Evidence::ProviderId),
            (None, None) => (self.by_services().await?, Evidence::Service),
        };
        let source: Arc<dyn MetadataSource> = match cloud {
            Cloud::Aws => Arc::new(self.aws.clone()),
            Cloud::Gce => Arc::new(self.gce.clone()),
            Cloud::Azure => Arc::new(self.azure.clone()),
        };
        Ok(Detected { cloud, by, source })
    }

    /// A source that finds the cloud out when it is asked, again and again until it is known: neither the network nor the
    /// API server need to be there when the node starts. `node` tells the `providerID`, where nothing told it before.
    pub fn source(self, node: Option<NodeObject>) -> AnyCloud {
        AnyCloud { detector: self, node, found: OnceCell::new() }
    }

    async fn by_services(&self) -> Result<Cloud, SourceError> {
        let timeout = self.timeout;
        let found = tokio::join!(self.gce.is_there(timeout), self.azure.is_there(timeout), self.aws.is_there(timeout));
        // What GCE and Azure answer can't be mistaken; EC2's refusal of a request without a token says less.
        match found {
            (true, ..) => Ok(Cloud::Gce),
            (_, true, _) => Ok(Cloud::Azure),
            (.., true) => Ok(Cloud::Aws),
            _ => Err(SourceError::Undetected),
        }
    }
}

/// The service of whichever cloud this is; made by [`Detector::source`].
#[derive(Debug)]
pub struct AnyCloud {
    detector: Detector,
    node: Option<NodeObject>,
    found: OnceCell<Detected>,
}

impl AnyCloud {
    /// The cloud, once it is known.
    pub fn cloud(&self) -> Option<Cloud> {
        self.found.get().map(|detected| detected.cloud)
    }

    async fn detect(&self) -> Result<Detected, SourceError> {
        let mut detector = self.detector.clone();
        if let (None, Some(node)) = (&detector.provider_id, &self.node) {
            // Without it, the firmware or the services themselves tell.
            detector.provider_id = node.get().await.ok().and_then(|node| node.spec?.provider_id);
        }
        let detected = detector.detect().await?;
        tracing::info!(cloud = %detected.cloud, by = ?detected.by, "this is the cloud");
        Ok(detected)
    }
}

impl MetadataSource for AnyCloud {
    fn name(&self) -> &'static str {
        "the cloud's metadata service"
    }

    fn fetch(&self) -> BoxFuture<'_, Result<Fetched, SourceError>> {
        Box::pin(async { self.found.get_or_try_init(|| self.detect()).await?.source.fetch().await })
    }
}

/// The asset tag of every virtual machine on Azure; Hyper-V elsewhere has Microsoft as vendor too, and another tag.
const AZURE_ASSET_TAG: &str = "7783-7084-3265-9085-8269-3286-77";

fn by_dmi(folder: &Path) -> Option<Cloud> {
    let read = |file: &str| std::fs::read_to_string(folder.join(file)).unwrap_or_default().trim().to_ascii_lowercase();
    let vendors = [read("sys_vendor"), read("bios_vendor"), read("board_vendor")];
    if vendors.iter().any(|vendor| vendor.starts_with("amazon")) || read("bios_version").ends_with(".amazon") {
        Some(Cloud::Aws)
    } else if read("product_name") == "google compute engine" {
        Some(Cloud::Gce)
    } else if read("chassis_asset_tag") == AZURE_ASSET_TAG {
        Some(Cloud::Azure)
    } else {
        None
    }
}

fn by_provider_id(id: &str) -> Option<Cloud> {
    match ProviderId::parse(id).provider {
        "aws" => Some(Cloud::Aws),
        "gcp" => Some(Cloud::Gce),
        "azure" => Some(Cloud::Azure),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn firmware_names_its_cloud() {
        let told = |files: &[(&str, &str)]| {
            let folder = tempfile::tempdir().unwrap();
            for (name, text) in files {
                std::fs::write(folder.path().join(name), text).unwrap();
            }
            by_dmi(folder.path())
        };
        assert_eq!(told(&[("sys_vendor", "Amazon EC2\n")]), Some(Cloud::Aws));
        assert_eq!(told(&[("sys_vendor", "Xen\n"), ("bios_version", "4.11.amazon\n")]), Some(Cloud::Aws));
        assert_eq!(told(&[("sys_vendor", "Google\n"), ("product_name", "Google Compute Engine\n")]), Some(Cloud::Gce));
        let azure = [("sys_vendor", "Microsoft Corporation\n"), ("chassis_asset_tag", AZURE_ASSET_TAG)];
        assert_eq!(told(&azure), Some(Cloud::Azure));
        assert_eq!(told(&azure[..1]), None, "a Hyper-V of one's own");
        assert_eq!(told(&[]), None);
    }
}
