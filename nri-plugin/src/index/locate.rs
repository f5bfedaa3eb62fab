//! A container's process and paths → its cgroup, and the cgroups inside it. Reads the kernel's files, holds no lock.

use std::path::{Path, PathBuf};

use metrics::counter;

use super::telemetry;
use crate::cgroup::{CgroupDir, CgroupFs, container_directory, identify};

/// A container's cgroups.
#[derive(Debug)]
pub(super) struct Located {
    pub(super) own: CgroupDir,
    /// Those inside it: crun's `container`, those of a systemd that runs in it.
    pub(super) nested: Vec<CgroupDir>,
    /// Whether that is all of them.
    pub(super) complete: bool,
}

/// What a container's cgroup is looked for by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clues<'a> {
    pub(super) id: &'a str,
    pub(super) pid: Option<u32>,
    pub(super) cgroups_path: &'a str,
    pub(super) cgroup_parent: &'a str,
}

/// Finds a container's cgroup. Its process tells best; by the paths alone it is a rule's guess. None where it is not
/// there (yet, or any more). What lies inside and does not belong to it is left out, and what lies in that.
pub(super) fn locate(
    cgroups: &CgroupFs,
    clues: Clues<'_>,
    most: usize,
    belongs: impl Fn(&CgroupDir) -> bool,
) -> Option<Located> {
    match find(cgroups, clues) {
        Ok(directory) => {
            let own = match cgroups.stat(directory) {
                Ok(own) => own,
                Err(error) => return unlocated(clues, if error.is_gone() { "gone" } else { "unreadable" }),
            };
            let (nested, complete) = inside(cgroups, &own.path, most, belongs);
            Some(Located { own, nested, complete })
        }
        Err(why) => unlocated(clues, why),
    }
}

fn unlocated(clues: Clues<'_>, reason: &'static str) -> Option<Located> {
    // Without a process there need not be a cgroup: it is made at the start.
    if let Some(pid) = clues.pid {
        tracing::debug!(container = clues.id, pid, reason, "a container's cgroup was not found");
        counter!(telemetry::UNLOCATED, "reason" => reason).increment(1);
    }
    None
}

fn find(cgroups: &CgroupFs, clues: Clues<'_>) -> Result<PathBuf, &'static str> {
    let ruled = container_directory(clues.cgroups_path, clues.cgroup_parent);
    let ruled = ruled.and_then(|path| cgroups.host_directory(&path));
    let Some(pid) = clues.pid else {
        return ruled.ok_or("unknown");
    };
    let process = cgroups.process(pid).map_err(|error| if error.is_gone() { "gone" } else { "unreadable" })?;
    let actual = process.unified.and_then(|path| cgroups.directory(&path)).filter(|path| path != cgroups.mount_point());
    match (actual, ruled) {
        // The process may be in a cgroup inside its container's: crun puts it there.
        (Some(actual), Some(ruled)) if actual.starts_with(&ruled) => Ok(ruled),
        // Its number is another's by now, or is one of another namespace.
        (Some(actual), ruled) if is_anothers(&actual, clues.id) => {
            counter!(telemetry::MISMATCHES).increment(1);
            ruled.ok_or("foreign")
        }
        (Some(actual), ruled) => {
            if ruled.is_some() {
                counter!(telemetry::MISMATCHES).increment(1);
            }
            Ok(own_directory(&actual, clues.id))
        }
        // On a hybrid host a process may be in version 1 hierarchies alone, with its cgroup2 directory there, or not.
        (None, Some(ruled)) => Ok(ruled),
        (None, None) => Err("unseen"),
    }
}

/// Whether a directory's name says that it is another container's.
fn is_anothers(directory: &Path, id: &str) -> bool {
    identify(directory).is_some_and(|identity| identity.container_id != id)
}

/// The part of a process's directory that is its container's.
fn own_directory(actual: &Path, id: &str) -> PathBuf {
    match identify(actual) {
        Some(identity) if identity.container_id == id => identity.directory.to_owned(),
        _ => actual.to_owned(),
    }
}

/// The cgroups inside a container, without those of containers inside it; and whether that is all of them.
pub(super) fn inside(
    cgroups: &CgroupFs,
    own: &Path,
    most: usize,
    belongs: impl Fn(&CgroupDir) -> bool,
) -> (Vec<CgroupDir>, bool) {
    let mut nested = Vec::new();
    let complete = cgroups.walk(own, most, |directory| {
        let belongs = belongs(&directory);
        nested.extend(belongs.then_some(directory));
        belongs
    });
    (nested, complete)
}
