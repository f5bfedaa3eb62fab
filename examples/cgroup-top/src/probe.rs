//! This machine → snapshots.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::Context;
use cgroup_perf::CgroupPerf;
use cgroup_perf::loader::Capabilities;
use cgroup_perf::mount::Hierarchy;
use cgroup_perf::sample::CgroupId;
use cgroup_perf::totals::Totals;
use cgroup_perf::tree::{Progress, Subtrees, Tree};
use example_host::runtime;
use nri_plugin::Connector;
use nri_plugin::cgroup::CgroupFs;
use nri_plugin::connector::State;
use nri_plugin::index::{Container, ContainerIndex};
use nri_plugin::launch::Endpoint;
use rustix::time::{ClockId, clock_gettime};
use tokio::task::JoinHandle;

use crate::flags::Flags;
use crate::snapshot::{Counted, Owner, Place, Snapshot};

/// Totals are as of the last end of a slot: ten milliseconds are no time for eyes, and cost a tenth of what one does.
const SLOT: std::time::Duration = std::time::Duration::from_millis(10);
/// Entries of directories that are looked at in one go.
const ENTRIES: usize = 100_000;

/// Counts, and knows names.
pub(crate) struct Probe {
    perf: CgroupPerf,
    pub(crate) counted: Counted,
    totals: Totals,
    subtrees: Subtrees,
    /// None where no cgroup2 is mounted: then there are ids alone.
    names: Option<Names>,
    note: Option<String>,
}

/// Which cgroup is where, and which container it is of.
struct Names {
    tree: Tree,
    index: ContainerIndex,
    connector: Option<Connector>,
    tidying: JoinHandle<()>,
    owners: HashMap<String, Arc<Owner>>,
}

impl Probe {
    pub(crate) async fn start(flags: &Flags) -> anyhow::Result<Self> {
        let mut builder = CgroupPerf::builder().samples(false).slot(SLOT);
        if !flags.counters.is_empty() {
            builder = builder.counters(flags.counters.clone());
        }
        let perf = builder.start().await.context("nothing can be counted")?;
        let counted = Counted::of(perf.capabilities());
        let totals = Totals::new(&counted.counters);
        let (names, note) = match Names::start(flags) {
            Ok(names) => (Some(names), None),
            Err(error) => (None, Some(format!("Cgroups have no names: {error:#}"))),
        };
        Ok(Self { perf, counted, totals, subtrees: Subtrees::default(), names, note })
    }

    pub(crate) fn capabilities(&self) -> &Capabilities {
        self.perf.capabilities()
    }

    /// What a reader of the figures has to know.
    pub(crate) fn notes(&self) -> Vec<String> {
        let mut notes: Vec<_> = self.note.iter().cloned().collect();
        notes.extend(self.names.as_ref().and_then(Names::note));
        let health = self.perf.status().map(|status| status.kernel).unwrap_or_default();
        if health.insert_failures > 0 {
            notes.push(format!("There was no room for more cgroups {} times.", health.insert_failures));
        }
        if health.read_failures > 0 {
            notes.push(format!("{} readings were refused by the kernel.", health.read_failures));
        }
        if self.totals.refused() > 0 {
            notes.push("There are more cgroups than are told apart.".to_owned());
        }
        notes
    }

    pub(crate) fn snapshot(&mut self) -> anyhow::Result<Snapshot> {
        let readings = self.perf.counters().context("the totals can't be read")?;
        let at = monotonic();
        for reading in &readings {
            self.totals.read(reading, at);
        }
        let mut snapshot = Snapshot { at, ..Snapshot::default() };
        if let Some(names) = &mut self.names {
            names.look(&mut self.totals, at)?;
            self.subtrees.fill(&names.tree, &self.totals);
            snapshot.subtrees = self.subtrees.iter().map(|(id, usage)| (id, *usage)).collect();
            snapshot.places = names.places();
        }
        snapshot.own = self.totals.iter().map(|(id, usage)| (id, *usage)).collect();
        Ok(snapshot)
    }

    pub(crate) async fn shutdown(self) {
        self.perf.shutdown().await;
        if let Some(names) = self.names {
            names.tidying.abort();
            if let Some(connector) = names.connector {
                let _ = connector.shutdown().await;
            }
        }
    }
}

impl Names {
    fn start(flags: &Flags) -> anyhow::Result<Self> {
        let tree = Tree::new(Hierarchy::discover()?.mount)?;
        let index = ContainerIndex::builder(CgroupFs::discover()?).build();
        index.scan();
        let asked = !flags.no_nri && flags.socket.exists();
        let endpoint = asked.then(|| Endpoint::Socket(flags.socket.clone()));
        let connector = endpoint.map(|endpoint| runtime::connect(&index, crate::NAME, endpoint)).transpose()?;
        let its = index.clone();
        let tidying = tokio::spawn(async move { its.run().await });
        Ok(Self { tree, index, connector, tidying, owners: HashMap::new() })
    }

    fn look(&mut self, totals: &mut Totals, now: u64) -> anyhow::Result<()> {
        while self.tree.scan(ENTRIES, now)? == Progress::Going {}
        self.tree.settle(totals, now);
        self.index.scan();
        Ok(())
    }

    fn places(&mut self) -> HashMap<CgroupId, Place> {
        let known = self.index.containers();
        let owners = known.iter().map(|container| {
            let owner = owner(container);
            let before = self.owners.get(&owner.id).filter(|before| ***before == owner);
            (owner.id.clone(), before.cloned().unwrap_or_else(|| Arc::new(owner)))
        });
        self.owners = owners.collect();
        let of = |cgroup: CgroupId| {
            let container = self.index.by_cgroup_id(cgroup.0)?;
            self.owners.get(&*container.id).cloned()
        };
        let place = |(cgroup, node): (CgroupId, &cgroup_perf::tree::Node)| {
            // What was made in a container since the index looked is the container's too.
            let owner = of(cgroup).or_else(|| self.tree.ancestors(cgroup).find_map(|(above, _)| of(above)));
            let removed = node.removed.is_some();
            (cgroup, Place { path: node.path.clone(), parent: node.parent, removed, owner })
        };
        self.tree.iter().map(place).collect()
    }

    fn note(&self) -> Option<String> {
        match &*self.connector.as_ref()?.states().borrow() {
            State::Joined { .. } => None,
            State::Connecting { last: Some(why) } => Some(format!("Containers have no names: {why}")),
            State::Ended(Err(error)) => Some(format!("Containers have no names: {error}")),
            _ => Some("Containers have no names yet: the runtime has not answered.".to_owned()),
        }
    }
}

fn owner(container: &Container) -> Owner {
    let text = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
    Owner {
        id: container.id.to_string(),
        namespace: text(container.namespace()),
        pod: text(container.pod_name()),
        pod_uid: text(container.pod_uid()),
        container: text(container.name()),
    }
}

fn monotonic() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    let part = |part: i64| u64::try_from(part).unwrap_or(0);
    part(time.tv_sec).saturating_mul(1_000_000_000).saturating_add(part(time.tv_nsec))
}
