//! Objects whose kind is known at run time only: from files, admission requests, message queues.
//!
//! A [`Catalog`] holds a store for each of its built-in kinds, and puts objects into the right one by their
//! `apiVersion` and `kind`.

use std::any::TypeId;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use k8s_openapi::ClusterResourceScope;
use serde::de::DeserializeSeed;
use thiserror::Error;

use crate::decode::{self, PathTree};
use crate::engine::{BuildError, Settings, builtin_names};
use crate::exposition::{Exposition, Format};
use crate::families::{Builtin, BuiltinVisitor, for_each_builtin};
use crate::family::FamilySet;
use crate::labels::AllowLists;
use crate::resource::enabled_families;
use crate::samples::Samples;
use crate::store::{Applied, MemoryStore, ObjectKey, Snapshot, Store, StoreStats, StoredObject};

/// What a built-in resource is called, here and in Kubernetes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kind {
    /// The resource's name, as in flags and queries: `pods`.
    pub resource: &'static str,
    /// The API group; empty for the core group.
    pub group: String,
    /// Group and version as objects state it: `apps/v1`.
    pub api_version: String,
    /// The kind: `Deployment`.
    pub kind: String,
    /// The plural in API paths and RBAC rules.
    pub plural: String,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// Whether it is watched when no resources are named.
    pub default: bool,
}

impl Kind {
    fn of<K: Builtin>() -> Self {
        Self {
            resource: K::RESOURCE.name,
            group: K::group(&()).into_owned(),
            api_version: K::api_version(&()).into_owned(),
            kind: K::kind(&()).into_owned(),
            plural: K::plural(&()).into_owned(),
            namespaced: TypeId::of::<K::Scope>() != TypeId::of::<ClusterResourceScope>(),
            default: K::DEFAULT,
        }
    }
}

/// All built-in kinds, in alphabetical order of their resources.
///
/// ```
/// let namespace = ksm_core::catalog::kinds().into_iter().find(|kind| kind.resource == "namespaces").unwrap();
/// assert_eq!((namespace.api_version.as_str(), namespace.kind.as_str()), ("v1", "Namespace"));
/// assert!(!namespace.namespaced);
/// ```
pub fn kinds() -> Vec<Kind> {
    struct Kinds(Vec<Kind>);

    impl BuiltinVisitor for Kinds {
        fn visit<K: Builtin>(&mut self) {
            self.0.push(Kind::of::<K>());
        }
    }

    let mut kinds = Kinds(Vec::new());
    for_each_builtin(&mut kinds);
    kinds.0
}

/// An object that can't be put into a catalog.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CatalogError {
    /// The catalog has no such kind.
    #[error("no resource of this catalog is a {kind} of {api_version}")]
    UnknownKind {
        /// The object's API version.
        api_version: String,
        /// The object's kind.
        kind: String,
    },
    /// The object is not what its kind says.
    #[error("{path}: {source}")]
    Decode {
        /// The field that can't be read, as `spec.containers[0].ports`; `.` where none can be told.
        path: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

/// Stores for built-in kinds, filled by kind.
///
/// ```
/// use ksm_core::catalog::Catalog;
/// use ksm_core::{Format, Settings};
///
/// let catalog = Catalog::new(["namespaces"], &Settings::default())?;
/// catalog.put("v1", "Namespace", br#"{"metadata":{"name":"web"},"status":{"phase":"Active"}}"#)?;
/// let text = catalog.exposition(Format::Text).to_text();
/// assert!(text.contains("kube_namespace_status_phase{namespace=\"web\",phase=\"Active\"} 1\n"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Catalog {
    shelves: Vec<Box<dyn Shelf>>,
    anonymous: AtomicU64,
}

