//! Answers, before and after they become HTTP.

use std::io::Write as _;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::stream::{self, BoxStream, StreamExt};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, RETRY_AFTER, VARY};
use http::{Response, StatusCode};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use serde_json::Value;

use crate::api::status::Status;

/// The connection was cut on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the connection was reset by an injected fault")]
pub(crate) struct BodyError;

/// A body that comes in pieces.
pub(crate) type BodyStream = BoxStream<'static, Result<Bytes, BodyError>>;

/// The body type of every response.
pub(crate) type HttpBody = UnsyncBoxBody<Bytes, BodyError>;

/// Responses from this size on are compressed for clients that accept it, as upstream does.
pub(crate) const GZIP_FROM: usize = 128 * 1024;

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) content_type: &'static str,
    pub(crate) body: Body,
    pub(crate) retry_after: Option<u64>,
}

/// An answer's body.
pub(crate) enum Body {
    Whole(Bytes),
    /// Pieces of a document that is too large to hold in one.
    Pieces(BodyStream),
    /// Events, each to be sent at once and uncompressed.
    Live(BodyStream),
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Whole(bytes) => f.debug_tuple("Whole").field(&bytes.len()).finish(),
            Self::Pieces(_) => f.write_str("Pieces"),
            Self::Live(_) => f.write_str("Live"),
        }
    }
}

pub(crate) const JSON: &str = "application/json";

impl Reply {
    pub(crate) fn new(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self { status, content_type, body: Body::Whole(body.into()), retry_after: None }
    }

    pub(crate) fn json(status: StatusCode, value: &Value) -> Self {
        Self::new(status, JSON, value.to_string())
    }

    pub(crate) fn text(text: &'static str) -> Self {
        Self::new(StatusCode::OK, "text/plain; charset=utf-8", text)
    }

    pub(crate) fn pieces(body: BodyStream) -> Self {
        Self { status: StatusCode::OK, content_type: JSON, body: Body::Pieces(body), retry_after: None }
    }

    pub(crate) fn live(body: BodyStream) -> Self {
        Self { status: StatusCode::OK, content_type: JSON, body: Body::Live(body), retry_after: None }
    }

    /// Turn the answer into HTTP; `spoil` has the last word on the body.
    pub(crate) fn into_http(
        self,
        gzip: bool,
        spoil: Option<impl FnOnce(BodyStream) -> BodyStream>,
    ) -> Response<HttpBody> {
        let mut response = Response::builder()
            .status(self.status)
            .header(CONTENT_TYPE, self.content_type)
            .header("Audit-Id", uuid::Uuid::new_v4().to_string())
            .header("Cache-Control", "no-cache, private");
        if let Some(seconds) = self.retry_after {
            response = response.header(RETRY_AFTER, seconds);
        }
        let compress = gzip
            && spoil.is_none()
            && match &self.body {
                Body::Whole(bytes) => bytes.len() >= GZIP_FROM,
                Body::Pieces(_) => true,
                Body::Live(_) => false,
            };
        let body = match (self.body, spoil) {
            (Body::Whole(bytes), None) if !compress => Full::new(bytes).map_err(|never| match never {}).boxed_unsync(),
            (Body::Whole(bytes), spoil) => streamed(stream::iter([Ok(bytes)]).boxed(), compress, spoil),
            (Body::Pieces(pieces) | Body::Live(pieces), spoil) => streamed(pieces, compress, spoil),
        };
        if compress {
            response = response
                .header(CONTENT_ENCODING, HeaderValue::from_static("gzip"))
                .header(VARY, HeaderValue::from_static("Accept-Encoding"));
        }
        // Everything above is valid by construction; an empty 500 is what remains otherwise.
        response.body(body).unwrap_or_else(|_| {
            let mut broken = Response::new(Full::default().map_err(|never| match never {}).boxed_unsync());
            *broken.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            broken
        })
    }
}

impl From<Status> for Reply {
    fn from(status: Status) -> Self {
        let mut reply = Self::json(status.http(), &status.to_json());
        reply.retry_after = status.retry_after();
        reply
    }
}

fn streamed(pieces: BodyStream, compress: bool, spoil: Option<impl FnOnce(BodyStream) -> BodyStream>) -> HttpBody {
    let pieces = if compress { gzipped(pieces) } else { pieces };
    let pieces = match spoil {
        Some(spoil) => spoil(pieces),
        None => pieces,
    };
    BodyExt::boxed_unsync(StreamBody::new(pieces.map(|piece| piece.map(Frame::data))))
}

/// Compress piece by piece: a list of any size needs the memory of one piece.
fn gzipped(pieces: BodyStream) -> BodyStream {
    let encoder = Some(GzEncoder::new(Vec::new(), Compression::fast()));
    stream::unfold((pieces, encoder), |(mut pieces, encoder)| async move {
        let mut encoder = encoder?;
        loop {
            match pieces.next().await {
                Some(Ok(piece)) => {
                    // Writing into memory does not fail.
                    let _ = encoder.write_all(&piece);
                    if encoder.get_ref().len() >= 16 * 1024 {
                        let compressed = std::mem::take(encoder.get_mut());
                        return Some((Ok(Bytes::from(compressed)), (pieces, Some(encoder))));
                    }
                }
                Some(Err(error)) => return Some((Err(error), (pieces, None))),
                None => return Some((Ok(Bytes::from(encoder.finish().unwrap_or_default())), (pieces, None))),
            }
        }
    })
    .boxed()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[tokio::test]
    async fn large_answers_are_compressed_piecewise_into_one_gzip_member() {
        let pieces: Vec<_> = (0..1000).map(|n: u32| Ok(Bytes::from(format!("{n} ").repeat(100)))).collect();
        let plain: Vec<u8> = pieces.iter().flatten().flat_map(|piece: &Bytes| piece.to_vec()).collect();
        let body: Vec<u8> = gzipped(stream::iter(pieces).boxed()).map(|piece| piece.unwrap().to_vec()).concat().await;
        assert!(body.len() < plain.len() / 4);
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(body.as_slice()).read_to_end(&mut unpacked).unwrap();
        assert_eq!(unpacked, plain);
    }
}
