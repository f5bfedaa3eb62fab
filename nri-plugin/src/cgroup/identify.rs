//! A cgroup path → the container and the pod that its names tell, for hosts without NRI. No IO.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

/// Container ids of all four runtimes are 32 random bytes in hexadecimal; what is shorter may be anything.
const ID_LENGTH: usize = 64;

/// Which runtime made a cgroup, as far as its name tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Runtime {
    /// `cri-containerd-<id>.scope`.
    Containerd,
    /// `crio-<id>.scope`, or `crio-<id>` with the cgroupfs driver.
    CriO,
    /// `docker-<id>.scope`, or `docker/<id>` with the cgroupfs driver.
    Docker,
    /// `libpod-<id>.scope`, or `libpod_parent/libpod-<id>` with the cgroupfs driver.
    Podman,
}

/// What a cgroup's path tells of its container.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Identity<'a> {
    /// The container's id.
    pub container_id: &'a str,
    /// The uid of the innermost pod above it; that of a static pod is the hash of its manifest, without dashes.
    pub pod_uid: Option<Arc<str>>,
    /// The runtime; none for `<id>` alone, as containerd's cgroupfs driver names it.
    pub runtime: Option<Runtime>,
    /// The container's own directory: the path given, or one above it.
    pub directory: &'a Path,
}

/// Finds the innermost container that a path lies in.
///
/// | names | |
/// |---|---|
/// | `kubepods-burstable-pod<uid>.slice/cri-containerd-<id>.scope` | systemd; the uid's dashes are underscores |
/// | `kubepods/burstable/pod<uid>/<id>` | cgroupfs |
/// | `kubepods-pod<uid>.slice:cri-containerd:<id>` | a systemd path given to a runtime that uses cgroupfs |
///
/// Names like `crio-conmon-<id>.scope` are of the runtime's helpers, not of the container.
pub fn identify(path: &Path) -> Option<Identity<'_>> {
    path.ancestors().find_map(|directory| {
        let name = directory.file_name()?.to_str()?;
        let parent = directory.parent().and_then(Path::file_name).and_then(OsStr::to_str).unwrap_or_default();
        let (place, name) = match name.split_once(':') {
            Some((slice, rest)) => (Some(slice), rest),
            None => (None, name),
        };
        let (prefix, container_id) = container(name)?;
        let runtime = match (prefix, parent) {
            (Some("cri-containerd"), _) => Some(Runtime::Containerd),
            (Some("crio"), _) => Some(Runtime::CriO),
            (Some("docker"), _) | (None, "docker") => Some(Runtime::Docker),
            (Some("libpod"), _) => Some(Runtime::Podman),
            (Some(_), _) => return None,
            (None, _) => None,
        };
        let above = directory.parent().into_iter().flat_map(Path::ancestors);
        let above = above.filter_map(|above| above.file_name()?.to_str());
        let pod_uid = place.into_iter().chain(above).find_map(pod_uid);
        Some(Identity { container_id, pod_uid, runtime, directory })
    })
}

/// `<prefix>-<id>.scope`, `<prefix>-<id>`, `<prefix>:<id>` or `<id>`.
fn container(name: &str) -> Option<(Option<&str>, &str)> {
    let name = name.strip_suffix(".scope").unwrap_or(name);
    let (prefix, id) = match name.rsplit_once(['-', ':']) {
        Some((prefix, id)) => (Some(prefix), id),
        None => (None, name),
    };
    (id.len() == ID_LENGTH && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))).then_some((prefix, id))
}

