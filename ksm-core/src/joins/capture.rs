//! What an object has to say to the joins: a walk of the few families that they need, before the walk of all.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::role::{Origin, Role};
use super::{OwnedLabels, Rule};
use crate::family::FamilyIndex;
use crate::labels::map_labels;
use crate::samples::{Label, Reuse, SampleSink};

/// What was captured of one object.
#[derive(Debug, Default)]
pub(crate) struct Captured {
    identity: OwnedLabels,
    /// The labels of its describing family.
    description: OwnedLabels,
    /// Samples of families that give labels: the rule, and the labels after the identity.
    samples: Vec<(usize, OwnedLabels)>,
}

/// Labels for single samples of the object that gives them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InnerJoin {
    rule: usize,
    key: String,
    labels: OwnedLabels,
}

/// The joins of one object, resolved as far as the object itself goes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Resolved {
    /// Under which key of which rule the object looks for labels.
    pub(super) wants: Vec<(usize, String)>,
    /// Which labels it gives under which key of which rule.
    pub(super) gives: Vec<(usize, String, OwnedLabels)>,
    /// Which labels it gives to samples of its own.
    pub(crate) inner: Vec<InnerJoin>,
}

impl Resolved {
    /// Adds labels to those given under a key; the first value of a label stays.
    fn give(&mut self, rule: usize, key: String, labels: OwnedLabels) {
        match self.gives.iter_mut().find(|(number, known, _)| (*number, known.as_str()) == (rule, key.as_str())) {
            Some((_, _, given)) => {
                for (name, value) in labels {
                    if find(given, &name).is_none() {
                        given.push((name, value));
                    }
                }
            }
            None => self.gives.push((rule, key, labels)),
        }
    }
}

/// The sink of the walk that captures.
pub(crate) struct Capture<'a> {
    role: &'a Role,
    captured: &'a mut Captured,
}

fn owned(labels: &[Label<'_>]) -> OwnedLabels {
    labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn borrowed(labels: &OwnedLabels) -> impl Iterator<Item = (&str, &str)> {
    labels.iter().map(|(name, value)| (name.as_str(), value.as_str()))
}

fn find<'a>(labels: &'a OwnedLabels, name: &str) -> Option<&'a str> {
    borrowed(labels).find(|(known, _)| *known == name).map(|(_, value)| value)
}

impl SampleSink for Capture<'_> {
    fn identity(&mut self, labels: &[Label<'_>]) {
        self.captured.identity = owned(labels);
    }

    fn sample(&mut self, family: FamilyIndex, labels: &[Label<'_>], value: f64, _: Reuse) {
        if self.role.describing == Some(family) && self.captured.description.is_empty() {
            self.captured.description = owned(labels);
        }
        // A state that the object is not in is 0.
        if (value - 1.0).abs() > f64::EPSILON {
            return;
        }
        for (rule, origin) in &self.role.sources {
            if *origin == Origin::Samples(family) {
                self.captured.samples.push((*rule, owned(labels)));
            }
        }
    }
}

impl Captured {
    /// The sink to walk an object into; what was captured before is forgotten.
    pub(crate) fn sink<'a>(&'a mut self, role: &'a Role) -> Capture<'a> {
        self.identity.clear();
        self.description.clear();
        self.samples.clear();
        Capture { role, captured: self }
    }

    /// What the object wants and gives.
    pub(crate) fn resolve(&self, rules: &[Rule], role: &Role, meta: &ObjectMeta) -> Resolved {
        let own = |name: &str| find(&self.identity, name).or_else(|| find(&self.description, name));
        let mut resolved = Resolved::default();
        let mut keys: Vec<Option<String>> = Vec::with_capacity(rules.len());
        for (number, rule) in rules.iter().enumerate() {
            let key = rule.key(own);
            if let Some(key) = &key {
                resolved.wants.push((number, key.clone()));
            }
            keys.push(key);
        }
        for (number, origin) in &role.sources {
            let Some(rule) = rules.get(*number) else { continue };
            let (prefix, map) = match origin {
                Origin::Samples(_) => continue,
                Origin::Labels => ("label", &meta.labels),
                Origin::Annotations => ("annotation", &meta.annotations),
            };
            let Some(Some(key)) = keys.get(*number) else { continue };
            let named = map_labels(prefix, map.iter().flatten().map(|(key, value)| (key.as_str(), value.as_str())));
            let labels = rule.take(named.iter().map(|(name, value)| (name.as_str(), *value)));
            resolved.give(*number, key.clone(), labels);
        }
        for (number, sample) in &self.samples {
            let Some(rule) = rules.get(*number) else { continue };
            let Some(key) = rule.key(|name| find(sample, name).or_else(|| own(name))) else { continue };
            let labels = rule.take(borrowed(&self.identity).chain(borrowed(sample)));
            if keys.get(*number).is_some_and(Option::is_none) {
                resolved.inner.push(InnerJoin { rule: *number, key: key.clone(), labels: labels.clone() });
            }
            resolved.give(*number, key, labels);
        }
        resolved
    }
}

/// Gives single samples the labels of other samples of the same object.
pub(crate) struct InnerSink<'a> {
    pub(crate) rules: &'a [Rule],
    pub(crate) inner: &'a [InnerJoin],
    pub(crate) captured: &'a Captured,
    pub(crate) sink: &'a mut dyn SampleSink,
}

