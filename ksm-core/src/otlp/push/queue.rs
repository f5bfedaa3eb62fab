//! What waits to be sent, bounded in bytes.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::telemetry::{Dropped, Telemetry};
use super::transport::Payload;

/// A message on its way. However it ends, its points are counted: one that just goes is counted as dropped.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) payload: Payload,
    /// Counts collections; a later one is worth more than an earlier one.
    pub(super) collection: u64,
    /// When it is too old to be sent.
    pub(super) deadline: Instant,
    telemetry: Arc<Telemetry>,
    settled: bool,
}

impl Message {
    pub(super) fn new(payload: Payload, collection: u64, deadline: Instant, telemetry: Arc<Telemetry>) -> Self {
        Self { payload, collection, deadline, telemetry, settled: false }
    }

    fn points(&self) -> u64 {
        self.payload.points as u64
    }

    pub(super) fn accepted(mut self, rejected: u64, took: std::time::Duration) {
        self.settled = true;
        self.telemetry.accepted(self.points(), rejected, took);
    }

    pub(super) fn dropped(mut self, why: Dropped) {
        self.settled = true;
        self.telemetry.dropped(why, self.points());
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        if !self.settled {
            let why = if Instant::now() < self.deadline { Dropped::Stopped } else { Dropped::Expired };
            self.telemetry.dropped(why, self.points());
        }
    }
}

/// Messages between one collector and one sender.
///
/// The collector waits where there is no room for its message, but never behind messages of earlier collections:
/// those are dropped, since the state that they tell is out of date.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    limit: usize,
    filled: Notify,
    emptied: Notify,
    telemetry: Arc<Telemetry>,
}

#[derive(Debug, Default)]
struct State {
    messages: VecDeque<Message>,
    bytes: usize,
    closed: bool,
}

impl Queue {
    pub(super) fn new(limit: usize, telemetry: Arc<Telemetry>) -> Self {
        Self { state: Mutex::default(), limit, filled: Notify::new(), emptied: Notify::new(), telemetry }
    }

    /// Puts a message in as soon as there is room. One that is larger than the whole queue goes in alone.
    pub(super) async fn push(&self, message: Message) {
        loop {
            if self.has_room_for(&message) {
                break;
            }
            self.emptied.notified().await;
        }
        let mut state = self.state.lock();
        state.bytes += message.payload.bytes.len();
        state.messages.push_back(message);
        self.telemetry.queue(state.messages.len(), state.bytes);
        drop(state);
        self.filled.notify_one();
    }

    /// Makes room by dropping what is out of date; whether there is enough.
    fn has_room_for(&self, message: &Message) -> bool {
        let mut displaced = Vec::new();
        let mut state = self.state.lock();
        let has_room = loop {
            if state.bytes == 0 || state.bytes + message.payload.bytes.len() <= self.limit {
                break true;
            }
            match state.messages.pop_front_if(|oldest| oldest.collection < message.collection) {
                Some(oldest) => {
                    state.bytes -= oldest.payload.bytes.len();
                    displaced.push(oldest);
                }
                None => break false,
            }
        };
        drop(state);
        for message in displaced {
            message.dropped(Dropped::Displaced);
        }
        has_room
    }

    /// The oldest message; none once the queue is closed and empty.
    pub(super) async fn pop(&self) -> Option<Message> {
        loop {
            {
                let mut state = self.state.lock();
                if let Some(message) = state.messages.pop_front() {
                    state.bytes -= message.payload.bytes.len();
                    self.telemetry.queue(state.messages.len(), state.bytes);
                    self.emptied.notify_one();
                    return Some(message);
                }
                if state.closed {
                    return None;
                }
            }
            self.filled.notified().await;
        }
    }

    /// Nothing is put in any more; what is in can be taken out.
    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.filled.notify_one();
    }

    /// Drops what nobody will take out any more.
    pub(super) fn clear(&self) {
        let mut state = self.state.lock();
        let left = std::mem::take(&mut state.messages);
        state.bytes = 0;
        self.telemetry.queue(0, 0);
        drop(state);
        drop(left);
    }

    /// Messages, and their bytes.
    pub(super) fn size(&self) -> (usize, usize) {
        let state = self.state.lock();
        (state.messages.len(), state.bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use futures::FutureExt;

    use super::*;
    use crate::otlp::Compression;

    fn message(telemetry: &Arc<Telemetry>, collection: u64, points: usize, bytes: usize) -> Message {
        let payload = Payload { bytes: Bytes::from(vec![0; bytes]), compression: Compression::None, points };
        Message::new(payload, collection, Instant::now() + Duration::from_secs(1), telemetry.clone())
    }

    fn queue(limit: usize) -> (Arc<Telemetry>, Queue) {
        let telemetry = Arc::new(Telemetry::default());
        (telemetry.clone(), Queue::new(limit, telemetry))
    }

    #[tokio::test]
    async fn a_collection_waits_behind_itself() {
        let (telemetry, queue) = queue(10);
        queue.push(message(&telemetry, 1, 1, 8)).await;
        let mut second = Box::pin(queue.push(message(&telemetry, 1, 2, 8)));
        assert!(second.as_mut().now_or_never().is_none());
        assert_eq!(queue.size(), (1, 8));
        queue.pop().await.unwrap().accepted(0, Duration::ZERO);
        second.await;
        assert_eq!(queue.pop().await.unwrap().payload.points, 2);
    }

    #[tokio::test]
    async fn a_newer_collection_displaces_as_much_as_it_needs() {
        let (telemetry, queue) = queue(10);
        for points in [1, 2, 4] {
            queue.push(message(&telemetry, 1, points, 3)).await;
        }
        queue.push(message(&telemetry, 2, 8, 6)).await;
        assert_eq!(telemetry.status(0, 0).dropped, 1 + 2);
        assert_eq!(queue.size(), (2, 9));
    }

    #[tokio::test]
    async fn what_is_larger_than_the_queue_goes_in_alone() {
        let (telemetry, queue) = queue(10);
        queue.push(message(&telemetry, 1, 1, 50)).await;
        assert_eq!(queue.size(), (1, 50));
        assert!(queue.push(message(&telemetry, 1, 1, 1)).now_or_never().is_none());
    }

    #[tokio::test]
    async fn a_closed_queue_gives_what_it_has() {
        let (telemetry, queue) = queue(10);
        queue.push(message(&telemetry, 1, 3, 1)).await;
        queue.close();
        drop(queue.pop().await.unwrap());
        assert!(queue.pop().await.is_none());
        assert_eq!(telemetry.status(0, 0).dropped, 3, "a message that is lost is counted");
    }
}
