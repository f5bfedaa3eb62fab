//! Which pods its own watches see, and whether a question is about others.

use std::fmt;

use crate::selector::{PodSelector, Scope};

/// The field that says on which node a pod is.
const NODE: &str = "spec.nodeName";
/// The field that says in which namespace it is.
const NAMESPACE: &str = "metadata.namespace";

/// A value that no selector names: control characters are in none.
const ANY_OTHER: &str = "\u{1}";

/// Which pods are watched; all of them unless it is narrowed.
#[derive(Debug, Clone, Default)]
pub(super) struct Watched {
    /// None are all.
    namespaces: Vec<String>,
    labels: PodSelector,
    fields: Vec<String>,
}

/// How much of what a question names is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reach {
    /// All of it.
    Whole,
    /// All but these, in words.
    Part(Vec<String>),
    /// Nothing of it.
    Nothing,
}

impl Watched {
    pub(super) fn new(namespaces: Vec<String>, labels: PodSelector, fields: Vec<String>) -> Self {
        Self { namespaces, labels, fields }
    }

    /// Whether all pods of the watched namespaces are.
    pub(super) fn is_whole(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// Whether pods of that namespace are, some of them at least.
    pub(super) fn has_namespace(&self, namespace: &str) -> bool {
        (self.namespaces.is_empty() || self.namespaces.iter().any(|watched| watched == namespace))
            && self.fields_admit(NAMESPACE, namespace)
    }

    /// Whether pods on that node are.
    pub(super) fn has_node(&self, node: &str) -> bool {
        self.fields_admit(NODE, node)
    }

    /// How much of what the scope names is watched. Where it names nothing, it is about what is watched.
    pub(super) fn reach(&self, scope: &Scope) -> Reach {
        let mut outside = Vec::new();
        let mut places = |what: &str, named: &[String], is_watched: &dyn Fn(&str) -> bool| {
            let before = outside.len();
            outside.extend(named.iter().filter(|name| !is_watched(name)).map(|name| format!("{what} {name}")));
            named.is_empty() || outside.len() - before < named.len()
        };
        let some = places("namespace", scope.namespaces(), &|name| self.has_namespace(name))
            && places("node", scope.nodes(), &|name| self.has_node(name))
            && scope.label_selector().keys().all(|key| self.can_meet(scope.label_selector(), key));
        if !some {
            return Reach::Nothing;
        }
        let labels = scope.label_selector();
        for key in labels.keys() {
            let unwatched = labels
                .values(key)
                .filter(|value| labels.admits(key, Some(value)) && !self.labels.admits(key, Some(value)));
            outside.extend(unwatched.map(|value| format!("label {key}={value}")));
        }
        if outside.is_empty() { Reach::Whole } else { Reach::Part(outside) }
    }

    /// Whether a pod that is watched can have a label of that key as it is wanted. What can be had by no pod at all is
    /// not a matter of what is watched.
    fn can_meet(&self, wanted: &PodSelector, key: &str) -> bool {
        let named = wanted.values(key).chain(self.labels.values(key)).map(Some);
        let mut wanted = named.chain([None, Some(ANY_OTHER)]).filter(|value| wanted.admits(key, *value)).peekable();
        wanted.peek().is_none() || wanted.any(|value| self.labels.admits(key, value))
    }

    /// Whether the fields are there for a pod where one of them is this. What is asked of other fields says nothing.
    fn fields_admit(&self, field: &str, value: &str) -> bool {
        // Values with commas or equals signs in them are written with backslashes. No name has such.
        let terms = self.fields.iter().filter(|selector| !selector.contains('\\')).flat_map(|it| it.split(','));
        terms.filter_map(term).filter(|term| term.field == field).all(|term| (term.value == value) == term.equal)
    }
}

/// A term of a field selector: `field=value`, `field==value` or `field!=value`.
struct Term<'a> {
    field: &'a str,
    equal: bool,
    value: &'a str,
}

