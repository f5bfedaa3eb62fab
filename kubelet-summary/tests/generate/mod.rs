//! Summaries as a kubelet of today writes them, of any size.

use serde::Serialize as _;
use serde_json::ser::{PrettyFormatter, Serializer};
use serde_json::{Value, json};

/// Which pods, of what.
///
/// Counters move with `round`, names don't.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    /// Pods on the node.
    pub(crate) pods: usize,
    /// Containers in each.
    pub(crate) containers: usize,
    /// Volumes in each; the first is an `emptyDir`, the second a claim, the others projected.
    pub(crate) volumes: usize,
    /// Whether there is pressure stall information, as from kubelet 1.34 on.
    pub(crate) pressure: bool,
}

/// A full node by the kubelet's default.
pub(crate) const NODE: Shape = Shape { pods: 110, containers: 2, volumes: 3, pressure: true };

/// The same with a third container in each pod: about a megabyte.
pub(crate) const MEGABYTE: Shape = Shape { containers: 3, ..NODE };

/// 2026-01-01T00:00:00Z, so many seconds later.
fn time(seconds: u64) -> String {
    let (hours, minutes, seconds) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("2026-01-01T{hours:02}:{minutes:02}:{seconds:02}Z")
}

/// Numbers that look like a machine's, the same ones each time.
fn mixed(seed: u64) -> u64 {
    let mixed = (seed ^ (seed >> 15)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 29)
}

impl Shape {
    fn psi(self, at: u64, seed: u64) -> Option<Value> {
        let line = |seed: u64| json!({"total": mixed(seed) % 40_000_000_000 + at * 1000, "avg10": 0.0, "avg60": 0.13, "avg300": 1.27});
        self.pressure.then(|| json!({"full": line(seed), "some": line(seed + 1)}))
    }

    fn with_psi(self, mut part: Value, at: u64, seed: u64) -> Value {
        if let (Some(psi), Some(members)) = (self.psi(at, seed), part.as_object_mut()) {
            members.insert("psi".to_owned(), psi);
        }
        part
    }

    fn cpu(self, at: u64, seed: u64) -> Value {
        let cpu = json!({"time": time(at), "usageNanoCores": mixed(seed) % 900_000_000,
                         "usageCoreNanoSeconds": mixed(seed) % 90_000_000_000_000 + at * 250_000_000});
        self.with_psi(cpu, at, seed)
    }

    fn memory(self, at: u64, seed: u64) -> Value {
        let used = mixed(seed) % 4_000_000_000;
        let memory = json!({"time": time(at), "availableBytes": mixed(seed + 1) % 4_000_000_000, "usageBytes": used,
                            "workingSetBytes": used / 4 * 3, "rssBytes": used / 2,
                            "pageFaults": mixed(seed) % 90_000_000 + at, "majorPageFaults": mixed(seed) % 400});
        self.with_psi(memory, at, seed + 2)
    }

    fn network(at: u64, seed: u64) -> Value {
        let interface = |name: &str, seed: u64| {
            json!({"name": name, "rxBytes": mixed(seed) % 90_000_000_000 + at * 5000, "rxErrors": 0,
                   "txBytes": mixed(seed + 1) % 90_000_000_000 + at * 3000, "txErrors": 0})
        };
        let mut network = interface("eth0", seed);
        network["time"] = json!(time(at));
        network["interfaces"] = json!([interface("eth0", seed), interface("net1", seed + 7)]);
        network
    }

    fn fs(at: u64, used: u64) -> Value {
        json!({"time": time(at), "availableBytes": 61_203_767_296_u64, "capacityBytes": 107_361_579_008_u64,
               "usedBytes": used, "inodesFree": 52_023_110, "inodes": 52_428_800, "inodesUsed": used / 9000 + 3})
    }

    fn container(self, at: u64, name: &str, seed: u64) -> Value {
        let mut container = json!({
            "name": name, "startTime": time(seed % 3600),
            "cpu": self.cpu(at, seed + 10), "memory": self.memory(at, seed + 20),
            "swap": {"time": time(at), "swapAvailableBytes": 0, "swapUsageBytes": 0},
            "rootfs": Self::fs(at, mixed(seed + 30) % 3_000_000_000),
            "logs": Self::fs(at, mixed(seed + 31) % 90_000_000),
        });
        if let Some(psi) = self.psi(at, seed + 40) {
            container["io"] = json!({"time": time(at), "psi": psi});
        }
        container
    }

