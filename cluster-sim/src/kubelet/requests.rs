//! What clients asked kubelets for, so that tests can tell who hammers.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::Instant;

/// How many requests the log keeps, and of how many nodes it has counters; the others are counted in the total alone.
const KEPT: usize = 100_000;

/// The path of summaries.
pub(super) const SUMMARY: &str = "/stats/summary";

/// How a request came to a kubelet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Way {
    /// Through the API server, `/api/v1/nodes/NODE/proxy/…`.
    Proxy,
    /// To the kubelet's own port.
    Direct,
    /// To the kubelet's read-only port, which asks nobody who they are.
    ReadOnly,
}

/// One request to a kubelet.
#[derive(Clone, Debug, PartialEq)]
pub struct KubeletRequest {
    /// When the request's head had arrived.
    pub at: Instant,
    /// The node's name.
    pub node: String,
    /// How it came.
    pub way: Way,
    /// The path, for instance `/stats/summary`.
    pub path: String,
    /// The query string as it was sent.
    pub query: String,
    /// The `User-Agent` header.
    pub user_agent: String,
    /// Whether an `Authorization` header reached the kubelet; the API server passes none on.
    pub has_authorization: bool,
    /// The `X-Forwarded-For` header as it reached the kubelet; empty if there was none.
    pub forwarded_for: String,
    /// The HTTP status of the answer; `None` if a fault kept it from being sent, or the client did not wait for it.
    pub status: Option<u16>,
}

/// The requests of all kubelets: answered, kept from it by a fault, or given up by their clients. What never reached
/// a kubelet, as what the API server forbids, is not there.
#[derive(Clone, Debug, Default)]
pub struct KubeletRequests {
    inner: Arc<Mutex<Log>>,
}

#[derive(Debug, Default)]
struct Log {
    total: u64,
    /// The nodes are the cluster's: clients cannot make them up.
    nodes: HashMap<String, OfNode>,
    newest: VecDeque<KubeletRequest>,
    in_flight: Flight,
}

#[derive(Debug, Default)]
struct OfNode {
    /// By way; see [`place`].
    summaries: [u64; 3],
    in_flight: Flight,
}

/// Requests whose answers are still under way.
#[derive(Debug, Default)]
struct Flight {
    now: u64,
    most: u64,
}

impl Flight {
    fn begin(&mut self) {
        self.now += 1;
        self.most = self.most.max(self.now);
    }

    fn end(&mut self) {
        self.now = self.now.saturating_sub(1);
    }
}

const fn place(way: Way) -> usize {
    match way {
        Way::Proxy => 0,
        Way::Direct => 1,
        Way::ReadOnly => 2,
    }
}

impl KubeletRequests {
    pub(super) fn begin(&self, request: KubeletRequest) -> Visit {
        let mut log = self.inner.lock();
        log.total += 1;
        log.in_flight.begin();
        if log.nodes.len() < KEPT && !log.nodes.contains_key(&request.node) {
            log.nodes.insert(request.node.clone(), OfNode::default());
        }
        if let Some(of_node) = log.nodes.get_mut(&request.node) {
            of_node.in_flight.begin();
            if request.path == SUMMARY
                && let Some(count) = of_node.summaries.get_mut(place(request.way))
            {
                *count += 1;
            }
        }
        let node = request.node.clone();
        Visit { requests: self.clone(), node, request: Some(request) }
    }

    fn record(&self, request: KubeletRequest) {
        let mut log = self.inner.lock();
        if log.newest.len() == KEPT {
            log.newest.pop_front();
        }
        log.newest.push_back(request);
    }

    /// How many summaries of this node were asked for, in every way, whatever the answer.
    pub fn summaries(&self, node: &str) -> u64 {
        self.inner.lock().nodes.get(node).map_or(0, |of_node| of_node.summaries.iter().sum())
    }

    /// How many summaries of this node were asked for in this way.
    pub fn summaries_by(&self, node: &str, way: Way) -> u64 {
        let log = self.inner.lock();
        log.nodes.get(node).and_then(|of_node| of_node.summaries.get(place(way)).copied()).unwrap_or(0)
    }

    /// How many summaries of all nodes were asked for.
    pub fn all_summaries(&self) -> u64 {
        self.inner.lock().nodes.values().flat_map(|of_node| of_node.summaries).sum()
    }

    /// How many requests there were in all, summaries and others.
    pub fn total(&self) -> u64 {
        self.inner.lock().total
    }

    /// How many requests are being answered now: from their head's arrival to the end of the answer's body.
    pub fn in_flight(&self) -> u64 {
        self.inner.lock().in_flight.now
    }

    /// How many requests were being answered at the same time at most.
    pub fn max_in_flight(&self) -> u64 {
        self.inner.lock().in_flight.most
    }

    /// How many requests to this node were being answered at the same time at most.
    pub fn max_in_flight_of(&self, node: &str) -> u64 {
        self.inner.lock().nodes.get(node).map_or(0, |of_node| of_node.in_flight.most)
    }

    /// The newest requests (at most 100,000), in the order in which they were answered or given up.
    pub fn newest(&self) -> Vec<KubeletRequest> {
        self.inner.lock().newest.iter().cloned().collect()
    }

    /// Count and log from zero again; what is being answered stays so.
    pub fn clear(&self) {
        let mut log = self.inner.lock();
        (log.total, log.in_flight.most) = (0, log.in_flight.now);
        log.newest.clear();
        log.nodes.retain(|_, of_node| {
            of_node.summaries = [0; 3];
            of_node.in_flight.most = of_node.in_flight.now;
            of_node.in_flight.now > 0
        });
    }
}

/// A request that is being answered. It is recorded once its answer is known, or when its client has gone without one.
#[derive(Debug)]
pub(super) struct Visit {
    requests: KubeletRequests,
    node: String,
    request: Option<KubeletRequest>,
}

impl Visit {
    pub(super) fn record(&mut self, status: Option<u16>) {
        if let Some(request) = self.request.take() {
            self.requests.record(KubeletRequest { status, ..request });
        }
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.record(None);
        let mut log = self.requests.inner.lock();
        log.in_flight.end();
        if let Some(of_node) = log.nodes.get_mut(&self.node) {
            of_node.in_flight.end();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn visits_are_counted_and_overlap() {
        let requests = KubeletRequests::default();
        let begin = |node: &str, way, path: &str| {
            requests.begin(KubeletRequest {
                at: Instant::now(),
                node: node.to_owned(),
                way,
                path: path.to_owned(),
                query: String::new(),
                user_agent: String::new(),
                has_authorization: false,
                forwarded_for: String::new(),
                status: None,
            })
        };
        let mut first = begin("a", Way::Proxy, SUMMARY);
        let second = begin("a", Way::Direct, SUMMARY);
        let third = begin("b", Way::Direct, "/healthz");
        first.record(Some(200));
        drop(first);
        assert_eq!((requests.in_flight(), requests.max_in_flight()), (2, 3));
        assert_eq!((requests.max_in_flight_of("a"), requests.max_in_flight_of("b")), (2, 1));
        drop((second, third));
        assert_eq!((requests.summaries("a"), requests.summaries_by("a", Way::Direct)), (2, 1));
        assert_eq!((requests.all_summaries(), requests.summaries("b"), requests.total()), (2, 0, 3));
        let statuses: Vec<_> = requests.newest().iter().map(|request| request.status).collect();
        assert_eq!(statuses, [Some(200), None, None]);
        requests.clear();
        assert_eq!((requests.total(), requests.max_in_flight(), requests.newest().len()), (0, 0, 0));
        assert!(requests.inner.lock().nodes.is_empty());
    }
}
