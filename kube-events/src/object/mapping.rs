//! Kinds → resources: asked for by group and version, once; again only for a kind that is not there, with back-off.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use metrics::counter;
use moka::future::Cache;
use serde::Deserialize;
use tokio::time::Instant;

use super::LookupError;
use crate::api::{ApiError, call};
use crate::telemetry;

/// The longest list of a group's resources.
const MAX_BODY: usize = 4 << 20;
/// Groups and versions that are remembered: what clusters serve, and what events make up.
const GROUPS: u64 = 1024;
/// How soon a group is asked for again for a kind that it lacks.
const REFRESH: (Duration, Duration) = (Duration::from_secs(10), Duration::from_mins(5));
/// How soon it is asked for again if it did not answer.
const RETRY: Duration = Duration::from_secs(1);

/// Where objects of a kind are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Resource {
    /// `/api/v1` or `/apis/GROUP/VERSION`.
    pub(super) root: Arc<str>,
    pub(super) plural: Arc<str>,
    pub(super) namespaced: bool,
}

pub(super) struct Mapping {
    client: Client,
    deadline: Duration,
    groups: Cache<String, Arc<Served>>,
}

/// What a group serves.
#[derive(Debug)]
struct Served {
    kinds: HashMap<String, Resource>,
    /// Why it is not known better.
    failure: Option<Arc<ApiError>>,
    /// When it may be asked for again.
    again: Instant,
    pause: Duration,
}

#[derive(Deserialize)]
struct ResourceList {
    #[serde(default)]
    resources: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    name: String,
    kind: String,
    #[serde(default)]
    namespaced: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    #[serde(default)]
    versions: Vec<GroupVersion>,
    preferred_version: Option<GroupVersion>,
}

#[derive(Deserialize)]
struct GroupVersion {
    version: String,
}

impl Mapping {
    pub(super) fn new(client: Client, deadline: Duration) -> Self {
        Self { client, deadline, groups: Cache::builder().max_capacity(GROUPS).build() }
    }

    /// The resource of a kind. The names have been [checked](super::key::check).
    pub(super) async fn resolve(&self, api_version: &str, kind: &str) -> Result<Resource, LookupError> {
        // Some who write events leave it out for kinds of the core.
        let api_version = if api_version.is_empty() { "v1" } else { api_version };
        let lacks = |served: &Arc<Served>| !served.kinds.contains_key(kind) && served.again <= Instant::now();
        let asked = async {
            let before = self.groups.get(api_version).await;
            Arc::new(self.ask(api_version, before.as_deref()).await)
        };
        let served = self.groups.entry_by_ref(api_version).or_insert_with_if(asked, lacks).await.into_value();
        if let Some(resource) = served.kinds.get(kind) {
            return Ok(resource.clone());
        }
        Err(match &served.failure {
            Some(failure) => LookupError::Api(failure.clone()),
            None => LookupError::UnknownKind { api_version: api_version.to_owned(), kind: kind.to_owned() },
        })
    }

    async fn ask(&self, api_version: &str, before: Option<&Served>) -> Served {
        let known = before.map(|served| served.kinds.clone()).unwrap_or_default();
        match self.kinds(api_version).await {
            Ok(kinds) => {
                let news = before.is_none_or(|served| kinds.keys().any(|kind| !served.kinds.contains_key(kind)));
                let pause = before.filter(|_| !news).map_or(REFRESH.0, |served| served.pause * 2);
                let pause = pause.clamp(REFRESH.0, REFRESH.1);
                Served { kinds, failure: None, again: Instant::now() + pause, pause }
            }
            Err(failure) => {
                let pause = before.filter(|served| served.failure.is_some()).map_or(RETRY, |served| served.pause * 2);
                let pause = pause.min(REFRESH.1);
                let again = Instant::now() + failure.retry_after().unwrap_or_default().clamp(pause, REFRESH.1);
                tracing::warn!(api_version, error = %failure, "the kinds of a group are not known");
                Served { kinds: known, failure: Some(Arc::new(failure)), again, pause }
            }
        }
    }

    /// The kinds of a group's version, or, if that is not served any more, of the one that the server prefers.
    async fn kinds(&self, api_version: &str) -> Result<HashMap<String, Resource>, ApiError> {
        let Some((group, version)) = api_version.split_once('/') else {
            return Ok(self.kinds_at("/api/v1").await?.unwrap_or_default());
        };
        if let Some(kinds) = self.kinds_at(&format!("/apis/{group}/{version}")).await? {
            return Ok(kinds);
        }
        let Some(found) = self.get::<Group>("get APIGroup", &format!("/apis/{group}")).await? else {
            return Ok(HashMap::new());
        };
        let versions = found.preferred_version.into_iter().chain(found.versions);
        let Some(other) = versions.map(|other| other.version).find(|other| other != version) else {
            return Ok(HashMap::new());
        };
        Ok(self.kinds_at(&format!("/apis/{group}/{other}")).await?.unwrap_or_default())
    }

    async fn kinds_at(&self, root: &str) -> Result<Option<HashMap<String, Resource>>, ApiError> {
        let Some(list) = self.get::<ResourceList>("get APIResourceList", root).await? else { return Ok(None) };
        let root: Arc<str> = root.into();
        // Subresources (`deployments/scale`) have kinds of their own.
        let resources = list.resources.into_iter().filter(|listed| !listed.name.contains('/'));
        let kind = |listed: Listed| {
            let plural = listed.name.into();
            (listed.kind, Resource { root: root.clone(), plural, namespaced: listed.namespaced })
        };
        Ok(Some(resources.map(kind).collect()))
    }

    /// None: there is no such path.
    async fn get<T: serde::de::DeserializeOwned>(&self, what: &'static str, path: &str) -> Result<Option<T>, ApiError> {
        counter!(telemetry::DISCOVERIES).increment(1);
        let request = http::Request::get(path).header(http::header::ACCEPT, "application/json").body(Vec::new());
        let request = request.map_err(kube::core::request::Error::BuildRequest);
        match call(&self.client, what, request, self.deadline, MAX_BODY).await {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.code() == Some(404) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
