//! Who a request is from, and what they may not do.

use std::collections::BTreeMap;

use crate::api::route::Verb;

/// A rule that takes a right away; where no rule matches, everything is allowed.
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

    /// A rule about getting a path that is no resource, as `/metrics`: reviews of access answer by it. It says nothing
    /// about resources, and the other rules nothing about paths.
    pub fn path(path: impl Into<String>) -> Self {
        Self { path: Some(path.into()), ..Self::default() }
    }

    fn matches_path(&self, user: &str, path: &str) -> bool {
        self.path.as_deref() == Some(path) && self.user.as_deref().is_none_or(|known| known == user)
    }

    fn matches(&self, attempt: &Attempt<'_>) -> bool {
        self.path.is_none()
            && self.user.as_deref().is_none_or(|user| user == attempt.user)
            && self.verb.is_none_or(|verb| verb == attempt.verb)
            && self.resource.as_deref().is_none_or(|resource| resource == attempt.resource)
            && self.namespace.as_deref().is_none_or(|namespace| Some(namespace) == attempt.namespace)
    }
}

/// What somebody wants to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempt<'a> {
    pub(crate) user: &'a str,
    pub(crate) verb: Verb,
    /// The plural, with the subresource if there is one.
    pub(crate) resource: &'a str,
    pub(crate) namespace: Option<&'a str>,
}

/// The tokens and the rules.
#[derive(Clone, Debug, Default)]
pub(crate) struct Access {
    /// Token to user.
    pub(crate) tokens: BTreeMap<String, String>,
    pub(crate) denied: Vec<Deny>,
}

/// The user of requests to a server that asks for no token.
pub(crate) const EVERYBODY: &str = "system:admin";
/// The user of requests without a token to a server that has tokens.
pub(crate) const ANONYMOUS: &str = "system:anonymous";

impl Access {
    /// The user of a request with this `Authorization` header; `None` if its token is unknown.
    pub(crate) fn user(&self, authorization: Option<&str>) -> Option<&str> {
        if self.tokens.is_empty() {
            return Some(EVERYBODY);
        }
        let Some(authorization) = authorization else { return Some(ANONYMOUS) };
        let (scheme, token) = authorization.split_once(' ')?;
        let user = self.tokens.get(token.trim()).filter(|_| scheme.eq_ignore_ascii_case("bearer"))?;
        // A revoked token is one without a user.
        Some(user.as_str()).filter(|user| !user.is_empty())
    }

    pub(crate) fn allows(&self, attempt: &Attempt<'_>) -> bool {
        !self.denied.iter().any(|rule| rule.matches(attempt))
    }

    pub(crate) fn allows_path(&self, user: &str, path: &str) -> bool {
        !self.denied.iter().any(|rule| rule.matches_path(user, path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_by_token() {
        let open = Access::default();
        assert_eq!(open.user(None), Some(EVERYBODY));
        assert_eq!(open.user(Some("Bearer anything")), Some(EVERYBODY));
        let closed = Access { tokens: [("t".to_owned(), "alice".to_owned())].into(), denied: Vec::new() };
        assert_eq!(closed.user(None), Some(ANONYMOUS));
        assert_eq!(closed.user(Some("bearer t")), Some("alice"));
        assert_eq!(closed.user(Some("Bearer u")), None);
        assert_eq!(closed.user(Some("Basic t")), None);
    }

    #[test]
    fn rules_match_what_they_name() {
        let access = Access {
            denied: vec![Deny::everything().to("bob").verb(Verb::List).resource("pods").namespace("a")],
            ..Access::default()
        };
        let attempt = Attempt { user: "bob", verb: Verb::List, resource: "pods", namespace: Some("a") };
        assert!(!access.allows(&attempt));
        assert!(access.allows(&Attempt { user: "alice", ..attempt }));
        assert!(access.allows(&Attempt { verb: Verb::Get, ..attempt }));
        assert!(access.allows(&Attempt { namespace: None, ..attempt }));
        assert!(access.allows(&Attempt { resource: "pods/log", ..attempt }));
    }

    #[test]
    fn a_rule_about_a_path_is_about_nothing_else() {
        let access = Access { denied: vec![Deny::path("/metrics").to("bob")], ..Access::default() };
        assert!(!access.allows_path("bob", "/metrics"));
        assert!(access.allows_path("alice", "/metrics") && access.allows_path("bob", "/healthz"));
        let attempt = Attempt { user: "bob", verb: Verb::List, resource: "pods", namespace: None };
        assert!(access.allows(&attempt));
        let access = Access { denied: vec![Deny::everything()], ..Access::default() };
        assert!(access.allows_path("bob", "/metrics"));
    }
}
