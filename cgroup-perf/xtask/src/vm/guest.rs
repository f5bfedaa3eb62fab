//! The guest's only program, and the archive that the kernel unpacks.

use std::{
    ffi::OsString,
    fs::File,
    io::{Cursor, Write as _},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use cpio::{NewcBuilder, newc::ModeFileType, write_cpio};

use super::{
    fetch::TARGET,
    tools::{LINKER, Tools},
};
use crate::toolchain::cargo;

const PACKAGE: &str = "cgroup-perf-vm-guest";

/// Builds the program.
pub(crate) fn build(crate_directory: &Path, directory: &Path, tools: &Tools, library: &Path) -> Result<PathBuf> {
    let target = directory.join("build");
    let mut command = Command::new(cargo());
    command
        .current_dir(crate_directory)
        .args(["build", "--quiet", "--release", "--locked", "--package", PACKAGE, "--target", TARGET, "--target-dir"])
        .arg(&target)
        .env("RUSTC", &tools.rustc)
        .env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", LINKER)
        .env("CARGO_ENCODED_RUSTFLAGS", flags(library))
        // The machine is emulated anyway; and the archive is to be small.
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1")
        .env("CARGO_PROFILE_RELEASE_DEBUG", "none")
        .env("CARGO_PROFILE_RELEASE_STRIP", "symbols");
    // What the environment says is for the host's programs.
    for name in ["RUSTFLAGS", "CARGO_BUILD_RUSTFLAGS", "CARGO_TARGET_DIR", "RUSTC_WRAPPER", "RUSTUP_TOOLCHAIN"] {
        command.env_remove(name);
    }
    ensure!(command.status().context("cargo does not run")?.success(), "the guest cannot be built");
    Ok(target.join(TARGET).join("release").join(PACKAGE))
}

/// Another library, and none that the guest would have to have.
fn flags(library: &Path) -> OsString {
    let mut flags = OsString::from("--sysroot\x1f");
    flags.push(library);
    flags.push("\x1f-Ctarget-feature=+crt-static");
    flags
}

/// Writes the archive: the program as `/init`, and the directories that it mounts on.
pub(crate) fn pack(program: &Path, archive: &Path) -> Result<()> {
    let bytes = std::fs::read(program).with_context(|| format!("{}", program.display()))?;
    let mut file = File::create(archive).with_context(|| format!("{}", archive.display()))?;
    file.write_all(&archive_of(bytes)?)?;
    Ok(())
}

fn archive_of(program: Vec<u8>) -> Result<Vec<u8>> {
    let entry = |name: &str, kind, mode: u32| NewcBuilder::new(name).mode(mode).set_mode_file_type(kind);
    let mut entries: Vec<(NewcBuilder, Cursor<Vec<u8>>)> = ["dev", "proc", "sys"]
        .into_iter()
        .map(|name| (entry(name, ModeFileType::Directory, 0o755), Cursor::default()))
        .collect();
    entries.push((entry("init", ModeFileType::Regular, 0o755), Cursor::new(program)));
    Ok(write_cpio(entries.into_iter(), Vec::new())?)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn the_archive_has_the_program_as_init() {
        let archive = archive_of(b"program".to_vec()).unwrap();
        let mut rest = Cursor::new(archive);
        let mut found = Vec::new();
        loop {
            let mut reader = cpio::NewcReader::new(rest).unwrap();
            if reader.entry().is_trailer() {
                break;
            }
            let mut content = Vec::new();
            reader.read_to_end(&mut content).unwrap();
            found.push((reader.entry().name().to_owned(), reader.entry().mode(), content));
            rest = reader.finish().unwrap();
        }
        let names: Vec<&str> = found.iter().map(|(name, ..)| name.as_str()).collect();
        assert_eq!(names, ["dev", "proc", "sys", "init"]);
        assert_eq!(found[0].1, 0o040_755);
        assert_eq!((found[3].1, found[3].2.as_slice()), (0o100_755, b"program".as_slice()));
    }

    #[test]
    fn a_path_with_spaces_is_one_flag() {
        let flags = flags(Path::new("/a b/usr"));
        assert_eq!(
            flags.to_string_lossy().split('\x1f').collect::<Vec<_>>(),
            ["--sysroot", "/a b/usr", "-Ctarget-feature=+crt-static"]
        );
    }
}
