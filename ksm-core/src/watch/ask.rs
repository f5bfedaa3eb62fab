//! What a server is asked for: which objects, and in which form.

use http::Uri;
use kube::api::{ListParams, WatchParams};
use kube::core::request::Error;

use super::error::Result;
use super::{Request, WatchError};

/// Metadata alone, from servers that know that form; whole objects from others.
const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";
const METADATA_LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";

/// Where a watch begins.
#[derive(Debug, Clone, Copy)]
pub(super) enum From<'a> {
    /// After this version.
    Version(&'a str),
    /// With all objects: it is a list.
    TheBeginning,
}

/// A page of a list, of whole objects or their metadata alone, of a part of them or all.
pub(super) fn list(
    url: &str,
    params: &ListParams,
    metadata_only: bool,
    selector: Option<&str>,
) -> Result<http::Request<Vec<u8>>> {
    let request = kube::core::Request::new(url).list(params);
    finish(request, metadata_only.then_some(METADATA_LIST), selector).map_err(|error| failed(Request::List, error))
}

/// A watch, of the same.
pub(super) fn watch(
    url: &str,
    params: &WatchParams,
    from: From<'_>,
    metadata_only: bool,
    selector: Option<&str>,
) -> Result<http::Request<Vec<u8>>> {
    let (asked, version) = match from {
        From::Version(version) => (Request::Watch, version),
        From::TheBeginning => (Request::List, ""),
    };
    let request = kube::core::Request::new(url).watch(params, version);
    finish(request, metadata_only.then_some(METADATA), selector).map_err(|error| failed(asked, error))
}

fn failed(request: Request, error: Error) -> WatchError {
    WatchError::Request { request, source: Box::new(kube::Error::BuildRequest(error)) }
}

fn finish(
    request: Result<http::Request<Vec<u8>>, Error>,
    form: Option<&'static str>,
    selector: Option<&str>,
) -> Result<http::Request<Vec<u8>>, Error> {
    let mut request = request?;
    if let Some(form) = form {
        request.headers_mut().insert(http::header::ACCEPT, http::HeaderValue::from_static(form));
    }
    if let Some(selector) = selector {
        *request.uri_mut() = selecting(request.uri(), selector)?;
    }
    Ok(request)
}

/// A request's URI with a `shardSelector`.
fn selecting(uri: &Uri, selector: &str) -> Result<Uri, Error> {
    let encoded: String = form_urlencoded::byte_serialize(selector.as_bytes()).collect();
    let joint = if uri.query().is_some_and(|query| !query.is_empty()) { '&' } else { '?' };
    let uri = format!("{}{joint}shardSelector={encoded}", uri.to_string().trim_end_matches(['?', '&']));
    uri.parse().map_err(|error: http::uri::InvalidUri| Error::BuildRequest(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_is_one_more_parameter() {
        let selected = |uri: &'static str, selector| selecting(&Uri::from_static(uri), selector).unwrap().to_string();
        assert_eq!(
            selected("/api/v1/pods?&limit=2", "f('0x1', b)"),
            "/api/v1/pods?&limit=2&shardSelector=f%28%270x1%27%2C+b%29"
        );
        assert_eq!(selected("/api/v1/pods?", "f"), "/api/v1/pods?shardSelector=f");
    }
}
