//! Messages from one connection of a trunk, as Go's ttrpc reads them: through a buffer, by rules that frames must keep.

use std::fmt;

use tokio::sync::mpsc;

use super::trouble::Breach;
use super::trunk::{QUEUE, Trunk};

/// The buffer through which Go's ttrpc reads and writes a connection.
pub(super) const BUFFER: usize = 4096;
/// The length of a message's header.
pub(super) const HEADER: usize = 10;
/// The longest data that Go's ttrpc takes: longer ones it answers with an error.
pub(super) const MAX_DATA: usize = 4 << 20;

/// The type of a request.
pub(super) const REQUEST: u8 = 1;
/// The type of an answer.
pub(super) const RESPONSE: u8 = 2;

/// A message that came.
pub(super) struct Message {
    pub(super) stream: u32,
    pub(super) kind: u8,
    /// The data, or their length if that is too much.
    pub(super) data: Result<Vec<u8>, usize>,
}

/// The frames of one connection.
pub(super) struct Connection {
    frames: mpsc::Receiver<Vec<u8>>,
    buffer: Vec<u8>,
    /// How many frames the message took so far.
    taken: usize,
    trunk: Trunk,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("trunk", &self.trunk).finish_non_exhaustive()
    }
}

impl Connection {
    pub(super) fn new(frames: mpsc::Receiver<Vec<u8>>, trunk: Trunk) -> Self {
        Self { frames, buffer: Vec::new(), taken: 0, trunk }
    }

    /// The next message; `None` when nothing can be read any more, by whatever rule.
    pub(super) async fn message(&mut self) -> Option<Message> {
        self.taken = 0;
        let header = self.full(HEADER).await?;
        let [l0, l1, l2, l3, s0, s1, s2, s3, kind, _flags] = header[..].try_into().ok()?;
        let length = usize::try_from(u32::from_be_bytes([l0, l1, l2, l3])).ok()?;
        let data = if length > MAX_DATA {
            self.discard(length).await?;
            Err(length)
        } else {
            Ok(self.full(length).await?)
        };
        Some(Message { stream: u32::from_be_bytes([s0, s1, s2, s3]), kind, data })
    }

    /// What came after the connection was given up, until its queue is full or the trunk ends.
    pub(super) async fn idle(self) {
        self.trunk.closed().await;
        drop(self.frames);
    }

    /// One `Read` of Go: a frame that is longer than what it is to be read into is lost, and with it the connection.
    async fn read(&mut self, room: usize) -> Option<Vec<u8>> {
        let frame = self.frames.recv().await?;
        self.taken += 1;
        let breach = if frame.len() > room {
            Breach::FrameTooLong { length: frame.len(), room }
        } else if self.taken > QUEUE {
            Breach::QueueOverrun
        } else {
            return Some(frame);
        };
        self.trunk.broken(breach);
        None
    }

    /// `io.ReadFull` through a `bufio.Reader`, which long reads bypass.
    async fn full(&mut self, length: usize) -> Option<Vec<u8>> {
        let mut full = Vec::new();
        while full.len() < length {
            let missing = length - full.len();
            if self.buffer.is_empty() {
                if missing >= BUFFER {
                    full.extend(self.read(missing).await?);
                    continue;
                }
                self.buffer = self.read(BUFFER).await?;
            }
            full.extend(self.buffer.drain(..missing.min(self.buffer.len())));
        }
        Some(full)
    }

    /// `Discard` of a `bufio.Reader`, which goes through the buffer whatever the length. As long as that takes, Go has luck
    /// with its queue here, so that what it answers can be seen.
    async fn discard(&mut self, length: usize) -> Option<()> {
        let mut missing = length;
        while missing > 0 {
            if self.buffer.is_empty() {
                self.taken = 0;
                self.buffer = self.read(BUFFER).await?;
            }
            let gone = missing.min(self.buffer.len());
            self.buffer.drain(..gone);
            missing -= gone;
        }
        Some(())
    }
}
