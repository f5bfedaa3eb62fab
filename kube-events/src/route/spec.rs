//! The route tree as it is written.

use std::collections::BTreeMap;

/// One route of the tree.
///
/// 1. If any rule of `drop` hits, the event ends here: neither `match` nor `routes` see it.
/// 2. Each rule of `match` that hits sends the event to its receiver; a rule without a receiver only filters.
/// 3. If all rules of `match` hit (none at all hit), the event goes on into each of `routes`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Route {
    /// What ends here.
    pub drop: Vec<Rule>,
    /// What is sent.
    pub match_: Vec<Rule>,
    /// Where it goes on.
    pub routes: Vec<Route>,
}

/// What an event must be like: all that is given must hit. Texts are regular expressions that hit anywhere in a text
/// (`^` and `$` anchor them); an empty one hits all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rule {
    /// The event's message.
    pub message: String,
    /// The object's apiVersion.
    pub api_version: String,
    /// The object's kind.
    pub kind: String,
    /// The event's namespace.
    pub namespace: String,
    /// The event's reason.
    pub reason: String,
    /// The event's type.
    pub type_: String,
    /// `source.component`.
    pub component: String,
    /// `source.host`.
    pub host: String,
    /// Labels of the object: each must be there, and hit.
    pub labels: BTreeMap<String, String>,
    /// Annotations of the object: each must be there, and hit.
    pub annotations: BTreeMap<String, String>,
    /// Labels of the event's namespace: each must be there, and hit. Where nobody looked, none is there.
    pub namespace_labels: BTreeMap<String, String>,
    /// How often it must have happened: [`Event::count`](crate::event::Event::count).
    pub min_count: u32,
    /// Where it goes; empty for a rule that only filters. In `drop` it means nothing.
    pub receiver: String,
}
