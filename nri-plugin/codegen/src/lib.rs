//! Makes the messages of `nri-plugin` from its schemas, in pure Rust: `protox` parses, `prost-build` writes. Nobody who
//! builds `nri-plugin` needs either.
//!
//! `cargo run -p nri-plugin-codegen` writes the files; the test of this package proves that they are current.

use std::error::Error;
use std::path::{Path, PathBuf};

use prost_build::{Config, Module};

/// A schema, its package, and the file that is made of it; paths are below `nri-plugin`.
const SCHEMAS: [(&str, &str, &str); 2] =
    [("nri.proto", "nri.pkg.api.v1alpha1", "src/api/nri.rs"), ("ttrpc.proto", "ttrpc", "src/ttrpc/envelope.rs")];

/// Each generated file: where it belongs, and its text.
pub fn generate() -> Result<Vec<(PathBuf, String)>, Box<dyn Error>> {
    let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = Vec::new();
    for (schema, package, file) in SCHEMAS {
        let descriptors = protox::compile([schema], [library.join("proto")])?;
        let module = Module::from_protobuf_package_name(package);
        let requests = descriptors.file.into_iter().map(|descriptor| (module.clone(), descriptor)).collect();
        let mut code = Config::new()
            // Ordered maps encode to the same bytes each time; payloads are taken from the frame without a copy.
            .btree_map(["."])
            .bytes([".ttrpc"])
            .generate(requests)?;
        let code = code.remove(&module).ok_or("the schema has no messages")?;
        files.push((
            library.join(file),
            format!("// Made from proto/{schema} by nri-plugin-codegen: change that.\n{code}"),
        ));
    }
    Ok(files)
}
