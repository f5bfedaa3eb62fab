//! How plugins meet a node.

use std::sync::Arc;
use std::time::Duration;

use nri_plugin::cgroup::CgroupFs;
use nri_plugin::index::ContainerIndex;
use nri_plugin::{Connector, Endpoint, Identity, Plugin, Session, SessionBuilder};
use tokio::net::UnixStream;
use tokio::task::AbortHandle;

use super::node::Node;

/// How often an index whose task runs looks for ends that nobody told.
const CHECK: Duration = Duration::from_millis(200);

pub(crate) fn index(grace: Duration) -> ContainerIndex {
    ContainerIndex::builder(CgroupFs::discover().unwrap()).grace(grace).check_interval(CHECK).build()
}

/// An index's task; ends with this value.
pub(crate) struct Running(AbortHandle);

pub(crate) fn run(index: &ContainerIndex) -> Running {
    let index = index.clone();
    Running(tokio::spawn(async move { index.run().await }).abort_handle())
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn session<P: Plugin>(plugin: Arc<P>) -> SessionBuilder<P> {
    Session::builder(Identity::new("10", "test").unwrap(), plugin)
}

/// A plugin that has joined, for one session.
pub(crate) async fn join<P: Plugin>(node: &Node, plugin: Arc<P>) -> Session {
    let socket = UnixStream::connect(node.nri_socket()).await.unwrap();
    let session = session(plugin).spawn(socket).unwrap();
    session.joined().await.unwrap();
    session
}

/// A plugin that is kept connected.
pub(crate) fn connect<P: Plugin>(node: &Node, plugin: Arc<P>) -> Connector {
    Connector::builder(session(plugin))
        .pauses(Duration::from_millis(20), Duration::from_millis(200))
        .spawn(Endpoint::Socket(node.nri_socket()))
}
