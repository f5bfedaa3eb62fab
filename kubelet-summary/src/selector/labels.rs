//! Label selectors: which labels a pod must have.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use kube::core::{Expression, Selector};

use super::SelectorError;
use super::parse::{self, key, value};

/// What a label must be like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Requirement {
    /// It is there, with exactly this value.
    Exact(String),
    /// It is there, whatever its value.
    Present,
    /// It is not there. A label with an empty value is there.
    Absent,
}

/// Which labels a pod must have; an empty selector matches every pod.
///
/// It is read from kubectl's syntax, from a `LabelSelector`, or from a map of [requirements](Requirement). An object of
/// the second kind that is absent (`None`) matches nothing in Kubernetes: that is the caller's to see.
///
/// ```
/// use kubelet_summary::selector::{PodSelector, Requirement};
///
/// let labels = |key: &str| match key {
///     "app" => Some("web"),
///     "tier" => Some(""),
///     _ => None,
/// };
/// let matches = |text: &str| text.parse::<PodSelector>().map(|selector| selector.matches(labels));
/// assert_eq!(matches("app in (web, api),!canary"), Ok(true));
/// assert_eq!(matches("app=web,tier"), Ok(true));
/// assert_eq!(matches("tier!=,app=web"), Ok(false));
/// assert_eq!(matches(""), Ok(true));
///
/// let map = PodSelector::from_requirements([("app", Requirement::Present), ("canary", Requirement::Absent)])?;
/// assert_eq!(map.to_string(), "app,!canary");
///
/// let error = "app=web,,tier".parse::<PodSelector>().unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "label selector `app=web,,tier`, character 9: expected a label key or `!`, found `,`"
/// );
/// # Ok::<(), kubelet_summary::selector::SelectorError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PodSelector(Vec<Expression>);

impl PodSelector {
    /// The selector that matches every pod.
    pub fn all() -> Self {
        Self::default()
    }

    /// The selector of a map: each label by its key.
    pub fn from_requirements<Key: Into<String>>(
        map: impl IntoIterator<Item = (Key, Requirement)>,
    ) -> Result<Self, SelectorError> {
        let expression = |(name, requirement): (Key, Requirement)| {
            let name = key(name.into())?;
            Ok(match requirement {
                Requirement::Exact(wanted) => Expression::Equal(name, value(wanted)?),
                Requirement::Present => Expression::Exists(name),
                Requirement::Absent => Expression::DoesNotExist(name),
            })
        };
        map.into_iter().map(expression).collect::<Result<_, _>>().map(Self)
    }

    /// Whether it matches every pod.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a pod matches whose labels these are.
    pub fn matches<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.0.iter().all(|expression| holds(expression, label(key_of(expression))))
    }

    /// Whether a pod can match whose label of that key is this.
    pub(crate) fn admits(&self, key: &str, value: Option<&str>) -> bool {
        self.0.iter().filter(|expression| key_of(expression) == key).all(|expression| holds(expression, value))
    }

    /// The keys that it asks for, each once.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(key_of).collect::<BTreeSet<_>>().into_iter()
    }

    /// The values that it names of a key, wanted or not.
    pub(crate) fn values(&self, key: &str) -> impl Iterator<Item = &str> {
        let of_key = self.0.iter().filter(move |expression| key_of(expression) == key);
        let values = of_key.flat_map(|expression| match expression {
            Expression::In(_, values) | Expression::NotIn(_, values) => values.iter().map(String::as_str).collect(),
            Expression::Equal(_, value) | Expression::NotEqual(_, value) => vec![value.as_str()],
            Expression::Exists(_) | Expression::DoesNotExist(_) => Vec::new(),
        });
        values.collect::<BTreeSet<_>>().into_iter()
    }

    /// What it asks for, one by one.
    pub fn expressions(&self) -> &[Expression] {
        &self.0
    }

    /// A key or value that something must have which this is to match.
    pub(crate) fn needed_words(&self) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .flat_map(|expression| match expression {
                Expression::Equal(key, value) => [Some(key.as_str()), Some(value.as_str())],
                Expression::In(key, _) | Expression::Exists(key) => [Some(key.as_str()), None],
                _ => [None, None],
            })
            .flatten()
    }
}

fn key_of(expression: &Expression) -> &str {
    match expression {
        Expression::In(key, _)
        | Expression::NotIn(key, _)
        | Expression::Equal(key, _)
        | Expression::NotEqual(key, _)
        | Expression::Exists(key)
        | Expression::DoesNotExist(key) => key,
    }
}

