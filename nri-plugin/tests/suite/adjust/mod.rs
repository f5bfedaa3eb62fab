//! Methods of the builders → messages that runtimes read.

mod empty;
mod keys;
mod refused;
mod whole;

use std::collections::BTreeMap;

use nri_plugin::Adjustment;
use nri_plugin::api::{ContainerAdjustment, Hook, KeyValue, LinuxContainerAdjustment};

pub(crate) fn built(adjustment: Adjustment) -> ContainerAdjustment {
    adjustment.build().unwrap().unwrap()
}

pub(crate) fn linux(adjustment: Adjustment) -> LinuxContainerAdjustment {
    built(adjustment).linux.unwrap()
}

pub(crate) fn map<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}

pub(crate) fn pair(key: &str, value: &str) -> KeyValue {
    KeyValue { key: key.to_owned(), value: value.to_owned() }
}

pub(crate) fn texts<const N: usize>(texts: [&str; N]) -> Vec<String> {
    texts.map(str::to_owned).into()
}

pub(crate) fn hook(path: &str) -> Hook {
    Hook { path: path.to_owned(), args: Vec::new(), env: Vec::new(), timeout: None }
}
