//! Records, or events, for the program itself.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use futures::{FutureExt, Stream};
use tokio::sync::mpsc;

use super::{Body, Delivery, DeliveryError, EncodeError, Record, Refused, Sink};
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
        async move { hand_over(&self.out, batch.to_vec()).await }.boxed()
    }
}

/// As many as the channel may hold; the others come again.
async fn hand_over<T>(out: &mpsc::Sender<T>, items: Vec<T>) -> Result<Delivery, DeliveryError> {
    let (count, room) = (items.len(), items.len().min(out.max_capacity()));
    // All places at once: what is dropped while it waits has sent nothing.
    let places = out.reserve_many(room).await;
    let places = places.map_err(|_| DeliveryError::refused("the program does not take events any more"))?;
    for (place, item) in places.zip(items) {
        place.send(item);
    }
    Ok(Delivery { again: (room..count).collect(), refused: Vec::new() })
}

/// Hands events to the program that it is in, as [`Memory`] does it with records: whole, as they are routed, with a
/// queue, a spill and acknowledgements as with all sinks. An event is acknowledged when it is in the channel.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// use std::sync::Arc;
/// use kube_events::event::{EnhancedEvent, Event, ObjectMetadata};
/// use kube_events::sink::{Ack, Channel, Outlet, OutletOptions};
///
/// let (channel, mut events) = Channel::new(100);
/// let outlet = Outlet::spawn("mine", channel, OutletOptions::default()).await?;
/// let event = Event { reason: "Killing".to_owned(), ..Event::default() };
/// outlet.offer(EnhancedEvent::new(event, Arc::new(ObjectMetadata::gone())), Ack::none()).await;
/// let event = events.recv().await.ok_or("the outlet has ended")?;
/// assert!(event.event.reason == "Killing" && event.object.deletion.to_bool());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Channel {
    out: mpsc::Sender<EnhancedEvent>,
}

/// The program's end of a [`Channel`]: a stream of events, which ends when the sink is gone.
#[derive(Debug)]
pub struct Events(mpsc::Receiver<EnhancedEvent>);

impl Events {
    /// The next event; none when the sink is gone.
    pub async fn recv(&mut self) -> Option<EnhancedEvent> {
        self.0.recv().await
    }
}

impl Stream for Events {
    type Item = EnhancedEvent;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<EnhancedEvent>> {
        self.0.poll_recv(context)
    }
}

impl Channel {
    /// A sink, and where its events come out. The channel holds `capacity` events, at least one.
    pub fn new(capacity: usize) -> (Self, Events) {
        let (out, events) = mpsc::channel(capacity.clamp(1, tokio::sync::Semaphore::MAX_PERMITS));
        (Self { out }, Events(events))
    }
}

impl Sink for Channel {
    fn kind(&self) -> &'static str {
        "inMemory"
    }

    /// Records are what a spill keeps: the form that says all of an event.
    fn encode(&self, event: &EnhancedEvent) -> Result<Record, EncodeError> {
        Ok(Record::new(event, Body::rich().encode(event)?))
    }

    fn deliver<'a>(&'a self, batch: &'a [Record]) -> BoxFuture<'a, Result<Delivery, DeliveryError>> {
        async move {
            let (mut places, mut events, mut refused) = (Vec::new(), Vec::new(), Vec::new());
            for (index, record) in batch.iter().enumerate() {
                match EnhancedEvent::from_json(&record.body) {
                    Ok(event) => {
                        places.push(index);
                        events.push(event);
                    }
                    // As after a change of versions.
                    Err(error) => refused.push(Refused { index, reason: error.to_string() }),
                }
            }
            let again = if events.is_empty() { Vec::new() } else { hand_over(&self.out, events).await?.again };
            let again = again.into_iter().filter_map(|at| places.get(at).copied()).collect();
            Ok(Delivery { again, refused })
        }
        .boxed()
    }
}
