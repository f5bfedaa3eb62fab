//! A handler that takes longer than the runtime waits (2 s) → the pod runs, and the plugin is not lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nri_plugin::api::{Container, ContainerUpdate, PodSandbox};
use nri_plugin::{Answer, AttemptError, Plugin};
use parking_lot::Mutex;

use super::node::{each, say, until};
use super::plugin::{connect, join};

/// Takes three seconds over the first container that starts.
#[derive(Debug, Default)]
struct Slow {
    /// Without an `.await`, so that nothing can end it.
    blocks: bool,
    was: AtomicBool,
    /// What the runtime has told: each time all, and what has started.
    synchronized: Mutex<Vec<Vec<String>>>,
    started: Mutex<Vec<String>>,
    lost: Mutex<Vec<AttemptError>>,
}

impl Plugin for Slow {
    async fn synchronize(&self, _: Vec<PodSandbox>, containers: Vec<Container>) -> Answer<Vec<ContainerUpdate>> {
        self.synchronized.lock().push(containers.into_iter().map(|container| container.name).collect());
        Ok(Vec::new())
    }

    async fn lost(&self, why: AttemptError) -> Answer<()> {
        self.lost.lock().push(why);
        Ok(())
    }

    async fn start_container(&self, _: PodSandbox, container: Container) -> Answer<()> {
        const LONG: Duration = Duration::from_secs(3);
        if !self.was.swap(true, Ordering::Relaxed) {
            if self.blocks {
                tokio::task::block_in_place(|| std::thread::sleep(LONG));
            } else {
                tokio::time::sleep(LONG).await;
            }
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

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_plugin_whose_thread_is_blocked_is_dropped_and_comes_back() {
    each(async |node| {
        let slow = Arc::new(Slow { blocks: true, ..Slow::default() });
        let connector = connect(node, slow.clone());
        connector.joined().await.unwrap();
        let pod = node.run_pod("pod").await;
        let began = Instant::now();
        node.run(&pod, "first").await;
        let took = began.elapsed();
        until("the plugin is back", || slow.synchronized.lock().len() == 2).await;
        say(&format!(
            "containerd {}: a container whose plugin blocked 3 s started in {took:?}; the plugin was back {:?} after \
             the request",
            node.version(),
            began.elapsed()
        ));
        // What started without it is told now.
        assert_eq!(*slow.synchronized.lock(), [vec![], vec!["first".to_owned()]]);
        assert!(matches!(slow.lost.lock().as_slice(), [AttemptError::Closed]), "{:?}", slow.lost.lock());
        connector.joined().await.unwrap();
        node.run(&pod, "second").await;
        until("the next container", || slow.started.lock().iter().any(|name| name == "second")).await;
        connector.shutdown().await.unwrap();
    })
    .await;
}
