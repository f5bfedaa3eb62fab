//! For sinks that want a part of a collection only, and another part from time to time.

use crate::decode::HeadFields;

/// Which part of a collection a sink wants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Part {
    /// What [`EventSink::admits`](super::EventSink::admits) must see of an object; none: every object is wanted.
    pub head: Option<HeadFields>,
    /// The server is asked to send only what this `shardSelector` selects (KEP-5866). It may send everything.
    pub selector: Option<String>,
    /// What is wanted and was not before: it is listed beside the running watch.
    pub missing: Option<Missing>,
}

/// What a sink wants and did not want before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Another number is another part: what is being listed is given up for it.
    pub number: u64,
    /// What [`EventSink::misses`](super::EventSink::misses) must see of an object.
    pub head: HeadFields,
    /// The `shardSelector` of that part.
    pub selector: Option<String>,
}

/// What tells that a sink wants another part.
pub(crate) type Changes = Option<tokio::sync::watch::Receiver<u64>>;

/// Waits until a sink may want another part.
pub(crate) async fn changed(changes: &mut Changes) {
    let open = match changes {
        Some(changes) => changes.changed().await.is_ok(),
        None => false,
    };
    if !open {
        std::future::pending::<()>().await;
    }
}
