//! From the connections to the trunk.

use std::io;

use bytes::{Buf, Bytes};
use tokio::io::{AsyncWrite, AsyncWriteExt, WriteHalf};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_util::sync::CancellationToken;

use super::MuxError;
use super::frame::{Header, pieces};

/// A message that waits to be written, and the room that it takes until it is.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) connection: u32,
    pub(super) message: Bytes,
    pub(super) _room: OwnedSemaphorePermit,
}

/// Writes messages, in the order in which they were queued, until that fails. Once the trunk is to be closed, it writes
/// what is queued, and tells the peer that nothing else comes.
pub(super) async fn messages<W: AsyncWrite>(
    trunk: &mut WriteHalf<W>,
    mut queue: mpsc::UnboundedReceiver<Outgoing>,
    closing: &CancellationToken,
) -> MuxError {
    let written = async {
        // Between messages only: a peer can't read half a frame.
        while let Some(Some(outgoing)) = closing.run_until_cancelled(queue.recv()).await {
            message(trunk, outgoing).await?;
        }
        while let Ok(outgoing) = queue.try_recv() {
            message(trunk, outgoing).await?;
        }
        trunk.shutdown().await
    };
    written.await.map_or_else(MuxError::from, |()| MuxError::Closed)
}

async fn message<W: AsyncWrite>(trunk: &mut WriteHalf<W>, outgoing: Outgoing) -> io::Result<()> {
    let Outgoing { connection, message, _room } = outgoing;
    for piece in pieces(message) {
        // A piece is shorter than 2^32 by far.
        let length = u32::try_from(piece.len()).unwrap_or(u32::MAX);
        let header = Header { connection, length }.encode();
        trunk.write_all_buf(&mut header.chain(piece)).await?;
    }
    trunk.flush().await
}
