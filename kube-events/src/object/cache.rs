//! The cache of objects' metadata: one read at a time for each object, whatever the versions that events speak of.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::FutureExt;
use futures::future::BoxFuture;
use kube::Client;
use metrics::counter;
use moka::future::Cache;
use moka::notification::RemovalCause;
use moka::policy::EvictionPolicy;
use tokio::time::Instant;

use super::builder::{ObjectsBuilder, Settings};
use super::key::{check, identity, is_older, is_same, versioned};
use super::known::Known;
use super::limit::Limit;
use super::reader::Reader;
use super::{LookupError, ObjectSource};
use crate::event::{Deletion, ObjectMetadata, ObjectReference};
use crate::telemetry;

/// Objects' metadata from the API server, read when an event needs it.
///
/// What was found is kept by the object's uid and version (by the whole reference where there is no uid), for a while;
/// that an object is gone, by its uid alone, for a shorter one. Look-ups of one object share one GET; all GETs keep to a
/// rate and a number at once, each look-up to a deadline. Nothing fails: what can't be known is
/// [`Unknown`](Deletion::Unknown), counted and logged. Clones share everything.
///
/// Rights: `get` on the kinds to enrich, and nothing else (kinds are resolved by discovery, which every account may).
///
/// ```no_run
/// use kube_events::event::{Deletion, ObjectReference};
/// use kube_events::object::{ObjectSource, Objects};
///
/// # async fn example(client: kube::Client) {
/// let objects = Objects::builder(client).build();
/// let reference = ObjectReference {
///     kind: "Pod".into(), api_version: "v1".into(), namespace: "web".into(), name: "web-0".into(),
///     ..ObjectReference::default()
/// };
/// let pod = objects.look_up(&reference).await;
/// if pod.deletion == Deletion::No {
///     let owners = objects.controllers("web", &pod, 5).await;
///     println!("{:?} of {:?}", pod.labels, owners.top());
/// }
/// # }
/// ```
#[derive(Clone)]
pub struct Objects {
    inner: Arc<Inner>,
}

struct Inner {
    reader: Reader,
    settings: Settings,
    known: Vec<Arc<dyn Known>>,
    /// By uid and version: what an event asks for.
    versions: Cache<Box<str>, Entry>,
    /// By uid: what was read last of each object. What was found holds only for those who waited for it.
    objects: Cache<Box<str>, Entry>,
}

#[derive(Debug, Clone)]
struct Entry {
    metadata: Arc<ObjectMetadata>,
    /// The version that it is of.
    version: Box<str>,
    expires: Instant,
}

impl Entry {
    fn expired(&self) -> bool {
        self.expires <= Instant::now()
    }
}

impl fmt::Debug for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &self.inner;
        f.debug_struct("Objects")
            .field("settings", &inner.settings)
            .field("cached", &inner.versions.entry_count())
            .finish_non_exhaustive()
    }
}

impl Objects {
    /// Objects that this client can read.
    pub fn builder(client: Client) -> ObjectsBuilder {
        ObjectsBuilder::new(client)
    }

    pub(super) fn new(client: Client, settings: Settings, known: Vec<Arc<dyn Known>>) -> Self {
        let settings = settings.bounded();
        // Entries have an end of their own, by a clock that tests can move; moka's takes them out of memory.
        let longest = settings.ttl.max(settings.negative_ttl).max(settings.failure_ttl);
        // Keys have versions: what was popular is of no use after a change, and must not keep out what is new.
        let lru = EvictionPolicy::lru();
        let cache =
            || Cache::builder().max_capacity(settings.capacity).time_to_live(longest).eviction_policy(lru.clone());
        let evicted = |_: Arc<Box<str>>, _: Entry, cause: RemovalCause| {
            if cause == RemovalCause::Size {
                counter!(telemetry::OBJECT_EVICTIONS).increment(1);
            }
        };
        let limit = Limit::new(settings.rate, settings.burst);
        let reader = Reader::new(client, limit, settings.concurrency, settings.deadline);
        let (versions, objects) = (cache().eviction_listener(evicted).build(), cache().build());
        Self { inner: Arc::new(Inner { reader, settings, known, versions, objects }) }
    }

