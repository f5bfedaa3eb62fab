//! From the trunk to the connections.

use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, BufReader, ReadHalf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, timeout};

use super::connection::{Receiver, capacity, cost};
use super::frame::{HEADER, Header};
use super::{MuxError, Shared};
use crate::telemetry::{self, DroppedFrame};

/// How much is allocated ahead of what has come.
const READ_AHEAD: usize = 64 * 1024;

/// What a frame carried, and the room that it takes in the queue of its connection.
pub(super) type Queued = Result<(Bytes, OwnedSemaphorePermit), MuxError>;

/// Where the frames of a connection go.
#[derive(Debug)]
pub(super) struct Route {
    queue: mpsc::UnboundedSender<Queued>,
    /// The room in the queue.
    room: Arc<Semaphore>,
    /// For how long this connection has held up the others, since a frame last found room at once.
    waited: Duration,
}

impl Route {
    pub(super) fn open(shared: &Arc<Shared>, id: u32) -> Result<Receiver, MuxError> {
        let mut routes = shared.routes.lock();
        if routes.contains_key(&id) {
            return Err(MuxError::AlreadyOpen(id));
        }
        let (queue, frames) = mpsc::unbounded_channel();
        let room = Arc::new(Semaphore::new(capacity(shared.config.receive_queue)));
        routes.insert(id, Self { queue, room: room.clone(), waited: Duration::ZERO });
        Ok(Receiver::new(id, frames, room, shared.clone()))
    }

    /// Whether this is the route whose room that is, and not a later one of the same number.
    pub(super) fn has(&self, room: &Arc<Semaphore>) -> bool {
        Arc::ptr_eq(&self.room, room)
    }
}

/// Reads frames, and queues them for their connections, until that fails.
pub(super) async fn frames<R: AsyncRead>(trunk: ReadHalf<R>, shared: &Shared) -> MuxError {
    let mut trunk = BufReader::new(trunk);
    loop {
        if let Err(error) = frame(&mut trunk, shared).await {
            return error;
        }
    }
}

async fn frame<R: AsyncRead + Unpin>(trunk: &mut R, shared: &Shared) -> Result<(), MuxError> {
    let Header { connection, length } = header(trunk).await?;
    let (length, limit) = (usize::try_from(length).unwrap_or(usize::MAX), shared.config.max_frame);
    if length > limit {
        return Err(MuxError::FrameTooLarge { connection, length, limit });
    }
    let route = shared.routes.lock().get(&connection).map(|route| (route.queue.clone(), route.room.clone()));
    let Some((queue, room)) = route else {
        telemetry::dropped_frame(DroppedFrame::NotOpen);
        return skip(trunk, length).await;
    };
    let payload = payload(trunk, length).await?;
    match room_for(cost(length, shared.config.receive_queue), &room, connection, shared).await {
        Ok(room) => {
            if queue.send(Ok((payload, room))).is_err() {
                telemetry::dropped_frame(DroppedFrame::NotOpen);
            }
        }
        Err(stalled) => {
            telemetry::dropped_frame(DroppedFrame::Stalled);
            tracing::warn!(connection, "{stalled}");
            shared.routes.lock().remove(&connection);
            // The receiver may be gone.
            let _ = queue.send(Err(stalled));
        }
    }
    Ok(())
}

async fn header<R: AsyncRead + Unpin>(trunk: &mut R) -> Result<Header, MuxError> {
    let mut bytes = [0; HEADER];
    let mut rest = bytes.as_mut_slice();
    while !rest.is_empty() {
        let missing = rest.len();
        match trunk.read_buf(&mut rest).await? {
            0 if missing == HEADER => return Err(MuxError::PeerClosed),
            0 => return Err(MuxError::Truncated { missing }),
            _ => {}
        }
    }
    Ok(Header::decode(bytes))
}

/// Reads what a frame carries. A length that is only claimed costs nothing: the buffer grows with what comes.
async fn payload<R: AsyncRead + Unpin>(trunk: &mut R, length: usize) -> Result<Bytes, MuxError> {
    let mut payload = BytesMut::with_capacity(length.min(READ_AHEAD));
    while payload.len() < length {
        let missing = length - payload.len();
        payload.reserve(missing.min(READ_AHEAD));
        if trunk.read_buf(&mut (&mut payload).limit(missing)).await? == 0 {
            return Err(MuxError::Truncated { missing });
        }
    }
    Ok(payload.freeze())
}

async fn skip<R: AsyncRead + Unpin>(trunk: &mut R, length: usize) -> Result<(), MuxError> {
    let wanted = u64::try_from(length).unwrap_or(u64::MAX);
    let skipped = tokio::io::copy(&mut trunk.take(wanted), &mut tokio::io::sink()).await?;
    match usize::try_from(wanted - skipped) {
        Ok(0) => Ok(()),
        missing => Err(MuxError::Truncated { missing: missing.unwrap_or(usize::MAX) }),
    }
}

/// Waits for room in a queue, for as long as the connection may still hold up the others. A queue that is dropped gives
/// its room back.
async fn room_for(
    cost: u32,
    room: &Arc<Semaphore>,
    connection: u32,
    shared: &Shared,
) -> Result<OwnedSemaphorePermit, MuxError> {
    let set_waited = |waited| {
        if let Some(route) = shared.routes.lock().get_mut(&connection) {
            route.waited = waited;
        }
    };
    if let Ok(room) = room.clone().try_acquire_many_owned(cost) {
        set_waited(Duration::ZERO);
        return Ok(room);
    }
    let waited = shared.routes.lock().get(&connection).map_or(Duration::ZERO, |route| route.waited);
    let began = Instant::now();
    let found = timeout(shared.config.stall_limit.saturating_sub(waited), room.clone().acquire_many_owned(cost)).await;
    let waited = waited + began.elapsed();
    set_waited(waited);
    match found {
        Ok(Ok(room)) => Ok(room),
        _ => Err(MuxError::Stalled { connection, waited }),
    }
}
