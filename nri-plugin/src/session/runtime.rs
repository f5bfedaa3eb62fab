//! What a plugin may ask of a runtime.

use std::time::Duration;

use thiserror::Error;
use tokio::sync::watch;

use crate::api::{ContainerUpdate, RUNTIME_SERVICE, UpdateContainersRequest, UpdateContainersResponse};
use crate::plugin::{Progress, in_handler};
use crate::ttrpc::{CallError, CallOptions, Client};

/// How long an update may take: the runtime makes it between events, each of which waits for all plugins.
const UPDATE_TIMEOUT: Duration = Duration::from_secs(10);

/// An update that the runtime did not get, or did not make.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum UpdateError {
    /// The plugin has not joined.
    #[error("the plugin has not joined: wait for `Session::joined` before containers are updated")]
    NotJoined,
    /// It was called by a handler, of a runtime that waits for the handler and for the update by the same lock.
    #[error(
        "a handler can't update containers with this runtime, which would wait for both: do it in a task of its own"
    )]
    InHandler,
    /// The call failed.
    #[error("the runtime did not update containers: {0}")]
    Call(#[from] CallError),
}

/// The runtime of a session. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Runtime {
    client: Client,
    progress: watch::Receiver<Progress>,
}

impl Runtime {
    pub(super) fn new(client: Client, progress: watch::Receiver<Progress>) -> Self {
        Self { client, progress }
    }

    /// Changes containers. The answer is those updates that failed.
    ///
    /// Before NRI 0.12.1 the runtime holds one lock for events and for this, so a handler that
    /// waits for it would stop the node's pods: that is refused. A task that a handler waits for is not noticed.
    pub async fn update_containers(&self, update: Vec<ContainerUpdate>) -> Result<Vec<ContainerUpdate>, UpdateError> {
        let both = {
            let progress = self.progress.borrow();
            let configured = progress.configured.as_ref().filter(|_| progress.joined).ok_or(UpdateError::NotJoined)?;
            configured.0.takes_updates_during_events()
        };
        if in_handler() && !both {
            return Err(UpdateError::InHandler);
        }
        let request = UpdateContainersRequest { update, evict: Vec::new() };
        let options = CallOptions { timeout: Some(UPDATE_TIMEOUT), ..CallOptions::default() };
        let answer = self.client.call(RUNTIME_SERVICE, "UpdateContainers", &request, options).await?;
        let UpdateContainersResponse { failed } = answer;
        Ok(failed)
    }
}
