//! The runtime's end of a trunk, as Go's multiplexer and ttrpc read and write it. Nothing of it is the library's.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf, split};
use tokio::sync::{Mutex, mpsc};

/// Go's queue of a connection: what doesn't fit ends the trunk.
const QUEUE: usize = 256;
/// The buffer through which Go's ttrpc reads a connection.
const BUFFER: usize = 4096;

/// Writes frames; shared by the connections.
#[derive(Clone)]
pub(crate) struct Writer {
    trunk: Arc<Mutex<WriteHalf<DuplexStream>>>,
    /// The longest frame: 16 MiB before NRI 0.7, then 4 MiB and 10.
    pub(crate) longest: usize,
}

impl Writer {
    async fn frame(trunk: &mut WriteHalf<DuplexStream>, connection: u32, payload: &[u8]) {
        let header = [connection, u32::try_from(payload.len()).unwrap()].map(u32::to_be_bytes).concat();
        // A plugin that is gone is noticed by the reader.
        let _ = trunk.write_all(&header).await;
        let _ = trunk.write_all(payload).await;
    }

    /// A message as Go's ttrpc writes it: through a buffer, so that the first frame is as long as that.
    pub(crate) async fn message(&self, connection: u32, stream: u32, kind: u8, data: &[u8]) {
        let header = [u32::try_from(data.len()).unwrap(), stream].map(u32::to_be_bytes).concat();
        let message = [&header[..], &[kind, 0], data].concat();
        let (first, rest) = message.split_at(message.len().min(BUFFER));
        let mut trunk = self.trunk.lock().await;
        Self::frame(&mut trunk, connection, first).await;
        for piece in rest.chunks(self.longest) {
            Self::frame(&mut trunk, connection, piece).await;
        }
    }

    /// A frame of one's own making.
    pub(crate) async fn raw(&self, connection: u32, payload: &[u8]) {
        Self::frame(&mut *self.trunk.lock().await, connection, payload).await;
    }

    /// Ends within a frame, as Go may: it writes headers by themselves.
    pub(crate) async fn cut(&self) {
        let mut trunk = self.trunk.lock().await;
        trunk.write_all(&[0, 0, 0, 1, 0, 0, 0, 10]).await.unwrap();
        trunk.shutdown().await.unwrap();
    }

    pub(crate) async fn close(&self) {
        let _ = self.trunk.lock().await.shutdown().await;
    }
}

/// A message that came.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) stream: u32,
    pub(crate) kind: u8,
    pub(crate) data: Vec<u8>,
}

/// Reads messages from one connection.
pub(crate) struct Reader {
    frames: mpsc::Receiver<Vec<u8>>,
    buffer: Vec<u8>,
}

impl Reader {
    /// One `Read` of Go: a frame that is longer than what it is to be read into is lost, and with it the connection.
    async fn read(&mut self, room: usize) -> Option<Vec<u8>> {
        let frame = self.frames.recv().await?;
        (frame.len() <= room).then_some(frame)
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

    /// The next message; `None` when the connection is dead, by whatever rule.
    pub(crate) async fn message(&mut self) -> Option<Message> {
        let header = self.full(10).await?;
        let number = |range: std::ops::Range<usize>| u32::from_be_bytes(header[range].try_into().unwrap());
        let data = self.full(usize::try_from(number(0..4)).unwrap()).await?;
        assert_eq!(header[9], 0, "a unary message has no flags");
        Some(Message { stream: number(4..8), kind: header[8], data })
    }
}

/// Takes an end of a trunk, with connections 1 and 2.
pub(crate) fn open(trunk: DuplexStream, longest: usize) -> (Writer, Reader, Reader) {
    let (mut from, to) = split(trunk);
    let (queues, mut readers): (HashMap<_, _>, Vec<_>) = [1, 2]
        .map(|connection| {
            let (queue, frames) = mpsc::channel(QUEUE);
            ((connection, queue), Reader { frames, buffer: Vec::new() })
        })
        .into_iter()
        .unzip();
    tokio::spawn(async move { while frame(&mut from, &queues).await.is_some() {} });
    let (two, one) = (readers.pop().unwrap(), readers.pop().unwrap());
    (Writer { trunk: Arc::new(Mutex::new(to)), longest }, one, two)
}

async fn frame(from: &mut ReadHalf<DuplexStream>, queues: &HashMap<u32, mpsc::Sender<Vec<u8>>>) -> Option<()> {
    let connection = from.read_u32().await.ok()?;
    let mut payload = vec![0; usize::try_from(from.read_u32().await.ok()?).unwrap()];
    from.read_exact(&mut payload).await.ok()?;
    match queues.get(&connection) {
        // What is for no connection is dropped; a full queue ends the trunk.
        Some(queue) => queue.try_send(payload).ok(),
        None => Some(()),
    }
}
