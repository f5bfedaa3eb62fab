//! Objects that the host already watches: no request is needed for them.

use std::fmt;
use std::hash::Hash;

use kube::Resource;
use kube::runtime::reflector::{self, ObjectRef};

use super::key::is_same;
use crate::event::{ObjectMetadata, ObjectReference};

/// What a host knows of objects without asking the API server. A closure is one.
///
/// ```
/// use kube_events::event::{ObjectMetadata, ObjectReference};
/// use kube_events::object::Known;
///
/// let nodes: &dyn Known = &|reference: &ObjectReference| {
///     (reference.kind == "Node").then(|| std::sync::Arc::new(ObjectMetadata::unknown()))
/// };
/// assert!(nodes.known(&ObjectReference::default()).is_none());
/// ```
pub trait Known: Send + Sync + 'static {
    /// The metadata of an object; none if it is not known, so that the API server is asked.
    fn known(&self, reference: &ObjectReference) -> Option<std::sync::Arc<ObjectMetadata>>;
}

impl<F> Known for F
where
    F: Fn(&ObjectReference) -> Option<std::sync::Arc<ObjectMetadata>> + Send + Sync + 'static,
{
    fn known(&self, reference: &ObjectReference) -> Option<std::sync::Arc<ObjectMetadata>> {
        self(reference)
    }
}

/// The store of a reflector. What it holds is told as it is; an object under the same name with another uid means that
/// the one of the event is gone. What it does not hold is left to the API server: it may not have come yet, or be out of
/// the store's scope.
///
/// ```
/// use k8s_openapi::api::core::v1::Pod;
/// use kube::runtime::reflector;
/// use kube_events::object::StoreKnown;
///
/// let (store, writer) = reflector::store::<Pod>();
/// // `writer` is fed by the host's watch.
/// let pods = StoreKnown::new(store);
/// # drop((pods, writer));
/// ```
pub struct StoreKnown<K: reflector::Lookup + Clone + 'static>
where
    K::DynamicType: Hash + Eq,
{
    store: reflector::Store<K>,
    dynamic_type: K::DynamicType,
}

impl<K: reflector::Lookup + Clone + 'static> fmt::Debug for StoreKnown<K>
where
    K::DynamicType: Hash + Eq,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoreKnown")
    }
}

impl<K> StoreKnown<K>
where
    K: reflector::Lookup + Clone + 'static,
    K::DynamicType: Hash + Eq + Default,
{
    /// The store of a type that is known when the program is compiled.
    pub fn new(store: reflector::Store<K>) -> Self {
        Self::new_with(store, K::DynamicType::default())
    }
}

impl<K: reflector::Lookup + Clone + 'static> StoreKnown<K>
where
    K::DynamicType: Hash + Eq,
{
    /// The store of a dynamic type.
    pub fn new_with(store: reflector::Store<K>, dynamic_type: K::DynamicType) -> Self {
        Self { store, dynamic_type }
    }
}

impl<K> Known for StoreKnown<K>
where
    K: reflector::Lookup<DynamicType = <K as Resource>::DynamicType> + Resource + Clone + Send + Sync + 'static,
    <K as Resource>::DynamicType: Hash + Eq + Clone + Send + Sync + 'static,
{
    fn known(&self, reference: &ObjectReference) -> Option<std::sync::Arc<ObjectMetadata>> {
        let kind = <K as Resource>::kind(&self.dynamic_type);
        let group = <K as Resource>::group(&self.dynamic_type);
        // Any version of the group tells the same metadata.
        let meant = reference.api_version.split_once('/').map_or("", |(group, _)| group);
        if kind != reference.kind || group != meant {
            return None;
        }
        let mut key = ObjectRef::new_with(&reference.name, self.dynamic_type.clone());
        if !reference.namespace.is_empty() {
            key = key.within(&reference.namespace);
        }
        let object = self.store.get(&key)?;
        let uid = object.meta().uid.clone().unwrap_or_default();
        let found = ObjectMetadata::from(object.meta().clone());
        let same = is_same(reference, &uid, &found.annotations);
        Some(std::sync::Arc::new(if same { found } else { ObjectMetadata::gone() }))
    }
}
