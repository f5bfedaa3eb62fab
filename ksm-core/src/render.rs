//! Samples of single objects as lines of text, without a store: for tests, tools and debugging.

use crate::family::{Family, FamilyIndex, FamilySet};
use crate::labels::AllowLists;
use crate::resource::Resource;
use crate::samples::{Label, Reuse, SampleSink, Samples};
use crate::value::{escape_label_value, write_value};

/// The sample lines that an object yields, family by family in the table's order.
///
/// ```
/// use k8s_openapi::api::core::v1::Namespace;
/// use ksm_core::{AllowLists, Builtin, FamilySet, render::sample_lines};
///
/// let namespace: Namespace = serde_json::from_str(
///     r#"{"metadata":{"name":"web"},"status":{"phase":"Active"}}"#,
/// )?;
/// let families = FamilySet::all(Namespace::RESOURCE.families.len());
/// let lines = sample_lines(&Namespace::RESOURCE, &namespace, &families, &AllowLists::default());
/// assert!(lines.iter().any(|line| line == r#"kube_namespace_status_phase{namespace="web",phase="Active"} 1"#));
/// # Ok::<(), serde_json::Error>(())
/// ```
pub fn sample_lines<K>(resource: &Resource<K>, object: &K, enabled: &FamilySet, allow: &AllowLists) -> Vec<String> {
    walk_lines(resource.families, enabled, allow, |samples| (resource.collect)(object, samples))
}

/// The sample lines that a walk yields, family by family in the table's order.
pub fn walk_lines(
    families: &[Family],
    enabled: &FamilySet,
    allow: &AllowLists,
    walk: impl FnOnce(&mut Samples<'_>),
) -> Vec<String> {
    let mut lines = Lines { families, identity: Vec::new(), written: Vec::new() };
    walk(&mut Samples::new(enabled, allow, &mut lines));
    lines.written.sort_by_key(|(family, _)| *family);
    lines.written.into_iter().map(|(_, line)| line).collect()
}

struct Lines<'a> {
    families: &'a [Family],
    identity: Vec<u8>,
    written: Vec<(FamilyIndex, String)>,
}

impl SampleSink for Lines<'_> {
    fn identity(&mut self, labels: &[Label<'_>]) {
        self.identity.clear();
        write_labels(&mut self.identity, labels);
    }

    fn sample(&mut self, family: FamilyIndex, labels: &[Label<'_>], value: f64, _reuse: Reuse) {
        let name = self.families.get(family.index()).map_or("", |family| family.name.as_ref());
        let mut line = name.as_bytes().to_vec();
        line.push(b'{');
        line.extend_from_slice(&self.identity);
        write_labels(&mut line, labels);
        if line.ends_with(b",") {
            line.pop();
        }
        line.extend_from_slice(b"} ");
        write_value(&mut line, value);
        self.written.push((family, String::from_utf8_lossy(&line).into_owned()));
    }
}

fn write_labels(out: &mut Vec<u8>, labels: &[Label<'_>]) {
    for (name, value) in labels {
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"=\"");
        escape_label_value(out, value);
        out.extend_from_slice(b"\",");
    }
}
