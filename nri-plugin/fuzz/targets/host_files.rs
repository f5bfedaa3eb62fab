//! Any text of the kernel's files, and any path of a runtime → no panic, and paths that stay below the root.
#![no_main]

use std::path::{Component, Path};

use libfuzzer_sys::fuzz_target;
use nri_plugin::api::Version;
use nri_plugin::cgroup::{CgroupMounts, CgroupPath, ProcessCgroups, container_directory, expand_slice, identify};

fn stays_below(path: &Path) -> bool {
    path.components().all(|component| !matches!(component, Component::ParentDir))
}

fuzz_target!(|input: (&[u8], &str, &str)| {
    let (bytes, text, parent) = input;
    let _ = CgroupMounts::parse(bytes).widest();
    let _ = ProcessCgroups::parse(bytes);
    let _ = CgroupPath::parse(Path::new(text));
    let _ = identify(Path::new(text)).map(|found| found.directory.starts_with(text));
    let _ = text.parse::<Version>();
    for path in [container_directory(text, parent), expand_slice(text)].into_iter().flatten() {
        assert!(stays_below(&path), "{path:?}");
    }
});
