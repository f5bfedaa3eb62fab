//! The head of an object: who it is, read without the rest.
//!
//! Most of what a sharded instance is told is for others. Of such an object nothing is decoded, and of its text no more
//! is looked at than is needed to see that it is somebody else's.

use std::borrow::Cow;
use std::fmt;
use std::sync::LazyLock;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use super::prune::{self, Key, PathTree};

/// What to read beside uid and resource version.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HeadFields {
    /// The namespace.
    pub namespace: bool,
    /// The uid of the owner that is its controller.
    pub controller: bool,
    /// All metadata but managed fields.
    pub metadata: bool,
}

/// The head of an object. A field that was not asked for may be there or not.
///
/// ```
/// use ksm_core::decode::{Head, HeadFields};
///
/// let text = r#"{"kind":"Pod","metadata":{"name":"a","uid":"u1","resourceVersion":"7","labels":{}},"spec":{}}"#;
/// let head = Head::of_object(text, HeadFields::default()).unwrap();
/// assert_eq!((head.uid.as_deref(), head.resource_version.as_deref()), (Some("u1"), Some("7")));
/// ```
#[derive(Debug, Default)]
pub struct Head<'a> {
    /// `metadata.uid`.
    pub uid: Option<Cow<'a, str>>,
    /// `metadata.name`; read for certain where there is no uid.
    pub name: Option<Cow<'a, str>>,
    /// `metadata.namespace`; read for certain where there is no uid, or it was asked for.
    pub namespace: Option<Cow<'a, str>>,
    /// `metadata.resourceVersion`.
    pub resource_version: Option<Cow<'a, str>>,
    /// The uid of the owner reference that says `controller: true`.
    pub controller: Option<Cow<'a, str>>,
    /// All metadata but managed fields, if asked for.
    pub metadata: Option<Box<ObjectMeta>>,
}

impl<'a> Head<'a> {
    /// The head of an object; none where the text is none, as far as it is looked at.
    pub fn of_object(text: &'a str, fields: HeadFields) -> Option<Self> {
        let mut reader = Reader { fields, head: Self::default(), kind: None, done: false };
        reader.read(text, Level::Object);
        reader.done.then_some(reader.head)
    }

    /// The type (as `ADDED`) of a watch's event, and the head of its object. None where the event does not begin with
    /// its type, as API servers write it.
    pub fn of_event(line: &'a str, fields: HeadFields) -> Option<(Cow<'a, str>, Self)> {
        let mut reader = Reader { fields, head: Self::default(), kind: None, done: false };
        reader.read(line, Level::Event);
        let kind = reader.kind.filter(|_| reader.done)?;
        Some((kind, reader.head))
    }
}

#[derive(Clone, Copy)]
enum Level {
    Event,
    Object,
    Metadata,
}

/// Fills a head, and leaves off in the middle of the text once it has all; so serde's own result says nothing.
struct Reader<'a> {
    fields: HeadFields,
    head: Head<'a>,
    kind: Option<Cow<'a, str>>,
    done: bool,
}

impl<'a> Reader<'a> {
    fn read(&mut self, text: &'a str, level: Level) {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let _ = deserializer.deserialize_map(Map { reader: self, level });
    }

    fn has_all(&self) -> bool {
        let HeadFields { namespace, controller, metadata } = self.fields;
        self.head.uid.as_deref().is_some_and(|uid| !uid.is_empty())
            && self.head.resource_version.is_some()
            && (!namespace || self.head.namespace.is_some())
            && (!controller || self.head.controller.is_some())
            && !metadata
    }
}

struct Map<'r, 'a> {
    reader: &'r mut Reader<'a>,
    level: Level,
}

/// An owner reference, as far as it matters.
#[derive(Deserialize)]
struct Owner<'a> {
    #[serde(borrow)]
    uid: Option<Key<'a>>,
    #[serde(default)]
    controller: Option<bool>,
}

impl<'de> Visitor<'de> for Map<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        match self.level {
            Level::Event | Level::Object => self.find_metadata(&mut map),
            Level::Metadata => self.read_metadata(&mut map),
        }
    }
}

