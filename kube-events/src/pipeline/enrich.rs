//! What an event is given on its way: its object, the labels of its namespace, the owners.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tokio::time::{Instant, timeout_at};
use tokio_util::task::AbortOnDropHandle;

use crate::event::{Deletion, EnhancedEvent, Event, ObjectMetadata, Occurrence};
use crate::object::ObjectSource;

pub(super) struct Enricher {
    pub(super) objects: Arc<dyn ObjectSource>,
    pub(super) cluster_name: Arc<str>,
    /// Whether a rule asks for the labels of namespaces.
    pub(super) namespaces: bool,
    pub(super) owners: usize,
    pub(super) deadline: Duration,
}

impl Enricher {
    /// Begins to look up, on a task of its own: look-ups share reads, and one that nobody polls would hold up others.
    /// Dropping the future stops it.
    pub(super) fn begin(
        self: &Arc<Self>,
        event: Arc<Event>,
        occurrence: Occurrence,
    ) -> impl Future<Output = EnhancedEvent> + Send + use<> {
        let bare = EnhancedEvent {
            occurrence: Some(occurrence),
            ..EnhancedEvent::new(event, Arc::new(ObjectMetadata::unknown()))
                .with_cluster_name(Arc::clone(&self.cluster_name))
        };
        let this = Arc::clone(self);
        let event = bare.clone();
        let task = AbortOnDropHandle::new(tokio::spawn(async move { this.enrich(event).await }));
        // A look-up that panics knows nothing.
        task.map(|enriched| enriched.unwrap_or(bare))
    }

    async fn enrich(&self, mut event: EnhancedEvent) -> EnhancedEvent {
        let until = Instant::now() + self.deadline;
        let inner = Arc::clone(&event.event);
        let reference = &inner.involved_object;
        let object = async {
            let object = timeout_at(until, self.objects.look_up(reference)).await.ok()?;
            let owners = if self.owners > 0 {
                let above = self.objects.controllers(&reference.namespace, &object, self.owners);
                timeout_at(until, above).await.map(|found| found.chain).unwrap_or_default()
            } else {
                Vec::new()
            };
            Some((object, owners))
        };
        let namespace = async {
            let name = inner.metadata.namespace.as_str();
            if !self.namespaces || name.is_empty() {
                return None;
            }
            let found = timeout_at(until, self.objects.namespace(name)).await.ok()?;
            (found.deletion != Deletion::Unknown).then(|| Arc::new(found.labels.clone()))
        };
        let (object, namespace) = tokio::join!(object, namespace);
        if let Some((object, owners)) = object {
            event.object = object;
            event.owner_chain = owners.into();
        }
        event.namespace_labels = namespace;
        event
    }
}
