//! The compiler with a core library for the kernel's machine, the linker, and what strips.

use std::{
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

/// The target of the object.
pub(crate) const TARGET: &str = "bpfel-unknown-none";

const HOW: &str = "Debian has the compiler, its core library for the target, and LLVM:
    apt-get install --no-install-recommends rustc-web libstd-rust-web-dev-bpf llvm-22
and cargo the linker, which is to be found in PATH:
    cargo install bpf-linker --version 0.10.3 --locked
CGROUP_PERF_RUSTC names another compiler than /usr/bin/rustc, and CGROUP_PERF_STRIP another llvm-strip.";

/// Tools that are there, and their versions.
#[derive(Debug)]
pub(crate) struct Toolchain {
    pub(crate) rustc: PathBuf,
    pub(crate) strip: PathBuf,
    /// Where the linker finds LLVM: beside the compiler that runs this.
    pub(crate) libraries: PathBuf,
    pub(crate) compiler: String,
    pub(crate) linker: String,
    pub(crate) cargo: String,
}

impl Toolchain {
    /// Finds them all, or says which are missing. Installs nothing.
    pub(crate) fn find() -> Result<Self> {
        let rustc = rustc();
        let strip = from_environment("CGROUP_PERF_STRIP", &["llvm-strip-22", "llvm-strip-21", "llvm-strip-19"]);
        let mut missing = Vec::new();
        let compiler = version(rustc.as_os_str());
        let core = compiler.is_some() && has_core(&rustc);
        if !core {
            missing.push(format!("a compiler with a core library for {TARGET} ({} is none)", rustc.display()));
        }
        // LLVM copies the lines that it finds into the type information, and other machines have none to find.
        if let Some(sources) =
            sysroot(&rustc).map(|root| root.join("lib/rustlib/src/rust")).filter(|path| path.exists())
        {
            missing.push(format!(
                "a compiler without the sources of its library, whose lines would get into the object (remove {}, Debian's rust-web-src)",
                sources.display()
            ));
        }
        let libraries = sysroot(Path::new("rustc")).map(|root| root.join("lib")).unwrap_or_default();
        let linker = output(Command::new("bpf-linker").arg("--version").env("LD_LIBRARY_PATH", &libraries));
        if linker.is_none() {
            missing.push("bpf-linker".to_owned());
        }
        if version(strip.as_os_str()).is_none() {
            missing.push(format!("llvm-strip ({} is none)", strip.display()));
        }
        let (Some(compiler), Some(linker), true) = (compiler, linker, missing.is_empty()) else {
            bail!("missing: {}\n{HOW}", missing.join(", "));
        };
        let cargo = version(OsStr::new(&cargo())).context("cargo tells no version")?;
        Ok(Self { rustc, strip, libraries, compiler, linker, cargo })
    }
}

/// The cargo that runs this.
pub(crate) fn cargo() -> String {
    env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
}

/// The compiler of the distribution's.
pub(crate) fn rustc() -> PathBuf {
    from_environment("CGROUP_PERF_RUSTC", &["/usr/bin/rustc"])
}

fn from_environment(name: &str, candidates: &[&str]) -> PathBuf {
    if let Some(path) = env::var_os(name) {
        return path.into();
    }
    let found = candidates.iter().find(|candidate| version(OsStr::new(candidate)).is_some());
    found.or(candidates.first()).map(PathBuf::from).unwrap_or_default()
}

fn has_core(rustc: &Path) -> bool {
    sysroot(rustc).is_some_and(|root| root.join("lib/rustlib").join(TARGET).is_dir())
}

fn sysroot(rustc: &Path) -> Option<PathBuf> {
    output(Command::new(rustc).args(["--print", "sysroot"])).map(PathBuf::from)
}

fn version(tool: &OsStr) -> Option<String> {
    output(Command::new(tool).arg("--version"))
}

/// The first line that a command prints, where it succeeds.
pub(crate) fn output(command: &mut Command) -> Option<String> {
    let output = command.output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.lines().next().unwrap_or_default().trim().to_owned())
}
