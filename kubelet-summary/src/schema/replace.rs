//! A document in the memory of the one before it.

use std::iter::once;
use std::mem::take;
use std::sync::Arc;

use super::columns::Columns;
use super::{
    ContainerStats, Extra, InterfaceStats, NetworkStats, PodStats, Pressure, PvcRef, Run, Summary, VolumeStats,
};

impl Summary {
    /// Becomes `new`, in the memory that it has, list by list: where as many items are in both, as of a node whose pods
    /// stay. What somebody else has a part of stays theirs.
    ///
    /// Thousands of documents that come while the ones before them are still there would leave holes between one
    /// another, into which not all of later ones fit.
    pub(crate) fn replace(&mut self, new: Self) {
        // What was made by hand may have lists of many pieces.
        let Some(lists) = Lists::of(&new) else {
            *self = new;
            return;
        };
        let mut columns = room_of(take(self));
        lists.copy_into(&mut columns);
        *self = columns.into_own(new.node);
    }
}

/// The memory of a summary's lists, but for what somebody else has a part of.
fn room_of(summary: Summary) -> Columns {
    let Summary { mut node, pods } = summary;
    let mut pods = Vec::from(pods);
    let text = pods.iter_mut().filter_map(|pod| pod.pod_ref.loosen()).last();
    let mut containers =
        emptied(once(&mut node.system_containers).chain(pods.iter_mut().map(|pod| &mut pod.containers)));
    let of_pods = pods.iter_mut().map(|pod| &mut pod.extra);
    let of_containers = containers.iter_mut().map(|container| &mut container.extra);
    let mut extras = emptied(once(&mut node.extra).chain(of_pods).chain(of_containers));
    let pressures = emptied(extras.iter_mut().map(|extra| &mut extra.pressure));
    let mut networks = emptied(once(&mut node.network).chain(pods.iter_mut().map(|pod| &mut pod.network)));
    let interfaces = emptied(networks.iter_mut().map(|network| &mut network.interfaces));
    let mut volumes = emptied(pods.iter_mut().map(|pod| &mut pod.volumes));
    let claims = emptied(volumes.iter_mut().map(|volume| &mut volume.pvc_ref));
    let text = text.and_then(Arc::into_inner).map(String::from).unwrap_or_default();
    Columns { pods, containers, volumes, claims, networks, interfaces, extras, pressures, text }
}

/// The list that these are of, which have none then; an empty one where somebody else has a part of it.
fn emptied<'a, T: 'a>(runs: impl Iterator<Item = &'a mut Run<T>>) -> Vec<T> {
    runs.filter_map(Run::loosen).last().and_then(Arc::into_inner).map(Vec::from).unwrap_or_default()
}

/// The lists of a summary, as it is.
struct Lists<'a> {
    pods: &'a [PodStats],
    containers: &'a [ContainerStats],
    volumes: &'a [VolumeStats],
    claims: &'a [PvcRef],
    networks: &'a [NetworkStats],
    interfaces: &'a [InterfaceStats],
    extras: &'a [Extra],
    pressures: &'a [Pressure],
    text: &'a str,
}

impl<'a> Lists<'a> {
    /// None where one of them is of several pieces.
    fn of(summary: &'a Summary) -> Option<Self> {
        let Summary { node, pods } = summary;
        let containers = whole(once(&node.system_containers).chain(pods.iter().map(|pod| &pod.containers)))?;
        let of_pods = pods.iter().map(|pod| &pod.extra);
        let of_containers = containers.iter().map(|container| &container.extra);
        let extras = whole(once(&node.extra).chain(of_pods).chain(of_containers))?;
        let pressures = whole(extras.iter().map(|extra| &extra.pressure))?;
        let networks = whole(once(&node.network).chain(pods.iter().map(|pod| &pod.network)))?;
        let interfaces = whole(networks.iter().map(|network| &network.interfaces))?;
        let volumes = whole(pods.iter().map(|pod| &pod.volumes))?;
        let claims = whole(volumes.iter().map(|volume| &volume.pvc_ref))?;
        let text = one(pods.iter().filter_map(|pod| pod.pod_ref.text())).ok()?.map_or("", |text| text);
        Some(Self { pods, containers, volumes, claims, networks, interfaces, extras, pressures, text })
    }

    /// Each into the room that there is for it.
    fn copy_into(&self, room: &mut Columns) {
        copy(&mut room.pods, self.pods);
        copy(&mut room.containers, self.containers);
        copy(&mut room.volumes, self.volumes);
        copy(&mut room.claims, self.claims);
        copy(&mut room.networks, self.networks);
        copy(&mut room.interfaces, self.interfaces);
        copy(&mut room.extras, self.extras);
        copy(&mut room.pressures, self.pressures);
        if room.text.capacity() != self.text.len() {
            room.text = String::new();
            room.text.reserve_exact(self.text.len());
        }
        room.text.clear();
        room.text.push_str(self.text);
    }
}

