//! What a virtual machine is, as its metadata service tells it.

use std::fmt;
use std::net::Ipv4Addr;

use jiff::Timestamp;

/// When machines were launched unless told otherwise: 2026-01-15T12:00:00Z, the moment of populations.
const LAUNCHED: Timestamp = Timestamp::constant(1_768_478_400, 0);

/// Whose cloud a machine is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Provider {
    /// Amazon EC2.
    Aws,
    /// Google Compute Engine.
    Gce,
    /// Microsoft Azure.
    Azure,
}

impl fmt::Display for Provider {
    /// As in a node's `spec.providerID`: `aws`, `gce`, `azure`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Aws => "aws",
            Self::Gce => "gce",
            Self::Azure => "azure",
        })
    }
}

/// A virtual machine. Each constructor gives a plausible one of its cloud; the methods change it.
///
/// A field that a cloud does not know is empty there, and its service does not tell it.
///
/// ```
/// use cluster_sim::metadata::Machine;
///
/// let machine = Machine::aws("i-0123456789abcdef0").instance_type("c7g.large").architecture("arm64").zone("eu-west-1b");
/// assert_eq!(machine.region, "eu-west-1");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Machine {
    /// Whose cloud it is in.
    pub provider: Provider,
    /// The cloud's id of it: `i-0123456789abcdef0`, a number on GCE, a UUID (`vmId`) on Azure.
    pub id: String,
    /// The name of the virtual machine; empty on AWS, where machines have none.
    pub name: String,
    /// The host name it was given. May be empty, as it is for a moment after some machines start.
    pub host_name: String,
    /// AWS's instance type, GCE's machine type (`n2-standard-16`), Azure's size (`Standard_D16s_v5`).
    pub instance_type: String,
    /// What it was started from: `ami-…`; `projects/…/global/images/…`; on Azure the id of an image, or
    /// `publisher:offer:sku:version` of the marketplace.
    pub image: String,
    /// As the cloud's service tells it: `eu-central-1a`, `europe-west3-a`, and on Azure the number alone, `1`, or empty
    /// for a machine without a zone.
    pub zone: String,
    /// `eu-central-1`, `europe-west3`, `westeurope`.
    pub region: String,
    /// Who pays: AWS's account, GCE's project id, Azure's subscription.
    pub account: String,
    /// Its address within its network.
    pub private_ip: Ipv4Addr,
    /// As Kubernetes spells it: `amd64`, `arm64`.
    pub architecture: String,
    /// Whether the cloud may take it back at any time, for a lower price.
    pub spot: bool,
    /// When it was started.
    pub launched: Timestamp,
    /// GCE: the project's number; 0 elsewhere.
    pub project_number: u64,
    /// GCE: the GKE cluster that it is a node of; empty elsewhere, and for machines of no cluster.
    pub cluster_name: String,
    /// Azure: the resource group; empty elsewhere.
    pub resource_group: String,
    /// Azure: the scale set; empty elsewhere, and for machines of none.
    pub scale_set: String,
}

impl Machine {
    /// An EC2 instance in `eu-central-1a`.
    pub fn aws(id: impl Into<String>) -> Self {
        Self {
            host_name: "ip-10-0-0-10.eu-central-1.compute.internal".to_owned(),
            instance_type: "m6i.4xlarge".to_owned(),
            image: "ami-0f3c9c466bb525749".to_owned(),
            zone: "eu-central-1a".to_owned(),
            region: "eu-central-1".to_owned(),
            account: "111122223333".to_owned(),
            ..Self::bare(Provider::Aws, id.into())
        }
    }

    /// A GCE instance in `europe-west3-a`, a node of a GKE cluster. Its id is a number.
    pub fn gce(id: impl Into<String>) -> Self {
        Self {
            name: "gke-sim-default-pool-0".to_owned(),
            host_name: "gke-sim-default-pool-0.europe-west3-a.c.sim-project.internal".to_owned(),
            instance_type: "n2-standard-16".to_owned(),
            image: "projects/gke-node-images/global/images/gke-1360-cos-121".to_owned(),
            zone: "europe-west3-a".to_owned(),
            region: "europe-west3".to_owned(),
            account: "sim-project".to_owned(),
            project_number: 412_345_678_901,
            cluster_name: "sim".to_owned(),
            ..Self::bare(Provider::Gce, id.into())
        }
    }

