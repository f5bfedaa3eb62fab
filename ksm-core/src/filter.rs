//! Which families are admitted by name: allow, deny and opt-in lists.

use fancy_regex::{Regex, RegexBuilder};
use thiserror::Error;

/// Steps after which a match is given up: far beyond any sensible pattern over a metric name, far below a stall.
const BACKTRACK_LIMIT: usize = 100_000;

/// A list that can't be used.
#[derive(Debug, Error)]
pub enum FilterError {
    /// An allowlist and a denylist at once.
    #[error("a metric allowlist and a metric denylist exclude each other: give one of them")]
    AllowAndDeny,
    /// A pattern that is no regular expression.
    #[error("{pattern:?} is no regular expression: {source}")]
    Pattern {
        /// The pattern as it was given.
        pattern: String,
        /// What is wrong with it, and where.
        #[source]
        source: Box<fancy_regex::Error>,
    },
}

/// How a pattern must lie within a name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Anchoring {
    /// Anywhere in the name, as kube-state-metrics matches: `kube_pod_info` admits `kube_pod_info_extended` too.
    #[default]
    Unanchored,
    /// The whole name.
    Anchored,
}

/// Names that match one of several regular expressions (with look-around, as upstream's ECMAScript dialect has it).
#[derive(Debug, Clone, Default)]
struct Patterns(Vec<(String, Regex)>);

impl Patterns {
    fn compile<S: AsRef<str>>(patterns: &[S], anchoring: Anchoring) -> Result<Self, FilterError> {
        let compile = |pattern: &S| {
            let text = pattern.as_ref();
            let anchored = match anchoring {
                Anchoring::Unanchored => text.to_owned(),
                Anchoring::Anchored => format!("^(?:{text})$"),
            };
            let regex = RegexBuilder::new(&anchored)
                .backtrack_limit(BACKTRACK_LIMIT)
                .build()
                .map_err(|source| FilterError::Pattern { pattern: text.to_owned(), source: Box::new(source) })?;
            Ok((text.to_owned(), regex))
        };
        patterns.iter().map(compile).collect::<Result<_, _>>().map(Self)
    }

    fn remove<S: AsRef<str>>(&mut self, patterns: &[S]) {
        self.0.retain(|(text, _)| !patterns.iter().any(|pattern| pattern.as_ref() == text));
    }

    fn matches(&self, name: &str) -> bool {
        self.0.iter().any(|(text, regex)| {
            regex.is_match(name).unwrap_or_else(|error| {
                tracing::warn!(pattern = text.as_str(), name, %error, "pattern given up: it backtracks too much");
                false
            })
        })
    }
}

/// Which families are on by name.
///
/// ```
/// use ksm_core::FamilyFilter;
///
/// let filter = FamilyFilter::new(&[] as &[&str], &["_created$"], &["kube_pod_nodeselectors"])?;
/// assert!(filter.admits("kube_pod_info"));
/// assert!(!filter.admits("kube_pod_created"));
/// assert!(filter.opts_in("kube_pod_nodeselectors"));
/// # Ok::<(), ksm_core::FilterError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct FamilyFilter {
    is_allowlist: bool,
    patterns: Patterns,
    opt_in: Patterns,
    anchoring: Anchoring,
}

impl FamilyFilter {
    /// A filter of regular expressions that match anywhere in a name: admit only what `allow` matches, or all but what
    /// `deny` matches. One of the two must be empty. `opt_in` opens families that are off by default.
    pub fn new<S: AsRef<str>>(allow: &[S], deny: &[S], opt_in: &[S]) -> Result<Self, FilterError> {
        Self::with_anchoring(allow, deny, opt_in, Anchoring::Unanchored)
    }

    /// The same with a choice of anchoring.
    pub fn with_anchoring<S: AsRef<str>>(
        allow: &[S],
        deny: &[S],
        opt_in: &[S],
        anchoring: Anchoring,
    ) -> Result<Self, FilterError> {
        if !allow.is_empty() && !deny.is_empty() {
            return Err(FilterError::AllowAndDeny);
        }
        let is_allowlist = !allow.is_empty();
        Ok(Self {
            is_allowlist,
            patterns: Patterns::compile(if is_allowlist { allow } else { deny }, anchoring)?,
            opt_in: Patterns::compile(opt_in, anchoring)?,
            anchoring,
        })
    }

    /// Whether the allow and deny lists admit the name.
    pub fn admits(&self, name: &str) -> bool {
        self.patterns.matches(name) == self.is_allowlist
    }

    /// Whether the opt-in list names it.
    pub fn opts_in(&self, name: &str) -> bool {
        self.opt_in.matches(name)
    }

    /// Admits more: adds the patterns to the allowlist, or takes them from the denylist, where they must stand in the
    /// same words.
    ///
    /// ```
    /// use ksm_core::FamilyFilter;
    ///
    /// let none: [&str; 0] = [];
    /// let mut filter = FamilyFilter::new(&["kube_pod_info"], &none, &none)?;
    /// filter.include(&["kube_node_(?!labels)"])?;
    /// assert!(filter.admits("kube_node_info") && !filter.admits("kube_node_labels"));
    /// # Ok::<(), ksm_core::FilterError>(())
    /// ```
    pub fn include<S: AsRef<str>>(&mut self, patterns: &[S]) -> Result<(), FilterError> {
        self.change(patterns, self.is_allowlist)
    }

    /// Admits less: takes the patterns from the allowlist, where they must stand in the same words, or adds them to the
    /// denylist. An allowlist without a pattern left admits nothing.
    pub fn exclude<S: AsRef<str>>(&mut self, patterns: &[S]) -> Result<(), FilterError> {
        self.change(patterns, !self.is_allowlist)
    }

    fn change<S: AsRef<str>>(&mut self, patterns: &[S], add: bool) -> Result<(), FilterError> {
        if add {
            self.patterns.0.extend(Patterns::compile(patterns, self.anchoring)?.0);
        } else {
            self.patterns.remove(patterns);
        }
        Ok(())
    }

    /// Whether there is an allowlist: then only what it matches is on.
    pub fn is_allowlist(&self) -> bool {
        self.is_allowlist
    }

    /// The patterns in force: of the allowlist where there is one, else of the denylist.
    pub fn patterns(&self) -> impl ExactSizeIterator<Item = &str> {
        self.patterns.0.iter().map(|(text, _)| text.as_str())
    }

    /// How many opt-in patterns there are.
    pub fn opt_in_count(&self) -> usize {
        self.opt_in.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: &[&str] = &[];

    #[test]
    fn catastrophic_pattern_is_given_up_and_matches_nothing() {
        let filter = FamilyFilter::new(&["(?=a)(a|aa)+$(?<!b)(?=c)"], NONE, NONE).unwrap();
        assert!(!filter.admits(&"a".repeat(60)));
    }

    #[test]
    fn anchored_admits_the_whole_name_only() {
        let filter = FamilyFilter::with_anchoring(&["kube_pod_info"], NONE, NONE, Anchoring::Anchored).unwrap();
        assert!(filter.admits("kube_pod_info"));
        assert!(!filter.admits("kube_pod_info_more"));
    }
}
