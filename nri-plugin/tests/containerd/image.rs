//! busybox → an image in the layout of OCI, as one tar: nothing is pulled.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io;
use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

/// What pods' own processes run.
pub(crate) const PAUSE: &str = "localhost/pause:test";
/// What containers run.
pub(crate) const BUSYBOX: &str = "localhost/busybox:test";

/// Both names are of one image.
const NAMES: [&str; 2] = [PAUSE, BUSYBOX];
const COMMANDS: [&str; 4] = ["sh", "sleep", "true", "cat"];

pub(crate) fn write(busybox: &Path, to: &Path) -> io::Result<()> {
    let layer = layer(&fs::read(busybox)?)?;
    let config = json!({
        "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
        "os": "linux",
        "config": {"Cmd": ["/bin/sleep", "1000000"], "Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [digest(&layer)]},
    });
    let config = config.to_string().into_bytes();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", &layer)],
    });
    let manifest = manifest.to_string().into_bytes();
    let named = NAMES.map(|name| {
        let mut named = descriptor("application/vnd.oci.image.manifest.v1+json", &manifest);
        named["annotations"] = json!({"io.containerd.image.name": name});
        named
    });
    let index = json!({"schemaVersion": 2, "manifests": named});

    let mut tar = Builder::new(File::create(to)?);
    file(&mut tar, "oci-layout", 0o644, br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    file(&mut tar, "index.json", 0o644, index.to_string().as_bytes())?;
    for blob in [&config, &manifest, &layer] {
        file(&mut tar, &format!("blobs/{}", digest(blob).replace(':', "/")), 0o644, blob)?;
    }
    tar.into_inner()?.sync_all()
}

fn layer(busybox: &[u8]) -> io::Result<Vec<u8>> {
    let mut tar = Builder::new(Vec::new());
    for directory in ["bin", "dev", "etc", "proc", "sys", "tmp"] {
        let mut header = header(EntryType::Directory, 0o755, 0);
        tar.append_data(&mut header, format!("{directory}/"), io::empty())?;
    }
    file(&mut tar, "bin/busybox", 0o755, busybox)?;
    for command in COMMANDS {
        tar.append_link(&mut header(EntryType::Symlink, 0o777, 0), format!("bin/{command}"), "busybox")?;
    }
    tar.into_inner()
}

fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

fn file<W: io::Write>(tar: &mut Builder<W>, path: &str, mode: u32, content: &[u8]) -> io::Result<()> {
    tar.append_data(&mut header(EntryType::Regular, mode, content.len() as u64), path, content)
}

fn digest(blob: &[u8]) -> String {
    Sha256::digest(blob).iter().fold("sha256:".to_owned(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn descriptor(kind: &str, blob: &[u8]) -> Value {
    json!({"mediaType": kind, "digest": digest(blob), "size": blob.len()})
}
