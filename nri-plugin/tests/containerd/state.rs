//! A node with more to tell than a message of ttrpc may have → a plugin that knows all of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use nri_plugin::api::{Container, ContainerUpdate, PodSandbox};
use nri_plugin::index::ContainerIndex;
use nri_plugin::{Answer, Plugin};
use parking_lot::Mutex;
use prost::Message;

use super::node::{each, say};
use super::plugin::{index, join};

const PODS: usize = 6;
const CONTAINERS: usize = 3;
/// Of annotations, per container: seven times a million in all, where 4 MiB are the most.
const BYTES: usize = 400_000;

/// An index's plugin that adds up what it is told at once.
#[derive(Debug)]
struct Weighing {
    index: ContainerIndex,
    told: Mutex<Vec<(usize, usize, usize)>>,
}

impl Plugin for Weighing {
    async fn synchronize(&self, pods: Vec<PodSandbox>, containers: Vec<Container>) -> Answer<Vec<ContainerUpdate>> {
        let bytes = pods.iter().map(Message::encoded_len).chain(containers.iter().map(Message::encoded_len)).sum();
        self.told.lock().push((pods.len(), containers.len(), bytes));
        self.index.synchronize(pods, containers).await
    }

    async fn start_container(&self, pod: PodSandbox, container: Container) -> Answer<()> {
        self.index.start_container(pod, container).await
    }
}

/// containerd 1.7.24 tells all of it in one message, which Go's plugins can't take; 2.1.9 in parts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_of_seven_megabytes_is_told_at_once() {
    each(async |node| {
        let filling = "x".repeat(BYTES);
        let mut all = Vec::new();
        for number in 0..PODS {
            let pod = node.run_pod(&format!("pod{number}")).await;
            for name in ["one", "two", "three"].into_iter().take(CONTAINERS) {
                let annotations = [("tests/container", name), ("tests/filling", filling.as_str())];
                let id = node.create_annotated(&pod, name, &["/bin/sleep", "1000000"], None, &annotations).await;
                all.push((pod.clone(), id.unwrap(), name));
            }
        }
        let index = index(Duration::from_mins(1));
        let weighing = Arc::new(Weighing { index: index.clone(), told: Mutex::default() });
        let began = Instant::now();
        let session = join(node, weighing.clone()).await;
        let took = began.elapsed();
        let told = weighing.told.lock().clone();
        say(&format!("containerd {}: {told:?} pods, containers and bytes, and joined, in {took:?}", node.version()));
        let [(PODS, containers, bytes)] = told.as_slice() else { panic!("{told:?}") };
        assert!(*containers == PODS * CONTAINERS && *bytes > PODS * CONTAINERS * BYTES, "{told:?}");
        assert_eq!(index.len(), PODS + PODS * CONTAINERS);
        for (pod, id, name) in &all {
            let container = index.by_container_id(id).unwrap();
            assert_eq!((container.name(), container.pod_name()), (Some(*name), Some(pod.name.as_str())));
            assert_eq!(container.namespace(), Some("tests"));
        }
        // It is as good as any afterwards.
        let (pod, id, _) = &all[0];
        node.cri.start_container(id).await.unwrap();
        let cgroup = index.by_container_id(id).unwrap().cgroup.clone().unwrap();
        assert_eq!(index.by_cgroup_id(cgroup.id).unwrap().pod_uid(), Some(pod.uid.as_str()));
        session.shutdown().await.unwrap();
    })
    .await;
}
