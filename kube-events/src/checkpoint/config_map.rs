//! Marks in a ConfigMap.

use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use http::StatusCode;
use kube::Client;
use kube::api::{GetParams, Patch};
use kube::core::Request;
use kube::core::request::Error;
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::json;

use super::object::{ATTEMPTS, MAX_OBJECT, count_conflict, marks, to_create, to_patch};
use super::{Checkpoint, CheckpointError, Marks, encode};
use crate::api::{ApiError, call};

/// Marks in a key of a ConfigMap, which is made where it is missing. Its other keys stay as they are.
///
/// A write names the version that it replaces. Where somebody else has written meanwhile, that is counted
/// (`kube_events_checkpoint_stores_total{result="conflict"}`), and replaced: see [`Checkpoint`].
///
/// Rights: `get` and `patch` on the ConfigMap by its name, and `create` on ConfigMaps in its namespace, unless it is
/// there already.
pub struct ConfigMap {
    client: Client,
    namespace: String,
    name: String,
    key: String,
    deadline: Duration,
    /// Of the object that was read or written last.
    version: Mutex<Option<String>>,
}

impl std::fmt::Debug for ConfigMap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConfigMap").field("place", &self.place()).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Object {
    metadata: Meta,
    #[serde(default)]
    data: Option<std::collections::BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta {
    resource_version: Option<String>,
}

impl ConfigMap {
    /// The key `position.json` of this ConfigMap.
    pub fn new(client: Client, namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            client,
            namespace: namespace.into(),
            name: name.into(),
            key: "position.json".to_owned(),
            deadline: Duration::from_secs(10),
            version: Mutex::new(None),
        }
    }

    /// Another key than `position.json`.
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
        format!("key {} of ConfigMap {}/{}", self.key, self.namespace, self.name)
    }

    fn request(&self) -> Request {
        Request::new(format!("/api/v1/namespaces/{}/configmaps", self.namespace))
    }

    async fn call(
        &self,
        what: &'static str,
        request: Result<http::Request<Vec<u8>>, Error>,
    ) -> Result<Object, ApiError> {
        let object: Object = call(&self.client, what, request, self.deadline, MAX_OBJECT).await?;
        self.version.lock().clone_from(&object.metadata.resource_version);
        Ok(object)
    }

    async fn get(&self) -> Result<Option<Object>, ApiError> {
        match self.call("get ConfigMap", self.request().get(&self.name, &GetParams::default())).await {
            Ok(object) => Ok(Some(object)),
            Err(error) if error.is(StatusCode::NOT_FOUND) => {
                *self.version.lock() = None;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    async fn create(&self, text: &str) -> Result<Object, ApiError> {
        let object = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": self.name, "namespace": self.namespace}, "data": {&self.key: text},
        });
        self.call("create ConfigMap", self.request().create(&to_create(), object.to_string().into_bytes())).await
    }

    async fn patch(&self, text: &str, version: &str) -> Result<Object, ApiError> {
        let patch = json!({"metadata": {"resourceVersion": version}, "data": {&self.key: text}});
        self.call("patch ConfigMap", self.request().patch(&self.name, &to_patch(), &Patch::Merge(patch))).await
    }
}

impl Checkpoint for ConfigMap {
    fn load(&self) -> BoxFuture<'_, Result<Option<Marks>, CheckpointError>> {
        async {
            let Some(object) = self.get().await? else { return Ok(None) };
            let Some(text) = object.data.and_then(|mut data| data.remove(&self.key)) else { return Ok(None) };
            marks(|| self.place(), &text).map(Some)
        }
        .boxed()
    }

    fn store<'a>(&'a self, marks: &'a Marks) -> BoxFuture<'a, Result<(), CheckpointError>> {
        async {
            let text = encode(|| self.place(), marks)?;
            for _ in 0..ATTEMPTS {
                let version = self.version.lock().clone();
                let written = match version {
                    Some(version) => self.patch(&text, &version).await,
                    None => self.create(&text).await,
                };
                match written {
                    Ok(_) => return Ok(()),
                    // Somebody else has written, made or deleted it.
                    Err(error) if error.is(StatusCode::CONFLICT) => {
                        count_conflict(&self.place());
                        self.get().await?;
                    }
                    Err(error) if error.is(StatusCode::NOT_FOUND) => *self.version.lock() = None,
                    Err(error) => return Err(error.into()),
                }
            }
            Err(CheckpointError::Contended { place: self.place(), attempts: ATTEMPTS })
        }
        .boxed()
    }
}
