//! The built-in resources: one file each, with the family table and the walk.
//!
//! Names, types, labels and values are kube-state-metrics' (v2.20); the help texts are our own.

mod namespaces;

use k8s_openapi::api::core::v1;
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
    v1::Namespace => namespaces;
}
