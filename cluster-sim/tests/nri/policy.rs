//! What becomes of a request that a plugin does not answer, by what the plugin said of it.

use std::sync::Arc;
use std::time::Duration;

use cluster_sim::nri::api::{
    ConfigureResponse, Container, CreateContainerRequest, Event, FailurePolicy, PodSandbox, StopContainerRequest,
    UpdateContainerRequest, UpdatePodSandboxRequest,
};
use cluster_sim::nri::{Code, Failure, Peer, Runtime, Trouble, Version};
use parking_lot::Mutex;
use tokio::io::duplex;
use tokio::task::{JoinHandle, yield_now};
use tokio::time::{Instant, sleep};

use crate::plug::{Reply, live};

/// How a plugin deals with events.
#[derive(Debug, Clone, Copy, PartialEq)]
enum How {
    Answers,
    Silent,
    Fails,
    /// Loses its connection.
    Ends,
}

/// All policies.
fn policies() -> impl Iterator<Item = FailurePolicy> {
    [(false, false), (true, false), (false, true), (true, true)]
        .into_iter()
        .map(|(fail_request, keep_connected)| FailurePolicy { fail_request, keep_connected })
}

/// Has a plugin join that deals so with events, as long as the lock says so.
async fn join(
    runtime: &Runtime,
    (index, events): (&str, i32),
    failure_policy: Option<FailurePolicy>,
    how: &Arc<Mutex<How>>,
) -> Arc<Peer> {
    let (near, far) = duplex(1 << 16);
    let (how, task) = (how.clone(), Arc::new(Mutex::new(None::<JoinHandle<()>>)));
    let own = task.clone();
    let lives = live(near, (index, "p"), 0, move |method, _| match method {
        "Configure" => Reply::of(&ConfigureResponse { events, failure_policy }),
        "Synchronize" => Reply::Usual,
        _ => match *how.lock() {
            How::Answers => Reply::Usual,
            How::Silent => Reply::Silence,
            How::Fails => Reply::Status(Code::DeadlineExceeded),
            How::Ends => {
                own.lock().take().unwrap().abort();
                Reply::Silence
            }
        },
    });
    *task.lock() = Some(lives);
    runtime.accept(far).await.unwrap()
}

fn always(how: How) -> Arc<Mutex<How>> {
    Arc::new(Mutex::new(how))
}

/// Brings an event, whichever it is.
async fn bring(runtime: &Runtime, event: Event) -> Result<(), Failure> {
    let pod = PodSandbox { id: "P".to_owned(), ..PodSandbox::default() };
    let container = Container { id: "C".to_owned(), ..Container::default() };
    let relay = runtime.relay();
    match event {
        Event::CreateContainer | Event::ValidateContainerAdjustment => {
            relay.create(CreateContainerRequest { pod: Some(pod), container: Some(container) }).await.map(drop)
        }
        Event::UpdateContainer => {
            let request = UpdateContainerRequest { pod: Some(pod), container: Some(container), linux_resources: None };
            relay.update(request).await.map(drop)
        }
        Event::StopContainer => {
            relay.stop(StopContainerRequest { pod: Some(pod), container: Some(container) }).await.map(drop)
        }
        Event::UpdatePodSandbox => {
            relay.update_pod(UpdatePodSandboxRequest { pod: Some(pod), ..UpdatePodSandboxRequest::default() }).await
        }
        event => relay.event(event, pod, container).await,
    }
}

