//! Decoding that leaves out paths which nothing reads.
//!
//! A pod with managed fields, environment, probes and volume mounts decodes three to four times faster when those are
//! skipped in the text instead of being built and thrown away. The result is the same type, with those fields empty.

use std::borrow::Cow;
use std::fmt;

use serde::de::value::CowStrDeserializer;
use serde::de::{
    Deserialize, DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

/// Which paths of an object are left out.
///
/// ```
/// use k8s_openapi::api::core::v1::Pod;
/// use ksm_core::decode::{PathTree, from_json};
///
/// let unread = PathTree::new(["metadata.managedFields", "spec.containers.env"]);
/// let text = br#"{"metadata":{"name":"a","managedFields":[{}]},
///                 "spec":{"containers":[{"name":"c","env":[{"name":"A"}]}]}}"#;
/// let pod: Pod = from_json(text, &unread)?;
/// assert_eq!(pod.metadata.name.as_deref(), Some("a"));
/// assert!(pod.metadata.managed_fields.is_none());
/// assert!(pod.spec.unwrap().containers[0].env.is_none());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PathTree {
    children: Vec<(String, Node)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    Skip,
    Inside(PathTree),
}

impl PathTree {
    /// The tree of dotted paths; lists are passed through, so `spec.containers.env` names the `env` of each container.
    pub fn new<S: AsRef<str>>(paths: impl IntoIterator<Item = S>) -> Self {
        let mut tree = Self::default();
        for path in paths {
            tree.insert(path.as_ref());
        }
        tree
    }

    pub(crate) fn insert(&mut self, path: &str) {
        let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
        let found = self.children.iter().position(|(child, _)| child == name);
        match (found.and_then(|at| self.children.get_mut(at)), rest) {
            // A path within one that is skipped says nothing new.
            (Some((_, Node::Skip)), _) => {}
            (Some((_, Node::Inside(tree))), Some(rest)) => tree.insert(rest),
            (Some((_, node)), None) => *node = Node::Skip,
            (None, None) => self.children.push((name.to_owned(), Node::Skip)),
            (None, Some(rest)) => {
                self.children.push((name.to_owned(), Node::Inside(Self::new([rest]))));
            }
        }
    }

    /// Whether nothing is left out.
    pub fn is_empty(&self) -> bool {
        self.children.is_empty()
    }

    fn get(&self, name: &str) -> Option<&Node> {
        self.children.iter().find(|(child, _)| child == name).map(|(_, node)| node)
    }
}

/// Reads an object from JSON without the paths in `unread`.
pub fn from_json<K: DeserializeOwned>(json: &[u8], unread: &PathTree) -> Result<K, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let object = seed(unread).deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(object)
}

/// A seed that reads a `K` without the paths in `unread`.
pub(crate) fn seed<K: DeserializeOwned>(unread: &PathTree) -> Pruned<'_, std::marker::PhantomData<K>> {
    Pruned { inner: std::marker::PhantomData, tree: unread }
}

/// Anything of serde's with a tree beside it: a seed, a deserializer, a visitor, an access.
pub(crate) struct Pruned<'t, T> {
    inner: T,
    tree: &'t PathTree,
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Pruned<'_, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        if self.tree.is_empty() {
            return self.inner.deserialize(deserializer);
        }
        self.inner.deserialize(Pruned { inner: deserializer, tree: self.tree })
    }
}

