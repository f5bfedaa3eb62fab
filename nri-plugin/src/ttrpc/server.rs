//! Answers.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{FutureExt, poll};
use prost::Message;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::wire::{Assembler, Encoded, HEADER, Header, Incoming, REQUEST, RESPONSE};
use super::{Code, Config, KeyValue, Request, Response, Status};
use crate::mux::{Connection, MuxError, Sender};
use crate::telemetry::{self, DroppedMessage};

/// A request, as a service gets it.
#[derive(Debug, Clone)]
pub struct Call {
    /// The full name of the service.
    pub service: String,
    /// The method.
    pub method: String,
    /// The message that the method takes.
    pub payload: Bytes,
    /// When the caller gives up, if it said so. The call is dropped then.
    pub deadline: Option<Instant>,
    /// What came along with the call.
    pub metadata: Vec<KeyValue>,
}

/// Answers calls.
pub trait Service: Send + Sync + 'static {
    /// Answers a call with the message that the method returns. Calls are begun in the order in which they came, each up
    /// to its first `.await` that waits, before the next is looked at; then they go on side by side.
    ///
    /// What the service doesn't have is to be answered with [`Code::Unimplemented`].
    fn call(&self, call: Call) -> impl Future<Output = Result<Bytes, Status>> + Send;
}

/// Serves a connection until it ends, and says why it did. Once `stop` is cancelled it takes no more requests, and ends
/// with [`MuxError::Closed`] when the calls that go on are answered. When this is dropped, they are dropped too.
pub async fn serve<S: Service>(
    connection: Connection,
    service: Arc<S>,
    config: Config,
    stop: CancellationToken,
) -> MuxError {
    let Connection { sender, mut receiver } = connection;
    let mut assembler = Assembler::new(config.max_receive);
    let mut running = JoinSet::new();
    let mut last = 0;
    loop {
        let frame = tokio::select! {
            frame = receiver.frame() => frame,
            Some(_) = running.join_next() => continue,
            () = stop.cancelled() => {
                while running.join_next().await.is_some() {}
                return MuxError::Closed;
            }
        };
        match frame {
            Ok(frame) => assembler.push(frame),
            Err(end) => return end,
        }
        while let Some(incoming) = assembler.pop() {
            let header = match &incoming {
                Incoming::Message(header, _) | Incoming::Oversize(header) => *header,
                Incoming::Broken(why) => return broken(why),
            };
            // Clients count their streams up by two.
            if header.kind == REQUEST && (header.stream.is_multiple_of(2) || header.stream <= last) {
                return MuxError::Protocol("a request's stream is even, or not above the one before");
            }
            last = if header.kind == REQUEST { header.stream } else { last };
            while running.len() >= config.concurrency.max(1) {
                running.join_next().await;
            }
            let mut answer = Box::pin(answer(incoming, service.clone(), sender.clone(), config.clone()));
            // Begun here, so that calls begin in order; a task is needed only for one that waits.
            if poll!(answer.as_mut()).is_pending() {
                running.spawn(answer);
            }
        }
    }
}

/// Why nothing else can be read.
pub(super) fn broken(why: &'static str) -> MuxError {
    telemetry::dropped_message(DroppedMessage::BadType);
    MuxError::Protocol(why)
}

async fn answer<S: Service>(incoming: Incoming, service: Arc<S>, sender: Sender, config: Config) {
    let (header, result) = match incoming {
        Incoming::Message(header, _) | Incoming::Oversize(header) if header.kind != REQUEST => {
            return telemetry::dropped_message(DroppedMessage::BadType);
        }
        // Not taken for a call in the first place.
        Incoming::Broken(_) => return,
        Incoming::Message(header, data) => (header, handle(service, data).await),
        Incoming::Oversize(header) => {
            telemetry::dropped_message(DroppedMessage::Oversize);
            let refused = too_long("a request", header.length, config.max_receive);
            (header, Err(refused))
        }
    };
    let mut message = response(result);
    let length = message.len() - HEADER;
    if length > config.max_send {
        message = response(Err(too_long("the answer", length, config.max_send)));
    }
    let Header { stream, .. } = header;
    if let Ok(slot) = sender.reserve(message.len()).await {
        slot.send(message.on(stream));
    }
}

/// Calls the service, with the deadline that the caller set; a panic is an answer too.
async fn handle<S: Service>(service: Arc<S>, data: Bytes) -> Result<Bytes, Status> {
    let came = Instant::now();
    let request = Request::decode(data).map_err(|error| {
        telemetry::dropped_message(DroppedMessage::Undecodable);
        Status::new(Code::InvalidArgument, format!("the request can't be read: {error}"))
    })?;
    let Request { service: name, method, payload, timeout_nano, metadata } = request;
    // 0 and less is for ever, and so is what no clock can tell.
    let limit = u64::try_from(timeout_nano).ok().filter(|nanos| *nanos > 0).map(Duration::from_nanos);
    let deadline = limit.and_then(|limit| came.checked_add(limit));
    let call =
        AssertUnwindSafe(service.call(Call { service: name, method, payload, deadline, metadata })).catch_unwind();
    let answer = match deadline {
        Some(deadline) => timeout_at(deadline, call).await.map_err(|_| {
            Status::new(Code::DeadlineExceeded, format!("no answer within {:?}", limit.unwrap_or_default()))
        })?,
        None => call.await,
    };
    answer.unwrap_or_else(|_| Err(Status::new(Code::Internal, "the handler panicked")))
}

fn response(result: Result<Bytes, Status>) -> Encoded {
    let response = match result {
        Ok(payload) => Response { status: None, payload },
        Err(status) => Response { status: Some(status), payload: Bytes::new() },
    };
    Encoded::new(RESPONSE, &response)
}

/// With both lengths, as Go says it: senders of many things find by them how many fit.
fn too_long(what: &str, length: usize, limit: usize) -> Status {
    Status::new(Code::ResourceExhausted, format!("{what} of {length} bytes is too long: {limit} is the most"))
}
