//! A configuration's tree → compiled entries.

use std::collections::BTreeMap;

use super::error::{Place, Problem};
use super::expression::Expression;
use super::fields::{Fields, Findings, path, text};
use super::kind::KindPattern;
use super::labels::{LabelRules, Names};
use super::metric::{Aggregate, Each, Entry, Gauge, Info, Metric, NamedFamily, Source, StateSet};
use super::path::Path;
use crate::family::MetricType;
use crate::yaml::Node;

const DOCUMENT: &[&str] = &["apiVersion", "kind", "metadata", "spec"];
const SPEC: &[&str] = &["resources"];
const RESOURCE: &[&str] = &[
    "groupVersionKind",
    "resourcePlural",
    "metricNamePrefix",
    "commonLabels",
    "labelsFromPath",
    "metrics",
    "errorLogV",
];
const GROUP_VERSION_KIND: &[&str] = &["group", "version", "kind"];
const METRIC: &[&str] = &["name", "help", "commonLabels", "labelsFromPath", "errorLogV", "each"];
const EACH: &[&str] = &["type", "gauge", "stateSet", "info"];
/// `value` was `valueFrom` long ago. kube-state-metrics passes it by, and its own example has it.
const GAUGE: &[&str] =
    &["path", "labelsFromPath", "valueFrom", "labelFromKey", "nilIsZero", "aggregate", "cel", "value"];
const STATE_SET: &[&str] = &["path", "labelsFromPath", "valueFrom", "labelName", "list", "cel"];
const INFO: &[&str] = &["path", "labelsFromPath", "labelFromKey", "cel"];

/// Compiles a document's entries; what can't be is left out and told.
pub(super) fn compile(document: &Node, findings: &mut Findings) -> Vec<Entry> {
    let document = Fields::of(document, String::new(), DOCUMENT, findings);
    let Some(spec) = document.get("spec") else {
        findings.warning(document.place, "spec".to_owned(), "is missing or empty: there is nothing to expose");
        return Vec::new();
    };
    let spec = Fields::of(spec, "spec".to_owned(), SPEC, findings);
    let resources = spec.list("resources", findings).iter().enumerate();
    resources.filter_map(|(at, resource)| entry(resource, format!("spec.resources[{at}]"), findings)).collect()
}

fn entry(node: &Node, path: String, findings: &mut Findings) -> Option<Entry> {
    let fields = Fields::of(node, path, RESOURCE, findings);
    let pattern = pattern(&fields, findings);
    let plural = fields.text("resourcePlural", findings).filter(|plural| !plural.is_empty());
    let prefix = fields.text("metricNamePrefix", findings).unwrap_or("kube_customresource");
    let labels = RuleText::of(&fields, findings);
    let error_log_v = fields.number("errorLogV", findings).unwrap_or(0);
    let mut table = Table {
        prefix,
        labels: &labels,
        error_log_v,
        families: Vec::new(),
        metrics: Vec::new(),
        replaceable: Names::default(),
    };
    for (at, metric) in fields.list("metrics", findings).iter().enumerate() {
        table.add(metric, format!("{}.metrics[{at}]", fields.path), findings);
    }
    let Table { families, mut metrics, replaceable, .. } = table;
    metrics.sort_by_key(|metric| metric.family);
    let plural = plural.map(str::to_owned);
    let text = node.canonical();
    Some(Entry { text, pattern: pattern?, plural, families, metrics, labels: labels.compile(), replaceable })
}

