//! `cgroupsPath` of a container → the directory that its runtime will make, before there is a process to ask. No IO.
//!
//! The rules are runc's and crun's, for the two cgroup drivers of Kubernetes.

use std::path::{Component, PathBuf};

/// The unit's slice where a runtime is given none: runc, `libcontainer/cgroups/systemd`.
const DEFAULT_SLICE: &str = "system.slice";
const SLICE: &str = ".slice";

/// The directory of a container, from the root of the hierarchy.
///
/// | driver | `cgroups_path` | directory |
/// |---|---|---|
/// | cgroupfs | `/kubepods/podX/<id>` | the same |
/// | systemd | `kubepods-podX.slice:cri-containerd:<id>` | the slice, expanded, then `cri-containerd-<id>.scope` |
///
/// `parent` is the pod's `cgroup_parent`, for a path that has no place of its own: `:crio:<id>`, or an id alone. containerd
/// gives it as the whole path of a slice, CRI-O as the bare last slice.
///
/// None for what is no such path; one with `..` in it is none.
pub fn container_directory(cgroups_path: &str, parent: &str) -> Option<PathBuf> {
    // A sandbox that has ended has none; its parent is not it.
    if cgroups_path.is_empty() {
        return None;
    }
    let mut parts = cgroups_path.split(':');
    let directory = match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(slice), Some(prefix), Some(name), None) => {
            let slice = match (slice, parent) {
                ("", "") => expand_slice(DEFAULT_SLICE)?,
                ("", parent) => parent_directory(parent)?,
                (slice, _) => expand_slice(slice)?,
            };
            slice.join(unit(prefix, name)?)
        }
        _ if cgroups_path.starts_with('/') => PathBuf::from(cgroups_path),
        _ => parent_directory(parent)?.join(cgroups_path),
    };
    let mut names = directory.components();
    let absolute = names.next() == Some(Component::RootDir);
    (absolute && names.next().is_some() && !directory.components().any(|name| name == Component::ParentDir))
        .then_some(directory)
}

fn parent_directory(parent: &str) -> Option<PathBuf> {
    if parent.starts_with('/') { Some(parent.into()) } else { expand_slice(parent) }
}

/// The unit's name: runc's `getUnitName`.
fn unit(prefix: &str, name: &str) -> Option<String> {
    if name.is_empty() || name.contains('/') || prefix.contains('/') {
        None
    } else if name.ends_with(SLICE) {
        Some(name.to_owned())
    } else if prefix.is_empty() {
        Some(format!("{name}.scope"))
    } else {
        Some(format!("{prefix}-{name}.scope"))
    }
}

/// A slice's directory: each dash is a level, systemd.slice(5). `-.slice` is the root.
///
/// ```
/// # use std::path::Path;
/// let directory = nri_plugin::cgroup::expand_slice("kubepods-burstable.slice");
/// assert_eq!(directory.as_deref(), Some(Path::new("/kubepods.slice/kubepods-burstable.slice")));
/// ```
pub fn expand_slice(slice: &str) -> Option<PathBuf> {
    let name = slice.strip_suffix(SLICE).filter(|name| !name.contains('/'))?;
    let mut directory = PathBuf::from("/");
    if name == "-" {
        return Some(directory);
    }
    let ends = name.match_indices('-').map(|(at, _)| at).chain([name.len()]);
    let mut begin = 0;
    for end in ends {
        // `a--b.slice` and `-a.slice` are no slices.
        name.get(begin..end).filter(|level| !level.is_empty())?;
        directory.push(format!("{}{SLICE}", name.get(..end)?));
        begin = end + 1;
    }
    Some(directory)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn directory(path: &str, parent: &str) -> Option<String> {
        container_directory(path, parent).map(|directory| directory.display().to_string())
    }

    #[test]
    fn the_cgroupfs_driver_names_the_directory() {
        let path = "/kubepods/burstable/podb7b/0f3";
        assert_eq!(directory(path, "/kubepods/burstable/podb7b").as_deref(), Some(path));
        assert_eq!(directory("0f3", "/kubepods/podb7b").as_deref(), Some("/kubepods/podb7b/0f3"));
    }

    #[test]
    fn the_systemd_driver_names_a_slice_and_a_scope() {
        let whole = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podb7b_1.slice";
        let bare = "kubepods-burstable-podb7b_1.slice";
        let scope = |runtime: &str| Some(format!("{whole}/{runtime}-0f3.scope"));
        for parent in [whole, bare, ""] {
            assert_eq!(directory(&format!("{bare}:cri-containerd:0f3"), parent), scope("cri-containerd"), "{parent}");
        }
        for parent in [whole, bare] {
            assert_eq!(directory(":crio:0f3", parent), scope("crio"), "{parent}");
        }
        assert_eq!(directory(":docker:0f3", "").as_deref(), Some("/system.slice/docker-0f3.scope"));
        assert_eq!(directory("-.slice::0f3", "").as_deref(), Some("/0f3.scope"));
        assert_eq!(directory("a.slice:x:a-b.slice", "").as_deref(), Some("/a.slice/a-b.slice"));
    }

    #[test]
    fn what_leads_elsewhere_is_no_path() {
        for (path, parent) in [
            ("/kubepods/../../etc", ""),
            ("../x", "/kubepods"),
            ("", "/kubepods/podb7b"),
            ("/", ""),
            ("x", ""),
            ("a.slice:p:", ""),
            ("a.slice:p:../x", ""),
            ("a.slice:../p:x", ""),
            ("a--b.slice:p:x", ""),
            ("a:p:x", ""),
            ("a.slice:p:x:y", ""),
            (":p:x", "/a/../b"),
        ] {
            assert_eq!(directory(path, parent), None, "{path} in {parent}");
        }
    }

    #[test]
    fn slices_expand_as_systemds() {
        let expand = |slice| expand_slice(slice).map(|directory| directory.display().to_string());
        assert_eq!(expand("a-b-c.slice").as_deref(), Some("/a.slice/a-b.slice/a-b-c.slice"));
        assert_eq!(expand("-.slice").as_deref(), Some("/"));
        for bad in ["", ".slice", "a", "-a.slice", "a-.slice", "a--b.slice", "a/b.slice"] {
            assert_eq!(expand(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_or_leads_out(path in any::<String>(), slashes in "[/:.a-]{0,30}", parent in "[/.a-]{0,20}(.slice)?") {
            for path in [path, slashes] {
                if let Some(directory) = container_directory(&path, &parent) {
                    prop_assert!(directory.is_absolute());
                    prop_assert!(!directory.components().any(|name| name == Component::ParentDir));
                }
            }
        }
    }
}
