//! Requests about one Lease.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::serde_json;
use kube::Client;
use kube::api::{DeleteParams, GetParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::Request;
use kube::core::request::Error;

use crate::api::{ApiError, call};

/// The longest answer that is read: other writers' annotations may be long, but not longer than etcd takes.
const MAX_LEASE: usize = 4 << 20;

/// Who a writer is in `managedFields`.
const FIELD_MANAGER: &str = "node-lease";

/// One Lease in the API server.
#[derive(Clone)]
pub(super) struct Leases {
    pub(super) client: Client,
    pub(super) namespace: String,
    pub(super) name: String,
    /// What each request may take.
    pub(super) deadline: Duration,
}

impl Leases {
    fn request(&self) -> Request {
        Request::new(format!("/apis/coordination.k8s.io/v1/namespaces/{}/leases", self.namespace))
    }

    async fn call(
        &self,
        what: &'static str,
        request: Result<http::Request<Vec<u8>>, Error>,
    ) -> Result<Lease, ApiError> {
        call(&self.client, what, request, self.deadline, MAX_LEASE).await
    }

    pub(super) async fn get(&self) -> Result<Lease, ApiError> {
        self.call("get Lease", self.request().get(&self.name, &GetParams::default())).await
    }

    /// Server-side apply, whoever wrote these fields before.
    pub(super) async fn apply(&self, lease: &Lease) -> Result<Lease, ApiError> {
        let params = PatchParams::apply(FIELD_MANAGER).force();
        self.call("patch Lease", self.request().patch(&self.name, &params, &Patch::Apply(lease))).await
    }

    pub(super) async fn create(&self, lease: &Lease) -> Result<Lease, ApiError> {
        let request = encoded(lease).and_then(|body| self.request().create(&params(), body));
        self.call("create Lease", request).await
    }

    /// Puts the Lease in place of the one with its `resourceVersion`.
    pub(super) async fn update(&self, lease: &Lease) -> Result<Lease, ApiError> {
        let request = encoded(lease).and_then(|body| self.request().replace(&self.name, &params(), body));
        self.call("update Lease", request).await
    }

    /// Deletes the Lease if it is still exactly this one.
    pub(super) async fn delete(&self, lease: &Lease) -> Result<(), ApiError> {
        let preconditions = Preconditions {
            uid: lease.metadata.uid.clone(),
            resource_version: lease.metadata.resource_version.clone(),
        };
        let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
        let request = self.request().delete(&self.name, &params);
        // A Status, or the Lease where something holds it up: either way it goes.
        let answered: serde_json::Value = call(&self.client, "delete Lease", request, self.deadline, MAX_LEASE).await?;
        drop(answered);
        Ok(())
    }
}

fn params() -> PostParams {
    PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() }
}

fn encoded(lease: &Lease) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(lease).map_err(Error::SerializeBody)
}
