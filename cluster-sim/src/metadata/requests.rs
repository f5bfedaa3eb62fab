//! What clients asked a metadata service for, so that tests can tell who hammers.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use http::Method;
use parking_lot::Mutex;
use tokio::time::Instant;

/// How many requests the log keeps, and of how many (method, path, status) each has a counter of its own. Paths are the
/// client's own words: those beyond are counted in the total alone.
const KEPT: usize = 1_000;

/// One answered request.
#[derive(Clone, Debug, PartialEq)]
pub struct MetadataRequest {
    /// When the request's head had arrived.
    pub at: Instant,
    /// `PUT` for EC2's tokens, `GET` for nearly everything else.
    pub method: Method,
    /// The path, without the query string.
    pub path: String,
    /// The query string as it was sent.
    pub query: String,
    /// The `User-Agent` header.
    pub user_agent: String,
    /// The HTTP status of the answer; `None` if a fault kept it from being sent, or the client did not wait for it.
    pub status: Option<u16>,
}

/// The requests of a metadata service: answered, kept from it by a fault, or given up by their clients.
#[derive(Clone, Debug, Default)]
pub struct MetadataRequests {
    inner: Arc<Mutex<Log>>,
}

#[derive(Debug, Default)]
struct Log {
    total: u64,
    counts: HashMap<(Method, String, Option<u16>), u64>,
    newest: VecDeque<MetadataRequest>,
}

impl MetadataRequests {
    pub(super) fn record(&self, request: MetadataRequest) {
        let mut log = self.inner.lock();
        log.total += 1;
        let key = (request.method.clone(), request.path.clone(), request.status);
        if log.counts.len() < KEPT || log.counts.contains_key(&key) {
            *log.counts.entry(key).or_default() += 1;
        }
        if log.newest.len() == KEPT {
            log.newest.pop_front();
        }
        log.newest.push_back(request);
    }

    /// How many requests there were by this method for this path, whatever the answer.
    pub fn count(&self, method: &Method, path: &str) -> u64 {
        self.sum(|(known, at, _)| known == method && at == path)
    }

    /// How many of them were answered with this HTTP status.
    pub fn count_status(&self, method: &Method, path: &str, status: u16) -> u64 {
        self.sum(|(known, at, told)| known == method && at == path && *told == Some(status))
    }

    /// How many requests there were in all.
    pub fn total(&self) -> u64 {
        self.inner.lock().total
    }

    /// The newest requests (at most 1,000), oldest first.
    pub fn newest(&self) -> Vec<MetadataRequest> {
        self.inner.lock().newest.iter().cloned().collect()
    }

    /// Count and log from zero again.
    pub fn clear(&self) {
        *self.inner.lock() = Log::default();
    }

    fn sum(&self, matches: impl Fn(&(Method, String, Option<u16>)) -> bool) -> u64 {
        self.inner.lock().counts.iter().filter(|(key, _)| matches(key)).map(|(_, count)| count).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn made_up_paths_do_not_pile_up() {
        let requests = MetadataRequests::default();
        let ask = |path: String| {
            requests.record(MetadataRequest {
                at: Instant::now(),
                method: Method::GET,
                path,
                query: String::new(),
                user_agent: String::new(),
                status: Some(404),
            });
        };
        (0..2 * KEPT).for_each(|nth| ask(format!("/{nth}")));
        ask("/0".to_owned());
        assert_eq!(requests.total(), 2 * KEPT as u64 + 1);
        assert_eq!(requests.count(&Method::GET, "/0"), 2);
        assert_eq!(requests.count_status(&Method::GET, &format!("/{}", 2 * KEPT - 1), 404), 0);
        assert_eq!((requests.newest().len(), requests.inner.lock().counts.len()), (KEPT, KEPT));
        requests.clear();
        assert_eq!((requests.total(), requests.newest().len()), (0, 0));
    }
}
