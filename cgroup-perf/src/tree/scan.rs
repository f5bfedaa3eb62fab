//! Walks over the directories of the hierarchy, a piece at a time.

use std::fs::{self, ReadDir};
use std::io;
use std::os::unix::fs::{DirEntryExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::{Entered, Node, Tree};
use crate::sample::CgroupId;

/// Levels that a walk goes down. The kernel's own limit is `cgroup.max.depth`, not set by default.
const MAX_DEPTH: usize = 64;

/// Why there is nothing to walk over.
#[derive(Debug, thiserror::Error)]
#[error("the cgroup2 mount {mount} can't be read")]
pub struct ScanError {
    /// The mount.
    pub mount: PathBuf,
    /// Why.
    #[source]
    pub source: io::Error,
}

/// How far a walk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// There is more to see.
    Going,
    /// Everything was seen: what was not is gone.
    Complete,
    /// Something could not be seen, for want of place or of rights. What is below a directory that can't be read is not
    /// held to be gone.
    Incomplete,
}

/// A walk that is under way.
#[derive(Debug)]
pub(super) struct Scan {
    pending: Vec<(PathBuf, usize)>,
    current: Option<(PathBuf, usize, ReadDir)>,
    /// Directories that are there and can't be read.
    unreadable: Vec<PathBuf>,
    complete: bool,
}

/// The id of a directory: its inode.
pub(super) fn id(mount: &Path) -> Result<CgroupId, ScanError> {
    let metadata = fs::metadata(mount).map_err(|source| ScanError { mount: mount.to_owned(), source })?;
    Ok(CgroupId(metadata.ino()))
}

impl Tree {
    /// Goes on with a walk over all directories, for at most `most` entries of them, or begins one. `now` is in
    /// nanoseconds of `CLOCK_MONOTONIC`.
    ///
    /// A cgroup's directory has some 40 files beside those of the cgroups below it; one without any is not listed. It
    /// blocks for as long as the file system takes, which for cgroups is microseconds a directory.
    pub fn scan(&mut self, most: usize, now: u64) -> Result<Progress, ScanError> {
        let mut scan = match self.scan.take() {
            Some(scan) => scan,
            None => self.begin()?,
        };
        for _ in 0..most.max(1) {
            if !self.step(&mut scan, now) {
                return Ok(self.end(&scan, now));
            }
        }
        self.scan = Some(scan);
        Ok(Progress::Going)
    }

    fn begin(&mut self) -> Result<Scan, ScanError> {
        let failed = |source| ScanError { mount: self.mount.clone(), source };
        let entries = fs::read_dir(&self.mount).map_err(failed)?;
        self.walk += 1;
        Ok(Scan {
            pending: Vec::new(),
            current: Some((PathBuf::new(), 0, entries)),
            unreadable: Vec::new(),
            complete: true,
        })
    }

    /// Looks at one entry; false at the end.
    fn step(&mut self, scan: &mut Scan, now: u64) -> bool {
        let Some((directory, depth, entries)) = &mut scan.current else {
            let Some((directory, depth)) = scan.pending.pop() else { return false };
            match fs::read_dir(self.mount.join(&directory)) {
                Ok(entries) => scan.current = Some((directory, depth, entries)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(_) => scan.unreadable.push(directory),
            }
            return true;
        };
        let entry = match entries.next() {
            Some(Ok(entry)) => entry,
            Some(Err(_)) => {
                scan.unreadable.push(std::mem::take(directory));
                scan.current = None;
                return true;
            }
            None => {
                scan.current = None;
                return true;
            }
        };
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            return true;
        }
        let path = directory.join(entry.file_name());
        let depth = *depth + 1;
        let entered = self.enter(CgroupId(entry.ino()), &path, now);
        // A cgroup without any below it has two links: its own and its entry above. To list one costs far more.
        let is_leaf = || fs::metadata(entry.path()).is_ok_and(|metadata| metadata.nlink() == 2);
        if entered == Entered::Refused || depth >= MAX_DEPTH {
            scan.complete = false;
        } else if !is_leaf() {
            scan.pending.push((path, depth));
        }
        true
    }

    fn end(&mut self, scan: &Scan, now: u64) -> Progress {
        let is_hidden = |node: &Node| scan.unreadable.iter().any(|directory| node.path.starts_with(directory));
        let unseen =
            |node: &Node| node.depth > 0 && node.removed.is_none() && node.walk < self.walk && !is_hidden(node);
        let gone: Vec<_> = self.nodes.iter().filter(|(_, node)| unseen(node)).map(|(id, _)| *id).collect();
        for id in gone {
            self.leave(id, now);
        }
        if scan.complete && scan.unreadable.is_empty() { Progress::Complete } else { Progress::Incomplete }
    }
}
