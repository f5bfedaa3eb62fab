//! The runtime's end of a trunk, as Go's multiplexer reads and writes it.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex as SyncMutex;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::CancellationToken;

use super::connection::{BUFFER, Connection, HEADER};
use super::trouble::Breach;

/// Go's queue of a connection: what doesn't fit ends the trunk.
pub(super) const QUEUE: usize = 256;

/// What a runtime takes for a trunk: a unix socket, or a pipe in memory.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for S {}

type Boxed = Box<dyn Stream>;

/// Writes frames to a trunk, and closes it; clones write to the same one.
#[derive(Clone)]
pub struct Trunk {
    to: Arc<Mutex<Option<WriteHalf<Boxed>>>>,
    closed: CancellationToken,
    breach: Arc<SyncMutex<Option<Breach>>>,
    longest: usize,
}

impl fmt::Debug for Trunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Trunk");
        debug.field("closed", &self.is_closed()).field("breach", &self.breach()).finish_non_exhaustive()
    }
}

impl Trunk {
    /// Begins to read a trunk with the connections 1, on which the plugin serves, and 2, on which the runtime does.
    ///
    /// It ends with the token, too.
    pub(super) fn open(stream: impl Stream, longest: usize, end: &CancellationToken) -> (Self, Connection, Connection) {
        let (from, to) = split(Box::new(stream) as Boxed);
        let trunk =
            Self { to: Arc::new(Mutex::new(Some(to))), closed: end.child_token(), breach: Arc::default(), longest };
        let (one, answers) = mpsc::channel(QUEUE);
        let (two, requests) = mpsc::channel(QUEUE);
        tokio::spawn(read(from, HashMap::from([(1, one), (2, two)]), trunk.clone()));
        (trunk.clone(), Connection::new(answers, trunk.clone()), Connection::new(requests, trunk))
    }

    /// Bytes that may be no frame at all. False when the trunk is closed.
    pub async fn bytes(&self, bytes: &[u8]) -> bool {
        self.write(&[bytes]).await
    }

    /// A frame of one's own making: its header says how long it is. False when the trunk is closed.
    pub async fn frame(&self, connection: u32, payload: &[u8]) -> bool {
        let Ok(length) = u32::try_from(payload.len()) else { return false };
        self.write(&[&head(connection, length), payload]).await
    }

    /// A message as Go's ttrpc writes it: through a buffer, so that the first frame is as long as that.
    pub(super) async fn message(&self, connection: u32, stream: u32, kind: u8, flags: u8, data: &[u8]) -> bool {
        let Ok(length) = u32::try_from(data.len()) else { return false };
        let header = [&length.to_be_bytes()[..], &stream.to_be_bytes(), &[kind, flags]].concat();
        let first = &data[..data.len().min(BUFFER - HEADER)];
        let frame = [&header[..], first].concat();
        let mut pieces = vec![(frame_head(connection, frame.len()), &frame[..])];
        pieces.extend(data[first.len()..].chunks(self.longest).map(|rest| (frame_head(connection, rest.len()), rest)));
        let pieces: Vec<&[u8]> = pieces.iter().flat_map(|(head, payload)| [&head[..], payload]).collect();
        self.write(&pieces).await
    }

    /// One frame after another, with nothing of others between them. A write that waits for a plugin which doesn't read
    /// ends with the trunk.
    async fn write(&self, pieces: &[&[u8]]) -> bool {
        let writing = async {
            let mut to = self.to.lock().await;
            let to = to.as_mut()?;
            for piece in pieces {
                to.write_all(piece).await.ok()?;
            }
            to.flush().await.ok()
        };
        tokio::select! {
            biased;
            () = self.closed.cancelled() => false,
            written = writing => written.is_some(),
        }
    }

    /// Closes the trunk with all its connections.
    pub async fn close(&self) {
        self.closed.cancel();
        // Whoever wrote gives up, as the token says so. Dropping the half is what closes the stream with the reader's.
        if let Some(mut to) = self.to.lock().await.take() {
            let _ = to.shutdown().await;
        }
    }

    /// Has the trunk closed soon.
    pub(super) fn hang_up(&self) {
        self.closed.cancel();
    }

    /// Ready once the trunk is closed, by whichever side.
    pub async fn closed(&self) {
        self.closed.cancelled().await;
    }

    /// Whether the trunk is closed, by whichever side.
    pub fn is_closed(&self) -> bool {
        self.closed.is_cancelled()
    }

    /// The rule that the plugin broke, if it did.
    pub fn breach(&self) -> Option<Breach> {
        *self.breach.lock()
    }

    /// Takes down the first rule that was broken.
    pub(super) fn broken(&self, breach: Breach) {
        self.breach.lock().get_or_insert(breach);
    }
}

fn head(connection: u32, length: u32) -> [u8; 8] {
    let mut head = [0; 8];
    head[..4].copy_from_slice(&connection.to_be_bytes());
    head[4..].copy_from_slice(&length.to_be_bytes());
    head
}

/// Frames of the runtime are as short as [`Trunk::longest`] says.
fn frame_head(connection: u32, length: usize) -> [u8; 8] {
    head(connection, u32::try_from(length).unwrap_or(u32::MAX))
}

/// Reads frames until the end of the trunk, which closes it.
async fn read(mut from: ReadHalf<Boxed>, queues: HashMap<u32, mpsc::Sender<Vec<u8>>>, trunk: Trunk) {
    let reading = async {
        while let Ok((connection, payload)) = frame(&mut from).await {
            // What is for no connection is dropped.
            let Some(queue) = queues.get(&connection) else { continue };
            if queue.try_send(payload).is_err() {
                trunk.broken(Breach::QueueOverrun);
                return;
            }
        }
    };
    tokio::select! {
        () = trunk.closed() => {}
        () = reading => {}
    }
    drop(queues);
    drop(from);
    trunk.close().await;
}

/// Go has no limit for the length. Memory is taken as bytes come, so that a length alone costs nothing.
async fn frame(from: &mut ReadHalf<Boxed>) -> io::Result<(u32, Vec<u8>)> {
    let connection = from.read_u32().await?;
    let length = from.read_u32().await?;
    let mut payload = Vec::new();
    let read = from.take(length.into()).read_to_end(&mut payload).await?;
    if u32::try_from(read) != Ok(length) {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok((connection, payload))
}
