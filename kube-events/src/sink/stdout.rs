//! A line for each event.

use std::fmt;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::Mutex;

use super::{Body, Delivery, DeliveryError, EncodeError, Record, Sink};
use crate::event::EnhancedEvent;

/// Writes each event as a line to the standard output, or to whatever else takes bytes. A batch is acknowledged when it
/// is written and flushed.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// use kube_events::sink::{Body, Outlet, OutletOptions, Stdout};
///
/// let outlet = Outlet::spawn("dump", Stdout::new(Body::json()), OutletOptions::default()).await?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Stdout<W = tokio::io::Stdout> {
    body: Body,
    state: Mutex<State<W>>,
}

struct State<W> {
    out: W,
    /// A batch was not written to its end: what comes next begins with a line of its own.
    is_torn: bool,
}

impl<W> fmt::Debug for Stdout<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stdout").field("body", &self.body).finish_non_exhaustive()
    }
}

impl Stdout {
    /// To the standard output.
    pub fn new(body: Body) -> Self {
        Self::to(tokio::io::stdout(), body)
    }
}

impl<W: AsyncWrite + Send + Unpin + 'static> Stdout<W> {
    /// To something else.
    pub fn to(out: W, body: Body) -> Self {
        Self { body, state: Mutex::new(State { out, is_torn: false }) }
    }
}

impl<W: AsyncWrite + Send + Unpin + 'static> Sink for Stdout<W> {
    fn kind(&self) -> &'static str {
        "stdout"
    }

    fn encode(&self, event: &EnhancedEvent) -> Result<Record, EncodeError> {
        Ok(Record::new(event, self.body.encode(event)?))
    }

    fn deliver<'a>(&'a self, batch: &'a [Record]) -> BoxFuture<'a, Result<Delivery, DeliveryError>> {
        async move {
            let mut state = self.state.lock().await;
            let mut lines = lines(batch);
            if state.is_torn {
                lines.insert(0, b'\n');
            }
            state.is_torn = true;
            state.out.write_all(&lines).await.map_err(DeliveryError::again)?;
            state.out.flush().await.map_err(DeliveryError::again)?;
            state.is_torn = false;
            Ok(Delivery::default())
        }
        .boxed()
    }
}

/// Each body and an end of line.
pub(super) fn lines(batch: &[Record]) -> Vec<u8> {
    let mut lines = Vec::with_capacity(batch.iter().map(|record| record.body.len() + 1).sum());
    for record in batch {
        lines.extend_from_slice(&record.body);
        lines.push(b'\n');
    }
    lines
}
