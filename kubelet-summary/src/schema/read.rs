//! A whole document: in one pass, or piece by piece.

use std::fmt;

use serde::de::{DeserializeSeed as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::context::{Context, Step};
use super::walk::{Item, Key, Object, ObjectSeed, ignore, list_from, object};
use super::{NodeStats, PodStats, SkippedWhy, limits};

/// What of a document is no list.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) node: NodeStats,
    pub(super) has_node: bool,
    pub(super) has_pods: bool,
}

/// Reads a document in one pass.
pub(super) fn read(document: &str, context: &mut Context) -> Result<Read, serde_json::Error> {
    let mut read = Read::default();
    let mut json = serde_json::Deserializer::from_str(document);
    ObjectSeed { into: &mut read, context, counts: false }.deserialize(&mut json)?;
    json.end()?;
    Ok(read)
}

/// Reads a document so that what can't be read in a pod, or in the node, costs no more than that.
pub(super) fn read_apart(document: &str, context: &mut Context) -> Result<Read, serde_json::Error> {
    let Members { node, pods } = serde_json::from_str(document)?;
    let mut read = Read { has_node: node.is_some(), has_pods: pods.is_some(), ..Read::default() };
    if let Some(text) = node {
        context.enter(Step::Member("node"));
        match one(text, context) {
            Some((node, _)) => read.node = node,
            None => context.field(None, SkippedWhy::Unreadable),
        }
        context.leave();
    }
    context.enter(Step::Member("pods"));
    if let Some(text) = pods.map(RawValue::get).filter(|text| *text != "null")
        && serde_json::Deserializer::from_str(text).deserialize_seq(PodsApart(&mut *context)).is_err()
    {
        context.field(None, SkippedWhy::NotAList);
    }
    context.leave();
    Ok(read)
}

/// The members of a document that count, as text.
#[derive(Default)]
struct Members<'a> {
    node: Option<&'a RawValue>,
    pods: Option<&'a RawValue>,
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
        let mut members = Members::default();
        while let Some(Key(key)) = map.next_key()? {
            // Of a member that is repeated, the last counts.
            match &*key {
                "node" => members.node = Some(map.next_value()?),
                "pods" => members.pods = Some(map.next_value()?),
                _ => ignore(&mut map)?,
            }
        }
        Ok(members)
    }
}

/// Takes in pods one after another, each for itself.
struct PodsApart<'a>(&'a mut Context);

impl<'de> Visitor<'de> for PodsApart<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let Self(context) = self;
        let (mut index, mut beyond) = (0, 0);
        let mut reached = limits::PODS;
        while let Some(text) = items.next_element::<&RawValue>()? {
            if let Some(limit) = context.reached(context.columns.pods.len(), limits::PODS) {
                (beyond, reached) = (beyond + 1, limit);
                continue;
            }
            context.enter(Step::Item(index));
            match one::<PodStats>(text, context) {
                Some((pod, is_object)) if pod.admit(is_object, context) => {
                    context.columns.pods.push(pod);
                    context.kept();
                }
                Some(_) => {}
                None => context.pod(SkippedWhy::Unreadable),
            }
            context.leave();
            index += 1;
        }
        context.beyond(beyond, reached);
        Ok(())
    }
}

/// One object, and whether it was one.
fn one<T: Object>(text: &RawValue, context: &mut Context) -> Option<(T, bool)> {
    context.back_after(|context| {
        let mut into = T::default();
        let mut json = serde_json::Deserializer::from_str(text.get());
        let is_object = ObjectSeed { into: &mut into, context, counts: false }.deserialize(&mut json).ok()?;
        Some((into, is_object))
    })
}

impl Object for Read {
    fn member<'de, A: MapAccess<'de>>(
        &mut self,
        key: &str,
        map: &mut A,
        context: &mut Context,
    ) -> Result<(), A::Error> {
        match key {
            "node" => {
                self.has_node = true;
                object("node", &mut self.node, map, context).map(drop)
            }
            "pods" => {
                self.has_pods = true;
                list_from::<PodStats, _>("pods", 0, map, context).map(drop)
            }
            _ => ignore(map),
        }
    }
}
