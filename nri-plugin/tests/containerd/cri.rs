//! The calls of the Container Runtime Interface that the tests make, and of their messages the fields that are used:
//! package `runtime.v1` of kubelet's `api.proto`.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use http::uri::PathAndQuery;
use hyper_util::rt::TokioIo;
use prost::Message;
use tokio::net::UnixStream;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

/// Far longer than any call takes.
const TIMEOUT: Duration = Duration::from_secs(30);

/// `NamespaceMode.NODE`: the host's network, for which no CNI is needed.
const NODE: i32 = 2;
/// `ContainerState.CONTAINER_EXITED`.
const EXITED: i32 = 2;

#[derive(Clone, PartialEq, Message)]
pub(crate) struct PodMetadata {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(string, tag = "2")]
    pub(crate) uid: String,
    #[prost(string, tag = "3")]
    pub(crate) namespace: String,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct NamespaceOptions {
    #[prost(int32, tag = "1")]
    pub(crate) network: i32,
}

impl NamespaceOptions {
    pub(crate) const HOST_NETWORK: Self = Self { network: NODE };
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct PodSecurity {
    #[prost(message, optional, tag = "1")]
    pub(crate) namespace_options: Option<NamespaceOptions>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct LinuxPod {
    #[prost(string, tag = "1")]
    pub(crate) cgroup_parent: String,
    #[prost(message, optional, tag = "2")]
    pub(crate) security_context: Option<PodSecurity>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct PodConfig {
    #[prost(message, optional, tag = "1")]
    pub(crate) metadata: Option<PodMetadata>,
    #[prost(map = "string, string", tag = "6")]
    pub(crate) labels: HashMap<String, String>,
    #[prost(map = "string, string", tag = "7")]
    pub(crate) annotations: HashMap<String, String>,
    #[prost(message, optional, tag = "8")]
    pub(crate) linux: Option<LinuxPod>,
}

#[derive(Clone, PartialEq, Message)]
struct RunPodSandbox {
    #[prost(message, optional, tag = "1")]
    config: Option<PodConfig>,
}

/// A request or an answer that is an id, and nothing else: most of those used here.
#[derive(Clone, PartialEq, Message)]
struct Id {
    #[prost(string, tag = "1")]
    id: String,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Nothing {}

#[derive(Clone, PartialEq, Message)]
struct ContainerMetadata {
    #[prost(string, tag = "1")]
    name: String,
}

#[derive(Clone, PartialEq, Message)]
struct ImageSpec {
    #[prost(string, tag = "1")]
    image: String,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct Resources {
    #[prost(int64, tag = "3")]
    pub(crate) cpu_shares: i64,
    #[prost(int64, tag = "4")]
    pub(crate) memory_limit: i64,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct ContainerSecurity {
    #[prost(message, optional, tag = "3")]
    namespace_options: Option<NamespaceOptions>,
}

#[derive(Clone, PartialEq, Message)]
struct LinuxContainer {
    #[prost(message, optional, tag = "1")]
    resources: Option<Resources>,
    #[prost(message, optional, tag = "2")]
    security_context: Option<ContainerSecurity>,
}

#[derive(Clone, PartialEq, Message)]
struct ContainerConfig {
    #[prost(message, optional, tag = "1")]
    metadata: Option<ContainerMetadata>,
    #[prost(message, optional, tag = "2")]
    image: Option<ImageSpec>,
    #[prost(string, repeated, tag = "3")]
    command: Vec<String>,
    #[prost(map = "string, string", tag = "9")]
    labels: HashMap<String, String>,
    #[prost(map = "string, string", tag = "10")]
    annotations: HashMap<String, String>,
    #[prost(message, optional, tag = "15")]
    linux: Option<LinuxContainer>,
}

#[derive(Clone, PartialEq, Message)]
struct CreateContainer {
    #[prost(string, tag = "1")]
    pod_id: String,
    #[prost(message, optional, tag = "2")]
    config: Option<ContainerConfig>,
    #[prost(message, optional, tag = "3")]
    pod_config: Option<PodConfig>,
}

#[derive(Clone, PartialEq, Message)]
struct UpdateResources {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(message, optional, tag = "2")]
    linux: Option<Resources>,
}

#[derive(Clone, PartialEq, Message)]
struct StatusRequest {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(bool, tag = "2")]
    verbose: bool,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct ContainerState {
    #[prost(int32, tag = "3")]
    state: i32,
}

#[derive(Clone, PartialEq, Message)]
struct ContainerStatus {
    #[prost(message, optional, tag = "1")]
    status: Option<ContainerState>,
    #[prost(map = "string, string", tag = "2")]
    info: HashMap<String, String>,
}

#[derive(Clone, PartialEq, Message)]
struct ImageStatusRequest {
    #[prost(message, optional, tag = "1")]
    image: Option<ImageSpec>,
}

#[derive(Clone, PartialEq, Message)]
struct ImageStatus {
    #[prost(message, optional, tag = "1")]
    image: Option<Id>,
}

/// A container to be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewContainer<'a> {
    pub(crate) name: &'a str,
    pub(crate) image: &'a str,
    pub(crate) command: &'a [&'a str],
    pub(crate) labels: &'a [(&'a str, &'a str)],
    pub(crate) annotations: &'a [(&'a str, &'a str)],
    pub(crate) resources: Option<Resources>,
}

/// A client of a runtime; connects when it is used, and anew when the runtime was restarted.
#[derive(Debug, Clone)]
pub(crate) struct Cri {
    channel: Channel,
}

impl Cri {
    pub(crate) fn new(socket: &Path) -> Self {
        let socket = socket.to_owned();
        let connect = tower::service_fn(move |_| {
            let socket = socket.clone();
            async move { UnixStream::connect(socket).await.map(TokioIo::new) }
        });
        Self { channel: Endpoint::from_static("http://localhost").connect_with_connector_lazy(connect) }
    }

    async fn call<Q, A>(&self, path: &'static str, request: Q) -> Result<A, Status>
    where
        Q: Message + Send + Sync + 'static,
        A: Message + Default + Send + Sync + 'static,
    {
        let mut grpc = Grpc::new(self.channel.clone());
        grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let mut request = Request::new(request);
        request.set_timeout(TIMEOUT);
        let codec = ProstCodec::<Q, A>::default();
        grpc.unary(request, PathAndQuery::from_static(path), codec).await.map(Response::into_inner)
    }

    pub(crate) async fn run_pod(&self, config: PodConfig) -> Result<String, Status> {
        let request = RunPodSandbox { config: Some(config) };
        let Id { id } = self.call("/runtime.v1.RuntimeService/RunPodSandbox", request).await?;
        Ok(id)
    }

    pub(crate) async fn stop_pod(&self, id: &str) -> Result<(), Status> {
        let Nothing {} = self.call("/runtime.v1.RuntimeService/StopPodSandbox", Id { id: id.to_owned() }).await?;
        Ok(())
    }

    pub(crate) async fn remove_pod(&self, id: &str) -> Result<(), Status> {
        let Nothing {} = self.call("/runtime.v1.RuntimeService/RemovePodSandbox", Id { id: id.to_owned() }).await?;
        Ok(())
    }

    pub(crate) async fn create_container(
        &self,
        pod_id: &str,
        pod_config: &PodConfig,
        container: NewContainer<'_>,
    ) -> Result<String, Status> {
        let NewContainer { name, image, command, labels, annotations, resources } = container;
        let security = ContainerSecurity { namespace_options: Some(NamespaceOptions::HOST_NETWORK) };
        let config = ContainerConfig {
            metadata: Some(ContainerMetadata { name: name.to_owned() }),
            image: Some(ImageSpec { image: image.to_owned() }),
            command: command.iter().map(|&word| word.to_owned()).collect(),
            labels: texts(labels),
            annotations: texts(annotations),
            linux: Some(LinuxContainer { resources, security_context: Some(security) }),
        };
        let request =
            CreateContainer { pod_id: pod_id.to_owned(), config: Some(config), pod_config: Some(pod_config.clone()) };
        let Id { id } = self.call("/runtime.v1.RuntimeService/CreateContainer", request).await?;
        Ok(id)
    }

    pub(crate) async fn start_container(&self, id: &str) -> Result<(), Status> {
        let Nothing {} = self.call("/runtime.v1.RuntimeService/StartContainer", Id { id: id.to_owned() }).await?;
        Ok(())
    }

    /// Kills it: without a timeout there is no time for anything else.
    pub(crate) async fn stop_container(&self, id: &str) -> Result<(), Status> {
        let Nothing {} = self.call("/runtime.v1.RuntimeService/StopContainer", Id { id: id.to_owned() }).await?;
        Ok(())
    }

    pub(crate) async fn remove_container(&self, id: &str) -> Result<(), Status> {
        let Nothing {} = self.call("/runtime.v1.RuntimeService/RemoveContainer", Id { id: id.to_owned() }).await?;
        Ok(())
    }

    pub(crate) async fn update_resources(&self, id: &str, resources: Resources) -> Result<(), Status> {
        let request = UpdateResources { id: id.to_owned(), linux: Some(resources) };
        let Nothing {} = self.call("/runtime.v1.RuntimeService/UpdateContainerResources", request).await?;
        Ok(())
    }

    async fn container_status(&self, id: &str) -> Result<ContainerStatus, Status> {
        let request = StatusRequest { id: id.to_owned(), verbose: true };
        self.call("/runtime.v1.RuntimeService/ContainerStatus", request).await
    }

    pub(crate) async fn has_exited(&self, id: &str) -> Result<bool, Status> {
        Ok(self.container_status(id).await?.status.is_some_and(|status| status.state == EXITED))
    }

    /// What the runtime itself says of a container, as JSON.
    pub(crate) async fn container_info(&self, id: &str) -> Result<serde_json::Value, Status> {
        let status = self.container_status(id).await?;
        let info = status.info.get("info").map_or("null", String::as_str);
        serde_json::from_str(info).map_err(|error| Status::internal(error.to_string()))
    }

    /// Whether the runtime has an image; an error where it does not serve (yet).
    pub(crate) async fn has_image(&self, image: &str) -> Result<bool, Status> {
        let request = ImageStatusRequest { image: Some(ImageSpec { image: image.to_owned() }) };
        let status: ImageStatus = self.call("/runtime.v1.ImageService/ImageStatus", request).await?;
        Ok(status.image.is_some())
    }
}

pub(crate) fn texts(texts: &[(&str, &str)]) -> HashMap<String, String> {
    texts.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
}
