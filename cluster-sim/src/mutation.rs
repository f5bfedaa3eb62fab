//! A change to the simulated cluster, as plain data.

use serde_json::Value;

/// One change to the simulated cluster, applied by [`Sim::apply_mutations`](crate::Sim::apply_mutations).
///
/// Mutations bypass the API's subresource split: an upsert writes metadata, spec and status in one go, and a delete
/// is immediate (no grace period, no finalizers). They are how a population or a churn driver plays every controller
/// of a cluster at once.
#[derive(Clone, Debug, PartialEq)]
pub enum Mutation {
    /// Create the object, or replace the one of the same kind, namespace and name.
    Upsert(Value),
    /// Remove the object; removing one that does not exist is no error.
    Delete {
        /// The object's `apiVersion`, for instance `apps/v1`.
        api_version: String,
        /// The object's `kind`, for instance `Deployment`.
        kind: String,
        /// The object's namespace; `None` for cluster-scoped kinds.
        namespace: Option<String>,
        /// The object's name.
        name: String,
    },
}
