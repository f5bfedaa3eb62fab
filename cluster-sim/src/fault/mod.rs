//! What can go wrong on purpose: rules that match requests and spoil their answers.

pub(crate) mod body;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::api::route::Verb;
use crate::server::Server;

/// A rule that spoils the answers of the requests it matches.
///
/// A rule names requests (by verb, resource, namespace and name), then what happens to them. By default it spoils
/// every request it matches, until it is removed; [`share`](Self::share) and [`count`](Self::count) limit that. Several
/// effects in one rule, and several rules that match one request, add up.
///
/// ```
/// use std::time::Duration;
/// use cluster_sim::{Fault, Verb};
///
/// // A fifth of the pod lists is told to come back in two seconds; three in all.
/// let busy = Fault::on(Verb::List).resource("pods").share(0.2).count(3).status(429).retry_after(2);
/// // Every answer comes late.
/// let slow = Fault::on_any().latency(Duration::from_millis(250));
/// # assert_ne!(format!("{busy:?}"), format!("{slow:?}"));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    verb: Option<Verb>,
    resource: Option<String>,
    namespace: Option<String>,
    name: Option<String>,
    share: f64,
    count: Option<u64>,
    effects: Effects,
}

/// What happens to one answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Effects {
    pub(crate) latency: Duration,
    pub(crate) status: Option<u16>,
    pub(crate) retry_after: Option<u64>,
    pub(crate) reset_before: bool,
    stale: bool,
    /// The version that stale reads show; set when the rule is added.
    pub(crate) stale_version: Option<u64>,
    pub(crate) body: BodyFault,
    pub(crate) silent_watch: bool,
}

/// What happens to an answer's body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct BodyFault {
    pub(crate) reset: bool,
    pub(crate) truncate: bool,
    pub(crate) trickle: Option<(usize, Duration)>,
}

impl BodyFault {
    pub(crate) fn any(&self) -> bool {
        *self != Self::default()
    }
}

impl Effects {
    fn add(&mut self, other: &Self) {
        self.latency += other.latency;
        self.status = self.status.or(other.status);
        self.retry_after = self.retry_after.or(other.retry_after);
        self.reset_before |= other.reset_before;
        self.stale |= other.stale;
        self.stale_version = self.stale_version.into_iter().chain(other.stale_version).min();
        self.body.reset |= other.body.reset;
        self.body.truncate |= other.body.truncate;
        self.body.trickle = self.body.trickle.or(other.body.trickle);
        self.silent_watch |= other.silent_watch;
    }
}

impl Fault {
    /// A fault of requests with this verb.
    pub fn on(verb: Verb) -> Self {
        Self { verb: Some(verb), ..Self::on_any() }
    }

    /// A fault of every request, whatever its verb.
    pub fn on_any() -> Self {
        Self {
            verb: None,
            resource: None,
            namespace: None,
            name: None,
            share: 1.0,
            count: None,
            effects: Effects::default(),
        }
    }

    /// Only requests about this resource: its plural, in any group, or `plural/subresource`.
    pub fn resource(mut self, resource: impl Into<String>) -> Self {
        self.resource = Some(resource.into());
        self
    }

    /// Only requests within this namespace.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// Only requests about the object of this name.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Only this share (0.0 to 1.0) of the matching requests, chosen at random by a fixed seed.
    pub fn share(mut self, share: f64) -> Self {
        self.share = share.clamp(0.0, 1.0);
        self
    }

    /// Only so many requests; then the rule has no effect any more.
    pub fn count(mut self, count: u64) -> Self {
        self.count = Some(count);
        self
    }

    /// Answer this much later.
    pub fn latency(mut self, latency: Duration) -> Self {
        self.effects.latency = latency;
        self
    }

    /// Answer with this HTTP status (400 to 599) and the `Status` object that belongs to it, without doing what the
    /// request asks. 410 is what a client gets whose version or token is too old.
    pub fn status(mut self, code: u16) -> Self {
        self.effects.status = Some(code.clamp(400, 599));
        self
    }

