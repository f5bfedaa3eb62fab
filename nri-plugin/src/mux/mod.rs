//! The multiplexer: several logical connections over one socket, the *trunk*.
//!
//! A frame is a header of two big-endian numbers, connection and length, and what it carries. Nothing else goes over a
//! trunk: no handshake, no sign of opening or closing. A connection is there once both ends act as if it were
//! (containerd/nri, `pkg/net/multiplex`).
//!
//! # Frames that Go can read
//!
//! Go's ttrpc reads a connection through a buffer of 4096 bytes, and a frame that doesn't fit the buffer ends the
//! connection; its mux queues at most 256 frames. So a message is sent as one frame of at most 4096 bytes, and all the
//! rest as one more.
//!
//! # When a connection is not read
//!
//! There is no flow control in the protocol. Go closes the trunk when a queue is full. Here each connection has a queue
//! that is bounded in bytes ([`Config::receive_queue`]), and a full one holds up the trunk, and with it the other
//! connections, until there is room: but only for [`Config::stall_limit`] in all, counted until a frame finds room at
//! once. After that the stalled connection alone is closed ([`MuxError::Stalled`]), and the others go on.
//!
//! What is sent is bounded in bytes as well ([`Config::send_queue`]), for each connection by itself: the sender waits.

mod connection;
mod frame;
mod read;
mod write;

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

pub use self::connection::{Connection, Receiver, Sender, Slot};
use self::read::Route;
use self::write::Outgoing;

/// How long [`Mux::close`] waits for what is still to be written.
const CLOSE_DEADLINE: Duration = Duration::from_secs(1);

/// Why a trunk, or one connection of it, is no more.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum MuxError {
    /// The peer closed the trunk between two frames: how a runtime ends.
    #[error("the peer closed the connection")]
    PeerClosed,
    /// It was closed at this end.
    #[error("the connection was closed at this end")]
    Closed,
    /// The trunk ended within a frame.
    #[error("the peer closed the connection {missing} bytes before the end of a frame")]
    Truncated {
        /// Bytes that were announced and did not come.
        missing: usize,
    },
    /// A frame is longer than is allowed; where the next one begins is of no interest any more.
    #[error("a frame of {length} bytes came on connection {connection}; at most {limit} are taken: raise `max_frame`")]
    FrameTooLarge {
        /// For which connection it was.
        connection: u32,
        /// Its length.
        length: usize,
        /// The longest that is allowed.
        limit: usize,
    },
    /// This connection was not read for too long; the others go on.
    #[error("connection {connection} was closed: its queue was full, and was not read for {waited:?}")]
    Stalled {
        /// Which one.
        connection: u32,
        /// For how long it held up the others.
        waited: Duration,
    },
    /// What came is no message, or none that can come there; what follows it can't be told.
    #[error("the peer broke the protocol: {0}")]
    Protocol(&'static str),
    /// The trunk could not be read or written.
    #[error("the connection failed: {0}")]
    Io(#[source] Arc<io::Error>),
    /// Connection 0 is reserved.
    #[error("connection 0 is reserved: choose another number")]
    ReservedId,
    /// There is such a connection already.
    #[error("connection {0} is open already")]
    AlreadyOpen(u32),
}

impl From<io::Error> for MuxError {
    /// A peer that has closed the trunk is noticed by whichever comes first, reading or writing.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Self::PeerClosed,
            _ => Self::Io(Arc::new(error)),
        }
    }
}

/// Bounds of a trunk. All are in force before anything is allocated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The longest frame that is taken, in bytes. NRI up to 0.6.1 sends up to 16 MiB in one; 16 MiB and 64 KiB by
    /// default.
    pub max_frame: usize,
    /// How many bytes wait to be read on one connection; 16 MiB by default. A longer frame waits alone.
    pub receive_queue: usize,
    /// How many bytes wait to be written from one connection; 8 MiB by default. A longer message waits alone.
    pub send_queue: usize,
    /// For how long in all a connection that is not read may hold up the others; half a second by default, a quarter of
    /// the time that runtimes wait for an answer.
    pub stall_limit: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_frame: (16 << 20) + (64 << 10),
            receive_queue: 16 << 20,
            send_queue: 8 << 20,
            stall_limit: Duration::from_millis(500),
        }
    }
}

