//! What can go wrong with a metadata service on purpose.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use parking_lot::Mutex;

use crate::fault::FaultId;

/// A rule that spoils the answers of the requests it matches.
///
/// A rule names requests (by path and method), then what happens to them. By default it spoils every request it
/// matches, until it is removed; [`skip`](Self::skip) and [`count`](Self::count) limit that. Several effects in one
/// rule, and several rules that match one request, add up.
///
/// ```
/// use std::time::Duration;
/// use cluster_sim::metadata::MetadataFault;
/// use http::Method;
///
/// // The second and the third token are refused.
/// let busy = MetadataFault::on("/latest/api/token").method(Method::PUT).skip(1).count(2).status(503);
/// // Every answer comes late.
/// let slow = MetadataFault::on_any().latency(Duration::from_millis(250));
/// # assert_ne!(format!("{busy:?}"), format!("{slow:?}"));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct MetadataFault {
    path: String,
    method: Option<Method>,
    skip: u64,
    count: Option<u64>,
    effects: Effects,
}

/// What happens to one answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Effects {
    pub(super) latency: Duration,
    pub(super) hang: bool,
    pub(super) reset: bool,
    pub(super) status: Option<StatusCode>,
    pub(super) body: Option<Bytes>,
    pub(super) cut: Option<Cut>,
}

/// How an answer ends in its middle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// As if it were whole.
    Proper,
    /// Although its head promised more.
    Short,
}

impl Effects {
    fn add(&mut self, other: &Self) {
        self.latency += other.latency;
        self.hang |= other.hang;
        self.reset |= other.reset;
        self.status = self.status.or(other.status);
        self.body = self.body.take().or_else(|| other.body.clone());
        self.cut = self.cut.or(other.cut);
    }
}

impl MetadataFault {
    /// A fault of the requests whose path begins with this.
    pub fn on(path: impl Into<String>) -> Self {
        Self { path: path.into(), method: None, skip: 0, count: None, effects: Effects::default() }
    }

    /// A fault of every request, whatever its path.
    pub fn on_any() -> Self {
        Self::on("")
    }

    /// Only requests by this method.
    pub fn method(mut self, method: Method) -> Self {
        self.method = Some(method);
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

    /// Take the request and never answer it.
    pub fn hang(mut self) -> Self {
        self.effects.hang = true;
        self
    }

    /// Reset the connection instead of answering; what the request asks is not done.
    pub fn reset(mut self) -> Self {
        self.effects.reset = true;
        self
    }

    /// Answer with this HTTP status (400 to 599) and the cloud's page for it, without doing what the request asks.
    pub fn status(mut self, code: u16) -> Self {
        self.effects.status = StatusCode::from_u16(code.clamp(400, 599)).ok();
        self
    }

    /// Answer with this body. Status and headers are those that the answer would have had, or those of
    /// [`status`](Self::status).
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.effects.body = Some(body.into());
        self
    }

    /// Answer with an empty [`body`](Self::body).
    pub fn empty(self) -> Self {
        self.body(Bytes::new())
    }

    /// Answer with a [`body`](Self::body) that looks like JSON and is none.
    pub fn invalid_json(self) -> Self {
        self.body(r#"{"region": "nowhere", "compute": {"location": nowhere}}"#)
    }

    /// Answer with a [`body`](Self::body) whose bytes are not UTF-8.
    pub fn not_utf8(self) -> Self {
        self.body(Bytes::from_static(b"\xff\xfe\x00\xc3\x28"))
    }

    /// End the answer properly in the middle of its body: its `Content-Length` is that of the half.
    pub fn truncate(mut self) -> Self {
        self.effects.cut = Some(Cut::Proper);
        self
    }

    /// Close the connection in the middle of the body, of which the `Content-Length` promised the whole.
    pub fn cut_short(mut self) -> Self {
        self.effects.cut = Some(Cut::Short);
        self
    }
}

/// The rules of a service, and how often each has matched.
#[derive(Debug, Default)]
pub(super) struct Rules {
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
    fault: MetadataFault,
    passed: u64,
    spoiled: u64,
}

impl Rule {
    fn strikes(&mut self, method: &Method, path: &str) -> bool {
        let fault = &self.fault;
        if !path.starts_with(&fault.path) || fault.method.as_ref().is_some_and(|wanted| wanted != method) {
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
    pub(super) fn strike(&self, method: &Method, path: &str) -> Effects {
        let mut effects = Effects::default();
        for rule in &mut self.inner.lock().rules {
            if rule.strikes(method, path) {
                effects.add(&rule.fault.effects);
            }
        }
        effects
    }
}

/// The faults of a metadata service; see [`MetadataServer::faults`](super::MetadataServer::faults).
#[derive(Clone, Copy, Debug)]
pub struct MetadataFaults<'a>(pub(super) &'a Rules);

impl MetadataFaults<'_> {
    /// Add a rule; it holds from now on.
    pub fn add(&self, fault: MetadataFault) -> FaultId {
        let mut added = self.0.inner.lock();
        added.newest += 1;
        let id = FaultId(added.newest);
        added.rules.push(Rule { id, fault, passed: 0, spoiled: 0 });
        id
    }

    /// Remove a rule; `false` if it was gone already.
    pub fn remove(&self, id: FaultId) -> bool {
        let rules = &mut self.0.inner.lock().rules;
        let before = rules.len();
        rules.retain(|rule| rule.id != id);
        rules.len() < before
    }

    /// Remove all rules.
    pub fn clear(&self) {
        self.0.inner.lock().rules.clear();
    }

    /// How many requests this rule has spoiled; 0 once it is removed.
    pub fn spoiled(&self, id: FaultId) -> u64 {
        self.0.inner.lock().rules.iter().find(|rule| rule.id == id).map_or(0, |rule| rule.spoiled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_strikes_what_it_names_once_so_many_have_passed() {
        let rules = Rules::default();
        let id = MetadataFaults(&rules).add(MetadataFault::on("/a/b").method(Method::PUT).skip(1).count(2).hang());
        let strike = |method, path| rules.strike(&method, path).hang;
        assert!(!strike(Method::GET, "/a/b") && !strike(Method::PUT, "/a/c"));
        let struck: Vec<bool> = (0..4).map(|_| strike(Method::PUT, "/a/b/c")).collect();
        assert_eq!(struck, [false, true, true, false]);
        assert_eq!(MetadataFaults(&rules).spoiled(id), 2);
        assert!(MetadataFaults(&rules).remove(id) && !MetadataFaults(&rules).remove(id));
    }

    #[test]
    fn effects_add_up() {
        let rules = Rules::default();
        let faults = MetadataFaults(&rules);
        faults.add(MetadataFault::on_any().latency(Duration::from_secs(1)).status(503));
        faults.add(MetadataFault::on("/").latency(Duration::from_secs(2)).status(500).empty());
        let effects = rules.strike(&Method::GET, "/x");
        assert_eq!(effects.latency, Duration::from_secs(3));
        assert_eq!(effects.status, Some(StatusCode::SERVICE_UNAVAILABLE));
        assert_eq!(effects.body, Some(Bytes::new()));
        faults.clear();
        assert_eq!(rules.strike(&Method::GET, "/x"), Effects::default());
    }
}