/// Whether what is asked of a label is so where this is its value.
fn holds(expression: &Expression, value: Option<&str>) -> bool {
    match expression {
        Expression::In(_, values) => value.is_some_and(|value| values.contains(value)),
        Expression::NotIn(_, values) => value.is_none_or(|value| !values.contains(value)),
        Expression::Equal(_, wanted) => value == Some(wanted),
        Expression::NotEqual(_, unwanted) => value != Some(unwanted),
        Expression::Exists(_) => value.is_some(),
        Expression::DoesNotExist(_) => value.is_none(),
    }
}

impl FromStr for PodSelector {
    type Err = SelectorError;

    /// Reads kubectl's syntax: `app in (a,b),!canary,tier!=x`. The operators that compare numbers are refused.
    fn from_str(text: &str) -> Result<Self, SelectorError> {
        parse::expressions(text).map(Self)
    }
}

impl fmt::Display for PodSelector {
    /// Writes it as an API server reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, expression) in self.0.iter().enumerate() {
            write!(f, "{}{expression}", if place == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl TryFrom<LabelSelector> for PodSelector {
    type Error = SelectorError;

    fn try_from(selector: LabelSelector) -> Result<Self, SelectorError> {
        let equal = selector.match_labels.into_iter().flatten();
        let equal = equal.map(|(name, wanted)| Ok(Expression::Equal(key(name)?, value(wanted)?)));
        equal
            .chain(selector.match_expressions.into_iter().flatten().map(expression))
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

/// As the API server validates it: kube's own conversion takes what no server takes.
fn expression(requirement: LabelSelectorRequirement) -> Result<Expression, SelectorError> {
    let LabelSelectorRequirement { key: name, operator, values } = requirement;
    let values = values.unwrap_or_default();
    let name = key(name)?;
    let takes = matches!(operator.as_str(), "In" | "NotIn");
    let knows = takes || matches!(operator.as_str(), "Exists" | "DoesNotExist");
    if knows && takes == values.is_empty() {
        let problem = if takes { "needs at least one value" } else { "takes no values" };
        return Err(SelectorError::Values { key: name, operator, problem });
    }
    let values = || values.into_iter().map(value).collect::<Result<_, _>>();
    match operator.as_str() {
        "In" => Ok(Expression::In(name, values()?)),
        "NotIn" => Ok(Expression::NotIn(name, values()?)),
        "Exists" => Ok(Expression::Exists(name)),
        "DoesNotExist" => Ok(Expression::DoesNotExist(name)),
        _ => Err(SelectorError::Operator { key: name, operator }),
    }
}

impl TryFrom<Selector> for PodSelector {
    type Error = SelectorError;

    /// A `Selector` of kube's takes any text for a key or value; here it must be one that a label can have.
    fn try_from(selector: Selector) -> Result<Self, SelectorError> {
        let values = |name: &str, operator: &str, values: BTreeSet<String>| {
            if values.is_empty() {
                let (key, operator) = (name.to_owned(), operator.to_owned());
                return Err(SelectorError::Values { key, operator, problem: "needs at least one value" });
            }
            values.into_iter().map(value).collect::<Result<_, _>>()
        };
        let checked = |expression| {
            Ok(match expression {
                Expression::In(name, of) => {
                    let of = values(&name, "In", of)?;
                    Expression::In(key(name)?, of)
                }
                Expression::NotIn(name, of) => {
                    let of = values(&name, "NotIn", of)?;
                    Expression::NotIn(key(name)?, of)
                }
                Expression::Equal(name, wanted) => Expression::Equal(key(name)?, value(wanted)?),
                Expression::NotEqual(name, unwanted) => Expression::NotEqual(key(name)?, value(unwanted)?),
                Expression::Exists(name) => Expression::Exists(key(name)?),
                Expression::DoesNotExist(name) => Expression::DoesNotExist(key(name)?),
            })
        };
        selector.into_iter().map(checked).collect::<Result<_, _>>().map(Self)
    }
}

impl From<PodSelector> for Selector {
    fn from(selector: PodSelector) -> Self {
        selector.0.into_iter().collect()
    }
}

impl TryFrom<BTreeMap<String, String>> for PodSelector {
    type Error = SelectorError;

    /// All these labels, with exactly these values.
    fn try_from(map: BTreeMap<String, String>) -> Result<Self, SelectorError> {
        Self::from_requirements(map.into_iter().map(|(key, value)| (key, Requirement::Exact(value))))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const PODS: [&[(&str, &str)]; 4] = [&[], &[("app", "web")], &[("app", "")], &[("app", "api"), ("canary", "yes")]];

    /// Which of `PODS` match.
    fn matching(selector: &PodSelector) -> Vec<usize> {
        let matches = |labels: &&[(&str, &'static str)]| {
            selector.matches(|key| labels.iter().find(|(known, _)| *known == key).map(|(_, value)| *value))
        };
        PODS.iter().enumerate().filter(|(_, labels)| matches(labels)).map(|(place, _)| place).collect()
    }

    #[test]
    fn each_operator_matches_what_it_says() {
        let cases: [(&str, &[usize]); 15] = [
            ("", &[0, 1, 2, 3]),
            ("app", &[1, 2, 3]),
            ("!app", &[0]),
            ("app=web", &[1]),
            ("app==web", &[1]),
            ("app=", &[2]),
            ("app!=web", &[0, 2, 3]),
            ("app!=", &[0, 1, 3]),
            ("app in (web,api)", &[1, 3]),
            ("app in (,web)", &[1, 2]),
            ("app in ()", &[2]),
            ("app notin (web,api)", &[0, 2]),
            ("app,!canary", &[1, 2]),
            ("app=web,app=api", &[]),
            ("canary notin (no),app", &[1, 2, 3]),
        ];
        for (text, wanted) in cases {
            let selector: PodSelector = text.parse().unwrap();
            assert_eq!(matching(&selector), wanted, "{text}");
            // What it writes is the same selector.
            assert_eq!(matching(&selector.to_string().parse().unwrap()), wanted, "{text}");
        }
    }

    #[test]
    fn a_map_tells_absent_from_empty() {
        let one = |requirement| PodSelector::from_requirements([("app", requirement)]).unwrap();
        assert_eq!(matching(&one(Requirement::Exact("web".into()))), [1]);
        assert_eq!(matching(&one(Requirement::Exact(String::new()))), [2]);
        assert_eq!(matching(&one(Requirement::Present)), [1, 2, 3]);
        assert_eq!(matching(&one(Requirement::Absent)), [0]);
        let none: [(&str, Requirement); 0] = [];
        assert_eq!(matching(&PodSelector::from_requirements(none).unwrap()), [0, 1, 2, 3]);
    }

    #[test]
    fn what_no_label_can_be_is_refused_from_wherever_it_comes() {
        let map = |key: &str, value: &str| PodSelector::try_from(BTreeMap::from([(key.to_owned(), value.to_owned())]));
        assert_eq!(map("app", "web").unwrap().to_string(), "app=web");
        assert!(matches!(map("app,x", "web"), Err(SelectorError::Key { .. })));
        assert!(matches!(map("app", "a in (b)"), Err(SelectorError::Value { .. })));

        let of = |expression| PodSelector::try_from(Selector::from_iter([expression]));
        let set = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect::<BTreeSet<_>>();
        assert_eq!(of(Expression::NotIn("a".into(), set(&["c", "b"]))).unwrap().to_string(), "a notin (b,c)");
        assert!(matches!(of(Expression::In("a".into(), set(&[]))), Err(SelectorError::Values { .. })));
        assert!(matches!(of(Expression::NotIn("a".into(), set(&["b,c"]))), Err(SelectorError::Value { .. })));
        assert!(matches!(of(Expression::NotEqual("a".into(), "-".into())), Err(SelectorError::Value { .. })));
        assert!(matches!(of(Expression::Exists("a=b".into())), Err(SelectorError::Key { .. })));
        assert!(matches!(of(Expression::DoesNotExist(String::new())), Err(SelectorError::Key { .. })));
    }

    #[test]
    fn a_label_selector_is_taken_as_servers_take_it() {
        let read = |value| PodSelector::try_from(serde_json::from_value::<LabelSelector>(value).unwrap());
        let text = |value| read(value).unwrap().to_string();
        assert_eq!(text(json!({})), "");
        let both = json!({"matchLabels": {"app": "web"}, "matchExpressions": [
            {"key": "tier", "operator": "In", "values": ["b", "a"]},
            {"key": "old", "operator": "NotIn", "values": ["x"]},
            {"key": "here", "operator": "Exists"},
            {"key": "gone", "operator": "DoesNotExist", "values": []},
        ]});
        assert_eq!(text(both), "app=web,tier in (a,b),old notin (x),here,!gone");

        let fault = |value| read(value).unwrap_err().to_string();
        let one =
            |operator, values| json!({"matchExpressions": [{"key": "a", "operator": operator, "values": values}]});
        assert_eq!(fault(one("In", json!([]))), "the operator `In` on label `a` needs at least one value");
        assert_eq!(fault(one("Exists", json!(["x"]))), "the operator `Exists` on label `a` takes no values");
        assert!(fault(one("Like", json!(["x"]))).starts_with("unknown operator `Like` on label `a`"));
        assert!(fault(json!({"matchLabels": {"a b": "c"}})).starts_with("`a b` is no label key"));
        assert!(fault(json!({"matchLabels": {"a": "-"}})).starts_with("`-` is no label value"));
    }
}
