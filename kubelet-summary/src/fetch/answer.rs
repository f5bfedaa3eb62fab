//! Answers of a kubelet or of the API server before it: status and body → document or error.

use std::pin::pin;
use std::time::Duration;

use bytes::{Buf, Bytes};
use http::{HeaderValue, StatusCode};
use http_body::Body;
use http_body_util::BodyExt;
use serde::Deserialize;

use super::bodies::{self, Bodies};
use super::error::{Access, BoxError, FetchError, Peer};
use crate::schema::{Parts, Summary};
use crate::telemetry;

/// The most of an error's body that is read: it has a sentence in it, or two.
const MAX_ERROR_BODY: usize = 16 << 10;
/// The most of it that is told.
const MAX_EXCERPT: usize = 300;
/// How much is set aside at once on the word of a header.
const MAX_FORETOLD: u64 = 1 << 20;

/// Takes in the whole body, if it is not longer than `limit`. No more than that is ever held.
async fn read<B>(body: B, limit: usize, read: &mut bodies::Body<'_>) -> Result<(), FetchError>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let foretold = body.size_hint().lower();
    if usize::try_from(foretold).map_or(true, |length| length > limit) {
        return Err(FetchError::TooLarge { limit });
    }
    let no_memory = |source| FetchError::NoMemory { source };
    read.reserve(usize::try_from(foretold.min(MAX_FORETOLD)).unwrap_or_default()).map_err(no_memory)?;
    let mut body = pin!(body);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|source| FetchError::Broken { source: source.into() })?;
        let Ok(data) = frame.into_data() else { continue };
        if data.remaining() > limit - read.len() {
            return Err(FetchError::TooLarge { limit });
        }
        read.extend_from_slice(&data).map_err(no_memory)?;
    }
    Ok(())
}

/// The begin of a body; of a broken one what came.
async fn begin<B>(body: B, limit: usize) -> Vec<u8>
where
    B: Body<Data = Bytes>,
{
    let mut read = Vec::new();
    let mut body = pin!(body);
    while read.len() < limit
        && let Some(Ok(frame)) = body.frame().await
    {
        let Ok(data) = frame.into_data() else { continue };
        read.extend_from_slice(data.get(..limit - read.len()).unwrap_or(&data));
    }
    read
}

/// A summary of those parts, or why there is none.
pub(super) async fn summary<B>(
    response: http::Response<B>,
    access: Access,
    limit: usize,
    parts: Parts,
    bodies: &Bodies,
) -> Result<Summary, FetchError>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let (head, body) = response.into_parts();
    if head.status != StatusCode::OK {
        let body = begin(body, MAX_ERROR_BODY).await;
        let retry_after = head.headers.get(http::header::RETRY_AFTER).and_then(seconds);
        return Err(refusal(head.status, access, &body, retry_after));
    }
    let encoding = head.headers.get(http::header::CONTENT_ENCODING).filter(|value| *value != "identity");
    if let Some(encoding) = encoding {
        // A client that decompresses takes the header away.
        let source = format!("it is encoded as {encoding:?}, which was not asked for").into();
        return Err(FetchError::Malformed { source });
    }
    let mut document = bodies.take();
    read(body, limit, &mut document).await?;
    telemetry::bytes(document.len());
    let decoded = Summary::from_slice_keeping(&document, parts);
    drop(document);
    let decoded = decoded.map_err(|error| FetchError::Malformed { source: error.into() })?;
    telemetry::skipped(&decoded.skipped);
    if let Some(example) = decoded.skipped.examples.first() {
        tracing::debug!(node = %decoded.summary.node.node_name, %example, "parts of a summary can't be used");
    }
    Ok(decoded.summary)
}

/// The object that an API server answers errors with. Kubelets answer in plain text.
#[derive(Deserialize)]
struct Status<'a> {
    kind: &'a str,
    #[serde(default)]
    message: String,
}

/// `Retry-After` as API servers write it. A date there would be by another machine's clock.
fn seconds(value: &HeaderValue) -> Option<Duration> {
    value.to_str().ok()?.trim().parse::<u32>().ok().map(|seconds| Duration::from_secs(seconds.into()))
}

fn refusal(status: StatusCode, access: Access, body: &[u8], retry_after: Option<Duration>) -> FetchError {
    let object = serde_json::from_slice::<Status<'_>>(body).ok().filter(|object| object.kind == "Status");
    let by = match access {
        Access::NodeProxy if object.is_some() => Peer::ApiServer,
        _ => Peer::Kubelet,
    };
    let text = object.map_or_else(|| String::from_utf8_lossy(body).into_owned(), |object| object.message);
    // The proxy's error handler writes plain text in some versions, a Status in others.
    let behind = access == Access::NodeProxy
        && status.is_server_error()
        && ["error trying to reach service", "dial tcp", "x509:", "tls: "].iter().any(|words| text.contains(words));
    let message = excerpt(&text);
    match status {
        _ if behind => FetchError::KubeletUnreachable { status: status.as_u16(), message },
        StatusCode::UNAUTHORIZED => FetchError::Unauthorized { by, access, message },
        StatusCode::FORBIDDEN => FetchError::Forbidden { by, access, message },
        StatusCode::NOT_FOUND => FetchError::NotFound { by, message },
        StatusCode::TOO_MANY_REQUESTS => FetchError::Throttled { by, retry_after, message },
        _ if status.is_server_error() => FetchError::Server { by, status: status.as_u16(), message },
        _ => FetchError::Status { by, status: status.as_u16(), message },
    }
}

