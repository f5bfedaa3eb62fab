//! The numbers of pods: what each container and volume uses, as it follows from its seed, its start and the time.

use super::facts::{Container, ContainerStatus, Pod, Quantity, Volume, list, seconds, text};
use super::view::{Dice, Sample, View, seconds_between};

/// What files are counted in.
const BLOCK: u64 = 4096;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// A pod that the kubelet knows, in numbers.
#[derive(Debug)]
pub(super) struct PodFigures<'a> {
    pub(super) pod: &'a Pod<'a>,
    pub(super) dice: Dice,
    pub(super) start: i64,
    pub(super) sample: Sample,
    /// All its containers have ended.
    pub(super) ended: bool,
    pub(super) containers: Vec<ContainerFigures<'a>>,
    pub(super) volumes: Vec<VolumeFigures<'a>>,
    /// Nanoseconds of cpu per second, those of containers that wait for their next start included: the pod's counter
    /// outlives them.
    pub(super) cpu: u64,
    pub(super) processes: u64,
    pub(super) ephemeral: Space,
    /// When the newest part of that was measured.
    pub(super) ephemeral_time: i64,
}

/// A container that runs, or has ended.
#[derive(Debug)]
pub(super) struct ContainerFigures<'a> {
    pub(super) name: &'a str,
    pub(super) dice: Dice,
    pub(super) start: i64,
    pub(super) sample: Sample,
    pub(super) ended: bool,
    /// Nanoseconds of cpu per second.
    pub(super) cpu: u64,
    pub(super) rootfs: Space,
    pub(super) logs: Space,
    limit: Option<u64>,
    swaps: bool,
}

/// Bytes of memory.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Memory {
    pub(super) usage: u64,
    pub(super) working_set: u64,
    pub(super) rss: u64,
    pub(super) limit: Option<u64>,
    pub(super) swap: u64,
}

impl Memory {
    pub(super) fn add(&mut self, other: Self) {
        self.usage += other.usage;
        self.working_set += other.working_set;
        self.rss += other.rss;
        self.swap += other.swap;
    }
}

/// Room in a file system.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Space {
    pub(super) bytes: u64,
    pub(super) inodes: u64,
}

impl Space {
    pub(super) fn add(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.inodes += other.inodes;
    }
}

/// Where a volume is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place<'a> {
    /// On the node's disk: it counts as ephemeral storage.
    Disk,
    /// In the node's memory.
    Memory,
    /// Behind the claim of this name, of so many bytes.
    Claim(&'a str, u64),
    /// Behind a claim of its own, of so many bytes.
    OwnClaim(u64),
}

/// A volume that kubelets measure; those of the host's paths are none.
#[derive(Debug)]
pub(super) struct VolumeFigures<'a> {
    pub(super) name: &'a str,
    pub(super) place: Place<'a>,
    pub(super) sample: Sample,
    pub(super) used: Space,
}

