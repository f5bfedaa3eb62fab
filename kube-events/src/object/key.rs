//! Which object is meant: keys of caches, and whether a live object is the one that an event is about.

use std::fmt::Write;

use super::LookupError;
use crate::event::{ObjectReference, StringMap};

/// The annotation by which the API server's copy of a static pod names the pod that the kubelet knows: its value is the
/// uid that the kubelet writes into events.
const MIRROR: &str = "kubernetes.io/config.mirror";

/// The longest names that are asked for: paths of the API server's own limit are longer than any of them.
const MAX_NAME: usize = 512;

/// The object itself, whatever its version: its uid, or everything else where it has none. (With a key of uid and
/// version alone, all objects without them would share one.)
pub(super) fn identity(reference: &ObjectReference) -> Box<str> {
    if !reference.uid.is_empty() {
        return reference.uid.as_str().into();
    }
    let ObjectReference { api_version, kind, namespace, name, .. } = reference;
    // No uid, kind or name has a newline in it: it would not be looked up.
    format!("{api_version}\n{kind}\n{namespace}\n{name}").into()
}

/// The object as the event speaks of it.
pub(super) fn versioned(reference: &ObjectReference) -> Box<str> {
    let mut key = String::from(identity(reference));
    // Writing to a string does not fail.
    let _ = write!(key, "/{}", reference.resource_version);
    key.into()
}

/// Refuses what can't be an object's, before it becomes a path.
pub(super) fn check(reference: &ObjectReference) -> Result<(), LookupError> {
    let bad = |why| Err(LookupError::BadReference { why });
    let segment =
        |text: &str| !text.contains(['/', '%', '\n']) && text != "." && text != ".." && text.len() <= MAX_NAME;
    if reference.kind.is_empty() || reference.name.is_empty() {
        return bad("it lacks a kind or a name");
    }
    if !segment(&reference.name) || !segment(&reference.namespace) || !segment(&reference.kind) {
        return bad("its name can't be an object's");
    }
    if reference.uid.len() > MAX_NAME || reference.resource_version.len() > MAX_NAME {
        return bad("its uid or version is too long");
    }
    let group_version = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '/');
    let parts = reference.api_version.split('/').count();
    if !reference.api_version.chars().all(group_version) || parts > 2 || reference.api_version.len() > MAX_NAME {
        return bad("its apiVersion is no group and version");
    }
    if reference.api_version.split('/').any(|part| part == "." || part == "..") {
        return bad("its apiVersion is no group and version");
    }
    Ok(())
}

/// Whether the live object with this uid is the one that is meant, and not one that took its name later.
///
/// Not every uid in an event is one: kubelets name nodes by their names, and static pods by a hash which the API
/// server's copy has in an annotation.
pub(super) fn is_same(reference: &ObjectReference, live_uid: &str, live_annotations: &StringMap) -> bool {
    let meant = reference.uid.as_str();
    meant.is_empty()
        || live_uid.is_empty()
        || meant == live_uid
        || meant == reference.name
        || live_annotations.get(MIRROR).is_some_and(|mirrored| mirrored == meant)
}

/// Whether a version is older than another, where both are numbers, as Kubernetes' own are.
pub(super) fn is_older(version: &str, than: &str) -> bool {
    matches!((version.parse::<u64>(), than.parse::<u64>()), (Ok(version), Ok(than)) if version < than)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference(uid: &str, version: &str, name: &str) -> ObjectReference {
        ObjectReference {
            kind: "Pod".to_owned(),
            namespace: "a".to_owned(),
            name: name.to_owned(),
            uid: uid.to_owned(),
            api_version: "v1".to_owned(),
            resource_version: version.to_owned(),
            ..ObjectReference::default()
        }
    }

    #[test]
    fn objects_without_uid_and_version_share_no_key() {
        let (a, b) = (reference("", "", "a"), reference("", "", "b"));
        assert_ne!(versioned(&a), versioned(&b));
        assert_ne!(identity(&a), identity(&b));
        let elsewhere = ObjectReference { namespace: "b".to_owned(), ..a.clone() };
        assert_ne!(versioned(&a), versioned(&elsewhere));
        assert_eq!(&*versioned(&reference("u", "7", "a")), "u/7");
        assert_eq!(identity(&reference("u", "7", "a")), identity(&reference("u", "8", "a")));
    }

    #[test]
    fn names_that_are_paths_are_refused() {
        for name in ["", "..", ".", "a/../../secrets", "a%2f..", "a\nb"] {
            assert!(check(&reference("u", "7", name)).is_err(), "{name}");
        }
        for name in ["web-0", "system:node", "a.b", "ünïcode?x=1#"] {
            assert!(check(&reference("u", "7", name)).is_ok(), "{name}");
        }
        for version in ["a/b/c", "v1?x", "../v1", "v1\n", &"v".repeat(600)] {
            let reference = ObjectReference { api_version: version.to_owned(), ..reference("u", "7", "a") };
            assert!(check(&reference).is_err(), "{version}");
        }
    }

    #[test]
    fn an_object_of_the_same_name_is_another_one() {
        let none = StringMap::new();
        assert!(is_same(&reference("u", "7", "a"), "u", &none));
        assert!(!is_same(&reference("u", "7", "a"), "v", &none));
        assert!(is_same(&reference("", "7", "a"), "v", &none));
        // Kubelets' own words for nodes and static pods.
        assert!(is_same(&reference("node-1", "", "node-1"), "v", &none));
        let mirror = StringMap::from([(MIRROR.to_owned(), "0f343b".to_owned())]);
        assert!(is_same(&reference("0f343b", "", "etcd-a"), "v", &mirror));
        assert!(!is_same(&reference("other", "", "etcd-a"), "v", &mirror));
    }
}