impl SampleSink for InnerSink<'_> {
    fn identity(&mut self, labels: &[Label<'_>]) {
        self.sink.identity(labels);
    }

    fn sample(&mut self, family: FamilyIndex, labels: &[Label<'_>], value: f64, reuse: Reuse) {
        let mut all: Vec<Label<'_>> = labels.to_vec();
        let mut rule_seen = None;
        let mut key: Option<String> = None;
        for join in self.inner {
            if rule_seen != Some(join.rule) {
                rule_seen = Some(join.rule);
                let sample = |name: &str| labels.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
                let own = |name: &str| find(&self.captured.identity, name);
                key = self.rules.get(join.rule).and_then(|rule| rule.key(|name| sample(name).or_else(|| own(name))));
            }
            if key.as_ref() != Some(&join.key) {
                continue;
            }
            for (name, value) in borrowed(&join.labels) {
                let known =
                    all.iter().any(|(known, _)| *known == name) || find(&self.captured.identity, name).is_some();
                if !known {
                    all.push((name, value));
                }
            }
        }
        self.sink.sample(family, &all, value, reuse);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::family::Family;
    use crate::joins::LabelJoin;

    const FAMILIES: &[Family] = &[
        Family::gauge("kube_pod_info", ""),
        Family::gauge("kube_pod_labels", "").needs_label_allowlist(),
        Family::gauge("kube_pod_container_info", ""),
        Family::gauge("kube_pod_status_phase", ""),
    ];

    fn rule(family: &str, labels_to_match: &[&str], labels_to_get: &[&str]) -> Rule {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let join = LabelJoin {
            labels_to_match: owned(labels_to_match),
            labels_to_get: owned(labels_to_get),
            ..LabelJoin::default()
        };
        Rule { family: family.to_owned(), join }
    }

    fn resolved(rules: &[Rule]) -> (Captured, Resolved) {
        let role = Role::new(rules, FAMILIES);
        let mut captured = Captured::default();
        let mut sink = captured.sink(&role);
        sink.identity(&[("namespace", "n"), ("pod", "p")]);
        sink.sample(FamilyIndex(0), &[("node", "one")], 1.0, Reuse::Unique);
        sink.sample(FamilyIndex(2), &[("container", "c"), ("image", "i")], 1.0, Reuse::Unique);
        sink.sample(FamilyIndex(3), &[("phase", "Failed")], 0.0, Reuse::Shared);
        sink.sample(FamilyIndex(3), &[("phase", "Running")], 1.0, Reuse::Shared);
        let meta = ObjectMeta { labels: Some([("app".to_owned(), "web".to_owned())].into()), ..ObjectMeta::default() };
        let resolved = captured.resolve(rules, &role, &meta);
        (captured, resolved)
    }

    fn labels(pairs: &[(&str, &str)]) -> OwnedLabels {
        owned(pairs)
    }

    #[test]
    fn an_object_looks_by_what_it_is_and_by_what_describes_it() {
        let (_, resolved) = resolved(&[rule("kube_node_labels", &["node"], &["*"]), rule("x", &["uid"], &["*"])]);
        assert_eq!(resolved.wants, [(0, "3:one".to_owned())]);
        assert_eq!(resolved.gives, []);
    }

    #[test]
    fn states_give_what_they_are_in_and_label_families_all_labels() {
        let rules = [
            rule("kube_pod_status_phase", &["namespace", "pod"], &["phase"]),
            rule("kube_pod_labels", &["pod", "namespace"], &["label_app", "label_other"]),
        ];
        let (_, resolved) = resolved(&rules);
        assert_eq!(
            resolved.gives,
            [
                (1, "1:p1:n".to_owned(), labels(&[("label_app", "web")])),
                (0, "1:n1:p".to_owned(), labels(&[("phase", "Running")])),
            ]
        );
    }

    #[derive(Default)]
    struct Seen(Vec<OwnedLabels>);

    impl SampleSink for Seen {
        fn identity(&mut self, _: &[Label<'_>]) {}

        fn sample(&mut self, _: FamilyIndex, labels: &[Label<'_>], _: f64, _: Reuse) {
            self.0.push(owned(labels));
        }
    }

    #[test]
    fn containers_are_joined_within_their_pod() {
        let rules = [rule("kube_pod_container_info", &["pod", "container"], &["image"])];
        let (captured, resolved) = resolved(&rules);
        let mut seen = Seen::default();
        let mut sink = InnerSink { rules: &rules, inner: &resolved.inner, captured: &captured, sink: &mut seen };
        sink.sample(FamilyIndex(3), &[("container", "c")], 1.0, Reuse::Shared);
        sink.sample(FamilyIndex(3), &[("container", "other")], 1.0, Reuse::Shared);
        sink.sample(FamilyIndex(3), &[("container", "c"), ("image", "own")], 1.0, Reuse::Shared);
        let want: [&[(&str, &str)]; 3] =
            [&[("container", "c"), ("image", "i")], &[("container", "other")], &[("container", "c"), ("image", "own")]];
        assert_eq!(seen.0, want.map(labels));
    }
}