impl<'a> PodFigures<'a> {
    /// The figures of a pod that the kubelet tells of, or none; `claimed` knows how large a claim is.
    pub(super) fn of(
        pod: &'a Pod<'a>,
        view: &View,
        swaps: bool,
        claimed: &dyn Fn(&str, &str) -> Option<u64>,
    ) -> Option<Self> {
        let status = &pod.status;
        let ended = matches!(text(status.phase.as_ref()), "Succeeded" | "Failed");
        let runs = text(status.phase.as_ref()) == "Running";
        // What is pending has a sandbox once it has an address.
        if !runs && text(status.pod_ip.as_ref()).is_empty() || ended && !view.quirks.ended {
            return None;
        }
        let born = seconds(status.start_time.as_ref()).or_else(|| seconds(pod.metadata.creation_timestamp.as_ref()));
        let start = born.unwrap_or(view.now);
        let dice = Dice::of(view.seed, text(pod.metadata.uid.as_ref()));
        let (init, main) = (status.init_container_statuses.as_ref(), status.container_statuses.as_ref());
        let of = |status| ContainerFigures::of(status, pod, start, dice, view, swaps);
        let mut containers: Vec<_> = list(init).iter().chain(list(main)).filter_map(of).collect();
        if list(main).is_empty() && runs {
            // Whoever wrote the object left the details out.
            let names = list(pod.spec.containers.as_ref()).iter().map(|container| text(container.name.as_ref()));
            containers.extend(names.map(|name| ContainerFigures::running(name, pod, start, dice, view, swaps)));
        }
        containers.retain(|container| !container.ended || view.quirks.ended);

        let volumes = volumes(pod, start, dice, view, claimed);
        let (mut ephemeral, mut ephemeral_time, mut processes) = (Space::default(), i64::MIN, 1);
        for container in &containers {
            ephemeral.add(container.rootfs);
            ephemeral.add(container.logs);
            ephemeral_time = ephemeral_time.max(container.sample.time);
            processes += if container.ended { 0 } else { container.dice.range(1, 1, 12) };
        }
        for volume in volumes.iter().filter(|volume| volume.place == Place::Disk) {
            ephemeral.add(volume.used);
            ephemeral_time = ephemeral_time.max(volume.sample.time);
        }
        let cpu = lasting(pod).map(|name| cpu_rate(dice.part(name))).sum::<u64>() + 1000;
        let sample = view.sample(start, dice);
        let ephemeral_time = if ephemeral_time == i64::MIN { sample.time } else { ephemeral_time };
        Some(Self { pod, dice, start, sample, ended, containers, volumes, cpu, processes, ephemeral, ephemeral_time })
    }

    /// What the pod's containers and its sandbox use at this moment.
    pub(super) fn memory_at(&self, time: i64) -> Memory {
        let mut memory = Memory { usage: MIB, working_set: MIB / 2, rss: MIB / 4, limit: None, swap: 0 };
        for container in self.containers.iter().filter(|container| !container.ended) {
            memory.add(container.memory_at(time));
        }
        memory
    }
}

/// The names of the containers that live as long as their pod: those of the pod, and its sidecars.
fn lasting<'a>(pod: &'a Pod<'_>) -> impl Iterator<Item = &'a str> {
    let sidecar = |container: &&Container<'_>| text(container.restart_policy.as_ref()) == "Always";
    let sidecars = list(pod.spec.init_containers.as_ref()).iter().filter(sidecar);
    sidecars.chain(list(pod.spec.containers.as_ref())).map(|container| text(container.name.as_ref()))
}

/// Nanoseconds of cpu per second: half a thousandth of a core to an eighth.
fn cpu_rate(dice: Dice) -> u64 {
    dice.scaled(0, 500_000, 8)
}

impl<'a> ContainerFigures<'a> {
    fn of(
        status: &'a ContainerStatus<'a>,
        pod: &'a Pod<'a>,
        pod_start: i64,
        dice: Dice,
        view: &View,
        swaps: bool,
    ) -> Option<Self> {
        let name = text(status.name.as_ref());
        let state = status.state.as_ref()?;
        let (since, ended) = match (&state.running, &state.terminated) {
            (Some(running), _) => (running, false),
            (None, Some(terminated)) => (terminated, true),
            (None, None) => return None,
        };
        let start = seconds(since.started_at.as_ref()).unwrap_or(pod_start);
        let mut figures = Self::running(name, pod, start, dice, view, swaps);
        if ended {
            (figures.ended, figures.rootfs, figures.logs) = (true, Space::default(), Space::default());
        }
        Some(figures)
    }

