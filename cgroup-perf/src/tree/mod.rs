//! The cgroups as a tree: which is below which, and what whole subtrees have done.
//!
//! The kernel's programs know a cgroup by its id and count what its own tasks do. Pods and slices have few tasks of their
//! own: what they use is the sum of what is below them, and that is added up here, outside the kernel.

mod aggregate;
mod scan;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;

pub use self::aggregate::Subtrees;
use self::scan::Scan;
pub use self::scan::{Progress, ScanError};
use crate::sample::CgroupId;

/// How many cgroups a tree holds, unless [`Tree::with_most`] says otherwise. Each takes some 300 bytes.
const DEFAULT_MOST: usize = 65_536;
/// For how long a removed cgroup is kept, unless [`Tree::with_grace`] says otherwise.
const DEFAULT_GRACE: Duration = Duration::from_secs(30);

/// A cgroup in the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Node {
    /// Its path, from the mount; the root's is empty.
    pub path: Arc<Path>,
    /// The cgroup above it; the root is above itself.
    pub parent: CgroupId,
    /// How many are above it.
    pub depth: usize,
    /// When it was seen to be gone, in nanoseconds of `CLOCK_MONOTONIC`.
    pub removed: Option<u64>,
    /// The walk that saw it last.
    walk: u64,
}

/// What it is that was told of a cgroup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entered {
    /// It is new.
    New,
    /// It was known.
    Known,
    /// Its id was another's, which is gone: what that one did goes to the one that was above it.
    Reused,
    /// There is no place for it: what it does is counted in the root.
    Refused,
}

/// The tree. It learns of cgroups by walking the directories ([`scan`](Self::scan)), and sooner where it is told
/// ([`enter`](Self::enter), [`leave`](Self::leave)).
///
/// ```no_run
/// use cgroup_perf::mount::Hierarchy;
/// use cgroup_perf::quality::Counter;
/// use cgroup_perf::totals::Totals;
/// use cgroup_perf::tree::{Progress, Tree};
///
/// let mut tree = Tree::new(Hierarchy::discover()?.mount)?;
/// let mut totals = Totals::new(&[Counter::CYCLES]);
/// let now = 0; // CLOCK_MONOTONIC
/// while tree.scan(1_000, now)? == Progress::Going {}
/// tree.settle(&mut totals, now);
/// for (cgroup, total) in tree.subtrees(&totals).iter() {
///     println!("{:?} {} ns", tree.get(cgroup).map(|node| &node.path), total.ran);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Tree {
    mount: PathBuf,
    root: CgroupId,
    nodes: HashMap<CgroupId, Node>,
    paths: HashMap<Arc<Path>, CgroupId>,
    most: usize,
    grace: u64,
    /// The number of the walk that is under way, or of the next one.
    walk: u64,
    scan: Option<Scan>,
    /// Cgroups that have ended, and where what they did is to go: those below come before those above.
    ended: Vec<(CgroupId, CgroupId)>,
    refused: u64,
}

impl Tree {
    /// The tree of a cgroup2 mount, of which only the root is known yet.
    pub fn new(mount: impl Into<PathBuf>) -> Result<Self, ScanError> {
        let mount = mount.into();
        let root = scan::id(&mount)?;
        Ok(Self::with_root(mount, root))
    }

    fn with_root(mount: PathBuf, root: CgroupId) -> Self {
        let path: Arc<Path> = Path::new("").into();
        let node = Node { path: path.clone(), parent: root, depth: 0, removed: None, walk: 0 };
        Self {
            mount,
            root,
            nodes: HashMap::from_iter([(root, node)]),
            paths: HashMap::from_iter([(path, root)]),
            most: DEFAULT_MOST,
            grace: nanos(DEFAULT_GRACE),
            walk: 1,
            scan: None,
            ended: Vec::new(),
            refused: 0,
        }
    }

    /// The most cgroups that are held.
    pub fn with_most(mut self, most: usize) -> Self {
        self.most = most;
        self
    }

    /// For how long a removed cgroup keeps its totals.
    pub fn with_grace(mut self, grace: Duration) -> Self {
        self.grace = nanos(grace);
        self
    }

