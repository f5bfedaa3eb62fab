//! What the object was built of and by.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The file beside the object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    /// SHA-256 of the sources, the lock file among them.
    pub(crate) sources: String,
    /// SHA-256 of the object.
    pub(crate) object: String,
    pub(crate) compiler: String,
    pub(crate) linker: String,
    pub(crate) cargo: String,
}

impl Manifest {
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("{}", path.display()))?;
        toml::from_str(&text).with_context(|| format!("{}", path.display()))
    }

    pub(crate) fn text(&self) -> Result<String> {
        let text = toml::to_string(self)?;
        Ok(format!("# Written by `cargo xtask build-ebpf`.\n{text}"))
    }
}

/// SHA-256, in hexadecimal.
pub(crate) fn hash(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The hash of all that decides what the object is: the package, its lock file, and the layouts that both sides share.
pub(crate) fn hash_sources(ebpf: &Path, abi: &Path) -> Result<String> {
    let mut files: Vec<(String, PathBuf)> = vec![
        ("Cargo.toml".to_owned(), ebpf.join("Cargo.toml")),
        ("Cargo.lock".to_owned(), ebpf.join("Cargo.lock")),
        ("abi.rs".to_owned(), abi.to_owned()),
    ];
    let sources = ebpf.join("src");
    for entry in fs::read_dir(&sources).with_context(|| format!("{}", sources.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            files.push((format!("src/{name}"), path));
        }
    }
    files.sort();
    let mut digest = Sha256::new();
    for (name, path) in files {
        let content = fs::read(&path).with_context(|| format!("{}", path.display()))?;
        // With the lengths, no two sets of files are the same bytes.
        digest.update(format!("{name}\n{}\n", content.len()));
        digest.update(&content);
    }
    Ok(hex(&digest.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_change_of_any_source_is_another_hash() {
        let directory = tempfile::tempdir().unwrap();
        let ebpf = directory.path().join("ebpf");
        fs::create_dir_all(ebpf.join("src")).unwrap();
        let abi = directory.path().join("abi.rs");
        let files = ["Cargo.toml", "Cargo.lock", "src/main.rs"].map(|name| ebpf.join(name));
        for file in files.iter().chain([&abi]) {
            fs::write(file, "1").unwrap();
        }
        let first = hash_sources(&ebpf, &abi).unwrap();
        assert_eq!(first.len(), 64);
        for file in files.iter().chain([&abi]) {
            fs::write(file, "2").unwrap();
            assert_ne!(hash_sources(&ebpf, &abi).unwrap(), first, "{}", file.display());
            fs::write(file, "1").unwrap();
        }
        assert_eq!(hash_sources(&ebpf, &abi).unwrap(), first);
        fs::write(ebpf.join("src/more.rs"), "").unwrap();
        assert_ne!(hash_sources(&ebpf, &abi).unwrap(), first);
    }

    #[test]
    fn it_is_read_as_it_is_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("manifest.toml");
        let text = |text: &str| text.to_owned();
        let manifest = Manifest {
            sources: hash(b""),
            object: hash(b"object"),
            compiler: text("rustc 1"),
            linker: text("bpf-linker 2"),
            cargo: text("cargo 3"),
        };
        fs::write(&path, manifest.text().unwrap()).unwrap();
        assert_eq!(Manifest::read(&path).unwrap(), manifest);
        assert!(manifest.sources.starts_with("e3b0c44298fc1c14"), "the known hash of nothing");
    }
}