    /// Send a `Retry-After` header of so many seconds along with [`status`](Self::status).
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.effects.retry_after = Some(seconds);
        self
    }

    /// Reset the connection instead of answering; what the request asks is not done.
    pub fn reset_before(mut self) -> Self {
        self.effects.reset_before = true;
        self
    }

    /// Reset the connection in the middle of the body (of a watch: in the middle of its first event). What the
    /// request asks is done.
    pub fn reset_mid_body(mut self) -> Self {
        self.effects.body.reset = true;
        self
    }

    /// End the answer properly in the middle of its JSON.
    pub fn truncate(mut self) -> Self {
        self.effects.body.truncate = true;
        self
    }

    /// Send the body in pieces of so many bytes, one per interval.
    pub fn trickle(mut self, bytes: usize, interval: Duration) -> Self {
        self.effects.body.trickle = Some((bytes.max(1), interval));
        self
    }

    /// Keep the connections of watches open but send nothing on them, not even bookmarks or the end. Running watches
    /// fall silent too, at their next event; a watch that has fallen silent stays so.
    pub fn silent_watch(mut self) -> Self {
        self.effects.silent_watch = true;
        self
    }

    /// Answer gets and lists with the state of the moment this rule was added (or the oldest that the server still
    /// knows), as a replica that lags behind does.
    pub fn stale_reads(mut self) -> Self {
        self.effects.stale = true;
        self
    }

    fn matches(&self, request: &Subject<'_>) -> bool {
        self.verb.is_none_or(|verb| verb == request.verb)
            && self.resource.as_deref().is_none_or(|resource| resource == request.resource)
            && self.namespace.as_deref().is_none_or(|namespace| Some(namespace) == request.namespace)
            && self.name.as_deref().is_none_or(|name| Some(name) == request.name)
    }
}

/// The request that a rule may match.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    pub(crate) verb: Verb,
    pub(crate) resource: &'a str,
    pub(crate) namespace: Option<&'a str>,
    pub(crate) name: Option<&'a str>,
}

/// Names a rule that was added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FaultId(pub(crate) u64);

impl fmt::Display for FaultId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fault {}", self.0)
    }
}

/// The rules of a server, and how often each has struck.
#[derive(Debug)]
pub(crate) struct Rules {
    rules: Mutex<Vec<Rule>>,
    /// The id of the newest rule: lets running watches see cheaply that there is nothing new.
    newest: AtomicU64,
}

#[derive(Debug)]
struct Rule {
    id: FaultId,
    fault: Fault,
    spoiled: u64,
    dice: ChaCha8Rng,
}

impl Rule {
    fn strikes(&mut self, request: &Subject<'_>) -> bool {
        let strikes = self.fault.matches(request)
            && self.fault.count.is_none_or(|count| self.spoiled < count)
            && (self.fault.share >= 1.0 || self.dice.random_bool(self.fault.share));
        self.spoiled += u64::from(strikes);
        strikes
    }
}

impl Rules {
    pub(crate) fn new() -> Self {
        Self { rules: Mutex::new(Vec::new()), newest: AtomicU64::new(0) }
    }

    /// Add a rule; `version` is what stale reads will show.
    pub(crate) fn add_at(&self, mut fault: Fault, version: u64) -> FaultId {
        if fault.effects.stale {
            fault.effects.stale_version = Some(version);
        }
        let mut rules = self.rules.lock();
        let id = FaultId(self.newest() + 1);
        rules.push(Rule { id, fault, spoiled: 0, dice: ChaCha8Rng::seed_from_u64(id.0) });
        self.newest.store(id.0, Ordering::Release);
        id
    }

    pub(crate) fn newest(&self) -> u64 {
        self.newest.load(Ordering::Acquire)
    }

