//! What clients asked for: counters and the newest requests, so that tests can tell who hammers.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::api::route::Verb;

/// How many requests the log keeps; the counters know them all.
const KEPT: usize = 10_000;

/// One answered request.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// When the request's head had arrived.
    pub at: Instant,
    /// What it did.
    pub verb: Verb,
    /// The plural, with the subresource if there is one (`pods`, `nodes/proxy`); the path of a request that is not
    /// about a resource.
    pub resource: String,
    /// The namespace, if the request named one.
    pub namespace: Option<String>,
    /// The object's name, if the request named one.
    pub name: Option<String>,
    /// The query string as it was sent.
    pub query: String,
    /// The user behind the request.
    pub user: String,
    /// The `User-Agent` header.
    pub user_agent: String,
    /// The `Accept` header.
    pub accept: String,
    /// The HTTP status of the answer; `None` if a fault cut the connection before it.
    pub status: Option<u16>,
}

/// The requests a server has answered.
#[derive(Clone, Debug, Default)]
pub struct Requests {
    inner: Arc<Mutex<Log>>,
}

#[derive(Debug, Default)]
struct Log {
    counts: BTreeMap<(Verb, String, Option<u16>), u64>,
    newest: VecDeque<Request>,
}

impl Requests {
    pub(crate) fn record(&self, request: Request) {
        let mut log = self.inner.lock();
        // Paths that are not about resources are the client's own words: counting each would let the map grow.
        let resource = if request.verb == Verb::NonResource { String::new() } else { request.resource.clone() };
        *log.counts.entry((request.verb, resource, request.status)).or_default() += 1;
        if log.newest.len() == KEPT {
            log.newest.pop_front();
        }
        log.newest.push_back(request);
    }

    /// How many requests there were with this verb about this resource (plural, or `plural/subresource`), whatever
    /// the answer.
    pub fn count(&self, verb: Verb, resource: &str) -> u64 {
        self.sum(|(known, about, _)| *known == verb && about == resource)
    }

    /// How many of them were answered with this HTTP status.
    pub fn count_status(&self, verb: Verb, resource: &str, status: u16) -> u64 {
        self.sum(|key| (key.0, key.1.as_str(), key.2) == (verb, resource, Some(status)))
    }

    /// How many requests there were in all.
    pub fn total(&self) -> u64 {
        self.sum(|_| true)
    }

    /// The newest requests (at most 10,000), oldest first.
    pub fn newest(&self) -> Vec<Request> {
        self.inner.lock().newest.iter().cloned().collect()
    }

    /// Count and log from zero again.
    pub fn clear(&self) {
        *self.inner.lock() = Log::default();
    }

    fn sum(&self, matches: impl Fn(&(Verb, String, Option<u16>)) -> bool) -> u64 {
        self.inner.lock().counts.iter().filter(|(key, _)| matches(key)).map(|(_, count)| count).sum()
    }
}