    fn running(name: &'a str, pod: &'a Pod<'a>, start: i64, pod_dice: Dice, view: &View, swaps: bool) -> Self {
        let dice = pod_dice.part(name);
        let sample = view.sample(start, dice);
        let specs = list(pod.spec.init_containers.as_ref()).iter().chain(list(pod.spec.containers.as_ref()));
        let limit = specs
            .filter(|container| text(container.name.as_ref()) == name)
            .find_map(|container| container.resources.as_ref()?.limits.as_ref()?.memory.as_ref())
            .and_then(Quantity::whole);
        let written = blocks(dice.range(6, 7 * BLOCK, 500 * BLOCK) + sample.age * dice.range(7, 2, 65));
        let rootfs = Space { bytes: written, inodes: 9 + written / (16 * BLOCK) };
        // Rotated, as the kubelet does it by default: five files of 10 MiB at most.
        let logged = blocks(BLOCK + sample.age * dice.range(8, 20, 2000) % (50 * MIB));
        let logs = Space { bytes: logged, inodes: 1 + logged / (10 * MIB) };
        Self { name, dice, start, sample, ended: false, cpu: cpu_rate(dice), rootfs, logs, limit, swaps }
    }

    /// What the container uses at this moment: it grows, and begins again after a while.
    pub(super) fn memory_at(&self, time: i64) -> Memory {
        let (dice, limit) = (self.dice, self.limit);
        let age = seconds_between(self.start, time);
        // Never without a little room, as the kernel would not leave it.
        let most = limit.map_or(u64::MAX, |limit| limit / 8 * 7);
        let base = dice.scaled(2, 8 * MIB, 5);
        let working_set = blocks(base + age.wrapping_mul(dice.range(3, 64, 4096)) % base).min(most);
        Memory {
            usage: blocks((working_set + working_set / dice.range(4, 3, 20)).min(limit.unwrap_or(u64::MAX))),
            working_set,
            rss: blocks(working_set / 5 * 4),
            limit,
            swap: if self.swaps { blocks(dice.range(5, 0, 16 * MIB)) } else { 0 },
        }
    }
}

fn blocks(bytes: u64) -> u64 {
    bytes - bytes % BLOCK
}

fn volumes<'a>(
    pod: &'a Pod<'a>,
    start: i64,
    pod_dice: Dice,
    view: &View,
    claimed: &dyn Fn(&str, &str) -> Option<u64>,
) -> Vec<VolumeFigures<'a>> {
    let sample = view.volume_sample(start);
    let namespace = text(pod.metadata.namespace.as_ref());
    let size = |claim: &str| claimed(namespace, claim).unwrap_or(10 * GIB);
    let figures = |volume: &'a Volume<'a>| {
        let name = text(volume.name.as_ref());
        let dice = pod_dice.part(name);
        let grown = |base: u64, most: u64| blocks(base + sample.age * dice.range(1, 5, 130)).min(most);
        let (place, bytes) = if let Some(directory) = &volume.empty_dir {
            let place = if text(directory.medium.as_ref()).is_empty() { Place::Disk } else { Place::Memory };
            (place, grown(dice.range(2, BLOCK, 2000 * BLOCK), u64::MAX))
        } else if volume.config_map.is_some() || volume.git_repo.is_some() {
            (Place::Disk, BLOCK * dice.range(2, 1, 8))
        } else if volume.projected.is_some() {
            (Place::Memory, 3 * BLOCK)
        } else if volume.secret.is_some() || volume.downward_api.is_some() {
            (Place::Memory, BLOCK)
        } else if let Some(claim) = &volume.persistent_volume_claim {
            let claim = text(claim.claim_name.as_ref());
            let size = size(claim);
            (Place::Claim(claim, size), grown(size / dice.range(2, 4, 30), size / 20 * 19))
        } else if volume.ephemeral.is_some() {
            let size = size(&format!("{}-{name}", text(pod.metadata.name.as_ref())));
            (Place::OwnClaim(size), grown(size / dice.range(2, 4, 30), size / 20 * 19))
        } else {
            return None;
        };
        let used = Space { bytes, inodes: 1 + bytes / (4 * BLOCK) };
        Some(VolumeFigures { name, place, sample, used })
    };
    list(pod.spec.volumes.as_ref()).iter().filter_map(figures).collect()
}
