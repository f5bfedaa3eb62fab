//! Schema → the code that is committed.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;

#[test]
fn committed_messages_are_those_of_the_schemas() {
    for (path, text) in nri_plugin_codegen::generate().unwrap() {
        let committed = fs::read_to_string(&path).unwrap();
        assert!(committed == text, "{} is stale: cargo run -p nri-plugin-codegen", path.display());
    }
}