impl Catalog {
    /// An empty catalog of some resources, with the families that `settings` switch on. Scopes don't apply: what is
    /// put in is shown.
    pub fn new<S: AsRef<str>>(resources: impl IntoIterator<Item = S>, settings: &Settings) -> Result<Self, BuildError> {
        let mut shelves: Vec<Box<dyn Shelf>> = Vec::new();
        for name in resources {
            let name = name.as_ref();
            if shelves.iter().any(|shelf| shelf.kind().resource == name) {
                continue;
            }
            let mut pick = Pick { name, settings, found: None };
            for_each_builtin(&mut pick);
            let unknown = || BuildError::UnknownResource { name: name.to_owned(), known: builtin_names().join(", ") };
            shelves.push(pick.found.ok_or_else(unknown)?);
        }
        Ok(Self { shelves, anonymous: AtomicU64::new(0) })
    }

    /// The kinds that it takes.
    pub fn kinds(&self) -> impl Iterator<Item = &Kind> {
        self.shelves.iter().map(|shelf| shelf.kind())
    }

    /// Puts an object in, in place of the one of the same uid, or of the same namespace and name where it has no uid.
    /// An object that has none of these stands for itself.
    ///
    /// `json` needs neither `apiVersion` nor `kind`: the items of a typed list (`PodList`) carry none.
    pub fn put(&self, api_version: &str, kind: &str, json: &[u8]) -> Result<Applied, CatalogError> {
        let matches = |known: &Kind| known.kind == kind && known.api_version == api_version;
        match self.shelves.iter().find(|shelf| matches(shelf.kind())) {
            Some(shelf) => shelf.put(json, &self.anonymous),
            None => {
                let (api_version, kind) = (api_version.to_owned(), kind.to_owned());
                Err(CatalogError::UnknownKind { api_version, kind })
            }
        }
    }

    /// All that was put in so far, a snapshot per kind.
    pub fn snapshots(&self) -> Vec<Arc<Snapshot>> {
        self.shelves.iter().map(|shelf| shelf.snapshot()).collect()
    }

    /// Size and content of each kind's store.
    pub fn stats(&self) -> impl Iterator<Item = (&Kind, StoreStats)> {
        self.shelves.iter().map(|shelf| (shelf.kind(), shelf.stats()))
    }

    /// All that was put in so far, as a scrape would show it.
    pub fn exposition(&self, format: Format) -> Exposition {
        Exposition::new(self.snapshots(), format)
    }
}

/// A kind and its store, whatever the kind's Rust type is.
trait Shelf: fmt::Debug + Send + Sync {
    fn kind(&self) -> &Kind;
    fn put(&self, json: &[u8], anonymous: &AtomicU64) -> Result<Applied, CatalogError>;
    fn snapshot(&self) -> Arc<Snapshot>;
    fn stats(&self) -> StoreStats;
}

#[derive(Debug)]
struct TypedShelf<K: Builtin> {
    kind: Kind,
    store: MemoryStore,
    enabled: FamilySet,
    allow: AllowLists,
    unread: PathTree,
    objects: std::marker::PhantomData<fn() -> K>,
}

impl<K: Builtin> TypedShelf<K> {
    fn new(settings: &Settings) -> Self {
        let resource = K::RESOURCE;
        let allow = settings.allow_lists(resource.name);
        let enabled = enabled_families(resource.families, &settings.families, &allow);
        let store = MemoryStore::new(resource.families);
        store.set_visible(enabled.clone());
        Self {
            kind: Kind::of::<K>(),
            store,
            enabled,
            allow,
            unread: PathTree::new(resource.unread),
            objects: std::marker::PhantomData,
        }
    }

    fn decode(&self, json: &[u8]) -> Result<K, CatalogError> {
        // Tracking the path costs time, so that is done only where there is something to tell.
        decode::from_json(json, &self.unread).map_err(|source| {
            let mut track = serde_path_to_error::Track::new();
            let mut json = serde_json::Deserializer::from_slice(json);
            let tracked = serde_path_to_error::Deserializer::new(&mut json, &mut track);
            // Text after the object is the one fault that shows only after it.
            match decode::seed::<K>(&self.unread).deserialize(tracked) {
                Ok(_) => CatalogError::Decode { path: ".".to_owned(), source },
                Err(source) => CatalogError::Decode { path: track.path().to_string(), source },
            }
        })
    }
}