    /// An Azure virtual machine in zone 1 of `westeurope`, of a scale set of AKS. Its id is a UUID.
    pub fn azure(id: impl Into<String>) -> Self {
        Self {
            name: "aks-pool-12345678-vmss_0".to_owned(),
            host_name: "aks-pool-12345678-vmss000000".to_owned(),
            instance_type: "Standard_D16s_v5".to_owned(),
            image: "microsoft-aks:aks:aks-ubuntu-2204-gen2:202601.13.0".to_owned(),
            zone: "1".to_owned(),
            region: "westeurope".to_owned(),
            account: "8d10da13-8125-4ba9-a717-bf7490507b3d".to_owned(),
            resource_group: "MC_sim_sim_westeurope".to_owned(),
            scale_set: "aks-pool-12345678-vmss".to_owned(),
            ..Self::bare(Provider::Azure, id.into())
        }
    }

    fn bare(provider: Provider, id: String) -> Self {
        Self {
            provider,
            id,
            name: String::new(),
            host_name: String::new(),
            instance_type: String::new(),
            image: String::new(),
            zone: String::new(),
            region: String::new(),
            account: String::new(),
            private_ip: Ipv4Addr::new(10, 0, 0, 10),
            architecture: "amd64".to_owned(),
            spot: false,
            launched: LAUNCHED,
            project_number: 0,
            cluster_name: String::new(),
            resource_group: String::new(),
            scale_set: String::new(),
        }
    }

    /// Give it this [`name`](Self::name).
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Give it this [`host_name`](Self::host_name).
    pub fn host_name(mut self, host_name: impl Into<String>) -> Self {
        self.host_name = host_name.into();
        self
    }

    /// Make it of this [`instance_type`](Self::instance_type).
    pub fn instance_type(mut self, instance_type: impl Into<String>) -> Self {
        self.instance_type = instance_type.into();
        self
    }

    /// Start it from this [`image`](Self::image).
    pub fn image(mut self, image: impl Into<String>) -> Self {
        self.image = image.into();
        self
    }

    /// Put it into this [`zone`](Self::zone), and on AWS and GCE into the region whose name the zone's begins with.
    pub fn zone(mut self, zone: impl Into<String>) -> Self {
        self.zone = zone.into();
        match self.provider {
            Provider::Aws => self.region = self.zone.trim_end_matches(|c: char| c.is_ascii_lowercase()).to_owned(),
            Provider::Gce => self.region = self.zone.rsplit_once('-').map_or("", |(region, _)| region).to_owned(),
            Provider::Azure => {}
        }
        self
    }

    /// Put it into this [`region`](Self::region).
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.region = region.into();
        self
    }

    /// Let this [`account`](Self::account) pay for it.
    pub fn account(mut self, account: impl Into<String>) -> Self {
        self.account = account.into();
        self
    }

    /// Give it this [`private_ip`](Self::private_ip). Its host name stays.
    pub fn private_ip(mut self, address: Ipv4Addr) -> Self {
        self.private_ip = address;
        self
    }

    /// Make it of this [`architecture`](Self::architecture).
    pub fn architecture(mut self, architecture: impl Into<String>) -> Self {
        self.architecture = architecture.into();
        self
    }

    /// Make it one that the cloud may take back, or not.
    pub fn spot(mut self, spot: bool) -> Self {
        self.spot = spot;
        self
    }

    /// Let it be started at this moment.
    pub fn launched(mut self, at: Timestamp) -> Self {
        self.launched = at;
        self
    }

    /// Give its GCE project this [`project_number`](Self::project_number).
    pub fn project_number(mut self, number: u64) -> Self {
        self.project_number = number;
        self
    }

    /// Make it a node of this GKE cluster; of none, if empty.
    pub fn cluster_name(mut self, name: impl Into<String>) -> Self {
        self.cluster_name = name.into();
        self
    }

    /// Put it into this Azure resource group.
    pub fn resource_group(mut self, group: impl Into<String>) -> Self {
        self.resource_group = group.into();
        self
    }

    /// Put it into this Azure scale set; into none, if empty.
    pub fn scale_set(mut self, name: impl Into<String>) -> Self {
        self.scale_set = name.into();
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_is_in_its_region() {
        for (machine, zone, region) in [
            (Machine::aws("i-0"), "us-gov-west-1a", "us-gov-west-1"),
            (Machine::aws("i-0"), "ap-southeast-2c", "ap-southeast-2"),
            (Machine::gce("1"), "us-central1-f", "us-central1"),
            (Machine::azure("x"), "3", "westeurope"),
        ] {
            assert_eq!(machine.zone(zone).region, region);
        }
    }
}
