//! Which events a plugin handles, read from its type.

use std::any::TypeId;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::{Answer, Plugin};
use crate::api::{Event, EventMask};

/// What the methods of [`Plugin`] return by default: an empty answer, and a type that says that there is no handler.
///
/// A method that a plugin writes returns another type, so the set of handled events is a property of the plugin's type:
/// nothing is to be listed twice, and nothing is called to find it out. A plugin that passes a call on to another one
/// handles it, whatever that one does.
pub struct NotHandled<T>(PhantomData<fn() -> T>);

impl<T> NotHandled<T> {
    /// Drops what there is no handler for.
    pub(super) fn drop<A>(_arguments: A) -> Self {
        Self(PhantomData)
    }
}

impl<T: Default> Future for NotHandled<T> {
    type Output = Answer<T>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(Ok(T::default()))
    }
}

impl<T> std::fmt::Debug for NotHandled<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NotHandled")
    }
}

/// A method of a plugin.
trait Handler<Arguments> {
    /// Whether it returns something else than [`NotHandled`].
    fn handles(self) -> bool;
}

fn is_handler<F: Future<Output = Answer<T>> + 'static, T: 'static>() -> bool {
    TypeId::of::<F>() != TypeId::of::<NotHandled<T>>()
}

impl<M, P: 'static, A, F, T: 'static> Handler<(P, A)> for M
where
    M: FnOnce(&'static P, A) -> F,
    F: Future<Output = Answer<T>> + 'static,
{
    fn handles(self) -> bool {
        is_handler::<F, T>()
    }
}

impl<M, P: 'static, A, B, F, T: 'static> Handler<(P, A, B)> for M
where
    M: FnOnce(&'static P, A, B) -> F,
    F: Future<Output = Answer<T>> + 'static,
{
    fn handles(self) -> bool {
        is_handler::<F, T>()
    }
}

impl<M, P: 'static, A, B, C, F, T: 'static> Handler<(P, A, B, C)> for M
where
    M: FnOnce(&'static P, A, B, C) -> F,
    F: Future<Output = Answer<T>> + 'static,
{
    fn handles(self) -> bool {
        is_handler::<F, T>()
    }
}

/// The events for which a plugin has a handler.
///
/// ```
/// use nri_plugin::api::{Container, Event, EventMask, PodSandbox};
/// use nri_plugin::{Answer, Plugin, handled_events};
///
/// struct Starts;
///
/// impl Plugin for Starts {
///     async fn start_container(&self, _: PodSandbox, _: Container) -> Answer<()> {
///         Ok(())
///     }
/// }
///
/// assert_eq!(handled_events::<Starts>(), EventMask::of(Event::StartContainer));
/// ```
pub fn handled_events<P: Plugin>() -> EventMask {
    let handled = |event| match event {
        Event::RunPodSandbox => P::run_pod_sandbox.handles(),
        Event::UpdatePodSandbox => P::update_pod_sandbox.handles(),
        Event::PostUpdatePodSandbox => P::post_update_pod_sandbox.handles(),
        Event::StopPodSandbox => P::stop_pod_sandbox.handles(),
        Event::RemovePodSandbox => P::remove_pod_sandbox.handles(),
        Event::CreateContainer => P::create_container.handles(),
        Event::PostCreateContainer => P::post_create_container.handles(),
        Event::StartContainer => P::start_container.handles(),
        Event::PostStartContainer => P::post_start_container.handles(),
        Event::UpdateContainer => P::update_container.handles(),
        Event::PostUpdateContainer => P::post_update_container.handles(),
        Event::StopContainer => P::stop_container.handles(),
        Event::RemoveContainer => P::remove_container.handles(),
        Event::ValidateContainerAdjustment => P::validate_container_adjustment.handles(),
        Event::Unknown | Event::Last => false,
    };
    EventMask::ALL.iter().filter(|event| handled(*event)).collect()
}

/// Whether a plugin wants to know what vanished while it was not connected.
pub(super) fn resynchronizes<P: Plugin>() -> bool {
    P::resynchronize.handles()
}
