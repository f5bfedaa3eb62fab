//! containerd ends and comes back → the plugin too, and the index is right again.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use nri_plugin::End;

use super::feed::{index, join};
use super::node::{each, until};

const GRACE: Duration = Duration::from_mins(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_restart_everything_is_told_again() {
    each(async |node| {
        for signal in [Signal::SIGTERM, Signal::SIGKILL] {
            let (index, feed) = index(GRACE);
            let session = join(node, feed.clone()).await;
            let pod = node.run_pod("pod").await;
            let (stays, ends) = (node.run(&pod, "stays").await, node.run(&pod, "ends").await);
            let before = index.by_container_id(&stays).unwrap();

            node.stop_daemon(signal);
            assert_eq!(session.ended().await.unwrap(), End::RuntimeClosed);
            assert_eq!(index.by_container_id(&stays).unwrap(), before, "what is known stays known");
            let pid = index.by_container_id(&ends).unwrap().info.as_ref().unwrap().pid.unwrap();
            kill(Pid::from_raw(pid.try_into().unwrap()), Signal::SIGKILL).unwrap();

            node.start_daemon();
            node.ready().await;
            let session = join(node, feed).await;
            assert_eq!(index.by_container_id(&stays).unwrap(), before);
            until("one that ended meanwhile is known as ended", || {
                index.by_container_id(&ends).is_some_and(|container| container.is_ended())
            })
            .await;
            let new = node.run(&pod, "new").await;
            assert_eq!(index.by_container_id(&new).unwrap().name(), Some("new"));
            node.remove_pod(&pod).await;
            // containerd does not tell of the end of a pod from before its restart.
            let running = tokio::spawn({
                let index = index.clone();
                async move { index.run().await }
            });
            until("all have ended", || index.containers().iter().all(|container| container.is_ended())).await;
            running.abort();
            session.shutdown().await.unwrap();
        }
    })
    .await;
}
