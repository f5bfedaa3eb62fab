//! Which cloud a machine is in: by its firmware's tables, by its Node's `providerID`, or by asking all services at once.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Method, StatusCode};

use super::aws::Imds;
use super::azure::Azure;
use super::gce::Gce;
use super::http::Service;
use super::node::ProviderId;
use super::{MetadataSource, SourceError, aws, azure, gce};

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
/// let detected = Detector::from_env().provider_id("aws:///us-east-1a/i-0123").detect().await?;
/// println!("{} by {:?}", detected.cloud, detected.by);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Detector {
    dmi: PathBuf,
    provider_id: Option<String>,
    aws: Option<String>,
    gce: Option<String>,
    azure: Option<String>,
    timeout: Duration,
}

impl Default for Detector {
    fn default() -> Self {
        Self::from_env()
    }
}

impl Detector {
    /// With each cloud's usual address, or what the environment says instead.
    pub fn from_env() -> Self {
        Self {
            dmi: PathBuf::from("/sys/class/dmi/id"),
            provider_id: None,
            aws: None,
            gce: None,
            azure: None,
            timeout: Duration::from_secs(1),
        }
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

    /// Another address of a cloud's service.
    pub fn endpoint(mut self, cloud: Cloud, url: impl Into<String>) -> Self {
        let place = match cloud {
            Cloud::Aws => &mut self.aws,
            Cloud::Gce => &mut self.gce,
            Cloud::Azure => &mut self.azure,
        };
        *place = Some(url.into());
        self
    }

    /// How long a service may take to answer; 1 s by default.
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
        Ok(Detected { cloud, by, source: self.source(cloud)? })
    }

    fn source(&self, cloud: Cloud) -> Result<Arc<dyn MetadataSource>, SourceError> {
        Ok(match (cloud, &self.aws, &self.gce, &self.azure) {
            (Cloud::Aws, Some(url), ..) => Arc::new(Imds::at(url)?),
            (Cloud::Aws, None, ..) => Arc::new(Imds::from_env()?),
            (Cloud::Gce, _, Some(url), _) => Arc::new(Gce::at(url)?),
            (Cloud::Gce, _, None, _) => Arc::new(Gce::from_env()?),
            (Cloud::Azure, _, _, Some(url)) => Arc::new(Azure::at(url)?),
            (Cloud::Azure, _, _, None) => Arc::new(Azure::new()?),
        })
    }

    async fn by_services(&self) -> Result<Cloud, SourceError> {
        let (is_aws, is_gce, is_azure) = tokio::join!(self.is_aws(), self.is_gce(), self.is_azure());
        // What GCE and Azure answer can't be mistaken; a token may come from anything that answers a PUT.
        if is_gce.unwrap_or(false) {
            Ok(Cloud::Gce)
        } else if is_azure.unwrap_or(false) {
            Ok(Cloud::Azure)
        } else if is_aws.unwrap_or(false) {
            Ok(Cloud::Aws)
        } else {
            Err(SourceError::Undetected)
        }
    }

    fn service(&self, endpoint: Option<&str>, usual: &str) -> Result<Service, SourceError> {
        Service::new(endpoint.unwrap_or(usual), "the endpoint", self.timeout)
    }

    /// A token, or the 401 that tells of a hop limit that is too low for one.
    async fn is_aws(&self) -> Result<bool, SourceError> {
        const WHAT: &str = "probe of EC2";
        let service = self.service(self.aws.as_deref(), aws::ENDPOINT)?;
        let token =
            service.request(Method::PUT, "latest/api/token").header("x-aws-ec2-metadata-token-ttl-seconds", "60");
        let plain = service.get("latest/meta-data/");
        let (token, plain) = tokio::join!(service.send(WHAT, token), service.send(WHAT, plain));
        let has_token = token.is_ok_and(|answer| answer.headers.contains_key("x-aws-ec2-metadata-token-ttl-seconds"));
        Ok(has_token || plain.is_ok_and(|answer| answer.status == StatusCode::UNAUTHORIZED))
    }

    async fn is_gce(&self) -> Result<bool, SourceError> {
        let service = self.service(self.gce.as_deref(), gce::ENDPOINT)?;
        let request = service.get("").header(gce::FLAVOR.0, gce::FLAVOR.1);
        Ok(service.send("probe of GCE", request).await?.has_header(gce::FLAVOR.0, gce::FLAVOR.1))
    }

    async fn is_azure(&self) -> Result<bool, SourceError> {
        #[derive(serde::Deserialize)]
        struct Compute {
            #[serde(rename = "vmId")]
            _vm_id: String,
        }
        let service = self.service(self.azure.as_deref(), azure::ENDPOINT)?;
        let request = service.get(azure::PATH).header(azure::HEADER.0, azure::HEADER.1);
        let answer = service.send("probe of Azure", request).await?;
        Ok(answer.status == StatusCode::OK && answer.json::<Compute>().is_ok())
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
