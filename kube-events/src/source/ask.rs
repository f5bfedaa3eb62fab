//! Requests for Events, and the lines of a watch.

use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use http_body_util::BodyExt;
use kube::Client;
use kube::api::{ListParams, WatchParams};
use kube::core::{Request, Status};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::timeout;
use tokio_util::codec::{AnyDelimiterCodec, FramedRead};
use tokio_util::io::StreamReader;

use super::options::SourceOptions;
use crate::api::{ApiError, fetch, from_status, send};
use crate::checkpoint::EventsApi;
use crate::event::{Event, Limits};

/// The longest page, and the longest event: etcd takes none of 2 MiB.
const MAX_PAGE: usize = 256 << 20;
const MAX_LINE: usize = 8 << 20;
/// What a page, or the begin of a watch, may take.
const DEADLINE: Duration = Duration::from_mins(1);

/// What may stand in a path as it is.
const NAME: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-');

const LIST: &str = "list Events";
const WATCH: &str = "watch Events";

/// The Events of one namespace or of all.
pub(super) struct Collection {
    pub(super) client: Client,
    path: String,
}

/// A page of a list.
pub(super) struct Page {
    pub(super) version: String,
    pub(super) next: Option<String>,
    /// Each with the reason if it can't be read.
    pub(super) events: Vec<Result<Event, String>>,
}

/// What a watch tells.
#[derive(Debug)]
pub(super) enum Line {
    Event {
        event: Box<Event>,
        added: bool,
    },
    Deleted {
        version: String,
    },
    Bookmark {
        version: String,
    },
    /// What later servers may send.
    Unknown,
}

/// Why a line tells nothing.
#[derive(Debug)]
pub(super) enum BadLine {
    /// The server ends the watch.
    Ends(ApiError),
    /// It can't be read; its version, if that can.
    Unreadable { why: serde_json::Error, version: String, whole: bool },
}

impl Collection {
    pub(super) fn new(client: Client, api: EventsApi, namespace: &str) -> Self {
        Self { client, path: path(api, namespace) }
    }

    /// The newest version of the collection, by a list that is as short as can be.
    pub(super) async fn newest_version(&self) -> Result<String, ApiError> {
        let params = ListParams { limit: Some(1), ..ListParams::default() };
        Ok(self.page(&params, &Limits::default()).await?.version)
    }

    pub(super) async fn list(&self, options: &SourceOptions, next: Option<String>) -> Result<Page, ApiError> {
        let params = ListParams {
            label_selector: options.label_selector.clone(),
            field_selector: options.field_selector.clone(),
            limit: Some(options.page_size.max(1)),
            continue_token: next,
            ..ListParams::default()
        };
        self.page(&params, &options.limits).await
    }

    async fn page(&self, params: &ListParams, limits: &Limits) -> Result<Page, ApiError> {
        #[derive(Deserialize)]
        struct Wire<'a> {
            metadata: Meta,
            #[serde(borrow)]
            items: Option<Vec<&'a RawValue>>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Meta {
            #[serde(default)]
            resource_version: String,
            #[serde(rename = "continue")]
            token: Option<String>,
        }
        let request = Request::new(&self.path).list(params);
        let body = fetch(&self.client, LIST, request, DEADLINE, MAX_PAGE).await?;
        let text = String::from_utf8_lossy(&body);
        let page: Wire<'_> = serde_json::from_str(&text).map_err(|source| ApiError::Decode { what: LIST, source })?;
        let event = |item: &RawValue| Event::from_json(item.get().as_bytes(), limits).map_err(|why| why.to_string());
        Ok(Page {
            version: page.metadata.resource_version,
            next: page.metadata.token.filter(|token| !token.is_empty()),
            events: page.items.into_iter().flatten().map(event).collect(),
        })
    }

    /// Watches what comes after a version: its lines, as they are.
    pub(super) async fn watch(
        &self,
        options: &SourceOptions,
        version: &str,
    ) -> Result<BoxStream<'static, Result<Bytes, ApiError>>, ApiError> {
        let params = WatchParams {
            label_selector: options.label_selector.clone(),
            field_selector: options.field_selector.clone(),
            timeout: Some(options.seconds()),
            bookmarks: true,
            ..WatchParams::default()
        };
        let request = Request::new(&self.path).watch(&params, version);
        let response = timeout(DEADLINE, send(&self.client, WATCH, request)).await;
        let response = response.unwrap_or(Err(ApiError::Timeout { what: WATCH, after: DEADLINE }))?;
        let body = response.into_body().into_data_stream().map_err(std::io::Error::other);
        let codec = AnyDelimiterCodec::new_with_max_length(b"\n".to_vec(), Vec::new(), MAX_LINE);
        let lines = FramedRead::new(StreamReader::new(body), codec);
        Ok(lines.map_err(|source| ApiError::Body { what: WATCH, source: source.into() }).boxed())
    }
}

