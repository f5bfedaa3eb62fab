//! One logical connection of a trunk, as its user has it.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::read::Queued;
use super::write::Outgoing;
use super::{MuxError, Shared};

/// What a frame or message costs in a queue besides its bytes, so that empty ones are bounded too.
const OVERHEAD: usize = 64;

/// The bytes that a queue holds, as a semaphore counts them.
pub(super) fn capacity(bytes: usize) -> usize {
    // Acquired in units of u32.
    bytes.clamp(OVERHEAD, u32::MAX as usize).min(Semaphore::MAX_PERMITS)
}

/// What `length` bytes cost in a queue of that many bytes; all of it at most, so that everything fits alone.
pub(super) fn cost(length: usize, queue: usize) -> u32 {
    // A capacity is no more than that.
    u32::try_from(length.saturating_add(OVERHEAD).min(capacity(queue))).unwrap_or(u32::MAX)
}

/// A logical connection: two halves that may go separate ways.
#[derive(Debug)]
pub struct Connection {
    /// The half that sends.
    pub sender: Sender,
    /// The half that receives.
    pub receiver: Receiver,
}

/// Sends messages on a connection; clones send on the same one.
#[derive(Debug, Clone)]
pub struct Sender {
    id: u32,
    room: Arc<Semaphore>,
    outgoing: mpsc::UnboundedSender<Outgoing>,
    shared: Arc<Shared>,
}

impl Sender {
    pub(super) fn new(
        id: u32,
        room: Arc<Semaphore>,
        outgoing: mpsc::UnboundedSender<Outgoing>,
        shared: Arc<Shared>,
    ) -> Self {
        Self { id, room, outgoing, shared }
    }

    /// Waits until there is room for a message of this length. Sending it then waits for nothing, so that something may
    /// be decided under the same lock: ttrpc's stream ids have to be on the wire in the order in which they are given.
    ///
    /// A caller that goes away meanwhile leaves nothing behind: a message is sent as a whole or not at all.
    pub async fn reserve(&self, length: usize) -> Result<Slot<'_>, MuxError> {
        let room = self.room.clone().acquire_many_owned(cost(length, self.shared.config.send_queue));
        tokio::select! {
            biased;
            end = self.shared.ended() => Err(end),
            room = room => room.map(|room| Slot { sender: self, room }).map_err(|_| MuxError::Closed),
        }
    }

    /// Sends a message once there is room for it. That it was sent does not mean that the peer has read it.
    pub async fn send(&self, message: Bytes) -> Result<(), MuxError> {
        self.reserve(message.len()).await?.send(message);
        Ok(())
    }
}

/// Room for one message.
#[derive(Debug)]
#[must_use = "the room is given back when this is dropped"]
pub struct Slot<'a> {
    sender: &'a Sender,
    room: OwnedSemaphorePermit,
}

impl Slot<'_> {
    /// Sends the message for which room was reserved, after those that were sent before.
    pub fn send(self, message: Bytes) {
        let outgoing = Outgoing { connection: self.sender.id, message, _room: self.room };
        // Without a trunk it is lost, as it would be within it; whoever waits for an answer learns it by that.
        let _ = self.sender.outgoing.send(outgoing);
    }
}

/// Receives frames from a connection; the connection is closed when this is dropped.
#[derive(Debug)]
pub struct Receiver {
    id: u32,
    frames: mpsc::UnboundedReceiver<Queued>,
    room: Arc<Semaphore>,
    shared: Arc<Shared>,
}

impl Receiver {
    pub(super) fn new(
        id: u32,
        frames: mpsc::UnboundedReceiver<Queued>,
        room: Arc<Semaphore>,
        shared: Arc<Shared>,
    ) -> Self {
        Self { id, frames, room, shared }
    }

    /// What the next frame carries, which may be nothing. Frames that came before an end are given before the error;
    /// where frames were cut says nothing about messages.
    pub async fn frame(&mut self) -> Result<Bytes, MuxError> {
        match self.frames.recv().await {
            Some(frame) => frame.map(|(payload, _room)| payload),
            None => Err(self.shared.ended().await),
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let mut routes = self.shared.routes.lock();
        if routes.get(&self.id).is_some_and(|route| route.has(&self.room)) {
            routes.remove(&self.id);
        }
    }
}