    /// The root.
    pub fn root(&self) -> CgroupId {
        self.root
    }

    /// A cgroup, also one that was removed in the grace time.
    pub fn get(&self, cgroup: CgroupId) -> Option<&Node> {
        self.nodes.get(&cgroup)
    }

    /// The cgroup that has a path now.
    pub fn at(&self, path: &Path) -> Option<CgroupId> {
        self.paths.get(path).copied()
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (CgroupId, &Node)> {
        self.nodes.iter().map(|(id, node)| (*id, node))
    }

    /// The cgroups above one, from the nearest to the root.
    pub fn ancestors(&self, cgroup: CgroupId) -> impl Iterator<Item = (CgroupId, &Node)> {
        let above = |cgroup: CgroupId| {
            let parent = self.nodes.get(&cgroup)?.parent;
            (parent != cgroup).then_some(parent)
        };
        std::iter::successors(above(cgroup), move |cgroup| above(*cgroup))
            .filter_map(|cgroup| Some((cgroup, self.nodes.get(&cgroup)?)))
    }

    /// How many there are, with the root and those that were removed in the grace time.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Never: there is always the root.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Whether there is nothing but the root: on a host that has version 1 hierarchies too, processes are in those alone,
    /// and no cgroup can be told from another.
    pub fn has_only_root(&self) -> bool {
        self.nodes.values().all(|node| node.depth == 0 || node.removed.is_some())
    }

    /// Cgroups that there was no place for.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// A cgroup is there, at a path from the mount. Those above it are to be told first.
    pub fn enter(&mut self, cgroup: CgroupId, path: &Path, now: u64) -> Entered {
        if cgroup == self.root || path.as_os_str().is_empty() {
            return Entered::Known;
        }
        let mut entered = Entered::New;
        if let Some(node) = self.nodes.get_mut(&cgroup) {
            if *node.path == *path {
                node.walk = self.walk;
                node.removed = None;
                self.paths.insert(node.path.clone(), cgroup);
                return Entered::Known;
            }
            self.end_with_all_below(cgroup);
            entered = Entered::Reused;
        } else if self.nodes.len() >= self.most {
            self.refused = self.refused.saturating_add(1);
            return Entered::Refused;
        }
        let above = path.ancestors().skip(1).find_map(|above| self.paths.get(above).copied());
        let parent = above.unwrap_or(self.root);
        let depth = self.nodes.get(&parent).map_or(1, |node| node.depth + 1);
        let path: Arc<Path> = path.into();
        if let Some(before) = self.paths.insert(path.clone(), cgroup) {
            // Another had this path: it was removed, and this one made, since the last walk.
            self.leave(before, now);
        }
        self.nodes.insert(cgroup, Node { path, parent, depth, removed: None, walk: self.walk });
        entered
    }

    /// A cgroup is gone. It keeps its totals for the grace time, then what it did goes to the one above it.
    pub fn leave(&mut self, cgroup: CgroupId, now: u64) {
        if cgroup == self.root {
            return;
        }
        if let Some(node) = self.nodes.get_mut(&cgroup) {
            node.removed.get_or_insert(now);
            self.forget_path(cgroup);
        }
    }

    /// A cgroup's path is no longer its own, unless another has it already.
    fn forget_path(&mut self, cgroup: CgroupId) {
        let Some(node) = self.nodes.get(&cgroup) else { return };
        if self.paths.get(&node.path) == Some(&cgroup) {
            self.paths.remove(&node.path);
        }
    }

    /// A cgroup and those below it are no more, and what they did is to go to the one above at once.
    fn end_with_all_below(&mut self, cgroup: CgroupId) {
        let Some(above) = self.nodes.get(&cgroup).map(|node| node.parent) else { return };
        let is_below = |id: &CgroupId| *id == cgroup || self.ancestors(*id).any(|(above, _)| above == cgroup);
        let below: Vec<_> = self.nodes.keys().filter(|id| is_below(id)).copied().collect();
        for id in below {
            self.forget_path(id);
            self.nodes.remove(&id);
            self.ended.push((id, above));
        }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
