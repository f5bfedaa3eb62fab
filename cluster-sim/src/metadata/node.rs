//! The machine behind a Node object.

use std::net::Ipv4Addr;

use jiff::Timestamp;
use serde_json::Value;

use super::machine::Machine;
use crate::error::SimError;
use crate::object::shard::fnv1a;

impl Machine {
    /// The machine that a Node object runs on, by its `spec.providerID`, labels, addresses and `nodeInfo`.
    ///
    /// What a Node does not tell follows from what it tells, so that equal nodes have equal machines: the image from
    /// the operating system's, the numeric id of a GCE instance from its place, Azure's `vmId` from the system's UUID.
    /// What nothing follows for, as AWS's account, is as the provider's constructor has it.
    pub fn of_node(node: &Value) -> Result<Self, SimError> {
        let node = Node(node);
        let provider_id = node.text("/spec/providerID").unwrap_or_default();
        let machine = match provider_id.split_once("://") {
            Some(("aws", place)) => aws(node, place),
            Some(("gce", place)) => gce(node, place),
            Some(("azure", place)) => azure(node, place),
            _ => None,
        };
        machine.map(|machine| node.common(machine)).ok_or_else(|| SimError::NoMachine {
            node: node.text("/metadata/name").unwrap_or_default().to_owned(),
            provider_id: provider_id.to_owned(),
        })
    }
}

/// `/ZONE/INSTANCE`, as in `aws:///eu-central-1a/i-0123456789abcdef0`.
fn aws(node: Node<'_>, place: &str) -> Option<Machine> {
    let (zone, id) = place.trim_start_matches('/').split_once('/')?;
    let machine = Machine::aws(id).zone(node.label("topology.kubernetes.io/zone").unwrap_or(zone));
    let release = format!("{} {} {}", machine.region, node.os_image(), node.architecture());
    let host_name = node.address("InternalDNS").or(node.text("/metadata/name")).unwrap_or_default();
    Some(machine.image(format!("ami-0{:016x}", fnv1a(&release))).host_name(host_name))
}

/// `PROJECT/ZONE/NAME`, as in `gce://my-project/europe-west3-a/gke-sim-pool-1`.
fn gce(node: Node<'_>, place: &str) -> Option<Machine> {
    let (project, (zone, name)) =
        place.split_once('/').and_then(|(project, rest)| Some((project, rest.split_once('/')?)))?;
    let id = node.annotation("container.googleapis.com/instance_id").map(str::to_owned);
    // Real ids are below 2^63, and the numbers of projects have twelve digits.
    let machine = Machine::gce(id.unwrap_or_else(|| (fnv1a(place) >> 1).to_string()))
        .account(project)
        .project_number(100_000_000_000 + fnv1a(project) % 900_000_000_000)
        .zone(zone)
        .name(name)
        .host_name(format!("{name}.{zone}.c.{project}.internal"));
    Some(machine.image(format!("projects/gke-node-images/global/images/{}", node.os_slug())))
}

/// `/subscriptions/SUBSCRIPTION/resourceGroups/GROUP/providers/Microsoft.Compute/`, then `virtualMachines/NAME` or
/// `virtualMachineScaleSets/SET/virtualMachines/NUMBER`.
fn azure(node: Node<'_>, place: &str) -> Option<Machine> {
    let segments: Vec<&str> = place.trim_start_matches('/').split('/').collect();
    let ["subscriptions", subscription, "resourceGroups", group, "providers", "Microsoft.Compute", rest @ ..] =
        segments.as_slice()
    else {
        return None;
    };
    let (name, set) = match rest {
        ["virtualMachines", name] => ((*name).to_owned(), ""),
        ["virtualMachineScaleSets", set, "virtualMachines", number] => (format!("{set}_{number}"), *set),
        _ => return None,
    };
    let zone = node.label("topology.kubernetes.io/zone").and_then(|zone| zone.rsplit_once('-')).map(|(_, zone)| zone);
    let id = node.text("/status/nodeInfo/systemUUID").map_or_else(|| uuid(place), str::to_ascii_lowercase);
    let machine = Machine::azure(id)
        .account(*subscription)
        .resource_group(*group)
        .scale_set(set)
        .name(name)
        // A node of a region without zones has its fault domain for one, without a dash.
        .zone(zone.unwrap_or_default())
        .host_name(node.text("/metadata/name").unwrap_or_default());
    Some(machine.image(format!("microsoft-aks:aks:{}:latest", node.os_slug())))
}

/// A UUID for a text.
fn uuid(text: &str) -> String {
    let halves = [fnv1a(text), fnv1a(&format!("{text}/"))].map(u128::from);
    uuid::Builder::from_random_bytes((halves[0] << 64 | halves[1]).to_be_bytes()).into_uuid().to_string()
}

/// A Node object, to be asked.
#[derive(Clone, Copy, Debug)]
struct Node<'a>(&'a Value);

