//! Deciding what a simulator is like before it starts.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::RwLock;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::access::{Access, Deny};
use crate::chores::Chores;
use crate::clock::Clock;
use crate::direct;
use crate::error::SimError;
use crate::fault::Rules;
use crate::kubelet::core::Core;
use crate::population::{Population, PopulationSpec};
use crate::rbac;
use crate::requests::Requests;
use crate::server::{Server, Settings};
use crate::sim::Sim;
use crate::sim::endpoint::{Endpoint, MakeEndpoint};
use crate::store::{Limits, Store};
use crate::user::EVERYBODY;

/// The namespaces of every cluster.
const NAMESPACES: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];

/// What a simulator is to be like; made by [`Sim::builder`], ended by [`start`](Self::start).
#[must_use = "a builder does nothing until it is started"]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each with a setter of its own")]
pub struct SimBuilder<'a> {
    port: u16,
    tokens: BTreeMap<String, String>,
    denied: Vec<Deny>,
    rbac: bool,
    version: String,
    now: Option<Timestamp>,
    streaming_lists: bool,
    sharded_lists: bool,
    expired_watch_as_status: bool,
    endpoint: MakeEndpoint,
    history: usize,
    watch_queue: usize,
    page_token_ttl: Duration,
    bookmark_interval: Duration,
    watch_timeout: Duration,
    pod_termination: Option<Duration>,
    versions: Vec<(String, String, Vec<String>)>,
    sources: Vec<Source<'a>>,
}

enum Source<'a> {
    Objects(Box<dyn Iterator<Item = Value> + 'a>),
    Population(PopulationSpec),
}

impl std::fmt::Debug for SimBuilder<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SimBuilder")
            .field("port", &self.port)
            .field("version", &self.version)
            .field("streaming_lists", &self.streaming_lists)
            .field("history", &self.history)
            .field("sources", &self.sources.len())
            .finish_non_exhaustive()
    }
}

impl<'a> SimBuilder<'a> {
    pub(crate) fn new() -> Self {
        Self {
            port: 0,
            tokens: BTreeMap::new(),
            denied: Vec::new(),
            rbac: false,
            version: "v1.36.0".to_owned(),
            now: None,
            streaming_lists: true,
            sharded_lists: false,
            expired_watch_as_status: false,
            endpoint: Endpoint::http,
            history: 16_384,
            watch_queue: 16_384,
            page_token_ttl: Duration::from_mins(5),
            bookmark_interval: Duration::from_mins(1),
            watch_timeout: Duration::from_mins(30),
            pod_termination: Some(Duration::from_secs(1)),
            versions: Vec::new(),
            sources: Vec::new(),
        }
    }