impl<'de> Map<'_, 'de> {
    fn find_metadata<A: MapAccess<'de>>(self, map: &mut A) -> Result<(), A::Error> {
        while let Some(Key(key)) = map.next_key()? {
            match (self.level, key.as_ref()) {
                (Level::Event, "type") => self.reader.kind = map.next_value::<Option<Key<'_>>>()?.map(|key| key.0),
                (Level::Event, "object") => {
                    return map.next_value_seed(Inside(Map { reader: self.reader, level: Level::Object }));
                }
                (Level::Object, "metadata") if self.reader.fields.metadata => {
                    static UNREAD: LazyLock<PathTree> = LazyLock::new(|| PathTree::new(["managedFields"]));
                    let meta: ObjectMeta = map.next_value_seed(prune::seed(&UNREAD))?;
                    self.reader.head = Head {
                        uid: meta.uid.clone().map(Cow::Owned),
                        name: meta.name.clone().map(Cow::Owned),
                        namespace: meta.namespace.clone().map(Cow::Owned),
                        resource_version: meta.resource_version.clone().map(Cow::Owned),
                        controller: None,
                        metadata: Some(Box::new(meta)),
                    };
                    self.reader.done = true;
                    return Ok(());
                }
                (Level::Object, "metadata") => {
                    return map.next_value_seed(Inside(Map { reader: self.reader, level: Level::Metadata }));
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }

    fn read_metadata<A: MapAccess<'de>>(self, map: &mut A) -> Result<(), A::Error> {
        while let Some(Key(key)) = map.next_key()? {
            let head = &mut self.reader.head;
            let text = match key.as_ref() {
                "uid" => Some(&mut head.uid),
                "name" => Some(&mut head.name),
                "namespace" => Some(&mut head.namespace),
                "resourceVersion" => Some(&mut head.resource_version),
                "ownerReferences" if self.reader.fields.controller => {
                    let owners = map.next_value::<Option<Vec<Owner<'de>>>>()?.unwrap_or_default();
                    let controller = owners.into_iter().find(|owner| owner.controller == Some(true));
                    head.controller = controller.and_then(|owner| owner.uid).map(|uid| uid.0);
                    None
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            if let Some(text) = text {
                *text = map.next_value::<Option<Key<'de>>>()?.map(|key| key.0);
            }
            if self.reader.has_all() {
                self.reader.done = true;
                return Ok(());
            }
        }
        self.reader.done = true;
        Ok(())
    }
}

struct Inside<'r, 'a>(Map<'r, 'a>);

impl<'de> serde::de::DeserializeSeed<'de> for Inside<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: HeadFields = HeadFields { namespace: true, controller: true, metadata: false };

    #[test]
    fn what_follows_is_not_even_looked_at() {
        let event = r#"{"type":"ADDED","object":{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a","namespace":"n","uid":"u","resourceVersion":"7","managedFields":[ broken"#;
        for fields in [HeadFields::default(), HeadFields { namespace: true, ..HeadFields::default() }] {
            let (kind, head) = Head::of_event(event, fields).unwrap();
            assert_eq!(
                (
                    kind.as_ref(),
                    head.uid.as_deref().unwrap_or("-"),
                    head.resource_version.as_deref().unwrap_or("-"),
                    head.namespace.as_deref().unwrap_or("-")
                ),
                ("ADDED", "u", "7", "n")
            );
        }
        assert!(Head::of_event(event, ALL).is_none(), "owners may still come");
    }

    #[test]
    fn keys_may_stand_in_any_order_and_lack() {
        let object = r#"{"spec":{"metadata":{"uid":"no"}},"metadata":{"resourceVersion":"7","ownerReferences":[{"uid":"x"},{"uid":"c","controller":true}],"uid":null,"namespace":"n","n\u0061me":"a"}}"#;
        let head = Head::of_object(object, ALL).unwrap();
        assert_eq!(
            (
                head.uid.as_deref().unwrap_or("-"),
                head.name.as_deref().unwrap_or("-"),
                head.namespace.as_deref().unwrap_or("-"),
                head.controller.as_deref().unwrap_or("-")
            ),
            ("-", "a", "n", "c")
        );
        assert!(Head::of_object(r#"{"spec":{}}"#, ALL).is_none());
        assert!(Head::of_object(r#"{"metadata":{"uid":7}}"#, ALL).is_none());
        assert!(Head::of_event(r#"{"object":{"metadata":{"uid":"u"}},"type":"ADDED"}"#, ALL).is_none());
    }

    #[test]
    fn all_metadata_are_read_but_managed_fields() {
        let fields = HeadFields { metadata: true, ..HeadFields::default() };
        let object = r#"{"metadata":{"uid":"u","labels":{"a":"b"},"managedFields":[{"manager":"m"}]},"spec":"#;
        let meta = Head::of_object(object, fields).unwrap().metadata.unwrap();
        assert_eq!(meta.labels.unwrap()["a"], "b");
        assert!(meta.managed_fields.is_none());
    }
}
