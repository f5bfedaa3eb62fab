//! One pod per uid, one container per name.

use std::collections::HashMap;

use super::{ContainerStats, CpuStats, MemoryStats, PodStats, Skipped, Time};

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

/// Leaves each name once, the newest; the order is kept.
pub(super) fn newest_containers(containers: &mut Vec<ContainerStats>, skipped: &mut Skipped) {
    let rank = |container: &ContainerStats| rank(container.start_time, &container.cpu, &container.memory);
    let mut index = 1;
    // A pod has a handful; where a hostile document has a hundred thousand, a map.
    if containers.len() > 64 {
        return newest_of_many(containers, skipped);
    }
    while index < containers.len() {
        let (before, rest) = containers.split_at_mut(index);
        let Some(this) = rest.first_mut() else { return };
        let Some(other) = before.iter_mut().find(|other| other.name == this.name) else {
            index += 1;
            continue;
        };
        if rank(this) > rank(other) {
            std::mem::swap(this, other);
        }
        containers.remove(index);
        skipped.duplicates += 1;
    }
}

fn newest_of_many(containers: &mut Vec<ContainerStats>, skipped: &mut Skipped) {
    let rank = |container: &ContainerStats| rank(container.start_time, &container.cpu, &container.memory);
    let before = containers.len();
    let mut kept: Vec<ContainerStats> = Vec::new();
    let mut places = HashMap::new();
    for container in containers.drain(..) {
        let place = *places.entry(container.name.clone()).or_insert(kept.len());
        match kept.get_mut(place) {
            None => kept.push(container),
            Some(other) if rank(&container) > rank(other) => *other = container,
            Some(_) => {}
        }
    }
    skipped.duplicates += before - kept.len();
    *containers = kept;
}
