//! What can go wrong with kubelets on purpose.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use parking_lot::Mutex;

use super::requests::Way;
use super::view::Quirks;
use crate::clock::Clock;
use crate::fault::FaultId;

/// A rule that spoils the answers of kubelets.
///
/// A rule names requests (by node, way and path), then what happens to them. By default it spoils every request it
/// matches, until it is removed; [`skip`](Self::skip) and [`count`](Self::count) limit that. Several effects in one
/// rule, and several rules that match one request, add up.
///
/// ```
/// use std::time::Duration;
/// use cluster_sim::kubelet::{KubeletFault, Way};
///
/// // The first two requests to a node fail, the third is answered.
/// let failing = KubeletFault::on("node-1").count(2).status(500);
/// // Every kubelet is slow for those who come through the API server.
/// let slow = KubeletFault::on_any().way(Way::Proxy).latency(Duration::from_secs(20));
/// # assert_ne!(format!("{failing:?}"), format!("{slow:?}"));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct KubeletFault {
    node: Option<String>,
    way: Option<Way>,
    path: String,
    skip: u64,
    count: Option<u64>,
    freezes: bool,
    resets_counters: bool,
    effects: Effects,
}

/// What happens to one answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Effects {
    pub(super) latency: Duration,
    pub(super) hang: bool,
    pub(super) refuse: bool,
    pub(super) reset: bool,
    pub(super) status: Option<StatusCode>,
    pub(super) body: Option<Bytes>,
    pub(super) padding: u64,
    pub(super) cut: Option<Cut>,
    pub(super) trickle: Option<(usize, Duration)>,
    pub(super) quirks: Quirks,
    /// The document is of this moment, in seconds since 1970; set when the rule is added.
    pub(super) now: Option<i64>,
    /// Counters count from this moment; set when the rule is added.
    pub(super) counted_from: Option<i64>,
}

/// How an answer ends in its middle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// As if it were whole.
    Proper,
    /// With its connection.
    Short,
}

impl Effects {
    fn add(&mut self, other: &Self) {
        self.latency += other.latency;
        self.hang |= other.hang;
        self.refuse |= other.refuse;
        self.reset |= other.reset;
        self.status = self.status.or(other.status);
        self.body = self.body.take().or_else(|| other.body.clone());
        self.padding = self.padding.max(other.padding);
        self.cut = self.cut.or(other.cut);
        self.trickle = self.trickle.or(other.trickle);
        self.quirks.add(other.quirks);
        self.now = self.now.into_iter().chain(other.now).min();
        self.counted_from = self.counted_from.max(other.counted_from);
    }
}

impl KubeletFault {
    /// A fault of this node's kubelet.
    pub fn on(node: impl Into<String>) -> Self {
        Self { node: Some(node.into()), ..Self::on_any() }
    }

    /// A fault of every kubelet.
    pub fn on_any() -> Self {
        Self {
            node: None,
            way: None,
            path: String::new(),
            skip: 0,
            count: None,
            freezes: false,
            resets_counters: false,
            effects: Effects::default(),
        }
    }

    /// Only requests that come this way.
    pub fn way(mut self, way: Way) -> Self {
        self.way = Some(way);
        self
    }

    /// Only requests whose path begins with this, for instance `/stats/summary`.
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// Let so many of the matching requests pass first.
    pub fn skip(mut self, skip: u64) -> Self {
        self.skip = skip;
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

    /// Send the body in pieces of so many bytes, each after this long.
    pub fn trickle(mut self, bytes: usize, interval: Duration) -> Self {
        self.effects.trickle = Some((bytes.max(1), interval));
        self
    }

    /// Take the request and never answer it.
    pub fn hang(mut self) -> Self {
        self.effects.hang = true;
        self
    }

    /// Take no connection, as while the kubelet is restarted. The API server says 503 then; who comes directly finds
    /// the connection reset before a byte of it is read: for one that is refused, see
    /// [`KubeletServer::stop_listening`](super::KubeletServer::stop_listening).
    pub fn refuse(mut self) -> Self {
        self.effects.refuse = true;
        self
    }

    /// Reset the connection instead of answering. The API server says 503 then.
    pub fn reset(mut self) -> Self {
        self.effects.reset = true;
        self
    }

    /// Answer with this HTTP status (400 to 599) as a kubelet does, whoever asks: with a line of text.
    pub fn status(mut self, code: u16) -> Self {
        self.effects.status = StatusCode::from_u16(code.clamp(400, 599)).ok();
        self
    }

    /// Answer with this body.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.effects.body = Some(body.into());
        self
    }