fn copy<T: Clone>(room: &mut Vec<T>, list: &[T]) {
    if room.capacity() != list.len() {
        // Let go of first: the new one may come to lie there.
        *room = Vec::new();
        room.reserve_exact(list.len());
    }
    room.clear();
    room.extend_from_slice(list);
}

/// The list that these are of; none where they are of several.
fn whole<'a, T: 'a>(runs: impl Iterator<Item = &'a Run<T>>) -> Option<&'a [T]> {
    Some(one(runs.filter_map(Run::whole)).ok()?.map_or(&[], |all| all))
}

/// These are not all one thing.
#[derive(Debug)]
struct Several;

/// The one thing that all of these are, if there is any.
fn one<'a, T>(mut things: impl Iterator<Item = &'a Arc<T>>) -> Result<Option<&'a Arc<T>>, Several> {
    let first = things.next();
    let is_one = things.all(|thing| first.is_some_and(|first| Arc::ptr_eq(first, thing)));
    if is_one { Ok(first) } else { Err(Several) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Parts;

    /// A node of so many pods, with everything that a document can have, each figure being `figure`.
    fn summary(pods: usize, figure: u64) -> Summary {
        let psi = format!(r#"{{"some": {{"total": {figure}}}, "full": {{"total": {figure}}}}}"#);
        let usage = format!(
            r#""cpu": {{"usageCoreNanoSeconds": {figure}, "psi": {psi}}}, "memory": {{"usageBytes": {figure}}},
               "swap": {{"swapUsageBytes": {figure}}}"#
        );
        let network = format!(r#""network": {{"interfaces": [{{"name": "eth0", "rxBytes": {figure}}}]}}"#);
        let container = format!(r#"{{"name": "app", {usage}, "rootfs": {{"usedBytes": {figure}, "inodes": 7}}}}"#);
        let pod = |number| {
            format!(
                r#"{{"podRef": {{"namespace": "shop", "name": "web-{number}", "uid": "u-{number}"}}, {usage}, {network},
                    "containers": [{container}],
                    "volume": [{{"name": "data", "usedBytes": {figure}, "pvcRef": {{"namespace": "a", "name": "b"}}}}]}}"#
            )
        };
        let pods: Vec<String> = (0..pods).map(pod).collect();
        let document = format!(
            r#"{{"node": {{"nodeName": "n", {usage}, {network}, "systemContainers": [{container}]}}, "pods": [{}]}}"#,
            pods.join(",")
        );
        let decoded = Summary::from_slice_keeping(document.as_bytes(), Parts::ALL).unwrap();
        assert!(decoded.skipped.is_clean(), "{:?}", decoded.skipped);
        decoded.summary
    }

    /// Where each list of a summary is.
    fn places(summary: &Summary) -> [*const u8; 9] {
        let lists = Lists::of(summary).unwrap();
        [
            lists.pods.as_ptr().cast(),
            lists.containers.as_ptr().cast(),
            lists.volumes.as_ptr().cast(),
            lists.claims.as_ptr().cast(),
            lists.networks.as_ptr().cast(),
            lists.interfaces.as_ptr().cast(),
            lists.extras.as_ptr().cast(),
            lists.pressures.as_ptr().cast(),
            lists.text.as_ptr(),
        ]
    }

    #[test]
    fn a_document_is_what_replaces_it() {
        for (before, after) in [(3, 3), (3, 5), (5, 3), (0, 2), (2, 0)] {
            let mut kept = summary(before, 1);
            kept.replace(summary(after, 2));
            assert_eq!(kept, summary(after, 2), "{before} pods, then {after}");
        }
    }

    #[test]
    fn memory_that_fits_is_used_again() {
        let mut kept = summary(3, 1);
        let before = places(&kept);
        kept.replace(summary(3, 2));
        assert_eq!(places(&kept), before);
    }

    #[test]
    fn what_somebody_else_has_a_part_of_stays_theirs() {
        let mut kept = summary(3, 1);
        let (containers, pod) = (kept.pods[1].containers.clone(), kept.pods[2].clone());
        kept.replace(summary(3, 2));
        assert_eq!((&containers, &pod), (&summary(3, 1).pods[1].containers, &summary(3, 1).pods[2]));
        assert_eq!(kept, summary(3, 2));
    }

    #[test]
    fn a_summary_of_many_pieces_comes_as_it_is() {
        let (mut pieces, mut other) = (summary(2, 2), summary(1, 9));
        std::mem::swap(&mut pieces.pods[1], &mut other.pods[0]);
        assert!(Lists::of(&pieces).is_none());
        let mut kept = summary(2, 1);
        kept.replace(pieces.clone());
        assert_eq!(kept, pieces);
        kept.replace(summary(2, 3));
        assert_eq!(kept, summary(2, 3));
    }
}