fn pattern(fields: &Fields<'_>, findings: &mut Findings) -> Option<KindPattern> {
    let Some(node) = fields.get("groupVersionKind") else {
        fields.missing("groupVersionKind", "name the group, and the version and kind or `*`", findings);
        return None;
    };
    let gvk = Fields::of(node, fields.field("groupVersionKind"), GROUP_VERSION_KIND, findings);
    let any = |text: Option<&str>| text.filter(|text| !text.is_empty() && *text != "*").map(str::to_owned);
    let version = any(gvk.text("version", findings));
    let kind = any(gvk.text("kind", findings));
    let Some(group) = gvk.text("group", findings) else {
        gvk.missing("group", "name it; the core group (Pod, Node, …) is \"\"", findings);
        return None;
    };
    if group.contains('*') {
        gvk.invalid("group", group, "name one group; only version and kind may be `*`", findings);
        return None;
    }
    if group.is_empty() && kind.is_none() {
        gvk.invalid("group", group, "name the kind: the core group has no custom resources to discover", findings);
        return None;
    }
    Some(KindPattern { group: group.to_owned(), version, kind })
}

/// `commonLabels` and `labelsFromPath` of a resource or a metric, by key.
#[derive(Debug, Clone, Default)]
struct RuleText {
    constants: BTreeMap<String, String>,
    paths: BTreeMap<String, Path>,
}

impl RuleText {
    fn of(fields: &Fields<'_>, findings: &mut Findings) -> Self {
        let mut rules = Self { constants: BTreeMap::new(), paths: paths(fields, findings) };
        for (name, node) in fields.entries("commonLabels", findings) {
            let field = || fields.field(&format!("commonLabels.{name}"));
            if !is_label_name(name) {
                findings.error(&node.place, invalid_label(field(), name));
            } else if let Some(value) = text(node, field, findings) {
                rules.constants.insert(name.to_owned(), value.to_owned());
            }
        }
        rules
    }

    fn is_empty(&self) -> bool {
        self.constants.is_empty() && self.paths.is_empty()
    }

    /// These with those of a metric, which win by key.
    fn with(&self, metric: &Self) -> Self {
        let mut all = self.clone();
        all.constants.extend(metric.constants.clone());
        all.paths.extend(metric.paths.clone());
        all
    }

    fn compile(&self) -> LabelRules {
        let mut rules = LabelRules::default();
        for (name, value) in &self.constants {
            rules.add_constant(name, value);
        }
        for (key, path) in &self.paths {
            rules.add_path(key, path.clone());
        }
        rules
    }
}

fn paths(fields: &Fields<'_>, findings: &mut Findings) -> BTreeMap<String, Path> {
    let mut paths = BTreeMap::new();
    for (key, node) in fields.entries("labelsFromPath", findings) {
        if let Some(path) = path(node, || fields.field(&format!("labelsFromPath.{key}")), findings) {
            paths.insert(key.to_owned(), path);
        }
    }
    paths
}

/// The families and metrics of an entry, as they are read.
struct Table<'r> {
    prefix: &'r str,
    labels: &'r RuleText,
    error_log_v: u32,
    families: Vec<NamedFamily>,
    metrics: Vec<Metric>,
    replaceable: Names,
}

