//! What a reader wants.

use super::{Selection, SeriesSelector};

/// What a reader wants: some resources, some namespaces, some series; all of it by default.
///
/// A word names the resource of that name, and those whose name continues it after a dot: `foos` names `foos` and
/// `foos.v1.example.com`.
///
/// ```
/// use ksm_core::Query;
///
/// let query = Query {
///     resources: vec!["pods".into()],
///     namespaces: vec!["web".into(), "db".into()],
///     series: vec!["{__name__=~\"kube_pod_status_.*\"}".parse()?, "kube_pod_info{node!=\"\"}".parse()?],
///     ..Query::default()
/// };
/// assert!(query.is_partial());
/// # Ok::<(), ksm_core::SelectorError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// Only these resources; empty: all.
    pub resources: Vec<String>,
    /// But not these resources. Wins over [`resources`](Self::resources).
    pub exclude: Vec<String>,
    /// Only samples whose label `namespace` is one of these; empty: all. Those of cluster-scoped objects have none, but
    /// for namespaces themselves.
    pub namespaces: Vec<String>,
    /// Only samples that one of these admits; empty: all.
    pub series: Vec<SeriesSelector>,
}

impl Query {
    /// Whether it is for some of the samples of its resources only.
    pub fn is_partial(&self) -> bool {
        !self.namespaces.is_empty() || !self.series.is_empty()
    }

    /// Whether the resource is wanted.
    pub(crate) fn admits(&self, resource: &str) -> bool {
        let named = |words: &[String]| words.iter().any(|word| is_named(resource, word));
        (self.resources.is_empty() || named(&self.resources)) && !named(&self.exclude)
    }

    /// Which samples are wanted; none: all.
    pub(crate) fn selection(&self) -> Option<Selection> {
        Selection::new(&self.namespaces, &self.series)
    }
}

fn is_named(resource: &str, word: &str) -> bool {
    resource.strip_prefix(word).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plural_names_all_resources_of_that_plural() {
        let names = ["foos", "foos.v1.example.com", "foos.v1.other.example", "foosball.v1.example.com", "fo"];
        let admitted = |query: &Query| names.into_iter().filter(|name| query.admits(name)).collect::<Vec<_>>();
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let query =
            Query { resources: words(&["foos"]), exclude: words(&["foos.v1.other.example"]), ..Query::default() };
        assert_eq!(admitted(&query), ["foos", "foos.v1.example.com"]);
        assert_eq!(
            admitted(&Query { exclude: words(&["foos"]), ..Query::default() }),
            ["foosball.v1.example.com", "fo"]
        );
    }
}
