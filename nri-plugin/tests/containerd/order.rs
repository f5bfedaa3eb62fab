//! A pod's life → the events, and what is there at each of them.

use std::sync::Arc;
use std::time::Instant;

use nri_plugin::api::{Container, ContainerUpdate, CreateContainerResponse, LinuxResources, PodSandbox};
use nri_plugin::cgroup::{CgroupFs, container_directory};
use nri_plugin::{Answer, Plugin};
use parking_lot::Mutex;

use super::cri::Resources;
use super::node::{each, say, until};
use super::plugin::join;

/// Writes down each event, with its container's state, and whether it has a process and a cgroup.
#[derive(Debug)]
struct Recorder {
    cgroups: CgroupFs,
    seen: Mutex<Vec<(String, Instant)>>,
}

impl Recorder {
    fn pod(&self, event: &str, pod: &PodSandbox) {
        let path = pod.linux.as_ref().map_or("", |linux| &linux.cgroups_path);
        self.note(format!("{event} {}: {}", pod.name, self.there(pod.pid, path)));
    }

    fn container(&self, event: &str, container: &Container) {
        let path = container.linux.as_ref().map_or("", |linux| &linux.cgroups_path);
        let state = format!("{:?}", container.state());
        self.note(format!("{event} {}: {state}, {}", container.name, self.there(container.pid, path)));
    }

    fn there(&self, pid: u32, cgroups_path: &str) -> String {
        let process = if pid > 0 { "a process" } else { "no process" };
        let directory = container_directory(cgroups_path, "").and_then(|path| self.cgroups.host_directory(&path));
        let cgroup = match directory {
            None => "no path",
            Some(directory) if self.cgroups.stat(directory.as_path()).is_ok() => "a cgroup",
            Some(_) => "no cgroup",
        };
        format!("{process}, {cgroup}")
    }

    fn note(&self, line: String) {
        self.seen.lock().push((line, Instant::now()));
    }
}

impl Plugin for Recorder {
    async fn run_pod_sandbox(&self, pod: PodSandbox) -> Answer<()> {
        self.pod("run", &pod);
        Ok(())
    }

    async fn stop_pod_sandbox(&self, pod: PodSandbox) -> Answer<()> {
        // A path is told by 2.x, and none by 1.7: what matters is that there is nothing any more.
        self.note(format!("stop {}: {}", pod.name, if pod.pid > 0 { "a process" } else { "no process" }));
        Ok(())
    }

    async fn remove_pod_sandbox(&self, pod: PodSandbox) -> Answer<()> {
        self.pod("remove", &pod);
        Ok(())
    }

    async fn create_container(&self, _: PodSandbox, container: Container) -> Answer<CreateContainerResponse> {
        self.container("create", &container);
        Ok(CreateContainerResponse::default())
    }

    async fn post_create_container(&self, _: PodSandbox, container: Container) -> Answer<()> {
        self.container("created", &container);
        Ok(())
    }

    async fn start_container(&self, _: PodSandbox, container: Container) -> Answer<()> {
        self.container("start", &container);
        Ok(())
    }

    async fn post_start_container(&self, _: PodSandbox, container: Container) -> Answer<()> {
        self.container("started", &container);
        Ok(())
    }

    async fn update_container(
        &self,
        _: PodSandbox,
        container: Container,
        _: LinuxResources,
    ) -> Answer<Vec<ContainerUpdate>> {
        self.container("update", &container);
        Ok(Vec::new())
    }

    async fn post_update_container(&self, _: PodSandbox, container: Container) -> Answer<()> {
        self.container("updated", &container);
        Ok(())
    }

    async fn stop_container(&self, _: PodSandbox, container: Container) -> Answer<Vec<ContainerUpdate>> {
        self.container("stop", &container);
        Ok(Vec::new())
    }

    async fn remove_container(&self, _: PodSandbox, container: Container) -> Answer<()> {
        self.container("remove", &container);
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_come_in_their_order_and_the_cgroup_is_there_from_start_to_stop() {
    each(async |node| {
        let recorder = Arc::new(Recorder { cgroups: CgroupFs::discover().unwrap(), seen: Mutex::default() });
        let session = join(node, recorder.clone()).await;
        let seen = || recorder.seen.lock().iter().map(|(line, _)| line.clone()).collect::<Vec<_>>();

        let began = Instant::now();
        let pod = node.run_pod("pod").await;
        let ran = recorder.seen.lock().last().unwrap().1 - began;
        let began = Instant::now();
        let first = node.run(&pod, "first").await;
        let started = recorder.seen.lock().iter().find(|(line, _)| line.starts_with("start first")).unwrap().1 - began;
        say(&format!(
            "containerd {}: from the request, {ran:?} to the pod's event, {started:?} to the container's start",
            node.version()
        ));
        let resources = Resources { cpu_shares: 512, memory_limit: 64 << 20 };
        node.cri.update_resources(&first, resources).await.unwrap();
        node.remove_container(&first).await;

        // Exits by itself.
        let second = node.create(&pod, "second", &["/bin/sleep", "0.2"], None).await.unwrap();
        node.cri.start_container(&second).await.unwrap();
        until("a container that exits by itself stops", || seen().iter().any(|line| line.starts_with("stop second")))
            .await;
        // Runs until its pod ends.
        node.run(&pod, "third").await;
        node.remove_pod(&pod).await;
        until("the pod is removed", || seen().iter().any(|line| line.starts_with("remove pod"))).await;

        let of = |name: &str, updated: &[&str]| -> Vec<String> {
            let lines = [
                "create NAME: ContainerUnknown, no process, no cgroup",
                "created NAME: ContainerCreated, no process, no cgroup",
                "start NAME: ContainerCreated, a process, a cgroup",
                "started NAME: ContainerRunning, a process, a cgroup",
                "stop NAME: ContainerRunning, a process, a cgroup",
                "remove NAME: ContainerStopped, no process, no cgroup",
            ];
            let (begin, end) = lines.split_at(4);
            [begin, updated, end].concat().iter().map(|line| line.replace("NAME", name)).collect()
        };
        let updates = [
            "update NAME: ContainerRunning, a process, a cgroup",
            "updated NAME: ContainerRunning, a process, a cgroup",
        ];
        let mut expected = vec!["run pod: a process, a cgroup".to_owned()];
        expected.extend(of("first", &updates));
        let removal = |mut lines: Vec<String>| {
            let removed = lines.pop();
            (lines, removed)
        };
        let (second, second_removed) = removal(of("second", &[]));
        let (third, third_removed) = removal(of("third", &[]));
        expected.extend(second.into_iter().chain(third));
        expected.push("stop pod: no process".to_owned());
        let all = seen();
        let (begin, end) = all.split_at(expected.len().min(all.len()));
        assert_eq!(begin, expected);
        // A pod's containers are removed with it in no order; the pod is the last.
        let mut removed: Vec<_> = end.to_vec();
        assert_eq!(removed.pop().as_deref(), Some("remove pod: no process, no path"));
        removed.sort();
        assert_eq!(removed, [second_removed.unwrap(), third_removed.unwrap()]);
        session.shutdown().await.unwrap();
    })
    .await;
}
