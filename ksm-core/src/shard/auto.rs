//! Ordinal and total by StatefulSet: the pod's number is the ordinal, the replicas are the total.
//!
//! The StatefulSet is found through the controller of this pod, and watched alone (field selector `metadata.name`). The
//! replicas of its `spec` count, as in kube-state-metrics: scaling takes effect at once, not when the last pod is ready.
//! So a [handover time](super::Sharding::handover) that is longer than a new pod needs to start and to list keeps the
//! scaling without a gap; where pods take minutes to start, give minutes.
//!
//! ```no_run
//! use ksm_core::shard::auto::AutoShard;
//! use ksm_core::{Ksm, Sharding};
//!
//! # async fn example(client: kube::Client) -> Result<(), Box<dyn std::error::Error>> {
//! // From the downward API: metadata.namespace and metadata.name.
//! let auto = AutoShard::find(client.clone(), &std::env::var("POD_NAMESPACE")?, &std::env::var("POD_NAME")?).await?;
//! let ksm = Ksm::builder()
//!     .client(client)
//!     .sharding(Sharding::new(auto.shard()))
//!     .follow_shards(auto.into_stream())
//!     .default_resources()?
//!     .spawn()?;
//! # drop(ksm);
//! # Ok(())
//! # }
//! ```
//!
//! # Rights
//!
//! In the pod's own namespace: `get` on `pods`, `list` and `watch` on `statefulsets` of the group `apps`. A Role does:
//!
//! ```yaml
//! rules:
//!   - {apiGroups: [""], resources: [pods], verbs: [get]}
//!   - {apiGroups: [apps], resources: [statefulsets], verbs: [list, watch]}
//! ```

use std::fmt;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, TryStreamExt};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::core::{ApiResource, DynamicObject};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use thiserror::Error;

use super::Shard;

/// Why a pod's shard can't be told. What may pass (the API server is away, a right is missing yet) is no error: it is
/// tried again, and logged.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum AutoShardError {
    /// There is no such pod.
    #[error(
        "there is no pod {name:?} in namespace {namespace:?}: give this pod's own name and namespace, by the downward API"
    )]
    NoPod {
        /// The namespace as it was given.
        namespace: String,
        /// The name as it was given.
        name: String,
    },
    /// The pod is controlled by something else, or by nothing.
    #[error(
        "pod {pod:?} is controlled by {controller}, not by a StatefulSet: deploy a StatefulSet, or give the shard and the total of shards yourself"
    )]
    NoStatefulSet {
        /// The pod's name.
        pod: String,
        /// Its controller's kind and name, or `nothing`.
        controller: String,
    },
    /// The pod's name is not the StatefulSet's with a number.
    #[error("pod {pod:?} has no number: its name is not {stateful_set:?} with a dash and a number")]
    NoOrdinal {
        /// The pod's name.
        pod: String,
        /// The StatefulSet's name.
        stateful_set: String,
    },
}

/// The shard that a pod of a StatefulSet is.
pub struct AutoShard {
    shard: Shard,
    rest: BoxStream<'static, Shard>,
}

impl fmt::Debug for AutoShard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AutoShard").field("shard", &self.shard).finish_non_exhaustive()
    }
}

impl AutoShard {
    /// Finds the StatefulSet of a pod, and waits for its replicas. Goes on trying while the API server can't be reached,
    /// and while there are no more replicas than the pod's number (it is about to be removed).
    pub async fn find(client: Client, namespace: &str, pod: &str) -> Result<Self, AutoShardError> {
        let controller = controller_of(&client, namespace, pod).await?;
        let number = number_of(pod, controller.as_ref())?;
        let name = controller.map(|owner| owner.name).unwrap_or_default();
        let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
        // Two numbers are read of it; the typed object differs between Kubernetes versions.
        let resource = ApiResource::erase::<StatefulSet>(&());
        let sets = Api::<DynamicObject>::namespaced_with(client, namespace, &resource);
        let sets = watcher(sets, config).default_backoff();
        let mut shards = shards_of(sets, number).boxed();
        // The watcher goes on for ever.
        let Some(shard) = shards.next().await else { return std::future::pending().await };
        Ok(Self { shard, rest: shards })
    }

    /// The shard that the pod is now.
    pub fn shard(&self) -> Shard {
        self.shard
    }

    /// The shards that it becomes, as the StatefulSet is scaled; for
    /// [`KsmBuilder::follow_shards`](crate::KsmBuilder::follow_shards).
    ///
    /// While there are no more replicas than the pod's number, or no StatefulSet, the pod is about to be removed: it
    /// stays the shard that it was.
    pub fn into_stream(self) -> impl Stream<Item = Shard> + Send + 'static {
        self.rest
    }
}