    async fn find(&self, reference: &ObjectReference) -> Arc<ObjectMetadata> {
        let inner = &self.inner;
        if let Some(known) = inner.known.iter().find_map(|known| known.known(reference)) {
            looked_up("known");
            return known;
        }
        if let Err(error) = check(reference) {
            failed(reference, &error);
            looked_up("unknown");
            return Arc::new(ObjectMetadata::unknown());
        }
        let read = AtomicBool::new(false);
        // A hit makes none of this, and a future on the heap only what reads.
        let fetch = async { inner.fetch(reference, &read).boxed().await };
        let entry = inner.versions.entry(versioned(reference)).or_insert_with_if(fetch, Entry::expired).await;
        let deletion = entry.value().metadata.deletion;
        if read.load(Ordering::Relaxed) {
            looked_up(match deletion {
                Deletion::Unknown => "unknown",
                Deletion::Yes => "deleted",
                Deletion::No | Deletion::Terminating => "found",
            });
        } else {
            counter!(telemetry::CACHE_HITS).increment(1);
            looked_up(if deletion == Deletion::Yes { "negative_hit" } else { "hit" });
        }
        entry.into_value().metadata
    }
}

impl Inner {
    /// What is known of an object now, by a read of one's own or of somebody else who asks for it at this moment.
    async fn fetch(&self, reference: &ObjectReference, read: &AtomicBool) -> Entry {
        let ask = || async {
            let entry = self
                .objects
                .entry(identity(reference))
                .or_insert_with_if(async { self.read(reference, read).boxed().await }, Entry::expired)
                .await;
            entry.into_value()
        };
        let mut entry = ask().await;
        // Somebody else's read may have begun before what the event speaks of.
        if !read.load(Ordering::Relaxed) && is_older(&entry.version, &reference.resource_version) {
            entry = ask().await;
        }
        if matches!(entry.metadata.deletion, Deletion::No | Deletion::Terminating) {
            entry.expires = Instant::now() + self.settings.ttl;
        }
        entry
    }

    async fn read(&self, reference: &ObjectReference, read: &AtomicBool) -> Entry {
        read.store(true, Ordering::Relaxed);
        let answer = self.reader.read(reference).await;
        let now = Instant::now();
        let without = |metadata: ObjectMetadata, ttl| Entry {
            metadata: Arc::new(metadata),
            version: Box::default(),
            expires: now + ttl,
        };
        match answer {
            Ok(Some(mut meta)) => {
                let (uid, version) = (meta.uid.take().unwrap_or_default(), meta.resource_version.take());
                let mut metadata = ObjectMetadata::from(meta);
                if !is_same(reference, &uid, &metadata.annotations) {
                    return without(ObjectMetadata::gone(), self.settings.negative_ttl);
                }
                metadata.annotations.retain(|key, _| !self.settings.left_out.contains(key));
                Entry { metadata: Arc::new(metadata), version: version.unwrap_or_default().into(), expires: now }
            }
            Ok(None) => without(ObjectMetadata::gone(), self.settings.negative_ttl),
            Err(error) => {
                failed(reference, &error);
                without(ObjectMetadata::unknown(), self.settings.failure_ttl)
            }
        }
    }
}

fn looked_up(result: &'static str) {
    counter!(telemetry::OBJECT_LOOKUPS, "result" => result).increment(1);
}

fn failed(reference: &ObjectReference, error: &LookupError) {
    counter!(telemetry::OBJECT_ERRORS, "reason" => error.word()).increment(1);
    let ObjectReference { kind, namespace, name, .. } = reference;
    tracing::debug!(kind, namespace, name, %error, "an object could not be looked up");
}

impl ObjectSource for Objects {
    fn look_up<'a>(&'a self, reference: &'a ObjectReference) -> BoxFuture<'a, Arc<ObjectMetadata>> {
        self.find(reference).boxed()
    }
}
