//! The handle of a running metadata service.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::builder::MetadataServerBuilder;
use super::fault::MetadataFaults;
use super::machine::Machine;
use super::requests::MetadataRequests;
use super::service::Metadata;
use crate::error::SimError;
use crate::http::doors::{DoorError, Doors};
use crate::http::serve;
use crate::http::speech::Speech;

/// How long a shutdown waits for connections to end.
const SHUTDOWN: Duration = Duration::from_secs(5);

/// The running metadata service of one machine. Clones are handles of the same one; it stops with the last of them.
#[derive(Clone)]
pub struct MetadataServer {
    inner: Arc<Inner>,
}

struct Inner {
    metadata: Arc<Metadata>,
    doors: Doors,
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl fmt::Debug for MetadataServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetadataServer").field("addresses", &self.inner.doors.addresses).finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl MetadataServer {
    /// Decide what the service of a machine is like; on a free port unless told otherwise.
    pub fn builder(machine: Machine) -> MetadataServerBuilder {
        MetadataServerBuilder::new(machine)
    }

    pub(super) fn run(metadata: Metadata, wanted: &[SocketAddr], stop: CancellationToken) -> Result<Self, SimError> {
        let doors = Doors::take(wanted).map_err(listen_error)?;
        let (metadata, tracker) = (Arc::new(metadata), TaskTracker::new());
        open(&doors, &metadata, &tracker, &stop)?;
        Ok(Self { inner: Arc::new(Inner { metadata, doors, tracker, stop }) })
    }

    /// The URL on 127.0.0.1, for instance `http://127.0.0.1:34567`: what takes the place of `http://169.254.169.254`.
    pub fn url(&self) -> String {
        self.url_where(SocketAddr::is_ipv4).unwrap_or_default()
    }

    /// The URL on `[::1]`, if the service listens there: what takes the place of EC2's `http://[fd00:ec2::254]`.
    pub fn ipv6_url(&self) -> Option<String> {
        self.url_where(SocketAddr::is_ipv6)
    }

    fn url_where(&self, wanted: impl Fn(&SocketAddr) -> bool) -> Option<String> {
        let address = self.inner.doors.addresses.iter().find(|address| wanted(address))?;
        Some(format!("http://{address}"))
    }

    /// The machine that the service tells of.
    pub fn machine(&self) -> Machine {
        Machine::clone(&self.inner.metadata.machine.read())
    }

    /// Tell of another machine from now on, even one of another cloud. Tokens stay.
    pub fn set_machine(&self, machine: Machine) {
        *self.inner.metadata.machine.write() = Arc::new(machine);
    }

    /// The service's faults: add some, and take them away.
    pub fn faults(&self) -> MetadataFaults<'_> {
        MetadataFaults(&self.inner.metadata.faults)
    }

    /// What clients have asked for.
    pub fn requests(&self) -> &MetadataRequests {
        &self.inner.metadata.requests
    }

    /// AWS: answer requests without a token, or not; see [`MetadataServerBuilder::v1_allowed`].
    pub fn set_v1_allowed(&self, on: bool) {
        self.inner.metadata.v1_allowed.store(on, Ordering::Relaxed);
    }

    /// AWS: behave as towards a container that is farther away than the instance's hop limit. The answer to the request
    /// for a token never arrives, while everything else is answered as before: a request without a token is told 401
    /// at once.
    pub fn set_hop_limit_too_low(&self, on: bool) {
        self.inner.metadata.hop_limit_too_low.store(on, Ordering::Relaxed);
    }

    /// Refuse every request with 403, as where an administrator switched the service off.
    pub fn set_disabled(&self, on: bool) {
        self.inner.metadata.disabled.store(on, Ordering::Relaxed);
    }

    /// AWS: know none of the tokens issued so far any more.
    pub fn rotate_tokens(&self) {
        self.inner.metadata.tokens.forget();
    }

    /// AWS: let the tokens issued so far end after this time, unless they end before by themselves; whatever their
    /// clients were told.
    pub fn expire_tokens_in(&self, time: Duration) {
        self.inner.metadata.tokens.end_in(time);
    }

    /// AWS: how many tokens hold now. Never more than 1,024: the one that would end first makes room.
    pub fn live_tokens(&self) -> usize {
        self.inner.metadata.tokens.count()
    }

    /// Reset all connections and refuse new ones, until [`start_again`](Self::start_again). The ports stay this
    /// service's, and so do its tokens.
    pub async fn stop_listening(&self) {
        self.inner.doors.close().await;
    }

    /// Accept connections again, on the same ports.
    #[expect(clippy::unused_async, reason = "listening needs a runtime, which an async function runs in")]
    pub async fn start_again(&self) -> Result<(), SimError> {
        let Inner { metadata, doors, tracker, stop } = &*self.inner;
        open(doors, metadata, tracker, stop)
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.inner.stop.is_cancelled()
    }

    /// Stop: no connection is accepted any more, and the open ones are reset. Returns when all tasks have ended, or
    /// after five seconds. Calling it again does no harm.
    pub async fn shutdown(&self) {
        self.inner.stop.cancel();
        self.inner.tracker.close();
        if tokio::time::timeout(SHUTDOWN, self.inner.tracker.wait()).await.is_err() {
            tracing::warn!("connections of a metadata service are still ending after {} s", SHUTDOWN.as_secs());
        }
    }
}

fn open(
    doors: &Doors,
    metadata: &Arc<Metadata>,
    tracker: &TaskTracker,
    stop: &CancellationToken,
) -> Result<(), SimError> {
    let opened = doors
        .open(tracker, stop, |listener, connections| serve(Arc::clone(metadata), Speech::Http, listener, connections));
    opened.map_err(listen_error)
}

fn listen_error(DoorError { address, source }: DoorError) -> SimError {
    SimError::MetadataListen { address, source }
}
