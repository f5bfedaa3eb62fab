//! What changed in all resources since a cursor.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::store::{Changes, MemoryStore, StoreCursor};

/// A resource in one namespace, or in all of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ScopeName {
    /// The resource's name.
    #[serde(rename = "r")]
    pub resource: String,
    /// The namespace that is watched on its own; `None`: all of them.
    #[serde(rename = "n", default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// How far a reader of [`Ksm::changes_since`](crate::Ksm::changes_since) is. The default one is at the begin.
///
/// It can be stored as text (by `Display` and `FromStr`) or by serde; what stands in it is this crate's own business.
/// It is good for the process that gave it: to another one, it stands for the begin.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor {
    scopes: Vec<Place>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    #[serde(flatten)]
    scope: ScopeName,
    #[serde(flatten)]
    at: StoreCursor,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

/// A text that is no [`Cursor`].
#[derive(Debug, Error)]
#[error("this is no cursor of `Ksm::changes_since`: begin anew with `Cursor::default()` ({0})")]
pub struct BadCursor(#[source] serde_json::Error);

impl FromStr for Cursor {
    type Err = BadCursor;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        serde_json::from_str(text).map_err(BadCursor)
    }
}

/// What a reader has to take over; see [`Ksm::changes_since`](crate::Ksm::changes_since).
#[derive(Debug, Clone)]
pub struct ChangeSet {
    /// The scopes that have something new, each once.
    pub scopes: Vec<ScopeChanges>,
    /// The scopes all of whose objects are gone: watched no more, or withdrawn (see [`Freshness`](crate::Freshness)).
    pub gone: Vec<ScopeName>,
    /// The cursor for the next call.
    pub cursor: Cursor,
}

impl ChangeSet {
    /// Whether there is nothing to take over.
    pub fn is_empty(&self) -> bool {
        self.scopes.is_empty() && self.gone.is_empty()
    }
}

/// What is new in one scope.
#[derive(Debug, Clone)]
pub struct ScopeChanges {
    /// Which.
    pub scope: ScopeName,
    /// What. A [`Changes::Resync`] replaces what the reader has of this scope, and of no other.
    pub changes: Changes,
}

impl Cursor {
    fn at(&self, scope: &ScopeName) -> Option<StoreCursor> {
        self.scopes.iter().find(|place| place.scope == *scope).map(|place| place.at)
    }

    /// What changed in the stores of some scopes, and where the reader is then. `asked` tells whether a scope that the
    /// cursor knows was asked for, and so should be among them.
    pub(super) fn changes(
        &self,
        stores: impl IntoIterator<Item = (ScopeName, Arc<MemoryStore>)>,
        asked: impl Fn(&ScopeName) -> bool,
    ) -> ChangeSet {
        let mut set = ChangeSet { scopes: Vec::new(), gone: Vec::new(), cursor: Self::default() };
        for (scope, store) in stores {
            let changes = store.changes_since(self.at(&scope));
            set.cursor.scopes.push(Place { scope: scope.clone(), at: changes.cursor() });
            if !changes.is_empty() {
                set.scopes.push(ScopeChanges { scope, changes });
            }
        }
        for place in &self.scopes {
            if set.cursor.at(&place.scope).is_some() {
                continue;
            }
            if asked(&place.scope) {
                set.gone.push(place.scope.clone());
            } else {
                set.cursor.scopes.push(place.clone());
            }
        }
        set
    }
}