impl<K: Builtin> Shelf for TypedShelf<K> {
    fn kind(&self) -> &Kind {
        &self.kind
    }

    fn put(&self, json: &[u8], anonymous: &AtomicU64) -> Result<Applied, CatalogError> {
        let object = self.decode(json)?;
        let key = ObjectKey::of(object.meta())
            .unwrap_or_else(|| ObjectKey::anonymous(anonymous.fetch_add(1, Ordering::Relaxed)));
        // No version: two files may hold different states of an object without telling them apart.
        let stored = StoredObject { key, version: None };
        Ok(self.store.apply(&stored, &mut |sink| {
            (K::RESOURCE.collect)(&object, &mut Samples::new(&self.enabled, &self.allow, sink));
        }))
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        self.store.publish();
        self.store.snapshot()
    }

    fn stats(&self) -> StoreStats {
        self.store.stats()
    }
}

struct Pick<'a> {
    name: &'a str,
    settings: &'a Settings,
    found: Option<Box<dyn Shelf>>,
}

impl BuiltinVisitor for Pick<'_> {
    fn visit<K: Builtin>(&mut self) {
        if K::RESOURCE.name == self.name {
            self.found = Some(Box::new(TypedShelf::<K>::new(self.settings)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog() -> Catalog {
        Catalog::new(["namespaces", "nodes", "namespaces"], &Settings::default()).unwrap()
    }

    fn objects(catalog: &Catalog) -> Vec<usize> {
        catalog.snapshots().iter().map(|snapshot| snapshot.objects()).collect()
    }

    #[test]
    fn each_kind_has_its_store() {
        let catalog = catalog();
        catalog.put("v1", "Node", br#"{"metadata":{"name":"a"}}"#).unwrap();
        catalog.put("v1", "Namespace", br#"{"metadata":{"name":"a"}}"#).unwrap();
        assert_eq!(catalog.put("v1", "Node", br#"{"metadata":{"name":"a"}}"#).unwrap(), Applied::Updated);
        assert_eq!(objects(&catalog), [1, 1]);
    }

    #[test]
    fn objects_without_a_name_stand_for_themselves() {
        let catalog = catalog();
        for _ in 0..3 {
            catalog.put("v1", "Node", b"{}").unwrap();
        }
        assert_eq!(objects(&catalog), [0, 3]);
    }

    #[test]
    fn a_field_of_another_type_is_named() {
        let json =
            br#"{"metadata":{"name":"a"},"status":{"conditions":[{"type":"Ready","status":"True"},{"type":5}]}}"#;
        let error = catalog().put("v1", "Node", json).unwrap_err();
        assert!(error.to_string().starts_with("status.conditions[1].type: invalid type: integer `5`"), "{error}");
    }

    #[test]
    fn version_and_kind_must_both_be_known() {
        for (api_version, kind) in [("v2", "Node"), ("v1", "Pod"), ("", "")] {
            let error = catalog().put(api_version, kind, b"{}").unwrap_err();
            assert!(matches!(error, CatalogError::UnknownKind { .. }), "{error}");
        }
        assert!(matches!(Catalog::new(["cats"], &Settings::default()), Err(BuildError::UnknownResource { .. })));
    }

    #[test]
    fn deep_nesting_is_an_error_or_passed_by() {
        let deep = |field: &str| {
            let (open, close) = ("[".repeat(200_000), "]".repeat(200_000));
            format!(r#"{{"metadata":{{"name":"a","{field}":{open}{close}}}}}"#)
        };
        assert!(catalog().put("v1", "Node", deep("nobodyReadsThis").as_bytes()).is_ok());
        assert!(catalog().put("v1", "Node", deep("labels").as_bytes()).is_err());
    }
}
