//! Pods that come and go.

use std::collections::VecDeque;
use std::pin::pin;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::api::{Container, LinuxPids, LinuxResources, PodSandbox};
use super::failure::Failure;
use super::runtime::Runtime;

/// How many pods are there at once.
const LIVE: usize = 16;

/// What came of pods that were driven.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Driven {
    /// The pods that were run.
    pub pods: u64,
    /// Those of them that a plugin failed, itself or by its container.
    pub failed: u64,
    /// The pods that were removed: all of them, in the end.
    pub removed: u64,
}

impl Runtime {
    /// Runs pods at a rate, each with a container that is created, started and updated, until something is ready. The
    /// oldest go when there are more than 16, and all have gone in the end.
    ///
    /// Plugins too slow for the rate have the runtime fall behind, without catching up. A rate that is not a positive number
    /// means none.
    pub async fn drive(&self, pods_per_second: f64, until: impl Future) -> Driven {
        let mut until = pin!(until);
        let mut driven = Driven::default();
        let period = Duration::try_from_secs_f64(pods_per_second.recip()).ok().filter(|period| !period.is_zero());
        let Some(period) = period else {
            until.await;
            return driven;
        };
        let mut ticks = interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut live = VecDeque::new();
        loop {
            tokio::select! {
                biased;
                _ = &mut until => break,
                _ = ticks.tick() => {}
            }
            driven.pods += 1;
            match Box::pin(self.one(driven.pods)).await {
                Ok(pod) => live.push_back(pod),
                Err(_) => driven.failed += 1,
            }
            if live.len() > LIVE
                && let Some(pod) = live.pop_front()
            {
                driven.removed += u64::from(self.remove_pod(&pod).await.is_ok());
            }
        }
        for pod in live {
            driven.removed += u64::from(self.remove_pod(&pod).await.is_ok());
        }
        driven
    }

    /// A pod with one container; it is removed if it failed.
    async fn one(&self, number: u64) -> Result<String, Failure> {
        let name = format!("driven-{number}");
        let labels = [("app".to_owned(), "driven".to_owned())].into();
        let pod = PodSandbox { name, namespace: "default".to_owned(), labels, ..PodSandbox::default() };
        let pod = self.run_pod(pod).await?;
        let run = async {
            let container = Container { name: "main".to_owned(), ..Container::default() };
            let id = self.create(&pod.id, container).await?.container.id;
            self.start(&id).await?;
            let pids = Some(LinuxPids { limit: 100 });
            self.update(&id, LinuxResources { pids, ..LinuxResources::default() }).await
        };
        match run.await {
            Ok(_) => Ok(pod.id),
            Err(failure) => {
                // It is there, so that it can be removed.
                let _ = self.remove_pod(&pod.id).await;
                Err(failure)
            }
        }
    }
}
