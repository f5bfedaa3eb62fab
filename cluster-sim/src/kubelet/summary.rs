//! The summary: a document of a node and the pods on it.

use super::facts::{self, Address, Node, Quantity, text};
use super::figures::{ContainerFigures, Memory, Place, PodFigures, Space, VolumeFigures};
use super::json::Json;
use super::view::{Dice, Sample, View, seconds_between};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
/// How many bytes of a disk there are for each inode.
const BYTES_PER_INODE: u64 = 16 * KIB;
/// The first minor version of Kubernetes 1 whose kubelets tell of pressure without being told to.
const PSI_SINCE: u32 = 34;

/// A node, in numbers.
#[derive(Debug)]
struct NodeFigures {
    dice: Dice,
    start: i64,
    sample: Sample,
    cpu: u64,
    memory: Memory,
    of_pods: Memory,
    memory_capacity: u64,
    disk: Disk,
    /// What the node may swap in all.
    swap: u64,
    psi: bool,
}

/// A file system.
#[derive(Clone, Copy, Debug)]
struct Disk {
    capacity: u64,
    inodes: u64,
    filling: Filling,
}

/// How full a file system is.
#[derive(Clone, Copy, Debug)]
enum Filling {
    /// With the files of many, more and more of them since the node's start, until it is tidied up.
    Shared(Dice, i64),
    /// With those of one volume.
    Own(Space),
}

impl Disk {
    /// What is used of it at this moment: whoever tells of a moment, tells the same.
    fn used_at(&self, time: i64) -> Space {
        match self.filling {
            Filling::Own(used) => used,
            Filling::Shared(dice, start) => {
                let files = seconds_between(start, time) / 20;
                let grown =
                    |base: u64, each: u64, most: u64| (base + files.wrapping_mul(each) % most.max(1)).min(most * 4);
                Space {
                    bytes: grown(self.capacity / dice.range(2, 4, 12), 64 * KIB, self.capacity / 4),
                    inodes: grown(self.inodes / dice.range(3, 8, 30), 1, self.inodes / 4),
                }
            }
        }
    }
}

