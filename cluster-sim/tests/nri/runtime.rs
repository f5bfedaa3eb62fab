//! Sockets, restarts, and plugins that come and go.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cluster_sim::nri::api::{
    Container, ContainerUpdate, LinuxContainerUpdate, LinuxPids, LinuxResources, PodSandbox, SynchronizeRequest,
    UpdateContainersRequest, UpdateContainersResponse,
};
use cluster_sim::nri::{Breach, Driven, Malformed, Record, Runtime, Trouble, Version};
use parking_lot::Mutex;
use prost::Message;
use tokio::io::duplex;
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep, timeout};

use crate::plug::{Plug, Reply, frame, live, runtime_call};

/// A path for a socket in a directory that is not there.
fn socket(name: &str) -> PathBuf {
    let directory = std::env::temp_dir().join(format!("cluster-sim-nri-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&directory);
    directory.join("nri.sock")
}

fn clear(socket: &std::path::Path) {
    std::fs::remove_dir(socket.parent().unwrap()).unwrap();
}

async fn joined(runtime: &Runtime, count: usize) {
    timeout(Duration::from_mins(1), runtime.joined(count)).await.expect("they join");
}

#[tokio::test]
async fn plugins_come_to_the_socket_and_again_after_a_restart() {
    let path = socket("restart");
    let runtime = Runtime::builder(Version::V0_12).start();
    runtime.listen(&path).await.unwrap();
    assert_eq!(std::fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
    let pod = runtime.run_pod(PodSandbox::default()).await.unwrap();

    let synchronized: Arc<Mutex<Vec<usize>>> = Arc::default();
    let come = |stream, index| {
        let synchronized = synchronized.clone();
        live(stream, (index, "p"), 0, move |method, payload| {
            if method == "Synchronize" {
                synchronized.lock().push(SynchronizeRequest::decode(payload).unwrap().pods.len());
            }
            Reply::Usual
        })
    };
    let connect = || UnixStream::connect(&path);
    let (one, two) = (come(connect().await.unwrap(), "20"), come(connect().await.unwrap(), "10"));
    joined(&runtime, 2).await;
    let names: Vec<_> = runtime.plugins().iter().map(|plugin| plugin.name().to_owned()).collect();
    assert_eq!(names, ["10-p", "20-p"]);

    runtime.restart().await.unwrap();
    one.await.unwrap();
    two.await.unwrap();
    assert!(runtime.plugins().is_empty());
    assert_eq!(runtime.pods(), [pod]);
    runtime.run_pod(PodSandbox::default()).await.unwrap();
    let again = come(connect().await.unwrap(), "10");
    joined(&runtime, 1).await;
    assert_eq!(*synchronized.lock(), [1, 1, 2]);

    runtime.shutdown().await;
    runtime.shutdown().await;
    again.await.unwrap();
    assert!(!path.exists());
    assert!(runtime.listen(&path).await.is_err());
    clear(&path);
}

#[tokio::test]
async fn dropping_it_ends_everything() {
    let path = socket("drop");
    let runtime = Runtime::builder(Version::V0_8).start();
    runtime.listen(&path).await.unwrap();
    let plugin = live(UnixStream::connect(&path).await.unwrap(), ("10", "p"), 0, |_, _| Reply::Usual);
    joined(&runtime, 1).await;
    // One that has connected, and says nothing.
    let mut silent = Plug::new(UnixStream::connect(&path).await.unwrap());
    drop(runtime);
    plugin.await.unwrap();
    assert!(silent.next().await.is_none());
    assert!(!path.exists());
    clear(&path);
}

#[tokio::test(start_paused = true)]
async fn plugins_are_accepted_one_after_another() {
    let runtime = Arc::new(Runtime::builder(Version::V0_12).start());
    let began = Instant::now();
    let mut accepts = Vec::new();
    // The first never registers, the second is never configured, the third never synchronizes; the fourth waits for all.
    let (_silent, far) = duplex(1 << 16);
    let mut trunks = vec![far];
    for stuck in ["Configure", "Synchronize", ""] {
        let (near, far) = duplex(1 << 16);
        live(near, ("10", "p"), 0, move |method, _| if method == stuck { Reply::Silence } else { Reply::Usual });
        trunks.push(far);
    }
    for trunk in trunks {
        let runtime = runtime.clone();
        accepts.push(tokio::spawn(async move { (runtime.accept(trunk).await.err(), began.elapsed()) }));
        tokio::task::yield_now().await;
    }
    let mut outcomes = Vec::new();
    for accept in accepts {
        outcomes.push(accept.await.unwrap());
    }
    assert_eq!(
        outcomes,
        [
            (Some(Trouble::NotRegistered), Duration::from_secs(5)),
            (Some(Trouble::Timeout), Duration::from_secs(7)),
            (Some(Trouble::Timeout), Duration::from_secs(9)),
            (None, Duration::from_secs(9)),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn events_wait_for_a_synchronization() {
    let runtime = Runtime::builder(Version::V0_12).start();
    let (near, far) = duplex(1 << 16);
    live(near, ("10", "p"), 0, |method, _| if method == "Synchronize" { Reply::Silence } else { Reply::Usual });
    let began = Instant::now();
    let pod = async {
        sleep(Duration::from_millis(1)).await;
        runtime.run_pod(PodSandbox::default()).await.unwrap();
        began.elapsed()
    };
    let (joined, ran) = tokio::join!(runtime.accept(far), pod);
    assert_eq!((joined.unwrap_err(), ran), (Trouble::Timeout, Duration::from_secs(2)));
}

#[tokio::test(start_paused = true)]
async fn two_plugins_of_one_name_are_two() {
    let runtime = Runtime::builder(Version::V0_12).start();
    for _ in 0..2 {
        let (near, far) = duplex(1 << 16);
        live(near, ("10", "p"), 1, |_, _| Reply::Usual);
        runtime.accept(far).await.unwrap();
    }
    runtime.run_pod(PodSandbox { id: "P".to_owned(), ..PodSandbox::default() }).await.unwrap();
    assert_eq!(runtime.log().events(), ["10-p RunPodSandbox P", "10-p RunPodSandbox P"]);
}

#[tokio::test(start_paused = true)]
async fn updates_are_done_and_those_that_fail_come_back() {
    for update_errors in [false, true] {
        updates_are_done(update_errors).await;
    }
}

async fn updates_are_done(update_errors: bool) {
    let runtime = Runtime::builder(Version::V0_12).update_errors(update_errors).start();
    let (near, far) = duplex(1 << 16);
    let mut plug = Plug::new(near);
    let join = async {
        plug.configured(0).await;
        let (stream, call) = plug.called().await.unwrap();
        assert_eq!(call.method, "Synchronize");
        plug.answer(stream, &SynchronizeRequest::default()).await;
    };
    tokio::join!(runtime.accept(far), join).0.unwrap();
    let update = |id: &str, limit| ContainerUpdate {
        container_id: id.to_owned(),
        linux: Some(LinuxContainerUpdate {
            resources: Some(LinuxResources { pids: Some(LinuxPids { limit }), ..LinuxResources::default() }),
        }),
        ignore_failure: false,
    };
    runtime.fail_updates_of("B");
    let request = UpdateContainersRequest {
        update: vec![update("A", 7), update("B", 8), update("gone", 9)],
        ..UpdateContainersRequest::default()
    };
    let create = async {
        runtime.run_pod(PodSandbox { id: "P".to_owned(), ..PodSandbox::default() }).await.unwrap();
        for id in ["A", "B"] {
            runtime.create("P", Container { id: id.to_owned(), ..Container::default() }).await.unwrap();
        }
    };
    let answer = async {
        for _ in 0..7 {
            let (stream, _) = plug.called().await.unwrap();
            plug.answer(stream, &SynchronizeRequest::default()).await;
        }
    };
    tokio::join!(create, answer);
    plug.message(2, 3, 1, &runtime_call("UpdateContainers", &request)).await;
    let (_, response) = plug.answered().await;
    if update_errors {
        assert!(response.status.unwrap().is(cluster_sim::nri::Code::Unknown));
    } else {
        assert_eq!(UpdateContainersResponse::decode(response.payload).unwrap().failed, [update("B", 8)]);
    }
    let limit = |container: &Container| Some(container.linux.as_ref()?.resources.as_ref()?.pids?.limit);
    assert_eq!(runtime.containers().iter().map(limit).collect::<Vec<_>>(), [Some(7), None]);
    assert!(
        runtime
            .log()
            .records()
            .iter()
            .any(|record| matches!(record, Record::Update { failed, .. } if failed.len() == 1))
    );
}

#[tokio::test(start_paused = true)]
async fn an_update_within_an_event_waits_until_that_is_over() {
    let runtime = Runtime::builder(Version::V0_12).start();
    let (near, far) = duplex(1 << 16);
    let mut plug = Plug::new(near);
    let join = async {
        plug.configured(1).await;
        let (stream, _) = plug.called().await.unwrap();
        plug.answer(stream, &SynchronizeRequest::default()).await;
    };
    tokio::join!(runtime.accept(far), join).0.unwrap();
    let hasty = async {
        let (_, call) = plug.called().await.unwrap();
        assert_eq!(call.method, "RunPodSandbox");
        plug.message(2, 3, 1, &runtime_call("UpdateContainers", &UpdateContainersRequest::default())).await;
        // The answer that it waits for does not come, and neither does its own.
        while plug.next().await.is_some() {}
    };
    let began = Instant::now();
    let (pod, ()) = tokio::join!(runtime.run_pod(PodSandbox::default()), hasty);
    pod.unwrap();
    assert_eq!(began.elapsed(), Duration::from_secs(2));
    assert!(runtime.plugins().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_plugin_that_breaks_a_rule_is_gone_and_the_log_says_why() {
    let runtime = Runtime::builder(Version::V0_12).start();
    let (near, far) = duplex(1 << 16);
    let mut plug = Plug::new(near);
    let join = async {
        plug.configured(1).await;
        let (stream, _) = plug.called().await.unwrap();
        plug.answer(stream, &SynchronizeRequest::default()).await;
    };
    tokio::join!(runtime.accept(far), join).0.unwrap();
    plug.bytes(&frame(1, &vec![0; 5000])).await;
    while plug.next().await.is_some() {}
    runtime.run_pod(PodSandbox::default()).await.unwrap();
    let trouble = runtime.log().take().into_iter().find_map(|record| match record {
        Record::Left { trouble, .. } => Some(trouble),
        _ => None,
    });
    assert_eq!(trouble, Some(Trouble::Breach(Breach::FrameTooLong { length: 5000, room: 4096 })));
}

#[tokio::test(start_paused = true)]
async fn pods_come_at_a_rate_and_all_go() {
    let runtime = Runtime::builder(Version::V0_12).start();
    let (near, far) = duplex(1 << 16);
    live(near, ("10", "p"), 0, |_, _| Reply::Usual);
    runtime.accept(far).await.unwrap();
    let driven = runtime.drive(50.0, sleep(Duration::from_millis(1990))).await;
    assert_eq!(driven, Driven { pods: 100, failed: 0, removed: 100 });
    assert!(runtime.pods().is_empty() && runtime.containers().is_empty());
    let events = runtime.log().events();
    assert_eq!(events.iter().filter(|event| event.contains("RemoveContainer")).count(), 100);
    assert_eq!(runtime.drive(0.0, sleep(Duration::from_secs(1))).await, Driven::default());
    assert_eq!(runtime.drive(f64::NAN, sleep(Duration::from_secs(1))).await, Driven::default());
}

#[tokio::test(start_paused = true)]
async fn pods_that_a_plugin_fails_are_counted() {
    let runtime = Runtime::builder(Version::V0_12).start();
    let (near, far) = duplex(1 << 16);
    let mut odd = false;
    live(near, ("10", "p"), 0, move |method, _| {
        odd ^= method == "StartContainer";
        if odd && method == "StartContainer" { Reply::Status(cluster_sim::nri::Code::Internal) } else { Reply::Usual }
    });
    runtime.accept(far).await.unwrap();
    let driven = runtime.drive(10.0, sleep(Duration::from_millis(950))).await;
    assert_eq!(driven, Driven { pods: 10, failed: 5, removed: 5 });
    assert!(runtime.pods().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_log_has_a_limit() {
    let runtime = Runtime::builder(Version::V0_12).start();
    let (near, far) = duplex(1 << 16);
    live(near, ("10", "p"), 1, |_, _| Reply::Usual);
    runtime.accept(far).await.unwrap();
    runtime.log().set_limit(2);
    for _ in 0..5 {
        runtime.run_pod(PodSandbox::default()).await.unwrap();
    }
    runtime.send(Malformed::EmptyFrame).await;
    assert_eq!((runtime.log().records().len(), runtime.log().dropped()), (2, 6));
}
