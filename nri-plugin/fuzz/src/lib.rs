//! What the targets share: time that passes at once, frames, and a plugin that handles every event.

use std::sync::Arc;
use std::time::Duration;

use nri_plugin::api::{
    Container, ContainerUpdate, CreateContainerResponse, EventMask, LinuxResources, PodSandbox,
    ValidateContainerAdjustmentRequest, ValidateContainerAdjustmentResponse,
};
use nri_plugin::{Answer, Configuration, Identity, Plugin, Session, SessionBuilder, Vanished};

/// Runs it on a clock that stands still until everybody waits; what takes longer than an hour of that hangs.
pub fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let hour = Duration::from_secs(3600);
    runtime.expect("a runtime").block_on(async { tokio::time::timeout(hour, work).await.expect("it hangs") })
}

/// A frame of the multiplexer.
pub fn frame(connection: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("inputs are short");
    [&connection.to_be_bytes()[..], &length.to_be_bytes(), payload].concat()
}

/// A message of ttrpc.
pub fn message(stream: u32, kind: u8, data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(data.len()).expect("inputs are short");
    [&length.to_be_bytes()[..], &stream.to_be_bytes(), &[kind, 0], data].concat()
}

/// Handles everything, and looks at what it is given.
pub struct All;

macro_rules! looks_at {
    ($($method:ident($($argument:ident: $type:ty),+) -> $answer:ty;)+) => {
        $(async fn $method(&self, $($argument: $type),+) -> Answer<$answer> {
            $(let _ = format!("{:?}", $argument);)+
            Ok(Default::default())
        })+
    };
}

impl Plugin for All {
    async fn configure(&self, configuration: Configuration) -> Answer<EventMask> {
        let _ = configuration.json::<serde_json::Value>();
        let _ = configuration.toml::<serde_json::Value>();
        let _ = configuration.yaml::<serde_json::Value>();
        Ok(configuration.events)
    }

    looks_at! {
        synchronize(pods: Vec<PodSandbox>, containers: Vec<Container>) -> Vec<ContainerUpdate>;
        resynchronize(vanished: Vanished) -> ();
        run_pod_sandbox(pod: PodSandbox) -> ();
        update_pod_sandbox(pod: PodSandbox, overhead: LinuxResources, resources: LinuxResources) -> ();
        post_update_pod_sandbox(pod: PodSandbox) -> ();
        stop_pod_sandbox(pod: PodSandbox) -> ();
        remove_pod_sandbox(pod: PodSandbox) -> ();
        create_container(pod: PodSandbox, container: Container) -> CreateContainerResponse;
        post_create_container(pod: PodSandbox, container: Container) -> ();
        start_container(pod: PodSandbox, container: Container) -> ();
        post_start_container(pod: PodSandbox, container: Container) -> ();
        update_container(pod: PodSandbox, container: Container, resources: LinuxResources) -> Vec<ContainerUpdate>;
        post_update_container(pod: PodSandbox, container: Container) -> ();
        stop_container(pod: PodSandbox, container: Container) -> Vec<ContainerUpdate>;
        remove_container(pod: PodSandbox, container: Container) -> ();
        validate_container_adjustment(request: ValidateContainerAdjustmentRequest) ->
            ValidateContainerAdjustmentResponse;
    }
}

/// A session of it.
pub fn session() -> SessionBuilder<All> {
    Session::builder(Identity::new("10", "fuzzed").expect("an identity"), Arc::new(All))
}
