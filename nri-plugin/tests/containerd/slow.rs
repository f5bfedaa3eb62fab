//! A handler that takes longer than the runtime waits (2 s) → the pod runs, and the plugin is not lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nri_plugin::api::{Container, ContainerUpdate, PodSandbox};
use nri_plugin::{Answer, Plugin};
use parking_lot::Mutex;

use super::feed::join;
use super::node::{each, say};

/// Takes three seconds over the first container that starts.
#[derive(Debug, Default)]
struct Slow {
    was: AtomicBool,
    started: Mutex<Vec<String>>,
}

impl Plugin for Slow {
    async fn synchronize(&self, _: Vec<PodSandbox>, _: Vec<Container>) -> Answer<Vec<ContainerUpdate>> {
        Ok(Vec::new())
    }

    async fn start_container(&self, _: PodSandbox, container: Container) -> Answer<()> {
        if !self.was.swap(true, Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_secs(3)).await;
        }
        self.started.lock().push(container.name);
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_waits_too_long_is_answered_for() {
    each(async |node| {
        let slow = Arc::new(Slow::default());
        let session = join(node, slow.clone()).await;
        let pod = node.run_pod("pod").await;
        let began = Instant::now();
        node.run(&pod, "first").await;
        let took = began.elapsed();
        say(&format!("containerd {}: a container whose plugin took 3 s started in {took:?}", node.version()));
        assert!(slow.was.load(Ordering::Relaxed) && slow.started.lock().is_empty());
        // The same connection goes on.
        node.run(&pod, "second").await;
        assert_eq!(*slow.started.lock(), ["second"]);
        assert_eq!(session.shutdown().await.unwrap(), nri_plugin::End::Stopped);
    })
    .await;
}
