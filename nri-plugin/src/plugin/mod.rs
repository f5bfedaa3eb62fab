//! What a plugin is: one async method per event.
//!
//! A plugin writes the methods for the events that it wants, and nothing else: the subscription is read from its type
//! ([`handled_events`]), clipped to what the runtime knows, and never the 0 that would mean all events.
//!
//! A runtime waits for each answer, for two seconds by default, and with it all other plugins and the pod. A handler that
//! fails, panics or takes too long therefore answers as if it had wanted nothing, and is counted, unless the plugin is an
//! [`Role::Enforcer`].

mod configuration;
mod dispatch;
mod guard;
mod identity;
mod known;
mod subscription;
mod synchronize;

use std::error::Error;
use std::future::ready;

pub use self::configuration::{BadConfiguration, Configuration};
pub use self::dispatch::Refusal;
pub(crate) use self::dispatch::{Dispatch, Progress};
pub use self::guard::Role;
pub(crate) use self::guard::{in_handler, tell_lost};
pub use self::identity::{BadIdentity, Identity};
pub(crate) use self::known::Known;
pub use self::known::Vanished;
pub use self::subscription::{NotHandled, handled_events};
pub use self::synchronize::SyncLimits;
use crate::api::{
    Container, ContainerUpdate, CreateContainerResponse, EventMask, LinuxResources, PodSandbox,
    ValidateContainerAdjustmentRequest, ValidateContainerAdjustmentResponse,
};
use crate::connector::AttemptError;

/// Why a handler failed: any error.
pub type HandlerError = Box<dyn Error + Send + Sync>;

/// What a handler answers.
pub type Answer<T> = Result<T, HandlerError>;

