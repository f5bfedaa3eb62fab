//! A whole document: in one pass, or piece by piece.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::de::{DeserializeSeed as _, MapAccess};
use serde_json::value::RawValue;

use super::context::{Context, Step};
use super::fields::is_pod;
use super::walk::{Object, ObjectSeed, ignore, list, object};
use super::{NodeStats, PodStats, SkippedWhy};

/// A document as it was read, pods repeated as they stand in it.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) node: NodeStats,
    pub(super) has_node: bool,
    pub(super) pods: Vec<PodStats>,
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
    let members: HashMap<Cow<'_, str>, &RawValue> = serde_json::from_str(document)?;
    let (node, pods) = (members.get("node"), members.get("pods"));
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
    let pods: Option<Vec<&RawValue>> = match pods.map(|pods| pods.get()) {
        None | Some("null") => Some(Vec::new()),
        Some(text) => serde_json::from_str(text).ok(),
    };
    if pods.is_none() {
        context.field(None, SkippedWhy::NotAList);
    }
    for (index, text) in pods.unwrap_or_default().into_iter().enumerate() {
        context.enter(Step::Item(index));
        match one(text, context) {
            Some((pod, is_object)) if is_pod(&pod, is_object, context) => read.pods.push(pod),
            Some(_) => {}
            None => context.pod(SkippedWhy::Unreadable),
        }
        context.leave();
    }
    context.leave();
    Ok(read)
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
                list("pods", &mut self.pods, map, context, is_pod).map(drop)
            }
            _ => ignore(map),
        }
    }
}
