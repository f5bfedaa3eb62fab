//! The built-in resources: one file each, with the family table and the walk.
//!
//! Names, types, labels and values are kube-state-metrics' (v2.20); the help texts are our own.

mod amounts;
mod cronjobs;
mod daemonsets;
mod deployments;
mod jobs;
mod leases;
mod namespaces;
mod nodes;
mod owners;
mod pods;
mod replicasets;
mod services;
mod statefulsets;

use std::borrow::Cow;

use k8s_openapi::api::apps::v1 as apps;
use k8s_openapi::api::batch::v1 as batch;
use k8s_openapi::api::coordination::v1 as coordination;
use k8s_openapi::api::core::v1;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::Resource as KubeResource;
use serde::de::DeserializeOwned;

use crate::resource::Resource;

/// A Kubernetes kind that this crate has families for.
pub trait Builtin:
    KubeResource<DynamicType = ()> + DeserializeOwned + Clone + std::fmt::Debug + Send + Sync + 'static
{
    /// Its table and walk.
    const RESOURCE: Resource<Self>;
    /// Whether it is watched when no resources are named.
    const DEFAULT: bool = true;
}

macro_rules! builtins {
    ($($kind:ty => $module:ident;)+) => {
        $(impl Builtin for $kind {
            const RESOURCE: Resource<Self> = $module::RESOURCE;
        })+

        /// Calls a visitor with every built-in kind, in alphabetical order of their resource names.
        pub fn for_each_builtin<V: BuiltinVisitor>(visitor: &mut V) {
            $(visitor.visit::<$kind>();)+
        }
    };
}

/// What [`for_each_builtin`] calls: a generic closure.
pub trait BuiltinVisitor {
    /// One built-in kind.
    fn visit<K: Builtin>(&mut self);
}

builtins! {
    batch::CronJob => cronjobs;
    apps::DaemonSet => daemonsets;
    apps::Deployment => deployments;
    batch::Job => jobs;
    coordination::Lease => leases;
    v1::Namespace => namespaces;
    v1::Node => nodes;
    v1::Pod => pods;
    apps::ReplicaSet => replicasets;
    v1::Service => services;
    apps::StatefulSet => statefulsets;
}

/// The spec or status of an object; where there is none, an empty one, which upstream (whose structs are never absent)
/// reads then. Whether a spec is optional differs between versions of the Kubernetes API.
fn part<'a, T: Clone + Default>(part: impl Into<Option<&'a T>>) -> Cow<'a, T> {
    part.into().map_or_else(|| Cow::Owned(T::default()), Cow::Borrowed)
}

/// A text that may be missing. Whether a field is optional differs between versions of the Kubernetes API.
trait Text {
    /// The text; empty where there is none.
    fn text(&self) -> &str;
}

impl Text for String {
    fn text(&self) -> &str {
        self
    }
}

impl Text for Option<String> {
    fn text(&self) -> &str {
        self.as_deref().unwrap_or_default()
    }
}

fn instant(time: Option<&Time>) -> Option<&Timestamp> {
    time.map(|time| &time.0)
}

/// Says that a value can't be read: its sample is left out, all others of the object are kept.
fn bad_value(resource: &'static str, field: &str, value: &str, why: &dyn std::fmt::Display) {
    metrics::counter!("ksm_core_bad_values_total", "resource" => resource).increment(1);
    tracing::debug!(resource, field, value, %why, "value left out: it can't be read");
}
