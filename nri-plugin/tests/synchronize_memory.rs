//! What the state of a node costs while it comes in.
//!
//! A program of its own: allocations are counted per thread.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::Arc;

use allocation_counter::measure;
use nri_plugin::api::{
    ConfigureRequest, Container, ContainerUpdate, LinuxContainer, LinuxCpu, LinuxMemory, LinuxResources, Mount,
    OptionalInt64, OptionalUInt64, PLUGIN_SERVICE, PodSandbox, SynchronizeRequest,
};
use nri_plugin::ttrpc::Request;
use nri_plugin::{Answer, Identity, Plugin, Session};
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::sync::oneshot;

const PODS: usize = 5_000;
const CONTAINERS_PER_POD: usize = 2;
/// Pods in a part, which has to be below 4 MiB.
const PART: usize = 800;

/// Says how many there were.
struct Counts(parking_lot::Mutex<Option<oneshot::Sender<(usize, usize)>>>);

impl Plugin for Counts {
    async fn synchronize(&self, pods: Vec<PodSandbox>, containers: Vec<Container>) -> Answer<Vec<ContainerUpdate>> {
        self.0.lock().take().unwrap().send((pods.len(), containers.len())).unwrap();
        Ok(Vec::new())
    }

    async fn start_container(&self, _: PodSandbox, _: Container) -> Answer<()> {
        Ok(())
    }
}

fn texts(count: usize, number: usize) -> BTreeMap<String, String> {
    (0..count).map(|key| (format!("app.kubernetes.io/label-{key}"), format!("value-{key}-of-{number}"))).collect()
}

fn pod(number: usize) -> PodSandbox {
    PodSandbox {
        id: format!("{number:064x}"),
        name: format!("web-{number:05}-7d9c6b5f4-abcde"),
        uid: format!("00000000-0000-0000-0000-{number:012}"),
        namespace: "shop".to_owned(),
        labels: texts(5, number),
        annotations: texts(8, number),
        ..PodSandbox::default()
    }
}

/// As containerd tells of one: some 1.7 KB.
fn container(pod: usize, number: usize) -> Container {
    let mount = |i: usize| Mount {
        destination: format!("/var/run/secrets/mount-{i}"),
        r#type: "bind".to_owned(),
        source: format!("/var/lib/kubelet/pods/00000000-0000-0000-0000-{pod:012}/volumes/volume-{i}"),
        options: ["rbind", "rprivate", "ro"].map(str::to_owned).to_vec(),
    };
    Container {
        id: format!("{pod:060x}{number:04x}"),
        pod_sandbox_id: format!("{pod:064x}"),
        name: format!("c{number}"),
        state: 3,
        labels: texts(4, pod),
        annotations: texts(5, pod),
        args: vec!["/bin/server".to_owned(), "--listen=:8080".to_owned()],
        env: (0..16).map(|i| format!("SERVICE_{i}_PORT_8080_TCP=tcp://10.0.0.{i}:8080")).collect(),
        mounts: (0..5).map(mount).collect(),
        pid: 4242,
        linux: Some(LinuxContainer {
            cgroups_path: format!("kubepods-burstable-pod{pod:032}.slice:cri-containerd:{pod:060x}{number:04x}"),
            resources: Some(LinuxResources {
                memory: Some(LinuxMemory { limit: Some(OptionalInt64 { value: 1 << 30 }), ..LinuxMemory::default() }),
                cpu: Some(LinuxCpu { shares: Some(OptionalUInt64 { value: 512 }), ..LinuxCpu::default() }),
                ..LinuxResources::default()
            }),
            ..LinuxContainer::default()
        }),
        ..Container::default()
    }
}

/// A call, as it is on the trunk: its first frame as long as Go's buffer.
fn call(stream: u32, method: &str, request: &impl Message) -> Vec<u8> {
    let data = Request {
        service: PLUGIN_SERVICE.to_owned(),
        method: method.to_owned(),
        payload: request.encode_to_vec().into(),
        timeout_nano: 60_000_000_000,
        metadata: Vec::new(),
    }
    .encode_to_vec();
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap().to_be_bytes();
    let message = [&length(&data)[..], &stream.to_be_bytes(), &[1, 0], &data].concat();
    let (first, rest) = message.split_at(message.len().min(4096));
    let frame = |payload: &[u8]| [&1_u32.to_be_bytes()[..], &length(payload), payload].concat();
    if rest.is_empty() { frame(first) } else { [frame(first), frame(rest)].concat() }
}

#[test]
fn the_state_of_ten_thousand_containers_takes_three_times_its_size_at_most() {
    let parts: Vec<_> = (0..PODS)
        .step_by(PART)
        .map(|first| {
            let pods = first..(first + PART).min(PODS);
            SynchronizeRequest {
                pods: pods.clone().map(pod).collect(),
                containers: pods
                    .clone()
                    .flat_map(|pod| (0..CONTAINERS_PER_POD).map(move |number| container(pod, number)))
                    .collect(),
                more: pods.end < PODS,
            }
        })
        .collect();
    assert!(parts.iter().all(|part| part.encoded_len() < 4 << 20));
    let size: usize = parts.iter().map(Message::encoded_len).sum();
    let requests = std::iter::once(call(1, "Configure", &ConfigureRequest::default()))
        .chain((3..).step_by(2).zip(&parts).map(|(stream, part)| call(stream, "Synchronize", part)));
    let trunk: Vec<u8> = requests.flatten().collect();
    drop(parts);

    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let came = std::cell::Cell::new((0, 0));
    let used = measure(|| {
        runtime.block_on(async {
            let (near, far) = duplex(1 << 16);
            let (from, mut to) = tokio::io::split(far);
            let (tell, told) = oneshot::channel();
            let counts = Counts(parking_lot::Mutex::new(Some(tell)));
            let session = Session::builder(Identity::new("10", "a").unwrap(), Arc::new(counts)).spawn(near).unwrap();
            tokio::spawn(async move { tokio::io::copy(&mut from.take(u64::MAX), &mut tokio::io::sink()).await });
            to.write_all(&trunk).await.unwrap();
            came.set(told.await.unwrap());
            session.shutdown().await.unwrap();
        });
    });
    assert_eq!(came.get(), (PODS, PODS * CONTAINERS_PER_POD));
    let peak = usize::try_from(used.bytes_max).unwrap();
    println!("{size} bytes came, {peak} were used at most: {:.2} times", peak as f64 / size as f64);
    assert!(size > 18 << 20 && peak < 3 * size, "{size} bytes came, {peak} were used");
    assert!(used.bytes_current < 1 << 20, "{} bytes are left", used.bytes_current);
}
