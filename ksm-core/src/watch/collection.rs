//! A collection of objects by its parts, so that it can be looked for in other versions of its group.

use std::borrow::Cow;

use kube::Client;

use super::discovery::{self, Result};
use super::versions::{Older, older};

/// The objects of one resource, in one namespace or in all.
///
/// A cluster that is older than the program may serve it in an older version only: a [`Reflector`](super::Reflector)
/// asks for that where the newest one is answered 404.
///
/// ```
/// use k8s_openapi::api::batch::v1::CronJob;
/// use ksm_core::watch::Collection;
///
/// assert_eq!(Collection::of::<CronJob>(&(), Some("web")).url(), "/apis/batch/v1/namespaces/web/cronjobs");
/// ```
#[derive(Debug, Clone)]
pub struct Collection {
    group: String,
    plural: String,
    namespace: Option<String>,
    /// The version that its objects' Rust type is of.
    newest: String,
    older: &'static [Older],
    /// The one of `older` that is in use.
    current: Option<&'static Older>,
}

impl Collection {
    /// The collection of `K`, in one namespace or in all. `K` also reads the older versions of Kubernetes' own
    /// resources that are known to say the same.
    pub fn of<K: kube::Resource>(dynamic_type: &K::DynamicType, namespace: Option<&str>) -> Self {
        let (group, plural) = (K::group(dynamic_type), K::plural(dynamic_type));
        let older = older(&group, &plural);
        Self { older, ..Self::exactly::<K>(dynamic_type, namespace) }
    }

    /// The collection of `K`, in its own version only.
    pub fn exactly<K: kube::Resource>(dynamic_type: &K::DynamicType, namespace: Option<&str>) -> Self {
        Self {
            group: K::group(dynamic_type).into_owned(),
            plural: K::plural(dynamic_type).into_owned(),
            namespace: namespace.map(str::to_owned),
            newest: K::version(dynamic_type).into_owned(),
            older: &[],
            current: None,
        }
    }

    /// The version that is asked for at present, as `v1beta1`.
    pub fn version(&self) -> &str {
        self.current.map_or(self.newest.as_str(), |older| older.version)
    }

    /// Group and version, as objects state them: `batch/v1beta1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version().to_owned() } else { format!("{}/{}", self.group, self.version()) }
    }

    /// Its path on the server: `/apis/batch/v1/namespaces/a/cronjobs`.
    pub fn url(&self) -> String {
        let root = if self.group.is_empty() { "api" } else { "apis" };
        let namespace = self.namespace.as_deref().map(|name| format!("namespaces/{name}/")).unwrap_or_default();
        format!("/{root}/{}/{namespace}{}", self.api_version(), self.plural)
    }

    /// Asks the server for the newest version that it serves it in, and uses that from now on; whether there is one.
    pub(super) async fn resolve(&mut self, client: &Client) -> Result<bool> {
        let served = discovery::versions(client, &self.group).await?;
        let candidates = std::iter::once(None).chain(self.older.iter().map(Some));
        for candidate in candidates {
            let version = candidate.map_or(self.newest.as_str(), |older| older.version);
            if served.iter().any(|served| served == version)
                && discovery::kinds(client, &self.group, version).await?.iter().any(|kind| kind.plural == self.plural)
            {
                self.current = candidate;
                return Ok(true);
            }
        }
        self.current = None;
        Ok(false)
    }

    /// One object's JSON, as its Rust type reads it.
    pub(super) fn convert<'a>(&self, object: &'a str) -> Cow<'a, str> {
        match self.current.and_then(|older| older.convert) {
            Some(convert) => converted(object, convert).map_or(Cow::Borrowed(object), Cow::Owned),
            None => Cow::Borrowed(object),
        }
    }

    /// A list's JSON, with its objects as their Rust type reads them.
    pub(super) fn convert_list(&self, body: bytes::Bytes) -> bytes::Bytes {
        let Some(convert) = self.current.and_then(|older| older.convert) else { return body };
        let list = |list: &mut serde_json::Value| {
            let items = list.get_mut("items").and_then(serde_json::Value::as_array_mut);
            items.into_iter().flatten().for_each(convert);
        };
        let text = String::from_utf8_lossy(&body);
        converted(&text, list).map_or_else(|| body.clone(), bytes::Bytes::from)
    }
}

/// JSON that can't be read stays as it is: whoever decodes it says why.
fn converted(json: &str, convert: impl Fn(&mut serde_json::Value)) -> Option<String> {
    let mut value = serde_json::from_str(json).ok()?;
    convert(&mut value);
    Some(value.to_string())
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::batch::v1::CronJob;
    use k8s_openapi::api::core::v1::Pod;

    use super::*;

    #[test]
    fn urls_are_those_of_the_client() {
        for namespace in [None, Some("a")] {
            let ours = |url: String, theirs: String| assert_eq!(url, theirs);
            ours(Collection::of::<Pod>(&(), namespace).url(), <Pod as kube::Resource>::url_path(&(), namespace));
            ours(
                Collection::of::<CronJob>(&(), namespace).url(),
                <CronJob as kube::Resource>::url_path(&(), namespace),
            );
        }
    }

    #[test]
    fn an_older_version_has_its_own_url() {
        let mut jobs = Collection::of::<CronJob>(&(), Some("a"));
        jobs.current = jobs.older.first();
        assert_eq!(jobs.url(), "/apis/batch/v1beta1/namespaces/a/cronjobs");
    }
}
