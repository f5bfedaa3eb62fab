//! One pod per uid; one container, volume and interface per name.

use std::collections::HashMap;

use super::{ContainerStats, CpuStats, InterfaceStats, MemoryStats, Name, PodStats, Skipped, Time, VolumeStats};

/// Which of two of one name stays: the one that started last; of two that started at once, the one that has figures
/// of a running process.
type Rank = (Option<Time>, bool);

fn rank(start: Option<Time>, cpu: &CpuStats, memory: &MemoryStats) -> Rank {
    (start, !cpu.usage_core_nano_seconds.is_absent() || !memory.working_set_bytes.is_absent())
}

/// Leaves each uid once, the newest, where it stands; the order is kept.
pub(super) fn newest_pods(pods: &mut Vec<PodStats>, skipped: &mut Skipped) {
    let rank = |pod: &PodStats| rank(pod.start_time, &pod.cpu, &pod.memory);
    let mut newest: HashMap<&str, usize> = HashMap::with_capacity(pods.len());
    let mut stays = vec![true; pods.len()];
    for (index, pod) in pods.iter().enumerate() {
        let Some(other) = newest.insert(pod.pod_ref.uid(), index) else { continue };
        let newer = pods.get(other).is_none_or(|other| rank(pod) > rank(other));
        if !newer {
            newest.insert(pod.pod_ref.uid(), other);
        }
        if let Some(stays) = stays.get_mut(if newer { other } else { index }) {
            *stays = false;
        }
    }
    let before = pods.len();
    let mut stays = stays.into_iter();
    pods.retain(|_| stays.next().unwrap_or(true));
    skipped.duplicates += before - pods.len();
}

/// Puts each name once in front, the newest; the order is kept. How many that are.
pub(super) fn newest_containers(containers: &mut [ContainerStats], skipped: &mut Skipped) -> usize {
    let newer = |one: &ContainerStats, other: &ContainerStats| {
        rank(one.start_time, &one.cpu, &one.memory) > rank(other.start_time, &other.cpu, &other.memory)
    };
    newest(containers, |container| &container.name, newer, skipped)
}

/// The same with what was sampled last.
pub(super) fn newest_volumes(volumes: &mut [VolumeStats], skipped: &mut Skipped) -> usize {
    newest(volumes, |volume| &volume.name, |one, other| one.fs.time > other.fs.time, skipped)
}

/// The same with the first, since interfaces have no times of their own.
pub(super) fn first_interfaces(interfaces: &mut [InterfaceStats], skipped: &mut Skipped) -> usize {
    newest(interfaces, |interface| &interface.name, |_, _| false, skipped)
}

fn newest<T>(
    all: &mut [T],
    name: impl Fn(&T) -> &Name,
    newer: impl Fn(&T, &T) -> bool,
    skipped: &mut Skipped,
) -> usize {
    // A handful is compared without a map; a list that is as long as it may be, with one.
    let mut places: HashMap<Name, usize> = HashMap::new();
    let many = all.len() > FEW;
    let (mut kept, before) = (0, all.len());
    for index in 0..before {
        let (earlier, rest) = all.split_at_mut(index);
        let Some(this) = rest.first_mut() else { break };
        let known = if many {
            places.get(name(this)).copied()
        } else {
            let this = name(this);
            earlier.iter().take(kept).position(|other| name(other) == this)
        };
        match known.and_then(|place| earlier.get_mut(place)) {
            Some(other) => {
                if newer(this, other) {
                    std::mem::swap(this, other);
                }
            }
            None => {
                if many {
                    places.insert(name(this).clone(), kept);
                }
                all.swap(kept, index);
                kept += 1;
            }
        }
    }
    skipped.duplicates += before - kept;
    kept
}

/// As many are compared each with each.
const FEW: usize = 32;
