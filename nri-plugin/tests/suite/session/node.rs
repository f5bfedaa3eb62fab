//! Plugins and a whole node: pods that live and die, plugins that come and go.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cluster_sim::nri::api::{Event, Field, LinuxResources};
use cluster_sim::nri::{Driven, Failure, Malformed, Runtime, Trouble, Version};
use nri_plugin::api::{
    Container, ContainerAdjustment, CreateContainerResponse, EventMask, KeyValue, PodSandbox,
    ValidateContainerAdjustmentRequest, ValidateContainerAdjustmentResponse,
};
use nri_plugin::mux::MuxError;
use nri_plugin::{Answer, End, Identity, Plugin, Role, Session, SessionError};
use parking_lot::Mutex;
use tokio::io::duplex;
use tokio::time::sleep;

use super::plugins::{All, Failing};
use super::sim::{container, pod};

/// Joins a runtime with an index.
async fn join<P: Plugin>(runtime: &Runtime, index: &str, plugin: Arc<P>, role: Role) -> Session {
    let (near, far) = duplex(1 << 16);
    let identity = Identity::new(index, "test").unwrap();
    let session = Session::builder(identity, plugin).role(role).spawn(near).unwrap();
    runtime.accept(far).await.unwrap();
    session.joined().await.unwrap();
    session
}