/// One line that can be printed.
fn excerpt(text: &str) -> String {
    let mut line = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        if !line.is_empty() {
            line.push(' ');
        }
        line.extend(word.chars().take(MAX_EXCERPT + 1));
        if let Some((end, _)) = line.char_indices().nth(MAX_EXCERPT) {
            line.truncate(end);
            line.push('…');
            break;
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(status: u16, access: Access, body: &str) -> FetchError {
        refusal(StatusCode::from_u16(status).unwrap(), access, body.as_bytes(), None)
    }

    #[test]
    fn who_answered_is_told_by_the_form_of_the_answer() {
        let status = |message: &str| serde_json::json!({"kind": "Status", "message": message}).to_string();
        let forbidden = told(403, Access::NodeProxy, &status("nodes \"n\" is forbidden"));
        assert!(matches!(forbidden, FetchError::Forbidden { by: Peer::ApiServer, .. }), "{forbidden}");
        let forbidden = told(403, Access::NodeProxy, "Forbidden (user=kube-apiserver, resource=nodes)");
        assert!(matches!(forbidden, FetchError::Forbidden { by: Peer::Kubelet, .. }), "{forbidden}");
        let missing = told(404, Access::NodeProxy, &status("nodes \"n\" not found"));
        assert!(matches!(missing, FetchError::NotFound { by: Peer::ApiServer, .. }), "{missing}");
        let missing = told(404, Access::Direct, &status("odd"));
        assert!(matches!(missing, FetchError::NotFound { by: Peer::Kubelet, .. }), "{missing}");
    }

    #[test]
    fn an_unreachable_kubelet_is_told_from_a_failing_one() {
        let status = |message: &str| serde_json::json!({"kind": "Status", "message": message}).to_string();
        for body in [
            "error trying to reach service: dial tcp 10.0.0.1:10250: connect: connection refused".to_owned(),
            status("error trying to reach service: x509: certificate signed by unknown authority"),
            status("dial tcp 10.0.0.1:10250: i/o timeout"),
        ] {
            for code in [500, 502, 503, 504] {
                let error = told(code, Access::NodeProxy, &body);
                assert!(matches!(error, FetchError::KubeletUnreachable { .. }), "{code}: {error}");
            }
        }
        let error = told(500, Access::Direct, "dial tcp: the container runtime is down");
        assert!(matches!(error, FetchError::Server { by: Peer::Kubelet, status: 500, .. }), "{error}");
        let error = told(503, Access::NodeProxy, &status("the server is shutting down"));
        assert!(matches!(error, FetchError::Server { by: Peer::ApiServer, status: 503, .. }), "{error}");
        let error = told(400, Access::NodeProxy, &status("address not allowed"));
        assert!(matches!(error, FetchError::Status { by: Peer::ApiServer, status: 400, .. }), "{error}");
        let error = told(302, Access::Direct, "");
        assert!(matches!(error, FetchError::Status { status: 302, .. }), "{error}");
    }

    #[test]
    fn excerpts_are_one_short_line() {
        assert_eq!(excerpt(" a\n\tb\u{7}c  "), "a b c");
        let long = excerpt(&"ä".repeat(10_000));
        assert_eq!((long.chars().count(), long.ends_with('…')), (MAX_EXCERPT + 1, true));
        let long = excerpt(&"ä ".repeat(10_000));
        assert_eq!((long.chars().count(), long.ends_with('…')), (MAX_EXCERPT + 1, true));
    }

    #[tokio::test]
    async fn a_body_is_bounded_while_it_is_read() {
        let full = |length: usize| http_body_util::Full::new(Bytes::from(vec![b' '; length]));
        let bodies = Bodies::default();
        let mut body = bodies.take();
        assert!(read(full(10), 10, &mut body).await.is_ok() && *body == [b' '; 10]);
        assert!(matches!(read(full(11), 10, &mut bodies.take()).await, Err(FetchError::TooLarge { limit: 10 })));
        // Without a length, and without an end.
        let endless = futures::stream::repeat_with(|| Ok::<_, BoxError>(http_body::Frame::data(Bytes::from("     "))));
        let outcome = read(http_body_util::StreamBody::new(endless), 12, &mut bodies.take()).await;
        assert!(matches!(outcome, Err(FetchError::TooLarge { .. })));
        let endless = futures::stream::repeat_with(|| Ok::<_, BoxError>(http_body::Frame::data(Bytes::from("     "))));
        assert_eq!(begin(http_body_util::StreamBody::new(endless), 12).await.len(), 12);
    }
}
