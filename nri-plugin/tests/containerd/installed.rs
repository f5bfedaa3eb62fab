//! Which versions of containerd there are to be tested with.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder that `fetch` filled.
const FOLDER: &str = "KUBE_AGENT_KIT_CONTAINERD";

/// A containerd, and what it needs.
#[derive(Debug, Clone)]
pub(crate) struct Installed {
    /// Where `containerd`, its shim and `ctr` are.
    pub(crate) binaries: PathBuf,
    pub(crate) runc: PathBuf,
    pub(crate) busybox: PathBuf,
    /// As it tells it itself.
    pub(crate) version: String,
}

/// All versions in the folder; why there is none where they can't be tried. A folder that is named and lacks something
/// is a mistake, which fails.
pub(crate) fn installed() -> Result<Vec<Installed>, String> {
    let Some(folder) = env::var_os(FOLDER) else {
        return Err(format!("{FOLDER} is not set; nri-plugin/tests/containerd/fetch fills a folder for it"));
    };
    if !nix::unistd::geteuid().is_root() {
        return Err("containerd runs as root only".to_owned());
    }
    // Of a test's working directory, which is the package's.
    let folder = fs::canonicalize(&folder).unwrap_or_else(|error| panic!("{FOLDER} is {}: {error}", folder.display()));
    let mut suites: Vec<_> =
        fs::read_dir(folder.join("containerd")).unwrap().map(|suite| suite.unwrap().path()).collect();
    suites.sort();
    let installed: Vec<_> = suites.iter().map(|suite| at(&folder, suite)).collect();
    assert!(!installed.is_empty(), "no containerd in {}", folder.display());
    Ok(installed)
}

fn at(folder: &Path, suite: &Path) -> Installed {
    let binaries = suite.join("usr/bin");
    // "containerd github.com/containerd/containerd/v2 2.1.9+unknown COMMIT"
    let said = Command::new(binaries.join("containerd")).arg("--version").output().unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    let version = said.split(' ').nth(2).unwrap_or_else(|| panic!("no version in {said:?}")).trim().to_owned();
    Installed {
        binaries,
        runc: folder.join("runc/usr/sbin/runc"),
        busybox: folder.join("busybox/bin/busybox"),
        version,
    }
}
