//! Two snapshots → rows: what each container and cgroup did between them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use cgroup_perf::quality::{Quality, Verdict};
use cgroup_perf::sample::CgroupId;
use cgroup_perf::totals::Usage;

use crate::columns::Sort;
use crate::snapshot::{Counted, Owner, Place, Snapshot};

/// What a row is of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Key {
    Container(String),
    Cgroup(CgroupId),
}

/// What was done in some time.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Figures {
    /// Processors in use: 1.0 is one, all of the time.
    pub(crate) cpu: f64,
    pub(crate) ran: u64,
    pub(crate) switches: u64,
    /// What was counted, in the order of the counters.
    pub(crate) counts: Vec<Verdict>,
    /// Cycles per instruction.
    pub(crate) cpi: Option<f64>,
    /// Cache misses per thousand instructions.
    pub(crate) mpki: Option<f64>,
    seconds: f64,
}

impl Figures {
    pub(crate) fn of(usage: &Usage, counted: &Counted, nanoseconds: u64) -> Self {
        let seconds = nanoseconds.max(1) as f64 / 1e9;
        let verdicts = (0..counted.counters.len()).filter_map(|number| usage.verdict(&counted.counters, number));
        let counts: Vec<_> = verdicts.collect();
        let sound = |number: Option<usize>| {
            let verdict = counts.get(number?)?;
            let is_sound = matches!(verdict.quality, Quality::Exact | Quality::Scaled);
            verdict.figure.filter(|_| is_sound).map(|figure| figure as f64)
        };
        let per_instruction = |number| {
            let instructions = sound(counted.instructions).filter(|instructions| *instructions > 0.0)?;
            Some(sound(number)? / instructions)
        };
        let cpi = per_instruction(counted.cycles);
        let mpki = per_instruction(counted.misses).map(|misses| misses * 1e3);
        Self {
            cpu: usage.ran as f64 / 1e9 / seconds,
            ran: usage.ran,
            switches: usage.switches,
            counts,
            cpi,
            mpki,
            seconds,
        }
    }

    pub(crate) fn switches_per_second(&self) -> f64 {
        self.switches as f64 / self.seconds
    }

    /// None where there is no figure.
    pub(crate) fn per_second(&self, counter: usize) -> Option<f64> {
        Some(self.counts.get(counter)?.figure? as f64 / self.seconds)
    }

    fn is_idle(&self) -> bool {
        self.ran == 0 && self.switches == 0
    }
}

/// A line of the listing.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub(crate) key: Key,
    /// How far it is to be set in.
    pub(crate) depth: usize,
    pub(crate) name: String,
    /// From the mount; none for a cgroup that no walk has seen.
    pub(crate) path: Option<String>,
    pub(crate) cgroups: Vec<u64>,
    pub(crate) owner: Option<Arc<Owner>>,
    pub(crate) removed: bool,
    pub(crate) figures: Figures,
}

/// What is to be listed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Choice {
    pub(crate) sort: Sort,
    /// The tree, or a flat list.
    pub(crate) tree: bool,
    /// Also what did nothing.
    pub(crate) all: bool,
    /// What a name or path is to have in it.
    pub(crate) filter: String,
}

/// What was done between two snapshots.
pub(crate) fn rows(earlier: &Snapshot, later: &Snapshot, counted: &Counted, choice: &Choice) -> Vec<Row> {
    if choice.tree { tree(earlier, later, counted, choice) } else { flat(earlier, later, counted, choice) }
}

/// A row for each container, with all cgroups in it, and for each other cgroup by itself.
fn flat(earlier: &Snapshot, later: &Snapshot, counted: &Counted, choice: &Choice) -> Vec<Row> {
    let mut grouped: BTreeMap<Key, (Usage, Vec<CgroupId>)> = BTreeMap::new();
    for cgroup in ids(later) {
        let owner = later.places.get(&cgroup).and_then(|place| place.owner.as_ref());
        let key = owner.map_or(Key::Cgroup(cgroup), |owner| Key::Container(owner.id.clone()));
        let (usage, cgroups) = grouped.entry(key).or_default();
        usage.merge(&since(&earlier.own, &later.own, cgroup));
        cgroups.push(cgroup);
    }
    let length = later.at.saturating_sub(earlier.at);
    let made = grouped.into_iter().filter_map(|(key, (usage, mut cgroups))| {
        // A container's own cgroup is above the others in it.
        let depth = |cgroup: &CgroupId| later.places.get(cgroup).map(|place| place.path.components().count());
        cgroups.sort_by_key(|cgroup| (depth(cgroup), *cgroup));
        let first = *cgroups.first()?;
        let place = later.places.get(&first);
        let owner = place.and_then(|place| place.owner.clone());
        let path = place.map(path);
        let name = owner.as_ref().map(|owner| owner.name()).or_else(|| path.clone());
        let row = Row {
            key,
            depth: 0,
            name: name.unwrap_or_else(|| format!("cgroup {}", first.0)),
            path,
            cgroups: cgroups.iter().map(|cgroup| cgroup.0).collect(),
            removed: place.is_none_or(|place| place.removed),
            owner,
            figures: Figures::of(&usage, counted, length),
        };
        // A container that lives is listed, whatever it does.
        let is_there = choice.all || !row.figures.is_idle() || (row.owner.is_some() && !row.removed);
        (is_there && matches(&row, &choice.filter)).then_some(row)
    });
    let mut rows: Vec<_> = made.collect();
    rows.sort_by(|one, other| choice.sort.compare(counted, one, other));
    rows
}

