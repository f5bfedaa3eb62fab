//! Where hosts that send events keep how far they are.

use std::path::PathBuf;
use std::str::FromStr;

/// Where a pod finds the name of its namespace.
const NAMESPACE_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// The namespace that this process's pod is in; none outside of pods.
pub fn own_namespace() -> Option<String> {
    let text = std::fs::read_to_string(NAMESPACE_FILE).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// Where a position among events is kept, so that a restart misses none: `file:PATH`, `configmap:NAME` or
/// `configmap:NAMESPACE/NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A file, on a volume that outlives the pod.
    File(PathBuf),
    /// A ConfigMap; in the pod's own namespace unless it says another.
    ConfigMap {
        /// Its namespace.
        namespace: Option<String>,
        /// Its name.
        name: String,
    },
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no place: write file:PATH, configmap:NAME or configmap:NAMESPACE/NAME");
        match text.split_once(':').filter(|(_, rest)| !rest.is_empty()).ok_or_else(wrong)? {
            ("file", path) => Ok(Self::File(path.into())),
            ("configmap", name) => {
                let (namespace, name) = match name.split_once('/') {
                    Some((namespace, name)) => (Some(namespace.to_owned()), name),
                    None => (None, name),
                };
                if name.is_empty() || name.contains('/') || namespace.as_deref() == Some("") {
                    return Err(wrong());
                }
                Ok(Self::ConfigMap { namespace, name: name.to_owned() })
            }
            _ => Err(wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_a_position() {
        let place = |text: &str| text.parse::<Place>();
        assert_eq!(place("file:/var/lib/x"), Ok(Place::File("/var/lib/x".into())));
        let named = |namespace: Option<&str>| Place::ConfigMap {
            namespace: namespace.map(str::to_owned),
            name: "b".to_owned(),
        };
        assert_eq!(place("configmap:b"), Ok(named(None)));
        assert_eq!(place("configmap:a/b"), Ok(named(Some("a"))));
        for wrong in ["", "file:", "configmap:", "configmap:/b", "configmap:a/", "configmap:a/b/c", "s3:x", "/x"] {
            assert!(place(wrong).is_err(), "{wrong}");
        }
    }
}
