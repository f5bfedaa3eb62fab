//! Removal marks: how an adjustment says that something goes.
//!
//! A key, path or type with a leading `-` removes what has the rest of it as its name. The protocol has this for
//! annotations, mounts, environment variables, devices, namespaces, sysctls and network devices; CDI devices, hooks,
//! resource limits and resources can't be removed. `-NAME` beside `NAME` in one adjustment replaces what another plugin
//! set, which would be a conflict otherwise.

use crate::api::{KeyValue, LinuxDevice, LinuxNamespace, Mount};

const MARK: char = '-';

/// The name with the mark before it.
///
/// ```
/// use nri_plugin::adjust::removal::{mark, marked};
///
/// assert_eq!(mark("LD_PRELOAD"), "-LD_PRELOAD");
/// assert_eq!(marked("-LD_PRELOAD"), Some("LD_PRELOAD"));
/// assert_eq!(marked("LD_PRELOAD"), None);
/// ```
pub fn mark(name: &str) -> String {
    format!("{MARK}{name}")
}

/// What is removed, if the name is marked.
pub fn marked(name: &str) -> Option<&str> {
    name.strip_prefix(MARK)
}

/// Whether the name is marked.
pub fn is_marked(name: &str) -> bool {
    marked(name).is_some()
}

/// The name without a mark, whether it had one or not.
pub fn unmarked(name: &str) -> &str {
    marked(name).unwrap_or(name)
}

impl Mount {
    /// The destination that is removed, if this is a removal.
    pub fn removes(&self) -> Option<&str> {
        marked(&self.destination)
    }
}

impl KeyValue {
    /// The name that is removed, if this is a removal.
    pub fn removes(&self) -> Option<&str> {
        marked(&self.key)
    }
}

impl LinuxDevice {
    /// The path that is removed, if this is a removal.
    pub fn removes(&self) -> Option<&str> {
        marked(&self.path)
    }
}

impl LinuxNamespace {
    /// The kind that is removed, if this is a removal.
    pub fn removes(&self) -> Option<&str> {
        marked(&self.r#type)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_mark_is_taken_and_an_empty_name_has_none() {
        assert_eq!(marked("--a"), Some("-a"));
        assert_eq!((marked(""), marked("-")), (None, Some("")));
        assert_eq!((unmarked("-a"), unmarked("a")), ("a", "a"));
        assert!(is_marked(&mark("a")) && !is_marked("a-"));
    }

    #[test]
    fn each_message_that_can_be_marked_says_what_it_removes() {
        assert_eq!(Mount { destination: "-/a".into(), ..Mount::default() }.removes(), Some("/a"));
        assert_eq!(KeyValue { key: "-A".into(), value: String::new() }.removes(), Some("A"));
        assert_eq!(LinuxDevice { path: "-/dev/a".into(), ..LinuxDevice::default() }.removes(), Some("/dev/a"));
        assert_eq!(LinuxNamespace { r#type: "-pid".into(), path: String::new() }.removes(), Some("pid"));
        assert_eq!(Mount { destination: "/a".into(), ..Mount::default() }.removes(), None);
    }
}
