//! Building the object, the same bytes wherever it is done.

use std::{env, fs, path::Path, process::Command};

use anyhow::{Context, Result, ensure};

use crate::toolchain::{TARGET, Toolchain, cargo};

/// Builds the object, and gives its bytes.
pub(crate) fn build(ebpf: &Path, toolchain: &Toolchain) -> Result<Vec<u8>> {
    let target = ebpf.join("../../target/ebpf");
    fs::create_dir_all(&target)?;
    let target = target.canonicalize()?;
    let library_path = match env::var_os("LD_LIBRARY_PATH") {
        Some(path) => {
            let before = toolchain.libraries.clone();
            env::join_paths([before].into_iter().chain(env::split_paths(&path)))?
        }
        None => toolchain.libraries.clone().into(),
    };
    let mut command = Command::new(cargo());
    command
        .current_dir(ebpf)
        .args(["build", "--release", "--locked", "--target", TARGET, "--target-dir"])
        .arg(&target)
        .env("RUSTC", &toolchain.rustc)
        // For inline assembly of the target, which is not stable; nothing else of the kind is used.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_ENCODED_RUSTFLAGS", flags(ebpf)?)
        .env("LD_LIBRARY_PATH", library_path);
    // What the environment says is for the host's programs.
    for name in ["RUSTFLAGS", "CARGO_BUILD_RUSTFLAGS", "CARGO_TARGET_DIR", "RUSTC_WRAPPER", "RUSTUP_TOOLCHAIN"] {
        command.env_remove(name);
    }
    ensure!(command.status().context("cargo does not run")?.success(), "the object cannot be built");
    let built = target.join(TARGET).join("release/cgroup-perf");
    let stripped = target.join("cgroup-perf.bpf.o");
    let status = Command::new(&toolchain.strip)
        .arg("-g")
        .arg("-o")
        .args([&stripped, &built])
        .status()
        .context("llvm-strip does not run")?;
    ensure!(status.success(), "the object cannot be stripped");
    fs::read(&stripped).with_context(|| format!("{}", stripped.display()))
}

/// Type information for the kernel, and no path of this machine in it.
fn flags(ebpf: &Path) -> Result<String> {
    let mut flags = vec!["-Cdebuginfo=2".to_owned(), "-Clink-arg=--btf".to_owned()];
    flags.push(format!("--remap-path-prefix={}=.", ebpf.canonicalize()?.display()));
    let home = env::var_os("CARGO_HOME").map(Into::into).or_else(|| env::home_dir().map(|home| home.join(".cargo")));
    let registries = home.context("cargo has no home")?.join("registry/src");
    // Named by where they come from, which is another place behind a mirror.
    for entry in fs::read_dir(&registries).into_iter().flatten() {
        let path = entry?.path();
        flags.push(format!("--remap-path-prefix={}=registry", path.display()));
    }
    // The encoded form: paths may have spaces.
    Ok(flags.join("\x1f"))
}
