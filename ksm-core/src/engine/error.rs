//! What can be wrong with a configuration.

use thiserror::Error;

/// A configuration that can't be started.
#[derive(Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildError {
    /// A name that is no built-in resource.
    #[error("unknown resource {name:?}: use one of {known}, or add it with `KsmBuilder::resource`")]
    UnknownResource {
        /// The name as it was given.
        name: String,
        /// All built-in names.
        known: String,
    },
    /// Two resources of one name.
    #[error("resource {name:?} is configured twice: add what it needs to one `ResourceBuilder`")]
    DuplicateResource {
        /// The name.
        name: String,
    },
    /// Two families of one name in one resource.
    #[error(
        "family {family:?} of {resource:?} is defined twice: leave the built-in one out with `without` to replace it"
    )]
    DuplicateFamily {
        /// The resource.
        resource: String,
        /// The family.
        family: String,
    },
    /// A resource that is watched, and no client to watch with.
    #[error("{resource:?} needs an API client: give one with `KsmBuilder::client`, or a stream of its events")]
    NoClient {
        /// The resource.
        resource: String,
    },
    /// Too many families.
    #[error("{resource:?} has more than 65,535 families")]
    TooManyFamilies {
        /// The resource.
        resource: String,
    },
    /// A label join that says too little.
    #[error("the label join of {family:?} is wrong: {fault}")]
    BadJoin {
        /// The family that gives labels.
        family: String,
        /// What is wrong.
        fault: &'static str,
    },
    /// A label join of a family that no resource has.
    #[error("label join: no resource that is watched has a family {family:?}; add its resource, or correct the name")]
    UnknownJoinFamily {
        /// The name as it was given.
        family: String,
    },
    /// No tokio runtime.
    #[error("resources must be started within a tokio runtime")]
    NoRuntime,
    /// Shards to follow, and no sharding.
    #[error("`follow_shards` needs `KsmBuilder::sharding`, which says how objects are assigned to shards")]
    NotSharded,
    /// It was shut down.
    #[error("nothing can be added after `Ksm::shutdown`: build another one")]
    Stopped,
}
