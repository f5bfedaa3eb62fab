//! Publishing a node's metadata as a Lease, for as long as the node lives.
//!
//! The writer asks its source, writes what it learnt, and renews the Lease every hour. Nodes that start together part: it
//! waits up to 30 s before the first request, up to an hour before the first renewal, and a tenth more or less before
//! each later one. After a failure it waits 1 to 30 s, or as long as the server says.
//!
//! # Rights
//!
//! | verb | on | for |
//! |---|---|---|
//! | `create`, `patch`, `get` | `leases` in the namespace | server-side apply; `get` where the Lease was changed by others |
//! | `create`, `get`, `update` | `leases` in the namespace | where `patch` is forbidden |
//! | `delete` | `leases` in the namespace | [`OnStop::Delete`]; and to set an owner, where the admission plugin `OwnerReferencesPermissionEnforcement` is on, as on OpenShift |
//! | `get` | `nodes` | [`Owner::Node`] |

mod lease;
mod leases;
mod owner;
mod publish;
mod run;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::Client;
use parking_lot::Mutex;
use thiserror::Error;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

use self::leases::Leases;
use self::owner::Ownership;
pub use self::publish::Mode;
pub(crate) use self::publish::Published;
use self::publish::Publisher;
use self::run::Writer;
use crate::clock::{Clock, WallClock};
use crate::contract::{Contract, ContractError};
use crate::metadata::NodeMetadata;
use crate::names::is_label;
use crate::pace::Jitter;
use crate::source::MetadataSource;
use crate::source::node::NodeObject;

/// How long a stop may take.
const STOP_DEADLINE: Duration = Duration::from_secs(5);

/// A writer that can't be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WriterError {
    /// The Lease can't have this name.
    #[error(transparent)]
    Contract(#[from] ContractError),
    /// Nothing says in which namespace, or what says so is no namespace's name.
    #[error(
        "{namespace:?} is no namespace: give the one whose Leases the reader watches (K8S_NAMESPACE from the downward API)"
    )]
    BadNamespace {
        /// What was given.
        namespace: String,
    },
    /// The Node's uid is empty.
    #[error("the Node's uid is empty: let it be looked up (`Owner::Node`), or have no owner (`Owner::None`)")]
    NoNodeUid,
    /// Nothing says who holds the Lease.
    #[error(
        "the holder identity is empty: give the pod's name (from the downward API), so that its successor is told apart"
    )]
    NoHolder,
    /// Pauses after failures are none.
    #[error(
        "pauses from {shortest:?} to {longest:?} are none: the first must be more than 0, and not more than the last"
    )]
    BadBackoff {
        /// The first pause.
        shortest: Duration,
        /// The longest.
        longest: Duration,
    },
    /// There is nothing to run it on.
    #[error("there is no tokio runtime here: start the writer from within one")]
    NoRuntime,
    /// It was started before.
    #[error("the writer was started before: build another one")]
    AlreadyStarted,
}

/// What becomes of the Lease when its writer stops.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnStop {
    /// It is deleted, if this writer still holds it.
    #[default]
    Delete,
    /// It stays, until its time is over or its Node goes: no gap while a DaemonSet is updated.
    Keep,
}

/// Who owns the Lease, so that it is collected when they go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Owner {
    /// The Node, whose uid is looked up; needs the right to `get` Nodes. Without it the Lease has no owner.
    #[default]
    Node,
    /// The Node, whose uid is this.
    NodeUid(String),
    /// Nobody: the Lease of a node that died stays, as the CloudWatch agent's do.
    None,
}

/// How a writer is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum WriterState {
    /// It waits for its first turn, or for the first answer.
    Starting,
    /// The source has told nothing yet; see [`WriterStatus::problems`].
    NoMetadata,
    /// The Lease is written, and renewed.
    Held,
    /// Another writer has taken the Lease over. It is watched, and taken back if that one stops renewing it.
    Superseded {
        /// Its identity.
        by: String,
    },
    /// The last attempt failed; the next one follows soon.
    Failing {
        /// Why.
        error: String,
    },
    /// It was stopped.
    Stopped(StopOutcome),
}

/// What became of the Lease in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StopOutcome {
    /// It was deleted.
    Deleted,
    /// It was left, as was wanted.
    Kept,
    /// There was none of this writer's: never written, gone, or taken over by another.
    NotHeld,
    /// It could not be deleted in time, or the writer's task ended by a panic of its source. It ends by itself.
    NotDeleted,
}

/// A writer's status.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WriterStatus {
    /// How it is doing.
    pub state: WriterState,
    /// What it knows.
    pub metadata: NodeMetadata,
    /// What the source could not tell the last time, and why.
    pub problems: Vec<String>,
    /// When the Lease was last written.
    pub renewed: Option<Timestamp>,
    /// How it is written.
    pub mode: Mode,
}