/// Sets a variable of each new container.
struct Sets(&'static str);

impl Plugin for Sets {
    async fn create_container(&self, _: PodSandbox, _: Container) -> Answer<CreateContainerResponse> {
        let env = vec![KeyValue { key: self.0.to_owned(), value: "1".to_owned() }];
        let adjust = Some(ContainerAdjustment { env, ..ContainerAdjustment::default() });
        Ok(CreateContainerResponse { adjust, ..CreateContainerResponse::default() })
    }
}

/// Refuses containers for which somebody sets this.
struct Refuses(&'static str);

impl Plugin for Refuses {
    async fn start_container(&self, _: PodSandbox, _: Container) -> Answer<()> {
        Ok(())
    }

    async fn validate_container_adjustment(
        &self,
        request: ValidateContainerAdjustmentRequest,
    ) -> Answer<ValidateContainerAdjustmentResponse> {
        let env = request.adjust.unwrap_or_default().env;
        let reject = env.iter().any(|entry| entry.key == self.0);
        Ok(ValidateContainerAdjustmentResponse { reject, reason: format!("{} is set", self.0) })
    }
}

/// Keeps what an observer would keep of containers: those that have started and not been removed.
#[derive(Default)]
struct Watches {
    running: Mutex<BTreeMap<String, u32>>,
    started: Mutex<usize>,
}

impl Plugin for Watches {
    async fn start_container(&self, _: PodSandbox, container: Container) -> Answer<()> {
        self.running.lock().insert(container.id, container.pid);
        *self.started.lock() += 1;
        Ok(())
    }

    async fn remove_container(&self, _: PodSandbox, container: Container) -> Answer<()> {
        self.running.lock().remove(&container.id).ok_or("it was never started")?;
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_pod_lives_and_dies_before_plugins_in_order_of_every_version() {
    for version in Version::ALL {
        let runtime = Runtime::builder(version).start();
        let (late, early) = (Arc::new(All::default()), Arc::new(Watches::default()));
        let mut sessions = vec![join(&runtime, "90", late.clone(), Role::Observer).await];
        sessions.push(join(&runtime, "05", early.clone(), Role::Observer).await);
        late.take();
        runtime.run_pod(pod("P")).await.unwrap();
        let created = runtime.create("P", container("C")).await;
        if version >= Version::V0_10 {
            // The last plugin validates as well, and refuses all.
            assert!(matches!(created, Err(Failure::Rejected { plugin, .. }) if plugin == "90-test"), "{version:?}");
            assert_eq!(
                late.take()[1..],
                ["CreateContainer P C", "ValidateContainerAdjustment P C", "StopContainer P C", "RemoveContainer P C"]
            );
            continue;
        }
        assert_eq!(created.unwrap().container.env, ["KEY=x"]);
        runtime.start("C").await.unwrap();
        assert_eq!(early.running.lock().len(), 1);
        let calls = runtime.log().events();
        assert_eq!(
            calls[calls.len() - 3..],
            ["05-test StartContainer P C", "90-test StartContainer P C", "90-test PostStartContainer P C"]
        );
        runtime.remove_pod("P").await.unwrap();
        assert!(early.running.lock().is_empty());
        assert_eq!(late.take().last().unwrap(), "RemovePodSandbox P");
    }
}

#[tokio::test(start_paused = true)]
async fn plugins_that_set_the_same_are_in_conflict_and_validators_are_heard() {
    let runtime = Runtime::builder(Version::V0_12).start();
    let _one = join(&runtime, "10", Arc::new(Sets("A")), Role::Enforcer).await;
    runtime.run_pod(pod("P")).await.unwrap();
    let created = runtime.create("P", container("C")).await.unwrap();
    assert_eq!(created.container.env, ["A=1"]);

    let two = join(&runtime, "20", Arc::new(Sets("A")), Role::Enforcer).await;
    match runtime.create("P", container("D")).await {
        Err(Failure::Conflict { plugin, other, field: Field::Env, key }) => {
            assert_eq!((plugin.as_str(), other.as_str(), key.as_str()), ("20-test", "10-test", "A"));
        }
        other => panic!("{other:?}"),
    }
    two.shutdown().await.unwrap();
    runtime.create("P", container("D")).await.unwrap();

    let _three = join(&runtime, "30", Arc::new(Refuses("A")), Role::Enforcer).await;
    match runtime.create("P", container("E")).await {
        Err(Failure::Rejected { plugin, reason }) => {
            assert_eq!((plugin.as_str(), reason.as_str()), ("30-test", "A is set"));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn an_enforcer_fails_a_pod_and_an_observer_does_not() {
    for version in Version::ALL {
        for how in ["error", "panic", "overrun"] {
            for (role, fails) in [(Role::Enforcer, true), (Role::Observer, false)] {
                let runtime = Runtime::builder(version).start();
                let session = join(&runtime, "10", Arc::new(Failing), role).await;
                runtime.run_pod(pod("P")).await.unwrap();
                match runtime.create("P", container(how)).await {
                    Ok(_) => assert!(!fails, "{version:?} {how}"),
                    Err(Failure::Plugin { plugin, event: Event::CreateContainer, trouble: Trouble::Status(_) }) => {
                        assert!(fails && plugin == "10-test", "{version:?} {how}");
                    }
                    Err(other) => panic!("{version:?} {how}: {other}"),
                }
                assert_eq!(runtime.plugins().len(), 1, "it answered in time");
                session.shutdown().await.unwrap();
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_restart_ends_sessions_and_the_next_ones_learn_what_there_is() {
    for version in Version::ALL {
        let runtime = Runtime::builder(version).start();
        let all = Arc::new(All::default());
        let session = join(&runtime, "10", all.clone(), Role::Observer).await;
        runtime.run_pod(pod("P")).await.unwrap();
        runtime.restart().await.unwrap();
        assert_eq!(session.ended().await.unwrap(), End::RuntimeClosed);
        runtime.run_pod(pod("Q")).await.unwrap();
        let _session = join(&runtime, "10", all.clone(), Role::Observer).await;
        assert_eq!(
            all.take(),
            ["configure \"\"", "synchronize 0 0", "RunPodSandbox P", "configure \"\"", "synchronize 2 0"]
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_busy_node_is_synchronized_by_every_version() {
    for version in Version::ALL {
        let runtime = Runtime::builder(version).start();
        for number in 0..40 {
            let id = format!("pod{number}");
            runtime.run_pod(pod(&id)).await.unwrap();
            let mut busy = container(&format!("container{number}"));
            busy.args = vec!["x".repeat(110_000)];
            runtime.create(&id, busy).await.unwrap();
        }
        let all = Arc::new(All::default());
        let _session = join(&runtime, "10", all.clone(), Role::Observer).await;
        assert_eq!(all.take().last().unwrap(), "synchronize 40 40", "{version:?}");
        let parts = runtime.log().calls().iter().filter(|call| call.method == "Synchronize").count();
        assert_eq!(parts > 1, version.sends_parts(), "{version:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_whose_parts_never_end_drops_the_plugin() {
    let runtime = Runtime::builder(Version::V0_8).endless_parts(true).start();
    let (near, far) = duplex(1 << 16);
    let all = Arc::new(All::default());
    let session = Session::builder(Identity::new("10", "test").unwrap(), all.clone()).spawn(near).unwrap();
    assert_eq!(runtime.accept(far).await.unwrap_err(), Trouble::Timeout);
    assert!(matches!(
        session.joined().await,
        Err(SessionError::ClosedBeforeJoin { events: EventMask::BEFORE_0_10, .. })
    ));
    assert_eq!(all.take(), ["configure \"\""]);
}

#[tokio::test(start_paused = true)]
async fn pods_at_a_rate_leave_nothing_behind() {
    for version in [Version::V0_2, Version::V0_12] {
        let runtime = Runtime::builder(version).start();
        let watches = Arc::new(Watches::default());
        let _session = join(&runtime, "10", watches.clone(), Role::Enforcer).await;
        let driven = runtime.drive(200.0, sleep(Duration::from_millis(998))).await;
        assert_eq!(driven, Driven { pods: 200, failed: 0, removed: 200 });
        assert_eq!((*watches.started.lock(), watches.running.lock().len()), (200, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn what_no_runtime_sends_is_survived_or_ends_the_session() {
    for malformed in Malformed::ALL {
        let runtime = Runtime::builder(Version::V0_12).start();
        let watches = Arc::new(Watches::default());
        let session = join(&runtime, "10", watches.clone(), Role::Observer).await;
        runtime.run_pod(pod("P")).await.unwrap();
        runtime.create("P", container("C")).await.unwrap();
        runtime.send(malformed).await;
        // A plugin that is dropped for it does not fail the container.
        runtime.start("C").await.unwrap();
        match runtime.plugins().len() {
            0 => assert!(!matches!(session.ended().await, Ok(End::Stopped)), "{malformed:?}"),
            _ => assert!(watches.running.lock().contains_key("C"), "{malformed:?}"),
        }
        if malformed.is_breach() {
            let end = session.ended().await;
            assert!(matches!(end, Err(SessionError::Connection(MuxError::Protocol(_)))), "{malformed:?}: {end:?}");
        } else if malformed.is_over() {
            assert_eq!(runtime.plugins().len(), 1, "{malformed:?}: {:?}", session.ended().await);
        }
        session.shutdown().await.ok();
        assert_eq!(Arc::strong_count(&watches), 1, "{malformed:?}: a task is left");
    }
}

#[tokio::test(start_paused = true)]
async fn an_update_of_a_pod_comes_to_its_method_where_there_is_one() {
    for version in Version::ALL {
        let runtime = Runtime::builder(version).start();
        let all = Arc::new(All::default());
        let _session = join(&runtime, "10", all.clone(), Role::Observer).await;
        runtime.run_pod(pod("P")).await.unwrap();
        all.take();
        let mut overhead = LinuxResources::default();
        overhead.unified.insert("memory.high".to_owned(), "1".to_owned());
        runtime.update_pod("P", overhead, LinuxResources::default()).await.unwrap();
        let known = version >= Version::V0_10;
        assert_eq!(all.take().len(), if known { 2 } else { 0 }, "{version:?}");
    }
}
