//! The lists of a document that is being read: one for all objects of a kind, whatever pod or container they are of.

use std::cell::Cell;
use std::sync::Arc;

use super::run::Whole;
use super::{
    ContainerStats, Extra, InterfaceStats, NetworkStats, NodeStats, PodStats, Pressure, PvcRef, Run, Skipped, Summary,
    VolumeStats, dedup,
};

/// What has been read of a document. It is emptied into a summary, and keeps its room for the next document.
#[derive(Debug, Default)]
pub(super) struct Columns {
    pub(super) pods: Vec<PodStats>,
    pub(super) containers: Vec<ContainerStats>,
    pub(super) volumes: Vec<VolumeStats>,
    pub(super) claims: Vec<PvcRef>,
    pub(super) networks: Vec<NetworkStats>,
    pub(super) interfaces: Vec<InterfaceStats>,
    pub(super) extras: Vec<Extra>,
    pub(super) pressures: Vec<Pressure>,
    /// The names of all pods.
    pub(super) text: String,
}

/// What there is a list of.
pub(super) trait Listed: Sized {
    fn all(columns: &mut Columns) -> &mut Vec<Self>;
}

macro_rules! listed {
    ($($type:ty: $column:ident,)+) => {
        $(
            impl Listed for $type {
                fn all(columns: &mut Columns) -> &mut Vec<Self> {
                    &mut columns.$column
                }
            }
        )+
    };
}

listed! {
    PodStats: pods,
    ContainerStats: containers,
    VolumeStats: volumes,
    PvcRef: claims,
    NetworkStats: networks,
    InterfaceStats: interfaces,
}

/// The one item that a run is of; it is made where there is none.
pub(super) fn one<'a, T: Default>(all: &'a mut Vec<T>, run: &mut Run<T>) -> Option<&'a mut T> {
    if run.count == 0 {
        *run = Run::at(all.len(), 1);
        all.push(T::default());
    }
    all.get_mut(run.start as usize)
}

thread_local! {
    static SPARE: Cell<Columns> = Cell::default();
}

/// A list's room for so many entries is kept on each thread that reads documents, as is that for so many bytes of text:
/// less than 2 MB in all. A node of 110 pods takes a tenth of it.
const SPARE_ENTRIES: usize = 2048;
const SPARE_TEXT: usize = 128 << 10;

impl Columns {
    /// Empty ones, with the room of the last document that was read on this thread.
    pub(super) fn take_spare() -> Self {
        SPARE.try_with(Cell::take).unwrap_or_default()
    }

    /// All that was read, each list in one piece of memory. The room stays with the thread.
    pub(super) fn into_summary(mut self, node: NodeStats, skipped: &mut Skipped) -> Summary {
        let node = self.connect(node, Room::Stays);
        dedup::newest_pods(&mut self.pods, skipped);
        let pods = boxed(&mut self.pods, Room::Stays);
        // A thread that is ending has no use for the room.
        let _ = SPARE.try_with(|spare| spare.set(self));
        Summary { node, pods }
    }

    /// All that there is, in the room that it is in.
    pub(super) fn into_own(mut self, node: NodeStats) -> Summary {
        let node = self.connect(node, Room::Goes);
        Summary { node, pods: boxed(&mut self.pods, Room::Goes) }
    }

    /// Says to all objects which lists they have parts of. What is left are the pods.
    fn connect(&mut self, mut node: NodeStats, room: Room) -> NodeStats {
        let claims = whole(&mut self.claims, room);
        for volume in &mut self.volumes {
            volume.pvc_ref.settle(claims.as_ref());
        }
        let volumes = whole(&mut self.volumes, room);
        let interfaces = whole(&mut self.interfaces, room);
        for network in &mut self.networks {
            network.interfaces.settle(interfaces.as_ref());
        }
        let networks = whole(&mut self.networks, room);
        let pressures = whole(&mut self.pressures, room);
        for extra in &mut self.extras {
            extra.pressure.settle(pressures.as_ref());
        }
        let extras = whole(&mut self.extras, room);
        for container in &mut self.containers {
            container.extra.settle(extras.as_ref());
        }
        let containers = whole(&mut self.containers, room);
        node.network.settle(networks.as_ref());
        node.extra.settle(extras.as_ref());
        node.system_containers.settle(containers.as_ref());
        let text = (!self.text.is_empty()).then(|| Arc::new(boxed_text(&mut self.text, room)));
        for pod in &mut self.pods {
            pod.pod_ref.settle(text.as_ref());
            pod.containers.settle(containers.as_ref());
            pod.extra.settle(extras.as_ref());
            pod.network.settle(networks.as_ref());
            pod.volumes.settle(volumes.as_ref());
        }
        node
    }
}

/// Whether the room that a list is in becomes a part of the summary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Room {
    Stays,
    Goes,
}

fn whole<T>(all: &mut Vec<T>, room: Room) -> Option<Whole<T>> {
    (!all.is_empty()).then(|| Arc::new(boxed(all, room)))
}

/// A list that is complete, as long as it has to be. Room beyond measure goes with it.
fn boxed<T>(all: &mut Vec<T>, room: Room) -> Box<[T]> {
    if room == Room::Goes || all.capacity() > SPARE_ENTRIES {
        return std::mem::take(all).into_boxed_slice();
    }
    all.drain(..).collect()
}

fn boxed_text(all: &mut String, room: Room) -> Box<str> {
    if room == Room::Goes || all.capacity() > SPARE_TEXT {
        return std::mem::take(all).into_boxed_str();
    }
    let text = Box::from(&**all);
    all.clear();
    text
}