    /// Answer with a [`body`](Self::body) that looks like a summary and is no JSON.
    pub fn invalid_json(self) -> Self {
        self.body("{\"node\": {\"nodeName\": nowhere, \"cpu\": {\"usageNanoCores\": 1e}}, \"pods\": [}")
    }

    /// Put so many bytes of white space before the document: JSON all the same, and huge.
    pub fn huge(mut self, bytes: u64) -> Self {
        self.effects.padding = bytes;
        self
    }

    /// End the answer properly in the middle of its body.
    pub fn truncate(mut self) -> Self {
        self.effects.cut = Some(Cut::Proper);
        self
    }

    /// Close the connection in the middle of the body.
    pub fn cut_short(mut self) -> Self {
        self.effects.cut = Some(Cut::Short);
        self
    }

    /// Summary: every `time` and `startTime` is `null`.
    pub fn null_times(mut self) -> Self {
        self.effects.quirks.null_times = true;
        self
    }

    /// Summary: every array is `null`.
    pub fn null_arrays(mut self) -> Self {
        self.effects.quirks.null_arrays = true;
        self
    }

    /// Summary: the list of pods is empty, as after a kubelet's start.
    pub fn no_pods(mut self) -> Self {
        self.effects.quirks.no_pods = true;
        self
    }

    /// Summary: every pod is there twice, first as it was before: with the same uid, an hour older, its containers
    /// without cpu and memory.
    pub fn duplicate_pods(mut self) -> Self {
        self.effects.quirks.twice = true;
        self
    }

    /// Summary: containers that have ended are there too, and pods that have; without cpu and memory.
    pub fn ended_containers(mut self) -> Self {
        self.effects.quirks.ended = true;
        self
    }

    /// Summary: nothing is measured from the moment on that the rule is added: documents stay as they are.
    pub fn frozen(mut self) -> Self {
        self.freezes = true;
        self
    }

    /// Summary: cumulative counters begin again at zero, at the moment that the rule is added; start times stay.
    pub fn counters_reset(mut self) -> Self {
        self.resets_counters = true;
        self
    }

    /// Summary: every object has members that nobody knows.
    pub fn future_fields(mut self) -> Self {
        self.effects.quirks.future = true;
        self
    }
}

/// The rules of all kubelets, and how often each has matched.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    inner: Mutex<Added>,
}

#[derive(Debug, Default)]
struct Added {
    newest: u64,
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    id: FaultId,
    fault: KubeletFault,
    passed: u64,
    spoiled: u64,
}

impl Rule {
    fn strikes(&mut self, node: &str, way: Way, path: &str) -> bool {
        let fault = &self.fault;
        if fault.node.as_deref().is_some_and(|wanted| wanted != node)
            || fault.way.is_some_and(|wanted| wanted != way)
            || !path.starts_with(&fault.path)
        {
            return false;
        }
        if self.passed < fault.skip {
            self.passed += 1;
            return false;
        }
        let strikes = fault.count.is_none_or(|count| self.spoiled < count);
        self.spoiled += u64::from(strikes);
        strikes
    }
}

impl Rules {
    /// What happens to this request.
    pub(super) fn strike(&self, node: &str, way: Way, path: &str) -> Effects {
        let mut effects = Effects::default();
        for rule in &mut self.inner.lock().rules {
            if rule.strikes(node, way, path) {
                effects.add(&rule.fault.effects);
            }
        }
        effects
    }

    /// Is a connection not taken, before anything is known of its requests?
    pub(super) fn refuses(&self, node: &str, way: Way) -> bool {
        let mut added = self.inner.lock();
        let mut refusing =
            added.rules.iter_mut().filter(|rule| rule.fault.effects.refuse && rule.fault.path.is_empty());
        // Those that let requests pass first find them in connections that are taken.
        refusing.any(|rule| rule.passed >= rule.fault.skip && rule.strikes(node, way, ""))
    }
}