fn term(text: &str) -> Option<Term<'_>> {
    let (field, equal, value) = match (text.split_once("!="), text.split_once("==")) {
        (Some((field, value)), _) => (field, false, value),
        (None, Some((field, value))) => (field, true, value),
        (None, None) => text.split_once('=').map(|(field, value)| (field, true, value))?,
    };
    Some(Term { field: field.trim(), equal, value: value.trim() })
}

impl fmt::Display for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("pods")?;
        if !self.namespaces.is_empty() {
            write!(f, " in namespace {}", self.namespaces.join(" or "))?;
        }
        if !self.labels.is_empty() {
            write!(f, " with labels {}", self.labels)?;
        }
        if !self.fields.is_empty() {
            write!(f, " with fields {}", self.fields.join(","))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(text: &str) -> PodSelector {
        text.parse().unwrap()
    }

    fn part(outside: &[&str]) -> Reach {
        Reach::Part(outside.iter().map(|&name| name.to_owned()).collect())
    }

    #[test]
    fn places_that_are_not_watched_are_named() {
        let watched = Watched::new(vec!["a".into(), "b".into()], PodSelector::all(), vec![]);
        let all = Scope::all;
        assert_eq!(watched.reach(&all()), Reach::Whole);
        assert_eq!(watched.reach(&all().namespace("b").node("n")), Reach::Whole);
        assert_eq!(watched.reach(&all().namespace("b").namespace("c")), part(&["namespace c"]));
        assert_eq!(watched.reach(&all().namespace("c").namespace("d")), Reach::Nothing);
        assert_eq!(watched.to_string(), "pods in namespace a or b");
    }

    #[test]
    fn fields_of_places_are_understood() {
        let of =
            |fields: &[&str]| Watched::new(vec![], PodSelector::all(), fields.iter().map(|&it| it.into()).collect());
        let on = |node: &str| Scope::all().node(node);
        for fields in ["spec.nodeName=n", "status.phase!=Failed, spec.nodeName==n"] {
            assert_eq!(of(&[fields]).reach(&on("n")), Reach::Whole, "{fields}");
            assert_eq!(of(&[fields]).reach(&on("m")), Reach::Nothing, "{fields}");
            assert_eq!(of(&[fields]).reach(&on("m").node("n")), part(&["node m"]), "{fields}");
        }
        let but = of(&["status.phase=Running", "spec.nodeName!=n,metadata.namespace!=a"]);
        assert_eq!((but.reach(&on("n")), but.reach(&on("m"))), (Reach::Nothing, Reach::Whole));
        assert_eq!(but.reach(&Scope::all().namespace("a")), Reach::Nothing);
        assert!(!but.has_namespace("a") && but.has_namespace("b"));
        // What isn't understood says nothing.
        assert_eq!(of(&["metadata.name=a\\,spec.nodeName=n"]).reach(&on("m")), Reach::Whole);
        assert_eq!(of(&["spec.nodeName"]).reach(&on("m")), Reach::Whole);
    }

    #[test]
    fn labels_that_no_watched_pod_has_are_named() {
        let reach = |watched: &str, asked: &str| {
            Watched::new(vec![], labels(watched), vec![]).reach(&Scope::all().selector(labels(asked)))
        };
        for (watched, asked) in [
            ("app=web", ""),
            ("app=web", "app=web"),
            ("app in (web,api)", "app!=web"),
            ("app in (web,api)", "app"),
            ("app!=web", "app"),
            ("app!=web", "!app"),
            ("app", "tier=front"),
            ("!canary", "app=web"),
            // No pod at all is that.
            ("app=web", "tier=a,tier=b"),
        ] {
            assert_eq!(reach(watched, asked), Reach::Whole, "{watched} for {asked}");
        }
        for (watched, asked) in [
            ("app=web", "app=db"),
            ("app=web", "app in (db,api)"),
            ("app=web", "app!=web"),
            ("app=web", "!app"),
            ("app", "!app"),
            ("!app", "app"),
            ("app!=web", "app=web,tier"),
        ] {
            assert_eq!(reach(watched, asked), Reach::Nothing, "{watched} for {asked}");
        }
        assert_eq!(reach("app notin (web,api)", "app in (api,db,web)"), part(&["label app=api", "label app=web"]));
    }
}