/// What a writer is to be like; [`build`](Self::build) checks it.
#[must_use = "a builder does nothing until it is built"]
pub struct LeaseWriterBuilder {
    client: Client,
    source: Arc<dyn MetadataSource>,
    node: String,
    namespace: String,
    holder: String,
    contract: Contract,
    owner: Owner,
    on_stop: OnStop,
    start_jitter: Duration,
    backoff: (Duration, Duration),
    deadline: Duration,
    clock: WallClock,
    seed: Option<u64>,
}

impl fmt::Debug for LeaseWriterBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeaseWriterBuilder")
            .field("source", &self.source.name())
            .field("node", &self.node)
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

impl LeaseWriterBuilder {
    /// What writer and reader agree on; the CloudWatch agent's [contract](Contract::cloudwatch) by default.
    pub fn contract(mut self, contract: Contract) -> Self {
        self.contract = contract;
        self
    }

    /// Who owns the Lease; its Node by default.
    pub fn owner(mut self, owner: Owner) -> Self {
        self.owner = owner;
        self
    }

    /// What becomes of the Lease at the end; it is deleted by default.
    pub fn on_stop(mut self, on_stop: OnStop) -> Self {
        self.on_stop = on_stop;
        self
    }

    /// The longest wait before the first request, of which a random part is waited for; 30 s by default.
    pub fn start_jitter(mut self, longest: Duration) -> Self {
        self.start_jitter = longest;
        self
    }

    /// The first and the longest pause after failures; 1 s and 30 s by default.
    pub fn backoff(mut self, shortest: Duration, longest: Duration) -> Self {
        self.backoff = (shortest, longest);
        self
    }

    /// What a request to the API server may take; 10 s by default.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Another clock than the system's.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = WallClock(Arc::new(clock));
        self
    }

    /// What decides the random parts of all pauses, for tests.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Checks everything that can be checked without a server.
    pub fn build(self) -> Result<LeaseWriter, WriterError> {
        let lease_name = self.contract.lease_name(&self.node)?;
        if !is_label(&self.namespace) {
            return Err(WriterError::BadNamespace { namespace: self.namespace });
        }
        if matches!(&self.owner, Owner::NodeUid(uid) if uid.is_empty()) {
            return Err(WriterError::NoNodeUid);
        }
        if self.holder.is_empty() {
            return Err(WriterError::NoHolder);
        }
        let (shortest, longest) = self.backoff;
        if shortest.is_zero() || shortest > longest {
            return Err(WriterError::BadBackoff { shortest, longest });
        }
        let mode = Mode::Apply;
        let status = WriterStatus {
            state: WriterState::Starting,
            metadata: NodeMetadata::new(),
            problems: Vec::new(),
            renewed: None,
            mode,
        };
        let unstarted = Mutex::new(Some(watch::Sender::new(status)));
        Ok(LeaseWriter { lease_name, settings: self, unstarted })
    }
}

/// Publishes a node's metadata as a Lease.
///
/// ```no_run
/// use node_lease::source::node::NodeObject;
/// use node_lease::{LeaseWriter, OnStop};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// // The writer retries by itself, at its own pace.
/// let mut config = kube::Config::infer().await?;
/// config.default_retry = false;
/// let client = kube::Client::try_from(config)?;
/// let (node, pod) = (std::env::var("K8S_NODE_NAME")?, std::env::var("K8S_POD_NAME")?);
/// let source = NodeObject::new(client.clone(), &node);
/// let writer = LeaseWriter::builder(client, source, node, "amazon-cloudwatch", pod).on_stop(OnStop::Keep).build()?;
/// let handle = writer.spawn()?;
/// handle.held().await;
/// // … until the agent ends:
/// handle.shutdown().await;
/// # Ok(())
/// # }
/// ```
pub struct LeaseWriter {
    settings: LeaseWriterBuilder,
    lease_name: String,
    /// Until it is started.
    unstarted: Mutex<Option<watch::Sender<WriterStatus>>>,
}

impl fmt::Debug for LeaseWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeaseWriter").field("lease", &self.lease_name).finish_non_exhaustive()
    }
}

