//! Annotations by which users speak to plugins.

use crate::api::PodSandbox;

/// The annotation of a pod that lists plugins without which its containers may not be created. The runtime's default
/// validator, where it is on, heeds it.
pub const REQUIRED_PLUGINS: &str = "required-plugins.noderesource.dev";

/// The value that an annotation of the pod has for one of its containers: that of `KEY/container.NAME`, else of
/// `KEY/pod`, else of `KEY` itself.
///
/// ```
/// use std::collections::BTreeMap;
///
/// use nri_plugin::adjust::effective_annotation;
/// use nri_plugin::api::PodSandbox;
///
/// let annotations = [("class.example.com/pod", "low"), ("class.example.com/container.db", "high")];
/// let annotations = BTreeMap::from(annotations.map(|(key, value)| (key.to_owned(), value.to_owned())));
/// let pod = PodSandbox { annotations, ..PodSandbox::default() };
/// assert_eq!(effective_annotation(&pod, "class.example.com", "db"), Some("high"));
/// assert_eq!(effective_annotation(&pod, "class.example.com", "sidecar"), Some("low"));
/// assert_eq!(effective_annotation(&pod, "other.example.com", "db"), None);
/// ```
pub fn effective_annotation<'a>(pod: &'a PodSandbox, key: &str, container_name: &str) -> Option<&'a str> {
    let find = |key: &str| pod.annotations.get(key).map(String::as_str);
    find(&format!("{key}/container.{container_name}")).or_else(|| find(&format!("{key}/pod"))).or_else(|| find(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_narrower_scope_wins() {
        let mut pod = PodSandbox::default();
        let mut found = Vec::new();
        for key in ["k", "k/pod", "k/container.a"] {
            pod.annotations.insert(key.to_owned(), key.to_owned());
            found.push([effective_annotation(&pod, "k", "a"), effective_annotation(&pod, "k", "b")].map(str_of));
        }
        assert_eq!(
            found,
            [["k", "k"], ["k/pod", "k/pod"], ["k/container.a", "k/pod"]].map(|pair| pair.map(str::to_owned))
        );
        assert_eq!(effective_annotation(&pod, "", "a"), None);
    }

    fn str_of(value: Option<&str>) -> String {
        value.unwrap_or("none").to_owned()
    }

    #[test]
    fn an_empty_value_is_a_value() {
        let mut pod = PodSandbox::default();
        pod.annotations.insert("k".to_owned(), "wide".to_owned());
        pod.annotations.insert("k/pod".to_owned(), String::new());
        assert_eq!(effective_annotation(&pod, "k", "a"), Some(""));
    }
}
