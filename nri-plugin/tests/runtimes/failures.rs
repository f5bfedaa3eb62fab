//! Handlers that fail → what becomes of the pod, and of the plugin.

use std::sync::Arc;

use nri_plugin::api::{Container, Event, FailurePolicy, PodSandbox};
use nri_plugin::{Answer, End, Plugin, Role};

use crate::driver::{Driver, Kind, SHORT, within};
use crate::plugins::{Failing, builder, container, env, join, pod};

pub(crate) async fn an_observer_never_fails_a_pod_and_stays(mut runtime: impl Driver) {
    for (hows, request) in [(&["error", "panic"][..], runtime.kind().request), (&["overrun"], SHORT)] {
        runtime.restart(Kind { request, ..runtime.kind() }).await;
        for how in hows {
            runtime.set_state(vec![pod(how)], vec![]).await;
            let failing = Arc::new(Failing::default());
            let session = join(&runtime, builder("10", &failing)).await;
            runtime.event(Event::StartContainer, pod("a"), container(how, "a")).await.unwrap();
            let (adjustment, _) = runtime.create(pod("a"), container(how, "a")).await.unwrap();
            assert_eq!(env(&adjustment), [], "{how}");

            runtime.event(Event::StartContainer, pod("a"), container("ok", "a")).await.unwrap();
            assert_eq!(*failing.started.lock(), 1, "{how}");
            let (adjustment, _) = runtime.create(pod("a"), container("ok", "a")).await.unwrap();
            assert_eq!(env(&adjustment), [("KEY", "x")], "{how}");
            session.shutdown().await.unwrap();
        }
    }
}

pub(crate) async fn an_enforcer_fails_it_and_stays(mut runtime: impl Driver) {
    let causes = [("error", "as was wanted"), ("panic", "the handler panicked")];
    for (causes, request) in
        [(&causes[..], runtime.kind().request), (&[("overrun", "longer than the runtime waits")], SHORT)]
    {
        runtime.restart(Kind { request, ..runtime.kind() }).await;
        let failing = Arc::new(Failing::default());
        let _session = join(&runtime, builder("10", &failing).role(Role::Enforcer)).await;
        for (how, why) in causes {
            let failed = runtime.event(Event::StartContainer, pod("a"), container(how, "a")).await.unwrap_err();
            assert!(failed.contains(why), "{failed}");
            let failed = runtime.create(pod("a"), container(how, "a")).await.unwrap_err();
            assert!(failed.contains(why), "{failed}");
        }
        runtime.event(Event::StartContainer, pod("a"), container("ok", "a")).await.unwrap();
        assert_eq!(*failing.started.lock(), 1);
        let (adjustment, _) = runtime.create(pod("a"), container("ok", "a")).await.unwrap();
        assert_eq!(env(&adjustment), [("KEY", "x")]);
    }
}

/// Holds its thread longer than the runtime waits, which nothing in the process can cut short; not for a container "ok".
struct Stuck;

impl Plugin for Stuck {
    async fn start_container(&self, _: PodSandbox, container: Container) -> Answer<()> {
        if container.id != "ok" {
            std::thread::sleep(SHORT + SHORT / 2);
        }
        Ok(())
    }
}

pub(crate) async fn without_an_answer_an_enforcer_fails_the_pod_where_the_runtime_asks(mut runtime: impl Driver) {
    let asks = runtime.kind().nri >= (0, 12);
    for (role, fails) in [(Role::Enforcer, asks), (Role::Observer, false)] {
        runtime.restart(Kind { request: SHORT, ..runtime.kind() }).await;
        let stuck = Arc::new(Stuck);
        let session = join(&runtime, builder("10", &stuck).role(role)).await;
        let outcome = runtime.event(Event::StartContainer, pod("a"), container("b", "a")).await;
        assert_eq!(outcome.is_err(), fails, "{role:?}: {outcome:?}");
        // Unless told otherwise, it is dropped.
        assert!(session.ended().await.is_ok());
    }
}

pub(crate) async fn without_an_answer_a_plugin_stays_that_asks_for_it_where_the_runtime_heeds_it(
    mut runtime: impl Driver,
) {
    let heeds = runtime.kind().nri >= (0, 12);
    for fail_request in [false, true] {
        runtime.restart(Kind { request: SHORT, ..runtime.kind() }).await;
        let policy = FailurePolicy { fail_request, keep_connected: true };
        let session = join(&runtime, builder("10", &Arc::new(Stuck)).failure_policy(policy)).await;
        let outcome = runtime.event(Event::StartContainer, pod("a"), container("b", "a")).await;
        assert_eq!(outcome.is_err(), heeds && fail_request, "{outcome:?}");
        runtime.event(Event::StartContainer, pod("a"), container("ok", "a")).await.unwrap();
        if heeds {
            assert_eq!(within(session.shutdown()).await.unwrap(), End::Stopped);
        } else {
            assert_eq!(within(session.ended()).await.unwrap(), End::RuntimeClosed);
        }
    }
}
