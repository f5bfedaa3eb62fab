//! Where a resource's events come from.

use std::fmt;
use std::sync::Arc;

use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use kube::Client;
use kube::runtime::watcher;
use parking_lot::Mutex;
use serde::de::DeserializeOwned;

use super::feed::Feed;
use crate::decode::PathTree;
use crate::watch::{Collection, EventSink, Reflector, WatchOptions, changed};

pub(super) type EventStream<K> = BoxStream<'static, Result<watcher::Event<K>, String>>;

/// A future that feeds until it is dropped, or its stream ends.
pub(super) type Feeding = futures::future::BoxFuture<'static, ()>;

/// Where events come from.
pub(super) enum Source<K> {
    /// The API server, by our own reflector.
    Api { decode: fn(Reflector, Client, Feed<K>) -> Feeding },
    /// A stream that the host has; it can be read once.
    Once(Arc<Mutex<Option<EventStream<K>>>>),
}

impl<K> Clone for Source<K> {
    fn clone(&self) -> Self {
        match self {
            Self::Api { decode } => Self::Api { decode: *decode },
            Self::Once(stream) => Self::Once(stream.clone()),
        }
    }
}

impl<K> fmt::Debug for Source<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Api { .. } => "Api",
            Self::Once(_) => "Stream",
        })
    }
}

impl<K: kube::Resource + DeserializeOwned + Send + Sync + 'static> Source<K> {
    pub(super) fn api() -> Self {
        Self::Api {
            decode: |reflector, client, mut feed| async move { reflector.run::<K>(client, &mut feed).await }.boxed(),
        }
    }
}

/// The request that an API source makes.
pub(super) struct ApiRequest {
    pub(super) client: Client,
    pub(super) collection: Collection,
    pub(super) options: WatchOptions,
    pub(super) unread: PathTree,
    pub(super) metadata_only: bool,
}

impl<K: kube::Resource + Send + Sync + 'static> Source<K> {
    /// Feeds `feed`; `request` says what to ask an API server for.
    pub(super) async fn run(self, request: Option<ApiRequest>, feed: Feed<K>) {
        match (self, request) {
            (Self::Api { decode }, Some(request)) => {
                let reflector = Reflector::of(request.collection, request.options, request.unread);
                let reflector = if request.metadata_only { reflector.metadata_only() } else { reflector };
                decode(reflector, request.client, feed).await;
            }
            // The builder refuses an API source without a client.
            (Self::Api { .. }, None) => {}
            (Self::Once(stream), _) => {
                let stream = stream.lock().take();
                if let Some(stream) = stream {
                    read_stream(stream, feed).await;
                }
            }
        }
    }
}

async fn read_stream<K: kube::Resource + Send + Sync>(mut stream: EventStream<K>, mut feed: Feed<K>) {
    let mut changes = feed.part_changes();
    loop {
        let next = match stream.next().now_or_never() {
            Some(next) => next,
            None => {
                // Nothing is at hand: what came so far becomes visible.
                feed.flush();
                tokio::select! {
                    () = changed(&mut changes) => {
                        // What it misses now comes with the stream's next list.
                        feed.part();
                        continue;
                    }
                    next = stream.next() => next,
                }
            }
        };
        match next {
            Some(Ok(event)) => feed.event(event),
            Some(Err(message)) => feed.stream_failed(message),
            None => break,
        }
    }
    feed.flush();
    feed.stream_failed("the stream ended".to_owned());
}
