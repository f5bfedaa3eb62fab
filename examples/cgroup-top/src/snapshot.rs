//! What was counted up to a moment, and whose it is: plain values.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use cgroup_perf::events::Event;
use cgroup_perf::loader::Capabilities;
use cgroup_perf::quality::Counter;
use cgroup_perf::sample::CgroupId;
use cgroup_perf::totals::Usage;

/// A container, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Owner {
    pub(crate) id: String,
    pub(crate) namespace: Option<String>,
    pub(crate) pod: Option<String>,
    pub(crate) pod_uid: Option<String>,
    pub(crate) container: Option<String>,
}

impl Owner {
    /// `namespace/pod/container`, with what else tells it apart where that is not known.
    pub(crate) fn name(&self) -> String {
        let short = |text: &str| text.get(..12).unwrap_or(text).to_owned();
        let pod = match (&self.pod, &self.pod_uid) {
            (Some(pod), _) => Some(pod.clone()),
            (None, Some(uid)) => Some(format!("pod {}", short(uid))),
            (None, None) => None,
        };
        let container = self.container.clone().unwrap_or_else(|| short(&self.id));
        [self.namespace.clone(), pod, Some(container)].into_iter().flatten().collect::<Vec<_>>().join("/")
    }
}

/// Where a cgroup is.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// From the mount; the root's is empty.
    pub(crate) path: Arc<Path>,
    pub(crate) parent: CgroupId,
    pub(crate) removed: bool,
    /// The container that it is of, or lies in.
    pub(crate) owner: Option<Arc<Owner>>,
}

/// Everything up to a moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Snapshot {
    /// In nanoseconds of `CLOCK_MONOTONIC`.
    pub(crate) at: u64,
    /// What the tasks of a cgroup itself did.
    pub(crate) own: HashMap<CgroupId, Usage>,
    /// What they and all below did.
    pub(crate) subtrees: HashMap<CgroupId, Usage>,
    pub(crate) places: HashMap<CgroupId, Place>,
}

/// What is counted, in order, and what of it has a column of its own.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counted {
    pub(crate) names: Vec<String>,
    pub(crate) counters: Vec<Counter>,
    pub(crate) cycles: Option<usize>,
    pub(crate) instructions: Option<usize>,
    pub(crate) misses: Option<usize>,
}

impl Counted {
    pub(crate) fn of(capabilities: &Capabilities) -> Self {
        let counters = &capabilities.counters;
        let place = |event: &Event| counters.iter().position(|counter| counter.event == *event);
        Self {
            names: counters.iter().map(|counter| counter.name.clone()).collect(),
            counters: counters.iter().map(|counter| Counter::by_name(&counter.name)).collect(),
            cycles: place(&Event::Cycles),
            instructions: place(&Event::Instructions),
            misses: place(&Event::LlcMisses),
        }
    }

    /// Those that no other column tells of.
    pub(crate) fn others(&self) -> impl Iterator<Item = (usize, &str)> {
        let has_column = [self.cycles, self.instructions, self.misses];
        let others = self.names.iter().map(String::as_str).enumerate();
        others.filter(move |(number, name)| {
            !has_column.contains(&Some(*number)) && !matches!(*name, "task-clock" | "cpu-clock" | "context-switches")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_called_by_what_is_known_of_it() {
        let text = |text: &str| Some(text.to_owned());
        let mut owner = Owner { id: "0123456789abcdef".to_owned(), ..Owner::default() };
        assert_eq!(owner.name(), "0123456789ab");
        owner.pod_uid = text("6f1c9a3e-77aa-4a53-b0c4-0a5d3c1f2e10");
        assert_eq!(owner.name(), "pod 6f1c9a3e-77a/0123456789ab");
        (owner.namespace, owner.pod, owner.container) = (text("shop"), text("web-0"), text("app"));
        assert_eq!(owner.name(), "shop/web-0/app");
    }

    #[test]
    fn clocks_and_switches_have_columns_already() {
        let names = ["task-clock", "context-switches", "page-faults", "migrations"].map(str::to_owned).to_vec();
        let counted = Counted { names, ..Counted::default() };
        assert_eq!(counted.others().collect::<Vec<_>>(), [(2, "page-faults"), (3, "migrations")]);
    }
}
