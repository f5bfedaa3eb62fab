//! A list's body → its objects, one after the other.

use std::borrow::Cow;
use std::fmt;

use kube::core::ListMeta;
use serde::Deserialize;
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use thiserror::Error;

use super::prune::{self, PathTree, from_json};

/// A body that is no list.
#[derive(Debug, Error)]
pub enum ListDecodeError {
    /// The JSON is broken, so that no more objects can be told apart: cut short, most likely.
    #[error("the list is no valid JSON: {0}")]
    Syntax(#[source] serde_json::Error),
}

/// What a list says beside its objects.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DecodedList {
    /// Version and continue token.
    pub metadata: ListMeta,
    /// The `shardSelector` that the server says it has applied (KEP-5866).
    pub shard_selector: Option<String>,
    /// How many objects were handed over.
    pub objects: usize,
}

/// Reads a list, and calls `object` with each of its objects as soon as it is read, so that no more than one is in
/// memory; and `bad` with the text and the error of each that can't be read.
///
/// The fast way reads everything in one pass. Where an object is bad, the list is read anew object by object, and
/// those that were handed over already are passed by.
pub fn decode_list<K: DeserializeOwned>(
    body: &[u8],
    unread: &PathTree,
    mut object: impl FnMut(K),
    bad: impl FnMut(&str, serde_json::Error),
) -> Result<DecodedList, ListDecodeError> {
    let mut handed = 0;
    let fast = {
        let mut count = |one: K| {
            handed += 1;
            object(one);
        };
        read_list(body, unread, &mut count)
    };
    if let Ok(metadata) = fast {
        return Ok(metadata.of(handed));
    }
    let mut list = read_raw(body, unread, handed, |_| true, object, bad)?;
    list.objects += handed;
    Ok(list)
}

/// The same for those of the objects only whose text `wanted` says yes to, before it is decoded.
pub fn decode_list_if<K: DeserializeOwned>(
    body: &[u8],
    unread: &PathTree,
    wanted: impl FnMut(&str) -> bool,
    object: impl FnMut(K),
    bad: impl FnMut(&str, serde_json::Error),
) -> Result<DecodedList, ListDecodeError> {
    read_raw(body, unread, 0, wanted, object, bad)
}

/// Reads a list object by object, without the first `passed` ones.
fn read_raw<K: DeserializeOwned>(
    body: &[u8],
    unread: &PathTree,
    passed: usize,
    mut wanted: impl FnMut(&str) -> bool,
    mut object: impl FnMut(K),
    mut bad: impl FnMut(&str, serde_json::Error),
) -> Result<DecodedList, ListDecodeError> {
    // Bytes that are no UTF-8 stand inside strings if anywhere: they become U+FFFD there.
    let text = String::from_utf8_lossy(body);
    let list: RawList<'_> = serde_json::from_str(&text).map_err(ListDecodeError::Syntax)?;
    let mut handed = 0;
    for item in list.items.unwrap_or_default().into_iter().skip(passed).filter(|item| wanted(item.get())) {
        match from_json(item.get().as_bytes(), unread) {
            Ok(one) => {
                handed += 1;
                object(one);
            }
            Err(error) => bad(item.get(), error),
        }
    }
    Ok(list.metadata.unwrap_or_default().of(handed))
}

#[derive(Deserialize)]
struct RawList<'a> {
    metadata: Option<Metadata>,
    #[serde(borrow)]
    items: Option<Vec<&'a RawValue>>,
}

/// A list's metadata. `ListMeta` has no `shardInfo` with the older Kubernetes versions that an application may choose.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    #[serde(rename = "continue")]
    continue_: Option<String>,
    remaining_item_count: Option<i64>,
    resource_version: Option<String>,
    self_link: Option<String>,
    shard_info: Option<ShardInfo>,
}

#[derive(Deserialize)]
struct ShardInfo {
    selector: Option<String>,
}

impl Metadata {
    fn of(self, objects: usize) -> DecodedList {
        let metadata = ListMeta {
            continue_: self.continue_,
            remaining_item_count: self.remaining_item_count,
            resource_version: self.resource_version,
            self_link: self.self_link,
            ..ListMeta::default()
        };
        DecodedList { metadata, shard_selector: self.shard_info.and_then(|info| info.selector), objects }
    }
}

fn read_list<K: DeserializeOwned>(
    body: &[u8],
    unread: &PathTree,
    object: &mut dyn FnMut(K),
) -> Result<Metadata, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let metadata = deserializer.deserialize_map(ListVisitor { unread, object })?;
    deserializer.end()?;
    Ok(metadata)
}

