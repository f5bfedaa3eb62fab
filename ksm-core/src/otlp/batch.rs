//! Messages of bounded size, made one after the other.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;

use super::object::{Conversion, ResourceGroup};
use super::options::{MessageOptions, unix_nanos};
use crate::store::Snapshot;

/// The snapshots' samples as OTLP messages, dated now.
///
/// ```
/// use k8s_openapi::api::core::v1::Namespace;
/// use ksm_core::otlp::{MessageOptions, requests};
/// use ksm_core::{Settings, catalog::Catalog};
///
/// let catalog = Catalog::new(["namespaces"], &Settings::default())?;
/// catalog.put("v1", "Namespace", br#"{"metadata":{"name":"web"},"status":{"phase":"Active"}}"#)?;
/// let options = MessageOptions::default().attribute("k8s.cluster.name", "prod-1");
/// for request in requests(&catalog.snapshots(), &options) {
///     let resource = request.resource_metrics[0].resource.as_ref().unwrap();
///     let keys: Vec<&str> = resource.attributes.iter().map(|attribute| attribute.key.as_str()).collect();
///     assert_eq!(keys, ["k8s.namespace.name", "k8s.cluster.name"]);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn requests(snapshots: &[Arc<Snapshot>], options: &MessageOptions) -> Requests {
    Requests::new(snapshots.to_vec(), options.clone())
}

/// Makes the messages of [`requests`], one with each call of `next`; between the calls it holds snapshots, not messages.
pub struct Requests {
    options: MessageOptions,
    time: u64,
    /// Read from the back, where a snapshot is let go once it is through.
    snapshots: Vec<Arc<Snapshot>>,
    /// The next place in the last snapshot.
    place: usize,
    /// Resources of the object before that place which the last message had no room for.
    pending: VecDeque<ResourceGroup>,
}

impl fmt::Debug for Requests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Requests")
            .field("snapshots", &self.snapshots.len())
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

/// A message, and how many data points it has.
pub(super) struct Batch {
    pub(super) request: ExportMetricsServiceRequest,
    pub(super) points: usize,
}

impl Requests {
    pub(super) fn new(mut snapshots: Vec<Arc<Snapshot>>, options: MessageOptions) -> Self {
        snapshots.reverse();
        Self { time: unix_nanos(options.now()), options, snapshots, place: 0, pending: VecDeque::new() }
    }

    pub(super) fn next_batch(&mut self) -> Option<Batch> {
        let mut batch = Batch { request: ExportMetricsServiceRequest::default(), points: 0 };
        let mut bytes = 0;
        while let Some(snapshot) = self.snapshots.last() {
            let conversion = Conversion::new(&self.options, self.time, snapshot);
            loop {
                while let Some(group) = self.pending.pop_front() {
                    let fits = batch.points + group.points <= self.options.max_points
                        && bytes + group.bytes <= self.options.max_bytes;
                    if !fits && batch.points > 0 {
                        self.pending.push_front(group);
                        return Some(batch);
                    }
                    batch.points += group.points;
                    bytes += group.bytes;
                    batch.request.resource_metrics.push(group.into_message(&conversion));
                }
                if self.place == snapshot.places() {
                    break;
                }
                if let Some(object) = snapshot.object_at(self.place) {
                    conversion.groups_of(&object, &mut self.pending);
                }
                self.place += 1;
            }
            self.snapshots.pop();
            self.place = 0;
        }
        (batch.points > 0).then_some(batch)
    }

    /// How many data points the messages would have that were not made.
    pub(super) fn remaining_points(&self) -> u64 {
        let mut points: usize = self.pending.iter().map(|group| group.points).sum();
        let mut first = self.place;
        for snapshot in self.snapshots.iter().rev() {
            for object in (first..snapshot.places()).filter_map(|place| snapshot.object_at(place)) {
                object.visit(|_| points += 1);
            }
            first = 0;
        }
        points as u64
    }
}

impl Iterator for Requests {
    type Item = ExportMetricsServiceRequest;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_batch().map(|batch| batch.request)
    }
}