/// The whole document. `claimed` knows how many bytes a claim (namespace, name) has.
pub(super) fn write(
    node: &Node<'_>,
    pods: &[facts::Pod<'_>],
    view: &View,
    claimed: &dyn Fn(&str, &str) -> Option<u64>,
) -> Vec<u8> {
    let swap = swap_capacity(node);
    let known = pods.iter().filter_map(|pod| PodFigures::of(pod, view, swap > 0, claimed));
    let pods: Vec<PodFigures<'_>> = if view.quirks.no_pods { Vec::new() } else { known.collect() };
    let figures = NodeFigures::of(node, &pods, view, swap);
    let mut json = Json::new(8192 + pods.len() * 10_240, view.quirks);
    json.element(|json| {
        json.object("node", |json| figures.write(json, text(node.metadata.name.as_ref()), &pods, view));
        json.array("pods", |json| {
            for pod in &pods {
                if view.quirks.twice {
                    json.element(|json| write_former(json, pod));
                }
                json.element(|json| write_pod(json, pod, &figures, view));
            }
        });
    });
    json.into_bytes()
}

fn swap_capacity(node: &Node<'_>) -> u64 {
    let info = node.status.node_info.as_ref();
    info.and_then(|info| info.swap.as_ref()?.capacity).unwrap_or(0)
}

/// The minor version of a kubelet `v1.N.x`; that of the newest if it is not told.
pub(super) fn minor_version(node: &Node<'_>) -> u32 {
    let version = node.status.node_info.as_ref().and_then(|info| info.kubelet_version.as_ref());
    let minor = text(version).trim_start_matches('v').split('.').nth(1).and_then(|minor| minor.parse().ok());
    minor.unwrap_or(u32::MAX)
}

/// An address of this type, if the node has one.
pub(super) fn address<'a>(node: &'a Node<'_>, kind: &str) -> Option<&'a str> {
    let of_kind = |address: &&Address<'_>| text(address.kind.as_ref()) == kind;
    let address = facts::list(node.status.addresses.as_ref()).iter().find(of_kind)?;
    Some(text(address.address.as_ref())).filter(|address| !address.is_empty())
}

impl NodeFigures {
    fn of(node: &Node<'_>, pods: &[PodFigures<'_>], view: &View, swap: u64) -> Self {
        let dice = Dice::of(view.seed, text(node.metadata.uid.as_ref())).part(text(node.metadata.name.as_ref()));
        let start = facts::seconds(node.metadata.creation_timestamp.as_ref()).unwrap_or(view.now);
        let sample = view.sample(start, dice);
        let capacity = node.status.capacity.as_ref();
        let of = |quantity: Option<&Quantity<'_>>, usual| quantity.and_then(Quantity::whole).unwrap_or(usual);
        let cores = of(capacity.and_then(|capacity| capacity.cpu.as_ref()), 8).max(1);
        let memory_capacity = of(capacity.and_then(|capacity| capacity.memory.as_ref()), 32 * GIB);
        let disk = of(capacity.and_then(|capacity| capacity.ephemeral_storage.as_ref()), 100 * GIB);

        // Gauges add up: the system's own, and what the pods use. The counter of cpu outlives pods and adds up with none.
        let mut of_pods = Memory { limit: Some(memory_capacity), ..Memory::default() };
        for pod in pods {
            of_pods.add(pod.memory_at(sample.time));
        }
        let system = dice.range(1, 600 * MIB, 2 * GIB);
        let mut memory = Memory { usage: system * 2, working_set: system, rss: system / 2, limit: None, swap: 0 };
        memory.add(of_pods);
        memory.limit = Some(memory_capacity);
        Self {
            dice,
            start,
            sample,
            cpu: cores * dice.range(4, 200_000_000, 600_000_000),
            memory,
            of_pods,
            memory_capacity,
            disk: Disk { capacity: disk, inodes: disk / BYTES_PER_INODE, filling: Filling::Shared(dice, start) },
            swap,
            psi: view.psi.unwrap_or_else(|| minor_version(node) >= PSI_SINCE),
        }
    }

    fn write(&self, json: &mut Json, name: &str, pods: &[PodFigures<'_>], view: &View) {
        let (dice, sample) = (self.dice, self.sample);
        json.text("nodeName", name);
        json.array("systemContainers", |json| {
            for (nth, name) in ["kubelet", "runtime", "pods"].into_iter().enumerate() {
                let part = dice.part(name);
                let own = part.range(1, 40 * MIB, 160 * MIB);
                let own = Memory { usage: own + own / 8, working_set: own, rss: own / 5 * 4, limit: None, swap: 0 };
                let (rate, memory) = if nth == 2 {
                    (self.cpu / 10 * 8, self.of_pods)
                } else {
                    (part.range(2, 20_000_000, 90_000_000), own)
                };
                json.element(|json| {
                    json.text("name", name);
                    json.time("startTime", self.start);
                    write_cpu(json, part, sample, rate, self.psi);
                    write_memory(json, part, sample, &memory, self.psi);
                    if !view.light {
                        write_io(json, part, sample, self.psi);
                    }
                    write_swap(json, sample, memory.swap, if nth == 2 { self.swap } else { 0 });
                });
            }
        });
        json.time("startTime", self.start);
        write_cpu(json, dice, sample, self.cpu, self.psi);
        write_memory(json, dice, sample, &self.memory, self.psi);
        if !view.light {
            write_io(json, dice, sample, self.psi);
            write_network(json, dice.part("network"), sample, &["eth0", "ens6"]);
            let (time, used) = (sample.time, self.disk.used_at(sample.time));
            let part = |nth: u64| Space { bytes: used.bytes / nth, inodes: used.inodes / nth };
            json.object("fs", |json| write_space(json, self.disk, time, used));
            json.object("runtime", |json| {
                json.object("imageFs", |json| write_space(json, self.disk, time, part(3)));
                json.object("containerFs", |json| write_space(json, self.disk, time, part(20)));
            });
            json.object("rlimit", |json| {
                json.time("time", sample.time);
                json.number("maxpid", 4_194_304);
                json.number("curproc", 180 + pods.iter().map(|pod| pod.processes).sum::<u64>());
            });
        }
        write_swap(json, sample, self.memory.swap, self.swap);
    }
}

fn write_pod(json: &mut Json, pod: &PodFigures<'_>, node: &NodeFigures, view: &View) {
    write_reference(json, pod);
    json.time("startTime", pod.start);
    if pod.containers.is_empty() {
        // A list that nothing was ever put into, as Go writes it.
        json.null("containers");
    } else {
        json.array("containers", |json| {
            for container in &pod.containers {
                json.element(|json| write_container(json, container, node, view));
            }
        });
    }
    if pod.ended {
        return;
    }
    write_cpu(json, pod.dice, pod.sample, pod.cpu, node.psi);
    let memory = pod.memory_at(pod.sample.time);
    write_memory(json, pod.dice, pod.sample, &memory, node.psi);
    if !view.light {
        write_io(json, pod.dice, pod.sample, node.psi);
        // Those in the node's network have none of their own.
        if pod.pod.spec.host_network != Some(true) {
            write_network(json, pod.dice.part("network"), pod.sample, &["eth0"]);
        }
        if !pod.volumes.is_empty() {
            json.array("volume", |json| {
                for volume in &pod.volumes {
                    json.element(|json| write_volume(json, volume, pod, node));
                }
            });
        }
        let (time, used) = (pod.ephemeral_time, pod.ephemeral);
        json.object("ephemeral-storage", |json| write_space(json, node.disk, time, used));
        json.object("process_stats", |json| json.number("process_count", pod.processes));
    }
    write_swap(json, pod.sample, memory.swap, node.swap);
}

/// The pod as it was before its sandbox was made anew: of the same identity, and ended.
fn write_former(json: &mut Json, pod: &PodFigures<'_>) {
    const BEFORE: i64 = 3600;
    write_reference(json, pod);
    json.time("startTime", pod.start.saturating_sub(BEFORE));
    json.array("containers", |json| {
        for container in &pod.containers {
            json.element(|json| {
                json.text("name", container.name);
                json.time("startTime", container.start.saturating_sub(BEFORE));
            });
        }
    });
}

fn write_reference(json: &mut Json, pod: &PodFigures<'_>) {
    let metadata = &pod.pod.metadata;
    json.object("podRef", |json| {
        json.text("name", text(metadata.name.as_ref()));
        json.text("namespace", text(metadata.namespace.as_ref()));
        json.text("uid", text(metadata.uid.as_ref()));
    });
}

fn write_container(json: &mut Json, container: &ContainerFigures<'_>, node: &NodeFigures, view: &View) {
    let (dice, sample) = (container.dice, container.sample);
    json.text("name", container.name);
    json.time("startTime", container.start);
    let memory = container.memory_at(sample.time);
    if !container.ended {
        write_cpu(json, dice, sample, container.cpu, node.psi);
        write_memory(json, dice, sample, &memory, node.psi);
    }
    if !view.light {
        if !container.ended {
            write_io(json, dice, sample, node.psi);
        }
        json.object("rootfs", |json| write_space(json, node.disk, sample.time, container.rootfs));
        json.object("logs", |json| write_space(json, node.disk, sample.time, container.logs));
    }
    if !container.ended {
        write_swap(json, sample, memory.swap, node.swap);
    }
}

fn write_cpu(json: &mut Json, dice: Dice, sample: Sample, rate: u64, psi: bool) {
    json.object("cpu", |json| {
        json.time("time", sample.time);
        // A rate takes two samples.
        if sample.age > 0 {
            json.number("usageNanoCores", rate);
        }
        json.number("usageCoreNanoSeconds", rate * sample.counted);
        if psi {
            write_pressure(json, dice.part("cpu"), sample);
        }
    });
}

fn write_memory(json: &mut Json, dice: Dice, sample: Sample, memory: &Memory, psi: bool) {
    json.object("memory", |json| {
        json.time("time", sample.time);
        if let Some(limit) = memory.limit {
            json.number("availableBytes", limit.saturating_sub(memory.working_set));
        }
        json.number("usageBytes", memory.usage);
        json.number("workingSetBytes", memory.working_set);
        json.number("rssBytes", memory.rss);
        json.number("pageFaults", sample.counted * dice.range(20, 1, 900));
        json.number("majorPageFaults", sample.counted / dice.range(21, 600, 7200));
        if psi {
            write_pressure(json, dice.part("memory"), sample);
        }
    });
}

fn write_io(json: &mut Json, dice: Dice, sample: Sample, psi: bool) {
    if psi {
        json.object("io", |json| {
            json.time("time", sample.time);
            write_pressure(json, dice.part("io"), sample);
        });
    }
}

/// Stalls of up to a thousandth of the time; full ones are fewer. The totals are in nanoseconds.
fn write_pressure(json: &mut Json, dice: Dice, sample: Sample) {
    let some = dice.range(0, 0, 1_000_000);
    json.object("psi", |json| {
        for (name, rate) in [("full", some / dice.range(1, 2, 9)), ("some", some)] {
            json.object(name, |json| {
                json.number("total", rate * sample.counted);
                // Nanoseconds per second as hundredths of a percent.
                for average in ["avg10", "avg60", "avg300"] {
                    json.hundredths(average, rate / 100_000);
                }
            });
        }
    });
}

fn write_swap(json: &mut Json, sample: Sample, used: u64, capacity: u64) {
    json.object("swap", |json| {
        json.time("time", sample.time);
        json.number("swapAvailableBytes", capacity.saturating_sub(used));
        json.number("swapUsageBytes", used);
    });
}

fn write_network(json: &mut Json, dice: Dice, sample: Sample, interfaces: &[&str]) {
    let write = |json: &mut Json, name: &str| {
        let dice = dice.part(name);
        json.text("name", name);
        json.number("rxBytes", sample.counted * dice.scaled(0, 64, 10));
        json.number("rxErrors", sample.counted / dice.range(1, 20_000, 900_000));
        json.number("txBytes", sample.counted * dice.scaled(2, 64, 10));
        json.number("txErrors", sample.counted / dice.range(3, 20_000, 900_000));
    };
    json.object("network", |json| {
        json.time("time", sample.time);
        if let Some(first) = interfaces.first() {
            write(json, first);
        }
        json.array("interfaces", |json| {
            for name in interfaces {
                json.element(|json| write(json, name));
            }
        });
    });
}

/// What somebody uses of a file system, in which all see the same room left.
fn write_space(json: &mut Json, disk: Disk, time: i64, used: Space) {
    let all = disk.used_at(time);
    json.time("time", time);
    json.number("availableBytes", disk.capacity.saturating_sub(all.bytes));
    json.number("capacityBytes", disk.capacity);
    json.number("usedBytes", used.bytes);
    json.number("inodesFree", disk.inodes.saturating_sub(all.inodes));
    json.number("inodes", disk.inodes);
    json.number("inodesUsed", used.inodes);
}

fn write_volume(json: &mut Json, volume: &VolumeFigures<'_>, pod: &PodFigures<'_>, node: &NodeFigures) {
    let (time, used) = (volume.sample.time, volume.used);
    let alone = |capacity: u64| Disk { capacity, inodes: capacity / BYTES_PER_INODE, filling: Filling::Own(used) };
    let disk = match volume.place {
        Place::Disk => node.disk,
        Place::Memory => alone(node.memory_capacity / 2),
        Place::Claim(_, capacity) | Place::OwnClaim(capacity) => alone(capacity),
    };
    write_space(json, disk, time, used);
    json.text("name", volume.name);
    let metadata = &pod.pod.metadata;
    let own = || format!("{}-{}", text(metadata.name.as_ref()), volume.name);
    let claim = match volume.place {
        Place::Disk | Place::Memory => return,
        Place::Claim(claim, _) => claim.to_owned(),
        Place::OwnClaim(_) => own(),
    };
    json.object("pvcRef", |json| {
        json.text("name", &claim);
        json.text("namespace", text(metadata.namespace.as_ref()));
    });
}
