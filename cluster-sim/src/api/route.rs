//! From a method and a path to what is asked.

use std::fmt;

use http::Method;
use percent_encoding::percent_decode_str;

/// What a request does, in the words of RBAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    /// Read one object.
    Get,
    /// Read the objects of a resource.
    List,
    /// Follow the changes of a resource.
    Watch,
    /// Create an object.
    Create,
    /// Replace an object.
    Update,
    /// Change parts of an object; server-side apply is one.
    Patch,
    /// Delete one object.
    Delete,
    /// Delete the objects that a selector matches.
    DeleteCollection,
    /// Anything that is not about a resource: discovery, versions, health, OpenAPI.
    NonResource,
}

impl Verb {
    /// The verb as RBAC spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
            Self::NonResource => "nonresource",
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A path of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Version,
    /// `/healthz`, `/livez`, `/readyz` and the checks below them.
    Health,
    OpenApiV2,
    OpenApiV3,
    /// `/api`
    CoreVersions,
    /// `/apis`
    Groups,
    /// `/apis/GROUP`
    Group(String),
    /// `/api/v1`, `/apis/GROUP/VERSION`
    Resources {
        group: String,
        version: String,
    },
    Resource(Target),
    Unknown,
}

/// A resource, one of its objects, or a subresource of one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) plural: String,
    pub(crate) namespace: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) subresource: Option<String>,
    /// What follows the subresource, as below `nodes/NAME/proxy`.
    pub(crate) tail: String,
}

impl Route {
    pub(crate) fn parse(path: &str) -> Self {
        let decoded: Vec<String> = path
            .split('/')
            .filter(|segment| !segment.is_empty())
            .map(|segment| percent_decode_str(segment).decode_utf8_lossy().into_owned())
            .collect();
        let segments: Vec<&str> = decoded.iter().map(String::as_str).collect();
        match segments.as_slice() {
            ["version"] => Self::Version,
            ["healthz" | "livez" | "readyz", ..] => Self::Health,
            ["openapi", "v2"] => Self::OpenApiV2,
            ["openapi", "v3", ..] => Self::OpenApiV3,
            ["api"] => Self::CoreVersions,
            ["apis"] => Self::Groups,
            ["apis", group] => Self::Group((*group).to_owned()),
            ["api", version] => Self::Resources { group: String::new(), version: (*version).to_owned() },
            ["apis", group, version] => Self::Resources { group: (*group).to_owned(), version: (*version).to_owned() },
            ["api", version, rest @ ..] => Target::parse("", version, rest).map_or(Self::Unknown, Self::Resource),
            ["apis", group, version, rest @ ..] => {
                Target::parse(group, version, rest).map_or(Self::Unknown, Self::Resource)
            }
            _ => Self::Unknown,
        }
    }
}

/// The subresources that a server knows, those that the simulator does not serve included: faults, rules and counters
/// may name them.
const SUBRESOURCES: [&str; 14] = [
    "approval",
    "attach",
    "binding",
    "ephemeralcontainers",
    "eviction",
    "exec",
    "finalize",
    "log",
    "portforward",
    "proxy",
    "resize",
    "scale",
    "status",
    "token",
];

impl Target {
    /// Is the subresource, if there is one, a word of the API and not just one of the client's?
    pub(crate) fn is_known_subresource(&self) -> bool {
        self.subresource.as_deref().is_none_or(|subresource| SUBRESOURCES.contains(&subresource))
    }

    fn parse(group: &str, version: &str, segments: &[&str]) -> Option<Self> {
        let (namespace, rest) = match segments {
            // The subresources of a namespace look like resources within it.
            ["namespaces", _, "status" | "finalize", ..] => (None, segments),
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (Some((*namespace).to_owned()), rest),
            _ => (None, segments),
        };
        let (plural, rest) = rest.split_first()?;
        let mut rest = rest.iter().copied();
        Some(Self {
            group: group.to_owned(),
            version: version.to_owned(),
            plural: (*plural).to_owned(),
            namespace,
            name: rest.next().map(str::to_owned),
            subresource: rest.next().map(str::to_owned),
            tail: rest.collect::<Vec<_>>().join("/"),
        })
    }

    /// `pods`, or `pods/status`.
    pub(crate) fn resource_path(&self) -> String {
        match &self.subresource {
            Some(subresource) => format!("{}/{subresource}", self.plural),
            None => self.plural.clone(),
        }
    }

    /// The namespace whose roles count: a namespace itself is within it.
    pub(crate) fn right_namespace(&self) -> Option<&str> {
        let own = self.name.as_deref().filter(|_| self.group.is_empty() && self.plural == "namespaces");
        self.namespace.as_deref().or(own)
    }

    pub(crate) fn verb(&self, method: &Method, watch: bool) -> Option<Verb> {
        Some(match (method.as_str(), self.name.is_some()) {
            ("GET", false) if watch => Verb::Watch,
            ("GET" | "HEAD", false) => Verb::List,
            ("GET" | "HEAD", true) => Verb::Get,
            ("POST", _) => Verb::Create,
            ("PUT", true) => Verb::Update,
            ("PATCH", true) => Verb::Patch,
            ("DELETE", true) => Verb::Delete,
            ("DELETE", false) => Verb::DeleteCollection,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(path: &str) -> Target {
        match Route::parse(path) {
            Route::Resource(target) => target,
            other => panic!("{path} is {other:?}"),
        }
    }

    #[test]
    fn paths() {
        assert_eq!(Route::parse("/api/"), Route::CoreVersions);
        assert_eq!(Route::parse("/apis/apps"), Route::Group("apps".into()));
        assert_eq!(Route::parse("/apis/apps/v1"), Route::Resources { group: "apps".into(), version: "v1".into() });
        assert_eq!(Route::parse("/nothing"), Route::Unknown);

        let pod = target("/api/v1/namespaces/a/pods/b/status");
        assert_eq!((pod.namespace.as_deref(), pod.name.as_deref()), (Some("a"), Some("b")));
        assert_eq!(pod.resource_path(), "pods/status");

        let namespace = target("/api/v1/namespaces/a");
        assert_eq!((namespace.plural.as_str(), namespace.name.as_deref()), ("namespaces", Some("a")));
        let status = target("/api/v1/namespaces/a/status");
        assert_eq!((status.resource_path().as_str(), status.namespace), ("namespaces/status", None));

        let role = target("/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Anode");
        assert_eq!(role.name.as_deref(), Some("system:node"));
        assert_eq!(target("/api/v1/nodes/n/proxy/stats/summary").tail, "stats/summary");
    }
}
