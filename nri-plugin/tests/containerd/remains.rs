//! What a containerd leaves when it ends: shims, containers, mounts, cgroups, sockets. All of it is found by the folder or
//! the cgroup that it was given, which nobody else has.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use nix::mount::{MntFlags, umount2};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How often something is tried that the kernel needs a moment for, 10 ms apart.
const TRIES: usize = 500;

/// What the folders and the cgroup of a test process are called.
const NAME: &str = "nri-plugin-test-";

/// Of one test process: the name of its cgroup, and how its folders begin.
pub(crate) fn name(process: u32) -> String {
    format!("{NAME}{process}")
}

/// Clears up after test processes that were killed.
pub(crate) fn clear_dead() {
    for folder in children(&std::env::temp_dir()) {
        let process = folder.file_name().and_then(|folder| folder.to_str()?.strip_prefix(NAME)?.split_once('-'));
        let Some(process) = process.and_then(|(process, _)| process.parse::<u32>().ok()) else { continue };
        if !Path::new("/proc").join(process.to_string()).exists() {
            clear(&folder, &name(process));
            let _ = fs::remove_dir_all(&folder);
        }
    }
}

/// The directories of a cgroup, one in each hierarchy that has it.
pub(crate) fn hierarchies(cgroup: &str) -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let points = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (point, kind) = (fields.next()?, fields.next()?);
        matches!(kind, "cgroup" | "cgroup2").then(|| Path::new(point).join(cgroup.trim_start_matches('/')))
    });
    points.filter(|directory| directory.is_dir()).collect()
}

/// Ends and removes all of it, however far it had come.
pub(crate) fn clear(folder: &Path, cgroup: &str) {
    let sockets = shim_sockets(folder);
    for _ in 0..TRIES {
        let shims = processes_of(folder);
        let contained: Vec<_> = hierarchies(cgroup).iter().flat_map(|directory| processes_in(directory)).collect();
        if shims.is_empty() && contained.is_empty() {
            break;
        }
        for pid in shims.into_iter().chain(contained) {
            // One that has ended by itself is as good.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        sleep(Duration::from_millis(10));
    }
    for mount in mounts_below(folder) {
        let _ = umount2(&mount, MntFlags::MNT_DETACH);
    }
    for directory in hierarchies(cgroup) {
        remove_cgroup(&directory);
    }
    for socket in sockets {
        let _ = fs::remove_file(socket);
    }
}

/// Processes of the host whose command line names the folder: shims, and runc.
fn processes_of(folder: &Path) -> Vec<i32> {
    let named = folder.as_os_str().as_bytes();
    let names = |pid: &i32| {
        let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        command.windows(named.len()).any(|window| window == named)
    };
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(names).collect()
}

fn processes_in(cgroup: &Path) -> Vec<i32> {
    let own = fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default();
    let own: Vec<i32> = own.lines().filter_map(|pid| pid.parse().ok()).collect();
    children(cgroup).iter().flat_map(|child| processes_in(child)).chain(own).collect()
}

fn children(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

fn remove_cgroup(directory: &Path) {
    for child in children(directory) {
        remove_cgroup(&child);
    }
    for _ in 0..TRIES {
        match fs::remove_dir(directory) {
            // The kernel may take a moment to see that a process has left.
            Err(error) if error.kind() == std::io::ErrorKind::ResourceBusy => sleep(Duration::from_millis(10)),
            _ => return,
        }
    }
}

/// The innermost first.
fn mounts_below(folder: &Path) -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(1)).map(PathBuf::from);
    let mut below: Vec<_> = points.filter(|point| point.starts_with(folder)).collect();
    below.sort();
    below.reverse();
    below
}

/// Shims listen at a place that no configuration moves, and that they write down.
fn shim_sockets(folder: &Path) -> Vec<PathBuf> {
    let bundles = children(&folder.join("state/io.containerd.runtime.v2.task/k8s.io"));
    let socket = |bundle: PathBuf| {
        let address = fs::read_to_string(bundle.join("address")).ok().or_else(|| {
            let parameters = fs::read(bundle.join("bootstrap.json")).ok()?;
            let parameters: serde_json::Value = serde_json::from_slice(&parameters).ok()?;
            Some(parameters.get("address")?.as_str()?.to_owned())
        })?;
        address.strip_prefix("unix://").map(PathBuf::from)
    };
    bundles.into_iter().filter_map(socket).collect()
}
