//! A call over a socket, and the state of a node of 10,000 containers.
#![allow(clippy::expect_used, reason = "a benchmark that can't be set up ends")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use nri_plugin::api::{
    ConfigureRequest, ConfigureResponse, Container, ContainerUpdate, Empty, LinuxContainer, Mount, PLUGIN_SERVICE,
    PodSandbox, StateChangeEvent, SynchronizeRequest, SynchronizeResponse,
};
use nri_plugin::mux::{self, Mux};
use nri_plugin::ttrpc::{self, Call, CallOptions, Client, Service, Status, serve};
use nri_plugin::{Answer, Identity, Plugin, Session};
use prost::Message;
use tokio::net::UnixStream;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

const PODS: usize = 5_000;
const CONTAINERS_PER_POD: usize = 2;
/// Pods in a part: a part is below ttrpc's 4 MiB.
const PART: usize = 500;

/// Looks at what it gets, and answers nothing.
struct Observer;

impl Plugin for Observer {
    async fn synchronize(&self, pods: Vec<PodSandbox>, containers: Vec<Container>) -> Answer<Vec<ContainerUpdate>> {
        assert_eq!(pods.len() * CONTAINERS_PER_POD, containers.len());
        Ok(Vec::new())
    }

    async fn start_container(&self, _: PodSandbox, _: Container) -> Answer<()> {
        Ok(())
    }
}

/// The runtime's service: everything is well.
struct Accepts;

impl Service for Accepts {
    async fn call(&self, _: Call) -> Result<Bytes, Status> {
        Ok(Bytes::new())
    }
}

fn pod(number: usize) -> PodSandbox {
    PodSandbox {
        id: format!("{number:064x}"),
        name: format!("web-{number:05}"),
        uid: format!("00000000-0000-0000-0000-{number:012}"),
        namespace: "shop".to_owned(),
        labels: BTreeMap::from([("app".to_owned(), "web".to_owned()), ("tier".to_owned(), "front".to_owned())]),
        ..PodSandbox::default()
    }
}

fn mount(pod: usize, number: usize) -> Mount {
    Mount {
        destination: format!("/var/run/secrets/mount-{number}"),
        r#type: "bind".to_owned(),
        source: format!("/var/lib/kubelet/pods/00000000-0000-0000-0000-{pod:012}/volumes/volume-{number}"),
        options: ["rbind", "rprivate", "ro"].map(str::to_owned).to_vec(),
    }
}

fn container(pod: usize, number: usize) -> Container {
    Container {
        id: format!("{pod:060x}{number:04x}"),
        pod_sandbox_id: format!("{pod:064x}"),
        name: format!("c{number}"),
        state: 3,
        labels: (0..5).map(|i| (format!("io.kubernetes.label-{i}"), format!("value-{pod}"))).collect(),
        annotations: (0..5).map(|i| (format!("io.kubernetes.annotation-{i}"), "1".to_owned())).collect(),
        args: vec!["/bin/server".to_owned(), "--listen=:8080".to_owned()],
        env: (0..20).map(|i| format!("SERVICE_{i}_PORT=tcp://10.0.0.{i}:443")).collect(),
        mounts: (0..4).map(|i| mount(pod, i)).collect(),
        pid: 4242,
        linux: Some(LinuxContainer {
            cgroups_path: format!("kubepods-pod{pod}.slice:cri-containerd:{number}"),
            ..LinuxContainer::default()
        }),
        ..Container::default()
    }
}

/// A plugin that is configured, and the client of its runtime.
async fn configured() -> (Session, Mux, Client) {
    let (near, far) = UnixStream::pair().expect("a pair of sockets");
    let (mux, [calling, serving]) = Mux::start(far, mux::Config::default(), [1, 2]).expect("a trunk");
    tokio::spawn(serve(serving, Arc::new(Accepts), ttrpc::Config::default(), CancellationToken::new()));
    let client = Client::new(calling, ttrpc::Config::default());
    let identity = Identity::new("10", "bench").expect("a name");
    let session = Session::builder(identity, Arc::new(Observer)).spawn(near).expect("a session");
    let configure = ConfigureRequest { request_timeout: 60_000, ..ConfigureRequest::default() };
    let _: ConfigureResponse = call(&client, "Configure", &configure).await;
    (session, mux, client)
}

async fn call<A: Message + Default>(client: &Client, method: &str, request: &impl Message) -> A {
    let options = CallOptions { timeout: Some(Duration::from_mins(1)), ..CallOptions::default() };
    client.call(PLUGIN_SERVICE, method, request, options).await.expect("an answer")
}

fn benches(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    events(c, &runtime);
    synchronize(c, &runtime);
}

fn events(c: &mut Criterion, runtime: &Runtime) {
    let (_session, _mux, client) = runtime.block_on(configured());
    let mut group = c.benchmark_group("nri_event");
    let event = StateChangeEvent { event: 6, pod: Some(pod(1)), container: Some(container(1, 0)) };
    group.bench_function("start_container", |b| {
        b.to_async(runtime).iter(|| call::<Empty>(&client, "StateChange", &event));
    });
    // The envelope alone: what mux and ttrpc cost.
    let nobodys = StateChangeEvent::default();
    group.bench_function("unhandled", |b| {
        b.to_async(runtime).iter(|| call::<Empty>(&client, "StateChange", &nobodys));
    });
}

fn synchronize(c: &mut Criterion, runtime: &Runtime) {
    let (_session, _mux, client) = runtime.block_on(configured());
    let parts: Vec<_> = (0..PODS)
        .step_by(PART)
        .map(|first| SynchronizeRequest {
            pods: (first..first + PART).map(pod).collect(),
            containers: (first..first + PART)
                .flat_map(|pod| (0..CONTAINERS_PER_POD).map(move |number| container(pod, number)))
                .collect(),
            more: first + PART < PODS,
        })
        .collect();
    let mut group = c.benchmark_group("nri_synchronize");
    group.sample_size(10);
    group.throughput(Throughput::Bytes(parts.iter().map(|part| part.encoded_len() as u64).sum()));
    group.bench_function("10000_containers", |b| {
        b.to_async(runtime).iter(async || {
            for part in &parts {
                let _: SynchronizeResponse = call(&client, "Synchronize", part).await;
            }
        });
    });
}

criterion_group!(all, benches);
criterion_main!(all);