impl LeaseWriter {
    /// A writer of `node`'s Lease in `namespace`. `holder` identifies the pod that writes: it tells a Lease that is
    /// still held from one that the pod's successor has taken over. The client must not retry by itself
    /// (`kube::Config::default_retry = false`): it would hide how long a server asks to wait, and try more often.
    pub fn builder(
        client: Client,
        source: impl MetadataSource,
        node: impl Into<String>,
        namespace: impl Into<String>,
        holder: impl Into<String>,
    ) -> LeaseWriterBuilder {
        LeaseWriterBuilder {
            client,
            source: Arc::new(source),
            node: node.into(),
            namespace: namespace.into(),
            holder: holder.into(),
            contract: Contract::default(),
            owner: Owner::default(),
            on_stop: OnStop::default(),
            start_jitter: Duration::from_secs(30),
            backoff: (Duration::from_secs(1), Duration::from_secs(30)),
            deadline: Duration::from_secs(10),
            clock: WallClock::default(),
            seed: None,
        }
    }

    /// The name of the Lease.
    pub fn lease_name(&self) -> &str {
        &self.lease_name
    }

    /// Starts it, on the runtime that this is called from. It can be started once.
    pub fn spawn(&self) -> Result<WriterHandle, WriterError> {
        let runtime = Handle::try_current().map_err(|_| WriterError::NoRuntime)?;
        let status = self.unstarted.lock().take().ok_or(WriterError::AlreadyStarted)?;
        let receiver = status.subscribe();
        let settings = &self.settings;
        let leases = Leases {
            client: settings.client.clone(),
            namespace: settings.namespace.clone(),
            name: self.lease_name.clone(),
            deadline: settings.deadline,
        };
        let node = NodeObject::new(settings.client.clone(), settings.node.clone());
        let ownership = Ownership::new(settings.owner.clone(), node, settings.node.clone());
        let (contract, clock) = (settings.contract.clone(), settings.clock.clone());
        let publisher = Publisher::new(leases, contract, settings.holder.clone(), ownership, clock);
        let writer = Writer {
            source: settings.source.clone(),
            publisher,
            jitter: Jitter::new(settings.seed),
            start_jitter: settings.start_jitter,
            backoff: settings.backoff,
            status,
            told_held: false,
        };
        let (stop, drop) = (CancellationToken::new(), CancellationToken::new());
        runtime.spawn(run(writer, stop.clone(), drop.clone(), settings.on_stop));
        Ok(WriterHandle { stop, status: receiver, _drop: Arc::new(drop.drop_guard()) })
    }
}

/// The writer's whole life. `stop` ends it in an orderly way, `dropped` at once.
async fn run(mut writer: Writer, stop: CancellationToken, dropped: CancellationToken, on_stop: OnStop) {
    let outcome = tokio::select! {
        () = writer.keep() => StopOutcome::NotHeld,
        () = dropped.cancelled() => StopOutcome::Kept,
        () = stop.cancelled() => match on_stop {
            OnStop::Keep => StopOutcome::Kept,
            OnStop::Delete => match timeout(STOP_DEADLINE, writer.publisher.release()).await {
                Ok(Ok(true)) => StopOutcome::Deleted,
                Ok(Ok(false)) => StopOutcome::NotHeld,
                Ok(Err(error)) => {
                    tracing::warn!(%error, "the Lease could not be deleted; it ends by itself");
                    StopOutcome::NotDeleted
                }
                Err(_) => {
                    tracing::warn!("the Lease could not be deleted within {STOP_DEADLINE:?}; it ends by itself");
                    StopOutcome::NotDeleted
                }
            },
        },
    };
    writer.status.send_modify(|status| status.state = WriterState::Stopped(outcome));
}

/// A running writer. Clones are handles of the same one; when the last is dropped, it stops, and its Lease stays.
#[derive(Debug, Clone)]
pub struct WriterHandle {
    stop: CancellationToken,
    status: watch::Receiver<WriterStatus>,
    _drop: Arc<DropGuard>,
}

impl WriterHandle {
    /// How it is doing.
    pub fn status(&self) -> WriterStatus {
        self.status.borrow().clone()
    }

    /// Waits until the Lease is written, or the writer has stopped.
    pub async fn held(&self) {
        self.wait_for(|state| matches!(state, WriterState::Held | WriterState::Stopped(_))).await;
    }

    /// Waits until its state is as wanted.
    pub async fn wait_for(&self, mut wanted: impl FnMut(&WriterState) -> bool) {
        // The sender lives as long as the task, which says what it ends with.
        let _ = self.status.clone().wait_for(|status| wanted(&status.state)).await;
    }

    /// Stops the writer, within five seconds, and tells what became of the Lease. Calling it again tells the same.
    pub async fn shutdown(&self) -> StopOutcome {
        self.stop.cancel();
        let mut outcome = StopOutcome::NotDeleted;
        self.wait_for(|state| match state {
            WriterState::Stopped(known) => {
                outcome = *known;
                true
            }
            _ => false,
        })
        .await;
        outcome
    }
}
