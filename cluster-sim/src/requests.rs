//! What clients asked for: counters and the newest requests, so that tests can tell who hammers.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::api::route::Verb;
use crate::rbac::Right;

/// How many requests the log keeps, and how many rights; the counters know all requests.
const KEPT: usize = 10_000;

/// One answered request.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// When the request's head had arrived.
    pub at: Instant,
    /// What it did.
    pub verb: Verb,
    /// The API group; empty for the core group, and for a request that is not about a resource.
    pub group: String,
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
    used: BTreeSet<(String, Right)>,
    refused: BTreeSet<(String, Right)>,
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

    /// Somebody needed a right, and had it or not.
    pub(crate) fn exercise(&self, user: &str, right: Right, allowed: bool) {
        let mut log = self.inner.lock();
        let rights = if allowed { &mut log.used } else { &mut log.refused };
        // Resources may be the client's own words here, too.
        if rights.len() < KEPT {
            rights.insert((user.to_owned(), right));
        }
    }

    /// The rights that this user's requests needed and had. An apply, or an update, that creates needs two. Rights that
    /// every cluster's own roles grant are left out if [roles count](crate::SimBuilder::rbac).
    ///
    /// A client's role is exactly what it needs if this is what
    /// [`Sim::rights_granted`](crate::Sim::rights_granted) says, and [nothing was refused](Self::rights_refused).
    pub fn rights_used(&self, user: &str) -> BTreeSet<Right> {
        of(user, &self.inner.lock().used)
    }

    /// The rights that this user's requests needed and had not: what was answered 403.
    pub fn rights_refused(&self, user: &str) -> BTreeSet<Right> {
        of(user, &self.inner.lock().refused)
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

fn of(user: &str, rights: &BTreeSet<(String, Right)>) -> BTreeSet<Right> {
    rights.iter().filter(|(known, _)| known == user).map(|(_, right)| right.clone()).collect()
}