/// The faults of all kubelets; see [`Kubelets::faults`](super::Kubelets::faults).
#[derive(Clone, Copy, Debug)]
pub struct KubeletFaults<'a> {
    pub(super) rules: &'a Rules,
    pub(super) clock: Clock,
}

impl KubeletFaults<'_> {
    /// Add a rule; it holds from now on.
    pub fn add(&self, mut fault: KubeletFault) -> FaultId {
        let now = self.clock.now().as_second();
        fault.effects.now = fault.freezes.then_some(now);
        fault.effects.counted_from = fault.resets_counters.then_some(now);
        let mut added = self.rules.inner.lock();
        added.newest += 1;
        let id = FaultId(added.newest);
        added.rules.push(Rule { id, fault, passed: 0, spoiled: 0 });
        id
    }

    /// Remove a rule; `false` if it was gone already.
    pub fn remove(&self, id: FaultId) -> bool {
        let rules = &mut self.rules.inner.lock().rules;
        let before = rules.len();
        rules.retain(|rule| rule.id != id);
        rules.len() < before
    }

    /// Remove all rules.
    pub fn clear(&self) {
        self.rules.inner.lock().rules.clear();
    }

    /// How many requests this rule has spoiled; 0 once it is removed.
    pub fn spoiled(&self, id: FaultId) -> u64 {
        self.rules.inner.lock().rules.iter().find(|rule| rule.id == id).map_or(0, |rule| rule.spoiled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUMMARY: &str = "/stats/summary";

    #[tokio::test(start_paused = true)]
    async fn a_rule_strikes_what_it_names_once_so_many_have_passed() {
        let (rules, clock) = (Rules::default(), Clock::start());
        let faults = KubeletFaults { rules: &rules, clock };
        let id = faults.add(KubeletFault::on("a").way(Way::Proxy).path(SUMMARY).skip(1).count(2).hang());
        let strike = |node, way, path| rules.strike(node, way, path).hang;
        for (node, way, path) in
            [("b", Way::Proxy, SUMMARY), ("a", Way::Direct, SUMMARY), ("a", Way::Proxy, "/healthz")]
        {
            assert!(!strike(node, way, path), "{node} {way:?} {path}");
        }
        let struck: Vec<bool> = (0..4).map(|_| strike("a", Way::Proxy, SUMMARY)).collect();
        assert_eq!(struck, [false, true, true, false]);
        assert_eq!(faults.spoiled(id), 2);
        assert!(faults.remove(id) && !faults.remove(id));
    }

    #[tokio::test(start_paused = true)]
    async fn effects_add_up() {
        let (rules, clock) = (Rules::default(), Clock::start());
        let faults = KubeletFaults { rules: &rules, clock };
        faults.add(KubeletFault::on_any().latency(Duration::from_secs(1)).status(503).frozen());
        tokio::time::advance(Duration::from_secs(10)).await;
        faults.add(KubeletFault::on("a").latency(Duration::from_secs(2)).status(500).frozen().null_times());
        let effects = rules.strike("a", Way::Direct, SUMMARY);
        assert_eq!((effects.latency, effects.status), (Duration::from_secs(3), Some(StatusCode::SERVICE_UNAVAILABLE)));
        assert_eq!(effects.now, Some(clock.now().as_second() - 10));
        assert!(effects.quirks.null_times && !effects.quirks.null_arrays);
        faults.clear();
        assert_eq!(rules.strike("a", Way::Direct, SUMMARY), Effects::default());
    }

    #[tokio::test(start_paused = true)]
    async fn connections_are_refused_by_rules_that_refuse() {
        let (rules, clock) = (Rules::default(), Clock::start());
        let faults = KubeletFaults { rules: &rules, clock };
        faults.add(KubeletFault::on("a").status(500));
        assert!(!rules.refuses("a", Way::Direct));
        faults.add(KubeletFault::on("a").count(1).refuse());
        assert!(!rules.refuses("b", Way::Direct) && rules.refuses("a", Way::Direct));
        assert!(!rules.refuses("a", Way::Direct));
        faults.clear();
        faults.add(KubeletFault::on("a").skip(1).refuse());
        assert!(!rules.refuses("a", Way::Direct) && !rules.strike("a", Way::Direct, SUMMARY).refuse);
        assert!(rules.refuses("a", Way::Direct) && rules.strike("a", Way::Direct, SUMMARY).refuse);
    }
}
