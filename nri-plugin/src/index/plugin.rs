//! The index as a plugin, and what it takes of the messages.

use std::time::{Duration, SystemTime};

use super::{ContainerIndex, ContainerInfo, Event, PodInfo};
use crate::api::{self, ContainerState, ContainerUpdate};
use crate::plugin::{Answer, Plugin};

/// An index keeps itself: give it to a [`Session`](crate::Session), or a [`Connector`](crate::Connector).
///
/// It takes what it needs and no more: pods, and starts, stops and removals of containers. Between a lost connection and the
/// next one it stays as it was; then it is put right. A plugin that does something else as well passes these methods on, or
/// calls [`ContainerIndex::apply`].
///
/// The files of a container's cgroup are read before the runtime goes on: some microseconds. A full set of 1,000
/// containers takes 10 ms.
impl Plugin for ContainerIndex {
    async fn synchronize(
        &self,
        pods: Vec<api::PodSandbox>,
        containers: Vec<api::Container>,
    ) -> Answer<Vec<ContainerUpdate>> {
        self.apply(Event::Synchronized {
            pods: pods.into_iter().map(PodInfo::from).collect(),
            containers: containers.into_iter().map(ContainerInfo::from).collect(),
        });
        Ok(Vec::new())
    }

    async fn run_pod_sandbox(&self, pod: api::PodSandbox) -> Answer<()> {
        self.apply(Event::PodStarted(pod.into()));
        Ok(())
    }

    async fn stop_pod_sandbox(&self, pod: api::PodSandbox) -> Answer<()> {
        self.apply(Event::PodStopped(pod.id));
        Ok(())
    }

    async fn remove_pod_sandbox(&self, pod: api::PodSandbox) -> Answer<()> {
        self.apply(Event::PodRemoved(pod.id));
        Ok(())
    }

    async fn start_container(&self, _: api::PodSandbox, container: api::Container) -> Answer<()> {
        self.apply(Event::ContainerStarted(container.into()));
        Ok(())
    }

    /// When it was started is known now, and crun has made the cgroups inside.
    async fn post_start_container(&self, _: api::PodSandbox, container: api::Container) -> Answer<()> {
        self.apply(Event::ContainerStarted(container.into()));
        Ok(())
    }

    async fn stop_container(&self, _: api::PodSandbox, container: api::Container) -> Answer<Vec<ContainerUpdate>> {
        self.apply(Event::ContainerStopped(container.id));
        Ok(Vec::new())
    }

    async fn remove_container(&self, _: api::PodSandbox, container: api::Container) -> Answer<()> {
        self.apply(Event::ContainerRemoved(container.id));
        Ok(())
    }
}

impl From<api::PodSandbox> for PodInfo {
    fn from(pod: api::PodSandbox) -> Self {
        let linux = pod.linux.unwrap_or_default();
        Self {
            id: pod.id,
            name: pod.name,
            namespace: pod.namespace,
            uid: pod.uid,
            labels: pod.labels,
            annotations: pod.annotations,
            pid: process(pod.pid),
            cgroup_parent: linux.cgroup_parent,
            cgroups_path: linux.cgroups_path,
        }
    }
}

impl From<api::Container> for ContainerInfo {
    fn from(container: api::Container) -> Self {
        let stopped = container.state() == ContainerState::ContainerStopped;
        Self {
            id: container.id,
            pod_id: container.pod_sandbox_id,
            name: container.name,
            labels: container.labels,
            annotations: container.annotations,
            image: container.image.map(|image| image.name).filter(|name| !name.is_empty()),
            pid: process(container.pid),
            created: moment(container.created_at),
            started: moment(container.started_at),
            cgroups_path: container.linux.unwrap_or_default().cgroups_path,
            stopped,
        }
    }
}

/// 0 stands for none.
fn process(pid: u32) -> Option<u32> {
    Some(pid).filter(|pid| *pid != 0)
}

/// Nanoseconds of Unix time, where what is not known is 0, or before 1970 (Go's zero time).
fn moment(nanoseconds: i64) -> Option<SystemTime> {
    let since = u64::try_from(nanoseconds).ok().filter(|nanoseconds| *nanoseconds != 0)?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_nanos(since))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{EventMask, Image, LinuxContainer, LinuxPodSandbox};
    use crate::plugin::handled_events;

    #[test]
    fn an_index_asks_for_what_it_needs() {
        assert_eq!(
            handled_events::<ContainerIndex>(),
            "RunPodSandbox,StopPodSandbox,RemovePodSandbox,StartContainer,PostStartContainer,StopContainer,RemoveContainer"
                .parse::<EventMask>()
                .unwrap()
        );
    }

    #[test]
    fn a_message_becomes_plain_values_and_what_it_lacks_is_none() {
        assert_eq!(ContainerInfo::from(api::Container::default()), ContainerInfo::default());
        assert_eq!(PodInfo::from(api::PodSandbox::default()), PodInfo::default());
        let texts: super::super::Texts = [("k".to_owned(), "v".to_owned())].into();
        let container = api::Container {
            id: "c".to_owned(),
            pod_sandbox_id: "p".to_owned(),
            name: "app".to_owned(),
            labels: texts.clone(),
            annotations: texts.clone(),
            state: ContainerState::ContainerStopped as i32,
            image: Some(Image { name: "web:1".to_owned(), ..Image::default() }),
            pid: 7,
            created_at: 1_500_000_000,
            started_at: -6_795_364_578_871_345_152,
            linux: Some(LinuxContainer { cgroups_path: "/a/c".to_owned(), ..LinuxContainer::default() }),
            ..api::Container::default()
        };
        assert_eq!(
            ContainerInfo::from(container),
            ContainerInfo {
                id: "c".to_owned(),
                pod_id: "p".to_owned(),
                name: "app".to_owned(),
                labels: texts.clone(),
                annotations: texts.clone(),
                image: Some("web:1".to_owned()),
                pid: Some(7),
                created: Some(SystemTime::UNIX_EPOCH + Duration::from_millis(1500)),
                started: None,
                cgroups_path: "/a/c".to_owned(),
                stopped: true,
            }
        );
        let pod = api::PodSandbox {
            id: "p".to_owned(),
            name: "web-0".to_owned(),
            namespace: "shop".to_owned(),
            uid: "u".to_owned(),
            labels: texts.clone(),
            annotations: texts.clone(),
            pid: 9,
            linux: Some(LinuxPodSandbox {
                cgroup_parent: "/a".to_owned(),
                cgroups_path: "/a/p".to_owned(),
                ..LinuxPodSandbox::default()
            }),
            ..api::PodSandbox::default()
        };
        assert_eq!(
            PodInfo::from(pod),
            PodInfo {
                id: "p".to_owned(),
                name: "web-0".to_owned(),
                namespace: "shop".to_owned(),
                uid: "u".to_owned(),
                labels: texts.clone(),
                annotations: texts,
                pid: Some(9),
                cgroup_parent: "/a".to_owned(),
                cgroups_path: "/a/p".to_owned(),
            }
        );
    }
}
