//! Which namespaces are shown, for what ksm-core does not filter by itself.

use std::sync::Arc;

use ksm_core::Settings;
use parking_lot::RwLock;

/// The namespaces that are shown; clones change together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Namespaces(Arc<RwLock<Lists>>);

#[derive(Debug, Default)]
struct Lists {
    only: Vec<String>,
    never: Vec<String>,
}

impl Namespaces {
    pub(crate) fn of(settings: &Settings) -> Self {
        let namespaces = Self::default();
        namespaces.set(settings);
        namespaces
    }

    /// Takes over what settings say; it holds for what comes from now on.
    pub(crate) fn set(&self, settings: &Settings) {
        let (only, never) = (settings.namespaces.clone(), settings.namespaces_denylist.clone());
        *self.0.write() = Lists { only, never };
    }

    pub(crate) fn admit(&self, namespace: &str) -> bool {
        let lists = self.0.read();
        let is = |name: &String| name == namespace;
        (lists.only.is_empty() || lists.only.iter().any(is)) && !lists.never.iter().any(is)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_admit_and_refuse_and_change_for_all_clones() {
        let namespaces = Namespaces::of(&Settings::default());
        let clone = namespaces.clone();
        assert!(clone.admit("a"));
        namespaces.set(&Settings { namespaces: vec!["a".into(), "b".into()], ..Settings::default() });
        assert!(clone.admit("a") && !clone.admit("c"));
        namespaces.set(&Settings { namespaces_denylist: vec!["a".into()], ..Settings::default() });
        assert!(!clone.admit("a") && clone.admit("c"));
    }
}
