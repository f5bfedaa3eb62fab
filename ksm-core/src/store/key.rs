//! Which object a set of samples belongs to.

use std::hash::{Hash, Hasher};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// The identity of an object over its life: its uid, so that an object that was created anew under an old name is
/// another one. Objects without a uid (from files) are told apart by namespace and name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey(u128);

impl ObjectKey {
    /// Stands where no object is.
    pub(super) const NONE: Self = Self(0);

    /// The key of an object; none where it has neither a uid nor a name.
    ///
    /// ```
    /// use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
    /// use ksm_core::ObjectKey;
    ///
    /// let named = ObjectMeta { name: Some("a".into()), ..ObjectMeta::default() };
    /// assert!(ObjectKey::of(&named).is_some());
    /// assert!(ObjectKey::of(&ObjectMeta::default()).is_none());
    /// ```
    pub fn of(meta: &ObjectMeta) -> Option<Self> {
        Self::of_parts(meta.uid.as_deref(), meta.namespace.as_deref(), meta.name.as_deref())
    }

    pub(crate) fn of_parts(uid: Option<&str>, namespace: Option<&str>, name: Option<&str>) -> Option<Self> {
        match (uid, name) {
            (Some(uid), _) if !uid.is_empty() => Some(Self::from_uid(uid)),
            (_, Some(name)) if !name.is_empty() => Some(Self(wide_hash(&(namespace.unwrap_or_default(), name)))),
            _ => None,
        }
    }

    /// The key of the object with that uid.
    pub fn from_uid(uid: &str) -> Self {
        Self(parse_uuid(uid).unwrap_or_else(|| wide_hash(&uid)))
    }

    /// A key for the `n`th of several objects that have neither uid nor name.
    pub fn anonymous(n: u64) -> Self {
        Self(wide_hash(&("anonymous", n)))
    }
}

fn parse_uuid(uid: &str) -> Option<u128> {
    let bytes = uid.as_bytes();
    if bytes.len() != 36 {
        return None;
    }
    let mut value: u128 = 0;
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 8 | 13 | 18 | 23) {
            if *byte != b'-' {
                return None;
            }
            continue;
        }
        value = (value << 4) | u128::from(char::from(*byte).to_digit(16)?);
    }
    Some(value)
}

/// 128 bits of SipHash: two halves of different salt, so that a clash is out of the question.
fn wide_hash(value: &impl Hash) -> u128 {
    let half = |salt: u8| {
        let mut hasher = std::hash::DefaultHasher::new();
        salt.hash(&mut hasher);
        value.hash(&mut hasher);
        u128::from(hasher.finish())
    };
    (half(1) << 64) | half(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(namespace: &str, name: &str, uid: &str) -> Option<ObjectKey> {
        let text = |s: &str| (!s.is_empty()).then(|| s.to_owned());
        ObjectKey::of(&ObjectMeta {
            namespace: text(namespace),
            name: text(name),
            uid: text(uid),
            ..Default::default()
        })
    }

    #[test]
    fn uid_decides_over_name() {
        let first = key("a", "b", "6a0bd3c4-8f4e-4d0c-9a39-31c2d1f1a001");
        let second = key("a", "b", "6a0bd3c4-8f4e-4d0c-9a39-31c2d1f1a002");
        assert_ne!(first, second);
        assert_eq!(first, key("x", "y", "6a0bd3c4-8f4e-4d0c-9a39-31c2d1f1a001"));
    }

    #[test]
    fn any_text_is_a_uid() {
        assert_ne!(key("", "", "abc"), key("", "", "abd"));
        assert_ne!(
            key("", "", "6a0bd3c4-8f4e-4d0c-9a39-31c2d1f1a0ü"),
            key("", "", "6a0bd3c4-8f4e-4d0c-9a39-31c2d1f1a00")
        );
    }

    #[test]
    fn namespace_and_name_do_not_run_together() {
        assert_ne!(key("ab", "c", ""), key("a", "bc", ""));
    }
}
