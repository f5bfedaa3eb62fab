//! Prometheus' series selectors: which samples a reader wants.
//!
//! Syntax and meaning are those of PromQL's instant vector selectors: `kube_pod_info`, `{namespace="a",pod=~"web-.*"}`,
//! `kube_pod_info{node!=""}`, `{__name__=~"kube_node_.*"}`. A label that a sample lacks is an empty one. Regular
//! expressions match the whole value; they are RE2's dialect (no look-around, no back-references), and matching takes
//! time linear in the value's length.

mod error;
mod objects;
mod parse;
mod query;

use std::fmt;
use std::str::FromStr;

use regex::Regex;

pub use error::SelectorError;
pub(crate) use objects::{Selection, Verdicts};
pub use query::Query;

use crate::store::SampleRef;

/// The label whose value is the name of the family.
const NAME: &str = "__name__";

/// One series selector.
///
/// ```
/// use ksm_core::SeriesSelector;
///
/// let selector: SeriesSelector = r#"{__name__=~"kube_pod_.*", namespace="web"}"#.parse()?;
/// assert!(selector.admits_family("kube_pod_info"));
/// assert!(!selector.admits_family("kube_node_info"));
///
/// let error = "kube_pod_info{pod=web}".parse::<SeriesSelector>().unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "series selector `kube_pod_info{pod=web}`, character 19: expected a quoted value, found `w`"
/// );
/// # Ok::<(), ksm_core::SelectorError>(())
/// ```
#[derive(Debug, Clone)]
pub struct SeriesSelector {
    text: String,
    matchers: Vec<Matcher>,
}

/// A condition on one label.
#[derive(Debug, Clone)]
struct Matcher {
    label: String,
    test: Test,
}

#[derive(Debug, Clone)]
enum Test {
    Equal(String),
    NotEqual(String),
    OneOf(Vec<String>),
    Matching(Regex),
    NotMatching(Regex),
}

impl Matcher {
    fn admits(&self, value: &str) -> bool {
        match &self.test {
            Test::Equal(wanted) => value == wanted,
            Test::NotEqual(unwanted) => value != unwanted,
            Test::OneOf(wanted) => wanted.iter().any(|wanted| wanted == value),
            Test::Matching(regex) => regex.is_match(value),
            Test::NotMatching(regex) => !regex.is_match(value),
        }
    }
}

impl SeriesSelector {
    /// Samples whose label `namespace` is one of these; those of cluster-scoped objects have none.
    fn of_namespaces(namespaces: &[String]) -> Self {
        let matcher = Matcher { label: "namespace".to_owned(), test: Test::OneOf(namespaces.to_vec()) };
        Self { text: String::new(), matchers: vec![matcher] }
    }

    /// What both admit.
    fn and(mut self, other: &Self) -> Self {
        self.matchers.extend(other.matchers.iter().cloned());
        self
    }

    /// Whether samples of a family of that name can be admitted.
    pub fn admits_family(&self, name: &str) -> bool {
        self.matchers.iter().filter(|matcher| matcher.label == NAME).all(|matcher| matcher.admits(name))
    }

    /// Whether it admits a sample.
    pub fn admits(&self, sample: &SampleRef<'_>) -> bool {
        self.admits_family(&sample.family().name) && self.admits_labels(sample)
    }

    /// Whether the labels are as they must be, apart from the name.
    fn admits_labels(&self, sample: &SampleRef<'_>) -> bool {
        self.label_matchers().all(|matcher| matcher.admits(&sample.label(&matcher.label).unwrap_or_default()))
    }

    fn label_matchers(&self) -> impl Iterator<Item = &Matcher> {
        self.matchers.iter().filter(|matcher| matcher.label != NAME)
    }

    /// How many conditions it has.
    #[cfg(feature = "http")]
    pub(crate) fn len(&self) -> usize {
        self.matchers.len()
    }
}

impl FromStr for SeriesSelector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        Ok(Self { matchers: parse::matchers(text)?, text: text.to_owned() })
    }
}

impl fmt::Display for SeriesSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Equal texts are equal selectors.
impl PartialEq for SeriesSelector {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for SeriesSelector {}