/// The controller of a pod, asked for until there is an answer.
async fn controller_of(client: &Client, namespace: &str, pod: &str) -> Result<Option<OwnerReference>, AutoShardError> {
    let pods = Api::<Pod>::namespaced(client.clone(), namespace);
    let longest = Duration::from_secs(30);
    let mut pauses = ExponentialBuilder::default().with_max_delay(longest).with_jitter().without_max_times().build();
    loop {
        match pods.get_metadata_opt(pod).await {
            Ok(Some(found)) => {
                let mut owners = found.metadata.owner_references.into_iter().flatten();
                return Ok(owners.find(|owner| owner.controller == Some(true)));
            }
            Ok(None) => return Err(AutoShardError::NoPod { namespace: namespace.to_owned(), name: pod.to_owned() }),
            Err(error) => {
                tracing::warn!(namespace, pod, %error, "this pod can't be read yet, will be tried again: it needs `get` on pods");
                tokio::time::sleep(pauses.next().unwrap_or(longest)).await;
            }
        }
    }
}

/// The number in the name of a StatefulSet's pod.
fn number_of(pod: &str, controller: Option<&OwnerReference>) -> Result<u32, AutoShardError> {
    let Some(set) = controller.filter(|owner| owner.kind == "StatefulSet" && owner.api_version.starts_with("apps/"))
    else {
        let controller =
            controller.map_or_else(|| "nothing".to_owned(), |owner| format!("{} {:?}", owner.kind, owner.name));
        return Err(AutoShardError::NoStatefulSet { pod: pod.to_owned(), controller });
    };
    let number = pod.strip_prefix(&set.name).and_then(|rest| rest.strip_prefix('-'));
    let number = number.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    number
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| AutoShardError::NoOrdinal { pod: pod.to_owned(), stateful_set: set.name.clone() })
}

/// The shards that pod `number` is while its StatefulSet changes, each once in a row.
fn shards_of<E: fmt::Display>(
    sets: impl Stream<Item = Result<watcher::Event<DynamicObject>, E>> + Send,
    number: u32,
) -> impl Stream<Item = Shard> + Send {
    let mut last: Option<Shard> = None;
    sets.inspect_err(|error| {
        tracing::warn!(%error, "the StatefulSet can't be watched, will be tried again: it needs `list` and `watch`");
    })
    .filter_map(move |event| {
        let set = match event {
            Ok(watcher::Event::Apply(set) | watcher::Event::InitApply(set)) => Some(set),
            _ => None,
        };
        let shard = set.and_then(|set| shard_in(&set, number)).filter(|shard| last.replace(*shard) != Some(*shard));
        std::future::ready(shard)
    })
}

/// The shard that pod `number` of a StatefulSet is; none where it is one too many.
fn shard_in(set: &DynamicObject, number: u32) -> Option<Shard> {
    let spec = set.data.get("spec")?;
    let replicas = spec.get("replicas").map_or(Some(1), serde_json::Value::as_u64)?;
    // Pods may be numbered from another number than 0.
    let start = spec.pointer("/ordinals/start").map_or(Some(0), serde_json::Value::as_u64)?;
    let ordinal = number.checked_sub(u32::try_from(start).ok()?)?;
    let shard = Shard::new(ordinal, u32::try_from(replicas).ok()?).ok();
    if shard.is_none() {
        tracing::info!(number, replicas, "this pod is beyond its StatefulSet's replicas: it stays what it is");
    }
    shard
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn owner(kind: &str, name: &str) -> OwnerReference {
        let version = if kind == "Node" { "v1" } else { "apps/v1" };
        serde_json::from_value(
            json!({"apiVersion": version, "kind": kind, "name": name, "uid": "u", "controller": true}),
        )
        .unwrap()
    }

    #[test]
    fn a_pods_number_is_behind_its_sets_name() {
        let number = |pod: &str, owner: Option<&OwnerReference>| number_of(pod, owner).map_err(|e| e.to_string());
        let set = owner("StatefulSet", "ksm-0");
        assert_eq!(number("ksm-0-12", Some(&set)), Ok(12));
        for pod in ["ksm-0", "ksm-0-", "ksm-0-x", "ksm-0-+1", "ksm-1-1", "ksm-0-99999999999"] {
            assert!(number(pod, Some(&set)).unwrap_err().contains("has no number"), "{pod}");
        }
        let error = number("p-1", Some(&owner("ReplicaSet", "p"))).unwrap_err();
        assert!(error.contains("ReplicaSet \"p\"") && error.contains("deploy a StatefulSet"), "{error}");
        assert!(number("p-1", None).unwrap_err().contains("controlled by nothing"));
    }

    #[tokio::test]
    async fn replicas_are_followed_and_one_too_many_stays_what_it_is() {
        let set = |spec: serde_json::Value| {
            Ok(watcher::Event::Apply(serde_json::from_value(json!({"metadata": {"name": "s"}, "spec": spec})).unwrap()))
        };
        let events = [
            set(json!({"replicas": 2})),
            Err("away"),
            set(json!({"replicas": 2, "paused": 1})),
            set(json!({"replicas": 3})),
            set(json!({"replicas": 1})),
            set(json!({"replicas": 0})),
            set(json!({"replicas": 3})),
            set(json!({"replicas": 3, "ordinals": {"start": 1}})),
            set(json!({"replicas": -1})),
        ];
        let shards: Vec<String> =
            shards_of(futures::stream::iter(events), 1).map(|shard| shard.to_string()).collect().await;
        assert_eq!(shards, ["1 of 2", "1 of 3", "0 of 3"]);
    }
}
