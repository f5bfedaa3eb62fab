//! Reads the manifests in `examples/deploy`. The binaries' tests take this file in by its path.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, from_value};

/// The folder of all of them.
pub fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy")
}

/// The documents of a file, named from that folder on.
pub fn documents(file: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(deploy().join(file)).unwrap();
    text.split("\n---\n").map(|document| serde_saphyr::from_str(document).expect(file)).collect()
}

/// What `kubectl apply -k` applies of a folder: the files that its kustomization lists, without other bases.
pub fn manifests(folder: &str) -> Vec<Value> {
    let listed = documents(&format!("{folder}/kustomization.yaml")).remove(0);
    let files = listed["resources"].as_array().unwrap().iter().map(|file| file.as_str().unwrap());
    files.filter(|file| !file.starts_with("..")).flat_map(|file| documents(&format!("{folder}/{file}"))).collect()
}

/// The first object of a kind.
pub fn of_kind<K: DeserializeOwned>(manifests: Vec<Value>, kind: &str) -> K {
    from_value(manifests.into_iter().find(|object| object["kind"] == kind).unwrap()).unwrap()
}

/// As the type has it: fields that it does not know are lost.
pub fn typed<K: DeserializeOwned + Serialize>(document: &Value) -> Value {
    serde_json::to_value(from_value::<K>(document.clone()).unwrap()).unwrap()
}
