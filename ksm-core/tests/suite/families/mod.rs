//! The families of each built-in resource: an object in, sample lines out.

mod access;
mod bad_input;
mod cronjobs;
mod network;
mod nodes;
mod pods;
mod policy;
mod storage;
mod unread;
mod workloads;

use ksm_core::render::sample_lines;
use ksm_core::resource::enabled_families;
use ksm_core::{AllowLists, Builtin, FamilyFilter, FamilySet};
use serde_json::Value;

/// The objects of all conformance cases.
fn objects() -> impl Iterator<Item = Value> {
    include_str!("../../data/ksm_cases.jsonl").lines().map(|line| {
        let mut case: Value = serde_json::from_str(line).expect("a case per line");
        case["object"].take()
    })
}

fn render<K: Builtin>(object: &Value, families: &FamilySet) -> Result<Vec<String>, serde_json::Error> {
    let object = K::deserialize(object)?;
    Ok(sample_lines(&K::RESOURCE, &object, families, &AllowLists::default()))
}

/// The lines of the families that are on by default.
fn lines<K: Builtin>(object: &Value) -> Vec<String> {
    let families = enabled_families(K::RESOURCE.families, &FamilyFilter::default(), &AllowLists::default());
    render::<K>(object, &families).expect("the object decodes")
}

/// The lines of the families whose name begins so, opt-in or not.
fn lines_of<K: Builtin>(family: &str, object: &Value) -> Vec<String> {
    let all = K::RESOURCE.families.iter().enumerate();
    let families = all.filter(|(_, f)| f.name.starts_with(family)).map(|(index, _)| index).collect();
    render::<K>(object, &families).expect("the object decodes")
}
