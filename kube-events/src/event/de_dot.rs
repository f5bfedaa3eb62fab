//! Keys without dots.

use std::sync::Arc;

use super::{EnhancedEvent, ObjectMetadata, StringMap};

impl EnhancedEvent {
    /// The same event with `.` replaced by `_` in the keys of its labels and annotations, and of its object's: stores
    /// that take a dot for a path need that. (Keys of the namespace's labels, which only the rich form has, as well.)
    ///
    /// Keys that become one (`a.b`, `a_b`) are all kept: the one that had no dot keeps its name, the others get `_2`,
    /// `_3` and so on appended, in the order of their former names.
    ///
    /// Costs no copy where there are no dots.
    pub fn de_dot(&self) -> Self {
        let mut event = self.clone();
        let metadata = &self.event.metadata;
        if has_dots(&metadata.labels) || has_dots(&metadata.annotations) {
            let inner = Arc::make_mut(&mut event.event);
            inner.metadata.labels = without_dots(&metadata.labels);
            inner.metadata.annotations = without_dots(&metadata.annotations);
        }
        if has_dots(&self.object.labels) || has_dots(&self.object.annotations) {
            event.object = Arc::new(ObjectMetadata {
                labels: without_dots(&self.object.labels),
                annotations: without_dots(&self.object.annotations),
                owner_references: self.object.owner_references.clone(),
                deletion: self.object.deletion,
            });
        }
        if let Some(labels) = self.namespace_labels.as_ref().filter(|labels| has_dots(labels)) {
            event.namespace_labels = Some(Arc::new(without_dots(labels)));
        }
        event
    }
}

fn has_dots(map: &StringMap) -> bool {
    map.keys().any(|key| key.contains('.'))
}

fn without_dots(map: &StringMap) -> StringMap {
    let mut result: StringMap =
        map.iter().filter(|(key, _)| !key.contains('.')).map(|(key, value)| (key.clone(), value.clone())).collect();
    for (key, value) in map.iter().filter(|(key, _)| key.contains('.')) {
        let stem = key.replace('.', "_");
        let mut name = stem.clone();
        let mut number = 2_usize;
        while result.contains_key(&name) {
            name = format!("{stem}_{number}");
            number += 1;
        }
        result.insert(name, value.clone());
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(entries: &[(&str, &str)]) -> StringMap {
        entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn keys_that_become_one_are_all_kept() {
        let before = map(&[("a.b.c", "1"), ("a.b_c", "2"), ("a_b_c", "3"), ("a_b_c_2", "4"), ("x.y/z", "5")]);
        let after = map(&[("a_b_c_3", "1"), ("a_b_c_4", "2"), ("a_b_c", "3"), ("a_b_c_2", "4"), ("x_y/z", "5")]);
        assert_eq!(without_dots(&before), after);
    }
}
