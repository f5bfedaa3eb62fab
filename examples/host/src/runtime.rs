//! The container runtime of a node.

use std::sync::Arc;

use nri_plugin::index::ContainerIndex;
use nri_plugin::launch::Endpoint;
use nri_plugin::{Connector, Identity, Session};

/// Other plugins come first, so that what they did to a container is seen.
const INDEX: &str = "90";

/// Has the runtime keep the index, as a plugin of that name.
pub fn connect(index: &ContainerIndex, name: &str, endpoint: Endpoint) -> anyhow::Result<Connector> {
    let session = Session::builder(Identity::new(INDEX, name)?, Arc::new(index.clone()));
    Ok(Connector::builder(session).spawn(endpoint))
}
