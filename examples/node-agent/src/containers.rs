//! Which containers there are: by the runtime, and by the tree of cgroups.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cgroup_perf::mount::Hierarchy;
use cgroup_perf::totals::Totals;
use cgroup_perf::tree::Tree;
use example_host::clock::monotonic;
use example_host::names::Names;
use example_host::page::Health;
use example_host::runtime;
use nri_plugin::Connector;
use nri_plugin::cgroup::CgroupFs;
use nri_plugin::connector::State as Connection;
use nri_plugin::index::{Container, ContainerIndex, Kind};
use nri_plugin::launch::Endpoint;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::NAME;
use crate::parts::{Backoff, State};
use crate::settings::Settings;
use crate::text::Text;

/// How often the connection is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// How often the tree is looked at, at most, while samples are written.
const WHILE_WRITING: Duration = Duration::from_millis(500);

/// Where the cgroups are.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) cgroups: CgroupFs,
    pub(crate) tree: PathBuf,
}

impl Place {
    /// This machine's.
    pub(crate) fn discover() -> anyhow::Result<Self> {
        Ok(Self { cgroups: CgroupFs::discover()?, tree: Hierarchy::discover()?.mount })
    }
}

/// What is known.
pub(crate) struct Containers {
    pub(crate) index: ContainerIndex,
    pub(crate) names: Arc<Names>,
    /// What was counted, which goes with its cgroups.
    pub(crate) totals: Arc<Mutex<Totals>>,
}

impl Containers {
    fn new(place: &Place) -> anyhow::Result<Self> {
        let index = ContainerIndex::builder(place.cgroups.clone()).build();
        let names = Arc::new(Names::new(index.clone(), Tree::new(&*place.tree)?));
        let totals = Arc::new(Mutex::new(Totals::new(&[])));
        names.look(monotonic())?;
        Ok(Self { index, names, totals })
    }

    /// Those that run, without the pods' sandboxes.
    pub(crate) fn living(&self) -> Vec<Arc<Container>> {
        let mut living = self.index.containers();
        living.retain(|container| container.kind != Kind::Sandbox && !container.is_ended());
        living
    }

    /// A series for each of them.
    pub(crate) fn metrics(&self, text: &mut Text) {
        let head =
            ("node_agent_container_info", "gauge", "A container that runs: who it is, and its image where known.");
        for container in self.living() {
            let labels = [
                ("namespace", container.namespace()),
                ("pod", container.pod_name()),
                ("pod_uid", container.pod_uid()),
                ("container", container.name()),
                ("container_id", Some(&*container.id)),
                ("image", container.image()),
            ];
            text.sample(head, &labels.map(|(name, value)| (name, value.unwrap_or_default())), 1.0);
        }
    }
}

/// What a watch is told by.
pub(crate) type Found = watch::Sender<Option<Arc<Containers>>>;

/// How it is to be done.
pub(crate) struct Options {
    /// None: this machine, found out when it is time.
    pub(crate) place: Option<Place>,
    /// None where no runtime is to be asked.
    pub(crate) socket: Option<PathBuf>,
    /// Whether anything is counted.
    pub(crate) counts: bool,
    pub(crate) settings: Settings,
}

/// Keeps what is known until `stop`.
pub(crate) async fn run(options: Options, found: &Found, state: &State, stop: &CancellationToken) {
    let mut backoff = Backoff::new();
    let containers = loop {
        let place = options.place.clone().map_or_else(Place::discover, Ok);
        match place.and_then(|place| Containers::new(&place)) {
            Ok(containers) => break Arc::new(containers),
            Err(error) => state.failed(format!("no cgroups: {error:#}")),
        }
        if stop.run_until_cancelled(tokio::time::sleep(backoff.next())).await.is_none() {
            return;
        }
    };
    found.send_replace(Some(Arc::clone(&containers)));
    let tending = async {
        tokio::join!(containers.index.run(), look(&containers, options.settings, options.counts), async {
            match &options.socket {
                Some(socket) => join(&containers, socket, state, stop).await,
                None => state.set(Health::Absent, Some("switched off: containers have ids, and no names".to_owned())),
            }
            // The index goes on.
            std::future::pending::<()>().await;
        });
    };
    stop.run_until_cancelled(tending).await;
}

/// Looks for cgroups that are new, and those that are gone: each interval; while samples are written, as soon as one comes
/// whose cgroup nobody knows. (All of a tree's directories are much to look at each half second, and the runtime tells of
/// most that is new.)
async fn look(containers: &Containers, mut settings: Settings, counts: bool) {
    loop {
        let (names, totals) = (Arc::clone(&containers.names), Arc::clone(&containers.totals));
        containers.names.take_missed();
        let looked = tokio::task::spawn_blocking(move || names.look_with(&mut totals.lock(), monotonic())).await;
        if let Ok(Err(error)) = looked {
            tracing::error!("{error}: new containers have no names");
        }
        let begun = Instant::now();
        loop {
            let flags = settings.current();
            let writes = counts && flags.parquet.is_some();
            // Samples of a container that is new wait for longer than that.
            let left = flags.interval.saturating_sub(begun.elapsed());
            settings.pause(if writes { left.min(WHILE_WRITING) } else { left }).await;
            if begun.elapsed() >= flags.interval || writes && containers.names.take_missed() {
                break;
            }
        }
    }
}

/// Has the runtime tell, again and again.
async fn join(containers: &Containers, socket: &std::path::Path, state: &State, stop: &CancellationToken) {
    let mut backoff = Backoff::new();
    while !stop.is_cancelled() {
        match runtime::connect(&containers.index, NAME, Endpoint::Socket(socket.to_owned())) {
            Ok(connector) => follow(containers, &connector, state).await,
            Err(error) => state.failed(format!("{error:#}")),
        }
        containers.names.set_runtime(false);
        tokio::time::sleep(backoff.next()).await;
    }
}

/// Says how the connection is, until it is over. Dropping the connector ends it.
async fn follow(containers: &Containers, connector: &Connector, state: &State) {
    let mut turns = tokio::time::interval(LOOK);
    loop {
        turns.tick().await;
        let connection = connector.states().borrow().clone();
        containers.names.set_runtime(matches!(connection, Connection::Joined { .. }));
        let count = containers.living().len();
        let without = |why: String| match count {
            0 => state.failed(why),
            _ => state.set(Health::Degraded, Some(format!("containers have ids, and no names: {why}"))),
        };
        match connection {
            Connection::Joined { runtime, .. } => {
                state.detail(format!("{count} containers by {} {}", runtime.name, runtime.version));
                state.ok();
            }
            Connection::Connecting { last: Some(why) } => {
                state.detail(format!("{count} containers by the names of their cgroups"));
                without(why.to_string());
            }
            Connection::Ended(Err(error)) => return without(error.to_string()),
            Connection::Ended(Ok(end)) => return without(format!("the session ended: {end:?}")),
            // It connects, and nothing went wrong yet.
            _ => {}
        }
    }
}
