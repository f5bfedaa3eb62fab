//! What a plugin asks of the runtime.

use std::sync::Arc;

use cluster_sim::nri::api::Event;
use cluster_sim::nri::{Peer, Version};
use nri_plugin::api::{Container, PodSandbox};
use nri_plugin::{Answer, Plugin, Runtime, UpdateError};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::plugins::{All, builder, spawn, update};
use super::sim::{self, container, pod};

#[tokio::test(start_paused = true)]
async fn updates_go_to_the_runtime_and_those_that_failed_come_back() {
    for version in Version::ALL {
        let (session, trunk) = spawn(builder(Arc::new(All::default())));
        let plugin = Peer::accept(version, trunk, vec![]).await.unwrap();
        plugin.updates().fail("gone");
        let updates = vec![update("there"), update("gone")];
        assert_eq!(session.runtime().update_containers(updates).await.unwrap(), [update("gone")]);
        assert_eq!(plugin.updates().take()[0].update, [sim::update("there"), sim::update("gone")]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn updates_from_many_tasks_are_all_taken() {
    const TASKS: usize = 40;
    let (session, trunk) = spawn(builder(Arc::new(All::default())));
    let plugin = Peer::accept(Version::V0_8, trunk, vec![]).await.unwrap();
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let runtime = session.runtime();
            tokio::spawn(async move {
                for _ in 0..50 {
                    runtime.update_containers(vec![update("there")]).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(plugin.updates().take().len(), TASKS * 50);
}

#[tokio::test(start_paused = true)]
async fn there_is_no_update_before_the_plugin_has_joined() {
    let (session, trunk) = spawn(builder(Arc::new(All::default())));
    let plugin = Peer::configure(Version::V0_8, trunk, "").await.unwrap();
    let early = session.runtime().update_containers(vec![]).await;
    assert!(matches!(early, Err(UpdateError::NotJoined)));
    plugin.synchronize(vec![]).await.unwrap();
    session.runtime().update_containers(vec![]).await.unwrap();
}

/// Updates containers while the runtime waits for it.
struct Hasty(Mutex<Option<Runtime>>, mpsc::UnboundedSender<Result<(), UpdateError>>);

impl Plugin for Hasty {
    async fn start_container(&self, _: PodSandbox, _: Container) -> Answer<()> {
        let runtime = self.0.lock().clone().ok_or("no runtime")?;
        tokio::task::yield_now().await;
        self.1.send(runtime.update_containers(vec![update("there")]).await.map(|_| ()))?;
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_can_not_wait_for_a_runtime_that_waits_for_it() {
    for version in Version::ALL {
        let (result, mut results) = mpsc::unbounded_channel();
        let hasty = Arc::new(Hasty(Mutex::default(), result));
        let (session, trunk) = spawn(builder(hasty.clone()));
        let plugin = Peer::accept(version, trunk, vec![]).await.unwrap();
        *hasty.0.lock() = Some(session.runtime());
        plugin.event(Event::StartContainer, pod("a"), container("b")).await.unwrap();
        let updated = results.recv().await.unwrap();
        if version.updates_during_events() {
            updated.unwrap();
        } else {
            assert!(matches!(updated, Err(UpdateError::InHandler)), "{version:?}");
        }
    }
}