/// A plugin. Each method is an event; those that are not written are not subscribed to.
///
/// What a runtime leaves out of a message is empty here. Handlers are called one after another by all known runtimes but
/// for validation; what a handler does beyond its answer goes on in a task of its own. A handler whose time is over is
/// dropped at its `.await`.
///
/// Methods are written as `async fn`:
///
/// ```
/// use nri_plugin::api::{Container, PodSandbox};
/// use nri_plugin::{Answer, Plugin};
///
/// struct Starts;
///
/// impl Plugin for Starts {
///     async fn start_container(&self, pod: PodSandbox, container: Container) -> Answer<()> {
///         println!("{}/{}/{}: {}", pod.namespace, pod.name, container.name, container.pid);
///         Ok(())
///     }
/// }
/// ```
pub trait Plugin: Send + Sync + 'static {
    /// The runtime introduces itself. The answer is the events that are wanted: all that are there for the plugin
    /// ([`Configuration::events`]) or fewer of them. An error, or none at all, ends the session.
    fn configure(&self, configuration: Configuration) -> impl Future<Output = Answer<EventMask>> + Send {
        ready(Ok(configuration.events))
    }

    /// All pods and containers that exist when the plugin joins, however many messages they came in. The answer is
    /// changes to them. This is no event: a plugin that has no other method subscribes to nothing, and is refused.
    fn synchronize(
        &self,
        pods: Vec<PodSandbox>,
        containers: Vec<Container>,
    ) -> impl Future<Output = Answer<Vec<ContainerUpdate>>> + Send {
        NotHandled::drop((pods, containers))
    }

    /// The connection is lost, and will be [made anew](crate::Connector): the runtime restarts, or has dropped the plugin.
    /// What happens until the plugin has joined again is not told. Not called for a session without a connector.
    fn lost(&self, why: AttemptError) -> impl Future<Output = Answer<()>> + Send {
        NotHandled::drop(why)
    }

    /// The plugin was connected anew: what it was told of before and is gone. [`synchronize`](Self::synchronize) follows
    /// with all that is there; the runtime waits for both together. Not called for a session without a connector.
    ///
    /// Who writes it subscribes to removals of pods and containers as well, by which the connector forgets.
    fn resynchronize(&self, vanished: Vanished) -> impl Future<Output = Answer<()>> + Send {
        NotHandled::drop(vanished)
    }

    /// The runtime asks the plugin to end. No known runtime does: they close the connection.
    fn shutdown(&self) -> impl Future<Output = Answer<()>> + Send {
        NotHandled::drop(())
    }

    /// A pod starts; its pause process and its cgroup are there.
    fn run_pod_sandbox(&self, pod: PodSandbox) -> impl Future<Output = Answer<()>> + Send {
        NotHandled::drop(pod)
    }

    /// A pod is about to get other resources; since NRI 0.10.
    fn update_pod_sandbox(
        &self,
        pod: PodSandbox,
        overhead: LinuxResources,
        resources: LinuxResources,
    ) -> impl Future<Output = Answer<()>> + Send {
        NotHandled::drop((pod, overhead, resources))
    }

    /// A pod got other resources; since NRI 0.10.
    fn post_update_pod_sandbox(&self, pod: PodSandbox) -> impl Future<Output = Answer<()>> + Send {
        NotHandled::drop(pod)
    }

    /// A pod stops. Its pid is 0, and its cgroup gone or going.
    fn stop_pod_sandbox(&self, pod: PodSandbox) -> impl Future<Output = Answer<()>> + Send {
        NotHandled::drop(pod)
    }

    /// A pod is removed.
    fn remove_pod_sandbox(&self, pod: PodSandbox) -> impl Future<Output = Answer<()>> + Send {
        NotHandled::drop(pod)
    }

    /// A container is about to be created. The answer is how, and changes to other containers. Its cgroup is not there.
    fn create_container(
        &self,
        pod: PodSandbox,
        container: Container,
    ) -> impl Future<Output = Answer<CreateContainerResponse>> + Send {
        NotHandled::drop((pod, container))
    }

    /// A container was created. Its cgroup is not there.
    fn post_create_container(&self, pod: PodSandbox, container: Container) -> impl Future<Output = Answer<()>> + Send {
        NotHandled::drop((pod, container))
    }

    /// A container is about to start; its process and its cgroup are there.
    fn start_container(&self, pod: PodSandbox, container: Container) -> impl Future<Output = Answer<()>> + Send {
        NotHandled::drop((pod, container))
    }

    /// A container started.
    fn post_start_container(&self, pod: PodSandbox, container: Container) -> impl Future<Output = Answer<()>> + Send {
        NotHandled::drop((pod, container))
    }

    /// A container is about to get other resources. The answer is changes; one to the container itself supersedes what
    /// was asked for.
    fn update_container(
        &self,
        pod: PodSandbox,
        container: Container,
        resources: LinuxResources,
    ) -> impl Future<Output = Answer<Vec<ContainerUpdate>>> + Send {
        NotHandled::drop((pod, container, resources))
    }

    /// A container got other resources.
    fn post_update_container(&self, pod: PodSandbox, container: Container) -> impl Future<Output = Answer<()>> + Send {
        NotHandled::drop((pod, container))
    }

    /// A container stops, or has exited by itself; its cgroup is still there. The answer is changes to others.
    fn stop_container(
        &self,
        pod: PodSandbox,
        container: Container,
    ) -> impl Future<Output = Answer<Vec<ContainerUpdate>>> + Send {
        NotHandled::drop((pod, container))
    }

    /// A container is removed. Its cgroup is gone.
    fn remove_container(&self, pod: PodSandbox, container: Container) -> impl Future<Output = Answer<()>> + Send {
        NotHandled::drop((pod, container))
    }

    /// All plugins have adjusted a container: may it be created so? Since NRI 0.10. Unlike the others, it may be called
    /// for several containers at once.
    fn validate_container_adjustment(
        &self,
        request: ValidateContainerAdjustmentRequest,
    ) -> impl Future<Output = Answer<ValidateContainerAdjustmentResponse>> + Send {
        NotHandled::drop(request)
    }
}
