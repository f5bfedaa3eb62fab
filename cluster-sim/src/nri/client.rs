//! Calls of the plugin, on connection 1.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex as SyncMutex;
use prost::Message as _;
use tokio::sync::{Mutex, oneshot};

use super::connection::{Connection, Message, RESPONSE};
use super::envelope::{Response, Status};
use super::trouble::{Breach, Code, Trouble};
use super::trunk::Trunk;

/// How many answers are kept that nobody waits for.
const STRAYS: usize = 64;

/// The calls that wait for an answer, and the answers that nobody waits for.
#[derive(Default)]
struct Waiting {
    calls: HashMap<u32, oneshot::Sender<Message>>,
    strays: VecDeque<(u32, Response)>,
    ended: bool,
}

/// Go's client: ids are given and written under one lock, so that they increase on the wire.
#[derive(Clone)]
pub(super) struct Client {
    trunk: Trunk,
    /// The stream of the next call.
    next: Arc<Mutex<u32>>,
    waiting: Arc<SyncMutex<Waiting>>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("trunk", &self.trunk).finish_non_exhaustive()
    }
}

/// Takes a call from those that wait, answered or not.
struct Waits<'a>(&'a Client, u32);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.waiting.lock().calls.remove(&self.1);
    }
}

impl Client {
    pub(super) fn new(trunk: Trunk, answers: Connection) -> Self {
        let client = Self { trunk, next: Arc::new(Mutex::new(1)), waiting: Arc::default() };
        tokio::spawn(receive(answers, client.clone()));
        client
    }

    /// Sends the data of a request, and waits for the answer's.
    pub(super) async fn exchange(&self, request: &[u8]) -> Result<Response, Trouble> {
        let (answer, answered) = oneshot::channel();
        let mut next = self.next.lock().await;
        let stream = *next;
        {
            let mut waiting = self.waiting.lock();
            if waiting.ended {
                return Err(self.end());
            }
            waiting.calls.insert(stream, answer);
        }
        let _waits = Waits(self, stream);
        *next = next.wrapping_add(2);
        if !self.trunk.message(1, stream, super::connection::REQUEST, 0, request).await {
            return Err(self.end());
        }
        drop(next);
        let Ok(answer) = answered.await else { return Err(self.end()) };
        read(answer).map_err(|trouble| {
            if let Trouble::Breach(breach) = trouble {
                self.trunk.broken(breach);
            }
            trouble
        })
    }

    /// Uses up the id of a stream.
    pub(super) async fn take_stream(&self) -> u32 {
        let mut next = self.next.lock().await;
        let stream = *next;
        *next = next.wrapping_add(2);
        stream
    }

    /// The answers that nobody waited for, with their streams.
    pub(super) fn take_strays(&self) -> Vec<(u32, Response)> {
        self.waiting.lock().strays.drain(..).collect()
    }

    /// Why there is no answer.
    fn end(&self) -> Trouble {
        self.trunk.breach().map_or(Trouble::Closed, Trouble::Breach)
    }
}

/// The client's end closes the trunk, as the adaptation does it.
async fn receive(mut answers: Connection, client: Client) {
    while let Some(message) = answers.message().await {
        let mut waiting = client.waiting.lock();
        if let Some(call) = waiting.calls.remove(&message.stream) {
            let _ = call.send(message);
            continue;
        }
        // Go says so in its log, and goes on.
        if let Ok(response) = Response::decode(&message.data.unwrap_or_default()[..]) {
            if waiting.strays.len() == STRAYS {
                waiting.strays.pop_front();
            }
            waiting.strays.push_back((message.stream, response));
        }
    }
    client.trunk.close().await;
    let mut waiting = client.waiting.lock();
    waiting.ended = true;
    waiting.calls.clear();
}

fn read(message: Message) -> Result<Response, Trouble> {
    if message.kind != RESPONSE {
        return Err(Breach::NoAnswer(message.kind).into());
    }
    let data = message.data.map_err(|length| {
        let message = format!("message length {length} exceed maximum message size of {}", super::connection::MAX_DATA);
        Trouble::Status(Status::new(Code::ResourceExhausted, message))
    })?;
    Response::decode(&data[..]).map_err(|error| Trouble::Unreadable(error.to_string()))
}
