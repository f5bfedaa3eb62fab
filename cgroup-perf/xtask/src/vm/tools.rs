//! What the machines need of this one.

use std::{path::PathBuf, process::Command};

use anyhow::{Result, bail};

use crate::toolchain;

const HOW: &str = "Debian has them:
    apt-get install --no-install-recommends qemu-system-arm gcc-aarch64-linux-gnu libc6-dev-arm64-cross rustc-web
CGROUP_PERF_RUSTC names another compiler than /usr/bin/rustc; it is to be one of Debian's, whose library for arm64 is
fetched from there.";

/// The emulator.
pub(crate) const EMULATOR: &str = "qemu-system-aarch64";
/// What links for the guest.
pub(crate) const LINKER: &str = "aarch64-linux-gnu-gcc";

/// A compiler of Debian's, and what its library for the guest is called there.
#[derive(Debug)]
pub(crate) struct Tools {
    pub(crate) rustc: PathBuf,
    pub(crate) library: String,
    pub(crate) version: String,
}

impl Tools {
    /// Finds them, or says which are missing. Installs nothing.
    pub(crate) fn find() -> Result<Self> {
        let mut missing = Vec::new();
        for tool in [EMULATOR, LINKER, "apt-get", "apt-cache", "dpkg-deb", "dpkg-query"] {
            if toolchain::output(Command::new(tool).arg("--version")).is_none() {
                missing.push(tool.to_owned());
            }
        }
        let rustc = toolchain::rustc();
        let owner = toolchain::output(Command::new("dpkg-query").arg("--search").arg(&rustc));
        let package = owner.as_deref().and_then(owner_of);
        let version = package.as_deref().and_then(|package| {
            toolchain::output(Command::new("dpkg-query").args(["--show", "--showformat", "${Version}", package]))
        });
        let (Some(package), Some(version), true) = (package, version, missing.is_empty()) else {
            if missing.is_empty() {
                missing.push(format!("a compiler of Debian's ({} is none)", rustc.display()));
            }
            bail!("missing: {}\n{HOW}", missing.join(", "));
        };
        Ok(Self { rustc, library: library_of(&package), version })
    }
}

/// The package in a line of `dpkg-query --search`: `rustc-web: /usr/bin/rustc`.
fn owner_of(line: &str) -> Option<String> {
    let (package, _) = line.split_once(": ")?;
    let package = package.split(':').next()?;
    (!package.contains(' ')).then(|| package.to_owned())
}

/// The package of a compiler's library: that of `rustc-web` is `libstd-rust-web-dev`.
fn library_of(compiler: &str) -> String {
    let flavour = compiler.strip_prefix("rustc").unwrap_or_default();
    format!("libstd-rust{flavour}-dev")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_is_of_the_compilers_flavour() {
        assert_eq!(owner_of("rustc-web: /usr/bin/rustc").as_deref(), Some("rustc-web"));
        assert_eq!(owner_of("rustc:amd64: /usr/bin/rustc").as_deref(), Some("rustc"));
        assert_eq!(owner_of("diversion by x from: /usr/bin/rustc"), None);
        assert_eq!(library_of("rustc-web"), "libstd-rust-web-dev");
        assert_eq!(library_of("rustc"), "libstd-rust-dev");
    }
}
