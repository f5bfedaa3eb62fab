//! Calls.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use prost::{DecodeError, Message};
use thiserror::Error;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::server::broken;
use super::wire::{Assembler, Encoded, HEADER, Incoming, REQUEST, RESPONSE};
use super::{Code, Config, KeyValue, Request, Response, Status};
use crate::mux::{Connection, MuxError, Receiver, Sender};
use crate::telemetry::{self, DroppedMessage};

/// A call that brought no answer.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum CallError {
    /// The server answered with an error.
    #[error("the call was refused: {0}")]
    Status(#[source] Status),
    /// No answer came in time. One that comes later is dropped.
    #[error("no answer within {0:?}")]
    DeadlineExceeded(Duration),
    /// The request is too long to be sent.
    #[error("a request of {length} bytes can't be sent: {limit} is the most")]
    RequestTooLarge {
        /// Its length.
        length: usize,
        /// The longest that is sent.
        limit: usize,
    },
    /// The answer was too long to be taken.
    #[error("an answer of {length} bytes was not taken: {limit} is the most; raise `max_receive`")]
    ResponseTooLarge {
        /// Its length.
        length: usize,
        /// The longest that is taken.
        limit: usize,
    },
    /// The answer is not what it should be.
    #[error("the answer can't be read: {0}")]
    Undecodable(#[from] DecodeError),
    /// 2^31 calls were made on this connection: there is no number for another.
    #[error("the connection has no stream left for another call: connect anew")]
    StreamsExhausted,
    /// The connection is no more.
    #[error(transparent)]
    Connection(#[from] MuxError),
}

/// What a call may have besides its message.
#[derive(Debug, Clone, Default)]
pub struct CallOptions {
    /// How long the caller waits, which the server learns; for ever by default.
    pub timeout: Option<Duration>,
    /// What comes along with the call.
    pub metadata: Vec<KeyValue>,
}

/// Makes calls on a connection. Clones share it; when the last one goes, so does the task that takes answers.
#[derive(Debug, Clone)]
pub struct Client {
    sender: Sender,
    config: Config,
    calls: Arc<Mutex<Calls>>,
    _reader: Arc<DropGuard>,
}

/// Calls that wait for their answers.
#[derive(Debug)]
struct Calls {
    /// The stream of the next call: odd, and never again.
    next: Option<u32>,
    waiting: HashMap<u32, oneshot::Sender<Result<Bytes, CallError>>>,
    end: Option<MuxError>,
}

impl Calls {
    fn begin(&mut self) -> Result<(u32, oneshot::Receiver<Result<Bytes, CallError>>), CallError> {
        if let Some(end) = &self.end {
            return Err(end.clone().into());
        }
        let stream = self.next.ok_or(CallError::StreamsExhausted)?;
        self.next = stream.checked_add(2);
        let (answer, waiting) = oneshot::channel();
        self.waiting.insert(stream, answer);
        Ok((stream, waiting))
    }
}

/// A call that is forgotten when it ends, however it does.
struct Pending<'a>(&'a Mutex<Calls>, u32);

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.0.lock().waiting.remove(&self.1);
    }
}

impl Client {
    /// A client on this connection. Needs a tokio runtime.
    pub fn new(connection: Connection, config: Config) -> Self {
        let Connection { sender, receiver } = connection;
        let calls = Arc::new(Mutex::new(Calls { next: Some(1), waiting: HashMap::new(), end: None }));
        let dropped = CancellationToken::new();
        let reader = answers(receiver, calls.clone(), config.max_receive);
        let client = Self { sender, config, calls, _reader: Arc::new(dropped.clone().drop_guard()) };
        tokio::spawn(async move { dropped.run_until_cancelled(reader).await });
        client
    }

    /// Makes a call. If the caller goes away, the call is forgotten; ttrpc can't tell the server.
    pub async fn call<A: Message + Default>(
        &self,
        service: &str,
        method: &str,
        request: &impl Message,
        options: CallOptions,
    ) -> Result<A, CallError> {
        let CallOptions { timeout: limit, metadata } = options;
        let timeout_nano = limit.map_or(0, |limit| i64::try_from(limit.as_nanos()).unwrap_or(i64::MAX));
        let request = Request {
            service: service.to_owned(),
            method: method.to_owned(),
            payload: request.encode_to_vec().into(),
            timeout_nano,
            metadata,
        };
        let answer = self.exchange(&request);
        let answer = match limit {
            Some(limit) => timeout(limit, answer).await.map_err(|_| CallError::DeadlineExceeded(limit))??,
            None => answer.await?,
        };
        let Response { status, payload } = Response::decode(answer)?;
        match status {
            Some(status) if !status.is(Code::Ok) => Err(CallError::Status(status)),
            _ => Ok(A::decode(payload)?),
        }
    }

    async fn exchange(&self, request: &Request) -> Result<Bytes, CallError> {
        let message = Encoded::new(REQUEST, request);
        let (length, limit) = (message.len() - HEADER, self.config.max_send);
        if length > limit {
            return Err(CallError::RequestTooLarge { length, limit });
        }
        let slot = self.sender.reserve(message.len()).await?;
        let (stream, answer) = {
            let mut calls = self.calls.lock();
            let (stream, answer) = calls.begin()?;
            // Under the lock: streams are on the wire in the order of their numbers.
            slot.send(message.on(stream));
            (stream, answer)
        };
        let _pending = Pending(&self.calls, stream);
        match answer.await {
            Ok(answer) => answer,
            // The reader is gone, and has said why.
            Err(_) => Err(self.calls.lock().end.clone().unwrap_or(MuxError::Closed).into()),
        }
    }
}

/// Brings answers to those who wait for them, until the connection ends.
async fn answers(mut receiver: Receiver, calls: Arc<Mutex<Calls>>, limit: usize) {
    let mut assembler = Assembler::new(limit);
    let end = 'connection: loop {
        match receiver.frame().await {
            Ok(frame) => assembler.push(frame),
            Err(end) => break end,
        }
        while let Some(incoming) = assembler.pop() {
            let (header, answer) = match incoming {
                Incoming::Broken(why) => break 'connection broken(why),
                Incoming::Message(header, data) => (header, Ok(data)),
                Incoming::Oversize(header) => {
                    (header, Err(CallError::ResponseTooLarge { length: header.length, limit }))
                }
            };
            if header.kind != RESPONSE {
                telemetry::dropped_message(DroppedMessage::BadType);
                continue;
            }
            match calls.lock().waiting.remove(&header.stream) {
                // Whoever waits may go at any time.
                Some(waiting) => drop(waiting.send(answer)),
                None => telemetry::dropped_message(DroppedMessage::UnknownStream),
            }
        }
    };
    let mut calls = calls.lock();
    calls.end = Some(end);
    calls.waiting.clear();
}
