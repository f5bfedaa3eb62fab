//! Marks in an annotation of a Lease.

use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue};
use kube::Client;
use kube::api::{GetParams, Patch};
use kube::core::Request;
use kube::core::request::Error;
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Value, json};

use super::object::{ATTEMPTS, MAX_OBJECT, count_conflict, marks, to_create, to_patch};
use super::{Checkpoint, CheckpointError, Marks, encode};
use crate::api::{ApiError, call};

/// Marks in an annotation of a Lease: that of the [leader](crate::leader), so that an election needs no second object, or
/// one of its own, which is made where it is missing. All else in it stays as it is.
///
/// A write names the text that it replaces, and not the version of the Lease, which changes with each renewal: so it is
/// refused only where somebody else has written a position meanwhile. That is counted
/// (`kube_events_checkpoint_stores_total{result="conflict"}`), and replaced: see [`Checkpoint`]. A candidate that reads the
/// Lease before such a write, and renews it after, is refused and tries again: in Go as here. What others
/// measure of a leader's life is the Lease's `spec`, which a write leaves alone.
///
/// All annotations of an object together are 256 KiB at most: enough for the positions of some two thousand namespaces.
///
/// Rights: `get` and `patch` on the Lease by its name, and `create` on Leases in its namespace, unless it is there
/// already.
///
/// ```
/// use kube_events::checkpoint::LeaseAnnotation;
/// use kube_events::pipeline::{ElectionOptions, PipelineBuilder};
///
/// fn one_of_several(builder: PipelineBuilder, client: kube::Client, pod: &str) -> PipelineBuilder {
///     builder
///         .election(ElectionOptions::new("monitoring", "kube-events", pod))
///         .checkpoint(LeaseAnnotation::new(client, "monitoring", "kube-events"))
/// }
/// ```
pub struct LeaseAnnotation {
    client: Client,
    namespace: String,
    name: String,
    key: String,
    deadline: Duration,
    /// The Lease as it was read or written last.
    known: Mutex<Option<Known>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    version: Option<String>,
    text: Option<String>,
}

impl std::fmt::Debug for LeaseAnnotation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LeaseAnnotation").field("place", &self.place()).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Object {
    metadata: Meta,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta {
    resource_version: Option<String>,
    #[serde(default)]
    annotations: Option<std::collections::BTreeMap<String, String>>,
}

impl LeaseAnnotation {
    /// The annotation `kube-events/position` of this Lease.
    pub fn new(client: Client, namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            client,
            namespace: namespace.into(),
            name: name.into(),
            key: "kube-events/position".to_owned(),
            deadline: Duration::from_secs(10),
            known: Mutex::new(None),
        }
    }

    /// Another annotation than `kube-events/position`.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = key.into();
        self
    }

    /// What each request may take; 10 s by default.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    fn place(&self) -> String {
        format!("annotation {} of Lease {}/{}", self.key, self.namespace, self.name)
    }

    fn request(&self) -> Request {
        Request::new(format!("/apis/coordination.k8s.io/v1/namespaces/{}/leases", self.namespace))
    }

    async fn call(
        &self,
        what: &'static str,
        request: Result<http::Request<Vec<u8>>, Error>,
    ) -> Result<Known, ApiError> {
        let object: Object = call(&self.client, what, request, self.deadline, MAX_OBJECT).await?;
        let Meta { resource_version: version, annotations } = object.metadata;
        let text = annotations.and_then(|mut annotations| annotations.remove(&self.key));
        let known = Known { version, text };
        *self.known.lock() = Some(known.clone());
        Ok(known)
    }

    async fn get(&self) -> Result<Option<Known>, ApiError> {
        match self.call("get Lease", self.request().get(&self.name, &GetParams::default())).await {
            Ok(known) => Ok(Some(known)),
            Err(error) if error.is(StatusCode::NOT_FOUND) => {
                *self.known.lock() = None;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// A Lease that nobody holds.
    async fn create(&self, text: &str) -> Result<Known, ApiError> {
        let object = json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": self.name, "namespace": self.namespace, "annotations": {&self.key: text}}, "spec": {},
        });
        self.call("create Lease", self.request().create(&to_create(), object.to_string().into_bytes())).await
    }

    /// Replaces a text whatever the version; adds one to the version that had none.
    async fn patch(&self, text: &str, known: &Known) -> Result<Known, ApiError> {
        let request = if let Some(before) = &known.text {
            let path = format!("/metadata/annotations/{}", self.key.replace('/', "~1"));
            let patch = json!([
                {"op": "test", "path": path, "value": before},
                {"op": "replace", "path": path, "value": text},
            ]);
            self.patch_request(&patch).map(|mut request| {
                let json_patch = HeaderValue::from_static("application/json-patch+json");
                request.headers_mut().insert(CONTENT_TYPE, json_patch);
                request
            })
        } else {
            let metadata = json!({"resourceVersion": known.version, "annotations": {&self.key: text}});
            self.patch_request(&json!({"metadata": metadata}))
        };
        self.call("patch Lease", request).await
    }

    fn patch_request(&self, patch: &Value) -> Result<http::Request<Vec<u8>>, Error> {
        self.request().patch(&self.name, &to_patch(), &Patch::Merge(patch))
    }
}

impl Checkpoint for LeaseAnnotation {
    fn load(&self) -> BoxFuture<'_, Result<Option<Marks>, CheckpointError>> {
        async {
            let Some(text) = self.get().await?.and_then(|known| known.text) else { return Ok(None) };
            marks(|| self.place(), &text).map(Some)
        }
        .boxed()
    }

    fn store<'a>(&'a self, marks: &'a Marks) -> BoxFuture<'a, Result<(), CheckpointError>> {
        async {
            let text = encode(|| self.place(), marks)?;
            for _ in 0..ATTEMPTS {
                let known = self.known.lock().clone();
                let written = match &known {
                    Some(known) => self.patch(&text, known).await,
                    None => self.create(&text).await,
                };
                match written {
                    Ok(_) => return Ok(()),
                    // Another text (422), or another version of a Lease without one (409): somebody else has written,
                    // made or deleted it. What is refused otherwise (422) is refused again.
                    Err(error) if error.is(StatusCode::CONFLICT) || error.is(StatusCode::UNPROCESSABLE_ENTITY) => {
                        let found = self.get().await?.and_then(|found| found.text);
                        if found != known.and_then(|known| known.text) {
                            count_conflict(&self.place());
                        } else if error.is(StatusCode::UNPROCESSABLE_ENTITY) {
                            return Err(error.into());
                        }
                    }
                    Err(error) if error.is(StatusCode::NOT_FOUND) => *self.known.lock() = None,
                    Err(error) => return Err(error.into()),
                }
            }
            Err(CheckpointError::Contended { place: self.place(), attempts: ATTEMPTS })
        }
        .boxed()
    }
}