/// The uid in a pod's directory name: kubelet, `pkg/kubelet/cm/pod_container_manager_linux.go`.
fn pod_uid(name: &str) -> Option<Arc<str>> {
    let uid = match name.strip_suffix(".slice") {
        // `kubelet-kubepods-burstable-pod<uid>`: uids have underscores here, so the last dash is before `pod`.
        Some(slice) => slice.rsplit('-').next()?.strip_prefix("pod")?.replace('_', "-"),
        None => name.strip_prefix("pod")?.to_owned(),
    };
    let hexadecimal = uid.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit());
    (uid.bytes().any(|byte| byte.is_ascii_hexdigit()) && hexadecimal).then(|| uid.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID: &str = "0f3a4f1a8a5f4bb0bd4d0f3a4f1a8a5f4bb0bd4d0f3a4f1a8a5f4bb0bd4d0123";
    const UID: &str = "b7b2a1a0-1234-4abc-8def-0123456789ab";

    type Told = Option<(String, Option<String>, Option<Runtime>, String)>;

    fn told(path: &str) -> Told {
        let Identity { container_id, pod_uid, runtime, directory } = identify(Path::new(path))?;
        Some((
            container_id.to_owned(),
            pod_uid.map(|uid| uid.to_string()),
            runtime,
            directory.file_name()?.to_str()?.to_owned(),
        ))
    }

    #[track_caller]
    fn is(path: &str, uid: Option<&str>, runtime: Option<Runtime>) {
        let (id, found, by, _) = told(path).unwrap_or_else(|| panic!("nothing in {path}"));
        assert_eq!((id.as_str(), found.as_deref(), by), (ID, uid, runtime), "{path}");
    }

    #[test]
    fn systemd_names_tell_runtime_pod_and_container() {
        let slice = format!("kubepods-burstable-pod{}.slice", UID.replace('-', "_"));
        let pod = format!("/kubepods.slice/kubepods-burstable.slice/{slice}");
        is(&format!("{pod}/cri-containerd-{ID}.scope"), Some(UID), Some(Runtime::Containerd));
        is(&format!("{pod}/crio-{ID}.scope"), Some(UID), Some(Runtime::CriO));
        is(&format!("{pod}/docker-{ID}.scope"), Some(UID), Some(Runtime::Docker));
        is(&format!("/machine.slice/libpod-{ID}.scope"), None, Some(Runtime::Podman));
        is(&format!("/kubelet.slice/kubelet-{slice}/cri-containerd-{ID}.scope"), Some(UID), Some(Runtime::Containerd));
        is(&format!("/system.slice/{slice}:cri-containerd:{ID}"), Some(UID), Some(Runtime::Containerd));
        let of_static = "/kubepods.slice/kubepods-pod0123456789abcdef0123456789abcdef.slice";
        is(&format!("{of_static}/crio-{ID}.scope"), Some("0123456789abcdef0123456789abcdef"), Some(Runtime::CriO));
    }

    #[test]
    fn cgroupfs_names_tell_pod_and_container() {
        is(&format!("/kubepods/besteffort/pod{UID}/{ID}"), Some(UID), None);
        is(&format!("/kubepods/pod{UID}/crio-{ID}"), Some(UID), Some(Runtime::CriO));
        is(&format!("/docker/{ID}"), None, Some(Runtime::Docker));
        is(&format!("/libpod_parent/libpod-{ID}"), None, Some(Runtime::Podman));
        is(&format!("/podinfo/{ID}"), None, None);
    }

    #[test]
    fn what_lies_in_a_container_is_the_containers() {
        let scope = format!("crio-{ID}.scope");
        for inside in ["container", "init.scope/x", "system.slice/sshd.service"] {
            let (id, .., directory) = told(&format!("/kubepods.slice/{scope}/{inside}")).unwrap();
            assert_eq!((id.as_str(), directory.as_str()), (ID, scope.as_str()));
        }
        let inner = ID.replace('0', "1");
        assert_eq!(told(&format!("/docker/{ID}/kubepods/pod{UID}/{inner}")).unwrap().0, inner);
        // One that docker made in a pod is of that pod.
        let (id, uid, ..) = told(&format!("/kubepods/pod{UID}/{ID}/docker/{inner}")).unwrap();
        assert_eq!((id, uid.as_deref()), (inner, Some(UID)));
    }

    #[test]
    fn other_cgroups_are_no_containers() {
        for path in [
            "/".to_owned(),
            "/system.slice/sshd.service".to_owned(),
            format!("/system.slice/crio-conmon-{ID}.scope"),
            format!("/kubepods/pod{UID}"),
            format!("/kubepods/pod{UID}/{}", &ID[1..]),
            format!("/x/{}", ID.to_uppercase()),
            format!("/x/unknown-{ID}.scope"),
        ] {
            assert_eq!(told(&path), None, "{path}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(path in any::<String>(), likely in "(/|pod|-|_|:|\\.scope|\\.slice|[a-f0-9]{64}){0,12}") {
            identify(Path::new(&path));
            identify(Path::new(&likely));
        }
    }
}
