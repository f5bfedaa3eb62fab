//! By what objects are told apart into shards.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::hash::{fnv1a_64, fnv1a_64_of};
use crate::decode::{Head, HeadFields};

/// Makes a key of an object's metadata.
pub type CustomKey = Arc<dyn for<'a> Fn(&'a ObjectMeta) -> Cow<'a, str> + Send + Sync>;

/// What of an object decides which shard it is on. All shards must use the same.
///
/// An object that lacks what the key reads goes by its uid, one without a uid (from a file or a host's stream) by its
/// namespace and name.
#[derive(Clone, Default)]
pub enum ShardKey {
    /// Its uid, as in kube-state-metrics: even, and blind to what belongs together.
    #[default]
    Uid,
    /// Its namespace: all that is in a namespace is on one shard, as even as the namespaces are. Cluster-scoped objects
    /// go by their uid.
    Namespace,
    /// The uid of its controller (the owner reference that says `controller: true`), so that the pods of a ReplicaSet
    /// are together. An object without a controller goes by its own uid. An object that gets a controller later moves.
    Owner,
    /// Whatever a host makes of the metadata. Managed fields are not among them; neither must the key depend on anything
    /// else than its argument.
    Custom(CustomKey),
}

impl fmt::Debug for ShardKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Uid => "Uid",
            Self::Namespace => "Namespace",
            Self::Owner => "Owner",
            Self::Custom(_) => "Custom",
        })
    }
}

/// The texts that keys are made of; an empty one is none.
struct Parts<'a> {
    uid: Option<&'a str>,
    namespace: Option<&'a str>,
    name: Option<&'a str>,
    controller: Option<&'a str>,
}

impl<'a> Parts<'a> {
    fn of_meta(meta: &'a ObjectMeta) -> Self {
        let mut owners = meta.owner_references.iter().flatten();
        Self {
            uid: meta.uid.as_deref(),
            namespace: meta.namespace.as_deref(),
            name: meta.name.as_deref(),
            controller: owners.find(|owner| owner.controller == Some(true)).map(|owner| owner.uid.as_str()),
        }
    }

    fn of_head(head: &'a Head<'_>) -> Self {
        Self {
            uid: head.uid.as_deref(),
            namespace: head.namespace.as_deref(),
            name: head.name.as_deref(),
            controller: head.controller.as_deref(),
        }
    }

    fn hash(&self, key: &ShardKey) -> u64 {
        let by = match key {
            ShardKey::Namespace => self.namespace,
            ShardKey::Owner => self.controller,
            ShardKey::Uid | ShardKey::Custom(_) => None,
        };
        let some = |text: Option<&'a str>| text.filter(|text| !text.is_empty());
        match some(by).or(some(self.uid)) {
            Some(text) => fnv1a_64(text),
            None => fnv1a_64_of([self.namespace.unwrap_or_default(), "/", self.name.unwrap_or_default()]),
        }
    }
}

impl ShardKey {
    /// A key of the host's own.
    ///
    /// ```
    /// use ksm_core::ShardKey;
    ///
    /// let by_team = ShardKey::custom(|meta| {
    ///     let team = meta.labels.as_ref().and_then(|labels| labels.get("team"));
    ///     team.or(meta.uid.as_ref()).map(String::as_str).unwrap_or_default().into()
    /// });
    /// # drop(by_team);
    /// ```
    pub fn custom(key: impl for<'a> Fn(&'a ObjectMeta) -> Cow<'a, str> + Send + Sync + 'static) -> Self {
        Self::Custom(Arc::new(key))
    }

    /// The hash of an object's key: FNV-1a, 64 bits.
    pub fn hash(&self, meta: &ObjectMeta) -> u64 {
        match self {
            Self::Custom(key) => fnv1a_64(&key(meta)),
            _ => Parts::of_meta(meta).hash(self),
        }
    }

    /// The same from an object's head that was read with [`fields`](Self::fields).
    pub(crate) fn hash_head(&self, head: &Head<'_>) -> u64 {
        match (self, &head.metadata) {
            (Self::Custom(key), Some(meta)) => fnv1a_64(&key(meta)),
            _ => Parts::of_head(head).hash(self),
        }
    }

    /// What must be read of an object's head.
    pub(crate) fn fields(&self) -> HeadFields {
        HeadFields {
            namespace: matches!(self, Self::Namespace),
            controller: matches!(self, Self::Owner),
            metadata: matches!(self, Self::Custom(_)),
        }
    }

    /// Whether the key of an object can change over its life.
    pub(crate) fn is_mutable(&self) -> bool {
        matches!(self, Self::Owner | Self::Custom(_))
    }

    /// Whether a path of an object (as `metadata.annotations`) is read for its key, so that it must be decoded.
    pub(crate) fn reads(&self, path: &str) -> bool {
        match self {
            Self::Uid | Self::Namespace => false,
            Self::Owner => path == "metadata.ownerReferences",
            Self::Custom(_) => path.starts_with("metadata") && path != "metadata.managedFields",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn keys() -> [ShardKey; 4] {
        let by_team = ShardKey::custom(|meta| {
            let team = meta.annotations.as_ref().and_then(|all| all.get("team"));
            team.map(String::as_str).unwrap_or_default().into()
        });
        [ShardKey::Uid, ShardKey::Namespace, ShardKey::Owner, by_team]
    }

    #[test]
    fn each_key_reads_its_own_and_falls_back_to_the_uid() {
        let cases = [
            (
                json!({"name": "a", "namespace": "n", "uid": "u", "annotations": {"team": "t"}, "ownerReferences": [
                    {"apiVersion": "v1", "kind": "Node", "name": "x", "uid": "no"},
                    {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "x", "uid": "o", "controller": true}]}),
                ["u", "n", "o", "t"],
            ),
            (json!({"name": "a", "uid": "u", "ownerReferences": []}), ["u", "u", "u", ""]),
            (json!({"name": "a", "namespace": "n"}), ["n/a", "n", "n/a", ""]),
            (json!({"name": "a", "uid": "", "namespace": ""}), ["/a", "/a", "/a", ""]),
        ];
        for (meta, wanted) in cases {
            let text = json!({"metadata": meta}).to_string();
            let meta: ObjectMeta = serde_json::from_value(meta).unwrap();
            for (key, wanted) in keys().iter().zip(wanted) {
                assert_eq!(key.hash(&meta), fnv1a_64(wanted), "{key:?} of {text}");
                let head = Head::of_object(&text, key.fields()).unwrap();
                assert_eq!(key.hash_head(&head), fnv1a_64(wanted), "{key:?} of the head of {text}");
            }
        }
    }
}
