//! What an API server serves: groups, their versions, and the kinds in them.
//!
//! Whoever is authenticated may ask for it (`system:discovery`).

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{APIGroup, GroupVersionForDiscovery};
use kube::Client;

pub(crate) type Result<T, E = kube::Error> = std::result::Result<T, E>;

/// A kind that a group serves in one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServedKind {
    pub(crate) kind: String,
    pub(crate) plural: String,
    pub(crate) namespaced: bool,
}

/// The versions of a group, in the server's order of preference; none where it has no such group.
pub(crate) async fn versions(client: &Client, group: &str) -> Result<Vec<String>> {
    if group.is_empty() {
        return Ok(client.list_core_api_versions().await?.versions);
    }
    let names = |versions: Vec<GroupVersionForDiscovery>| versions.into_iter().map(|version| version.version).collect();
    let request = http::Request::get(format!("/apis/{group}")).body(Vec::new()).map_err(kube::Error::HttpError)?;
    if let Some(found) = found(client.request::<APIGroup>(request).await)? {
        return Ok(names(found.versions));
    }
    // A proxy that finds nothing at all must not be taken for a server that lacks the group.
    let groups = client.list_api_groups().await?.groups;
    Ok(groups.into_iter().find(|known| known.name == group).map(|known| names(known.versions)).unwrap_or_default())
}

/// What a group serves in one version, without subresources; nothing where it has no such version.
pub(crate) async fn kinds(client: &Client, group: &str, version: &str) -> Result<Vec<ServedKind>> {
    let list = if group.is_empty() {
        client.list_core_api_resources(version).await
    } else {
        client.list_api_group_resources(&format!("{group}/{version}")).await
    };
    let resources = found(list)?.map(|list| list.resources).unwrap_or_default();
    let whole = resources.into_iter().filter(|resource| !resource.name.contains('/'));
    Ok(whole
        .map(|resource| ServedKind { kind: resource.kind, plural: resource.name, namespaced: resource.namespaced })
        .collect())
}

fn found<T>(answer: Result<T>) -> Result<Option<T>> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        Err(error) => Err(error),
    }
}