macro_rules! forward {
    ($($method:ident($($arg:ident: $type:ty),*))+) => {
        $(fn $method<V: Visitor<'de>>(self, $($arg: $type,)* visitor: V) -> Result<V::Value, D::Error> {
            self.inner.$method($($arg,)* Pruned { inner: visitor, tree: self.tree })
        })+
    };
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Pruned<'_, D> {
    type Error = D::Error;

    forward! {
        deserialize_any() deserialize_bool() deserialize_i8() deserialize_i16() deserialize_i32() deserialize_i64()
        deserialize_i128() deserialize_u8() deserialize_u16() deserialize_u32() deserialize_u64() deserialize_u128()
        deserialize_f32() deserialize_f64() deserialize_char() deserialize_str() deserialize_string()
        deserialize_bytes() deserialize_byte_buf() deserialize_option() deserialize_unit() deserialize_seq()
        deserialize_map() deserialize_identifier() deserialize_ignored_any()
        deserialize_unit_struct(name: &'static str) deserialize_newtype_struct(name: &'static str)
        deserialize_tuple(len: usize) deserialize_tuple_struct(name: &'static str, len: usize)
        deserialize_struct(name: &'static str, fields: &'static [&'static str])
        deserialize_enum(name: &'static str, variants: &'static [&'static str])
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

macro_rules! forward_visit {
    ($($method:ident($type:ty))+) => {
        $(fn $method<E: serde::de::Error>(self, value: $type) -> Result<V::Value, E> {
            self.inner.$method(value)
        })+
    };
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Pruned<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    forward_visit! {
        visit_bool(bool) visit_i8(i8) visit_i16(i16) visit_i32(i32) visit_i64(i64) visit_i128(i128) visit_u8(u8)
        visit_u16(u16) visit_u32(u32) visit_u64(u64) visit_u128(u128) visit_f32(f32) visit_f64(f64) visit_char(char)
        visit_str(&str) visit_borrowed_str(&'de str) visit_string(String) visit_bytes(&[u8])
        visit_borrowed_bytes(&'de [u8]) visit_byte_buf(Vec<u8>)
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<V::Value, E> {
        self.inner.visit_none()
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<V::Value, E> {
        self.inner.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        self.inner.visit_some(Pruned { inner: deserializer, tree: self.tree })
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        self.inner.visit_newtype_struct(Pruned { inner: deserializer, tree: self.tree })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        self.inner.visit_seq(Pruned { inner: access, tree: self.tree })
    }

    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        self.inner.visit_map(PrunedMap { inner: access, tree: self.tree, value: None })
    }

    fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        self.inner.visit_enum(access)
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Pruned<'_, A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        self.inner.next_element_seed(Pruned { inner: seed, tree: self.tree })
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

struct PrunedMap<'t, A> {
    inner: A,
    tree: &'t PathTree,
    /// What is left out inside the value that comes next.
    value: Option<&'t PathTree>,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for PrunedMap<'_, A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        while let Some(Key(key)) = self.inner.next_key()? {
            match self.tree.get(&key) {
                Some(Node::Skip) => {
                    self.inner.next_value::<IgnoredAny>()?;
                    continue;
                }
                Some(Node::Inside(tree)) => self.value = Some(tree),
                None => self.value = None,
            }
            return seed.deserialize(CowStrDeserializer::new(key)).map(Some);
        }
        Ok(None)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        match self.value.take() {
            Some(tree) => self.inner.next_value_seed(Pruned { inner: seed, tree }),
            None => self.inner.next_value_seed(seed),
        }
    }
}

/// A map key or other text, borrowed where it has no escapes.
pub(super) struct Key<'de>(pub(super) Cow<'de, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Key<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;

        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(key)))
            }

            fn visit_str<E>(self, key: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(key.to_owned())))
            }
        }

        deserializer.deserialize_str(KeyVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn pruned(json: &str, paths: &[&str]) -> Value {
        from_json(json.as_bytes(), &PathTree::new(paths)).unwrap()
    }

    #[test]
    fn paths_are_left_out_at_any_depth_and_through_lists() {
        let json = r#"{"a":{"b":1,"c":[{"d":1,"e":2},{"d":3}],"f":null},"g":"x"}"#;
        assert_eq!(
            pruned(json, &["a.b", "a.c.d", "a.f", "nowhere.at.all"]),
            serde_json::json!({"a": {"c": [{"e": 2}, {}]}, "g": "x"})
        );
    }

    #[test]
    fn a_whole_branch_covers_its_parts_in_either_order() {
        assert_eq!(PathTree::new(["a", "a.b"]), PathTree::new(["a.b", "a"]));
        assert_eq!(pruned(r#"{"a":{"b":1},"c":1}"#, &["a.b", "a"]), serde_json::json!({"c": 1}));
    }

    #[test]
    fn escaped_keys_are_recognised() {
        assert_eq!(pruned(r#"{"\u0061":1,"b":2}"#, &["a"]), serde_json::json!({"b": 2}));
    }

    #[test]
    fn text_after_the_object_is_an_error() {
        assert!(from_json::<Value>(b"{} x", &PathTree::default()).is_err());
        assert!(from_json::<Value>(b"{\"a\":", &PathTree::new(["a"])).is_err());
    }
}
