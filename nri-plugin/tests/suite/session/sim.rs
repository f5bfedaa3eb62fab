//! The runtime's side: messages of its own, and how a plugin meets it.

use cluster_sim::nri::api::{Container, ContainerUpdate, PodSandbox};
use cluster_sim::nri::envelope::Response;
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

pub(crate) fn update(id: &str) -> ContainerUpdate {
    ContainerUpdate { container_id: id.to_owned(), ..ContainerUpdate::default() }
}

pub(crate) fn pod(id: &str) -> PodSandbox {
    PodSandbox { id: id.to_owned(), ..PodSandbox::default() }
}

pub(crate) fn container(id: &str) -> Container {
    Container { id: id.to_owned(), ..Container::default() }
}

/// The next call of the plugin, which is short: its stream, and its data.
pub(crate) async fn message(trunk: &mut DuplexStream) -> (u32, Vec<u8>) {
    let (connection, length) = (trunk.read_u32().await.unwrap(), trunk.read_u32().await.unwrap());
    let mut frame = vec![0; length as usize];
    trunk.read_exact(&mut frame).await.unwrap();
    assert_eq!(connection, 2);
    (u32::from_be_bytes(frame[4..8].try_into().unwrap()), frame.split_off(10))
}

/// Answers a call of the plugin.
pub(crate) async fn answer(trunk: &mut DuplexStream, stream: u32, response: &Response) {
    let response = response.encode_to_vec();
    let length = u32::try_from(response.len()).unwrap();
    let header = [2, length + 10, length, stream].map(u32::to_be_bytes).concat();
    trunk.write_all(&[&header[..], &[2, 0], &response].concat()).await.unwrap();
}
