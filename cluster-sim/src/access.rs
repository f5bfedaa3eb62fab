//! The tokens that let users in, and the rules that deny.

use std::collections::BTreeMap;

use crate::api::route::Verb;
use crate::user::{ANONYMOUS, EVERYBODY};

/// A rule that takes a right away, whatever [roles](crate::SimBuilder::rbac) grant. Where no rule matches, and roles do
/// not count, everything is allowed.
///
/// ```
/// use cluster_sim::{Deny, Verb};
///
/// let rule = Deny::everything().to("viewer").verb(Verb::List).resource("secrets");
/// # assert!(format!("{rule:?}").contains("secrets"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deny {
    user: Option<String>,
    verb: Option<Verb>,
    resource: Option<String>,
    namespace: Option<String>,
    path: Option<String>,
}

impl Deny {
    /// A rule that matches every request about a resource; narrow it with the other methods.
    pub fn everything() -> Self {
        Self::default()
    }

    /// Only requests of this user.
    pub fn to(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// Only requests with this verb.
    pub fn verb(mut self, verb: Verb) -> Self {
        self.verb = Some(verb);
        self
    }

    /// Only requests about this resource (plural), in any API group; a subresource is written as `nodes/proxy`.
    pub fn resource(mut self, resource: impl Into<String>) -> Self {
        self.resource = Some(resource.into());
        self
    }

    /// Only requests within this namespace.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// A rule about a path that is no resource, as `/version` or `/metrics`. It says nothing about resources, and the
    /// other rules nothing about paths.
    pub fn path(path: impl Into<String>) -> Self {
        Self { path: Some(path.into()), ..Self::default() }
    }

    fn matches(&self, user: &str, attempt: &Attempt<'_>) -> bool {
        self.user.as_deref().is_none_or(|known| known == user)
            && match attempt {
                Attempt::Path { path, .. } => self.path.as_deref() == Some(*path),
                Attempt::Resource(act) => self.path.is_none() && self.matches_act(act),
            }
    }

    fn matches_act(&self, act: &Act<'_>) -> bool {
        self.verb.is_none_or(|verb| verb.as_str() == act.verb)
            && self.resource.as_deref().is_none_or(|resource| resource == act.resource)
            && self.namespace.as_deref().is_none_or(|namespace| Some(namespace) == act.namespace)
    }
}

/// What somebody wants to do.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Attempt<'a> {
    Resource(Act<'a>),
    /// Something with a path that is no resource.
    Path {
        verb: &'a str,
        path: &'a str,
    },
}

/// What somebody wants to do to a resource.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Act<'a> {
    pub(crate) verb: &'a str,
    pub(crate) group: &'a str,
    /// The plural, with the subresource if there is one.
    pub(crate) resource: &'a str,
    pub(crate) namespace: Option<&'a str>,
    /// Empty if it is about no object in particular.
    pub(crate) name: &'a str,
}

/// The tokens and the rules.
#[derive(Clone, Debug, Default)]
pub(crate) struct Access {
    /// Lets in who has no token, as [`EVERYBODY`].
    pub(crate) open: bool,
    /// Token to user.
    pub(crate) tokens: BTreeMap<String, String>,
    pub(crate) denied: Vec<Deny>,
}

impl Access {
    /// The user of a request with this `Authorization` header; `None` if its token is unknown.
    pub(crate) fn user(&self, authorization: Option<&str>) -> Option<&str> {
        let Some(authorization) = authorization else { return Some(if self.open { EVERYBODY } else { ANONYMOUS }) };
        if self.open && self.tokens.is_empty() {
            return Some(EVERYBODY);
        }
        let (scheme, token) = authorization.split_once(' ')?;
        let user = self.tokens.get(token.trim()).filter(|_| scheme.eq_ignore_ascii_case("bearer"))?;
        // A revoked token is one without a user.
        Some(user.as_str()).filter(|user| !user.is_empty())
    }

    /// A token that is this user's, made if there is none.
    pub(crate) fn token_of(&mut self, user: &str) -> String {
        if let Some((token, _)) = self.tokens.iter().find(|(_, known)| *known == user) {
            return token.clone();
        }
        let token = uuid::Uuid::new_v4().to_string();
        self.tokens.insert(token.clone(), user.to_owned());
        token
    }

    pub(crate) fn denies(&self, user: &str, attempt: &Attempt<'_>) -> bool {
        self.denied.iter().any(|rule| rule.matches(user, attempt))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_by_token() {
        let mut open = Access { open: true, ..Access::default() };
        assert_eq!(open.user(None), Some(EVERYBODY));
        assert_eq!(open.user(Some("Bearer anything")), Some(EVERYBODY));
        let token = open.token_of("bob");
        assert_eq!(open.token_of("bob"), token);
        assert_eq!(open.user(Some(&format!("Bearer {token}"))), Some("bob"));
        assert_eq!((open.user(None), open.user(Some("Bearer anything"))), (Some(EVERYBODY), None));

        let closed = Access { tokens: [("t".to_owned(), "alice".to_owned())].into(), ..Access::default() };
        assert_eq!(closed.user(None), Some(ANONYMOUS));
        assert_eq!(closed.user(Some("bearer t")), Some("alice"));
        assert_eq!(closed.user(Some("Bearer u")), None);
        assert_eq!(closed.user(Some("Basic t")), None);
    }

    fn denying(rule: Deny) -> Access {
        Access { denied: vec![rule], ..Access::default() }
    }

    const LIST: Act<'_> = Act { verb: "list", group: "", resource: "pods", namespace: Some("a"), name: "" };

    #[test]
    fn rules_match_what_they_name() {
        let access = denying(Deny::everything().to("bob").verb(Verb::List).resource("pods").namespace("a"));
        let denies = |user, act| access.denies(user, &Attempt::Resource(act));
        assert!(denies("bob", LIST));
        assert!(!denies("alice", LIST));
        assert!(!denies("bob", Act { verb: "get", ..LIST }));
        assert!(!denies("bob", Act { namespace: None, ..LIST }));
        assert!(!denies("bob", Act { resource: "pods/log", ..LIST }));
    }

    #[test]
    fn a_rule_about_a_path_is_about_nothing_else() {
        let path = |path| Attempt::Path { verb: "get", path };
        let access = denying(Deny::path("/metrics").to("bob"));
        assert!(access.denies("bob", &path("/metrics")));
        assert!(!access.denies("alice", &path("/metrics")) && !access.denies("bob", &path("/healthz")));
        assert!(!access.denies("bob", &Attempt::Resource(LIST)));
        assert!(!denying(Deny::everything()).denies("bob", &path("/metrics")));
    }
}
