//! From the tree as it is written to the one that judges.

use std::collections::HashMap;
use std::fmt;

use super::rule::CompiledRule;
use super::{Route, Rule};
use crate::event::EnhancedEvent;
use crate::suggest::did_you_mean;

/// Routes within routes; no tree is that deep.
const MAX_DEPTH: usize = 64;

/// A receiver's position in the list that [`Router::compile`] was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReceiverId(pub usize);

/// What is made of a pattern that is no regular expression.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum InvalidPatterns {
    /// It is a problem.
    #[default]
    Refuse,
    /// Its rule never hits, as with kubernetes-event-exporter. It is still told.
    NeverHit,
}

/// One thing that is wrong in a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteProblem {
    /// Where: `route.routes[1].match[0].receiver`.
    pub path: String,
    /// What, and what to do.
    pub problem: String,
}

impl fmt::Display for RouteProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.problem)
    }
}

/// A tree that can't be used: all that is wrong with it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}", .problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct RouteError {
    /// At least one.
    pub problems: Vec<RouteProblem>,
}

/// Judges events by a tree of rules.
///
/// ```
/// use std::sync::Arc;
/// use kube_events::event::{EnhancedEvent, Event, ObjectMetadata};
/// use kube_events::route::{ReceiverId, Route, Router, Rule};
///
/// let rule = Rule { type_: "Warning".to_owned(), receiver: "alerts".to_owned(), ..Rule::default() };
/// let router = Router::compile(&Route { match_: vec![rule], ..Route::default() }, &["dump", "alerts"])?;
/// let event = Event { type_: "Warning".to_owned(), ..Event::default() };
/// let event = EnhancedEvent::new(event, Arc::new(ObjectMetadata::unknown()));
/// let mut receivers = Vec::new();
/// router.receivers(&event, &mut receivers);
/// assert_eq!(receivers, [ReceiverId(1)]);
/// # Ok::<(), kube_events::route::RouteError>(())
/// ```
#[derive(Debug)]
pub struct Router {
    root: Node,
    warnings: Vec<RouteProblem>,
    used: Vec<bool>,
}

#[derive(Debug)]
struct Node {
    drop: Vec<CompiledRule>,
    match_: Vec<(CompiledRule, Option<ReceiverId>)>,
    routes: Vec<Node>,
}

struct Compiler<'a> {
    receivers: HashMap<&'a str, ReceiverId>,
    used: Vec<bool>,
    invalid: InvalidPatterns,
    problems: Vec<RouteProblem>,
    warnings: Vec<RouteProblem>,
}

impl Router {
    /// Checks a tree against the receivers that there are. A pattern that is none is refused.
    pub fn compile<S: AsRef<str>>(route: &Route, receivers: &[S]) -> Result<Self, RouteError> {
        Self::compile_with(route, receivers, InvalidPatterns::Refuse)
    }

    /// As [`compile`](Self::compile), with a choice of what to do with a pattern that is none.
    pub fn compile_with<S: AsRef<str>>(
        route: &Route,
        receivers: &[S],
        invalid: InvalidPatterns,
    ) -> Result<Self, RouteError> {
        let ids = receivers.iter().enumerate().map(|(at, name)| (name.as_ref(), ReceiverId(at)));
        let mut compiler = Compiler {
            receivers: ids.collect(),
            used: vec![false; receivers.len()],
            invalid,
            problems: Vec::new(),
            warnings: Vec::new(),
        };
        let root = compiler.route(route, "route", 0);
        let Compiler { problems, warnings, used, .. } = compiler;
        if problems.is_empty() { Ok(Self { root, warnings, used }) } else { Err(RouteError { problems }) }
    }

    /// Adds each receiver that the event goes to, once, in the order in which rules hit, to the list (which is not
    /// emptied). A caller that keeps the list pays for no allocation.
    pub fn receivers(&self, event: &EnhancedEvent, receivers: &mut Vec<ReceiverId>) {
        let before = receivers.len();
        self.hits(event, |receiver| {
            // A handful of receivers: no set is faster.
            if !receivers.iter().skip(before).any(|known| *known == receiver) {
                receivers.push(receiver);
            }
        });
    }

    /// Calls back for each rule that hits and has a receiver, so several times for a receiver that several rules name:
    /// so kubernetes-event-exporter sends.
    pub fn hits(&self, event: &EnhancedEvent, mut hit: impl FnMut(ReceiverId)) {
        self.root.judge(event, &mut hit);
    }

    /// What was let pass but is likely meant otherwise.
    pub fn warnings(&self) -> &[RouteProblem] {
        &self.warnings
    }

    /// The receivers that no rule names.
    pub fn unused(&self) -> impl Iterator<Item = ReceiverId> {
        self.used.iter().enumerate().filter(|(_, used)| !**used).map(|(at, _)| ReceiverId(at))
    }
}

impl Node {
    fn judge(&self, event: &EnhancedEvent, hit: &mut impl FnMut(ReceiverId)) {
        if self.drop.iter().any(|rule| rule.hits(event)) {
            return;
        }
        let mut all = true;
        for (rule, receiver) in &self.match_ {
            if rule.hits(event) {
                if let Some(receiver) = receiver {
                    hit(*receiver);
                }
            } else {
                all = false;
            }
        }
        if all {
            for route in &self.routes {
                route.judge(event, hit);
            }
        }
    }
}

impl Compiler<'_> {
    fn route(&mut self, route: &Route, path: &str, depth: usize) -> Node {
        if depth > MAX_DEPTH {
            let problem = format!("routes are nested more than {MAX_DEPTH} times");
            self.problems.push(RouteProblem { path: path.to_owned(), problem });
            return Node { drop: Vec::new(), match_: Vec::new(), routes: Vec::new() };
        }
        let drop = route.drop.iter().enumerate().map(|(at, rule)| self.rule(rule, &format!("{path}.drop[{at}]")));
        let drop = drop.collect();
        let mut match_ = Vec::new();
        for (at, rule) in route.match_.iter().enumerate() {
            let path = format!("{path}.match[{at}]");
            match_.push((self.rule(rule, &path), self.receiver(&rule.receiver, &path)));
        }
        let routes = route.routes.iter().enumerate();
        let routes = routes.map(|(at, route)| self.route(route, &format!("{path}.routes[{at}]"), depth + 1)).collect();
        Node { drop, match_, routes }
    }

    fn rule(&mut self, rule: &Rule, path: &str) -> CompiledRule {
        let (compiled, invalid) = CompiledRule::of(rule);
        let list = match self.invalid {
            InvalidPatterns::Refuse => &mut self.problems,
            InvalidPatterns::NeverHit => &mut self.warnings,
        };
        list.extend(
            invalid
                .into_iter()
                .map(|invalid| RouteProblem { path: format!("{path}.{}", invalid.field), problem: invalid.problem }),
        );
        compiled
    }

    fn receiver(&mut self, name: &str, path: &str) -> Option<ReceiverId> {
        if name.is_empty() {
            return None;
        }
        if let Some(id) = self.receivers.get(name) {
            if let Some(used) = self.used.get_mut(id.0) {
                *used = true;
            }
            return Some(*id);
        }
        let hint = did_you_mean(name, self.receivers.keys().copied());
        let problem = format!("there is no receiver `{name}`{hint}");
        self.problems.push(RouteProblem { path: format!("{path}.receiver"), problem });
        None
    }
}