impl Table<'_> {
    fn add(&mut self, node: &Node, path: String, findings: &mut Findings) {
        let fields = Fields::of(node, path, METRIC, findings);
        let own = RuleText::of(&fields, findings);
        let help = fields.text("help", findings).unwrap_or_default();
        let error_log_v = fields.number("errorLogV", findings).filter(|v| *v != 0).unwrap_or(self.error_log_v);
        let name = self.name(&fields, findings);
        let compiled = self.each(&fields, findings);
        let (Some((name, place)), Some(compiled)) = (name, compiled) else { return };
        let Compiled { kind, path, labels, each } = compiled;
        let named_info = name.ends_with("_info");
        if kind == MetricType::Info && !named_info {
            findings.warning(&place, fields.field("name"), "is that of an info metric, but does not end in `_info`");
        }
        let Some(family) = self.family(name, help, kind, &place, findings) else { return };
        let base = (!own.is_empty()).then(|| self.labels.with(&own).compile());
        self.replaceable.add_rules(&own.compile());
        self.replaceable.add_rules(&labels);
        self.metrics.push(Metric { family, base, path, labels, each, error_log_v });
    }

    fn name(&self, fields: &Fields<'_>, findings: &mut Findings) -> Option<(String, Place)> {
        let Some(name) = fields.text("name", findings).filter(|name| !name.is_empty()) else {
            fields.missing("name", "name the metric", findings);
            return None;
        };
        let full = if self.prefix.is_empty() { name.to_owned() } else { format!("{}_{name}", self.prefix) };
        if !is_metric_name(&full) {
            let hint = "use letters, digits, `_` and `:`, and begin with no digit";
            fields.invalid("name", &full, hint, findings);
            return None;
        }
        let place = fields.get("name").map_or(fields.place, |node| &node.place);
        Some((full, place.clone()))
    }

    /// The place of the family among those of the entry. Two metrics of one name feed one family.
    fn family(
        &mut self,
        name: String,
        help: &str,
        kind: MetricType,
        place: &Place,
        findings: &mut Findings,
    ) -> Option<usize> {
        let Some(at) = self.families.iter().position(|family| family.name == name) else {
            self.families.push(NamedFamily { name, help: help.to_owned(), kind, place: place.clone() });
            return Some(self.families.len() - 1);
        };
        let family = self.families.get_mut(at)?;
        if family.kind != kind {
            let hint = "with another type; give one of them another name";
            findings.error(place, Problem::DuplicateFamily { name, first: family.place.clone(), hint });
            return None;
        }
        if family.help.is_empty() {
            help.clone_into(&mut family.help);
        }
        Some(at)
    }

    fn each(&mut self, fields: &Fields<'_>, findings: &mut Findings) -> Option<Compiled> {
        let Some(node) = fields.get("each") else {
            fields.missing("each", "say `type` and one of gauge, stateSet, info", findings);
            return None;
        };
        let each = Fields::of(node, fields.field("each"), EACH, findings);
        let Some(word) = each.text("type", findings) else {
            each.missing("type", "it is Gauge, StateSet or Info", findings);
            return None;
        };
        let (kind, key, known) = match word.to_ascii_lowercase().as_str() {
            "gauge" => (MetricType::Gauge, "gauge", GAUGE),
            "stateset" => (MetricType::StateSet, "stateSet", STATE_SET),
            "info" => (MetricType::Info, "info", INFO),
            _ => {
                each.invalid("type", word, "it is Gauge, StateSet or Info", findings);
                return None;
            }
        };
        for other in ["gauge", "stateSet", "info"].into_iter().filter(|other| *other != key) {
            if let Some(node) = each.get(other) {
                findings.warning(&node.place, each.field(other), "says nothing: it is not what `type` names");
            }
        }
        let Some(node) = each.get(key) else {
            each.missing(key, "`type` names it", findings);
            return None;
        };
        let of = Fields::of(node, each.field(key), known, findings);
        let path = match of.get("path") {
            Some(_) => of.path("path", findings)?,
            None => Path::default(),
        };
        let mut labels = LabelRules::default();
        for (key, path) in paths(&of, findings) {
            labels.add_path(&key, path);
        }
        let each = match kind {
            MetricType::StateSet => Each::StateSet(self.state_set(&of, findings)?),
            MetricType::Info => Each::Info(self.info(&of, findings)?),
            _ => Each::Gauge(self.gauge(&of, findings)?),
        };
        Some(Compiled { kind, path, labels, each })
    }

    fn gauge(&mut self, fields: &Fields<'_>, findings: &mut Findings) -> Option<Gauge> {
        if let Some(node) = fields.get("value") {
            findings.warning(&node.place, fields.field("value"), "says nothing: the key is `valueFrom`");
        }
        let value = source(fields, findings);
        let label_from_key = self.label_from_key(fields, findings);
        let nil_is_zero = fields.flag("nilIsZero", findings);
        let word = fields.text("aggregate", findings);
        let aggregate = word.and_then(Aggregate::parse);
        if let (Some(word), None) = (word, aggregate) {
            fields.invalid("aggregate", word, format!("it is {}", Aggregate::WORDS), findings);
        }
        if aggregate.is_some() && label_from_key.is_some() {
            exclusive(fields, "aggregate", "labelFromKey", findings);
            return None;
        }
        Some(Gauge { value: value?, label_from_key, nil_is_zero, aggregate })
    }

    fn state_set(&mut self, fields: &Fields<'_>, findings: &mut Findings) -> Option<StateSet> {
        let value = source(fields, findings);
        let states = fields.texts("list", findings);
        if states.is_empty() {
            findings.warning(fields.place, fields.field("list"), "is missing or empty: without states, no samples");
        }
        let Some(label_name) = fields.text("labelName", findings).filter(|name| !name.is_empty()) else {
            fields.missing("labelName", "name the label that takes the states", findings);
            return None;
        };
        let label_name = self.label("labelName", label_name, fields, findings)?;
        Some(StateSet { value: value?, label_name, states: states.into_iter().map(Into::into).collect() })
    }

    fn info(&mut self, fields: &Fields<'_>, findings: &mut Findings) -> Option<Info> {
        let label_from_key = self.label_from_key(fields, findings);
        let Some(expression) = fields.text("cel", findings) else {
            return Some(Info { label_from_key, expression: None });
        };
        if label_from_key.is_some() {
            exclusive(fields, "cel", "labelFromKey", findings);
            return None;
        }
        // The expression may name any label.
        self.replaceable.add_prefix("");
        Some(Info { label_from_key, expression: Some(compiled(expression, fields, findings)?) })
    }

    fn label_from_key(&mut self, fields: &Fields<'_>, findings: &mut Findings) -> Option<Box<str>> {
        let name = fields.text("labelFromKey", findings).filter(|name| !name.is_empty())?;
        self.label("labelFromKey", name, fields, findings)
    }

    fn label(&mut self, key: &str, name: &str, fields: &Fields<'_>, findings: &mut Findings) -> Option<Box<str>> {
        if is_label_name(name) {
            self.replaceable.add(name);
            return Some(name.into());
        }
        let place = fields.get(key).map_or(fields.place, |node| &node.place);
        findings.error(place, invalid_label(fields.field(key), name));
        None
    }
}

