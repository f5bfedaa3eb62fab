//! Label and field selectors, as they arrive in a query string.

use std::collections::BTreeSet;

use super::names;
use super::shard::ShardSelector;
use crate::resource::Resource;
use crate::store::entry::Entry;

/// What a list, a watch or a deletecollection is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scope {
    /// The namespace; `None` for all of them, and for cluster-scoped resources.
    pub(crate) namespace: Option<String>,
    labels: Vec<LabelRequirement>,
    fields: Vec<FieldRequirement>,
    shard: Option<ShardSelector>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct LabelRequirement {
    key: String,
    test: LabelTest,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum LabelTest {
    Exists,
    Absent,
    In(BTreeSet<String>),
    NotIn(BTreeSet<String>),
    Above(i64),
    Below(i64),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct FieldRequirement {
    field: Field,
    value: String,
    equal: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Field {
    Name,
    Namespace,
    /// The position among the resource's selectable fields.
    Indexed(usize),
}

impl Scope {
    /// The objects of `resource` in a namespace (or anywhere) that both selectors match; what is wrong with a
    /// selector otherwise.
    pub(crate) fn parse(
        resource: &Resource,
        namespace: Option<&str>,
        label_selector: &str,
        field_selector: &str,
    ) -> Result<Self, String> {
        Ok(Self {
            namespace: namespace.map(str::to_owned),
            labels: parse_labels(label_selector)
                .map_err(|why| format!("unable to parse requirement in {label_selector:?}: {why}"))?,
            fields: parse_fields(resource, field_selector)?,
            shard: None,
        })
    }

    /// The same objects, but only those that a shard selector matches, too.
    pub(crate) fn sharded(mut self, selector: ShardSelector) -> Self {
        self.shard = Some(selector);
        self
    }

    /// The shard selector, in the client's words.
    pub(crate) fn shard_selector(&self) -> Option<&str> {
        self.shard.as_ref().map(ShardSelector::text)
    }

    /// Is there anything that not every object of the namespace matches?
    pub(crate) fn selects(&self) -> bool {
        !self.labels.is_empty() || !self.fields.is_empty() || self.shard.is_some()
    }

    pub(crate) fn matches(&self, entry: &Entry) -> bool {
        self.namespace.as_deref().is_none_or(|namespace| namespace == entry.namespace())
            && self.fields.iter().all(|requirement| requirement.matches(entry))
            && self.labels.iter().all(|requirement| requirement.matches(entry))
            && self.shard.as_ref().is_none_or(|shard| shard.matches(entry))
    }
}

impl LabelRequirement {
    fn matches(&self, entry: &Entry) -> bool {
        let value = entry.labels().find(|(key, _)| *key == self.key).map(|(_, value)| value);
        match &self.test {
            LabelTest::Exists => value.is_some(),
            LabelTest::Absent => value.is_none(),
            LabelTest::In(values) => value.is_some_and(|value| values.contains(value)),
            LabelTest::NotIn(values) => value.is_none_or(|value| !values.contains(value)),
            LabelTest::Above(bound) => number(value).is_some_and(|value| value > *bound),
            LabelTest::Below(bound) => number(value).is_some_and(|value| value < *bound),
        }
    }
}

fn number(value: Option<&str>) -> Option<i64> {
    value?.parse().ok()
}

impl FieldRequirement {
    fn matches(&self, entry: &Entry) -> bool {
        let value = match self.field {
            Field::Name => entry.name(),
            Field::Namespace => entry.namespace(),
            Field::Indexed(index) => entry.field(index),
        };
        (value == self.value) == self.equal
    }
}

/// The grammar of `labels.Parse` upstream:
/// `key`, `!key`, `key=value`, `key==value`, `key!=value`, `key in (a,b)`, `key notin (a,b)`, `key>1`, `key<1`.
fn parse_labels(text: &str) -> Result<Vec<LabelRequirement>, String> {
    split_outside_parentheses(text)?.into_iter().map(parse_label).collect()
}

fn split_outside_parentheses(text: &str) -> Result<Vec<&str>, String> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    let mut open = false;
    let mut parts = Vec::new();
    let mut rest = text;
    let mut from = 0;
    while let Some(at) = rest.get(from..).and_then(|tail| tail.find(['(', ')', ','])).map(|at| at + from) {
        match rest.as_bytes().get(at) {
            Some(b'(') if open => return Err("found '(' within a list of values".to_owned()),
            Some(b'(') => open = true,
            Some(b')') if !open => return Err("found ')' without '('".to_owned()),
            Some(b')') => open = false,
            Some(b',') if !open => {
                let (part, tail) = rest.split_at(at);
                parts.push(part);
                rest = tail.get(1..).unwrap_or_default();
                from = 0;
                continue;
            }
            _ => {}
        }
        from = at + 1;
    }
    if open {
        return Err("found '(' without ')'".to_owned());
    }
    parts.push(rest);
    Ok(parts)
}

fn parse_label(text: &str) -> Result<LabelRequirement, String> {
    let text = text.trim();
    if let Some(key) = text.strip_prefix('!') {
        return requirement(key, LabelTest::Absent);
    }
    if let Some(list) = text.strip_suffix(')') {
        let (head, values) = list.split_once('(').ok_or_else(|| format!("expected a list of values: {text:?}"))?;
        let values = values.split(',').map(label_value).collect::<Result<_, _>>()?;
        let head = head.trim_end();
        let (key, operator) = head.rsplit_once(char::is_whitespace).ok_or("expected 'in' or 'notin'")?;
        return match operator {
            "in" => requirement(key, LabelTest::In(values)),
            "notin" => requirement(key, LabelTest::NotIn(values)),
            other => Err(format!("found {other:?}, expected: in, notin, =, ==, !=, gt, lt")),
        };
    }
    if let Some((key, value)) = text.split_once("!=") {
        return requirement(key, LabelTest::NotIn([label_value(value)?].into()));
    }
    if let Some((key, value)) = text.split_once('=') {
        let value = value.strip_prefix('=').unwrap_or(value);
        return requirement(key, LabelTest::In([label_value(value)?].into()));
    }
    if let Some((key, value)) = text.split_once('>') {
        return requirement(key, LabelTest::Above(bound(value)?));
    }
    if let Some((key, value)) = text.split_once('<') {
        return requirement(key, LabelTest::Below(bound(value)?));
    }
    requirement(text, LabelTest::Exists)
}

fn requirement(key: &str, test: LabelTest) -> Result<LabelRequirement, String> {
    let key = key.trim();
    names::label_key(key).map_err(|why| format!("invalid label key {key:?}: {why}"))?;
    Ok(LabelRequirement { key: key.to_owned(), test })
}

fn label_value(value: &str) -> Result<String, String> {
    let value = value.trim();
    names::label_value(value).map_err(|why| format!("invalid label value {value:?}: {why}"))?;
    Ok(value.to_owned())
}

fn bound(value: &str) -> Result<i64, String> {
    value.trim().parse().map_err(|_| format!("for 'Gt', 'Lt' operators, the value must be an integer, not {value:?}"))
}

/// `field=value`, `field==value`, `field!=value`, joined by commas; a backslash escapes `,`, `=` and itself.
fn parse_fields(resource: &Resource, text: &str) -> Result<Vec<FieldRequirement>, String> {
    let mut requirements = Vec::new();
    for term in split_unescaped(text, ',').into_iter().filter(|term| !term.is_empty()) {
        let (label, value, equal) =
            split_term(term).ok_or_else(|| format!("invalid selector: {text:?}; can't understand {term:?}"))?;
        let field = match label {
            "metadata.name" => Field::Name,
            "metadata.namespace" if resource.namespaced => Field::Namespace,
            _ => resource
                .fields
                .iter()
                .position(|field| field.label == label)
                .map(Field::Indexed)
                .ok_or_else(|| format!("field label not supported: {label}"))?,
        };
        requirements.push(FieldRequirement { field, value: unescape(value)?, equal });
    }
    Ok(requirements)
}

/// The name that every object of a field selector has, if it asks for one.
pub(crate) fn required_name(text: &str) -> Option<String> {
    let terms = split_unescaped(text, ',').into_iter().filter_map(split_term);
    let name = terms.into_iter().find(|(label, _, equal)| *label == "metadata.name" && *equal);
    name.and_then(|(_, value, _)| unescape(value).ok())
}

fn split_unescaped(text: &str, separator: char) -> Vec<&str> {
    let mut escaped = false;
    text.split(|character| {
        let splits = character == separator && !escaped;
        escaped = character == '\\' && !escaped;
        splits
    })
    .collect()
}

fn split_term(term: &str) -> Option<(&str, &str, bool)> {
    let at = term.find(['=', '!'])?;
    let (label, tail) = term.split_at(at);
    if let Some(value) = tail.strip_prefix("!=") {
        return Some((label, value, false));
    }
    let value = tail.strip_prefix("==").or_else(|| tail.strip_prefix('='))?;
    Some((label, value, true))
}

fn unescape(value: &str) -> Result<String, String> {
    let mut plain = String::with_capacity(value.len());
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some(escaped @ ('\\' | ',' | '=')) => plain.push(escaped),
                _ => return Err(format!("invalid field selector: invalid escape sequence in {value:?}")),
            },
            ',' | '=' => return Err(format!("invalid field selector: unescaped {character:?} in {value:?}")),
            other => plain.push(other),
        }
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::object::Object;
    use crate::resource::Registry;

    fn entry(object: Value) -> Entry {
        let registry = Registry::with_built_ins();
        let (_, object) = Object::from_value(object).unwrap();
        let key = format!("{}/{}", object.namespace(), object.name());
        Entry::new(registry.get("", "pods").unwrap(), &key, object, 1)
    }

    fn scope(labels: &str, fields: &str) -> Result<Scope, String> {
        let registry = Registry::with_built_ins();
        Scope::parse(registry.get("", "pods").unwrap(), None, labels, fields)
    }

    #[test]
    fn label_selectors() {
        let pod = entry(json!({"metadata": {"name": "a", "namespace": "n",
            "labels": {"app": "web", "tier": "3", "example.com/x": ""}}}));
        for (selector, expected) in [
            ("", true),
            ("app", true),
            ("!app", false),
            ("!nothing", true),
            ("app=web", true),
            ("app==web", true),
            ("app != web", false),
            ("nothing!=web", true),
            ("app in (api, web)", true),
            ("app notin (api,web)", false),
            ("nothing notin (api)", true),
            ("tier>2", true),
            ("tier<3", false),
            ("app>2", false),
            ("example.com/x=", true),
            ("example.com/x in ()", true),
            ("app=web,tier in (1,3),!nothing", true),
            ("app=web,tier in (1,2)", false),
        ] {
            assert_eq!(scope(selector, "").unwrap().matches(&pod), expected, "{selector}");
        }
    }

    #[test]
    fn unreadable_label_selectors_say_why() {
        for selector in ["app in (a", "app in a)", "a b", "app=a b", "app>x", "=x", "app within (a)", "a((b))", ","] {
            assert!(scope(selector, "").is_err(), "{selector}");
        }
    }

    #[test]
    fn field_selectors() {
        let pod = entry(json!({"metadata": {"name": "a", "namespace": "n"},
            "spec": {"nodeName": "node,1"}, "status": {"phase": "Running"}}));
        for (selector, expected) in [
            ("metadata.name=a", true),
            ("metadata.namespace!=n", false),
            ("spec.nodeName=node\\,1,status.phase==Running", true),
            ("status.phase!=Running", false),
            ("spec.restartPolicy=Always", true),
            ("spec.hostNetwork=false", true),
            ("status.podIP=", true),
        ] {
            assert_eq!(scope("", selector).unwrap().matches(&pod), expected, "{selector}");
        }
        assert_eq!(scope("", "spec.foo=a").unwrap_err(), "field label not supported: spec.foo");
        assert!(scope("", "status.phase").is_err());
    }
}