    fn volume(at: u64, number: usize, pod: u64) -> Value {
        let seed = mixed(pod * 100 + number as u64);
        let mut volume = Self::fs(at, seed % 800_000_000);
        // Each is looked at at a time of its own.
        volume["availableBytes"] = json!(61_203_767_296_u64 - seed % 1_000_000_000);
        volume["name"] = json!(match number {
            0 => "scratch".to_owned(),
            1 => "data".to_owned(),
            _ => format!("kube-api-access-{:05x}", seed & 0xf_ffff),
        });
        if number == 1 {
            volume["pvcRef"] = json!({"name": format!("data-web-{pod}"), "namespace": "team-payments"});
        }
        volume
    }

    /// One pod.
    pub(crate) fn pod(self, number: u64, round: u64) -> Value {
        let at = 3600 + round * 15;
        let seed = number * 1000;
        let containers: Vec<Value> = (0..self.containers)
            .map(|container| {
                let name = if container == 0 { "server".to_owned() } else { format!("istio-proxy-{container}") };
                self.container(at, &name, seed + 100 * container as u64)
            })
            .collect();
        let used: u64 = containers
            .iter()
            .flat_map(|container| [&container["rootfs"], &container["logs"]])
            .filter_map(|fs| fs["usedBytes"].as_u64())
            .sum();
        let volumes: Vec<Value> = (0..self.volumes).map(|volume| Self::volume(at, volume, number)).collect();
        let local = volumes.iter().filter(|volume| volume.get("pvcRef").is_none());
        let local: u64 = local.filter_map(|volume| volume["usedBytes"].as_u64()).sum();
        let mut pod = json!({
            "podRef": {"name": format!("checkout-{:08x}-{:05x}", mixed(number) >> 32, number),
                       "namespace": format!("team-{}", number % 12),
                       "uid": format!("{number:08x}-6f1c-4b2e-9d3a-{:012x}", mixed(number) >> 16)},
            "startTime": time(number % 3600), "containers": containers,
            "cpu": self.cpu(at, seed + 1), "memory": self.memory(at, seed + 2), "network": Self::network(at, seed + 3),
            "volume": volumes, "ephemeral-storage": Self::fs(at, used + local),
            "process_stats": {"process_count": number % 40 + 1},
            "swap": {"time": time(at), "swapAvailableBytes": 0, "swapUsageBytes": 0},
        });
        if let Some(psi) = self.psi(at, seed + 4) {
            pod["io"] = json!({"time": time(at), "psi": psi});
        }
        pod
    }

    /// The whole document.
    pub(crate) fn summary(self, round: u64) -> Value {
        let at = 3600 + round * 15;
        let system = ["kubelet", "runtime", "pods"].map(|name| self.container(at, name, 77));
        let pods: Vec<Value> = (0..self.pods as u64).map(|number| self.pod(number, round)).collect();
        let mut summary = json!({
            "node": {"nodeName": "node-1", "startTime": time(0), "systemContainers": system, "cpu": self.cpu(at, 5),
                     "memory": self.memory(at, 6), "network": Self::network(at, 7), "fs": Self::fs(at, 46_157_811_712),
                     "runtime": {"imageFs": Self::fs(at, 20_157_811_712), "containerFs": Self::fs(at, 20_157_811_712)},
                     "rlimit": {"time": time(at), "maxpid": 4_194_304, "curproc": 1912},
                     "swap": {"time": time(at), "swapAvailableBytes": 0, "swapUsageBytes": 0}},
            "pods": pods,
        });
        if let Some(psi) = self.psi(at, 8) {
            summary["node"]["io"] = json!({"time": time(at), "psi": psi});
        }
        summary
    }

    /// The whole document as the kubelet writes it: indented by one space.
    pub(crate) fn document(self, round: u64) -> Vec<u8> {
        let mut text = Vec::new();
        let mut serializer = Serializer::with_formatter(&mut text, PrettyFormatter::with_indent(b" "));
        self.summary(round).serialize(&mut serializer).unwrap();
        text
    }
}
