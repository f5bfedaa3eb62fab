//! What is known of the object that an event is about: labels, annotations, owners, and whether it is still there.
//!
//! [`Objects`] reads metadata from the API server, through a cache; a store that the host watches may answer instead
//! ([`Known`]). A pipeline takes any [`ObjectSource`].

mod builder;
mod cache;
mod error;
mod key;
mod known;
mod limit;
mod mapping;
mod reader;

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use metrics::counter;

pub use builder::{ObjectsBuilder, Settings};
pub use cache::Objects;
pub use error::LookupError;
pub use known::{Known, StoreKnown};

use crate::event::{ObjectMetadata, ObjectReference, OwnerReference};
use crate::telemetry;

/// Where objects' metadata comes from. A look-up always has an answer: what is not known is
/// [`Unknown`](crate::event::Deletion::Unknown), and the event goes on.
pub trait ObjectSource: Send + Sync + 'static {
    /// The metadata of an object.
    fn look_up<'a>(&'a self, reference: &'a ObjectReference) -> BoxFuture<'a, Arc<ObjectMetadata>>;

    /// The metadata of a namespace, for rules that match by its labels.
    fn namespace<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Arc<ObjectMetadata>> {
        async move {
            let reference = ObjectReference {
                kind: "Namespace".to_owned(),
                api_version: "v1".to_owned(),
                name: name.to_owned(),
                ..ObjectReference::default()
            };
            self.look_up(&reference).await
        }
        .boxed()
    }

    /// The controllers of an object of this metadata, in this namespace, from its own up to the topmost (Pod →
    /// ReplicaSet → Deployment: the last two), `depth` at most.
    fn controllers<'a>(
        &'a self,
        namespace: &'a str,
        metadata: &'a ObjectMetadata,
        depth: usize,
    ) -> BoxFuture<'a, Controllers> {
        async move {
            let mut chain: Vec<OwnerReference> = Vec::new();
            let mut above = metadata.controller().cloned();
            let mut complete = metadata.deletion != crate::event::Deletion::Unknown;
            while let Some(controller) = above.take() {
                let again = chain.iter().any(|known| known.uid == controller.uid && known.name == controller.name);
                if again || chain.len() >= depth {
                    complete = false;
                    break;
                }
                let reference = ObjectReference {
                    kind: controller.kind.clone(),
                    api_version: controller.api_version.clone(),
                    namespace: namespace.to_owned(),
                    name: controller.name.clone(),
                    uid: controller.uid.clone(),
                    ..ObjectReference::default()
                };
                chain.push(controller);
                let found = self.look_up(&reference).await;
                complete &= matches!(found.deletion, crate::event::Deletion::No | crate::event::Deletion::Terminating);
                above = found.controller().cloned();
            }
            Controllers { chain, complete }
        }
        .boxed()
    }
}

/// Who manages an object, and who manages these.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Controllers {
    /// From the object's own controller up.
    pub chain: Vec<OwnerReference>,
    /// Whether the last one is the topmost: false if one of them, or the object, is gone or not known, if there are
    /// more than were asked for, or if they own each other.
    pub complete: bool,
}

impl Controllers {
    /// The topmost that is known.
    pub fn top(&self) -> Option<&OwnerReference> {
        self.chain.last()
    }
}

/// No look-ups at all (`omitLookup`): nothing is known of any object, and no right but that to Events is needed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Omitted;

impl ObjectSource for Omitted {
    fn look_up<'a>(&'a self, _: &'a ObjectReference) -> BoxFuture<'a, Arc<ObjectMetadata>> {
        counter!(telemetry::OBJECT_LOOKUPS, "result" => "omitted").increment(1);
        async { Arc::new(ObjectMetadata::unknown()) }.boxed()
    }
}

impl<S: ObjectSource + ?Sized> ObjectSource for Arc<S> {
    fn look_up<'a>(&'a self, reference: &'a ObjectReference) -> BoxFuture<'a, Arc<ObjectMetadata>> {
        self.as_ref().look_up(reference)
    }
}