/// A row for each cgroup, with all below it, the root first.
fn tree(earlier: &Snapshot, later: &Snapshot, counted: &Counted, choice: &Choice) -> Vec<Row> {
    let length = later.at.saturating_sub(earlier.at);
    let mut children: HashMap<CgroupId, Vec<Row>> = HashMap::new();
    let mut roots = Vec::new();
    for (cgroup, place) in &later.places {
        let usage = since(&earlier.subtrees, &later.subtrees, *cgroup);
        let path = path(place);
        let above = later.places.get(&place.parent).filter(|_| place.parent != *cgroup);
        let own_name = place.path.file_name().map(|name| name.to_string_lossy().into_owned());
        // Of what is in a container, only the container's own cgroup has its name.
        let is_container = place.owner.is_some() && above.is_none_or(|above| above.owner != place.owner);
        let name = place.owner.as_ref().filter(|_| is_container).map(|owner| owner.name()).or(own_name);
        let row = Row {
            key: Key::Cgroup(*cgroup),
            depth: 0,
            name: name.unwrap_or_else(|| path.clone()),
            path: Some(path),
            cgroups: vec![cgroup.0],
            owner: place.owner.clone(),
            removed: place.removed,
            figures: Figures::of(&usage, counted, length),
        };
        if above.is_some() {
            children.entry(place.parent).or_default().push(row);
        } else {
            roots.push(row);
        }
    }
    for below in children.values_mut() {
        // The last is taken first.
        below.sort_by(|one, other| choice.sort.compare(counted, other, one));
    }
    roots.sort_by(|one, other| choice.sort.compare(counted, other, one));
    let mut rows = Vec::new();
    let mut pending: Vec<_> = roots.into_iter().map(|row| (0, row)).collect();
    while let Some((depth, mut row)) = pending.pop() {
        row.depth = depth;
        if let Key::Cgroup(cgroup) = row.key {
            pending.extend(children.remove(&cgroup).unwrap_or_default().into_iter().map(|below| (depth + 1, below)));
        }
        rows.push(row);
    }
    keep_with_above(rows, |row| {
        (choice.all || !row.figures.is_idle() || (row.owner.is_some() && !row.removed)) && matches(row, &choice.filter)
    })
}

/// Of rows in the order of a tree, those that are wanted, and those above them.
fn keep_with_above(rows: Vec<Row>, is_wanted: impl Fn(&Row) -> bool) -> Vec<Row> {
    let mut kept = Vec::new();
    // From the end, a row comes after all that are below it.
    let mut below: Option<usize> = None;
    for row in rows.into_iter().rev() {
        let is_above = below.is_some_and(|depth| row.depth < depth);
        if is_above || is_wanted(&row) {
            below = Some(row.depth);
            kept.push(row);
        }
    }
    kept.reverse();
    kept
}

fn ids(snapshot: &Snapshot) -> HashSet<CgroupId> {
    snapshot.own.keys().chain(snapshot.places.keys()).copied().collect()
}

fn since(earlier: &HashMap<CgroupId, Usage>, later: &HashMap<CgroupId, Usage>, cgroup: CgroupId) -> Usage {
    let before = earlier.get(&cgroup).copied().unwrap_or_default();
    later.get(&cgroup).map(|usage| usage.since(&before)).unwrap_or_default()
}

fn path(place: &Place) -> String {
    format!("/{}", place.path.display())
}

fn matches(row: &Row, filter: &str) -> bool {
    let filter = filter.to_lowercase();
    let has = |text: &str| text.to_lowercase().contains(&filter);
    has(&row.name) || row.path.as_deref().is_some_and(has)
}

#[cfg(test)]
#[path = "rows_tests.rs"]
pub(crate) mod tests;
