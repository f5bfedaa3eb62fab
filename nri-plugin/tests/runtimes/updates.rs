//! What a plugin asks of the runtime.

use std::sync::Arc;

use nri_plugin::api::{Container, Event, PodSandbox};
use nri_plugin::{Answer, Plugin, Runtime, UpdateError};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::driver::{Driver, within};
use crate::plugins::{All, builder, container, join, pod, shares, update};

pub(crate) async fn updates_go_to_the_runtime_and_those_that_failed_come_back(mut runtime: impl Driver) {
    let session = join(&runtime, builder("10", &Arc::new(All::default()))).await;
    let updates = vec![update("there", shares(1)), update("gone", shares(2))];
    let failed = within(session.runtime().update_containers(updates.clone())).await.unwrap();
    assert_eq!(failed, [update("gone", shares(2))]);
    assert_eq!(runtime.updates().await, updates);
}

pub(crate) async fn updates_from_many_tasks_are_all_taken(mut runtime: impl Driver) {
    const TASKS: usize = 40;
    const EACH: usize = 50;
    let session = join(&runtime, builder("10", &Arc::new(All::default()))).await;
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let runtime = session.runtime();
            tokio::spawn(async move {
                for call in 0..EACH {
                    let asked = vec![update(&format!("{task}-{call}"), shares(2))];
                    assert_eq!(runtime.update_containers(asked).await.unwrap(), []);
                }
            })
        })
        .collect();
    for task in tasks {
        within(task).await.unwrap();
    }
    let mut taken = Vec::new();
    for _ in 0..TASKS * EACH {
        taken.extend(runtime.updates().await.into_iter().map(|update| update.container_id));
    }
    taken.sort();
    let mut asked: Vec<_> = (0..TASKS).flat_map(|task| (0..EACH).map(move |call| format!("{task}-{call}"))).collect();
    asked.sort();
    assert_eq!(taken, asked);
}

/// Updates containers while the runtime waits for it, and once more in a task that the runtime does not wait for.
struct Hasty(Mutex<Option<Runtime>>, mpsc::UnboundedSender<Result<(), UpdateError>>);

impl Plugin for Hasty {
    async fn start_container(&self, _: PodSandbox, _: Container) -> Answer<()> {
        let runtime = self.0.lock().clone().ok_or("no runtime")?;
        self.1.send(runtime.update_containers(vec![update("hasty", shares(1))]).await.map(drop))?;
        let results = self.1.clone();
        tokio::spawn(async move {
            results.send(runtime.update_containers(vec![update("patient", shares(1))]).await.map(drop))
        });
        Ok(())
    }
}

pub(crate) async fn a_handler_may_ask_for_updates_where_the_runtime_does_not_wait_for_both(mut runtime: impl Driver) {
    let (result, mut results) = mpsc::unbounded_channel();
    let hasty = Arc::new(Hasty(Mutex::default(), result));
    let session = join(&runtime, builder("10", &hasty)).await;
    *hasty.0.lock() = Some(session.runtime());
    runtime.event(Event::StartContainer, pod("a"), container("b", "a")).await.unwrap();
    let within_the_event = within(results.recv()).await.unwrap();
    if runtime.kind().nri >= (0, 12) {
        within_the_event.unwrap();
        assert_eq!(runtime.updates().await[0].container_id, "hasty");
    } else {
        assert!(matches!(within_the_event, Err(UpdateError::InHandler)), "{within_the_event:?}");
    }
    within(results.recv()).await.unwrap().unwrap();
    assert_eq!(runtime.updates().await[0].container_id, "patient");
}
