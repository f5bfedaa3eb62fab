//! Events of a runtime → an index.

use std::sync::Arc;
use std::time::Duration;

use nri_plugin::api::{Container, ContainerState, ContainerUpdate, PodSandbox};
use nri_plugin::cgroup::CgroupFs;
use nri_plugin::index::{ContainerIndex, ContainerInfo, Event, PodInfo};
use nri_plugin::{Answer, Identity, Plugin, Session};
use tokio::net::UnixStream;

use super::node::Node;

/// How often an index whose task runs looks for ends that nobody told.
const CHECK: Duration = Duration::from_millis(200);

/// Feeds an index.
#[derive(Debug)]
pub(crate) struct Feed(pub(crate) ContainerIndex);

/// An index, and what feeds it.
pub(crate) fn index(grace: Duration) -> (ContainerIndex, Arc<Feed>) {
    let index = ContainerIndex::builder(CgroupFs::discover().unwrap()).grace(grace).check_interval(CHECK).build();
    (index.clone(), Arc::new(Feed(index)))
}

/// A plugin that has joined.
pub(crate) async fn join<P: Plugin>(node: &Node, plugin: Arc<P>) -> Session {
    let socket = UnixStream::connect(node.nri_socket()).await.unwrap();
    let session = Session::builder(Identity::new("10", "test").unwrap(), plugin).spawn(socket).unwrap();
    session.joined().await.unwrap();
    session
}

impl Plugin for Feed {
    async fn synchronize(&self, pods: Vec<PodSandbox>, containers: Vec<Container>) -> Answer<Vec<ContainerUpdate>> {
        let (pods, containers) = (pods.into_iter().map(pod).collect(), containers.into_iter().map(container).collect());
        self.0.apply(Event::Synchronized { pods, containers });
        Ok(Vec::new())
    }

    async fn run_pod_sandbox(&self, of: PodSandbox) -> Answer<()> {
        self.0.apply(Event::PodStarted(pod(of)));
        Ok(())
    }

    async fn stop_pod_sandbox(&self, of: PodSandbox) -> Answer<()> {
        self.0.apply(Event::PodStopped(of.id));
        Ok(())
    }

    async fn remove_pod_sandbox(&self, of: PodSandbox) -> Answer<()> {
        self.0.apply(Event::PodRemoved(of.id));
        Ok(())
    }

    async fn start_container(&self, _: PodSandbox, of: Container) -> Answer<()> {
        self.0.apply(Event::ContainerStarted(container(of)));
        Ok(())
    }

    async fn stop_container(&self, _: PodSandbox, of: Container) -> Answer<Vec<ContainerUpdate>> {
        self.0.apply(Event::ContainerStopped(of.id));
        Ok(Vec::new())
    }

    async fn remove_container(&self, _: PodSandbox, of: Container) -> Answer<()> {
        self.0.apply(Event::ContainerRemoved(of.id));
        Ok(())
    }
}

fn pod(pod: PodSandbox) -> PodInfo {
    let linux = pod.linux.unwrap_or_default();
    PodInfo {
        id: pod.id,
        name: pod.name,
        namespace: pod.namespace,
        uid: pod.uid,
        labels: pod.labels,
        annotations: pod.annotations,
        pid: (pod.pid > 0).then_some(pod.pid),
        cgroup_parent: linux.cgroup_parent,
        cgroups_path: linux.cgroups_path,
    }
}

fn container(container: Container) -> ContainerInfo {
    ContainerInfo {
        stopped: container.state() == ContainerState::ContainerStopped,
        id: container.id,
        pod_id: container.pod_sandbox_id,
        name: container.name,
        labels: container.labels,
        annotations: container.annotations,
        pid: (container.pid > 0).then_some(container.pid),
        cgroups_path: container.linux.unwrap_or_default().cgroups_path,
        ..ContainerInfo::default()
    }
}
