//! Records for the program itself.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use futures::{FutureExt, Stream};
use tokio::sync::mpsc;

use super::{Body, Delivery, DeliveryError, EncodeError, Record, Sink};
use crate::event::EnhancedEvent;

/// Hands records to the program that it is in, through a bounded channel. A record is acknowledged when it is in the
/// channel; when nobody holds the other end any more, records are refused.
///
/// A batch that is longer than the channel is taken in parts, with pauses between them: let
/// [`BatchOptions::events`](super::BatchOptions::events) be at most the channel's capacity.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// use std::sync::Arc;
/// use kube_events::event::{EnhancedEvent, Event, ObjectMetadata};
/// use kube_events::sink::{Ack, Body, Memory, Outlet, OutletOptions};
///
/// let (memory, mut records) = Memory::channel(100, Body::json());
/// let outlet = Outlet::spawn("mine", memory, OutletOptions::default()).await?;
/// let event = Event { reason: "Killing".to_owned(), ..Event::default() };
/// outlet.offer(EnhancedEvent::new(event, Arc::new(ObjectMetadata::unknown())), Ack::none()).await;
/// let record = records.recv().await.ok_or("the outlet has ended")?;
/// assert_eq!(serde_json::from_slice::<serde_json::Value>(&record.body)?["reason"], "Killing");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Memory {
    body: Body,
    out: mpsc::Sender<Record>,
}

/// The program's end of a [`Memory`]: a stream of records, which ends when the sink is gone.
#[derive(Debug)]
pub struct Records(mpsc::Receiver<Record>);

impl Records {
    /// The next record; none when the sink is gone.
    pub async fn recv(&mut self) -> Option<Record> {
        self.0.recv().await
    }
}

impl Stream for Records {
    type Item = Record;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Record>> {
        self.0.poll_recv(context)
    }
}

impl Memory {
    /// A sink, and where its records come out. The channel holds `capacity` records, at least one.
    pub fn channel(capacity: usize, body: Body) -> (Self, Records) {
        let (out, records) = mpsc::channel(capacity.clamp(1, tokio::sync::Semaphore::MAX_PERMITS));
        (Self { body, out }, Records(records))
    }
}

impl Sink for Memory {
    fn kind(&self) -> &'static str {
        "inMemory"
    }

    fn encode(&self, event: &EnhancedEvent) -> Result<Record, EncodeError> {
        Ok(Record::new(event, self.body.encode(event)?))
    }

    fn deliver<'a>(&'a self, batch: &'a [Record]) -> BoxFuture<'a, Result<Delivery, DeliveryError>> {
        async move {
            // All places at once: what is dropped while it waits has sent nothing.
            let room = batch.len().min(self.out.max_capacity());
            let places = self.out.reserve_many(room).await;
            let places = places.map_err(|_| DeliveryError::refused("the program does not take records any more"))?;
            for (place, record) in places.zip(batch) {
                place.send(record.clone());
            }
            Ok(Delivery { again: (room..batch.len()).collect(), refused: Vec::new() })
        }
        .boxed()
    }
}
