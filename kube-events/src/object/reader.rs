//! Reads of objects' metadata from the API server, in their turn and in time.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Client;
use kube::core::request::Error;
use metrics::counter;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use super::LookupError;
use super::limit::Limit;
use super::mapping::{Mapping, Resource};
use crate::api::{ApiError, call};
use crate::event::ObjectReference;
use crate::telemetry::{self, Counted};

/// Metadata alone, from servers that know that form (all since 1.15); whole objects from others.
const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";
/// The longest object that is read: etcd takes none that is longer.
const MAX_OBJECT: usize = 4 << 20;
/// What may stand in a path as it is.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b':');

pub(super) struct Reader {
    client: Client,
    mapping: Mapping,
    limit: Limit,
    permits: Semaphore,
    deadline: Duration,
}

#[derive(Deserialize)]
struct Object {
    #[serde(default)]
    metadata: ObjectMeta,
}

impl Reader {
    pub(super) fn new(client: Client, limit: Limit, concurrency: usize, deadline: Duration) -> Self {
        let mapping = Mapping::new(client.clone(), deadline);
        let permits = Semaphore::new(concurrency.clamp(1, Semaphore::MAX_PERMITS));
        Self { client, mapping, limit, permits, deadline }
    }

    /// An object's metadata; none if there is no such object.
    pub(super) async fn read(&self, reference: &ObjectReference) -> Result<Option<ObjectMeta>, LookupError> {
        let _in_flight = Counted::new(telemetry::OBJECT_IN_FLIGHT);
        let deadline = Instant::now() + self.deadline;
        let resolved = timeout_at(deadline, self.mapping.resolve(&reference.api_version, &reference.kind)).await;
        let late = |_| ApiError::Timeout { what: "get APIResourceList", after: self.deadline };
        let resource = resolved.map_err(late)??;
        let turn = async {
            let permit = self.permits.acquire().await;
            self.limit.turn().await;
            permit
        };
        // The semaphore is never closed; what it gives is kept until the object is there.
        let _permit = timeout_at(deadline, turn).await.map_err(|_| LookupError::Throttled)?;
        loop {
            let error = match self.get(reference, &resource, deadline).await {
                Ok(meta) => return Ok(Some(meta)),
                Err(error) if error.code() == Some(404) => return Ok(None),
                Err(error) => error,
            };
            // A server that says when to come back is obeyed, by all look-ups.
            let Some(pause) = error.retry_after().filter(|_| matches!(error.code(), Some(429 | 503))) else {
                return Err(error.into());
            };
            if self.limit.hold_back(pause) >= deadline {
                return Err(error.into());
            }
            timeout_at(deadline, self.limit.turn()).await.map_err(|_| LookupError::Throttled)?;
        }
    }

    async fn get(
        &self,
        reference: &ObjectReference,
        resource: &Resource,
        deadline: Instant,
    ) -> Result<ObjectMeta, ApiError> {
        counter!(telemetry::CACHE_MISSES).increment(1);
        let request = http::Request::get(path(reference, resource)).header(http::header::ACCEPT, METADATA);
        let request = request.body(Vec::new()).map_err(Error::BuildRequest);
        let left = deadline.saturating_duration_since(Instant::now());
        let object: Object = call(&self.client, "get object", request, left, MAX_OBJECT).await?;
        Ok(object.metadata)
    }
}

fn path(reference: &ObjectReference, resource: &Resource) -> String {
    let encode = |text| utf8_percent_encode(text, SEGMENT);
    let Resource { root, plural, namespaced } = resource;
    // An event about what has no namespace is in one nevertheless, and may name it.
    let namespace = if *namespaced && !reference.namespace.is_empty() {
        format!("/namespaces/{}", encode(&reference.namespace))
    } else {
        String::new()
    };
    format!("{root}{namespace}/{}/{}", encode(plural), encode(&reference.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_hold_names_and_nothing_else() {
        let pods = Resource { root: "/api/v1".into(), plural: "pods".into(), namespaced: true };
        let nodes = Resource { root: "/api/v1".into(), plural: "nodes".into(), namespaced: false };
        let reference = |namespace: &str, name: &str| ObjectReference {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            ..ObjectReference::default()
        };
        assert_eq!(path(&reference("a", "web-0"), &pods), "/api/v1/namespaces/a/pods/web-0");
        assert_eq!(path(&reference("default", "node-1"), &nodes), "/api/v1/nodes/node-1");
        assert_eq!(path(&reference("a", "x?watch=1#ü"), &pods), "/api/v1/namespaces/a/pods/x%3Fwatch%3D1%23%C3%BC");
        assert_eq!(path(&reference("", "system:node"), &nodes), "/api/v1/nodes/system:node");
    }
}