struct Compiled {
    kind: MetricType,
    path: Path,
    labels: LabelRules,
    each: Each,
}

fn source(fields: &Fields<'_>, findings: &mut Findings) -> Option<Source> {
    match (fields.get("valueFrom"), fields.text("cel", findings)) {
        (Some(_), Some(_)) => {
            exclusive(fields, "valueFrom", "cel", findings);
            None
        }
        (Some(_), None) => fields.path("valueFrom", findings).map(Source::Path),
        (None, Some(expression)) => compiled(expression, fields, findings).map(Source::Expression),
        (None, None) => Some(Source::Path(Path::default())),
    }
}

fn compiled(expression: &str, fields: &Fields<'_>, findings: &mut Findings) -> Option<Expression> {
    let place = fields.get("cel").map_or(fields.place, |node| &node.place);
    let compiled = Expression::compile(expression, fields.field("cel"));
    compiled.map_err(|problem| findings.error(place, problem)).ok()
}

fn exclusive(fields: &Fields<'_>, first: &'static str, second: &'static str, findings: &mut Findings) {
    findings.error(fields.place, Problem::Exclusive { parent: fields.path.clone(), first, second });
}

fn invalid_label(field: String, name: &str) -> Problem {
    let hint = "use letters, digits and `_`, and begin with no digit".to_owned();
    Problem::Invalid { field, value: name.to_owned(), hint }
}

fn is_label_name(name: &str) -> bool {
    !name.contains(':') && is_metric_name(name)
}

fn is_metric_name(name: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    name.chars().all(is_word) && name.starts_with(|c: char| !c.is_ascii_digit())
}
