//! Makes the messages of `nri-plugin` from its schemas, in pure Rust: `protox` parses, `prost-build` writes. Nobody who
//! builds `nri-plugin` needs either. `cluster-sim` gets messages of its own from the same schemas: a simulator shares no
//! code with what it tests.
//!
//! `cargo run -p nri-plugin-codegen` writes the files; the test of this package proves that they are current.

use std::error::Error;
use std::path::{Path, PathBuf};

use prost_build::{Config, Module};

/// A schema, its package, and the files that are made of it; paths are below the workspace.
const SCHEMAS: [(&str, &str, [&str; 2]); 2] = [
    ("nri.proto", "nri.pkg.api.v1alpha1", ["nri-plugin/src/api/nri.rs", "cluster-sim/src/nri/api.rs"]),
    ("ttrpc.proto", "ttrpc", ["nri-plugin/src/ttrpc/envelope.rs", "cluster-sim/src/nri/envelope.rs"]),
];

/// Fields that are seldom there, and that would take room in each pod and container of a node.
const BOXED: [&str; 4] = [
    ".nri.pkg.api.v1alpha1.LinuxPodSandbox.pod_overhead",
    ".nri.pkg.api.v1alpha1.LinuxPodSandbox.pod_resources",
    ".nri.pkg.api.v1alpha1.LinuxPodSandbox.resources",
    ".nri.pkg.api.v1alpha1.Container.hooks",
];

/// Each generated file: where it belongs, and its text.
pub fn generate() -> Result<Vec<(PathBuf, String)>, Box<dyn Error>> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files = Vec::new();
    for (schema, package, paths) in SCHEMAS {
        let descriptors = protox::compile([schema], [workspace.join("nri-plugin/proto")])?;
        let module = Module::from_protobuf_package_name(package);
        let requests = descriptors.file.into_iter().map(|descriptor| (module.clone(), descriptor)).collect();
        let mut config = Config::new();
        // Ordered maps encode to the same bytes each time; payloads are taken from the frame without a copy.
        config.btree_map(["."]).bytes([".ttrpc"]);
        for field in BOXED {
            config.boxed(field);
        }
        let mut code = config.generate(requests)?;
        let code = code.remove(&module).ok_or("the schema has no messages")?;
        for path in paths {
            // Within the library, the schema's path is the library's.
            let origin = if path.starts_with("nri-plugin/") { "proto" } else { "nri-plugin/proto" };
            let text = format!("// Made from {origin}/{schema} by nri-plugin-codegen: change that.\n{code}");
            files.push((workspace.join(path), text));
        }
    }
    Ok(files)
}
