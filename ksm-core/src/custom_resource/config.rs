//! A configuration as a whole, and what it says of one kind.

use std::sync::Arc;

use kube::core::GroupVersionKind;

use super::compile::compile;
use super::error::{ConfigError, ConfigErrors, Problem};
use super::fields::Findings;
use super::kind::KindPattern;
use super::metric::Entry;
use super::resource::ResourceMetrics;
use crate::yaml::Node;

/// A `CustomResourceStateMetrics` configuration, parsed and compiled.
///
/// ```
/// use ksm_core::custom_resource::{CustomResourceConfig, Object};
/// use kube::core::GroupVersionKind;
///
/// let config = CustomResourceConfig::from_yaml(
///     r"
/// kind: CustomResourceStateMetrics
/// spec:
///   resources:
///     - groupVersionKind: {group: example.com, version: v1, kind: Foo}
///       labelsFromPath: {name: [metadata, name]}
///       metrics:
///         - name: replicas
///           help: How many replicas a Foo wants.
///           each: {type: Gauge, gauge: {path: [spec, replicas]}}
/// ",
///     "crs.yaml",
/// )?;
/// let foo = config.for_kind(&GroupVersionKind::gvk("example.com", "v1", "Foo")).expect("the kind is configured");
/// let object: Object = serde_json::from_str(r#"{"metadata":{"name":"a"},"spec":{"replicas":2}}"#)?;
/// assert_eq!(foo.families()[0].name, "kube_customresource_replicas");
/// assert!(foo.sample_lines(&object)[0].ends_with(r#"name="a"} 2"#));
///
/// let errors = CustomResourceConfig::from_yaml("spec: {resource: []}", "crs.yaml").unwrap_err();
/// assert_eq!(errors.to_string(), "crs.yaml:1:8: unknown key `resource` in spec: did you mean `resources`?");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct CustomResourceConfig {
    resources: Vec<CustomResource>,
    warnings: Vec<ConfigError>,
}

impl CustomResourceConfig {
    /// Reads a configuration, as YAML or as JSON. `origin` is what messages call it: the name of its file.
    ///
    /// Everything that is wrong with it is told at once, as far as it can be read at all.
    pub fn from_yaml(text: &str, origin: &str) -> Result<Self, ConfigErrors> {
        Self::from_sources([(text, origin)])
    }

    /// Reads several configurations as one: text and origin of each.
    ///
    /// Entries for one kind are united, whichever source they stand in, unless they give a family the same name.
    pub fn from_sources<'t>(sources: impl IntoIterator<Item = (&'t str, &'t str)>) -> Result<Self, ConfigErrors> {
        let mut findings = Findings::default();
        let mut entries = Vec::new();
        for (text, origin) in sources {
            let known = findings.errors.len();
            match Node::parse(text, &Arc::from(origin)) {
                Ok(document) => entries.extend(compile(&document, &mut findings)),
                Err(error) => findings.error(&error.place, Problem::Syntax(error.problem)),
            }
            let found = findings.errors.get_mut(known..).unwrap_or_default();
            found.sort_by_key(|error| (error.place.line, error.place.column));
        }
        refuse_duplicates(&entries, &mut findings);
        refuse_too_many(&entries, &mut findings);
        let Findings { errors, warnings } = findings;
        if !errors.is_empty() {
            return Err(ConfigErrors(errors));
        }
        let resources = entries.into_iter().map(|entry| CustomResource { entry: Arc::new(entry) }).collect();
        Ok(Self { resources, warnings })
    }

    /// The entries of `spec.resources`, in their order.
    pub fn resources(&self) -> &[CustomResource] {
        &self.resources
    }

    /// What all entries for a kind say together; none where there is no such entry.
    pub fn for_kind(&self, gvk: &GroupVersionKind) -> Option<ResourceMetrics> {
        let entries = self.resources.iter().filter(|resource| resource.pattern().matches(gvk));
        let entries: Vec<Arc<Entry>> = entries.map(|resource| resource.entry.clone()).collect();
        (!entries.is_empty()).then(|| ResourceMetrics::new(gvk, entries))
    }

    /// What is most likely not what was meant, but does no harm: to be logged.
    pub fn warnings(&self) -> &[ConfigError] {
        &self.warnings
    }
}

/// One entry of `spec.resources`.
#[derive(Debug, Clone)]
pub struct CustomResource {
    entry: Arc<Entry>,
}

impl CustomResource {
    /// The kinds that it is for.
    pub fn pattern(&self) -> &KindPattern {
        &self.entry.pattern
    }

    /// The plural in API paths, where the configuration names it. What discovery says counts more.
    pub fn resource_plural(&self) -> Option<&str> {
        self.entry.plural.as_deref()
    }

    /// What this entry says of a kind. Where other entries may be for the same kind, ask
    /// [`CustomResourceConfig::for_kind`] instead.
    pub fn for_kind(&self, gvk: &GroupVersionKind) -> ResourceMetrics {
        ResourceMetrics::new(gvk, vec![self.entry.clone()])
    }
}

/// Two entries that may be for one kind must not feed one family: which of them a sample is of could not be told.
fn refuse_duplicates(entries: &[Entry], findings: &mut Findings) {
    for (at, entry) in entries.iter().enumerate() {
        for earlier in entries.iter().take(at).filter(|earlier| earlier.pattern.overlaps(&entry.pattern)) {
            for family in &entry.families {
                let first = earlier.families.iter().find(|known| known.name == family.name);
                if let Some(first) = first {
                    let hint = "in another entry for the same kind; rename one of them, or take one out";
                    let (name, first) = (family.name.clone(), first.place.clone());
                    findings.error(&family.place, Problem::DuplicateFamily { name, first, hint });
                }
            }
        }
    }
}

fn refuse_too_many(entries: &[Entry], findings: &mut Findings) {
    const LIMIT: usize = u16::MAX as usize;
    let count = entries.iter().map(|entry| entry.families.len()).sum();
    if let (true, Some(last)) = (count > LIMIT, entries.last().and_then(|entry| entry.families.last())) {
        findings.error(&last.place, Problem::TooManyFamilies { count, limit: LIMIT });
    }
}