    /// What happens to this request.
    pub(crate) fn strike(&self, request: &Subject<'_>) -> Effects {
        let mut effects = Effects::default();
        for rule in self.rules.lock().iter_mut() {
            if rule.strikes(request) {
                effects.add(&rule.fault.effects);
            }
        }
        effects
    }

    /// Does a rule newer than `known` silence this running watch?
    pub(crate) fn silences(&self, request: &Subject<'_>, known: u64) -> bool {
        let mut silent = false;
        for rule in self.rules.lock().iter_mut().filter(|rule| rule.id.0 > known) {
            silent |= rule.fault.effects.silent_watch && rule.strikes(request);
        }
        silent
    }

    pub(crate) fn remove(&self, id: FaultId) -> bool {
        let mut rules = self.rules.lock();
        let before = rules.len();
        rules.retain(|rule| rule.id != id);
        rules.len() < before
    }

    pub(crate) fn clear(&self) {
        self.rules.lock().clear();
    }

    pub(crate) fn spoiled(&self, id: FaultId) -> u64 {
        self.rules.lock().iter().find(|rule| rule.id == id).map_or(0, |rule| rule.spoiled)
    }
}

/// The faults of a running simulator; see [`Sim::faults`](crate::Sim::faults).
#[derive(Clone, Copy, Debug)]
pub struct Faults<'a>(pub(crate) &'a Server);

impl Faults<'_> {
    /// Add a rule; it holds from now on.
    pub fn add(&self, fault: Fault) -> FaultId {
        let version = self.0.store.state.read().version();
        self.0.faults.add_at(fault, version)
    }

    /// Remove a rule; `false` if it was gone already.
    pub fn remove(&self, id: FaultId) -> bool {
        self.0.faults.remove(id)
    }

    /// Remove all rules.
    pub fn clear(&self) {
        self.0.faults.clear();
    }

    /// How many requests this rule has spoiled; 0 once it is removed.
    pub fn spoiled(&self, id: FaultId) -> u64 {
        self.0.faults.spoiled(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: Subject<'_> = Subject { verb: Verb::List, resource: "pods", namespace: None, name: None };

    #[test]
    fn a_rule_strikes_what_it_names_so_often_as_it_says() {
        let faults = Rules::new();
        let id = faults.add_at(Fault::on(Verb::List).resource("pods").count(2).status(500), 1);
        assert_eq!(faults.strike(&Subject { verb: Verb::Get, ..LIST }).status, None);
        assert_eq!(faults.strike(&Subject { resource: "nodes", ..LIST }).status, None);
        assert_eq!(faults.strike(&LIST).status, Some(500));
        assert_eq!(faults.strike(&LIST).status, Some(500));
        assert_eq!(faults.strike(&LIST).status, None);
        assert_eq!(faults.spoiled(id), 2);
        assert!(faults.remove(id));
    }

    #[test]
    fn a_share_is_a_share() {
        let faults = Rules::new();
        let id = faults.add_at(Fault::on_any().share(0.2).status(503), 1);
        for _ in 0..1000 {
            faults.strike(&LIST);
        }
        assert!((150..250).contains(&faults.spoiled(id)), "{}", faults.spoiled(id));
    }

    #[test]
    fn effects_add_up() {
        let faults = Rules::new();
        faults.add_at(Fault::on_any().latency(Duration::from_secs(1)), 1);
        faults.add_at(Fault::on_any().latency(Duration::from_secs(2)).stale_reads(), 7);
        faults.add_at(Fault::on_any().stale_reads(), 5);
        let effects = faults.strike(&LIST);
        assert_eq!(effects.latency, Duration::from_secs(3));
        assert_eq!(effects.stale_version, Some(5));
    }

    #[test]
    fn a_running_watch_asks_each_rule_once() {
        let faults = Rules::new();
        let watch = Subject { verb: Verb::Watch, ..LIST };
        let before = faults.newest();
        faults.add_at(Fault::on(Verb::Watch).silent_watch(), 1);
        assert!(faults.silences(&watch, before));
        assert!(!faults.silences(&watch, faults.newest()));
    }
}