#[tokio::test(start_paused = true)]
async fn each_request_fails_and_each_plugin_stays_as_its_policy_says() {
    for policy in policies() {
        for event in Event::ALL.into_iter().filter(|event| *event != Event::ValidateContainerAdjustment) {
            for how in [How::Silent, How::Ends] {
                let case = format!("{policy:?} {event:?} {how:?}");
                let runtime = Runtime::builder(Version::V0_12_5).start();
                let deals = always(how);
                let peer = join(&runtime, ("10", 0x1fff), Some(policy), &deals).await;
                let other = join(&runtime, ("20", 0x1fff), None, &always(How::Answers)).await;
                assert_eq!((peer.failure_policy(), other.failure_policy()), (policy, FailurePolicy::default()));

                let outcome = bring(&runtime, event).await;
                let trouble = if how == How::Silent { Trouble::Timeout } else { Trouble::Closed };
                let failure = Failure::Plugin { plugin: "10-p".to_owned(), event, trouble: trouble.clone() };
                assert_eq!(outcome, if policy.fail_request { Err(failure) } else { Ok(()) }, "{case}");
                let asked =
                    runtime.log().events().iter().any(|line| line.starts_with(&format!("20-p {}", event.name())));
                assert_eq!(asked, !policy.fail_request, "{case}");

                let stays = policy.keep_connected && how == How::Silent;
                assert_eq!(runtime.plugins().len(), if stays { 2 } else { 1 }, "{case}");
                assert_eq!(peer.end(), (!stays).then_some(trouble), "{case}");
                *deals.lock() = How::Answers;
                runtime.log().take();
                // One that is gone fails nothing any more.
                assert_eq!(bring(&runtime, event).await, Ok(()), "{case}");
                let asked = runtime.log().events().iter().filter(|line| line.contains(event.name())).count();
                assert_eq!(asked, if stays { 2 } else { 1 }, "{case}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_validator_fails_the_container_and_stays_as_its_policy_says() {
    for policy in policies() {
        for how in [How::Silent, How::Ends] {
            let runtime = Runtime::builder(Version::V0_12_5).start();
            let validates = Event::ValidateContainerAdjustment.bit();
            join(&runtime, ("10", validates), Some(policy), &always(how)).await;
            let outcome = bring(&runtime, Event::CreateContainer).await;
            assert!(outcome.is_err(), "{policy:?} {how:?}");
            let stays = policy.keep_connected && how == How::Silent;
            assert_eq!(runtime.plugins().len(), usize::from(stays), "{policy:?} {how:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_is_no_lack_of_an_answer() {
    for policy in policies() {
        let runtime = Runtime::builder(Version::V0_12_5).start();
        join(&runtime, ("10", 0), Some(policy), &always(How::Fails)).await;
        assert!(bring(&runtime, Event::StartContainer).await.is_err(), "{policy:?}");
        assert_eq!(runtime.plugins().len(), 1, "{policy:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_plugin_that_left_between_events_fails_none() {
    let runtime = Runtime::builder(Version::V0_12_5).start();
    let policy = FailurePolicy { fail_request: true, keep_connected: true };
    let peer = join(&runtime, ("10", 0), Some(policy), &always(How::Answers)).await;
    peer.close().await;
    for event in Event::ALL {
        bring(&runtime, event).await.unwrap();
    }
    assert!(runtime.plugins().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_plugin_that_leaves_before_its_turn_fails_none() {
    for event in Event::ALL.into_iter().filter(|event| *event != Event::ValidateContainerAdjustment) {
        let runtime = Runtime::builder(Version::V0_12_5).start();
        // Asked for two seconds.
        join(&runtime, ("10", 0x1fff), None, &always(How::Silent)).await;
        let policy = FailurePolicy { fail_request: true, keep_connected: false };
        let leaves = join(&runtime, ("20", 0x1fff), Some(policy), &always(How::Answers)).await;
        let leave = async {
            sleep(Duration::from_secs(1)).await;
            leaves.close().await;
        };
        let (outcome, ()) = tokio::join!(bring(&runtime, event), leave);
        outcome.unwrap();
        assert!(runtime.plugins().is_empty(), "{event:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn runtimes_before_it_pass_it_over() {
    let policy = FailurePolicy { fail_request: true, keep_connected: true };
    for version in Version::ALL.into_iter().filter(|version| !version.has_failure_policies()) {
        let runtime = Runtime::builder(version).start();
        let peer = join(&runtime, ("10", 0), Some(policy), &always(How::Silent)).await;
        assert_eq!(peer.failure_policy(), FailurePolicy::default());
        bring(&runtime, Event::StartContainer).await.unwrap();
        assert!(runtime.plugins().is_empty(), "{version:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_kept_holds_up_each_event_and_none_that_it_joins_with() {
    let policy = FailurePolicy { fail_request: false, keep_connected: true };
    let runtime = Runtime::builder(Version::V0_12_5).start();
    join(&runtime, ("10", 0), Some(policy), &always(How::Silent)).await;
    let began = Instant::now();
    for _ in 0..3 {
        bring(&runtime, Event::StartContainer).await.unwrap();
    }
    assert_eq!(began.elapsed(), Duration::from_secs(6));
    assert_eq!(runtime.plugins().len(), 1);

    // The synchronization is no event.
    let (near, far) = duplex(1 << 16);
    live(near, ("20", "p"), 0, move |method, _| match method {
        "Configure" => Reply::of(&ConfigureResponse { events: 0, failure_policy: Some(policy) }),
        _ => Reply::Silence,
    });
    assert_eq!(runtime.accept(far).await.err(), Some(Trouble::Timeout));
    yield_now().await;
    assert_eq!(runtime.plugins().len(), 1);
}
