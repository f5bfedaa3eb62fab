//! Get and list.

use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{self, StreamExt};
use http::StatusCode;
use serde_json::{Value, json};

use super::Call;
use super::query::{ListOptions, Reading, Token};
use super::status::Status;
use crate::http::reply::{GZIP_FROM, JSON, Reply};
use crate::object::selector::Scope;
use crate::store::State;
use crate::store::entry::{Entry, Form, METADATA_VERSION};
use crate::store::table::Table;

/// The size of the pieces that large lists are sent in.
const PIECE: usize = 64 * 1024;

/// An entry as the call's client wants to see it.
pub(crate) fn show(call: &Call, status: StatusCode, entry: &Entry) -> Reply {
    let form = Form::single(&call.resource, &call.version.name, call.metadata_only);
    let mut body = Vec::with_capacity(entry.len() + 64);
    entry.write(&form, &mut body);
    Reply::new(status, JSON, body)
}

pub(crate) fn get(call: &Call) -> Result<Reply, Status> {
    let state = call.server.store.state.read();
    if let Some(asked) = call.query.version()?.filter(|asked| *asked > state.version()) {
        return Err(Status::too_new(asked, state.version()));
    }
    let key = call.key();
    let entry = match (state.table(&call.resource), call.effects.stale_version) {
        (Some(table), Some(version)) => table.at(version.max(table.floor())).and_then(|view| view.get(&key).cloned()),
        (Some(table), None) => table.get(&key).cloned(),
        (None, _) => None,
    };
    drop(state);
    let entry = entry.ok_or_else(|| Status::not_found(call.resource.about(call.name())))?;
    Ok(show(call, StatusCode::OK, &entry))
}

/// A page of a list, ready to be sent.
struct Page {
    version: u64,
    items: Vec<Arc<Entry>>,
    rest: Option<Token>,
}

pub(crate) fn list(call: &Call) -> Result<Reply, Status> {
    let options = ListOptions::parse(&call.query)?;
    let scope = call.sharded_scope()?;
    let page = {
        let state = call.server.store.state.read();
        let table = state.table(&call.resource).ok_or_else(Status::no_such_path)?;
        read_page(call, &state, table, &scope, &options)?
    };
    Ok(send_page(call, &scope, page))
}

fn read_page(call: &Call, state: &State, table: &Table, scope: &Scope, options: &ListOptions) -> Result<Page, Status> {
    let now = call.server.clock.uptime_millis();
    let newest = state.version();
    let stale = call.effects.stale_version.map(|version| version.clamp(table.floor(), newest));
    let version = match &options.reading {
        Reading::Newest | Reading::Any => stale.unwrap_or(newest),
        Reading::NotOlderThan(asked) | Reading::Exact(asked) if *asked > newest => {
            return Err(Status::too_new(*asked, newest));
        }
        Reading::NotOlderThan(asked) => stale.unwrap_or(newest).max(*asked),
        Reading::Exact(asked) => *asked,
        Reading::Continue(token) => {
            // A token without a version is for the newest state.
            let version = u64::try_from(token.version).unwrap_or(newest);
            let outlived = now.saturating_sub(token.began) >= call.server.settings.page_token_ttl_millis();
            if version > newest || outlived {
                return Err(Status::continue_expired(token.at_newest(now).encode()));
            }
            version
        }
    };
    let Some(view) = table.at(version) else {
        return Err(match &options.reading {
            Reading::Continue(token) => Status::continue_expired(token.at_newest(now).encode()),
            _ => Status::expired("The resourceVersion for the provided list is too old."),
        });
    };
    let token = match &options.reading {
        Reading::Continue(token) => Some(token),
        _ => None,
    };
    let after = token.map(|token| token.start.as_str());
    let mut all = view.range(scope.namespace.as_deref(), after);
    let matching = all.by_ref().filter(|entry| scope.matches(entry)).cloned();
    let items: Vec<_> = match options.limit {
        Some(limit) => matching.take(limit).collect(),
        None => matching.collect(),
    };
    let full = options.limit == Some(items.len());
    let more = full && all.next().is_some();
    let rest = items.last().filter(|_| more).map(|last| {
        let remaining = match token.and_then(|token| token.remaining) {
            _ if scope.selects() => None,
            Some(before) => Some(before.saturating_sub(items.len())),
            // One has been taken off to see whether there are more.
            None => Some(all.count() + 1),
        };
        let began = token.map_or(now, |token| token.began);
        Token::new(version, &last.key, began, remaining)
    });
    Ok(Page { version, items, rest })
}

fn send_page(call: &Call, scope: &Scope, page: Page) -> Reply {
    let (kind, api_version) = if call.metadata_only {
        ("PartialObjectMetadataList".to_owned(), METADATA_VERSION.to_owned())
    } else {
        (call.resource.list_kind.clone(), call.resource.api_version(&call.version.name))
    };
    let mut metadata = json!({"resourceVersion": page.version.to_string()});
    if let (Some(rest), Value::Object(metadata)) = (&page.rest, &mut metadata) {
        metadata.insert("continue".into(), rest.encode().into());
        if let Some(remaining) = rest.remaining.filter(|_| !scope.selects()) {
            metadata.insert("remainingItemCount".into(), remaining.into());
        }
    }
    if let (Some(selector), Value::Object(metadata)) = (scope.shard_selector(), &mut metadata) {
        metadata.insert("shardInfo".into(), json!({"selector": selector}));
    }
    let head = format!(
        r#"{{"kind":{},"apiVersion":{},"metadata":{metadata},"items":["#,
        Value::from(kind),
        Value::from(api_version)
    );
    let form = Form::item(&call.resource, &call.version.name, call.metadata_only);
    let size: usize = page.items.iter().map(|entry| entry.len()).sum();
    let mut pieces = Pieces { open: Some(head.into_bytes()), items: page.items.into_iter(), form, first: true };
    if size < GZIP_FROM {
        let whole: Vec<u8> = pieces.by_ref().flatten().collect();
        return Reply::new(StatusCode::OK, JSON, whole);
    }
    Reply::pieces(stream::iter(pieces.map(|piece| Ok(Bytes::from(piece)))).boxed())
}

/// A list's JSON, piece by piece.
struct Pieces {
    /// The list's head, until the end of the list is written.
    open: Option<Vec<u8>>,
    items: std::vec::IntoIter<Arc<Entry>>,
    form: Form,
    first: bool,
}

impl Iterator for Pieces {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let mut piece = self.open.take()?;
        piece.reserve(PIECE);
        for entry in self.items.by_ref() {
            if !std::mem::take(&mut self.first) {
                piece.push(b',');
            }
            entry.write(&self.form, &mut piece);
            if piece.len() >= PIECE {
                self.open = Some(Vec::new());
                return Some(piece);
            }
        }
        piece.extend_from_slice(b"]}\n");
        Some(piece)
    }
}