struct ListVisitor<'a, K> {
    unread: &'a PathTree,
    object: &'a mut dyn FnMut(K),
}

impl<'de, K: DeserializeOwned> Visitor<'de> for ListVisitor<'_, K> {
    type Value = Metadata;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Metadata, A::Error> {
        let mut metadata = Metadata::default();
        while let Some(key) = map.next_key::<Cow<'_, str>>()? {
            match key.as_ref() {
                "metadata" => metadata = map.next_value::<Option<Metadata>>()?.unwrap_or_default(),
                "items" => map.next_value_seed(Items { unread: self.unread, object: &mut *self.object })?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(metadata)
    }
}

/// Reads the items and hands each over.
struct Items<'a, K> {
    unread: &'a PathTree,
    object: &'a mut dyn FnMut(K),
}

impl<'de, K: DeserializeOwned> DeserializeSeed<'de> for Items<'_, K> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        // `items: null` is an empty list, as Go writes it.
        deserializer.deserialize_option(self)
    }
}

impl<'de, K: DeserializeOwned> Visitor<'de> for Items<'_, K> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of objects")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_none<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(object) = seq.next_element_seed(prune::seed::<K>(self.unread))? {
            (self.object)(object);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ConfigMap;

    fn decode(body: &[u8]) -> (Result<DecodedList, ListDecodeError>, Vec<String>, usize) {
        let (mut names, mut bad) = (Vec::new(), 0);
        let result = decode_list(
            body,
            &PathTree::default(),
            |map: ConfigMap| names.push(map.metadata.name.unwrap_or_default()),
            |_, _| bad += 1,
        );
        (result, names, bad)
    }

    #[test]
    fn objects_come_in_order_with_the_lists_version() {
        let (list, names, bad) = decode(
            br#"{"kind":"List","metadata":{"resourceVersion":"7","continue":"t"},"items":[{"metadata":{"name":"a"}},{"metadata":{"name":"b"}}]}"#,
        );
        let list = list.unwrap();
        assert_eq!(list.metadata.resource_version.as_deref(), Some("7"));
        assert_eq!(list.metadata.continue_.as_deref(), Some("t"));
        assert_eq!((names, list.objects, bad), (vec!["a".into(), "b".into()], 2, 0));
    }

    #[test]
    fn a_bad_object_costs_only_itself() {
        let (list, names, bad) = decode(
            br#"{"items":[{"metadata":{"name":"a"}},{"metadata":{"name":5}},{"metadata":{"name":"c"}}],"metadata":{"resourceVersion":"7"}}"#,
        );
        assert_eq!(list.unwrap().metadata.resource_version.as_deref(), Some("7"));
        assert_eq!((names, bad), (vec!["a".into(), "c".into()], 1));
    }

    #[test]
    fn what_is_not_wanted_is_not_even_decoded() {
        let mut names = Vec::new();
        let list = decode_list_if(
            br#"{"metadata":{"shardInfo":{"selector":"s"},"remainingItemCount":2},"items":[{"metadata":{"name":"a"}},{"metadata":{"name":5}},{"metadata":{"name":"c"}}]}"#,
            &PathTree::default(),
            |text| !text.contains('5'),
            |map: ConfigMap| names.push(map.metadata.name.unwrap_or_default()),
            |text, error| panic!("{error}: {text}"),
        )
        .unwrap();
        assert_eq!((names, list.objects), (vec!["a".into(), "c".into()], 2));
        assert_eq!((list.shard_selector.as_deref(), list.metadata.remaining_item_count), (Some("s"), Some(2)));
    }

    #[test]
    fn bytes_that_are_no_utf8_cost_nothing_else() {
        let mut body = br#"{"items":[{"metadata":{"name":"a"}},{"metadata":{"name":"b"},"data":{"k":""#.to_vec();
        body.extend_from_slice(b"\xff\xfe\"}},{\"metadata\":{\"name\":\"c\"}}]}");
        let (list, names, bad) = decode(&body);
        assert!(list.is_ok());
        assert_eq!((names, bad), (vec!["a".into(), "b".into(), "c".into()], 0));
    }

    #[test]
    fn a_cut_body_is_an_error_and_null_is_empty() {
        assert!(decode(br#"{"items":[{"metadata":{"name":"a"}},{"meta"#).0.is_err());
        assert_eq!(decode(br#"{"items":null,"metadata":null}"#).0.unwrap().objects, 0);
    }
}
