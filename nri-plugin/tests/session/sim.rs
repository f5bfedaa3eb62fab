//! The runtime's side: messages of its own, and how a plugin meets it.

use cluster_sim::nri::api::{Container, ContainerUpdate, PodSandbox};

pub(crate) fn update(id: &str) -> ContainerUpdate {
    ContainerUpdate { container_id: id.to_owned(), ..ContainerUpdate::default() }
}

pub(crate) fn pod(id: &str) -> PodSandbox {
    PodSandbox { id: id.to_owned(), ..PodSandbox::default() }
}

pub(crate) fn container(id: &str) -> Container {
    Container { id: id.to_owned(), ..Container::default() }
}