impl<'a> Node<'a> {
    fn text(self, pointer: &str) -> Option<&'a str> {
        self.0.pointer(pointer).and_then(Value::as_str)
    }

    fn label(self, key: &str) -> Option<&'a str> {
        self.0.pointer("/metadata/labels")?.get(key)?.as_str()
    }

    fn annotation(self, key: &str) -> Option<&'a str> {
        self.0.pointer("/metadata/annotations")?.get(key)?.as_str()
    }

    fn address(self, kind: &str) -> Option<&'a str> {
        let addresses = self.0.pointer("/status/addresses")?.as_array()?;
        addresses.iter().find(|address| address["type"] == kind)?["address"].as_str()
    }

    fn architecture(self) -> &'a str {
        self.text("/status/nodeInfo/architecture").or(self.label("kubernetes.io/arch")).unwrap_or("amd64")
    }

    fn os_image(self) -> &'a str {
        self.text("/status/nodeInfo/osImage").unwrap_or("linux")
    }

    /// The operating system in the words of an image's name.
    fn os_slug(self) -> String {
        let words = self.os_image().split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
        words.map(str::to_ascii_lowercase).collect::<Vec<_>>().join("-")
    }

    fn is_spot(self) -> bool {
        let spot = |key, value: &str| self.label(key).is_some_and(|found| found.eq_ignore_ascii_case(value));
        spot("eks.amazonaws.com/capacityType", "spot")
            || spot("karpenter.sh/capacity-type", "spot")
            || spot("cloud.google.com/gke-spot", "true")
            || spot("kubernetes.azure.com/scalesetpriority", "spot")
    }

    /// What Nodes of all clouds tell alike.
    fn common(self, mut machine: Machine) -> Machine {
        if let Some(region) = self.label("topology.kubernetes.io/region") {
            machine = machine.region(region);
        }
        if let Some(instance_type) = self.label("node.kubernetes.io/instance-type") {
            machine = machine.instance_type(instance_type);
        }
        if let Some(address) = self.address("InternalIP").and_then(|address| address.parse::<Ipv4Addr>().ok()) {
            machine = machine.private_ip(address);
        }
        if let Some(launched) = self.text("/metadata/creationTimestamp").and_then(|time| time.parse::<Timestamp>().ok())
        {
            machine = machine.launched(launched);
        }
        machine.architecture(self.architecture()).spot(self.is_spot())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn node(provider_id: &str, zone: &str) -> Value {
        json!({
            "metadata": {
                "name": "node-1",
                "creationTimestamp": "2026-01-02T03:04:05Z",
                "labels": {
                    "topology.kubernetes.io/zone": zone,
                    "node.kubernetes.io/instance-type": "big",
                    "karpenter.sh/capacity-type": "spot",
                },
            },
            "spec": {"providerID": provider_id},
            "status": {
                "addresses": [
                    {"type": "InternalIP", "address": "10.1.2.3"},
                    {"type": "InternalDNS", "address": "ip-10-1-2-3.ec2.internal"},
                ],
                "nodeInfo": {
                    "architecture": "arm64",
                    "osImage": "Ubuntu 22.04.5 LTS",
                    "systemUUID": "A1B2C3D4-0000-4000-8000-000000000001",
                },
            },
        })
    }

    #[test]
    fn an_aws_node_is_an_instance() {
        let node = node("aws:///us-west-2b/i-0123456789abcdef0", "us-west-2b");
        let machine = Machine::of_node(&node).unwrap();
        let expected = Machine::aws("i-0123456789abcdef0")
            .zone("us-west-2b")
            .instance_type("big")
            .host_name("ip-10-1-2-3.ec2.internal")
            .private_ip(Ipv4Addr::new(10, 1, 2, 3))
            .architecture("arm64")
            .spot(true)
            .launched("2026-01-02T03:04:05Z".parse().unwrap())
            .image(machine.image.clone());
        assert_eq!(machine, expected);
        assert!(machine.image.starts_with("ami-0") && machine.image.len() == "ami-".len() + 17, "{}", machine.image);
        assert_eq!(Machine::of_node(&node).unwrap(), machine);
    }

    #[test]
    fn a_gce_node_is_an_instance_of_its_project() {
        let machine = Machine::of_node(&node("gce://acme/us-central1-f/gke-a-1", "us-central1-f")).unwrap();
        assert_eq!((machine.account.as_str(), machine.name.as_str()), ("acme", "gke-a-1"));
        assert_eq!((machine.zone.as_str(), machine.region.as_str()), ("us-central1-f", "us-central1"));
        assert_eq!(machine.host_name, "gke-a-1.us-central1-f.c.acme.internal");
        assert!(machine.id.parse::<i64>().is_ok() && machine.project_number.to_string().len() == 12, "{machine:?}");
        let other = Machine::of_node(&node("gce://acme/us-central1-f/gke-a-2", "us-central1-f")).unwrap();
        assert_ne!(machine.id, other.id);
        assert_eq!(machine.project_number, other.project_number);
    }

    #[test]
    fn an_azure_node_is_a_machine_of_a_scale_set_or_of_none() {
        let group = "azure:///subscriptions/s-1/resourceGroups/MC_g/providers/Microsoft.Compute";
        let path = format!("{group}/virtualMachineScaleSets/aks-vmss/virtualMachines/7");
        let machine = Machine::of_node(&node(&path, "westeurope-2")).unwrap();
        assert_eq!((machine.account.as_str(), machine.resource_group.as_str()), ("s-1", "MC_g"));
        assert_eq!((machine.scale_set.as_str(), machine.name.as_str()), ("aks-vmss", "aks-vmss_7"));
        assert_eq!((machine.zone.as_str(), machine.host_name.as_str()), ("2", "node-1"));
        assert_eq!(machine.id, "a1b2c3d4-0000-4000-8000-000000000001");
        let alone = Machine::of_node(&node(&format!("{group}/virtualMachines/vm"), "0")).unwrap();
        assert_eq!((alone.scale_set.as_str(), alone.name.as_str(), alone.zone.as_str()), ("", "vm", ""));
    }

    #[test]
    fn a_node_of_no_cloud_has_no_machine() {
        for provider_id in ["kind://docker/kind/kind-worker", "", "aws:///i-0", "gce://acme/gke-a-1", "azure:///vm"] {
            let error = Machine::of_node(&node(provider_id, "z")).unwrap_err().to_string();
            assert!(error.contains("node-1") && error.contains(provider_id), "{error}");
        }
    }
}