    /// The port on 127.0.0.1; 0, the default, is any that is free.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Serve TLS, as real servers do, with a certificate by the cluster's authority ([`Sim::ca_pem`]) for 127.0.0.1,
    /// localhost, `kubernetes`, `kubernetes.default` and `kubernetes.default.svc`; plain HTTP by default. The handle's
    /// clients and configurations know the authority.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, on: bool) -> Self {
        self.endpoint = if on { Endpoint::tls } else { Endpoint::http };
        self
    }

    /// Ask for this bearer token, which makes a client the user `system:admin`. Without any token, everybody is.
    pub fn token(self, token: impl Into<String>) -> Self {
        self.token_of(token, EVERYBODY)
    }

    /// Know this bearer token as that user's. The first one added is the one of the handle's own client and
    /// configurations.
    pub fn token_of(mut self, token: impl Into<String>, user: impl Into<String>) -> Self {
        self.tokens.insert(token.into(), user.into());
        self
    }

    /// Take a right away.
    pub fn deny(mut self, rule: Deny) -> Self {
        self.denied.push(rule);
        self
    }

    /// Whether users may do only what roles allow them, as in a real cluster; `false` by default: everybody may do
    /// everything that no rule denies.
    ///
    /// The roles are the objects of the simulated cluster: Roles and ClusterRoles, given to users, groups and service
    /// accounts (`system:serviceaccount:NAMESPACE:NAME`) by RoleBindings and ClusterRoleBindings. The roles that every
    /// cluster grants everybody (`system:discovery`, `system:basic-user`, `system:public-info-viewer`) and
    /// `cluster-admin` are stored with the first objects. `system:admin`, and the group `system:masters`, may do
    /// everything. ClusterRoles with an `aggregationRule` are taken as they are stored.
    pub fn rbac(mut self, on: bool) -> Self {
        self.rbac = on;
        self
    }

    /// The version that the server says it has; `v1.36.0` by default. It changes nothing else.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = version.into();
        self
    }

    /// What the server takes for the time when it starts; the system's by default. From there on it goes by tokio's clock,
    /// see [`Sim::now`]. With a population, the moment that it is
    /// [seen at](crate::population::PopulationSpec::now) makes ages exact, and kubelets' documents the same each time.
    pub fn now(mut self, now: Timestamp) -> Self {
        self.now = Some(now);
        self
    }

    /// Whether watches may ask for the initial events (`sendInitialEvents`); `true` by default. If not, such a watch
    /// is answered 422, as old servers do.
    pub fn streaming_lists(mut self, on: bool) -> Self {
        self.streaming_lists = on;
        self
    }

    /// Whether lists and watches can ask for a part by `shardSelector` (KEP-5866); `false` by default, as for most
    /// servers, which pass the parameter by and send everything.
    pub fn sharded_lists(mut self, on: bool) -> Self {
        self.sharded_lists = on;
        self
    }

    /// Answer a watch at a version that is too old with HTTP status 410 instead of an ERROR event in the stream;
    /// `false` by default, as newer servers do.
    pub fn expired_watch_as_status(mut self, on: bool) -> Self {
        self.expired_watch_as_status = on;
        self
    }

    /// How many changes are remembered per resource; 16,384 by default. What is older answers 410.
    pub fn history(mut self, changes: usize) -> Self {
        self.history = changes;
        self
    }

    /// How many changes may wait for one watch before it is let go as too slow; 16,384 by default.
    pub fn watch_queue(mut self, changes: usize) -> Self {
        self.watch_queue = changes.max(1);
        self
    }

    /// How long a list may be continued after its first page; five minutes by default. Later: 410.
    pub fn page_token_ttl(mut self, ttl: Duration) -> Self {
        self.page_token_ttl = ttl;
        self
    }

    /// How often a watch that allows bookmarks gets one, if there is something new to say; a minute by default.
    pub fn bookmark_interval(mut self, interval: Duration) -> Self {
        self.bookmark_interval = interval.max(Duration::from_millis(1));
        self
    }

    /// When watches that ask for no timeout end: between this and twice this; half an hour by default.
    pub fn watch_timeout(mut self, timeout: Duration) -> Self {
        self.watch_timeout = timeout;
        self
    }

    /// How long a pod on a node takes to end once it is deleted, if its grace period is not over before; a second by
    /// default. `None`: it stays until [`Sim::delete`] removes it.
    pub fn pod_termination(mut self, after: Option<Duration>) -> Self {
        self.pod_termination = after;
        self
    }

    /// Serve a built-in resource in other versions than usual; see [`Sim::serve_versions`].
    pub fn serve_versions(mut self, group: &str, plural: &str, versions: &[&str]) -> Self {
        let versions = versions.iter().map(|version| (*version).to_owned()).collect();
        self.versions.push((group.to_owned(), plural.to_owned(), versions));
        self
    }

    /// Start with these objects, in this order: definitions before custom resources. They are stored as
    /// [`Sim::upsert`] does.
    pub fn objects(mut self, objects: impl IntoIterator<Item = Value, IntoIter: 'a>) -> Self {
        self.sources.push(Source::Objects(Box::new(objects.into_iter())));
        self
    }

    /// Start with the objects of a population.
    pub fn population(mut self, spec: &PopulationSpec) -> Self {
        self.sources.push(Source::Population(spec.clone()));
        self
    }

    /// Load the objects, then listen. Loading happens in the call itself, listening when the future is polled.
    pub fn start(self) -> impl Future<Output = Result<Sim, SimError>> + Send + use<> {
        let port = self.port;
        let endpoint = self.endpoint;
        let server = self.load();
        async move {
            let server = server?;
            let address = (Ipv4Addr::LOCALHOST, port);
            let listener = TcpListener::bind(address).await.map_err(|source| SimError::Listen { port, source })?;
            Sim::run(Arc::new(server.0), server.1, listener, endpoint)
        }
    }

    /// The server, and the token of the handle's own client.
    fn load(self) -> Result<(Server, Option<String>), SimError> {
        let clock = self.now.map_or_else(Clock::start, Clock::start_at);
        let limits = Limits { history: self.history, watch_queue: self.watch_queue };
        let store = Store::new(limits, clock);
        {
            let mut state = store.state.write();
            for (group, plural, versions) in self.versions {
                if !state.serve_versions(&group, &plural, &versions) {
                    return Err(SimError::UnknownKind { api_version: group, kind: plural });
                }
            }
            for name in NAMESPACES {
                direct::upsert(&mut state, namespace(name))?;
            }
            if self.rbac {
                rbac::defaults::ensure(&mut state)?;
            }
            for source in self.sources {
                match source {
                    Source::Objects(objects) => load(&mut state, objects)?,
                    Source::Population(spec) => load(&mut state, Population::new(&spec).objects())?,
                }
            }
            // How the first state came about is nobody's business, and would keep every first version in memory.
            state.compact();
        }
        let own_token = self.tokens.iter().find(|(_, user)| *user == EVERYBODY).or(self.tokens.first_key_value());
        let own_token = own_token.map(|(token, _)| token.clone());
        let settings = Settings {
            version: self.version,
            page_token_ttl: self.page_token_ttl,
            bookmark_interval: self.bookmark_interval,
            watch_timeout: self.watch_timeout,
            pod_termination: self.pod_termination,
            rbac: AtomicBool::new(self.rbac),
            streaming_lists: AtomicBool::new(self.streaming_lists),
            sharded_lists: AtomicBool::new(self.sharded_lists),
            expired_watch_as_status: AtomicBool::new(self.expired_watch_as_status),
        };
        let server = Server {
            store,
            access: RwLock::new(Access { open: self.tokens.is_empty(), tokens: self.tokens, denied: self.denied }),
            faults: Rules::new(),
            requests: Requests::default(),
            settings,
            chores: Chores::default(),
            clock,
            kubelets: Core::default(),
        };
        Ok((server, own_token))
    }
}

fn load(state: &mut crate::store::State, objects: impl Iterator<Item = Value>) -> Result<(), SimError> {
    for object in objects {
        direct::upsert(state, object)?;
    }
    Ok(())
}

fn namespace(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}},
        "spec": {"finalizers": ["kubernetes"]},
        "status": {"phase": "Active"},
    })
}
