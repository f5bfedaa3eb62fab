//! Role-based access control: what the roles stored in the cluster grant through its bindings
//! ([reference](https://kubernetes.io/docs/reference/access-authn-authz/rbac/)).
//!
//! Roles are taken as they are stored: nothing fills a ClusterRole with an `aggregationRule`.

pub(crate) mod defaults;
mod right;
pub(crate) mod rule;

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::api::rbac::v1::{PolicyRule, RoleRef, Subject};
use serde::de::DeserializeOwned;

use crate::access::Attempt;
use crate::object::Object;
use crate::store::State;
use crate::store::entry::Entry;
use crate::user::{User, service_account};
pub use right::Right;

const GROUP: &str = "rbac.authorization.k8s.io";
const CLUSTER_ROLE: &str = "ClusterRole";

/// What the roles say to an attempt.
#[derive(Debug)]
pub(crate) enum Verdict {
    Granted {
        /// Binding, role and subject, in upstream's words.
        by: String,
        /// By one of the roles that every cluster has.
        by_default: bool,
    },
    Refused {
        /// What is wrong with the bindings that might have granted it, if anything.
        why: String,
    },
}

/// May the user do this? Bindings grant, nothing takes away.
pub(crate) fn judge(state: &State, user: &User, attempt: &Attempt<'_>) -> Verdict {
    let namespace = match attempt {
        Attempt::Resource(act) => act.namespace,
        Attempt::Path { .. } => None,
    };
    let here = namespace.map(|namespace| bindings(state, "rolebindings", Some(namespace)));
    let mut broken = BTreeSet::new();
    for binding in bindings(state, "clusterrolebindings", None).chain(here.into_iter().flatten()) {
        let Some(subject) = binding.subjects.iter().find(|subject| is(user, subject, &binding.namespace)) else {
            continue;
        };
        match binding.role(state) {
            Ok(role) if role.rules.iter().any(|rule| rule::allows(rule, attempt)) => {
                return Verdict::Granted { by: binding.describe(subject), by_default: role.is_default };
            }
            Ok(_) => {}
            Err(why) => {
                broken.insert(why);
            }
        }
    }
    let broken: Vec<String> = broken.into_iter().collect();
    let why = match broken.as_slice() {
        [] => String::new(),
        [one] => format!("RBAC: {one}"),
        many => format!("RBAC: [{}]", many.join(", ")),
    };
    Verdict::Refused { why }
}

/// Every right to a resource that the user has anywhere, those that every cluster's own roles grant left out.
pub(crate) fn rights(state: &State, user: &User) -> BTreeSet<Right> {
    bindings(state, "clusterrolebindings", None)
        .chain(bindings(state, "rolebindings", None))
        .filter(|binding| binding.subjects.iter().any(|subject| is(user, subject, &binding.namespace)))
        .filter_map(|binding| binding.role(state).ok())
        .filter(|role| !role.is_default)
        .flat_map(|role| role.rules.iter().flat_map(rule::rights).collect::<Vec<_>>())
        .collect()
}

/// A ClusterRoleBinding, or a RoleBinding.
#[derive(Debug)]
struct Binding {
    name: String,
    /// Empty for a ClusterRoleBinding.
    namespace: String,
    role: RoleRef,
    subjects: Vec<Subject>,
}

#[derive(Debug)]
struct Role {
    rules: Vec<PolicyRule>,
    is_default: bool,
}

/// The bindings of a namespace, or all; those that are none in truth (without a role) are passed by.
fn bindings<'a>(state: &'a State, plural: &str, namespace: Option<&str>) -> impl Iterator<Item = Binding> + use<'a> {
    let view = state.registry.get(GROUP, plural).and_then(|resource| state.table(resource)?.at(state.version()));
    let entries: Vec<&Arc<Entry>> = view.iter().flat_map(|view| view.range(namespace, None)).collect();
    entries.into_iter().filter_map(|entry| {
        let object = entry.object();
        Some(Binding {
            name: object.name().to_owned(),
            namespace: object.namespace().to_owned(),
            role: field(&object, "roleRef")?,
            subjects: field(&object, "subjects").unwrap_or_default(),
        })
    })
}

fn field<T: DeserializeOwned>(object: &Object, name: &str) -> Option<T> {
    serde_json::from_value(object.rest.get(name)?.clone()).ok()
}

impl Binding {
    /// The role that it binds, or that there is none.
    fn role(&self, state: &State) -> Result<Role, String> {
        let RoleRef { kind, name, .. } = &self.role;
        let plural = if kind == CLUSTER_ROLE { "clusterroles" } else { "roles" };
        let found = state.registry.get(GROUP, plural).and_then(|roles| {
            let key = roles.key(&self.namespace, name);
            state.get(roles, &key)
        });
        let entry = found.ok_or_else(|| format!("{}.{GROUP} {name:?} not found", kind.to_lowercase()))?;
        Ok(Role {
            rules: field(&entry.object(), "rules").unwrap_or_default(),
            is_default: entry.labels().any(|label| label == defaults::DEFAULTS),
        })
    }

    fn describe(&self, subject: &Subject) -> String {
        let (kind, place) = match self.namespace.as_str() {
            "" => ("ClusterRoleBinding", String::new()),
            namespace => ("RoleBinding", format!("/{namespace}")),
        };
        let home = subject.namespace.as_deref().map(|namespace| format!("/{namespace}")).unwrap_or_default();
        let RoleRef { kind: role_kind, name: role, .. } = &self.role;
        format!(
            "RBAC: allowed by {kind} \"{}{place}\" of {role_kind} {role:?} to {} \"{}{home}\"",
            self.name, subject.kind, subject.name
        )
    }
}

/// Is this the user, or one of their groups? `here` is where a service account is that names no namespace.
fn is(user: &User, subject: &Subject, here: &str) -> bool {
    match subject.kind.as_str() {
        "User" => subject.name == user.name,
        "Group" => user.groups.contains(&subject.name),
        "ServiceAccount" => {
            let namespace = subject.namespace.as_deref().filter(|namespace| !namespace.is_empty()).unwrap_or(here);
            !namespace.is_empty() && service_account(&user.name) == Some((namespace, subject.name.as_str()))
        }
        _ => false,
    }
}
