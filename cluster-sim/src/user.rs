//! Who a request is from.

/// The user of requests to a server that asks for no token: may do everything.
pub(crate) const EVERYBODY: &str = "system:admin";
/// The user of requests without a token to a server that has tokens.
pub(crate) const ANONYMOUS: &str = "system:anonymous";

/// The group whose members may do everything.
const MASTERS: &str = "system:masters";

/// Somebody, with the groups that they are in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) groups: Vec<String>,
}

impl User {
    /// A user in the groups that a server puts them in by itself.
    pub(crate) fn named(name: &str) -> Self {
        let mut groups = Vec::new();
        if name == EVERYBODY {
            groups.push(MASTERS.to_owned());
        }
        if let Some((namespace, _)) = service_account(name) {
            groups.push("system:serviceaccounts".to_owned());
            groups.push(format!("system:serviceaccounts:{namespace}"));
        }
        let known = if name == ANONYMOUS { "system:unauthenticated" } else { "system:authenticated" };
        groups.push(known.to_owned());
        Self { name: name.to_owned(), groups }
    }

    pub(crate) fn is_anonymous(&self) -> bool {
        self.name == ANONYMOUS
    }

    /// May do everything, whatever the roles say.
    pub(crate) fn is_master(&self) -> bool {
        self.name == EVERYBODY || self.groups.iter().any(|group| group == MASTERS)
    }
}

/// The namespace and name of a service account, if that is who the user is: `system:serviceaccount:NAMESPACE:NAME`.
pub(crate) fn service_account(user: &str) -> Option<(&str, &str)> {
    user.strip_prefix("system:serviceaccount:")?.split_once(':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_follow_from_names() {
        assert_eq!(User::named("alice").groups, ["system:authenticated"]);
        assert_eq!(User::named(ANONYMOUS).groups, ["system:unauthenticated"]);
        assert_eq!(
            User::named("system:serviceaccount:a:agent").groups,
            ["system:serviceaccounts", "system:serviceaccounts:a", "system:authenticated"]
        );
        assert!(User::named(EVERYBODY).is_master() && !User::named("alice").is_master());
    }
}
