//! containerd ends and comes back → the plugin too, and the index is right again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use nri_plugin::api::{Container, ContainerUpdate, PodSandbox};
use nri_plugin::connector::State;
use nri_plugin::index::ContainerIndex;
use nri_plugin::{Answer, AttemptError, Connector, Plugin, Vanished};
use parking_lot::Mutex;

use super::node::{each, say, until};
use super::plugin::{connect, index, run};

const GRACE: Duration = Duration::from_mins(1);

/// An index's plugin that writes down what a connector tells.
#[derive(Debug)]
struct Kept {
    index: ContainerIndex,
    told: Mutex<Vec<Told>>,
}

#[derive(Debug, PartialEq, Eq)]
enum Told {
    Lost,
    Vanished(Vanished),
}

impl Plugin for Kept {
    async fn synchronize(&self, pods: Vec<PodSandbox>, containers: Vec<Container>) -> Answer<Vec<ContainerUpdate>> {
        self.index.synchronize(pods, containers).await
    }

    async fn lost(&self, why: AttemptError) -> Answer<()> {
        assert!(matches!(why, AttemptError::Closed), "{why:?}");
        self.told.lock().push(Told::Lost);
        Ok(())
    }

    async fn resynchronize(&self, vanished: Vanished) -> Answer<()> {
        self.told.lock().push(Told::Vanished(vanished));
        Ok(())
    }

    async fn run_pod_sandbox(&self, pod: PodSandbox) -> Answer<()> {
        self.index.run_pod_sandbox(pod).await
    }

    async fn stop_pod_sandbox(&self, pod: PodSandbox) -> Answer<()> {
        self.index.stop_pod_sandbox(pod).await
    }

    async fn remove_pod_sandbox(&self, pod: PodSandbox) -> Answer<()> {
        self.index.remove_pod_sandbox(pod).await
    }

    async fn start_container(&self, pod: PodSandbox, container: Container) -> Answer<()> {
        self.index.start_container(pod, container).await
    }

    async fn stop_container(&self, pod: PodSandbox, container: Container) -> Answer<Vec<ContainerUpdate>> {
        self.index.stop_container(pod, container).await
    }

    async fn remove_container(&self, pod: PodSandbox, container: Container) -> Answer<()> {
        self.index.remove_container(pod, container).await
    }
}

async fn is_connecting(connector: &Connector) {
    connector.states().wait_for(|state| matches!(state, State::Connecting { .. })).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_outlives_containerd_and_is_told_everything_again() {
    each(async |node| {
        // It is there before the runtime is.
        node.stop_daemon(Signal::SIGTERM);
        let index = index(GRACE);
        let kept = Arc::new(Kept { index: index.clone(), told: Mutex::default() });
        let connector = connect(node, kept.clone());
        is_connecting(&connector).await;
        assert!(connector.runtime().is_none());
        node.start_daemon();
        node.ready().await;
        let (runtime, _) = connector.joined().await.unwrap();
        assert!(runtime.version.contains(node.version()), "{runtime:?}");
        assert_eq!(*kept.told.lock(), []);

        for signal in [Signal::SIGTERM, Signal::SIGKILL] {
            let pod = node.run_pod("pod").await;
            let (stays, ends) = (node.run(&pod, "stays").await, node.run(&pod, "ends").await);
            let before = index.by_container_id(&stays).unwrap();

            node.stop_daemon(signal);
            is_connecting(&connector).await;
            assert!(connector.runtime().is_none());
            assert_eq!(index.by_container_id(&stays).unwrap(), before, "what is known stays known");
            let pid = index.by_container_id(&ends).unwrap().info.as_ref().unwrap().pid.unwrap();
            kill(Pid::from_raw(pid.try_into().unwrap()), Signal::SIGKILL).unwrap();

            let began = Instant::now();
            node.start_daemon();
            connector.joined().await.unwrap();
            say(&format!(
                "containerd {}: {:?} after {signal} and a start the plugin has joined",
                node.version(),
                began.elapsed()
            ));
            node.ready().await;
            assert_eq!(index.by_container_id(&stays).unwrap(), before);
            until("one that ended meanwhile is known as ended", || {
                index.by_container_id(&ends).is_some_and(|container| container.is_ended())
            })
            .await;
            let told = std::mem::take(&mut *kept.told.lock());
            let [Told::Lost, Told::Vanished(vanished)] = told.as_slice() else { panic!("{told:?}") };
            assert_eq!(vanished.containers, [ends]);

            let new = node.run(&pod, "new").await;
            assert_eq!(index.by_container_id(&new).unwrap().name(), Some("new"));
            let later = node.run_pod("later").await;
            node.remove_pod(&later).await;
            assert!(index.by_container_id(&later.id).unwrap().is_ended());
            // containerd does not tell of the end of a pod from before its restart.
            node.remove_pod(&pod).await;
            let _running = run(&index);
            until("all have ended", || index.containers().iter().all(|container| container.is_ended())).await;
        }
        connector.shutdown().await.unwrap();
    })
    .await;
}
