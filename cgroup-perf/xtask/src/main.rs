//! What contributors do to `cgroup-perf`: `cargo xtask build-ebpf`, `cargo xtask check-ebpf` and `cargo xtask vm-test`.

mod build;
mod manifest;
mod toolchain;
mod vm;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand};

use crate::{
    manifest::{Manifest, hash, hash_sources},
    toolchain::Toolchain,
};

#[derive(Parser)]
#[command(about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Builds the kernel side, and writes the object and its manifest.
    BuildEbpf,
    /// Proves that the object is of the sources.
    CheckEbpf {
        /// Builds it again, and compares the bytes.
        #[arg(long)]
        rebuild: bool,
    },
    /// Boots emulated machines with hardware counters, and checks what is counted in them.
    VmTest(vm::Arguments),
}

/// Where things are, below the directory of the crate.
struct Paths {
    ebpf: PathBuf,
    abi: PathBuf,
    object: PathBuf,
    manifest: PathBuf,
}

impl Paths {
    fn of(crate_directory: &Path) -> Self {
        let object = crate_directory.join("object");
        Self {
            ebpf: crate_directory.join("ebpf"),
            abi: crate_directory.join("src/abi.rs"),
            manifest: object.join("manifest.toml"),
            object: object.join("cgroup-perf.bpf.o"),
        }
    }

    fn sources(&self) -> Result<String> {
        hash_sources(&self.ebpf, &self.abi)
    }
}

/// The exit code where the tools cannot tell: as automake has it for a skipped test.
const CANNOT_TELL: u8 = 77;

fn main() -> Result<ExitCode> {
    let crate_directory = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the crate is above its xtask")?;
    let paths = Paths::of(crate_directory);
    match Arguments::parse().command {
        Command::BuildEbpf => build_ebpf(&paths).map(|()| ExitCode::SUCCESS),
        Command::CheckEbpf { rebuild } => {
            let manifest = check(&paths)?;
            println!("the object is of the sources {}", manifest.sources);
            if rebuild { rebuild_and_compare(&paths, &manifest) } else { Ok(ExitCode::SUCCESS) }
        }
        Command::VmTest(arguments) => Ok(vm::run(crate_directory, &arguments)?.unwrap_or(ExitCode::from(CANNOT_TELL))),
    }
}

fn build_ebpf(paths: &Paths) -> Result<()> {
    let toolchain = Toolchain::find()?;
    let object = build::build(&paths.ebpf, &toolchain)?;
    let manifest = Manifest {
        sources: paths.sources()?,
        object: hash(&object),
        compiler: toolchain.compiler,
        linker: toolchain.linker,
        cargo: toolchain.cargo,
    };
    fs::create_dir_all(paths.object.parent().context("the object has a directory")?)?;
    fs::write(&paths.object, &object)?;
    fs::write(&paths.manifest, manifest.text()?)?;
    println!("{} bytes, {}", object.len(), manifest.object);
    Ok(())
}

/// Compares the hashes of what is there with the manifest.
fn check(paths: &Paths) -> Result<Manifest> {
    let manifest = Manifest::read(&paths.manifest)?;
    let object = fs::read(&paths.object).with_context(|| format!("{}", paths.object.display()))?;
    ensure!(
        hash(&object) == manifest.object,
        "the object is not the manifest's: run `cargo xtask build-ebpf` and commit both"
    );
    ensure!(
        paths.sources()? == manifest.sources,
        "the sources of the object changed: run `cargo xtask build-ebpf` and commit what it writes"
    );
    Ok(manifest)
}

/// Builds the object again where that says something about the one that is there.
fn rebuild_and_compare(paths: &Paths, manifest: &Manifest) -> Result<ExitCode> {
    let toolchain = match Toolchain::find() {
        Ok(toolchain) => toolchain,
        Err(error) => {
            eprintln!("not built again: {error}");
            return Ok(ExitCode::from(CANNOT_TELL));
        }
    };
    for (what, then, now) in [
        ("compiler", &manifest.compiler, &toolchain.compiler),
        ("linker", &manifest.linker, &toolchain.linker),
        ("cargo", &manifest.cargo, &toolchain.cargo),
    ] {
        if then != now {
            eprintln!("not built again: the object was built by another {what}: {then}, and here is {now}");
            return Ok(ExitCode::from(CANNOT_TELL));
        }
    }
    let object = hash(&build::build(&paths.ebpf, &toolchain)?);
    ensure!(object == manifest.object, "built again, the object is another one: {object}, not {}", manifest.object);
    println!("built again, it is the same: {object}");
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_object_is_of_the_sources() {
        let crate_directory = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        check(&Paths::of(crate_directory)).unwrap();
    }
}