fn path(api: EventsApi, namespace: &str) -> String {
    let root = match api {
        EventsApi::Core => "/api/v1",
        EventsApi::Events => "/apis/events.k8s.io/v1",
    };
    let namespace = match namespace {
        "" => String::new(),
        name => format!("/namespaces/{}", utf8_percent_encode(name, NAME)),
    };
    format!("{root}{namespace}/events")
}

impl Line {
    pub(super) fn read(line: &[u8], limits: &Limits) -> Result<Self, BadLine> {
        #[derive(Deserialize)]
        struct Wire<'a> {
            #[serde(rename = "type")]
            kind: &'a str,
            #[serde(borrow)]
            object: &'a RawValue,
        }
        let text = String::from_utf8_lossy(line);
        let Wire { kind, object } = serde_json::from_str(&text).map_err(|why| BadLine::Unreadable {
            why,
            version: String::new(),
            whole: false,
        })?;
        match kind {
            "ADDED" | "MODIFIED" => match Event::from_json(object.get().as_bytes(), limits) {
                Ok(mut event) => {
                    event.marks.invalid_utf8 |= matches!(text, std::borrow::Cow::Owned(_));
                    Ok(Self::Event { event: Box::new(event), added: kind == "ADDED" })
                }
                Err(crate::event::DecodeError::Json(why)) => {
                    Err(BadLine::Unreadable { why, version: version(object), whole: true })
                }
            },
            "DELETED" => Ok(Self::Deleted { version: version(object) }),
            "BOOKMARK" => Ok(Self::Bookmark { version: version(object) }),
            "ERROR" => {
                let status: Status = serde_json::from_str(object.get()).unwrap_or_default();
                Err(BadLine::Ends(from_status(WATCH, status.code, None, status)))
            }
            _ => Ok(Self::Unknown),
        }
    }
}

/// The version of an object, if it can be read.
fn version(object: &RawValue) -> String {
    #[derive(Deserialize)]
    struct Object {
        metadata: Meta,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Meta {
        #[serde(default)]
        resource_version: String,
    }
    serde_json::from_str::<Object>(object.get()).map(|object| object.metadata.resource_version).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_or_say_why_not() {
        let read = |line: &str| Line::read(line.as_bytes(), &Limits::default());
        let line = read(r#"{"type":"ADDED","object":{"metadata":{"uid":"u","resourceVersion":"7"},"note":"n"}}"#);
        assert!(matches!(line, Ok(Line::Event { event, added: true }) if event.message == "n"));
        let line = read(r#"{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"8"}}}"#);
        assert!(matches!(line, Ok(Line::Bookmark { version }) if version == "8"));
        let line = read(r#"{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired"}}"#);
        assert!(matches!(line, Err(BadLine::Ends(error)) if error.code() == Some(410)));
        assert!(matches!(read(r#"{"type":"ADDED","object":"#), Err(BadLine::Unreadable { whole: false, .. })));
        assert!(matches!(read(r#"{"type":"ADDED","object":[1]}"#), Err(BadLine::Unreadable { whole: true, .. })));
        assert!(matches!(read(r#"{"type":"NEWS","object":{}}"#), Ok(Line::Unknown)));
        let bad = b"{\"type\":\"ADDED\",\"object\":{\"message\":\"\xff\"}}";
        assert!(
            matches!(Line::read(bad, &Limits::default()), Ok(Line::Event { event, .. }) if event.marks.invalid_utf8)
        );
    }

    #[test]
    fn namespaces_stand_in_paths() {
        assert_eq!(path(EventsApi::Core, ""), "/api/v1/events");
        assert_eq!(path(EventsApi::Core, "a-b"), "/api/v1/namespaces/a-b/events");
        assert_eq!(path(EventsApi::Events, "a/b"), "/apis/events.k8s.io/v1/namespaces/a%2Fb/events");
    }
}
