//! Why a pod or container fails.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::api::{ContainerState, Event, Field};
use super::trouble::Trouble;

/// Why a runtime could not do what the kubelet asked of it. Apart from the last three, a plugin is why.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum Failure {
    /// A plugin answered an event with an error.
    #[error("plugin {plugin:?} failed {}: {trouble}", event.name())]
    Plugin {
        /// Index and name.
        plugin: String,
        /// The event.
        event: Event,
        /// The error.
        trouble: Trouble,
    },
    /// Two plugins, or one of them twice, set the same.
    #[error("plugins {plugin:?} and {other:?} both tried to set {field:?} {key}")]
    Conflict {
        /// The plugin that came second.
        plugin: String,
        /// The plugin that had set it.
        other: String,
        /// What both set.
        field: Field,
        /// The entry of the field; empty if the field has none.
        key: String,
    },
    /// A plugin answered the creation of a container with an update of the same.
    #[error("plugin {plugin:?} asked update of {container:?} during creation")]
    UpdatedWhileCreated {
        /// Index and name.
        plugin: String,
        /// The container's id.
        container: String,
    },
    /// A validator rejected what the plugins together made of a container.
    #[error("validator {plugin:?} rejected container adjustment, reason: {reason}")]
    Rejected {
        /// Index and name.
        plugin: String,
        /// The reason that it gave.
        reason: String,
    },
    /// There is no such pod or container.
    #[error("there is no pod or container {0:?}")]
    Unknown(String),
    /// The container is not in a state in which this can be done.
    #[error("container {id:?} is {state:?}")]
    State {
        /// The container's id.
        id: String,
        /// Its state.
        state: ContainerState,
    },
    /// A cgroup's directory could not be made.
    #[error("no directory for cgroup {path:?}: {reason}")]
    Cgroup {
        /// The directory.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// Why a runtime does not listen.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ListenError {
    /// The socket could not be made.
    #[error("cannot listen on {path:?}: its directory must be one to write to")]
    Socket {
        /// The path of the socket.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The runtime has been shut down.
    #[error("the runtime has been shut down: start another one")]
    ShutDown,
}