/// A trunk and its connections. Dropping it closes them all; one task serves it, and ends with it.
#[derive(Debug)]
pub struct Mux {
    shared: Arc<Shared>,
    outgoing: mpsc::UnboundedSender<Outgoing>,
    /// Nothing more is read; what waits is written.
    closing: CancellationToken,
    _dropped: DropGuard,
}

/// What a trunk, its task and its connections have in common.
#[derive(Debug)]
struct Shared {
    config: Config,
    routes: Mutex<HashMap<u32, Route>>,
    /// Why the trunk is no more.
    end: watch::Sender<Option<MuxError>>,
}

impl Shared {
    /// Waits until the trunk is no more, and says why.
    async fn ended(&self) -> MuxError {
        let mut end = self.end.subscribe();
        // The sender is in `self`: it can't be gone.
        end.wait_for(Option::is_some).await.ok().and_then(|end| end.clone()).unwrap_or(MuxError::Closed)
    }
}

/// Ends the connections with the trunk's task, however that ends: nobody waits for what can't come.
struct Ending(Arc<Shared>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.end.send_if_modified(|end| {
            let untold = end.is_none();
            end.get_or_insert(MuxError::Closed);
            untold
        });
        self.0.routes.lock().clear();
    }
}

impl Mux {
    /// Takes a trunk over, with these connections open before the first byte is read. Needs a tokio runtime.
    pub fn start<T, const N: usize>(
        trunk: T,
        config: Config,
        connections: [u32; N],
    ) -> Result<(Self, [Connection; N]), MuxError>
    where
        T: AsyncRead + AsyncWrite + Send + 'static,
    {
        let (outgoing, queue) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared { config, routes: Mutex::default(), end: watch::Sender::new(None) });
        let (closing, dropped) = (CancellationToken::new(), CancellationToken::new());
        let mux =
            Self { shared: shared.clone(), outgoing, closing: closing.clone(), _dropped: dropped.clone().drop_guard() };
        let mut opened = Vec::with_capacity(N);
        for id in connections {
            opened.push(mux.open(id)?);
        }
        // As many as there are ids.
        let opened = opened.try_into().map_err(|_| MuxError::Closed)?;
        let ending = Ending(shared);
        tokio::spawn(async move {
            let Ending(shared) = &ending;
            let served = serve(trunk, shared, queue, &closing);
            let end = tokio::select! { end = served => end, () = dropped.cancelled() => MuxError::Closed };
            shared.end.send_replace(Some(end));
        });
        Ok((mux, opened))
    }

    /// Opens a connection. The peer has to open it too: until then it drops what is sent.
    pub fn open(&self, id: u32) -> Result<Connection, MuxError> {
        if id == 0 {
            return Err(MuxError::ReservedId);
        }
        if let Some(end) = self.end() {
            return Err(end);
        }
        let receiver = Route::open(&self.shared, id)?;
        let room = Arc::new(Semaphore::new(connection::capacity(self.shared.config.send_queue)));
        Ok(Connection { sender: Sender::new(id, room, self.outgoing.clone(), self.shared.clone()), receiver })
    }

    /// Why the trunk is no more; `None` while it is there.
    pub fn end(&self) -> Option<MuxError> {
        self.shared.end.borrow().clone()
    }

    /// Waits until the trunk is no more, and says why.
    pub async fn ended(&self) -> MuxError {
        self.shared.ended().await
    }

    /// Writes what is still to be written, for a second at most, and closes the trunk. May be called again.
    pub async fn close(&self) {
        self.closing.cancel();
        self.ended().await;
    }
}

/// Reads and writes until one of them ends.
async fn serve<T: AsyncRead + AsyncWrite>(
    trunk: T,
    shared: &Shared,
    queue: mpsc::UnboundedReceiver<Outgoing>,
    closing: &CancellationToken,
) -> MuxError {
    let (from, mut to) = tokio::io::split(trunk);
    let overdue = async {
        closing.cancelled().await;
        sleep(CLOSE_DEADLINE).await;
    };
    let end = tokio::select! {
        end = read::frames(from, shared) => end,
        end = write::messages(&mut to, queue, closing) => end,
        () = overdue => MuxError::Closed,
    };
    // The peer learns of it, though somebody else may hold the trunk open as well.
    let _ = timeout(CLOSE_DEADLINE, to.shutdown()).await;
    end
}
