//! The list of what a sink wants and did not want before, beside the running watch.
//!
//! It begins at a state that is as new as the watch, so that it can't bring back what the watch has seen the end of
//! before; what the watch tells while it runs, the sink holds against it.

use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use kube::Client;
use kube::api::{ListParams, VersionMatch};
use serde::de::DeserializeOwned;
use tokio::time::{sleep, timeout};

use super::answer::{read_body, send};
use super::ask;
use super::backoff::Backoff;
use super::error::Result;
use super::part::Missing;
use super::{Collection, EventSink, Request, WatchError, WatchOptions};
use crate::decode::{Head, PathTree, decode_list_if};

/// What of a reflector such a list needs.
pub(super) struct Place<'a> {
    pub(super) client: &'a Client,
    pub(super) url: &'a str,
    pub(super) collection: Option<&'a Collection>,
    pub(super) metadata_only: bool,
    pub(super) options: &'a WatchOptions,
    pub(super) unread: &'a PathTree,
}

/// A list that runs beside a watch.
pub(super) struct MissingList {
    missing: Missing,
    /// The version where the watch was.
    not_older_than: String,
    token: Option<String>,
    /// Pages are not asked for any more, since a token expired.
    whole: bool,
    backoff: Backoff,
    page: BoxFuture<'static, Result<Bytes>>,
}

impl MissingList {
    pub(super) fn begin(of: &Place<'_>, missing: Missing, version: &str) -> Self {
        let mut list = Self {
            missing,
            not_older_than: version.to_owned(),
            token: None,
            whole: false,
            backoff: Backoff::new(of.options),
            page: std::future::pending().boxed(),
        };
        list.fetch(of, Duration::ZERO);
        list
    }

    pub(super) fn number(&self) -> u64 {
        self.missing.number
    }

    /// The next page, when it is here. Dropping the future loses nothing.
    pub(super) async fn page(&mut self) -> Result<Bytes> {
        (&mut self.page).await
    }

    fn fetch(&mut self, of: &Place<'_>, pause: Duration) {
        let first = self.token.is_none();
        let params = ListParams {
            label_selector: of.options.label_selector.clone(),
            field_selector: of.options.field_selector.clone(),
            limit: (!self.whole).then_some(of.options.page_size),
            version_match: first.then_some(VersionMatch::NotOlderThan),
            resource_version: first.then(|| self.not_older_than.clone()),
            continue_token: self.token.clone(),
            ..ListParams::default()
        };
        let request = ask::list(of.url, &params, of.metadata_only, self.missing.selector.as_deref());
        let (client, limit, after) = (of.client.clone(), of.options.max_body, of.options.list_timeout);
        self.page = async move {
            sleep(pause).await;
            let request = request?;
            let page = async {
                let response = send(&client, request, Request::List).await?;
                read_body(response.into_body(), 0, limit, Request::List).await
            };
            timeout(after, page).await.map_err(|_| WatchError::Timeout { request: Request::List, after })?
        }
        .boxed();
    }

    /// Tells the objects of a page, or the failure of one; whether the list is complete.
    pub(super) fn take<K: DeserializeOwned>(
        &mut self,
        of: &Place<'_>,
        page: Result<Bytes>,
        sink: &mut impl EventSink<K>,
    ) -> bool {
        let next = page.and_then(|body| {
            let body = match of.collection {
                Some(collection) => collection.convert_list(body),
                None => body,
            };
            self.read(of, &body, sink)
        });
        if next.is_ok() {
            sink.completed(Request::List);
        }
        match next {
            Ok(None) => {
                sink.found_all(self.missing.number);
                return true;
            }
            Ok(Some(token)) => {
                self.token = Some(token);
                self.fetch(of, Duration::ZERO);
            }
            Err(error) => {
                if error.is_gone() {
                    (self.token, self.whole) = (None, true);
                }
                // A selector that the server refuses is left out; what it does not select is passed by here.
                if matches!(error.code(), Some(400 | 422)) {
                    self.missing.selector = None;
                }
                sink.missing_failed(&error);
                let pause = self.backoff.next(error.retry_after());
                self.fetch(of, pause);
            }
        }
        false
    }

    /// Tells the objects of a page; the token of the next page.
    fn read<K: DeserializeOwned>(
        &self,
        of: &Place<'_>,
        body: &[u8],
        sink: &mut impl EventSink<K>,
    ) -> Result<Option<String>> {
        let sink = std::cell::RefCell::new(sink);
        let list = decode_list_if(
            body,
            of.unread,
            |text| Head::of_object(text, self.missing.head).is_none_or(|head| sink.borrow_mut().misses(&head)),
            |object: K| sink.borrow_mut().found(object),
            |text, error| sink.borrow_mut().undecodable(text, &error),
        )?;
        sink.into_inner().flush();
        Ok(list.metadata.continue_.filter(|token| !token.is_empty()))
    }
}
